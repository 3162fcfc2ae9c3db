"""Motion models: how photos of one scene can differ, from a shifted scan to a camera anywhere above a plane."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

__all__ = ["MODELS", "MotionModel"]


@dataclasses.dataclass(frozen=True, eq=False)
class MotionModel:
    """A group of motions.

    Parameters
    ----------
    name : str
    generators : (g, 9) float64
        Infinitesimal motions of the world, each a 3 x 3 matrix row by row.
    planar : bool
        The world is a plane; otherwise it is the sphere of directions.
    """

    name: str
    generators: NDArray[np.float64]
    planar: bool


def matrices(*entries: dict[tuple[int, int], float]) -> NDArray[np.float64]:
    """Generators from their non-zero entries."""
    out = np.zeros((len(entries), 3, 3))
    for matrix, entry in zip(out, entries, strict=True):
        for place, value in entry.items():
            matrix[place] = value
    return out.reshape(-1, 9)


SHIFTS: tuple[dict[tuple[int, int], float], ...] = ({(0, 2): 1.0}, {(1, 2): 1.0})
TURN: dict[tuple[int, int], float] = {(0, 1): -1.0, (1, 0): 1.0}
ZOOM: dict[tuple[int, int], float] = {(0, 0): 1.0, (1, 1): 1.0}
SHEARS: tuple[dict[tuple[int, int], float], ...] = ({(0, 0): 1.0, (1, 1): -1.0}, {(0, 1): 1.0, (1, 0): 1.0})
TILTS: tuple[dict[tuple[int, int], float], ...] = ({(2, 0): 1.0}, {(2, 1): 1.0})

MODELS = {
    model.name: model
    for model in (
        MotionModel(
            "rotation",
            matrices({(1, 2): -1.0, (2, 1): 1.0}, {(2, 0): -1.0, (0, 2): 1.0}, {(0, 1): -1.0, (1, 0): 1.0}),
            planar=False,
        ),
        MotionModel("translation", matrices(*SHIFTS), planar=True),
        MotionModel("euclidean", matrices(*SHIFTS, TURN), planar=True),
        MotionModel("similarity", matrices(*SHIFTS, TURN, ZOOM), planar=True),
        MotionModel("affine", matrices(*SHIFTS, TURN, ZOOM, *SHEARS), planar=True),
        MotionModel("homography", matrices(*SHIFTS, TURN, ZOOM, *SHEARS, *TILTS), planar=True),
    )
}
