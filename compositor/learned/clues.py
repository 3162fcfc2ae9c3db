"""What can be seen of a pasted object's tone: colours of the object, of what surrounds it, and pairs across its border.

Samples at random places stand for the pixels: everything that is concluded from them is a statistic, and what is distorted or corrected
pixel by pixel can be distorted or corrected here alike, for thousands of examples at a time.
"""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["Clues", "gather_clues"]

OBJECT, NEAR, FAR, PAIRS = 256, 192, 256, 128
"""Samples: of the object, of the ring around it, of the whole picture without it, of pairs across its border."""
DEPTHS = (-5.0, -2.5, 2.5, 5.0)
"""Where the colours of a pair lie: px beyond the border, negative inside."""
WORKING = 256
"""Px along the longer side of the part of the picture that is looked at closely; it reaches an object's length beyond the object."""
RING = 16
SURE = 0.98
"""Share of a pixel from which on it counts as the object's; what has less than the rest counts as background."""
Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]


@dataclasses.dataclass(frozen=True, eq=False)
class Clues:
    """Samples of one composite, or, with one more dimension first, of several.

    Parameters
    ----------
    object : (256, 3) float32
        Encoded RGB, 0..1.
    object_places : (256, 2) float32
        Where, x and y, as shares of the part of the picture that was looked at.
    near, far : (192, 3) and (256, 3) float32
        Colours around the object, and anywhere but in it.
    pairs : (128, 4, 3) float32
        Colours along lines across the border: deep inside, inside, outside, far outside.
    pair_places : (128, 2) float32
    pair_weights : (128,) float32
        1, or 0 where the line leaves the picture or meets the object twice.
    share : () float32
        How much of the part that was looked at is the object.
    """

    object: Floats
    object_places: Floats
    near: Floats
    far: Floats
    pairs: Floats
    pair_places: Floats
    pair_weights: Floats
    share: Floats

    @classmethod
    def stack(cls, several: list[Clues]) -> Clues:
        """Those of several composites as one."""
        return cls(**{f.name: np.stack([getattr(one, f.name) for one in several]) for f in dataclasses.fields(cls)})


@dataclasses.dataclass(frozen=True, eq=False)
class _Reduced:
    """A composite as small as clues need it: the part around the object, and all of it.

    ``inside`` and ``ring`` are the part's pixels that surely are the object's, or surely not and near it; ``outside`` all that surely are
    not, ``elsewhere`` those of the whole; ``beyond`` is the distance of the part's pixels from the border, px, negative inside.
    """

    close: Floats
    whole: Floats
    inside: Mask
    outside: Mask
    ring: Mask
    elsewhere: Mask
    beyond: Floats


def gather_clues(pixels: Floats, alpha: Floats, generator: np.random.Generator, *, looks: int = 1) -> list[Clues]:
    """Sample a composite.

    Parameters
    ----------
    pixels : (h, w, 3) float32
        Encoded RGB, 0..1.
    alpha : (h, w) float32
        Shares of the pixels that are the object's, 0..1.
    generator : numpy.random.Generator
    looks : int
        How often.

    Returns
    -------
    list of Clues
        Of every look; empty where there is no object, or nothing beside it.
    """
    reduced = _reduce(pixels, alpha)
    return [] if reduced is None else [_look(reduced, generator) for _ in range(looks)]


def _reduce(pixels: Floats, alpha: Floats) -> _Reduced | None:
    """The composite made small; None where there is nothing to compare."""
    there = alpha > 0.5
    rows, columns = np.flatnonzero(there.any(1)), np.flatnonzero(there.any(0))
    if not len(rows):
        return None
    h, w = alpha.shape
    margin = max(int(rows[-1] - rows[0]), int(columns[-1] - columns[0]), 8) + 1
    top, bottom = max(0, int(rows[0]) - margin), min(h, int(rows[-1]) + 1 + margin)
    left, right = max(0, int(columns[0]) - margin), min(w, int(columns[-1]) + 1 + margin)
    close, close_alpha = (_shrink(picture[top:bottom, left:right], WORKING) for picture in (pixels, alpha))
    whole, whole_alpha = (_shrink(picture, WORKING // 2) for picture in (pixels, alpha))
    inside, outside = close_alpha > SURE, close_alpha < 1 - SURE
    out, depth = (
        np.asarray(cv2.distanceTransform(part.view(np.uint8), cv2.DIST_L2, 5)) - np.float32(0.5)
        for part in (close_alpha < 0.5, close_alpha >= 0.5)
    )
    ring, elsewhere = outside & (out < RING), whole_alpha < 1 - SURE
    if not (inside.any() and ring.any() and elsewhere.any()):
        return None
    return _Reduced(close, whole, inside, outside, ring, elsewhere, np.where(out > 0, out, -depth))


def _look(reduced: _Reduced, generator: np.random.Generator) -> Clues:
    """Samples at random places."""
    close, whole = reduced.close, reduced.whole
    pairs, pair_places, pair_weights = _pairs(close, reduced.inside, reduced.outside, reduced.beyond, generator)
    places = _draw(reduced.inside, OBJECT, generator)
    near, far = _draw(reduced.ring, NEAR, generator), _draw(reduced.elsewhere, FAR, generator)
    size = np.array(close.shape[1::-1], np.float32)
    return Clues(
        object=close[places[:, 0], places[:, 1]],
        object_places=((places[:, ::-1] + 0.5) / size).astype(np.float32),
        near=close[near[:, 0], near[:, 1]],
        far=whole[far[:, 0], far[:, 1]],
        pairs=pairs,
        pair_places=((pair_places + 0.5) / size).astype(np.float32),
        pair_weights=pair_weights,
        share=np.asarray((reduced.beyond <= 0).mean(), np.float32),
    )


def _pairs(close: Floats, inside: Mask, outside: Mask, beyond: Floats, generator: np.random.Generator) -> tuple[Floats, Floats, Floats]:
    """Colours along lines across the border, where these cross it (x, y), and which are to be believed."""
    smooth = cv2.GaussianBlur(beyond.astype(np.float32), (0, 0), 2.0)
    normal = np.stack([cv2.Sobel(smooth, cv2.CV_32F, 1, 0), cv2.Sobel(smooth, cv2.CV_32F, 0, 1)], 2)
    normal /= np.maximum(np.linalg.norm(normal, axis=2, keepdims=True), 1e-6)
    border = np.abs(beyond) <= 1
    places = _draw(border if border.any() else inside, PAIRS, generator)
    here = normal[places[:, 0], places[:, 1]]
    start = places[:, ::-1].astype(np.float32) - here * beyond[places[:, 0], places[:, 1]][:, None]
    # Means over what surely is the object, or surely is not, so that mixed pixels of the border tell nothing.
    sides = [_means(close, side) for side in (inside, outside)]
    colours, weights = [], np.ones(PAIRS, np.float32)
    for depth in DEPTHS:
        at = (start + here * depth)[:, None]
        means, known = (cv2.remap(picture, at, None, cv2.INTER_LINEAR, borderValue=0)[:, 0] for picture in sides[depth > 0])
        colours.append(means)
        weights *= known > 0.2
    return np.stack(colours, 1).astype(np.float32), start.astype(np.float32), weights


def _means(pixels: Floats, mask: Mask) -> tuple[Floats, Floats]:
    """Means over the masked pixels of 3 x 3, and how many these are."""
    share = cv2.blur(mask.astype(np.float32), (3, 3))
    means = cv2.blur(pixels * mask[..., None], (3, 3)) / np.maximum(share, 1e-3)[..., None]
    return np.asarray(means, np.float32), np.asarray(share, np.float32)


def _draw(mask: Mask, count: int, generator: np.random.Generator) -> NDArray[np.int64]:
    """Places in the mask, (count, 2): row and column."""
    places = np.argwhere(mask)
    return places[generator.integers(len(places), size=count)]


def _shrink(picture: Floats, longest: int) -> Floats:
    """A picture reduced to so many px along its longer side."""
    scale = longest / max(picture.shape[:2])
    if scale >= 1:
        return np.ascontiguousarray(picture)
    h, w = (max(1, round(side * scale)) for side in picture.shape[:2])
    return np.asarray(cv2.resize(picture, (w, h), interpolation=cv2.INTER_AREA), np.float32)
