"""The small pictures that a set's photos keep between registration and planning."""

from __future__ import annotations

import os

import numpy as np
import pytest

from compositor.images import open_photo, open_photos, write_image

W, H = 1204, 1203
QUARTER = (1 - 1e-6) * W * H / 16e6
"""Megapixels of a picture a quarter as wide and high, as planning asks for it."""


def picture(dtype=np.uint8):
    """Bumps of many px, so that ways to shrink it hardly differ; sides that no power of two divides."""
    y, x = np.mgrid[:H, :W]
    bumps = np.stack([np.sin(x / 120 + k) * np.cos(y / 160 - k) for k in range(3)], axis=2) * 0.4 + 0.5
    return bumps.astype(dtype) if np.dtype(dtype).kind == "f" else np.rint(bumps * np.iinfo(dtype).max).astype(dtype)


def in_a_set(path):
    return open_photos([path])[0][0]


@pytest.mark.parametrize(("ending", "dtype"), [("jpg", np.uint8), ("png", np.uint16), ("tif", np.float32)])
def test_the_small_picture_is_the_same_kept_or_made(tmp_path, ending, dtype):
    path, white = tmp_path / f"a.{ending}", 1 if dtype == np.float32 else np.iinfo(dtype).max
    mask = None if ending == "jpg" else np.hypot(*np.ogrid[-H / 2 : H / 2, -W / 2 : W / 2]) < H / 2
    write_image(path, picture(dtype), mask=mask)
    made, photo = in_a_set(path).reduced(QUARTER), in_a_set(path)
    photo.reduced(1.3)
    os.rename(path, path.with_suffix(".away"))  # what was kept needs no file
    kept = photo.reduced(QUARTER)
    np.testing.assert_array_equal(kept.pixels, made.pixels)
    assert (kept.scale, kept.offset) == (made.scale, made.offset)
    assert (kept.mask is None) == (mask is None)
    if mask is not None:
        np.testing.assert_array_equal(kept.mask, made.mask)
    alone = open_photo(path.with_suffix(".away")).reduced(QUARTER)
    assert kept.pixels.shape == alone.pixels.shape
    inside = slice(None) if mask is None else kept.mask & alone.mask
    # Shrinking in two steps rounds twice, and parts of pixels weigh a little differently in the second.
    np.testing.assert_allclose(kept.pixels[inside], alone.pixels[inside].astype(float), atol=0.01 * white)


def test_a_small_picture_that_was_used_is_made_again(tmp_path):
    write_image(tmp_path / "a.png", picture())
    photo = in_a_set(tmp_path / "a.png")
    photo.reduced(1.3)
    first, second = photo.reduced(QUARTER), photo.reduced(QUARTER)
    np.testing.assert_array_equal(first.pixels, second.pixels)


def test_other_sizes_come_from_the_file(tmp_path):
    write_image(tmp_path / "a.jpg", picture())
    for megapixels in (0.02, 0.6, 2.0):
        found, wanted = (photo.reduced(megapixels) for photo in (in_a_set(tmp_path / "a.jpg"), open_photo(tmp_path / "a.jpg")))
        np.testing.assert_array_equal(found.pixels, wanted.pixels)


def test_a_gray_picture_is_the_coloured_ones_luma(tmp_path):
    write_image(tmp_path / "a.png", picture())
    photo = open_photo(tmp_path / "a.png")
    gray, colors = photo.reduced(0.3, gray=True), photo.reduced(0.3)
    assert gray.pixels.shape == colors.pixels.shape[:2]
    assert gray.scale == colors.scale
    # Rec. 601. Either order rounds twice, by half a level each.
    np.testing.assert_allclose(gray.pixels, colors.pixels @ [0.299, 0.587, 0.114], atol=2)
