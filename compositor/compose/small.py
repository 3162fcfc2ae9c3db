"""Photos on the reduced canvas, before any is decoded in full."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from numpy.typing import NDArray

from compositor.compose.canvas import LARGEST_SIDE
from compositor.compose.footprint import TURN, Footprint, enlargement, footprint
from compositor.compose.frames import goes_around
from compositor.compose.grade import squared_radii
from compositor.compose.needs import UNSURE, Outline, widen
from compositor.compose.warp import Box, Sheet, draw, extend_colours, locate
from compositor.compose.warped import Warped
from compositor.encoding import full_scale
from compositor.geometry.projections import PROJECTIONS
from compositor.geometry.views import border_directions
from compositor.types import Camera, Canvas, Photo

__all__ = ["draw_small", "plan_box"]

Bools = NDArray[np.bool_]


def draw_small(camera: Camera, photo: Photo, sheet: Sheet) -> tuple[Warped, Outline]:
    """A photo on the reduced canvas, encoded 0..1, exposure as it is, and its outline."""
    canvas = sheet.canvas
    box = plan_box(camera, canvas)
    # A hair less than the canvas' scale, so that a JPEG decoded at 1/8 will do, without resizing, also for a photo that lies a hair nearer.
    share = (1 - 1e-4) * enlargement(camera, canvas)
    decoded = extend_colours(photo.reduced(camera.size[0] * camera.size[1] * share**2 / 1e6))
    decoded = dataclasses.replace(decoded, pixels=decoded.pixels.astype(np.float32) * np.float32(1 / full_scale(decoded.pixels.dtype)))
    places = locate(camera, decoded, sheet, box)
    pixels, mask = draw(camera, decoded, places, grading=None, smooth=False)
    pixels[~mask] = 0
    across, down = squared_radii(camera, decoded, places.map_x, places.map_y)
    touched = places.valid.copy()
    _mark_border(camera, canvas, box, touched)
    around = goes_around(box, canvas)
    outline = Outline(box, may=widen(touched, UNSURE, around), must=~widen(~mask, UNSURE, around))
    return Warped(pixels, mask, (box.left, box.top), across + down), outline


def _mark_border(camera: Camera, canvas: Canvas, box: Box, touched: Bools) -> None:
    """Mark the pixels nearest to a photo's border, so that one too thin to be met by any pixel centre is known all the same."""
    x, y = (PROJECTIONS[canvas.projection].locate(border_directions(camera)) * canvas.scale).T
    x, y = x - canvas.left - box.left, y - canvas.top - box.top
    if PROJECTIONS[canvas.projection].cyclic:
        x %= 2 * math.pi * canvas.scale
    known = (np.abs(x) < LARGEST_SIDE) & (np.abs(y) < LARGEST_SIDE)  # not where the surface never shows it
    columns, rows = np.rint(x[known]).astype(np.int64), np.rint(y[known]).astype(np.int64)
    if goes_around(box, canvas):
        columns %= canvas.size[0]
    on = (columns >= 0) & (columns < touched.shape[1]) & (rows >= 0) & (rows < touched.shape[0])
    touched[rows[on], columns[on]] = True


def plan_box(camera: Camera, canvas: Canvas) -> Box:
    """The pixels of a canvas that a photo covers, and a few more around; at least one pixel, also where none is covered.

    On a cyclic canvas its left lies within the canvas.
    """
    seen = footprint(camera, canvas.projection)
    if seen is None:
        return Box(0, 0, 1, 1)
    w, h = canvas.size
    before, after, above, below = _margins(seen, camera, canvas)
    top, bottom = math.floor(seen.top * canvas.scale - canvas.top) - above, math.ceil(seen.bottom * canvas.scale - canvas.top) + below + 1
    top, bottom = max(0, min(top, h - 1)), min(h, max(bottom, 1))
    start = _first_column(seen, canvas)
    left, right = math.floor(start) - before, math.ceil(start + (seen.right - seen.left) * canvas.scale) + after + 1
    if not canvas.wraps:
        if _at_both_ends(seen, start, canvas):
            return Box(0, top, w, bottom)
        return Box(max(0, min(left, w - 1)), top, min(w, max(right, 1)), bottom)
    if seen.full_turn or right - left >= w:
        return Box(0, top, w, bottom)
    return Box(left % w, top, left % w + right - left, bottom)


def _margins(seen: Footprint, camera: Camera, canvas: Canvas) -> tuple[int, int, int, int]:
    """Pixels to look at around a footprint: to the left, to the right, above and below.

    The outer halves of the outermost pixels are at most two of them, unless a small photo is enlarged, or a rim stretched without end:
    one that reaches the horizon of a plane is no number.
    """
    rim = footprint(camera, canvas.projection, beyond=0.5) or seen
    outward = np.array([seen.left - rim.left, rim.right - seen.right, seen.top - rim.top, rim.bottom - seen.bottom])
    if PROJECTIONS[canvas.projection].cyclic:
        outward[:2] = TURN if rim.full_turn else (outward[:2] + math.pi) % TURN - math.pi
    before, after, above, below = (UNSURE + max(2, math.ceil(px)) for px in np.fmin(outward * canvas.scale, max(canvas.size)))
    return before, after, above, below


def _first_column(seen: Footprint, canvas: Canvas) -> float:
    """The column at which a footprint begins; of all turns the one that shows most of it."""
    start = seen.left * canvas.scale - canvas.left
    if not PROJECTIONS[canvas.projection].cyclic:
        return start
    turn, width = TURN * canvas.scale, (seen.right - seen.left) * canvas.scale
    gap = max(0.0, turn - canvas.size[0])  # a photo at the first column may begin a hair before it, but not beyond the middle of the gap
    start = (start + gap / 2) % turn - gap / 2
    before = start - turn  # on a canvas of less than a turn a wide photo may begin far before it
    return before if not canvas.wraps and before + width > max(0.0, min(start + width, canvas.size[0]) - max(0.0, start)) else start


def _at_both_ends(seen: Footprint, start: float, canvas: Canvas) -> bool:
    """Whether a footprint, cut by an end of a canvas of less than a turn, goes round to its other end."""
    if not PROJECTIONS[canvas.projection].cyclic:
        return False
    turn, end = TURN * canvas.scale, start + (seen.right - seen.left) * canvas.scale
    cut = start < -1e-3 or end > canvas.size[0]
    return cut and (end - turn > 0 or start + turn < canvas.size[0])
