"""Pictures varied in batches: squares lie in their pictures, light is that of one picture after another, and numbers decide all; needs
PyTorch."""

from __future__ import annotations

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra «learned» is not installed")

from compositor.datasets.lights import Blur, Colour, Exposure  # noqa: E402
from compositor.learned.vary import blur, colour, cut, expose, move, vary  # noqa: E402


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def plane(height, width):
    """Red tells the column, green the row, and blue that a place is in the picture."""
    rows, columns = np.mgrid[:height, :width]
    return np.stack([columns, rows, np.full_like(rows, 255)], 2).astype(np.uint8)


def test_squares_are_parts_of_their_pictures_a_little_turned():
    """Of pictures that tell their own places: how large a part is, which way it lies, and that nothing beside a picture is shown."""
    sizes = [(60, 60), (50, 170), (110, 40), (33, 34)] * 16
    shown = cut([plane(*size) for size in sizes], 32, seeded(), least=0.5, turned=0.2).double().numpy() * 255
    places = np.stack([*np.mgrid[:32, :32][::-1] - 15.5, np.ones((32, 32))]).reshape(3, -1)
    mirrored, middles = [], []
    for (height, width), (columns, rows, there) in zip(sizes, shown, strict=True):
        np.testing.assert_allclose(there, 255, atol=1e-3)
        assert columns.min() >= 0 <= rows.min()
        assert columns.max() <= width - 1 + 1e-3
        assert rows.max() <= height - 1 + 1e-3
        inside = np.hypot(*places[:2]) < 12  # a turned square's corners may lie outside, where the border's pixels count
        told = np.stack([columns, rows]).reshape(2, -1)[:, inside]
        matrix, left, *_ = np.linalg.lstsq(places[:, inside].T, told.T, rcond=None)
        assert np.sqrt(left.max() / inside.sum()) < 0.01
        across, down, middle = matrix
        share = np.hypot(*down) * 32 / min(height, width)
        assert math.sqrt(0.5) - 1e-3 <= share <= 1 + 1e-3
        assert abs(math.atan2(-down[0], down[1])) <= 0.2 + 1e-3
        assert across @ down == pytest.approx(0, abs=1e-3)
        assert np.hypot(*across) == pytest.approx(np.hypot(*down), abs=1e-3)
        mirrored.append(across[0] < 0)
        middles.append(middle / (width, height))
    assert 0.25 < np.mean(mirrored) < 0.75  # four deviations of 64 tosses
    assert (np.std(middles, axis=0) > 0.05).all()


def test_a_square_of_the_squares_size_is_shown_as_it_is(generator):
    picture = generator.integers(0, 256, (32, 32, 3), np.uint8)
    whole = torch.from_numpy(picture).permute(2, 0, 1).float() / 255
    shown = cut([picture] * 16, 32, seeded(), least=1, turned=0)
    same = [any(torch.allclose(one, other, atol=1e-5) for other in (whole, whole.flip(2))) for one in shown]
    assert all(same)
    assert len({bool(torch.allclose(one, whole, atol=1e-5)) for one in shown}) == 2


class Given:
    """Random numbers that were drawn before, as one picture gets them of a ``numpy.random.Generator``."""

    def __init__(self, *drawn):
        self.drawn = list(drawn)

    def uniform(self, low, high, size=None):
        share = self.drawn.pop(0)
        return low + (high - low) * (share if size else share[0])

    def random(self):
        return self.drawn.pop(0)[0]


LIGHTS = {
    "expose": (expose, {"stops": 0.4, "balance": 0.2}, Exposure(0.4, 0.2), (1, 3)),
    "colour": (colour, {"tone": 0.3, "saturation": 0.4}, Colour(0.3, 0.4), (1, 1)),
    "blur": (blur, {"most": 1.5, "chance": 0.7}, Blur(1.5, 0.7), (1, 1)),
}


@pytest.mark.parametrize("name", LIGHTS)
def test_the_light_of_a_batch_is_that_of_one_picture_after_another(generator, name):
    """With the same numbers; OpenCV goes on beyond borders in another way, and cuts a blur's weights where they are a 3000th."""
    change, ranges, light, channels = LIGHTS[name]
    pictures = generator.random((8, 32, 32, 3), np.float32)
    changed = change(torch.from_numpy(pictures).permute(0, 3, 1, 2), seeded(3), **ranges).permute(0, 2, 3, 1).numpy()
    drawn = seeded(3)
    numbers = [torch.rand((8, count, 1, 1), generator=drawn)[:, :, 0, 0].numpy() for count in channels]
    border = slice(8, -8) if name == "blur" else slice(None)
    for k, picture in enumerate(pictures):
        shares = [row[k] for row in numbers] + [np.zeros(1)] * (name == "colour")  # there, no haze
        wanted = np.clip(light(picture, Given(*shares)), 0, 1)
        np.testing.assert_allclose(changed[k][border, border], wanted[border, border], atol=1e-3)
    assert np.ptp(np.abs(changed - pictures).mean((1, 2, 3))) > 0.01  # each its own


def test_pictures_are_shifted_with_their_rims_reflected_and_mirrored():
    picture = torch.arange(4.0).expand(1, 1, 4, 4)
    for columns, mirrored, wanted in (
        (0, False, [0, 1, 2, 3]),
        (1, False, [1, 2, 3, 2]),
        (-2, False, [2, 1, 0, 1]),
        (1, True, [2, 3, 2, 1]),
    ):
        moved = move(picture, torch.tensor([[2, columns]]), torch.tensor([mirrored]))
        assert moved[0, 0].tolist() == [wanted] * 4


def test_what_a_judge_sees_keeps_its_size_and_lets_gradients_through():
    pictures = torch.rand(3, 3, 32, 32).mul(2).sub(1).requires_grad_()
    varied = vary(pictures, seeded())
    assert varied.shape == pictures.shape
    varied.sum().backward()
    assert (pictures.grad != 0).any()
    torch.testing.assert_close(varied, vary(pictures, seeded()))
