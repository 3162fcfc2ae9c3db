"""Where a panorama looks, how wide, and how large: what the user asks of the view rather than what the photos give."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from compositor.errors import OptionError
from compositor.geometry.projections import PROJECTIONS, Projection
from compositor.geometry.views import angles_of, rotation_of
from compositor.options import ComposeOptions
from compositor.registration import Registration
from compositor.types import Camera

__all__ = ["turned", "view_limits"]

Floats = NDArray[np.float64]


def turned(registration: Registration, options: ComposeOptions) -> Registration:
    """A registration whose straight ahead is where the view is to look.

    Parameters
    ----------
    registration : Registration
    options : ComposeOptions
        ``yaw``, ``pitch`` and ``roll`` are used.

    Returns
    -------
    Registration
        It knows by how much its cameras are turned; the same one where the view is not turned.

    Raises
    ------
    OptionError
        Photos of a plane are to be looked at from aside.
    """
    if not (options.yaw or options.pitch or options.roll):
        return registration
    if (options.yaw or options.pitch) and any(camera.plane is not None for camera in registration.cameras):
        raise OptionError("yaw= and pitch= turn photos that look around; these are photos of a plane, which only roll= can turn")
    view = rotation_of(*map(math.radians, (options.yaw, options.pitch, options.roll)))
    cameras = tuple(camera.looking(_product(view.T, camera.view)) for camera in registration.cameras)
    before = rotation_of(*map(math.radians, registration.turned))
    yaw, pitch, roll = map(math.degrees, angles_of(_product(before, view)))
    return dataclasses.replace(registration, cameras=cameras, turned=(yaw, pitch, roll))


def _product(first: Floats, second: Floats) -> Floats:
    """Matrix product of two (3, 3); without BLAS, whose last bits depend on the machine."""
    return np.asarray(first[:, :1] * second[0] + first[:, 1:2] * second[1] + first[:, 2:] * second[2])


def view_limits(cameras: Sequence[Camera], projection: str, options: ComposeOptions) -> tuple[float, float]:
    """How far from the middle of a projection a canvas may reach across and down, in units of its scale; infinite where it is not limited.

    Parameters
    ----------
    cameras : sequence of Camera
    projection : str
    options : ComposeOptions
        ``fov`` and, beside it, the proportions of ``size`` are used.

    Raises
    ------
    OptionError
        The projection cannot draw such a field of view.
    """
    surface, fov = PROJECTIONS[projection], options.fov
    if any(camera.plane is not None for camera in cameras):
        if fov:
            raise OptionError(f"fov={fov:g} is an angle, and photos of a plane have none; leave it away")
        return math.inf, math.inf
    if not fov:
        return (surface.usual, surface.usual) if surface.widest >= math.pi else (math.inf, math.inf)
    across = math.pi if surface.cyclic and fov >= 360 else _half_field(surface, projection, fov)
    down = max(across, surface.usual)
    if options.pixels and options.pixels[1]:
        down = across * options.pixels[1] / options.pixels[0]
    return math.inf if surface.cyclic and fov >= 360 else across, down


def _half_field(surface: Projection, projection: str, fov: float) -> float:
    """How far to the right half a field of view, in degrees, reaches."""
    half = math.radians(fov) / 2
    across = float(surface.locate(np.array([[math.sin(half), 0.0, math.cos(half)]]))[0, 0])
    if not 0 < across <= surface.reach[0] * (1 + 1e-9):
        edge = surface.directions(np.array([surface.reach[0]]), np.zeros(1))[0]
        most = math.degrees(2 * math.atan2(edge[0], edge[2]))
        raise OptionError(f"fov={fov:g} is more than projection={projection!r} can draw, which is {abs(most):.0f} degrees")
    return across
