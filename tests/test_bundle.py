"""The bundle adjustment's errors and derivatives, against finite differences and plain NumPy."""

from __future__ import annotations

import dataclasses
import itertools

import cv2
import numpy as np
import pytest

from compositor.kernels.bundle import MOTION, PARAMETERS, accumulate, assemble
from compositor.register.adjust import adjust
from compositor.register.least_squares import Freedom, Problem, moved, squared_errors
from compositor.register.models import MODELS
from compositor.types import Camera


def rotation_from_vector(vector: np.ndarray) -> np.ndarray:
    """Rotation by |vector| about its direction, from OpenCV."""
    return cv2.Rodrigues(vector)[0]


def everything_free(model: str, cameras: int) -> Freedom:
    """Every parameter of every camera on its own."""
    motions = len(MODELS[model].generators)
    columns = np.full((cameras, PARAMETERS), -1)
    used = [*range(motions), *range(MOTION, PARAMETERS)]
    columns[:, used] = np.arange(cameras * len(used)).reshape(cameras, len(used))
    return Freedom(MODELS[model].generators, columns)


def seen_by(table_row: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """Pixels of world directions, written from the camera model's definition."""
    focal, cx, cy, k1, k2 = table_row[:5]
    ray = directions @ np.linalg.inv(table_row[5:14].reshape(3, 3)).T
    u = ray[:, :2] / ray[:, 2:]
    r2 = (u**2).sum(axis=1, keepdims=True)
    return (cx, cy) + focal * u * (1 + k1 * r2 + k2 * r2**2)


def rays_of(table_row: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """World directions of pixels; the lens is undone by fixed-point steps."""
    focal, cx, cy, k1, k2 = table_row[:5]
    u = seen = (pixels - (cx, cy)) / focal
    for _ in range(60):
        r2 = (u**2).sum(axis=1, keepdims=True)
        u = seen / (1 + k1 * r2 + k2 * r2**2)
    return np.column_stack([u, np.ones(len(u))]) @ table_row[5:14].reshape(3, 3).T


def summed(
    table: np.ndarray, problem: Problem, freedom: Freedom, *, cuts: tuple[int, ...] = (0, 3)
) -> tuple[float, np.ndarray, np.ndarray]:
    """Cost, gradient and normal matrix at a robust scale of 3 px, the pairs summed in parts."""
    pairs, matches = len(problem.pairs), len(problem.first)
    sums = np.empty((pairs, 26)), np.empty((pairs, 26, 26)), np.empty(pairs), np.empty((matches, 2))
    arrays = problem.pairs, problem.offsets, problem.first, problem.second
    for start, stop in itertools.pairwise(cuts):
        accumulate(table, freedom.generators, *arrays, 3.0, freedom.columns, start, stop, *sums)
    gradient, hessian = np.zeros(freedom.size), np.zeros((freedom.size, freedom.size))
    assemble(problem.pairs, freedom.columns, *sums[:2], gradient, hessian)
    return float(sums[2].sum()), gradient, hessian


def random_cameras(rng: np.random.Generator, n: int, lens: tuple[float, float] = (0.0, 0.0)) -> np.ndarray:
    rows = []
    for k in range(n):
        turn = rotation_from_vector(np.array([0.0, 0.3 * k, 0.0]) + rng.normal(0, 0.03, 3))
        rows.append([900 + 30 * rng.random(), 499.5 + rng.normal(), 374.5 + rng.normal(), *lens, *turn.ravel(), *turn.T.ravel()])
    return np.array(rows)


def random_plane_views(rng: np.random.Generator, n: int) -> np.ndarray:
    """Photos of a plane, side by side, each slightly tilted."""
    rows = []
    for k in range(n):
        view = np.array([[1, 0, 0.4 * k], [0, 1, 0], [0, 0, 1]]) + rng.normal(0, 0.02, (3, 3))
        rows.append([900, 499.5, 374.5, 0, 0, *view.ravel(), *np.linalg.inv(view).ravel()])
    return np.array(rows)


def scene(rng: np.random.Generator, table: np.ndarray, noise: float = 0.0) -> Problem:
    """Matches between neighbouring cameras."""
    pairs, first, second, offsets = [], [], [], [0]
    for a, b in [(0, 1), (1, 2), (0, 2)]:
        middle = table[a, 5:14].reshape(3, 3)[:, 2] + table[b, 5:14].reshape(3, 3)[:, 2]
        directions = middle / np.linalg.norm(middle) + rng.uniform(-0.2, 0.2, (40, 3))
        pairs.append((a, b))
        first.append(seen_by(table[a], directions) + rng.normal(0, noise, (40, 2)))
        second.append(seen_by(table[b], directions) + rng.normal(0, noise, (40, 2)))
        offsets.append(offsets[-1] + 40)
    return Problem(np.array(pairs), np.array(offsets), np.concatenate(first), np.concatenate(second))


@pytest.mark.parametrize("lens", [(0.0, 0.0), (-0.12, 0.03)])
def test_exact_matches_have_no_error(lens):
    rng = np.random.default_rng(1)
    table = random_cameras(rng, 3, lens)
    # Newton's method undoes the lens to far below a thousandth of a pixel.
    assert np.sqrt(squared_errors(table, scene(rng, table)).max()) < 1e-6


@pytest.mark.parametrize(
    ("model", "lens"),
    [("rotation", (0.0, 0.0)), ("rotation", (-0.12, 0.03)), *((name, (0.0, 0.0)) for name, model in MODELS.items() if model.planar)],
)
def test_gradient_equals_finite_differences(model, lens):
    rng = np.random.default_rng(2)
    table = random_plane_views(rng, 3) if MODELS[model].planar else random_cameras(rng, 3, lens)
    problem = scene(rng, table, noise=2.0)
    freedom = everything_free(model, 3)

    def cost(at: np.ndarray) -> tuple[float, np.ndarray]:
        cost, gradient, _ = summed(at, problem, freedom)
        return cost, gradient

    analytic = 2 * cost(table)[1]  # d rho = 2 w e de
    centers = freedom.columns[:, MOTION + 1 : MOTION + 3]
    for k in range(freedom.size):
        h = 1e-3 if k in centers else 1e-6
        step = h * np.eye(freedom.size)[k]
        numeric = (cost(moved(table, step, freedom))[0] - cost(moved(table, -step, freedom))[0]) / (2 * h)
        assert analytic[k] == pytest.approx(numeric, rel=1e-5, abs=1e-4 * np.abs(analytic).max())


def test_shared_parameters_add_up():
    """A focal length shared by all cameras has the sum of their derivatives."""
    rng = np.random.default_rng(3)
    table = random_cameras(rng, 3)
    problem = scene(rng, table, noise=1.0)

    def sums(focal_columns: list[int]) -> tuple[float, np.ndarray, np.ndarray]:
        columns = np.full((3, PARAMETERS), -1)
        columns[:, MOTION] = focal_columns
        return summed(table, problem, Freedom(MODELS["rotation"].generators, columns))

    _, gradient, hessian = sums([0, 0, 0])
    _, gradients, hessians = sums([0, 1, 2])
    assert gradient[0] == pytest.approx(gradients.sum())
    assert hessian[0, 0] == pytest.approx(hessians.sum())


def test_normal_equations_equal_the_products_of_the_jacobian():
    """J^T W J and J^T W e from a Jacobian by finite differences of the errors' own definition."""
    rng = np.random.default_rng(11)
    table = random_cameras(rng, 3, (-0.1, 0.02))
    problem, freedom = scene(rng, table, noise=1.0), everything_free("rotation", 3)

    def residuals(at: np.ndarray) -> np.ndarray:
        parts = []
        for (a, b), start, stop in zip(problem.pairs, problem.offsets, problem.offsets[1:], strict=False):
            for source, target, given, expected in ((a, b, problem.first, problem.second), (b, a, problem.second, problem.first)):
                parts.append(seen_by(at[target], rays_of(at[source], given[start:stop])) - expected[start:stop])
        return np.concatenate(parts)

    h = 1e-5
    slopes = [(residuals(moved(table, s, freedom)) - residuals(moved(table, -s, freedom))) / (2 * h) for s in h * np.eye(freedom.size)]
    jacobian, errors = np.array(slopes), residuals(table)
    weighted = jacobian / (1 + (errors**2).sum(axis=1) / 9.0)[None, :, None]
    _, gradient, hessian = summed(table, problem, freedom)
    # Central differences of a step of 1e-5 are good to about 1e-6 of the largest entries.
    assert np.allclose(hessian, np.einsum("inc,jnc->ij", weighted, jacobian), atol=1e-5 * np.abs(hessian).max())
    assert np.allclose(gradient, np.einsum("inc,nc->i", weighted, errors), atol=1e-5 * np.abs(gradient).max())


def test_threads_do_not_change_the_sums():
    """Every pair is summed by itself, and the pairs are put together in their order."""
    rng = np.random.default_rng(12)
    table = random_cameras(rng, 3)
    problem, freedom = scene(rng, table, noise=1.0), everything_free("rotation", 3)
    whole, parts = summed(table, problem, freedom), summed(table, problem, freedom, cuts=(0, 1, 3))
    assert all(np.array_equal(a, b) for a, b in zip(whole, parts, strict=True))


def cameras_and_matches(rng: np.random.Generator, noise: float, focal_spread: float) -> tuple[list[Camera], Problem]:
    table = random_cameras(rng, 3)
    table[:, 0] = 900 * (1 + focal_spread * np.arange(3))
    table[:, 1:3] = 499.5, 374.5
    problem = scene(rng, table, noise)
    true = [Camera(str(k), (1000, 750), r[0], (499.5, 374.5), r[5:14].reshape(3, 3)) for k, r in enumerate(table)]
    return true, problem


@pytest.mark.parametrize(("spread", "focal"), [(0.0, "auto"), (0.0, "shared"), (0.05, "auto"), (0.05, "per-photo")])
def test_cameras_are_recovered_from_rough_guesses(spread, focal):
    rng = np.random.default_rng(4)
    true, problem = cameras_and_matches(rng, 0.0, spread)
    rough = [dataclasses.replace(c, focal=c.focal * 1.08, rotation=rotation_from_vector(rng.normal(0, 0.02, 3)) @ c.rotation) for c in true]
    adjusted = adjust(rough, problem, MODELS["rotation"], focal=focal)
    relative = [a.rotation.T @ b.rotation for a, b in itertools.pairwise(adjusted.cameras)]
    expected = [a.rotation.T @ b.rotation for a, b in itertools.pairwise(true)]
    # The matches are exact; what is left is the weak prior on the focal length.
    assert np.allclose(relative, expected, atol=1e-5)
    assert [c.focal for c in adjusted.cameras] == pytest.approx([c.focal for c in true], rel=1e-5)


def test_wrong_matches_do_not_bend_the_cameras():
    rng = np.random.default_rng(5)
    true, problem = cameras_and_matches(rng, 0.2, 0.0)
    wrong = rng.random(len(problem.first)) < 0.2
    problem.second[wrong] = rng.uniform(0, 700, (wrong.sum(), 2))
    adjusted = adjust(true, problem, MODELS["rotation"], focal="shared")
    # 0.2 px of noise over a hundred matches leaves the focal length uncertain by about 0.1 %; a bend would show in per cents.
    assert adjusted.cameras[0].focal == pytest.approx(900, rel=0.005)
    assert np.median(adjusted.errors) < 0.5


def test_auto_keeps_one_focal_length_under_noise():
    true, problem = cameras_and_matches(np.random.default_rng(6), 0.5, 0.0)
    assert len({c.focal for c in adjust(true, problem, MODELS["rotation"], focal="auto").cameras}) == 1


@pytest.mark.parametrize("size", [1e-9, 0.1, 3.0])
def test_moving_keeps_rotations_rotations_and_inverses_inverse(size):
    freedom = everything_free("rotation", 3)
    steps = np.random.default_rng(8).normal(0, size, freedom.size)
    for row in moved(random_cameras(np.random.default_rng(7), 3), steps, freedom):
        rotation, back = row[5:14].reshape(3, 3), row[14:23].reshape(3, 3)
        assert np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
        assert np.allclose(rotation @ back, np.eye(3), atol=1e-12)


def test_a_step_turns_by_its_length():
    freedom = Freedom.of(MODELS["rotation"], 1)
    table = random_cameras(np.random.default_rng(9), 1)
    vector = np.array([0.3, -0.5, 0.2])
    turned = moved(table, vector, freedom)[0, 5:14].reshape(3, 3)
    assert np.allclose(turned, rotation_from_vector(vector) @ table[0, 5:14].reshape(3, 3), atol=1e-13)
