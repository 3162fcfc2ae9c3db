"""Nearest neighbours in both directions, from a table of similarities.

Nothing is checked: arrays must be contiguous and have the stated shapes, and the caller allocates the outputs.
"""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def best_two(similarity, row_best, row_index, row_second, column_index):
    """Find the best and second best column of every row, and the best row of every column.

    Ties go to the lower index.

    Parameters
    ----------
    similarity : (n, m) float32
        Larger is more alike.
    row_best, row_second : (n,) float32, out
        Largest and second largest value of each row; -inf where a row has too few columns.
    row_index : (n,) int32, out
        Column of the largest value.
    column_index : (m,) int32, out
        Row of the largest value of each column.
    """
    n, m = similarity.shape
    column_best = np.full(m, -np.inf, np.float32)
    column_index[:] = -1
    for i in range(n):
        best, second, index = np.float32(-np.inf), np.float32(-np.inf), np.int32(-1)
        for j in range(m):
            s = similarity[i, j]
            if s > second:
                if s > best:
                    second, best, index = best, s, np.int32(j)
                else:
                    second = s
            if s > column_best[j]:
                column_best[j] = s
                column_index[j] = i
        row_best[i], row_second[i], row_index[i] = best, second, index
