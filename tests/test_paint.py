"""Painting in the style of a picture; needs PyTorch."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

import compositor

torch = pytest.importorskip("torch")

from compositor.learned.style import Painter, RandomFeatures, _joined, _split, _tiles  # noqa: E402


@pytest.fixture(autouse=True)
def few_steps(monkeypatch):
    """Enough to see what is asked here."""
    monkeypatch.setattr("compositor.learned.style.STEPS", 30)
    monkeypatch.setattr("compositor.learned.style.FEWEST", 6)
    monkeypatch.setattr("compositor.learned.style.SORTED", 40_000)


def scene(height=64, width=96):
    """Smooth areas with one edge between them, encoded 0..1."""
    picture = np.full((height, width, 3), (0.3, 0.45, 0.6), np.float32)
    cv2.circle(picture, (width // 2, height // 2), height // 3, (0.7, 0.5, 0.3), -1)
    return cv2.GaussianBlur(picture, (0, 0), 1)


def stripes(generator, size=80):
    """Upright stripes, a few px wide, in the scene's colours: a style that is all texture."""
    row = np.where((np.arange(size) // 3) % 2, 0.2, 0.8).astype(np.float32)
    return np.broadcast_to(row[None, :, None], (size, size, 3)) * np.array([0.8, 1, 0.9], np.float32)


def paint(*given, **options):
    return compositor.style(*given, method="paint", paint=compositor.learned.paint, device="cpu", **options).pixels


def test_strokes_of_the_style_appear(generator, monkeypatch):
    monkeypatch.setattr("compositor.learned.style.STEPS", 60)
    monkeypatch.setattr("compositor.learned.style.FEWEST", 40)
    made = paint(scene(), stripes(generator), detail=0.0)
    across, along = (np.abs(np.diff(made, axis=axis)).mean() for axis in (1, 0))
    before = [np.abs(np.diff(scene(), axis=axis)).mean() for axis in (1, 0)]
    assert before[0] < 1.5 * before[1]
    assert across > 1.3 * along
    assert across > 2 * before[0]


def test_the_same_seed_gives_the_same_bytes_on_any_number_of_threads(generator):
    one, two = (paint(scene(48, 64), stripes(generator), seed=3, threads=threads) for threads in (1, 2))
    np.testing.assert_array_equal(one, two)
    assert (paint(scene(48, 64), stripes(generator), seed=4) != one).any()


def test_only_what_the_mask_shows_is_painted(generator):
    mask = np.zeros((64, 96), bool)
    mask[:, :40] = True
    made = paint(scene(), stripes(generator), mask=mask)
    np.testing.assert_array_equal(made[:, 40:], scene()[:, 40:])
    assert np.abs(made[:, :40] - scene()[:, :40]).mean() > 0.05


def test_features_of_somebody_else_will_do(generator):
    asked = []

    def features(pictures):
        asked.append(pictures.shape)
        return [pictures]

    made = compositor.style(scene(48, 64), stripes(generator), method="paint", paint=Painter(features), device="cpu").pixels
    assert made.shape == (48, 64, 3)
    assert np.isfinite(made).all()
    assert (1, 3, 48, 64) in asked


def test_large_pictures_are_painted_in_tiles(generator, monkeypatch):
    monkeypatch.setattr("compositor.learned.style.WHOLE", 128)
    made = paint(scene(100, 160), stripes(generator))
    assert made.shape == (100, 160, 3)
    # No tile's border shows: steps there are like those beside them.
    steps = np.abs(np.diff(made, axis=1)).mean((0, 2))
    borders = [columns.start for _, columns in _tiles(100, 160) if columns.start]
    assert borders
    for border in borders:
        assert steps[border - 1] < 1.5 * np.percentile(steps[max(0, border - 12) : border + 12], 90)


@pytest.mark.parametrize("shape", [(500, 700), (768, 768), (900, 2000), (1537, 769)])
def test_tiles_cover_everything_and_overlap(shape):
    seen = np.zeros(shape, int)
    for rows, columns in _tiles(*shape):
        assert max(rows.stop - rows.start, columns.stop - columns.start) <= 768
        seen[rows, columns] += 1
    assert seen.min() >= 1


def test_bands_sum_up_to_the_picture(generator):
    picture = torch.from_numpy(generator.random((1, 3, 45, 62))).float()
    torch.testing.assert_close(_joined(_split(picture)), picture, atol=1e-5, rtol=0)


def test_random_filters_are_orthogonal():
    filters = RandomFeatures(torch.Generator().manual_seed(0), torch.device("cpu")).first.flatten(1)
    torch.testing.assert_close(filters @ filters.T, torch.eye(len(filters)), atol=1e-5, rtol=0)
