"""What must not change a registration: the order of the photos, how all of them are held, and their size."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
from skimage import data

import compositor
from compositor.datasets.synthesize import look_around, render_views
from compositor.images import photo_from_array
from compositor.types import Photo

COUNT = 5


@pytest.fixture(scope="module")
def pictures() -> list[np.ndarray]:
    cameras = look_around(rows=1, columns=COUNT, step=(math.radians(9), 0.0), seed=6)
    return [view.pixels for view in render_views(data.stereo_motorcycle()[0], cameras, seed=6)]


@pytest.fixture(scope="module")
def plain(pictures) -> compositor.Registration:
    return compositor.register(named(pictures))


def named(pictures: list[np.ndarray]) -> list[Photo]:
    return [photo_from_array(np.ascontiguousarray(picture), f"{k}.png") for k, picture in enumerate(pictures)]


def relative(registration: compositor.Registration, turn: np.ndarray | None = None) -> np.ndarray:
    """Rotations between neighbours in the order of their names, in the frame of photos held as they were at first."""
    turn = np.eye(3) if turn is None else turn
    by_name = {camera.name: turn @ camera.rotation.T for camera in registration.cameras}
    first, *rest = (by_name[f"{k}.png"] for k in range(COUNT))
    return np.array([camera @ first.T for camera in rest])


def largest_angle(a: np.ndarray, b: np.ndarray) -> float:
    """Degrees; the chord |A - B| is 2 sqrt(2) sin(angle / 2)."""
    return max(math.degrees(2 * math.asin(np.linalg.norm(x - y) / math.sqrt(8))) for x, y in zip(a, b, strict=True))


def test_the_order_of_photos_does_not_matter(pictures, plain):
    photos = named(pictures)
    shuffled = compositor.register([photos[k] for k in (3, 0, 4, 2, 1)])
    assert [camera.name for camera in shuffled.cameras] == ["3.png", "0.png", "4.png", "2.png", "1.png"]
    # Photos are worked on in the order of what they show; only the last rotation, which levels the horizon, is summed in another order.
    assert largest_angle(relative(shuffled), relative(plain)) < 1e-6
    assert shuffled.cameras[0].focal == plain.cameras[0].focal
    assert shuffled.model == plain.model


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_turning_all_photos_turns_only_the_cameras(pictures, plain, quarters):
    turned = compositor.register(named([np.rot90(picture, quarters) for picture in pictures]))
    # np.rot90 turns counterclockwise: what a turned photo has on its right was at the bottom.
    angle = quarters * math.pi / 2
    back = np.array([[math.cos(angle), -math.sin(angle), 0], [math.sin(angle), math.cos(angle), 0], [0, 0, 1]])
    assert turned.model == plain.model
    # The detector samples a turned grid, so it is not the same features that are found.
    assert largest_angle(relative(turned, back), relative(plain)) < 0.03
    assert turned.cameras[0].focal == pytest.approx(plain.cameras[0].focal, rel=1e-3)


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_scaling_all_photos_scales_only_the_focal_length(pictures, plain, factor):
    method = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    scaled = compositor.register(named([cv2.resize(picture, None, fx=factor, fy=factor, interpolation=method) for picture in pictures]))
    assert scaled.model == plain.model
    # Half-size views are 240 px wide: their matches are good to a tenth of a pixel of theirs, 0.03 degrees.
    assert largest_angle(relative(scaled), relative(plain)) < 0.06
    assert scaled.cameras[0].focal == pytest.approx(factor * plain.cameras[0].focal, rel=3e-3)
