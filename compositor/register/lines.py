"""Straight lines of a photo, which bending must leave straight."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from compositor.geometry.mesh import displacements
from compositor.register.residuals import Level
from compositor.types import Camera

__all__ = ["find_lines", "line_bending", "sample_lines"]

Floats = NDArray[np.float64]

SHORTEST = 0.03
"""Length of the shortest piece of a line that is looked for, as a share of the picture's longer side."""

LEAST = 20
"""Pixels of the picture that such a piece is long at least."""

ASIDE = 1.0
"""Pixels of the picture by which the pieces of one line may lie beside it."""

MOST_PIECES = 400
"""Pieces, the longest ones, that are looked at: joining takes time with their square."""

GAP = 0.06
"""Longest gap between two pieces of one line, as a share of the picture's longer side: a tree or a window frame in front of it."""


def find_lines(level: Level) -> Floats:
    """Ends of the straight lines of a photo, (n, 2, 2), in full-size px, longest first.

    Pieces of edges (Lee et al. 2014, as OpenCV has it) that lie on one line are joined.
    """
    side = max(level.picture.shape)
    detector = cv2.ximgproc.createFastLineDetector(length_threshold=max(LEAST, int(SHORTEST * side)))
    found = detector.detect(level.picture)
    if found is None:
        return np.zeros((0, 2, 2))
    joined = join_pieces(found.reshape(-1, 2, 2).astype(np.float64), GAP * side)
    return level.to_full(joined.reshape(-1, 2)).reshape(-1, 2, 2)


def join_pieces(pieces: Floats, gap: float) -> Floats:
    """Lines, (m, 2, 2), that pieces of lines, (n, 2, 2), are parts of, longest first.

    The longest piece takes in every other one that lies on it, continuing over gaps, and grows; then the longest of what is left.
    """
    order = np.argsort(-np.linalg.norm(pieces[:, 1] - pieces[:, 0], axis=1), kind="stable")[:MOST_PIECES]
    # As complex numbers, dividing by a direction tells in one step how far along it and how far aside points lie.
    left, lines = pieces[order, :, 0] + 1j * pieces[order, :, 1], []
    while len(left):
        line, left = left[0], left[1:]
        grown = True
        while grown and len(left):
            length = abs(line[1] - line[0])
            way = (left - line[0]) * (np.conj(line[1] - line[0]) / length)
            along, aside = way.real, np.abs(way.imag)
            on = (aside.max(axis=1) < ASIDE) & (along.min(axis=1) < length + gap) & (along.max(axis=1) > -gap)
            grown = bool(on.any())
            if grown:
                ends, reach = np.append(line, left[on]), np.append([0, length], along[on])
                line, left = ends[[reach.argmin(), reach.argmax()]], left[~on]
        lines.append(line)
    joined = np.array(lines).reshape(-1, 2)
    joined = joined[np.argsort(-np.abs(joined[:, 1] - joined[:, 0]), kind="stable")]
    return np.stack([joined.real, joined.imag], axis=2)


def sample_lines(lines: Floats, spacing: float) -> tuple[Floats, NDArray[np.int64]]:
    """Points on lines, (m, 2), from end to end evenly, at most ``spacing`` apart and at least three; and to which line each belongs."""
    counts = np.maximum(3, np.ceil(np.linalg.norm(lines[:, 1] - lines[:, 0], axis=1) / spacing).astype(np.int64) + 1)
    line = np.repeat(np.arange(len(lines)), counts)
    share = (np.arange(len(line)) - np.repeat(np.cumsum(counts) - counts, counts)) / (counts[line] - 1)
    return lines[line, 0] + share[:, None] * (lines[line, 1] - lines[line, 0]), line


def line_bending(camera: Camera, lines: Floats) -> Floats:
    """How far each line of a photo, (n, 2, 2), gets from the straight line that fits it best when the photo's mesh moves it, px, (n,)."""
    if camera.mesh is None or not len(lines):
        return np.zeros(len(lines))
    points, line = sample_lines(lines, max(camera.size) / 100)
    along = (lines[:, 1] - lines[:, 0])[line]
    moved = displacements(camera.mesh, camera.size, points)
    aside = (moved[:, 1] * along[:, 0] - moved[:, 0] * along[:, 1]) / np.linalg.norm(along, axis=1)
    share = ((points - lines[line, 0]) * along).sum(axis=1) / (along**2).sum(axis=1) - 0.5
    slope = np.bincount(line, aside * share) / np.bincount(line, share**2)
    left = aside - (np.bincount(line, aside) / np.bincount(line))[line] - slope[line] * share
    bent = np.zeros(len(lines))
    np.maximum.at(bent, line, np.abs(left))
    return bent
