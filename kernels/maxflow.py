"""Minimum cut on a grid of pixels.

Boykov and Kolmogorov, «An experimental comparison of min-cut/max-flow algorithms for energy minimization in vision», PAMI 2004.
A source tree and a sink tree of unsaturated edges grow towards each other; where they touch, flow is sent along the path,
which saturates edges and cuts branches off; each cut-off pixel («orphan») looks for a new parent that still hangs on a
terminal, and is set free when there is none. When neither tree can grow, the source tree is what the source can still reach:
the smallest minimum cut. That set does not depend on the order of the work, so ties need no rule.

Capacities are integers, so sums are exact. Pixels are numbered down the columns: the right neighbour of p is p + h, and
beyond the last column that is a pixel of the first when taken modulo the number of pixels, so a grid that wraps around costs
nothing more. A direction is 0 right, 1 left, 2 down, 3 up; ``direction ^ 1`` is the way back.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

FREE, SOURCE, SINK = 0, 1, 2
ORPHAN, NOBODY, TERMINAL = -2, -1, 4  # what ``parent`` holds besides a direction
FAR = 1 << 30


class Forest(NamedTuple):
    """The two search trees and the capacities left."""

    residual: np.ndarray  # (n, 4) int32, left from the pixel in each direction
    terminal: np.ndarray  # (n,) int32, left from the source when positive, towards the sink when negative
    tree: np.ndarray  # (n,) int8
    parent: np.ndarray  # (n,) int8
    stamp: np.ndarray  # (n,) int32, when ``distance`` was last known to be right
    distance: np.ndarray  # (n,) int32, edges to the terminal
    active: np.ndarray  # (n + 1,) int32, ring of the pixels that may still grow
    waiting: np.ndarray  # (n,) bool, whether the pixel is in that ring
    orphans: np.ndarray  # (n + 1,) int32, ring
    rings: np.ndarray  # (4,) int64, head and tail of ``active``, head and tail of ``orphans``
    rows: int


@njit(cache=True, nogil=True)
def _neighbour(forest, p, direction):
    count = forest.tree.size
    if direction == 0:
        q = p + forest.rows
        return q - count if q >= count else q
    if direction == 1:
        q = p - forest.rows
        return q + count if q < 0 else q
    # Edges over the top and the bottom have no capacity; the pixel they name only has to exist.
    if direction == 2:
        return p + 1 if p + 1 < count else 0
    return p - 1 if p > 0 else count - 1


@njit(cache=True, nogil=True)
def _capacity(forest, tree, p, q, direction):
    """What can still flow along the edge from p to its neighbour q, away from the source or towards the sink."""
    return forest.residual[p, direction] if tree == SOURCE else forest.residual[q, direction ^ 1]


@njit(cache=True, nogil=True)
def _activate(forest, p):
    if not forest.waiting[p]:
        forest.waiting[p] = True
        tail = forest.rings[1]
        forest.active[tail] = p
        forest.rings[1] = tail + 1 if tail + 1 < forest.active.size else 0


@njit(cache=True, nogil=True)
def _next_active(forest):
    """The pixel that has waited longest and is still in a tree, or -1."""
    while forest.rings[0] != forest.rings[1]:
        head = forest.rings[0]
        p = forest.active[head]
        forest.rings[0] = head + 1 if head + 1 < forest.active.size else 0
        forest.waiting[p] = False
        if forest.tree[p] != FREE:
            return np.int64(p)
    return np.int64(-1)


@njit(cache=True, nogil=True)
def _orphan(forest, p):
    forest.parent[p] = ORPHAN
    tail = forest.rings[3]
    forest.orphans[tail] = p
    forest.rings[3] = tail + 1 if tail + 1 < forest.orphans.size else 0


@njit(cache=True, nogil=True)
def _plant(forest, source, sink, right, down):
    """Fill the capacities and start both trees; returns the flow that goes straight through single pixels."""
    rows, columns = source.shape
    flow = np.int64(0)
    for x in range(columns):
        for y in range(rows):
            p = x * rows + y
            flow += min(source[y, x], sink[y, x])
            forest.terminal[p] = source[y, x] - sink[y, x]
            forest.residual[p, 0] = right[y, x]
            forest.residual[p, 1] = right[y, x - 1 if x > 0 else columns - 1]
            forest.residual[p, 2] = down[y, x] if y + 1 < rows else 0
            forest.residual[p, 3] = down[y - 1, x] if y > 0 else 0
            forest.tree[p] = FREE
            forest.parent[p] = NOBODY
            forest.stamp[p] = 0
            forest.distance[p] = 1
            forest.waiting[p] = False
            if forest.terminal[p] != 0:
                forest.tree[p] = SOURCE if forest.terminal[p] > 0 else SINK
                forest.parent[p] = TERMINAL
                _activate(forest, p)
    return flow


@njit(cache=True, nogil=True)
def _grow(forest, p):
    """Take free neighbours of p into its tree; returns the direction of a neighbour in the other tree, or -1."""
    mine = forest.tree[p]
    for direction in range(4):
        q = _neighbour(forest, p, direction)
        if _capacity(forest, mine, p, q, direction) == 0:
            continue
        if forest.tree[q] == FREE:
            forest.tree[q] = mine
            _activate(forest, q)
        elif forest.tree[q] != mine:
            return direction
        elif forest.stamp[q] > forest.stamp[p] or forest.distance[q] <= forest.distance[p]:
            continue
        # A free pixel, or one of this tree whose way to the terminal is longer than through p.
        forest.parent[q] = direction ^ 1
        forest.stamp[q] = forest.stamp[p]
        forest.distance[q] = forest.distance[p] + 1
    return -1


@njit(cache=True, nogil=True)
def _bottleneck(forest, p):
    """What can flow between p and its terminal."""
    mine = forest.tree[p]
    amount = np.int64(FAR)
    while forest.parent[p] != TERMINAL:
        above = forest.parent[p]
        q = _neighbour(forest, p, above)
        amount = min(amount, _capacity(forest, mine, q, p, above ^ 1))
        p = q
    return min(amount, abs(forest.terminal[p]))


@njit(cache=True, nogil=True)
def _push(forest, p, amount):
    """Send flow between p and its terminal; pixels whose edge is used up become orphans."""
    from_source = forest.tree[p] == SOURCE
    while forest.parent[p] != TERMINAL:
        above = forest.parent[p]
        q = _neighbour(forest, p, above)
        sign = amount if from_source else -amount
        forest.residual[p, above] += sign
        forest.residual[q, above ^ 1] -= sign
        if (forest.residual[q, above ^ 1] if from_source else forest.residual[p, above]) == 0:
            _orphan(forest, p)
        p = q
    forest.terminal[p] += -amount if from_source else amount
    if forest.terminal[p] == 0:
        _orphan(forest, p)


@njit(cache=True, nogil=True)
def _distance(forest, p, now):
    """Edges from p to its terminal, or FAR when its branch is cut off; marks the way so that it is not walked again."""
    q, edges = p, 0
    while forest.stamp[q] != now:
        above = forest.parent[q]
        if above < 0:
            return FAR
        edges += 1
        if above == TERMINAL:
            forest.stamp[q] = now
            forest.distance[q] = 1
            edges -= 1
            break
        q = _neighbour(forest, q, above)
    edges += forest.distance[q]
    left = edges
    while forest.stamp[p] != now:
        forest.stamp[p] = now
        forest.distance[p] = left
        left -= 1
        p = _neighbour(forest, p, forest.parent[p])
    return edges


@njit(cache=True, nogil=True)
def _adopt(forest, p, now):
    """Give the orphan p the parent nearest to the terminal, or set it free and make its children orphans."""
    mine = forest.tree[p]
    nearest, parent = FAR, NOBODY
    for direction in range(4):
        q = _neighbour(forest, p, direction)
        if forest.tree[q] == mine and _capacity(forest, mine, q, p, direction ^ 1) > 0:
            edges = _distance(forest, q, now)
            if edges < nearest:
                nearest, parent = edges, direction
    forest.parent[p] = parent
    if parent != NOBODY:
        forest.stamp[p] = now
        forest.distance[p] = nearest + 1
        return
    forest.tree[p] = FREE
    for direction in range(4):
        q = _neighbour(forest, p, direction)
        if forest.tree[q] == mine:
            if _capacity(forest, mine, q, p, direction ^ 1) > 0:
                _activate(forest, q)  # it may want to take p back
            if forest.parent[q] == direction ^ 1:
                _orphan(forest, q)


@njit(cache=True, nogil=True)
def minimum_cut(source, sink, right, down, cut):
    """Split a grid of pixels where the edges that connect its parts are cheapest.

    Nothing is checked: the shapes must agree, capacities must not be negative, and a pixel's capacities must sum to less than
    2**30.

    Parameters
    ----------
    source : (h, w) int32
        Cost of leaving a pixel out of the cut.
    sink : (h, w) int32
        Cost of taking a pixel into the cut.
    right : (h, w) int32
        Cost of separating (y, x) and (y, x + 1), either way. The last column joins the first: zero where the grid does not wrap.
    down : (h, w) int32
        Cost of separating (y, x) and (y + 1, x), either way. The last row is not looked at.
    cut : (h, w) uint8
        Output: 1 on the source's side. Of all minimum cuts it is the one that takes in the fewest pixels.

    Returns
    -------
    int
        Cost of the cut.
    """
    rows, columns = source.shape
    n = rows * columns
    forest = Forest(
        np.empty((n, 4), np.int32),
        np.empty(n, np.int32),
        np.empty(n, np.int8),
        np.empty(n, np.int8),
        np.empty(n, np.int32),
        np.empty(n, np.int32),
        np.empty(n + 1, np.int32),
        np.empty(n, np.bool_),
        np.empty(n + 1, np.int32),
        np.zeros(4, np.int64),
        rows,
    )
    flow = _plant(forest, source, sink, right, down)
    now = 0
    p = _next_active(forest)
    while p >= 0:
        direction = _grow(forest, p)
        if direction < 0:
            p = _next_active(forest)
            continue
        now += 1
        q = _neighbour(forest, p, direction)
        if forest.tree[p] == SINK:
            p, q, direction = q, p, direction ^ 1
        amount = min(np.int64(forest.residual[p, direction]), _bottleneck(forest, p), _bottleneck(forest, q))
        flow += amount
        forest.residual[p, direction] -= amount
        forest.residual[q, direction ^ 1] += amount
        _push(forest, p, amount)
        _push(forest, q, amount)
        while forest.rings[2] != forest.rings[3]:
            head = forest.rings[2]
            forest.rings[2] = head + 1 if head + 1 < forest.orphans.size else 0
            _adopt(forest, np.int64(forest.orphans[head]), now)
        # Both ends may have more to grow, and either may have left its tree.
        _activate(forest, p)
        _activate(forest, q)
        p = _next_active(forest)
    for x in range(columns):
        for y in range(rows):
            cut[y, x] = forest.tree[x * rows + y] == SOURCE
    return flow
