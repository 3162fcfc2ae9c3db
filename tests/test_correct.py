"""Single photos without their lens's distortion and vignetting."""

from __future__ import annotations

import json

import numpy as np
import pytest
from test_compose import as_type, camera, photo_of, shoot, turned, world

import compositor
from compositor.cli.entry import run
from compositor.encoding import decode_srgb, encode_srgb
from compositor.geometry.views import ray_directions
from compositor.images import open_photo, write_image
from compositor.photometry import Photometry, falloff
from compositor.registration import Registration

LENS = (-0.3, -0.1, 0.05)
BENT = camera("bent.png", size=(320, 240), focal=300.0, distortion=(-0.08, 0.02))
STRAIGHT = camera("bent.png", size=(320, 240), focal=300.0)
LIGHT = Photometry(("bent.png",), np.array([[1.2, 1.0, 0.9]]), np.array([LENS]), 0.2)


def truth(gain=1.0):
    """What the straight lens would have seen, encoded 0..1, (240, 320, 3)."""
    x, y = np.meshgrid(np.arange(320), np.arange(240))
    directions = ray_directions(STRAIGHT, np.stack([x.ravel(), y.ravel()], 1).astype(float))
    return encode_srgb(decode_srgb(world(directions)) * gain).reshape(240, 320, 3)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_what_changes_nothing_keeps_every_bit(generator, dtype):
    pixels = as_type(generator.random((30, 40, 3)), dtype)
    corrected = compositor.correct(pixels)
    np.testing.assert_array_equal(corrected.pixels, pixels)
    assert corrected.mask.all()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_distortion_vignetting_and_exposure_are_undone(dtype):
    photo = shoot(BENT, dtype, 0.5, LENS)
    corrected = compositor.correct(photo, focal=300.0, distortion=(-0.08, 0.02), vignetting=LENS, exposure=1.0)
    assert corrected.pixels.dtype == dtype
    assert corrected.pixels.shape == (240, 320, 3)
    white = 1 if dtype == np.float32 else np.iinfo(dtype).max
    error = np.abs(corrected.pixels / white - truth())[corrected.mask] * 255
    # Rounding the darkened photo and the result; at the rim colours go on for half a pixel.
    assert error.mean() < 0.7
    assert corrected.mask.all()  # a barrel shows more than a straight lens


def test_the_lens_comes_from_a_registration_and_photometry():
    """Whatever the camera looked at, and whether it was turned."""
    registration = Registration("rotation", (camera("other.png", 40), BENT.looking(turned(30, 10, 5))))
    plain = compositor.correct(shoot(BENT), registration=registration)
    assert np.abs(plain.pixels - 255 * truth())[plain.mask].mean() < 0.6
    lit = compositor.correct(shoot(BENT, np.float32), photometry=LIGHT)
    again = compositor.correct(shoot(BENT, np.float32), registration=Registration("rotation", (STRAIGHT,)), photometry=LIGHT)
    np.testing.assert_array_equal(lit.pixels, again.pixels)
    assert lit.photometry.gains.tolist() == LIGHT.gains.tolist()


def test_a_photo_of_the_same_lens_gets_its_correction_but_not_its_exposure():
    photo = photo_of(shoot(BENT).full().pixels, "another.png")
    corrected = compositor.correct(photo, registration=Registration("rotation", (BENT,)), photometry=LIGHT)
    assert corrected.registration.cameras[0].distortion == BENT.distortion
    assert (corrected.photometry.gains == 1).all()
    assert corrected.photometry.vignetting.tolist() == [list(LENS)]


def test_contradictions_and_strangers_are_refused():
    photo = photo_of(np.zeros((240, 320, 3), np.uint8), "stranger.png")
    two = Registration("rotation", (BENT, camera("other.png", 40)))
    with pytest.raises(compositor.RegistrationFileError, match=r"stranger\.png"):
        compositor.correct(photo, registration=two)
    lights = Photometry(("a", "b"), np.ones((2, 3)), np.array([LENS, (0.0, 0.0, 0.0)]))
    with pytest.raises(compositor.PhotometryFileError, match=r"stranger\.png"):
        compositor.correct(photo, photometry=lights)
    with pytest.raises(compositor.OptionError, match="distortion"):
        compositor.correct(photo, registration=two, distortion=(0.1, 0.0))
    with pytest.raises(compositor.OptionError, match="vignetting"):
        compositor.correct(photo, photometry=LIGHT, vignetting=LENS)
    with pytest.raises(compositor.OptionError, match="focal"):
        compositor.correct(photo, distortion=(0.1, 0.0))
    with pytest.raises(compositor.OptionError, match="tuple of 2"):
        compositor.correct(photo, distortion=(0.1,))
    with pytest.raises(compositor.OptionError, match="a number"):
        compositor.correct(photo, vignetting=(0.1, "b", 0.0))


@pytest.fixture
def command(capfd):
    def call(*arguments):
        capfd.readouterr()
        code = run([str(argument) for argument in arguments])
        out, err = capfd.readouterr()
        return code, out, err.splitlines()

    return call


def test_the_command_corrects_photos_into_a_folder(command, tmp_path):
    photo = shoot(BENT, np.uint8, 1.0, LENS)
    write_image(tmp_path / "bent.png", photo.full().pixels)
    (tmp_path / "broken.jpg").write_bytes(b"no photo")
    Registration("rotation", (BENT,)).save(tmp_path / "photos.json")
    LIGHT.save(tmp_path / "light.json")
    folder = tmp_path / "corrected"
    line = ("correct", tmp_path / "bent.png", tmp_path / "broken.jpg", "-o", folder, "--registration", tmp_path / "photos.json")
    code, out, err = command(*line, "--use-photometry", tmp_path / "light.json", "--json")
    told = json.loads(out)
    assert code == 3
    assert err[-1] == f"{folder}: 1 of 2 photos"
    assert [entry["output"] for entry in told["corrected"]] == [str(folder / "bent.png")]
    assert told["corrected"][0]["corner_stops"] == pytest.approx(np.log2(falloff(np.array(1.0), LENS)), abs=1e-3)
    assert len(told["left_out"]) == 1
    expected = compositor.correct(photo, registration=Registration("rotation", (BENT,)), photometry=LIGHT)
    np.testing.assert_array_equal(open_photo(folder / "bent.png").full().pixels, expected.pixels)
    assert command(*line)[0] == 2  # the output exists
    code, _, err = command("correct", tmp_path / "bent.png", "-o", tmp_path / "light.json", "--exposure", 1)
    assert code == 2
    assert "light.json" in err[-1]


def test_the_command_says_when_there_is_nothing_to_correct(command, tmp_path):
    write_image(tmp_path / "bent.png", shoot(BENT).full().pixels)
    line = ("correct", tmp_path / "bent.png", "-o", tmp_path / "new")
    code, _, err = command(*line)
    assert code == 2
    assert "nothing to correct" in err[-1]
    assert not (tmp_path / "new").exists()
    code, _, err = command(*line[:3], tmp_path / "new.jpg", "--exposure", 1)
    assert code == 2
    assert "a folder is needed" in err[-1]
    assert not (tmp_path / "new.jpg").exists()
    Registration("rotation", (STRAIGHT,)).save(tmp_path / "photos.json")
    code, _, err = command(*line, "--registration", tmp_path / "photos.json")
    assert code == 0
    assert [line for line in err if "nothing is known that would correct bent.png" in line] == err[:1]


def test_the_command_takes_numbers_and_does_not_overwrite_its_input(command, tmp_path):
    pixels = shoot(BENT, np.uint8, 0.5, LENS).full().pixels
    write_image(tmp_path / "bent.png", pixels)
    numbers = ["--focal", "300", "--distortion", "-0.08", "0.02", "--vignetting", "-0.3", "-0.1", "0.05", "--exposure", "1"]
    assert command("correct", tmp_path / "bent.png", "-o", tmp_path / "new", *numbers, "-q") == (0, "", [])
    expected = compositor.correct(pixels, focal=300.0, distortion=(-0.08, 0.02), vignetting=LENS, exposure=1.0)
    np.testing.assert_array_equal(open_photo(tmp_path / "new" / "bent.png").full().pixels, expected.pixels)
    code, _, err = command("correct", tmp_path / "bent.png", "-o", tmp_path, "--overwrite")
    assert code == 2
    assert "an input too" in err[-1]
