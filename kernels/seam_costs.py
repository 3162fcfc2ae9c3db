"""What a seam costs, and the graph in which one photo may take pixels from the others.

The energy of a labelling is a sum over pixels and over pairs of neighbours, in whole units of 1/``UNITS``:

- a pair (p, q) with the owners a != b costs ``length`` + |a - b| at p + |a - b| at q (Kwatra et al., «Graphcut textures»,
  SIGGRAPH 2003) + ``gradient`` x (the steps from p to q in a and in b). Where a or b has no pixel at p, |a - b| is
  ``UNKNOWN`` there, so a seam does not follow a photo's border for want of anything to compare with.
- a pixel costs what its owner asks for it, at least nothing: more near the owner's border, or where the owner shows it badly.

The pair cost is a metric in the labels: |a - b| is one, it stays one with a label that is equally far from all others and at
least half as far as two colours can be (``UNKNOWN``), c(a) + c(b) is one for any c >= 0, and rounding up keeps the triangle
inequality. Hence every expansion move is a minimum cut (Boykov, Veksler and Zabih, PAMI 2001).

All photos lie one after the other in flat arrays: ``colours`` (N, 3) float32 in 0..1, ``depths`` (N,) float32, the distance
to the photo's own border, 0 where it has no pixel, and ``costs`` (N,) int32, what each pixel costs its owner. A row of ``frames``
(n, 5) int64 is (first pixel, x, y, w, h) of a photo on the canvas. ``weights`` is (length, gradient) float64. ``labels`` is (h, w)
int16, the owners, -1 for nobody. Nothing is checked: frames must lie on the canvas, columns beyond its width being those at
its left, and a label must name a photo that has the pixel.
"""

import math

import numpy as np
from numba import njit

UNITS = 10_000.0
UNKNOWN = 1.0  # at least sqrt(3) / 2, see above


@njit(cache=True, nogil=True)
def _locate(frames, depths, photo, y, x, columns):
    """Where the photo's pixel at (y, x) of the canvas lies in the flat arrays, or -1."""
    left = x - frames[photo, 1]
    if left < 0:
        left += columns
    top = y - frames[photo, 2]
    if left >= frames[photo, 3] or top < 0 or top >= frames[photo, 4]:
        return np.int64(-1)
    at = frames[photo, 0] + top * frames[photo, 3] + left
    return at if depths[at] > 0.0 else np.int64(-1)


@njit(cache=True, nogil=True)
def _between(colours, i, j):
    return math.sqrt((colours[i, 0] - colours[j, 0]) ** 2 + (colours[i, 1] - colours[j, 1]) ** 2 + (colours[i, 2] - colours[j, 2]) ** 2)


@njit(cache=True, nogil=True)
def _pair_cost(colours, a_p, a_q, b_p, b_q, weights):
    """Cost of a seam between neighbours p and q of two photos, given where their pixels lie; even, so that its half is whole."""
    cost = weights[0]
    cost += _between(colours, a_p, b_p) if a_p >= 0 and b_p >= 0 else UNKNOWN
    cost += _between(colours, a_q, b_q) if a_q >= 0 and b_q >= 0 else UNKNOWN
    if weights[1] > 0.0:
        if a_p >= 0 and a_q >= 0:
            cost += weights[1] * _between(colours, a_p, a_q)
        if b_p >= 0 and b_q >= 0:
            cost += weights[1] * _between(colours, b_p, b_q)
    return 2 * math.ceil(cost * (UNITS / 2))


@njit(cache=True, nogil=True)
def deepest_photo(depths, frames, deepest, labels):
    """Give every pixel to the photo in which it lies deepest, the first of several.

    Parameters
    ----------
    depths, frames : see the top of the file
    deepest : (h, w) float32
        Scratch, zeros; on return the depth in the owner.
    labels : (h, w) int16
        Output; must hold -1 everywhere.
    """
    columns = labels.shape[1]
    for photo in range(len(frames)):
        first, left, top, w, h = frames[photo]
        for row in range(h):
            for column in range(w):
                depth = depths[first + row * w + column]
                y, x = top + row, left + column
                if x >= columns:
                    x -= columns
                if depth > deepest[y, x]:
                    deepest[y, x] = depth
                    labels[y, x] = photo


@njit(cache=True, nogil=True)
def refine_labels(coarse, depths, frames, labels):
    """Take over the owners found on a canvas of half the size, where these photos have the pixel.

    Parameters
    ----------
    coarse : (ceil(h / 2), ceil(w / 2)) int16
        Owners on the smaller canvas.
    depths, frames : see the top of the file, of the larger canvas
    labels : (h, w) int16
        Changed.
    """
    rows, columns = labels.shape
    for y in range(rows):
        for x in range(columns):
            photo = coarse[y // 2, x // 2]
            if photo >= 0 and _locate(frames, depths, photo, y, x, columns) >= 0:
                labels[y, x] = photo


@njit(cache=True, nogil=True)
def near_seams(labels, wraps, radius, near):
    """Mark the pixels within some distance of a seam.

    Parameters
    ----------
    labels : (h, w) int16
    wraps : bool
        Whether the first column is the right neighbour of the last.
    radius : int
        Distance in rows and in columns, px; less than w.
    near : (h, w) bool
        Output; false on entry.
    """
    rows, columns = labels.shape
    for y in range(rows):
        for x in range(columns):
            for direction in range(2):
                v, u = y + direction, x + 1 - direction
                if u == columns and wraps:
                    u = 0
                if v == rows or u == columns or labels[y, x] < 0 or labels[v, u] < 0 or labels[v, u] == labels[y, x]:
                    continue
                for j in range(max(0, y - radius + 1), min(rows, y + radius + direction)):
                    for i in range(x - radius + 1, x + radius + 1 - direction):
                        if wraps:
                            near[j, i % columns] = True
                        elif 0 <= i < columns:
                            near[j, i] = True


@njit(cache=True, nogil=True)
def contested_box(photo, depths, frames, labels, allowed, box):
    """Find the part of a photo's frame that holds all pixels it may take from others.

    Parameters
    ----------
    photo : int
    depths, frames, labels : see the top of the file
    allowed : (h, w) bool
        Pixels of the canvas whose owner may change.
    box : (4,) int64
        Output: left, top, right, bottom in the photo's frame, ends excluded; right <= left when there is no such pixel.
    """
    first, left, top, w, h = frames[photo]
    columns = labels.shape[1]
    box[0], box[1], box[2], box[3] = w, h, 0, 0
    for row in range(h):
        for column in range(w):
            x = left + column
            if x >= columns:
                x -= columns
            if depths[first + row * w + column] > 0.0 and labels[top + row, x] != photo and allowed[top + row, x]:
                box[0], box[2] = min(box[0], column), max(box[2], column + 1)
                box[1], box[3] = min(box[1], row), max(box[3], row + 1)


@njit(cache=True, nogil=True)
def _link(photo, y, x, v, u, colours, depths, frames, labels, allowed, weights, ends):
    """Capacity between two neighbours; ``ends`` receives the cost of taking minus that of leaving each one.

    With A, B, C the cost when both keep their owners, only the second is taken, only the first is taken (and nothing when
    both are), the pair is (B + C - A) / 2 for being separated and (C - B - A) / 2, (B - C - A) / 2 for taking either one.
    """
    columns = labels.shape[1]
    a, b = labels[y, x], labels[v, u]
    ends[0], ends[1] = 0, 0
    if a < 0 or b < 0:
        return 0
    k_p = _locate(frames, depths, photo, y, x, columns)
    k_q = _locate(frames, depths, photo, v, u, columns)
    first_moves = a != photo and k_p >= 0 and allowed[y, x]
    second_moves = b != photo and k_q >= 0 and allowed[v, u]
    if not (first_moves or second_moves):
        return 0
    a_p, a_q = _locate(frames, depths, a, y, x, columns), _locate(frames, depths, a, v, u, columns)
    b_p, b_q, keep = a_p, a_q, 0
    if b != a:
        b_p, b_q = _locate(frames, depths, b, y, x, columns), _locate(frames, depths, b, v, u, columns)
        keep = _pair_cost(colours, a_p, a_q, b_p, b_q, weights)
    first, second = 0, 0  # only that pixel is taken; nothing when the other is the photo's already
    if first_moves and b != photo:
        first = _pair_cost(colours, k_p, k_q, b_p, b_q, weights)
    if second_moves and a != photo:
        second = _pair_cost(colours, a_p, a_q, k_p, k_q, weights)
    if first_moves and second_moves:
        keep = min(keep, first + second)  # larger by floating-point noise at most
        ends[0] = (first - second - keep) // 2
        ends[1] = (second - first - keep) // 2
        return (first + second - keep) // 2
    if first_moves:
        ends[0] = first - keep
    else:
        ends[1] = second - keep
    return 0


@njit(cache=True, nogil=True)
def expansion_graph(photo, colours, depths, frames, costs, labels, allowed, wraps, weights, box, source, sink, right, down):
    """Fill the capacities of the cut that decides which pixels a photo takes: those on the source's side.

    One long loop, because a call with this many arrays that is not inlined costs more than most pixels do.

    Parameters
    ----------
    photo : int
    colours, depths, frames, costs, labels, weights : see the top of the file
    allowed, box : as for ``contested_box``
    wraps : bool
        Whether the first column is the right neighbour of the last.
    source, sink, right, down : (h, w) int32
        Output, for the pixels of the box; zeros on entry.
    """
    rows, columns = labels.shape
    h, w = source.shape
    ends = np.zeros(2, np.int64)
    # Each pair once, from its left or upper pixel; one row and column more than the box for the pairs that lead into it.
    for row in range(-1, h):
        y = frames[photo, 2] + box[1] + row
        if y < 0:
            continue
        for column in range(-1 if w < columns else 0, w):
            x = frames[photo, 1] + box[0] + column
            if x < 0:
                x += columns
            elif x >= columns:
                x -= columns
            if row >= 0 and column >= 0 and allowed[y, x] and labels[y, x] != photo:
                here = _locate(frames, depths, photo, y, x, columns)
                if here >= 0:
                    owner = labels[y, x]
                    there = _locate(frames, depths, owner, y, x, columns)
                    sink[row, column] += costs[here]
                    sink[row, column] -= costs[there]
            for direction in range(2):  # right, down
                v, u = y + direction, x + 1 - direction
                if u == columns and wraps:
                    u = 0
                if (row < 0 and direction == 0) or (column < 0 and direction == 1) or v == rows or u == columns:
                    continue
                # Asked before the call, which costs more than most answers.
                if not (allowed[y, x] or allowed[v, u]) or (labels[y, x] == photo and labels[v, u] == photo):
                    continue
                capacity = _link(photo, y, x, v, u, colours, depths, frames, labels, allowed, weights, ends)
                if row >= 0 and column >= 0:
                    sink[row, column] += ends[0]
                    if direction == 0:
                        right[row, column] = capacity
                    else:
                        down[row, column] = capacity
                if ends[1] != 0:
                    sink[row + direction, (column + 1 - direction) % w] += ends[1]
    for row in range(h):
        for column in range(w):
            source[row, column] = max(0, -sink[row, column])
            sink[row, column] = max(0, sink[row, column])


@njit(cache=True, nogil=True)
def apply_expansion(photo, frames, box, cut, labels, stale):
    """Hand the pixels of the cut to a photo, and mark the photos that see a change.

    Parameters
    ----------
    photo : int
    frames, labels : see the top of the file; ``labels`` is changed
    box : as ``contested_box`` found it
    cut : (h, w) uint8
        1 where the photo takes the pixel.
    stale : (n,) bool
        Set for every other photo whose frame holds or touches a pixel that changed.
    """
    columns = labels.shape[1]
    for row in range(cut.shape[0]):
        y = frames[photo, 2] + box[1] + row
        for column in range(cut.shape[1]):
            if cut[row, column] == 0:
                continue
            x = (frames[photo, 1] + box[0] + column) % columns
            labels[y, x] = photo
            for other in range(len(frames)):
                if not stale[other] and other != photo:
                    left = (x - frames[other, 1] + columns + 1) % columns
                    top = y - frames[other, 2] + 1
                    if left <= frames[other, 3] + 1 and 0 <= top <= frames[other, 4] + 1:
                        stale[other] = True  # never back to false: photos that do not touch may mark others at the same time


@njit(cache=True, nogil=True)
def seam_energy(colours, depths, frames, costs, labels, wraps, weights):
    """Energy of a labelling; the parameters are described at the top of the file.

    Returns
    -------
    int
        In units of 1/``UNITS``.
    """
    rows, columns = labels.shape
    energy = np.int64(0)
    for y in range(rows):
        for x in range(columns):
            a = labels[y, x]
            if a < 0:
                continue
            a_p = _locate(frames, depths, a, y, x, columns)
            energy += costs[a_p]
            for direction in range(2):
                v, u = y + direction, x + 1 - direction
                if u == columns and wraps:
                    u = 0
                if v == rows or u == columns or labels[v, u] < 0 or labels[v, u] == a:
                    continue
                b = labels[v, u]
                a_q, b_q = _locate(frames, depths, a, v, u, columns), _locate(frames, depths, b, v, u, columns)
                energy += _pair_cost(colours, a_p, a_q, _locate(frames, depths, b, y, x, columns), b_q, weights)
    return energy
