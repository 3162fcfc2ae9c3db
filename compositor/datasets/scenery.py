"""Places with depth, made of painted boards: a street to walk down, a church to walk around."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from compositor.datasets.boards import Board, box

__all__ = ["church", "street"]

Picture = NDArray[np.uint8]

CELL = 200
"""Side of the part of a wall that holds one picture, px."""


def street(pictures: Sequence[Picture], generator: np.random.Generator) -> list[Board]:
    """A street along z, ten metres wide and sixty long, with houses at both sides and at its end, and cars.

    Parameters
    ----------
    pictures : sequence of (h, w, 3) uint8
        What hangs on its walls; RGB, at least 200 px either way.
    generator : numpy.random.Generator

    Returns
    -------
    list of Board
        In metres; the eye of somebody who stands at its beginning is at the origin and looks along z.
    """
    boards = []
    for z in range(-5, 55, 10):
        left, right = -5 - generator.uniform(0, 1.5), 5 + generator.uniform(0, 1.5)
        boards.append(board(wall(pictures, 4, 4, generator), (left, -7.5, z), (0, 0, 10), (0, 9, 0)))
        boards.append(board(wall(pictures, 4, 4, generator), (right, -7.5, z + 10), (0, 0, -10), (0, 9, 0)))
        boards.append(board(ground(2, generator), (-7, 1.5, z + 10), (14, 0, 0), (0, 0, -10)))
    boards.append(board(wall(pictures, 10, 6, generator), (-15, -12, 56), (30, 0, 0), (0, 14, 0)))
    for _ in range(8):
        x, away = generator.choice([-1, 1]) * generator.uniform(2, 4), generator.uniform(6, 45)
        boards += box([wall(pictures, 2, 2, generator) for _ in range(3)], (x - 0.9, 0, away), (1.8, 1.5, 3.5))
    return boards


def church(pictures: Sequence[Picture], generator: np.random.Generator) -> list[Board]:
    """A church with two towers, forty metres away, on a square with houses behind and stalls in front.

    Parameters
    ----------
    pictures : sequence of (h, w, 3) uint8
        What hangs on its walls; RGB, at least 200 px either way.
    generator : numpy.random.Generator

    Returns
    -------
    list of Board
        In metres; the origin is an eye in front of it, which looks along z.
    """
    boards = [board(ground(4, generator), (-40, 1.5, 70), (80, 0, 0), (0, 0, -80))]
    boards.append(board(wall(pictures, 16, 4, generator), (-80, -18, 90), (160, 0, 0), (0, 20, 0)))
    boards += box([wall(pictures, 5, 5, generator) for _ in range(3)], (-8, -12.5, 40), (16, 14, 25))
    for x in (-12, 7):
        boards += box([wall(pictures, 2, 6, generator) for _ in range(3)], (x, -24.5, 36), (5, 26, 6))
    for _ in range(6):
        corner = generator.uniform(-15, 15), 0.0, generator.uniform(15, 32)
        boards += box([wall(pictures, 2, 2, generator) for _ in range(3)], corner, (1.8, 1.5, 1.8))
    return boards


def board(picture: Picture, corner: Sequence[float], across: Sequence[float], down: Sequence[float]) -> Board:
    """A board whose place is given in plain numbers."""
    return Board(picture, *(np.asarray(vector, np.float64) for vector in (corner, across, down)))


def wall(pictures: Sequence[Picture], columns: int, rows: int, generator: np.random.Generator) -> Picture:
    """A mottled wall with a piece of a picture in every cell, none like another."""
    paint = mottle(columns * CELL, rows * CELL, 25, generator)
    for row in range(rows):
        for column in range(columns):
            picture = pictures[int(generator.integers(len(pictures)))]
            top, left = (int(generator.integers(0, side - CELL + 1)) for side in picture.shape[:2])
            w, h = (int(side) for side in generator.integers(int(0.4 * CELL), int(0.8 * CELL), 2))
            piece = cv2.resize(picture[top : top + CELL, left : left + CELL], (w, h), interpolation=cv2.INTER_AREA)
            piece = np.rint(piece * generator.uniform(0.5, 1.0, 3)).astype(np.uint8)
            y, x = row * CELL + int(generator.integers(CELL - h)), column * CELL + int(generator.integers(CELL - w))
            paint[y : y + h, x : x + w] = piece[:, :: generator.choice([-1, 1])]
    return paint


def ground(cells: int, generator: np.random.Generator) -> Picture:
    """Gray, mottled finely and coarsely."""
    fine, coarse = (mottle(cells * CELL, cells * CELL, grain, generator).mean(axis=2, keepdims=True) for grain in (4, 50))
    return np.repeat(np.rint(fine * coarse / 160).clip(0, 255), 3, axis=2).astype(np.uint8)


def mottle(w: int, h: int, grain: int, generator: np.random.Generator) -> Picture:
    """Random colours that change smoothly over so many px."""
    colours = generator.uniform(30, 200, (-(-h // grain) + 1, -(-w // grain) + 1, 3)).astype(np.float32)
    return np.asarray(cv2.resize(colours, (w, h), interpolation=cv2.INTER_CUBIC).clip(0, 255), np.uint8)
