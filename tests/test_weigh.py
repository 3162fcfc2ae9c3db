"""How reluctant photos are to show what others show better, and what that does to seams."""

from __future__ import annotations

import dataclasses
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest

from compositor.compose.grade import make_grading
from compositor.compose.seams import find_seams, seam_cost
from compositor.compose.warped import Warped, border_distance
from compositor.compose.weigh import LOSS, MOST, weigh_pixels
from compositor.encoding import decode_srgb, encode_srgb
from compositor.photometry import Photometry
from compositor.types import Camera, Canvas


def page(generator, h, w):
    """White paper with lines of dark words."""
    paper = np.full((h, w, 3), 0.93, np.float32)
    for top in range(12, h - 12, 13):
        left = 10
        while left < w - 60:
            right = left + int(generator.integers(10, 50))
            stems = np.repeat(generator.random((6, (right - left + 1) // 2)) < 0.5, 2, axis=1)[:, : right - left]
            paper[top : top + 6, left:right][stems] = 0.1
            left = right + 8
    return cv2.GaussianBlur(paper, (0, 0), 0.7)


@pytest.mark.parametrize("shift", [0, 1, 2])
@pytest.mark.parametrize("stops", [0.3, 0.45])
def test_a_page_burnt_out_in_one_photo_is_not_cut_along_the_others_border(stops, shift):
    generator = np.random.default_rng(3)
    whole = decode_srgb(page(generator, 450, 750).astype(np.float64))
    gains = np.array([[2 ** (stops / 2)] * 3, [2 ** (-stops / 2)] * 3])
    light, eye = (
        dataclasses.replace(Photometry.neutral(["left", "right"]), gains=gains),
        Camera("eye", (450, 450), 450.0, (224.5, 224.5), np.eye(3)),
    )
    drawn, graded = [], []
    for k, (part, left) in enumerate(((whole[:, :450], 0), (np.roll(whole, shift, axis=1)[:, 300:] * 2**stops, 300))):
        pixels = np.clip(encode_srgb(part) + generator.normal(0, 0.003, part.shape), 0, 1).astype(np.float32)
        drawn.append(Warped(pixels, np.ones(pixels.shape[:2], bool), (left, 0), radii=np.zeros(pixels.shape[:2], np.float32)))
        grading = make_grading(light, k, eye, np.dtype(np.float32), small=True)
        graded.append(dataclasses.replace(drawn[k], pixels=np.clip(grading.grade_scattered(pixels, drawn[k].radii), 0, 1)))
    assert drawn[1].pixels[:, :150].max(axis=2).mean() > 0.8
    canvas = Canvas("plane", 1.0, 0.0, 0.0, (750, 450))
    with ThreadPoolExecutor(2) as pool:
        weighed = weigh_pixels(drawn, graded, light, canvas, pool, ends=True)
    assert weighed[1].reluctance[:, :100].max() > 0.02
    labels = [find_seams(of, canvas.size, wraps=False, method="graphcut") for of in (graded, weighed)]
    costs = [seam_cost(graded, of, wraps=False) for of in labels]
    assert costs[1] < 1.08 * costs[0]
    # Not one row in which the seam lies at the border, 450.
    assert (labels[1] == 0).sum(axis=1).max() < 445


def slow_reluctance(drawn, graded, canvas):
    """What burnt-out pixels cost, pixel by pixel."""
    width, height = canvas.size
    lost = [photo.mask & (photo.pixels.max(axis=2) >= np.float32(0.97)) for photo in drawn]
    colours, room = np.zeros((height, width, 3)), np.zeros((height, width))
    for photo, burnt in zip(graded, lost, strict=True):
        depth = border_distance(photo.mask, around=canvas.wraps and photo.mask.shape[1] == width) / max(2, 0.1 * min(photo.mask.shape))
        for y, x in np.argwhere(photo.mask & ~burnt):
            at = y + photo.corner[1], (x + photo.corner[0]) % width
            colours[at] += min(1, depth[y, x]) * photo.pixels[y, x]
            room[at] += min(1, depth[y, x])
    costs = [np.zeros(photo.mask.shape) for photo in graded]
    for photo, burnt, cost in zip(graded, lost, costs, strict=True):
        for y, x in np.argwhere(burnt):
            at = y + photo.corner[1], (x + photo.corner[0]) % width
            if room[at] > 0:
                off = ((colours[at] / room[at] - photo.pixels[y, x]) ** 2).sum()
                cost[y, x] = min(1, room[at]) * min(LOSS * off, MOST)
    return costs


@pytest.mark.parametrize("seed", range(30))
def test_reluctance_is_what_adding_up_pixel_by_pixel_gives(seed):
    generator, wraps = np.random.default_rng(seed), bool(seed % 2)
    width, height, drawn = int(generator.integers(20, 60)), int(generator.integers(10, 30)), []
    for _ in range(int(generator.integers(2, 5))):
        w, h = (width if generator.random() < 0.2 else int(generator.integers(8, width + 1))), int(generator.integers(5, height + 1))
        corner = int(generator.integers(0, width if wraps else width - w + 1)), int(generator.integers(0, height - h + 1))
        pixels = np.clip(generator.random((h, w, 3), np.float32) * generator.choice([0.5, 1.2, 3.0]), 0, 1).astype(np.float32)
        drawn.append(Warped(pixels, generator.random((h, w)) < generator.choice([0.5, 1.1]), corner))
    graded = [dataclasses.replace(photo, pixels=np.asarray(photo.pixels * generator.uniform(0.5, 1), np.float32)) for photo in drawn]
    canvas, light = (
        Canvas("cylindrical" if wraps else "plane", 10.0, 0.0, 0.0, (width, height), wraps),
        Photometry.neutral(["a"] * len(drawn)),
    )
    with ThreadPoolExecutor(2) as pool:
        weighed = weigh_pixels(drawn, graded, light, canvas, pool, ends=True)
        unending = weigh_pixels(drawn, graded, light, canvas, pool, ends=False)
    for photo, same, cost in zip(weighed, unending, slow_reluctance(drawn, graded, canvas), strict=True):
        np.testing.assert_allclose(photo.reluctance, cost, atol=1e-6)
        assert not same.reluctance.any()
