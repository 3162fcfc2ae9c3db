"""What can be told of a picture without learning: its colours and the directions of its edges."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from compositor.learned.pictures import shrunk

__all__ = ["colour_histogram", "edge_histogram"]

COLOURS_AT = 64
"""Px on the shorter side at which colours are counted."""
LIGHTNESSES, TINTS, TINT_RANGE = 8, 10, 50
"""Steps of CIE L*, steps of a* and b* each, and how far these reach to either side; stronger colours count as the last step."""
EDGES_AT, CELL = 64, 8
"""Side of the square at which edges are told, and of the cells in which they are counted, px."""


def colour_histogram(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Square roots of how often colours occur, (800,): their product is how alike two histograms are (Bhattacharyya).

    Parameters
    ----------
    pixels : (h, w, 3) uint8
        RGB.
    """
    lab = cv2.cvtColor(shrunk(pixels, COLOURS_AT), cv2.COLOR_RGB2LAB).reshape(-1, 3).astype(np.int64)
    step = 2 * TINT_RANGE / TINTS
    tints = np.clip(((lab[:, 1:] - 128 + TINT_RANGE) // step).astype(np.int64), 0, TINTS - 1)
    place = (lab[:, 0] * LIGHTNESSES // 256 * TINTS + tints[:, 0]) * TINTS + tints[:, 1]
    counts = np.bincount(place, minlength=LIGHTNESSES * TINTS * TINTS)
    return np.sqrt(counts / len(lab)).astype(np.float32)


def edge_histogram(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Directions of edges, cell by cell, (1764,), of length 1 (Dalal and Triggs, «HOG», CVPR 2005).

    Parameters
    ----------
    pixels : (h, w, 3) uint8
        RGB.
    """
    h, w = pixels.shape[:2]
    smaller = cv2.INTER_AREA if min(h, w) >= EDGES_AT else cv2.INTER_LINEAR
    square = cv2.resize(pixels, (EDGES_AT, EDGES_AT), interpolation=smaller)
    side, cell, block = (EDGES_AT, EDGES_AT), (CELL, CELL), (2 * CELL, 2 * CELL)
    told = cv2.HOGDescriptor(side, block, cell, cell, 9).compute(square).ravel()  # type: ignore[attr-defined]
    return np.asarray(told / max(float(np.linalg.norm(told)), 1e-9), np.float32)
