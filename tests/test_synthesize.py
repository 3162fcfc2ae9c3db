"""Rendered views: they show what their cameras say, and cameras are compared as promised."""

from __future__ import annotations

import dataclasses
import itertools
import math

import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from compositor.assess.cameras import camera_errors
from compositor.datasets.synthesize import look_around, render_views, rotation_of
from compositor.errors import OptionError
from compositor.types import Camera

PLAIN = {"exposure": 0.0, "white_balance": 0.0, "noise": 0.0}


def test_a_camera_that_looks_like_the_pictures_own_sees_the_picture():
    picture = np.random.default_rng(0).integers(0, 256, (60, 90, 3), np.uint8)
    focal = 90 / 2 / math.tan(math.radians(35))
    (view,) = render_views(picture, [Camera("same", (90, 60), focal, (44.5, 29.5), np.eye(3))], **PLAIN)
    middle = np.s_[25:35, 40:50]
    # Only the darkening towards the corners is left, and that is small in the middle.
    assert np.abs(view.pixels[middle].astype(int) - picture[middle]).max() <= 2


def test_two_views_agree_where_they_overlap():
    """A homography made of the two cameras alone takes one view to the other."""
    y, x = np.mgrid[:200, :300]
    picture = np.uint8(128 + 60 * np.sin(x / 9) + 60 * np.cos(y / 7))[..., None].repeat(3, 2)
    cameras = look_around(rows=1, columns=2, size=(160, 120), seed=3)
    first, second = render_views(picture, cameras, **PLAIN)
    matrix = [np.array([[c.focal, 0, c.center[0]], [0, c.focal, c.center[1]], [0, 0, 1]]) for c in cameras]
    homography = matrix[1] @ cameras[1].rotation.T @ cameras[0].rotation @ np.linalg.inv(matrix[0])
    # Where both views are about equally far from their middle they are darkened alike.
    points = np.array([[120.0, y, 1] for y in range(40, 80, 5)])
    moved = points @ homography.T
    moved /= moved[:, 2:]
    seen = [map_coordinates(v.pixels[..., 1].astype(float), (p[:, 1], p[:, 0]), order=3) for v, p in ((first, points), (second, moved))]
    assert np.ptp(seen[0]) > 20
    assert np.abs(seen[0] - seen[1]).max() < 6


def test_views_differ_in_exposure_and_are_the_same_for_the_same_seed():
    picture = np.full((200, 300, 3), 120, np.uint8)
    cameras = look_around(rows=1, columns=3, size=(90, 60))
    once, again = (render_views(picture, cameras, seed=5) for _ in range(2))
    assert all(np.array_equal(a.pixels, b.pixels) for a, b in zip(once, again, strict=True))
    brightness = [view.pixels.mean() for view in once]
    assert np.argsort(brightness).tolist() == np.argsort([view.gain.mean() for view in once]).tolist()
    assert np.ptp(brightness) > 3


def test_looking_beyond_the_picture_is_refused():
    picture = np.zeros((200, 300, 3), np.uint8)
    with pytest.raises(OptionError, match="beyond the picture"):
        render_views(picture, look_around(columns=9))


def test_camera_errors_do_not_depend_on_the_worlds_frame():
    truth = look_around(seed=1)
    world = rotation_of(1.0, 0.4, -2.0)
    turned = [dataclasses.replace(c, rotation=world @ c.rotation, focal=c.focal * 1.01) for c in truth]
    errors = camera_errors(turned, truth)
    assert errors.rotation == pytest.approx(0, abs=1e-7)
    assert errors.focal == pytest.approx(0.01)


def test_camera_errors_measure_a_known_angle():
    """One of n cameras turned by an angle spoils the n - 1 pairs it is in."""
    truth = look_around(seed=1)
    angle = math.radians(0.3)
    found = [dataclasses.replace(truth[0], rotation=truth[0].rotation @ rotation_of(angle, 0, 0)), *truth[1:]]
    pairs = len(list(itertools.combinations(truth, 2)))
    assert camera_errors(found, truth).rotation == pytest.approx(angle * math.sqrt((len(truth) - 1) / pairs), rel=1e-6)


def test_cameras_without_truth_are_refused():
    truth = look_around()
    for found in (truth[:1], [*truth, dataclasses.replace(truth[0], name="other")]):
        with pytest.raises(OptionError):
            camera_errors(found, truth)
