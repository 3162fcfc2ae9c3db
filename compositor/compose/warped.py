"""A photo drawn on the canvas, before anything was decided about it."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["Warped", "border_distance"]


@dataclasses.dataclass(frozen=True, eq=False)
class Warped:
    """The part of a canvas that one photo covers.

    Parameters
    ----------
    pixels : (h, w, 3) float32
        RGB, 0..1.
    mask : (h, w) bool
        Where the photo has pixels.
    corner : (int, int)
        Canvas column and row of the first pixel. On a canvas that wraps, columns beyond the right edge are those at the left.
    radii : (h, w) float32 or None
        Squared distance from the photo's principal point, in halves of the photo's diagonal; None where nobody asks.
    reluctance : (h, w) float32 or None
        What it costs to show each pixel of this photo rather than another's, in the units of ``seam_cost``; None for nothing.
    """

    pixels: NDArray[np.float32]
    mask: NDArray[np.bool_]
    corner: tuple[int, int]
    radii: NDArray[np.float32] | None = None
    reluctance: NDArray[np.float32] | None = None


def border_distance(mask: NDArray[np.bool_], *, around: bool) -> NDArray[np.float32]:
    """How deep within a photo each of its pixels lies.

    Parameters
    ----------
    mask : (h, w) bool
        Where the photo has pixels; beyond this frame it has none.
    around : bool
        The frame's right edge continues at its left one.

    Returns
    -------
    (h, w) float32
        Distance to the nearest pixel that the photo lacks, px; 0 where it has none itself.
    """
    inside = np.tile(mask, (1, 3)) if around else mask
    padded = cv2.copyMakeBorder(inside.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    depth = cv2.distanceTransform(padded, cv2.DIST_L2, cv2.DIST_MASK_5)
    left = 1 + (mask.shape[1] if around else 0)
    return np.asarray(depth[1:-1, left : left + mask.shape[1]], np.float32)
