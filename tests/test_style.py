"""Pictures in the style of others, without PyTorch; painting is tested with the other networks."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

import compositor
from compositor.cli.entry import run
from compositor.images import write_image
from compositor.style import linear_transfer, regrain, transfer_colors


def gaussian(generator, mean, matrix, size=60):
    """A picture whose colours are normally distributed, encoded 0..1."""
    return (generator.normal(size=(size, size, 3)) @ np.asarray(matrix).T + mean).astype(np.float32)


CONTENT = ([0.4, 0.5, 0.6], [[0.05, 0, 0], [0.01, 0.04, 0], [0, 0.01, 0.03]])
STYLE = ([0.6, 0.4, 0.3], [[0.04, 0.01, 0], [0, 0.05, 0], [0.02, 0, 0.05]])


def test_a_picture_that_memory_does_not_hold_is_refused(monkeypatch):
    monkeypatch.setattr("compositor.memory.available_memory", lambda: 10**6)
    content = np.zeros((200, 300, 3), np.uint8)
    with pytest.raises(compositor.LimitError, match=r"in a style, 300 x 200 px.*smaller size="):
        compositor.style(content, content)


def test_a_painting_may_keep_the_colours_of_its_picture(generator):
    """Whatever is painted, only brightness changes; the painter is shown a style in the picture's colours."""
    content, model = (cv2.resize(generator.random((6, 8, 3), dtype=np.float32) * 0.5 + 0.25, (80, 60)) for _ in range(2))
    shown = []

    def paint(picture, style, colored, where, options, tell):
        shown.extend([style, colored])
        return picture * np.float32([0.9, 1.1, 0.8])

    made = compositor.style(content, model * np.float32([1, 0.5, 0.2]), method="paint", paint=paint, colors="own").pixels
    change = made - content
    np.testing.assert_allclose(change, change.mean(2, keepdims=True).repeat(3, 2), atol=1e-6)
    assert np.abs(change).max() > 0.01
    np.testing.assert_array_equal(shown[1], content)
    np.testing.assert_allclose(shown[0].mean((0, 1)), content.mean((0, 1)), atol=0.02)
    with pytest.raises(compositor.OptionError, match="would change nothing"):
        compositor.style(content, model, colors="own")


def test_linear_map_takes_mean_and_covariance_to_the_others(generator):
    content, style = (gaussian(generator, *one).reshape(-1, 3) for one in (CONTENT, STYLE))
    matrix, shift = linear_transfer(content, style)
    moved = content @ matrix.T + shift
    np.testing.assert_allclose(moved.mean(0), style.mean(0), atol=1e-4)  # single precision
    # The floor under the variances, 1e-5, is a hundredth of them.
    np.testing.assert_allclose(np.cov(moved, rowvar=False), np.cov(style, rowvar=False), atol=5e-5)
    # What makes it the map of the least total distance: it is symmetric and positive.
    np.testing.assert_allclose(matrix, matrix.T, atol=1e-12)
    assert np.linalg.eigvalsh(matrix).min() > 0


def distance(first, second):
    """Mean distance of sorted values along random directions of colour."""
    directions = np.random.default_rng(1).normal(size=(3, 50))
    directions /= np.linalg.norm(directions, axis=0)
    return np.abs(np.sort(first.reshape(-1, 3) @ directions, 0) - np.sort(second.reshape(-1, 3) @ directions, 0)).mean()


def test_colours_come_nearer_than_by_the_linear_map(generator):
    content = generator.beta(2, 2, (60, 60, 3)).astype(np.float32)
    style = generator.beta([0.7, 3, 1], [2, 1, 4], (60, 60, 3)).astype(np.float32)
    matrix, shift = linear_transfer(content.reshape(-1, 3), style.reshape(-1, 3))
    linear = content @ matrix.T + shift
    made = transfer_colors(content, style)
    chroma = [picture - picture.mean(2, keepdims=True) for picture in (made, linear, style)]  # lightness stays with the linear map
    assert distance(chroma[0], chroma[2]) < 0.7 * distance(chroma[1], chroma[2])
    assert distance(made, style) < distance(linear, style) < distance(content, style)


def test_a_picture_in_its_own_style_stays(generator):
    picture = cv2.GaussianBlur(generator.random((50, 60, 3)).astype(np.float32), (0, 0), 2)
    np.testing.assert_allclose(compositor.style(picture, picture).pixels, picture, atol=2e-3)


def test_one_colour_gives_and_takes_its_mean():
    gray, red = np.full((40, 50, 3), 0.5, np.float32), np.full((30, 30, 3), (0.8, 0.2, 0.1), np.float32)
    made = compositor.style(gray, red).pixels
    np.testing.assert_allclose(made, np.broadcast_to(red[0, 0], made.shape), atol=1e-3)


def test_grain_stays_as_strong_as_it_was(generator):
    steps = np.repeat(np.linspace(0.3, 0.6, 4, dtype=np.float32), 24)[None, :, None]
    photo = (steps + generator.normal(0, 0.006, (64, 96, 3))).astype(np.float32)
    colored = (photo - 0.45) * 2.5 + 0.45  # what a map of colours does to it
    made = regrain(photo, colored)

    def grain(picture):
        return (picture - cv2.GaussianBlur(picture, (0, 0), 2))[8:-8, 30:42].std()

    assert grain(colored) == pytest.approx(2.5 * grain(photo), rel=0.01)
    assert grain(made) < 1.7 * grain(photo)
    # The steps between the areas are those of the new colours.
    means = [picture.reshape(64, 4, 24, 3)[8:-8, :, 6:-6].mean((0, 2, 3)) for picture in (made, colored)]
    np.testing.assert_allclose(*means, atol=0.03)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_depth_stays_and_the_mask_decides_where(generator, dtype):
    white = 1 if dtype == np.float32 else np.iinfo(dtype).max
    content = (generator.random((40, 50, 3)) * white).astype(dtype)
    style = (generator.random((40, 50, 3)) * 0.3).astype(np.float32)
    mask = np.zeros((40, 50), bool)
    mask[:, 25:] = True
    made = compositor.style(content, style, mask=mask).pixels
    assert made.dtype == dtype
    np.testing.assert_array_equal(made[:, :25], content[:, :25])
    assert np.mean(made[:, 25:] / white) == pytest.approx(style.mean(), abs=0.02)
    np.testing.assert_array_equal(compositor.style(content, style, strength=0).pixels, content)


def test_wrong_requests_are_told(generator):
    picture = generator.random((40, 50, 3)).astype(np.float32)
    with pytest.raises(compositor.OptionError, match="method='paint' needs a painter"):
        compositor.style(picture, picture, method="paint")
    with pytest.raises(compositor.OptionError, match=r"brush=2\.0 is of painting"):
        compositor.style(picture, picture, brush=2.0)
    with pytest.raises(compositor.OptionError, match="the mask of photo 1 is bool of shape"):
        compositor.style(picture, picture, mask=np.ones((4, 4), bool))
    with pytest.raises(compositor.OptionError, match="a mask leaves 0 pixels"):
        compositor.style(picture, picture, mask=np.zeros((40, 50), bool))


def test_any_painter_will_do(generator):
    picture = generator.random((40, 50, 3)).astype(np.float32)
    made = compositor.style(picture, picture, method="paint", paint=lambda content, *_: 1 - content).pixels
    np.testing.assert_allclose(made, 1 - picture, atol=1e-6)


def test_command_writes_what_the_function_gives(tmp_path, generator, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, height in (("content.png", 40), ("style.png", 30)):
        write_image(tmp_path / name, (generator.random((height, 60, 3)) * height * 6).astype(np.uint8))
    asked = ["style", str(tmp_path / "content.png"), "--style", str(tmp_path / "style.png"), "-o", "out.png", "--json"]
    assert run([*asked, "--size", "30"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["size"] == [30, 20]
    assert told["output"] == str(tmp_path / "out.png")
    written = cv2.imread(str(tmp_path / "out.png"))[..., ::-1]
    made = compositor.style(tmp_path / "content.png", tmp_path / "style.png", size=30)
    np.testing.assert_array_equal(written, made.pixels)
    assert run(asked) == 2  # it exists


def test_what_is_transparent_neither_counts_nor_gets_lost(tmp_path, generator):
    """Other colours under the transparent parts change no visible pixel, and the file is transparent where the photo was."""
    mask = np.hypot(*(np.mgrid[0:40, 0:50] - np.array([20, 25])[:, None, None])) < 15
    content, style = (generator.integers(low, low + 100, (40, 50, 3)).astype(np.uint8) for low in (20, 120))
    seen = []
    for hidden in (0, 255):
        given = [np.dstack([np.where(mask[..., None], one, np.uint8(hidden)), mask * np.uint8(255)]) for one in (content, style)]
        seen.append(compositor.style(*given))
    np.testing.assert_array_equal(seen[0].mask, mask)
    np.testing.assert_array_equal(seen[0].pixels[mask], seen[1].pixels[mask])
    assert seen[0].pixels[mask].mean() == pytest.approx(style[mask].mean(), abs=2)
    seen[0].save(tmp_path / "out.png")
    np.testing.assert_array_equal(cv2.imread(str(tmp_path / "out.png"), cv2.IMREAD_UNCHANGED)[..., 3] == 255, mask)


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (np.full((40, 50), 255.0), "holds 255 to 255"),
        (np.full((40, 50), np.nan), "holds nan"),
        (np.ones((40, 50), complex), "is complex128"),
        (np.ones((40, 50), object), "is object"),
        ([[1.0] * 50] * 40, "is a list"),
        (np.pad([[True]], ((20, 19), (25, 24))), "leaves 1 pixel; at least 64"),
    ],
)
def test_masks_are_looked_at_before_they_are_used(generator, mask, message):
    picture = generator.random((40, 50, 3)).astype(np.float32)
    with pytest.raises(compositor.OptionError, match=message):
        compositor.style(picture, picture, mask=mask)
