"""Parts of the reduced canvas, and pictures in the frame of one photo; on a canvas that wraps both may cross its edge."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compositor.compose.warp import Box
from compositor.compose.warped import Warped
from compositor.types import Canvas

__all__ = ["add_at", "frame_of", "gather", "gather_frame", "goes_around", "raise_at"]


def frame_of(photo: Warped) -> Box:
    """The part of the reduced canvas that a photo drawn on it takes."""
    h, w = photo.mask.shape
    return Box(*photo.corner, photo.corner[0] + w, photo.corner[1] + h)


def goes_around(box: Box, canvas: Canvas) -> bool:
    """Whether a box's right edge continues at its left one."""
    return canvas.wraps and box.right - box.left == canvas.size[0]


def gather(picture: NDArray[Any], box: Box, wraps: bool) -> NDArray[Any]:
    """The part of a reduced picture that a box shows; beyond its edges it goes on with them, or round."""
    h, w = picture.shape[:2]
    if box.clip(Box(0, 0, w, h)) == box:
        return np.ascontiguousarray(picture[box.top : box.bottom, box.left : box.right])
    rows, columns = np.clip(np.arange(box.top, box.bottom), 0, h - 1), np.arange(box.left, box.right)
    return picture.take(rows, axis=0).take(columns, axis=1, mode="wrap" if wraps else "clip")


def gather_frame(picture: NDArray[Any], frame: Box, box: Box, width: int, wraps: bool) -> NDArray[Any]:
    """The part of a picture in a photo's frame that a box shows; beyond the frame it goes on with its nearer edge.

    Parameters
    ----------
    picture : (h, w, ...) array
        What lies in ``frame``.
    frame, box : Box
        Of the reduced canvas; on one that wraps, whole turns apart or not.
    width : int
        Of the reduced canvas.
    wraps : bool
    """
    h, w = picture.shape[:2]
    rows, columns = np.clip(np.arange(box.top, box.bottom) - frame.top, 0, h - 1), np.arange(box.left, box.right) - frame.left
    if wraps:
        before = (width - w) // 2  # half of the gap counts as before the frame, half as behind it
        columns = (columns + before) % width - before
    return np.asarray(picture[rows[:, None], np.clip(columns, 0, w - 1)])


def raise_at(picture: NDArray[Any], part: NDArray[Any], box: Box, wraps: bool) -> None:
    """Keep the larger of a reduced picture and a part of it at a box; columns go round where the canvas does, as often as needed."""
    for columns, of_part in _turns(box, picture.shape[1], wraps):
        there = picture[box.top : box.bottom, columns]
        np.maximum(there, part[:, of_part], out=there)


def add_at(picture: NDArray[Any], part: NDArray[Any], box: Box, wraps: bool) -> None:
    """Add a part to a reduced picture at a box; columns beyond its edges are dropped, or go round as often as needed."""
    for columns, of_part in _turns(box, picture.shape[1], wraps):
        picture[box.top : box.bottom, columns] += part[:, of_part]


def _turns(box: Box, width: int, wraps: bool) -> Iterator[tuple[slice, slice]]:
    """Columns of a canvas that a box covers, and which of its own columns lie there: once for every turn that it reaches into."""
    for turn in range(box.left // width, -(-box.right // width)) if wraps else (0,):
        left, right = max(box.left, turn * width), min(box.right, (turn + 1) * width)
        yield slice(left - turn * width, right - turn * width), slice(left - box.left, right - box.left)
