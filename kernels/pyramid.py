"""Pyramids of Burt and Adelson, «A multiresolution spline with application to image mosaics», ACM TOG 2(4), 1983.

Pixel i of a level lies at pixel 2 i of the level below it. Beyond its border an image goes on with its border's colour. The filter is the
binomial 1 4 6 4 1. Nothing is checked: arrays are contiguous float32 with the stated shapes, and the caller allocates the outputs.
"""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def shrink(source, target):
    """Blur an image and keep every second pixel: the next level of a Gaussian pyramid.

    Parameters
    ----------
    source : (h, w, c) float32
    target : (ceil(h / 2), ceil(w / 2), c) float32, out
    """
    h, w, c = source.shape
    rows = source.reshape(h, w * c)
    line = np.empty((w + 4) * c, np.float32)  # one blurred row with two pixels more at either end
    middle = line[2 * c : (w + 2) * c]
    four, six, part = np.float32(4), np.float32(6), np.float32(1 / 256)
    for i in range(target.shape[0]):
        y = 2 * i
        a, b, m = rows[max(y - 2, 0)], rows[max(y - 1, 0)], rows[y]
        d, e = rows[min(y + 1, h - 1)], rows[min(y + 2, h - 1)]
        for n in range(w * c):
            middle[n] = (a[n] + e[n]) + four * (b[n] + d[n]) + six * m[n]
        for k in range(c):
            line[k] = line[c + k] = middle[k]
            line[(w + 2) * c + k] = line[(w + 3) * c + k] = middle[(w - 1) * c + k]
        for j in range(target.shape[1]):
            n = 2 * j * c
            for k in range(n, n + c):
                outer, inner = line[k] + line[k + 4 * c], line[k + c] + line[k + 3 * c]
                target[i, j, k - n] = (outer + four * inner + six * line[k + 2 * c]) * part


@njit(cache=True, nogil=True)
def _expand_rows(coarse, y, line):
    """Row y of the image twice as high as ``coarse`` (h, w * 3), into ``line``, ((w + 2) * 3): one pixel more at either end."""
    h, width = coarse.shape
    i = y // 2
    middle = line[3 : width + 3]
    below = coarse[min(i + 1, h - 1)]
    here = coarse[i]
    if y % 2:
        for n in range(width):
            middle[n] = np.float32(0.5) * (here[n] + below[n])
    else:
        above = coarse[max(i - 1, 0)]
        for n in range(width):
            middle[n] = np.float32(0.75) * here[n] + np.float32(0.125) * (above[n] + below[n])
    for k in range(3):
        line[k] = middle[k]
        line[width + 3 + k] = middle[width - 3 + k]


@njit(cache=True, nogil=True)
def add_expanded(coarse, target):
    """Add an image, enlarged to twice its size, to another.

    Parameters
    ----------
    coarse : (ceil(h / 2), ceil(w / 2), 3) float32
    target : (h, w, 3) float32, in and out
    """
    h, w, _ = target.shape
    rows = coarse.reshape(coarse.shape[0], coarse.shape[1] * 3)
    line = np.empty((coarse.shape[1] + 2) * 3, np.float32)
    for y in range(h):
        _expand_rows(rows, y, line)
        for j in range((w + 1) // 2):
            for k in range(3):
                n = 3 * j + k
                target[y, 2 * j, k] += np.float32(0.75) * line[n + 3] + np.float32(0.125) * (line[n] + line[n + 6])
        for j in range(w // 2):
            for k in range(3):
                n = 3 * j + k
                target[y, 2 * j + 1, k] += np.float32(0.5) * (line[n + 3] + line[n + 6])


@njit(cache=True, nogil=True)
def add_band(fine, coarse, weight, total):
    """Add weight * (fine - enlarged coarse), one band of a Laplacian pyramid, to a sum of bands.

    Parameters
    ----------
    fine : (h, w, 3) float32
        A level of a Gaussian pyramid.
    coarse : (ceil(h / 2), ceil(w / 2), 3) float32
        The next level.
    weight : (h, w, 1) float32
    total : (h, w, 3) float32, in and out
    """
    h, w, _ = fine.shape
    rows = coarse.reshape(coarse.shape[0], coarse.shape[1] * 3)
    line = np.empty((coarse.shape[1] + 2) * 3, np.float32)
    for y in range(h):
        _expand_rows(rows, y, line)
        for j in range((w + 1) // 2):
            x = 2 * j
            for k in range(3):
                n = 3 * j + k
                smooth = np.float32(0.75) * line[n + 3] + np.float32(0.125) * (line[n] + line[n + 6])
                total[y, x, k] += weight[y, x, 0] * (fine[y, x, k] - smooth)
        for j in range(w // 2):
            x = 2 * j + 1
            for k in range(3):
                n = 3 * j + k
                total[y, x, k] += weight[y, x, 0] * (fine[y, x, k] - np.float32(0.5) * (line[n + 3] + line[n + 6]))
