"""Registration of sets that are not quite as they should be: photos on their sides, zoomed, copied, barely overlapping, of two scenes."""

from __future__ import annotations

import dataclasses
import math

import cv2
import numpy as np
import pytest
from PIL import Image
from skimage import data

import compositor
from compositor.assess.cameras import camera_errors
from compositor.datasets.synthesize import look_around, render_views
from compositor.images import photo_from_array
from compositor.types import Camera, Photo

SCENE = data.stereo_motorcycle()[0]


def photographed(cameras: list[Camera], seed: int = 0) -> list[np.ndarray]:
    return [view.pixels for view in render_views(SCENE, cameras, seed=seed)]


def named(pixels: list[np.ndarray], names: str) -> list[Photo]:
    return [photo_from_array(p, name) for p, name in zip(pixels, names.split(), strict=True)]


def on_its_side(camera: Camera, quarters: int) -> Camera:
    """The camera of a photo whose pixels were turned counter-clockwise, as np.rot90 does."""
    angle = -quarters * math.pi / 2
    turn = np.array([[math.cos(angle), -math.sin(angle), 0], [math.sin(angle), math.cos(angle), 0], [0, 0, 1]])
    size = camera.size if quarters % 2 == 0 else camera.size[::-1]
    center = ((size[0] - 1) / 2, (size[1] - 1) / 2)
    return dataclasses.replace(camera, rotation=camera.rotation @ turn.T, size=size, center=center)


def jpeg(pixels: np.ndarray, quality: int) -> np.ndarray:
    return cv2.imdecode(cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_COLOR)


def tilt(registration: compositor.Registration, photo: int, quarters: int = 0) -> float:
    """Degrees by which a photo, once it is turned back, leans in the panorama."""
    rotation = registration.cameras[photo].rotation
    down = {0: rotation[:, 1], 1: rotation[:, 0], 2: -rotation[:, 1], 3: -rotation[:, 0]}[quarters % 4]
    return math.degrees(math.acos(min(1.0, float(down[1]))))


@pytest.fixture(scope="module")
def row() -> list[Camera]:
    return look_around(rows=1, columns=4, step=(math.radians(11), 0.0), field_of_view=math.radians(28), seed=4)


@pytest.mark.parametrize("turned", [(1,), (0, 1, 3)], ids=["one", "all but one"])
def test_photos_on_their_sides_fit_in_and_the_horizon_stays_level(row, turned):
    pixels = photographed(row)
    quarters = [int(k in turned) for k in range(4)]
    registration = compositor.register([np.rot90(p, q) for p, q in zip(pixels, quarters, strict=True)])
    truth = [on_its_side(c, q) for c, q in zip(row, quarters, strict=True)]
    truth = [dataclasses.replace(c, name=found.name) for c, found in zip(truth, registration.cameras, strict=True)]
    assert math.degrees(camera_errors(registration.cameras, truth).rotation) < 0.1
    assert registration.confidence > 0.9
    for k, q in enumerate(quarters):
        assert tilt(registration, k, q) < 5  # the photos were taken with up to 1.5 degrees of roll and pitch each


@pytest.mark.parametrize("orientation", [6, 8])
def test_an_orientation_that_is_out_of_date_does_not_turn_the_panorama(row, tmp_path, orientation):
    """The pixels are upright and the file says that they are not: a row of photos that seem to lie on their sides is a row all the same."""
    paths = []
    for k, pixels in enumerate(photographed(row)):
        exif = Image.Exif()
        exif[0x0112] = orientation
        paths.append(str(tmp_path / f"{k}.jpg"))
        Image.fromarray(pixels).save(paths[-1], quality=95, exif=exif)
    registration = compositor.register(paths)
    assert registration.cameras[0].size == (360, 480)  # read as the file says
    quarters = {6: 3, 8: 1}[orientation]
    assert all(tilt(registration, k, quarters) < 5 for k in range(4))


def test_photos_one_above_the_other_stay_upright():
    column = look_around(rows=3, columns=1, step=(0.0, math.radians(12)), field_of_view=math.radians(28))
    registration = compositor.register(photographed(column))
    assert all(tilt(registration, k) < 20 for k in range(3))  # the outer ones look 12 degrees up and down


def test_a_photo_zoomed_to_twice_the_size_fits_in(row):
    cameras = [row[0], dataclasses.replace(row[1], focal=2 * row[1].focal), row[1], row[2]]
    registration = compositor.register(photographed(cameras))
    focals = [camera.focal / expected.focal for camera, expected in zip(registration.cameras, cameras, strict=True)]
    assert np.ptp(focals) < 0.01
    assert registration.confidence > 0.9


def test_an_overlap_of_a_twentieth_is_found():
    cameras = look_around(
        rows=1, columns=3, step=(math.radians(19), 0.0), size=(1200, 900), field_of_view=math.radians(20), jitter=math.radians(0.3), seed=2
    )
    registration = compositor.register(photographed(cameras))
    assert len(registration.cameras) == 3
    named_alike = [dataclasses.replace(c, name=f.name) for c, f in zip(cameras, registration.cameras, strict=True)]
    # A strip of 60 px says little about the focal length; but the photos must not be a pixel apart at the seam.
    assert registration.error < 1
    assert math.degrees(camera_errors(registration.cameras, named_alike).rotation) < 1


def test_a_photo_too_dark_for_the_first_look_is_found_by_a_second_one(row):
    pixels = photographed(row[:3])
    pixels[2] = np.clip(np.rint(cv2.GaussianBlur(pixels[2], (0, 0), 1.5) * 0.05 + 3), 0, 255).astype(np.uint8)
    registration = compositor.register(named(pixels, "left middle dark"))
    assert [camera.name for camera in registration.cameras] == ["left", "middle", "dark"]
    assert any(note.startswith("dark: its overlap was found with") for note in registration.notes)


def test_a_copy_saved_anew_is_used_and_named(row):
    pixels = photographed(row[:2])
    registration = compositor.register(named([*pixels, jpeg(pixels[0], 60)], "left right copy"))
    assert len(registration.cameras) == 3
    assert registration.notes == ("copy shows the same view as left; both are used",)
    # JPEG at a low quality moves nothing by more than a tenth of a pixel: 0.01 degrees here.
    assert np.allclose(registration.cameras[0].rotation, registration.cameras[2].rotation, atol=2e-4)


def test_nothing_but_one_view_saved_twice_is_still_a_picture(row):
    (pixels,) = photographed(row[:1])
    registration = compositor.register(named([pixels, jpeg(pixels, 60)], "photo copy"))
    assert registration.notes == ("copy shows the same view as photo; both are used",)
    panorama = compositor.compose(registration, named([pixels, jpeg(pixels, 60)], "photo copy"))
    assert np.allclose(panorama.owner.shape, pixels.shape[:2], rtol=0.05)


def test_bracketed_exposures_are_placed_alike(row):
    pixels = photographed(row[:2])
    bracket = [np.clip(pixels[0] * gain, 0, 255).astype(np.uint8) for gain in (0.4, 1.8)]
    registration = compositor.register(named([*pixels, *bracket], "left right dark bright"))
    assert len(registration.cameras) == 4
    assert sum("the same view as" in note for note in registration.notes) >= 2
    for k in (2, 3):
        assert np.allclose(registration.cameras[0].rotation, registration.cameras[k].rotation, atol=5e-4)


def test_a_second_panorama_in_the_set_is_named_together(row):
    strangers = [view.pixels for view in render_views(data.coffee(), look_around(rows=1, columns=2, seed=1))]
    pixels = [strangers[0], *photographed(row[:3]), strangers[1]]
    registration = compositor.register(named(pixels, "c1.jpg a1.jpg a2.jpg a3.jpg c2.jpg"))
    assert [camera.name for camera in registration.cameras] == ["a1.jpg", "a2.jpg", "a3.jpg"]
    assert [name for name, _ in registration.left_out] == ["c1.jpg", "c2.jpg"]
    for _, reason in registration.left_out:
        assert "2 photos hang together among themselves: make a second panorama of them: c1.jpg c2.jpg" in reason
        assert "needed" in reason
