"""Full pixels: every photo is decoded once and drawn into the tiles that need it; a tile is finished when its last photo has come.

So memory holds the panorama, two photos, and the tiles along the front between photos that have come and those that have not.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import Executor

import numpy as np
from numpy.typing import NDArray

from compositor.compose.blend import add_bands, collapse, empty_pyramid, enlarging_taps
from compositor.compose.grade import make_grading
from compositor.compose.plan import Plan, gather
from compositor.compose.tiles import TILE, Tile, cut_tiles
from compositor.compose.warp import Box, Sheet, draw, extend_colours, locate
from compositor.encoding import full_scale
from compositor.geometry.views import resolution
from compositor.kernels.tile import choose_owners, compare, finish, place
from compositor.types import Camera, Decoded, Photo, Pixels, Progress

__all__ = ["render"]

Floats = NDArray[np.float32]
Owners = NDArray[np.int16]
_Waiting = dict[Tile, dict[int, "_Piece"]]


@dataclasses.dataclass(frozen=True, eq=False)
class _Piece:
    """A photo's pixels in a part of a tile, graded, in the canvas' units."""

    box: Box
    pixels: Floats
    valid: NDArray[np.bool_]


@dataclasses.dataclass(frozen=True, eq=False)
class _Job:
    """What all tiles share."""

    plan: Plan
    sheet: Sheet
    taps: Floats
    pixels: Pixels
    owner: Owners


def render(
    plan: Plan, cameras: Sequence[Camera], photos: Sequence[Photo], pool: Executor, progress: Progress, *, side: int = TILE
) -> tuple[Pixels, Owners]:
    """Render the panorama that was planned.

    Parameters
    ----------
    plan : Plan
    cameras : sequence of Camera
    photos : sequence of Photo
        One per camera, all of one pixel type.
    pool : Executor
    progress : Progress
    side : int
        Side of a tile, canvas pixels. The result does not depend on it.

    Returns
    -------
    pixels : (h, w, 3) of the photos' type
    owner : (h, w) int16
    """
    width, height = plan.canvas.size
    pixels: Pixels = np.zeros((height, width, 3), photos[0].dtype)
    owner = np.full((height, width), -1, np.int16)
    job = _Job(plan, Sheet.of(plan.canvas), enlarging_taps(plan.factor.bit_length() - 1), pixels, owner)
    order = sorted(range(len(photos)), key=lambda k: (plan.needs[k].box.left, plan.needs[k].box.top, k))
    turn = {k: position for position, k in enumerate(order)}
    tiles_of: dict[int, list[Tile]] = defaultdict(list)
    for tile in cut_tiles(plan, side):
        for k in tile.pieces:
            tiles_of[k].append(tile)
    waiting: _Waiting = {}
    decoding = pool.submit(_decode, photos[order[0]], cameras[order[0]], plan)
    for position, k in enumerate(order):
        decoded = decoding.result()
        if position + 1 < len(order):
            decoding = pool.submit(_decode, photos[order[position + 1]], cameras[order[position + 1]], plan)
        work = [(tile, max(tile.pieces, key=turn.__getitem__) == k) for tile in tiles_of[k]]
        _draw_photo(job, k, cameras[k], decoded, work, waiting, pool)
        progress("render", position + 1, len(order))
    return pixels, owner


def _decode(photo: Photo, camera: Camera, plan: Plan) -> Decoded:
    """A photo's pixels: all of them, or fewer where the canvas shows it much smaller, so that nothing aliases."""
    share = plan.canvas.scale / resolution(camera)
    if share > 0.75:
        return extend_colours(photo.full())
    return extend_colours(photo.reduced(photo.size[0] * photo.size[1] * share**2 / 1e6))


def _draw_photo(
    job: _Job, k: int, camera: Camera, decoded: Decoded, work: Sequence[tuple[Tile, bool]], waiting: _Waiting, pool: Executor
) -> None:
    """Draw a photo into the tiles that need it, and finish those for which it was the last one."""
    grading = make_grading(job.plan.photometry, k, camera, decoded.pixels.dtype)

    def draw_tile(tile: Tile, last: bool) -> None:
        places = locate(camera, decoded, job.sheet, tile.pieces[k])
        # No two threads have the same tile, so none touches another's pieces or pixels.
        pieces = waiting.pop(tile, {}) if last else waiting.setdefault(tile, {})
        pieces[k] = _Piece(tile.pieces[k], *draw(camera, decoded, places, grading=grading, smooth=True))
        if last:
            _finish_tile(job, tile, dict(sorted(pieces.items())))

    for _ in pool.map(draw_tile, *zip(*work, strict=True)):
        pass


def _finish_tile(job: _Job, tile: Tile, pieces: dict[int, _Piece]) -> None:
    """Composite, blend, round and store."""
    if len(pieces) == 1:
        k, piece = pieces.popitem()
        owner = np.where(piece.valid, np.int16(k), np.int16(-1))
        _store(job, piece.box, piece.box, piece.pixels, owner)
        return
    owner, weight_owner = _choose_owners(job, tile, pieces)
    picture = np.zeros((*tile.outer.shape, 3), np.float32)
    for k, piece in pieces.items():
        place(piece.pixels, piece.box.top - tile.outer.top, piece.box.left - tile.outer.left, owner, k, picture)
    if job.plan.bands:
        _blend_fine(job.plan, tile, pieces, picture, owner, weight_owner)
    _store(job, tile.box, tile.outer, picture, owner)


def _store(job: _Job, box: Box, outer: Box, picture: Floats, owner: Owners) -> None:
    """Add the coarse bands to the part of ``outer`` that lies in ``box``, round it and store it on the canvas."""
    white = np.float32(full_scale(job.pixels.dtype))
    correction = _correction(job.plan, box) * white
    frame = np.array([box.top - outer.top, box.left - outer.left, box.top, box.left, *box.shape])
    finish(picture, owner, frame, correction, job.taps, white, job.pixels, job.owner)


def _choose_owners(job: _Job, tile: Tile, pieces: dict[int, _Piece]) -> tuple[Owners, Owners]:
    """Who owns each pixel of a tile, and who would if photos went on beyond their rims."""
    factor, outer = job.plan.factor, tile.outer
    names = np.array(list(pieces), np.int16)
    position = np.full(len(job.plan.needs), -1, np.int16)
    position[names] = np.arange(len(names))
    valid = np.zeros((len(names), *outer.shape), np.bool_)
    for n, piece in enumerate(pieces.values()):
        valid[n][piece.box.within(outer)] = piece.valid
    reduced = Box(outer.left // factor, outer.top // factor, -(-outer.right // factor) + 1, -(-outer.bottom // factor) + 1)
    labels = gather(job.plan.labels, reduced, job.plan.canvas.wraps)
    owner, weight_owner = np.empty(outer.shape, np.int16), np.empty(outer.shape, np.int16)
    choose_owners(labels, factor, position, names, valid, owner, weight_owner)
    return owner, weight_owner


def _blend_fine(plan: Plan, tile: Tile, pieces: dict[int, _Piece], picture: Floats, owner: Owners, weight_owner: Owners) -> None:
    """Add the fine bands to a tile's hard composite, in the box around its seams."""
    levels = min(plan.bands, plan.factor.bit_length() - 1)
    strip = _strip(weight_owner, tile.outer, plan.factor)
    if not levels or not strip:
        return
    at = strip.within(tile.outer)
    sums = empty_pyramid(strip.shape, levels)
    for k, piece in pieces.items():
        if not piece.box.clip(strip) or not (weight_owner[at] == k).any():
            continue
        difference, weight = np.empty((*strip.shape, 3), np.float32), np.empty((*strip.shape, 1), np.float32)
        corners = (strip.top, strip.left, piece.box.top, piece.box.left)
        frame = np.array(corners) - np.array([tile.outer.top, tile.outer.left] * 2)
        compare(piece.pixels, piece.valid, frame, picture, owner, weight_owner, k, difference, weight)
        add_bands(difference, weight, sums, rest=plan.bands <= plan.factor.bit_length() - 1)
    picture[at] += collapse(sums)


def _strip(owner: Owners, outer: Box, factor: int) -> Box | None:
    """The part of a tile that its seams' fine bands reach, on the grid of the coarsest of them."""
    across, down = owner[:, 1:] != owner[:, :-1], owner[1:] != owner[:-1]
    columns = np.flatnonzero(across.any(axis=0)).tolist() + np.flatnonzero(down.any(axis=0)).tolist()
    rows = np.flatnonzero(across.any(axis=1)).tolist() + np.flatnonzero(down.any(axis=1)).tolist()
    if not columns:
        return None
    reach = 4 * factor
    left, top = (outer.left + min(columns) - reach) // factor * factor, (outer.top + min(rows) - reach) // factor * factor
    return Box(left, top, outer.left + max(columns) + reach + 2, outer.top + max(rows) + reach + 2).clip(outer)


def _correction(plan: Plan, box: Box) -> Floats:
    """The reduced correction around a box that begins on a reduced pixel, one pixel more before it and two after; empty for none."""
    if plan.correction is None:
        return np.empty((0, 0, 3), np.float32)
    factor = plan.factor
    reduced = Box(box.left // factor - 1, box.top // factor - 1, -(-box.right // factor) + 3, -(-box.bottom // factor) + 3)
    part = gather(plan.correction, reduced, plan.canvas.wraps)
    return part if part.any() else np.empty((0, 0, 3), np.float32)
