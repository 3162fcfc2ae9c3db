"""What a decoder gives, and what becomes of it: RGB pixels and a mask, smaller and upright where asked."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compositor.encoding import full_scale
from compositor.errors import ReadError
from compositor.types import Decoded

__all__ = ["Header", "Samples", "mask_of", "reduce_area", "turn_upright", "upright_size"]


@dataclasses.dataclass(frozen=True, eq=False)
class Header:
    """What a file says of itself before its pixels are decoded.

    Parameters
    ----------
    size : (int, int)
        Width and height as stored, px.
    dtype : numpy.dtype
        uint8, uint16 or float32.
    exif : bytes or None
        From the TIFF header on.
    icc : bytes or None
        Colour profile of the stored samples.
    remark : str
        What is not used of the file, for the log.
    """

    size: tuple[int, int]
    dtype: np.dtype[Any]
    exif: bytes | None = None
    icc: bytes | None = None
    remark: str = ""


@dataclasses.dataclass(frozen=True, eq=False)
class Samples:
    """Pixels as a file stores them.

    Parameters
    ----------
    colors : (h, w, c) uint8, uint16 or float32
        Gray (c = 1), RGB (3) or CMYK with 0 for no ink (4).
    alpha : (h, w) or None
        Opacity, same dtype.
    shrink : int
        The decoder has reduced the picture so far already.
    remark : str
        What was found amiss but could be mended.
    """

    colors: NDArray[Any]
    alpha: NDArray[Any] | None = None
    shrink: int = 1
    remark: str = ""


def mask_of(samples: Samples) -> NDArray[np.bool_] | None:
    """Where samples are opaque (alpha at least a half) and finite numbers, (h, w) bool; None for everywhere."""
    mask = None
    if samples.alpha is not None:
        mask = np.asarray(samples.alpha >= full_scale(samples.alpha.dtype) / 2)
    if samples.colors.dtype.kind == "f":
        finite = np.isfinite(samples.colors).all(axis=2)
        mask = finite if mask is None else mask & finite
    if mask is None or mask.all():
        return None
    if not mask.any():
        raise ReadError("has no opaque pixel; give a photo that has")
    return mask


def soft_alpha(samples: Samples) -> NDArray[Any] | None:
    """Opacity of samples where any is neither opaque nor transparent, (h, w) and contiguous; 0 where colours are no finite numbers."""
    alpha = samples.alpha
    if alpha is None or not ((alpha > 0) & (alpha < full_scale(alpha.dtype))).any():
        return None
    if samples.colors.dtype.kind == "f":
        alpha = np.where(np.isfinite(samples.colors).all(axis=2) & np.isfinite(alpha), np.clip(alpha, 0, 1), np.zeros((), alpha.dtype))
    return np.ascontiguousarray(alpha)


def reduce_area(pixels: NDArray[Any], mask: NDArray[np.bool_] | None, shrink: int) -> tuple[NDArray[Any], NDArray[np.bool_] | None]:
    """Pixels and mask at about 1/shrink of their size by area averaging; a pixel stays valid when all of its parts were."""
    import cv2

    if shrink == 1:
        return pixels, mask
    h, w = pixels.shape[:2]
    size = (max(1, round(w / shrink)), max(1, round(h / shrink)))
    if mask is not None:
        mask = cv2.resize(mask.view(np.uint8) * np.uint8(255), size, interpolation=cv2.INTER_AREA) == 255
    return cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), mask


# By EXIF orientation: transpose first, then flip left-right, then flip up-down.
TURNS = {
    1: (False, False, False),
    2: (False, True, False),
    3: (False, True, True),
    4: (False, False, True),
    5: (True, False, False),
    6: (True, True, False),
    7: (True, True, True),
    8: (True, False, True),
}

QUARTERS = {3: 2, 6: 1, 8: 3}
"""Quarter turns clockwise by EXIF orientation; mirrored photos, which no camera makes, are not counted among the turned."""


def upright_size(size: tuple[int, int], orientation: int) -> tuple[int, int]:
    """Width and height of a picture of this stored size once it is upright."""
    return (size[1], size[0]) if TURNS[orientation][0] else size


def turn(picture: NDArray[Any], orientation: int) -> NDArray[Any]:
    """A picture as it was held, from how the camera stored it."""
    import cv2

    transpose, left_right, up_down = TURNS[orientation]
    if transpose:
        picture = cv2.transpose(picture)
    if left_right or up_down:
        picture = cv2.flip(picture, -1 if left_right and up_down else int(left_right))
    return picture


def turn_upright(
    pixels: NDArray[Any], mask: NDArray[np.bool_] | None, orientation: int, *, scale: tuple[float, float], size: tuple[int, int]
) -> Decoded:
    """Pixels turned upright, with where they lie in the photo.

    Parameters
    ----------
    pixels : (h, w, 3)
        As stored.
    mask : (h, w) bool or None
        As stored.
    orientation : int
        EXIF orientation, 1..8.
    scale : (float, float)
        Exact scale of ``pixels`` in x and y, as stored.
    size : (int, int)
        Width and height of the upright photo, px.

    Notes
    -----
    A JPEG of width w reduced by s has ceil(w / s) columns of exactly s pixels, the last one partly outside the photo. Flipped,
    this column comes first and shifts all others by the part that is outside: ceil(w / s) - w / s.
    """
    transpose, left_right, up_down = TURNS[orientation]
    pixels = turn(pixels, orientation)
    if mask is not None:
        mask = turn(mask.view(np.uint8), orientation).view(np.bool_)
    if transpose:
        scale = (scale[1], scale[0])
    h, w = pixels.shape[:2]
    outside = (w - size[0] * scale[0] if left_right else 0.0, h - size[1] * scale[1] if up_down else 0.0)
    # Rounding of a scale like 1/3 leaves next to nothing where nothing is outside.
    return Decoded(pixels, mask, scale, (round(outside[0], 9), round(outside[1], 9)))
