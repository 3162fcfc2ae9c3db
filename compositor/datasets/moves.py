"""How a sample may be moved: each a record of its ranges that takes a frame one step further.

Angles are in radians, clockwise as y points down; integer coordinates are the middles of pixels.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from numpy.typing import NDArray

__all__ = ["Crop", "Flip", "Frame", "Perspective", "Rotate", "Scale", "Shear", "frame_of", "map_points"]

Matrix = NDArray[np.float64]


@dataclasses.dataclass(frozen=True, eq=False)
class Frame:
    """What of a picture is to be seen, and where.

    Parameters
    ----------
    homography : (3, 3) float64
        From places in the picture to places in the frame, px.
    size : (int, int)
        Width and height, px.
    """

    homography: Matrix
    size: tuple[int, int]

    def then(self, matrix: Matrix) -> Frame:
        """The frame, moved by one more matrix."""
        return Frame(matrix @ self.homography, self.size)

    def about(self, linear: Matrix) -> Frame:
        """The frame, moved by a (2, 2) or (3, 3) matrix that leaves its middle where it is."""
        middle, whole = np.eye(3), np.eye(3)
        middle[:2, 2] = (np.array(self.size) - 1) / 2
        whole[: len(linear), : len(linear)] = linear
        return self.then(middle @ whole @ np.linalg.inv(middle))


def frame_of(pixels: NDArray[np.uint8]) -> Frame:
    """The frame that shows a whole picture, unmoved."""
    return Frame(np.eye(3), (pixels.shape[1], pixels.shape[0]))


def map_points(homography: Matrix, points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Where (n, 2) points lie after a homography."""
    moved = np.column_stack([points, np.ones(len(points))]) @ homography.T
    return np.asarray(moved[:, :2] / moved[:, 2:])


@dataclasses.dataclass(frozen=True)
class Rotate:
    """Turn about the middle by ``most`` at most."""

    most: float

    def __call__(self, frame: Frame, generator: np.random.Generator) -> Frame:
        """Move a frame."""
        angle = generator.uniform(-self.most, self.most)
        c, s = math.cos(angle), math.sin(angle)
        return frame.about(np.array([[c, -s], [s, c]]))


@dataclasses.dataclass(frozen=True)
class Scale:
    """Scale about the middle, by a factor between two."""

    least: float
    most: float

    def __call__(self, frame: Frame, generator: np.random.Generator) -> Frame:
        """Move a frame."""
        return frame.about(np.eye(2) * math.exp(generator.uniform(math.log(self.least), math.log(self.most))))


@dataclasses.dataclass(frozen=True)
class Shear:
    """Shift rows and columns against each other by ``most`` px a px at most."""

    most: float

    def __call__(self, frame: Frame, generator: np.random.Generator) -> Frame:
        """Move a frame."""
        across, down = generator.uniform(-self.most, self.most, 2)
        return frame.about(np.array([[1, across], [down, 1]]))


@dataclasses.dataclass(frozen=True)
class Flip:
    """Mirror left and right, with a chance."""

    chance: float = 0.5

    def __call__(self, frame: Frame, generator: np.random.Generator) -> Frame:
        """Move a frame."""
        return frame.about(np.diag([-1.0, 1.0])) if generator.random() < self.chance else frame


@dataclasses.dataclass(frozen=True)
class Perspective:
    """See the picture from beside: its far edge is smaller than its near one by a share of ``most`` at most."""

    most: float

    def __call__(self, frame: Frame, generator: np.random.Generator) -> Frame:
        """Move a frame."""
        matrix = np.eye(3)
        matrix[2, :2] = generator.uniform(-self.most, self.most, 2) / np.array(frame.size)
        return frame.about(matrix)


@dataclasses.dataclass(frozen=True)
class Crop:
    """Take a part of the picture, anywhere, between two shares of its area, and show it at one size.

    Parameters
    ----------
    size : (int, int)
        Width and height, px, of every crop.
    least, most : float
        Shares of the area.
    """

    size: tuple[int, int]
    least: float = 1.0
    most: float = 1.0

    def __call__(self, frame: Frame, generator: np.random.Generator) -> Frame:
        """Move a frame."""
        whole, wanted = np.array(frame.size, float), np.array(self.size, float)
        # The largest part of the wanted shape, made smaller by the share that was drawn.
        part = wanted * (whole / wanted).min() * math.sqrt(generator.uniform(self.least, self.most))
        corner = generator.uniform(0, 1, 2) * (whole - part)
        scale = wanted / part
        # Corners of pictures lie half a px before the middle of their first pixel.
        shift = (0.5 - corner) * scale - 0.5
        matrix = np.array([[scale[0], 0, shift[0]], [0, scale[1], shift[1]], [0, 0, 1]])
        return Frame(matrix @ frame.homography, self.size)
