"""The pipeline from Python: what it takes, what it gives, what it refuses."""

from __future__ import annotations

import dataclasses
import logging
import math
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

import compositor
from compositor.assess.cameras import camera_errors


@pytest.fixture(scope="module")
def panorama(photos):
    return compositor.stitch(photos)


def test_the_panorama_knows_where_it_comes_from(panorama, photos, views):
    height, width = panorama.owner.shape
    assert panorama.pixels.shape == (height, width, 3)
    assert panorama.pixels.dtype == np.uint8
    assert panorama.canvas.size == (width, height)
    assert width > 1.5 * views[0].camera.size[0]
    assert panorama.used == ("view-1.png", "view-2.png", "view-3.png")
    assert panorama.left_out == ()
    assert set(np.unique(panorama.owner)) - {-1} == {0, 1, 2}
    assert np.array_equal(panorama.mask, panorama.owner >= 0)
    assert {"read", "features", "match", "adjust", "render"} <= set(panorama.seconds)


def test_a_panorama_shows_itself_on_one_line(panorama):
    height, width = panorama.owner.shape
    assert repr(panorama) == f"Panorama({width}x{height}, uint8, plane, 3 photos, left out 0)"


def test_cameras_are_found(panorama, views):
    errors = camera_errors(panorama.registration.cameras, [view.camera for view in views])
    # A pixel of these views is 0.07 degrees wide; what many matches agree on is far better than one pixel.
    assert math.degrees(errors.rotation) < 0.02
    assert errors.focal < 0.002


def test_arrays_and_photos_do_as_well_as_files(panorama, views):
    arrays = compositor.stitch([view.pixels for view in views])
    assert arrays.used == ("photo 1", "photo 2", "photo 3")
    assert np.array_equal(arrays.pixels, panorama.pixels)
    from compositor.images import photo_from_array

    opened = [photo_from_array(view.pixels, view.camera.name) for view in views]
    assert np.array_equal(compositor.stitch(opened).pixels, panorama.pixels)


def test_sixteen_bits_stay_sixteen_bits(views):
    panorama = compositor.stitch([view.pixels.astype(np.uint16) * 257 for view in views], crop=True)
    assert panorama.pixels.dtype == np.uint16
    assert len(np.unique(panorama.pixels)) > 1000
    assert panorama.mask.all()


def test_mixed_depths_become_the_deepest(views, panorama):
    first, *rest = [view.pixels for view in views]
    mixed = compositor.stitch([first.astype(np.uint16) * 257, *rest])
    assert mixed.pixels.dtype == np.uint16
    # The same light in every photo, so the same picture; features of a stretched deep photo differ a little, so not the same bytes.
    assert abs(float(mixed.pixels[mixed.mask].mean()) / 257 - float(panorama.pixels[panorama.mask].mean())) < 1


def test_what_is_left_out_is_listed_and_logged_once(photos, tmp_path, caplog):
    (tmp_path / "text.jpg").write_text("not a picture")
    with caplog.at_level(logging.WARNING, "compositor"):
        registration = compositor.register([*photos, tmp_path / "text.jpg"])
    ((name, reason),) = registration.left_out
    assert name == "text.jpg"
    assert [record.getMessage() for record in caplog.records] == [f"text.jpg: {reason}; it is left out"]


def test_too_few_photos_say_which_were_left_out(photos, tmp_path):
    (tmp_path / "text.jpg").write_text("not a picture")
    with pytest.raises(compositor.TooFewPhotosError) as caught:
        compositor.stitch([photos[0], tmp_path / "text.jpg"])
    assert "text.jpg" in dict(caught.value.left_out)


def test_options_are_checked(photos):
    with pytest.raises(compositor.OptionError, match="projection"):
        compositor.stitch(photos, projektion="plane")
    with pytest.raises(compositor.OptionError, match="cylindrical"):
        compositor.stitch(photos, projection="cubic")
    with pytest.raises(compositor.OptionError, match="no option 'blend'"):
        compositor.register(photos, blend="none")


@pytest.mark.parametrize(
    "wrong", [{"threads": "two"}, {"threads": 1.5}, {"scale": float("nan")}, {"crop": 1}, {"seed": -1}, {"max_features": True}]
)
def test_values_of_another_kind_are_refused(photos, wrong):
    with pytest.raises(compositor.OptionError, match=next(iter(wrong))):
        compositor.stitch(photos, **wrong)


def test_compose_names_a_registered_photo_that_cannot_be_read(panorama, photos, tmp_path):
    broken = tmp_path / "view-2.png"
    broken.write_text("not a picture")
    with pytest.raises(compositor.ReadError, match=r"view-2\.png"):
        compositor.compose(panorama.registration, [photos[0], broken, photos[2]])


def test_edited_cameras_are_obeyed(panorama, photos):
    """Shorter focal lengths are wider angles seen by as many pixels: more overlap is asserted than there is, nothing is estimated anew."""
    cameras = tuple(dataclasses.replace(c, focal=c.focal * 0.9) for c in panorama.registration.cameras)
    edited = compositor.compose(dataclasses.replace(panorama.registration, cameras=cameras), photos)
    assert [c.focal for c in edited.registration.cameras] == [c.focal for c in cameras]
    assert edited.canvas.scale == pytest.approx(0.9 * panorama.canvas.scale)
    assert edited.canvas.size[0] < panorama.canvas.size[0]


def test_progress_tells_every_stage_in_order(photos):
    told = []
    compositor.stitch(photos, progress=lambda stage, done, total: told.append((stage, done, total)))
    assert list(dict.fromkeys(stage for stage, _, _ in told))[:4] == ["read", "features", "match", "adjust"]
    assert told[-1][0] == "render"
    assert all(0 <= done <= total for _, done, total in told)


def test_places_and_photos_that_are_not_there_are_told(panorama):
    h, w = panorama.owner.shape
    for x, y in ((-1, 5), (w, 5), (5, h), (5, -1)):
        with pytest.raises(compositor.OptionError, match="no pixel"):
            panorama.source_of(x, y)
    with pytest.raises(compositor.OptionError, match="0 to 2"):
        panorama.map_points(3, [[1, 2]])
    place = panorama.map_points(0, np.array([[30.0, 40.0]]))[0]
    photo, _ = panorama.source_of(*place)
    assert photo in (0, 1, 2)


def test_points_map_to_the_panorama_and_back(panorama):
    points = np.array([[10.0, 20.0], [200.5, 111.25], [400.0, 300.0]])
    for photo in range(3):
        there = panorama.map_points(photo, points)
        assert np.allclose(panorama.map_back(photo, there), points, atol=1e-6)
    assert np.isnan(panorama.map_back(0, np.array([[-5000.0, 0.0]]))).all()


def test_every_pixel_knows_its_source(panorama, views):
    """The photo that a pixel is said to come from shows it at the place that is told: nothing is blended far from a seam."""
    height, width = panorama.owner.shape
    for x, y in [(width // 6, height // 2), (width // 2, height // 2), (5 * width // 6, height // 2)]:
        photo, (column, row) = panorama.source_of(x, y)
        assert photo == panorama.owner[y, x]
        size = views[photo].camera.size
        assert -0.5 <= column <= size[0] - 0.5
        assert -0.5 <= row <= size[1] - 0.5
    empty = np.argwhere(panorama.owner < 0)
    if len(empty):
        assert panorama.source_of(int(empty[0, 1]), int(empty[0, 0])) is None


def angles(panorama, points):
    """Canvas points in units of the canvas scale, which do not depend on the size."""
    return (points + np.array([panorama.canvas.left, panorama.canvas.top])) / panorama.canvas.scale


def test_a_registration_serves_smaller_versions(panorama, views):
    import cv2

    small = [cv2.resize(view.pixels, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA) for view in views]
    half = compositor.compose(panorama.registration, small)
    assert abs(half.canvas.size[0] - panorama.canvas.size[0] / 2) < 3
    corners = np.array([[0.0, 0.0], [100.0, 50.0]])
    # Half the size: pixel centres p lie at (p + 0.5) / 2 - 0.5, in the photo as in the panorama.
    whole = panorama.map_points(1, (corners + 0.5) * 2 - 0.5)
    angle = angles(panorama, whole)
    assert np.allclose(angles(half, half.map_points(1, corners)), angle, atol=1e-9)


def test_a_registration_refuses_cropped_versions(panorama, views):
    with pytest.raises(compositor.RegistrationFileError, match="no scaled version"):
        compositor.compose(panorama.registration, [view.pixels[:, 40:] for view in views])


@pytest.mark.parametrize("source", ["photo.jpg", Path("photo.jpg"), np.zeros((200, 300, 3), np.uint8), None, 3])
def test_one_photo_instead_of_a_list_is_refused(source):
    with pytest.raises(compositor.OptionError, match="give a list"):
        compositor.stitch(source)


def test_compose_wants_a_registration(views):
    with pytest.raises(compositor.OptionError, match="registration"):
        compositor.compose("registration.json", [view.pixels for view in views])


def test_compose_does_not_guess_when_only_some_names_match(panorama, views):
    from compositor.images import photo_from_array

    names = ["view-1.png", "view-3.png", "another.png"]
    with pytest.raises(compositor.RegistrationFileError, match=r"view-2\.png"):
        compositor.compose(panorama.registration, [photo_from_array(v.pixels, n) for v, n in zip(views, names, strict=True)])


def test_compose_names_the_photos_it_drew(panorama, views, caplog):
    from compositor.images import photo_from_array

    frames = [photo_from_array(v.pixels, f"frame-{k}.png") for k, v in enumerate(views)]
    drawn = compositor.compose(panorama.registration, frames)
    assert drawn.used == ("frame-0.png", "frame-1.png", "frame-2.png")
    assert "order" in caplog.text


@pytest.mark.parametrize(
    ("registered", "given", "fits"),
    [
        ((160, 107), (4000, 2667), True),
        ((4000, 2667), (160, 107), True),
        ((800, 533), (6000, 4000), True),
        ((4000, 3000), (100, 90), False),
        ((4000, 3000), (3000, 4000), False),
    ],
)
def test_sizes_that_are_scaled_versions(registered, given, fits):
    camera = compositor.Camera("a", registered, 1000.0, ((registered[0] - 1) / 2, (registered[1] - 1) / 2), np.eye(3))
    registration = compositor.Registration("rotation", (camera,))
    if fits:
        assert registration.fitted_to([("b", given)]).cameras[0].size == given
    else:
        with pytest.raises(compositor.RegistrationFileError):
            registration.fitted_to([("b", given)])


def test_two_threads_may_stitch_at_once(views, panorama):
    """Also as the very first thing that a process does: importing and limiting threads must not collide."""
    code = (
        "import threading, numpy as np, compositor, sys;"
        "photos = list(np.load(sys.argv[1]));"
        "results = [];"
        "threads = [threading.Thread(target=lambda: results.append(compositor.stitch(photos))) for _ in range(2)];"
        "[t.start() for t in threads]; [t.join() for t in threads];"
        "assert len(results) == 2 and np.array_equal(results[0].pixels, results[1].pixels)"
    )
    with tempfile.TemporaryDirectory() as folder:
        np.save(f"{folder}/photos.npy", np.array([view.pixels for view in views]))
        subprocess.run([sys.executable, "-c", code, f"{folder}/photos.npy"], check=True)
