"""A room to measure parallax in: a wall and a floor with straight joints, photographed by a camera that does not stay where it is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from compositor.datasets.synthesize import look_around
from compositor.geometry.views import ray_directions, see
from compositor.images import write_image
from compositor.types import Camera

Floats = NDArray[np.float64]
Pixels = NDArray[np.uint8]

WALL, FLOOR = 6.0, 1.5
"""Metres that the wall is ahead and the floor below."""

TEXEL = 0.004
"""Metres to a pixel of the texture."""

JOINT = 0.4
"""Metres from one joint to the next."""


def step_forward(
    views: int = 2, *, size: tuple[int, int] = (640, 480), step: tuple[float, float, float] = (0.01, 0.0, 0.12)
) -> tuple[list[Camera], Floats]:
    """Cameras that turn to the right by 22 degrees from one to the next, and where they stand, (n, 3): ``step`` metres from the last."""
    look = {"step": (math.radians(22), 0.0), "field_of_view": math.radians(55), "jitter": 0.02, "seed": 1}
    return look_around(rows=1, columns=views, size=size, **look), np.arange(views)[:, None] * np.array(step)


def tiled() -> Pixels:
    """A texture of 12 by 12 metres, coarse and fine, with straight joints."""
    noise = np.random.default_rng(11).standard_normal((3000, 3000)).astype(np.float32)
    octaves = [cv2.resize(noise[: 3000 // k, : 3000 // k], (3000, 3000), interpolation=cv2.INTER_CUBIC) for k in (4, 8, 16, 32, 64)]
    texture = cv2.normalize(np.sum(octaves, axis=0), None, 40, 250, cv2.NORM_MINMAX).astype(np.uint8)
    for k in range(3):
        texture[k :: round(JOINT / TEXEL)], texture[:, k :: round(JOINT / TEXEL)] = 20, 20
    return cv2.cvtColor(texture, cv2.COLOR_GRAY2RGB)


def photograph(camera: Camera, position: Floats, texture: Pixels) -> Pixels:
    """What a camera at a position sees of the room; each pixel is the mean of four."""
    x, y = np.meshgrid(np.arange(2 * camera.size[0]), np.arange(2 * camera.size[1]))
    rays = ray_directions(camera, np.stack([x.ravel(), y.ravel()], axis=1) / 2 - 0.25)
    to_wall, to_floor = (WALL - position[2]) / rays[:, 2], (FLOOR - position[1]) / np.maximum(rays[:, 1], 1e-6)
    scene = position + rays * np.minimum(to_wall, to_floor)[:, None]
    # Unrolled: the floor goes on where the wall ends.
    down = np.where(to_floor < to_wall, FLOOR + WALL - scene[:, 2], scene[:, 1])
    place = np.stack([scene[:, 0], down], axis=1) / TEXEL + np.array(texture.shape[1::-1]) / 2
    column, row = place.astype(np.float32).T.reshape(2, *x.shape)
    return np.asarray(cv2.resize(cv2.remap(texture, column, row, cv2.INTER_LINEAR), camera.size, interpolation=cv2.INTER_AREA))


def seen_by_both(cameras: Sequence[Camera], positions: Floats, i: int, j: int, *, rim: int = 12) -> tuple[Floats, Floats]:
    """Points of the room in photos ``i`` and ``j``, px, (n, 2) each, more than ``rim`` px from their rims."""
    wall = np.stack(np.meshgrid(np.linspace(-6, 6, 121), np.linspace(-1.8, FLOOR - 0.05, 34), [WALL]), -1).reshape(-1, 3)
    floor = np.stack(np.meshgrid(np.linspace(-6, 6, 121), [FLOOR], np.linspace(3.0, WALL - 0.1, 30)), -1).reshape(-1, 3)
    scene = np.concatenate([wall, floor])
    (first, a), (second, b) = (see(cameras[k], scene - positions[k]) for k in (i, j))
    sides = np.array([cameras[i].size, cameras[j].size])
    inside = (first > rim).all(1) & (second > rim).all(1) & (first < sides[0] - rim).all(1) & (second < sides[1] - rim).all(1)
    return first[a & b & inside], second[a & b & inside]


def joints(camera: Camera, position: Floats) -> list[Floats]:
    """The room's straight joints in a photo: points along each, px, (n, 2)."""
    lines = []
    for at in np.arange(-14, 15) * JOINT:
        for one, other in (
            ((-6, at, WALL), (6, at, WALL)),
            ((at, -2, WALL), (at, FLOOR, WALL)),
            ((at, FLOOR, WALL), (at, FLOOR, 3.0)),
        ):
            if one[1] <= FLOOR:
                along = np.array(one) + np.linspace(0, 1, 600)[:, None] * (np.array(other) - one)
                seen, visible = see(camera, along - position)
                lines.append(seen[visible])
    return [line for line in lines if len(line) > 100]


def photograph_room(folder: Path, seed: int) -> Path:
    """Three photos of a room, whose nearer parts lie elsewhere in each."""
    generator, texture = np.random.default_rng(seed), tiled()
    folder.mkdir(parents=True)
    for camera, position, gain in zip(*step_forward(3, step=(0.01, 0.0, 0.05)), (1.0, 0.9, 1.08), strict=True):
        pixels = photograph(camera, position, texture) * gain + generator.normal(0, 1.5, (*camera.size[::-1], 3))
        write_image(folder / camera.name, np.clip(np.rint(pixels), 0, 255).astype(np.uint8))
    return folder
