"""Multi-band blending (Burt and Adelson, «A multiresolution spline with application to image mosaics», ACM TOG 2(4), 1983).

With weights W_k that add up to one, the blend of photos p_k is that of any picture H plus the blend of their differences from it:

    H + sum over photos and bands of  enlarged( W_k at that level * band of (p_k - H) ).

H is the hard composite, where every pixel is its owner's. Then p_k - H is zero wherever photo k is the owner, or has no pixels, so only
strips along the seams carry anything, nothing bleeds in from beyond a photo's rim, and a constant picture stays exactly constant.

The bands fall into two parts. The fine ones, below the level at which the reduced canvas lives, are computed tile by tile at full size.
All coarser ones are computed once, on the reduced canvas, whose pixels stand in for that level of the Gaussian pyramids; their sum is a
small picture that every tile enlarges and adds. There H is the mean of the photos by their weights, which is not quite that level of the
full-size H: along the seams it lacks detail that they cut through. The weighted differences from that mean add up to zero, so what they add
up to at full size, the rest below a tile's bands, is just what is lacking, and is added too.
Blending happens in the encoded (sRGB) values, exposures matched.
"""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

from compositor.kernels.pyramid import add_band, add_expanded, shrink

__all__ = ["add_bands", "collapse", "empty_pyramid", "enlarging_taps", "gaussian_variance"]

Floats = NDArray[np.float32]


def empty_pyramid(shape: tuple[int, int], levels: int) -> list[Floats]:
    """Zeros for ``levels`` bands and the rest below them, (h, w, 3) and halved again and again."""
    sums = []
    for _ in range(levels + 1):
        sums.append(np.zeros((*shape, 3), np.float32))
        shape = (-(-shape[0] // 2), -(-shape[1] // 2))
    return sums


def add_bands(difference: Floats, weight: Floats, sums: list[Floats]) -> None:
    """Add a photo's share to the bands of a blend and to the rest below them.

    Parameters
    ----------
    difference : (h, w, 3) float32
        The photo minus the hard composite, zero where either has no pixels.
    weight : (h, w, 1) float32
        The photo's share of every pixel.
    sums : list of (h / 2^i, w / 2^i, 3) float32, in and out
        As ``empty_pyramid`` makes them.
    """
    for total, next_total in itertools.pairwise(sums):
        coarse, less = np.empty_like(next_total), np.empty((*next_total.shape[:2], 1), np.float32)
        shrink(difference, coarse)
        shrink(weight, less)
        add_band(difference, coarse, weight, total)
        difference, weight = coarse, less
    sums[-1] += weight * difference


def collapse(sums: list[Floats]) -> Floats:
    """The picture whose bands are given, by enlarging and adding from the coarsest on; the bands are used up."""
    for coarse, fine in zip(sums[:0:-1], sums[-2::-1], strict=True):
        add_expanded(coarse, fine)
    return sums[0]


def enlarging_taps(levels: int) -> Floats:
    """What enlarging a pyramid's level to the full size does, as one step.

    Returns
    -------
    (2^levels, 4) float32
        Pixel i * 2^levels + p of the large picture is the sum of row p times pixels i - 1 .. i + 2 of the small one.
    """
    taps = np.eye(1, 4, 1, dtype=np.float64)
    for _ in range(levels):
        phases = len(taps)
        finer = np.empty((2 * phases, 4))
        finer[1::2] = 0.5 * taps + 0.5 * _next_phase(taps)
        finer[::2] = 0.75 * taps + 0.125 * (_next_phase(taps) + _previous_phase(taps))
        taps = finer
    return taps.astype(np.float32)


def _next_phase(taps: NDArray[np.float64]) -> NDArray[np.float64]:
    """The taps of the pixel after each one: after the last phase comes the first one of the next small pixel."""
    return np.vstack([taps[1:], np.roll(taps[:1], 1, axis=1)])


def _previous_phase(taps: NDArray[np.float64]) -> NDArray[np.float64]:
    """The taps of the pixel before each one."""
    return np.vstack([np.roll(taps[-1:], -1, axis=1), taps[:-1]])


def gaussian_variance(levels: int) -> float:
    """Variance of the blur that a pixel of a Gaussian pyramid's level stands for, in squared pixels of that level.

    Each step's filter 1 4 6 4 1 has variance one, so level n has 1 + 4 + .. + 4^(n-1) squared pixels of level 0.
    """
    return (1 - 4.0**-levels) / 3
