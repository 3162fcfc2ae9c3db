"""Which photos overlap, and by which points: mutual ratio matching, a robust homography, and a probabilistic check."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
from numpy.typing import NDArray

from compositor.kernels.matching import best_two, best_two_bits
from compositor.register.refine import refine_match
from compositor.types import Features, Match

__all__ = ["Verdict", "match_features", "match_pair"]

ROWS = 4096
"""Features of a photo that are compared with all of another's at a time: however many there are, memory is bounded."""

RATIO = 0.8
"""A match counts when its distance is below this times the second best's (Lowe 2004)."""

THRESHOLD = 3.0
"""Reprojection error of an inlier, px of the reduced photo."""

ALPHA, BETA = 8.0, 0.3
"""Brown & Lowe 2007, section 3.2: a pair is accepted when inliers > ALPHA + BETA * matches in the overlap."""


EXACT = 0.25
"""Root mean square error, px of the reduced photo, below which a few matches are believed."""

CROWDED = 0.1
"""Share of the predicted overlap that the matched points' hull must cover to be believed without a look at the pictures."""

COARSE = 96
"""Size, px, at which pictures are compared as a whole."""

ALIKE = 0.3
"""Correlation of the overlaps of two photos of one scene; unequal exposure does not change it, parallax and movement hardly."""

SPREAD = 0.25
"""Extent that they must have, in units of the photo's shorter side: a logo or a lamp can be anywhere."""


@dataclasses.dataclass(frozen=True, eq=False)
class Verdict:
    """What comparing two photos came to.

    Parameters
    ----------
    match : Match or None
        The verified match, None when the photos do not overlap as far as can be told.
    inliers : int
        Matches that agree with one homography.
    needed : int
        How many it would have taken.
    candidates : ((n, 2) float64, (n, 2) float64)
        All points that were matched, right or wrong, in full-size pixels of either photo.
    homography : (3, 3) float64 or None
        The one that most matches agree with, believed or not.
    alike : bool
        The pictures agree around the matched points as far as was looked.
    pixel : float
        Size of a reduced pixel in full-size px.
    """

    match: Match | None
    inliers: int
    needed: int
    candidates: tuple[NDArray[np.float64], NDArray[np.float64]]
    homography: NDArray[np.float64] | None = None
    alike: bool = True
    pixel: float = 1.0


def match_features(first: Features, second: Features, *, most: int | None = None) -> NDArray[np.int64]:
    """Match the descriptors of two photos: mutual nearest neighbours that pass Lowe's ratio test.

    Parameters
    ----------
    first, second : Features
        Of either photo; both from the same detector.
    most : int, optional
        Only the strongest so many features of each are compared.

    Returns
    -------
    (n, 2) int64
        Indices into ``first`` and ``second``.
    """
    a, b = first.descriptors[:most], second.descriptors[:most]
    if len(a) < 2 or len(b) < 2:
        return np.zeros((0, 2), np.int64)
    best, second_best, index, back = (nearest_bits if a.dtype == np.uint8 else nearest_vectors)(a, b)
    rows = np.flatnonzero((best < RATIO * second_best) & (back[index] == np.arange(len(a))))
    return np.column_stack([rows, index[rows]]).astype(np.int64)


Neighbours = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int32], NDArray[np.int32]]
"""Distance to the nearest and the second nearest of the others, and who is nearest, forth and back."""


def nearest_vectors(a: NDArray[np.float32], b: NDArray[np.float32]) -> Neighbours:
    """Nearest unit vectors: a matrix product gives all cosines of some with all others, and squared distance = 2 - 2 * cosine."""
    best, second = np.empty(len(a), np.float32), np.empty(len(a), np.float32)
    index, back, best_back = np.empty(len(a), np.int32), np.full(len(b), -1, np.int32), np.full(len(b), -np.inf, np.float32)
    for top in range(0, len(a), ROWS):
        part = slice(top, top + ROWS)
        best_two(a[part] @ b.T, top, best[part], index[part], second[part], back, best_back)
    return np.sqrt(np.maximum(2 - 2 * best, 0)), np.sqrt(np.maximum(2 - 2 * second, 0)), index, back


def nearest_bits(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> Neighbours:
    """Nearest strings of 256 bits by Hamming distance."""
    best, second = np.empty(len(a), np.float32), np.empty(len(a), np.float32)
    index, back = np.empty(len(a), np.int32), np.empty(len(b), np.int32)
    best_two_bits(np.ascontiguousarray(a).view(np.uint64), np.ascontiguousarray(b).view(np.uint64), best, index, second, back)
    return best, second, index, back


def match_pair(
    features: tuple[Features, Features],
    sizes: tuple[tuple[int, int], tuple[int, int]],
    indices: tuple[int, int],
    *,
    pixel: float,
    proposed: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None,
) -> Verdict:
    """Decide whether two photos overlap, and by which points.

    Parameters
    ----------
    features : (Features, Features)
        Of the two photos.
    sizes : ((int, int), (int, int))
        Width and height of the full-size photos, px.
    indices : (int, int)
        Which photos they are.
    pixel : float
        Size of a reduced pixel in full-size px; thresholds grow with it.
    proposed : ((n, 2) float64, (n, 2) float64), optional
        Points that may match, px of the full-size photos; without, the features' descriptors are matched.

    Returns
    -------
    Verdict
        The match, or the numbers that speak against it.
    """
    if proposed is None:
        rows = match_features(*features)
        proposed = features[0].points[rows[:, 0]], features[1].points[rows[:, 1]]
    points = distinct(*proposed)
    if len(points[0]) < ALPHA:
        return Verdict(None, 0, int(ALPHA) + 1, points, pixel=pixel)
    homography, inlier = cv2.findHomography(points[0], points[1], cv2.USAC_MAGSAC, THRESHOLD * pixel, maxIters=5000, confidence=0.9999)
    if homography is None or not plausible(homography, sizes[0]):
        return Verdict(None, 0, int(ALPHA) + 1, points, pixel=pixel)
    inside = inlier.ravel().astype(bool)
    overlapping = in_overlap(homography, points[0], sizes[1]) & in_overlap(np.linalg.inv(homography), points[1], sizes[0])
    needed = ALPHA + BETA * np.count_nonzero(overlapping | inside)
    inliers = int(np.count_nonzero(inside))
    match = refine_match(Match(*indices, points[0][inside], points[1][inside], homography, len(proposed[0]), pixel), *features)
    believed = inliers > needed or exact(match, sizes[0])
    alike = not believed or same_scene(match, features, sizes)
    return Verdict(match if believed and alike else None, inliers, int(needed) + 1, points, homography, alike, pixel)


def exact(match: Match, size: tuple[int, int]) -> bool:
    """Whether a few refined matches agree so exactly that chance cannot have done it.

    Brown & Lowe's count takes a match to be right or wrong. Eight patches that look alike, spread over a good part of the photo's
    side and all within a fraction of a pixel of one homography, are more than their number.
    """
    if match.inliers < ALPHA or np.ptp(match.points_first, axis=0).max() < SPREAD * min(size):
        return False
    homography, _ = cv2.findHomography(match.points_first, match.points_second, 0)
    if homography is None or not plausible(homography, size):
        return False
    mapped = np.column_stack([match.points_first, np.ones(match.inliers)]) @ homography.T
    errors = np.linalg.norm(mapped[:, :2] / mapped[:, 2:] - match.points_second, axis=1)
    return bool(np.sqrt(np.mean(errors**2)) < EXACT * match.pixel)


def same_scene(match: Match, features: tuple[Features, Features], sizes: tuple[tuple[int, int], tuple[int, int]]) -> bool:
    """Whether the pictures agree beyond the matched points: a caption or a logo can be the same on photos of anything.

    Only matches that crowd together, measured by what their hull covers of the predicted overlap, are looked into.
    """
    corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) * (np.array(sizes[1]) - 1.0)
    back = np.column_stack([corners, np.ones(4)]) @ np.linalg.inv(match.homography).T
    frame = (np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) * (np.array(sizes[0]) - 1.0)).astype(np.float32)
    if np.any(back[:, 2] * back[0, 2] <= 0):
        return True
    area, _ = cv2.intersectConvexConvex((back[:, :2] / back[:, 2:]).astype(np.float32), frame)
    hull = cv2.contourArea(cv2.convexHull(match.points_first.astype(np.float32)))
    if hull >= CROWDED * area:
        return True
    small = []
    for feature, size in zip(features, sizes, strict=True):
        width = max(16, round(COARSE * size[0] / max(sizes[0])))
        height = max(16, round(COARSE * size[1] / max(sizes[0])))
        mask = np.ones_like(feature.picture) if feature.mask is None else feature.mask.astype(np.uint8)
        # What a mask hides says nothing; a small pixel counts when all of it is shown.
        shown = cv2.resize(mask.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA) > 0.999
        made = cv2.resize(feature.picture, (width, height), interpolation=cv2.INTER_AREA)
        small.append((made, shown, np.array([width, height]) / size))
    (first, first_shown, by_first), (second, second_shown, by_second) = small
    motion = np.diag([*by_second, 1.0]) @ match.homography @ np.diag([*(1 / by_first), 1.0])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    moved = cv2.warpPerspective(second, motion, first.shape[::-1], flags=flags)
    common = (cv2.warpPerspective(second_shown.astype(np.float32), motion, first.shape[::-1], flags=flags) > 0.999) & first_shown
    if np.count_nonzero(common) < 50 or min(np.ptp(first[common]), np.ptp(moved[common])) < 8:
        return True
    return bool(np.corrcoef(first[common], moved[common])[0, 1] > ALIKE)


def distinct(first: NDArray[np.float64], second: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Matches at different places: SIFT gives one point several orientations, which would count several times."""
    keys = np.round(np.hstack([first, second]))
    _, keep = np.unique(keys, axis=0, return_index=True)
    keep.sort()
    return np.ascontiguousarray(first[keep]), np.ascontiguousarray(second[keep])


def in_overlap(homography: NDArray[np.float64], points: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Which points land inside the other photo."""
    mapped = np.column_stack([points, np.ones(len(points))]) @ homography.T
    with np.errstate(divide="ignore", invalid="ignore"):
        xy = mapped[:, :2] / mapped[:, 2:]
    return np.asarray((mapped[:, 2] > 0) & (xy >= 0).all(axis=1) & (xy <= np.array(size) - 1.0).all(axis=1))


def plausible(homography: NDArray[np.float64], size: tuple[int, int]) -> bool:
    """Whether a homography could come from two photos of one scene: no mirror, no zoom beyond eight, nothing through the horizon nearby."""
    w, h = size
    center = homography @ ((w - 1) / 2, (h - 1) / 2, 1.0)
    if not np.all(np.isfinite(homography)) or abs(center[2]) < 1e-9:
        return False
    x, y, z = center
    jacobian = (homography[:2, :2] - np.outer((x / z, y / z), homography[2, :2])) / z
    area = float(np.linalg.det(jacobian))
    return 1 / 64 < area < 64
