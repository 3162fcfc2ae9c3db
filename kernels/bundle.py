"""Reprojection errors of matched points between cameras, and their normal equations.

Nothing is checked: arrays must be float64 or int64 as stated, contiguous, and the caller allocates the outputs.

A camera is a row of 23 numbers: focal, centre x, centre y, k1, k2 (the lens model of ``compositor.types.Camera``), the nine of its
view matrix (camera to world, row by row) and the nine of that matrix's inverse. For cameras that turn about one point the view is
a rotation and the world is a sphere of directions; for photos of a plane it is any invertible matrix and the world is that plane.
A step multiplies the view from the left by I + sum of d_k G_k: the generators G_k say which motions are free, so that one kernel
serves rotations, translations, similarities, affinities and homographies.
"""

from __future__ import annotations

import numpy as np
from numba import njit

# Parameters of one camera in a step: up to eight of its motion, then log focal, centre x, centre y, k1, k2.
MOTION = 8
PARAMETERS = MOTION + 5
CAMERA = 23


@njit(cache=True, nogil=True, error_model="numpy")
def accumulate(cameras, generators, pairs, offsets, first, second, scale, columns, start, stop, gradients, blocks, costs, errors):
    """Add up J^T W J and J^T W e of each of some pairs over its matches, in both directions, and give every match's squared error.

    The error of a match is the distance in px between a point and where the other photo's point is seen by this photo's camera.
    Weights are Cauchy's, 1 / (1 + e^2 / scale^2). It is one long function because a match's error and its derivatives share every
    step of the way from one photo to the other, and a call per match would cost as much as the match.

    Parameters
    ----------
    cameras : (n, 23) float64
        focal, centre x, centre y, k1, k2, view and inverse view, row by row.
    generators : (g, 9) float64
        Free motions, at most eight, each a 3 x 3 matrix row by row.
    pairs : (p, 2) int64
        Camera indices of each pair of photos.
    offsets : (p + 1,) int64
        Matches offsets[k]:offsets[k + 1] belong to pair k.
    first, second : (m, 2) float64
        Matched points, px.
    scale : float
        Error, px, at which a match counts half.
    columns : (n, 13) int64
        Which unknown each parameter of each camera is; -1 holds it still. With no parameter free nothing is accumulated.
    start, stop : int
        Pairs start:stop are looked at, so that several threads can share the work.
    gradients : (p, 26) float64, out
        By the parameters of the pair's first and second camera; those held still stay as they are.
    blocks : (p, 26, 26) float64, out
        The same for J^T W J, of which only the upper triangle is made.
    costs : (p,) float64, out
        Sums of scale^2 * log(1 + e^2 / scale^2).
    errors : (m, 2) float64, out
        Squared errors, px^2: of ``second`` in the second photo, of ``first`` in the first.
    """
    jacobian = np.zeros((2, 26))
    active = np.zeros(26, np.int64)
    along_u, along_v = np.zeros(26), np.zeros(26)
    sums, square = np.zeros(26), np.zeros((26, 26))
    outer = np.zeros(9)
    ray = np.zeros(3)
    world = np.zeros(3)
    seen = np.zeros(3)
    du = np.zeros((2, 5))
    for k in range(start, stop):
        total = 0.0
        gradients[k] = 0.0
        blocks[k] = 0.0
        for direction in range(2):
            a, b = pairs[k, direction], pairs[k, 1 - direction]
            f, cx, cy, k1, k2 = cameras[a, 0], cameras[a, 1], cameras[a, 2], cameras[a, 3], cameras[a, 4]
            ra = cameras[a, 5:14]
            g, gx, gy, h1, h2 = cameras[b, 0], cameras[b, 1], cameras[b, 2], cameras[b, 3], cameras[b, 4]
            rb = cameras[b, 14:23]
            count = 0
            for c in range(26):
                if (columns[a, c] if c < 13 else columns[b, c - 13]) >= 0:
                    active[count] = c
                    count += 1
            sums[:count] = 0.0
            square[:count, :count] = 0.0
            for m in range(offsets[k], offsets[k + 1]):
                if direction == 0:
                    px, py, qx, qy = first[m, 0], first[m, 1], second[m, 0], second[m, 1]
                else:
                    px, py, qx, qy = second[m, 0], second[m, 1], first[m, 0], first[m, 1]
                # From the pixel in photo a to its ray: undo the lens by Newton's method.
                dx, dy = (px - cx) / f, (py - cy) / f
                x, y = dx, dy
                for _ in range(8 if k1 != 0.0 or k2 != 0.0 else 0):
                    r2 = x * x + y * y
                    lens = 1.0 + r2 * (k1 + r2 * k2)
                    slope = 2.0 * (k1 + 2.0 * k2 * r2)
                    j00, j01, j11 = lens + slope * x * x, slope * x * y, lens + slope * y * y
                    ex, ey = x * lens - dx, y * lens - dy
                    if ex * ex + ey * ey < 1e-28:  # a ten billionth of a pixel
                        break
                    determinant = j00 * j11 - j01 * j01
                    x -= (j11 * ex - j01 * ey) / determinant
                    y -= (j00 * ey - j01 * ex) / determinant
                ray[0], ray[1], ray[2] = x, y, 1.0
                for r in range(3):
                    world[r] = ra[3 * r] * ray[0] + ra[3 * r + 1] * ray[1] + ra[3 * r + 2] * ray[2]
                for r in range(3):
                    seen[r] = rb[3 * r] * world[0] + rb[3 * r + 1] * world[1] + rb[3 * r + 2] * world[2]
                z = seen[2]
                if z < 1e-3:  # behind the other camera: far off, and no direction to improve in
                    errors[m, direction] = 1e12
                    total += scale * scale * np.log(1.0 + 1e12 / (scale * scale))
                    continue
                vx, vy = seen[0] / z, seen[1] / z
                s2 = vx * vx + vy * vy
                lens_b = 1.0 + s2 * (h1 + s2 * h2)
                ex, ey = gx + g * vx * lens_b - qx, gy + g * vy * lens_b - qy
                e2 = ex * ex + ey * ey
                errors[m, direction] = e2
                total += scale * scale * np.log(1.0 + e2 / (scale * scale))
                if count == 0:
                    continue
                weight = 1.0 / (1.0 + e2 / (scale * scale))
                # How the seen pixel moves with the direction in camera b.
                slope_b = 2.0 * (h1 + 2.0 * h2 * s2)
                b00, b01, b11 = g * (lens_b + slope_b * vx * vx), g * slope_b * vx * vy, g * (lens_b + slope_b * vy * vy)
                for row in range(2):
                    c0, c1 = (b00, b01) if row == 0 else (b01, b11)
                    t0, t1, t2 = c0 / z, c1 / z, -(c0 * vx + c1 * vy) / z
                    w0 = t0 * rb[0] + t1 * rb[3] + t2 * rb[6]
                    w1 = t0 * rb[1] + t1 * rb[4] + t2 * rb[7]
                    w2 = t0 * rb[2] + t1 * rb[5] + t2 * rb[8]
                    for c in range(3):
                        outer[c], outer[3 + c], outer[6 + c] = w0 * world[c], w1 * world[c], w2 * world[c]
                    for k_motion in range(generators.shape[0]):
                        along = 0.0
                        for c in range(9):
                            along += generators[k_motion, c] * outer[c]
                        jacobian[row, k_motion], jacobian[row, 13 + k_motion] = along, -along
                    jacobian[row, 8] = w0 * ra[0] + w1 * ra[3] + w2 * ra[6]
                    jacobian[row, 9] = w0 * ra[1] + w1 * ra[4] + w2 * ra[7]
                # jacobian[:, 8:10] now holds the derivative by the ray's (x, y); turn it into that by the lens of camera a.
                r2 = x * x + y * y
                lens = 1.0 + r2 * (k1 + r2 * k2)
                slope = 2.0 * (k1 + 2.0 * k2 * r2)
                j00, j01, j11 = lens + slope * x * x, slope * x * y, lens + slope * y * y
                determinant = j00 * j11 - j01 * j01
                for c in range(5):
                    if c == 0:
                        tx, ty = -dx, -dy
                    elif c == 1:
                        tx, ty = -1.0 / f, 0.0
                    elif c == 2:
                        tx, ty = 0.0, -1.0 / f
                    elif c == 3:
                        tx, ty = -r2 * x, -r2 * y
                    else:
                        tx, ty = -r2 * r2 * x, -r2 * r2 * y
                    du[0, c] = (j11 * tx - j01 * ty) / determinant
                    du[1, c] = (j00 * ty - j01 * tx) / determinant
                for row in range(2):
                    by_x, by_y = jacobian[row, 8], jacobian[row, 9]
                    for c in range(5):
                        jacobian[row, 8 + c] = by_x * du[0, c] + by_y * du[1, c]
                jacobian[0, 21], jacobian[1, 21] = g * vx * lens_b, g * vy * lens_b
                jacobian[0, 22], jacobian[1, 22] = 1.0, 0.0
                jacobian[0, 23], jacobian[1, 23] = 0.0, 1.0
                jacobian[0, 24], jacobian[1, 24] = g * vx * s2, g * vy * s2
                jacobian[0, 25], jacobian[1, 25] = g * vx * s2 * s2, g * vy * s2 * s2
                for s in range(count):
                    along_u[s], along_v[s] = jacobian[0, active[s]], jacobian[1, active[s]]
                for s in range(count):
                    ju, jv = weight * along_u[s], weight * along_v[s]
                    sums[s] += ju * ex + jv * ey
                    for t in range(s, count):
                        square[s, t] += ju * along_u[t] + jv * along_v[t]
            # Back and forth the cameras change places; the block keeps the order of the pair.
            for s in range(count):
                u = active[s] if direction == 0 else (active[s] + 13) % 26
                gradients[k, u] += sums[s]
                for t in range(s, count):
                    v = active[t] if direction == 0 else (active[t] + 13) % 26
                    blocks[k, min(u, v), max(u, v)] += square[s, t]
        costs[k] = total


@njit(cache=True, nogil=True)
def assemble(pairs, columns, gradients, blocks, gradient, hessian):
    """Put the pairs' sums where their cameras' parameters stand among the unknowns; several parameters may be one unknown.

    Parameters
    ----------
    pairs, columns, gradients, blocks
        As ``accumulate`` takes and makes them.
    gradient : (k,) float64, added to
    hessian : (k, k) float64, added to
        Lower and upper triangle.
    """
    index = np.zeros(26, np.int64)
    for k in range(pairs.shape[0]):
        for c in range(13):
            index[c], index[13 + c] = columns[pairs[k, 0], c], columns[pairs[k, 1], c]
        for u in range(26):
            i = index[u]
            if i < 0:
                continue
            gradient[i] += gradients[k, u]
            hessian[i, i] += blocks[k, u, u]
            for v in range(u + 1, 26):
                j = index[v]
                if j >= 0:
                    hessian[i, j] += blocks[k, u, v]
                    hessian[j, i] += blocks[k, u, v]
