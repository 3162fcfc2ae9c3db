"""Which photos hang together: candidate pairs, verified matches, and the largest connected group."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Executor

import numpy as np

from compositor.register.candidates import likely_pairs
from compositor.register.matching import Verdict, match_features, match_pair
from compositor.register.plug import Points, Propose
from compositor.types import Features, Match, Photo, Progress

__all__ = ["Verdicts", "connected_groups", "groups_of", "match_photos", "spanning_tree"]

FEW_PHOTOS = 8
"""Up to this many photos every pair is compared in full."""

QUICK_FEATURES = 500
"""Strongest features compared to find candidate pairs among many photos."""

CANDIDATES = 6
"""Candidate pairs that each photo is at least compared with."""

QUICK_MATCHES = 10
"""Quick matches that make a pair a candidate in any case."""

Verdicts = dict[tuple[int, int], Verdict]


def match_photos(
    photos: Sequence[Photo],
    features: Sequence[Features],
    pixels: Sequence[float],
    pool: Executor,
    propose: Propose | None = None,
    progress: Progress | None = None,
) -> Verdicts:
    """Compare photos with each other: all pairs of a few, the promising pairs of many, and more pairs where photos stay apart.

    Parameters
    ----------
    photos : sequence of Photo
    features : sequence of Features
        Of every photo.
    pixels : sequence of float
        Size of a reduced pixel in full-size px, per photo.
    pool : Executor
        Runs the comparisons.
    propose : callable, optional
        Finds points that two photos may have in common, in place of their features' descriptors; only this thread calls it. Photos that
        have no features at all are compared with each other in every case.
    progress : callable, optional
        Told of every pair that something is proposed for, which may take its time.

    Returns
    -------
    dict
        Verdict by pair of photo indices (first < second).
    """
    n = len(photos)
    recognisable = any(len(f.points) for f in features)
    likely = likely_pairs(photos, features) if recognisable else list(itertools.combinations(range(n), 2))

    def compare(pairs: Iterable[tuple[int, int]]) -> Verdicts:
        def one(pair: tuple[int, int], points: Points | None) -> Verdict:
            i, j = pair
            sizes, pixel = (photos[i].size, photos[j].size), max(pixels[i], pixels[j])
            return match_pair((features[i], features[j]), sizes, pair, pixel=pixel, proposed=points)

        def proposed(pairs: Sequence[tuple[int, int]]) -> Iterator[Points | None]:
            for done, (i, j) in enumerate(pairs):
                if propose and progress:
                    progress("match", done, len(pairs))
                yield propose((photos[i], photos[j]), (features[i], features[j])) if propose else None

        pairs = list(pairs)
        return dict(zip(pairs, pool.map(one, pairs, proposed(pairs)), strict=True))

    candidates = likely if n <= FEW_PHOTOS or not recognisable else promising_pairs(features, likely, pool)
    verdicts = compare(candidates)
    groups = groups_of(n, verdicts)
    if len(groups) > 1 and len(candidates) < len(likely):
        group_of = {i: k for k, group in enumerate(groups) for i in group}
        verdicts |= compare(p for p in likely if p not in verdicts and group_of[p[0]] != group_of[p[1]])
    return dict(sorted(verdicts.items()))


def promising_pairs(features: Sequence[Features], likely: list[tuple[int, int]], pool: Executor) -> list[tuple[int, int]]:
    """Pairs whose strongest features already match, and the best few of every photo."""
    quick = list(pool.map(lambda p: len(match_features(features[p[0]], features[p[1]], most=QUICK_FEATURES)), likely))
    counts = np.zeros((len(features), len(features)), np.int64)
    for (i, j), count in zip(likely, quick, strict=True):
        counts[i, j] = counts[j, i] = count
    chosen = counts >= QUICK_MATCHES
    for i, row in enumerate(np.argsort(-counts, axis=1, kind="stable")[:, :CANDIDATES]):
        chosen[i, row] = True
    chosen |= chosen.T
    return [(i, j) for i, j in likely if chosen[i, j]]


def connected_groups(n: int, matches: Iterable[Match]) -> list[list[int]]:
    """Photos that hang together by matches, the largest group first, each in ascending order."""
    parent = list(range(n))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    for match in matches:
        a, b = root(match.first), root(match.second)
        parent[max(a, b)] = min(a, b)
    groups: dict[int, list[int]] = {}
    for i in range(n):
        groups.setdefault(root(i), []).append(i)
    return sorted(groups.values(), key=lambda group: (-len(group), group[0]))


def groups_of(n: int, verdicts: Verdicts) -> list[list[int]]:
    """Photos that hang together by what comparing them came to."""
    return connected_groups(n, (v.match for v in verdicts.values() if v.match))


def spanning_tree(group: Sequence[int], matches: Sequence[Match]) -> list[tuple[int, int, Match]]:
    """Steps (known photo, new photo, match) that reach every photo of a group over its strongest matches (Prim 1957).

    It starts at the photo with the most inliers, which needs not be the first.
    """
    strength = dict.fromkeys(group, 0)
    for match in matches:
        strength[match.first] += match.inliers
        strength[match.second] += match.inliers
    reached = {max(group, key=lambda i: (strength[i], -i))}
    steps = []
    while len(reached) < len(group):
        match = max((m for m in matches if (m.first in reached) != (m.second in reached)), key=lambda m: m.inliers)
        known, new = (match.first, match.second) if match.first in reached else (match.second, match.first)
        reached.add(new)
        steps.append((known, new, match))
    return steps
