"""What makes a seam between two layers vanish: known answers, and what must never change."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from skimage.data import stereo_motorcycle

from compositor.compose.floor import finish
from compositor.compose.flow import close_gaps, close_gaps_both_ways, warp_by
from compositor.compose.layers import Layers
from compositor.compose.membrane import membrane
from compositor.compose.tone import Tone, fit_tone
from compositor.kernels.membrane import pull, push
from compositor.kernels.tone import average_cells, change_tone

HEIGHT, WIDTH = 300, 400
BEGINS, SEAM, ENDS = 130, 200, 270
"""Columns where the new picture begins, where it begins to show, and where the reference ends."""


@pytest.fixture(scope="module")
def photo():
    """A photograph whose brightest and darkest values stay away from white and black."""
    pixels = stereo_motorcycle()[0][60 : 60 + HEIGHT, 150 : 150 + WIDTH].astype(np.float32) / 255
    return np.ascontiguousarray(0.1 + 0.6 * pixels)


def layers_of(reference, new, seam=SEAM):
    column = np.arange(WIDTH)[None].repeat(HEIGHT, axis=0)
    reference_valid, new_valid = column < ENDS, column >= BEGINS
    return Layers(reference * reference_valid[..., None], new * new_valid[..., None], reference_valid, new_valid, column >= seam)


def shifted(photo, dx):
    """The photo, its content moved to the right by some px."""
    return cv2.warpAffine(
        photo, np.array([[1, 0, dx], [0, 1, 0]], float), (WIDTH, HEIGHT), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT
    )


def band(reach=8):
    return slice(None), slice(SEAM, SEAM + reach)


def psnr(first, second):
    return -10 * np.log10(((first - second) ** 2).mean())


def test_identical_layers_come_back_to_the_bit(photo):
    """Also a photo that reaches black and white, and noise in it: nothing is there to be mended."""
    for picture in (photo, np.clip(2 * photo - 0.5, 0, 1)):
        layers = layers_of(picture, picture)
        finished = finish(layers)
        assert (finished.pixels == picture).all()
        assert (finished.new == layers.new).all()


def test_noise_alone_is_left_alone(photo, generator):
    """Two shots of the same differ by noise only: no tone is made of it, and no motion."""
    layers = layers_of(photo, photo + generator.normal(0, 0.008, photo.shape).astype(np.float32))
    assert fit_tone(layers).is_neutral
    assert not close_gaps(layers).any()
    change = np.abs(finish(layers).pixels - layers.new)[:, SEAM + 8 :]
    assert change.mean() < 0.1 / 255  # what the membrane makes of the noise at the seam


@pytest.mark.parametrize("gains", [(0.7, 0.7, 0.7), (1.2, 1.0, 0.85)])
def test_a_gain_is_undone_everywhere(photo, gains):
    """The answer is known, and lies within what may be found; the weak pulls towards «nothing changes» leave a fraction of a level."""
    layers = layers_of(photo, photo * np.array(gains, np.float32))
    new = fit_tone(layers).apply(layers.new, layers.new_valid)
    assert np.abs(new - photo)[:, BEGINS:].mean() < 0.5 / 255
    assert np.abs(finish(layers).pixels - photo).mean() < 0.5 / 255


def test_mixed_channels_and_a_bent_curve_are_undone(photo):
    gray = photo.mean(axis=2, keepdims=True)
    layers = layers_of(photo, (0.8 * (gray + 1.25 * (photo - gray)) + 0.02) ** 1.2)
    before = psnr(layers.new[:, SEAM:], photo[:, SEAM:])
    # Straight pieces cannot follow the curve exactly: a third of a level at the curve's bends.
    assert psnr(finish(layers).pixels[:, SEAM:], photo[:, SEAM:]) > max(42, before + 15)


def test_what_moved_does_not_count(photo):
    """A third of the overlap shows something else in the new picture; the gain is found all the same."""
    new = 0.8 * photo
    new[100:200, BEGINS:ENDS] = 0.6
    layers = layers_of(photo, new)
    back = fit_tone(layers).apply(layers.new)
    assert np.abs(back[:80] - photo[:80])[:, SEAM:].mean() < 1 / 255


def test_a_tone_stays_monotone_where_the_overlap_shows_nothing(photo):
    """Only middle values overlap; what is darker or lighter is changed, but never turned round, and by no more than its neighbours are."""
    reference = np.clip(0.45 + 0.2 * (photo - 0.4), 0, 1)
    tone = fit_tone(layers_of(reference, reference**1.3))
    ramp = np.linspace(0, 1, 101, dtype=np.float32)[None, :, None].repeat(3, axis=2)
    steps = np.diff(tone.apply(ramp), axis=1)
    assert (steps > 0).all()
    assert steps.max() < 4 * 0.01  # the steepest that the undone curve is, is 1.3 and less


@pytest.mark.parametrize("width", [0, 1, 3, 8])
def test_small_overlaps_are_believed_less(photo, width):
    """Whatever the overlap, a plain gain ends no farther off than before; without one nothing happens."""
    column = np.arange(WIDTH)[None].repeat(HEIGHT, axis=0)
    layers = Layers(photo, 0.8 * photo, column < SEAM + width, column >= SEAM, column >= SEAM + width)
    new = fit_tone(layers).apply(layers.new)
    if width == 0:
        assert new is layers.new
    assert np.abs(new - photo)[:, SEAM:].mean() <= np.abs(layers.new - photo)[:, SEAM:].mean()


@pytest.mark.parametrize("dx", [1.5, -3.0])
def test_a_shifted_photo_is_closed_at_the_seam(photo, dx):
    """There it is as the reference, and where the flow has faded out it is as it was."""
    layers = layers_of(photo, shifted(photo, dx))
    new = warp_by(close_gaps(layers), layers.new)
    beside = slice(None), slice(SEAM, SEAM + 3)
    # Three columns behind the seam the flow has faded by a tenth or two, of a few px.
    assert psnr(new[beside], photo[beside]) > psnr(layers.new[beside], photo[beside]) + 7
    far = slice(None), slice(SEAM + 8 + 3 * 4, None)
    assert (new[far] == layers.new[far]).all()
    assert (new[:, :SEAM] == layers.new[:, :SEAM]).all()


@pytest.mark.parametrize("dx", [1.5, -3.0])
def test_the_reference_follows_to_where_the_new_photo_goes(photo, dx):
    """Taken from where the way back leads it shows, behind the seam, what the new photo shows there once it is bent."""
    layers = layers_of(photo, shifted(photo, dx))
    flow, back = close_gaps_both_ways(layers)
    np.testing.assert_array_equal(flow, close_gaps(layers))
    assert not back[:, :SEAM].any()
    followed, new = warp_by(back, layers.reference), warp_by(flow, layers.new)
    ring = slice(16, -16), slice(SEAM, SEAM + 8)
    # Both are drawn by interpolation, from flows that are smoothed each for itself: a few tenths of a px may be left of up to three.
    assert psnr(followed[ring], new[ring]) > psnr(layers.reference[ring], new[ring]) + 5


def test_a_shift_and_a_gain_are_undone_together(photo):
    layers = layers_of(photo, 0.75 * shifted(photo, 2.0))
    hard, steps = finish(layers, tone=False, flow=False, membrane=False, feather=0), {}
    for name, without in {"all": {}, "tone": {"tone": False}, "flow": {"flow": False}}.items():
        steps[name] = psnr(finish(layers, **without).pixels[band(4)], photo[band(4)])
    assert steps["all"] > psnr(hard.pixels[band(4)], photo[band(4)]) + 12
    # Neither can do the other's work.
    assert steps["all"] > max(steps["tone"], steps["flow"]) + 1


def test_flow_is_none_where_there_is_nothing_to_gain(photo, generator):
    """Two pictures that have nothing in common."""
    layers = layers_of(photo, generator.uniform(0.2, 0.8, photo.shape).astype(np.float32))
    assert np.abs(close_gaps(layers)).max() <= 1


def test_a_step_is_spread_from_the_seam_to_nothing(photo):
    """A constant difference: in full at the seam, falling evenly, nothing at the far border and outside."""
    layers = layers_of(photo, photo + np.float32(0.04))
    offset = membrane(layers)
    far = WIDTH - SEAM
    expected = -0.04 * (1 - (np.arange(far) + 0.5) / (far - 0.5))
    assert np.abs(offset[:, SEAM:] - expected[None, :, None]).max() < 1e-4
    assert not offset[:, :SEAM].any()
    assert not offset[:, -1].any()


def test_a_step_that_varies_along_the_seam_vanishes_there(photo):
    y = np.arange(HEIGHT)[:, None, None]
    layers = layers_of(photo, photo + (0.03 * np.sin(y / 40)).astype(np.float32))
    left = (layers.new + membrane(layers) - photo)[:, SEAM : SEAM + 3]
    # The sine changes by up to 0.03 / 40 a px, and some px are averaged over.
    assert np.abs(left).max() < 0.03 / 5


def test_nothing_but_the_new_changes(photo, generator):
    """Random masks and pictures: the reference stays to the bit, weights are shares, all is finite and within range."""
    for seed in range(4):
        noise = [cv2.GaussianBlur(generator.normal(size=(HEIGHT, WIDTH)).astype(np.float32), (0, 0), 25) for _ in range(3)]
        reference_valid, new_valid = noise[0] > np.quantile(noise[0], 0.3), noise[1] > np.quantile(noise[1], 0.3)
        owner = new_valid & ((noise[2] > 0) | ~reference_valid)
        new = np.clip(0.7 * shifted(photo, 1.0 + seed) + 0.05, 0, 1)
        layers = Layers(photo, new, reference_valid, new_valid, owner)
        finished = finish(layers)
        assert (finished.pixels[~owner & reference_valid] == photo[~owner & reference_valid]).all()
        assert not finished.pixels[~owner & ~reference_valid].any()
        assert not finished.weight[~owner].any()
        assert (finished.weight[owner & ~reference_valid] == 1).all()
        assert finished.pixels.min() >= 0
        assert finished.pixels.max() <= 1
        assert finished.weight.min() >= 0
        assert finished.weight.max() <= 1
        mixed = finished.weight[..., None] * finished.new + (1 - finished.weight[..., None]) * photo
        assert np.abs(finished.pixels - mixed)[owner].max() < 1e-6


@pytest.mark.parametrize("owned", ["nothing", "everything"])
def test_pictures_without_a_seam_stay(photo, owned):
    every = np.full((HEIGHT, WIDTH), True)
    owner = every if owned == "everything" else ~every
    new = shifted(photo, 2.0)
    finished = finish(Layers(photo, new, every, every, owner), tone=False)
    assert (finished.pixels == (new if owned == "everything" else photo)).all()


def test_the_input_is_not_written_to(photo):
    layers = layers_of(photo, 0.8 * shifted(photo, 2.0))
    before = layers.reference.copy(), layers.new.copy()
    finish(layers)
    finish(layers, tone=False)
    assert (layers.reference == before[0]).all()
    assert (layers.new == before[1]).all()


@pytest.mark.parametrize("shape", [(1, 40), (40, 1), (7, 9), (2, 2)])
def test_tiny_pictures(generator, shape):
    picture, every = generator.uniform(0.2, 0.8, (*shape, 3)).astype(np.float32), np.ones(shape, bool)
    owner = np.arange(shape[0] * shape[1]).reshape(shape) % max(shape) >= max(shape) // 2
    finished = finish(Layers(picture, picture + np.float32(0.05), every, every, owner))
    assert np.isfinite(finished.pixels).all()
    assert (finished.pixels[~owner] == picture[~owner]).all()


def test_threads_do_not_change_a_bit(photo):
    layers, threads = layers_of(photo, 0.8 * shifted(photo, 2.0)), cv2.getNumThreads()
    made = []
    try:
        for count in (1, 3):
            cv2.setNumThreads(count)
            made.append(finish(layers).pixels)
    finally:
        cv2.setNumThreads(threads)
    assert (made[0] == made[1]).all()


def test_the_kernels_do_what_numpy_does(generator):
    pixels = generator.uniform(-0.2, 1.2, (9, 12, 3)).astype(np.float32)
    matrix = (np.eye(3, 4) + generator.normal(0, 0.1, (3, 4))).astype(np.float32)
    curves = np.sort(generator.uniform(0, 1, (3, 5)).astype(np.float32), axis=1)
    valid = generator.uniform(size=(9, 12)) > 0.3
    out = np.empty_like(pixels)
    change_tone(pixels, valid, matrix, curves, out)
    mixed = pixels @ matrix[:, :3].T + matrix[:, 3]
    for k in range(3):
        piece = np.clip((mixed[..., k] * 4).astype(int), 0, 3)
        expected = curves[k][piece] + (mixed[..., k] * 4 - piece) * (curves[k][piece + 1] - curves[k][piece])
        np.testing.assert_allclose(out[..., k], np.where(valid, expected, pixels[..., k]), atol=1e-5)
    assert np.array_equal(Tone.neutral().apply(pixels), pixels)

    means = np.empty((13, 2, 3))
    count = average_cells(pixels, pixels[::-1].copy(), valid, 2, 0.0, 1.0, means)
    cells = [(i, j) for i in range(0, 8, 2) for j in range(0, 12, 2)]
    both = np.stack([pixels, pixels[::-1]])
    seen = [both[:, i : i + 2, j : j + 2] for i, j in cells if valid[i : i + 2, j : j + 2].all()]
    expected = [cell.mean(axis=(1, 2)) for cell in seen if cell.min() > 0 and cell.max() < 1]
    assert count == len(expected)
    np.testing.assert_allclose(means[:count], np.reshape(expected, (-1, 2, 3)), atol=1e-6)


def test_pull_and_push_do_what_numpy_does(generator):
    values, weights = generator.normal(size=(6, 8, 3)).astype(np.float32), generator.uniform(0, 0.4, (6, 8)).astype(np.float32)
    weights[:2, :2] = 0
    coarse, sure = np.empty((3, 4, 3), np.float32), np.empty((3, 4), np.float32)
    pull(values, weights, coarse, sure)
    totals = weights.reshape(3, 2, 4, 2).sum(axis=(1, 3))
    sums = (values * weights[..., None]).reshape(3, 2, 4, 2, 3).sum(axis=(1, 3))
    np.testing.assert_allclose(sure, np.minimum(totals, 1), atol=1e-6)
    np.testing.assert_allclose(coarse, sums / np.maximum(totals, 1e-9)[..., None], atol=1e-5)
    filled = values.copy()
    push(coarse, filled, weights)
    large = cv2.resize(coarse, (8, 6), interpolation=cv2.INTER_LINEAR)
    np.testing.assert_allclose(filled, weights[..., None] * values + (1 - weights[..., None]) * large, atol=1e-5)
