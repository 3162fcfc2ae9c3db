"""Which pairs of many photos are worth comparing: those that look alike as a whole, and neighbours in order, time and place.

Comparing all pairs of three hundred photos costs more than everything else together, and nine of ten do not overlap.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from compositor.types import Features, Photo

__all__ = ["likely_pairs"]

FEW_PHOTOS = 40
"""Up to this many photos every pair is likely enough to be looked at quickly."""

ALIKE = 16
"""Photos that look most like a photo, of which each is a likely partner."""

BESIDE = 2
"""Neighbours before and after in the order given and in time, and eight times as many in place."""

STRONGEST = 300
"""Features of each photo by which it is likened to others."""

WORDS, ROUNDS, SAMPLE = 32, 8, 20_000
"""Size of the vocabulary of features, steps in which it is made, and features that it is made from."""


def likely_pairs(photos: Sequence[Photo], features: Sequence[Features]) -> list[tuple[int, int]]:
    """Pairs of photos that may overlap.

    Parameters
    ----------
    photos : sequence of Photo
        In the order given.
    features : sequence of Features
        Of every photo, from one detector.

    Returns
    -------
    list of (int, int)
        Indices, first < second, in ascending order: of few photos every pair; of many, about twenty per photo.
    """
    n = len(photos)
    if n <= FEW_PHOTOS:
        return [(i, j) for i in range(n) for j in range(i + 1, n)]
    chosen = nearest(likeness(features), ALIKE)
    chosen |= in_a_row(range(n), n)
    if all(photo.taken is not None for photo in photos):
        chosen |= in_a_row(sorted(range(n), key=lambda i: (photos[i].taken, i)), n)
    if all(photo.position is not None for photo in photos):
        chosen |= nearest(-distances(photos), 8 * BESIDE)
    first, second = np.nonzero(np.triu(chosen | chosen.T, 1))
    return list(zip(first.tolist(), second.tolist(), strict=True))


def nearest(closeness: NDArray[np.floating], most: int) -> NDArray[np.bool_]:
    """The so many other photos that are closest to each, (n, n)."""
    closeness = closeness.copy()
    np.fill_diagonal(closeness, -np.inf)
    chosen = np.zeros(closeness.shape, bool)
    np.put_along_axis(chosen, np.argsort(-closeness, axis=1, kind="stable")[:, :most], True, axis=1)
    return chosen


def in_a_row(order: Iterable[int], n: int) -> NDArray[np.bool_]:
    """Photos that follow each other closely in an order, (n, n)."""
    rank = np.empty(n, np.int64)
    rank[list(order)] = np.arange(n)
    return np.asarray(np.abs(rank[:, None] - rank[None]) <= BESIDE)


def distances(photos: Sequence[Photo]) -> NDArray[np.float64]:
    """How far apart photos were taken, degrees of latitude, (n, n)."""
    places = np.array([photo.position for photo in photos], np.float64)
    places[:, 1] = np.unwrap(places[:, 1], period=360.0) * np.cos(np.radians(places[:, :1].mean()))
    return np.asarray(np.linalg.norm(places[:, None] - places[None], axis=2))


def likeness(features: Sequence[Features]) -> NDArray[np.float32]:
    """How alike photos look, -1 to 1, (n, n): the cosine between their vectors of locally aggregated descriptors (Jégou et al. 2010).

    The vocabulary is made from the photos themselves, by Lloyd's algorithm from evenly spaced features on: nothing is drawn at random.
    """
    every = [floats(f.descriptors[:STRONGEST]) for f in features]
    pool = np.concatenate(every)
    sample = pool[:: max(1, len(pool) // SAMPLE)]
    words = sample[np.linspace(0, len(sample) - 1, WORDS).astype(np.int64)] if len(sample) else np.zeros((WORDS, pool.shape[1]), np.float32)
    for _ in range(ROUNDS):
        sums, counts = summed(sample, nearest_word(sample, words))
        words = np.where(counts[:, None] > 0, sums / np.maximum(counts, 1)[:, None], words)
    vectors = np.empty((len(every), words.size), np.float32)
    for vector, descriptors in zip(vectors, every, strict=True):
        sums, counts = summed(descriptors, nearest_word(descriptors, words))
        residual = sums - counts[:, None] * words
        residual /= np.maximum(np.linalg.norm(residual, axis=1, keepdims=True), 1e-6)
        vector[:] = residual.ravel() / max(float(np.linalg.norm(residual)), 1e-6)
    return vectors @ vectors.T


def floats(descriptors: NDArray[np.generic]) -> NDArray[np.float32]:
    """Descriptors as vectors: bit strings have a coordinate of -1 or 1 per bit."""
    if descriptors.dtype == np.uint8:
        return np.unpackbits(np.asarray(descriptors, np.uint8), axis=1).astype(np.float32) * 2 - 1
    return np.asarray(descriptors, np.float32)


def nearest_word(descriptors: NDArray[np.float32], words: NDArray[np.float32]) -> NDArray[np.int64]:
    """Index of the word that each descriptor is nearest to."""
    return np.asarray(np.argmax(descriptors @ words.T - 0.5 * (words**2).sum(axis=1), axis=1), np.int64)


def summed(descriptors: NDArray[np.float32], word: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Sum and number of the descriptors of each word."""
    member = (word == np.arange(WORDS)[:, None]).astype(np.float32)
    return member @ descriptors, member.sum(axis=1)
