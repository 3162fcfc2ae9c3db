"""The step in colour that is left along a seam, spread into the new picture and faded out towards its far border.

What is spread is the smoothest continuation of the differences at the seam (Perez, Gangnet and Blake, «Poisson image editing», SIGGRAPH
2003, whose solution is such a membrane; Farbman and others, «Coordinates for instant image cloning», 2009), found by push-pull: as
fast as looking at every pixel once.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from compositor.compose.layers import Layers

__all__ = ["membrane"]

Floats = NDArray[np.float32]

SURE, WIDTH = 0.5, 8.0
"""Weight of a single pixel beside the seam, and the distance from there, px, at which it has fallen to a quarter."""
MOST = 0.1
"""Differences about as large, full scale, are no step in colour but something else."""


def membrane(layers: Layers) -> Floats:
    """What to add to ``new`` so that no step in colour is left at the seam.

    Parameters
    ----------
    layers : Layers
        Of one tone, gaps closed.

    Returns
    -------
    (h, w, 3) float32
        Zero where ``new`` does not show and at the end of it that is farthest from the seam.
    """
    from compositor.kernels.membrane import compare, enlarge_faded, pull, push

    shape = layers.owner.shape
    offset, longest = np.zeros((*shape, 3), np.float32), float(layers.inside.max(initial=0))
    if not math.isfinite(longest) or longest <= 0:
        return offset
    levels = [_halved(shape)]
    limits = np.float32(SURE), np.float32(WIDTH), np.float32(MOST)
    compare(layers.reference, layers.new, layers.overlap, layers.inside, layers.outside, *limits, *levels[0])
    while max(levels[-1][1].shape) > 1:
        levels.append(_halved(levels[-1][1].shape))
        pull(*levels[-2], *levels[-1])
    for (coarse, _), fine in zip(levels[:0:-1], levels[-2::-1], strict=True):
        push(coarse, *fine)
    enlarge_faded(levels[0][0], layers.owner, layers.inside, np.float32(longest), offset)
    return offset


def _halved(shape: tuple[int, ...]) -> tuple[Floats, Floats]:
    """Room for the values and weights of a picture half as large."""
    half = -(-shape[0] // 2), -(-shape[1] // 2)
    return np.empty((*half, 3), np.float32), np.empty(half, np.float32)
