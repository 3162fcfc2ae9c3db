"""What blends do to the pieces of a tile, from small pictures that are enlarged on the way.

Every value depends on positions on the canvas only, never on how the canvas is cut. Nothing is checked: arrays have the stated shapes and
types, and the caller allocates the outputs.
"""

from __future__ import annotations

import numpy as np
from numba import njit

SHOULDER = 0.1
"""Below white, in units of it, where corrections begin to fade: what is burnt out in all channels stays white."""


@njit(cache=True, nogil=True)
def add_enlarged(small, taps, row, column, white, pixels):
    """Add a small picture, enlarged, to a photo's pixels, and less and less of it to those that are nearly burnt out.

    Parameters
    ----------
    small : (m, n, 3) float32
        At every factor-th pixel of the canvas, in units of full scale; two pixels more than needed at the right and bottom.
    taps : (factor, 4) float32
        Weights of the four neighbouring small pixels, by position between the middle two.
    row, column : int
        Where the first pixel lies behind the small pixel (1, 1), in canvas pixels, below factor.
    white : float32
        Full scale of the pixels.
    pixels : (h, w, 3) float32, in and out
    """
    h, w, _ = pixels.shape
    factor, shoulder = taps.shape[0], np.float32(SHOULDER) * white
    wide = np.empty((small.shape[0], w, 3), np.float32)
    for m in range(small.shape[0]):
        for j in range(w):
            n, phase = (column + j) // factor, (column + j) % factor
            for k in range(3):
                left = taps[phase, 0] * small[m, n, k] + taps[phase, 1] * small[m, n + 1, k]
                right = taps[phase, 2] * small[m, n + 2, k] + taps[phase, 3] * small[m, n + 3, k]
                wide[m, j, k] = (left + right) * white
    for i in range(h):
        m, phase = (row + i) // factor, (row + i) % factor
        a, b, c, d = taps[phase, 0], taps[phase, 1], taps[phase, 2], taps[phase, 3]
        for j in range(w):
            room = (white - min(pixels[i, j, 0], pixels[i, j, 1], pixels[i, j, 2])) / shoulder
            share = min(max(room, np.float32(0)), np.float32(1))
            for k in range(3):
                upper, lower = a * wide[m, j, k] + b * wide[m + 1, j, k], c * wide[m + 2, j, k] + d * wide[m + 3, j, k]
                pixels[i, j, k] += share * (upper + lower)


@njit(cache=True, nogil=True)
def add_feathered(pixels, valid, share, factor, row, column, top, left, picture, sums, totals):
    """Add a photo's difference from a picture, times its share, to a sum, and its share to another.

    Parameters
    ----------
    pixels : (h, w, 3) float32
        The photo in a part of the tile.
    valid : (h, w) bool
        Where it has pixels.
    share : (m, n) float32
        Its share at every factor-th pixel of the canvas, interpolated linearly; one pixel more than needed at the right and bottom.
    factor : int
    row, column : int
        Where the part's first pixel lies behind the first of ``share``, in canvas pixels, below factor.
    top, left : int
        Where the part lies in the tile.
    picture : (H, W, 3) float32
    sums : (H, W, 3) float32, in and out
    totals : (H, W) float32, in and out
    """
    h, w, _ = pixels.shape
    part = np.float32(1) / np.float32(factor)
    for i in range(h):
        m, down = (row + i) // factor, np.float32((row + i) % factor) * part
        for j in range(w):
            if valid[i, j]:
                n, right = (column + j) // factor, np.float32((column + j) % factor) * part
                upper = share[m, n] + right * (share[m, n + 1] - share[m, n])
                lower = share[m + 1, n] + right * (share[m + 1, n + 1] - share[m + 1, n])
                weight = upper + down * (lower - upper)
                totals[top + i, left + j] += weight
                for k in range(3):
                    sums[top + i, left + j, k] += weight * (pixels[i, j, k] - picture[top + i, left + j, k])


@njit(cache=True, nogil=True)
def add_means(sums, totals, picture):
    """Add sums (h, w, 3) divided by totals (h, w) to a picture (h, w, 3), where the totals are positive."""
    h, w = totals.shape
    for i in range(h):
        for j in range(w):
            if totals[i, j] > 0:
                for k in range(3):
                    picture[i, j, k] += sums[i, j, k] / totals[i, j]
