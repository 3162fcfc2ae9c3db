"""Pictures to learn from, varied: a sample's picture, mask and points move together, and its light changes, all drawn by seed.

An augmentation is a list of moves and a list of lights, each a small record of its ranges (``compositor.datasets.moves``,
``compositor.datasets.lights``) or any callable like them. All moves are multiplied first and the picture is sampled once, so that several
moves cost no more sharpness than one.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from compositor.datasets.moves import Frame, frame_of, map_points
from compositor.errors import OptionError

__all__ = ["Augmentation", "Sample", "cut_mix", "generator_of", "overlap_pair"]

Pixels = NDArray[np.uint8]
Move = Callable[[Frame, np.random.Generator], Frame]
Light = Callable[[NDArray[np.float32], np.random.Generator], NDArray[np.float32]]
LARGEST_STEP = 0.35
"""By how much the halves of an overlapping pair are scaled, turned (radians) and bent apart at most, 1 for as much as that."""


@dataclasses.dataclass(frozen=True, eq=False)
class Sample:
    """A picture and what is known of it.

    Parameters
    ----------
    pixels : (h, w, 3) uint8
        RGB, sRGB-encoded.
    mask : (h, w) bool, optional
        What of it counts.
    points : (n, 2) float64, optional
        Places in it, x and y, px; such as have left the picture lie outside of it, such as are covered are NaN.
    homography : (3, 3) float64, optional
        Where the places of the picture that this one was made of lie in it; by default nothing was moved.
    """

    pixels: Pixels
    mask: NDArray[np.bool_] | None = None
    points: NDArray[np.float64] | None = None
    homography: NDArray[np.float64] = dataclasses.field(default_factory=lambda: np.eye(3))

    def moved(self, frame: Frame) -> Sample:
        """The sample as a frame shows it: what lies outside the picture is black and masked.

        Parameters
        ----------
        frame : Frame
            Made from this sample's own.
        """
        size, matrix = frame.size, frame.homography
        pixels = _sampled(self.pixels, matrix, size)
        inside = np.ones(self.pixels.shape[:2], np.uint8) if self.mask is None else self.mask.view(np.uint8)
        mask = cv2.warpPerspective(inside, matrix, size, flags=cv2.INTER_NEAREST).view(bool)
        points = None if self.points is None else map_points(matrix, self.points)
        return Sample(pixels, None if self.mask is None and mask.all() else mask, points, matrix @ self.homography)


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """Moves, then lights.

    Parameters
    ----------
    moves : tuple of callable
        Each takes a ``Frame`` and a generator of random numbers and gives a ``Frame``.
    lights : tuple of callable
        Each takes (h, w, 3) float32 pixels, encoded, 0..1, and a generator, and gives such pixels.
    """

    moves: tuple[Move, ...] = ()
    lights: tuple[Light, ...] = ()

    def __call__(self, sample: Sample, generator: np.random.Generator) -> Sample:
        """A variation of a sample."""
        frame = frame_of(sample.pixels)
        for move in self.moves:
            frame = move(frame, generator)
        return self.lit(sample.moved(frame) if self.moves else sample, generator)

    def lit(self, sample: Sample, generator: np.random.Generator) -> Sample:
        """A sample in other light; nothing moves."""
        if not self.lights:
            return sample
        pixels = np.asarray(sample.pixels.astype(np.float32) / 255, np.float32)
        for light in self.lights:
            pixels = light(pixels, generator)
        return dataclasses.replace(sample, pixels=np.round(np.clip(pixels, 0, 1) * 255).astype(np.uint8))


def generator_of(seed: int, number: int) -> np.random.Generator:
    """The random numbers of one sample: they depend on nothing but a seed and the sample's number."""
    return np.random.default_rng([seed, number])


def cut_mix(sample: Sample, other: Sample, generator: np.random.Generator) -> tuple[Sample, float]:
    """Put a box of another picture into this one (Yun and others, «CutMix», ICCV 2019).

    Parameters
    ----------
    sample, other : Sample
        Pictures of one size.
    generator : numpy.random.Generator

    Returns
    -------
    Sample
        The mask is the other's inside the box; points that it covers are NaN.
    float
        Share of the picture that is the first one's.

    Raises
    ------
    OptionError
        The sizes differ.
    """
    h, w = sample.pixels.shape[:2]
    if other.pixels.shape != sample.pixels.shape:
        raise OptionError(f"pictures of {sample.pixels.shape} and {other.pixels.shape} cannot be mixed; give both one size")
    side = math.sqrt(generator.uniform())
    bh, bw = max(1, round(h * side)), max(1, round(w * side))
    y, x = int(generator.integers(h - bh + 1)), int(generator.integers(w - bw + 1))
    box = slice(y, y + bh), slice(x, x + bw)
    pixels = sample.pixels.copy()
    pixels[box] = other.pixels[box]
    mask = None
    if sample.mask is not None or other.mask is not None:
        mask = np.ones((h, w), bool)
        if sample.mask is not None:
            mask &= sample.mask
        mask[box] = True if other.mask is None else other.mask[box]
    points = sample.points
    if points is not None:
        covered = np.logical_and.reduce((points >= (x - 0.5, y - 0.5)) & (points < (x + bw - 0.5, y + bh - 0.5)), axis=1)
        points = np.where(covered[:, None], np.nan, points)
    return Sample(pixels, mask, points, sample.homography), 1 - bh * bw / (h * w)


def overlap_pair(
    sample: Sample,
    generator: np.random.Generator,
    *,
    size: int,
    overlap: tuple[float, float] = (0.3, 1.0),
    share: tuple[float, float] = (0.35, 0.9),
    apart: float = 0.5,
) -> tuple[Sample, Sample]:
    """Two squares of one picture that overlap as neighbouring photos of a panorama do.

    Parameters
    ----------
    sample : Sample
    generator : numpy.random.Generator
    size : int
        Side of both, px.
    overlap : (float, float)
        Least and largest share of one square's side by which the other overlaps it, along the direction in which they are apart.
    share : (float, float)
        Least and largest side of the squares in the picture, as a share of its shorter side.
    apart : float
        How much the two are scaled, turned and bent against each other, 0..1.

    Returns
    -------
    first, second : Sample
        Places of the first lie in the second where ``second.homography @ inv(first.homography)`` takes them.
    """
    h, w = sample.pixels.shape[:2]
    side = min(h, w) * math.exp(generator.uniform(*np.log(share)))
    angle, shift = generator.uniform(0, 2 * math.pi), side * (1 - generator.uniform(*overlap))
    step = np.array([math.cos(angle), math.sin(angle)])
    step *= shift / np.abs(step).max()
    room = np.array([w, h]) - side
    middle = generator.uniform(0, 1, 2) * np.maximum(room - np.abs(step), 0) + np.maximum(-step, 0) + (side - 1) / 2
    # The second is placed beside the first, inside the picture where there is room for it.
    beside = np.clip(middle + step, (side - 1) / 2, np.maximum(room + (side - 1) / 2, (side - 1) / 2))
    return tuple(
        sample.moved(_square(place, side, size, generator, bent)) for place, bent in ((middle, 0.0), (beside, apart * LARGEST_STEP))
    )  # type: ignore[return-value]


def _square(middle: NDArray[np.float64], side: float, size: int, generator: np.random.Generator, bent: float) -> Frame:
    """The frame of a square of a picture, about so large, a little turned, scaled and seen from beside."""
    angle, scale = generator.uniform(-bent, bent, 2)
    tilt = generator.uniform(-bent, bent, 2) / (2 * side)
    factor = size / side * math.exp(scale)
    c, s = factor * math.cos(angle), factor * math.sin(angle)
    to_middle = np.array([[1, 0, -middle[0]], [0, 1, -middle[1]], [0, 0, 1]])
    turn = np.array([[c, -s, 0], [s, c, 0], [*tilt, 1]])
    back = np.array([[1, 0, (size - 1) / 2], [0, 1, (size - 1) / 2], [0, 0, 1]])
    return Frame(back @ turn @ to_middle, (size, size))


def _sampled(pixels: Pixels, matrix: NDArray[np.float64], size: tuple[int, int]) -> Pixels:
    """A picture seen through a homography: reduced by whole numbers first, as far as it shrinks, so that no detail folds over."""
    centre = np.linalg.inv(matrix) @ [(size[0] - 1) / 2, (size[1] - 1) / 2, 1]
    x, y = centre[:2] / centre[2]
    beside = map_points(matrix, np.array([[x, y], [x + 1, y], [x, y + 1]]))
    area = abs(float(np.linalg.det(beside[1:] - beside[0])))
    shrink = int(np.clip(1 / math.sqrt(max(area, 1e-6)), 1, min(pixels.shape[:2])))
    if shrink > 1:
        pixels, (x, y) = _seen_part(pixels, matrix, size, 2 * shrink)
        matrix = matrix @ np.array([[1, 0, x], [0, 1, y], [0, 0, 1]])
        h, w = pixels.shape[:2]
        pixels = cv2.resize(pixels, (max(1, w // shrink), max(1, h // shrink)), interpolation=cv2.INTER_AREA)
        sx, sy = w / pixels.shape[1], h / pixels.shape[0]
        matrix = matrix @ np.array([[sx, 0, (sx - 1) / 2], [0, sy, (sy - 1) / 2], [0, 0, 1]])
    return np.asarray(cv2.warpPerspective(pixels, matrix, size, flags=cv2.INTER_LINEAR), np.uint8)


def _seen_part(pixels: Pixels, matrix: NDArray[np.float64], size: tuple[int, int], margin: int) -> tuple[Pixels, tuple[int, int]]:
    """The part of a picture that a homography brings into sight, and its corner; the whole where the horizon is in sight."""
    w, h = size
    corners = np.array([[-1, -1, 1], [w, -1, 1], [-1, h, 1], [w, h, 1]]) @ np.linalg.inv(matrix).T
    if not ((corners[:, 2] > 0).all() or (corners[:, 2] < 0).all()):
        return pixels, (0, 0)
    places = corners[:, :2] / corners[:, 2:]
    most = np.array(pixels.shape[1::-1])
    low = np.clip(np.floor(places.min(0)) - margin, 0, most - 1).astype(int)
    high = np.clip(np.ceil(places.max(0)) + margin + 1, low + 1, most).astype(int)
    return pixels[low[1] : high[1], low[0] : high[0]], (int(low[0]), int(low[1]))
