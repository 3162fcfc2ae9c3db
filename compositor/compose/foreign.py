"""Pictures that somebody else stitched: what can be done for their seams without the photos."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from compositor.compose.level import SeamLevel, level_seams, snap_seams
from compositor.errors import OptionError
from compositor.images import check_output, creator_xmp, open_source, read_mask, write_image, xmp_of
from compositor.options import JPEG_QUALITY
from compositor.types import Photo, Pixels

__all__ = ["Levelled", "refine"]

Picture = str | os.PathLike[str] | NDArray[Any]
FEWEST, MOST = 2, 4096
"""Parts that a picture with a seam has, at least and at most."""
COLOURED = 1 << 48
"""What is added to the number of a colour, so that it is none of a gray."""


@dataclasses.dataclass(frozen=True, eq=False)
class Levelled:
    """A picture whose seams were levelled.

    Parameters
    ----------
    pixels : (h, w, 3) uint8, uint16 or float32
        RGB, as deep as the picture was.
    changed : (h, w) bool
        Where they differ from what the picture was.
    seams : tuple of SeamLevel
        What was done to the seam of each two parts that meet.
    mask : (h, w) bool or None
        Where the picture has pixels; None for everywhere.
    metadata : mapping
        ``exif`` and ``icc`` bytes of the picture's file.
    """

    pixels: Pixels
    changed: NDArray[np.bool_]
    seams: tuple[SeamLevel, ...]
    mask: NDArray[np.bool_] | None = None
    metadata: Mapping[str, bytes] = dataclasses.field(default_factory=dict)

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False, quality: int = JPEG_QUALITY) -> None:
        """Write the picture, as ``Panorama.save``."""
        check_output(path, overwrite=overwrite)
        write_image(path, self.pixels, mask=self.mask, metadata=self.metadata, overwrite=overwrite, quality=quality)


def refine(picture: Picture | Photo, *, owner: Picture | None = None, seams: Picture | None = None) -> Levelled:
    """Take steps in tone out of the seams of a picture that is there already.

    Without the photos nobody knows what stood on the other side of a seam: what is broken there stays so, and no network is asked. But
    where the two sides of a seam differ by the same tone all along it, each is given half of that, smoothly, and no farther than 5 % of the
    picture's height (24 px at least, 256 at most). Where the seam does not show less by it, nothing is changed.

    Parameters
    ----------
    picture : path, (h, w, 3) uint8, uint16 or float32 array, or Photo
        A panorama. (For one that was stitched here, ``stitch(..., refine=)`` does more.)
    owner : path or (h, w) integer array, optional
        Which photo each pixel came from: as ``Panorama.save_owner`` writes it, any gray or colour for each, black or transparent for
        none; in an array any number, negative for none.
    seams : path or (h, w) bool array, optional
        In place of ``owner``: a mask of the seams themselves, thin lines, white or true, that part the picture. Between two parts the cut
        is looked for within a pixel of the middle of their line.

    Returns
    -------
    Levelled

    Raises
    ------
    OptionError
        Neither or both of ``owner`` and ``seams`` are given, their size is not the picture's, or they show no two parts.
    ReadError
        A file cannot be read.
    """
    if owner is not None and seams is None:
        parts, called = _owners(owner), "owner"
    elif seams is not None and owner is None:
        parts, called = _parted(seams), "seams"
    else:
        found = "a picture does not tell where its seams are" if owner is None else "owner= and seams= both tell where seams are"
        raise OptionError(f"{found}; give either owner= or seams=")
    photo = open_source(picture)
    decoded = photo.full()
    if parts.shape != decoded.pixels.shape[:2]:
        (h, w), (height, width) = parts.shape, decoded.pixels.shape[:2]
        raise OptionError(f"{called}= is a picture of {w}x{h} px; it has to be as large as the panorama, {width}x{height}")
    if decoded.mask is not None:
        parts = np.where(decoded.mask, parts, -1)
    if seams is not None:
        parts = snap_seams(decoded.pixels, parts).astype(np.int64)
    count = len(np.unique(parts[parts >= 0]))
    if count < FEWEST:
        raise OptionError(f"{called}= shows no two parts of the panorama; between which seams are to be refined is not known")
    if count > MOST:
        raise OptionError(f"{called}= shows {count} parts, at most {MOST} are refined; give one with one gray or colour for each photo")
    pixels, levels = level_seams(decoded.pixels, parts)
    metadata = {**photo.metadata, "xmp": _told_of(picture)}
    return Levelled(pixels, (pixels != decoded.pixels).any(axis=2), tuple(levels), decoded.mask, metadata)


def _told_of(picture: object) -> bytes:
    """What the panorama's file tells viewers of it, which stays true; of one that tells nothing, that it is a panorama."""
    told = xmp_of(picture) if isinstance(picture, str | os.PathLike) else None
    return told or creator_xmp("panorama")


def _owners(source: Picture) -> NDArray[np.int64]:
    """Whose each pixel is, from 0; negative for nobody's."""
    if isinstance(source, np.ndarray):
        if source.ndim != 2 or source.dtype.kind not in "iu":
            raise OptionError(f"owner= is {source.dtype} of shape {source.shape}; give whole numbers of shape (height, width)")
        return source.astype(np.int64)
    decoded = open_source(source).full()
    if decoded.pixels.dtype.kind != "u":
        raise OptionError(f"owner= is a picture of {decoded.pixels.dtype}; give one of 8 or 16 bits")
    colours = decoded.pixels.astype(np.int64)
    gray = (colours == colours[..., :1]).all(axis=2)
    codes = np.where(gray, colours[..., 0], COLOURED + (colours << np.array([0, 16, 32])).sum(axis=2))
    return np.where(codes > 0 if decoded.mask is None else (codes > 0) & decoded.mask, codes - 1, -1)


def _parted(source: Picture) -> NDArray[np.int64]:
    """Parts between lines; what lies on a line belongs to the nearest part."""
    lines = source.astype(np.bool_) if isinstance(source, np.ndarray) else read_mask(source) > 127
    if lines.ndim != 2:
        raise OptionError(f"seams= is of shape {lines.shape}; give a mask of shape (height, width)")
    thick = cv2.dilate(lines.astype(np.uint8), np.ones((3, 3), np.uint8))  # a line whose pixels touch by their corners parts too
    _, parts = cv2.distanceTransformWithLabels(thick, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_CCOMP)
    return np.asarray(parts, np.int64) - 1
