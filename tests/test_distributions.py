"""How alike collections of pictures are, on features whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from compositor.assess.distributions import coverage, kernel_distance, nearest
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
