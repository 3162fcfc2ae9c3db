"""A second look at the pictures, when the cameras are known: more matches, and better ones.

Matching sees each pair through a homography. Where the lens bends, that is a little wrong everywhere, and patches compared through it lie
a few hundredths of a pixel off, all to the same side. The adjusted cameras know better how a patch of one photo looks in the other; and
they say where any corner of one photo must be in the other, whether the detector found it in both or not.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
from numpy.typing import NDArray

from compositor.geometry.views import ray_directions, see
from compositor.register.adjust import Adjustment
from compositor.register.refine import refine_pixels
from compositor.threads import threads_allowed
from compositor.types import Camera, Features, Match

__all__ = ["sharpen", "worth_sharpening"]

FEW = 250
"""Matches of a pair; where the middling pair has fewer, corners are worth looking for."""

EXACT = 0.15
"""Median error, px of the reduced photos. Where it is more, the scene moved or the camera did, and a second look would not help."""

CORNERS, QUALITY, APART = 1500, 0.005, 7
"""Corners of a picture at most, their strength against the strongest (Shi & Tomasi 1994), and px between them."""

Floats = NDArray[np.float64]


def worth_sharpening(adjusted: Adjustment, matches: Sequence[Match]) -> bool:
    """Whether a lens bends or matches are few, and nothing worse than that keeps the cameras from being exact."""
    blunt = any(any(c.distortion) for c in adjusted.cameras) or float(np.median([m.inliers for m in matches])) < FEW
    return blunt and float(np.median(adjusted.errors)) < EXACT * float(np.median([m.pixel for m in matches]))


def sharpen(matches: Sequence[Match], cameras: dict[int, Camera], features: Sequence[Features]) -> list[Match]:
    """Match photos again where their cameras say.

    Parameters
    ----------
    matches : sequence of Match
        What the cameras were estimated from.
    cameras : dict
        Camera by photo index.
    features : sequence of Features
        Of every photo of the set.

    Returns
    -------
    list of Match
        Of the same pairs: the same points of the first photo and its other corners, wherever the patches agree. A pair that would lose
        points keeps those it has.
    """
    with ThreadPoolExecutor(threads_allowed()) as pool:
        firsts = sorted({m.first for m in matches})
        corners = dict(zip(firsts, pool.map(lambda i: corners_of(features[i]), firsts), strict=True))

        def again(match: Match) -> Match:
            i, j = match.first, match.second
            known = np.rint(features[i].to_picture(match.points_first)).astype(np.int64)
            pixels = np.unique(np.concatenate([known, corners[i]]), axis=0)
            found = brought_together(pixels, (cameras[i], cameras[j]), (features[i], features[j]))
            return match if len(found[0]) < match.inliers else dataclasses.replace(match, points_first=found[0], points_second=found[1])

        return list(pool.map(again, matches))


def corners_of(features: Features) -> NDArray[np.int64]:
    """Pixels, (n, 2), at which a picture has structure in both directions, where its mask lets it be looked at."""
    mask = None if features.mask is None else features.mask.astype(np.uint8)
    corners = cv2.goodFeaturesToTrack(features.picture, CORNERS, QUALITY, APART, mask=mask)
    return np.zeros((0, 2), np.int64) if corners is None else np.rint(corners[:, 0]).astype(np.int64)


def brought_together(
    pixels: NDArray[np.int64], cameras: tuple[Camera, Camera], features: tuple[Features, Features]
) -> tuple[Floats, Floats]:
    """Points of both photos, full-size px, that show the same thing: pixels of the first one's picture, sought where cameras say."""
    first, second = features
    full, step = first.to_full(pixels), 0.5 / first.scale[0]

    def seen(shift: tuple[float, float]) -> tuple[Floats, NDArray[np.bool_]]:
        positions, visible = see(cameras[1], ray_directions(cameras[0], full + np.array(shift)))
        return second.to_picture(positions), visible

    start, visible = seen((0.0, 0.0))
    around = [seen(shift) for shift in ((step, 0.0), (-step, 0.0), (0.0, step), (0.0, -step))]
    for _, also in around:
        visible = visible & also
    visible[visible] = second.may_look(start[visible])
    affine = np.stack([around[0][0] - around[1][0], around[2][0] - around[3][0]], axis=2)
    found, good = refine_pixels(first.picture, second.picture, pixels[visible], start[visible], affine[visible])
    return full[visible][good], second.to_full(found[good])
