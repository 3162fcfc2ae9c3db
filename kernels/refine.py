"""Matched points brought together to a few hundredths of a pixel, by comparing the patches around them.

Nothing is checked: arrays must be contiguous and of the stated types, and the caller allocates the outputs.
"""

from __future__ import annotations

import numpy as np
from numba import njit

RADIUS = 8
SIDE = 2 * RADIUS + 1


@njit(cache=True, nogil=True, error_model="numpy")
def refine_points(first, second, points, found, affine, rounds, score):
    """Move points of the second picture to where the patches around points of the first one fit best.

    Inverse compositional Gauss-Newton (Baker & Matthews 2004) for a shift, on patches of 17 x 17 px; gain and offset between the
    pictures are projected out. The second picture is sampled bicubically (Keys 1981, a = -1/2). It is one long function because the
    patches of a point are small arrays that all its steps share.

    Parameters
    ----------
    first, second : (h, w) uint8
        Gray pictures.
    points : (n, 2) int64
        Pixels of the first picture, x and y; a patch around them must lie inside it.
    found : (n, 2) float64, in and out
        Where they are in the second picture.
    affine : (n, 2, 2) float64
        How a small step in the first picture looks in the second.
    rounds : int
        Most steps.
    score : (n,) float64, out
        Correlation of the two patches, -1 to 1; -2 where a patch left the picture or has no texture.
    """
    height, width = second.shape
    template = np.empty((SIDE, SIDE))
    slope_x, slope_y = np.empty((SIDE, SIDE)), np.empty((SIDE, SIDE))
    patch = np.empty((SIDE, SIDE))
    wx, wy = np.empty(4), np.empty(4)
    count = SIDE * SIDE
    for n in range(points.shape[0]):
        score[n] = -2.0
        px, py = points[n, 0], points[n, 1]
        mean = 0.0
        for v in range(SIDE):
            for u in range(SIDE):
                y, x = py + v - RADIUS, px + u - RADIUS
                template[v, u] = first[y, x]
                slope_x[v, u] = 0.5 * (np.float64(first[y, x + 1]) - np.float64(first[y, x - 1]))
                slope_y[v, u] = 0.5 * (np.float64(first[y + 1, x]) - np.float64(first[y - 1, x]))
                mean += template[v, u]
        mean /= count
        energy, along_x, along_y, mean_x, mean_y = 0.0, 0.0, 0.0, 0.0, 0.0
        for v in range(SIDE):
            for u in range(SIDE):
                template[v, u] -= mean
                t = template[v, u]
                energy += t * t
                along_x += t * slope_x[v, u]
                along_y += t * slope_y[v, u]
                mean_x += slope_x[v, u]
                mean_y += slope_y[v, u]
        if energy < count:  # less than a level of texture
            continue
        # Gain and offset are free, so the slopes count only as far as they differ from the patch itself and from a constant.
        mean_x, mean_y, along_x, along_y = mean_x / count, mean_y / count, along_x / energy, along_y / energy
        hxx, hxy, hyy = 0.0, 0.0, 0.0
        for v in range(SIDE):
            for u in range(SIDE):
                slope_x[v, u] -= mean_x + along_x * template[v, u]
                slope_y[v, u] -= mean_y + along_y * template[v, u]
                hxx += slope_x[v, u] * slope_x[v, u]
                hxy += slope_x[v, u] * slope_y[v, u]
                hyy += slope_y[v, u] * slope_y[v, u]
        determinant = hxx * hyy - hxy * hxy
        if determinant <= 1e-3 * (hxx + hyy) ** 2:  # an edge, which says nothing about one direction
            continue
        a00, a01, a10, a11 = affine[n, 0, 0], affine[n, 0, 1], affine[n, 1, 0], affine[n, 1, 1]
        bx, by = found[n, 0], found[n, 1]
        inside = True
        correlation = -2.0
        for step in range(rounds + 1):
            mean = 0.0
            for v in range(SIDE):
                for u in range(SIDE):
                    du, dv = u - RADIUS, v - RADIUS
                    x, y = bx + a00 * du + a01 * dv, by + a10 * du + a11 * dv
                    ix, iy = int(np.floor(x)), int(np.floor(y))
                    if ix < 1 or iy < 1 or ix + 2 >= width or iy + 2 >= height:
                        inside = False
                        break
                    t = x - ix
                    wx[0], wx[1] = -0.5 * t * (1 - t) ** 2, 1 - t * t * (2.5 - 1.5 * t)
                    wx[2], wx[3] = t * (0.5 + t * (2 - 1.5 * t)), -0.5 * t * t * (1 - t)
                    t = y - iy
                    wy[0], wy[1] = -0.5 * t * (1 - t) ** 2, 1 - t * t * (2.5 - 1.5 * t)
                    wy[2], wy[3] = t * (0.5 + t * (2 - 1.5 * t)), -0.5 * t * t * (1 - t)
                    value = 0.0
                    for r in range(4):
                        row = iy - 1 + r
                        left = wx[0] * second[row, ix - 1] + wx[1] * second[row, ix]
                        value += wy[r] * (left + wx[2] * second[row, ix + 1] + wx[3] * second[row, ix + 2])
                    patch[v, u] = value
                    mean += value
                if not inside:
                    break
            if not inside:
                break
            mean /= count
            cross, other = 0.0, 0.0
            for v in range(SIDE):
                for u in range(SIDE):
                    d = patch[v, u] - mean
                    patch[v, u] = d
                    cross += d * template[v, u]
                    other += d * d
            if other < count * 0.25 or cross <= 0.0:
                inside = False
                break
            correlation = cross / np.sqrt(energy * other)
            if step == rounds:
                break
            gain = energy / cross  # what the patch must be multiplied with to have the template's contrast
            gx, gy = 0.0, 0.0
            for v in range(SIDE):
                for u in range(SIDE):
                    e = gain * patch[v, u] - template[v, u]
                    gx += slope_x[v, u] * e
                    gy += slope_y[v, u] * e
            sx, sy = (hyy * gx - hxy * gy) / determinant, (hxx * gy - hxy * gx) / determinant
            bx -= a00 * sx + a01 * sy
            by -= a10 * sx + a11 * sy
            if sx * sx + sy * sy < 1e-6:
                break
        if inside:
            found[n, 0], found[n, 1] = bx, by
            score[n] = correlation
