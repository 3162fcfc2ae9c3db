"""Objects placed on backgrounds: nothing else changes, borders keep nothing of what was behind, and nobody's tone is touched unasked."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

import compositor
from compositor.cli.entry import run
from compositor.encoding import decode_srgb, encode_srgb, full_scale
from compositor.errors import OptionError
from compositor.images import open_photo, write_image


def disc(shape: tuple[int, int], centre: tuple[float, float], radius: float) -> np.ndarray:
    y, x = np.indices(shape)
    return (x - centre[0]) ** 2 + (y - centre[1]) ** 2 < radius**2


def as_type(values: np.ndarray, dtype: type) -> np.ndarray:
    white = full_scale(np.dtype(dtype))
    return values.astype(dtype) if white == 1 else np.round(values * white).astype(dtype)


@pytest.fixture
def background(generator):
    return as_type(generator.random((60, 80, 3)), np.uint8)


@pytest.fixture
def thing(generator):
    return as_type(generator.random((40, 30, 3)), np.uint8)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_a_hard_cut_keeps_every_bit_of_both(generator, dtype):
    background, thing = (as_type(generator.random(shape), dtype) for shape in ((60, 80, 3), (40, 30, 3)))
    mask = disc((40, 30), (15, 20), 12)
    pasted = compositor.paste(background, thing, mask=mask, at=(25, 10), fade=0.0)
    whole = np.zeros((60, 80), bool)
    whole[10:50, 25:55] = mask
    assert pasted.pixels.dtype == dtype
    np.testing.assert_array_equal(pasted.pixels[~whole], background[~whole])
    np.testing.assert_array_equal(pasted.pixels[whole], thing[mask])
    np.testing.assert_array_equal(pasted.alpha, whole)


@pytest.mark.parametrize("at", [(-10, -15), (60, 40), (-5, 45), (25, 10)])
def test_what_lies_outside_is_cut_off(background, thing, at):
    mask = np.ones((40, 30), bool)
    pasted = compositor.paste(background, thing, mask=mask, at=at, fade=0.0)
    truth = background.copy()
    for y in range(40):
        for x in range(30):
            if 0 <= y + at[1] < 60 and 0 <= x + at[0] < 80:
                truth[y + at[1], x + at[0]] = thing[y, x]
    np.testing.assert_array_equal(pasted.pixels, truth)


def test_the_fade_stays_inside_the_mask_and_mixes_light(background):
    thing, mask = np.full((40, 30, 3), 200, np.uint8), disc((40, 30), (15, 20), 12)
    pasted = compositor.paste(background, thing, mask=mask, at=(25, 10), fade=3.0)
    whole = np.zeros((60, 80), bool)
    whole[10:50, 25:55] = mask
    np.testing.assert_array_equal(pasted.pixels[~whole], background[~whole])
    assert ((pasted.alpha > 0) == whole).all()
    mixed = (pasted.alpha > 0) & (pasted.alpha < 1)
    alpha = pasted.alpha[mixed][:, None]
    truth = encode_srgb(alpha * decode_srgb(np.float64(200 / 255)) + (1 - alpha) * decode_srgb(background[mixed] / 255))
    # Half a level of rounding, and float32.
    assert np.abs(pasted.pixels[mixed] - truth * 255).max() < 0.51


def test_a_matte_stays_what_it_is(background):
    thing = np.full((40, 30, 3), 90, np.uint8)
    matte = cv2.GaussianBlur(disc((40, 30), (15, 20), 10).astype(np.float32), (0, 0), 2)
    pasted = compositor.paste(background, thing, mask=matte, at=(25, 10))
    np.testing.assert_array_equal(pasted.alpha[10:50, 25:55], matte)


def test_the_border_shows_nothing_of_what_the_object_stood_before():
    """A gray disc before green, cut out with a mask that holds two px too much: pasted on gray, no green is left to see."""
    shape, centre = (120, 120), (60, 60)
    edge = cv2.GaussianBlur(disc(shape, centre, 40).astype(np.float32), (0, 0), 1.0)[..., None]
    thing = as_type(edge * 0.5 + (1 - edge) * np.array([0.1, 0.9, 0.1], np.float32), np.uint8)
    background = np.full((120, 120, 3), 128, np.uint8)

    def halo(fade: float) -> float:
        pasted = compositor.paste(background, thing, mask=disc(shape, centre, 41), fade=fade)
        return float((pasted.pixels[..., 1].astype(float) - pasted.pixels[..., 0]).max())

    assert halo(0.0) > 90
    assert halo(3.0) < 30


def test_scaling_keeps_the_corner_and_the_colours(background):
    thing = np.full((40, 30, 3), (200, 100, 50), np.uint8)
    pasted = compositor.paste(background, thing, mask=np.ones((40, 30), bool), at=(5, 6), scale=0.5, fade=0.0)
    inside = np.zeros((60, 80), bool)
    inside[6:26, 5:20] = True
    np.testing.assert_array_equal(pasted.alpha, inside)
    assert (pasted.pixels[inside] == (200, 100, 50)).all()


def test_harmonize_is_asked_with_the_composite_and_cannot_touch_the_background(background, thing):
    asked = []

    def harmonize(pixels, alpha):
        asked.append((pixels, alpha))
        return np.ones_like(pixels)

    mask = disc((40, 30), (15, 20), 12)
    plain = compositor.paste(background, thing, mask=mask, at=(25, 10))
    pasted = compositor.paste(background, thing, mask=mask, at=(25, 10), harmonize=harmonize)
    ((pixels, alpha),) = asked
    np.testing.assert_allclose(pixels * 255, plain.pixels, atol=1e-4)
    np.testing.assert_array_equal(alpha, plain.alpha)
    np.testing.assert_array_equal(pasted.pixels[alpha == 0], background[alpha == 0])
    assert (pasted.pixels[alpha > 0] == 255).all()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "opaque everywhere; give a mask"),
        ({"mask": np.ones((4, 4), bool)}, "needed is"),
        ({"mask": np.full((40, 30), 255.0)}, "holds 255 to 255"),
        ({"mask": [[True]]}, "is a list"),
        ({"mask": np.zeros((40, 30), bool)}, "shows nothing"),
        ({"mask": np.ones((40, 30), bool), "at": (80, 0)}, "nothing of the object lies on the background"),
        ({"mask": np.ones((40, 30), bool), "scale": 0.0}, "out of range"),
        ({"mask": np.ones((40, 30), bool), "sise": 2}, "no option 'sise'"),
    ],
)
def test_what_cannot_be_is_told(background, thing, given, message):
    with pytest.raises(OptionError, match=message):
        compositor.paste(background, thing, **given)


def test_an_opaque_part_of_a_file_is_the_object(background, thing, tmp_path):
    mask = disc((40, 30), (15, 20), 12)
    write_image(tmp_path / "thing.png", thing, mask=mask)
    pasted = compositor.paste(background, tmp_path / "thing.png", fade=0.0)
    np.testing.assert_array_equal(pasted.alpha[:40, :30], mask)


def test_an_object_too_large_for_memory_is_refused(background, thing, monkeypatch):
    monkeypatch.setattr("compositor.memory.available_memory", lambda: 1_000_000)
    mask = np.ones((40, 30), bool)
    compositor.paste(background, thing, mask=mask, scale=2.0)
    with pytest.raises(compositor.LimitError, match="30 x 40 px at scale=16 needs 28 MB"):
        compositor.paste(background, thing, mask=mask, scale=16.0)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_the_soft_alpha_of_a_file_is_a_matte(background, generator, tmp_path, dtype):
    matte = cv2.GaussianBlur(disc((40, 30), (15, 20), 10).astype(np.float32), (0, 0), 2)
    stored = as_type(np.dstack([generator.random((40, 30, 3)), matte]), dtype)
    cv2.imwrite(str(tmp_path / "thing.png"), stored[..., [2, 1, 0, 3]])
    pasted = compositor.paste(background, tmp_path / "thing.png")
    np.testing.assert_allclose(pasted.alpha[:40, :30], stored[..., 3] / full_scale(np.dtype(dtype)), atol=1e-6)  # single precision
    half = compositor.paste(background, stored, mask=np.arange(30)[None] * np.ones((40, 1)) < 15)
    assert not half.alpha[:, 15:].any()
    np.testing.assert_array_equal(half.alpha[:40, :15], pasted.alpha[:40, :15])


def test_nothing_of_what_is_hidden_in_a_transparent_background_shows():
    """A white object on a background that is transparent, and black beneath: no rim of it is dark."""
    background = np.zeros((60, 80, 4), np.uint8)
    background[:, :20] = 255
    pasted = compositor.paste(background, np.full((40, 30, 3), 240, np.uint8), mask=disc((40, 30), (15, 20), 12), at=(30, 10), fade=3.0)
    assert ((pasted.alpha > 0) & (pasted.alpha < 1)).any()
    assert (pasted.pixels[pasted.alpha > 0] == 240).all()


def test_command(background, thing, tmp_path, capsys):
    mask = disc((40, 30), (15, 20), 12)
    for name, pixels in (("b.png", background), ("o.png", thing), ("m.png", np.repeat(mask[..., None], 3, 2) * np.uint8(255))):
        write_image(tmp_path / name, pixels)
    arguments = ["paste", *(str(tmp_path / name) for name in ("b.png", "o.png")), "--mask", str(tmp_path / "m.png"), "--at", "25", "-3"]
    assert run([*arguments, "-o", str(tmp_path / "out.png"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["size"] == [80, 60]
    direct = compositor.paste(background, thing, mask=mask, at=(25, -3))
    np.testing.assert_array_equal(open_photo(tmp_path / "out.png").full().pixels, direct.pixels)
    assert run([*arguments, "-o", str(tmp_path / "out.png")]) == 2  # it is there
    assert run([*arguments, "-o", str(tmp_path / "b.png"), "--overwrite"]) == 2  # an input
    assert run([*arguments, "-o", str(tmp_path / "new.png"), "--strength", "0.5"]) == 2  # of what?
