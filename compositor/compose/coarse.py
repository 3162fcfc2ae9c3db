"""The bands of a blend that are too coarse for tiles, summed up on the reduced canvas, and how many bands there are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import Executor

import cv2
import numpy as np
from numpy.typing import NDArray

from compositor.compose.blend import add_bands, collapse, empty_pyramid, gaussian_variance
from compositor.compose.frames import add_at, frame_of, gather, goes_around
from compositor.compose.overlaps import overlaps
from compositor.compose.warp import Box
from compositor.compose.warped import Warped
from compositor.types import Canvas

__all__ = ["blend_coarse", "count_bands", "typical_overlap"]

Bools = NDArray[np.bool_]
Floats = NDArray[np.float32]

MOST_BANDS = 8
UNUSUAL, UNSEEN = 3.0, 0.05
"""Of the median difference of light between a photo and the others, beyond which it is one of things; and what is added to that."""


def typical_overlap(warped: Sequence[Warped], canvas: Canvas) -> float:
    """How wide overlaps are, reduced px: half of their area is in ones that are no wider; 0 where there is none."""
    widths, areas = [], []
    for i, first in enumerate(warped):
        for second in warped[i + 1 :]:
            for a, b in overlaps(first, second, canvas.size[0], canvas.wraps):
                both = first.mask[a] & second.mask[b]
                rows, columns = np.flatnonzero(both.any(axis=1)), np.flatnonzero(both.any(axis=0))
                if len(rows):
                    areas.append(int(both.sum()))
                    widths.append(areas[-1] / max(np.ptp(rows) + 1, np.ptp(columns) + 1))
    if not widths:
        return 0.0
    order = np.argsort(widths, kind="stable")
    middle = order[np.searchsorted(np.cumsum(np.asarray(areas)[order]), sum(areas) / 2)]
    return float(widths[middle])


def count_bands(width: float) -> int:
    """As many bands as overlaps of a width, px, have room for: the coarsest one reaches about half way across."""
    return min(MOST_BANDS, max(0, math.floor(math.log2(max(1.0, width / 8)))))


def blend_coarse(warped: Sequence[Warped], labels: NDArray[np.int16], canvas: Canvas, levels: int, bands: int, pool: Executor) -> Floats:
    """Sum of the coarse bands of the blend.

    Parameters
    ----------
    warped : sequence of Warped
        Exposures matched.
    labels : (H, W) int16
    canvas : Canvas
        The reduced one.
    levels : int
        Its level in the pyramid.
    bands : int
        Bands from that level on; what is left below them counts too.
    pool : Executor
        Works on a photo at a time; the sums are taken in the photos' order.

    Returns
    -------
    (H, W, 3) float32
        In units of full scale.
    """
    width, height = canvas.size
    total, picture = np.zeros((height, width, 1), np.float32), np.zeros((height, width, 3), np.float32)
    frames, reach = [frame_of(photo) for photo in warped], 4 * 2**bands

    def share_of(k: int) -> Floats:
        return _smooth_share(gather(labels, frames[k].grow(reach), canvas.wraps) == k, levels)

    shares = list(pool.map(share_of, range(len(warped))))
    for photo, share, frame in zip(warped, shares, frames, strict=True):
        own = share[reach:-reach, reach:-reach] * photo.mask[..., None]
        add_at(total, own, frame, canvas.wraps)
        add_at(picture, own * photo.pixels, frame, canvas.wraps)
    picture /= np.maximum(total, 1e-6)

    def bands_of(k: int) -> tuple[Box, Floats]:
        photo, frame = warped[k], frames[k]
        both = photo.mask & (gather(total, frame, canvas.wraps)[..., 0] > 1e-6)
        difference = np.where(both[..., None], photo.pixels - gather(picture, frame, canvas.wraps), np.float32(0))
        difference = _of_light(difference, both & (shares[k][reach:-reach, reach:-reach, 0] < 0.5))
        around, grown = goes_around(frame, canvas), frame.grow(reach)
        difference = np.pad(difference, ((reach, reach), (0, 0), (0, 0)))
        difference = np.pad(difference, ((0, 0), (reach, reach), (0, 0)), mode="wrap" if around else "constant")
        sums = empty_pyramid(grown.shape, bands)
        add_bands(difference, shares[k], sums)
        shown = grown.clip(Box(frame.left, 0, frame.right, height) if around else Box(grown.left, 0, grown.right, height))
        return shown, collapse(sums)[shown.within(grown)]

    correction = np.zeros_like(picture)
    for shown, part in pool.map(bands_of, range(len(warped))):
        add_at(correction, part, shown, canvas.wraps)
    return correction


def _smooth_share(mine: Bools, levels: int) -> NDArray[np.float32]:
    """A photo's share of every reduced pixel, (h, w, 1): its labels, blurred as much as that level of a Gaussian pyramid is."""
    part = gaussian_variance(levels) / 2
    kernel = np.array([part, 1 - 2 * part, part], np.float32)
    share = cv2.sepFilter2D(mine.astype(np.float32), -1, kernel, kernel, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(share[..., None], np.float32)


def _of_light(difference: Floats, other: Bools) -> Floats:
    """A photo's difference from the picture, where other photos own it, without what is a difference of things and not of light.

    What only one of two photos shows would stain its surroundings across the seam, as widely as the coarsest band reaches. Differences
    far beyond the usual one give way to those around them; the others are kept as they are.
    """
    size = np.linalg.norm(difference, axis=-1)
    usual = size[other]
    if not len(usual):
        return difference
    limit = np.float32(UNUSUAL * np.median(usual) + UNSEEN)
    trust = np.where(other, (limit / np.maximum(size, limit)) ** 4, 0)[..., None].astype(np.float32)
    share = np.where(other[..., None], trust, np.float32(1))
    return np.asarray(share * difference + (1 - share) * _filled(difference * trust, trust), np.float32)


def _filled(sums: Floats, weights: Floats) -> Floats:
    """Weighted means (h, w, 3) of values times their weights, of ever wider neighbourhoods where the weights (h, w, 1) are small."""
    h, w = weights.shape[:2]
    if h < 2 or w < 2:
        mean = sums.sum(axis=(0, 1)) / np.maximum(weights.sum(), np.float32(1e-6))
        return np.broadcast_to(mean, sums.shape)
    half = ((w + 1) // 2, (h + 1) // 2)
    fewer = cv2.resize(weights, half, interpolation=cv2.INTER_AREA)[..., None]
    wide = _filled(cv2.resize(sums, half, interpolation=cv2.INTER_AREA), fewer)
    return np.asarray(sums + (1 - weights) * cv2.resize(wide, (w, h), interpolation=cv2.INTER_LINEAR), np.float32)
