"""Bundle adjustment: all cameras at once, so that matched points meet (Triggs et al. 2000).

Cameras turn about one point, so there are no scene points to solve for: each match gives its reprojection error in both photos.
Levenberg-Marquardt on dense normal equations, which a kernel accumulates match by match; Cauchy's robust loss, first wide, then as
narrow as the matches' own noise.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from compositor.kernels.bundle import CAMERA, PARAMETERS, accumulate
from compositor.options import FocalMethod
from compositor.types import Camera, Match

__all__ = ["Adjustment", "Problem", "adjust", "rotation_from_vector"]

FOCAL_SIGMA = 0.5
"""Standard deviation of the prior on log focal length: felt only where matches say nothing."""

EFFICIENT = 2.385
"""Cauchy's scale in standard deviations for 95 % efficiency under Gaussian noise (Holland & Welsch 1977)."""


@dataclasses.dataclass(frozen=True, eq=False)
class Problem:
    """Matches between cameras in the layout that the kernel reads.

    Parameters
    ----------
    pairs : (p, 2) int64
        Camera indices.
    offsets : (p + 1,) int64
        Matches offsets[k]:offsets[k + 1] belong to pair k.
    first, second : (m, 2) float64
        Matched points, px.
    """

    pairs: NDArray[np.int64]
    offsets: NDArray[np.int64]
    first: NDArray[np.float64]
    second: NDArray[np.float64]

    @classmethod
    def of(cls, matches: Sequence[Match], position: dict[int, int]) -> Problem:
        """Gather matches; ``position`` gives each photo's camera index."""
        return cls(
            np.array([(position[m.first], position[m.second]) for m in matches], np.int64),
            np.cumsum([0, *(m.inliers for m in matches)], dtype=np.int64),
            np.ascontiguousarray(np.concatenate([m.points_first for m in matches])),
            np.ascontiguousarray(np.concatenate([m.points_second for m in matches])),
        )


@dataclasses.dataclass(frozen=True, eq=False)
class Adjustment:
    """Adjusted cameras and what is left of the errors.

    Parameters
    ----------
    cameras : list of Camera
    errors : (m,) float64
        Distance between matched points, px, the mean of both directions.
    cost : float
        Robust sum that was minimised, px^2.
    """

    cameras: list[Camera]
    errors: NDArray[np.float64]
    cost: float


def adjust(cameras: Sequence[Camera], problem: Problem, *, focal: FocalMethod) -> Adjustment:
    """Refine rotations and focal lengths until matched points meet.

    Parameters
    ----------
    cameras : sequence of Camera
        First guesses.
    problem : Problem
        The matches between them.
    focal : str
        «shared»: cameras that start with one focal length keep one; «per-photo»: each has its own; «auto»: its own where that
        lowers the error by more than the added freedom would.

    Returns
    -------
    Adjustment
    """
    table = np.array([[c.focal, *c.center, *c.distortion, *c.rotation.ravel()] for c in cameras])
    groups = np.unique(np.round(np.log(table[:, 0]), 6), return_inverse=True)[1]
    shared = minimise(table, problem, groups, np.array([64.0, 16.0]))
    scale = noise_scale(shared, problem)
    shared = minimise(shared, problem, groups, np.array([4 * scale, scale]))
    scale = noise_scale(shared, problem)
    shared = minimise(shared, problem, groups, np.array([scale]))
    best, cost = shared, robust_cost(shared, problem, scale)
    alone = np.arange(len(table))
    if focal == "per-photo" or (focal == "auto" and groups.max() + 1 < len(table)):
        own = minimise(shared, problem, alone, np.array([scale]))
        own_cost = robust_cost(own, problem, scale)
        added = len(table) - (groups.max() + 1)
        if focal == "per-photo" or worth_it(cost, own_cost, added, 4 * len(problem.first)):
            best, cost = own, own_cost
    errors = np.sqrt(squared_errors(best, problem).mean(axis=1))
    adjusted = [
        dataclasses.replace(c, focal=float(row[0]), rotation=row[5:].reshape(3, 3).copy()) for c, row in zip(cameras, best, strict=True)
    ]
    return Adjustment(adjusted, errors, cost)


def worth_it(cost: float, freer_cost: float, added: int, measurements: int) -> bool:
    """Whether ``added`` parameters lower the cost by more than chance would: Bayesian information criterion (Schwarz 1978)."""
    return measurements * np.log(max(cost, 1e-12) / max(freer_cost, 1e-12)) > 2 * added * np.log(measurements)


def noise_scale(table: NDArray[np.float64], problem: Problem) -> float:
    """Cauchy's scale, px, for the noise that the matches show: their median error is 1.18 standard deviations."""
    return float(max(0.05, EFFICIENT * np.sqrt(np.median(squared_errors(table, problem))) / 1.1774))


def squared_errors(table: NDArray[np.float64], problem: Problem) -> NDArray[np.float64]:
    """Squared reprojection errors, px^2, (m, 2): in the second and in the first photo."""
    errors = np.empty((len(problem.first), 2))
    still = np.full((len(table), PARAMETERS), -1, np.int64)
    accumulate(table, problem.pairs, problem.offsets, problem.first, problem.second, 1.0, still, np.zeros(0), np.zeros((0, 0)), errors)
    return errors


def robust_cost(table: NDArray[np.float64], problem: Problem, scale: float) -> float:
    """Cauchy's robust sum at one scale, px^2."""
    return float(np.sum(scale**2 * np.log1p(squared_errors(table, problem) / scale**2)))


def minimise(
    table: NDArray[np.float64], problem: Problem, groups: NDArray[np.int64], scales: NDArray[np.float64], *, rounds: int = 25
) -> NDArray[np.float64]:
    """Levenberg-Marquardt at each robust scale in turn; the best cameras so far are what comes back.

    Parameters
    ----------
    table : (n, 14) float64
        Cameras as the kernel reads them.
    problem : Problem
    groups : (n,) int64
        Cameras of one group share a focal length.
    scales : (k,) float64
        Cauchy's scales, px, from wide to narrow.
    rounds : int
        Most steps per scale.
    """
    n = len(table)
    columns = np.full((n, PARAMETERS), -1, np.int64)
    columns[:, :3] = np.arange(3 * n).reshape(n, 3)
    columns[:, 3] = 3 * n + groups
    size = 3 * n + int(groups.max()) + 1
    start = table.copy()
    for scale in scales:
        damping = 1e-4
        cost, gradient, hessian = equations(table, start, problem, scale, columns, size)
        for _ in range(rounds):
            damped = hessian + np.diag(damping * np.diag(hessian) + 1e-9 * np.trace(hessian) / size)
            step = -np.linalg.solve(damped, gradient)
            tried = moved(table, step, columns)
            new_cost, new_gradient, new_hessian = equations(tried, start, problem, scale, columns, size)
            if new_cost < cost:
                gain = (cost - new_cost) / max(cost, 1e-12)
                table, cost, gradient, hessian = tried, new_cost, new_gradient, new_hessian
                damping = max(damping / 10, 1e-9)
                if gain < 1e-9:
                    break
            else:
                damping *= 10
                if damping > 1e4:
                    break
    return table


def equations(
    table: NDArray[np.float64], start: NDArray[np.float64], problem: Problem, scale: float, columns: NDArray[np.int64], size: int
) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
    """Cost, gradient and Gauss-Newton matrix, with the weak prior that keeps focal lengths finite."""
    gradient, hessian, errors = np.zeros(size), np.zeros((size, size)), np.empty((len(problem.first), 2))
    cost = accumulate(table, problem.pairs, problem.offsets, problem.first, problem.second, scale, columns, gradient, hessian, errors)
    away = np.log(table[:, 0] / start[:, 0])
    np.add.at(gradient, columns[:, 3], away / FOCAL_SIGMA**2)
    np.add.at(hessian, (columns[:, 3], columns[:, 3]), 1 / FOCAL_SIGMA**2)
    return cost + float(np.sum(away**2)) / FOCAL_SIGMA**2, gradient, hessian


def moved(table: NDArray[np.float64], step: NDArray[np.float64], columns: NDArray[np.int64]) -> NDArray[np.float64]:
    """Cameras after a step: rotations turned in the world frame, focal lengths multiplied."""
    new = np.empty((len(table), CAMERA))
    new[:, 0] = table[:, 0] * np.exp(np.clip(step[columns[:, 3]], -0.5, 0.5))
    new[:, 1:5] = table[:, 1:5]
    for row, old, vector in zip(new, table, step[columns[:, :3]], strict=True):
        row[5:] = (rotation_from_vector(vector) @ old[5:].reshape(3, 3)).ravel()
    return new


def rotation_from_vector(vector: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rotation by |vector| radians about its direction (Rodrigues 1840)."""
    angle = float(np.linalg.norm(vector))
    x, y, z = vector / angle if angle > 0 else (0.0, 0.0, 0.0)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.asarray(np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross)
