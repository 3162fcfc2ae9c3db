"""What parallax leaves apart at a seam, closed: optical flow between two pictures, full at the seam and faded out behind it.

The flow is found by dense inverse search (Kroeger, Timofte, Dai and Van Gool, «Fast optical flow using dense inverse search», ECCV 2016) on
gray pictures of one tone. It is believed where going there and back ends where it began, and where it makes the pictures agree better;
elsewhere it is filled in from there. Geometry at the seam becomes that of the reference; behind it the new picture goes
over into its own, no faster than a gentle stretch.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from compositor.compose.layers import Layers

__all__ = ["close_gaps", "close_gaps_both_ways", "warp_by"]

Floats = NDArray[np.float32]
Box = tuple[slice, slice]

TILE, SHARED, SMALLEST = 320, 64, 16
"""Pixels that the flow is looked for in at a time, that neighbours of such tiles share, where one fades into the other, and that a
tile has at least."""
CONTEXT = 16
"""Pixels beside what is bent that the flow may look at."""
REACH, STRETCH = 8.0, 3.0
"""The flow has faded out this many px behind the seam, and this many more for each px of its size."""
LISTED = 1 << 14
"""Pixels that are drawn at a time."""
FARTHEST = 48.0
"""The flow has faded out at least after as many px."""
RETURNS = 0.7
"""Going there and back may end as many px, and a tenth of the way, from where it began."""
BETTER = 0.8
"""Of the difference between the pictures, squared, what may at most be left where the flow is believed."""
SMOOTH, WINDOW = 5.0, 5.0
"""Standard deviations, px, over which the flow is smoothed and differences are averaged."""
ENOUGH = 0.25
"""Share of believed pixels around one, below which the flow there becomes smaller."""
LEAST = 0.15
"""Flows that are smaller everywhere, px, are not worth the blur of drawing the picture again."""


def close_gaps(layers: Layers) -> Floats:
    """Where the pixels of ``new`` are to be taken from, so that it continues ``reference`` across the seam.

    Parameters
    ----------
    layers : Layers
        Of one tone.

    Returns
    -------
    (h, w, 2) float32
        To be added to x and y, px; zero away from the seam, outside ``owner``, and where nothing is gained.
    """
    return _close(layers, 1)[0]


def close_gaps_both_ways(layers: Layers) -> tuple[Floats, Floats]:
    """What ``close_gaps`` finds, and where ``reference`` shows what ``new`` then does.

    Parameters
    ----------
    layers : Layers
        Of one tone.

    Returns
    -------
    flow : (h, w, 2) float32
        As from ``close_gaps``.
    back : (h, w, 2) float32
        To be added to x and y, px: from nothing at the seam to the whole way to the place in ``reference`` of what ``new`` shows. Zero
        outside ``owner`` and where the flow is not looked for.
    """
    flow, back = _close(layers, 2)
    return flow, back


def _close(layers: Layers, ways: int) -> list[Floats]:
    """The flow and, of two ways, the way back."""
    shape = layers.owner.shape
    flows = [np.zeros((*shape, 2), np.float32) for _ in range(ways)]
    ring = layers.overlap & (layers.inside <= FARTHEST) & (layers.outside <= FARTHEST / 2)
    sums = [np.zeros_like(flow) for flow in flows]
    totals = [np.zeros(shape, np.float32) for _ in range(ways)]
    for corner, box in _tiles(ring):
        _add_flow(layers, ring, corner, box, sums, totals)
    size = 0.0
    for way, flow in enumerate(flows):
        places = np.nonzero(ring & (totals[way] > 0) & layers.owner)
        if not len(places[0]):
            break
        total, inside = totals[way][places][:, None], layers.inside[places]
        found = sums[way][places] / np.maximum(total, ENOUGH)
        near = inside <= REACH
        if way == 0:
            size = float(np.sqrt((found[near] ** 2).sum(axis=1).mean(dtype=np.float64))) if near.any() else 0.0
        if size < LEAST:
            break
        left = 1 - np.clip(inside / min(REACH + STRETCH * size, FARTHEST), 0, 1)
        left = left * left * (3 - 2 * left)
        flow[places] = found * (left if way == 0 else 1 - left)[:, None]
    return flows


def warp_by(flow: Floats, picture: Floats, out: Floats | None = None) -> Floats:
    """A picture (h, w, 3) taken from where a flow (h, w, 2) says, px; the same to the bit where the flow is zero.

    With ``out``, which may be the picture, only the other pixels are written, there.
    """
    y, x = np.nonzero((flow[..., 0] != 0) | (flow[..., 1] != 0))
    drawn = []
    for part in range(0, len(y), LISTED):
        at = y[part : part + LISTED], x[part : part + LISTED]
        to = flow[at] + np.column_stack([at[1], at[0]]).astype(np.float32)
        drawn.append(cv2.remap(picture, to[:, None], None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)[:, 0])
    out = picture.copy() if out is None else out
    if drawn:
        out[y, x] = np.concatenate(drawn)
    return out


def _tiles(ring: NDArray[np.bool_]) -> list[tuple[tuple[int, int], Box]]:
    """Overlapping tiles that hold all of the ring: where each begins, and the part of it around what it holds."""
    boxes, step = [], TILE - SHARED
    height, width = ring.shape
    for top in range(0, max(height - SHARED, 1), step):
        for left in range(0, max(width - SHARED, 1), step):
            tile = ring[top : top + TILE, left : left + TILE]
            rows, columns = np.flatnonzero(tile.any(axis=1)), np.flatnonzero(tile.any(axis=0))
            if len(rows):
                down = slice(top + max(int(rows[0]) - CONTEXT, 0), top + min(int(rows[-1]) + 1 + CONTEXT, tile.shape[0]))
                across = slice(left + max(int(columns[0]) - CONTEXT, 0), left + min(int(columns[-1]) + 1 + CONTEXT, tile.shape[1]))
                boxes.append(((top, left), (down, across)))
    return boxes


def _add_flow(layers: Layers, ring: NDArray[np.bool_], corner: tuple[int, int], box: Box, sums: list[Floats], totals: list[Floats]) -> None:
    """Add a tile's smoothed flow, each way, times how sure it is to ``sums``, and how sure it is to ``totals``; less towards its rim."""
    first, second = _gray(layers, box)
    if min(first.shape) < SMALLEST or np.array_equal(first, second):
        return
    there, back = _search(first, second), _search(second, first)
    share = _share(corner[0], box[0], ring.shape[0])[:, None] * _share(corner[1], box[1], ring.shape[1])
    ways = (first, second, there, back), (second, first, back, there)
    for way, total, weighed in zip(ways, totals, sums, strict=False):
        sure = _believe(*way) * ring[box]
        total[box] += _blur(sure, SMOOTH) * share
        weighed[box] += _blur(way[2] * sure[..., None], SMOOTH) * share[..., None]


def _share(begin: int, side: slice, length: int) -> Floats:
    """How much a tile counts along one of its sides: less where another goes on; together all count 1."""
    place = np.arange(side.start, side.stop)
    rise = (place - begin + 0.5) / SHARED if begin else np.ones(len(place))
    fall = (begin + TILE - place - 0.5) / SHARED if begin + TILE < length else np.ones(len(place))
    return np.asarray(np.clip(np.minimum(rise, fall), 0, 1), np.float32)


def _gray(layers: Layers, box: Box) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Both pictures in gray; where one has nothing it continues with the other, so that nothing moves there."""
    first, second = (
        np.clip(cv2.cvtColor(np.ascontiguousarray(picture[box]), cv2.COLOR_RGB2GRAY) * 255 + 0.5, 0, 255).astype(np.uint8)
        for picture in (layers.reference, layers.new)
    )
    reference_valid, new_valid = layers.reference_valid[box], layers.new_valid[box]
    return np.where(reference_valid, first, second), np.where(new_valid, second, first)


def _search(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> Floats:
    """Where the pixels of the first picture are in the second: (h, w, 2), px."""
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)  # slower ones, measured behind all that follows, gain nothing
    search.setFinestScale(1)
    search.setVariationalRefinementIterations(0)
    return np.asarray(search.calc(first, second, None), np.float32)


def _believe(first: NDArray[np.uint8], second: NDArray[np.uint8], there: Floats, back: Floats) -> Floats:
    """How sure the flow is, 0 or 1, at every pixel."""
    y, x = np.indices(first.shape, np.float32)
    to_x, to_y = x + there[..., 0], y + there[..., 1]
    end = there + cv2.remap(back, to_x, to_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    returns = np.hypot(end[..., 0], end[..., 1]) < RETURNS + 0.1 * np.hypot(there[..., 0], there[..., 1])
    one, other = first.astype(np.float32), second.astype(np.float32)
    moved = cv2.remap(other, to_x, to_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    before, after = _blur((one - other) ** 2, WINDOW), _blur((one - moved) ** 2, WINDOW)
    return np.asarray(returns & (after < BETTER * before), np.float32)


def _blur(picture: Floats, sigma: float) -> Floats:
    """Gaussian blur by some standard deviation, px."""
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE), np.float32)
