"""Samples are varied by seed, and what is known of them moves with them."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from compositor.datasets.augment import Augmentation, Sample, cut_mix, generator_of, overlap_pair
from compositor.datasets.lights import Blur, Colour, Exposure, Gray, Jpeg, Noise
from compositor.datasets.moves import Crop, Flip, Perspective, Rotate, Scale, Shear, frame_of, map_points
from compositor.errors import OptionError

MOVES = {
    "rotate": Rotate(0.5),
    "scale": Scale(0.4, 1.5),
    "flip": Flip(1.0),
    "shear": Shear(0.3),
    "crop": Crop((90, 70), 0.3, 0.9),
    "perspective": Perspective(0.3),
}
LIGHTS = {
    "exposure": Exposure(0.8, 0.2),
    "colour": Colour(0.2, 0.3, 0.05),
    "gray": Gray(1.0),
    "noise": Noise(0.05),
    "blur": Blur(1.5),
    "jpeg": Jpeg(20, 60),
}
EVERYTHING = Augmentation((*MOVES.values(), Rotate(0.2)), tuple(LIGHTS.values()))


def dotted(w: int = 160, h: int = 120) -> Sample:
    """White discs on black: their middles are the points, their pixels the mask."""
    points = np.array([[x, y] for y in (30, 60, 90) for x in (40, 80, 120)], float)
    y, x = np.indices((h, w))
    # Soft edges, so that their middles are known to less than a pixel.
    far = np.min([np.hypot(x - px, y - py) for px, py in points], axis=0)
    pixels = np.round(255 * np.clip(5.5 - far, 0, 1)).astype(np.uint8)
    return Sample(np.repeat(pixels[..., None], 3, 2), far < 5, points)


def textured(seed: int = 3, w: int = 300, h: int = 220) -> np.ndarray:
    noise = cv2.GaussianBlur(np.random.default_rng(seed).random((h, w, 3), np.float32), (0, 0), 3)
    return np.clip((noise - 0.5) * 6 * 127 + 128, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("name", [*MOVES, "everything"])
@pytest.mark.parametrize("seed", range(4))
def test_points_mask_and_homography_follow_the_pixels(name, seed):
    sample = dotted()
    moves = (MOVES[name],) if name in MOVES else (Rotate(0.3), Scale(0.7, 1.2), Shear(0.1), Flip(), Perspective(0.1))
    moved = Augmentation(moves)(sample, generator_of(1, seed))
    np.testing.assert_allclose(map_points(moved.homography, sample.points), moved.points, atol=1e-9)
    assert moved.mask.shape == moved.pixels.shape[:2]
    seen = 0
    for point in moved.points:
        h, w = moved.mask.shape
        if not ((point > 12) & (point < (w - 13, h - 13))).all():
            continue
        x, y = np.round(point).astype(int)
        part = moved.pixels[y - 11 : y + 12, x - 11 : x + 12, 0].astype(float)
        if part.sum() == 0 or part[[0, -1]].any() or part[:, [0, -1]].any():
            continue  # cut off at the picture's former edge, or so near another that both are in sight
        rows, columns = np.indices(part.shape)
        middle = np.array([(columns * part).sum(), (rows * part).sum()]) / part.sum() + (x - 11, y - 11)
        # Seen obliquely a disc's middle is not the middle of what is seen; nearest neighbours put the mask half a pixel off.
        np.testing.assert_allclose(middle, point, atol=0.5 if name in ("perspective", "everything") else 0.15)
        assert moved.mask[y, x]
        seen += 1
    # Mask and picture agree but at edges.
    assert (moved.mask == (moved.pixels[..., 0] > 127)).mean() > 0.96
    if name in ("rotate", "flip", "shear"):
        assert seen


@pytest.mark.parametrize("name", [*MOVES, *LIGHTS, "everything"])
def test_same_seed_gives_the_same_bytes_and_another_does_not(name):
    if name == "everything":
        augmentation = EVERYTHING
    else:
        augmentation = Augmentation((MOVES[name],)) if name in MOVES else Augmentation(lights=(LIGHTS[name],))
    sample = Sample(textured(), np.ones((220, 300), bool), np.array([[3.0, 4.0]]))
    first, again, other = (augmentation(sample, generator_of(5, number)) for number in (7, 7, 8))
    for field in ("pixels", "mask", "points", "homography"):
        np.testing.assert_array_equal(getattr(first, field), getattr(again, field))
    assert not np.array_equal(first.pixels, sample.pixels)
    if name not in ("flip", "gray"):  # with a chance of 1 nothing is left to be drawn
        assert not np.array_equal(first.pixels, other.pixels)


def test_moves_are_sampled_once():
    """Turned and turned back in one augmentation, a picture is what it was; in two it is blurred."""
    sample = Sample(textured())

    def turn(angle):
        c, s = np.cos(angle), np.sin(angle)
        return lambda frame, _: frame.about(np.array([[c, -s], [s, c]]))

    there_and_back = Augmentation((turn(0.3), turn(-0.3)))(sample, generator_of(0, 0))
    assert np.abs(there_and_back.pixels.astype(int) - sample.pixels).max() <= 1


def test_a_crop_of_all_is_the_picture_reduced():
    """To one place and scale with OpenCV's reduction by areas: corners of pictures fall on corners."""
    pixels = textured()
    cropped = Augmentation((Crop((75, 55)),))(Sample(pixels), generator_of(0, 0))
    assert np.abs(cropped.pixels.astype(int) - cv2.resize(pixels, (75, 55), interpolation=cv2.INTER_AREA)).max() <= 1
    corners = map_points(cropped.homography, np.array([[-0.5, -0.5], [299.5, 219.5]]))
    np.testing.assert_allclose(corners, [[-0.5, -0.5], [74.5, 54.5]], atol=1e-9)


def test_light_leaves_places_alone_and_values_in_range():
    sample = Sample(textured(), np.random.default_rng(0).random((220, 300)) > 0.5, np.array([[5.0, 6.0]]))
    for light in LIGHTS.values():
        lit = Augmentation(lights=(light,))(sample, generator_of(2, 2))
        assert lit.pixels.shape == sample.pixels.shape
        assert lit.pixels.dtype == np.uint8
        assert lit.mask is sample.mask
        assert lit.points is sample.points
        # The texture is still the same one.
        assert np.corrcoef(lit.pixels.mean(2).ravel(), sample.pixels.mean(2).ravel())[0, 1] > 0.8


def test_exposure_is_a_factor_on_linear_light():
    pixels = np.full((8, 8, 3), 0.25, np.float32)
    brighter = [Exposure(1.0)(pixels, generator_of(0, k))[0, 0, 0] for k in range(200)]
    stops = 2.2 * np.log2(np.array(brighter) / 0.25)
    assert -1 <= stops.min() < -0.9
    assert 0.9 < stops.max() <= 1


@pytest.mark.parametrize("seed", range(6))
def test_halves_of_an_overlapping_pair_show_the_same_places(seed):
    pixels = textured(seed, 400, 300)
    first, second = overlap_pair(Sample(pixels), generator_of(seed, 0), size=64, overlap=(0.5, 0.9))
    relation = second.homography @ np.linalg.inv(first.homography)
    warped = cv2.warpPerspective(first.pixels, relation, (64, 64))
    both = cv2.warpPerspective(np.ones((64, 64), np.uint8), relation, (64, 64)).astype(bool)
    if second.mask is not None:
        both &= second.mask
    if first.mask is not None:
        both &= cv2.warpPerspective(first.mask.view(np.uint8), relation, (64, 64)).astype(bool)
    assert both.mean() > 0.2
    apart = np.abs(warped.astype(float) - second.pixels)[both].mean()
    # Sampled twice, so that it is a little softer; shifted by two pixels the same squares differ three times as much and more.
    assert apart < np.abs(np.roll(warped, 3, 1).astype(float) - second.pixels)[both].mean() / 2


def test_cut_mix_takes_mask_and_covers_points():
    h, w = 60, 80
    first = Sample(np.zeros((h, w, 3), np.uint8), np.ones((h, w), bool), np.array([[x, y] for y in range(h) for x in range(w)], float))
    other = Sample(np.full((h, w, 3), 200, np.uint8), np.zeros((h, w), bool))
    mixed, share = cut_mix(first, other, generator_of(3, 1))
    box = mixed.pixels[..., 0] == 200
    assert 0 < box.mean() < 1
    assert share == pytest.approx(1 - box.mean())
    np.testing.assert_array_equal(mixed.mask, ~box)
    np.testing.assert_array_equal(np.isnan(mixed.points[:, 0]).reshape(h, w), box)
    with pytest.raises(OptionError, match="one size"):
        cut_mix(first, Sample(np.zeros((9, 9, 3), np.uint8)), generator_of(0, 0))


def test_frame_of_a_picture_shows_it_unmoved():
    sample = Sample(textured())
    assert np.array_equal(sample.moved(frame_of(sample.pixels)).pixels, sample.pixels)
