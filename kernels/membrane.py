"""Filling a picture from what is known of it in places, through a pyramid (push-pull).

Gortler, Grzeszczuk, Szeliski and Cohen, «The lumigraph», SIGGRAPH 1996, section 3.4. Nothing is checked: arrays have the stated shapes and
types, and the caller allocates the outputs.
"""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def pull(values, weights, coarse, coarse_weights):
    """Halve a picture of which parts are known: weighted means of four, which are as sure as their sum, but never surer than 1.

    Parameters
    ----------
    values : (h, w, 3) float32
    weights : (h, w) float32
        In 0..1; where 0, the values do not count.
    coarse : (ceil(h / 2), ceil(w / 2), 3) float32, out
    coarse_weights : (ceil(h / 2), ceil(w / 2)) float32, out
    """
    h, w = weights.shape
    for i in range(coarse.shape[0]):
        for j in range(coarse.shape[1]):
            total = np.float32(0)
            red, green, blue = np.float32(0), np.float32(0), np.float32(0)
            for y in range(2 * i, min(2 * i + 2, h)):
                for x in range(2 * j, min(2 * j + 2, w)):
                    weight = weights[y, x]
                    total += weight
                    red += weight * values[y, x, 0]
                    green += weight * values[y, x, 1]
                    blue += weight * values[y, x, 2]
            part = np.float32(1) / total if total > 0 else np.float32(0)
            coarse[i, j, 0], coarse[i, j, 1], coarse[i, j, 2] = red * part, green * part, blue * part
            coarse_weights[i, j] = min(total, np.float32(1))


@njit(cache=True, nogil=True)
def push(coarse, values, weights):
    """Fill a picture from its half: what is not sure of a pixel comes from there, interpolated linearly.

    Parameters
    ----------
    coarse : (ceil(h / 2), ceil(w / 2), 3) float32
        Filled everywhere.
    values : (h, w, 3) float32, in and out
    weights : (h, w) float32
        In 0..1.
    """
    h, w = weights.shape
    m, n = coarse.shape[0], coarse.shape[1]
    near, far = np.float32(0.75), np.float32(0.25)
    for i in range(h):
        y = i // 2
        other_y = min(max(y + 2 * (i % 2) - 1, 0), m - 1)
        for j in range(w):
            weight = weights[i, j]
            rest = np.float32(1) - weight
            if rest > 0:
                x = j // 2
                other_x = min(max(x + 2 * (j % 2) - 1, 0), n - 1)
                for k in range(3):
                    this = near * coarse[y, x, k] + far * coarse[y, other_x, k]
                    that = near * coarse[other_y, x, k] + far * coarse[other_y, other_x, k]
                    filled = near * this + far * that
                    values[i, j, k] = weight * values[i, j, k] + rest * filled if weight > 0 else filled
