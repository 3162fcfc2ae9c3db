"""Surfaces a panorama can be drawn on.

A projection takes world directions to coordinates (u, v) in units of the canvas scale, and back. All of today's are separable: the
direction at (u, v) is (a * c, s, b * c) with (a, b) of the column alone and (c, s) of the row alone, so that a tile needs trigonometry only
along its edges.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compositor.types import Canvas

__all__ = ["PROJECTIONS", "Projection", "canvas_columns", "canvas_directions", "canvas_positions", "canvas_rows"]

Floats = NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class Projection:
    """One surface.

    Parameters
    ----------
    locate : callable
        (n, 3) world directions -> (n, 2) coordinates (u, v), u in -pi..pi where it is an angle.
    column : callable
        (w,) u -> (2, w): sideways and forward parts a, b.
    row : callable
        (h,) v -> (2, h): their factor c and the downward part s.
    cyclic : bool
        u is an angle, so the surface can close to a full turn.
    widest : float
        Largest angle between a direction and the middle of the surface (cyclic: its equator) that can be drawn, radians.
    lowest : float
        Largest |v| that exists; infinite where the surface is open.
    """

    locate: Callable[[Floats], Floats]
    column: Callable[[Floats], Floats]
    row: Callable[[Floats], Floats]
    cyclic: bool
    widest: float
    lowest: float = math.inf


def _locate_on_plane(directions: Floats) -> Floats:
    return np.asarray(directions[:, :2] / directions[:, 2:])


def _locate_on_cylinder(directions: Floats) -> Floats:
    x, y, z = directions.T
    return np.stack([np.arctan2(x, z), y / np.hypot(x, z)], axis=1)


def _locate_on_sphere(directions: Floats) -> Floats:
    x, y, z = directions.T
    return np.stack([np.arctan2(x, z), np.arctan2(y, np.hypot(x, z))], axis=1)


def _flat_column(u: Floats) -> Floats:
    return np.stack([u, np.ones_like(u)])


def _round_column(u: Floats) -> Floats:
    return np.stack([np.sin(u), np.cos(u)])


def _flat_row(v: Floats) -> Floats:
    return np.stack([np.ones_like(v), v])


def _round_row(v: Floats) -> Floats:
    return np.stack([np.cos(v), np.sin(v)])


# Beyond 75 degrees a tangent stretches the picture more than 15 times.
PROJECTIONS = {
    "plane": Projection(_locate_on_plane, _flat_column, _flat_row, cyclic=False, widest=math.radians(75)),
    "cylindrical": Projection(_locate_on_cylinder, _round_column, _flat_row, cyclic=True, widest=math.radians(75)),
    "spherical": Projection(_locate_on_sphere, _round_column, _round_row, cyclic=True, widest=math.pi, lowest=math.pi / 2),
}
"""By name. A new projection joins here and in ``compositor.options``."""


def canvas_columns(canvas: Canvas) -> Floats:
    """Sideways and forward parts of the directions of all canvas columns, (2, w) float64.

    One table for the whole canvas: every tile reads the same numbers whatever its size.
    """
    u: NDArray[Any] = (np.arange(canvas.size[0]) + canvas.left) / canvas.scale
    return PROJECTIONS[canvas.projection].column(u)


def canvas_rows(canvas: Canvas) -> Floats:
    """Factor and downward part of the directions of all canvas rows, (2, h) float64."""
    v: NDArray[Any] = (np.arange(canvas.size[1]) + canvas.top) / canvas.scale
    return PROJECTIONS[canvas.projection].row(v)


def canvas_directions(canvas: Canvas, positions: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    """World directions of canvas positions.

    Parameters
    ----------
    canvas : Canvas
    positions : (n, 2) float64
        Canvas px, x and y.

    Returns
    -------
    directions : (n, 3) float64
    exists : (n,) bool
        False beyond the edge of the surface, such as past a pole.
    """
    projection = PROJECTIONS[canvas.projection]
    u, v = ((positions + np.array([canvas.left, canvas.top])) / canvas.scale).T
    (sideways, forward), (factor, down) = projection.column(u), projection.row(v)
    return np.stack([sideways * factor, down, forward * factor], axis=1), np.abs(v) <= projection.lowest


def canvas_positions(canvas: Canvas, directions: Floats) -> Floats:
    """Canvas px, (n, 2), of world directions; on a canvas that is a full turn within 0 <= x < width, else nearest to its middle."""
    projection = PROJECTIONS[canvas.projection]
    positions = projection.locate(directions) * canvas.scale - (canvas.left, canvas.top)
    if projection.cyclic:
        turn = 2 * np.pi * canvas.scale
        first = 0.0 if canvas.wraps else (canvas.size[0] - turn) / 2
        positions[:, 0] = (positions[:, 0] - first) % turn + first
    return np.asarray(positions)
