"""What a camera sees: from world directions to its pixels and back.

For photos of a plane, homogeneous coordinates (X, Y, 1) on that plane take the place of world directions.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from compositor.geometry.mesh import displacements, undisplaced
from compositor.types import Camera

__all__ = ["angles_of", "border_directions", "largest_radius", "ray_directions", "resolution", "rotation_of", "see", "world_to_camera"]

Floats = NDArray[np.float64]

STEEP = 1e-9
"""Cosine of a pitch that is as good as straight up or down."""
SAMPLES_PER_SIDE = 256
"""Points along each side of a photo; between two of them a border bends by less than a hundredth of a pixel at 12 megapixels."""


def largest_radius(distortion: tuple[float, float]) -> float:
    """The radius, in focal lengths, up to which distortion is one to one; infinite when it always is.

    r (1 + k1 r^2 + k2 r^4) grows while 1 + 3 k1 r^2 + 5 k2 r^4 > 0. Beyond that the picture would fold over itself.
    """
    k1, k2 = distortion
    within = 9 * k1**2 - 20 * k2
    # The least positive root r^2 is 2 / (-3 k1 + sqrt(within)), where that is positive at all.
    reciprocal = math.sqrt(within) - 3 * k1 if within >= 0 else 0.0
    return math.sqrt(2 / reciprocal) if reciprocal > 1e-12 else math.inf


def rotation_of(yaw: float, pitch: float, roll: float) -> Floats:
    """Camera to world of a camera turned to the right, then up, then clockwise; radians."""
    cy, sy, cp, sp, cr, sr = (f(a) for a in (yaw, pitch, roll) for f in (math.cos, math.sin))
    across = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    up = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    round_axis = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1.0]])
    return np.asarray(across @ up @ round_axis)


def angles_of(rotation: Floats) -> tuple[float, float, float]:
    """Yaw, pitch and roll, radians, of which ``rotation_of`` makes a rotation; straight up or down, where yaw says all, roll is zero."""
    pitch = math.asin(min(1.0, max(-1.0, -rotation[1, 2])))
    if math.hypot(rotation[0, 2], rotation[2, 2]) < STEEP:
        return math.atan2(-rotation[2, 0], rotation[0, 0]), pitch, 0.0
    return math.atan2(rotation[0, 2], rotation[2, 2]), pitch, math.atan2(rotation[1, 0], rotation[1, 1])


def world_to_camera(camera: Camera) -> Floats:
    """The matrix, (3, 3), that takes world directions to camera coordinates, with positive depth for what the camera looks at."""
    inverse = camera.inverse_view
    if camera.plane is None:
        return inverse
    # A homography has any factor, of either sign; with this one the plane has depth one at the photo's centre.
    return np.asarray(inverse * camera.plane[2, 2])


def resolution(camera: Camera) -> float:
    """Photo pixels per radian of a camera's view, or per unit of the plane it shows, at the photo's centre."""
    if camera.plane is None:
        return camera.focal
    (a, b, c), (d, e, f), (g, h, i) = camera.plane
    # Derivatives of (a x + b y + c) / (g x + h y + i) and of the like for the second row, at x = y = 0.
    area = ((a * i - c * g) * (e * i - f * h) - (b * i - c * h) * (d * i - f * g)) / i**4
    return float(camera.focal / math.sqrt(abs(area)))


def see(camera: Camera, directions: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    """Where a camera sees world directions.

    Parameters
    ----------
    camera : Camera
    directions : (n, 3) float64
        World directions of any length.

    Returns
    -------
    positions : (n, 2) float64
        Pixels of the full-size photo; meaningless where not seen.
    seen : (n,) bool
        In front of the camera, before the distortion folds, and within the photo's pixels.
    """
    x, y, z = _turn(world_to_camera(camera), directions).T
    front = z > 1e-9
    rays = np.stack([x, y], axis=1) / np.where(front, z, 1.0)[:, None]
    r2 = (rays**2).sum(axis=1)
    k1, k2 = camera.distortion
    positions = np.asarray(camera.center) + camera.focal * rays * (1 + r2 * (k1 + r2 * k2))[:, None]
    if camera.mesh is not None:
        positions += displacements(camera.mesh, camera.size, positions)
    inside = ((positions >= -0.5) & (positions <= np.asarray(camera.size) - 0.5)).all(axis=1)
    return positions, front & (r2 <= largest_radius(camera.distortion) ** 2) & inside


def ray_directions(camera: Camera, points: Floats) -> Floats:
    """World directions, (n, 3) of length 1, of (n, 2) pixels of the full-size photo.

    Pixels beyond the fold of the distortion give the outermost direction that is still seen.
    """
    points = np.asarray(points, np.float64)
    if camera.mesh is not None:
        points = undisplaced(camera.mesh, camera.size, points)
    rays = (points - camera.center) / camera.focal
    distorted = np.hypot(*rays.T)
    radius = _undistort(distorted, camera.distortion)
    rays *= (radius / np.where(distorted > 0, distorted, 1.0))[:, None]
    directions = _turn(camera.view, np.column_stack([rays, np.ones(len(rays))]))
    if camera.plane is not None:
        directions *= np.sign(camera.plane[2, 2])
    return np.asarray(directions / np.linalg.norm(directions, axis=1, keepdims=True))


def border_directions(camera: Camera, samples: int = SAMPLES_PER_SIDE, *, beyond: float = 0.0) -> Floats:
    """World directions of the centres of a photo's outermost pixels, or of what lies px ``beyond``, once round, (4 * samples, 3)."""
    w, h = camera.size
    t = np.arange(samples) / samples
    zero, one = np.zeros(samples), np.ones(samples)
    x = np.concatenate([t, one, 1 - t, zero]) * (w - 1 + 2 * beyond) - beyond
    y = np.concatenate([zero, t, one, 1 - t]) * (h - 1 + 2 * beyond) - beyond
    return ray_directions(camera, np.stack([x, y], axis=1))


def _turn(rotation: Floats, vectors: Floats) -> Floats:
    """Every vector, (n, 3), turned; without BLAS, whose last bits depend on its threads."""
    return np.asarray(vectors[:, :1] * rotation[:, 0] + vectors[:, 1:2] * rotation[:, 1] + vectors[:, 2:] * rotation[:, 2])


def _undistort(distorted: Floats, distortion: tuple[float, float]) -> Floats:
    """Radii whose distorted radii are given, by Newton's steps; one that leaves the range of the answer, which is unique, halves it."""
    k1, k2 = distortion
    if not (k1 or k2):
        return distorted
    low = np.zeros_like(distorted)
    # Without a fold the distorted radius grows for ever; 1e4 focal lengths are 89.99 degrees off the axis.
    high = np.full_like(distorted, min(largest_radius(distortion), 1e4))
    radius = np.minimum(distorted, high)
    for _ in range(60):
        r2 = radius * radius
        above = radius * (1 + r2 * (k1 + r2 * k2)) - distorted
        high, low = np.where(above > 0, radius, high), np.where(above > 0, low, radius)
        slope = 1 + r2 * (3 * k1 + r2 * 5 * k2)
        newton = radius - above / np.where(slope > 0, slope, 1e-300)
        before, radius = radius, np.where((newton >= low) & (newton <= high), newton, (low + high) / 2)
        if np.abs(radius - before).max(initial=0.0) < 1e-14:
            break
    return np.asarray(radius)
