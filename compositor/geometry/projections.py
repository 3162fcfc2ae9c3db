"""Surfaces a panorama can be drawn on.

A projection takes world directions to coordinates (u, v) in units of the canvas scale, and back. All but the fisheye are separable: the
direction at (u, v) is (a * c, s, b * c + t) with (a, b) of the column alone and (c, s, t) of the row alone, so that a tile needs
trigonometry only along its edges. For the fisheye (u, v, 0) is separable, and the direction follows from it by two short series.
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
        (n, 3) world directions -> (n, 2) coordinates (u, v), u in -pi..pi where it is an angle; NaN where the surface never shows them.
    column : callable
        (w,) u -> (2, w): sideways and forward parts a, b.
    row : callable
        (h,) v -> (3, h): their factor c, the downward part s and a forward part t.
    cyclic : bool
        u is an angle, so the surface can close to a full turn.
    widest : float
        Views that reach further from the middle of the surface (cyclic: from its equator) than this angle, radians, are refused unless the
        field of view is limited; where it is pi they are cut.
    reach : (float, float)
        Largest |u| and |v| that can be drawn.
    usual : float
        Largest |u| and |v| that are drawn where no field of view is asked for.
    angular : bool
        Distance from the middle is the angle itself: tables give p = (u, v, 0), the direction is sin|p| / |p| * p + (0, 0, cos|p|).
    stretching : bool
        What lies off its middle is shown so much larger that photos there must be decoded larger, too.
    """

    locate: Callable[[Floats], Floats]
    column: Callable[[Floats], Floats]
    row: Callable[[Floats], Floats]
    cyclic: bool
    widest: float
    reach: tuple[float, float]
    usual: float = math.inf
    angular: bool = False
    stretching: bool = False

    def directions(self, u: Floats, v: Floats) -> Floats:
        """World directions, (n, 3), of coordinates, (n,) each."""
        (sideways, forward), (factor, down, ahead) = self.column(u), self.row(v)
        directions = np.stack([sideways * factor, down, forward * factor + ahead], axis=1)
        if self.angular:
            angle = np.hypot(u, v)
            directions = directions * np.sinc(angle / np.pi)[:, None]
            directions[:, 2] = np.cos(angle)
        return directions

    def exists(self, u: Floats, v: Floats) -> NDArray[np.bool_]:
        """Whether coordinates mean a direction, (n,); not past a pole, nor further round than straight behind."""
        return np.hypot(u, v) <= np.pi if self.angular else np.abs(v) <= (self.reach[1] if self.cyclic else math.inf)


def _locate_on_plane(directions: Floats) -> Floats:
    depth = directions[:, 2:]
    return np.asarray(directions[:, :2] / np.where(depth > 0, depth, np.nan))


def _locate_on_cylinder(directions: Floats) -> Floats:
    x, y, z = directions.T
    return np.stack([np.arctan2(x, z), y / np.hypot(x, z)], axis=1)


def _locate_on_sphere(directions: Floats) -> Floats:
    x, y, z = directions.T
    return np.stack([np.arctan2(x, z), np.arctan2(y, np.hypot(x, z))], axis=1)


def _locate_on_mercator(directions: Floats) -> Floats:
    x, y, z = directions.T
    level = np.hypot(x, z)
    return np.stack([np.arctan2(x, z), np.arcsinh(y / np.maximum(level, TINY * np.abs(y)))], axis=1)


def _locate_on_stereographic(directions: Floats) -> Floats:
    x, y, z = directions.T
    length = np.sqrt(x * x + y * y + z * z)
    return np.asarray(2 * directions[:, :2] / _open(length + z, length)[:, None])


def _locate_on_fisheye(directions: Floats) -> Floats:
    x, y, z = directions.T
    angle, around = np.arctan2(np.hypot(x, y), z), np.arctan2(y, x)
    return np.stack([angle * np.cos(around), angle * np.sin(around)], axis=1)


def _locate_on_panini(directions: Floats) -> Floats:
    # Sharpless, Postle and German, «Pannini: a new projection for rendering wide angle perspective images» (2010), with d = 1: a cylinder
    # seen from its far side. With a the angle round it, u = 2 sin a / (1 + cos a) and v = 2 tan(elevation) / (1 + cos a).
    x, y, z = directions.T
    level = np.hypot(x, z)
    return np.asarray(2 * directions[:, :2] / _open(level + z, level + np.abs(y))[:, None])


def _open(depth: Floats, length: Floats) -> Floats:
    """Depths, but NaN for directions straight to where a surface never closes."""
    return np.where(depth > TINY * length, depth, np.nan)


def _flat_column(u: Floats) -> Floats:
    return np.stack([u, np.ones_like(u)])


def _round_column(u: Floats) -> Floats:
    return np.stack([np.sin(u), np.cos(u)])


def _parabolic_column(u: Floats) -> Floats:
    return np.stack([u, 1 - u * u / 4])


def _stereographic_column(u: Floats) -> Floats:
    return np.stack([u, -u * u / 4])


def _angular_column(u: Floats) -> Floats:
    return np.stack([u, np.zeros_like(u)])


def _flat_row(v: Floats) -> Floats:
    return np.stack([np.ones_like(v), v, np.zeros_like(v)])


def _round_row(v: Floats) -> Floats:
    return np.stack([np.cos(v), np.sin(v), np.zeros_like(v)])


def _mercator_row(v: Floats) -> Floats:
    return np.stack([np.ones_like(v), np.sinh(v), np.zeros_like(v)])


def _stereographic_row(v: Floats) -> Floats:
    return np.stack([np.ones_like(v), v, 1 - v * v / 4])


TINY = 1e-12
"""Nearer than this many radians to a direction that lies infinitely far away, rounding decides."""
STEEPEST = math.tan(math.radians(75))
"""Beyond 75 degrees a tangent stretches the picture more than 15 times; so does beyond 150 the tangent of half the angle."""
USUAL = 2 * math.tan(math.radians(60))
"""Beyond 120 degrees off the middle, the tangent of half the angle stretches the picture more than 4 times."""

PROJECTIONS = {
    "plane": Projection(_locate_on_plane, _flat_column, _flat_row, False, math.radians(75), (STEEPEST, STEEPEST), stretching=True),
    "cylindrical": Projection(_locate_on_cylinder, _round_column, _flat_row, True, math.radians(75), (math.pi, math.inf)),
    "spherical": Projection(_locate_on_sphere, _round_column, _round_row, True, math.pi, (math.pi, math.pi / 2)),
    # Cut at 85 degrees, where a full turn is a square.
    "mercator": Projection(_locate_on_mercator, _round_column, _mercator_row, True, math.pi, (math.pi, math.pi), stretching=True),
    "stereographic": Projection(
        _locate_on_stereographic,
        _stereographic_column,
        _stereographic_row,
        False,
        math.pi,
        (2 * STEEPEST, 2 * STEEPEST),
        USUAL,
        stretching=True,
    ),
    "fisheye": Projection(
        _locate_on_fisheye, _angular_column, _flat_row, False, math.pi, (math.pi, math.pi), angular=True, stretching=True
    ),
    "panini": Projection(
        _locate_on_panini, _parabolic_column, _flat_row, False, math.pi, (2 * STEEPEST, 2 * STEEPEST), USUAL, stretching=True
    ),
}
"""By name. A new projection joins here and in ``compositor.options``."""


def canvas_columns(canvas: Canvas) -> Floats:
    """Sideways and forward parts of the directions of all canvas columns, (2, w) float64.

    One table for the whole canvas: every tile reads the same numbers whatever its size.
    """
    u: NDArray[Any] = (np.arange(canvas.size[0]) + canvas.left) / canvas.scale
    return PROJECTIONS[canvas.projection].column(u)


def canvas_rows(canvas: Canvas) -> Floats:
    """Factor, downward and forward part of the directions of all canvas rows, (3, h) float64; NaN for rows past a pole.

    The row after the last may lie past it on a reduced canvas.
    """
    projection = PROJECTIONS[canvas.projection]
    v: NDArray[Any] = (np.arange(canvas.size[1]) + canvas.top) / canvas.scale
    rows = projection.row(v)
    if projection.cyclic:
        rows[:, np.abs(v) > projection.reach[1] + 1 / canvas.scale] = np.nan
    return rows


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
    return projection.directions(u, v), projection.exists(u, v)


def canvas_positions(canvas: Canvas, directions: Floats) -> Floats:
    """Canvas px, (n, 2), of world directions; on a canvas that is a full turn within 0 <= x < width, else nearest to its middle."""
    projection = PROJECTIONS[canvas.projection]
    positions = projection.locate(directions) * canvas.scale - (canvas.left, canvas.top)
    if projection.cyclic:
        turn = 2 * np.pi * canvas.scale
        first = 0.0 if canvas.wraps else (canvas.size[0] - turn) / 2
        positions[:, 0] = (positions[:, 0] - first) % turn + first
    return np.asarray(positions)
