"""Nearest neighbours in both directions: from a table of similarities, or of bit strings.

Nothing is checked: arrays must be contiguous and have the stated shapes, and the caller allocates the outputs.
"""

from __future__ import annotations

import numpy as np
from numba import njit, types
from numba.extending import intrinsic


@intrinsic
def ones(typingctx, word=None):
    """Number of ones among the bits of a uint64: one instruction, which Numba has no other name for."""

    def generate(context, builder, signature, arguments):
        return builder.ctpop(arguments[0])

    return types.uint64(types.uint64), generate


@njit(cache=True, nogil=True)
def best_two(similarity, first, row_best, row_index, row_second, column_index, column_best):
    """Find the best and second best column of every row, and the best row of every column; called with strip after strip of rows.

    Ties go to the lower index.

    Parameters
    ----------
    similarity : (n, m) float32
        Larger is more alike; a strip.
    first : int
        Number of the strip's first row.
    row_best, row_second : (n,) float32, out
        Largest and second largest value of each row; -inf where a row has too few columns.
    row_index : (n,) int32, out
        Column of the largest value.
    column_index : (m,) int32, in and out
        Row of the largest value of each column so far; -1 before the first strip.
    column_best : (m,) float32, in and out
        That value; -inf before the first strip.
    """
    n, m = similarity.shape
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
                column_index[j] = first + i
        row_best[i], row_second[i], row_index[i] = best, second, index


@njit(cache=True, nogil=True)
def best_two_bits(first, second, row_best, row_index, row_second, column_index):
    """The same for bit strings of 256 bits and their Hamming distance, where smaller is more alike.

    Parameters
    ----------
    first : (n, 4) uint64
    second : (m, 4) uint64
    row_best, row_second : (n,) float32, out
        Smallest and second smallest distance of each row; 257 where a row has too few columns.
    row_index : (n,) int32, out
        Column of the smallest distance.
    column_index : (m,) int32, out
        Row of the smallest distance of each column.
    """
    n, m = len(first), len(second)
    column_best = np.full(m, 257, np.int64)
    column_index[:] = -1
    for i in range(n):
        a, b, c, d = first[i, 0], first[i, 1], first[i, 2], first[i, 3]
        best, other, index = np.int64(257), np.int64(257), np.int32(-1)
        for j in range(m):
            s = np.int64(ones(a ^ second[j, 0]) + ones(b ^ second[j, 1]) + ones(c ^ second[j, 2]) + ones(d ^ second[j, 3]))
            if s < other:
                if s < best:
                    other, best, index = best, s, np.int32(j)
                else:
                    other = s
            if s < column_best[j]:
                column_best[j] = s
                column_index[j] = i
        row_best[i], row_second[i], row_index[i] = best, other, index
