"""What is done to a photo's light, by tables of new values.

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
