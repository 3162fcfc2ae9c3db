"""Two pictures of one place, and which of them shows."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["Layers", "Refine"]

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]
MEASURED = ("overlap", "inside", "outside")
"""What is looked for when it is first asked for."""


@dataclasses.dataclass(frozen=True, eq=False)
class Layers:
    """A picture that stays, and a new one that is to fit it.

    Parameters
    ----------
    reference, new : (h, w, 3) float32
        RGB, encoded (sRGB), 0..1.
    reference_valid, new_valid : (h, w) bool
        Where they have pixels.
    owner : (h, w) bool
        Where ``new`` shows; it has pixels there. Elsewhere ``reference`` shows where it has pixels.
    picture_height : int
        Height of the picture that they are a part of, px; 0 where they are all of it.
    """

    reference: Floats
    new: Floats
    reference_valid: Mask
    new_valid: Mask
    owner: Mask
    picture_height: int = 0

    @cached_property
    def overlap(self) -> Mask:
        """Where both have pixels."""
        return self.reference_valid & self.new_valid

    @cached_property
    def inside(self) -> Floats:
        """Distance of the pixels that ``new`` shows from the seam, px: (h, w), 0.5 beside it, 0 elsewhere; infinite without a seam."""
        return np.where(self.owner, _distance(~(self.reference_valid & ~self.owner)), np.float32(0))

    @cached_property
    def outside(self) -> Floats:
        """Distance of the other pixels from the seam, px, as ``inside``."""
        return np.where(self.owner, np.float32(0), _distance(~self.owner))

    def with_new(self, new: Floats) -> Layers:
        """The same, with other pixels in ``new``; what is known of the seam is kept."""
        layers = dataclasses.replace(self, new=new)
        for name in MEASURED:
            layers.__dict__[name] = getattr(self, name)
        return layers

    def part(self, rows: slice, columns: slice) -> Layers:
        """A part of them, which knows of the seam what the whole knows."""
        at = rows, columns
        layers = Layers(
            self.reference[at],
            self.new[at],
            self.reference_valid[at],
            self.new_valid[at],
            self.owner[at],
            self.picture_height or len(self.owner),
        )
        for name in MEASURED:
            layers.__dict__[name] = np.ascontiguousarray(getattr(self, name)[at])
        return layers


Refine = Callable[[Layers], Floats]
"""Composites two layers so that their seam shows little: (h, w, 3) float32, RGB, encoded, 0..1."""


def _distance(mask: Mask) -> Floats:
    """Distance of every true pixel from the border to the nearest false one, px; infinite where all are true."""
    if mask.all():
        return np.full(mask.shape, np.inf, np.float32)
    return np.asarray(cv2.distanceTransform(mask.view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5), np.float32) - np.float32(0.5)
