"""A photo's mesh: small, smooth displacements of its points, as uniform cubic B-splines (Lee, Wolberg & Shin 1997).

A mesh of ``rows x columns`` control values spreads ``rows - 3`` by ``columns - 3`` equal cells over the photo, so that it means the same
at every size of the photo but for its values, which are pixels. Beyond the photo displacements go on as at its edge.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["displacements", "mesh_position", "spline_pieces", "spline_weights", "steepness", "undisplaced"]

Floats = NDArray[np.float64]

EXACT = 1e-8
"""Pixels from the answer at which undoing a displacement stops."""


def mesh_position(points: Floats, size: tuple[int, int], shape: tuple[int, int]) -> Floats:
    """Points of a photo in cells of its mesh, (n, 2).

    Parameters
    ----------
    points : (n, 2) float64
        Pixels of the photo.
    size : (int, int)
        Width and height of the photo, px.
    shape : (int, int)
        Rows and columns of control values, at least 4 each.
    """
    cells = np.array([shape[1] - 3, shape[0] - 3])
    return np.asarray(np.clip((points + 0.5) * (cells / size), 0.0, cells))


def spline_weights(positions: Floats, cells: int | NDArray[np.int64], *, derivative: int = 0) -> tuple[NDArray[np.int64], Floats]:
    """Which four control values along one axis count at positions, and how much.

    Parameters
    ----------
    positions : (n,) float64
        0 .. ``cells``.
    cells : int or (n,) int64
    derivative : int
        0 weighs for the value itself, 2 for its second derivative per cell.

    Returns
    -------
    first : (n,) int64
        Index of the first of them.
    weights : (n, 4) float64
    """
    first = np.minimum(positions.astype(np.int64), cells - 1)
    t = positions - first
    u = 1 - t
    if derivative == 2:
        return first, np.stack([u, 3 * t - 2, 3 * u - 2, t], axis=1)
    if derivative == 1:
        return first, np.stack([-u * u, t * (3 * t - 4), u * (4 - 3 * u), t * t], axis=1) / 2
    return first, np.stack([u**3, 4 - t * t * (6 - 3 * t), 4 - u * u * (6 - 3 * u), t**3], axis=1) / 6


def displacements(mesh: Floats, size: tuple[int, int], points: Floats) -> Floats:
    """How far a mesh moves points, px, (n, 2).

    Parameters
    ----------
    mesh : (rows, columns, 2) float64
        Control values, px in x and y.
    size : (int, int)
        Width and height of the photo, px.
    points : (n, 2) float64
        Where the camera without its mesh sees something, px.
    """
    x, y = mesh_position(points, size, (mesh.shape[0], mesh.shape[1])).T
    column, across = spline_weights(x, mesh.shape[1] - 3)
    row, down = spline_weights(y, mesh.shape[0] - 3)
    nodes = (row[:, None] * mesh.shape[1] + np.arange(4) * mesh.shape[1])[:, :, None] + (column[:, None] + np.arange(4))[:, None, :]
    weights = down[:, :, None] * across[:, None, :]
    values = mesh.reshape(-1, 2).take(nodes.reshape(-1, 16), axis=0)
    return np.asarray(np.einsum("nk,nkc->nc", weights.reshape(-1, 16), values))


def spline_pieces(mesh: Floats) -> Floats:
    """A mesh as one polynomial per cell, (rows - 3, columns - 3, 4, 4, 2): by powers of the position across, then down, in the cell."""
    # By power of the position: what each of four control values contributes.
    powers = np.array([[1, 4, 1, 0], [-3, 0, 3, 0], [3, -6, 3, 0], [-1, 3, -3, 1]]) / 6
    patches = np.lib.stride_tricks.sliding_window_view(mesh, (4, 4), axis=(0, 1))
    return np.asarray(np.einsum("yr,mnkrx->mnxyk", powers, np.einsum("xc,mnkrc->mnkrx", powers, patches)))


def undisplaced(mesh: Floats, size: tuple[int, int], points: Floats) -> Floats:
    """Points, (n, 2), that a mesh moves to given ones, px; ``steepness`` below 1 makes them exist and the iteration find them."""
    found = points - displacements(mesh, size, points)
    # Every step is shorter than the one before by the steepness; at 0.9, which is unheard of, two hundred of them are enough.
    for _ in range(200):
        step = points - displacements(mesh, size, found) - found
        found = found + step
        if np.abs(step).max(initial=0.0) < EXACT:
            break
    return np.asarray(found)


def steepness(mesh: Floats, size: tuple[int, int]) -> float:
    """A bound on how much displacements differ between two points, per distance; below 1 nothing folds over."""
    across = np.abs(np.diff(mesh, axis=1)).max(axis=(0, 1), initial=0.0) * (mesh.shape[1] - 3) / size[0]
    down = np.abs(np.diff(mesh, axis=0)).max(axis=(0, 1), initial=0.0) * (mesh.shape[0] - 3) / size[1]
    return float(np.hypot(np.linalg.norm(across), np.linalg.norm(down)))
