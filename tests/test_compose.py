"""Composing: properties that must hold for every panorama, on views rendered with known cameras."""

from __future__ import annotations

import dataclasses
import math
import re
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compositor.compose import compose_photos, estimate_memory, plan_canvas
from compositor.compose.memory import FEWEST, Demands, Holding, most_at_once
from compositor.compose.plan import make_plan
from compositor.compose.render import render
from compositor.compose.small import plan_box
from compositor.compose.warp import Box, Sheet, draw, locate
from compositor.encoding import decode_srgb, encode_srgb, flatten_highlights, restore_highlights
from compositor.errors import LimitError, RegistrationFileError
from compositor.geometry.projections import PROJECTIONS, canvas_directions
from compositor.geometry.views import ray_directions, see
from compositor.images import with_wishes
from compositor.options import ComposeOptions
from compositor.photometry import Photometry, falloff
from compositor.registration import Registration
from compositor.spool import Spool
from compositor.types import Camera, Canvas, Decoded, Photo

VORONOI = {"seams": "voronoi"}


def turned(yaw, pitch, roll=0.0):
    """Camera to world, angles in degrees."""
    y, p, r = np.radians([yaw, pitch, roll])
    about_y = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    about_x = np.array([[1, 0, 0], [0, np.cos(p), -np.sin(p)], [0, np.sin(p), np.cos(p)]])
    about_z = np.array([[np.cos(r), -np.sin(r), 0], [np.sin(r), np.cos(r), 0], [0, 0, 1]])
    return about_y @ about_x @ about_z


def world(directions):
    """A smooth scene: encoded colours, 0..1, of world directions of any length, (..., 3)."""
    x, y, z = np.moveaxis(directions / np.linalg.norm(directions, axis=-1, keepdims=True), -1, 0)
    waves = [np.sin(9 * x + 4 * y) + np.sin(23 * z), np.sin(11 * y - 5 * z) + np.sin(19 * x), np.sin(7 * x + 13 * z) + np.sin(31 * y)]
    return 0.5 + 0.15 * np.stack(waves, -1)


def camera(name, yaw=0.0, pitch=0.0, roll=0.0, size=(160, 120), focal=150.0, distortion=(0.0, 0.0)):
    w, h = size
    return Camera(name, size, focal, ((w - 1) / 2, (h - 1) / 2), turned(yaw, pitch, roll), distortion)


def photo_of(pixels, name, mask=None):
    return Photo(name, (pixels.shape[1], pixels.shape[0]), pixels.dtype, lambda shrink: Decoded(pixels, mask))


def as_type(encoded, dtype):
    if dtype == np.float32:
        return encoded.astype(np.float32)
    return np.round(np.clip(encoded, 0, 1) * np.iinfo(dtype).max).astype(dtype)


def shoot(eye, dtype=np.uint8, gain=1.0, terms=(0.0, 0.0, 0.0)):
    """The photo that a camera takes of the world, with a lens of some falloff."""
    w, h = eye.size
    x, y = np.meshgrid(np.arange(w), np.arange(h))
    directions = ray_directions(eye, np.stack([x.ravel(), y.ravel()], 1).astype(float))
    squared_radii = ((x - eye.center[0]) ** 2 + (y - eye.center[1]) ** 2) * 4 / (w * w + h * h)
    light = decode_srgb(world(directions)).reshape(h, w, 3) * gain * falloff(squared_radii, terms)[..., None]
    return photo_of(as_type(encode_srgb(light), dtype), eye.name)


def row(count=4, step=22.0, **changes):
    eyes = [camera(f"photo {k}", step * (k - (count - 1) / 2), 2 * (-1) ** k, 1.5 * (-1) ** k, **changes) for k in range(count)]
    return Registration("rotation", tuple(eyes))


def full_turn(count=8, start=3):
    return Registration("rotation", tuple(camera(f"photo {k}", 360 / count * k + start, (-1) ** k, focal=110.0) for k in range(count)))


def turn_cut_at_a_seam():
    """All around, two photos meeting where the canvas wraps."""
    return full_turn(start=22.5)


def compose(registration, photos=None, *, dtype=np.uint8, **options):
    photos = photos or [shoot(eye, dtype) for eye in registration.cameras]
    return compose_photos(registration, photos, ComposeOptions(**options))


def directions_of(canvas):
    x, y = np.meshgrid(np.arange(canvas.size[0]), np.arange(canvas.size[1]))
    return canvas_directions(canvas, np.stack([x.ravel(), y.ravel()], 1).astype(float))[0].reshape(*x.shape, 3)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("blend", ["multiband", "feather", "poisson", "none"])
def test_identity_placement_keeps_every_bit(generator, dtype, blend):
    eye = camera("photo", focal=137.0)
    noise = as_type(generator.random((120, 160, 3)), dtype)
    panorama = compose(Registration("rotation", (eye,)), [photo_of(noise, "photo")], projection="plane", blend=blend)
    assert panorama.pixels.dtype == dtype
    np.testing.assert_array_equal(panorama.pixels, noise)
    assert (panorama.owner == 0).all()
    assert (panorama.gains == 1).all()


@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
@pytest.mark.parametrize(("scale", "shift"), [(1.0, (0.25, 0.5)), (1.0, (0.3, 0.17)), (1.3, (0.1, 0.7))])
def test_a_resampled_ramp_stays_one(dtype, scale, shift):
    """Away from rims and blends, at any scale and place."""
    # Steps as of a ramp over the whole range that is 4096 pixels long.
    steps = np.array([16.0, 9.0]) if dtype == np.uint16 else np.array([16.0, 9.0]) / 65536
    y, x = np.mgrid[0:120, 0:160]
    pixels = np.repeat((1000 * steps[0] + x * steps[0] + y * steps[1])[..., None], 3, axis=2).astype(dtype)
    eye, photo = camera("photo"), photo_of(pixels, "photo")
    canvas = Canvas("plane", 150 * scale, shift[0] - 70 * scale, shift[1] - 50 * scale, (int(140 * scale), int(100 * scale)))
    v, u = np.mgrid[0 : canvas.size[1], 0 : canvas.size[0]]
    truth = steps[0] * (1000 + (u + canvas.left) / scale + 79.5) + steps[1] * ((v + canvas.top) / scale + 59.5)
    places = locate(eye, photo.full(), Sheet.of(canvas), Box(0, 0, *canvas.size))
    linear, _ = draw(eye, photo.full(), places, grading=None, smooth=False)
    cubic = compose_photos(Registration("rotation", (eye,)), [photo], ComposeOptions(), canvas=canvas).pixels
    # Places are rounded to multiples of 1/32 px, on which the first ones lie; 1e-6 of the range is what float32 leaves.
    off = 0 if shift == (0.25, 0.5) else steps.sum() / 64
    one = 65535 if dtype == np.uint16 else 1
    assert np.abs(linear - truth[..., None]).max() < off + 1e-6 * one
    if dtype == np.uint16:
        assert np.abs(linear - truth[..., None]).max() < 1
    # OpenCV's bicubic kernel weighs pixels so that their mean place is up to 0.0482 px beside the one that is asked for.
    rounding = 0.5 if dtype == np.uint16 else 0
    assert np.abs(cubic - truth[..., None]).max() < off + 0.0482 * steps.sum() + rounding + 1e-6 * one


@pytest.mark.parametrize("projection", PROJECTIONS)
def test_the_panorama_shows_the_world(projection):
    registration = row(distortion=(-0.04, 0.01)) if projection != "plane" else row(3)
    panorama = compose(registration, projection=projection, exposure="none")
    truth = world(directions_of(panorama.canvas)) * 255
    error = np.abs(panorama.pixels - truth)[panorama.mask]
    # Two roundings cost half a level; on the outer half of a rim pixel its colour goes on, where the scene may change by 4 levels.
    assert error.mean() < 0.5
    assert error.max() < 4


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_constant_picture_stays_constant(dtype):
    """Through warp, gain and blend; gains that cancel exactly are undone up to rounding."""
    registration = full_turn()
    value = 200 if dtype == np.uint8 else 51234
    photos = [photo_of(np.full((120, 160, 3), value, dtype), eye.name) for eye in registration.cameras]
    panorama = compose(registration, photos)
    assert (panorama.pixels[panorama.mask] == value).all()


def test_exposures_are_matched_and_reported():
    registration = row()
    gains = 2.0 ** np.array([-0.3, 0.2, 0.35, -0.25])
    photos = [shoot(eye, np.uint16, gain) for eye, gain in zip(registration.cameras, gains, strict=True)]
    panorama = compose(registration, photos, projection="spherical")
    expected = np.exp(np.log(gains).mean()) / gains
    np.testing.assert_allclose(panorama.gains, expected[:, None].repeat(3, 1), rtol=0.01)
    truth = encode_srgb(decode_srgb(world(directions_of(panorama.canvas))) * np.exp(np.log(gains).mean()))
    assert np.abs(panorama.pixels / 65535 - truth)[panorama.mask].mean() < 0.002


LENS = (-0.3, -0.1, 0.05)


def test_what_is_burnt_out_stays_white_in_a_photo_that_is_darkened():
    registration = row(2)
    dark, bright = (np.full((120, 160, 3), value, np.uint8) for value in (100, 140))
    bright[40:80, 60:100] = 255
    panorama = compose(registration, [photo_of(dark, "photo 0"), photo_of(bright, "photo 1")], exposure="gain", blend="none")
    assert panorama.photometry.gains[1].max() < 1
    x, y = np.rint(panorama.map_points(1, np.array([[80.0, 60.0]]))[0]).astype(int)
    assert panorama.owner[y, x] == 1
    assert (panorama.pixels[y, x] == 255).all()
    assert panorama.pixels[panorama.owner == 0].max() < 140


def test_what_is_burnt_out_in_one_photo_is_shown_by_another():
    eyes = [camera("left", -8.0), camera("right", 8.0)]
    registration = Registration("rotation", tuple(eyes))
    photos = [shoot(eye, gain=gain) for eye, gain in zip(eyes, (1.0, 2.5), strict=True)]
    burnt = photos[1].full().pixels.max(axis=2) == 255
    assert 0.05 < burnt.mean() < 0.5
    panorama = compose(registration, photos, projection="spherical")
    y, x = np.nonzero(burnt)
    on_canvas = panorama.map_points(1, np.stack([x, y], 1).astype(float))
    in_left = panorama.map_back(0, on_canvas)
    room = 0.1 * min(eyes[0].size)  # nearer the left photo's border its burnt-out neighbour may go on
    shared = ((in_left > room) & (in_left < np.array(eyes[0].size) - 1 - room)).all(axis=1)
    assert shared.sum() > 1000
    column, row_of = np.rint(on_canvas[shared]).astype(int).T
    owners = panorama.owner[row_of, column]
    assert (owners == 0).mean() > 0.9


def test_what_is_burnt_out_is_shown_by_another_where_the_light_is_given_too():
    eyes = [camera("left", -8.0), camera("right", 8.0)]
    registration = Registration("rotation", tuple(eyes))
    photos = [shoot(eye, gain=gain) for eye, gain in zip(eyes, (1.0, 2.5), strict=True)]
    measured = compose(registration, photos, projection="spherical")
    options = ComposeOptions(projection="spherical", exposure="none")
    given = compose_photos(registration, photos, options, photometry=measured.photometry)
    np.testing.assert_array_equal(given.owner, measured.owner)
    assert (compose(registration, photos, projection="spherical", exposure="none").owner != measured.owner).any()


def test_of_photos_that_agree_the_less_noisy_one_shows():
    eyes = [camera("left", -12.0), camera("right", 12.0)]
    registration = Registration("rotation", tuple(eyes))

    def right_share(*gains):
        panorama = compose(registration, [shoot(eye, gain=gain) for eye, gain in zip(eyes, gains, strict=True)])
        return (panorama.owner == 1).mean()

    # Exposures are matched, so the photo that was darker has been raised, and its noise with it.
    assert right_share(0.25, 1.0) > right_share(1.0, 1.0) + 0.02
    assert right_share(1.0, 0.25) < right_share(1.0, 1.0) - 0.02


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_vignetting_is_undone_and_reported(dtype):
    registration = row(size=(320, 240), focal=300.0)
    photos = [shoot(eye, dtype, 0.8, LENS) for eye in registration.cameras]
    panorama = compose(registration, photos, projection="spherical")
    corner = falloff(np.array(1.0), np.array(LENS))
    assert [light.corner_stops for light in panorama.photometry.lights] == pytest.approx([np.log2(corner)] * 4, abs=0.03)
    assert panorama.photometry.names == panorama.used
    truth = encode_srgb(decode_srgb(world(directions_of(panorama.canvas))) * 0.8 * panorama.gains.mean())
    whole = 1 if dtype == np.float32 else np.iinfo(dtype).max
    # Half a level from rounding; without the correction there are more than four left, however softly blended.
    assert np.abs(panorama.pixels / whole - truth)[panorama.mask].mean() < 0.6 / 255
    evened = compose(registration, photos, projection="spherical", exposure="gain")
    assert not evened.photometry.vignetting.any()
    assert np.abs(evened.pixels / whole - truth)[evened.mask].mean() > 4 / 255


def test_photometry_that_is_given_is_used():
    registration = row()
    photometry = Photometry(tuple(eye.name for eye in registration.cameras), np.full((4, 3), 0.5), np.array([LENS] * 4), 0.3)
    photos = [shoot(eye, np.float32, 0.6, LENS) for eye in registration.cameras]
    panorama = compose_photos(registration, photos, ComposeOptions(projection="spherical"), photometry=photometry)
    assert panorama.photometry is photometry
    light = restore_highlights(decode_srgb(world(directions_of(panorama.canvas))) * 0.6, 0.3) * 0.5
    # A shoulder was taken off light that had none, after the lens darkened it: right in the middle, nearly so elsewhere.
    error = np.abs(panorama.pixels - encode_srgb(flatten_highlights(light, 0.3)))
    assert error[panorama.mask].mean() < 0.01


IN_MEMORY = Holding()


def rendered(registration, photos, options, side, workers, photometry, holding=IN_MEMORY):
    canvas = plan_canvas(registration, options)
    with ThreadPoolExecutor(workers) as pool:
        plan = make_plan(registration, photos, canvas, options, pool, lambda *_: None, photometry=photometry)
        return render(plan, registration.cameras, photos, pool, lambda *_: None, side=side, holding=holding)


@pytest.mark.parametrize(
    ("make", "dtype", "blend"),
    [
        *((make, dtype, "multiband") for make in (row, full_turn) for dtype in (np.uint8, np.uint16, np.float32)),
        (full_turn, np.float32, "feather"),
        (full_turn, np.float32, "poisson"),
    ],
)
def test_neither_tiles_nor_threads_change_a_bit(generator, make, dtype, blend):
    registration = make()
    # Enough pixels for a reduced canvas, some disagreement for the bands to work on, and a mask with holes.
    registration = Registration(
        "rotation", tuple(dataclasses.replace(e, size=(640, 480), focal=4 * e.focal, center=(319.5, 239.5)) for e in registration.cameras)
    )
    photos = []
    for eye in registration.cameras:
        pixels = shoot(eye, np.float32, generator.uniform(0.8, 1.2)).full().pixels
        pixels = as_type(pixels * (1 + 0.1 * generator.random((1, 640, 1))), dtype)
        mask = np.ones((480, 640), bool)
        mask[100:140, 200:333] = mask[:30, :90] = False
        photos.append(photo_of(pixels, eye.name, mask))
    options, names = ComposeOptions(projection="spherical", blend=blend), tuple(eye.name for eye in registration.cameras)
    light = Photometry(names, generator.uniform(0.9, 1.1, (len(names), 3)), np.array([LENS] * len(names)), 0.5)
    pixels, owner = rendered(registration, photos, options, 512, 2, light)
    assert len(np.unique(owner)) > 3
    for side, workers in ((100, 1), (1000, 2), (10_000, 1)):
        other, other_owner = rendered(registration, photos, options, side, workers, light)
        np.testing.assert_array_equal(other_owner, owner)
        np.testing.assert_array_equal(other, pixels)
    # Where the panorama lies is no matter of depth, so not every one is tried on disk.
    for photos_held in (None, 1, 3) if dtype == np.uint16 else (3,) if blend != "multiband" else ():
        on_disk, owner_on_disk = rendered(registration, photos, options, 128, 2, light, Holding(on_disk=True, photos=photos_held))
        assert isinstance(on_disk, Spool)
        np.testing.assert_array_equal(np.asarray(owner_on_disk), owner)
        np.testing.assert_array_equal(np.asarray(on_disk), pixels)


@pytest.mark.parametrize(("make", "factor"), [(row, 2), (row, 4), (row, 8), (turn_cut_at_a_seam, 8)])
@pytest.mark.parametrize("blend", ["multiband", "none", "poisson"])
def test_seams_led_at_full_size_do_not_depend_on_tiles(generator, monkeypatch, make, factor, blend):
    monkeypatch.setitem(make_plan.__globals__, "plan_reduction", lambda *_: factor)
    registration = make()
    registration = Registration(
        "rotation", tuple(dataclasses.replace(e, size=(320, 240), focal=2 * e.focal, center=(159.5, 119.5)) for e in registration.cameras)
    )
    # Noise from pixel to pixel is averaged out on the reduced canvas, but not at full size.
    photos = []
    for eye in registration.cameras:
        pixels = shoot(eye, np.float32).full().pixels
        photos.append(photo_of(as_type(pixels + generator.normal(0, 0.03, pixels.shape), np.uint16), eye.name))
    options, names = ComposeOptions(projection="spherical", blend=blend), tuple(eye.name for eye in registration.cameras)
    light = Photometry.neutral(names)
    pixels, owner = rendered(registration, photos, options, 10_000, 1, light)
    width = owner.shape[1] // factor
    assert make is row or width % 4  # the last block of a turn is a narrow one
    for side in (1, 100, 512):
        other, other_owner = rendered(registration, photos, options, side, 2, light)
        np.testing.assert_array_equal(other_owner, owner)
        np.testing.assert_array_equal(other, pixels)
    monkeypatch.setitem(render.__globals__, "lead_seams", lambda *_: None)
    _, planned = rendered(registration, photos, options, 10_000, 1, light)
    assert 0.001 < (planned != owner).mean() < 0.1
    assert make is row or (planned != owner)[:, np.r_[-4 * factor : 4 * factor]].any()


def planned(registration, photos, **options):
    """A plan whose reduced canvas is an eighth."""
    options = ComposeOptions(projection="spherical", **options)
    with ThreadPoolExecutor(1) as pool:
        return make_plan(registration, photos, plan_canvas(registration, options), options, pool, lambda *_: None)


def test_seams_stay_where_somebody_decided_about_them(monkeypatch):
    monkeypatch.setitem(make_plan.__globals__, "plan_reduction", lambda *_: 8)
    registration = row(size=(320, 240), focal=300.0)
    photos = [shoot(eye) for eye in registration.cameras]
    assert not planned(registration, photos).settled.any()
    assert planned(registration, photos, seams="voronoi").settled.all()
    assert planned(registration, photos, blend="feather").settled.all()
    wish = np.zeros((240, 320), np.uint8)
    wish[100:140, 100:140] = 255
    (wishing,) = with_wishes(photos[1:2], {photos[1].name: wish})
    asked = planned(registration, [photos[0], wishing, *photos[2:]])
    assert 0 < asked.settled.mean() < 0.1
    assert (asked.labels[asked.settled] == 1).all()
    monkeypatch.setitem(make_plan.__globals__, "plan_reduction", lambda *_: 1)
    assert planned(registration, photos).settled.all()  # they were found at full size


@pytest.mark.parametrize("ending", [".tif", ".png", ".jpg"])
@pytest.mark.parametrize("crop", [True, False])
def test_a_panorama_on_disk_is_the_same_and_is_written_the_same(tmp_path, ending, crop):
    registration = row(size=(640, 480), focal=600.0)
    photos = [shoot(eye) for eye in registration.cameras]
    options = ComposeOptions(crop=crop, projection="cylindrical", threads=1)
    canvas = plan_canvas(registration, options)
    needed = [estimate_memory(registration, canvas, options, photos[0].dtype, holding=h) / 1e6 for h in (IN_MEMORY, Holding(True, FEWEST))]
    assert needed[1] < needed[0]
    whole = compose_photos(registration, photos, options)
    spooled = compose_photos(registration, photos, dataclasses.replace(options, max_memory=sum(needed) / 2))
    assert isinstance(spooled.pixels, Spool)
    assert spooled.canvas == whole.canvas
    np.testing.assert_array_equal(spooled.pixels[10:50, 7:90], whole.pixels[10:50, 7:90])
    np.testing.assert_array_equal(np.asarray(spooled.mask), whole.mask)
    assert spooled.source_of(40, 30) == whole.source_of(40, 30)
    assert len(spooled._repr_png_()) > 1000
    for panorama, name in ((whole, "memory"), (spooled, "disk")):
        panorama.save(tmp_path / (name + ending))
    assert (tmp_path / ("memory" + ending)).read_bytes() == (tmp_path / ("disk" + ending)).read_bytes()


def test_few_photos_are_held_and_none_is_decoded_twice_where_there_is_room():
    registration = Registration("rotation", tuple(camera(f"eye {k}", 8 * k, size=(640, 480), focal=600.0) for k in range(12)))
    decoded = []
    photos = [shoot(eye) for eye in registration.cameras]
    light = Photometry.neutral([eye.name for eye in registration.cameras])

    def counting(photo):
        return dataclasses.replace(photo, decode=lambda shrink: decoded.append(photo.name) or photo.decode(shrink))

    options = ComposeOptions(projection="spherical")
    rendered(registration, [counting(photo) for photo in photos], options, 64, 2, light)
    assert len(decoded) == 2 * len(photos)  # small, and in full
    canvas = plan_canvas(registration, options)
    boxes = [plan_box(eye, canvas) for eye in registration.cameras]
    # Every photo is 56 degrees wide: eight of them meet anywhere, and another one or two along a tile.
    assert 8 <= most_at_once(boxes, canvas.size, 64) <= 10


def covered(registration, photos, canvas):
    """Where at least one photo has a pixel, by the plain camera model."""
    directions = directions_of(canvas).reshape(-1, 3)
    found = np.zeros(len(directions), bool)
    for eye, photo in zip(registration.cameras, photos, strict=True):
        positions, seen = see(eye, directions)
        # Half a 32nd from the rim rounding decides.
        seen &= ((positions > -0.48) & (positions < np.array(eye.size) - 0.52)).all(axis=1)
        mask = photo.full().mask
        if mask is not None:
            x, y = np.clip(np.round(positions), 0, np.array(eye.size) - 1).astype(int).T
            near = np.abs(positions - np.round(positions)).max(axis=1) < 0.48
            seen &= mask[y, x] & near
        found |= seen
    return found.reshape(canvas.size[1], canvas.size[0])


angles = st.tuples(st.floats(-25, 25), st.floats(-25, 25), st.floats(-180, 180))
sizes = st.tuples(st.integers(1, 200), st.integers(1, 200))


@settings(deadline=None, max_examples=25)
@given(st.lists(st.tuples(angles, sizes), min_size=1, max_size=5), st.sampled_from(list(PROJECTIONS)), st.integers(0, 99))
def test_every_pixel_that_some_photo_covers_is_filled(views, projection, seed):
    """Whatever the sizes and angles, and with holes in one photo."""
    generator = np.random.default_rng(seed)
    eyes = [camera(f"photo {k}", *angle, size=size, focal=150.0) for k, (angle, size) in enumerate(views)]
    registration = Registration("rotation", tuple(eyes))
    photos = [photo_of(np.full((h, w, 3), 100 + 20 * k, np.uint8), f"photo {k}") for k, (_, (w, h)) in enumerate(views)]
    holes = generator.random((views[0][1][1], views[0][1][0])) < 0.7
    photos[0] = photo_of(photos[0].full().pixels, "photo 0", holes)
    panorama = compose(registration, photos, projection=projection, exposure="none", blend="none", **VORONOI)
    expected = covered(registration, photos, panorama.canvas)
    assert (panorama.mask >= expected).all()
    # Without blending every pixel is its owner's.
    for k in range(len(photos)):
        assert (panorama.pixels[panorama.owner == k] == 100 + 20 * k).all()
    assert (panorama.pixels[~panorama.mask] == 0).all()


@pytest.mark.parametrize("projection", ["cylindrical", "spherical", "mercator"])
def test_the_step_across_the_wrap_is_like_any_other(generator, projection):
    registration = full_turn()
    photos = [shoot(eye, np.uint8, generator.uniform(0.7, 1.4)) for eye in registration.cameras]
    panorama = compose(registration, photos, projection=projection)
    assert panorama.canvas.wraps
    rows = panorama.mask.all(axis=1)
    picture = panorama.pixels[rows].astype(float)
    steps = np.abs(picture - np.roll(picture, 1, axis=1)).mean(axis=(0, 2))
    assert steps[0] < 2 * np.median(steps)


def test_poles_are_filled():
    eyes = [camera("zenith", 30, 90, focal=80.0), *(camera(f"photo {k}", 60 * k, 30, focal=80.0) for k in range(6))]
    panorama = compose(Registration("rotation", tuple(eyes)), projection="spherical")
    assert panorama.mask[0].all()
    truth = world(directions_of(panorama.canvas)) * 255
    assert np.abs(panorama.pixels - truth)[:20].mean() < 1


def test_every_pixel_comes_from_somewhere_in_its_photo():
    panorama = compose(row(), exposure="none", blend="none")
    for y, x in np.argwhere(panorama.mask).tolist():
        photo, position = panorama.source_of(x, y)
        assert photo == panorama.owner[y, x]
        assert (np.array(position) >= -0.5).all()
        assert (np.array(position) <= np.array(panorama.registration.cameras[photo].size) - 0.5).all()


def test_cropping_leaves_no_empty_pixel():
    registration = row()
    whole, cropped = compose(registration), compose(registration, crop=True)
    assert cropped.mask.all()
    x, y = (round(new - old) for new, old in ((cropped.canvas.left, whole.canvas.left), (cropped.canvas.top, whole.canvas.top)))
    w, h = cropped.canvas.size
    np.testing.assert_array_equal(cropped.pixels, whole.pixels[y : y + h, x : x + w])
    assert w * h > 0.6 * whole.mask.sum()


def test_a_smaller_scale_is_the_same_picture_smaller():
    registration = row(size=(640, 480), focal=600.0)
    panorama = compose(registration, scale=0.25, projection="spherical", exposure="none")
    assert panorama.canvas.scale == pytest.approx(150)
    truth = world(directions_of(panorama.canvas)) * 255
    # The rims show the average of a few pixels that end where the photo does.
    assert np.abs(panorama.pixels - truth)[panorama.mask].mean() < 1


def test_photos_of_a_plane():
    """A mosaic of a flat picture, each photo taken by another homography."""
    eyes, photos = [], []
    for k in range(3):
        plane = np.array([[1.0, 0.05, 0.4 * k], [-0.02, 1.0, 0.01 * k], [0.02, 0.03 * k, 1.0]])
        eye = dataclasses.replace(camera(f"photo {k}"), plane=plane)
        eyes.append(eye)
        photos.append(shoot(eye))
    panorama = compose(Registration("homography", tuple(eyes)), photos)
    assert panorama.canvas.projection == "plane"
    truth = world(directions_of(panorama.canvas)) * 255
    assert np.abs(panorama.pixels - truth)[panorama.mask].mean() < 0.6
    assert len(np.unique(panorama.owner)) == 4


def test_too_much_memory_is_refused_before_it_is_taken():
    registration = row()
    photos = [shoot(eye) for eye in registration.cameras]
    never = [dataclasses.replace(photo, decode=lambda shrink: pytest.fail("nothing may be decoded")) for photo in photos]
    options = ComposeOptions(max_memory=100)
    holding = Holding(on_disk=True, photos=FEWEST)
    needed = estimate_memory(registration, plan_canvas(registration, options), options, np.dtype(np.uint8), holding=holding)
    with pytest.raises(LimitError, match=rf"needs {needed / 1e6:.0f} MB.* 100 MB .*no scale=") as caught:
        compose_photos(registration, never, options)
    assert caught.value.exit_code == 5
    huge = Registration("rotation", tuple(dataclasses.replace(eye, focal=1e7) for eye in registration.cameras))
    with pytest.raises(LimitError):
        compose_photos(huge, never, ComposeOptions())


def test_the_scale_that_is_advised_fits():
    registration = row(size=(1600, 1200), focal=1500.0)
    photos = [shoot(eye) for eye in registration.cameras]
    canvas, least = plan_canvas(registration, ComposeOptions()), Holding(on_disk=True, photos=FEWEST)
    allowed = 0.97 * estimate_memory(registration, canvas, ComposeOptions(), photos[0].dtype, holding=least) / 1e6
    with pytest.raises(LimitError, match="try scale=") as caught:
        compose_photos(registration, photos, ComposeOptions(max_memory=allowed))
    scale = float(re.search(r"scale=([\d.]+)", str(caught.value))[1])
    compose_photos(registration, photos, ComposeOptions(max_memory=allowed, scale=scale))


def test_memory_counts_what_deghosting_wishes_and_refining_add():
    registration = Registration("rotation", tuple(camera(f"eye {k}", 8 * k, size=(640, 480), focal=600.0) for k in range(40)))

    def needed(holding, scale=1.0, deghost=False, seams="voronoi", **demands):
        options = ComposeOptions(projection="cylindrical", scale=scale, threads=1, deghost=deghost, seams=seams)
        canvas = plan_canvas(registration, options)
        return estimate_memory(registration, canvas, options, np.dtype(np.uint8), demands=Demands(**demands), holding=holding)

    on_disk, both = Holding(on_disk=True, photos=FEWEST), {"deghost": True, "wished": True}
    for holding in (on_disk, Holding()):
        least, most = needed(holding), needed(holding, **both, refined=True)
        for more in ({"deghost": True}, {"wished": True}, {"refined": True}, both):
            # In memory the writer's copies may take more than all of it.
            assert least < needed(holding, **more) <= most if holding.on_disk else least <= needed(holding, **more) <= most
    # Four bytes for each pixel of forty photos, on a reduced canvas of half their scale.
    assert needed(on_disk, deghost=True) - needed(on_disk) > 4 * 40 * 320 * 240
    # Seams that are cut where photos agree ask each of its pixels how badly it is shown, deghosted or not.
    assert needed(on_disk, seams="graphcut") == needed(on_disk, deghost=True) == needed(on_disk, deghost=True, seams="graphcut")
    # Windows follow the seams: what refining holds does not grow with the canvas.
    small, large = (needed(on_disk, scale, refined=True) - needed(on_disk, scale) for scale in (1.0, 4.0))
    assert large <= small < 500e6


def test_memory_counts_a_photo_for_each_worker_and_the_writers_copies():
    registration = Registration(
        "rotation", (camera("one", size=(4000, 3000), focal=4000.0), camera("two", 5, size=(4000, 3000), focal=4000.0))
    )
    small, large = (ComposeOptions(scale=scale, threads=threads) for scale, threads in ((0.05, 1), (4.0, 1)))
    one, two, three = (
        estimate_memory(registration, plan_canvas(registration, small), dataclasses.replace(small, threads=t), np.dtype(np.uint16))
        for t in (1, 2, 3)
    )
    assert two >= 200e6 + 2 * 2 * 4000 * 3000 * 6
    assert one <= two <= three
    canvas = plan_canvas(registration, large)
    w, h = canvas.size
    assert estimate_memory(registration, canvas, large, np.dtype(np.uint16)) >= 200e6 + w * h * (6 + 2 + 8 + 8)


def test_photos_must_fit_the_registration():
    registration = row()
    photos = [shoot(eye) for eye in registration.cameras]
    with pytest.raises(RegistrationFileError, match="3 photos"):
        compose_photos(registration, photos[:3], ComposeOptions())
    with pytest.raises(RegistrationFileError, match="uint16 and uint8"):
        compose_photos(registration, [*photos[:3], shoot(registration.cameras[3], np.uint16)], ComposeOptions())


def test_progress_and_metadata():
    registration = row()
    photos = [shoot(eye) for eye in registration.cameras]
    photos[0] = dataclasses.replace(photos[0], metadata={"icc": b"profile"})
    seen = []
    panorama = compose_photos(registration, photos, ComposeOptions(), progress=lambda *step: seen.append(step))
    assert seen[:5] == [("plan", done, 4) for done in range(5)]
    tiles = seen[-1][1]
    assert seen[5:] == [("render", done, tiles) for done in range(tiles + 1)]
    assert panorama.metadata == {"icc": b"profile"}
    assert panorama.used == tuple(eye.name for eye in registration.cameras)


def test_photos_that_do_not_touch_keep_to_themselves():
    eyes = (camera("left", -40), camera("right", 40))
    panorama = compose(Registration("rotation", eyes), projection="cylindrical")
    assert set(np.unique(panorama.owner)) == {-1, 0, 1}
    assert not panorama.mask.all(axis=0).all()
    assert math.isclose(panorama.gains.sum(), 6)
