"""Seams at full size: the kernel beside a plain twin, and where it must leave seams alone."""

from __future__ import annotations

import numpy as np
import pytest

from compositor.compose.tiles import block_starts
from compositor.kernels.seam_paths import Drawn, lead_seams

FACTOR, BLOCK = 4, 16
LENGTH, UNKNOWN = 0.05, 1.0


def straight(h, w, at, names=(0, 1)):
    """Owners of a tile whose left ``at`` columns are one photo's."""
    owner = np.full((h, w), names[1], np.int16)
    owner[:, :at] = names[0]
    return owner


def labels_of(owner):
    """Labels that could have made such owners, those of the pixels at every fourth place."""
    h, w = owner.shape
    return np.pad(owner, ((0, FACTOR), (0, FACTOR)), mode="edge")[::FACTOR][: h // FACTOR + 1, ::FACTOR][:, : w // FACTOR + 1].copy()


def led(owner, a, b, *, valid_a=None, valid_b=None, settled=None, names=(0, 1)):
    """Owners after the seams of two photos, each as large as the tile, were led."""
    (h, w), labels = owner.shape, labels_of(owner)
    whole = np.ones((h, w), bool)
    after, weight_after = owner.copy(), owner.copy()
    lead_seams(
        np.array(names, np.int16),
        labels,
        np.zeros(labels.shape, bool) if settled is None else settled,
        FACTOR,
        block_starts(0, h, h, BLOCK, wraps=False),
        block_starts(0, w, w, BLOCK, wraps=False),
        Drawn(a, whole if valid_a is None else valid_a, 0, 0),
        Drawn(b, whole if valid_b is None else valid_b, 0, 0),
        np.float32(LENGTH),
        np.float32(UNKNOWN),
        after,
        weight_after,
    )
    np.testing.assert_array_equal(after, weight_after)
    return after


def cost(owner, a, b, valid_a=None, valid_b=None):
    """What the seams of a tile cost."""
    off = np.linalg.norm(a.astype(float) - b, axis=-1)
    for valid in (valid_a, valid_b):
        if valid is not None:
            off[~valid] = UNKNOWN
    beside, below = owner[:, 1:] != owner[:, :-1], owner[1:] != owner[:-1]
    return (LENGTH + off[:, 1:] + off[:, :-1])[beside].sum() + (LENGTH + off[1:] + off[:-1])[below].sum()


def patched(generator, h, w):
    """Two photos that differ in random patches."""
    a, patches = generator.random((h, w, 3)), generator.random((h // 3 + 1, w // 3 + 1, 1))
    differences = patches.repeat(3, axis=0).repeat(3, axis=1)[:h, :w] ** 3 * (1 + 0.1 * generator.random((h, w, 1)))
    return a.astype(np.float32), (a + differences).astype(np.float32)


def cheapest(off, at):
    """The least that a path can cost which has ``at`` pixels at its left in the first and last rows, and as many by ±4 in all others."""
    height, width = off.shape
    places = np.arange(width + 1)
    total = np.where(places == at, 0.0, np.inf)
    for i in range(1, height):
        between = np.concatenate([[0], np.cumsum(LENGTH + off[i - 1] + off[i])])
        total = (total[:, None] + np.abs(between[:, None] - between)).min(axis=0)
        total[1:-1] += LENGTH + off[i, :-1] + off[i, 1:]
        total[np.abs(places - at) > (FACTOR if i < height - 1 else 0)] = np.inf
    return total[at] + LENGTH + off[0, at - 1] + off[0, at]


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("at", [5, 8, 10])
def test_a_seam_costs_as_little_as_it_can(generator, at, turned):
    a, b = patched(generator, BLOCK, BLOCK)
    owner = straight(BLOCK, BLOCK, at)
    after = led(owner.T.copy(), a, b).T if turned else led(owner, a, b)
    if turned:
        a, b = a.transpose(1, 0, 2), b.transpose(1, 0, 2)
    off = np.linalg.norm(a.astype(float) - b, axis=-1)
    assert cost(after, a, b) == pytest.approx(cheapest(off, at), abs=1e-4)
    assert cost(after, a, b) < 0.95 * cost(owner, a, b)


def test_corners_are_cut_from_rim_to_rim(generator):
    """A seam that enters at the top and leaves at the left, as it may on a tile of one block."""
    a, b = patched(generator, BLOCK, BLOCK)
    rows, columns = np.indices((BLOCK, BLOCK))
    owner = np.where(rows + columns < 9, 0, 1).astype(np.int16)
    after = led(owner, a, b)
    assert cost(after, a, b) < cost(owner, a, b)
    for rim in (np.s_[0], np.s_[-1], np.s_[:, 0], np.s_[:, -1]):
        np.testing.assert_array_equal(after[rim], owner[rim])


@pytest.mark.parametrize("swapped", [False, True])
def test_seams_go_round_what_only_one_photo_shows(swapped):
    a = np.full((3 * BLOCK, 4 * BLOCK, 3), 0.5, np.float32)
    b = a.copy()
    b[20:28, 28:34] = 1.0
    names = (1, 0) if swapped else (0, 1)
    owner = straight(3 * BLOCK, 4 * BLOCK, 31, names)
    after = led(owner, *((b, a) if swapped else (a, b)))
    assert cost(owner, a, b) > cost(after, a, b) + 8
    changed = after != owner
    assert changed[20:28].any(axis=1).all()
    assert not changed[:16].any()
    assert not changed[32:].any()
    assert not changed[:, : 31 - FACTOR].any()
    assert not changed[:, 31 + FACTOR :].any()


def test_what_must_stay_stays(generator):
    h, w = 2 * BLOCK, 3 * BLOCK
    a, b = patched(generator, h, w)
    owner = straight(h, w, 24)
    assert (led(owner, a, b) != owner).any(axis=1).sum() > BLOCK
    settled = np.zeros(labels_of(owner).shape, bool)
    settled[6, 6] = True
    after = led(owner, a, b, settled=settled)
    assert (after[:BLOCK] != owner[:BLOCK]).any()
    np.testing.assert_array_equal(after[BLOCK:], owner[BLOCK:])


def third_photo(owner):
    owner[:, 28:] = 2


def island(owner):
    owner[5:12, 18:22] = owner[20:25, 20:23] = 1


@pytest.mark.parametrize("disturb", [third_photo, island])
def test_blocks_without_a_single_seam_of_two_photos_stay(generator, disturb):
    h, w = 2 * BLOCK, 3 * BLOCK
    owner = straight(h, w, 24)
    disturb(owner)
    np.testing.assert_array_equal(led(owner, *patched(generator, h, w)), owner)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e30])
def test_values_without_a_finite_difference_are_as_dear_as_unknown_ones(generator, value):
    """In the middle, and beside the rim, where a seam that leaves at the side must still end."""
    rows, _ = np.indices((BLOCK, BLOCK))
    for owner in (straight(BLOCK, BLOCK, 8), np.where(np.arange(BLOCK) < np.where(rows < 8, 4, 12), 0, 1).astype(np.int16)):
        a, b = patched(generator, BLOCK, BLOCK)
        a[7] = value
        a[3, 2:9] = value
        after = led(owner, a, b)
        assert set(np.unique(after)) <= {0, 1}
        for rim in (np.s_[0], np.s_[-1], np.s_[:, 0], np.s_[:, -1]):
            np.testing.assert_array_equal(after[rim], owner[rim])
        lost = ~np.isfinite(np.where(np.abs(a) < 1e19, a, np.inf)).all(-1)
        clean = np.where(lost[..., None], b + 1, a).astype(np.float32)  # farther off than unknown, which counts as that
        np.testing.assert_array_equal(after, led(owner, clean, b))


def test_a_photo_gets_no_pixel_that_it_has_not(generator):
    h, w = 2 * BLOCK, 3 * BLOCK
    a, b = patched(generator, h, w)
    rows, columns = np.indices((h, w))
    valid_a, valid_b = columns < 26 + rows % 3, columns >= 22 - rows % 2
    owner = straight(h, w, 24)
    after = led(owner, a, b, valid_a=valid_a, valid_b=valid_b)
    assert valid_a[after == 0].all()
    assert valid_b[after == 1].all()
    assert cost(after, a, b, valid_a, valid_b) < cost(owner, a, b, valid_a, valid_b)
    # What pixels hold that are not there does not matter.
    a[~valid_a], b[~valid_b] = np.nan, 1e9
    np.testing.assert_array_equal(led(owner, a, b, valid_a=valid_a, valid_b=valid_b), after)


def test_blocks_begin_anew_with_each_turn():
    np.testing.assert_array_equal(block_starts(0, 40, 40, 16, wraps=False), [0, 16, 32, 40])
    np.testing.assert_array_equal(block_starts(16, 48, 100, 16, wraps=False), [0, 16, 32])
    np.testing.assert_array_equal(block_starts(-8, 16, 40, 16, wraps=True), [0, 8, 24])
    np.testing.assert_array_equal(block_starts(32, 56, 40, 16, wraps=True), [0, 8, 24])
    np.testing.assert_array_equal(block_starts(-24, 16, 40, 16, wraps=True), [0, 16, 24, 40])
