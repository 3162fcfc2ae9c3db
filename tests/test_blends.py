"""Every way of blending: what must hold for each, on views rendered with known cameras."""

from __future__ import annotations

import typing

import numpy as np
import pytest

from compositor.compose import compose_photos
from compositor.compose.poisson import _Grid, solve
from compositor.encoding import decode_srgb, encode_srgb
from compositor.kernels.poisson import gather_fours, multiply, relax, scatter_fours
from compositor.options import BlendMethod, ComposeOptions
from compositor.registration import Registration
from compositor.types import Camera, Decoded, Photo

BLENDS = typing.get_args(BlendMethod)
SIZE, FOCAL = (480, 360), 450.0
"""Large enough for a reduced canvas."""


def eye(name, yaw):
    c, s = np.cos(np.radians(yaw)), np.sin(np.radians(yaw))
    return Camera(name, SIZE, FOCAL, ((SIZE[0] - 1) / 2, (SIZE[1] - 1) / 2), np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]]))


def photo_of(pixels, name, mask=None):
    return Photo(name, SIZE, pixels.dtype, lambda shrink: Decoded(pixels, mask))


def plain(value, name, dtype=np.float32, mask=None):
    return photo_of(np.full((SIZE[1], SIZE[0], 3), value, dtype), name, mask)


def pair(yaw=28.0):
    return Registration("rotation", (eye("left", -yaw / 2), eye("right", yaw / 2)))


def turn(count=8):
    return Registration("rotation", tuple(eye(f"photo {k}", 360 / count * k + 3) for k in range(count)))


def compose(registration, photos, blend, **options):
    options = {"projection": "spherical", "exposure": "none", "seams": "voronoi", **options}
    return compose_photos(registration, photos, ComposeOptions(blend=blend, **options))


@pytest.mark.parametrize(("dtype", "value"), [(np.uint8, 201), (np.uint16, 51234), (np.float32, 0.3)])
@pytest.mark.parametrize("blend", BLENDS)
def test_a_constant_picture_stays_exactly_constant(blend, dtype, value):
    """Also beside holes of photos, whatever is behind them."""
    registration, photos = turn(), []
    for k, camera in enumerate(registration.cameras):
        pixels, mask = np.full((SIZE[1], SIZE[0], 3), value, dtype), np.ones((SIZE[1], SIZE[0]), bool)
        mask[100:180, 30 * k : 30 * k + 100] = False
        pixels[~mask] = 0
        photos.append(photo_of(pixels, camera.name, mask))
    panorama = compose(registration, photos, blend)
    expected = np.asarray(value, dtype)
    # Interpolating a float's constant rounds in its last bits.
    tolerance = 0 if dtype != np.float32 else 1e-6
    assert np.abs(panorama.pixels[panorama.mask].astype(float) - float(expected)).max() <= tolerance
    assert (panorama.pixels[~panorama.mask] == 0).all()


def across_seam(panorama):
    """Steps between the pixels on either side of the seam of two photos."""
    owner, gray = panorama.owner, panorama.pixels.mean(axis=2, dtype=np.float64)
    seam = (owner[:, 1:] != owner[:, :-1]) & (owner[:, 1:] >= 0) & (owner[:, :-1] >= 0)
    return np.abs(np.diff(gray, axis=1))[seam]


@pytest.mark.parametrize("blend", ["feather", "poisson"])
def test_a_step_in_brightness_vanishes_at_the_seam(blend):
    registration = pair()
    photos = [plain(0.4, "left"), plain(0.5, "right")]
    assert across_seam(compose(registration, photos, "none")).mean() == pytest.approx(0.1)
    panorama = compose(registration, photos, blend)
    # Nothing steeper than a fade over twenty pixels; the overlap is ninety wide at least. Left out are the ends of the seam, where both
    # photos end at one point and so does any fade between them.
    rows = slice(panorama.pixels.shape[0] // 8, -panorama.pixels.shape[0] // 8)
    both = (panorama.mask[:, 1:] & panorama.mask[:, :-1])[rows]
    steps = np.abs(np.diff(panorama.pixels.mean(axis=2, dtype=np.float64), axis=1))[rows][both]
    assert steps.max() < 0.1 / 20
    assert across_seam(panorama).mean() < 0.1 / 50


def test_poisson_levels_whole_photos_and_feather_leaves_them():
    """Far from the seam, feathering changes nothing; levelling moves both photos half way, all over, but for its weak pull back."""
    registration = pair()
    photos = [plain(0.4, "left"), plain(0.5, "right")]
    ends = {}
    for blend in ("feather", "poisson"):
        panorama = compose(registration, photos, blend)
        middle = panorama.pixels[panorama.pixels.shape[0] // 2, :, 1]
        ends[blend] = middle[10], middle[-10]
    assert ends["feather"] == pytest.approx((0.4, 0.5), abs=1e-6)
    assert ends["poisson"] == pytest.approx((0.45, 0.45), abs=0.01)


@pytest.mark.parametrize("blend", ["feather", "poisson"])
def test_the_wrap_is_a_seam_like_any_other(generator, blend):
    registration = turn()
    photos = [plain(value, camera.name) for value, camera in zip(generator.uniform(0.3, 0.6, 8), registration.cameras, strict=True)]
    panorama = compose(registration, photos, blend)
    assert panorama.canvas.wraps
    rows = panorama.mask.all(axis=1)
    # The first step is that from the last column to the first one. Cut hard, seams have steps of up to 0.3.
    steps = np.abs(panorama.pixels - np.roll(panorama.pixels, 1, axis=1))[rows].mean(axis=(0, 2))
    assert steps[0] <= 2 * np.median(steps) + 1e-3
    assert steps.max() < 0.02


def test_poisson_spreads_nothing_from_burnt_highlights():
    """A highlight that one photo burns out and the other does not: its difference says nothing, and its surroundings stay as without it.

    But for the level of the whole, which is shared out anew.
    """
    registration = pair()

    def shot(gain, name, highlight):
        y, x = np.mgrid[: SIZE[1], : SIZE[0]]
        light = np.full((SIZE[1], SIZE[0]), decode_srgb(np.array(0.4)))
        if highlight:
            # On the seam in both photos, which see the middle of the panorama 112 px off their own.
            centre = 239.5 + (112 if name == "left" else -112)
            light[(np.abs(x - centre) < 40) & (np.abs(y - 180) < 40)] = 0.9
        return photo_of(np.repeat(encode_srgb(np.clip(light * gain, 0, 1))[..., None], 3, axis=2).astype(np.float32), name)

    made = [compose(registration, [shot(1.0, "left", lit), shot(2.0, "right", lit)], "poisson") for lit in (False, True)]
    without, lit = (panorama.pixels[..., 0].astype(np.float64) for panorama in made)
    h, w = without.shape
    y, x = np.mgrid[:h, :w]
    away = (np.hypot(x - w / 2, y - h / 2) > 100) & made[0].mask
    # Less than a level of 8 bits; believing what is burnt out gives 0.011. The photos differ by 0.16.
    assert (lit - without)[away].std() < 0.002


def test_poisson_keeps_burnt_highlights_white_and_without_a_tint():
    """Though the correction of the rest of their photo is not gray."""
    registration, photos = pair(), []
    for name, colour in (("left", (0.6, 0.5, 0.4)), ("right", (0.4, 0.4, 0.4))):
        pixels = np.ones((SIZE[1], SIZE[0], 3), np.float32) * np.array(colour, np.float32)
        pixels[150:200, 60:100] = 1
        photos.append(photo_of(pixels, name))
    panorama = compose(registration, photos, "poisson")
    burnt = compose(registration, photos, "none").pixels.min(axis=2) == 1
    assert burnt.sum() > 1000
    # The left photo gets about a tenth of the scale less red.
    assert panorama.pixels[panorama.mask & (panorama.owner == 0) & ~burnt][:, 0].min() < 0.55
    assert panorama.pixels[burnt].min() > 1 - 1e-6


def test_neighbours_without_overlap_keep_to_themselves():
    registration = Registration("rotation", (eye("left", -40.0), eye("right", 40.0)))
    for blend in ("feather", "poisson"):
        panorama = compose(registration, [plain(0.4, "left"), plain(0.6, "right")], blend)
        for k, value in enumerate((0.4, 0.6)):
            assert panorama.pixels[panorama.owner == k] == pytest.approx(value, abs=1e-6)


def grids(generator, h, w, wraps):
    right, down = (generator.random((2, h, w)) * (generator.random((2, h, w)) < 0.8)).astype(np.float32)
    if not wraps:
        right[:, -1] = 0
    down[-1] = 0
    return _Grid(right, down, np.full((h, w), 1e-3, np.float32))


def matrix_of(grid):
    """The equations, written out."""
    h, w = grid.right.shape
    index = np.arange(h * w).reshape(h, w)
    matrix = np.diag(grid.anchor.ravel().astype(np.float64))
    for weights, other in ((grid.right, np.roll(index, -1, axis=1)), (grid.down, np.roll(index, -1, axis=0))):
        for weight, i, j in zip(weights.ravel(), index.ravel(), other.ravel(), strict=True):
            for row, column, sign in ((i, i, 1), (j, j, 1), (i, j, -1), (j, i, -1)):
                matrix[row, column] += sign * weight
    return matrix


@pytest.mark.parametrize(("h", "w", "wraps"), [(12, 17, True), (9, 16, False), (1, 7, True), (13, 2, True), (5, 1, False)])
def test_equations_are_solved(generator, h, w, wraps):
    grid = grids(generator, h, w, wraps)
    if w == 1:
        grid.right[:] = 0
    matrix, x = matrix_of(grid), generator.random((h, w, 3)).astype(np.float32)
    product = np.empty_like(x)
    multiply(grid.right, grid.down, grid.anchor, x, product)
    np.testing.assert_allclose(product.reshape(-1, 3), matrix @ x.reshape(-1, 3), atol=1e-5)
    wanted = product.copy()
    truth = np.linalg.solve(matrix, wanted.reshape(-1, 3).astype(np.float64)).reshape(h, w, 3)
    # The residual falls to 1e-4 of the first; loosely tied pixels may be off by more than that.
    residual = matrix @ (solve(grid, wanted) - truth).reshape(-1, 3)
    assert np.linalg.norm(residual) < 3e-4 * np.linalg.norm(wanted)


def test_a_sweep_sets_every_pixel_to_what_its_equation_asks(generator):
    grid, wanted = grids(generator, 6, 8, wraps=True), generator.random((6, 8, 3)).astype(np.float32)
    matrix, x = matrix_of(grid), np.zeros((6, 8, 3), np.float32)
    expected = np.zeros((48, 3))
    for colour in (1, 0):
        for i in range(6):
            for j in range((i + colour) % 2, 8, 2):
                n = 8 * i + j
                expected[n] += (wanted[i, j] - matrix[n] @ expected) / matrix[n, n]
    relax(grid.right, grid.down, grid.anchor, wanted, x, 1)
    # Float32 against float64, where the weakest pixel is tied by 1e-3.
    np.testing.assert_allclose(x.reshape(-1, 3), expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("shape", [(4, 6), (5, 7), (1, 1)])
def test_four_pixels_make_one_and_back(generator, shape):
    fine = generator.random((*shape, 3)).astype(np.float32)
    h, w = -(-shape[0] // 2), -(-shape[1] // 2)
    coarse = np.empty((h, w, 3), np.float32)
    gather_fours(fine, coarse)
    padded = np.zeros((2 * h, 2 * w, 3))
    padded[: shape[0], : shape[1]] = fine
    np.testing.assert_allclose(coarse, padded.reshape(h, 2, w, 2, 3).sum(axis=(1, 3)), rtol=1e-6)
    spread = np.zeros_like(fine)
    scatter_fours(coarse, spread)
    np.testing.assert_array_equal(spread, np.repeat(np.repeat(coarse, 2, 0), 2, 1)[: shape[0], : shape[1]])
