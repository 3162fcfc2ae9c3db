"""Full pixels: tile after tile, each drawn from the photos that it shows, blended, rounded and stored.

Tiles are taken in an order in which few photos are needed at a time. A photo is decoded shortly before its first tile and let go after its
last one, so memory holds the panorama and the photos that meet along one line across it. Where not even those may be held, the photo whose
next tile is farthest off makes room, and is decoded again.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future

import numpy as np
from numpy.typing import NDArray

from compositor.compose.blend import add_bands, collapse, empty_pyramid, enlarging_taps
from compositor.compose.frames import gather, gather_frame
from compositor.compose.memory import Holding
from compositor.compose.opened import Opened, open_for
from compositor.compose.plan import Plan
from compositor.compose.shelf import Shelf
from compositor.compose.strips import seam_strips
from compositor.compose.tiles import BLOCK, Tile, block_starts, cut_tiles, in_order
from compositor.compose.warp import Box, Sheet, draw, locate
from compositor.encoding import full_scale
from compositor.kernels.seam_costs import UNKNOWN
from compositor.kernels.seam_paths import Drawn, lead_seams
from compositor.kernels.tile import choose_owners, compare, finish, place
from compositor.spool import Spool
from compositor.types import Camera, Photo, Pixels, Progress

__all__ = ["render"]

Floats = NDArray[np.float32]
Owners = NDArray[np.int8] | NDArray[np.int16]

LENGTH = 0.05
"""Cost of a pixel of a full-size seam by itself, as much as a colour difference of 0.025 in either pixel: half of what ``seams`` asks for a
pixel that stands for many, since here there are no islands to keep from paying off. Seams wander by 3 % more than before and show 5 to 15 %
less (three scenes, planned at an eighth); at 0.02 by 6 %, and show 1 % less than that."""
AHEAD, FEW_AHEAD = 8, 3
"""Tiles before its first one at which a photo's decoding begins, so that no tile waits for it; and where few photos can be held."""


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
    cameras: Sequence[Camera]
    sheet: Sheet
    taps: Floats
    pixels: Pixels | Spool
    owner: Owners | Spool


def render(
    plan: Plan,
    cameras: Sequence[Camera],
    photos: Sequence[Photo],
    pool: Executor,
    progress: Progress,
    *,
    side: int | None = None,
    holding: Holding = Holding(),  # noqa: B008 - a constant
    let_go: Callable[[int, Future[Opened]], object] | None = None,
) -> tuple[Pixels | Spool, Owners | Spool]:
    """Render the panorama that was planned.

    Parameters
    ----------
    plan : Plan
    cameras : sequence of Camera
    photos : sequence of Photo
        One per camera, all of one pixel type.
    pool : Executor
        Takes up work in the order in which it is handed in.
    progress : Progress
        Told of every tile.
    side : int, optional
        Side of a tile, canvas pixels. The result does not depend on it.
    holding : Holding
        Whether the panorama is held in memory, and how many photos are. The result does not depend on it.
    let_go : callable, optional
        Told of every photo that no later tile needs.

    Returns
    -------
    pixels : (h, w, 3) of the photos' type
    owner : (h, w) int8, of more than 127 photos int16
    """
    width, height = plan.canvas.size
    names = np.dtype(np.int8 if len(photos) <= np.iinfo(np.int8).max else np.int16)
    pixels: Pixels | Spool
    owner: Owners | Spool
    if holding.on_disk:
        pixels, owner = Spool((height, width, 3), photos[0].dtype), Spool((height, width), names, empty=-1)
    else:
        pixels, owner = np.zeros((height, width, 3), photos[0].dtype), np.full((height, width), -1, names)
    job = _Job(plan, cameras, Sheet.of(plan.canvas), enlarging_taps(plan.factor.bit_length() - 1), pixels, owner)
    tiles = in_order(cut_tiles(plan, side), plan, strips=holding.photos is not None)
    ahead = FEW_AHEAD if holding.photos else AHEAD
    shelf = Shelf(
        [tile.pieces for tile in tiles],
        lambda k: pool.submit(open_for, plan.canvas, photos[k], cameras[k], plan.photometry, k),
        holding.photos,
        let_go,
    )
    at_work: deque[Future[None]] = deque()
    for position, tile in enumerate(tiles):
        progress("render", position, len(tiles))
        # Photos are handed in before the tiles that wait for them, so no worker waits for what nobody works on.
        at_work.append(pool.submit(_draw_tile, job, tile, shelf.take(position)))
        shelf.fetch(position + ahead)
        while len(at_work) > ahead:
            at_work.popleft().result()
    while at_work:
        at_work.popleft().result()
    progress("render", len(tiles), len(tiles))
    return pixels, owner


def _draw_tile(job: _Job, tile: Tile, opened: dict[int, Future[Opened]]) -> None:
    """Draw the photos of a tile, composite, blend, round and store it."""
    pieces = {}
    for k, box in tile.pieces.items():
        photo = opened[k].result()
        places = locate(job.cameras[k], photo.decoded, job.sheet, box)
        pieces[k] = _Piece(box, *draw(job.cameras[k], photo.decoded, places, grading=photo.grading, smooth=True))
        _add_offset(job, k, pieces[k])
    _finish_tile(job, tile, pieces)


def _add_offset(job: _Job, k: int, piece: _Piece) -> None:
    """Add to a piece what takes the step out of its photo's seams."""
    if job.plan.offsets is None:
        return
    from compositor.kernels.blend import add_enlarged

    factor, box = job.plan.factor, piece.box
    reduced = Box(box.left // factor - 1, box.top // factor - 1, -(-box.right // factor) + 3, -(-box.bottom // factor) + 3)
    part = gather_frame(job.plan.offsets[k], job.plan.needs[k].box, reduced, job.plan.labels.shape[1], job.plan.canvas.wraps)
    add_enlarged(part, job.taps, box.top % factor, box.left % factor, np.float32(full_scale(job.pixels.dtype)), piece.pixels)


def _feather(plan: Plan, shares: Sequence[Floats], tile: Tile, pieces: dict[int, _Piece], picture: Floats) -> None:
    """Turn a tile's hard composite into the mean of the photos, weighted by their shares."""
    from compositor.kernels.blend import add_feathered, add_means

    factor, sums, totals = plan.factor, np.zeros_like(picture), np.zeros(picture.shape[:2], np.float32)
    for k, piece in pieces.items():
        box = piece.box
        reduced = Box(box.left // factor, box.top // factor, -(-box.right // factor) + 2, -(-box.bottom // factor) + 2)
        share = gather_frame(shares[k], plan.needs[k].box, reduced, plan.labels.shape[1], plan.canvas.wraps)
        corner = (box.top % factor, box.left % factor, box.top - tile.outer.top, box.left - tile.outer.left)
        add_feathered(piece.pixels, piece.valid, share, factor, *corner, picture, sums, totals)
    add_means(sums, totals, picture)


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
    if job.plan.shares is not None:
        _feather(job.plan, job.plan.shares, tile, pieces, picture)
    elif job.plan.bands:
        _blend_fine(job.plan, tile, pieces, picture, owner, weight_owner)
    _store(job, tile.box, tile.outer, picture, owner)


def _store(job: _Job, box: Box, outer: Box, picture: Floats, owner: Owners) -> None:
    """Add the coarse bands to the part of ``outer`` that lies in ``box``, round it and store it on the canvas."""
    white = np.float32(full_scale(job.pixels.dtype))
    correction = _correction(job.plan, box) * white
    start = np.array([box.top - outer.top, box.left - outer.left])
    if isinstance(job.pixels, np.ndarray) and isinstance(job.owner, np.ndarray):
        finish(picture, owner, np.array([*start, box.top, box.left, *box.shape]), correction, job.taps, white, job.pixels, job.owner)
        return
    pixels, owners = np.empty((*box.shape, 3), job.pixels.dtype), np.empty(box.shape, job.owner.dtype)
    finish(picture, owner, np.array([*start, 0, 0, *box.shape]), correction, job.taps, white, pixels, owners)
    region = slice(box.top, box.bottom), slice(box.left, box.right)
    job.pixels[region], job.owner[region] = pixels, owners


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
    settled = gather(job.plan.settled, reduced, job.plan.canvas.wraps)
    if not settled.all():
        _lead_seams(job, outer, pieces, labels, settled, owner, weight_owner)
    return owner, weight_owner


def _lead_seams(
    job: _Job,
    outer: Box,
    pieces: dict[int, _Piece],
    labels: NDArray[np.int16],
    settled: NDArray[np.bool_],
    owner: NDArray[np.int16],
    weight_owner: NDArray[np.int16],
) -> None:
    """Lead the seams in a tile where they cost least at full size."""
    canvas, factor = job.plan.canvas, job.plan.factor
    rows = block_starts(outer.top, outer.bottom, canvas.size[1], BLOCK * factor, wraps=False)
    columns = block_starts(outer.left, outer.right, canvas.size[0], BLOCK * factor, wraps=canvas.wraps)
    white = full_scale(job.pixels.dtype)
    length, unknown = np.float32(LENGTH * white), np.float32(UNKNOWN * white)
    drawn = {k: Drawn(piece.pixels, piece.valid, piece.box.top - outer.top, piece.box.left - outer.left) for k, piece in pieces.items()}
    for a, b in itertools.combinations(pieces, 2):
        if pieces[a].box.clip(pieces[b].box):
            names = np.array([a, b], np.int16)
            lead_seams(names, labels, settled, factor, rows, columns, drawn[a], drawn[b], length, unknown, owner, weight_owner)


def _blend_fine(plan: Plan, tile: Tile, pieces: dict[int, _Piece], picture: Floats, owner: Owners, weight_owner: Owners) -> None:
    """Add the fine bands to a tile's hard composite, in strips along its seams."""
    levels = min(plan.bands, plan.factor.bit_length() - 1)
    if not levels:
        return
    blended = []
    for strip in seam_strips(weight_owner, tile.outer, plan.factor):
        sums = empty_pyramid(strip.outer.shape, levels)
        at = strip.outer.within(tile.outer)
        for k, piece in pieces.items():
            if not piece.box.clip(strip.outer) or not (weight_owner[at] == k).any():
                continue
            difference, weight = np.empty((*strip.outer.shape, 3), np.float32), np.empty((*strip.outer.shape, 1), np.float32)
            corners = (strip.outer.top, strip.outer.left, piece.box.top, piece.box.left)
            frame = np.array(corners) - np.array([tile.outer.top, tile.outer.left] * 2)
            compare(piece.pixels, piece.valid, frame, picture, owner, weight_owner, k, difference, weight)
            add_bands(difference, weight, sums)
        blended.append((strip.box.within(tile.outer), collapse(sums)[strip.box.within(strip.outer)]))
    # Only now, since strips overlap by what they need of each other's hard composite.
    for at, bands in blended:
        picture[at] += bands


def _correction(plan: Plan, box: Box) -> Floats:
    """The reduced correction around a box that begins on a reduced pixel, one pixel more before it and two after; empty for none."""
    if plan.correction is None:
        return np.empty((0, 0, 3), np.float32)
    factor = plan.factor
    reduced = Box(box.left // factor - 1, box.top // factor - 1, -(-box.right // factor) + 3, -(-box.bottom // factor) + 3)
    part = gather(plan.correction, reduced, plan.canvas.wraps)
    return part if part.any() else np.empty((0, 0, 3), np.float32)
