"""Masks of things in a photograph, found without anything learned: what a paste could have cut out.

Three kinds, so that a network relies on none of them: regions of a segmentation by colour (Felzenszwalb and Huttenlocher, «Efficient
Graph-Based Image Segmentation», 2004) that grow together into one thing; what GrabCut (Rother, Kolmogorov and Blake, 2004) finds in a
random box; and smooth blobs that follow nothing in the photograph.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage.segmentation import felzenszwalb

__all__ = ["draw_objects"]

COARSE, CUT = 96, 48
"""Px a side at which things are looked for, and at which GrabCut does, which is slow."""
LEAST, MOST = 0.02, 0.4
"""Share of the picture that a thing covers."""
TRIES = 6
Mask = NDArray[np.bool_]


def draw_objects(photo: NDArray[np.uint8], count: int, generator: np.random.Generator) -> list[Mask]:
    """Draw masks of things, cut out as roughly as people do.

    Parameters
    ----------
    photo : (n, n, 3) uint8
    count : int
        How many.
    generator : numpy.random.Generator

    Returns
    -------
    list of (n, n) bool
        Where each thing is; it covers 2 to 40 % of the picture.
    """
    coarse = cv2.resize(photo, (COARSE, COARSE), interpolation=cv2.INTER_AREA)
    scale = float(np.exp(generator.uniform(np.log(40), np.log(400))))
    regions = felzenszwalb(coarse, scale=scale, sigma=0.8, min_size=25)
    return [_draw_object(photo.shape[1::-1], coarse, regions, generator) for _ in range(count)]


def _draw_object(size: tuple[int, ...], coarse: NDArray[np.uint8], regions: NDArray[np.int64], generator: np.random.Generator) -> Mask:
    """One of them, of this width and height."""
    kind = generator.random()
    for _ in range(TRIES):
        found = _region(regions, generator) if kind < 0.5 else _cut_out(coarse, generator) if kind < 0.62 else _blob(generator)
        soft = cv2.resize(found.astype(np.float32), size, interpolation=cv2.INTER_CUBIC)
        soft = cv2.GaussianBlur(soft, (0, 0), float(generator.uniform(0.6, 2.5)))
        mask = _spread(soft > 0.5, int(generator.integers(-3, 5)))
        if LEAST <= mask.mean() <= MOST:
            return mask
    y, x = np.indices(size[::-1]) - np.array(size[::-1])[:, None, None] / 2  # a disc is always a thing
    return np.asarray(x * x + y * y < (0.2 * min(size)) ** 2)


def _region(regions: NDArray[np.int64], generator: np.random.Generator) -> Mask:
    """Neighbouring regions of a segmentation, grown from a random one until they cover enough."""
    wanted = COARSE**2 * float(np.exp(generator.uniform(np.log(LEAST), np.log(0.3))))
    y, x = generator.integers(COARSE // 8, COARSE * 7 // 8, 2)
    mask = regions == regions[y, x]
    while mask.sum() < wanted:
        beside = _spread(mask, 1) & ~mask
        around = regions[beside]
        if not len(around):
            break
        mask |= regions == around[generator.integers(len(around))]  # the longer their common border, the likelier
    return _whole(mask)


def _cut_out(coarse: NDArray[np.uint8], generator: np.random.Generator) -> Mask:
    """What GrabCut takes for the foreground of a random box."""
    w, h = (int(side) for side in generator.integers(CUT // 4, CUT * 3 // 4, 2))
    x, y = int(generator.integers(2, CUT - w - 1)), int(generator.integers(2, CUT - h - 1))
    small, found = cv2.resize(coarse, (CUT, CUT), interpolation=cv2.INTER_AREA), np.zeros((CUT, CUT), np.uint8)
    cv2.setRNGSeed(int(generator.integers(2**31)))
    cv2.grabCut(small, found, (x, y, w, h), np.zeros((1, 65)), np.zeros((1, 65)), 2, cv2.GC_INIT_WITH_RECT)
    mask = (found == cv2.GC_FGD) | (found == cv2.GC_PR_FGD)
    return _whole(cv2.resize(mask.astype(np.float32), coarse.shape[1::-1], interpolation=cv2.INTER_CUBIC) > 0.5)


def _blob(generator: np.random.Generator) -> Mask:
    """A smooth closed line around a random place."""
    radius = COARSE * float(np.sqrt(np.exp(generator.uniform(np.log(LEAST), np.log(0.35))) / np.pi))
    x, y = generator.uniform(0.2 * COARSE, 0.8 * COARSE, 2)
    turns = np.linspace(0, 2 * np.pi, 128, endpoint=False)
    waves = np.arange(1, 7)
    strengths = generator.normal(0, 0.25, (2, 6)) / waves
    far = radius * np.exp(strengths[0] @ np.cos(waves[:, None] * turns) + strengths[1] @ np.sin(waves[:, None] * turns))
    line = np.stack([x + far * np.cos(turns), y + far * np.sin(turns)], 1)
    mask = np.zeros((COARSE, COARSE), np.uint8)
    cv2.fillPoly(mask, [np.round(line).astype(np.int32)], 1)
    return mask.astype(bool)


def _whole(mask: Mask) -> Mask:
    """The largest connected part, without holes."""
    count, parts, about, _ = cv2.connectedComponentsWithStats(mask.view(np.uint8))
    if count < 2:
        return mask
    largest = np.asarray(parts == 1 + np.argmax(about[1:, cv2.CC_STAT_AREA]))
    outlines, _ = cv2.findContours(largest.view(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    filled = np.zeros(mask.shape, np.uint8)
    cv2.drawContours(filled, outlines, -1, 1, cv2.FILLED)
    return filled.astype(bool)


def _spread(mask: Mask, px: int) -> Mask:
    """The mask wider by so many px, or narrower."""
    if px == 0:
        return mask
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * abs(px) + 1,) * 2)
    return np.asarray((cv2.dilate if px > 0 else cv2.erode)(mask.view(np.uint8), disc)).astype(bool)
