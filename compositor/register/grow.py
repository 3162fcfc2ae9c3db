"""Photos placed one after the other, each where most of its matches agree: how a set is begun whose pairs contradict each other.

A pair that merely looks alike, or a photo that something is wrong with, spoils a joint adjustment that starts from all pairs. Here every
photo in turn is placed by each of its strongest pairs, and stays where the most matches with the photos placed before agree. It is
growth as in incremental reconstruction (Snavely et al. 2006), with votes in place of random samples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from compositor.geometry.views import ray_directions
from compositor.register.adjust import camera_table
from compositor.register.initialize import best_rotations
from compositor.register.least_squares import Problem, squared_errors
from compositor.register.models import MotionModel
from compositor.register.plane import fit_motion
from compositor.types import Camera, Match

__all__ = ["grow"]

TRIED = 4
"""Strongest pairs of a photo that it is placed by."""

ROUGH = 0.02
"""Median error of a pair, in units of the photo's longer side, within which it agrees before anything is adjusted."""


def grow(cameras: Mapping[int, Camera], matches: Sequence[Match], model: MotionModel) -> dict[int, Camera]:
    """Place photos one after the other, by vote.

    Parameters
    ----------
    cameras : mapping
        Of every photo of a connected group, by index; their lenses about right, wherever they look.
    matches : sequence of Match
        Between them.
    model : MotionModel

    Returns
    -------
    dict
        Camera by photo index.
    """
    strength = dict.fromkeys(cameras, 0)
    for match in matches:
        strength[match.first] += match.inliers
        strength[match.second] += match.inliers
    start = max(strength, key=lambda i: (strength[i], -i))
    placed = {start: cameras[start]}
    while len(placed) < len(cameras):
        links: dict[int, list[Match]] = {}
        for match in matches:
            if (match.first in placed) != (match.second in placed):
                links.setdefault(match.second if match.first in placed else match.first, []).append(match)
        new = max(links, key=lambda i: (sum(m.inliers for m in links[i]), -i))
        placed[new] = placed_by_vote(cameras[new], new, placed, links[new], model)
    return placed


def placed_by_vote(camera: Camera, new: int, placed: dict[int, Camera], links: Sequence[Match], model: MotionModel) -> Camera:
    """The camera where the pair puts it that the most matches with placed photos agree with."""
    best, most = camera, -1
    for match in sorted(links, key=lambda m: -m.inliers)[:TRIED]:
        known = match.second if match.first == new else match.first
        tried = placed_by(match, camera, placed[known], first=match.first == new, model=model)
        within = ROUGH * max(camera.size)
        votes = sum(m.inliers for m in links if np.median(pair_errors(m, {**placed, new: tried})) <= within)
        if votes > most:
            best, most = tried, votes
    return best


def placed_by(match: Match, camera: Camera, known: Camera, *, first: bool, model: MotionModel) -> Camera:
    """A camera turned, or moved on the plane, to where one pair puts it beside a known one."""
    here, there = (match.points_first, match.points_second) if first else (match.points_second, match.points_first)
    if model.planar:
        source, target = (here - camera.center) / camera.focal, (there - known.center) / known.focal
        return camera.looking(known.view @ fit_motion(source, target, model))
    alone = (np.eye(3), np.eye(3))
    source, target = (ray_directions(c.looking(view), p) for c, view, p in zip((camera, known), alone, (here, there), strict=True))
    return camera.looking(known.rotation @ best_rotations(source[None], target[None])[0])


def pair_errors(match: Match, cameras: Mapping[int, Camera]) -> NDArray[np.float64]:
    """Distances, px, between a pair's matched points as the cameras see them, the root mean square of both directions."""
    problem = Problem.of([match], {match.first: 0, match.second: 1})
    return np.asarray(np.sqrt(squared_errors(camera_table([cameras[match.first], cameras[match.second]]), problem).mean(axis=1)))
