"""The equations of a smooth correction on a grid: every pixel is tied to its four neighbours, with given weights, and weakly to zero.

The matrix is A x = (anchor + sum of weights) x - sum of weight * neighbour. ``right`` and ``down`` hold the weight between a pixel and the
next one in its row or column; on a canvas that wraps the last column's ``right`` leads to the first one, else it is zero. Nothing is
checked: arrays are contiguous float32 with the stated shapes, and the caller allocates the outputs.
"""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def relax(right, down, anchor, wanted, x, first):
    """One sweep of Gauss and Seidel over the pixels of one colour of a chessboard, then over those of the other.

    Parameters
    ----------
    right, down, anchor : (h, w) float32
    wanted : (h, w, 3) float32
        What A x should be.
    x : (h, w, 3) float32, in and out
    first : int
        Colour that comes first, 0 or 1; a sweep with the other one is this one's mirror image.
    """
    h, w = right.shape
    for turn in range(2):
        for i in range(h):
            for j in range((i + first + turn) % 2, w, 2):
                before, after = (j - 1 if j else w - 1), (j + 1 if j + 1 < w else 0)
                a, b = right[i, before], right[i, j]
                c = down[i - 1, j] if i else np.float32(0)
                d = down[i, j] if i + 1 < h else np.float32(0)
                above, below = max(i - 1, 0), min(i + 1, h - 1)
                whole = anchor[i, j] + ((a + b) + (c + d))
                for k in range(3):
                    around = (a * x[i, before, k] + b * x[i, after, k]) + (c * x[above, j, k] + d * x[below, j, k])
                    x[i, j, k] = (wanted[i, j, k] + around) / whole


@njit(cache=True, nogil=True)
def multiply(right, down, anchor, x, product):
    """A x, (h, w, 3) float32, into ``product``."""
    h, w = right.shape
    for i in range(h):
        above, below = max(i - 1, 0), min(i + 1, h - 1)
        for j in range(w):
            before, after = (j - 1 if j else w - 1), (j + 1 if j + 1 < w else 0)
            a, b = right[i, before], right[i, j]
            c = down[i - 1, j] if i else np.float32(0)
            d = down[i, j] if i + 1 < h else np.float32(0)
            for k in range(3):
                here = x[i, j, k]
                sideways = a * (here - x[i, before, k]) + b * (here - x[i, after, k])
                upright = c * (here - x[above, j, k]) + d * (here - x[below, j, k])
                product[i, j, k] = anchor[i, j] * here + (sideways + upright)


@njit(cache=True, nogil=True)
def gather_fours(fine, coarse):
    """Sums of two by two pixels of (h, w, 3) float32, fewer at the right and bottom, into (ceil(h / 2), ceil(w / 2), 3)."""
    h, w, _ = fine.shape
    coarse[:] = 0
    for i in range(h):
        for j in range(w):
            for k in range(3):
                coarse[i // 2, j // 2, k] += fine[i, j, k]


@njit(cache=True, nogil=True)
def scatter_fours(coarse, fine):
    """Add every pixel of (ceil(h / 2), ceil(w / 2), 3) float32 to the two by two pixels of (h, w, 3) below it."""
    h, w, _ = fine.shape
    for i in range(h):
        for j in range(w):
            for k in range(3):
                fine[i, j, k] += coarse[i // 2, j // 2, k]
