"""Least squares for the meshes of many photos: one banded block per photo, one after the other, and points that tie two of them together.

A photo's unknowns are the control values of its mesh, row by row, x and y of each beside one another. Two that one point or one rule of
smoothness touches are never further apart than three rows and three columns of control values, so a photo's own equations are a band;
a symmetric band is stored by columns, ``band[j, d]`` being the entry at row j + d and column j.

Nothing is checked: arrays must be contiguous and of the stated types and shapes.
"""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def differ(origins, weights, slopes, columns, x, difference):
    """How far the meshes of two photos move points apart that they have in common, px of the second photo.

    Parameters
    ----------
    origins : (m, 2) int64
        Index of the first of the sixteen control values that count, in the first and in the second photo.
    weights : (m, 4, 4) float64
        Of the four columns and the four rows of control values in the first photo, then in the second one.
    slopes : (m, 2, 2) float64
        How a small step in the first photo looks in the second.
    columns : (m, 2) int64
        Columns of control values of either photo.
    x : (n,) float64
        All photos' unknowns.
    difference : (m, 2) float64, out
        The second photo's displacement less the first one's.
    """
    for n in range(origins.shape[0]):
        ax, ay, bx, by = 0.0, 0.0, 0.0, 0.0
        for r in range(4):
            for c in range(4):
                i, j = 2 * (origins[n, 0] + r * columns[n, 0] + c), 2 * (origins[n, 1] + r * columns[n, 1] + c)
                v, w = weights[n, 0, c] * weights[n, 1, r], weights[n, 2, c] * weights[n, 3, r]
                ax += v * x[i]
                ay += v * x[i + 1]
                bx += w * x[j]
                by += w * x[j + 1]
        difference[n, 0] = bx - (slopes[n, 0, 0] * ax + slopes[n, 0, 1] * ay)
        difference[n, 1] = by - (slopes[n, 1, 0] * ax + slopes[n, 1, 1] * ay)


@njit(cache=True, nogil=True)
def spread(origins, weights, slopes, columns, difference, x):
    """The transpose of ``differ``: add what differences at the points, (m, 2), ask of the unknowns, in and out."""
    for n in range(origins.shape[0]):
        bx, by = difference[n, 0], difference[n, 1]
        ax, ay = -(slopes[n, 0, 0] * bx + slopes[n, 1, 0] * by), -(slopes[n, 0, 1] * bx + slopes[n, 1, 1] * by)
        for r in range(4):
            for c in range(4):
                i, j = 2 * (origins[n, 0] + r * columns[n, 0] + c), 2 * (origins[n, 1] + r * columns[n, 1] + c)
                v, w = weights[n, 0, c] * weights[n, 1, r], weights[n, 2, c] * weights[n, 3, r]
                x[i] += v * ax
                x[i + 1] += v * ay
                x[j] += w * bx
                x[j + 1] += w * by


@njit(cache=True, nogil=True)
def add_points(origins, weights, slopes, columns, robust, band):
    """Add to the band what points, each of a weight in ``robust``, (m,), ask of either photo while the other one is held still."""
    for n in range(origins.shape[0]):
        for side in range(2):
            xx, xy, yy = robust[n], 0.0, robust[n]
            if side == 0:
                xx = robust[n] * (slopes[n, 0, 0] ** 2 + slopes[n, 1, 0] ** 2)
                xy = robust[n] * (slopes[n, 0, 0] * slopes[n, 0, 1] + slopes[n, 1, 0] * slopes[n, 1, 1])
                yy = robust[n] * (slopes[n, 0, 1] ** 2 + slopes[n, 1, 1] ** 2)
            for p in range(16):
                for q in range(p + 1):
                    w = weights[n, 2 * side, p % 4] * weights[n, 2 * side + 1, p // 4]
                    w *= weights[n, 2 * side, q % 4] * weights[n, 2 * side + 1, q // 4]
                    j = 2 * (origins[n, side] + q // 4 * columns[n, side] + q % 4)
                    away = 2 * ((p // 4 - q // 4) * columns[n, side] + p % 4 - q % 4)
                    band[j, away] += w * xx
                    band[j, away + 1] += w * xy
                    band[j + 1, away] += w * yy
                    if away:
                        band[j + 1, away - 1] += w * xy


@njit(cache=True, nogil=True)
def add_rows(nodes, values, band):
    """Add the normal equations of linear rules that want to be zero to a photo's band.

    Parameters
    ----------
    nodes : (m, k) int64
        Control values that each rule is about; the same one may come more than once.
    values : (m, k, 2) float64
        Their factors, for x and y.
    band : (n, b) float64, in and out
    """
    for row in range(nodes.shape[0]):
        for p in range(nodes.shape[1]):
            for q in range(nodes.shape[1]):
                if nodes[row, p] < nodes[row, q]:
                    continue
                j, away = 2 * nodes[row, q], 2 * (nodes[row, p] - nodes[row, q])
                px, py, qx, qy = values[row, p, 0], values[row, p, 1], values[row, q, 0], values[row, q, 1]
                band[j, away] += px * qx
                band[j, away + 1] += py * qx
                band[j + 1, away] += py * qy
                if away:
                    band[j + 1, away - 1] += px * qy


@njit(cache=True, nogil=True)
def factor_band(band):
    """Cholesky's factor of a symmetric positive definite band, (n, b), in its place."""
    # Here and below, loops go over slices from zero: only of such an index does Numba know that it is not negative, and vectorizes.
    size, width = band.shape
    for j in range(size):
        column = band[j]
        pivot = np.sqrt(column[0])
        for d in range(width):
            column[d] /= pivot
        for m in range(1, min(width, size - j)):
            share, below, later = column[m], column[m:], band[j + m]
            if share != 0.0:
                for d in range(width - m):
                    later[d] -= share * below[d]


@njit(cache=True, nogil=True, fastmath={"reassoc"})
def solve_band(factor, x):
    """Solve with a factor of ``factor_band``; x, (n,), holds the right side and then the answer."""
    size, width = factor.shape
    for j in range(size):
        x[j] /= factor[j, 0]
        share, column, later = x[j], factor[j, 1:], x[j + 1 :]
        for d in range(min(width, size - j) - 1):
            later[d] -= share * column[d]
    for j in range(size - 1, -1, -1):
        total, column, later = 0.0, factor[j, 1:], x[j + 1 :]
        for d in range(min(width, size - j) - 1):
            total += column[d] * later[d]
        x[j] = (x[j] - total) / factor[j, 0]


@njit(cache=True, nogil=True, fastmath={"reassoc"})
def multiply_band(band, x, product):
    """Add a symmetric band times x, (n,), to a product, (n,), in and out."""
    size, width = band.shape
    for j in range(size):
        share, column, later, sums = x[j], band[j, 1:], x[j + 1 :], product[j + 1 :]
        total = band[j, 0] * share
        for d in range(min(width, size - j) - 1):
            total += column[d] * later[d]
            sums[d] += column[d] * share
        product[j] += total
