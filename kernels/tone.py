"""Tone: what two pictures of one place show in common, and a picture in another's tone.

Nothing is checked: arrays have the stated shapes and types, and the caller allocates the outputs.
"""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def average_cells(first, second, overlap, side, black, white, means):
    """Means of two pictures over square cells that both show in full and neither burns out.

    Parameters
    ----------
    first, second : (h, w, 3) float32
    overlap : (h, w) bool
        Where both have pixels.
    side : int
        Of a cell, px.
    black, white : float
        Values not above or not below these say nothing.
    means : (h // side * (w // side), 2, 3) float64, out
        The first rows are filled, cell after cell.

    Returns
    -------
    int
        How many rows were filled.
    """
    h, w = overlap.shape
    count = 0
    for i in range(0, h - side + 1, side):
        for j in range(0, w - side + 1, side):
            good = True
            for k in range(3):
                means[count, 0, k] = means[count, 1, k] = 0.0
            for y in range(i, i + side):
                for x in range(j, j + side):
                    if not overlap[y, x]:
                        good = False
                        break
                    for k in range(3):
                        a, b = first[y, x, k], second[y, x, k]
                        if min(a, b) <= black or max(a, b) >= white:
                            good = False
                        means[count, 0, k] += a
                        means[count, 1, k] += b
                if not good:
                    break
            if good:
                for k in range(3):
                    means[count, 0, k] /= side * side
                    means[count, 1, k] /= side * side
                count += 1
    return count


@njit(cache=True, nogil=True)
def change_tone(pixels, valid, matrix, curves, out):
    """Mix a picture's channels and bend each by a curve of straight pieces, which goes on straight beyond its ends.

    Parameters
    ----------
    pixels : (h, w, 3) float32
    valid : (h, w) bool
        Where to; elsewhere the pixels stay.
    matrix : (3, 4) float32
        Of the channels and one.
    curves : (3, n) float32
        Values at n even steps from 0 to 1, n > 1.
    out : (h, w, 3) float32, out
        May be ``pixels``.
    """
    h, w, _ = pixels.shape
    pieces = curves.shape[1] - 1
    for i in range(h):
        for j in range(w):
            r, g, b = pixels[i, j, 0], pixels[i, j, 1], pixels[i, j, 2]
            for k in range(3):
                value = pixels[i, j, k]
                if valid[i, j]:
                    value = (matrix[k, 0] * r + matrix[k, 1] * g + matrix[k, 2] * b + matrix[k, 3]) * np.float32(pieces)
                    piece = min(max(int(value), 0), pieces - 1)
                    value = curves[k, piece] + (value - np.float32(piece)) * (curves[k, piece + 1] - curves[k, piece])
                out[i, j, k] = value
