"""Minimum cuts against SciPy's maximum flow and against all subsets."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import coo_array
from scipy.sparse.csgraph import maximum_flow

from compositor.kernels.maxflow import minimum_cut


def cut_of(source, sink, right, down):
    cut = np.zeros(source.shape, np.uint8)
    cost = minimum_cut(source, sink, right, down, cut)
    return cost, cut.astype(bool)


def cost_of(cut, source, sink, right, down):
    """What a cut costs, by the definition."""
    sides = np.where(cut, sink, source).sum(dtype=np.int64)
    return sides + right[cut != np.roll(cut, -1, axis=1)].sum(dtype=np.int64) + down[:-1][cut[:-1] != cut[1:]].sum(dtype=np.int64)


def flow_of(source, sink, right, down):
    """The maximum flow, by SciPy."""
    n = source.size
    pixel = np.arange(n, dtype=np.int32).reshape(source.shape)
    beside = np.roll(pixel, -1, axis=1)
    terminals = np.full(source.shape, n), np.full(source.shape, n + 1)
    edges = [(terminals[0], pixel, source), (pixel, terminals[1], sink), (pixel, beside, right), (beside, pixel, right)]
    edges += [(pixel[:-1], pixel[1:], down[:-1]), (pixel[1:], pixel[:-1], down[:-1])]
    start, end, capacity = (np.concatenate([edge[i].ravel() for edge in edges]) for i in range(3))
    other = start != end  # a grid of one column has edges from pixels to themselves
    graph = coo_array((capacity[other], (start[other], end[other])), shape=(n + 2, n + 2)).tocsr()
    return maximum_flow(graph.astype(np.int32), n, n + 1).flow_value


def random_grid(seed, h, w, largest, share):
    generator = np.random.default_rng(seed)
    return [(generator.integers(0, largest, (h, w)) * (generator.random((h, w)) < share)).astype(np.int32) for _ in range(4)]


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.integers(0, 2**32), st.integers(1, 12), st.integers(1, 12), st.sampled_from([2, 5, 1000]), st.sampled_from([0.1, 0.5, 1.0]))
def test_costs_what_scipys_flow_carries(seed, h, w, largest, share):
    grid = random_grid(seed, h, w, largest, share)
    cost, cut = cut_of(*grid)
    assert cost == flow_of(*grid)
    assert cost == cost_of(cut, *grid)


@pytest.mark.parametrize(("h", "w"), [(3, 4), (4, 3), (6, 2), (12, 1), (1, 12)])
def test_takes_in_what_every_minimum_cut_takes_in(h, w):
    for seed in range(6):
        grid = random_grid(seed, h, w, 4, 0.7)
        cuts = [np.array(bits, bool).reshape(h, w) for bits in itertools.product((False, True), repeat=h * w)]
        costs = np.array([cost_of(cut, *grid) for cut in cuts])
        best = [cuts[i] for i in np.flatnonzero(costs == costs.min())]
        cost, cut = cut_of(*grid)
        assert cost == costs.min()
        assert (cut == np.logical_and.reduce(best)).all()


@pytest.mark.parametrize("largest", [3, 10_000])
def test_does_not_depend_on_the_order_of_the_pixels(largest):
    source, sink, right, down = random_grid(7, 60, 80, largest, 0.6)
    source, sink = source * (source > 0.9 * largest), sink * (sink > 0.9 * largest)
    cost, cut = cut_of(source, sink, right, down)
    # Upside down, and begun at another column.
    turned = [source[::-1], sink[::-1], right[::-1], np.roll(down[::-1], -1, axis=0)]
    turned_cost, turned_cut = cut_of(*(np.ascontiguousarray(np.roll(part, 13, axis=1)) for part in turned))
    assert turned_cost == cost
    assert (np.roll(turned_cut, -13, axis=1)[::-1] == cut).all()


def seam_grid(h, w, seed, softness):
    """Source at the left edge, sink at the right, costs with valleys and ridges in between."""
    import cv2

    noise = np.random.default_rng(seed).standard_normal((h, w)).astype(np.float32)
    cost = (200 * (8 * cv2.GaussianBlur(noise, (0, 0), softness)) ** 2 + 5).astype(np.int32)
    right, down = cost + np.roll(cost, -1, axis=1), cost + np.roll(cost, -1, axis=0)
    right[:, -1] = 0
    source, sink = np.zeros((2, h, w), np.int32)
    source[:, 0], sink[:, -1] = 10**6, 10**6
    return source, sink, right, down


@pytest.mark.parametrize("softness", [1.0, 3.0])
def test_seams_of_a_few_thousand_pixels(softness):
    grid = seam_grid(90, 60, 3, softness)
    cost, cut = cut_of(*grid)
    assert cost == flow_of(*grid) == cost_of(cut, *grid)
    assert cut[:, 0].all()
    assert not cut[:, -1].any()


def test_follows_a_cheap_corridor():
    h, w = 40, 50
    source, sink, right, down = (np.zeros((h, w), np.int32) for _ in range(4))
    right[:, :-1], down[:] = 100, 100
    source[:, 0], sink[:, -1] = 10**6, 10**6
    corridor = np.round(25 + 12 * np.sin(np.arange(h) / 6)).astype(int)
    for y in range(h):
        right[y, corridor[y]] = 1
        low, high = sorted((corridor[y], corridor[min(y + 1, h - 1)]))
        down[y, low + 1 : high + 1] = 1
    cost, cut = cut_of(source, sink, right, down)
    assert (cut == (np.arange(w) <= corridor[:, None])).all()
    assert cost == h + np.abs(np.diff(corridor)).sum()


def test_around_the_edge_it_is_a_ring():
    # Source in column 2, sink in column 6 of 8: the ring must be cut on both sides, once across the edge.
    source, sink, right, down = (np.zeros((5, 8), np.int32) for _ in range(4))
    source[:, 2], sink[:, 6], right[:], down[:] = 1000, 1000, 9, 1
    right[:, 4], right[:, 7] = 2, 3
    cost, cut = cut_of(source, sink, right, down)
    assert cost == 5 * (2 + 3)
    assert cut[0].tolist() == [True, True, True, True, True, False, False, False]
