"""Where two layers of a training scene lie, and the seam between them: straight, wavy, or wandering around what is busy.

Some seams turn at a point where three photos meet: the reference is then a composite of two itself, each with its own end.
"""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["Placement", "place_layers"]

NARROW, WIDE = 12.0, 0.28
"""Reach of a layer past the seam: px at least, share of the scene's side at most."""
JUNCTIONS = 0.2
"""Share of the scenes in which three photos meet at a point."""


@dataclasses.dataclass(frozen=True, eq=False)
class Placement:
    """Where two layers lie.

    Parameters
    ----------
    reference_valid, new_valid, owner : (n, n) bool
        As in ``compositor.compose.layers.Layers``.
    distance : (n, n) float32
        Px to the seam, positive where ``new`` shows.
    second : (n, n) bool
        Where the reference is another photo than elsewhere; nowhere in most scenes.
    """

    reference_valid: NDArray[np.bool_]
    new_valid: NDArray[np.bool_]
    owner: NDArray[np.bool_]
    distance: NDArray[np.float32]
    second: NDArray[np.bool_]


def place_layers(photo: NDArray[np.uint8], generator: np.random.Generator) -> Placement:
    """Lay a seam through a scene.

    Parameters
    ----------
    photo : (n, n, 3) uint8
        What the scene shows; a wandering seam avoids its edges, as a minimum cut does.
    generator : numpy.random.Generator

    Returns
    -------
    Placement
    """
    n = len(photo)
    kind = generator.random()
    across = _wandering(photo, generator) if kind < 0.3 else _wavy(n, generator, waves=3 if kind < 0.75 else 0)
    reach = generator.uniform(NARROW, WIDE * n, 3).astype(np.float32)
    second = np.zeros((n, n), bool)
    if generator.random() < JUNCTIONS:
        other = _wavy(n, generator, waves=2)
        second = across > other
        across = np.minimum(across, other) if generator.random() < 0.7 else np.maximum(across, other)
    owner = across > 0
    if owner.all() or not owner.any():
        owner = np.broadcast_to(np.arange(n) > n // 2, (n, n)).copy()
    mask = owner.view(np.uint8)
    distance = cv2.distanceTransform(mask, cv2.DIST_L2, 5) - cv2.distanceTransform(1 - mask, cv2.DIST_L2, 5)
    distance = np.asarray(distance - np.sign(distance) * 0.5, np.float32)
    return Placement(distance < np.where(second, reach[2], reach[0]), distance > -reach[1], owner, distance, second)


def _wavy(n: int, generator: np.random.Generator, waves: int) -> NDArray[np.float32]:
    """Signed px across a line through the middle of the scene, bent by so many waves."""
    y, x = np.mgrid[0:n, 0:n].astype(np.float32)
    angle = generator.integers(4) * np.pi / 2 + generator.normal(0, 0.25)
    middle = n * generator.uniform(0.4, 0.6, 2)
    across = (x - middle[0]) * np.cos(angle) + (y - middle[1]) * np.sin(angle)
    along = (y - middle[1]) * np.cos(angle) - (x - middle[0]) * np.sin(angle)
    for k in range(1, waves + 1):
        height, turns, phase = generator.uniform(0, n / 14 / k), k * generator.uniform(0.6, 1.4), generator.uniform(0, 2 * np.pi)
        across += height * np.sin(2 * np.pi * turns * along / n + phase)
    return np.asarray(across, np.float32)


def _wandering(photo: NDArray[np.uint8], generator: np.random.Generator) -> NDArray[np.float32]:
    """Signed px across the cheapest path from edge to edge, where crossing detail costs.

    A path goes down by one row a step and sideways by one px at most, which dynamic programming solves exactly.
    """
    gray = photo.mean(2, dtype=np.float32)
    detail = cv2.GaussianBlur(np.abs(cv2.Laplacian(gray, cv2.CV_32F)), (0, 0), 1.5)
    n = len(gray)
    bowl = np.abs(np.arange(n, dtype=np.float32) - n * generator.uniform(0.4, 0.6)) / n
    cost = detail + 1 + 40 * np.clip(bowl - 0.15, 0, None) + generator.gamma(1, 0.5, (n, n)).astype(np.float32)
    total = cost.copy()
    for row in range(1, n):
        above = np.pad(total[row - 1], 1, constant_values=np.inf)
        total[row] += np.minimum(np.minimum(above[:-2], above[1:-1]), above[2:])
    path = np.empty(n, np.int64)
    path[-1] = total[-1].argmin()
    for row in range(n - 2, -1, -1):
        start = max(path[row + 1] - 1, 0)
        path[row] = start + total[row, start : path[row + 1] + 2].argmin()
    across = np.arange(n, dtype=np.float32)[None] - path[:, None] + 0.5
    across = across if generator.random() < 0.5 else -across
    return np.ascontiguousarray(across if generator.random() < 0.5 else across.T, np.float32)
