"""Tiles of the canvas, and which photo each of them waits for.

A tile is rendered with a margin as wide as the fine bands reach, cut off at the canvas' edges but not where it wraps. Everything that is
computed in it depends on positions on the canvas only, so the result does not depend on how the canvas is cut: seams are led through
blocks, which tiles hold whole.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from compositor.compose.needs import Need
from compositor.compose.plan import Plan
from compositor.compose.warp import Box

__all__ = ["BLOCK", "MARGIN", "Tile", "block_starts", "cut_tiles", "in_order", "tile_side"]

LEAST, MARGINS = 512, 8
"""Sides of a tile: so many canvas pixels at least, and at least so many times the margin around it."""
MARGIN = 4
"""Reduced pixels that fine bands reach beyond a tile."""
BLOCK = MARGIN
"""Side of a block, reduced pixels: the margin holds whole blocks."""


@dataclasses.dataclass(frozen=True, eq=False)
class Tile:
    """One piece of work.

    Parameters
    ----------
    box : Box
        The canvas pixels it delivers.
    outer : Box
        Those it computes with.
    pieces : dict of int to Box
        The part of ``outer`` where each photo may be needed, by the photo's index, ascending. A single one begins on a reduced pixel.
    """

    box: Box
    outer: Box
    pieces: dict[int, Box]


def tile_side(factor: int) -> int:
    """The side of a tile, canvas pixels, by how many of them make a reduced pixel."""
    return max(LEAST, MARGINS * MARGIN * factor)


def cut_tiles(plan: Plan, side: int | None = None) -> list[Tile]:
    """Cut a canvas into tiles, left to right, top to bottom.

    Parameters
    ----------
    plan : Plan
    side : int, optional
        Of a tile, canvas pixels; rounded up to whole blocks. By default as ``tile_side`` says.

    Returns
    -------
    list of Tile
        Those that some photo may reach.
    """
    factor, (width, height) = plan.factor, plan.canvas.size
    block = BLOCK * factor
    side = -(-(side or tile_side(factor)) // block) * block
    margin = MARGIN * factor if plan.bands > 0 else 0
    tiles = []
    for top in range(0, height, side):
        for left in range(0, width, side):
            box = Box(left, top, min(left + side, width), min(top + side, height))
            grown = box.grow(margin)
            outer = _whole_turn(grown, plan) if plan.canvas.wraps else grown.clip(Box(0, 0, width, height))
            pieces = {k: piece for k, need in enumerate(plan.needs) if (piece := _piece(need, plan, outer))}
            if len(pieces) == 1:  # nothing to blend: no margin, and only the part that the photo fills
                outer = box
                aligned = {k: _align(piece, factor).clip(box) for k, piece in pieces.items()}
                pieces = {k: piece for k, piece in aligned.items() if piece}
            if pieces:
                tiles.append(Tile(box, outer, pieces))
    return tiles


def in_order(tiles: list[Tile], plan: Plan, *, strips: bool) -> list[Tile]:
    """Tiles in the order in which they are rendered.

    Parameters
    ----------
    tiles : list of Tile
    plan : Plan
    strips : bool
        Whether few photos can be held at a time. Without, tiles go along the shorter side of the canvas first, and photos stay open
        while they meet the line on which the work has arrived. In strips as wide as a photo, fewer do, but most are opened in two strips.

    Returns
    -------
    list of Tile
    """
    width, height = plan.canvas.size
    axis = 0 if width >= height else 1
    breadth = max(1, int(np.median([need.box[axis + 2] - need.box[axis] for need in plan.needs])) * plan.factor) if strips else 1
    return sorted(tiles, key=lambda tile: (tile.box[axis] // breadth, tile.box[1 - axis], tile.box[axis]))


def block_starts(start: int, end: int, size: int, side: int, *, wraps: bool) -> NDArray[np.int64]:
    """Where the blocks of a tile begin, from its own start on, and where the last one ends, along one axis.

    On a canvas that wraps they begin anew with each turn, after a last one that may be narrower.
    """
    turns = range(start // size, -(-end // size)) if wraps else (0,)
    starts = np.concatenate([np.arange(turn * size, (turn + 1) * size, side) for turn in turns])
    return np.append(starts[(starts >= start) & (starts < end)], end) - start


def _whole_turn(grown: Box, plan: Plan) -> Box:
    """A tile's outer box on a canvas that wraps, wide enough to hold whole blocks."""
    block, (width, height) = BLOCK * plan.factor, plan.canvas.size
    left, right = grown.left % width, grown.right % width
    left = grown.left - left % block
    right = grown.right + min(-right % block, -right % width)
    return Box(left, max(grown.top, 0), right, min(grown.bottom, height))


def _align(box: Box, factor: int) -> Box:
    """A box that begins on a reduced pixel."""
    return Box(box.left // factor * factor, box.top // factor * factor, box.right, box.bottom)


def _piece(need: Need, plan: Plan, outer: Box) -> Box | None:
    """The part of a tile where a photo may be needed."""
    factor, w = plan.factor, plan.labels.shape[1]
    # Reduced pixels whose neighbourhood touches the tile.
    reduced = Box(outer.left // factor, outer.top // factor, -(-outer.right // factor) + 1, -(-outer.bottom // factor) + 1)
    found: list[Box] = []
    first, last = (reduced.left - need.box.right) // w, (reduced.right - need.box.left) // w
    for turn in range(first, last + 1) if plan.canvas.wraps else (0,):
        here = Box(need.box.left + turn * w, need.box.top, need.box.right + turn * w, need.box.bottom)
        common = reduced.clip(here)
        if not common:
            continue
        mask = need.mask[common.within(here)]
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        if len(rows):
            left, top = common.left + int(columns[0]), common.top + int(rows[0])
            right, bottom = common.left + int(columns[-1]), common.top + int(rows[-1])
            found.append(Box((left - 1) * factor + 1, (top - 1) * factor + 1, (right + 1) * factor, (bottom + 1) * factor))
    if not found:
        return None
    whole = Box(min(b.left for b in found), min(b.top for b in found), max(b.right for b in found), max(b.bottom for b in found))
    return whole.clip(outer) or None
