"""Photos between their pixels: the kernel beside OpenCV's, and decoding them early."""

from __future__ import annotations

import dataclasses
import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
from test_compose import camera, full_turn, photo_of, row, shoot

from compositor.compose import compose_photos, estimate_memory
from compositor.compose import early as early_photos
from compositor.compose.canvas import plan_canvas
from compositor.compose.early import FIRST, EarlyPhotos
from compositor.compose.footprint import enlargement
from compositor.compose.memory import Holding
from compositor.compose.small import draw_small, plan_box
from compositor.compose.warp import Box, Sheet, locate
from compositor.errors import ReadError
from compositor.geometry.projections import PROJECTIONS
from compositor.kernels.sample import sample_cubic
from compositor.options import ComposeOptions
from compositor.types import Canvas

OPTIONS = ComposeOptions()


def sampled(pixels, map_x, map_y, valid, left=0, top=0):
    drawn = np.full((*map_x.shape, 3), np.nan, np.float32)
    sample_cubic(pixels, map_x, map_y, valid, left, top, drawn)
    return drawn


def places(generator, shape, reach):
    """Random multiples of 1/32 px, up to half a pixel beyond the centres of a picture's outermost pixels."""
    at = (np.rint(generator.uniform(-0.5, side - 0.5, shape) * 32) / 32 for side in reach)
    return [np.asarray(part, np.float32) for part in at]


@pytest.mark.parametrize("size", [(40, 50), (4, 5), (1, 7), (3, 1)])
def test_the_kernel_is_opencvs(generator, size):
    h, w = size
    pixels = generator.uniform(0, 65535, (h, w, 3)).astype(np.float32)
    map_x, map_y = places(generator, (60, 70), (w, h))
    wanted = cv2.remap(pixels, map_x, map_y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    np.testing.assert_allclose(sampled(pixels, map_x, map_y, np.ones(map_x.shape, bool)), wanted, rtol=0, atol=65535 * 1e-6)


def test_whole_positions_show_the_pixels_themselves(generator):
    pixels = generator.uniform(0, 1, (30, 40, 3)).astype(np.float32)
    map_x, map_y = (part.astype(np.float32) for part in np.meshgrid(np.arange(40), np.arange(30)))
    np.testing.assert_array_equal(sampled(pixels, map_x, map_y, np.ones((30, 40), bool)), pixels)


def test_a_part_of_a_photo_shows_the_same(generator):
    pixels = generator.uniform(0, 255, (60, 80, 3)).astype(np.float32)
    map_x, map_y = places(generator, (30, 30), (40, 30))
    map_x, map_y, valid = map_x + 24, map_y + 16, np.ones((30, 30), bool)
    part = np.ascontiguousarray(pixels[12:52, 20:70])
    np.testing.assert_array_equal(sampled(part, map_x, map_y, valid, 20, 12), sampled(pixels, map_x, map_y, valid))


def test_nothing_is_shown_where_there_is_no_position(generator):
    pixels = generator.uniform(0, 255, (20, 20, 3)).astype(np.float32)
    valid = generator.uniform(size=(15, 15)) < 0.5
    map_x = np.where(valid, np.float32(8.5), np.float32(-1e4))
    drawn = sampled(pixels, map_x, map_x, valid)
    assert (drawn[~valid] == 0).all()
    assert (drawn[valid] == drawn[valid][0]).all()


@pytest.mark.parametrize("projection", PROJECTIONS)
def test_places_are_numbers_also_where_a_photo_is_not_seen(projection):
    """Behind the camera, and where its distortion folds: the kernel makes integers of all of them."""
    eye = camera("eye", 100, 20, distortion=(-0.4, 0.1))
    decoded = shoot(eye).full()
    canvas = Canvas(projection, 40.0, -60.0, -60.0, (120, 120), False)
    places = locate(eye, decoded, Sheet.of(canvas), Box(0, 0, *canvas.size))
    assert not places.valid.all()
    for positions in (places.map_x, places.map_y):
        assert np.isfinite(positions).all()
        assert (positions[~places.valid] < -0.5).all()


@pytest.mark.parametrize("beyond", [0.0, 5e-5])
def test_a_photo_a_hair_above_the_reduced_canvas_is_not_decoded_larger(beyond):
    """Of a canvas that shows a photo at an eighth, give or take what rounding does, 1/8 of its pixels are decoded."""
    eye = camera("eye", size=(800, 600), focal=750.0)
    unit = Canvas("cylindrical", 1.0, 0.0, 0.0, (1, 1), False)
    scale = (1 + beyond) / 8 / enlargement(eye, unit)
    canvas, read = Canvas("cylindrical", scale, -60.0, -45.0, (120, 90), False), []
    draw_small(eye, counted(shoot(eye), read), Sheet.of(canvas))
    assert read == [("eye", 8)]


def counted(photo, read):
    def decode(shrink):
        read.append((photo.name, shrink))
        return photo.decode(shrink)

    return dataclasses.replace(photo, decode=decode)


@pytest.fixture
def scene():
    registration = row(5)
    return registration, [shoot(eye) for eye in registration.cameras]


def test_the_first_photos_are_decoded_early_and_once(scene):
    registration, photos = scene
    canvas, read = plan_canvas(registration, OPTIONS), []
    with ThreadPoolExecutor(2) as pool:
        early = EarlyPhotos([counted(photo, read) for photo in photos], registration, canvas, pool, FIRST)
        assert not read
        early.decode()
    # The row goes from left to right, and so do tiles.
    assert sorted(read) == sorted((photo.name, 1) for photo in photos[:FIRST])
    for photo, original in zip(early.photos, photos, strict=True):
        np.testing.assert_array_equal(photo.full().pixels, original.full().pixels)
    assert len(read) == len(photos)
    early.photos[0].full()
    assert len(read) == len(photos) + 1  # given away once: memory holds it no longer


@pytest.mark.parametrize(("threads", "expected"), [(1, 0), (2, FIRST)])
def test_composing_decodes_early_on_a_core_that_is_idle_and_every_photo_in_full_once(threads, expected):
    registration = row(5, size=(640, 480), focal=600.0)  # large enough to be planned on a smaller canvas
    photos, read, before = [shoot(eye) for eye in registration.cameras], [], []

    def report(stage, done, total):
        if stage == "render" and done == 0:
            before.extend(read)

    options = ComposeOptions(threads=threads)
    compose_photos(registration, [counted(photo, read) for photo in photos], options, progress=report)
    assert sorted(name for name, shrink in before if shrink == 1) == [photo.name for photo in photos[:expected]]
    assert sorted(name for name, shrink in read if shrink == 1) == [photo.name for photo in photos]


def test_early_photos_are_let_go_once_nobody_will_ask_for_them():
    """One that no tile shows before the first tile is begun, the first one of those shown before the last is done."""
    registration = row(5, size=(640, 480), focal=600.0)
    first = registration.cameras[0]
    hidden = dataclasses.replace(first, name="hidden", size=(160, 120), center=(79.5, 59.5))
    registration = dataclasses.replace(registration, cameras=(*registration.cameras, hidden))
    photos = [shoot(eye) for eye in registration.cameras]
    photos[-1] = photo_of(photos[-1].full().pixels, "hidden", np.zeros((120, 160), bool))
    pictures, left = {}, {}

    def watched(photo):
        def decode(shrink):
            decoded = photo.decode(shrink)
            fresh = dataclasses.replace(decoded, pixels=decoded.pixels.copy())
            if shrink == 1:
                pictures.setdefault(photo.name, []).append(weakref.ref(fresh.pixels))
            return fresh

        return dataclasses.replace(photo, decode=decode)

    def report(stage, done, total):
        if stage == "render" and done in (0, total):
            left[done == total] = {name for name, refs in pictures.items() if any(ref() is not None for ref in refs)}

    panorama = compose_photos(registration, [watched(photo) for photo in photos], ComposeOptions(threads=2), progress=report)
    assert not (panorama.owner == 5).any()
    assert len(pictures["hidden"]) == 1  # decoded early only: without a guess that is wrong this would test nothing
    assert left[False] == {"photo 0", "photo 1"}
    assert "photo 0" not in left[True]


def test_memory_counts_the_photos_that_are_decoded_early():
    """While two threads plan three photos are held, of which two are still being decoded: as their files have them too."""
    registration = row(4, step=21.0, size=(8000, 6000), focal=22000.0)

    def needed(threads, scale):
        options = ComposeOptions(projection="cylindrical", threads=threads, scale=scale)
        return estimate_memory(registration, plan_canvas(registration, options), options, np.dtype(np.uint8), holding=Holding(on_disk=True))

    photo = 8000 * 6000 * 3
    assert needed(2, 0.8) > 200e6 + (FIRST + 2) * photo
    # A single thread decodes none early, and so do two where photos are shown much smaller.
    assert needed(2, 0.8) - needed(1, 0.8) > photo
    assert needed(2, 0.5) - needed(1, 0.5) < photo


def test_two_threads_that_ask_for_an_early_photo_at_once_both_get_it(scene):
    registration, photos = scene
    canvas, read, together = plan_canvas(registration, OPTIONS), [], threading.Barrier(2)

    def pause(frame, event, _):
        """Let the other thread go on between any two lines of what hands an early photo out."""
        if frame.f_code.co_filename == early_photos.__file__:
            time.sleep(0.01)
            return pause
        return None

    with ThreadPoolExecutor(1) as pool:
        early = EarlyPhotos([counted(photo, read) for photo in photos], registration, canvas, pool, 1)
        early.decode()
    threading.settrace(pause)
    try:
        with ThreadPoolExecutor(2) as pool:
            asked = [pool.submit(lambda: (together.wait(), early.photos[0].full())) for _ in range(2)]
            assert all(len(each.result()[1].pixels) for each in asked)
    finally:
        threading.settrace(None)
    assert len(read) == 2  # the one early, the other when it was asked for


def test_a_photo_across_the_edge_of_a_full_turn_is_among_the_first():
    """The first tile shows it as well as the last one."""
    registration = full_turn(8)
    photos = [shoot(eye) for eye in registration.cameras]
    canvas, read = plan_canvas(registration, ComposeOptions(projection="cylindrical")), []
    boxes = [plan_box(eye, canvas) for eye in registration.cameras]
    across = {photo.name for photo, box in zip(photos, boxes, strict=True) if box.right > canvas.size[0]}
    assert canvas.wraps
    assert 0 < len(across) < FIRST
    with ThreadPoolExecutor(1) as pool:
        EarlyPhotos([counted(photo, read) for photo in photos], registration, canvas, pool, FIRST).decode()
    assert len(read) == FIRST
    assert {name for name, _ in read[: len(across)]} == across


def test_a_photo_that_cannot_be_decoded_is_told_when_it_is_needed(scene):
    registration, photos = scene

    def broken(shrink):
        if full_is_asked:
            raise ReadError(f"{photos[0].name}: is cut off")
        return photos[0].decode(shrink)

    full_is_asked = False
    damaged = [dataclasses.replace(photos[0], decode=broken), *photos[1:]]

    def report(stage, done, total):
        nonlocal full_is_asked
        full_is_asked |= stage == "plan" and done == total

    with pytest.raises(ReadError, match="is cut off"):
        compose_photos(registration, damaged, OPTIONS, progress=report)
