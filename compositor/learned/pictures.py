"""Pictures as networks and descriptors take them: small, 8 bits, RGB."""

from __future__ import annotations

import dataclasses
import os
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from compositor.encoding import full_scale
from compositor.images import open_source, to_common_profile
from compositor.types import Photo

__all__ = ["Picture", "eight_bits", "in_srgb", "read_picture", "read_whole", "shrunk"]

Picture = str | os.PathLike[str] | NDArray[Any] | Photo
"""A file, (h, w, 3) RGB pixels, or a photo opened before."""
MEGAPIXELS = 0.2
"""That a picture is read at where no more is needed."""


def read_picture(source: Picture, *, short: int = 0) -> NDArray[np.uint8]:
    """The pixels of a picture, (h, w, 3) uint8, sRGB-encoded; large ones are read small.

    Parameters
    ----------
    source : path, (h, w, 3) array or Photo
        An array is RGB, and returned as it is where it has 8 bits.
    short : int
        Px that are needed of the shorter side: of a long picture more is read than of another.

    Raises
    ------
    ReadError
        It cannot be read.
    """
    if isinstance(source, np.ndarray) and source.dtype == np.uint8 and source.ndim == 3 and source.shape[2] == 3:
        return source
    photo = in_srgb(open_source(source))
    w, h = photo.size
    needed = (short / min(w, h)) ** 2 * w * h / 1e6
    return eight_bits(photo.reduced(max(MEGAPIXELS, needed)).pixels)


def read_whole(source: Picture) -> NDArray[np.uint8]:
    """The pixels of a picture at its own size, (h, w, 3) uint8, sRGB-encoded.

    Raises
    ------
    ReadError
        It cannot be read.
    """
    if isinstance(source, np.ndarray) and source.dtype == np.uint8 and source.ndim == 3 and source.shape[2] == 3:
        return source
    return eight_bits(in_srgb(open_source(source)).full().pixels)


def in_srgb(photo: Photo) -> Photo:
    """A photo that decodes to sRGB whatever its profile is."""
    if not photo.metadata.get("icc"):
        return photo
    return to_common_profile([dataclasses.replace(photo, metadata={}), photo])[1]


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
