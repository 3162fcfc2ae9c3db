"""Which pairs and photos the others contradict, and how to say so."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from compositor.geometry.views import ray_directions, see
from compositor.register.adjust import camera_table
from compositor.register.graph import connected_groups
from compositor.register.least_squares import Problem, squared_errors
from compositor.types import Camera, Match, Photo

__all__ = ["Dispute", "accuse", "agreeing", "blame", "disputed", "largest_rest"]

DISAGREEING = 5.0
"""A pair whose median error is this many px of the reduced photos, or times the set's median, is contradicted by the others."""

SEEN = 0.5
"""Share of a pair's points that both cameras must see for the photos to overlap there; otherwise they merely look alike."""

OVERLAPPING = 2
"""How much more a contradicted pair counts whose photos do overlap: what is wrong is then one of the photos."""


@dataclasses.dataclass(frozen=True, eq=False)
class Dispute:
    """A pair that the others contradict.

    Parameters
    ----------
    match : Match
    error : float
        Its median error, px.
    others : float
        Median error of all pairs, px.
    overlapping : bool
        Whether the cameras say that both photos show where its points are.
    """

    match: Match
    error: float
    others: float
    overlapping: bool


def median_errors(matches: Sequence[Match], cameras: Mapping[int, Camera]) -> NDArray[np.float64]:
    """Median error of every pair, px."""
    problem = Problem.of(matches, {i: k for k, i in enumerate(cameras)})
    errors = np.sqrt(squared_errors(camera_table(list(cameras.values())), problem).mean(axis=1))
    return np.array([np.median(errors[a:b]) for a, b in zip(problem.offsets, problem.offsets[1:], strict=False)])


def contradicted(matches: Sequence[Match], medians: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which pairs' median errors are out of proportion."""
    pixels = np.array([m.pixel for m in matches])
    return np.asarray(~(medians <= DISAGREEING * np.maximum(pixels, np.median(medians))))


def agreeing(matches: Sequence[Match], cameras: Mapping[int, Camera]) -> list[Match]:
    """Matches that cameras can explain; of the others those alone that a photo hangs on.

    Parameters
    ----------
    matches : sequence of Match
    cameras : mapping
        Camera by photo index.

    Returns
    -------
    list of Match
    """
    medians = median_errors(matches, cameras)
    wrong = contradicted(matches, medians)
    kept, count = list(matches), max(cameras) + 1
    for k in np.argsort(-medians, kind="stable")[: np.count_nonzero(wrong)]:
        without = [m for m in kept if m is not matches[k]]
        if len(connected_groups(count, without)) == len(connected_groups(count, kept)):
            kept = without
    return kept


def disputed(matches: Sequence[Match], cameras: Mapping[int, Camera]) -> list[Dispute]:
    """The pairs that cameras cannot explain."""
    medians = median_errors(matches, cameras)
    others = float(np.median(medians))
    disputes = []
    for k in np.flatnonzero(contradicted(matches, medians)).tolist():
        match = matches[k]
        _, seen = see(cameras[match.second], ray_directions(cameras[match.first], match.points_first))
        _, seen_back = see(cameras[match.first], ray_directions(cameras[match.second], match.points_second))
        overlapping = float(np.mean(seen | seen_back)) >= SEEN
        disputes.append(Dispute(match, float(medians[k]), others, overlapping))
    return disputes


def blame(matches: Sequence[Match], disputes: Sequence[Dispute]) -> list[int]:
    """Photos that are contradicted by more matches, and by no fewer pairs, than they agree with; the worst first.

    A pair in dispute speaks against both its photos; once one of them is blamed, no longer against the other.

    Parameters
    ----------
    matches : sequence of Match
        All, with those in dispute.
    disputes : sequence of Dispute

    Returns
    -------
    list of int
        Indices of the photos.
    """
    doubtful = {id(d.match) for d in disputes}
    blamed: list[int] = []
    while True:
        good, bad = Counter[int](), Counter[int]()
        balance = Counter[int]()  # pairs that speak for a photo, less those that speak against it
        for match in matches:
            if id(match) in doubtful or {match.first, match.second} & {*blamed}:
                continue
            for i in (match.first, match.second):
                good[i] += match.inliers
                balance[i] += 1
        for d in disputes:
            if {d.match.first, d.match.second} & {*blamed}:
                continue
            for i in (d.match.first, d.match.second):
                bad[i] += d.match.inliers * (OVERLAPPING if d.overlapping else 1)
                balance[i] -= 1
        suspects = [i for i in bad if bad[i] > good[i] and balance[i] <= 0]
        if not suspects:
            return blamed
        blamed.append(max(suspects, key=lambda i: (bad[i] / (good[i] + 1), -i)))


def largest_rest(group: Sequence[int], matches: Sequence[Match], blamed: Collection[int]) -> list[int]:
    """The largest part of a group that still hangs together without the blamed photos."""
    inside = [i for i in group if i not in blamed]
    kept = [m for m in matches if m.first in inside and m.second in inside]
    return next(g for g in connected_groups(max(group) + 1, kept) if g[0] in inside) if inside else []


def accuse(
    photos: Sequence[Photo], group: Iterable[int], rest: Sequence[int], blamed: Sequence[int], disputes: Sequence[Dispute]
) -> dict[int, str]:
    """Reason by photo index for the photos of a group that are not in the rest."""
    reasons = {}
    for i in group:
        if i in blamed:
            worst = max((d for d in disputes if i in (d.match.first, d.match.second)), key=lambda d: d.match.inliers)
            other = photos[worst.match.second if worst.match.first == i else worst.match.first].name
            where = f"{worst.error:.0f} px where the rest agree to {worst.others:.1f} px"
            reasons[i] = f"its {worst.match.inliers} matches with {other} do not fit the others: {where}"
        elif i not in rest:
            names = " and ".join(photos[k].name for k in blamed)
            reasons[i] = f"it hangs together with the others only through {names}, which does not fit them"
    return reasons
