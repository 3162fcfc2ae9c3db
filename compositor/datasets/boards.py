"""Scenes with depth: painted boards in space, photographed from anywhere.

What a set of photos looks like that are no panorama can be tried only where things stand in front of each other. A board is a picture
on a rectangle; streets, rooms and churches are made of some boards each. What every pixel of a camera sees is exact: one homography per
board, and the nearest board in sight.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from compositor.datasets.synthesize import from_linear, to_linear
from compositor.types import Camera

__all__ = ["Board", "box", "photograph_boards"]

FINER = 2
"""Rays across a pixel, and down."""


@dataclasses.dataclass(frozen=True, eq=False)
class Board:
    """A picture on a rectangle in space.

    Parameters
    ----------
    picture : (h, w, 3) uint8
        RGB, sRGB-encoded.
    corner : (3,) float64
        Where its upper left corner is; x right, y down, z forward, in metres.
    across, down : (3,) float64
        From there to its upper right and to its lower left corner.
    """

    picture: NDArray[np.uint8]
    corner: NDArray[np.float64]
    across: NDArray[np.float64]
    down: NDArray[np.float64]


def box(pictures: Sequence[NDArray[np.uint8]], corner: Sequence[float], size: Sequence[float]) -> list[Board]:
    """The front and the two sides of a box.

    Parameters
    ----------
    pictures : sequence of (h, w, 3) uint8
        Of the front, the left and the right side.
    corner : (float, float, float)
        Upper left corner of the front, metres.
    size : (float, float, float)
        Width, height and depth, metres.
    """
    x, y, z = np.diag(np.asarray(size, np.float64))
    front = np.asarray(corner, np.float64)
    return [Board(pictures[0], front, x, y), Board(pictures[1], front + z, -z, y), Board(pictures[2], front + x, z, y)]


def photograph_boards(
    boards: Sequence[Board],
    cameras: Sequence[Camera],
    places: Sequence[Sequence[float]],
    *,
    exposure: float = 0.2,
    noise: float = 0.002,
    seed: int = 0,
) -> list[NDArray[np.uint8]]:
    """What cameras see of boards.

    Parameters
    ----------
    boards : sequence of Board
    cameras : sequence of Camera
        Without distortion.
    places : sequence of (float, float, float)
        Where each camera stands, metres.
    exposure : float
        Largest deviation of a photo's exposure, in stops.
    noise : float
        Standard deviation of the noise, in linear light with white at 1.
    seed : int
        Of exposure and noise.

    Returns
    -------
    list of (h, w, 3) uint8
        RGB, sRGB-encoded; gray where there is no board.
    """
    generator = np.random.default_rng(seed)
    lights = [pyramid(to_linear(board.picture)) for board in boards]
    photos = []
    for camera, place in zip(cameras, places, strict=True):
        seen = sight(boards, lights, camera, np.asarray(place, np.float64)) * 2.0 ** generator.uniform(-exposure, exposure)
        photos.append(from_linear(seen + noise * generator.standard_normal(seen.shape)))
    return photos


def pyramid(light: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """A picture, its half, its quarter and so on."""
    import cv2

    levels = [light]
    while min(levels[-1].shape[:2]) >= 16:
        levels.append(np.asarray(cv2.pyrDown(levels[-1]), np.float32))
    return levels


def sight(
    boards: Sequence[Board], lights: Sequence[list[NDArray[np.float32]]], camera: Camera, place: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Linear light of the nearest board along every ray, averaged over each pixel, (h, w, 3)."""
    import cv2

    w, h = camera.size
    x = (np.arange(w * FINER) + 0.5) / FINER - 0.5 - camera.center[0]
    y = (np.arange(h * FINER) + 0.5) / FINER - 0.5 - camera.center[1]
    nearest = np.full((len(y), len(x)), np.inf, np.float32)
    seen = np.full((*nearest.shape, 3), 0.2, np.float32)
    for board, levels in zip(boards, lights, strict=True):
        part = window(board, camera, place, x, y)
        rays = np.dstack([*np.meshgrid(x[part[1]], y[part[0]]), np.full(nearest[part].shape, camera.focal)]) @ camera.rotation.T
        # A ray d from the place meets corner + u * across + v * down where (u, v, 1) is along the inverse of these columns times d.
        on_board = rays @ np.linalg.inv(np.column_stack([board.across, board.down, board.corner - place])).T
        ahead = on_board[..., 2] > 0
        closeness = np.where(ahead, on_board[..., 2], 1.0)
        u, v = on_board[..., 0] / closeness, on_board[..., 1] / closeness
        visible = ahead & (u >= 0) & (u <= 1) & (v >= 0) & (v <= 1) & (1 / closeness < nearest[part])
        if not visible.any():
            continue
        light = levels[coarseness(u, v, visible, levels)]
        column, row = (np.asarray(t * n - 0.5, np.float32) for t, n in ((u, light.shape[1]), (v, light.shape[0])))
        drawn = cv2.remap(light, column, row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        nearest[part][visible] = 1 / closeness[visible]
        seen[part][visible] = drawn[visible]
    return np.asarray(cv2.resize(seen, (w, h), interpolation=cv2.INTER_AREA), np.float64)


def window(board: Board, camera: Camera, place: NDArray[np.float64], x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[slice, slice]:
    """Rows and columns of rays that can meet a board."""
    corners = board.corner - place + np.array([0 * board.across, board.across, board.down, board.across + board.down])
    seen = corners @ camera.rotation
    if (seen[:, 2] < 0.01).any():  # partly behind the camera
        return slice(None), slice(None)
    positions = seen[:, :2] / seen[:, 2:] * camera.focal
    low, high = positions.min(axis=0), positions.max(axis=0)
    return slice(*np.searchsorted(y, (low[1], high[1]))), slice(*np.searchsorted(x, (low[0], high[0])))


def coarseness(u: NDArray[np.float64], v: NDArray[np.float64], visible: NDArray[np.bool_], levels: Sequence[NDArray[np.float32]]) -> int:
    """The level of a pyramid whose pixels are about as fine as the rays."""
    both = visible[:, 1:] & visible[:, :-1]
    if not both.any():
        return 0
    h, w = levels[0].shape[:2]
    step = float(np.median(np.hypot(np.diff(u, axis=1)[both] * w, np.diff(v, axis=1)[both] * h)))
    return int(np.clip(round(np.log2(max(step, 1.0))), 0, len(levels) - 1))
