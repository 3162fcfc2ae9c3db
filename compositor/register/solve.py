"""From matches to cameras: the motion model, its adjustment, and which pairs to believe."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import cast

import numpy as np
from numpy.typing import NDArray

from compositor.errors import OptionError
from compositor.options import RegisterOptions
from compositor.register.adjust import Adjustment, adjust, approach, readjust
from compositor.register.blame import Dispute, accuse, agreeing, blame, disputed, largest_rest
from compositor.register.choose import Choice, choose, independent_matches, lens_strangeness, look_around, worth_trying
from compositor.register.graph import spanning_tree
from compositor.register.grow import grow
from compositor.register.initialize import first_cameras
from compositor.register.least_squares import Problem
from compositor.register.models import MODELS, MotionModel
from compositor.register.plane import first_views, flatten, sample_rays
from compositor.register.sharpen import sharpen, worth_sharpening
from compositor.register.straighten import straighten
from compositor.registration import MotionModelName, Pair
from compositor.types import Camera, Features, Match, Photo

__all__ = ["Solution", "level", "solve"]

ROUNDS = 4
"""Adjustments after growing, each to the pairs that agree with the one before; two are usual."""

HORIZON = 0.05
"""Depth of a photo's farthest corner against its nearest, below which it looks along the plane rather than at it."""


@dataclasses.dataclass(frozen=True, eq=False)
class Solution:
    """Cameras of one connected group of photos.

    Parameters
    ----------
    model : str
        Motion model.
    confidence : float
        Its probability against the others that were tried.
    cameras : dict
        Camera by photo index; of the photos that fit.
    pairs : list of Pair
        The overlaps that were believed, by photo indices.
    error : float
        Root mean square distance between matched points, px.
    left_out : dict
        Reason by photo index, of photos whose matches the others contradict.
    disputes : list of Dispute
        Pairs that the others contradict, between photos that fit.
    """

    model: MotionModelName
    confidence: float
    cameras: dict[int, Camera]
    pairs: list[Pair]
    error: float
    left_out: dict[int, str]
    disputes: list[Dispute]


@dataclasses.dataclass(frozen=True, eq=False)
class Guess:
    """Cameras before any adjustment, and what is known of which camera body took each photo, by photo index."""

    cameras: dict[int, Camera]
    bodies: dict[int, str]


@dataclasses.dataclass(frozen=True, eq=False)
class Fit:
    """One model's adjustment, the matches that it was estimated from, and the guess that it began with."""

    adjusted: Adjustment
    matches: list[Match]
    guess: Guess


def solve(
    photos: Sequence[Photo], features: Sequence[Features], group: Sequence[int], matches: Sequence[Match], options: RegisterOptions
) -> Solution:
    """Find the cameras of photos that hang together.

    A photo whose matches the others contradict spoils what it touches: it is left out, and the rest is solved again without it.

    Parameters
    ----------
    photos : sequence of Photo
        The whole set.
    features : sequence of Features
        Of every photo.
    group : sequence of int
        Indices of the photos that hang together, in ascending order.
    matches : sequence of Match
        Between photos of the group.
    options : RegisterOptions

    Returns
    -------
    Solution

    Raises
    ------
    OptionError
        No plane explains the photos, but the options ask for one.
    """
    left_out: dict[int, str] = {}
    while True:
        fitted, choice = best_fit(photos, group, matches, options)
        disputes = disputed(matches, cameras_by_photo(group, fitted))
        blamed = blame(matches, disputes)
        rest = largest_rest(group, matches, blamed)
        if not blamed or len(rest) < 2:
            break
        left_out |= accuse(photos, group, rest, blamed, disputes)
        group, matches = rest, [m for m in matches if m.first in rest and m.second in rest]
    # Who asks for ORB wants the cameras soon rather than to a hundredth of a pixel.
    if choice.model == "rotation" and options.features != "orb" and worth_sharpening(fitted.adjusted, fitted.matches):
        cameras = cameras_by_photo(group, fitted)
        fitted = fit_exactly(cameras, fitted.guess, sharpen(fitted.matches, cameras, features), MODELS["rotation"], options)
    return solution(group, fitted, choice, left_out, disputes)


def cameras_by_photo(group: Sequence[int], fitted: Fit) -> dict[int, Camera]:
    """The adjusted camera of every photo."""
    return dict(zip(group, fitted.adjusted.cameras, strict=True))


def best_fit(photos: Sequence[Photo], group: Sequence[int], matches: Sequence[Match], options: RegisterOptions) -> tuple[Fit, Choice]:
    """The adjustment of the motion model that explains the matches best."""
    fits, names, strangeness = dict[str, Fit](), [str(options.model)], 0.0
    if options.model in ("auto", "rotation"):
        fits["rotation"] = fit(photos, group, matches, "rotation", options)
        turning, names = fits["rotation"].adjusted, []
        strangeness = lens_strangeness(turning.cameras)
        if options.model == "auto":
            error = float(np.median(turning.errors))
            seen_around = error <= np.median([m.pixel for m in matches]) and look_around(turning.cameras)
            names = [] if seen_around else worth_trying(matches, error, strangeness=strangeness)
    fits |= {name: fit(photos, group, matches, name, options) for name in names}
    fits = {name: f for name, f in fits.items() if not MODELS[name].planar or upright(f.adjusted.cameras)}
    if not fits:
        raise OptionError(f"model={options.model!r} cannot be: some photos would look past the plane's horizon; try rotation, or auto")
    choice = Choice(next(iter(fits)), 1.0)
    if len(fits) > 1:
        problem = Problem.of(matches, {i: k for k, i in enumerate(group)})
        tables, unknowns = {n: f.adjusted.table for n, f in fits.items()}, {n: f.adjusted.unknowns for n, f in fits.items()}
        best = cameras_by_photo(group, min(fits.values(), key=lambda f: float(np.median(f.adjusted.errors))))
        independent = sum(independent_matches(m, best[m.first], best[m.second]) for m in matches)
        choice = choose(tables, unknowns, problem, independent=independent, strangeness=strangeness)
    return fits[choice.model], choice


def fit(photos: Sequence[Photo], group: Sequence[int], matches: Sequence[Match], name: str, options: RegisterOptions) -> Fit:
    """Adjust one model to all matches at once; where some contradict the others, grow it from photo to photo instead."""
    model, position = MODELS[name], {i: k for k, i in enumerate(group)}
    steps = spanning_tree(group, matches)
    unit = float(np.median([max(photos[i].size) for i in group]))
    first = first_views(photos, steps, model, unit=unit) if model.planar else first_cameras(photos, matches, steps)

    bodies = {i: photos[i].camera_key for i in group}

    def near(cameras: Mapping[int, Camera], kept: Sequence[Match]) -> dict[int, Camera]:
        start = with_lenses(cameras, first)
        return dict(zip(group, approach(start, Problem.of(kept, position), model, list(bodies.values())), strict=True))

    cameras, kept = near(first, matches), list(matches)
    if agreeing(matches, cameras) != kept:
        cameras, kept = grow(cameras, matches, model), []
        for _ in range(ROUNDS):
            agreed = agreeing(matches, cameras)
            if agreed == kept:
                break
            cameras, kept = near(cameras, agreed), agreed
    return fit_exactly(cameras, Guess(first, bodies), matches, model, options)


def fit_exactly(cameras: Mapping[int, Camera], guess: Guess, matches: Sequence[Match], model: MotionModel, options: RegisterOptions) -> Fit:
    """Adjust cameras that are about right, and their lenses, to the matches that agree with them."""
    position = {i: k for k, i in enumerate(cameras)}
    kept = agreeing(matches, cameras)
    start, bodies = with_lenses(cameras, guess.cameras), [guess.bodies[i] for i in cameras]
    adjusted = adjust(start, Problem.of(kept, position), model, focal=options.focal, bodies=bodies)
    for _ in range(ROUNDS):
        agreed = agreeing(matches, dict(zip(cameras, adjusted.cameras, strict=True)))
        if agreed == kept:
            break
        adjusted, kept = readjust(adjusted, Problem.of(agreed, position)), agreed
    return Fit(adjusted, kept, guess)


def with_lenses(cameras: Mapping[int, Camera], first: Mapping[int, Camera]) -> list[Camera]:
    """The views of cameras through the lenses of others: what contradictory matches made of a lens must not be where the next starts."""
    return [first[i].looking(cameras[i].view) for i in sorted(first)]


def upright(cameras: Sequence[Camera]) -> bool:
    """Whether no photo of a plane is mirrored and none looks past the plane's horizon."""
    corners = np.array([sample_rays(c) for c in cameras])
    views = np.array([c.view for c in cameras])
    depth = np.einsum("nj,nsj->ns", views[:, 2], corners)
    return bool((depth > HORIZON * np.abs(depth).max(axis=1, keepdims=True)).all() and (np.linalg.det(views) > 0).all())


def solution(group: Sequence[int], fitted: Fit, choice: Choice, left_out: dict[int, str], disputes: list[Dispute]) -> Solution:
    """The chosen model's cameras, and how well they fit."""
    problem, adjusted = Problem.of(fitted.matches, {i: k for k, i in enumerate(group)}), fitted.adjusted
    pairs = [
        Pair(m.first, m.second, m.inliers, float(np.median(adjusted.errors[a:b])))
        for m, a, b in zip(fitted.matches, problem.offsets, problem.offsets[1:], strict=False)
    ]
    error = float(np.sqrt(np.mean(np.minimum(adjusted.errors, 1e3) ** 2)))
    cameras = cameras_by_photo(group, fitted)
    return Solution(cast(MotionModelName, choice.model), choice.confidence, cameras, pairs, error, left_out, disputes)


def level(
    cameras: Sequence[Camera], model: MotionModelName, options: RegisterOptions, turned: Sequence[int], brightening: NDArray[np.float64]
) -> list[Camera]:
    """The same cameras in a world whose horizon is level, or on a plane that is looked at squarely."""
    if MODELS[model].planar:
        return flatten(cameras, MODELS[model])
    return straighten(cameras, turned, brightening) if options.straighten else list(cameras)
