"""How far apart two photos are in their overlap, asked of the pictures themselves wherever they can tell.

Matched features are few, and those that disagree with one homography, which is what parallax makes of them, are gone. So every photo is
covered with cells; the most telling pixel's patch of each is looked for in the other photos, beginning where the cameras say it is. It is
the same points that are looked for in small pictures and in large ones, so what the cameras say of them is asked once.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from concurrent.futures import Executor

import cv2
import numpy as np
from numpy.typing import NDArray

from compositor.geometry.views import ray_directions, see
from compositor.kernels.refine import RADIUS, refine_points
from compositor.types import Camera, Features

__all__ = ["Level", "Sought", "find", "roomy", "see_level", "seek", "shared_views", "telling_points"]

Floats = NDArray[np.float64]

CELL = 20
"""Pixels of the reduced photo to a cell's side at least: two patches of 17 px in neighbouring cells mostly show different things."""

CELLS = 1600
"""Cells of a photo, at most: what its mesh needs does not grow with its pixels."""

ROOMY = 500_000
"""Pixels of a picture beyond which the halved one is large enough to look for lines in."""

ROUNDS = 5
"""Most steps per point, after a first one that tells whether there is anything to be found."""

PROMISING = 0.5
"""What patches must agree after the first step: of a hundred that are found, one agrees less than 0.6 by then."""

CORRELATION = 0.85
"""Patches that agree less than this show different things: an edge in depth, something that moved."""

FARTHEST = 3.0
"""Pixels of a level's picture within which a patch is looked for; on the coarsest one this is a good many of the photo's."""

TEXTURE = 7
"""Pixels of the neighbourhood that says how telling a pixel is."""

CONTRAST = 1.5
"""Levels per px, root mean square, by which the neighbourhood must change in every direction: sensor noise does by less."""

MOST_POINTS = 700
"""Points per photo that say enough about its mesh: where more photos overlap, each pair is asked for fewer."""

RIM = RADIUS + 2
"""Pixels at the edge of a picture or its mask in which no patch is whole."""

SAMPLES = 12
"""Points across and down a photo that tell how much of it another one sees."""

PARTNERS = 8
"""Photos, those that share the most with a photo, that it is compared with."""

SHARED = 0.02
"""Share of a photo that another one must see to be asked where they meet."""

CHUNK = 256
"""Points that a thread looks for at a time."""


@dataclasses.dataclass(frozen=True, eq=False)
class Level:
    """A photo's gray picture at some size.

    Parameters
    ----------
    picture : (h, w) uint8
    scale, offset : (float, float)
        Where the picture lies in the full-size photo, as in ``Decoded``.
    usable : (h, w) bool
        Pixels whose whole patch lies in the picture and within the photo's mask.
    """

    picture: NDArray[np.uint8]
    scale: tuple[float, float]
    offset: tuple[float, float]
    usable: NDArray[np.bool_]

    def to_full(self, points: NDArray[np.int64] | Floats) -> Floats:
        """Positions in the full-size photo of (n, 2) positions in the picture."""
        return np.asarray((np.asarray(points, np.float64) + 0.5 - self.offset) / self.scale - 0.5)


@dataclasses.dataclass(frozen=True, eq=False)
class Sought:
    """Points of photos that other photos should show too, pair by pair, with what the cameras without their meshes say of them.

    Parameters
    ----------
    first, second : (n,) int64
        Indices of the photos.
    points : (n, 2) float64
        In the first photo, px of the full size.
    there : (n, 2) float64
        Where the second camera sees what the first one does, px.
    slopes : (n, 2, 2) float64
        How a small step in the first photo looks in the second.
    worth : (n,) float64
        Cells of ``CELL`` px of the first photo that each stands for.
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    points: Floats
    there: Floats
    slopes: Floats
    worth: Floats

    def where(self, rows: NDArray[np.bool_]) -> Sought:
        """Some of the points."""
        return Sought(*(getattr(self, field.name)[rows] for field in dataclasses.fields(self)))

    def thinned(self, most: int) -> Sought:
        """So few of the points, evenly, each standing for as many more."""
        thin = max(1, -(-len(self.first) // max(1, most)))
        few = self.where(np.arange(len(self.first)) % thin == 0)
        return dataclasses.replace(few, worth=few.worth * thin)

    def step(self, steps: Floats) -> Floats:
        """How steps in the first photo, (n, 2), look in the second."""
        return np.asarray((self.slopes * steps[:, None, :]).sum(axis=2))


def see_level(features: Features, halvings: int) -> Level:
    """A photo's reduced picture, halved so many times."""
    h, w = features.picture.shape
    size, picture = (max(1, w >> halvings), max(1, h >> halvings)), features.picture
    usable = np.zeros(size[::-1], np.bool_)
    usable[RIM:-RIM, RIM:-RIM] = True
    if features.mask is not None:
        mask = cv2.resize(features.mask.astype(np.uint8) * 255, size, interpolation=cv2.INTER_AREA) // 255
        usable &= cv2.erode(mask, np.ones((2 * RIM + 1, 2 * RIM + 1), np.uint8)) > 0
    if halvings:
        picture = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
    x, y = size[0] / w, size[1] / h
    scale, offset = (features.scale[0] * x, features.scale[1] * y), (features.offset[0] * x, features.offset[1] * y)
    return Level(np.ascontiguousarray(picture), scale, offset, usable)


def roomy(sharp: Level, halved: Level) -> Level:
    """Which of the two is large enough to look for a photo's lines in."""
    return halved if sharp.picture.size > ROOMY else sharp


def cell_side(sharp: Level) -> float:
    """Side of a photo's cells, px of the reduced photo."""
    return max(float(CELL), float(np.sqrt(sharp.picture.size / CELLS)))


def telling_points(sharp: Level, halved: Level) -> tuple[Floats, float]:
    """Where a photo is most telling in each of its cells, in full-size px, (n, 2), and how many cells of ``CELL`` px such a cell is.

    It is the pixel whose surroundings vary most in all directions (Shi & Tomasi 1994) in the halved picture: what is telling there is so
    in the sharp one, but not the other way round.
    """
    cell = round(cell_side(sharp) / 2)
    rows, columns = halved.picture.shape[0] // cell, halved.picture.shape[1] // cell
    if not rows or not columns:
        return np.zeros((0, 2)), 1.0
    usable = sharp.usable[1::2, 1::2][: rows * cell, : columns * cell]
    strength = np.asarray(cv2.cornerMinEigenVal(halved.picture, TEXTURE), np.float32)[: rows * cell, : columns * cell] * usable
    # What OpenCV sums over the neighbourhood are squares of Sobel's differences, 8 times the slope, over 4 * TEXTURE * 255.
    least = (TEXTURE * CONTRAST * 8 / (4 * TEXTURE * 255)) ** 2
    cells = strength.reshape(rows, cell, columns, cell).transpose(0, 2, 1, 3).reshape(rows * columns, -1)
    y, x = np.divmod(cells.argmax(axis=1), cell)
    row, column = np.divmod(np.arange(rows * columns), columns)
    pixels = np.stack([column * cell + x, row * cell + y], axis=1)[cells.max(axis=1) > least]
    return sharp.to_full(2 * pixels + 1), (2 * cell / CELL) ** 2


def seek(
    cameras: Sequence[Camera], telling: Sequence[tuple[Floats, float]], pairs: Sequence[tuple[int, int]], step: Floats, pool: Executor
) -> Sought:
    """Where the cameras say that points of photos lie in other photos.

    Parameters
    ----------
    cameras : sequence of Camera
        Without meshes.
    telling : sequence of ((n, 2) float64, float)
        Of ``telling_points``, for every photo.
    pairs : sequence of (int, int)
        Photos whose points are looked for, and where they are.
    step : (k,) float64
        Length of a small step in every photo, px.
    pool : Executor
    """

    def rays(k: int) -> Floats:
        steps = np.array([[0, 0], [step[k], 0], [0, step[k]]])
        return ray_directions(cameras[k], (telling[k][0] + steps[:, None]).reshape(-1, 2)).reshape(3, -1, 3)

    every = list(pool.map(rays, range(len(cameras))))
    seen = list(pool.map(lambda p: np.flatnonzero(see(cameras[p[1]], every[p[0]][0])[1]), pairs))
    thin = max(1, -(-sum(map(len, seen)) // (MOST_POINTS * len(cameras))))

    def ask(pair: tuple[int, int], rows: NDArray[np.int64]) -> Sought:
        (i, j), count = pair, len(rows)
        there, across, down = see(cameras[j], every[i][:, rows].reshape(-1, 3))[0].reshape(3, -1, 2)
        slopes = np.stack([across - there, down - there], axis=2) / step[i]
        return Sought(np.full(count, i), np.full(count, j), telling[i][0][rows], there, slopes, np.full(count, thin * telling[i][1]))

    asked = list(pool.map(ask, pairs, [rows[::thin] for rows in seen]))
    return Sought(*(np.concatenate([getattr(a, field.name) for a in asked]) for field in dataclasses.fields(Sought)))


def find(sought: Sought, levels: Sequence[Level], moved: Floats, pool: Executor, rounds: int = ROUNDS) -> tuple[Floats, NDArray[np.bool_]]:
    """Look for points near where their cameras see them.

    Parameters
    ----------
    sought : Sought
    levels : sequence of Level
        Of every photo, at one size.
    moved : (n, 2) float64
        How far from there they are expected, px of the second photo.
    pool : Executor
    rounds : int
        Most steps of those that look promising.

    Returns
    -------
    apart : (n, 2) float64
        How far from where the second camera, without its mesh, sees them they are, px of the second photo.
    found : (n,) bool
        Where that is known.
    """
    i, j = sought.first, sought.second
    scale, offset = np.array([level.scale for level in levels]), np.array([level.offset for level in levels])
    last = np.array([level.picture.shape[::-1] for level in levels]) - 1
    pixels = np.clip(np.rint((sought.points + 0.5) * scale[i] - 0.5 + offset[i]).astype(np.int64), 0, last[i])
    there = sought.there + sought.step((pixels + 0.5 - offset[i]) / scale[i] - 0.5 - sought.points)
    start = (there + moved + 0.5) * scale[j] - 0.5 + offset[j]
    near = np.clip(np.rint(start), 0, last[j]).astype(np.int64)
    affine = sought.slopes * scale[j][:, :, None] / scale[i][:, None, :]
    places, score = start.copy(), np.full(len(start), -2.0)

    def look(rows: slice) -> None:
        a, b = levels[i[rows.start]], levels[j[rows.start]]
        (x, y), (u, v) = pixels[rows].T, near[rows].T
        inside = rows.start + np.flatnonzero(a.usable[y, x] & b.usable[v, u])
        for most in (1, rounds):
            ends, agreement = places[inside], np.empty(len(inside))
            refine_points(a.picture, b.picture, pixels[inside], ends, affine[inside], most, agreement)
            places[inside], score[inside] = ends, agreement
            inside = inside[agreement >= PROMISING]

    ends = np.append(np.flatnonzero(np.diff(i * len(levels) + j)) + 1, len(i))
    begins = np.append(0, ends[:-1])
    list(pool.map(look, [slice(k, min(k + CHUNK, end)) for begin, end in zip(begins, ends, strict=True) for k in range(begin, end, CHUNK)]))
    found = (score >= CORRELATION) & (np.linalg.norm(places - start, axis=1) <= FARTHEST)
    return (places + 0.5 - offset[j]) / scale[j] - 0.5 - there, found


def shared_views(cameras: Sequence[Camera]) -> list[tuple[int, int]]:
    """Which two photos see something in common.

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
    return [(i, j) for i, j in np.argwhere(kept).tolist()]
