"""The values that travel between the stages.

Points are (x, y) in pixels of the full-size, upright photo, x right, y down; integer coordinates are pixel centres. Shapes are
(h, w[, c]). Cameras look along z with x right and y down; rotations take camera coordinates to world coordinates.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Camera",
    "Canvas",
    "Correspondences",
    "Decoded",
    "Decoder",
    "Features",
    "Match",
    "Matcher",
    "Photo",
    "Pixels",
    "Progress",
    "shrink_to",
]

Pixels = NDArray[np.uint8] | NDArray[np.uint16] | NDArray[np.float32]
"""RGB pixels, (h, w, 3), uint8, uint16 or float32; float32 holds 0..1 in the same encoding as the integers."""


@dataclasses.dataclass(frozen=True, eq=False)
class Decoded:
    """Pixels of a photo at some size, and where they lie in the full-size photo.

    Parameters
    ----------
    pixels : (h, w, 3) uint8, uint16 or float32
        RGB, upright.
    mask : (h, w) bool or None
        Where the photo has pixels; None means everywhere.
    scale : (float, float)
        Decoded pixels per full-size pixel in x and y.
    offset : (float, float)
        Shift in decoded pixels: full-size p lies at (p + 0.5) * scale - 0.5 + offset.
    alpha : (h, w) uint8, uint16 or float32, or None
        At full size only: the photo's opacity where that is more than the yes or no of the mask.
    """

    pixels: Pixels
    mask: NDArray[np.bool_] | None = None
    scale: tuple[float, float] = (1.0, 1.0)
    offset: tuple[float, float] = (0.0, 0.0)
    alpha: NDArray[Any] | None = None

    def to_full(self, points: NDArray[Any]) -> NDArray[np.float64]:
        """Positions in the full-size photo of (n, 2) positions in these pixels."""
        return np.asarray((np.asarray(points, np.float64) + 0.5 - self.offset) / self.scale - 0.5)

    def shrunk(self, size: tuple[int, int]) -> Decoded:
        """The same with this width and height, by area averaging; a pixel stays valid when all of its parts were."""
        import cv2

        h, w = self.pixels.shape[:2]
        pixels, mask = cv2.resize(self.pixels, size, interpolation=cv2.INTER_AREA), self.mask
        if mask is not None:
            mask = cv2.resize(mask.astype(np.uint8) * 255, size, interpolation=cv2.INTER_AREA) == 255
        x, y = size[0] / w, size[1] / h
        # (p + .5) s - .5 + o, then (q + .5) x - .5: the half pixels cancel and the offset is scaled.
        return Decoded(pixels, mask, (self.scale[0] * x, self.scale[1] * y), (self.offset[0] * x, self.offset[1] * y))


class Decoder(Protocol):
    """Decodes a photo at 1/shrink of its size, shrink being 1, 2, 4 or 8; the result tells the exact scale."""

    def __call__(self, shrink: int) -> Decoded:  # noqa: D102
        ...


def shrink_to(size: tuple[int, int], pixels: float) -> int:
    """The largest of 1, 2, 4 and 8 by which a photo of this width and height can be shrunk and still have so many pixels, if it has."""
    factor = math.sqrt(min(1.0, pixels / (size[0] * size[1])))
    return next(shrink for shrink in (8, 4, 2, 1) if shrink == 1 or shrink * factor <= 1.0)


@dataclasses.dataclass(frozen=True, eq=False)
class Photo:
    """A photo whose pixels are not loaded yet, and what its file says of it.

    Parameters
    ----------
    name : str
        How messages and results call it: the file's name, or «photo 3» for an array.
    size : (int, int)
        Width and height of the upright photo, px.
    dtype : numpy.dtype
        uint8, uint16 or float32.
    decode : Decoder
        Gives the pixels at full or reduced size.
    focal : float or None
        Focal length prior in px of the full-size photo, or None when the file tells nothing plausible.
    camera_key : str
        Same for photos that share a camera body and a focal length, «» when unknown.
    exposure : float or None
        Natural logarithm of the light the sensor was given and made of, time * sensitivity / aperture^2, up to a constant; None when
        the file does not tell.
    taken : float or None
        When it was taken, seconds; only differences between photos of one camera mean something.
    position : (float, float) or None
        Where it was taken: latitude and longitude, degrees.
    turned : int
        Quarter turns clockwise that the file asked for and that were made to have it upright, 0..3. The file may be wrong.
    wish : Photo or None
        A picture of the same size, white where this photo is to be shown, whatever others show there.
    metadata : mapping
        What the output keeps: ``exif`` (bytes), ``icc`` (bytes); keys are absent when the file has none.
    """

    name: str
    size: tuple[int, int]
    dtype: np.dtype[Any]
    decode: Decoder
    focal: float | None = None
    camera_key: str = ""
    exposure: float | None = None
    taken: float | None = None
    position: tuple[float, float] | None = None
    turned: int = 0
    wish: Photo | None = None
    metadata: Mapping[str, bytes] = dataclasses.field(default_factory=dict)

    def full(self) -> Decoded:
        """The photo's pixels at full size."""
        return self.decode(1)

    def reduced(self, megapixels: float, *, gray: bool = False) -> Decoded:
        """The photo shrunk to at most ``megapixels``, decoded small where the format allows it.

        A photo that is smaller already comes back at full size. Area averaging, so nothing aliases. With ``gray`` the pixels are its
        luma, (h, w): a third of the work.
        """
        import cv2

        w, h = self.size
        factor = math.sqrt(min(1.0, megapixels * 1e6 / (w * h)))
        decoded = self.decode(shrink_to(self.size, megapixels * 1e6))
        if gray:
            decoded = dataclasses.replace(decoded, pixels=cv2.cvtColor(decoded.pixels, cv2.COLOR_RGB2GRAY))
        have_h, have_w = decoded.pixels.shape[:2]
        new_w, new_h = max(1, round(w * factor)), max(1, round(h * factor))
        return decoded if new_w >= have_w and new_h >= have_h else decoded.shrunk((new_w, new_h))


@dataclasses.dataclass(frozen=True, eq=False)
class Features:
    """What was found in one photo to recognise it by.

    Parameters
    ----------
    points : (n, 2) float64
        Positions in full-size pixels, strongest first.
    sizes : (n,) float32
        Diameters in full-size pixels.
    descriptors : (n, 128) float32 of unit length (sift, aliked, disk), or (n, 32) uint8 bit strings (orb)
    picture : (h, w) uint8
        The reduced gray photo they were found in.
    scale, offset : (float, float)
        Where the picture lies in the full-size photo, as in ``Decoded``.
    mask : (h, w) bool or None
        Where the picture may be looked at; None means everywhere.
    """

    points: NDArray[np.float64]
    sizes: NDArray[np.float32]
    descriptors: NDArray[Any]
    picture: NDArray[np.uint8]
    scale: tuple[float, float] = (1.0, 1.0)
    offset: tuple[float, float] = (0.0, 0.0)
    mask: NDArray[np.bool_] | None = None

    def to_full(self, points: NDArray[Any]) -> NDArray[np.float64]:
        """Positions in the full-size photo of (n, 2) positions in the picture."""
        return np.asarray((np.asarray(points, np.float64) + 0.5 - self.offset) / self.scale - 0.5)

    def to_picture(self, points: NDArray[Any]) -> NDArray[np.float64]:
        """Positions in the picture of (n, 2) positions in the full-size photo."""
        return np.asarray((np.asarray(points, np.float64) + 0.5) * self.scale - 0.5 + self.offset)

    def may_look(self, positions: NDArray[Any]) -> NDArray[np.bool_]:
        """Which of (n, 2) positions in the picture, or next to it, the mask lets through."""
        if self.mask is None:
            return np.ones(len(positions), np.bool_)
        h, w = self.mask.shape
        columns, rows = np.rint(positions).astype(np.int64).T
        return np.asarray(self.mask[np.clip(rows, 0, h - 1), np.clip(columns, 0, w - 1)])


@dataclasses.dataclass(frozen=True, eq=False)
class Correspondences:
    """Points that a matcher believes two photos to have in common; nothing has been checked yet.

    Parameters
    ----------
    points_first, points_second : (n, 2) float64
        The same scene points, x and y in px of either full-size, upright photo, as ``Decoded.to_full`` gives them. n may be 0.
    scores : (n,) float64 or None
        How sure the matcher is of each, more is surer; None when it does not tell. The surest are kept where there are too many.
    """

    points_first: NDArray[np.float64]
    points_second: NDArray[np.float64]
    scores: NDArray[np.float64] | None = None


Matcher = Callable[[Photo, Photo], Correspondences | tuple[NDArray[Any], NDArray[Any]]]
"""Finds points that two photos have in common."""


@dataclasses.dataclass(frozen=True, eq=False)
class Match:
    """Points that photos ``first`` and ``second`` have in common.

    Parameters
    ----------
    first, second : int
        Indices of the photos, first < second.
    points_first, points_second : (n, 2) float64
        The same scene points in full-size pixels of either photo; inliers only.
    homography : (3, 3) float64
        Takes points of ``first`` to points of ``second``.
    candidates : int
        How many matches there were before the geometric check.
    pixel : float
        Size of a pixel of the reduced photos that they were found in, px.
    """

    first: int
    second: int
    points_first: NDArray[np.float64]
    points_second: NDArray[np.float64]
    homography: NDArray[np.float64]
    candidates: int
    pixel: float = 1.0

    @property
    def inliers(self) -> int:
        """Number of matches that agree with one homography."""
        return len(self.points_first)


@dataclasses.dataclass(frozen=True, eq=False)
class Camera:
    """One photo's view of the world.

    A world direction d is seen at pixel ``center + focal * distort(x / z, y / z)`` with (x, y, z) = rotation.T @ d and
    distort(u) = u * (1 + k1 r^2 + k2 r^4), r = |u|. A mesh then moves that pixel p to p + mesh(p).

    Parameters
    ----------
    name : str
        The photo's name.
    size : (int, int)
        Width and height of the full-size upright photo, px.
    focal : float
        Focal length, px of the full-size photo.
    center : (float, float)
        Principal point (x, y), px.
    rotation : (3, 3) float64
        Camera to world.
    distortion : (float, float)
        Radial k1, k2, in units of focal lengths.
    plane : (3, 3) float64 or None
        For a photo of a plane, taken from anywhere: takes a ray (x, y, 1) in the camera's frame to homogeneous coordinates on that
        plane, which takes the place of the world's directions; ``rotation`` then plays no part.
    mesh : (rows, columns, 2) float64 or None
        Small local corrections, px of the full-size photo: control values of ``compositor.geometry.mesh``.
    """

    name: str
    size: tuple[int, int]
    focal: float
    center: tuple[float, float]
    rotation: NDArray[np.float64]
    distortion: tuple[float, float] = (0.0, 0.0)
    plane: NDArray[np.float64] | None = None
    mesh: NDArray[np.float64] | None = None

    @property
    def view(self) -> NDArray[np.float64]:
        """Camera to world, (3, 3): the rotation, or for a photo of a plane its homography."""
        return self.rotation if self.plane is None else self.plane

    @property
    def inverse_view(self) -> NDArray[np.float64]:
        """World to camera, (3, 3)."""
        return np.asarray(self.rotation.T if self.plane is None else np.linalg.inv(self.plane), np.float64)

    def looking(self, view: NDArray[np.float64]) -> Camera:
        """The same camera with another view matrix."""
        return dataclasses.replace(self, rotation=view) if self.plane is None else dataclasses.replace(self, plane=view)


@dataclasses.dataclass(frozen=True)
class Canvas:
    """The sheet a panorama is drawn on.

    Canvas pixel (x, y) shows the direction that the projection gives to ((x + left) / scale, (y + top) / scale).

    Parameters
    ----------
    projection : str
        One of ``compositor.options.Projection``, but for «auto».
    scale : float
        Pixels per radian at the middle (photos of a plane: per unit of it).
    left, top : float
        Projection coordinates, px, of the centre of the first pixel.
    size : (int, int)
        Width and height, px.
    wraps : bool
        The right edge continues at the left one: 360 degrees.
    """

    projection: str
    scale: float
    left: float
    top: float
    size: tuple[int, int]
    wraps: bool = False


Progress = Callable[[str, int, int], None]
"""Called as progress(stage, done, total) while work goes on."""
