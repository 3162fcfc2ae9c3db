"""The border of a pasted object: how it fades into what is behind it, and what colour it has while it fades.

A cut-out's outermost pixels are mixed with what it stood before, which shows as a halo before anything else. So a hard mask fades inside
its own border only, and there the object's colours are drawn outward from a little further inside.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["heal_border", "soften"]

SOFT = (0.02, 0.98)
"""Between these a pixel of a mask is neither object nor background."""
MATTE = 0.1
"""Share of the border's pixels that are neither, from which on a mask is a matte that somebody made with care."""
HEALED = 2.0
"""How deep the border is healed, in widths of the fade."""
Floats = NDArray[np.float32]


def soften(mask: Floats, fade: float) -> Floats:
    """How much of each pixel is the object.

    Parameters
    ----------
    mask : (h, w) float32
        0..1, 1 on the object.
    fade : float
        Width of the fade, px, inside the border of a hard mask. A matte, whose border is soft already, stays as it is.

    Returns
    -------
    (h, w) float32
    """
    soft = np.count_nonzero((mask > SOFT[0]) & (mask < SOFT[1]))
    inside = mask >= 0.5
    hard = inside.view(np.uint8)
    border = np.count_nonzero(inside & (cv2.erode(hard, np.ones((3, 3), np.uint8), borderValue=1) == 0))
    if fade == 0 or soft > MATTE * border:
        return mask
    return np.asarray(np.minimum(_depth(inside) / np.float32(fade), 1), np.float32)


def heal_border(pixels: Floats, alpha: Floats, fade: float) -> Floats:
    """Colours of an object that are free of what it stood before.

    Parameters
    ----------
    pixels : (h, w, 3) float32
    alpha : (h, w) float32
        Shares of the pixels that are the object's.
    fade : float
        As for ``soften``; 0 heals nothing.

    Returns
    -------
    (h, w, 3) float32
        Deeper inside than twice the fade the same pixels; towards the border more and more the mean of those around that lie deeper.
    """
    if fade == 0:
        return pixels
    reach = HEALED * fade
    own = np.clip(_depth(alpha >= 0.5) / np.float32(reach), 0, 1) ** 2
    sums, shares = pixels * own[..., None], own
    filled, known = np.zeros_like(pixels), np.zeros_like(own)
    # Where nothing deep is near, as on hair, farther and farther means fill in, and what none reaches stays.
    for _ in range(4):
        sums, shares = (cv2.GaussianBlur(part, (0, 0), max(reach / 2, 0.5)) for part in (sums, shares))
        sure = np.clip(shares * 8, 0, 1) * (1 - known)
        filled += sure[..., None] * sums / np.maximum(shares, 1e-6)[..., None]
        known += sure
    filled += (1 - known)[..., None] * pixels
    return np.where((own < 1)[..., None], pixels * own[..., None] + filled * (1 - own)[..., None], pixels)


def _depth(inside: NDArray[np.bool_]) -> Floats:
    """Distance of pixels inside to the border, px; the picture's own edge is none."""
    if inside.all():
        return np.full(inside.shape, np.inf, np.float32)
    return np.asarray(cv2.distanceTransform(inside.view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE), np.float32)
