"""Painting in the style of a picture; needs PyTorch."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

import compositor

torch = pytest.importorskip("torch")

from compositor.learned.likeness import STILL, RandomFeatures, _plain  # noqa: E402
from compositor.learned.style import Painter, _joined, _split, _tiles  # noqa: E402
from compositor.style import transfer_colors  # noqa: E402


@pytest.fixture(autouse=True)
def few_steps(monkeypatch):
    """Enough to see what is asked here, on pictures so small that they need a smaller coarsest size to have two."""
    for name, value in {"SMALLEST": 24, "STEPS": 12, "FEWEST": 6, "SAMPLES": 1024}.items():
        monkeypatch.setattr(f"compositor.learned.style.{name}", value)
    monkeypatch.setattr("compositor.learned.likeness.SORTED", 16_000)


def scene(height=48, width=72):
    """Smooth areas with one edge between them, encoded 0..1."""
    picture = np.full((height, width, 3), (0.3, 0.45, 0.6), np.float32)
    cv2.circle(picture, (width // 2, height // 2), height // 3, (0.7, 0.5, 0.3), -1)
    return cv2.GaussianBlur(picture, (0, 0), 1)


def stripes(size=60):
    """Upright stripes, a few px wide, in the scene's colours: a style that is all texture."""
    row = np.where((np.arange(size) // 3) % 2, 0.2, 0.8).astype(np.float32)
    return np.broadcast_to(row[None, :, None], (size, size, 3)) * np.array([0.8, 1, 0.9], np.float32)


def paint(*given, **options):
    return compositor.style(*given, method="paint", paint=compositor.learned.paint, device="cpu", **options).pixels


def test_strokes_of_the_style_appear(monkeypatch):
    monkeypatch.setattr("compositor.learned.style.STEPS", 60)
    monkeypatch.setattr("compositor.learned.style.FEWEST", 35)
    made = paint(scene(), stripes(), detail=0.0)
    across, along = (np.abs(np.diff(made, axis=axis)).mean() for axis in (1, 0))
    before = [np.abs(np.diff(scene(), axis=axis)).mean() for axis in (1, 0)]
    assert before[0] < 1.5 * before[1]
    assert across > 1.3 * along
    assert across > 2 * before[0]


def test_only_areas_without_changes_are_plain():
    plain = _plain(torch.from_numpy(scene().transpose(2, 0, 1).copy())[None], STILL)[0, 0]
    assert plain[:5, :15].min() > 0.95
    assert plain[24, 20] < 0.6  # on the circle's edge, which is soft, 16 px left of the middle


def test_a_plain_sky_stays_plain(generator):
    """Its noise is not driven apart until it shows the colours of the style, as a mottle; what is beside it is painted."""
    picture = np.full((48, 72, 3), (0.4, 0.55, 0.7), np.float32)
    picture[:, 36:] = cv2.GaussianBlur(generator.uniform(0, 1, (48, 36, 3)).astype(np.float32), (0, 0), 1)
    picture += generator.normal(0, 0.002, picture.shape).astype(np.float32)
    colored = transfer_colors(picture, np.ascontiguousarray(stripes(), np.float32))
    made = paint(picture, stripes())
    before, after = (one[6:-6, 6:26].std((0, 1)).max() for one in (colored, made))
    assert after < 4 * before  # moved like the rest, it becomes thirteen times as much
    assert np.abs(made - colored)[:, 42:].mean() > 0.05


def test_the_same_seed_gives_the_same_bytes_on_any_number_of_threads():
    one, two = (paint(scene(48, 64), stripes(), seed=3, threads=threads) for threads in (1, 2))
    np.testing.assert_array_equal(one, two)
    assert (paint(scene(48, 64), stripes(), seed=4) != one).any()


def test_only_what_the_mask_shows_is_painted():
    mask = np.zeros((48, 72), bool)
    mask[:, :30] = True
    made = paint(scene(), stripes(), mask=mask)
    np.testing.assert_array_equal(made[:, 30:], scene()[:, 30:])
    assert np.abs(made[:, :30] - scene()[:, :30]).mean() > 0.05


def test_a_large_brush_enlarges_no_more_of_the_style_than_is_looked_at(monkeypatch):
    monkeypatch.setattr("compositor.learned.style.WHOLE", 100)
    sizes = []
    resize = torch.nn.functional.interpolate

    def interpolate(x, size, **how):
        sizes.append(max(size))
        return resize(x, size, **how)

    monkeypatch.setattr("compositor.learned.likeness.F.interpolate", interpolate)
    made = paint(scene(), stripes(), brush=10.0)
    assert max(sizes) <= 100  # not the 588 px at which the style is shown
    assert np.isfinite(made).all()


def test_a_mask_smaller_than_coarse_pixels_is_painted():
    mask = np.zeros((120, 120), bool)
    mask[60, 30:94] = True
    made = paint(scene(120, 120), stripes(), mask=mask)
    assert np.isfinite(made).all()
    assert (made[mask] != scene(120, 120)[mask]).any()


def test_features_of_somebody_else_will_do():
    asked = []

    def features(pictures):
        asked.append(pictures.shape)
        return [pictures]

    made = compositor.style(scene(32, 48), stripes(), method="paint", paint=Painter(features), device="cpu").pixels
    assert made.shape == (32, 48, 3)
    assert np.isfinite(made).all()
    assert (1, 3, 32, 48) in asked


def test_large_pictures_are_painted_in_tiles(monkeypatch):
    monkeypatch.setattr("compositor.learned.style.WHOLE", 64)
    monkeypatch.setattr("compositor.learned.style.MARGIN", 16)
    made = paint(scene(48, 88), stripes())
    assert made.shape == (48, 88, 3)
    # No tile's border shows: steps there are like those beside them.
    steps = np.abs(np.diff(made, axis=1)).mean((0, 2))
    borders = [columns.start for _, columns in _tiles(48, 88) if columns.start]
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
