"""How far cameras are from the truth."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Sequence

import numpy as np

from compositor.errors import OptionError, counted
from compositor.types import Camera

__all__ = ["CameraErrors", "camera_errors"]


@dataclasses.dataclass(frozen=True)
class CameraErrors:
    """Errors of estimated cameras, whatever frame their world has.

    Parameters
    ----------
    rotation : float
        Root mean square error of the relative rotations of all pairs, radians.
    focal : float
        Largest relative error of a focal length.
    """

    rotation: float
    focal: float


def camera_errors(found: Sequence[Camera], truth: Sequence[Camera]) -> CameraErrors:
    """Compare cameras with the true ones of the same names.

    Parameters
    ----------
    found : sequence of Camera
        At least two.
    truth : sequence of Camera
        At least those that ``found`` names.

    Returns
    -------
    CameraErrors

    Raises
    ------
    OptionError
        There are fewer than two cameras, or one has no truth.
    """
    known = {camera.name: camera for camera in truth}
    if len(found) < 2 or not all(camera.name in known for camera in found):
        raise OptionError(
            f"{counted(len(found), 'camera')} cannot be compared with {len(truth)} true ones; needed are two or more of the same names"
        )
    angles = []
    for a, b in itertools.combinations(found, 2):
        relative, expected = a.rotation.T @ b.rotation, known[a.name].rotation.T @ known[b.name].rotation
        # The chord |A - B| = 2 sqrt(2) sin(angle / 2) stays exact for small angles, where the trace's arc cosine does not.
        angles.append(2 * math.asin(min(1.0, float(np.linalg.norm(relative - expected)) / math.sqrt(8))))
    focal = max(abs(camera.focal / known[camera.name].focal - 1) for camera in found)
    return CameraErrors(math.sqrt(float(np.mean(np.square(angles)))), focal)
