"""The largest rectangle inside a mask.

Nothing is checked: arrays must be contiguous and have the stated shapes.
"""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def largest_rectangle(owner, first, heights, best):
    """Find the largest rectangle of pixels that have an owner, in one pass over the pixels; called with strip after strip of rows.

    Row by row, columns of filled pixels form a histogram; the largest rectangle below it is found with a stack of rising columns
    (as for Lee's «maximal rectangle»; Vandevoorde, Dr. Dobb's Journal, 1998). Of equal ones the first in reading order of its end wins.

    Parameters
    ----------
    owner : (h, w) int8 or int16
        A strip; negative where empty.
    first : int
        Its first row's number.
    heights : (w + 1,) int32, in and out
        Filled pixels above each column's end; zeros before the first strip.
    best : (4,) int64, in and out
        Left, top, right and bottom of the best so far, the latter two exclusive; zeros before the first strip, and while nothing is filled.
    """
    h, w = owner.shape
    starts, tops = np.empty(w + 1, np.int32), np.empty(w + 1, np.int32)
    most = (best[2] - best[0]) * (best[3] - best[1])
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
                if area > most:
                    most = area
                    best[0], best[1], best[2], best[3] = start, first + i + 1 - tops[depth], j, first + i + 1
            starts[depth], tops[depth] = start, heights[j]
            depth += 1
