"""First cameras from matches alone: how long the lens was, and where every photo looked."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from compositor.types import Camera, Match, Photo

__all__ = ["best_rotations", "first_cameras", "relative_zoom"]

FOCALS = np.geomspace(0.25, 16.0, 49)
"""Focal lengths that are tried, in units of the photo's longer side: views 127 to 3.6 degrees wide."""

SAMPLE, PAIRS = 80, 24
"""Matches per pair that the search for the focal length looks at, and pairs, of more those with most matches."""

UNDECIDED = 1.05
"""Focal lengths whose error is within this factor of the best are told apart by EXIF, or by what is usual."""

USUAL_FOCAL = 1.0
"""The focal length of a normal lens, in units of the photo's longer side."""

SAME_ZOOM = 0.05
"""Where the scales of photos in ascending order differ by less (natural logarithm), they are taken to share a focal length."""


def first_cameras(photos: Sequence[Photo], matches: Sequence[Match], steps: Sequence[tuple[int, int, Match]]) -> dict[int, Camera]:
    """Estimate focal lengths and rotations of connected photos.

    The focal length is searched on a logarithmic grid: for each candidate every pair gets its best rotation, and the candidate
    with the smallest robust error over all pairs wins. Rotations are then chained along the spanning tree.

    Parameters
    ----------
    photos : sequence of Photo
        The whole set.
    matches : sequence of Match
        Verified matches within the connected group.
    steps : sequence of (int, int, Match)
        The spanning tree: known photo, new photo, match.

    Returns
    -------
    dict
        Camera by photo index.
    """
    group = sorted({i for a, b, _ in steps for i in (a, b)})
    zoom = relative_zoom(group, matches)
    focal = search_focal(photos, group, matches, zoom)
    cameras = {i: Camera(photos[i].name, photos[i].size, focal * zoom[i], middle(photos[i]), np.eye(3)) for i in group}
    for known, new, match in steps:
        rays = rays_of(match.points_first, cameras[match.first]), rays_of(match.points_second, cameras[match.second])
        from_known, from_new = rays if match.first == known else rays[::-1]
        relative = best_rotations(from_new[None], from_known[None])[0]
        camera = cameras[new]
        cameras[new] = Camera(camera.name, camera.size, camera.focal, camera.center, cameras[known].rotation @ relative)
    return cameras


def middle(photo: Photo) -> tuple[float, float]:
    """The centre of a photo, px."""
    return (photo.size[0] - 1) / 2, (photo.size[1] - 1) / 2


def rays_of(points: NDArray[np.float64], camera: Camera) -> NDArray[np.float64]:
    """Unit directions in the camera's frame of (n, 2) points; the lens is taken to be free of distortion."""
    rays = np.column_stack([(points - camera.center) / camera.focal, np.ones(len(points))])
    return np.asarray(rays / np.linalg.norm(rays, axis=1, keepdims=True))


def best_rotations(source: NDArray[np.float64], target: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rotations that take directions nearest to others (Kabsch 1976), twice, the second time without the worst quarter.

    Parameters
    ----------
    source, target : (k, n, 3) float64
        Unit directions, k problems of n directions.

    Returns
    -------
    (k, 3, 3) float64
        Rotations with target about rotation @ source.
    """
    weights = np.ones(source.shape[:2])
    rotations = np.empty((len(source), 3, 3))
    for _ in range(2):
        u, _, vt = np.linalg.svd(np.einsum("kn,kni,knj->kij", weights, target, source))
        sign = np.linalg.det(u @ vt)
        u[:, :, 2] *= sign[:, None]
        rotations = u @ vt
        error = np.linalg.norm(target - np.einsum("kij,knj->kni", rotations, source), axis=2)
        weights = (error <= np.quantile(error, 0.75, axis=1, keepdims=True)).astype(np.float64)
    return rotations


def relative_zoom(group: Sequence[int], matches: Sequence[Match]) -> dict[int, float]:
    """Scale of every photo against the group's geometric mean, from the area change of the homographies at the matched points.

    Photos that differ by a few per cent from one to the next get exactly one scale: they were taken at one setting of the lens.
    """
    position = {i: k for k, i in enumerate(group)}
    rows, values = np.zeros((len(matches) + 1, len(group))), np.zeros(len(matches) + 1)
    for k, m in enumerate(matches):
        p = np.column_stack([m.points_first, np.ones(m.inliers)]) @ m.homography.T
        area = np.linalg.det(m.homography) / p[:, 2] ** 3
        rows[k, position[m.second]], rows[k, position[m.first]] = 1.0, -1.0
        values[k] = 0.5 * np.median(np.log(np.maximum(area, 1e-9)))
    rows[-1] = 1.0
    zoom = np.linalg.lstsq(rows, values, rcond=None)[0]
    order = np.argsort(zoom)
    for alike in np.split(order, np.flatnonzero(np.diff(zoom[order]) > SAME_ZOOM) + 1):
        zoom[alike] = zoom[alike].mean() if len(alike) < len(zoom) else 0.0
    return {i: float(np.exp(zoom[k])) for i, k in position.items()}


def search_focal(photos: Sequence[Photo], group: Sequence[int], matches: Sequence[Match], zoom: dict[int, float]) -> float:
    """The focal length, px, at which turning cameras explain the matches best; scaled by each photo's ``zoom``."""
    side = float(np.median([max(photos[i].size) / zoom[i] for i in group]))
    priors = [p for i in group if (p := photos[i].focal)]
    prior = float(np.median([p / zoom[i] for i in group if (p := photos[i].focal)])) if priors else None
    focals = FOCALS * side if prior is None else np.append(FOCALS * side, prior)
    matches = sorted(matches, key=lambda m: (-m.inliers, m.first, m.second))[:PAIRS]
    chosen = [np.linspace(0, m.inliers - 1, min(SAMPLE, m.inliers)).round().astype(int) for m in matches]
    costs = np.zeros(len(focals))
    for m, rows in zip(matches, chosen, strict=True):
        first = lifted(m.points_first[rows] - middle(photos[m.first]), focals * zoom[m.first])
        second = lifted(m.points_second[rows] - middle(photos[m.second]), focals * zoom[m.second])
        rotations = best_rotations(first, second)
        angle = np.linalg.norm(second - np.einsum("kij,knj->kni", rotations, first), axis=2)
        error = angle * focals[:, None] * zoom[m.second]
        limit = 0.01 * side
        costs += len(rows) * np.mean(np.minimum(error, limit), axis=1)
    good = costs <= costs.min() * UNDECIDED
    expected = USUAL_FOCAL * side if prior is None else prior
    return float(min(focals[good], key=lambda f: abs(np.log(f / expected))))


def lifted(points: NDArray[np.float64], focals: NDArray[np.float64]) -> NDArray[np.float64]:
    """Unit directions (k, n, 3) of n centred points for each of k focal lengths."""
    xy = points[None] / focals[:, None, None]
    rays = np.concatenate([xy, np.ones((*xy.shape[:2], 1))], axis=2)
    return np.asarray(rays / np.linalg.norm(rays, axis=2, keepdims=True))
