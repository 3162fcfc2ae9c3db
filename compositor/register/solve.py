"""From matches to cameras: the motion model, its adjustment, and which pairs to believe."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
from typing import cast

import numpy as np

from compositor.options import RegisterOptions
from compositor.register.adjust import Adjustment, adjust, adjust_plane
from compositor.register.choose import Choice, choose, worth_trying
from compositor.register.graph import connected_groups, spanning_tree
from compositor.register.initialize import first_cameras
from compositor.register.least_squares import Problem
from compositor.register.models import MODELS
from compositor.register.plane import first_views, flatten, sample_rays
from compositor.register.sharpen import sharpen, worth_sharpening
from compositor.register.straighten import straighten
from compositor.registration import MotionModelName, Pair
from compositor.types import Camera, Features, Match, Photo

__all__ = ["Solution", "solve"]

DISAGREEING = 5.0
"""A pair whose median error is this many px of the reduced photos, or times the set's median, is one that merely looks alike."""

HORIZON = 0.05
"""Depth of a photo's farthest corner against its nearest, below which it looks along the plane rather than at it."""

logger = logging.getLogger("compositor")


@dataclasses.dataclass(frozen=True, eq=False)
class Solution:
    """Cameras of one connected group of photos.

    Parameters
    ----------
    model : str
        Motion model.
    confidence : float
        Its probability against the others that were tried.
    cameras : list of Camera
        In the order of the group.
    pairs : list of Pair
        The overlaps that were believed.
    error : float
        Root mean square distance between matched points, px.
    """

    model: MotionModelName
    confidence: float
    cameras: list[Camera]
    pairs: list[Pair]
    error: float


@dataclasses.dataclass(frozen=True, eq=False)
class Fit:
    """One model's adjustment, and the matches that it could explain."""

    adjusted: Adjustment
    matches: list[Match]


def solve(
    photos: Sequence[Photo], features: Sequence[Features], group: Sequence[int], matches: Sequence[Match], options: RegisterOptions
) -> Solution:
    """Find the cameras of photos that hang together.

    Parameters
    ----------
    photos : sequence of Photo
        The whole set.
    features : sequence of Features
        Of every photo.
    group : sequence of int
        Indices of the photos that hang together.
    matches : sequence of Match
        Between photos of the group.
    options : RegisterOptions

    Returns
    -------
    Solution
    """
    fits = {}
    if options.model in ("auto", "rotation"):
        fits["rotation"] = fit(photos, group, matches, "rotation", options)
        middling = float(np.median(fits["rotation"].adjusted.errors))
        names = worth_trying(matches, middling) if options.model == "auto" else []
    else:
        names = [options.model]
    fits |= {name: fit(photos, group, matches, name, options) for name in names}
    fits = {name: f for name, f in fits.items() if name == options.model or not MODELS[name].planar or upright(f.adjusted.cameras)}
    problem = Problem.of(matches, {i: k for k, i in enumerate(group)})
    choice = Choice(next(iter(fits)), 1.0)
    if len(fits) > 1:
        choice = choose({n: f.adjusted.table for n, f in fits.items()}, {n: f.adjusted.unknowns for n, f in fits.items()}, problem)
    fitted = fits[choice.model]
    if choice.model == "rotation" and worth_sharpening(fitted.adjusted, fitted.matches):
        cameras = dict(zip(group, fitted.adjusted.cameras, strict=True))
        fitted = fit(photos, group, sharpen(fitted.matches, cameras, features), "rotation", options)
    return solution(group, fitted, choice, options)


def fit(photos: Sequence[Photo], group: Sequence[int], matches: Sequence[Match], name: str, options: RegisterOptions) -> Fit:
    """Adjust one model; where a pair contradicts all others, once more without it."""
    model, position = MODELS[name], {i: k for k, i in enumerate(group)}
    steps = spanning_tree(group, matches)
    unit = float(np.median([max(photos[i].size) for i in group]))
    cameras = first_views(photos, steps, model, unit=unit) if model.planar else first_cameras(photos, matches, steps)
    guess = [cameras[i] for i in group]
    kept = list(matches)
    for _ in range(2):
        problem = Problem.of(kept, position)
        adjusted = adjust_plane(guess, problem, model) if model.planar else adjust(guess, problem, focal=options.focal)
        agreed = agreeing(photos, kept, problem, adjusted)
        if len(agreed) == len(kept):
            break
        kept, guess = agreed, adjusted.cameras
    return Fit(adjusted, kept)


def upright(cameras: Sequence[Camera]) -> bool:
    """Whether no photo of a plane is mirrored and none looks past the plane's horizon."""
    corners = np.array([sample_rays(c) for c in cameras])
    views = np.array([c.view for c in cameras])
    depth = np.einsum("nj,nsj->ns", views[:, 2], corners)
    return bool((depth > HORIZON * np.abs(depth).max(axis=1, keepdims=True)).all() and (np.linalg.det(views) > 0).all())


def agreeing(photos: Sequence[Photo], matches: Sequence[Match], problem: Problem, adjusted: Adjustment) -> list[Match]:
    """Matches that the adjusted cameras can explain; a pair that all others contradict is dropped unless a photo hangs on it alone."""
    medians = np.array([np.median(adjusted.errors[a:b]) for a, b in zip(problem.offsets, problem.offsets[1:], strict=False)])
    kept = list(matches)
    for k in np.argsort(-medians, kind="stable"):
        match = matches[k]
        without = [m for m in kept if m is not match]
        if medians[k] <= DISAGREEING * max(match.pixel, float(np.median(medians))):
            break
        if len(connected_groups(len(photos), without)) == len(connected_groups(len(photos), kept)):
            names = photos[match.first].name, photos[match.second].name
            logger.info("%s and %s look alike, but the other photos say they do not overlap", *names)
            kept = without
    return kept


def solution(group: Sequence[int], fitted: Fit, choice: Choice, options: RegisterOptions) -> Solution:
    """The chosen model's cameras, upright, and how well they fit."""
    position = {i: k for k, i in enumerate(group)}
    problem, adjusted = Problem.of(fitted.matches, position), fitted.adjusted
    pairs = [
        Pair(position[m.first], position[m.second], m.inliers, float(np.median(adjusted.errors[a:b])))
        for m, a, b in zip(fitted.matches, problem.offsets, problem.offsets[1:], strict=False)
    ]
    cameras = adjusted.cameras
    if MODELS[choice.model].planar:
        cameras = flatten(cameras, MODELS[choice.model])
    elif options.straighten:
        cameras = straighten(cameras)
    error = float(np.sqrt(np.mean(np.minimum(adjusted.errors, 1e3) ** 2)))
    return Solution(cast(MotionModelName, choice.model), choice.confidence, cameras, pairs, error)
