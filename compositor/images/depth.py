"""Pixel types: one set of photos to one of them, one picture to another."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compositor.encoding import full_scale
from compositor.types import Decoded, Decoder, Photo

__all__ = ["to_common_depth", "with_depth"]


@dataclasses.dataclass(frozen=True, eq=False)
class DepthDecoder:
    """Decodes a photo and stretches its pixels to a deeper type; white stays white."""

    decode: Decoder
    dtype: np.dtype[Any]

    def __call__(self, shrink: int) -> Decoded:
        """The photo at 1/shrink, in the deeper type."""
        decoded = self.decode(shrink)
        factor = full_scale(self.dtype) / full_scale(decoded.pixels.dtype)
        # From 8 to 16 bits the factor is 257 exactly, so nothing is rounded.
        return dataclasses.replace(decoded, pixels=(decoded.pixels * np.float32(factor)).astype(self.dtype))


def to_common_depth(photos: list[Photo]) -> list[Photo]:
    """Photos that all decode to the deepest pixel type among them: float32 before uint16 before uint8."""
    if not photos:
        return photos
    deepest = max((photo.dtype for photo in photos), key=lambda dtype: (dtype.kind == "f", dtype.itemsize))
    return [
        photo if photo.dtype == deepest else dataclasses.replace(photo, dtype=deepest, decode=DepthDecoder(photo.decode, deepest))
        for photo in photos
    ]


def with_depth(pixels: NDArray[Any], bits: int) -> NDArray[Any]:
    """Pixels as integers of 8 or 16 bits, properly rounded; float is clipped to 0..1, what is no number becomes 0.

    Worked on in strips of rows, so that no second picture of floats is ever held.
    """
    dtype = np.dtype(np.uint8 if bits == 8 else np.uint16)
    if pixels.dtype == dtype:
        return pixels
    factor = full_scale(dtype) / full_scale(pixels.dtype)
    made = np.empty(pixels.shape, dtype)
    rows = max(1, 2**22 // max(1, pixels[0].size))
    for top in range(0, len(pixels), rows):
        strip = np.nan_to_num(pixels[top : top + rows].astype(np.float32), nan=0.0) * np.float32(factor)
        made[top : top + rows] = np.rint(np.clip(strip, 0, full_scale(dtype)))
    return made
