"""Blending in the gradient domain: every photo gets a smooth correction that takes the step out of its seams.

Pérez, Gangnet and Blake, «Poisson image editing», SIGGRAPH 2003, look for the picture whose gradients come nearest to the photos'. Written
for what has to be added to the hard composite (Agarwala, «Efficient gradient-domain compositing using quadtrees», SIGGRAPH 2007), that is
a correction c with no gradient inside of a photo's part, and with c_i - c_j = p_b - p_a across a seam from pixel i of photo a to pixel j of
photo b: there the mean of both photos' gradients is wanted. c is smooth but at the seams, where it steps as much as the photos do; so every
photo's part of it can be found on the reduced canvas, enlarged, and added to the photo before anything else is done (as in Szeliski,
Uyttendaele and Steedly, «Fast Poisson blending using multi-splines», ICCP 2011). What finer detail differs in is left to the fine bands.

How much two photos differ at a seam is averaged over a few pixels that both have and neither has burnt out: where a highlight ends, a
photo's level says nothing, and a correction by it would spread as a halo. Where nothing is known, a seam ties nothing together. A weak
pull to zero decides about what seams leave open, the level of the whole. What is burnt out stays white at full size.

The equations are solved by conjugate gradients, preconditioned by one V-cycle of multigrid whose coarser grids put four pixels into one.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from compositor.compose.frames import frame_of, gather, goes_around
from compositor.compose.overlaps import SATURATED, overlaps
from compositor.compose.warp import Box
from compositor.compose.warped import Warped
from compositor.kernels.poisson import gather_fours, multiply, relax, scatter_fours
from compositor.types import Canvas

__all__ = ["poisson_offsets"]

Floats = NDArray[np.float32]

PULL = 0.25
"""Of the inverse of the canvas' longer side: how strongly corrections are pulled to zero. A correction of a whole canvas' width loses some
per cent on the way across."""
PRECISE = 1e-4
"""Of the first residual; what remains is far below a level of 8 bits."""
MOST_STEPS = 60
SMALLEST = 4
"""Pixels a side of the grid that is not made coarser."""
SWEEPS = 10
"""Over that grid, each with its mirror image."""
SMOOTHING = np.array([1, 4, 6, 4, 1], np.float32) / 16


@dataclasses.dataclass(frozen=True, eq=False)
class _Grid:
    """The weights of one level, as ``kernels/poisson.py`` describes them."""

    right: Floats
    down: Floats
    anchor: Floats


@dataclasses.dataclass(frozen=True, eq=False)
class _Ties:
    """What seams ask for: weights, and the steps wanted from a pixel to the next, (H, W, 3)."""

    right: Floats
    down: Floats
    step_right: Floats
    step_down: Floats


def poisson_offsets(warped: Sequence[Warped], labels: NDArray[np.int16], canvas: Canvas) -> list[Floats]:
    """What has to be added to every photo so that it meets its neighbours without a step.

    Parameters
    ----------
    warped : sequence of Warped
        Exposures matched.
    labels : (H, W) int16
        Owner of every reduced pixel; every pixel has one.
    canvas : Canvas
        The reduced one.

    Returns
    -------
    list of (h, w, 3) float32
        In units of full scale, one in each photo's frame; beyond the photo's own part it goes on with the nearest value.
    """
    covered = np.zeros(labels.shape, np.bool_)
    for k, photo in enumerate(warped):
        frame = frame_of(photo)
        rows, columns = np.nonzero(photo.mask & (gather(labels, frame, canvas.wraps) == k))
        covered[rows + frame.top, (columns + frame.left) % canvas.size[0]] = True
    ties = tie_pixels(warped, labels, covered, canvas)
    anchor = np.full(labels.shape, (PULL / max(labels.shape)) ** 2, np.float32)
    wanted = divergence(ties)
    correction = solve(_Grid(ties.right, ties.down, anchor), wanted) if wanted.any() else np.zeros_like(wanted)
    return [spread_offset(correction, covered, labels, k, photo, canvas) for k, photo in enumerate(warped)]


def tie_pixels(warped: Sequence[Warped], labels: NDArray[np.int16], covered: NDArray[np.bool_], canvas: Canvas) -> _Ties:
    """Ties between neighbouring pixels: no step inside of a photo's part, that of the photos across a seam."""
    h, w = labels.shape
    after, below = np.roll(labels, -1, axis=1), np.roll(labels, -1, axis=0)
    both_right, both_down = covered & np.roll(covered, -1, axis=1), covered & np.roll(covered, -1, axis=0)
    if not canvas.wraps or w == 1:
        both_right[:, -1] = False
    both_down[-1] = False
    ties = _Ties(
        (both_right & (labels == after)).astype(np.float32),
        (both_down & (labels == below)).astype(np.float32),
        np.zeros((h, w, 3), np.float32),
        np.zeros((h, w, 3), np.float32),
    )
    meeting = set()
    for seam, other in ((both_right & (labels != after), after), (both_down & (labels != below), below)):
        meeting |= {(min(a, b), max(a, b)) for a, b in set(zip(labels[seam].tolist(), other[seam].tolist(), strict=True))}
    for a, b in sorted(meeting):
        for part_a, part_b in overlaps(warped[a], warped[b], w, canvas.wraps):
            difference, known = local_difference(warped[a], warped[b], part_a, part_b)
            corner = (warped[a].corner[0] + part_a[1].start, warped[a].corner[1] + part_a[0].start)
            tie_seam((a, b), difference, known, corner, labels, covered, canvas, ties)
    return ties


def local_difference(
    first: Warped, second: Warped, part_first: tuple[slice, slice], part_second: tuple[slice, slice]
) -> tuple[Floats, NDArray[np.bool_]]:
    """Second minus first photo, averaged over a few pixels, and where that is known."""
    a, b = first.pixels[part_first], second.pixels[part_second]
    both = first.mask[part_first] & second.mask[part_second] & (np.maximum(a, b).max(axis=2) < SATURATED)
    weight = both.astype(np.float32)
    sums = np.concatenate([(b - a) * weight[..., None], weight[..., None]], axis=2)
    sums = np.asarray(cv2.sepFilter2D(np.ascontiguousarray(sums), -1, SMOOTHING, SMOOTHING, borderType=cv2.BORDER_CONSTANT))
    # A pixel alone counts with the weight of its corner at least.
    known = sums[..., 3] > 0.5 * SMOOTHING[0] ** 2
    return np.asarray(sums[..., :3] / np.where(known, sums[..., 3], 1)[..., None], np.float32), known


def tie_seam(
    pair: tuple[int, int],
    difference: Floats,
    known: NDArray[np.bool_],
    corner: tuple[int, int],
    labels: NDArray[np.int16],
    covered: NDArray[np.bool_],
    canvas: Canvas,
    ties: _Ties,
) -> None:
    """Tie the pixels on both sides of two photos' seam, where their difference is known at one of them."""
    (height, width), (a, b) = labels.shape, pair
    box = Box(*corner, corner[0] + known.shape[1], corner[1] + known.shape[0]).grow(1)
    weight = np.pad(known.astype(np.float32), 1)
    values = np.pad(difference, ((1, 1), (1, 1), (0, 0))) * weight[..., None]
    rows, columns = np.arange(box.top, box.bottom), np.arange(box.left, box.right)
    exists = ((rows >= 0) & (rows < height))[:, None] & (canvas.wraps | ((columns >= 0) & (columns < width)))
    mine, there = gather(labels, box, canvas.wraps), gather(covered, box, canvas.wraps) & exists
    for here, next_, right, step in (
        ((slice(None), slice(None, -1)), (slice(None), slice(1, None)), ties.right, ties.step_right),
        ((slice(None, -1), slice(None)), (slice(1, None), slice(None)), ties.down, ties.step_down),
    ):
        total = weight[here] + weight[next_]
        forth, back = (mine[here] == a) & (mine[next_] == b), (mine[here] == b) & (mine[next_] == a)
        at = np.nonzero((forth | back) & there[here] & there[next_] & (total > 0))
        y, x = at[0] + box.top, (at[1] + box.left) % width
        right[y, x] = 1
        mean = (values[here][at] + values[next_][at]) / total[at][:, None]
        step[y, x] = np.where(forth[at][:, None], mean, -mean)


def divergence(ties: _Ties) -> Floats:
    """What the equations' right side is."""
    across, down = ties.step_right * ties.right[..., None], ties.step_down * ties.down[..., None]
    return (across - np.roll(across, 1, axis=1)) + (down - np.roll(down, 1, axis=0))


def spread_offset(
    correction: Floats, covered: NDArray[np.bool_], labels: NDArray[np.int16], k: int, photo: Warped, canvas: Canvas
) -> Floats:
    """A photo's part of the correction, and beyond it the nearest value of it."""
    frame = frame_of(photo)
    part = gather(correction, frame, canvas.wraps)
    own = gather(covered, frame, canvas.wraps) & (gather(labels, frame, canvas.wraps) == k)
    if own.all():
        return part
    if not own.any():
        return np.zeros_like(part)
    w, around = own.shape[1], goes_around(frame, canvas)
    part, own = (np.concatenate([x, x, x], axis=1) if around else x for x in (part, own))
    _, nearest = cv2.distanceTransformWithLabels((~own).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    values = np.zeros((int(nearest.max()) + 1, 3), np.float32)
    values[nearest[own]] = part[own]
    return np.ascontiguousarray(values[nearest][:, w : 2 * w] if around else values[nearest])


def solve(grid: _Grid, wanted: Floats) -> Floats:
    """The correction that the equations ask for, (H, W, 3), by preconditioned conjugate gradients for each channel."""
    levels = [grid]
    while max(levels[-1].right.shape) > SMALLEST:
        levels.append(coarser(levels[-1]))
    x, rest = np.zeros_like(wanted), wanted.copy()
    old, product = np.empty_like(wanted), np.empty_like(wanted)
    direction = step = precondition(levels, rest)
    worth, first = dots(rest, step), dots(rest, rest)
    for _ in range(MOST_STEPS):
        multiply(grid.right, grid.down, grid.anchor, direction, product)
        length = worth / np.maximum(dots(direction, product), np.finfo(np.float64).tiny)
        x += direction * length.astype(np.float32)
        old[:] = rest
        rest -= product * length.astype(np.float32)
        if (dots(rest, rest) <= PRECISE**2 * first).all():
            break
        step = precondition(levels, rest)
        # Polak and Ribière's form forgives a preconditioner that is not quite symmetric, as sweeps around an odd circle are not.
        turn = (dots(rest, step) - dots(old, step)) / np.maximum(worth, np.finfo(np.float64).tiny)
        worth = dots(rest, step)
        direction = step + direction * turn.astype(np.float32)
    return x


def dots(first: Floats, second: Floats) -> NDArray[np.float64]:
    """Inner product of each channel; not by BLAS, whose sums depend on the number of threads."""
    return np.asarray((first * second).sum(axis=(0, 1), dtype=np.float64))


def coarser(grid: _Grid) -> _Grid:
    """The grid with four pixels in one. Between its pixels lie twice as many fine ones as ties count, so ties get half their sum."""
    h, w = grid.right.shape
    right = pairs(grid.right[:, np.minimum(np.arange(1, w + 1, 2), w - 1)], axis=0) / 2
    down = pairs(grid.down[np.minimum(np.arange(1, h + 1, 2), h - 1)], axis=1) / 2
    if right.shape[1] == 1:
        right = np.zeros_like(right)  # the only column's other neighbour is itself
    return _Grid(np.ascontiguousarray(right), np.ascontiguousarray(down), pairs(pairs(grid.anchor, axis=0), axis=1))


def pairs(values: Floats, *, axis: int) -> Floats:
    """Sums of two neighbours along an axis; a last one may be alone."""
    return np.add.reduceat(values, np.arange(0, values.shape[axis], 2), axis=axis)


def precondition(levels: Sequence[_Grid], rest: Floats) -> Floats:
    """Roughly the correction whose equations have ``rest`` at their right side: one V-cycle."""
    grid, x = levels[0], np.zeros_like(rest)
    weights = (grid.right, grid.down, grid.anchor)
    if len(levels) == 1:
        for _ in range(SWEEPS):
            relax(*weights, rest, x, 0)
            relax(*weights, rest, x, 1)
        return x
    relax(*weights, rest, x, 0)
    product = np.empty_like(rest)
    multiply(*weights, x, product)
    coarse = np.empty((*levels[1].right.shape, 3), np.float32)
    gather_fours(rest - product, coarse)
    scatter_fours(precondition(levels[1:], coarse), x)
    relax(*weights, rest, x, 1)
    return x
