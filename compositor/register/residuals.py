"""How far apart two photos are in their overlap, asked of the pictures themselves wherever they can tell.

Matched features are few, and those that disagree with one homography, which is what parallax makes of them, are gone. So the overlap is
covered with cells; in each the most telling pixel's patch is looked for in the other photo, beginning where the cameras say it is.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor

import cv2
import numpy as np
from numpy.typing import NDArray

from compositor.geometry.views import ray_directions, see
from compositor.kernels.refine import RADIUS, refine_points
from compositor.types import Camera, Features

__all__ = ["Level", "Ties", "carry", "measure_ties", "see_level", "shared_views"]

Floats = NDArray[np.float64]

CELL = 20
"""Pixels of the (reduced) picture to a cell's side: two patches of 17 px in neighbouring cells mostly show different things."""

ROUNDS = 8
"""Most steps per point."""

CORRELATION = 0.85
"""Patches that agree less than this show different things: an edge in depth, something that moved."""

FARTHEST = 3.0
"""Pixels of a level's picture within which a patch is looked for; on the coarsest one this is a good many of the photo's."""

TEXTURE = 7
"""Pixels of the neighbourhood that says how telling a pixel is."""

CONTRAST = 1.5
"""Levels per px, root mean square, by which the neighbourhood must change in every direction: sensor noise does by less."""

MOST_POINTS = 1000
"""Points per photo that say enough about its mesh: where more photos overlap, each pair is asked for fewer."""

RIM = RADIUS + 2
"""Pixels at the edge of a picture or its mask in which no patch is whole."""

SAMPLES = 16
"""Points across and down a photo that tell how much of it another one sees."""

PARTNERS = 8
"""Photos, those that share the most with a photo, that it is compared with."""

SHARED = 0.02
"""Share of a photo that another one must see to be asked where they meet."""

CHUNK = 256
"""Points that a thread looks for at a time."""


@dataclasses.dataclass(frozen=True, eq=False)
class Level:
    """A photo's gray picture at some size, and its telling pixels.

    Parameters
    ----------
    picture : (h, w) uint8
    scale, offset : (float, float)
        Where the picture lies in the full-size photo, as in ``Decoded``.
    corners : (n, 2) int64
        One pixel per cell, x and y.
    usable : (h, w) bool
        Pixels whose whole patch lies in the picture and within the photo's mask.
    """

    picture: NDArray[np.uint8]
    scale: tuple[float, float]
    offset: tuple[float, float]
    corners: NDArray[np.int64]
    usable: NDArray[np.bool_]

    def to_full(self, points: NDArray[np.int64] | Floats) -> Floats:
        """Positions in the full-size photo of (n, 2) positions in the picture."""
        return np.asarray((np.asarray(points, np.float64) + 0.5 - self.offset) / self.scale - 0.5)

    def to_picture(self, points: Floats) -> Floats:
        """Positions in the picture of (n, 2) positions in the full-size photo."""
        return np.asarray((points + 0.5) * self.scale - 0.5 + self.offset)


@dataclasses.dataclass(frozen=True, eq=False)
class Ties:
    """Points that two photos have in common.

    Parameters
    ----------
    first, second : int
        Indices of the photos.
    points_first, points_second : (n, 2) float64
        The same scene points in full-size pixels of either photo.
    apart : (n, 2) float64
        From where the second camera, without its mesh, sees what the first one does, to where it is; px of the second photo.
    slopes : (n, 2, 2) float64
        How a small step in the first photo looks in the second.
    """

    first: int
    second: int
    points_first: Floats
    points_second: Floats
    apart: Floats
    slopes: Floats

    def where(self, rows: NDArray[np.bool_]) -> Ties:
        """Some of the points."""
        arrays = self.points_first[rows], self.points_second[rows], self.apart[rows], self.slopes[rows]
        return Ties(self.first, self.second, *arrays)


def see_level(features: Features, halvings: int) -> Level:
    """A photo's reduced picture, halved so many times."""
    h, w = features.picture.shape
    size, picture = (max(1, w >> halvings), max(1, h >> halvings)), features.picture
    mask = np.ones(size[::-1], np.uint8)
    if features.mask is not None:
        mask = cv2.resize(features.mask.astype(np.uint8) * 255, size, interpolation=cv2.INTER_AREA) // 255
    if halvings:
        picture = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
    whole = np.ones((2 * RIM + 1, 2 * RIM + 1), np.uint8)
    usable = np.asarray(cv2.erode(mask, whole, borderType=cv2.BORDER_CONSTANT, borderValue=0) > 0)
    x, y = size[0] / w, size[1] / h
    scale, offset = (features.scale[0] * x, features.scale[1] * y), (features.offset[0] * x, features.offset[1] * y)
    return Level(np.ascontiguousarray(picture), scale, offset, telling_pixels(picture, usable), usable)


def telling_pixels(picture: NDArray[np.uint8], usable: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The usable pixel of every cell whose surroundings vary most in all directions (Shi & Tomasi 1994), (n, 2)."""
    rows, columns = picture.shape[0] // CELL, picture.shape[1] // CELL
    if not rows or not columns:
        return np.zeros((0, 2), np.int64)
    strength = np.asarray(cv2.cornerMinEigenVal(picture, TEXTURE), np.float32) * usable
    # What OpenCV sums over the neighbourhood are squares of Sobel's differences, 8 times the slope, over 4 * TEXTURE * 255.
    least = (TEXTURE * CONTRAST * 8 / (4 * TEXTURE * 255)) ** 2
    cells = strength[: rows * CELL, : columns * CELL].reshape(rows, CELL, columns, CELL).transpose(0, 2, 1, 3).reshape(rows * columns, -1)
    y, x = np.divmod(cells.argmax(axis=1), CELL)
    row, column = np.divmod(np.arange(rows * columns), columns)
    pixels = np.stack([column * CELL + x, row * CELL + y], axis=1)
    return np.asarray(pixels[cells.max(axis=1) > least])


def carry(first: Camera, second: Camera, points: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    """Where points of one photo lie in another according to their cameras, px, and whether they are seen there."""
    return see(second, ray_directions(first, points))


def carry_slopes(first: Camera, second: Camera, points: Floats, step: float) -> tuple[Floats, Floats]:
    """Where the second camera sees points of the first photo, (n, 2), and how small steps there look, (n, 2, 2): differences over px."""
    steps = np.array([[0, 0], [step, 0], [0, step]])
    there, across, down = carry(first, second, (points + steps[:, None]).reshape(-1, 2))[0].reshape(3, -1, 2)
    return there, np.stack([across - there, down - there], axis=2) / step


def measure_ties(
    cameras: Sequence[Camera], levels: Sequence[Level], shares: Mapping[tuple[int, int], float], pool: Executor, *, most: int = MOST_POINTS
) -> list[Ties]:
    """Look for points that photos have in common near where their cameras see them.

    Parameters
    ----------
    cameras : sequence of Camera
    levels : sequence of Level
        Of every photo, at one size.
    shares : mapping
        Of ``shared_views``.
    pool : Executor
    most : int
        Points that are looked for at most, per photo.

    Returns
    -------
    list of Ties
        One per pair, maybe without points.
    """
    pairs = list(shares)
    sought = sum(len(levels[i].corners) * share for (i, _), share in shares.items())
    thin = max(1, int(np.ceil(sought / (most * len(cameras)))))
    begun = list(pool.map(lambda p: begin(cameras[p[0]], cameras[p[1]], levels[p[0]], levels[p[1]], thin), pairs))
    chunks = [(k, slice(i, i + CHUNK)) for k, b in enumerate(begun) for i in range(0, len(b.pixels), CHUNK)]

    def look(chunk: tuple[int, slice]) -> NDArray[np.bool_]:
        k, rows = chunk
        at, (i, j) = begun[k], pairs[k]
        start, score = at.found[rows].copy(), np.empty(len(at.found[rows]))
        affine = at.slopes[rows] * np.array(levels[j].scale)[:, None] / np.array(levels[i].scale)[None, :]
        refine_points(levels[i].picture, levels[j].picture, at.pixels[rows], at.found[rows], affine, ROUNDS, score)
        return np.asarray((score >= CORRELATION) & (np.linalg.norm(at.found[rows] - start, axis=1) <= FARTHEST))

    good: dict[int, list[NDArray[np.bool_]]] = {k: [np.zeros(0, np.bool_)] for k in range(len(pairs))}
    for (k, _), kept in zip(chunks, pool.map(look, chunks), strict=True):
        good[k].append(kept)
    ties = []
    for k, (i, j) in enumerate(pairs):
        at, rows = begun[k], np.concatenate(good[k])
        second = levels[j].to_full(at.found[rows])
        ties.append(Ties(i, j, levels[i].to_full(at.pixels[rows]), second, second - at.there[rows], at.slopes[rows]))
    return ties


@dataclasses.dataclass(frozen=True, eq=False)
class Begun:
    """Patches of one picture that are looked for in another.

    Parameters
    ----------
    pixels : (n, 2) int64
        Their middles in the first picture.
    found : (n, 2) float64
        Where the cameras see them in the second one; then, where they are.
    there : (n, 2) float64
        Where the cameras without meshes see them, px of the full-size photo.
    slopes : (n, 2, 2) float64
        As of ``Ties``.
    """

    pixels: NDArray[np.int64]
    found: Floats
    there: Floats
    slopes: Floats


def begin(first: Camera, second: Camera, a: Level, b: Level, thin: int) -> Begun:
    """Every so manieth of the telling pixels of the first photo that the second one sees, and where."""
    full = a.to_full(a.corners)
    there, seen = carry(first, second, full)
    start = b.to_picture(there)
    h, w = b.picture.shape
    column, row = np.clip(np.rint(np.where(seen[:, None], start, 0)), 0, (w - 1, h - 1)).astype(np.int64).T
    inside = np.flatnonzero(seen & b.usable[row, column])[::thin]
    bare = [dataclasses.replace(camera, mesh=None) for camera in (first, second)]
    return Begun(a.corners[inside], start[inside], *carry_slopes(bare[0], bare[1], full[inside], 1 / a.scale[0]))


def shared_views(cameras: Sequence[Camera]) -> dict[tuple[int, int], float]:
    """Which two photos see something in common, and about what share of the first one that is.

    Features need not have been compared, or found: where such photos meet they must fit like all others.
    """
    directions = []
    for camera in cameras:
        x, y = np.meshgrid(*((np.arange(SAMPLES) + 0.5) / SAMPLES * side - 0.5 for side in camera.size))
        directions.append(ray_directions(camera, np.stack([x.ravel(), y.ravel()], axis=1)))
    every = np.concatenate(directions)
    shares = [see(camera, every)[1].reshape(len(cameras), -1).mean(axis=1) for camera in cameras]
    table = np.triu(np.array(shares).T, 1)
    # The largest overlaps of every photo hold it; in sets where everything overlaps, the rest would only take time.
    either = table + table.T
    least = np.maximum(SHARED, np.sort(either, axis=1)[:, -PARTNERS:][:, 0])
    kept = (table >= SHARED) & (table >= np.minimum(least[:, None], least[None]))
    return {(i, j): float(table[i, j]) for i, j in np.argwhere(kept).tolist()}
