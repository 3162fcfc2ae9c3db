"""The meshes of all photos at once: as smooth as they can be while tied points meet and straight lines stay straight."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from compositor.geometry.mesh import mesh_position, spline_weights, undisplaced
from compositor.kernels.mesh import add_rows, differ, factor_band, multiply_band, solve_band, spread
from compositor.register.lines import sample_lines
from compositor.register.residuals import CELL, Ties, carry
from compositor.types import Camera

__all__ = ["Elastic", "Tied", "bend", "fit_meshes", "keep_straight", "make_elastic", "tie"]

Floats = NDArray[np.float64]

CELLS = 16
"""Cells of a mesh along a photo's longer side, at most."""

SMALLEST = 50
"""Pixels of the reduced photo to a cell's side at least: several points must say where its corners go."""

STIFFNESS = 0.01
"""Length, as a share of a photo's longer side, over which bending costs as much as the errors it removes."""

LINE = 2.0
"""Weight of a straight line's bending against a tied point's error."""

FADE = 0.25
"""Width of the rim around the overlaps, as a share of the longer side, in which displacements fade to nothing."""

AMPLITUDE = 0.03
"""Weight of displacements as such: felt only where nothing else speaks, such as by two photos that might as well move together."""

PRECISE = 1e-3
"""Error of the displacements, relative and in the sense of the least squares themselves, at which the equations count as solved."""

MOST_STEPS = 200
"""Most steps of conjugate gradients; thirty are usual."""


@dataclasses.dataclass(frozen=True, eq=False)
class Elastic:
    """What one photo's mesh must obey, whatever the tied points say.

    Parameters
    ----------
    shape : (int, int)
        Rows and columns of control values.
    pixel : float
        Size of a pixel of the reduced photo, px; unknowns and errors are counted in it.
    free : (n,) bool
        Unknowns that may differ from zero, (rows * columns * 2,).
    band : (n, b) float64
        Normal equations of smoothness and lines.
    """

    shape: tuple[int, int]
    pixel: float
    free: NDArray[np.bool_]
    band: Floats


def make_elastic(k: int, cameras: Sequence[Camera], pairs: Sequence[tuple[int, int]], pixel: float) -> Elastic:
    """The rules for the mesh of photo ``k``, but for its straight lines."""
    camera = cameras[k]
    w, h = camera.size
    most = min(CELLS, max(w, h) / pixel / SMALLEST)
    cells = [max(2, round(most * side / max(w, h))) for side in (h, w)]
    shape = cells[0] + 3, cells[1] + 3
    hx, hy = w / cells[1] / pixel, h / cells[0] / pixel
    band = np.zeros((2 * shape[0] * shape[1], 2 * (3 * shape[1] + 3) + 2))
    nodes = np.arange(shape[0] * shape[1]).reshape(shape)
    # A tied point stands for the area of its cell.
    weight = (STIFFNESS * max(w, h) / pixel) ** 2 * np.sqrt(hx * hy) / CELL
    across = np.stack([nodes[:, :-2], nodes[:, 1:-1], nodes[:, 2:]], axis=-1).reshape(-1, 3)
    down = np.stack([nodes[:-2], nodes[1:-1], nodes[2:]], axis=-1).reshape(-1, 3)
    both = np.stack([nodes[:-1, :-1], nodes[:-1, 1:], nodes[1:, :-1], nodes[1:, 1:]], axis=-1).reshape(-1, 4)
    add_both(band, across, weight / hx**2 * np.array([1, -2, 1.0]))
    add_both(band, down, weight / hy**2 * np.array([1, -2, 1.0]))
    add_both(band, both, weight * np.sqrt(2) / (hx * hy) * np.array([1, -1, -1, 1.0]))
    add_both(band, nodes.reshape(-1, 1), AMPLITUDE * np.sqrt(hx * hy) / CELL * np.ones(1))
    free = near_overlaps(k, cameras, pairs, shape)
    return Elastic(shape, pixel, np.repeat(free.ravel(), 2), band)


def add_both(band: Floats, nodes: NDArray[np.int64], factors: Floats) -> None:
    """Add a rule that holds for x and for y alike, at many places."""
    for axis in np.eye(2):
        add_rows(np.ascontiguousarray(nodes), np.ascontiguousarray(np.broadcast_to(factors[:, None] * axis, (*nodes.shape, 2))), band)


def keep_straight(elastic: Elastic, camera: Camera, lines: Floats) -> Elastic:
    """The rules and, for every straight line of the photo, that displacements across it do not curve along it.

    Of constant curvature, a line of length T leaves its best straight fit by T^2 / 27 times the curvature, root mean square.
    """
    if not len(lines):
        return elastic
    shape, pixel = elastic.shape, elastic.pixel
    cells = np.array([shape[1] - 3, shape[0] - 3])
    points, line = sample_lines(lines, max(camera.size) / cells.max() / 2)
    along = (lines[:, 1] - lines[:, 0])[line]
    length = np.linalg.norm(along, axis=1)
    x, y = mesh_position(points, camera.size, shape).T
    tx, ty = (along / length[:, None] * cells * pixel / camera.size).T[:, :, None, None]
    (column, a0), (_, a1), (_, a2) = (spline_weights(x, shape[1] - 3, derivative=d) for d in range(3))
    (row, b0), (_, b1), (_, b2) = (spline_weights(y, shape[0] - 3, derivative=d) for d in range(3))
    curved = (
        tx * tx * b0[:, :, None] * a2[:, None, :]
        + 2 * tx * ty * b1[:, :, None] * a1[:, None, :]
        + ty * ty * b2[:, :, None] * a0[:, None, :]
    )
    nodes = ((row[:, None] + np.arange(4)) * shape[1])[:, :, None] + (column[:, None] + np.arange(4))[:, None, :]
    across = np.stack([-along[:, 1], along[:, 0]], axis=1) / length[:, None]
    factors = (LINE * (length / pixel) ** 2 / 27)[:, None] * across
    band = elastic.band.copy()
    add_rows(nodes.reshape(-1, 16), curved.reshape(-1, 16, 1) * factors[:, None, :], band)
    return dataclasses.replace(elastic, band=band)


def near_overlaps(k: int, cameras: Sequence[Camera], pairs: Sequence[tuple[int, int]], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Which control values of a photo lie in its overlaps or the rim around them, (rows, columns)."""
    samples = 64
    w, h = cameras[k].size
    columns, rows = (max(2, round(samples * side / max(w, h))) for side in (w, h))
    x, y = np.meshgrid((np.arange(columns) + 0.5) / columns * w - 0.5, (np.arange(rows) + 0.5) / rows * h - 0.5)
    points = np.stack([x.ravel(), y.ravel()], axis=1)
    alone = np.ones(len(points), np.bool_)
    for i, j in pairs:
        if k in (i, j):
            alone &= ~carry(cameras[k], cameras[i + j - k], points)[1]
    away = cv2.distanceTransform(alone.reshape(rows, columns).astype(np.uint8), cv2.DIST_L2, 5) / samples
    at_row = np.clip((np.arange(shape[0]) - 1) / (shape[0] - 3) * rows, 0, rows - 1).astype(np.int64)
    at_column = np.clip((np.arange(shape[1]) - 1) / (shape[1] - 3) * columns, 0, columns - 1).astype(np.int64)
    return np.asarray(away[np.ix_(at_row, at_column)] < FADE) & bool((~alone).any())


@dataclasses.dataclass(frozen=True, eq=False)
class Tied:
    """One pair's tied points as the kernels take them.

    Parameters
    ----------
    first, second : int
        Indices of the photos.
    origins, weights, slopes, columns
        As of ``differ``; steps in reduced px of either photo.
    error : (n, 2) float64
        How far the meshes should move the points apart, reduced px.
    """

    first: int
    second: int
    origins: NDArray[np.int64]
    weights: Floats
    slopes: Floats
    columns: NDArray[np.int64]
    error: Floats

    def where(self, rows: NDArray[np.bool_]) -> Tied:
        """Some of the points."""
        arrays = self.origins[rows], self.weights[rows], self.slopes[rows], self.columns, self.error[rows]
        return Tied(self.first, self.second, *arrays)

    def moved(self, x: Sequence[Floats]) -> Floats:
        """How far meshes move the points apart, (n, 2)."""
        difference = np.empty_like(self.error)
        differ(self.origins, self.weights, self.slopes, self.columns, x[self.first], x[self.second], difference)
        return difference

    def own(self, which: int, robust: Floats) -> tuple[NDArray[np.int64], Floats]:
        """The points' rules for one of the two photos alone, x then y, as ``add_rows`` takes them."""
        grid = np.arange(4)[:, None] * self.columns[which] + np.arange(4)
        nodes = self.origins[:, which, None] + grid.ravel()
        spline = (self.weights[:, 2 * which + 1, :, None] * self.weights[:, 2 * which, None, :]).reshape(-1, 16)
        factors = self.slopes if which == 0 else np.broadcast_to(np.eye(2), self.slopes.shape)
        rows = np.sqrt(robust)[:, None, None, None] * spline[:, None, :, None] * factors[:, :, None, :]
        return np.repeat(nodes, 2, axis=0), np.ascontiguousarray(rows.reshape(-1, 16, 2))


def tie(ties: Ties, cameras: Sequence[Camera], elastics: Sequence[Elastic]) -> Tied:
    """Tied points with the equations that they give; of the cameras only meshes are used, to tell where in them a point counts."""
    i, j = ties.first, ties.second
    origins, weights = np.empty((len(ties.points_first), 2), np.int64), np.empty((len(ties.points_first), 4, 4))
    for which, (k, points) in enumerate(((i, ties.points_first), (j, ties.points_second))):
        camera, shape = cameras[k], elastics[k].shape
        bare = points if camera.mesh is None else undisplaced(camera.mesh, camera.size, points)
        x, y = mesh_position(bare, camera.size, shape).T
        column, weights[:, 2 * which] = spline_weights(x, shape[1] - 3)
        row, weights[:, 2 * which + 1] = spline_weights(y, shape[0] - 3)
        origins[:, which] = row * shape[1] + column
    slopes = np.ascontiguousarray(ties.slopes * (elastics[i].pixel / elastics[j].pixel))
    columns = np.array([elastics[i].shape[1], elastics[j].shape[1]])
    return Tied(i, j, origins, weights, slopes, columns, np.ascontiguousarray(ties.apart / elastics[j].pixel))


def bend(cameras: Sequence[Camera], elastics: Sequence[Elastic], x: Sequence[Floats]) -> list[Camera]:
    """Cameras with the meshes that unknowns stand for."""
    return [dataclasses.replace(c, mesh=(e.pixel * u).reshape(*e.shape, 2)) for c, e, u in zip(cameras, elastics, x, strict=True)]


def fit_meshes(tied: Sequence[Tied], elastics: Sequence[Elastic], x: list[Floats], *, scales: Sequence[float]) -> list[Floats]:
    """The meshes that bring tied points together best, as unknowns.

    Geman & McClure's robust errors by iterative re-weighting; the equations of every round by conjugate gradients, preconditioned by each
    photo's own equations.

    Parameters
    ----------
    tied : sequence of Tied
    elastics : sequence of Elastic
        One per photo.
    x : list of (n,) float64
        First guess, one per photo.
    scales : sequence of float
        Scales of the robust errors, reduced px, one after the other: what is further off counts less and less. Beginning wide lets a
        part of the overlap that lies far apart have its say before it is taken for a mistake (Blake & Zisserman 1987).
    """
    for least in scales:
        squares = [((t.error - t.moved(x)) ** 2).sum(axis=1) for t in tied]
        scale = max(least, 2 * float(np.sqrt(np.median(np.concatenate(squares)))))
        x = solve_meshes(tied, [1 / (1 + s / scale**2) ** 2 for s in squares], elastics, x)
    return x


def solve_meshes(tied: Sequence[Tied], robust: Sequence[Floats], elastics: Sequence[Elastic], x: list[Floats]) -> list[Floats]:
    """Conjugate gradients (Hestenes & Stiefel 1952) from a first guess; photos' own equations, factored, are the preconditioner."""
    factors = [own_factor(k, tied, robust, e) for k, e in enumerate(elastics)]

    def pulled(differences: Sequence[Floats]) -> list[Floats]:
        sums = [np.zeros(len(e.free)) for e in elastics]
        for t, d in zip(tied, differences, strict=True):
            spread(t.origins, t.weights, t.slopes, t.columns, d, sums[t.first], sums[t.second])
        return sums

    def times(v: list[Floats]) -> list[Floats]:
        product = pulled([w[:, None] * t.moved(v) for t, w in zip(tied, robust, strict=True)])
        for e, u, p in zip(elastics, v, product, strict=True):
            multiply_band(e.band, u, p)
            p[~e.free] = 0
        return product

    def preconditioned(v: list[Floats]) -> list[Floats]:
        answer = [u.copy() for u in v]
        for f, a in zip(factors, answer, strict=True):
            solve_band(f, a)
        return answer

    def dot(a: list[Floats], b: list[Floats]) -> float:
        return float(sum((p * q).sum() for p, q in zip(a, b, strict=True)))

    target = pulled([w[:, None] * t.error for t, w in zip(tied, robust, strict=True)])
    for e, p in zip(elastics, target, strict=True):
        p[~e.free] = 0
    residual = [b - p for b, p in zip(target, times(x), strict=True)]
    z = preconditioned(residual)
    direction, energy = z, dot(residual, z)
    enough = PRECISE**2 * dot(target, preconditioned(target))
    for _ in range(MOST_STEPS):
        if energy <= enough:
            break
        product = times(direction)
        step = energy / dot(direction, product)
        x = [u + step * d for u, d in zip(x, direction, strict=True)]
        residual = [r - step * p for r, p in zip(residual, product, strict=True)]
        z = preconditioned(residual)
        energy, before = dot(residual, z), energy
        direction = [u + energy / before * d for u, d in zip(z, direction, strict=True)]
    return x


def own_factor(k: int, tied: Sequence[Tied], robust: Sequence[Floats], elastic: Elastic) -> Floats:
    """Factor of a photo's equations with all other photos held still."""
    band = elastic.band.copy()
    for t, w in zip(tied, robust, strict=True):
        if k in (t.first, t.second):
            add_rows(*t.own(int(k == t.second), w), band)
    fix(band, elastic.free)
    factor_band(band)
    return band


def fix(band: Floats, free: NDArray[np.bool_]) -> None:
    """Hold unknowns that are not free at zero."""
    held = ~free
    band[held] = 0
    band[held, 0] = 1
    later = np.arange(len(free))[:, None] + np.arange(band.shape[1])
    band[np.append(held, np.zeros(band.shape[1], np.bool_))[later] & free[:, None]] = 0
