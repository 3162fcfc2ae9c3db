"""Steps from the photos' pieces of a tile to its finished pixels.

Nothing is checked: arrays have the stated shapes and types, and the caller allocates the outputs.
"""

from __future__ import annotations

import numpy as np
from numba import njit

ONE, TWO, THREE = np.uint64(1), np.uint64(2), np.uint64(3)
TABLE = np.uint64(3 * 256 * 2)
"""Numbers of a table of ``grade_by_radius``."""


@njit(cache=True, nogil=True)
def grade(pixels, table, graded):
    """Replace every value by its entry in a table.

    Parameters
    ----------
    pixels : (h, w, 3) uint8 or uint16
    table : (3, n) float32
        New value of every old one, for red, green and blue.
    graded : (h, w, 3) float32, out
    """
    h, w, _ = pixels.shape
    red, green, blue = table[0], table[1], table[2]
    for i in range(h):
        for j in range(w):
            graded[i, j, 0] = red[pixels[i, j, 0]]
            graded[i, j, 1] = green[pixels[i, j, 1]]
            graded[i, j, 2] = blue[pixels[i, j, 2]]


@njit(cache=True, nogil=True)
def grade_floats(pixels, table, graded):
    """Replace every value by what a table says of it, interpolating; beyond its ends its first and last slopes go on.

    Parameters
    ----------
    pixels : (h, w, 3) float32
    table : (3, n) float32
        New values of 0, 1 / (n - 1), .. 1, for red, green and blue.
    graded : (h, w, 3) float32, out
    """
    h, w, _ = pixels.shape
    last = np.int32(table.shape[1] - 2)
    steps = np.float32(table.shape[1] - 1)
    for i in range(h):
        for j in range(w):
            for k in range(3):
                position = pixels[i, j, k] * steps
                # Written so that a value that is no number reads the first entry, not one beyond the table.
                index = np.int32(position if position < np.float32(last) else np.float32(last)) if position > 0 else np.int32(0)
                low = table[k, index]
                graded[i, j, k] = low + (position - np.float32(index)) * (table[k, index + 1] - low)


@njit(cache=True, nogil=True)
def _burnt_share(pixels, i, j, burnt, white, around):
    """How much of a pixel is burnt out, 0..1: less where its neighbours, as many to each side as ``around`` says, are burnt out less."""
    h, w, _ = pixels.shape
    own, total, count = np.float32(0), np.float32(0), 0
    for y in range(i - around, i + around + 1):
        row = min(max(y, 0), h - 1)
        for x in range(j - around, j + around + 1):
            column = min(max(x, 0), w - 1)
            least = np.float32(min(pixels[row, column, 0], pixels[row, column, 1], pixels[row, column, 2]))
            share = (least - burnt) / (white - burnt)
            share = min(share, np.float32(1)) if share > 0 else np.float32(0)
            total += share
            count += 1
            if y == i and x == j:
                own = share
    return own * (total / np.float32(count))


@njit(cache=True, nogil=True)
def grade_by_radius(pixels, rows, columns, stack, white, burnt, brightest, around, graded):
    """Replace every value by what a stack of tables says of it, interpolating between the two tables around its place in the stack.

    Where all three channels are burnt out, the light was at least what the tables say, and nobody knows how much more: such pixels become
    the brightest that any of them could be, or a burnt-out sky would show the lens's falloff upside down. Less so at their rim, where the
    light was hardly more than that: a whole step there would be an edge that the scene has not.

    Parameters
    ----------
    pixels : (h, w, 3) uint8
        Contiguous, as are the stack and the result.
    rows : (h,) float32
    columns : (w,) float32
        A pixel's place in the stack is the sum of its row's and its column's number, from 0 to m.
    stack : (m, 3, 256, 2) float32
        New value of every old one, for red, green and blue, and how much more the next table makes of it: side by side in memory, a
        quarter faster than two tables.
    white : float32
        Largest new value, that of white.
    burnt : float32
        Value from which on a channel is taken for burnt out, entirely so at white.
    brightest : (3,) float32
        New values of burnt-out pixels.
    around : int
        Neighbours to each side that tell the rim of what is burnt out.
    graded : (h, w, 3) float32, out
    """
    h, w, _ = pixels.shape
    last = np.uint32(stack.shape[0] - 1)
    # Unsigned places in flat arrays: four indices each, that might count from the end, take half as long again.
    numbers, values, results = stack.reshape(-1), pixels.reshape(-1), graded.reshape(-1)
    for i in range(h):
        for j in range(w):
            place = rows[i] + columns[j]
            index = min(np.uint32(place), last)
            between = place - np.float32(index)
            first = np.uint64(3 * (i * w + j))
            red, green, blue = values[first], values[first + ONE], values[first + TWO]
            table = np.uint64(index) * TABLE
            results[first] = _interpolate(numbers, table, red, between, white)
            results[first + ONE] = _interpolate(numbers, table + TABLE // THREE, green, between, white)
            results[first + TWO] = _interpolate(numbers, table + TWO * TABLE // THREE, blue, between, white)
            if np.float32(min(red, green, blue)) > burnt:
                share = _burnt_share(pixels, i, j, burnt, white, around)
                for k in range(3):
                    lacking = max(brightest[k] - graded[i, j, k], np.float32(0))
                    graded[i, j, k] += lacking * share


@njit(cache=True, nogil=True)
def _interpolate(numbers, table, value, between, white):
    """The new value of an old one, at most white, from a table of pairs: it in one table, and how much more the next one makes of it."""
    place = table + TWO * np.uint64(value)
    return min(numbers[place] + between * numbers[place + ONE], white)


@njit(cache=True, nogil=True)
def grade_values_by_radius(pixels, places, table, white, limit, burnt, brightest, around, graded):
    """The same for values between which the tables are interpolated too; beyond their ends their first and last slopes go on.

    Parameters
    ----------
    pixels : (h, w, 3) uint16 or float32
    places : (h, w) float32
        In the stack, at most m - 1.
    table : (m, 3, n) float32
        New values of n old ones, evenly from 0 to white.
    white : float32
    limit : float32
        Largest new value: white for integers, infinity for floats.
    burnt : float32
    brightest : (3,) float32
    around : int
        0 where pixels are means of many, whose rims say nothing.
    graded : (h, w, 3) float32, out
    """
    h, w, _ = pixels.shape
    last, last_value = np.int32(table.shape[0] - 2), np.int32(table.shape[2] - 2)
    steps = np.float32(table.shape[2] - 1) / white
    for i in range(h):
        for j in range(w):
            index = min(np.int32(places[i, j]), last)
            share = places[i, j] - np.float32(index)
            low, high = table[index], table[index + 1]
            for k in range(3):
                position = np.float32(pixels[i, j, k]) * steps
                # As in ``grade_floats``.
                v = np.int32(position if position < np.float32(last_value) else np.float32(last_value)) if position > 0 else np.int32(0)
                rest = position - np.float32(v)
                start, end = low[k, v] + rest * (low[k, v + 1] - low[k, v]), high[k, v] + rest * (high[k, v + 1] - high[k, v])
                value = start + share * (end - start)
                graded[i, j, k] = limit if value > limit else value
            least = min(np.float32(pixels[i, j, 0]), np.float32(pixels[i, j, 1]), np.float32(pixels[i, j, 2]))
            if least > burnt:
                part = _burnt_share(pixels, i, j, burnt, white, around)
                for k in range(3):
                    lacking = max(brightest[k] - graded[i, j, k], np.float32(0))
                    graded[i, j, k] += lacking * part


@njit(cache=True, nogil=True)
def choose_owners(labels, factor, position, photos, valid, owner, weight_owner):
    """Give every pixel of a tile to a photo, along smooth seams between the labels of a reduced canvas.

    Each of the four labels around a pixel has the weight of bilinear interpolation; the label with the largest sum among the photos that
    are valid at the pixel wins, ties going to the lower one. Where none is valid the first photo that is takes the pixel: no pixel that a
    photo covers stays empty.

    Parameters
    ----------
    labels : (H, W) int16
        Labels at every factor-th pixel of the tile, from its first on, and one row and column beyond the last.
    factor : int
        Tile pixels per label.
    position : (n_all,) int16
        Position of a photo in ``photos``, by its label; -1 for photos that are not here.
    photos : (n,) int16
        The photos that are here, in ascending order.
    valid : (n, h, w) bool
        Where each has pixels.
    owner : (h, w) int16, out
        -1 where no photo has pixels.
    weight_owner : (h, w) int16, out
        The same, but where no photo has pixels the best label.
    """
    h, w = owner.shape
    names, sums = np.empty(4, np.int16), np.empty(4, np.float32)
    cells = (w + factor - 1) // factor
    for y in range((h + factor - 1) // factor):
        x = 0
        while x < cells:
            # Cells side by side whose labels are all the same: most of them, and there is little to ask there.
            a, end = labels[y, x], x + 1
            here = position[a] if a == labels[y, x + 1] and a == labels[y + 1, x] and a == labels[y + 1, x + 1] else np.int16(-1)
            while here >= 0 and end < cells and labels[y, end + 1] == a and labels[y + 1, end + 1] == a:
                end += 1
            left, right = x * factor, min(end * factor, w)
            for i in range(y * factor, min(y * factor + factor, h)):
                if here >= 0 and _all(valid[here, i, left:right]):
                    owner[i, left:right] = a
                    weight_owner[i, left:right] = a
                    continue
                down = np.float32(i - y * factor) / np.float32(factor)
                for j in range(left, right):
                    if here >= 0:
                        who = a if valid[here, i, j] else _first_valid(photos, valid, i, j)
                        owner[i, j] = who
                        weight_owner[i, j] = who if who >= 0 else a
                        continue
                    n = j // factor
                    across = np.float32(j - n * factor) / np.float32(factor)
                    names[0], names[1], names[2], names[3] = labels[y, n], labels[y, n + 1], labels[y + 1, n], labels[y + 1, n + 1]
                    sums[0] = (np.float32(1) - down) * (np.float32(1) - across)
                    sums[1] = (np.float32(1) - down) * across
                    sums[2] = down * (np.float32(1) - across)
                    sums[3] = down * across
                    _choose(names, sums, position, photos, valid, i, j, owner, weight_owner)
            x = end


@njit(cache=True, nogil=True)
def _all(flags):
    """Whether all of some booleans are set."""
    every = True
    for n in range(flags.shape[0]):
        every &= flags[n]
    return every


@njit(cache=True, nogil=True)
def _first_valid(photos, valid, i, j):
    """The first photo that has a pixel at a place, -1 for none."""
    for n in range(photos.shape[0]):
        if valid[n, i, j]:
            return photos[n]
    return np.int16(-1)


@njit(cache=True, nogil=True)
def _choose(names, sums, position, photos, valid, i, j, owner, weight_owner):
    """One pixel of ``choose_owners``, from its four labels and their weights."""
    best_valid, best_any = np.float32(0), np.float32(0)
    who_valid, who_any = np.int16(-1), np.int16(-1)
    for m in range(4):
        total = np.float32(0)
        for n in range(4):
            if names[n] == names[m]:
                total += sums[n]
        if total > best_any or (total == best_any and total > 0 and names[m] < who_any):
            best_any, who_any = total, names[m]
        here = position[names[m]]
        better = total > best_valid or (total == best_valid and total > 0 and names[m] < who_valid)
        if better and here >= 0 and valid[here, i, j]:
            best_valid, who_valid = total, names[m]
    if who_valid < 0:
        who_valid = _first_valid(photos, valid, i, j)
    owner[i, j] = who_valid
    weight_owner[i, j] = who_valid if who_valid >= 0 else who_any


@njit(cache=True, nogil=True)
def place(pixels, top, left, owner, photo, picture):
    """Copy a photo's pixels to where it is the owner.

    Parameters
    ----------
    pixels : (h, w, 3) float32
        A part of the tile.
    top, left : int
        Where it lies in the tile.
    owner : (H, W) int16
    photo : int
    picture : (H, W, 3) float32, in and out
    """
    h, w, _ = pixels.shape
    for i in range(h):
        for j in range(w):
            if owner[top + i, left + j] == photo:
                for k in range(3):
                    picture[top + i, left + j, k] = pixels[i, j, k]


@njit(cache=True, nogil=True)
def compare(pixels, valid, frame, picture, owner, weight_owner, photo, difference, weight):
    """Difference of a photo from a picture, zero where either is empty, and the photo's share, in a part of a tile.

    Parameters
    ----------
    pixels : (m, n, 3) float32
        The photo in some other part of the tile.
    valid : (m, n) bool
        Where it has pixels.
    frame : (4,) int64
        Row and column in the tile of the part that is asked for, then of the photo's part.
    picture : (H, W, 3) float32
    owner, weight_owner : (H, W) int16
        As of ``choose_owners``.
    photo : int
    difference : (h, w, 3) float32, out
    weight : (h, w, 1) float32, out
        1 where the photo is the (weight) owner, else 0.
    """
    h, w, _ = difference.shape
    for i in range(h):
        y = frame[0] + i
        row = y - frame[2]
        for j in range(w):
            x = frame[1] + j
            column = x - frame[3]
            mine = weight_owner[y, x] == photo
            weight[i, j, 0] = np.float32(1) if mine else np.float32(0)
            here = row >= 0 and row < valid.shape[0] and column >= 0 and column < valid.shape[1]
            if here and not mine and owner[y, x] >= 0 and valid[row, column]:
                for k in range(3):
                    difference[i, j, k] = pixels[row, column, k] - picture[y, x, k]
            else:
                for k in range(3):
                    difference[i, j, k] = 0


@njit(cache=True, nogil=True)
def finish(picture, owner, frame, correction, taps, white, target, owner_target):
    """Add a smooth correction to a part of a tile, round it and store it; pixels without owner become zero.

    Parameters
    ----------
    picture : (H, W, 3) float32
        In units of the target.
    owner : (H, W) int16
    frame : (6,) int64
        Row and column in the tile of the part's first pixel, row and column of it in the target, height and width.
    correction : (m, n, 3) float32
        In units of the target, at every factor-th pixel: the part's first pixel lies at (1, 1), and two more follow its last one. Empty,
        (0, 0, 3), for none.
    taps : (factor, 4) float32
        Weights of the four neighbouring correction pixels, by position between the middle two.
    white : float32
        Largest value of an integer target, to round and clip to; 1 stores floats as they are.
    target : (h, w, 3) uint8, uint16 or float32, out
    owner_target : (h, w) int8 or int16, out
    """
    height, width = frame[4], 3 * frame[5]
    factor, corrected = taps.shape[0], correction.shape[0] > 0
    rows, stored = picture.reshape(picture.shape[0], -1), target.reshape(target.shape[0], -1)
    wide = np.zeros((max(correction.shape[0], 4), width), np.float32)  # enlarged sideways: then rows need no more than four terms
    if corrected:
        _widen(correction, taps, wide)
    value = np.empty(width, np.float32)
    half, zero = np.float32(0.5), np.float32(0)
    for i in range(height):
        source = rows[frame[0] + i, 3 * frame[1] : 3 * frame[1] + width]
        names = owner[frame[0] + i, frame[1] : frame[1] + frame[5]]
        out = stored[frame[2] + i, 3 * frame[3] : 3 * frame[3] + width]
        out_names = owner_target[frame[2] + i, frame[3] : frame[3] + frame[5]]
        if corrected:
            m, phase = i // factor, i % factor
            a, b, c, d = taps[phase, 0], taps[phase, 1], taps[phase, 2], taps[phase, 3]
            first, second, third, fourth = wide[m], wide[m + 1], wide[m + 2], wide[m + 3]
            for n in range(width):
                value[n] = source[n] + ((a * first[n] + b * second[n]) + (c * third[n] + d * fourth[n]))
        else:
            for n in range(width):
                value[n] = source[n]
        if white > 1:
            for n in range(width):
                out[n] = np.int32(min(max(value[n] + half, zero), white + half))
        else:
            for n in range(width):
                out[n] = value[n]
        least = np.int16(0)
        for j in range(frame[5]):
            out_names[j] = names[j]
            least = min(least, names[j])
        if least < 0:
            for j in range(frame[5]):
                if names[j] < 0:
                    out[3 * j] = out[3 * j + 1] = out[3 * j + 2] = 0


@njit(cache=True, nogil=True)
def _widen(correction, taps, wide):
    """Enlarge the rows of a correction (m, n, 3) sideways, from its pixel 1 on, into (m, w * 3)."""
    factor = taps.shape[0]
    for m in range(correction.shape[0]):
        for j in range(wide.shape[1] // 3):
            n, phase = j // factor, j % factor
            for k in range(3):
                left = taps[phase, 0] * correction[m, n, k] + taps[phase, 1] * correction[m, n + 1, k]
                right = taps[phase, 2] * correction[m, n + 2, k] + taps[phase, 3] * correction[m, n + 3, k]
                wide[m, 3 * j + k] = left + right
