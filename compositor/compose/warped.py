"""A photo drawn on the canvas, before anything was decided about it."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

__all__ = ["Warped"]


@dataclasses.dataclass(frozen=True, eq=False)
class Warped:
    """The part of a canvas that one photo covers.

    Parameters
    ----------
    pixels : (h, w, 3) float32
        RGB, 0..1, the photos' exposures already matched.
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
