"""Turning the world so that the horizon is level and the panorama's middle lies straight ahead.

Level means two things: people turn a camera without rolling it, so its horizontal axes lie in one plane (Brown & Lowe 2007, section 5);
and they turn it sideways far more than up and down. Which of a photo's axes is the horizontal one is part of the question: a photo may
lie on its side, because the camera did and the file does not say so, or because the file says so and the pixels were turned already.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from compositor.types import Camera

__all__ = ["straighten"]

UPRIGHT = 0.01
"""Weight of «photos are held upright on average» against «nobody rolls the camera»: it decides only where the latter is silent."""

ROLL = math.radians(3)
"""Standard deviation of a camera's roll that is not a quarter turn."""

MOST_ROLL = 4.5
"""What a photo's roll can speak against a direction at most, in units of log probability, as all costs here: three deviations."""

CLIMB = math.radians(25)
"""Half the angle between the lowest and the highest photo that is unusual."""

ALL_TURNED = 4.0
"""Cost of all photos lying on their sides though no file says that it was turned: only a row too long to go up and down may say so."""

STALE = 0.02
"""Cost of all files being wrong that say that they were turned."""

ONE_TURNED = 0.1
"""Cost of each photo that lies on its side."""

BRIGHTER = 0.45
"""How much more the photos brighten upward than sideways when their files are right; on average they brighten toward the sky."""

ASKED = 8
"""Photos whose own axes are tried as down."""

TIE = 0.01
"""Weight of the brighter side being up where nothing else tells."""

DOWN = np.array([[0.0, 1.0], [-1.0, 0.0], [0.0, -1.0], [1.0, 0.0]])
"""Where down is in a photo that was turned clockwise by 0, 1, 2, 3 quarters."""

Floats = NDArray[np.float64]


def straighten(cameras: Sequence[Camera], turned: Sequence[int] | None = None, brightening: Floats | None = None) -> list[Camera]:
    """Level the horizon, whichever side of the photos is up.

    Parameters
    ----------
    cameras : sequence of Camera
    turned : sequence of int, optional
        Quarter turns clockwise that each photo's file asked for when it was read; none by default.
    brightening : (n, 2) float64, optional
        How each photo brightens to the right and downward, -1 to 1; not at all by default.

    Returns
    -------
    list of Camera
        The same cameras in a world whose y axis points down and whose z axis points to the middle of the views.
    """
    rotations = np.array([c.rotation for c in cameras])
    tags = np.zeros(len(cameras), np.int64) if turned is None else np.asarray(turned) % 4
    light = np.zeros((len(cameras), 2)) if brightening is None else brightening
    y = min(candidates(rotations), key=lambda down: cost(rotations, down, tags, light))
    across, ahead = rotations[:, :, 0], rotations[:, :, 2]
    middle = ahead.mean(axis=0)
    forward = middle - (middle @ y) * y
    if np.linalg.norm(forward) < 0.05:  # all round: no middle; keep the first photo ahead
        forward = ahead[0] - (ahead[0] @ y) * y
    if np.linalg.norm(forward) < 1e-6:  # straight up or down
        forward = across[0] - (across[0] @ y) * y
    z = unit(forward)
    world = np.array([np.cross(y, z), y, z])
    return [dataclasses.replace(c, rotation=orthonormal(world @ c.rotation)) for c in cameras]


def candidates(rotations: Floats) -> list[Floats]:
    """World directions that may be down, the one in which no photo was turned first."""
    n = len(rotations)
    normal = np.linalg.eigh(np.einsum("ni,nj->ij", rotations[:, :, 2], rotations[:, :, 2]))[1][:, 0]
    axes = [sign * rotations[i, :, axis] for i in range(0, n, -(-n // ASKED)) for axis in (1, 0) for sign in (1, -1)]
    starts = [np.zeros(n, np.int64), *(quarters_of(rotations, down) for down in (*axes, normal, -normal))]
    found = []
    for start in starts:
        down = level_down(rotations, start)
        found.append(down)
        again = quarters_of(rotations, down)
        if not np.array_equal(again, start):
            found.append(level_down(rotations, again))
    return found


def level_down(rotations: Floats, quarters: NDArray[np.int64]) -> Floats:
    """The direction that is down if photos were turned by so many quarters.

    It makes sum (x_i . d)^2 small for the photos' horizontal axes x_i. Where these do not span a plane (two photos, one above the
    other, a small angle) the mean of the photos' own down axes decides.
    """
    own = DOWN[quarters]
    down = np.einsum("nij,nj->ni", rotations[:, :, :2], own)
    across = np.einsum("nij,nj->ni", rotations[:, :, :2], np.stack([own[:, 1], -own[:, 0]], axis=1))
    spread = across.T @ across / len(rotations)
    return unit(np.linalg.solve(spread + UPRIGHT * np.eye(3), down.mean(axis=0)))


def quarters_of(rotations: Floats, down: Floats) -> NDArray[np.int64]:
    """By how many quarters every photo was turned clockwise if this is down."""
    return np.asarray(np.argmax((down @ rotations)[:, :2] @ DOWN.T, axis=1), np.int64)


def cost(rotations: Floats, down: Floats, tags: NDArray[np.int64], light: Floats) -> float:
    """How much speaks against a direction being down, in units of log probability."""
    seen = down @ rotations  # the direction in every camera's frame
    quarters = quarters_of(rotations, down)
    own = DOWN[quarters]
    roll = np.arctan2(own[:, 0] * seen[:, 1] - own[:, 1] * seen[:, 0], (own * seen[:, :2]).sum(axis=1))
    sideways = (seen[:, :2] ** 2).sum(axis=1)  # a photo of the sky or the ground does not tell roll from yaw
    rolled = float(np.sum(np.minimum(sideways * (roll / ROLL) ** 2 / 2, MOST_ROLL)))
    climb = np.ptp(np.arcsin(np.clip(-seen[:, 2], -1, 1))) / 2
    lying = (quarters != 0) & (sideways > 0.25)
    brightens = light.mean(axis=0)
    total = rolled + float((climb / CLIMB) ** 2 / 2) + TIE * float((own * light).sum(axis=1).mean())
    if lying.all() and np.array_equal((quarters - tags)[lying] % 4, np.zeros(len(quarters))):
        return total + STALE + ALL_TURNED * bool(abs(brightens[1]) - abs(brightens[0]) > BRIGHTER)
    return total + (ALL_TURNED if lying.all() else ONE_TURNED * np.count_nonzero(lying))


def unit(vector: Floats) -> Floats:
    """The vector's direction."""
    return np.asarray(vector / max(float(np.linalg.norm(vector)), 1e-12))


def orthonormal(matrix: Floats) -> Floats:
    """The nearest rotation: rounding errors of many products removed."""
    u, _, vt = np.linalg.svd(matrix)
    return np.asarray(u @ vt)
