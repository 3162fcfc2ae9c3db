"""Colour profiles: samples to RGB, and one set of photos to one profile."""

from __future__ import annotations

import dataclasses
import itertools
import logging
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compositor.encoding import full_scale
from compositor.types import Decoded, Decoder, Photo

__all__ = ["same_colors", "to_common_profile", "to_rgb"]

logger = logging.getLogger("compositor")

SPACES = {b"GRAY": ("gray", 1), b"RGB ": ("rgb", 3), b"CMYK": ("cmyk", 4)}

# Differences below one 8-bit level are how two makers write down the same sRGB.
SAME = 1.0 / 255


def profile_space(icc: bytes | None) -> bytes | None:
    """The four letters a profile calls its colours by: «GRAY», «RGB » or «CMYK»; None for anything else."""
    space = None if icc is None else icc[16:20]
    return space if space in SPACES else None


def to_rgb(colors: NDArray[Any], icc: bytes | None) -> NDArray[Any]:
    """RGB pixels of gray, RGB or CMYK samples.

    RGB stays as it is, whatever its profile. Gray and CMYK become sRGB by their profile; without one that can be used, gray is
    copied to the three channels and CMYK is taken as transparent inks.

    Parameters
    ----------
    colors : (h, w, 1 | 3 | 4) uint8, uint16 or float32
        Samples; 0 is black for gray, no ink for CMYK.
    icc : bytes or None
        Their profile.

    Returns
    -------
    (h, w, 3), same dtype
    """
    import cv2

    channels = colors.shape[2]
    if channels == 3:
        return np.ascontiguousarray(colors)
    space = profile_space(icc)
    if icc is not None and space is not None and SPACES[space][1] == channels and colors.dtype.kind == "u":
        try:
            return transform(colors, icc, None)
        except (RuntimeError, ValueError) as error:
            logger.warning("a %s colour profile cannot be used (%s); plain colours are taken instead", SPACES[space][0], error)
    if channels == 1:
        return np.asarray(cv2.cvtColor(np.ascontiguousarray(colors), cv2.COLOR_GRAY2RGB))
    white = float(full_scale(colors.dtype))
    light = (white - colors[..., :3]) * ((white - colors[..., 3:].astype(np.float32)) / white)
    return np.asarray(np.rint(light) if colors.dtype.kind == "u" else light).astype(colors.dtype)


def transform(pixels: NDArray[Any], source: bytes | None, target: bytes | None) -> NDArray[Any]:
    """Pixels in another profile by Little CMS, relative to the source's white; None stands for sRGB.

    Raises
    ------
    RuntimeError
        A profile cannot be used.
    """
    import imagecodecs

    srgb = imagecodecs.cms_profile("srgb")
    kind = SPACES[profile_space(source) or b"RGB "][0]
    if kind == "gray":
        pixels = pixels[..., 0]
    # For 16 bits Little CMS would otherwise interpolate in a coarse table: up to 20 of 255 levels wrong, measured on AdobeRGB.
    exact = imagecodecs.CMS.FLAGS.NOOPTIMIZE | imagecodecs.CMS.FLAGS.NOCACHE
    made = imagecodecs.cms_transform(
        np.ascontiguousarray(pixels),
        source or srgb,
        target or srgb,
        colorspace=kind,
        outcolorspace="rgb",
        intent=imagecodecs.CMS.INTENT.RELATIVE_COLORIMETRIC,
        flags=None if pixels.dtype == np.uint8 else exact,
    )
    # Colours that the target cannot show come out far below zero in float.
    return np.asarray(np.maximum(made, 0) if made.dtype.kind == "f" else made)


def same_colors(source: bytes | None, target: bytes | None) -> bool:
    """Whether two RGB profiles give all colours the same numbers, to one 8-bit level; None stands for sRGB.

    Raises
    ------
    RuntimeError
        A profile cannot be used.
    """
    if source == target:
        return True
    levels = np.linspace(0, 65535, 6).astype(np.uint16)
    lattice = np.array(list(itertools.product(levels, repeat=3)), np.uint16).reshape(6, 36, 3)
    moved = np.abs(transform(lattice, source, target).astype(np.int64) - lattice).max()
    return bool(moved <= SAME * 65535)


@dataclasses.dataclass(frozen=True, eq=False)
class ProfileDecoder:
    """Decodes a photo and converts its colours from one profile to another."""

    decode: Decoder
    source: bytes | None
    target: bytes | None

    def __call__(self, shrink: int) -> Decoded:
        """The photo at 1/shrink, in the target profile."""
        decoded = self.decode(shrink)
        return dataclasses.replace(decoded, pixels=transform(decoded.pixels, self.source, self.target))


def to_common_profile(photos: list[Photo]) -> list[Photo]:
    """Photos that all decode to the colour profile of the first one.

    A photo without a profile counts as sRGB. A profile that cannot be used counts as sRGB too, with a warning, and is dropped. The
    conversion happens when the photo is decoded; photos that are in the common profile already come back as they are.
    """
    faults = {icc: profile_fault(icc) for icc in {photo.metadata.get("icc") for photo in photos}}
    photos = [drop_profile(photo, fault) if (fault := faults[photo.metadata.get("icc")]) else photo for photo in photos]
    if not photos:
        return photos
    target = photos[0].metadata.get("icc")
    same = {icc: same_colors(icc, target) for icc in {photo.metadata.get("icc") for photo in photos}}
    return [photo if same[photo.metadata.get("icc")] else converted(photo, target) for photo in photos]


def profile_fault(icc: bytes | None) -> str:
    """Why RGB colours cannot be converted from and to a profile; «» when they can."""
    if icc is None:
        return ""
    if profile_space(icc) != b"RGB ":
        return "it is not one for RGB"
    try:
        same_colors(icc, None)
        same_colors(None, icc)
    except (RuntimeError, ValueError) as error:
        return str(error)
    return ""


def drop_profile(photo: Photo, fault: str) -> Photo:
    """The photo as one without a profile, with a warning."""
    logger.warning("%s: its colour profile cannot be used (%s); the colours are taken as sRGB", photo.name, fault)
    return dataclasses.replace(photo, metadata={key: value for key, value in photo.metadata.items() if key != "icc"})


def converted(photo: Photo, target: bytes | None) -> Photo:
    """The photo, decoding to another profile."""
    metadata = {key: value for key, value in photo.metadata.items() if key != "icc"} | ({"icc": target} if target else {})
    return dataclasses.replace(photo, decode=ProfileDecoder(photo.decode, photo.metadata.get("icc"), target), metadata=metadata)
