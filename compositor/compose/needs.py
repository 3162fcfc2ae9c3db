"""Where the full size can need each photo at all, told from the reduced canvas."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from compositor.compose.frames import gather
from compositor.compose.warp import Box

__all__ = ["UNSURE", "Need", "Outline", "find_needs", "widen"]

Bools = NDArray[np.bool_]

UNSURE = 2
"""Reduced pixels by which the reduced outline of a photo may differ from its outline at full size."""
REACH = 6
"""Reduced pixels around a photo's labels where the full size needs it, none to spare: fine bands reach 4, interpolated labels 1, and seams
move by 1."""


@dataclasses.dataclass(frozen=True, eq=False)
class Outline:
    """Where on the reduced canvas a photo may have pixels at full size, and where it surely has.

    Parameters
    ----------
    box : Box
        Of reduced pixels.
    may, must : (h, w) bool
    """

    box: Box
    may: Bools
    must: Bools


@dataclasses.dataclass(frozen=True, eq=False)
class Need:
    """Where the full size may need a photo.

    Parameters
    ----------
    box : Box
        Of reduced pixels.
    mask : (h, w) bool
        Reduced pixels in whose neighbourhood it may show or be blended.
    """

    box: Box
    mask: Bools


def find_needs(
    outlines: Sequence[Outline], labels: NDArray[np.int16], shares: Sequence[NDArray[np.float32]] | None, wraps: bool
) -> tuple[Need, ...]:
    """Where the full size may need each photo: near its labels, where it has a share, and where it may have to stand in for another."""
    risky = np.ones_like(labels, np.bool_)
    for k, outline in enumerate(outlines):
        sure = outline.must & (gather(labels, outline.box, wraps) == k)
        rows, columns = np.nonzero(sure)
        risky[rows + outline.box.top, (columns + outline.box.left) % labels.shape[1]] = False
    needs = []
    for k, outline in enumerate(outlines):
        grown = outline.box.grow(REACH)
        own = widen(gather(labels, grown, wraps) == k, REACH, around=False)[REACH:-REACH, REACH:-REACH]
        around = wraps and outline.box.right - outline.box.left == labels.shape[1]
        stands_in = widen(gather(risky, outline.box, wraps) & outline.may, REACH, around)
        shared = widen(shares[k] > 0, UNSURE, around) if shares is not None else False
        needs.append(Need(outline.box, (own | stands_in | shared) & outline.may))
    return tuple(needs)


def widen(mask: Bools, reach: int, around: bool) -> Bools:
    """A mask and everything up to ``reach`` pixels from it; beyond the mask's edge is nothing, or its other side."""
    square = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
    padded = np.pad(mask, ((0, 0), (reach, reach)), mode="wrap" if around else "constant").astype(np.uint8)
    return np.asarray(cv2.dilate(padded, square, borderType=cv2.BORDER_CONSTANT, borderValue=0)[:, reach:-reach] > 0)
