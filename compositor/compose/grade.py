"""Exposure, white balance, vignetting and shoulder of a photo as tables, and what they make of its pixels."""

from __future__ import annotations

import dataclasses
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compositor.compose.overlaps import SATURATED
from compositor.encoding import decode_srgb, encode_srgb, flatten_highlights, full_scale, restore_highlights
from compositor.kernels.grade import grade, grade_by_radius, grade_floats, grade_values_by_radius
from compositor.photometry import Photometry, falloff
from compositor.types import Camera, Decoded

__all__ = ["Grading", "make_grading", "squared_radii"]

Floats32 = NDArray[np.float32]

RINGS = 64
"""Steps of the squared radius between tables. Between two of them what a pixel becomes bends by less than a tenth of an 8-bit level."""
RIM = 1
"""Pixels to each side of a burnt-out one that are asked whether it lies at a rim. Of photographs whose highlights were burnt out by 0.3 and
0.8 of a stop, the brightest value at once is 10.6 levels off there, and its rims have up to 1.85 times the scene's Laplacian; with 1 it is
9.7 and 1.03, with 2 and 3 10.0 and 10.3 levels, and without any brightening 17.9."""
FINE, MEDIUM, COARSE = 65535, 2048, 256
"""Steps from black to white in a table of deep pixels: alone, one of a stack of tables, and for the reduced canvas."""


@dataclasses.dataclass(frozen=True, eq=False)
class Grading:
    """What becomes of a photo's values.

    Parameters
    ----------
    tables : (m, 3, n) float32
        New values, in units of the pixels, of n old ones from 0 to white, for red, green and blue: one table, or a stack of them, the
        first for the photo's principal point, the last for a squared radius of ``reach``.
    reach : float
        In halves of the photo's diagonal.
    whitens : bool
        What is burnt out stays white, though the photo is darkened; else it becomes the brightest that the last table knows.
    """

    tables: Floats32
    reach: float
    whitens: bool = False

    @property
    def by_radius(self) -> bool:
        """Whether it matters where in the photo a pixel lies."""
        return len(self.tables) > 1

    @cached_property
    def _stack(self) -> Floats32:
        """The tables with how much the next one differs, (m - 1, 3, n, 2)."""
        return np.stack([self.tables[:-1], np.diff(self.tables, axis=0)], axis=-1)

    def grade(self, pixels: NDArray[Any], rows: NDArray[np.float64], columns: NDArray[np.float64]) -> Floats32:
        """A rectangle of the photo's pixels, graded.

        Parameters
        ----------
        pixels : (h, w, 3) uint8, uint16 or float32
        rows : (h,) float64
        columns : (w,) float64
            The parts of their squared radii, as of ``squared_radii``.

        Returns
        -------
        (h, w, 3) float32
            Integers not above white.
        """
        if not self.by_radius:
            return self._grade_evenly(pixels)
        down, across = (np.asarray(part * ((len(self.tables) - 1) / self.reach), np.float32) for part in (rows, columns))
        if pixels.dtype != np.uint8:
            return self._grade_values(pixels, np.add.outer(down, across), RIM)
        graded = np.empty(pixels.shape, np.float32)
        white, burnt, brightest = self._highlights(pixels.dtype)
        grade_by_radius(np.ascontiguousarray(pixels), down, across, self._stack, white, burnt, brightest, RIM, graded)
        return graded

    def grade_scattered(self, pixels: Floats32, radii: Floats32) -> Floats32:
        """Pixels with any squared radii, (h, w), graded."""
        if not self.by_radius:
            return self._grade_evenly(pixels)
        places = np.minimum(radii, np.float32(self.reach)) * np.float32((len(self.tables) - 1) / self.reach)
        return self._grade_values(pixels, places, 0)

    def _grade_evenly(self, pixels: NDArray[Any]) -> Floats32:
        graded = np.empty(pixels.shape, np.float32)
        (grade_floats if pixels.dtype == np.float32 else grade)(pixels, self.tables[0], graded)
        return graded

    def _grade_values(self, pixels: NDArray[Any], places: Floats32, around: int) -> Floats32:
        graded = np.empty(pixels.shape, np.float32)
        white, burnt, brightest = self._highlights(pixels.dtype)
        limit = np.float32(np.inf) if pixels.dtype == np.float32 else white
        grade_values_by_radius(pixels, places, self.tables, white, limit, burnt, brightest, around, graded)
        return graded

    def _highlights(self, dtype: np.dtype[Any]) -> tuple[np.float32, np.float32, Floats32]:
        """White, the value from which on pixels are burnt out, and what becomes of those, (3,)."""
        white = np.float32(full_scale(dtype))
        return white, SATURATED * white, np.full(3, white, np.float32) if self.whitens else np.minimum(self.tables[-1, :, -1], white)


def make_grading(photometry: Photometry, photo: int, camera: Camera, dtype: np.dtype[Any], *, small: bool = False) -> Grading | None:
    """What photometry does to the values of one photo.

    Parameters
    ----------
    photometry : Photometry
    photo : int
        Index into it.
    camera : Camera
        The photo's.
    dtype : numpy.dtype
        Of its pixels: uint8, uint16 or float32.
    small : bool
        A coarse grading will do, for the reduced canvas, which nobody sees.

    Returns
    -------
    Grading or None
        None when nothing changes.
    """
    gain, terms, shoulder = photometry.gains[photo], photometry.vignetting[photo], photometry.shoulder
    shaded, white = bool(terms.any()), full_scale(dtype)
    if (gain == 1).all() and not shaded:
        return None
    steps = 255 if dtype == np.uint8 else COARSE if small else MEDIUM if shaded else FINE
    half_diagonal = np.hypot(*camera.size) / 2
    corners = np.abs(np.array(camera.center) - [(x, y) for x in (-0.5, camera.size[0] - 0.5) for y in (-0.5, camera.size[1] - 0.5)])
    reach = float((corners**2).sum(axis=1).max() / half_diagonal**2)
    light = restore_highlights(decode_srgb(np.arange(steps + 1) / steps), shoulder)
    lift = 1 / falloff(np.linspace(0, reach, RINGS + 1), terms) if shaded else np.ones(1)
    tables = encode_srgb(flatten_highlights(light * gain[:, None] * lift[:, None, None], shoulder))
    # Between tables of a stack white is where their mean passes it, not where one of them does.
    tables = np.minimum(tables, 1) if white > 1 and not shaded else tables
    # A darkened photo's burnt-out sky would come out gray. Only a stack of tables looks at all three channels: two equal ones are one.
    whitens = not shaded and (small or white > 1) and bool((gain < 1).any())
    stack = np.repeat(tables, 2, axis=0) if whitens else tables
    return Grading(np.asarray(stack * white, np.float32), reach, whitens)


def squared_radii(camera: Camera, decoded: Decoded, x: NDArray[Any], y: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """The two parts of squared distances from a photo's principal point, in halves of its diagonal.

    Parameters
    ----------
    camera : Camera
    decoded : Decoded
    x, y : float arrays
        Places in the decoded pixels.

    Returns
    -------
    across, down : float arrays of the shapes of x and y
    """
    half_diagonal = np.hypot(*camera.size) / 2
    parts = []
    for axis, places in enumerate((x, y)):
        scale, offset = decoded.scale[axis], decoded.offset[axis]
        center = (camera.center[axis] + 0.5) * scale - 0.5 + offset
        parts.append(((places - center) * (1 / (scale * half_diagonal))) ** 2)
    return parts[0], parts[1]
