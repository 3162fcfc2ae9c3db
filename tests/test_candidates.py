"""Which pairs of many photos are compared at all."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from compositor.images import photo_from_array
from compositor.register.candidates import likely_pairs
from compositor.types import Features, Photo

PHOTOS = 80


def photo(i: int) -> Photo:
    return photo_from_array(np.zeros((30, 40, 3), np.uint8), f"{i:03d}.png")


def features(descriptors: np.ndarray) -> Features:
    n = len(descriptors)
    return Features(np.zeros((n, 2)), np.ones(n, np.float32), descriptors, np.zeros((30, 40), np.uint8))


def strip(rng: np.random.Generator, kind: str) -> list[Features]:
    """Features of photos along a scene of random things; neighbours have two thirds of theirs in common, seen with noise."""
    step, window = 40, 120
    if kind == "bits":
        scene = rng.integers(0, 256, (step * PHOTOS + window, 32), dtype=np.uint8)
        flips = [np.packbits(rng.random((window, 256)) < 0.1, axis=1) for _ in range(PHOTOS)]
        return [features(scene[step * i : step * i + window] ^ flips[i]) for i in range(PHOTOS)]
    scene = rng.random((step * PHOTOS + window, 128), dtype=np.float32)
    seen = [scene[step * i : step * i + window] + rng.normal(0, 0.1, (window, 128)).astype(np.float32) for i in range(PHOTOS)]
    return [features((s / np.linalg.norm(s, axis=1, keepdims=True)).astype(np.float32)) for s in seen]


@pytest.mark.parametrize("kind", ["vectors", "bits"])
def test_photos_that_share_features_are_likely_partners_in_any_order(kind):
    rng = np.random.default_rng(1)
    order, found = rng.permutation(PHOTOS), strip(rng, kind)
    pairs = {tuple(sorted((order[i], order[j]))) for i, j in likely_pairs([photo(i) for i in range(PHOTOS)], [found[k] for k in order])}
    neighbours = {(i, i + 1) for i in range(PHOTOS - 1)}
    # A vocabulary of 32 words is a rough likeness: that nearly all neighbours are found is what the matcher builds on.
    assert len(pairs & neighbours) >= 0.97 * len(neighbours)
    assert len(pairs) < 0.5 * PHOTOS * (PHOTOS - 1) / 2


def test_few_photos_are_all_compared():
    photos = [photo(i) for i in range(5)]
    assert likely_pairs(photos, strip(np.random.default_rng(2), "vectors")[:5]) == [(i, j) for i in range(5) for j in range(i + 1, 5)]


def test_neighbours_in_order_time_and_place_are_likely():
    """Photos without a single feature, which look like nothing."""
    rng = np.random.default_rng(3)
    clock, places = rng.permutation(PHOTOS), rng.uniform(-1e-3, 1e-3, (PHOTOS, 2))
    places[:, 1] += 179.9999  # across the date line
    places[:, 1] = (places[:, 1] + 180) % 360 - 180
    photos = [dataclasses.replace(photo(i), taken=float(clock[i]), position=tuple(places[i])) for i in range(PHOTOS)]
    pairs = set(likely_pairs(photos, [features(np.zeros((0, 128), np.float32))] * PHOTOS))
    assert {(i, i + 1) for i in range(PHOTOS - 1)} <= pairs
    when = np.argsort(clock)
    assert {tuple(sorted(p)) for p in zip(when[:-1].tolist(), when[1:].tolist(), strict=True)} <= pairs
    offsets = (places[:, None] - places[None] + 180) % 360 - 180
    apart = np.linalg.norm(offsets, axis=2) + 1e9 * np.eye(PHOTOS)
    assert {tuple(sorted((i, int(j)))) for i, j in enumerate(apart.argmin(axis=1))} <= pairs
