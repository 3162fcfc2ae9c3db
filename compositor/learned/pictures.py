"""Pictures as networks and descriptors take them: small, 8 bits, RGB."""

from __future__ import annotations

import os
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from compositor.encoding import full_scale
from compositor.images import open_source
from compositor.types import Photo

__all__ = ["Picture", "eight_bits", "read_picture", "shrunk"]

Picture = str | os.PathLike[str] | NDArray[Any] | Photo
"""A file, (h, w, 3) RGB pixels, or a photo opened before."""
MEGAPIXELS = 0.2
"""That a picture is read at: more than is looked at."""


def read_picture(source: Picture) -> NDArray[np.uint8]:
    """The pixels of a picture, (h, w, 3) uint8, RGB; large ones are read small.

    Raises
    ------
    ReadError
        It cannot be read.
    """
    if isinstance(source, np.ndarray) and source.dtype == np.uint8 and source.ndim == 3 and source.shape[2] == 3:
        return source
    return eight_bits(open_source(source).reduced(MEGAPIXELS).pixels)


def eight_bits(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    """Pixels of any depth as 8 bits."""
    if pixels.dtype == np.uint8:
        return np.asarray(pixels, np.uint8)
    return np.asarray(np.clip(np.round(pixels * (255 / full_scale(pixels.dtype))), 0, 255), np.uint8)


def shrunk(pixels: NDArray[np.uint8], short: int, least: int = 0) -> NDArray[np.uint8]:
    """A picture with so many px on its shorter side, if it has more; with ``least`` if it has fewer than these."""
    h, w = pixels.shape[:2]
    scale = short / min(h, w)
    if scale >= 1 and min(h, w) >= least:
        return pixels
    scale = min(scale, 1) if scale < 1 else least / min(h, w)
    size = max(1, round(w * scale)), max(1, round(h * scale))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR), np.uint8)
