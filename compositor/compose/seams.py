"""Where one photo ends and the next begins.

Every pixel of the canvas is given to one photo that has it. First to the one in which it lies deepest; that alone is the
«voronoi» method. «graphcut» then moves the seams to where the photos agree, by expansion moves (Boykov, Veksler and Zabih, «Fast
approximate energy minimization via graph cuts», PAMI 2001): each photo in turn takes, of all pixels it covers, the set that
lowers the energy most, which is a minimum cut. The energy is written down in ``kernels/seam_costs.py``.

Large canvases are solved small first; on the next larger canvas only pixels near the seams found may still change hands
(Lombaert et al., «A multilevel banded graph cuts method for fast image segmentation», ICCV 2005).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from concurrent.futures import Executor

import cv2
import numpy as np
from numpy.typing import NDArray

from compositor.compose.warped import Warped, border_distance
from compositor.kernels import maxflow, seam_costs
from compositor.options import SeamMethod

__all__ = ["find_seams", "room_of", "seam_cost", "spread_labels"]

LENGTH = 0.1
"""Cost of a pixel of seam by itself, as much as a colour difference of 0.05 in either pixel. Keeps seams short where the photos agree
everywhere, and islands of a few pixels from paying off where three photos disagree: at 0.02 a few are left in pictures of trees from a
drone, here hardly any, for 0.4 % more colour difference along the seams of fourteen scenes."""
GRADIENT = 0.25
"""Weight of the photos' own steps across a seam: an edge of 0.4 that both photos show alike counts as much as a colour difference
of 0.1, since the full-size photos may disagree there by less than this canvas shows."""
BORDER = 0.3
"""What a pixel of seam may cost more for keeping ``ROOM`` away from the photos' borders instead of following one: a colour
difference of 0.15, which a blend hides badly. At 0.1 photos that their neighbours cover are cut to slivers, at 1 seams
detour around corners through the middle of things."""
ROOM = 0.1
"""How far from a border a seam has all the room it needs, in short sides of the photo's frame."""
FLATTENING = 8.0
"""How fast depth falls with reluctance: half a unit, that of a pixel that others vote out, leaves 2 % of it."""
SWEEPS = 2
"""Turns of every photo on the smallest canvas. One finds what six find wherever only two photos overlap."""
SMALLEST = 20_000
"""The canvas is halved until no photo's frame has more pixels than this."""
BAND = 10
"""How far a seam may move on the next larger canvas, px. Of what the full problem gains over «voronoi» 6 leaves 4 %, 10 leaves 2 %,
for 1.3 times the time (fourteen scenes of two or three photos)."""


@dataclasses.dataclass(frozen=True, eq=False)
class _Layers:
    """All photos of a canvas as the kernels take them; described in ``kernels/seam_costs.py``."""

    colours: NDArray[np.float32]
    depths: NDArray[np.float32]
    frames: NDArray[np.int64]
    costs: NDArray[np.int32]
    shape: tuple[int, int]
    wraps: bool
    weights: NDArray[np.float64]


def find_seams(
    warped: Sequence[Warped], size: tuple[int, int], *, wraps: bool, method: SeamMethod, pool: Executor | None = None
) -> NDArray[np.int16]:
    """Decide which photo owns each pixel of the canvas.

    Parameters
    ----------
    warped : sequence of Warped
        At least one photo, each within the canvas and no wider than it.
    size : (int, int)
        Width and height of the canvas, px.
    wraps : bool
        The right edge of the canvas continues at the left one.
    method : «graphcut» or «voronoi»
        Along pixels where the photos agree, or where they lie equally deep inside both photos.
    pool : Executor, optional
        Works on photos that do not touch at the same time. The result does not depend on it.

    Returns
    -------
    (h, w) int16
        Index of the owner, which has the pixel; -1 where no photo has.
    """
    levels = [(size, [_unrolled(photo, size[0], wraps) for photo in warped])]
    while method == "graphcut" and max(photo.mask.size for photo in levels[-1][1]) > SMALLEST:
        levels.append(_halved(*levels[-1]))
    small_size, small_photos = levels.pop()
    smallest = _layers(small_size, small_photos, wraps)
    labels = _deepest(smallest, small_photos)
    if method == "voronoi":
        return labels
    _expand(smallest, labels, np.ones(smallest.shape, np.bool_), SWEEPS, pool)
    for level_size, photos in reversed(levels):
        layers = _layers(level_size, photos, wraps)
        coarse, labels = labels, _deepest(layers, photos)
        seam_costs.refine_labels(coarse, layers.depths, layers.frames, labels)
        near = np.zeros(layers.shape, np.bool_)
        seam_costs.near_seams(labels, wraps, BAND, near)
        _expand(layers, labels, near, 1, pool)
    return labels


def room_of(mask: NDArray[np.bool_]) -> float:
    """How deep within a photo a seam has all the room it needs, px, by where the photo has pixels, (h, w) bool."""
    # At least two pixels: the first pixel inside has depth 1 and must be dearer than those behind it.
    return float(max(2.0, ROOM * min(mask.shape)))


def spread_labels(labels: NDArray[np.int16], wraps: bool) -> NDArray[np.int16]:
    """Labels whose empty pixels (-1) got the label of the nearest other one, so that every pixel has one."""
    if not (labels < 0).any():
        return labels
    if (labels < 0).all():
        return np.zeros_like(labels)
    w = labels.shape[1]
    around = np.concatenate([labels, labels, labels], axis=1) if wraps else labels
    _, nearest = cv2.distanceTransformWithLabels((around < 0).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    known = np.zeros(int(nearest.max()) + 1, np.int16)
    known[nearest[around >= 0]] = around[around >= 0]
    return np.ascontiguousarray(known[nearest][:, w : 2 * w] if wraps else known[nearest])


def seam_cost(warped: Sequence[Warped], labels: NDArray[np.int16], *, wraps: bool) -> float:
    """The energy that «graphcut» lowers.

    Parameters
    ----------
    warped, wraps : as for ``find_seams``
    labels : (h, w) int16
        Index of each pixel's owner, -1 for nobody.

    Returns
    -------
    float
        Sum over all seams of the colour difference in 0..1, with what is added to it, and the cost of owning pixels near a border.
    """
    height, width = labels.shape
    layers = _layers((width, height), [_unrolled(photo, width, wraps) for photo in warped], wraps)
    energy = seam_costs.seam_energy(layers.colours, layers.depths, layers.frames, layers.costs, labels, wraps, layers.weights)
    return float(energy / seam_costs.UNITS)


def _unrolled(photo: Warped, width: int, wraps: bool) -> Warped:
    """The photo with its corner on the canvas; one that goes all around starts at column 0."""
    x, y = photo.corner
    if wraps and photo.mask.shape[1] == width:
        reluctance = None if photo.reluctance is None else np.roll(photo.reluctance, x, axis=1)
        return Warped(np.roll(photo.pixels, x, axis=1), np.roll(photo.mask, x, axis=1), (0, y), reluctance=reluctance)
    return dataclasses.replace(photo, corner=(x % width, y))


def _halved(size: tuple[int, int], photos: Sequence[Warped]) -> tuple[tuple[int, int], list[Warped]]:
    """The same canvas at half the size; a pixel is there when all of its four were."""
    halves = []
    width, height = (size[0] + 1) // 2, (size[1] + 1) // 2
    for photo in photos:
        x, y = photo.corner
        h, w = photo.mask.shape
        rows, columns = (y + h + 1) // 2 - y // 2, (x + w + 1) // 2 - x // 2
        sides = y % 2, 2 * rows - h - y % 2, x % 2, 2 * columns - w - x % 2
        pixels = cv2.copyMakeBorder(photo.pixels, *sides, cv2.BORDER_REPLICATE)
        mask = cv2.copyMakeBorder(photo.mask.astype(np.uint8), *sides, cv2.BORDER_CONSTANT, value=0)
        pixels = cv2.resize(pixels, (columns, rows), interpolation=cv2.INTER_AREA)
        mask = mask[::2, ::2] & mask[1::2, ::2] & mask[::2, 1::2] & mask[1::2, 1::2]
        reluctance = photo.reluctance
        if reluctance is not None:
            reluctance = cv2.copyMakeBorder(reluctance, *sides, cv2.BORDER_REPLICATE)
            reluctance = np.asarray(cv2.resize(reluctance, (columns, rows), interpolation=cv2.INTER_AREA)[:, :width], np.float32)
        # A frame that nearly goes around may now be a column too wide, and that column is one of the border's.
        pixels, mask = np.asarray(pixels[:, :width], np.float32), mask[:, :width].astype(np.bool_)
        halves.append(Warped(pixels, mask, (x // 2, y // 2), reluctance=reluctance))
    return (width, height), halves


def _layers(size: tuple[int, int], photos: Sequence[Warped], wraps: bool) -> _Layers:
    width, height = size
    frames = np.zeros((len(photos), 5), np.int64)
    depths = [border_distance(photo.mask, around=wraps and photo.mask.shape[1] == width) for photo in photos]
    first = 0
    for k, photo in enumerate(photos):
        h, w = photo.mask.shape
        frames[k] = first, *photo.corner, w, h
        first += h * w
    return _Layers(
        colours=np.concatenate([photo.pixels.reshape(-1, 3) for photo in photos], dtype=np.float32),
        depths=np.concatenate([depth.ravel() for depth in depths]),
        frames=frames,
        costs=np.concatenate([_pixel_costs(photo, depth).ravel() for photo, depth in zip(photos, depths, strict=True)]),
        shape=(height, width),
        wraps=wraps,
        weights=np.array([LENGTH, GRADIENT]),
    )


def _pixel_costs(photo: Warped, depth: NDArray[np.float32]) -> NDArray[np.int32]:
    """What each pixel costs its owner, in the kernels' units: more near the border, and what the photo itself asks for."""
    room = room_of(photo.mask)
    # Summed over the way from the border to ``room`` that is BORDER, what a pixel of seam saves by keeping away from the border.
    cost = BORDER * 2 / room * np.maximum(0.0, 1 - depth / room, dtype=np.float64)
    if photo.reluctance is not None:
        cost += photo.reluctance
    return np.asarray(np.ceil(seam_costs.UNITS * cost), np.int32)


def _deepest(layers: _Layers, photos: Sequence[Warped]) -> NDArray[np.int16]:
    """Give every pixel to the photo in which it lies deepest; where a photo is reluctant it counts as shallow."""
    willing = [
        np.exp(-FLATTENING * photo.reluctance).ravel() if photo.reluctance is not None else np.ones(photo.mask.size) for photo in photos
    ]
    depths = np.asarray(layers.depths * np.concatenate(willing), np.float32)
    labels = np.full(layers.shape, -1, np.int16)
    seam_costs.deepest_photo(depths, layers.frames, np.zeros(layers.shape, np.float32), labels)
    return labels


def _expand(layers: _Layers, labels: NDArray[np.int16], allowed: NDArray[np.bool_], sweeps: int, pool: Executor | None) -> None:
    """Let every photo in turn take what lowers the energy, unless nothing changed within its frame since its last turn."""
    stale = np.ones(len(layers.frames), np.bool_)
    turns = _apart(layers.frames, layers.shape[1])

    def expand(photo: int) -> None:
        if stale[photo]:
            stale[photo] = False
            _expand_photo(photo, layers, labels, allowed, stale)

    for _ in range(sweeps):
        for together in turns:
            list(pool.map(expand, together) if pool and len(together) > 1 else map(expand, together))


def _apart(frames: NDArray[np.int64], width: int) -> list[list[int]]:
    """Photos in groups whose frames neither overlap nor touch each other, so that none sees what another of its group takes."""
    groups: list[list[int]] = []
    for photo, (_, left, top, across, down) in enumerate(frames):
        for group in groups:
            others = frames[group]
            # From either left edge on to the other's, round the canvas.
            beside = ((others[:, 1] - left) % width <= across) | ((left - others[:, 1]) % width <= others[:, 3])
            if not (beside & (others[:, 2] - top <= down) & (top - others[:, 2] <= others[:, 4])).any():
                group.append(photo)
                break
        else:
            groups.append([photo])
    return groups


def _expand_photo(photo: int, layers: _Layers, labels: NDArray[np.int16], allowed: NDArray[np.bool_], stale: NDArray[np.bool_]) -> None:
    colours, depths, frames, costs = layers.colours, layers.depths, layers.frames, layers.costs
    box = np.zeros(4, np.int64)
    seam_costs.contested_box(photo, depths, frames, labels, allowed, box)
    if box[2] <= box[0]:
        return
    shape = int(box[3] - box[1]), int(box[2] - box[0])
    source, sink, right, down = (np.zeros(shape, np.int32) for _ in range(4))
    seam_costs.expansion_graph(
        photo, colours, depths, frames, costs, labels, allowed, layers.wraps, layers.weights, box, source, sink, right, down
    )
    cut = np.zeros(shape, np.uint8)
    maxflow.minimum_cut(source, sink, right, down, cut)
    seam_costs.apply_expansion(photo, frames, box, cut, labels, stale)
