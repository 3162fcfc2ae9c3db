"""What a single viewpoint or a plane cannot explain: matches that moved because the camera did.

One homography takes a photo of one viewpoint, or of a plane, to another. Where the camera moved through a scene with depth, further
matches are displaced from it, each along the line to one point, the epipole; by how much depends on their distance (plane and
parallax: Irani, Anandan & Weinshall 1998). Wrong matches point anywhere. So the displaced matches that agree on one epipole are true
matches that the homography leaves unexplained. Things that moved by themselves cannot be told apart from parallax here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from compositor.geometry.views import ray_directions, see
from compositor.register.matching import THRESHOLD, Verdict
from compositor.types import Camera, Match

__all__ = ["Agreement", "agreement", "moved_by_parallax", "moved_matches"]

ALONG = 1.5
"""Distance, px of the reduced photo, from the line to the epipole within which a match lies on it."""

ALPHA, BETA = 8.0, 0.05
"""Displaced matches count when more than ALPHA + BETA * their number agree on one epipole; wrong ones do by chance, a few per cent."""

LOOKED_AT = 100
"""Displaced matches of a pair that the search for the epipole looks at, and epipoles that it tries."""

FARTHEST = 0.2
"""Displacement by parallax, in units of the photo's longer side, beyond which a match is taken to be wrong."""

FAR = 0.03
"""Distance, in units of the photo's longer side, beyond which a match is as far off as it can be: it shows double."""

PAIRS = 64
"""Pairs of a large set that are looked at."""

Floats = NDArray[np.float64]
Points = tuple[Floats, Floats]


class Agreement(NamedTuple):
    """How well cameras explain what is known to be the same in two photos.

    Parameters
    ----------
    share : float
        Of the verified matches, those that the cameras bring together, 0 to 1.
    error : float
        Median distance, px of the full-size photos, of the others; 0 when there are none.
    displaced : float
        Mean distance of all of them, in units of the photo's longer side, none counted as more than ``FAR``.
    """

    share: float
    error: float
    displaced: float


def agreement(cameras: Mapping[int, Camera], verdicts: Mapping[tuple[int, int], Verdict]) -> Agreement:
    """Compare cameras with all verified matches between their photos, also those that no camera was estimated from.

    Parameters
    ----------
    cameras : mapping
        Camera by photo index.
    verdicts : mapping
        Of all pairs that were compared, by photo indices.

    Returns
    -------
    Agreement
    """
    errors, apart, shares = [np.zeros(0)], [np.zeros(0, bool)], [np.zeros(0)]
    pairs = [(v.match, v.candidates) for (i, j), v in verdicts.items() if v.match and i in cameras and j in cameras]
    for match, candidates in pairs[:: -(-len(pairs) // PAIRS)]:
        both = cameras[match.first], cameras[match.second]
        side = max(both[1].size)
        first, second = verified(match, candidates, FARTHEST * side)
        errors.append(np.sqrt((missed(*both, first, second) + missed(*both[::-1], second, first)) / 2))
        apart.append(~(errors[-1] <= THRESHOLD * match.pixel))
        shares.append(np.nan_to_num(np.minimum(errors[-1] / side, FAR), nan=FAR))
    off = np.concatenate(apart)
    typical = float(np.median(np.concatenate(errors)[off])) if off.any() else 0.0
    return Agreement(1 - float(np.mean(off)), typical, float(np.mean(np.concatenate(shares))))


def missed(one: Camera, other: Camera, first: Floats, second: Floats) -> Floats:
    """Squared distances, px^2, of points of one photo, as the cameras have them, from their matches in another; infinite behind it."""
    seen, visible = see(other, ray_directions(one, first))
    return np.where(visible, ((seen - second) ** 2).sum(axis=1), np.inf)


def moved_matches(verdict: Verdict) -> int:
    """How many candidates of a pair are displaced by parallax from the homography that the most agree with."""
    if verdict.homography is None or verdict.inliers <= ALPHA:
        return 0
    first, second = verdict.candidates
    distance = distances(verdict.homography, first, second)
    displaced = (distance > THRESHOLD * verdict.pixel) & (distance < FARTHEST * np.ptp(second, axis=0).max())
    return int(np.count_nonzero(moved_by_parallax(verdict.homography, (first[displaced], second[displaced]), verdict.pixel)))


def verified(match: Match, candidates: Points, farthest: float) -> Points:
    """The matches that agree with a pair's homography, and those that parallax displaced from it by at most so many px."""
    first, second = candidates
    distance = distances(match.homography, first, second)
    displaced = (distance > THRESHOLD * match.pixel) & (distance < farthest)
    strays = first[displaced], second[displaced]
    moved = moved_by_parallax(match.homography, strays, match.pixel)
    joined = (np.concatenate([a, b[moved]]) for a, b in zip((match.points_first, match.points_second), strays, strict=True))
    first, second = (np.ascontiguousarray(points) for points in joined)
    return first, second


def moved_by_parallax(homography: Floats, strays: Points, pixel: float) -> NDArray[np.bool_]:
    """Which matches are displaced from a homography as the movement of the camera does it.

    Parameters
    ----------
    homography : (3, 3) float64
        Takes points of the first photo to the second.
    strays : ((n, 2) float64, (n, 2) float64)
        Matches that do not agree with it, in px of either photo.
    pixel : float
        Size of a pixel of the reduced photos, px.

    Returns
    -------
    (n,) bool
        None of them when no more agree on an epipole than chance explains.
    """
    n = len(strays[0])
    none = np.zeros(n, bool)
    if n <= ALPHA:
        return none
    middle, unit = strays[1].mean(axis=0), max(float(np.ptp(strays[1])), 1.0)
    expected = np.column_stack([strays[0], np.ones(n)]) @ homography.T
    expected[:, :2] = (expected[:, :2] - expected[:, 2:] * middle) / unit
    seen = np.column_stack([(strays[1] - middle) / unit, np.ones(n)])
    lines = np.cross(expected, seen)  # each joins where a point should be and where it is
    some = np.linspace(0, n - 1, min(n, LOOKED_AT)).round().astype(int)
    partner = (some + n // 2 + np.arange(len(some)) % 7) % n
    epipoles = np.cross(lines[some], lines[partner])
    limit = ALONG * pixel / unit
    best = np.argmax(np.count_nonzero(on_lines(epipoles, expected[some], seen[some], limit), axis=1))
    along = on_lines(epipoles[best][None], expected, seen, limit)[0]
    return along if np.count_nonzero(along) > ALPHA + BETA * n else none


def on_lines(epipoles: Floats, expected: Floats, seen: Floats, limit: float) -> NDArray[np.bool_]:
    """Which matches lie on the line from where they should be to each epipole, (epipoles, matches)."""
    lines = np.cross(expected[None], epipoles[:, None])
    offsets = np.abs(np.einsum("eni,ni->en", lines, seen))
    return np.asarray(offsets <= limit * np.hypot(lines[..., 0], lines[..., 1]))


def distances(homography: Floats, first: Floats, second: Floats) -> Floats:
    """How far points of the first photo land from their matches in the second, px."""
    mapped = np.column_stack([first, np.ones(len(first))]) @ homography.T
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.linalg.norm(mapped[:, :2] / mapped[:, 2:] - second, axis=1))
