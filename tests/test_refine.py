"""Seams of pictures that were stitched elsewhere, and maps of where seams show."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

import compositor
from compositor.cli.entry import run
from compositor.images import open_photo, write_image

SIZE = (300, 420)


@pytest.fixture(scope="module")
def scene():
    """Smooth light with detail on it, (h, w, 3) float32, 0..1."""
    noise = np.random.default_rng(5)
    smooth = cv2.GaussianBlur(noise.random((*SIZE, 3), np.float32), (0, 0), 30) - 0.5
    fine = cv2.GaussianBlur(noise.random((*SIZE, 3), np.float32), (0, 0), 1.2) - 0.5
    return np.clip(0.5 + 8 * smooth + 0.15 * fine, 0.1, 0.9).astype(np.float32)


@pytest.fixture(scope="module")
def owner():
    """Three parts, slanted, the lower right corner nobody's."""
    y, x = np.indices(SIZE)
    parts = (x + 0.2 * y > 150).astype(np.int16) + (x - 0.1 * y > 260)
    parts[250:, 380:] = -1
    return parts


STEPS = np.array([[0, 0, 0], [5, 4, -4], [-3, 2, 6]], np.float32) / 255
"""By how much parts are brighter than the scene."""


def stitched(scene, owner, steps=STEPS):
    return scene + steps[np.maximum(owner, 0)]


def stored(picture, dtype):
    """As a file of this depth holds it."""
    white = {np.uint8: 255, np.uint16: 65535}.get(dtype)
    return picture.astype(np.float32) if white is None else np.rint(picture * white).astype(dtype)


def step_across(pixels, owner, first):
    """The difference between two neighbouring parts beside their seam, mean of all rows, 0..1, largest channel."""
    white = {"u1": 255, "u2": 65535}.get(pixels.dtype.str[1:], 1)
    rows, columns = np.nonzero((owner[:, :-1] == first) & (owner[:, 1:] == first + 1))
    there = [pixels[rows, columns + k].astype(np.float64).mean(axis=0) / white for k in (-1, 0, 1, 2)]
    return np.abs((there[2] + there[3] - there[0] - there[1]) / 2).max()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_steps_in_tone_vanish(scene, owner, dtype):
    picture = stored(stitched(scene, owner), dtype)
    refined = compositor.refine(picture, owner=owner)
    assert refined.pixels.dtype == dtype
    for first in (0, 1):
        before, after = (step_across(pixels, owner, first) for pixels in (picture, refined.pixels))
        assert before > 4 / 255
        assert after < 0.25 * before  # of 300 places, each as rough as the texture, about a level is uncertain
    assert all(seam.changed > 0.9 and seam.after < 0.3 * seam.before for seam in refined.seams)


def test_changes_stay_near_the_seams_and_off_what_is_nobodys(scene, owner):
    picture = stored(stitched(scene, owner), np.uint8)
    refined = compositor.refine(picture, owner=owner)
    edges = np.zeros(SIZE, np.uint8)
    edges[:, 1:] = owner[:, 1:] != owner[:, :-1]
    far = cv2.distanceTransform(1 - edges, cv2.DIST_L2, 5) > 24  # the least reach: 5 % of the height is less
    np.testing.assert_array_equal(refined.pixels[far | (owner < 0)], picture[far | (owner < 0)])
    np.testing.assert_array_equal(refined.changed, (refined.pixels != picture).any(axis=2))
    assert refined.changed.any()


def test_a_picture_without_steps_stays(scene, owner):
    picture = stored(scene, np.uint8)
    refined = compositor.refine(picture, owner=owner)
    apart = np.abs(refined.pixels.astype(int) - picture)
    assert apart.max() <= 1
    assert apart.mean() < 0.01


def test_what_the_picture_shows_at_a_seam_stays(owner):
    """An edge that lies on half of the seam, bright to the left and to the right in turns, is no step in tone."""
    y, x = np.indices(SIZE)
    pattern = np.where((x + 0.2 * y > 150) ^ (y // 20 % 2 == 0), 0.7, 0.3)
    picture = stored(np.repeat(pattern[..., None], 3, 2), np.uint8)
    refined = compositor.refine(picture, owner=(x + 0.2 * y > 150).astype(np.int8))
    assert np.abs(refined.pixels.astype(int) - picture).max() <= 1


def test_a_wide_fade_is_not_cut_open(scene, owner):
    """Where another program faded photos into each other there is no step, and none may be made."""
    soft = np.stack([cv2.blur(STEPS[np.maximum(owner, 0)][..., k], (31, 31)) for k in range(3)], 2)
    picture = stored(scene + soft, np.uint8)
    refined = compositor.refine(picture, owner=owner)
    for first in (0, 1):
        # A change of one level on either side of a few places is as much as rounding may do.
        assert step_across(refined.pixels, owner, first) <= step_across(picture, owner, first) + 0.3 / 255


def test_the_command_reads_owners_and_lines(scene, owner, tmp_path, capfd):
    picture = stored(stitched(scene, owner), np.uint8)
    lines = np.zeros(SIZE, np.uint8)
    lines[:, 1:][(owner[:, 1:] != owner[:, :-1]) & (owner[:, 1:] >= 0)] = 255
    write_image(tmp_path / "panorama.png", picture, mask=owner >= 0)
    write_image(tmp_path / "owner.png", (owner + 1).astype(np.uint8))
    write_image(tmp_path / "lines.png", lines)
    for option in ("owner", "lines"):
        name = "seams" if option == "lines" else option
        out = tmp_path / f"by_{option}.png"
        arguments = ["refine", str(tmp_path / "panorama.png"), f"--{name}", str(tmp_path / f"{option}.png"), "-o", str(out), "--json"]
        assert run(arguments) == 0
        told = json.loads(capfd.readouterr().out)
        assert [seam["changed"] > 0.9 for seam in told["seams"]] == [True, True]
        decoded = open_photo(out).full()
        # Where a slanted line of one pixel's breadth runs tells the cut to within one.
        assert step_across(decoded.pixels, owner, 0) < {"owner": 0.25, "lines": 0.5}[option] * step_across(picture, owner, 0)
        np.testing.assert_array_equal(decoded.mask, owner >= 0)
    expected = compositor.refine(tmp_path / "panorama.png", owner=tmp_path / "owner.png").pixels
    np.testing.assert_array_equal(open_photo(tmp_path / "by_owner.png").full().pixels, expected)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "either owner= or seams="),
        ({"owner": np.zeros((5, 5), np.int8)}, "it has to be as large"),
        ({"owner": np.zeros(SIZE, np.int8)}, "no two parts"),
        ({"owner": np.zeros(SIZE, np.int8), "seams": np.zeros(SIZE, np.bool_)}, "both"),
        ({"owner": np.arange(SIZE[0] * SIZE[1]).reshape(SIZE)}, "one gray or colour for each photo"),
        ({"seams": np.zeros((5, 5, 3), np.bool_)}, "of shape"),
        ({"owner": np.zeros(SIZE, np.float32)}, "whole numbers"),
    ],
)
def test_what_tells_no_seams_is_refused(scene, given, said):
    with pytest.raises(compositor.OptionError, match=said):
        compositor.refine(stored(scene, np.uint8), **given)


def test_colours_of_16_bits_are_owners(scene, tmp_path):
    owner = np.zeros((*SIZE, 3), np.uint16)
    owner[:, : SIZE[1] // 2, 2], owner[:, SIZE[1] // 2 :, 0] = 65535, 65535
    write_image(tmp_path / "owner.png", owner)
    refined = compositor.refine(stored(scene, np.uint8), owner=tmp_path / "owner.png")
    halves = np.repeat([[0] * (SIZE[1] // 2) + [1] * (SIZE[1] - SIZE[1] // 2)], SIZE[0], axis=0)
    np.testing.assert_array_equal(refined.pixels, compositor.refine(stored(scene, np.uint8), owner=halves).pixels)


def test_the_command_needs_seams(tmp_path, capfd):
    assert run(["refine", str(tmp_path / "panorama.png"), "-o", str(tmp_path / "out.png")]) == 2
    assert "either --owner or --seams" in capfd.readouterr().err


@pytest.fixture(scope="module")
def registration(photos):
    return compositor.register(photos)


def test_the_map_shows_hard_seams_more_than_closed_ones(photos, registration):
    options = {"blend": "none", "exposure": "none", "seams": "voronoi"}
    panoramas = [compositor.compose(registration, photos, refine=refine, **options) for refine in (None, compositor.close_seam)]
    hard, closed = (compositor.map_seams(panorama, photos) for panorama in panoramas)
    assert hard.shape == panoramas[0].owner.shape
    seam = hard > 0
    assert 0.005 < seam.mean() < 0.2  # bands of ten pixels
    assert closed[seam].mean() < 0.6 * hard[seam].mean()
    both = (panoramas[0].owner[:, 1:] != panoramas[0].owner[:, :-1]) & (panoramas[0].owner[:, 1:] >= 0) & (panoramas[0].owner[:, :-1] >= 0)
    assert hard[:, 1:][both].mean() > 2 * hard[seam].mean()  # brightest at the cut itself


def test_the_command_line_writes_the_map(photos, registration, tmp_path):
    registration.save(tmp_path / "photos.json")
    options = ["--crop", "--blend", "none", "--exposure", "none", "--seam-map", str(tmp_path / "map.png")]
    assert run(["compose", str(tmp_path / "photos.json"), *photos, "-o", str(tmp_path / "out.png"), *options]) == 0
    expected = compositor.map_seams(compositor.compose(registration, photos, blend="none", exposure="none", crop=True), photos)
    np.testing.assert_array_equal(open_photo(tmp_path / "map.png").full().pixels[..., 0], expected)
