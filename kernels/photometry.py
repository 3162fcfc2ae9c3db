"""How much brighter one photo shows the same places than another, and the normal equations of what explains it.

Nothing is checked: arrays have the stated shapes and types, are contiguous, and the caller allocates the outputs.
"""

from __future__ import annotations

import numpy as np
from numba import njit

EQUAL, LEAST_ABSOLUTE, REDESCENDING = 0, 1, 2
"""Weights of residuals: all one; scale / |residual| beyond the scale; Geman and McClure's, which end by ignoring the farthest."""


@njit(cache=True, nogil=True, error_model="numpy")
def accumulate_ratios(light, radii, places, share, pairs, lenses, exposures, curves, shoulder, bends, weighting, scale, sums, residuals):
    """Compare all places that two photos show, and add up the normal equations of a Gauss-Newton step.

    Of a place with light E a photo k records L = E' / (1 + shoulder * E') with log E' = log E + exposures[k] + log V(r^2), where V(r^2) =
    1 + a r^2 + b r^4 + c r^6 is its lens's. From two records L and M follow two lights; what the model says of log L / M is taken
    around their geometric mean, so that noise in either does not pass for brightness. It is one long function because a residual and
    its derivatives share every step.

    Parameters
    ----------
    light : (s, 2, 3) float64
        Linear values, 0 .. 1, of every place in either photo.
    radii : (s, 2) float64
        Squared distances from the photos' centres.
    places : (s,) int64
        Row of ``pairs`` that a place belongs to.
    share : (s,) float64
        Its weight.
    pairs : (p, 2) int64
        Either photo.
    lenses : (n,) int64
        Row of ``curves`` of every photo; -1 for none.
    exposures : (n, 3) float64
        Natural logarithms, by channel.
    curves : (g, 3) float64
        a, b and c.
    shoulder : float
    bends : bool
        Whether the shoulder may be other than 0.
    weighting : int
        One of the constants above.
    scale : float
        Residual where weights begin to fall.
    sums : tuple of float64 arrays, added to
        For K = 3 g + 1 parameters, a, b, c of each lens and the shoulder: normal (3, n, n), right side (3, n), cross terms (3, n, K), and
        normal (K, K) and right side (K,) of those.
    residuals : (s, 3) float64, out
        Of log L / M.
    """
    normal, right, cross, inner, inner_right = sums
    last = inner.shape[0] - 1
    index, slope = np.zeros(7, np.int64), np.zeros(7)
    for s in range(light.shape[0]):
        i, j = pairs[places[s], 0], pairs[places[s], 1]
        # Derivatives by the lenses' parameters; photos of one lens share them.
        falloff, count = 0.0, 0
        for side in range(2):
            lens = lenses[j if side else i]
            if lens < 0:
                continue
            r2, sign = radii[s, side], -1.0 if side else 1.0
            shaded = max(1.0 + r2 * (curves[lens, 0] + r2 * (curves[lens, 1] + r2 * curves[lens, 2])), 0.1)
            falloff += sign * np.log(shaded)
            begin = 0 if side and lens == lenses[i] else count
            if begin == count:
                for term in range(3):
                    index[count], slope[count] = 3 * lens + term, 0.0
                    count += 1
            power = 1.0
            for term in range(3):
                power *= r2
                slope[begin + term] += sign * power / shaded
        index[count] = last
        used = count + 1 if bends else count
        for c in range(3):
            first, second = light[s, 0, c], light[s, 1, c]
            difference = exposures[i, c] - exposures[j, c] + falloff
            gain, bend = 1.0, 0.0
            residual = np.log(first / second) - difference
            if bends:
                first, second = first / (1.0 - shoulder * first), second / (1.0 - shoulder * second)
                middle = np.sqrt(first * second)
                half = np.exp(difference / 2)
                brighter, darker = middle * half, middle / half
                up, down = 1.0 + shoulder * brighter, 1.0 + shoulder * darker
                residual += np.log(up / down)
                gain = (1.0 / up + 1.0 / down) / 2
                bend = (darker / down - brighter / up) * (1.0 + shoulder * (first + second) / 2)
            residuals[s, c] = residual
            weight, size = share[s], abs(residual)
            if weighting == LEAST_ABSOLUTE and size > scale:
                weight *= scale / size
            elif weighting == REDESCENDING:
                weight /= (1.0 + (size / scale) ** 2) ** 2
            told = weight * gain * residual
            normal[c, i, i] += weight * gain * gain
            normal[c, j, j] += weight * gain * gain
            normal[c, i, j] -= weight * gain * gain
            normal[c, j, i] -= weight * gain * gain
            right[c, i] += told
            right[c, j] -= told
            for m in range(used):
                by_m = bend if m == count else gain * slope[m]
                cross[c, i, index[m]] += weight * gain * by_m
                cross[c, j, index[m]] -= weight * gain * by_m
                inner_right[index[m]] += weight * by_m * residual
                for n in range(used):
                    inner[index[m], index[n]] += weight * by_m * (bend if n == count else gain * slope[n])
