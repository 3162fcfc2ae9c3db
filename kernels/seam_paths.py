"""Seams at full size: through each block of a tile, the cheapest way from where a seam enters to where it leaves.

Rows of a block are worked through one after the other, with the least that the seam can have cost so far to each place between two pixels:
dynamic programming, as in Efros and Freeman, «Image quilting for texture synthesis and transfer», SIGGRAPH 2001, but that a seam may also
run along a row. Pixels of it cost what ``kernels/seam_costs.py`` says, without the photos' own steps.

Nothing is checked: arrays have the stated shapes and types.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit


class Drawn(NamedTuple):
    """A photo in some part of a tile."""

    pixels: np.ndarray  # (h, w, 3) float32
    valid: np.ndarray  # (h, w) bool, where it has pixels
    top: int  # row and column of the tile where the part begins
    left: int


@njit(cache=True, nogil=True)
def lead_seams(names, labels, settled, factor, rows, columns, a, b, length, unknown, owner, weight_owner):
    """Lead the seams between two photos through the blocks of a tile where they cost least.

    Seams stay on the rim of a block, and move by at most ``factor``. A block stays as it is where other photos meet in it, and where more
    than one seam leads through it, or one that turns back.

    Parameters
    ----------
    names : (2,) int16
        The photos a and b.
    labels : (H, W) int16
        As ``choose_owners`` takes them; a block is told by those around its pixels, one row and column beyond it.
    settled : (H, W) bool
        Labels beside which seams stay.
    factor : int
        Tile pixels per label.
    rows, columns : (m,), (n,) int64
        Where blocks begin, and where the last one ends; all but that one multiples of ``factor``.
    a, b : Drawn
    length, unknown : float32
        What a pixel of seam costs by itself, and how far colours differ where one is not known, and at most; in the units of the photos'
        values.
    owner, weight_owner : (h, w) int16, in and out
        As ``choose_owners`` gives them.
    """
    a_turned = Drawn(a.pixels.transpose(1, 0, 2), a.valid.T, a.left, a.top)
    b_turned = Drawn(b.pixels.transpose(1, 0, 2), b.valid.T, b.left, b.top)
    for m in range(rows.shape[0] - 1):
        for n in range(columns.shape[0] - 1):
            block = rows[m], columns[n], rows[m + 1], columns[n + 1]
            if not _meet(names, labels, settled, factor, block):
                continue
            turned = columns[n], rows[m], columns[n + 1], rows[m + 1]
            side, path = _find_path(names, weight_owner, block)
            turned_side, turned_path = _find_path(names, weight_owner.T, turned)
            # A seam has a place in each row that it leads through, or in each column: it is led along the axis on which it is longer.
            if side >= 0 and _length(path, block) >= _length(turned_path, turned):
                _lead(names, side, path, factor, block, a, b, length, unknown, owner, weight_owner)
            elif turned_side >= 0:
                _lead(names, turned_side, turned_path, factor, turned, a_turned, b_turned, length, unknown, owner.T, weight_owner.T)


@njit(cache=True, nogil=True)
def _meet(names, labels, settled, factor, block):
    """Whether two photos, and no others, have labels around the pixels of a block, all of which may be led anew."""
    first = second = False
    for y in range(block[0] // factor, (block[2] - 1) // factor + 2):
        for x in range(block[1] // factor, (block[3] - 1) // factor + 2):
            if labels[y, x] == names[0]:
                first = True
            elif labels[y, x] == names[1]:
                second = True
            else:
                return False
            if settled[y, x]:
                return False
    return first and second


@njit(cache=True, nogil=True)
def _find_path(names, labels, block):
    """Which photo lies left of a block's seam, by its position in ``names``, and how many pixels of each row do.

    -1, and no rows, where the seam cannot be told by that: it turns back, or no row has pixels of both.
    """
    top, left, bottom, right = block
    path, side = np.empty(bottom - top, np.int64), -1
    for i in range(bottom - top):
        first, at = labels[top + i, left], -1
        for j in range(right - left):
            here = labels[top + i, left + j]
            if here != names[0] and here != names[1]:
                return -1, path[:0]
            if at < 0 and here != first:
                at = j
            elif at >= 0 and here == first:
                return -1, path[:0]
        if at >= 0:
            mine = 0 if first == names[0] else 1
            if side == 1 - mine:
                return -1, path[:0]
            side = mine
        path[i] = at
    if side < 0:
        return -1, path[:0]
    for i in range(bottom - top):
        if path[i] < 0:
            path[i] = right - left if labels[top + i, left] == names[side] else 0
    return side, path


@njit(cache=True, nogil=True)
def _length(path, block):
    """In how many rows of a block a seam lies between pixels."""
    count = 0
    for at in path:
        count += 0 < at < block[3] - block[1]
    return count


@njit(cache=True, nogil=True)
def _lead(names, side, path, reach, block, a, b, length, unknown, owner, weight_owner):
    """Lead a block's seam from row to row, and hand over the pixels between where it was and where it is."""
    left_name, right_name, left, right = (names[0], names[1], a, b) if side == 0 else (names[1], names[0], b, a)
    low, high = path.copy(), path.copy()
    x, width = block[1], block[3] - block[1]
    for i in range(1, path.shape[0] - 1):
        if 0 < path[i] < width:
            y, least, most = block[0] + i, max(1, path[i] - reach), min(width - 1, path[i] + reach)
            while high[i] < most and owner[y, x + high[i]] == right_name and _has(left, y, x + high[i]):
                high[i] += 1
            while low[i] > least and owner[y, x + low[i] - 1] == left_name and _has(right, y, x + low[i] - 1):
                low[i] -= 1
    led = _cheapest(low, high, block, a, b, length, unknown)
    for i in range(path.shape[0]):
        for j in range(min(path[i], led[i]), max(path[i], led[i])):
            owner[block[0] + i, x + j] = weight_owner[block[0] + i, x + j] = left_name if j < led[i] else right_name


@njit(cache=True, nogil=True)
def _cheapest(low, high, block, a, b, length, unknown):
    """The cheapest path that has between ``low`` and ``high`` pixels of each row at its left."""
    height, width = low.shape[0], block[3] - block[1]
    costs, off = np.empty((2, width + 1), np.float32), np.empty((2, width), np.float32)
    along, came = np.empty(width + 1, np.float32), np.empty((height, width + 1), np.int32)
    path = np.empty(height, np.int64)
    for i in range(height):
        y, now, before = block[0] + i, costs[i % 2], costs[1 - i % 2]
        above, below = max(0, i - 1), min(height - 1, i + 1)
        for j in range(max(0, min(low[above], low[i], low[below]) - 1), min(width, max(high[above], high[i], high[below]) + 1)):
            off[i % 2, j] = _off(a, b, unknown, y, block[1] + j)
        if i == 0:
            now[low[0]] = 0
            continue
        least, most = min(low[i], low[i - 1]), max(high[i], high[i - 1])
        for s in range(least, most):
            along[s] = length + off[0, s] + off[1, s]
        # From where the seam was straight on, or along the row to the right or to the left.
        for s in range(least, most + 1):
            now[s] = before[s] if low[i - 1] <= s <= high[i - 1] else np.float32(np.inf)
            came[i, s] = s
            if s > least and now[s - 1] + along[s - 1] < now[s]:
                now[s], came[i, s] = now[s - 1] + along[s - 1], came[i, s - 1]
        for s in range(most - 1, least - 1, -1):
            if now[s + 1] + along[s] < now[s]:
                now[s], came[i, s] = now[s + 1] + along[s], came[i, s + 1]
        for s in range(max(1, low[i]), min(width - 1, high[i]) + 1):
            now[s] += length + off[i % 2, s - 1] + off[i % 2, s]
    path[height - 1] = low[height - 1]
    for i in range(height - 1, 0, -1):
        path[i - 1] = min(max(came[i, path[i]], low[i - 1]), high[i - 1])
    return path


@njit(cache=True, nogil=True)
def _off(a, b, unknown, y, x):
    """How far the photos' colours differ at a pixel of the tile, at most ``unknown``."""
    if not (_has(a, y, x) and _has(b, y, x)):
        return unknown
    first, second = a.pixels[y - a.top, x - a.left], b.pixels[y - b.top, x - b.left]
    red, green, blue = first[0] - second[0], first[1] - second[1], first[2] - second[2]
    off = math.sqrt(red * red + green * green + blue * blue)
    # So written that what is no number, or has no finite square, counts as unknown too.
    return off if off < unknown else unknown


@njit(cache=True, nogil=True)
def _has(photo, y, x):
    """Whether a photo has a pixel of the tile."""
    row, column = y - photo.top, x - photo.left
    return 0 <= row < photo.valid.shape[0] and 0 <= column < photo.valid.shape[1] and photo.valid[row, column]
