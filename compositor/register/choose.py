"""Which motion model a set of photos obeys: cameras that turned, or photos of a plane, shifted, scaled, sheared or seen from anywhere.

Every model is a special case of another or nearly so: a long lens that turns is hard to tell from a shifting scanner, and a
homography explains whatever a turning camera sees. So the simplest model that explains the matches wins, by the Bayesian
information criterion (Schwarz 1978; Torr's GRIC of 1998 is the same idea for pairs).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from compositor.register.least_squares import Problem, noise_scale, robust_cost
from compositor.register.models import MODELS
from compositor.register.plane import fit_motion
from compositor.types import Match

__all__ = ["Choice", "choose", "worth_trying"]

SAMPLE = 100
"""Matches of a pair that are looked at to see which models can be right at all."""

PAIRS = 200
"""Pairs that are asked, of more."""

BETTER = 1.5
"""How much smaller a homography's error must be for a moving camera to be more likely than a turning one whose lens is not quite known."""

FLOOR = 0.1
"""Errors below this many px are told apart by nothing that could be seen."""


@dataclasses.dataclass(frozen=True)
class Choice:
    """A motion model and how sure it is.

    Parameters
    ----------
    model : str
    confidence : float
        Probability against all other models tried, 0 to 1, as if only a few matches of each pair were independent.
    """

    model: str
    confidence: float


def worth_trying(matches: Sequence[Match], rotation_error: float) -> list[str]:
    """Planar models that could explain the matches at least about as well as turning cameras do.

    Each pair on its own is fitted with each model: no joint adjustment can do better than that.

    Parameters
    ----------
    matches : sequence of Match
    rotation_error : float
        Median error, px, of the adjusted rotation model.

    Returns
    -------
    list of str
    """
    limit = max(rotation_error, FLOOR)
    asked = matches[:: -(-len(matches) // PAIRS)]
    errors = {name: np.median(np.concatenate([pair_errors(m, name) for m in asked])) for name, model in MODELS.items() if model.planar}
    simple = [name for name in ("translation", "similarity", "affine") if errors[name] <= BETTER * limit]
    return simple + (["homography"] if BETTER * errors["homography"] <= limit else [])


def pair_errors(match: Match, name: str) -> NDArray[np.float64]:
    """Errors, px, of a sample of a pair's matches under the pair's own best motion."""
    rows = np.linspace(0, match.inliers - 1, min(SAMPLE, match.inliers)).round().astype(int)
    first, second = match.points_first[rows], match.points_second[rows]
    middle, unit = first.mean(axis=0), max(float(np.ptp(first)), 1.0)
    source, target = (first - middle) / unit, (second - second.mean(axis=0)) / unit
    motion = fit_motion(source, target, MODELS[name])
    mapped = np.column_stack([source, np.ones(len(source))]) @ motion.T
    return np.asarray(np.linalg.norm(mapped[:, :2] / mapped[:, 2:] - target, axis=1) * unit)


def choose(tables: Mapping[str, NDArray[np.float64]], unknowns: Mapping[str, int], problem: Problem) -> Choice:
    """The model that explains the matches with the least freedom.

    Parameters
    ----------
    tables : mapping
        Adjusted cameras, (n, 23) float64, by model.
    unknowns : mapping
        Number of adjusted parameters by model.
    problem : Problem
        The matches.

    Returns
    -------
    Choice
    """
    scales = {name: max(noise_scale(table, problem), FLOOR) for name, table in tables.items()}
    allowed = [name for name in tables if name != "homography" or BETTER * scales[name] <= scales.get("rotation", np.inf)]
    scale = min(scales[name] for name in allowed)
    share = problem.independent / len(problem.first)
    evidence = {
        name: -robust_cost(tables[name], problem, scale) / scale**2 * share - unknowns[name] * np.log(2 * problem.independent) / 2
        for name in allowed
    }
    best = max(allowed, key=lambda name: evidence[name])
    return Choice(best, float(1 / np.sum([np.exp(np.clip(e - evidence[best], -700, 0)) for e in evidence.values()])))
