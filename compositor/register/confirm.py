"""Too few matches to believe, confirmed by the pictures themselves.

Two photos that share a narrow strip may have four matches in it, which chance could bring as well. But if they are right, then the
pictures agree all over the strip: every corner of the one is found where the motion puts it in the other. From the few matches the
agreement is followed outward, the motion estimated anew on the way, until the whole overlap has been compared.
"""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
from numpy.typing import NDArray

from compositor.kernels.refine import RADIUS, refine_points
from compositor.register.matching import THRESHOLD, Verdict, plausible
from compositor.register.refine import local_affine, refine_match
from compositor.types import Features, Match

__all__ = ["confirm"]

GUESS = 4
"""Matches that must agree on a similarity, which two of them fix."""

CORNERS, APART = 600, 6
"""Corners of the overlap that are compared at most, and their least distance, px of the picture."""

FAINT = 0.003
"""Strength of a corner against the strongest below which it is none."""

CORRELATION = 0.8
"""Patches that agree at least so well show the same; less than between refined matches, as what is compared was not chosen for it."""

FARTHEST = 4.0
"""A corner found further away than this, px of the picture, is another one; the motion is not exact to begin with."""

SEEN_AGAIN, SHARE, SHARE_OF_MATCH = 12, 0.45, 0.3
"""Corners, and share of all corners in the overlap, that must be found again; less of a match that is believed for its number. Where
the motion is wrong it is a few per cent, where the same caption or poster is in both photos up to a fifth; where photos truly overlap
it is half and more, unless parallax or movement disturbs them."""

ROUNDS = 12
"""Most steps per corner."""

SPREADING = (0.5, 0.5, 1.0, np.inf)
"""How far from the points that agree corners are looked for, in units of their extent, round by round."""

Floats = NDArray[np.float64]
Sizes = tuple[tuple[int, int], tuple[int, int]]


def confirm(verdict: Verdict, indices: tuple[int, int], features: tuple[Features, Features], sizes: Sizes, *, pixel: float) -> Verdict:
    """Look whether pictures agree where few matches say they overlap.

    Parameters
    ----------
    verdict : Verdict
        Of a pair, with its candidates.
    indices : (int, int)
        Which photos they are.
    features : (Features, Features)
        Of the two photos, with their pictures.
    sizes : ((int, int), (int, int))
        Width and height of the full-size photos, px.
    pixel : float
        Size of a reduced pixel in full-size px.

    Returns
    -------
    Verdict
        With a match, if the pictures agree: the one given, or of the corners that agree; otherwise without.
    """
    share = SHARE_OF_MATCH if verdict.match else SHARE
    rejected = dataclasses.replace(verdict, match=None, alike=verdict.alike and not verdict.match)
    guess = first_guess(verdict, pixel)
    if guess is None:
        return rejected
    motion, points = guess
    tested = 0
    for spreading in SPREADING:
        if not plausible(motion, sizes[0]):
            return rejected
        corners = corners_in_overlap(motion, features[0], sizes)
        extent = max(float(np.ptp(points[0], axis=0).max()), 4 * RADIUS * pixel)
        away = np.linalg.norm(corners[:, None] - points[0][None], axis=2).min(axis=1)
        points, tested = seen_again(corners[away <= spreading * extent], motion, features)
        if len(points[0]) < GUESS:
            return rejected
        moved = motion_of(*points, THRESHOLD * pixel)
        if moved is None:
            return rejected
        motion = moved
    agreed, needed = len(points[0]), max(SEEN_AGAIN, int(np.ceil(share * tested)))
    if agreed < needed or not plausible(motion, sizes[0]):
        return rejected
    if verdict.match:
        return verdict
    match = refine_match(Match(*indices, *points, motion, tested, pixel), *features)
    return Verdict(match, agreed, needed, points, motion, pixel=pixel)


def first_guess(verdict: Verdict, pixel: float) -> tuple[Floats, tuple[Floats, Floats]] | None:
    """The similarity that the most candidates agree on, (3, 3), and those candidates."""
    first, second = verdict.candidates
    if len(first) < GUESS:
        return None
    similarity, inlier = cv2.estimateAffinePartial2D(
        first, second, method=cv2.RANSAC, ransacReprojThreshold=THRESHOLD * pixel, maxIters=5000, confidence=0.999
    )
    if similarity is None or np.count_nonzero(inlier) < GUESS:
        return None
    inside = inlier.ravel().astype(bool)
    return np.vstack([similarity, (0, 0, 1)]), (first[inside], second[inside])


def corners_in_overlap(motion: Floats, features: Features, sizes: Sizes) -> Floats:
    """Corners of the first picture that the second one shows if the motion is right, (n, 2), in full-size px on pixels of the picture."""
    w, h = sizes[1]
    frame = np.array([[0, 0, 1], [w - 1, 0, 1], [w - 1, h - 1, 1], [0, h - 1, 1]], np.float64) @ np.linalg.inv(motion).T
    if (frame[:, 2] * frame[0, 2] <= 0).any():
        return np.zeros((0, 2))
    outline = features.to_picture(frame[:, :2] / frame[:, 2:])
    mask = np.zeros(features.picture.shape, np.uint8)
    cv2.fillConvexPoly(mask, np.rint(np.clip(outline, -1e4, 1e4)).astype(np.int32), 255)
    if features.mask is not None:
        mask[~features.mask] = 0
    x, y, width, height = cv2.boundingRect(mask)
    if min(width, height) < 2 * RADIUS:
        return np.zeros((0, 2))
    part = slice(y, y + height), slice(x, x + width)
    corners = cv2.goodFeaturesToTrack(features.picture[part], CORNERS, FAINT, APART, mask=mask[part])
    return np.zeros((0, 2)) if corners is None else features.to_full(np.rint(corners.reshape(-1, 2)) + np.array([x, y]))


def seen_again(corners: Floats, motion: Floats, features: tuple[Features, Features]) -> tuple[tuple[Floats, Floats], int]:
    """Corners that the second picture shows where the motion puts them, in full-size px of both, and how many were looked for."""
    first, second = features
    pixels = np.rint(first.to_picture(corners)).astype(np.int64)
    h, w = first.picture.shape
    inside = ((pixels > RADIUS) & (pixels < np.array([w, h]) - RADIUS - 1)).all(axis=1)
    corners, pixels = corners[inside], np.ascontiguousarray(pixels[inside])
    mapped = np.column_stack([corners, np.ones(len(corners))]) @ motion.T
    start = second.to_picture(mapped[:, :2] / mapped[:, 2:])
    h, w = second.picture.shape
    room = shown(start, second) & ((start > 2 * RADIUS) & (start < np.array([w, h]) - 2 * RADIUS)).all(
        axis=1
    )  # of the others nothing can be said
    corners, pixels, start = corners[room], pixels[room], start[room]
    affine = local_affine(Match(0, 1, corners, corners, motion, len(corners)), first, second)
    found, score = start.copy(), np.empty(len(start))
    refine_points(first.picture, second.picture, pixels, found, np.ascontiguousarray(affine), ROUNDS, score)
    again = (score >= CORRELATION) & (np.linalg.norm(found - start, axis=1) <= FARTHEST)
    return (corners[again], second.to_full(found[again])), len(corners)


def shown(positions: Floats, features: Features) -> NDArray[np.bool_]:
    """Which positions in a picture its mask lets through."""
    if features.mask is None:
        return np.ones(len(positions), np.bool_)
    h, w = features.mask.shape
    columns, rows = np.rint(np.clip(positions, 0, (w - 1, h - 1))).astype(np.int64).T
    return np.asarray(features.mask[rows, columns])


def motion_of(first: Floats, second: Floats, threshold: float) -> Floats | None:
    """The motion with as much freedom as so many points allow."""
    if len(first) < 12:
        motion, _ = cv2.estimateAffinePartial2D(first, second, method=cv2.RANSAC, ransacReprojThreshold=threshold)
    elif len(first) < 25:
        motion, _ = cv2.estimateAffine2D(first, second, method=cv2.RANSAC, ransacReprojThreshold=threshold)
    else:
        homography, _ = cv2.findHomography(first, second, cv2.RANSAC, threshold)
        return None if homography is None else np.asarray(homography, np.float64)
    return None if motion is None else np.vstack([motion, (0, 0, 1)])
