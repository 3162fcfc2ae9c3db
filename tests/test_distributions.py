"""How alike collections of pictures are, on features whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compositor.assess.distributions import coverage, frechet_distance, kernel_distance, nearest
from compositor.errors import OptionError


def test_kernel_distance_is_none_between_equals_and_grows_with_the_shift():
    generator = np.random.default_rng(0)
    first, second = generator.normal(size=(2, 400, 8))
    # Unbiased: over many draws zero in the mean; one draw of 400 stays within a few hundredths.
    assert abs(kernel_distance(first, second)) < 0.05
    shifts = [kernel_distance(first, second + shift) for shift in (0.5, 1.0, 2.0)]
    assert 0.1 < shifts[0] < shifts[1] < shifts[2]


def test_kernel_distance_of_two_points_each_is_what_the_formula_says():
    a, b = np.array([[1.0], [2.0]]), np.array([[0.0], [1.0]])
    # Kernel (x y + 1)^3: within a 27, within b 1, between 1, 8, 1, 27.
    assert kernel_distance(a, b) == pytest.approx(27 + 1 - 2 * (1 + 8 + 1 + 27) / 4)
    with pytest.raises(OptionError, match="at least two"):
        kernel_distance(a[:1], b)


def test_coverage_tells_what_is_missing_from_what_is_wrong():
    generator = np.random.default_rng(1)
    real = np.concatenate([generator.normal(0, 1, (100, 2)), generator.normal(20, 1, (100, 2))])
    half = generator.normal(0, 1, (200, 2))
    precise = coverage(real, half)
    assert precise.precision > 0.9
    assert 0.4 < precise.recall < 0.6
    wrong = coverage(real, generator.normal(-50, 1, (200, 2)))
    assert wrong == (0.0, 0.0)
    with pytest.raises(OptionError, match="neighbours"):
        coverage(real[:3], half)


def test_nearest_finds_what_was_learned_by_heart():
    generator = np.random.default_rng(2)
    known = generator.normal(size=(50, 4))
    places, distances = nearest(known[[7, 3]] + 1e-6, known)
    assert places.tolist() == [7, 3]
    assert (distances < 1e-4).all()


def with_moments(rows, mean, root):
    """Rows with exactly this mean and the covariance root @ root.T."""
    centred = rows - rows.mean(0)
    white = np.linalg.solve(np.linalg.cholesky(np.cov(centred.T)), centred.T).T
    return white @ root.T + mean


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 6))
def test_frechet_distance_of_normals_is_what_the_closed_form_says(seed, axes):
    """Squared distance of the means plus tr(A + B - 2 (A B)^1/2), by the eigenvalues of A B, which are those of a positive matrix."""
    generator = np.random.default_rng(seed)
    means, roots = generator.normal(size=(2, axes)), generator.normal(size=(2, axes, axes)) + 2 * np.eye(axes)
    first, second = (
        with_moments(generator.normal(size=(count, axes)), mean, root) for count, mean, root in zip((40, 50), means, roots, strict=True)
    )
    a, b = (root @ root.T for root in roots)
    shared = np.sqrt(np.maximum(np.linalg.eigvals(a @ b).real, 0)).sum()
    expected = ((means[0] - means[1]) ** 2).sum() + np.trace(a) + np.trace(b) - 2 * shared
    told = frechet_distance(first, second)
    # The closed form's eigenvalues are of a matrix that is not symmetric and may be ill-conditioned.
    assert told.distance == pytest.approx(expected, rel=1e-5, abs=1e-5)
    assert told.pictures == 40
    assert frechet_distance(second, first).distance == pytest.approx(told.distance, rel=1e-9, abs=1e-9)


def test_frechet_distance_of_equals_and_of_more_features_than_pictures():
    rows = np.random.default_rng(3).normal(size=(12, 30))
    assert frechet_distance(rows, rows).distance == pytest.approx(0, abs=1e-9)
    assert frechet_distance(rows, rows + 0.5).distance == pytest.approx(30 * 0.25)
    with pytest.raises(OptionError, match="four"):
        frechet_distance(rows[:3], rows)


def test_extrapolation_takes_away_most_of_what_few_pictures_add():
    """Of draws from one distribution the distance is 0; that of 200 pictures of 8 features is not, and grows with fewer."""
    generator = np.random.default_rng(4)
    told = [frechet_distance(*generator.normal(size=(2, 200, 8)), seed=k) for k in range(20)]
    biased, mended = np.mean([one.distance for one in told]), np.mean([one.extrapolated for one in told])
    assert np.mean([frechet_distance(*generator.normal(size=(2, 50, 8))).distance for _ in range(20)]) > 2 * biased
    assert abs(mended) < biased / 3


def test_figures_do_not_depend_on_how_many_are_compared_at_a_time(monkeypatch):
    generator = np.random.default_rng(5)
    real, made = generator.normal(size=(41, 5)), generator.normal(0.3, 1.2, size=(29, 5))
    whole = kernel_distance(real, made), coverage(real, made), nearest(made, real)
    monkeypatch.setattr("compositor.assess.distributions.ROWS", 7)
    assert kernel_distance(real, made) == pytest.approx(whole[0], abs=1e-9)
    assert coverage(real, made) == pytest.approx(whole[1])
    for ours, theirs in zip(nearest(made, real), whole[2], strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-9)
