"""What does not fit is refused, left out by name, or doubted; what fits is not."""

import math

import cv2
import numpy as np
import pytest
from skimage import data
from threadpoolctl import threadpool_info

import compositor
from compositor.datasets.boards import photograph_boards
from compositor.datasets.scenery import street
from compositor.datasets.synthesize import look_around, render_views, rotation_of
from compositor.images import photo_from_array
from compositor.threads import limit_threads, threads_allowed
from compositor.types import Camera


def in_the_street(poses, seed=5):
    """Photos of a street from (yaw in degrees, place in metres)."""
    boards = street([data.coffee(), data.astronaut(), data.chelsea()], np.random.default_rng(seed))
    cameras = [
        Camera(f"street {k}", (640, 480), 560.0, (319.5, 239.5), rotation_of(math.radians(yaw), 0, 0)) for k, (yaw, _) in enumerate(poses)
    ]
    seen = photograph_boards(boards, cameras, [place for _, place in poses])
    return [photo_from_array(pixels, camera.name) for pixels, camera in zip(seen, cameras, strict=True)]


def test_walking_down_a_street_is_doubted_and_turning_there_is_not():
    walked = in_the_street([(0, (0.2 * k, 0, 1.5 * k)) for k in range(3)])
    turned = in_the_street([(-18 + 18 * k, (0, 0, 0)) for k in range(3)])
    registration = compositor.register(turned)
    assert len(registration.cameras) == 3
    assert not registration.doubts
    assert registration.confidence > 0.9
    try:
        registration = compositor.register(walked)
    except compositor.TooFewPhotosError:
        return
    assert registration.doubts
    assert registration.confidence < 0.8


def test_walking_along_the_houses_is_doubted():
    # Four of five matches lie in one plane, the houses: what stands before them is little and far off.
    registration = compositor.register(in_the_street([(60, (-3, 0, 1.2 * k)) for k in range(2)], seed=1))
    assert len(registration.cameras) == 2
    assert registration.doubts


@pytest.fixture(scope="module")
def row():
    return render_views(
        data.stereo_motorcycle()[0], look_around(rows=1, columns=5, step=(math.radians(8), 0.0), size=(480, 360), seed=3), seed=3
    )


def test_a_photo_that_was_tampered_with_is_blamed_by_name(row):
    pixels = [view.pixels.copy() for view in row]
    # The right half of the middle one is moved down: it fits its left neighbours there, and its right ones somewhere else.
    pixels[2][:, 240:] = np.roll(pixels[2][:, 240:], 60, axis=0)
    registration = compositor.register([photo_from_array(p, f"photo {k}") for k, p in enumerate(pixels)])
    told = [*registration.doubts, *registration.notes, *(f"{name}: {reason}" for name, reason in registration.left_out)]
    assert any("photo 2" in line for line in told), told
    used = {camera.name for camera in registration.cameras}
    assert used >= {"photo 0", "photo 1"} or used >= {"photo 3", "photo 4"}


def test_a_full_circle_closes():
    count = 10
    yaws = [2 * math.pi * k / count for k in range(count)]
    generator = np.random.default_rng(1)
    sky = np.asarray(cv2.resize(data.retina()[300:1100, 200:1200], (400, 200)), np.uint8)
    world = np.clip(sky + cv2.resize(generator.normal(0, 40, (100, 200, 3)).astype(np.float32), (400, 200)), 0, 255).astype(np.uint8)
    world = cv2.resize(world, (3200, 1600), interpolation=cv2.INTER_CUBIC)
    photos = []
    for k, yaw in enumerate(yaws):
        camera = Camera(f"{k}", (400, 300), 330.0, (199.5, 149.5), rotation_of(yaw, 0, 0))
        photos.append(photo_from_array(seen_on_sphere(world, camera), camera.name))
    registration = compositor.register(photos)
    assert len(registration.cameras) == count
    turn = registration.cameras[0].rotation.T @ registration.cameras[-1].rotation
    angle = math.degrees(math.atan2(turn[0, 2], turn[2, 2]))
    # The pair that closes the circle is one of the chain: no error is left over there.
    assert angle == pytest.approx(-360 / count, abs=0.05)
    assert registration.cameras[0].focal == pytest.approx(330, rel=1e-3)
    with pytest.raises(compositor.OptionError, match="plane"):
        compositor.register(photos, model="homography")


def seen_on_sphere(world, camera):
    """What a camera sees of an equirectangular picture that goes all the way round."""
    h, w = world.shape[:2]
    x, y = np.meshgrid(np.arange(camera.size[0]), np.arange(camera.size[1]))
    rays = np.stack([(x - camera.center[0]) / camera.focal, (y - camera.center[1]) / camera.focal, np.ones(x.shape)], axis=2)
    directions = rays @ camera.rotation.T
    longitude = np.arctan2(directions[..., 0], directions[..., 2])
    latitude = np.arctan2(directions[..., 1], np.hypot(directions[..., 0], directions[..., 2]))
    map_x = (longitude / (2 * np.pi) + 0.5) * w - 0.5
    map_y = (latitude / np.pi + 0.5) * h - 0.5
    return cv2.remap(world, map_x.astype(np.float32), map_y.astype(np.float32), cv2.INTER_CUBIC, borderMode=cv2.BORDER_WRAP)


def test_threads_come_back_however_the_blocks_end():
    before = cv2.getNumThreads()
    first, second = limit_threads(1), limit_threads(2)
    first.__enter__()
    second.__enter__()
    assert cv2.getNumThreads() == 2
    first.__exit__(None, None, None)
    assert cv2.getNumThreads() == 2  # the last to begin decides
    second.__exit__(None, None, None)
    assert cv2.getNumThreads() == before


def test_a_block_of_threads_gives_back_what_the_one_around_it_had():
    def linear_algebra():
        return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}

    with limit_threads(3):
        around = linear_algebra()
        with limit_threads(1):
            assert threads_allowed() == 1
        assert threads_allowed() == 3
        assert linear_algebra() == around
