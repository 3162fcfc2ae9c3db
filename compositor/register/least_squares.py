"""Cameras that make matched points meet: Levenberg-Marquardt on the normal equations of all matches at once (Triggs et al. 2000).

Turning cameras see directions and photos of a plane see that plane, so there are no scene points to solve for: each match gives its
reprojection error in both photos. A kernel sums the equations up pair by pair; Cauchy's robust loss, first wide, then as narrow as the
matches' own noise.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from compositor.kernels.bundle import CAMERA, MOTION, PARAMETERS, accumulate, assemble
from compositor.register.models import MotionModel
from compositor.threads import threads_allowed
from compositor.types import Match

__all__ = [
    "INDEPENDENT",
    "Freedom",
    "Problem",
    "exponential",
    "minimise",
    "narrowing",
    "noise_scale",
    "robust_cost",
    "settled",
    "squared_errors",
]

PRIOR_SIGMA = np.array([0.5, 0.03, 0.03, 0.15, 0.3])
"""Standard deviations of what is known beforehand: of log focal length about its first guess, of the principal point about the middle
in units of the focal length, of k1 and of k2. They are felt only where matches say nothing."""

SETTLED, NEAR = 1e-6, 1e-3
"""When a step promises to lower the cost by a smaller share, this is the bottom; and near enough to it where a narrower scale follows."""

RESCALINGS = 6
"""Times that the robust scale is measured anew, at most."""

INDEPENDENT = 30
"""Matches of a pair that count as independent evidence."""

ENOUGH = INDEPENDENT
"""Matches that a pair keeps of more where they are thinned."""

WORTH_A_THREAD = 10_000
"""Matches for which starting a thread costs less than it saves."""

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

    @property
    def independent(self) -> int:
        """Matches that count as independent evidence: neighbours share the errors of lens, scene and sharpness."""
        return int(np.minimum(np.diff(self.offsets), INDEPENDENT).sum())

    def thinned(self, most: int) -> Problem:
        """The same with about so many matches, evenly taken from every pair, but of none fewer than say what it has to say."""
        share = most / max(1, len(self.first))
        if share >= 1:
            return self
        counts = np.diff(self.offsets)
        kept = np.minimum(counts, np.maximum(ENOUGH, np.ceil(counts * share).astype(np.int64)))
        rows = np.concatenate(
            [start + np.arange(keep) * count // keep for start, count, keep in zip(self.offsets, counts, kept, strict=False)]
        )
        return Problem(self.pairs, np.cumsum([0, *kept], dtype=np.int64), self.first[rows], self.second[rows])


@dataclasses.dataclass(frozen=True, eq=False)
class Freedom:
    """Which parameters of which cameras may change.

    Parameters
    ----------
    generators : (g, 9) float64
        Motions, as the kernel takes them.
    columns : (n, 13) int64
        Index of every camera's parameters among the unknowns; -1 holds one still. Equal indices are shared.
    """

    generators: NDArray[np.float64]
    columns: NDArray[np.int64]

    @property
    def size(self) -> int:
        """Number of unknowns."""
        return int(self.columns.max()) + 1

    @classmethod
    def of(cls, model: MotionModel, cameras: int, *, lens: NDArray[np.int64] | None = None) -> Freedom:
        """Free motions of all cameras, and focal lengths that cameras of one ``lens`` share; none is free without lenses."""
        motions = len(model.generators)
        columns = np.full((cameras, PARAMETERS), -1, np.int64)
        columns[:, :motions] = np.arange(cameras * motions).reshape(cameras, motions)
        if lens is not None:
            columns[:, MOTION] = cameras * motions + lens
        return cls(model.generators, columns)

    def freeing(self, places: Sequence[int], groups: NDArray[np.int64]) -> Freedom:
        """The same with some lens parameters free as well, or in smaller groups; a group's cameras share them, those of -1 have none."""
        columns = self.columns.copy()
        columns[:, [MOTION + place for place in places]] = -1
        columns = np.unique(columns, return_inverse=True)[1].reshape(columns.shape) - 1  # no gaps in the numbering
        for place in places:
            columns[:, MOTION + place] = np.where(groups < 0, -1, int(columns.max()) + 1 + groups)
        return Freedom(self.generators, columns)


def narrowing(table: NDArray[np.float64], problem: Problem, freedom: Freedom, *, bottom: float = SETTLED) -> NDArray[np.float64]:
    """Minimise with a robust scale that starts wide enough for rough guesses and ends at the noise of the matches."""
    return settled(minimise(table, problem, freedom, [64.0, 16.0], bottom=NEAR), problem, freedom, bottom=bottom)


def settled(table: NDArray[np.float64], problem: Problem, freedom: Freedom, *, bottom: float = SETTLED) -> NDArray[np.float64]:
    """Minimise at the noise of the matches, which falls as the cameras get better, until it falls no more."""
    scale = noise_scale(squared_errors(table, problem))
    wide = [4 * scale]
    for _ in range(RESCALINGS):
        table, wide, before = minimise(table, problem, freedom, [*wide, scale], bottom=bottom), [], scale
        scale = noise_scale(squared_errors(table, problem))
        if scale > 0.9 * before:
            break
    return table


def noise_scale(squared: NDArray[np.float64]) -> float:
    """Cauchy's scale, px, for the noise that squared errors show: the median error is 1.18 standard deviations."""
    return float(max(0.05, EFFICIENT * np.sqrt(np.median(squared)) / 1.1774))


def squared_errors(table: NDArray[np.float64], problem: Problem) -> NDArray[np.float64]:
    """Squared reprojection errors, px^2, (m, 2): in the second and in the first photo."""
    still = Freedom(np.zeros((0, 9)), np.full((len(table), PARAMETERS), -1, np.int64))
    return sums_of(table, problem, 1.0, still)[-1]


def sums_of(table: NDArray[np.float64], problem: Problem, scale: float, freedom: Freedom) -> tuple[NDArray[np.float64], ...]:
    """Every pair's gradient, block and cost, and every match's squared errors, by as many threads as are allowed."""
    pairs, matches = len(problem.pairs), len(problem.first)
    sums = np.empty((pairs, 2 * PARAMETERS)), np.empty((pairs, 2 * PARAMETERS, 2 * PARAMETERS)), np.empty(pairs), np.empty((matches, 2))
    arrays = problem.pairs, problem.offsets, problem.first, problem.second

    def part(start: int, stop: int) -> None:
        accumulate(table, freedom.generators, *arrays, scale, freedom.columns, start, stop, *sums)

    parts = min(threads_allowed(), matches // WORTH_A_THREAD)
    if parts < 2:
        part(0, pairs)
        return sums
    cuts = np.searchsorted(problem.offsets, np.linspace(0, matches, parts + 1)).tolist()
    with ThreadPoolExecutor(parts) as pool:
        list(pool.map(part, cuts[:-1], cuts[1:]))
    return sums


def robust_cost(squared: NDArray[np.float64], scale: float) -> float:
    """Cauchy's robust sum of squared errors at one scale, px^2."""
    return float(np.sum(scale**2 * np.log1p(squared / scale**2)))


def minimise(
    table: NDArray[np.float64], problem: Problem, freedom: Freedom, scales: Sequence[float], *, bottom: float = SETTLED, rounds: int = 25
) -> NDArray[np.float64]:
    """Levenberg-Marquardt at each robust scale in turn; the best cameras so far are what comes back.

    Parameters
    ----------
    table : (n, 23) float64
        Cameras as the kernel reads them.
    problem : Problem
    freedom : Freedom
        What may change.
    scales : sequence of float
        Cauchy's scales, px, from wide to narrow.
    bottom : float
        A step that promises to lower the cost by a smaller share is the last.
    rounds : int
        Most steps per scale.
    """
    start = table
    for scale, enough in zip(scales, [NEAR] * (len(scales) - 1) + [bottom], strict=True):
        damping = 1e-4
        cost, gradient, hessian = equations(table, start, problem, scale, freedom)
        for _ in range(rounds):
            # Relative to each unknown's own curvature: radians, pixels and the lens's coefficients are not of one size.
            curvature = damping * np.diag(hessian)
            step = np.asarray(-np.linalg.solve(hessian + np.diag(curvature), gradient), np.float64)
            promised = float(step @ (curvature * step - gradient))
            if promised < enough * cost:
                break
            tried = moved(table, step, freedom)
            new_cost, new_gradient, new_hessian = equations(tried, start, problem, scale, freedom)
            kept = (cost - new_cost) / promised
            if kept > 0:
                table, cost, gradient, hessian = tried, new_cost, new_gradient, new_hessian
            # How much of its promise a step keeps tells how far the equations can be trusted (Marquardt 1963; Nielsen 1999).
            damping *= 0.1 if kept > 0.7 else 1.0 if kept > 0.2 else 10.0
            damping = max(damping, 1e-9)
            if damping > 1.0:  # even a step ten times shorter than Newton's does not help: this is the bottom
                break
    return table


def equations(
    table: NDArray[np.float64], start: NDArray[np.float64], problem: Problem, scale: float, freedom: Freedom
) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
    """Cost, gradient and Gauss-Newton matrix, with the weak priors that keep lenses sane."""
    size, columns = freedom.size, freedom.columns
    gradient, hessian = np.zeros(size), np.zeros((size, size))
    gradients, blocks, costs, _ = sums_of(table, problem, scale, freedom)
    assemble(problem.pairs, columns, gradients, blocks, gradient, hessian)
    cost = float(costs.sum())
    # Every camera feels its prior, in the currency of the matches: the variance that goes with the scale, but never more than 1 px^2,
    # as the first wide scales are not noise.
    away = table[:, :5] - start[:, :5]
    away[:, 0] = np.log(table[:, 0] / start[:, 0])
    away[:, 1:3] /= table[:, :1]
    free, weight = columns[:, MOTION:] >= 0, min(1.0, scale / EFFICIENT) ** 2 / PRIOR_SIGMA**2
    unit = np.ones_like(away)
    unit[:, 1:3] /= table[:, :1]
    np.add.at(gradient, columns[:, MOTION:][free], (weight * away * unit)[free])
    np.add.at(hessian, (columns[:, MOTION:][free],) * 2, (weight * unit**2)[free])
    return cost + float(np.sum(weight * away**2)), gradient, hessian


def moved(table: NDArray[np.float64], step: NDArray[np.float64], freedom: Freedom) -> NDArray[np.float64]:
    """Cameras after a step: views multiplied by the exponential of their motion, focal lengths by that of theirs, the rest added."""
    steps = np.append(step, 0.0)[freedom.columns]  # index -1 is the appended zero
    motions = len(freedom.generators)
    turn = exponential(np.tensordot(steps[:, :motions], freedom.generators.reshape(-1, 3, 3), axes=1))
    new = np.empty((len(table), CAMERA))
    new[:, 0] = table[:, 0] * np.exp(np.clip(steps[:, MOTION], -0.5, 0.5))
    new[:, 1:5] = table[:, 1:5] + steps[:, MOTION + 1 :]
    new[:, 5:14] = (turn @ table[:, 5:14].reshape(-1, 3, 3)).reshape(-1, 9)
    back = exponential(-np.tensordot(steps[:, :motions], freedom.generators.reshape(-1, 3, 3), axes=1))
    new[:, 14:23] = (table[:, 14:23].reshape(-1, 3, 3) @ back).reshape(-1, 9)
    return new


def exponential(matrices: NDArray[np.float64]) -> NDArray[np.float64]:
    """Matrix exponentials of (n, 3, 3), by scaling, Taylor's series and squaring (Higham 2005)."""
    norm = float(np.abs(matrices).sum(axis=2).max(initial=0.0))
    halvings = max(0, int(np.ceil(np.log2(max(norm, 1e-300) / 0.25))))
    scaled = matrices / 2.0**halvings
    result = term = np.broadcast_to(np.eye(3), matrices.shape)
    for k in range(1, 12):
        term = term @ scaled / k
        result = result + term
    for _ in range(halvings):
        result = result @ result
    return np.asarray(result)
