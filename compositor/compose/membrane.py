"""The step in colour that is left along a seam, spread into the new picture and faded out towards its far border.

What is spread is the smoothest continuation of the differences at the seam (Perez, Gangnet and Blake, «Poisson image editing», SIGGRAPH
2003, whose solution is such a membrane; Farbman and others, «Coordinates for instant image cloning», 2009), found by push-pull: as
fast as looking at every pixel once.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from compositor.compose.layers import Layers

__all__ = ["membrane"]

Floats = NDArray[np.float32]

SURE, WIDTH = 0.15, 4.0
"""Weight of a single pixel beside the seam, and how it falls with the distance from there, px."""
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
    from compositor.kernels.membrane import pull, push

    seam = layers.inside + layers.outside
    difference = np.where(layers.overlap[..., None], layers.reference - layers.new, np.float32(0))
    size = np.abs(difference).max(axis=2)
    weight = np.where(layers.overlap, SURE / (1 + (seam / WIDTH) ** 2) ** 2 / (1 + (size / MOST) ** 2), 0).astype(np.float32)
    levels = [(difference, weight)]
    while max(levels[-1][1].shape) > 1:
        values, weights = levels[-1]
        shape = (-(-weights.shape[0] // 2), -(-weights.shape[1] // 2))
        half = np.empty((*shape, 3), np.float32), np.empty(shape, np.float32)
        pull(values, weights, *half)
        levels.append(half)
    for (coarse, _), (values, weights) in zip(levels[:0:-1], levels[-2::-1], strict=True):
        push(coarse, values, weights)
    return difference * _fade(layers)[..., None]


def _fade(layers: Layers) -> Floats:
    """One at the seam, zero where ``new`` ends and does not show."""
    inside = layers.inside
    if not np.isfinite(inside).all():
        return np.zeros_like(inside)
    return np.where(layers.owner, 1 - inside / max(float(inside.max()), 1.0), np.float32(0)).astype(np.float32)
