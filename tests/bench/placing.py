"""Where the pixels of a finished panorama look, whoever made it: projection, scale and turn are found from the picture.

Features that the picture shares with photos of known cameras give pairs of pixels and directions; the surface that explains most of them
is taken. Then the picture is laid over the scene itself, by Gauss-Newton steps, until their pixels agree best (Lucas and Kanade, «An
iterative image registration technique», IJCAI 1981).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares
from scipy.spatial.transform import Rotation
from truth import Floats, Scene

from compositor.geometry.projections import PROJECTIONS
from compositor.geometry.views import ray_directions
from compositor.types import Camera

SURFACES = ("plane", "cylindrical", "spherical")
FEATURES, SIDE, RATIO = 6000, 3000, 0.75
"""Features of each picture, the longer side at which a panorama is looked at, and how much better a match is than the second best."""
FEWEST = 30
"""Matches without which nothing is said."""
FAR, CLOSE = 0.02, 1e-3
"""Radians: as far off as any wrong match, and where those begin."""
POINTS, STEPS = 40_000, 5


@dataclasses.dataclass(frozen=True, eq=False)
class Placing:
    """A panorama's surface: ``numbers`` are its scale, px, the pixel (x, y) of its middle, and a rotation vector, surface to world."""

    projection: str
    numbers: Floats

    def directions(self, x: Floats, y: Floats) -> Floats:
        """World directions of length 1, (h, w, 3), of columns and rows, (h, w) each."""
        scale, left, top, *turn = self.numbers
        surface = PROJECTIONS[self.projection]
        seen = surface.directions(((x - left) / scale).ravel(), ((y - top) / scale).ravel())
        seen /= np.linalg.norm(seen, axis=1, keepdims=True)
        return (seen @ Rotation.from_rotvec(turn).as_matrix().T).reshape(*x.shape, 3)

    def moved(self, change: Floats) -> Placing:
        """Another one; the rotation's change comes after it."""
        turn = Rotation.from_rotvec(change[3:]) * Rotation.from_rotvec(self.numbers[3:])
        return Placing(self.projection, np.concatenate([self.numbers[:3] + change[:3], turn.as_rotvec()]))

    @property
    def free(self) -> list[int]:
        """Which numbers are no matter of taste: a turn and a shift sideways are the same, but on a plane."""
        return [0, 1, 2, 3, 4, 5] if self.projection == "plane" else [0, 2, 3, 4, 5]


def place_panorama(
    pixels: NDArray[np.uint8], mask: NDArray[np.bool_], photos: Sequence[NDArray[np.uint8]], cameras: Sequence[Camera], scene: Scene
) -> Placing | None:
    """Find a panorama's surface; None where it shows too little that the photos show."""
    points, directions = shared_features(pixels, photos, cameras)
    if len(points) < FEWEST:
        return None
    found = [fit_surface(name, points, directions, pixels.shape[:2]) for name in SURFACES]
    return lay_over(min(found, key=lambda pair: pair[1])[0], pixels, mask, scene)


def shared_features(pixels: NDArray[np.uint8], photos: Sequence[NDArray[np.uint8]], cameras: Sequence[Camera]) -> tuple[Floats, Floats]:
    """Pixels (n, 2) of a panorama and the world directions (n, 3) of what is there; some are wrong."""
    detector, matcher = cv2.SIFT_create(FEATURES), cv2.BFMatcher()
    share = min(1.0, SIDE / max(pixels.shape[:2]))
    small = cv2.resize(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), None, fx=share, fy=share, interpolation=cv2.INTER_AREA)
    keys, described = detector.detectAndCompute(small, None)
    places = (np.array([key.pt for key in keys]).reshape(-1, 2) + 0.5) / share - 0.5
    points, directions = [np.zeros((0, 2))], [np.zeros((0, 3))]
    for photo, camera in zip(photos, cameras, strict=True):
        own_keys, own = detector.detectAndCompute(cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY), None)
        if described is None or own is None or min(len(described), len(own)) < 2:
            continue
        good = [first for first, second in matcher.knnMatch(own, described, 2) if first.distance < RATIO * second.distance]
        points.append(places[[match.trainIdx for match in good]])
        directions.append(ray_directions(camera, np.array([own_keys[match.queryIdx].pt for match in good]).reshape(-1, 2)))
    return np.concatenate(points), np.concatenate(directions)


def fit_surface(name: str, points: Floats, directions: Floats, size: tuple[int, int]) -> tuple[Placing, float]:
    """The best placing on one surface, and how badly it explains the matches, radians."""
    first, second = np.random.default_rng(0).integers(0, len(points), (2, 20_000))
    apart = np.linalg.norm(points[first] - points[second], axis=1)
    angle = 2 * np.arcsin(np.linalg.norm(directions[first] - directions[second], axis=1) / 2)
    near = (apart > 20) & (apart < max(size) / 8) & (angle > 0.01)
    usual = float(np.median(apart[near] / angle[near])) if near.any() else float(max(size))
    starts = [(usual * factor, size[0] * share) for factor in (1.0, 0.85, 1.15) for share in (0.5, 0.3, 0.7)]
    begun = [turned(Placing(name, np.array([scale, (size[1] - 1) / 2, top, 0, 0, 0])), points, directions) for scale, top in starts]
    placing = min(begun, key=lambda tried: misfit(tried, points, directions))
    unit = np.array([placing.numbers[0] / max(size), 1, 1, *[1 / placing.numbers[0]] * 3])

    def change(numbers: Floats) -> Floats:
        full = np.zeros(6)
        full[placing.free] = numbers
        return full * unit

    def residuals(numbers: Floats) -> Floats:
        return (errors(placing.moved(change(numbers)), points, directions) / CLOSE).ravel()

    solved = least_squares(residuals, np.zeros(len(placing.free)), loss="cauchy")
    placing = placing.moved(change(solved.x))
    return placing, misfit(placing, points, directions)


def errors(placing: Placing, points: Floats, directions: Floats) -> Floats:
    """(n, 3)."""
    return placing.directions(points[:, :1], points[:, 1:])[:, 0] - directions


def misfit(placing: Placing, points: Floats, directions: Floats) -> float:
    return float(np.minimum(np.linalg.norm(errors(placing, points, directions), axis=1), FAR).mean())


def turned(placing: Placing, points: Floats, directions: Floats) -> Placing:
    """The placing with the rotation that explains most matches, by reweighting."""
    weights = np.ones(len(points))
    for _ in range(15):
        seen = placing.directions(points[:, :1], points[:, 1:])[:, 0]
        turn, _ = Rotation.align_vectors(directions, seen, weights)
        placing = placing.moved(np.concatenate([np.zeros(3), turn.as_rotvec()]))
        weights = 1 / (1 + (np.linalg.norm(errors(placing, points, directions), axis=1) / FAR) ** 2)
    return placing


def lay_over(placing: Placing, pixels: NDArray[np.uint8], mask: NDArray[np.bool_], scene: Scene) -> Placing:
    """The placing at which a panorama's pixels agree best with the scene, brightness and contrast left open."""
    side = int(np.sqrt(min(POINTS, np.count_nonzero(mask))))
    chosen = np.random.default_rng(0).choice(np.flatnonzero(mask), side * side, replace=False)
    y, x = (part.reshape(side, side) for part in np.divmod(np.sort(chosen), mask.shape[1]))
    gray = pixels[y, x].mean(axis=2).ravel()
    reach = np.array([placing.numbers[0] / max(mask.shape), 0.5, 0.5, *[0.5 / placing.numbers[0]] * 3])

    def seen(changed: Placing) -> Floats:
        return scene.colours(changed.directions(x, y)).mean(axis=2).ravel().astype(np.float64)

    for _ in range(STEPS):
        now, steps = seen(placing), [np.eye(6)[k] * reach for k in placing.free]
        slopes = [(seen(placing.moved(step)) - seen(placing.moved(-step))) / 2 for step in steps]
        matrix = np.stack([*slopes, -gray, -np.ones_like(gray)], axis=1)
        weights = np.ones_like(gray)
        for _ in range(4):  # what is blurred, cut or misplaced must not draw the rest along
            solved = np.linalg.lstsq(matrix * weights[:, None], -now * weights, rcond=1e-9)[0]
            left = np.abs(now + matrix @ solved)
            weights = np.sqrt(1 / np.maximum(1, left / (2 * np.median(left) + 0.1)))
        placing = placing.moved(sum(number * step for number, step in zip(solved[:-2], steps, strict=True)))
    return placing
