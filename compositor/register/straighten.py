"""Turning the world so that the horizon is level and the panorama's middle lies straight ahead."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from compositor.types import Camera

__all__ = ["straighten"]

UPRIGHT = 0.01
"""Weight of «photos are held upright on average» against «nobody rolls the camera»: it decides only where the latter is silent."""


def straighten(cameras: Sequence[Camera]) -> list[Camera]:
    """Level the horizon: people turn a camera without rolling it, so its x axes lie in one horizontal plane (Brown & Lowe 2007, section 5).

    The down direction d makes sum (x_i . d)^2 small. Where the x axes do not span a plane (two photos, one above the other, a
    small angle) the mean of the photos' own down axes decides.

    Parameters
    ----------
    cameras : sequence of Camera

    Returns
    -------
    list of Camera
        The same cameras in a world whose y axis points down and whose z axis points to the middle of the views.
    """
    rotations = np.array([c.rotation for c in cameras])
    across, down, ahead = rotations[:, :, 0], rotations[:, :, 1], rotations[:, :, 2]
    spread = across.T @ across / len(cameras)
    y = unit(np.linalg.solve(spread + UPRIGHT * np.eye(3), down.mean(axis=0)))
    middle = ahead.mean(axis=0)
    forward = middle - (middle @ y) * y
    if np.linalg.norm(forward) < 0.05:  # all round: no middle; keep the first photo ahead
        forward = ahead[0] - (ahead[0] @ y) * y
    if np.linalg.norm(forward) < 1e-6:  # straight up or down
        forward = across[0] - (across[0] @ y) * y
    z = unit(forward)
    world = np.array([np.cross(y, z), y, z])
    return [dataclasses.replace(c, rotation=orthonormal(world @ c.rotation)) for c in cameras]


def unit(vector: NDArray[np.float64]) -> NDArray[np.float64]:
    """The vector's direction."""
    return np.asarray(vector / max(float(np.linalg.norm(vector)), 1e-12))


def orthonormal(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """The nearest rotation: rounding errors of many products removed."""
    u, _, vt = np.linalg.svd(matrix)
    return np.asarray(u @ vt)
