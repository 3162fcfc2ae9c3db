"""Steps from the photos' pieces of a tile to its finished pixels.

Nothing is checked: arrays have the stated shapes and types, and the caller allocates the outputs.
"""

from __future__ import annotations

import numpy as np
from numba import njit


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
