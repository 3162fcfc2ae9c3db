"""Photos parted into sets of similar look, without labels: k-means on what an encoder tells of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from compositor.errors import OptionError, counted
from compositor.images import photo_names
from compositor.learned.encoder import Encoder
from compositor.learned.grouping import tell_photos
from compositor.learned.pictures import Picture
from compositor.options import GroupOptions
from compositor.threads import limit_threads
from compositor.types import Progress

__all__ = ["LOOK", "Clusters", "cluster", "k_means"]

LOOK = {"layers": 1.0, "edges": 1.0}
"""Parts by which photos look alike, whether they show the same place or not: chosen of a dozen mixtures on labelled scenes and things."""
TRIES, ROUNDS, SETTLED = 8, 100, 1e-6
"""Beginnings of which the best end counts, steps from each at most, and how far means move when they have settled."""
Floats = NDArray[np.float32]


@dataclasses.dataclass(frozen=True, eq=False)
class Clusters:
    """Photos by look.

    Parameters
    ----------
    names : tuple of str
        Of all photos given.
    sets : tuple of tuple of int
        Places of the photos of every set, those nearest to its middle first; the largest set first.
    left_out : tuple of (str, str)
        Name and reason of every photo that could not be read.
    """

    names: tuple[str, ...]
    sets: tuple[tuple[int, ...], ...]
    left_out: tuple[tuple[str, str], ...]


def cluster(
    photos: Iterable[Picture],
    clusters: int,
    *,
    encoder: Encoder | None = None,
    parts: dict[str, float] | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> Clusters:
    """Part photos into sets of similar look.

    Parameters
    ----------
    photos : iterable of path, (h, w, 3) array or Photo
        What cannot be read is left out.
    clusters : int
        How many sets.
    encoder : Encoder, optional
        Instead of that of ``weights=`` or the one that ships.
    parts : dict of str to float, optional
        What counts how much, as ``Encoder`` takes it; by default what layers find, and edges.
    progress : callable, optional
        Called as progress("look", done, total).
    **options
        Those fields of ``compositor.options.GroupOptions`` that say how to run: ``seed``, ``threads``, ``weights``, ``device``.

    Returns
    -------
    Clusters
        The same for the same photos, order and seed; without sets where none of the photos can be read.

    Raises
    ------
    OptionError
        There is no such option, or there are fewer photos than clusters; it names those that could not be read.
    """
    chosen, sources = GroupOptions.of({**options, "clusters": clusters}), list(photos)
    with limit_threads(chosen.threads):
        told = tell_photos(
            sources, encoder or Encoder.load(chosen.weights or None, device=chosen.device), parts=parts or LOOK, progress=progress
        )
        if told.left_out and not told.places:
            return Clusters(tuple(photo_names(sources)), (), told.left_out)
        try:
            labels, middles = k_means(told.numbers, chosen.clusters, seed=chosen.seed)
        except OptionError as error:
            error.left_out = told.left_out
            raise
    away = np.linalg.norm(told.numbers - middles[labels], axis=1)
    places = [np.flatnonzero(labels == label) for label in range(len(middles))]
    sets = [tuple(told.places[k] for k in mine[np.argsort(away[mine], kind="stable")]) for mine in places]
    return Clusters(tuple(photo_names(sources)), tuple(sorted(sets, key=lambda one: (-len(one), one[:1]))), told.left_out)


def k_means(rows: Floats, count: int, *, seed: int = 0) -> tuple[NDArray[np.int64], Floats]:
    """Rows parted so that they lie near the means of their parts, by OpenCV's k-means.

    Parameters
    ----------
    rows : (n, d) float32
    count : int
        How many parts.
    seed : int
        Of the beginnings: rows drawn far from those drawn before (Arthur and Vassilvitskii, «k-means++», SODA 2007).

    Returns
    -------
    labels : (n,) int64
    means : (count, d) float32

    Raises
    ------
    OptionError
        There are fewer rows than parts, or some that are no numbers.
    """
    if not np.isfinite(rows).all():
        raise OptionError("rows have numbers that are not finite; leave them away")  # OpenCV would end the process
    if not 1 <= count <= len(rows):
        hint = f"ask for 1 to {len(rows)}" if len(rows) else "give some"
        raise OptionError(f"clusters={count} cannot be made of {counted(len(rows), 'photo')}; {hint}")
    generator = np.random.default_rng(seed)
    rows = np.ascontiguousarray(rows, np.float32)
    ends = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, ROUNDS, SETTLED)
    best: tuple[float, Any, Any] | None = None
    for _ in range(TRIES):
        begun = _beginning(rows, count, generator)
        away, labels, means = cv2.kmeans(rows, count, begun, ends, 1, cv2.KMEANS_USE_INITIAL_LABELS)
        if best is None or away < best[0]:
            best = away, labels, means
    assert best is not None
    return best[1].ravel().astype(np.int64), np.asarray(best[2], np.float32)


def _beginning(rows: Floats, count: int, generator: np.random.Generator) -> NDArray[np.int32]:
    """Which of ``count`` rows each is nearest to, of rows drawn far apart, (n, 1)."""
    labels, nearest = np.zeros((len(rows), 1), np.int32), np.full(len(rows), np.inf)
    for label in range(count):
        share = nearest / total if label and (total := nearest.sum()) > 0 else None
        away = ((rows - rows[generator.choice(len(rows), p=share)]) ** 2).sum(1, dtype=np.float64)
        labels[away < nearest] = label
        nearest = np.minimum(nearest, away)
    return labels
