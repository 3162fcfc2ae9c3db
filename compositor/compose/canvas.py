"""The sheet: which projection, how large, and where it begins. Only numbers; nothing large is allocated here."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from compositor.compose.footprint import POLES, TURN, Footprint, enlargement, footprint, join_turns, limit, magnification
from compositor.compose.view import view_limits
from compositor.errors import LimitError, OptionError, TooFewPhotosError
from compositor.geometry.projections import PROJECTIONS
from compositor.geometry.views import border_directions, resolution, see
from compositor.options import ComposeOptions
from compositor.registration import Registration
from compositor.types import Camera, Canvas

__all__ = ["choose_projection", "plan_canvas", "plan_reduction", "reduced_canvas"]

FLAT_FIELD = math.radians(90)
"""Up to this field of view either way a plane looks natural: it keeps straight lines straight and stretches its sides at most twice."""
MODERATE_HEIGHT = math.radians(80)
"""Up to this vertical field a cylinder keeps verticals straight without stretching its rims more than 1.7 times."""
PLAN_PIXELS = 0.15e6
"""The photos' size on the reduced canvas: enough to see what a seam should avoid, small enough to be quick."""
LARGEST_PLAN = 8e6
LARGEST_SIDE, LARGEST_AREA = 2**24, 2**36


def choose_projection(cameras: Sequence[Camera]) -> str:
    """The plainest projection that shows a set of views without much stretching."""
    if any(camera.plane is not None for camera in cameras):
        return "plane"
    prints = [seen for camera in cameras if (seen := footprint(camera, "spherical"))]
    left, right = join_turns(prints)
    top, bottom = min(p.top for p in prints), max(p.bottom for p in prints)
    forward = min(float(border_directions(camera)[:, 2].min()) for camera in cameras)
    if forward > 0.5 and right - left <= FLAT_FIELD and bottom - top <= FLAT_FIELD:
        return "plane"
    if bottom - top <= MODERATE_HEIGHT and max(bottom, -top) <= 0.7 * MODERATE_HEIGHT:
        return "cylindrical"
    return "spherical"


def _check_reach(cameras: Sequence[Camera], projection: str, limited: bool) -> None:
    """Refuse a projection that would have to be stretched without end; a plane that is limited to a field of view is not."""
    surface = PROJECTIONS[projection]
    for camera in cameras:
        directions = border_directions(camera)
        if camera.plane is not None:
            if projection != "plane":
                raise OptionError(f"projection={projection!r} cannot show {camera.name}, which is a photo of a plane; choose plane or auto")
            if directions[:, 2].min() <= 0:
                raise OptionError(f"{camera.name} looks beyond the horizon of the plane it is to be drawn on; leave that photo out")
            continue
        if surface.widest >= math.pi or (limited and not surface.cyclic):
            continue
        if surface.cyclic:
            away = math.asin(min(1.0, np.abs(directions[:, 1]).max()))
            away = math.pi / 2 if see(camera, POLES)[1].any() else away
        else:
            away = math.acos(max(-1.0, directions[:, 2].min()))
        if away > surface.widest:
            others = "spherical" if surface.cyclic else "cylindrical or spherical, or limit the field of view by fov="
            raise OptionError(
                f"projection={projection!r} cannot show {camera.name}, which looks {math.degrees(away):.0f} degrees off its middle "
                f"(at most {math.degrees(surface.widest):.0f} can be drawn); choose {others}"
            )


def plan_canvas(registration: Registration, options: ComposeOptions) -> Canvas:
    """The canvas that shows every photo of a registration, or as much of it as the field of view holds.

    Parameters
    ----------
    registration : Registration
        Turned as the view wants it.
    options : ComposeOptions
        ``projection``, ``scale``, ``fov`` and ``size`` are used.

    Returns
    -------
    Canvas
        Its first and last pixel centres lie on the photos' outermost ones, or it is a window around the middle of the projection; views
        all the way round give one that wraps. A pole lies on the edge of a pixel, so that a full sphere is twice as wide as it is high.

    Raises
    ------
    OptionError
        The projection cannot show one of the views or the field of view, or no photo shows anything of it.
    LimitError
        The canvas would be larger than any file.
    TooFewPhotosError
        The registration holds no photo.
    """
    cameras = registration.cameras
    if not cameras:
        raise TooFewPhotosError("the registration holds no photos; at least one is needed", left_out=registration.left_out)
    projection = choose_projection(cameras) if options.projection == "auto" else options.projection
    surface, size = PROJECTIONS[projection], options.pixels
    limits = view_limits(cameras, projection, options)
    _check_reach(cameras, projection, bool(options.fov))
    shown = _shown(cameras, projection, limits)
    if shown is None:
        raise OptionError(
            f"no photo shows anything of the view that yaw={options.yaw:g}, pitch={options.pitch:g} and fov={options.fov:g} make; "
            "turn it to where photos look, or widen it"
        )
    # A window of so many rows has just those.
    poles = (False, False) if size is not None and options.fov and size[1] else _poles(shown, projection)
    scale = float(np.median([resolution(camera) for camera in cameras])) * options.scale
    scale /= min(magnification(camera, projection) for camera in cameras)
    if size is not None and options.fov:
        shown, scale = _window(shown, limits[0], size)
    elif size is not None:
        scale = _scale_to_fit(shown, size, surface.cyclic, poles) or scale
    across, down = shown.right - shown.left, shown.bottom - shown.top
    if not max(across, down) * scale < LARGEST_SIDE or across * down * scale**2 > LARGEST_AREA:
        raise LimitError(
            f"the panorama would have {across * scale:.3g} x {down * scale:.3g} pixels; "
            f"at most {LARGEST_SIDE} a side and {LARGEST_AREA} in all can be drawn; try a smaller scale= or another projection="
        )
    top, height = _rows(shown, scale, poles)
    canvas = Canvas(projection, scale, shown.left * scale, top, (_count(shown.left, shown.right, scale), height))
    if not surface.cyclic or (TURN - across) * scale >= 1:
        return canvas
    width = _round_turn(TURN * scale) if size is None else _whole_turn(registration, canvas)
    scale = width / TURN
    if size is not None and options.fov and size[1]:  # as high as asked for, also where the width was rounded
        return Canvas(projection, scale, -math.pi * scale, -(height - 1) / 2, (width, height), wraps=True)
    top, height = _rows(shown, scale, poles)
    return Canvas(projection, scale, -math.pi * scale, top, (width, height), wraps=True)


def _shown(cameras: Sequence[Camera], projection: str, limits: tuple[float, float]) -> Footprint | None:
    """The box that all photos cover, as far as the limits allow; None where they cover nothing of that."""
    prints = [seen for camera in cameras if (seen := footprint(camera, projection, limits))]
    round_it, limited = PROJECTIONS[projection].cyclic, math.isfinite(limits[0])
    turns = (-TURN, 0.0, TURN) if round_it and limited else (0.0,)
    shifted = [dataclasses.replace(p, left=p.left + turn, right=p.right + turn) for p in prints for turn in turns]
    prints = [seen for p in shifted if (seen := limit(p, *limits))]
    if not prints:
        return None
    left, right = min(p.left for p in prints), max(p.right for p in prints)
    if round_it and not limited:
        left, right = join_turns(prints)
    return Footprint(left, right, min(p.top for p in prints), max(p.bottom for p in prints))


def _window(shown: Footprint, half: float, size: tuple[int, int]) -> tuple[Footprint, float]:
    """What a view of some pixels shows, and its scale: |u| up to ``half`` across the width; all there is where no height is asked for."""
    width, height = size
    if not math.isfinite(half):
        left, right, scale = -math.pi, math.pi, width / TURN
    else:
        scale = width / (2 * half)
        left, right = -(width - 1) / 2 / scale, (width - 1) / 2 / scale
    if not height:
        return Footprint(left, right, shown.top, shown.bottom), scale
    return Footprint(left, right, -(height - 1) / 2 / scale, (height - 1) / 2 / scale), scale


def _scale_to_fit(shown: Footprint, size: tuple[int, int], cyclic: bool, poles: tuple[bool, bool]) -> float:
    """The scale at which what is shown just fits into a size, whose height may be 0 for any; 0 where it is a single point."""
    across, down = shown.right - shown.left, shown.bottom - shown.top
    steps = [
        size[0] if cyclic and across >= TURN else max(size[0] - 1, 0.5),
        max(size[1] - 1 + sum(poles) / 2, 0.5) if size[1] else math.inf,
    ]
    return min((pixels / extent for pixels, extent in zip(steps, (across, down), strict=True) if extent > 0), default=0.0)


def _poles(shown: Footprint, projection: str) -> tuple[bool, bool]:
    """Whether the upper and the lower end of what is shown are poles of a sphere."""
    reach = PROJECTIONS[projection].reach[1]
    return projection == "spherical" and shown.top == -reach, projection == "spherical" and shown.bottom == reach


def _rows(shown: Footprint, scale: float, poles: tuple[bool, bool]) -> tuple[float, int]:
    """Where the first row of what is shown lies, px, and how many rows there are; a pole is the edge of one."""
    top, bottom = shown.top * scale + poles[0] / 2, shown.bottom * scale - poles[1] / 2
    return top, _count(top, max(top, bottom), 1.0)


def _whole_turn(registration: Registration, canvas: Canvas) -> int:
    """The width of a full turn, rounded down so that its reduced canvas closes too, and to an even number."""
    width = math.floor(TURN * canvas.scale + 1e-6)
    step = max(2, plan_reduction(registration, canvas))
    return max(1, width // step * step)


def _count(first: float, last: float, scale: float) -> int:
    """How many pixel centres fit from first to last."""
    return math.floor((last - first) * scale + 1e-6) + 1


def _round_turn(width: float) -> int:
    """A full turn's width, rounded up so that a reduced canvas closes too; the scale grows by less than two per cent."""
    step = 2
    while step < 32 and step * 128 <= width:
        step *= 2
    return int(max(step, math.ceil(width / step) * step))


def plan_reduction(registration: Registration, canvas: Canvas) -> int:
    """How many canvas pixels make one pixel of the reduced canvas that seams and gains are planned on: 1, 2, 4 .. 32.

    A power of two, so that the reduced canvas is a level of the blending pyramid.
    """
    areas = [camera.size[0] * camera.size[1] * enlargement(camera, canvas) ** 2 for camera in registration.cameras]
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
