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

from compositor.geometry.views import ray_directions, see
from compositor.register.least_squares import INDEPENDENT, PRIOR_SIGMA, Problem, noise_scale, robust_cost, squared_errors
from compositor.register.models import MODELS
from compositor.register.plane import fit_motion
from compositor.types import Camera, Match

__all__ = ["Choice", "choose", "independent_matches", "lens_strangeness", "look_around", "worth_trying"]

SAMPLE = 100
"""Matches of a pair that are looked at to see which models can be right at all."""

PAIRS = 24
"""Pairs that are asked, of more."""

BETTER = 1.5
"""How much smaller a homography's error must be for a moving camera to be more likely than a turning one whose lens is not quite known."""

TURNING = 4.0
"""Logarithm of how much more common turning cameras are than planes seen from anywhere."""

STRANGE = 8.0
"""Strangeness of a lens beyond which a turning camera with it needs no excuse to be doubted: four standard deviations in one number."""

AROUND = np.radians(120)
"""Angle between two photos' lines of sight at which they cannot both show one plane from one side."""

OUTLYING, FEW = 4.0, 8
"""Errors beyond so many times the median are strays; and matches fewer than so many are independent for all that can be told."""

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


def worth_trying(matches: Sequence[Match], rotation_error: float, *, strangeness: float) -> list[str]:
    """Planar models that could explain the matches at least about as well as turning cameras do.

    Each pair on its own is fitted with each model: no joint adjustment can do better than that.

    Parameters
    ----------
    matches : sequence of Match
    rotation_error : float
        Median error, px, of the adjusted rotation model.
    strangeness : float
        How much speaks against its lens, as ``lens_strangeness`` tells it.

    Returns
    -------
    list of str
    """
    limit = max(rotation_error, FLOOR)
    asked = matches[:: -(-len(matches) // PAIRS)]
    errors = {name: np.median(np.concatenate([pair_errors(m, name) for m in asked])) for name, model in MODELS.items() if model.planar}
    simple = [name for name in ("translation", "euclidean", "similarity", "affine") if errors[name] <= BETTER * limit]
    # A turning camera with a lens to suit explains nearly anything of one pair: what it is up against must be known.
    doubtful = strangeness >= STRANGE or len(matches) == 1
    return simple + (["homography"] if doubtful or BETTER * errors["homography"] <= limit else [])


def pair_errors(match: Match, name: str) -> NDArray[np.float64]:
    """Errors, px, of a sample of a pair's matches under the pair's own best motion."""
    rows = np.linspace(0, match.inliers - 1, min(SAMPLE, match.inliers)).round().astype(int)
    first, second = match.points_first[rows], match.points_second[rows]
    middle, unit = first.mean(axis=0), max(float(np.ptp(first)), 1.0)
    source, target = (first - middle) / unit, (second - second.mean(axis=0)) / unit
    motion = fit_motion(source, target, MODELS[name])
    mapped = np.column_stack([source, np.ones(len(source))]) @ motion.T
    return np.asarray(np.linalg.norm(mapped[:, :2] / mapped[:, 2:] - target, axis=1) * unit)


def independent_matches(match: Match, first: Camera, second: Camera) -> float:
    """How many of a pair's matches say something that their neighbours do not.

    What a model cannot express, as a sheet that does not lie flat or a camera that was moved, shifts neighbours alike, and then a
    thousand matches tell no more than a few. Errors whose correlation falls off exponentially with distance are as good as one for
    every 2 pi squared lengths of that fall (Vanmarcke, «Random Fields», 1983).

    Parameters
    ----------
    match : Match
    first, second : Camera
        As the best model has them.
    """
    rows = np.linspace(0, match.inliers - 1, min(SAMPLE, match.inliers)).round().astype(int)
    seen, told = see(second, ray_directions(first, match.points_first[rows]))
    most = float(min(match.inliers, INDEPENDENT))
    if np.count_nonzero(told) < FEW:
        return most
    points, errors = match.points_second[rows][told], (seen - match.points_second[rows])[told]
    squared = (errors**2).sum(axis=1)
    usual = squared <= OUTLYING**2 * np.median(squared)
    points, errors, squared = points[usual], errors[usual], squared[usual]
    apart = ((points[:, None] - points[None]) ** 2).sum(axis=2) + np.diag(np.full(len(points), np.inf))
    nearest = apart.argmin(axis=1)
    alike = float((errors * errors[nearest]).sum() / max(float(squared.sum()), 1e-12))
    squared_length = float(apart.min(axis=1).mean()) / np.log(np.clip(alike, 1e-3, 0.999)) ** 2
    area = float(np.prod(np.ptp(points, axis=0)))
    return float(np.clip(area / (2 * np.pi * max(squared_length, 1e-9)), min(1.0, most), most))


def choose(
    tables: Mapping[str, NDArray[np.float64]],
    unknowns: Mapping[str, int],
    problem: Problem,
    *,
    independent: float,
    strangeness: float = 0.0,
) -> Choice:
    """The model that explains the matches with the least freedom.

    Parameters
    ----------
    tables : mapping
        Adjusted cameras, (n, 23) float64, by model.
    unknowns : mapping
        Number of adjusted parameters by model.
    problem : Problem
        The matches.
    independent : float
        How many of them count as independent evidence.
    strangeness : float
        How much speaks against the lens of the rotation model, as ``lens_strangeness`` tells it.

    Returns
    -------
    Choice
    """
    errors = {name: squared_errors(table, problem) for name, table in tables.items()}
    scales = {name: max(noise_scale(squared), FLOOR) for name, squared in errors.items()}
    turning = strangeness < STRANGE and "rotation" in tables
    allowed = [name for name in tables if name != "homography" or not turning or BETTER * scales[name] <= scales["rotation"]]
    share = independent / len(problem.first)
    beforehand = {"rotation": -strangeness, "homography": -TURNING if "rotation" in tables else 0.0}

    def evidence(name: str, scale: float) -> float:
        freedom = unknowns[name] * np.log(2 * independent) / 2
        return float(beforehand.get(name, 0.0) - robust_cost(errors[name], scale) / scale**2 * share - freedom)

    scale = min(scales[name] for name in allowed)
    known = {name: evidence(name, scale) for name in allowed}
    best = max(allowed, key=lambda name: known[name])
    odds = [known[name] - known[best] for name in allowed]
    # What fits better, but not so much better that it is believed, leaves the question open at the most.
    wide = BETTER * scales[best]
    odds += [min(0.0, evidence(name, wide) - evidence(best, wide)) for name in tables if name not in allowed]
    return Choice(best, float(1 / np.sum(np.exp(np.clip(odds, -700, 0)))))


def lens_strangeness(cameras: Sequence[Camera]) -> float:
    """How much speaks against cameras having such lenses, in units of log probability.

    It is 0 for lenses without faults, and 2 where one number is two standard deviations from what is usual.
    """
    lenses = {
        (c.center[0] - (c.size[0] - 1) / 2, c.center[1] - (c.size[1] - 1) / 2, *(d * c.focal for d in c.distortion), c.focal)
        for c in cameras
    }
    numbers = np.unique(np.round([[x / focal for x in faults] for *faults, focal in lenses], 4), axis=0)
    return float(np.sum((numbers / PRIOR_SIGMA[1:]) ** 2) / 2)


def look_around(cameras: Sequence[Camera]) -> bool:
    """Whether turning cameras look in directions so different that no plane can explain their photos."""
    ahead = np.array([c.rotation[:, 2] for c in cameras])
    return bool((ahead @ ahead.T).min() < np.cos(AROUND))
