"""A second look at the seams of a panorama: both photos of a seam are drawn again around it, and whoever refines composites them anew.

The panorama is covered by overlapping windows. Where photos meet in one, each two of them are refined; their changes are faded into each
other and into what is left alone by hats that add up to one, so nothing tells where a window began. What a refiner makes of a seam counts
only where the seam then shows less than before.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from compositor.compose.layers import Layers, Refine
from compositor.compose.opened import Opened, open_for
from compositor.compose.warp import Box, Sheet, draw, locate
from compositor.encoding import full_scale
from compositor.errors import OptionError
from compositor.photometry import Photometry
from compositor.spool import Spool
from compositor.types import Camera, Canvas, Photo, Pixels, Progress

__all__ = ["MOST_OPEN", "SHARED", "largest_window", "mend_seams"]

Floats = NDArray[np.float32]
Owners = NDArray[np.int8] | NDArray[np.int16] | Spool

logger = logging.getLogger("compositor")

STEP, SHARED = 512, 192
"""Canvas px from one window to the next, about, and how many of them it shares with the next."""
LEAST = 24
"""Pixels of seam in a window below which it is left alone: ends of seams, which other windows see better."""
BESIDE = 5
"""Pixels around a seam in which is measured how much it shows."""
FAR = 1e4
"""Pixels from a seam beyond which all are equally far."""
ROWS = 64
"""Rows of the panorama that are changed at once."""
MOST_OPEN = 4
"""Photos that are held decoded."""


def mend_seams(
    pixels: Pixels | Spool,
    owner: Owners,
    cameras: Sequence[Camera],
    photos: Sequence[Photo],
    canvas: Canvas,
    photometry: Photometry,
    refine: Refine,
    progress: Progress,
) -> None:
    """Refine a panorama's seams, in place.

    Parameters
    ----------
    pixels : (h, w, 3) uint8, uint16 or float32
        Changed.
    owner : (h, w) int8 or int16
    cameras, photos : sequence
        As the panorama was composed from.
    canvas : Canvas
    photometry : Photometry
        What was done to the photos' light.
    refine : callable
        Called with the layers of one seam in one window after the other.
    progress : callable
        Told of every row of windows, as «refine».
    """
    width, height = canvas.size
    columns, rows = _edges(width, canvas.wraps), _edges(height, False)
    opened, white = _LastFew(cameras, photos, canvas, photometry), np.float32(full_scale(pixels.dtype))
    looked_at, taken = 0, 0
    strip = np.zeros((0, width, 3), np.float32)  # what the windows above change of the rows that this row of windows shares with them
    for n, (top, bottom, hat_down) in enumerate(rows):
        progress("refine", n, len(rows))
        change = np.zeros((bottom - top, width, 3), np.float32)
        change[: len(strip)] = strip
        for left, right, hat_across in columns:
            box = Box(left, top, right, bottom)
            owners = _read(owner, box, canvas)
            if pairs := _meetings(owners):
                base = _read(pixels, box, canvas).astype(np.float32) / white
                part = _mended(opened, pairs, box, owners, base, refine, white)
                looked_at, taken = looked_at + 1, taken + bool(part.any())
                change[:, np.arange(left, right) % width] += part * (hat_down[:, None] * hat_across)[..., None]
        ready = rows[n + 1][0] - top if n + 1 < len(rows) else bottom - top
        _finish(pixels, change[:ready], top, white)
        strip = change[ready:].copy()  # or all of it would be held beside the next one
    progress("refine", len(rows), len(rows))
    logger.info("seams were looked at again in %d windows, and changed in %d", looked_at, taken)


def largest_window(canvas: Canvas) -> tuple[int, int]:
    """Width and height, px, of the largest window of a canvas."""
    columns, rows = _edges(canvas.size[0], canvas.wraps), _edges(canvas.size[1], False)
    return max(right - left for left, right, _ in columns), max(bottom - top for top, bottom, _ in rows)


def _edges(length: int, wraps: bool) -> list[tuple[int, int, Floats]]:
    """Where windows begin and end along an axis, and their shares of the pixels between, which add up to one for every pixel."""
    count = max(3 if wraps else 1, round(length / STEP))
    shared = min(SHARED, length // count) // 2 * 2
    if count == 1 or shared == 0:
        return [(0, length, np.ones(length, np.float32))]
    marks = [k * length // count for k in range(count + 1)]
    ramp, half = (np.arange(shared, dtype=np.float32) + 0.5) / shared, shared // 2
    edges = []
    for k in range(count):
        before, after = half if wraps or k > 0 else 0, half if wraps or k + 1 < count else 0
        begin, end = marks[k] - before, marks[k + 1] + after
        hat = np.ones(end - begin, np.float32)
        if before:
            hat[:shared] = ramp
        if after:
            hat[-shared:] = ramp[::-1]
        edges.append((begin, end, hat))
    return edges


def _finish(pixels: Pixels | Spool, change: Floats, top: int, white: np.float32) -> None:
    """Add what is changed to whole rows of the panorama, where anything is; a few rows at a time, for their floats' sake."""
    for first in range(0, len(change), ROWS):
        part, rows = change[first : first + ROWS], slice(top + first, top + min(first + ROWS, len(change)))
        if not part.any():
            continue
        before = pixels[rows, :]
        after = before + part * white
        pixels[rows, :] = after if before.dtype == np.float32 else np.clip(np.rint(after), 0, white).astype(before.dtype)


def _read(picture: Pixels | Owners, box: Box, canvas: Canvas) -> NDArray[Any]:
    """A part of a picture in memory or on disk; on a canvas that wraps its columns may go round."""
    rows, width = slice(box.top, box.bottom), canvas.size[0]
    if box.left >= 0 and box.right <= width:
        return np.asarray(picture[rows, box.left : box.right])
    left, right = box.left % width, box.right % width
    return np.concatenate([picture[rows, left:], picture[rows, :right]], axis=1)


def _mended(
    opened: _LastFew, pairs: list[tuple[int, int]], box: Box, owners: NDArray[Any], base: Floats, refine: Refine, white: np.float32
) -> Floats:
    """What refining all seams of a window changes in it; a photo between two seams goes over from what one makes of it to the other's."""
    drawn = {k: opened.draw(k, box) for k in sorted({k for pair in pairs for k in pair})}
    change, shares = np.zeros_like(base), np.zeros((*box.shape, 1), np.float32)
    for a, b in pairs:
        theirs = (owners == a) | (owners == b)
        layers = Layers(drawn[a][0], drawn[b][0], drawn[a][1] & theirs, drawn[b][1] & theirs, owners == b)
        distance = np.where(layers.owner, layers.inside, layers.outside)
        share = np.where(theirs, 1 / (np.minimum(distance, FAR) + 1) ** 2, 0)[..., None].astype(np.float32)
        shares += share
        if layers.overlap.any():
            change += share * _refined(layers, theirs, base, refine, white)
    return np.asarray(change / np.maximum(shares, np.float32(1e-12)), np.float32)


class _LastFew:
    """The last few photos that were decoded, and how each is drawn."""

    def __init__(self, cameras: Sequence[Camera], photos: Sequence[Photo], canvas: Canvas, photometry: Photometry) -> None:
        self.cameras, self.photos, self.photometry, self.sheet = cameras, photos, photometry, Sheet.of(canvas)
        self.held: dict[int, Opened] = {}

    def draw(self, k: int, box: Box) -> tuple[Floats, NDArray[np.bool_]]:
        """A photo's pixels in a box of the canvas, graded, 0..1, and where it has any."""
        if k not in self.held:
            while len(self.held) >= MOST_OPEN:
                self.held.pop(next(iter(self.held)))
            self.held[k] = open_for(self.sheet.canvas, self.photos[k], self.cameras[k], self.photometry, k)
        opened = self.held[k] = self.held.pop(k)  # the last one is let go last
        places = locate(self.cameras[k], opened.decoded, self.sheet, box)
        drawn, valid = draw(self.cameras[k], opened.decoded, places, grading=opened.grading, smooth=True)
        return np.clip(drawn / np.float32(full_scale(opened.decoded.pixels.dtype)), 0, 1), valid


def _meetings(owners: NDArray[Any]) -> list[tuple[int, int]]:
    """Which photos lie side by side, those of the longest seams first."""
    met: Counter[tuple[int, int]] = Counter()
    for first, second in ((owners[:, :-1], owners[:, 1:]), (owners[:-1], owners[1:])):
        apart = (first != second) & (first >= 0) & (second >= 0)
        ends = np.sort(np.stack([first[apart], second[apart]], axis=1), axis=1)
        for pair, count in zip(*np.unique(ends, axis=0, return_counts=True), strict=True):
            met[int(pair[0]), int(pair[1])] += int(count)
    return [pair for pair, count in sorted(met.items(), key=lambda item: (-item[1], item[0])) if count >= LEAST]


def _refined(layers: Layers, theirs: NDArray[np.bool_], base: Floats, refine: Refine, white: np.float32) -> Floats:
    """What refining one seam changes in a window; nothing where it shows as much as before."""
    made = refine(layers)
    if not isinstance(made, np.ndarray) or made.shape != base.shape or made.dtype.kind != "f":
        found = f"{made.dtype} of shape {made.shape}" if isinstance(made, np.ndarray) else type(made).__name__
        raise OptionError(f"refine returned {found}; needed are the layers' pixels, float32 of shape {base.shape}")
    refined = np.where(theirs[..., None], made, base)
    # As both will be stored: what is only not rounded yet is no gain.
    after, before = (np.asarray(np.rint(picture * white) / white if white > 1 else picture, np.float32) for picture in (refined, base))
    if not _shows(after, layers) < _shows(before, layers):  # also what is no number is no gain
        return np.zeros_like(base)
    # Layers end at white; what floats hold beyond it stays.
    return np.where(base > 1, np.float32(0), refined - base).astype(np.float32)


def _shows(picture: Floats, layers: Layers) -> float:
    """How much a seam shows: the mean step, beside it, that is in neither photo."""
    near = (
        np.minimum(layers.inside, BESIDE + 1) * layers.owner + np.minimum(layers.outside, BESIDE + 1) * ~layers.owner <= BESIDE
    ) & layers.overlap
    steps = []
    for axis in (0, 1):
        own, first, second = (np.diff(cv2.GaussianBlur(p, (0, 0), 1.0), axis=axis) for p in (picture, layers.reference, layers.new))
        unexplained = np.minimum(np.abs(own - first), np.abs(own - second)).mean(axis=2)
        beside = near[1:] if axis == 0 else near[:, 1:]
        steps.append(unexplained[beside])
    found = np.concatenate(steps)
    return float(found.mean()) if len(found) else 0.0
