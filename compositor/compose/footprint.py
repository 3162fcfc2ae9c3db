"""Which part of a surface a photo covers."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from compositor.geometry.projections import PROJECTIONS, Projection
from compositor.geometry.views import border_directions, resolution, see
from compositor.types import Camera, Canvas

__all__ = ["POLES", "TURN", "Footprint", "enlargement", "footprint", "join_turns", "limit", "magnification"]

Floats = NDArray[np.float64]

TURN = 2 * math.pi
STEP, LEAST, MOST = 1e-4, 1.5, 4.0
SAMPLES_OF_RIM = 1024
"""Along each side."""
POLES = np.array([[0.0, -1.0, 0.0], [0.0, 1.0, 0.0]])
AROUND_BEHIND = 0.1
"""Within this angle of straight behind, radians, a fisheye picture turns so fast that points of a photo's border do not tell its extent."""


@dataclasses.dataclass(frozen=True)
class Footprint:
    """The box that one photo covers on a projection, in units of the canvas scale.

    Parameters
    ----------
    left, right, top, bottom : float
        Of the centres of its outermost pixels; on a cyclic projection left lies in -pi..pi and right may lie beyond pi.
    full_turn : bool
        The photo sees a pole, so it covers every column.
    """

    left: float
    right: float
    top: float
    bottom: float
    full_turn: bool = False


def footprint(
    camera: Camera, projection: str, limits: tuple[float, float] = (math.inf, math.inf), *, beyond: float = 0.0
) -> Footprint | None:
    """The box that holds what a projection can show of a camera's view.

    Parameters
    ----------
    camera : Camera
    projection : str
    limits : (float, float)
        Largest |u| and |v| that count, on a projection that is not cyclic.
    beyond : float
        How far outside the centres of its outermost pixels the view is taken to end, px of the photo.

    Returns
    -------
    Footprint or None
        None where nothing is shown of the view.
    """
    surface = PROJECTIONS[projection]
    border = border_directions(camera, beyond=beyond)
    u, v = surface.locate(border).T
    if camera.plane is not None:
        return Footprint(float(u.min()), float(u.max()), float(v.min()), float(v.max()))
    if not surface.cyclic:
        return _open_footprint(camera, surface, u, v, (min(surface.reach[0], limits[0]), min(surface.reach[1], limits[1])))
    top, bottom = float(v.min()), float(v.max())
    poles = see(camera, POLES)[1]
    around = np.unwrap(np.append(u, u[0]))
    # Once round the photo's border the angle comes back to itself, unless the border runs around a pole. Close to a pole it jumps.
    full_turn = bool(poles.any() or abs(around[-1] - around[0]) > math.pi or np.abs(np.diff(around)).max() > 1.0)
    if full_turn:
        upper, lower = poles if poles.any() else (top < -1.0, bottom > 1.0)
        top, bottom = -surface.reach[1] if upper else top, surface.reach[1] if lower else bottom
    start = (float(around.min()) + math.pi) % TURN - math.pi
    left, right = (-math.pi, math.pi) if full_turn else (start, start + float(np.ptp(around)))
    return limit(Footprint(left, right, top, bottom, full_turn), math.inf, surface.reach[1])


def _open_footprint(camera: Camera, surface: Projection, u: Floats, v: Floats, reach: tuple[float, float]) -> Footprint | None:
    """The footprint on a surface without a turn, from where it shows the photo's border.

    A photo within the rim is as large as its border. One that crosses the rim, or surrounds it because it shows what lies behind, is as
    large as the parts of its border within the rim and of the rim within the photo.
    """
    drawn = (np.abs(u) <= reach[0]) & (np.abs(v) <= reach[1])
    if drawn.all() and surface.widest < math.pi:
        return Footprint(float(u.min()), float(u.max()), float(v.min()), float(v.max()))
    rim = _rim(surface, *reach)
    crossed = rim[see(camera, surface.directions(*rim.T))[1]]
    if surface.angular and (np.hypot(*crossed.T) > math.pi - 1.5 * AROUND_BEHIND).any():
        return Footprint(-reach[0], reach[0], -reach[1], reach[1])
    near = (drawn | np.roll(drawn, 1) | np.roll(drawn, -1)) & np.isfinite(u) & np.isfinite(v)
    across, down = np.append(u[near], crossed[:, 0]), np.append(v[near], crossed[:, 1])
    if not len(across):
        return None
    spare = 2 * max(reach) / SAMPLES_OF_RIM if len(crossed) else 0.0
    left, right, top, bottom = (float(edge) for edge in (across.min(), across.max(), down.min(), down.max()))
    return limit(Footprint(left - spare, right + spare, top - spare, bottom + spare), *reach)


@functools.cache
def _rim(surface: Projection, width: float, height: float) -> Floats:
    """Coordinates all along the rim of what is to be shown of a surface, (m, 2); of a fisheye, not quite as far as straight behind."""
    along, one = np.linspace(-1, 1, SAMPLES_OF_RIM), np.ones(SAMPLES_OF_RIM)
    u, v = np.concatenate([along, one, along, -one]), np.concatenate([-one, along, one, along])
    rim = np.stack([width * u, height * v], axis=1)
    if not surface.angular:
        return rim
    return np.asarray(rim * np.minimum(1, (math.pi - AROUND_BEHIND) / np.hypot(*rim.T))[:, None])


def limit(seen: Footprint, width: float, height: float) -> Footprint | None:
    """The part of a footprint with |u| up to ``width`` and |v| up to ``height``; None where there is none."""
    left, right = max(seen.left, -width), min(seen.right, width)
    top, bottom = max(seen.top, -height), min(seen.bottom, height)
    return Footprint(left, right, top, bottom, seen.full_turn) if left <= right and top <= bottom else None


def join_turns(prints: Sequence[Footprint]) -> tuple[float, float]:
    """First and last angle of the shortest arc that holds all footprints; a full turn when they leave no gap."""
    if any(p.full_turn for p in prints):
        return -math.pi, math.pi
    arcs = sorted((p.left, p.right) for p in prints)
    end = max(right for _, right in arcs) - TURN  # how far the arcs that cross the back reach round to the first ones
    gap, start, last = -math.inf, 0.0, 0.0
    for left, right in arcs:
        if left - end > gap:
            gap, start, last = left - end, left, end
        end = max(end, right)
    return (start, last + TURN) if gap > 0 else (-math.pi, math.pi)


def magnification(camera: Camera, projection: str) -> float:
    """How much larger a projection shows the middle of a photo than its own middle: 1, or 1.5 .. 4; less is left to interpolation."""
    surface = PROJECTIONS[projection]
    if not surface.stretching or camera.plane is not None:
        return 1.0
    right, below, ahead = camera.rotation.T
    here, across, down = surface.locate(np.stack([ahead, ahead + STEP * right, ahead + STEP * below]))
    (a, b), (c, d) = (across - here) / STEP, (down - here) / STEP
    area = abs(a * d - b * c)
    larger = min(math.sqrt(area), MOST) if math.isfinite(area) else MOST
    return larger if larger >= LEAST else 1.0


def enlargement(camera: Camera, canvas: Canvas) -> float:
    """Canvas pixels per pixel of a photo, at the middle of the photo."""
    return canvas.scale * magnification(camera, canvas.projection) / resolution(camera)
