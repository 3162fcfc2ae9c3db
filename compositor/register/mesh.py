"""The meshes of all photos at once: as smooth as they can be while tied points meet and straight lines stay straight."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from compositor.geometry.mesh import mesh_position, spline_weights
from compositor.geometry.views import ray_directions, see
from compositor.kernels.mesh import add_points, add_rows, differ, factor_band, multiply_band, solve_band, spread
from compositor.register.lines import sample_lines
from compositor.register.residuals import CELL, Sought
from compositor.types import Camera

__all__ = ["Elastic", "Elastics", "Tied", "bend", "fit_meshes", "keep_straight", "make_elastic", "tie"]

Floats = NDArray[np.float64]

CELLS = 16
"""Cells of a mesh along a photo's longer side, at most."""

SMALLEST = 50
"""Pixels of the reduced photo to a cell's side at least: several points must say where its corners go."""

STIFFNESS = 0.01
"""Length, as a share of a photo's longer side, over which bending costs as much as the errors it removes."""

LINE = 3.0
"""Weight of a straight line's bending against a tied point's error."""

FADE = 0.25
"""Width of the rim around the overlaps, as a share of the longer side, in which displacements fade to nothing."""

SAMPLES = 32
"""Points along a photo's longer side that tell where its overlaps are."""

AMPLITUDE = 0.03
"""Weight of displacements as such: felt only where nothing else speaks, such as by two photos that might as well move together."""

PRECISE = 1e-3
"""Error of the displacements, relative and in the sense of the least squares themselves, at which the equations count as solved."""

WALL = 1e6
"""Stiffness of what is held at zero, times that of the stiffest unknown."""

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
    w, h = cameras[k].size
    columns, rows = (max(2, round(SAMPLES * side / max(w, h))) for side in (w, h))
    x, y = np.meshgrid((np.arange(columns) + 0.5) / columns * w - 0.5, (np.arange(rows) + 0.5) / rows * h - 0.5)
    directions = ray_directions(cameras[k], np.stack([x.ravel(), y.ravel()], axis=1))
    alone = np.ones(len(directions), np.bool_)
    for i, j in pairs:
        if k in (i, j):
            alone[alone] = ~see(cameras[i + j - k], directions[alone])[1]
    away = cv2.distanceTransform(alone.reshape(rows, columns).astype(np.uint8), cv2.DIST_L2, 5) / SAMPLES
    at_row = np.clip((np.arange(shape[0]) - 1) / (shape[0] - 3) * rows, 0, rows - 1).astype(np.int64)
    at_column = np.clip((np.arange(shape[1]) - 1) / (shape[1] - 3) * columns, 0, columns - 1).astype(np.int64)
    return np.asarray(away[np.ix_(at_row, at_column)] < FADE) & bool((~alone).any())


@dataclasses.dataclass(frozen=True, eq=False)
class Elastics:
    """What the meshes of all photos must obey; their unknowns and bands stand one photo after the other.

    Parameters
    ----------
    sizes : (k, 2) int64
        Width and height of every photo, px.
    cells : (k, 2) int64
        Cells of every mesh, across and down.
    pixels : (k,) float64
        As ``pixel`` of ``Elastic``.
    begins : (k + 1,) int64
        Index of every photo's first control value, and how many there are in all.
    free : (n,) bool
    band : (n, b) float64
    """

    sizes: NDArray[np.int64]
    cells: NDArray[np.int64]
    pixels: Floats
    begins: NDArray[np.int64]
    free: NDArray[np.bool_]
    band: Floats

    @classmethod
    def of(cls, cameras: Sequence[Camera], elastics: Sequence[Elastic]) -> Elastics:
        """Those of single photos, put together."""
        widest = max(e.band.shape[1] for e in elastics)
        band = np.concatenate([np.pad(e.band, ((0, 0), (0, widest - e.band.shape[1]))) for e in elastics])
        begins = np.cumsum([0, *(e.shape[0] * e.shape[1] for e in elastics)])
        cells = np.array([(e.shape[1] - 3, e.shape[0] - 3) for e in elastics])
        pixels, free = np.array([e.pixel for e in elastics]), np.concatenate([e.free for e in elastics])
        return cls(np.array([c.size for c in cameras]), cells, pixels, begins, free, band)


@dataclasses.dataclass(frozen=True, eq=False)
class Tied:
    """Tied points as the kernels take them.

    Parameters
    ----------
    origins, weights, slopes, columns
        As of ``differ``; steps in reduced px of either photo.
    worth : (n,) float64
        As of ``Sought``.
    error : (n, 2) float64
        How far the meshes should move the points apart, reduced px.
    """

    origins: NDArray[np.int64]
    weights: Floats
    slopes: Floats
    columns: NDArray[np.int64]
    worth: Floats
    error: Floats

    def where(self, rows: NDArray[np.bool_]) -> Tied:
        """Some of the points."""
        return Tied(*(getattr(self, field.name)[rows] for field in dataclasses.fields(self)))

    def moved(self, x: Floats) -> Floats:
        """How far meshes move the points apart, (n, 2)."""
        difference = np.empty_like(self.error)
        differ(self.origins, self.weights, self.slopes, self.columns, x, difference)
        return difference


def tie(sought: Sought, elastics: Elastics, x: Floats) -> Tied:
    """Points with the equations that they give, of errors yet to be found; ``x`` tells where in the meshes a point counts."""
    i, j = sought.first, sought.second
    bare = sought.points
    if x.any():
        # Each round comes closer by the steepness, and a mesh changes little over a tenth of what it moves.
        for _ in range(2):
            bare = sought.points - displaced(bare, i, elastics, x)
    origins, weights = np.empty((len(bare), 2), np.int64), np.empty((len(bare), 4, 4))
    origins[:, 0], weights[:, :2] = place(bare, i, elastics)
    origins[:, 1], weights[:, 2:] = place(sought.there + sought.step(bare - sought.points), j, elastics)
    columns = elastics.cells[np.stack([i, j], axis=1), 0] + 3
    slopes = sought.slopes * (elastics.pixels[i] / elastics.pixels[j])[:, None, None]
    return Tied(origins, weights, slopes, columns, sought.worth, np.zeros((len(bare), 2)))


def place(points: Floats, photo: NDArray[np.int64], elastics: Elastics) -> tuple[NDArray[np.int64], Floats]:
    """The first control value that counts at points, (n,), and the weights of its columns and rows, (n, 2, 4)."""
    cells = elastics.cells[photo]
    x, y = np.clip((points + 0.5) * (cells / elastics.sizes[photo]), 0.0, cells).T
    column, across = spline_weights(x, cells[:, 0])
    row, down = spline_weights(y, cells[:, 1])
    return elastics.begins[photo] + row * (cells[:, 0] + 3) + column, np.stack([across, down], axis=1)


def displaced(points: Floats, photo: NDArray[np.int64], elastics: Elastics, x: Floats) -> Floats:
    """How far the meshes move points, full-size px, (n, 2)."""
    origin, weights = place(points, photo, elastics)
    grid = np.arange(4)[:, None] * (elastics.cells[photo, 0] + 3)[:, None, None] + np.arange(4)
    values = x.reshape(-1, 2)[origin[:, None, None] + grid]
    return np.asarray(np.einsum("nr,nc,nrck->nk", weights[:, 1], weights[:, 0], values) * elastics.pixels[photo, None])


def bend(cameras: Sequence[Camera], elastics: Elastics, x: Floats) -> list[Camera]:
    """Cameras with the meshes that unknowns stand for."""
    meshes = np.split(x.reshape(-1, 2), elastics.begins[1:-1])
    shapes = [(rows + 3, columns + 3, 2) for columns, rows in elastics.cells.tolist()]
    scaled = [(pixel * mesh).reshape(shape) for pixel, mesh, shape in zip(elastics.pixels, meshes, shapes, strict=True)]
    return [dataclasses.replace(c, mesh=mesh) for c, mesh in zip(cameras, scaled, strict=True)]


def fit_meshes(tied: Tied, elastics: Elastics, x: Floats, *, scales: Sequence[float], precise: float = PRECISE) -> Floats:
    """The meshes that bring tied points together best, as unknowns.

    Geman & McClure's robust errors by iterative re-weighting; the equations of every round by conjugate gradients, preconditioned by each
    photo's own equations.

    Parameters
    ----------
    tied : Tied
    elastics : Elastics
    x : (n,) float64
        First guess.
    scales : sequence of float
        Scales of the robust errors, reduced px, one after the other: what is further off counts less and less. Beginning wide lets a
        part of the overlap that lies far apart have its say before it is taken for a mistake (Blake & Zisserman 1987).
    """
    for least in scales if len(tied.error) else ():
        squares = ((tied.error - tied.moved(x)) ** 2).sum(axis=1)
        scale = max(least, 2 * float(np.sqrt(np.median(squares))))
        x = solve_meshes(tied, 1 / (1 + squares / scale**2) ** 2, elastics, x, precise)
    return x


def solve_meshes(tied: Tied, robust: Floats, elastics: Elastics, x: Floats, precise: float = PRECISE) -> Floats:
    """Conjugate gradients (Hestenes & Stiefel 1952) from a first guess; photos' own equations, factored, are the preconditioner."""
    weight, held = robust * tied.worth, ~elastics.free
    factor = elastics.band.copy()
    add_points(tied.origins, tied.weights, tied.slopes, tied.columns, weight, factor)
    # What is held at zero hangs on springs so stiff that all others feel a wall.
    factor[held, 0] += WALL * factor[:, 0].max()
    factor_band(factor)

    def pulled(difference: Floats, product: Floats) -> Floats:
        spread(tied.origins, tied.weights, tied.slopes, tied.columns, weight[:, None] * difference, product)
        product[held] = 0
        return product

    def times(v: Floats) -> Floats:
        product = np.zeros_like(v)
        multiply_band(elastics.band, v, product)
        return pulled(tied.moved(v), product)

    def preconditioned(v: Floats) -> Floats:
        answer = v.copy()
        solve_band(factor, answer)
        answer[held] = 0
        return answer

    def dot(a: Floats, b: Floats) -> float:
        return float((a * b).sum())

    target = pulled(tied.error, np.zeros_like(x))
    residual = target - times(x)
    z = preconditioned(residual)
    direction, energy = z, dot(residual, z)
    enough = precise**2 * dot(target, preconditioned(target))
    for _ in range(MOST_STEPS):
        if energy <= enough:
            break
        product = times(direction)
        step = energy / dot(direction, product)
        x = x + step * direction
        residual = residual - step * product
        z = preconditioned(residual)
        energy, before = dot(residual, z), energy
        direction = z + energy / before * direction
    return x
