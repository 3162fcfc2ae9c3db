"""Where canvas pixels lie in a photo.

Nothing is checked: arrays must be contiguous and have the stated shapes, and the caller allocates the outputs.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

NOWHERE = -1e4
"""Position of a canvas pixel that the photo does not see."""

ROUND_TO_32ND = 1.5 * 2.0**47
"""Adding and subtracting this rounds a float64 to a multiple of 1/32: its neighbours are 1/32 apart there."""

HALF_TURN_SQUARED = math.pi**2
SINE_SERIES = tuple((-1.0) ** k / math.factorial(2 * k + 1) for k in range(14))
COSINE_SERIES = tuple((-1.0) ** k / math.factorial(2 * k) for k in range(14))
"""Of sin(a) / a and cos(a) in powers of a^2; up to a = pi the next terms are below 3e-16 and 1e-14."""


# error_model="numpy": with Python's, the check for a zero divisor keeps the loop from being vectorised (8 ns instead of 2 per pixel).
@njit(cache=True, nogil=True, error_model="numpy")
def locate_pixels(columns, rows, lens, map_x, map_y, valid):
    """Find the photo position of every pixel of a canvas rectangle whose projection is separable.

    The camera sees pixel (i, j) along rows[3, i] * columns[:, j] + rows[:3, i]; the lens takes that ray to photo pixels. Positions are
    rounded to 1/32 px, which is what OpenCV's interpolation tables resolve: such numbers survive any shift of the origin exactly.

    Parameters
    ----------
    columns : (3, w) float64
        The horizontal part of each column's direction, in camera coordinates.
    rows : (4, h) float64
        The vertical part of each row's direction, in camera coordinates, then the factor of the horizontal part.
    lens : (9,) float64
        Focal lengths in x and y, centre x and y (photo px), k1, k2, largest visible squared radius (focal lengths), photo width and height.
    map_x, map_y : (h, w) float32, out
        Photo positions, px; ``NOWHERE`` where the photo sees nothing.
    valid : (h, w) bool, out
        Where the photo sees the pixel: the position is within half a pixel of a pixel centre.

    Returns
    -------
    (int, int, int, int)
        Least and greatest visible x, then y, rounded towards zero; (2**30, -1, 2**30, -1) when nothing is visible.
    """
    h, w = map_x.shape
    focal_x, focal_y, center_x, center_y, k1, k2, largest = lens[0], lens[1], lens[2], lens[3], lens[4], lens[5], lens[6]
    middle_x, middle_y = np.float32(lens[7] / 2 - 0.5), np.float32(lens[8] / 2 - 0.5)
    reach_x, reach_y = np.float32(lens[7] / 2), np.float32(lens[8] / 2)
    nowhere, far = np.float32(NOWHERE), np.int32(2**30)
    low_x, low_y, high_x, high_y = far, far, np.int32(-1), np.int32(-1)
    for i in range(h):
        factor, down_x, down_y, down_z = rows[3, i], rows[0, i], rows[1, i], rows[2, i]
        for j in range(w):
            depth = factor * columns[2, j] + down_z
            inverse = 1.0 / max(depth, 1e-9)
            x = (factor * columns[0, j] + down_x) * inverse
            y = (factor * columns[1, j] + down_y) * inverse
            r2 = x * x + y * y
            seen = (depth > 1e-9) & (r2 <= largest)
            bend = 1.0 + r2 * (k1 + r2 * k2) if seen else 0.0
            map_x[i, j] = ((center_x if seen else -1e9) + focal_x * (x * bend) + ROUND_TO_32ND) - ROUND_TO_32ND
            map_y[i, j] = (center_y + focal_y * (y * bend) + ROUND_TO_32ND) - ROUND_TO_32ND
        for j in range(w):
            x32, y32 = map_x[i, j], map_y[i, j]
            inside = (abs(x32 - middle_x) <= reach_x) & (abs(y32 - middle_y) <= reach_y)
            valid[i, j] = inside
            map_x[i, j] = x32 if inside else nowhere
            map_y[i, j] = y32 if inside else nowhere
        for j in range(w):
            whole_x, whole_y, inside = np.int32(map_x[i, j]), np.int32(map_y[i, j]), valid[i, j]
            low_x, high_x = min(low_x, whole_x if inside else far), max(high_x, whole_x)
            low_y, high_y = min(low_y, whole_y if inside else far), max(high_y, whole_y)
    return low_x, high_x, low_y, high_y


@njit(cache=True, nogil=True, error_model="numpy")
def locate_angular_pixels(columns, rows, ahead, squares, lens, map_x, map_y, valid):
    """Find the photo position of every pixel of a canvas rectangle on which distance from the middle is the angle from straight ahead.

    At coordinates (u, v) the direction is sin(a) / a * (u, v, 0) + (0, 0, cos(a)) with a^2 = u^2 + v^2. Both factors are power series in
    a^2, which up to a = pi need fourteen terms: no root, no sine, and nothing that depends on how a loop was vectorised.

    Parameters
    ----------
    columns : (3, w) float64
        (u, 0, 0) of each column, in camera coordinates.
    rows : (3, h) float64
        (0, v, 0) of each row, in camera coordinates.
    ahead : (3,) float64
        (0, 0, 1), in camera coordinates.
    squares : (w + h,) float64
        u^2 of each column, then v^2 of each row.
    lens, map_x, map_y, valid
        As of ``locate_pixels``.

    Returns
    -------
    (int, int, int, int)
        As of ``locate_pixels``.
    """
    h, w = map_x.shape
    focal_x, focal_y, center_x, center_y, k1, k2, largest = lens[0], lens[1], lens[2], lens[3], lens[4], lens[5], lens[6]
    middle_x, middle_y = np.float32(lens[7] / 2 - 0.5), np.float32(lens[8] / 2 - 0.5)
    reach_x, reach_y = np.float32(lens[7] / 2), np.float32(lens[8] / 2)
    low_x, low_y, high_x, high_y = 2**30, 2**30, -1, -1
    for i in range(h):
        for j in range(w):
            square = squares[j] + squares[w + i]
            aside, along = 0.0, 0.0
            for term in range(13, -1, -1):
                aside, along = aside * square + SINE_SERIES[term], along * square + COSINE_SERIES[term]
            depth = aside * (columns[2, j] + rows[2, i]) + along * ahead[2]
            inverse = 1.0 / max(depth, 1e-9)
            x = (aside * (columns[0, j] + rows[0, i]) + along * ahead[0]) * inverse
            y = (aside * (columns[1, j] + rows[1, i]) + along * ahead[1]) * inverse
            r2 = x * x + y * y
            bend = 1.0 + r2 * (k1 + r2 * k2)
            x32 = np.float32((center_x + focal_x * (x * bend) + ROUND_TO_32ND) - ROUND_TO_32ND)
            y32 = np.float32((center_y + focal_y * (y * bend) + ROUND_TO_32ND) - ROUND_TO_32ND)
            seen = (depth > 1e-9) & (r2 <= largest) & (square <= HALF_TURN_SQUARED)
            inside = seen & (abs(x32 - middle_x) <= reach_x) & (abs(y32 - middle_y) <= reach_y)
            valid[i, j] = inside
            map_x[i, j] = x32 if inside else NOWHERE
            map_y[i, j] = y32 if inside else NOWHERE
            if inside:
                low_x, high_x = min(low_x, int(x32)), max(high_x, int(x32))
                low_y, high_y = min(low_y, int(y32)), max(high_y, int(y32))
    return low_x, high_x, low_y, high_y


@njit(cache=True, nogil=True, error_model="numpy")
def bend_places(pieces, still, frame, size, map_x, map_y, valid):
    """Move photo positions by the photo's mesh, a uniform cubic B-spline.

    Its cells are polynomials here, which take a third of the arithmetic that sixteen control values would.

    Parameters
    ----------
    pieces : (m, n, 4, 8) float64
        Per cell and power of the horizontal position in it: four powers of the vertical position for x, then for y, px.
    still : (m, n) bool
        Cells in which nothing moves.
    frame : (5,) float64
        Position (x, y), px, of the photo's upper left corner, cells per px in x and y, and how far positions lie too far right and down.
    size : (2,) int64
        Width and height of the photo, px.
    map_x, map_y : (h, w) float32, in and out
        Photo positions, multiples of 1/32 px, before and after; ``NOWHERE`` where the photo sees nothing.
    valid : (h, w) bool, in and out
        Where there is a position; where it is within half a pixel of a pixel centre.

    Returns
    -------
    (int, int, int, int)
        As of ``locate_pixels``.
    """
    h, w = map_x.shape
    down, across = still.shape
    reach_x, reach_y, shift = size[0] - 0.5, size[1] - 0.5, frame[4]
    low_x, low_y, high_x, high_y = 2**30, 2**30, -1, -1
    for i in range(h):
        for j in range(w):
            if not valid[i, j]:
                continue
            x, y = np.float64(map_x[i, j]) - shift, np.float64(map_y[i, j]) - shift
            u = min(max((x - frame[0]) * frame[2], 0.0), np.float64(across))
            v = min(max((y - frame[1]) * frame[3], 0.0), np.float64(down))
            column, row = min(int(u), across - 1), min(int(v), down - 1)
            if not still[row, column]:
                u, v = u - column, v - row
                piece = pieces[row, column]
                a, b, c, d = piece[3, 0], piece[3, 1], piece[3, 2], piece[3, 3]
                e, f, g, k = piece[3, 4], piece[3, 5], piece[3, 6], piece[3, 7]
                for m in range(2, -1, -1):
                    a, b, c, d = a * u + piece[m, 0], b * u + piece[m, 1], c * u + piece[m, 2], d * u + piece[m, 3]
                    e, f, g, k = e * u + piece[m, 4], f * u + piece[m, 5], g * u + piece[m, 6], k * u + piece[m, 7]
                x = (x + (((d * v + c) * v + b) * v + a) + ROUND_TO_32ND) - ROUND_TO_32ND
                y = (y + (((k * v + g) * v + f) * v + e) + ROUND_TO_32ND) - ROUND_TO_32ND
            inside = (x >= -0.5) & (x <= reach_x) & (y >= -0.5) & (y <= reach_y)
            valid[i, j] = inside
            map_x[i, j] = x if inside else NOWHERE
            map_y[i, j] = y if inside else NOWHERE
            if inside:
                low_x, high_x = min(low_x, int(x)), max(high_x, int(x))
                low_y, high_y = min(low_y, int(y)), max(high_y, int(y))
    return low_x, high_x, low_y, high_y
