"""Overlapping views of a photograph, rendered with known cameras: photo sets whose truth is exact.

The photograph is taken for what a pinhole camera saw, looking straight ahead; turning a virtual camera in front of it gives the
view of a photographer who turns on the spot. Each view gets its own exposure and white balance, the lens darkens its corners
and the sensor adds noise, all in linear light, as it happens in a camera.
"""

from __future__ import annotations

import dataclasses
import itertools
import math

import numpy as np
from numpy.typing import NDArray

from compositor.encoding import decode_srgb, encode_srgb, flatten_highlights, restore_highlights
from compositor.errors import OptionError
from compositor.geometry.views import ray_directions, rotation_of
from compositor.photometry import falloff
from compositor.types import Camera

__all__ = ["View", "look_around", "render_views"]

VIGNETTING = (-0.25, 0.0, 0.0)
"""Three quarters of the light reach a view's corners."""


@dataclasses.dataclass(frozen=True, eq=False)
class View:
    """One rendered view and the truth about it.

    Parameters
    ----------
    pixels : (h, w, 3) uint8
        RGB, sRGB-encoded.
    camera : Camera
        What it was rendered with.
    gain : (3,) float64
        Factor on red, green and blue in linear light: exposure times white balance.
    """

    pixels: NDArray[np.uint8]
    camera: Camera
    gain: NDArray[np.float64]


def look_around(
    *,
    rows: int = 2,
    columns: int = 3,
    step: tuple[float, float] = (math.radians(16), math.radians(13)),
    size: tuple[int, int] = (480, 360),
    field_of_view: float = math.radians(32),
    jitter: float = math.radians(1.5),
    seed: int = 0,
) -> list[Camera]:
    """Cameras that a photographer without a tripod would hold, row by row.

    Parameters
    ----------
    rows, columns : int
        Number of views.
    step : (float, float)
        Angle between neighbouring views across and down, radians.
    size : (int, int)
        Width and height of a view, px.
    field_of_view : float
        Horizontal, radians.
    jitter : float
        Largest deviation of yaw, pitch and roll from the plan, radians.
    seed : int
        Of the deviations.

    Returns
    -------
    list of Camera
    """
    generator = np.random.default_rng(seed)
    focal = size[0] / 2 / math.tan(field_of_view / 2)
    center = ((size[0] - 1) / 2, (size[1] - 1) / 2)
    cameras: list[Camera] = []
    for row, column in itertools.product(range(rows), range(columns)):
        yaw, pitch, roll = generator.uniform(-jitter, jitter, 3)
        yaw += (column - (columns - 1) / 2) * step[0]
        pitch -= (row - (rows - 1) / 2) * step[1]
        cameras.append(Camera(f"view-{len(cameras) + 1}.png", size, focal, center, rotation_of(yaw, pitch, roll)))
    return cameras


def render_views(
    picture: NDArray[np.uint8],
    cameras: list[Camera],
    *,
    picture_field_of_view: float = math.radians(70),
    exposure: float = 0.35,
    white_balance: float = 0.05,
    vignetting: tuple[float, float, float] = VIGNETTING,
    shoulder: float = 0.0,
    noise: float = 0.002,
    seed: int = 0,
) -> list[View]:
    """What cameras see of a photograph.

    Parameters
    ----------
    picture : (h, w, 3) uint8
        RGB, sRGB-encoded.
    cameras : list of Camera
        All their pixels must lie in the picture.
    picture_field_of_view : float
        Horizontal field of view that the picture is taken to have, radians.
    exposure : float
        Largest deviation of a view's exposure, in stops.
    white_balance : float
        Largest relative deviation of a view's red and blue.
    vignetting : (float, float, float)
        a, b and c of the lens, as of ``compositor.photometry.falloff``.
    shoulder : float
        Of the camera's tone curve, as of ``compositor.photometry.Photometry``.
    noise : float
        Standard deviation of the noise in the dark, in linear light with white at 1; it grows with the light.
    seed : int
        Of exposure, white balance and noise.

    Returns
    -------
    list of View

    Raises
    ------
    OptionError
        A camera looks beyond the picture.
    """
    generator = np.random.default_rng(seed)
    light = restore_highlights(to_linear(picture), shoulder)
    views = []
    for camera in cameras:
        gain = 2.0 ** generator.uniform(-exposure, exposure) * (1 + generator.uniform(-white_balance, white_balance, 3) * (1, 0, 1))
        seen = look(light, camera, picture_field_of_view) * gain * corner_light(camera, vignetting)[..., None]
        seen += generator.standard_normal(seen.shape) * np.sqrt(noise**2 + 3e-4 * np.clip(seen, 0, 1) * (noise > 0))
        views.append(View(from_linear(flatten_highlights(seen, shoulder)), camera, gain))
    return views


def look(light: NDArray[np.float32], camera: Camera, field_of_view: float) -> NDArray[np.float64]:
    """Linear light of a picture as a camera sees it, bicubic, (h, w, 3)."""
    import cv2

    h, w = light.shape[:2]
    focal = w / 2 / math.tan(field_of_view / 2)
    x, y = np.meshgrid(np.arange(camera.size[0], dtype=np.float64), np.arange(camera.size[1], dtype=np.float64))
    world = ray_directions(camera, np.stack([x.ravel(), y.ravel()], axis=1)).reshape(*x.shape, 3)
    ahead = world[..., 2] > 0
    depth = np.where(ahead, world[..., 2], 1.0)
    column, row = (world[..., axis] / depth * focal + (side - 1) / 2 for axis, side in ((0, w), (1, h)))
    # A camera that looks just like the picture's own meets its border, but for the rounding of what is computed here.
    if not (ahead & (np.abs(column - (w - 1) / 2) < w / 2 - 0.499) & (np.abs(row - (h - 1) / 2) < h / 2 - 0.499)).all():
        raise OptionError(f"{camera.name} looks beyond the picture; turn it less, narrow its view or widen the picture's")
    seen = cv2.remap(light, column.astype(np.float32), row.astype(np.float32), cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(seen, np.float64)


def corner_light(camera: Camera, vignetting: tuple[float, float, float]) -> NDArray[np.float64]:
    """Share of the light that every pixel gets, (h, w)."""
    x, y = np.meshgrid(np.arange(camera.size[0]) - camera.center[0], np.arange(camera.size[1]) - camera.center[1])
    return falloff((x**2 + y**2) * (4 / (camera.size[0] ** 2 + camera.size[1] ** 2)), vignetting)


def to_linear(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Linear light, 0..1, of sRGB pixels (IEC 61966-2-1)."""
    return decode_srgb(np.arange(256) / 255).astype(np.float32)[pixels]


def from_linear(light: NDArray[np.float64]) -> NDArray[np.uint8]:
    """SRGB pixels of linear light, 0..1; what is brighter or darker is clipped, as in a camera."""
    return np.asarray(np.round(encode_srgb(np.clip(light, 0, 1)) * 255), np.uint8)
