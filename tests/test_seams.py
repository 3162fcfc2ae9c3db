"""Seams: who owns a pixel, and whether a cheaper way was left."""

from __future__ import annotations

import dataclasses
import itertools
import math
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compositor.compose.ghosts import vote_out_guests
from compositor.compose.seams import find_seams, seam_cost
from compositor.compose.warped import Warped
from compositor.kernels import maxflow, seam_costs
from compositor.types import Canvas

METHODS = ["graphcut", "voronoi"]


def random_photos(generator, size, wraps, count):
    """Photos of noise with holes, anywhere on the canvas, some of them all around it."""
    width, height = size
    photos = []
    for _ in range(count):
        w = width if generator.random() < 0.2 else int(generator.integers(1, width + 1))
        h = int(generator.integers(1, height + 1))
        x, y = generator.integers(0, width if wraps else width - w + 1), generator.integers(0, height - h + 1)
        pixels = generator.random((h, w, 3), np.float32) * generator.choice([0.05, 1.0])
        photos.append(Warped(pixels.astype(np.float32), generator.random((h, w)) < generator.choice([0.3, 0.9, 1.1]), (int(x), int(y))))
    return photos


def coverage(photos, size):
    covered = np.zeros((len(photos), size[1], size[0]), bool)
    for k, photo in enumerate(photos):
        y, x = np.nonzero(photo.mask)
        covered[k, y + photo.corner[1], (x + photo.corner[0]) % size[0]] = True
    return covered


def scenery(generator, h, w):
    noise = cv2.GaussianBlur(generator.standard_normal((h, w, 3)).astype(np.float32), (0, 0), 4)
    return np.clip(0.5 + 2.0 * noise, 0, 1)


def owners_have_their_pixels(labels, photos, size):
    covered = coverage(photos, size)
    y, x = np.nonzero(labels >= 0)
    return labels.dtype == np.int16 and ((labels >= 0) == covered.any(axis=0)).all() and covered[labels[y, x], y, x].all()


@settings(max_examples=80, deadline=None, derandomize=True)
@given(st.integers(0, 2**32), st.integers(3, 40), st.integers(1, 40), st.booleans(), st.integers(1, 5))
def test_every_covered_pixel_has_one_owner_that_has_it(seed, width, height, wraps, count):
    photos = random_photos(np.random.default_rng(seed), (width, height), wraps, count)
    costs = {}
    for method in METHODS:
        labels = find_seams(photos, (width, height), wraps=wraps, method=method)
        assert owners_have_their_pixels(labels, photos, (width, height))
        costs[method] = seam_cost(photos, labels, wraps=wraps)
    assert costs["graphcut"] <= costs["voronoi"]


@pytest.mark.parametrize("wraps", [False, True])
def test_large_canvases_keep_what_small_ones_promise(generator, wraps):
    size = (601, 203)  # the photos' frames are larger than what is solved at once, and odd
    scene = scenery(generator, size[1], 2 * size[0])
    scene[:, size[0] :] = scene[:, : size[0]]
    photos = []
    for k, x in enumerate([0, 150, 307, 430] if wraps else [0, 150, 307]):
        w = 601 if k == 1 and wraps else 290
        pixels = scene[k : 200 + k, x : x + w] + 0.1 * generator.standard_normal((200, w, 3))
        mask = np.ones((200, w), bool)
        mask[:20] = generator.random((20, w)) < 0.5
        photos.append(Warped(pixels.astype(np.float32), mask, (x, k)))
    labels = find_seams(photos, size, wraps=wraps, method="graphcut")
    assert owners_have_their_pixels(labels, photos, size)
    assert seam_cost(photos, labels, wraps=wraps) < seam_cost(photos, find_seams(photos, size, wraps=wraps, method="voronoi"), wraps=wraps)
    assert (labels == find_seams(photos, size, wraps=wraps, method="graphcut")).all()


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.integers(0, 2**32), st.booleans())
def test_the_result_does_not_depend_on_how_many_photos_are_worked_on_at_a_time(seed, wraps):
    generator, size = np.random.default_rng(seed), (90, 40)
    photos = []
    for x, y in itertools.product(range(0, 90, 15), (0, 18)):  # neighbours overlap, others touch, or stay a pixel apart
        w, h = (int(side) for side in generator.integers(14, 20, 2))
        w = w if wraps else min(w, 90 - x)
        pixels = generator.random((h, w, 3), np.float32) * generator.choice([0.05, 1.0])
        photos.append(Warped(pixels.astype(np.float32), np.ones((h, w), bool), (x, y)))
    alone = find_seams(photos, size, wraps=wraps, method="graphcut")
    with ThreadPoolExecutor(4) as pool:
        assert (find_seams(photos, size, wraps=wraps, method="graphcut", pool=pool) == alone).all()


def test_voronoi_splits_two_halves_in_the_middle():
    ones = np.ones((30, 60), bool)
    photos = [Warped(np.zeros((30, 60, 3), np.float32), ones, (0, 0)), Warped(np.zeros((30, 60, 3), np.float32), ones, (40, 0))]
    labels = find_seams(photos, (100, 30), wraps=False, method="voronoi")
    # Columns 40..59 are shared; in rows nearer to the top or bottom than to either side the first photo wins the tie.
    assert (labels[15] == np.repeat([0, 1], 50)).all()
    assert (labels[0] == np.repeat([0, 1], [60, 40])).all()


@pytest.mark.parametrize("w", [60, 300])  # at once, and small first
def test_seam_follows_the_corridor_where_the_photos_agree(generator, w):
    h, shared = w * 2 // 3, w * 2 // 3
    width = 2 * w - shared
    scene = scenery(generator, h, width)
    other = 1.0 - scene
    middle = w - shared / 2 + shared / 5 * np.sin(np.arange(h) * 9 / h)
    away = np.abs(np.arange(width) - middle[:, None])
    other[away < w / 20] = scene[away < w / 20]
    mask = np.ones((h, w), bool)
    photos = [Warped(scene[:, :w], mask, (0, 0)), Warped(other[:, width - w :], mask, (width - w, 0))]
    labels = find_seams(photos, (width, h), wraps=False, method="graphcut")
    seam = labels[:, 1:] != labels[:, :-1]
    assert (seam.sum(axis=1) >= 1).all()
    assert (away[:, 1:][seam] <= w / 20).all()
    assert cv2.connectedComponents((labels == 0).astype(np.uint8))[0] == 2


def test_seam_goes_around_what_only_one_photo_shows(generator):
    scene = scenery(generator, 200, 300)
    first, second = scene[:, :200].copy(), scene[:, 100:] + 0.02 * generator.standard_normal((200, 200, 3)).astype(np.float32)
    first[80:130, 120:165] = (1.0, 0.0, 0.0)  # across the middle of the overlap, columns 100..199
    mask = np.ones((200, 200), bool)
    photos = [Warped(first, mask, (0, 0)), Warped(second, mask, (100, 0))]
    halves = find_seams(photos, (300, 200), wraps=False, method="voronoi")[80:130, 120:165]
    labels = find_seams(photos, (300, 200), wraps=False, method="graphcut")[80:130, 120:165]
    assert halves.min() < halves.max()
    assert labels.min() == labels.max()


def test_seam_keeps_away_from_the_borders_of_photos_that_agree():
    # A seam costs the same everywhere, so only the borders matter.
    flat = np.full((120, 150, 3), 0.5, np.float32)
    mask = np.ones((120, 150), bool)
    labels = find_seams([Warped(flat, mask, (0, 0)), Warped(flat, mask, (100, 0))], (250, 120), wraps=False, method="graphcut")
    columns = (labels == 0).sum(axis=1)  # the first photo's last column, and how deep the pixels beside the seam are in either photo
    room = 12  # a tenth of the short side
    assert (150 - (columns - 1)).min() >= room
    assert (columns - 99).min() >= room


@pytest.mark.parametrize("method", METHODS)
def test_wrapping_is_the_same_problem_turned(method):
    size = (48, 20)
    for seed in range(12):
        generator = np.random.default_rng(seed)
        photos = random_photos(generator, (size[0] - 1, size[1]), False, 4)
        straight = find_seams(photos, size, wraps=False, method=method)
        # Column 47 is empty, so nothing meets around the edge.
        for shift in (1, 23, 40):
            turned = [Warped(photo.pixels, photo.mask, ((photo.corner[0] + shift) % size[0], photo.corner[1])) for photo in photos]
            assert (find_seams(turned, size, wraps=True, method=method) == np.roll(straight, shift, axis=1)).all()


def test_a_ring_of_photos_has_a_seam_across_the_edge(generator):
    size = (120, 40)
    scene = scenery(generator, 40, 120)
    photos = []
    for x in (10, 50, 90):
        pixels = np.roll(scene, -x, axis=1)[:, :60] + 0.02 * generator.standard_normal((40, 60, 3))
        photos.append(Warped(pixels.astype(np.float32), np.ones((40, 60), bool), (x, 0)))
    labels = find_seams(photos, size, wraps=True, method="graphcut")
    assert (labels[:, 0] == 2).all()  # columns 10..29 are shared by the last and the first
    assert (labels[:, 30:50] == 0).all()
    # The same ring opened elsewhere.
    turned = [Warped(photo.pixels, photo.mask, ((photo.corner[0] + 64) % 120, 0)) for photo in photos]
    assert (find_seams(turned, size, wraps=True, method="graphcut") == np.roll(labels, 64, axis=1)).all()


def with_guest(photo, left, top, side=14):
    """A photo with somebody in it."""
    pixels = photo.pixels.copy()
    pixels[top : top + side, left : left + side] = (0.9, 0.1, 0.1)
    return dataclasses.replace(photo, pixels=pixels)


@pytest.mark.parametrize("wraps", [False, True])
def test_a_guest_whom_two_other_photos_do_not_show_is_left_out(generator, wraps):
    size = (160, 60)
    scene = scenery(generator, 60, 160)
    corners = (0, 30, 60) if not wraps else (100, 130, 0)
    photos = []
    for x in corners:
        pixels = np.roll(scene, -x, axis=1)[:, :100] + 0.01 * generator.standard_normal((60, 100, 3))
        photos.append(Warped(pixels.astype(np.float32), np.ones((60, 100), bool), (x, 0)))
    # All three show the canvas' columns 60 to 99, from the first photo's corner on; he stands in the second, which lies deepest there.
    photos[1] = with_guest(photos[1], 45, 20)
    guest = (slice(20, 34), (corners[1] + 45 + np.arange(14)) % 160)
    if not wraps:  # where the canvas wraps a seam happens to leave him out anyway
        assert (find_seams(photos, size, wraps=wraps, method="graphcut")[guest] == 1).any()
    voted, guests = vote_out_guests(photos, Canvas("cylindrical" if wraps else "plane", 1.0, 0.0, 0.0, size, wraps))
    assert not (find_seams(voted, size, wraps=wraps, method="graphcut")[guest] == 1).any()
    assert guests[guest].all()
    assert guests.sum() < 20 * 20  # with the rim that blurring gave him
    assert voted[1].reluctance[20:34, 45:59].min() > 0
    assert voted[1].reluctance[:10].max() == 0
    assert voted[0].reluctance is None
    assert voted[2].reluctance is None


def test_two_photos_that_disagree_outvote_nobody(generator):
    scene = scenery(generator, 60, 160)
    photos = [Warped(scene[:, x : x + 100].copy(), np.ones((60, 100), bool), (x, 0)) for x in (0, 60)]
    photos[1] = with_guest(photos[1], 10, 20)
    voted, guests = vote_out_guests(photos, Canvas("plane", 1.0, 0.0, 0.0, (160, 60)))
    assert [photo.reluctance for photo in voted] == [None, None]
    assert not guests.any()


class Plain:
    """The energy again, without a kernel: every photo on the whole canvas, NaN where it has no pixel."""

    def __init__(self, photos, size, weights, wraps, generator):
        covered = coverage(photos, size)
        self.wraps, self.weights, (self.width, self.height) = wraps, weights, size
        self.colours = np.full((*covered.shape, 3), np.nan)
        self.depths = np.zeros(covered.shape)
        for k, photo in enumerate(photos):
            y, x = np.nonzero(photo.mask)
            self.colours[k, y + photo.corner[1], (x + photo.corner[0]) % size[0]] = photo.pixels[y, x]
            self.depths[k] = photo_depths(covered[k])
        self.costs = generator.random(covered.shape)

    def pair(self, p, q, a, b):
        length, gradient = self.weights
        differences = np.linalg.norm(self.colours[a] - self.colours[b], axis=-1)
        steps = [np.linalg.norm(self.colours[k][p] - self.colours[k][q]) for k in (a, b)]
        return length + sum(1.0 if math.isnan(differences[at]) else differences[at] for at in (p, q)) + gradient * np.nansum(steps)

    def energy(self, labels):
        total, units = 0, seam_costs.UNITS
        for y, x in zip(*np.nonzero(labels >= 0), strict=True):
            a = labels[y, x]
            total += math.ceil(units * self.costs[a, y, x])
            for v, u in ((y, x + 1), (y + 1, x)):
                u = u % self.width if self.wraps else u
                if v < self.height and u < self.width and labels[v, u] >= 0 and labels[v, u] != a:
                    total += 2 * math.ceil(self.pair((y, x), (v, u), a, labels[v, u]) * units / 2)
        return total


def photo_depths(covered):
    """Distance to the nearest pixel that the photo lacks; the test's masks are full rows and columns, so this is exact."""
    return cv2.distanceTransform(np.pad(covered, 1).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)[1:-1, 1:-1]


def flat_arrays(photos, plain):
    """What the kernels take."""
    frames, first = [], 0
    for photo in photos:
        h, w = photo.mask.shape
        frames.append((first, *photo.corner, w, h))
        first += h * w
    colours = np.concatenate([photo.pixels.reshape(-1, 3) for photo in photos])
    depths = [
        plain.depths[k][np.ix_(y + np.arange(h), (x + np.arange(w)) % plain.width)].ravel() * photos[k].mask.ravel()
        for k, (_, x, y, w, h) in enumerate(frames)
    ]
    costs = [plain.costs[k][np.ix_(y + np.arange(h), (x + np.arange(w)) % plain.width)].ravel() for k, (_, x, y, w, h) in enumerate(frames)]
    costs = np.ceil(seam_costs.UNITS * np.concatenate(costs)).astype(np.int32)
    return colours, np.concatenate(depths).astype(np.float32), np.array(frames), costs


@pytest.mark.parametrize("wraps", [False, True])
def test_an_expansion_is_the_best_of_all(wraps):
    size, weights = (4, 3), np.array([0.02, 0.25])
    for seed in range(8):
        generator = np.random.default_rng(seed)
        photos = random_photos(generator, size, wraps, 3)
        plain = Plain(photos, size, weights, wraps, generator)
        arrays = flat_arrays(photos, plain)
        labels = np.array(
            [[generator.choice(at.nonzero()[0]) if at.any() else -1 for at in row] for row in np.moveaxis(plain.depths, 0, 2)]
        )
        labels = labels.astype(np.int16)
        allowed = generator.random((3, 4)) < 0.8
        for photo in range(3):
            assert seam_costs.seam_energy(*arrays, labels, wraps, weights) == pytest.approx(plain.energy(labels), abs=4)
            free = [at for at in np.ndindex(3, 4) if allowed[at] and plain.depths[photo][at] > 0 and labels[at] != photo]
            best = np.inf
            for taken in itertools.product((False, True), repeat=len(free)):
                trial = labels.copy()
                for at, take in zip(free, taken, strict=True):
                    trial[at] = photo if take else trial[at]
                best = min(best, seam_costs.seam_energy(*arrays, trial, wraps, weights))
            expand(photo, arrays, labels, allowed, wraps, weights)
            assert seam_costs.seam_energy(*arrays, labels, wraps, weights) == best


def expand(photo, arrays, labels, allowed, wraps, weights):
    colours, depths, frames, costs = arrays
    box = np.zeros(4, np.int64)
    seam_costs.contested_box(photo, depths, frames, labels, allowed, box)
    if box[2] <= box[0]:
        return
    graph = np.zeros((4, box[3] - box[1], box[2] - box[0]), np.int32)
    seam_costs.expansion_graph(photo, colours, depths, frames, costs, labels, allowed, wraps, weights, box, *graph)
    cut = np.zeros(graph.shape[1:], np.uint8)
    maxflow.minimum_cut(*graph, cut)
    before, stale = labels.copy(), np.zeros(len(frames), bool)
    seam_costs.apply_expansion(photo, frames, box, cut, labels, stale)
    assert (labels[before != labels] == photo).all()
    for other in set(before[before != labels].tolist()):
        assert stale[other]


@pytest.mark.parametrize(("wraps", "expected"), [(False, "...####.####..."), (True, "##.####.####.##")])
def test_near_seams_marks_a_band(wraps, expected):
    labels = np.array([[0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2]] * 5, np.int16)
    near = np.zeros(labels.shape, bool)
    seam_costs.near_seams(labels, wraps, 2, near)
    assert ["".join(".#"[int(value)] for value in row) for row in near] == [expected] * 5


def test_refined_labels_are_the_coarse_ones_where_the_photo_has_the_pixel():
    coarse = np.array([[0, 1], [1, -1]], np.int16)
    depths = np.ones(18, np.float32)
    depths[1] = 0  # the first photo lacks (0, 1)
    labels = np.full((3, 3), 7, np.int16)
    seam_costs.refine_labels(coarse, depths, np.array([[0, 0, 0, 3, 3], [9, 0, 0, 3, 3]]), labels)
    assert labels.tolist() == [[0, 7, 1], [0, 0, 1], [1, 1, 7]]


@pytest.mark.parametrize(("contrast", "shift"), [(0.1, 2.0), (0.2, 1.0), (0.4, 0.5)])
def test_a_straight_edge_is_not_cut_where_parallax_displaces_it(generator, contrast, shift):
    """A wire that every seam has to cross somewhere lies apart in the left half of the overlap, and meets in the right one."""
    y, x = np.mgrid[:240, :300].astype(np.float32)
    ground = 0.5 + 0.03 * cv2.GaussianBlur(generator.standard_normal((240, 300)).astype(np.float32), (0, 0), 3) / 0.094
    photos = []
    for part, apart in ((x < 210, 0.0), (x >= 90, shift)):
        height = 120 + apart * np.clip((170 - x) / 40, 0, 1)
        shown = ground + contrast * np.clip(3 - np.abs(y - height), 0, 1)
        photos.append(Warped(np.repeat(shown[..., None], 3, axis=2).astype(np.float32), part, (0, 0)))
    rows = (find_seams(photos, (300, 240), wraps=False, method=method)[120] for method in METHODS)
    crossed, halfway = (np.flatnonzero(row[1:] != row[:-1]) for row in rows)
    assert halfway.min() < 160
    # From column 170 on both show it at one height; a pixel or two before that it lies a twentieth of a pixel apart.
    assert len(crossed) >= 1
    assert crossed.min() >= 165
