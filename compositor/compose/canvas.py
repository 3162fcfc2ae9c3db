"""The sheet: which projection, how large, and where it begins. Only numbers; nothing large is allocated here."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from compositor.errors import LimitError, OptionError, TooFewPhotosError
from compositor.geometry.projections import PROJECTIONS
from compositor.geometry.views import border_directions, resolution, see
from compositor.options import ComposeOptions
from compositor.registration import Registration
from compositor.types import Camera, Canvas

__all__ = ["Footprint", "choose_projection", "footprint", "plan_canvas", "plan_reduction", "reduced_canvas"]

FLAT_FIELD = math.radians(90)
"""Up to this field of view either way a plane looks natural: it keeps straight lines straight and stretches its sides at most twice."""
MODERATE_HEIGHT = math.radians(80)
"""Up to this vertical field a cylinder keeps verticals straight without stretching its rims more than 1.7 times."""
PLAN_PIXELS = 0.15e6
"""The photos' size on the reduced canvas: enough to see what a seam should avoid, small enough to be quick."""
LARGEST_PLAN = 16e6
LARGEST_SIDE, LARGEST_AREA = 2**24, 2**36
TURN = 2 * math.pi
POLES = np.array([[0.0, -1.0, 0.0], [0.0, 1.0, 0.0]])


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


def footprint(camera: Camera, projection: str) -> Footprint:
    """The box that a camera's view covers on a projection; the view must be drawable on it."""
    surface = PROJECTIONS[projection]
    u, v = surface.locate(border_directions(camera)).T
    top, bottom = float(v.min()), float(v.max())
    if not surface.cyclic:
        return Footprint(float(u.min()), float(u.max()), top, bottom)
    poles = see(camera, POLES)[1]
    around = np.unwrap(np.append(u, u[0]))
    # Once round the photo's border the angle comes back to itself, unless the border runs around a pole. Close to a pole it jumps.
    if poles.any() or abs(around[-1] - around[0]) > math.pi or np.abs(np.diff(around)).max() > 1.0:
        upper, lower = poles if poles.any() else (top < -1.0, bottom > 1.0)
        return Footprint(-math.pi, math.pi, -surface.lowest if upper else top, surface.lowest if lower else bottom, full_turn=True)
    start = (float(around.min()) + math.pi) % TURN - math.pi
    return Footprint(start, start + float(np.ptp(around)), top, bottom)


def _join_turns(prints: Sequence[Footprint]) -> tuple[float, float]:
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


def choose_projection(cameras: Sequence[Camera]) -> str:
    """The plainest projection that shows a set of views without much stretching."""
    if any(camera.plane is not None for camera in cameras):
        return "plane"
    prints = [footprint(camera, "spherical") for camera in cameras]
    left, right = _join_turns(prints)
    top, bottom = min(p.top for p in prints), max(p.bottom for p in prints)
    forward = min(float(border_directions(camera)[:, 2].min()) for camera in cameras)
    if forward > 0.5 and right - left <= FLAT_FIELD and bottom - top <= FLAT_FIELD:
        return "plane"
    if bottom - top <= MODERATE_HEIGHT and max(bottom, -top) <= 0.7 * MODERATE_HEIGHT:
        return "cylindrical"
    return "spherical"


def _check_reach(cameras: Sequence[Camera], projection: str) -> None:
    """Refuse a projection that would have to be stretched without end."""
    surface = PROJECTIONS[projection]
    for camera in cameras:
        directions = border_directions(camera)
        if camera.plane is not None:
            if projection != "plane":
                raise OptionError(f"projection {projection!r} cannot show {camera.name}, which is a photo of a plane; choose plane or auto")
            if directions[:, 2].min() <= 0:
                raise OptionError(f"{camera.name} looks beyond the horizon of the plane it is to be drawn on; leave that photo out")
            continue
        if surface.widest >= math.pi:
            continue
        if surface.cyclic:
            away = math.asin(min(1.0, np.abs(directions[:, 1]).max()))
            away = math.pi / 2 if see(camera, POLES)[1].any() else away
        else:
            away = math.acos(max(-1.0, directions[:, 2].min()))
        if away > surface.widest:
            others = "spherical" if surface.cyclic else "cylindrical or spherical"
            raise OptionError(
                f"projection {projection!r} cannot show {camera.name}, which looks {math.degrees(away):.0f} degrees off its middle "
                f"(at most {math.degrees(surface.widest):.0f} can be drawn); choose {others}"
            )


def plan_canvas(registration: Registration, options: ComposeOptions) -> Canvas:
    """The canvas that shows every photo of a registration.

    Parameters
    ----------
    registration : Registration
    options : ComposeOptions
        ``projection`` and ``scale`` are used.

    Returns
    -------
    Canvas
        Its first and last pixel centres lie on the photos' outermost ones; views all the way round give one that wraps.

    Raises
    ------
    OptionError
        The projection cannot show one of the views.
    LimitError
        The canvas would be larger than any file.
    TooFewPhotosError
        The registration holds no photo.
    """
    cameras = registration.cameras
    if not cameras:
        raise TooFewPhotosError("the registration holds no photos; at least one is needed", left_out=registration.left_out)
    projection = choose_projection(cameras) if options.projection == "auto" else options.projection
    _check_reach(cameras, projection)
    prints = [footprint(camera, projection) for camera in cameras]
    scale = float(np.median([resolution(camera) for camera in cameras])) * options.scale
    top, bottom = min(p.top for p in prints), max(p.bottom for p in prints)
    left, right = min(p.left for p in prints), max(p.right for p in prints)
    if PROJECTIONS[projection].cyclic:
        left, right = _join_turns(prints)
    wraps = PROJECTIONS[projection].cyclic and (TURN - (right - left)) * scale < 1
    if not max(right - left, bottom - top) * scale < LARGEST_SIDE or (right - left) * (bottom - top) * scale**2 > LARGEST_AREA:
        raise LimitError(
            f"the panorama would have {(right - left) * scale:.3g} x {(bottom - top) * scale:.3g} pixels; "
            f"at most {LARGEST_SIDE} a side and {LARGEST_AREA} in all can be drawn; try a smaller scale or another projection"
        )
    if wraps:
        width = _round_turn(TURN * scale)
        scale, left = width / TURN, -math.pi
    else:
        width = _count(left, right, scale)
    return Canvas(projection, scale, left * scale, top * scale, (width, _count(top, bottom, scale)), wraps)


def _count(first: float, last: float, scale: float) -> int:
    """How many pixel centres fit from first to last."""
    return math.floor((last - first) * scale + 1e-6) + 1


def _round_turn(width: float) -> int:
    """A full turn's width, rounded up so that a reduced canvas closes too; the scale grows by less than two per cent."""
    step = 1
    while step < 32 and step * 128 <= width:
        step *= 2
    return int(max(step, math.ceil(width / step) * step))


def plan_reduction(registration: Registration, canvas: Canvas) -> int:
    """How many canvas pixels make one pixel of the reduced canvas that seams and gains are planned on: 1, 2, 4 .. 32.

    A power of two, so that the reduced canvas is a level of the blending pyramid.
    """
    areas = [camera.size[0] * camera.size[1] * (canvas.scale / resolution(camera)) ** 2 for camera in registration.cameras]
    level = round(math.log2(max(1.0, float(np.median(areas)) / PLAN_PIXELS)) / 2)
    factor = 1 << min(level, 5)
    while factor < 32 and canvas.size[0] * canvas.size[1] > LARGEST_PLAN * factor**2:
        factor *= 2
    while canvas.wraps and canvas.size[0] % factor:
        factor //= 2
    return factor


def reduced_canvas(canvas: Canvas, factor: int) -> Canvas:
    """Every factor-th pixel of a canvas, from its first one on; its last row and column may lie just outside.

    These are the pixel centres of a level of the Burt-Adelson pyramid.
    """
    w, h = canvas.size
    size = (w // factor if canvas.wraps else -(-(w - 1) // factor) + 1, -(-(h - 1) // factor) + 1)
    return Canvas(canvas.projection, canvas.scale / factor, canvas.left / factor, canvas.top / factor, size, canvas.wraps)
