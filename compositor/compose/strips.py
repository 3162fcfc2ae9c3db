"""Where in a tile the fine bands of a blend have anything to do: along its seams, no further than they reach."""

from __future__ import annotations

from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from compositor.compose.warp import Box

__all__ = ["REACH", "Strip", "seam_strips"]

REACH = 4
"""Reduced pixels that fine bands reach."""
SHORTEST = 32
"""Reduced pixels: a strip as short as that is not cut again, since every cut costs twice the reach."""


class Strip(NamedTuple):
    """A part of a tile around seams.

    Parameters
    ----------
    box : Box
        The pixels it delivers.
    outer : Box
        Those it computes with; begins on a reduced pixel.
    """

    box: Box
    outer: Box


def seam_strips(owner: NDArray[np.integer[Any]], tile: Box, factor: int) -> list[Strip]:
    """Cut what seams reach in a tile into strips that hold little else.

    A seam that wanders or bends fills little of the box around it, so boxes are halved as long as the halves, with what they need of each
    other, are smaller together than the whole.

    Parameters
    ----------
    owner : (h, w) integer
        Who owns each pixel of the tile.
    tile : Box
        Begins on a reduced pixel.
    factor : int
        Canvas pixels per reduced pixel.

    Returns
    -------
    list of Strip
        Disjoint; none where there is no seam.
    """
    edges = np.zeros(owner.shape, np.bool_)
    edges[:, :-1] = owner[:, 1:] != owner[:, :-1]
    edges[:-1] |= owner[1:] != owner[:-1]
    return _cut(edges.view(np.uint8), tile, tile, factor)


def _cut(edges: NDArray[np.uint8], tile: Box, part: Box, factor: int) -> list[Strip]:
    """The strips of a part of a tile, which begins on a reduced pixel."""
    near = part.grow(REACH * factor).clip(tile)
    left, top, width, height = cv2.boundingRect(edges[near.within(tile)])
    if not width:
        return []
    found = Box(near.left + left, near.top + top, near.left + left + width, near.top + top + height)
    first = Box(found.left // factor * factor, found.top // factor * factor, found.right + 1, found.bottom + 1)
    outer = first.grow(REACH * factor).clip(near)
    box = outer.clip(part)
    if not box:
        return []
    whole = Strip(box, outer)
    if max(box.shape) <= SHORTEST * factor:
        return [whole]
    halves = [strip for half in _halve(box, factor) for strip in _cut(edges, tile, half, factor)]
    return halves if sum(_area(half.outer) for half in halves) < _area(outer) else [whole]


def _halve(box: Box, factor: int) -> tuple[Box, Box]:
    """The halves of a box's longer side; the second one begins on a reduced pixel too."""
    height, width = box.shape
    if width >= height:
        middle = (box.left + width // 2) // factor * factor
        return Box(box.left, box.top, middle, box.bottom), Box(middle, box.top, box.right, box.bottom)
    middle = (box.top + height // 2) // factor * factor
    return Box(box.left, box.top, box.right, middle), Box(box.left, middle, box.right, box.bottom)


def _area(box: Box) -> int:
    """How many pixels a box has."""
    height, width = box.shape
    return height * width
