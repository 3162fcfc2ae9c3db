"""Where the seams of a panorama are looked at again: windows that follow them and hold little else.

The canvas is cut into cells. What seams pass in a cell makes a window, with a margin around it over which its changes fade out. Where a
seam goes on into the next cell both windows count in full up to the cells' common border, so that whichever is changed later goes over into
the other, and nothing tells where one began.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from compositor.compose.warp import Box
from compositor.spool import Spool
from compositor.types import Canvas, Pixels

__all__ = ["LARGEST", "Window", "change_part", "read_part", "seam_windows"]

Floats = NDArray[np.float32]
Owners = NDArray[np.integer[Any]] | Spool
Pair = tuple[int, int]

CELL = 512
"""Side of a cell, canvas px."""
BROAD = 192
"""A cell is cut into four where seams reach farther than so many px to both sides: its window would hold much beside them."""
BESIDE, ALONG = 64, 32
"""Margin around what seams pass, px, and where a seam goes on in the next cell."""
LARGEST = CELL + 2 * BESIDE
"""No window is longer or higher, px."""
LEAST = 24
"""Pixels of a seam in a window below which it is left alone: ends of seams, which other windows see better."""


@dataclasses.dataclass(frozen=True)
class Window:
    """A part of the canvas that seams pass.

    Parameters
    ----------
    box : Box
        All of it.
    core : Box
        The part that the seams pass.
    margins : (int, int, int, int)
        Px outside the core, to the left, at the top, to the right and at the bottom, over which changes fade out.
    pairs : tuple of (int, int)
        Photos that meet, those of the longest seams first.
    """

    box: Box
    core: Box
    margins: tuple[int, int, int, int]
    pairs: tuple[Pair, ...]

    def share(self) -> Floats:
        """How much of a change counts, (h, w): 1 in the core, 0 at the end of the margins."""
        across, down = (self._fade(axis) for axis in (0, 1))
        return down[:, None] * across

    def _fade(self, axis: int) -> Floats:
        """The share along the columns or the rows."""
        place = np.arange(self.box[axis], self.box[axis + 2], dtype=np.float32) + np.float32(0.5)
        before = np.maximum(self.core[axis] - place, 0) / max(self.margins[axis], 1)
        after = np.maximum(place - self.core[axis + 2], 0) / max(self.margins[axis + 2], 1)
        t = np.clip(1 - before - after, 0, 1)
        return np.asarray(t * t * (3 - 2 * t), np.float32)


def seam_windows(owner: Owners, canvas: Canvas) -> list[Window]:
    """Windows around all seams of a panorama, in an order in which few photos are needed at a time.

    Parameters
    ----------
    owner : (h, w) integer
        Which photo shows; -1 for none.
    canvas : Canvas

    Returns
    -------
    list of Window
    """
    width, height = canvas.size
    windows: list[Window] = []
    for top in range(0, height, CELL):
        for left in range(0, width, CELL):
            windows += _windows(owner, canvas, Box(left, top, min(left + CELL, width), min(top + CELL, height)))
    return sorted(windows, key=lambda window: (min(window.pairs), window.core.top, window.core.left))


def read_part(picture: Pixels | Owners, box: Box, canvas: Canvas) -> NDArray[Any]:
    """A part of a picture in memory or on disk; on a canvas that wraps its columns may go round."""
    rows = slice(box.top, box.bottom)
    return np.concatenate([np.asarray(picture[rows, left:right]) for left, right in _runs(box, canvas)], axis=1)


def change_part(picture: Pixels | Spool, box: Box, canvas: Canvas, values: Pixels) -> None:
    """Write a part of a picture; the counterpart of ``read_part``."""
    done = 0
    for left, right in _runs(box, canvas):
        picture[box.top : box.bottom, left:right] = values[:, done : done + right - left]
        done += right - left


def _runs(box: Box, canvas: Canvas) -> list[tuple[int, int]]:
    """The columns of a box as they lie on the canvas, in order."""
    width = canvas.size[0]
    if box.left < 0:
        return [(box.left % width, width), (0, box.right)]
    if box.right > width:
        return [(box.left, width), (0, box.right - width)]
    return [(box.left, box.right)]


def _windows(owner: Owners, canvas: Canvas, cell: Box) -> Iterator[Window]:
    """The windows of a cell: one, or where seams fill it, those of its quarters."""
    width, height = canvas.size
    # One pixel more to the right and below, where the neighbour begins: every border of two photos lies in one cell.
    looked_at = Box(cell.left, cell.top, min(cell.right + 1, width + canvas.wraps), min(cell.bottom + 1, height))
    owners = read_part(owner, looked_at, canvas)
    pairs, edges = _meetings(owners)
    if not pairs:
        return
    left, top, across, down = cv2.boundingRect(edges.view(np.uint8))
    if min(across, down) > BROAD and min(cell.shape) > CELL // 2:
        middle = Box(cell.left, cell.top, cell.left + cell.shape[1] // 2, cell.top + cell.shape[0] // 2)
        for first, last in ((middle.top, middle.bottom), (middle.bottom, cell.bottom)):
            for begin, end in ((middle.left, middle.right), (middle.right, cell.right)):
                yield from _windows(owner, canvas, Box(begin, first, end, last))
        return
    core = Box(cell.left + left, cell.top + top, cell.left + left + across, cell.top + top + down).clip(looked_at)
    beyond = core[0] <= cell[0], core[1] <= cell[1], core[2] >= cell[2], core[3] >= cell[3]
    margins = [ALONG if far else BESIDE for far in beyond]
    if canvas.wraps:  # no window meets itself behind the turn
        most = max((width - core.shape[1]) // 2, 0)
        margins[0], margins[2] = min(margins[0], most), min(margins[2], most)
    box = Box(core.left - margins[0], core.top - margins[1], core.right + margins[2], core.bottom + margins[3])
    box = box.clip(Box(box.left if canvas.wraps else 0, 0, box.right if canvas.wraps else width, height))
    yield Window(box, core, (margins[0], margins[1], margins[2], margins[3]), tuple(pairs))


def _meetings(owners: NDArray[Any]) -> tuple[list[Pair], NDArray[np.bool_]]:
    """Which photos lie side by side, those of the longest seams first, and where, (h, w)."""
    edges = np.zeros(owners.shape, np.bool_)
    if (owners == owners[0, 0]).all():
        return [], edges
    met: Counter[Pair] = Counter()
    for first, second, here, there in (
        (owners[:, :-1], owners[:, 1:], edges[:, :-1], edges[:, 1:]),
        (owners[:-1], owners[1:], edges[:-1], edges[1:]),
    ):
        apart = (first != second) & (first >= 0) & (second >= 0)
        here |= apart
        there |= apart
        ends = np.sort(np.stack([first[apart], second[apart]], axis=1), axis=1)
        for pair, count in zip(*np.unique(ends, axis=0, return_counts=True), strict=True):
            met[int(pair[0]), int(pair[1])] += int(count)
    return [pair for pair, count in sorted(met.items(), key=lambda item: (-item[1], item[0])) if count >= LEAST], edges
