"""The largest rectangle inside a mask.

Nothing is checked: arrays must be contiguous and have the stated shapes.
"""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def largest_rectangle(owner):
    """Find the largest rectangle of pixels that have an owner, in one pass over the pixels.

    Row by row, columns of filled pixels form a histogram; the largest rectangle below it is found with a stack of rising columns
    (as for Lee's «maximal rectangle»; Vandevoorde, Dr. Dobb's Journal, 1998). Of equal ones the first in reading order of its end wins.

    Parameters
    ----------
    owner : (h, w) int16
        Negative where empty.

    Returns
    -------
    (int, int, int, int)
        Left, top, right and bottom, the latter two exclusive; all zero when nothing is filled.
    """
    h, w = owner.shape
    heights, starts, tops = np.zeros(w + 1, np.int32), np.empty(w + 1, np.int32), np.empty(w + 1, np.int32)
    best, left, top, right, bottom = np.int64(0), 0, 0, 0, 0
    for i in range(h):
        for j in range(w):
            heights[j] = heights[j] + 1 if owner[i, j] >= 0 else 0
        depth = 0
        for j in range(w + 1):  # the column after the last one has height zero and empties the stack
            start = j
            while depth > 0 and tops[depth - 1] >= heights[j]:
                depth -= 1
                start = starts[depth]
                area = np.int64(tops[depth]) * (j - start)
                if area > best:
                    best, left, top, right, bottom = area, start, i + 1 - tops[depth], j, i + 1
            starts[depth], tops[depth] = start, heights[j]
            depth += 1
    return left, top, right, bottom
