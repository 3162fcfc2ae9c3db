"""What a photo can be recognised by: RootSIFT or ORB features of its reduced picture."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from compositor.errors import ReadError
from compositor.options import LEARNED, RegisterOptions
from compositor.types import Features, Photo

__all__ = ["Picture", "detect_features", "features_of", "read_picture"]

FEW_FEATURES = 400
"""Below this many features a photo is looked at again with a lower contrast threshold."""


@dataclasses.dataclass(frozen=True, eq=False)
class Picture:
    """The reduced gray picture of a photo, which is all that registration sees of it.

    Parameters
    ----------
    gray : (h, w) uint8
    mask : (h, w) bool or None
        Where the photo has pixels; None means everywhere.
    scale, offset : (float, float)
        Where the picture lies in the full-size photo, as in ``Decoded``.
    colors : (h, w, 3) uint8 or None
        RGB, for detectors that look at colours.
    """

    gray: NDArray[np.uint8]
    mask: NDArray[np.bool_] | None
    scale: tuple[float, float]
    offset: tuple[float, float]
    colors: NDArray[np.uint8] | None = None


def read_picture(photo: Photo, options: RegisterOptions) -> Picture:
    """Decode a photo at ``options.registration_megapixels``.

    Raises
    ------
    ReadError
        The photo's pixels cannot be decoded, or a mask hides all of them.
    """
    colors = options.features in LEARNED
    decoded = photo.reduced(options.registration_megapixels, gray=not colors)
    if decoded.mask is not None and not decoded.mask.any():
        raise ReadError(f"{photo.name}: its mask leaves nothing to recognise; let it show more")
    gray = cv2.cvtColor(decoded.pixels, cv2.COLOR_RGB2GRAY) if colors else decoded.pixels
    looks = stretched(decoded.pixels, decoded.mask) if colors else None
    return Picture(stretched(gray, decoded.mask), decoded.mask, decoded.scale, decoded.offset, looks)


def detect_features(picture: Picture, options: RegisterOptions) -> Features:
    """Find features in a photo's picture.

    Parameters
    ----------
    picture : Picture
    options : RegisterOptions
        Detector, size and number of features.

    Returns
    -------
    Features
        Positions in full-size px, strongest first.
    """
    small, mask = shrunk(picture.gray, picture.mask, options.feature_megapixels)
    keypoints, descriptors = DETECTORS[options.features](small, mask, options.features_kept)
    order = np.argsort([-k.response for k in keypoints], kind="stable")[: options.features_kept]
    points, sizes = np.array([keypoints[k].pt for k in order], np.float64).reshape(-1, 2), np.array([keypoints[k].size for k in order])
    return features_of(picture, points, sizes, descriptors[order], small.shape[::-1])


def features_of(
    picture: Picture, points: NDArray[np.float64], sizes: NDArray[Any], descriptors: NDArray[Any], size: tuple[int, int]
) -> Features:
    """Features of a picture that were found in a version of it with another width and height, in whose px points and sizes are."""
    grown = np.array(picture.gray.shape[::-1]) / size
    full = ((points + 0.5) * grown - picture.offset) / picture.scale - 0.5
    diameters = sizes.astype(np.float32) * np.float32(grown[0] / picture.scale[0])
    return Features(full, diameters, descriptors, picture.gray, picture.scale, picture.offset, picture.mask)


def shrunk(
    gray: NDArray[np.uint8], mask: NDArray[np.bool_] | None, megapixels: float
) -> tuple[NDArray[np.uint8], NDArray[np.uint8] | None]:
    """A picture and its mask at no more than so many megapixels, by area averaging."""
    factor = np.sqrt(megapixels * 1e6 / gray.size)
    bytes_mask = None if mask is None else mask.astype(np.uint8) * 255
    if factor >= 1:
        return gray, bytes_mask
    size = round(gray.shape[1] * factor), round(gray.shape[0] * factor)
    if bytes_mask is not None:
        bytes_mask = np.asarray(cv2.resize(bytes_mask, size, interpolation=cv2.INTER_AREA) == 255, np.uint8) * 255
    return np.asarray(cv2.resize(gray, size, interpolation=cv2.INTER_AREA), np.uint8), bytes_mask


def stretched(pixels: NDArray[Any], mask: NDArray[np.bool_] | None = None) -> NDArray[np.uint8]:
    """Pixels as 8 bits; deep ones are stretched between the darkest and brightest that the mask shows."""
    if pixels.dtype == np.uint8:
        return np.asarray(pixels, np.uint8)
    low, high = np.percentile(pixels if mask is None else pixels[mask], (0.5, 99.5))
    wide = (pixels.astype(np.float32) - low) * (255.0 / max(high - low, 1e-6))
    return np.asarray(np.clip(np.rint(wide), 0, 255), np.uint8)


def detect_sift(gray: NDArray[np.uint8], mask: NDArray[np.uint8] | None, most: int) -> tuple[Any, NDArray[Any]]:
    """SIFT (Lowe 2004) with the square-root descriptors of Arandjelovic & Zisserman 2012.

    ``enable_precise_upscale`` matters: without it OpenCV places every feature a quarter of a pixel off in the doubled first octave.
    """
    keypoints: Any = ()
    for contrast in (0.04, 0.01):
        sift = cv2.SIFT_create(most, contrastThreshold=contrast, enable_precise_upscale=True)  # type: ignore[attr-defined]
        keypoints, descriptors = sift.detectAndCompute(gray, mask)
        if len(keypoints) >= FEW_FEATURES:
            break
    if not keypoints:
        return (), np.zeros((0, 128), np.float32)
    descriptors /= np.maximum(descriptors.sum(axis=1, keepdims=True), 1e-6)
    return keypoints, np.sqrt(descriptors)


def detect_orb(gray: NDArray[np.uint8], mask: NDArray[np.uint8] | None, most: int) -> tuple[Any, NDArray[Any]]:
    """ORB (Rublee et al. 2011), the fast choice."""
    keypoints, descriptors = cv2.ORB_create(most, fastThreshold=10).detectAndCompute(gray, mask)  # type: ignore[attr-defined]
    return keypoints, np.zeros((0, 32), np.uint8) if descriptors is None else descriptors


DETECTORS: dict[str, Callable[[NDArray[np.uint8], NDArray[np.uint8] | None, int], tuple[Any, NDArray[Any]]]] = {
    "sift": detect_sift,
    "orb": detect_orb,
}
