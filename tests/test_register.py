"""Registration: cameras against the truth they were rendered with, and photos that do not belong."""

from __future__ import annotations

import math

import numpy as np
import pytest
from skimage import data

from compositor.assess.cameras import camera_errors
from compositor.datasets.synthesize import look_around, render_views
from compositor.errors import TooFewPhotosError
from compositor.images import photo_from_array
from compositor.kernels.matching import best_two
from compositor.kernels.refine import RADIUS, refine_points
from compositor.options import RegisterOptions
from compositor.register import register_photos
from compositor.register.features import detect_features, read_picture
from compositor.register.graph import connected_groups, spanning_tree
from compositor.register.initialize import best_rotations
from compositor.register.straighten import straighten
from compositor.types import Camera, Match, Photo


@pytest.fixture(scope="module")
def cameras() -> list[Camera]:
    return look_around(rows=2, columns=3, seed=3)


@pytest.fixture(scope="module")
def photos(cameras) -> list[Photo]:
    return [photo_from_array(v.pixels, v.camera.name) for v in render_views(data.stereo_motorcycle()[0], cameras, seed=3)]


@pytest.fixture(scope="module")
def stranger() -> Photo:
    return photo_from_array(data.coffee()[:360, :480], "stranger.png")


def options(**changes) -> RegisterOptions:
    return RegisterOptions.of(changes)


@pytest.mark.parametrize("features", ["sift", "orb"])
def test_cameras_are_found(photos, cameras, features):
    registration = register_photos(photos, options(features=features))
    errors = camera_errors(registration.cameras, cameras)
    assert [c.name for c in registration.cameras] == [c.name for c in cameras]
    # The bars: 0.1 degree and 0.2 %; patches that are refined to 0.1 px in views of 480 px reach far below.
    assert math.degrees(errors.rotation) < 0.1
    assert errors.focal < 0.002
    assert registration.error < 0.5


def test_a_stranger_is_left_out_and_named(photos, stranger):
    registration = register_photos([photos[0], stranger, *photos[1:]], options())
    assert len(registration.cameras) == len(photos)
    ((name, reason),) = registration.left_out
    assert name == "stranger.png"
    assert "needed" in reason


def test_a_copy_is_left_out_and_named(photos):
    copy = photo_from_array(photos[2].full().pixels, "copy.png")
    registration = register_photos([*photos[:3], copy], options())
    assert registration.left_out == (("copy.png", f"the same picture as {photos[2].name}"),)


@pytest.mark.parametrize("which", ["none", "one", "strangers", "copies", "blank"])
def test_fewer_than_two_overlapping_photos(photos, stranger, which):
    blank = photo_from_array(np.full((300, 400, 3), 128, np.uint8), "blank.png")
    given = {
        "none": [],
        "one": photos[:1],
        "strangers": [photos[0], stranger],
        "copies": [photos[0], photo_from_array(photos[0].full().pixels, "copy.png")],
        "blank": [blank, photos[0]],
    }[which]
    with pytest.raises(TooFewPhotosError) as caught:
        register_photos(given, options())
    assert "\n" not in str(caught.value)
    assert len(caught.value.left_out) >= (len(given) > 1)


def test_two_runs_and_any_thread_count_agree_exactly(photos):
    once = register_photos(photos, options(threads=1)).to_json()
    assert register_photos(photos, options(threads=1)).to_json() == once
    assert register_photos(photos, options(threads=2)).to_json() == once


def test_deep_photos_register_like_shallow_ones(photos):
    deep = [photo_from_array(p.full().pixels.astype(np.uint16) * 257, p.name) for p in photos]
    a, b = register_photos(photos, options()), register_photos(deep, options())
    # Stretching a deep photo's contrast changes which weak features are found, not where things are.
    assert math.degrees(camera_errors(b.cameras, a.cameras).rotation) < 0.03


def test_photos_of_unequal_zoom_get_their_own_focal_lengths():
    cameras = look_around(rows=1, columns=3, step=(math.radians(13), 0), seed=5)
    zoomed = look_around(rows=1, columns=3, step=(math.radians(13), 0), seed=5, field_of_view=math.radians(26))
    cameras[1] = zoomed[1]
    photos = [photo_from_array(v.pixels, v.camera.name) for v in render_views(data.stereo_motorcycle()[0], cameras, seed=5)]
    errors = camera_errors(register_photos(photos, options()).cameras, cameras)
    # With one focal length per photo and a third of a view in common, focal length and angle trade off: measured 0.05 %.
    assert errors.focal < 0.005
    assert math.degrees(errors.rotation) < 0.1


def test_features_lie_where_the_full_photo_has_them():
    """The same corner is found at the same full-size position, however much the photo was reduced."""
    picture = data.brick()
    big = photo_from_array(np.repeat(np.repeat(picture, 3, axis=0), 3, axis=1), "big")
    same = options(registration_megapixels=picture.size / 1e6)
    full = detect_features(read_picture(photo_from_array(picture, "small"), same), same)
    reduced = detect_features(read_picture(big, same), same)
    ours, theirs = (full.points + 0.5) * 3 - 0.5, reduced.points
    nearest = np.sqrt(((ours[:100, None] - theirs[None]) ** 2).sum(axis=2).min(axis=1))
    # Reducing in two steps weighs pixels a little differently: a tenth of a reduced pixel. A wrong frame would show a whole one.
    assert np.median(nearest) < 0.3


def test_best_two_equals_sorting():
    rng = np.random.default_rng(1)
    table = rng.integers(0, 50, (40, 30)).astype(np.float32)  # with ties
    best, second = np.empty(40, np.float32), np.empty(40, np.float32)
    index, back = np.empty(40, np.int32), np.empty(30, np.int32)
    best_two(table, best, index, second, back)
    ordered = np.sort(table, axis=1)
    assert np.array_equal(best, ordered[:, -1])
    assert np.array_equal(second, ordered[:, -2])
    assert np.array_equal(index, table.argmax(axis=1))
    assert np.array_equal(back, table.argmax(axis=0))


@pytest.mark.parametrize("shift", [(0.0, 0.0), (0.37, -0.81), (-1.3, 0.5)])
def test_patches_are_brought_together(shift):
    """A picture shifted in the frequency domain, darker and flatter: the shift comes back to a fiftieth of a pixel."""
    import cv2

    picture = cv2.GaussianBlur(data.brick()[:256, :256].astype(np.float64), (0, 0), 1.0)
    fy, fx = np.meshgrid(np.fft.fftfreq(256), np.fft.fftfreq(256), indexing="ij")
    moved = np.fft.ifft2(np.fft.fft2(picture) * np.exp(-2j * np.pi * (fx * shift[0] + fy * shift[1]))).real
    first, second = (np.clip(np.rint(p), 0, 255).astype(np.uint8) for p in (picture, moved * 0.7 + 20))
    points = np.random.default_rng(2).integers(RADIUS + 20, 256 - RADIUS - 20, (200, 2))
    found, score = points.astype(np.float64), np.empty(200)
    refine_points(first, second, points, found, np.broadcast_to(np.eye(2), (200, 2, 2)).copy(), 15, score)
    good = score > 0.9
    assert good.mean() > 0.5
    assert np.median(np.abs(found[good] - points[good] - shift)) < 0.02


def test_best_rotations_ignore_a_few_wrong_directions():
    rng = np.random.default_rng(4)
    source = rng.normal(size=(2, 60, 3))
    source /= np.linalg.norm(source, axis=2, keepdims=True)
    turn = look_around(seed=1)[5].rotation
    target = source @ turn.T
    target[:, :6] = source[:, :6][:, ::-1]
    # A tenth of nonsense tilts the first fit by degrees; the second leaves it out.
    assert np.allclose(best_rotations(source, target), turn, atol=1e-6)


def match_between(first: int, second: int, inliers: int) -> Match:
    points = np.zeros((inliers, 2))
    return Match(first, second, points, points, np.eye(3), inliers)


def test_groups_and_tree():
    matches = [match_between(0, 2, 5), match_between(2, 4, 9), match_between(0, 4, 7), match_between(1, 3, 50)]
    assert connected_groups(6, matches) == [[0, 2, 4], [1, 3], [5]]
    steps = spanning_tree([0, 2, 4], matches[:3])
    assert [(known, new) for known, new, _ in steps] == [(4, 2), (4, 0)]


@pytest.mark.parametrize("turn", ["as is", "rolled", "upside down"])
def test_straightening_levels_the_horizon(turn):
    """Cameras on a level circle come back level, however the world was turned before."""
    level = [c for c in look_around(rows=1, columns=5, jitter=0.0)]
    world = {"as is": np.eye(3), "rolled": look_around(seed=7, jitter=0.6)[0].rotation, "upside down": np.diag([-1.0, -1.0, 1.0])}[turn]
    straight = straighten([c.looking(world @ c.rotation) for c in level])
    for camera, expected in zip(straight, level, strict=True):
        assert np.allclose(camera.rotation, expected.rotation, atol=1e-9)


def test_straightening_a_vertical_pair_keeps_it_upright():
    pair = look_around(rows=2, columns=1, jitter=0.0)
    for camera, expected in zip(straighten(pair), pair, strict=True):
        assert np.allclose(camera.rotation, expected.rotation, atol=1e-6)
