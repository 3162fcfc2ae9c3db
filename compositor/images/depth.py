"""Pixel types: one set of photos to one of them."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from compositor.encoding import full_scale
from compositor.types import Decoded, Decoder, Photo

__all__ = ["to_common_depth"]


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
