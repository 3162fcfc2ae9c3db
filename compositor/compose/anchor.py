"""Photos brought to the light that a panorama gave them, before their seam is looked at again.

Blending spreads what light photos have over a wide belt around their seams. A second look works on a narrow one: composited from photos as
they were drawn, it would stand out of the panorama as a faint band.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["anchor"]

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]

CELL, WIDTH = 8, 3.0
"""Side of the cells, px, over which light is compared, and over how many of them, as a standard deviation, it is smoothed."""
LEAST = 0.02 / 255
"""Smaller differences are none."""
FAINTEST = 1e-5
"""Share of a place's surroundings that tells nothing any more."""


def anchor(photo: Floats, valid: Mask, shown: Mask, picture: Floats, white: float) -> Floats:
    """A photo in the light that a picture gave it, smoothly, and beyond the seam as if that went on.

    Parameters
    ----------
    photo : (h, w, 3) float32
        As it was drawn, encoded, 0..1.
    valid : (h, w) bool
        Where it has pixels.
    shown : (h, w) bool
        Where the picture shows it: only there they are compared, for elsewhere they may show different things.
    picture : (h, w, 3) float32
        As it is stored.
    white : float
        Steps in which it is stored, from black to white; 1 for floats.

    Returns
    -------
    (h, w, 3) float32
    """
    told = (shown & valid).astype(np.float32)
    stored = photo if white == 1 else np.rint(photo * np.float32(white)) * np.float32(1 / white)
    difference = (np.clip(picture, 0, 1) - stored) * told[..., None]
    h, w = valid.shape
    size = max(1, round(w / CELL)), max(1, round(h / CELL))
    amount, sums = (cv2.GaussianBlur(cv2.resize(p, size, interpolation=cv2.INTER_AREA), (0, 0), WIDTH) for p in (told, difference))
    offset = np.asarray(sums / (amount[..., None] + np.float32(FAINTEST)), np.float32)
    offset = np.asarray(np.sign(offset) * np.maximum(np.abs(offset) - np.float32(LEAST), 0), np.float32)
    if not offset.any():
        return photo
    whole = cv2.resize(offset.reshape(size[1], size[0], 3), (w, h), interpolation=cv2.INTER_LINEAR)
    return np.asarray(np.where(valid[..., None], np.clip(photo + whole, 0, 1), photo), np.float32)
