"""Grain and edges of a photo, kept when its colours change.

A map of colours stretches noise and steps with them. The result keeps the photo's gradients where these are its texture and noise, and the
new colours everywhere on the whole: the minimum of a weighted sum of both differences (Pitié, Kokaram and Dahyot, «Automated colour grading
using colour distribution transfer», CVIU 107, 2007, section 4), solved from coarse to fine.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["regrain"]

Floats = NDArray[np.float32]

SMALLEST = 20
"""Side, px, at which the pyramid ends."""
SWEEPS = 8
"""Of relaxation at every size; what is left of an error is smooth then, and the next coarser size has seen to it."""
GRAIN = 0.05
"""Gradient of encoded values up to which a difference counts as grain and is kept as it was; about 13 of 255 levels."""
KEPT = 1.0
"""Weight of the photo's gradients beside the new colours where there is nothing but grain."""


def regrain(content: Floats, colored: Floats) -> Floats:
    """The new colours with the old texture.

    Parameters
    ----------
    content : (h, w, 3) float32
        The photo before, RGB, encoded, 0..1.
    colored : (h, w, 3) float32
        The same with other colours.

    Returns
    -------
    (h, w, 3) float32
    """
    import cv2

    # The change of colour is solved for: it is smooth where both agree.
    change = colored - content
    h, w = content.shape[:2]
    if min(h, w) >= 2 * SMALLEST:
        size = ((w + 1) // 2, (h + 1) // 2)
        small = [np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.float32) for picture in (content, colored)]
        coarse = regrain(*small) - small[0]
        start = np.asarray(cv2.resize(coarse, (w, h), interpolation=cv2.INTER_LINEAR), np.float32)
        # The finest texture of the change, that the coarse size cannot hold, begins as it is wanted where edges are.
    else:
        start = change.copy()
    return content + _relax(start, change, _weights(content))


def _weights(content: Floats) -> tuple[Floats, Floats]:
    """How much the photo's own gradient counts between each pixel and the next, to the right (h, w) and down (h, w); 0 at the border.

    Between things, where the gradient is large, the new colours decide and each side takes its own.
    """
    weights = []
    for axis in (1, 0):
        steps = np.abs(np.diff(content, axis=axis)).max(2)
        weight = np.zeros(content.shape[:2], np.float32)
        part = (slice(None), slice(0, -1)) if axis == 1 else (slice(0, -1), slice(None))
        weight[part] = KEPT / (1 + (steps / np.float32(GRAIN)) ** 2)
        weights.append(weight)
    return weights[0], weights[1]


def _relax(change: Floats, wanted: Floats, weights: tuple[Floats, Floats]) -> Floats:
    """Weighted Jacobi relaxation of «near what is wanted, and smooth where the weights say so», (h, w, 3)."""
    right, down = weights
    left, up = np.zeros_like(right), np.zeros_like(down)
    left[:, 1:], up[1:] = right[:, :-1], down[:-1]
    total = (1 + right + down + left + up)[..., None]
    for _ in range(SWEEPS):
        pull = wanted.copy()
        pull[:, :-1] += right[:, :-1, None] * change[:, 1:]
        pull[:, 1:] += left[:, 1:, None] * change[:, :-1]
        pull[:-1] += down[:-1, :, None] * change[1:]
        pull[1:] += up[1:, :, None] * change[:-1]
        change += (pull / total - change) * np.float32(0.8)
    return change
