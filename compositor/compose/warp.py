"""A photo's pixels, drawn on a rectangle of the canvas."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from compositor.compose.grade import Grading, squared_radii
from compositor.geometry.mesh import spline_pieces
from compositor.geometry.projections import PROJECTIONS, canvas_columns, canvas_rows
from compositor.geometry.views import largest_radius, world_to_camera
from compositor.kernels.projection import bend_places, locate_angular_pixels, locate_pixels
from compositor.kernels.sample import sample_cubic
from compositor.types import Camera, Canvas, Decoded

__all__ = ["Box", "Places", "Sheet", "draw", "extend_colours", "locate"]

Floats = NDArray[np.float64]
Floats32 = NDArray[np.float32]
Finder = Callable[..., tuple[int, int, int, int]]
"""Called with a lens and the arrays of places to fill, as ``locate_pixels``."""
FROM_EDGE = 4
"""Pixels of the photo that are kept around those a rectangle shows: bicubic interpolation reaches two."""
STRIP = 256
"""Rows of a masked photo that are worked on at once."""


class Box(NamedTuple):
    """Pixels left <= x < right, top <= y < bottom of a canvas. Columns outside of one that wraps are taken modulo its width."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""
        return self.bottom - self.top, self.right - self.left

    def grow(self, margin: int) -> Box:
        """The box with a margin all round."""
        return Box(self.left - margin, self.top - margin, self.right + margin, self.bottom + margin)

    def clip(self, other: Box) -> Box:
        """What both boxes share; may be empty or of negative size."""
        return Box(max(self.left, other.left), max(self.top, other.top), min(self.right, other.right), min(self.bottom, other.bottom))

    def within(self, other: Box) -> tuple[slice, slice]:
        """Rows and columns of this box in an array that holds another one."""
        return slice(self.top - other.top, self.bottom - other.top), slice(self.left - other.left, self.right - other.left)

    def __bool__(self) -> bool:
        return self.left < self.right and self.top < self.bottom


@dataclasses.dataclass(frozen=True, eq=False)
class Sheet:
    """A canvas with the directions of its columns and rows.

    Parameters
    ----------
    canvas : Canvas
    columns : (2, w) float64
        Sideways and forward parts.
    rows : (3, h) float64
        Their factor, the downward part, and a forward part.
    """

    canvas: Canvas
    columns: Floats
    rows: Floats

    @classmethod
    def of(cls, canvas: Canvas) -> Sheet:
        """The tables of a canvas."""
        return cls(canvas, canvas_columns(canvas), canvas_rows(canvas))


def lens_of(camera: Camera, decoded: Decoded) -> Floats:
    """A camera's lens in pixels of a decoded photo, as ``locate_pixels`` takes it."""
    (scale_x, scale_y), (offset_x, offset_y) = decoded.scale, decoded.offset
    h, w = decoded.pixels.shape[:2]
    return np.array(
        [
            camera.focal * scale_x,
            camera.focal * scale_y,
            (camera.center[0] + 0.5) * scale_x - 0.5 + offset_x,
            (camera.center[1] + 0.5) * scale_y - 0.5 + offset_y,
            *camera.distortion,
            largest_radius(camera.distortion) ** 2,
            w,
            h,
        ]
    )


@dataclasses.dataclass(frozen=True, eq=False)
class Places:
    """Where the pixels of a canvas rectangle lie in a decoded photo.

    Parameters
    ----------
    map_x, map_y : (h, w) float32
        Positions in decoded pixels, multiples of 1/32.
    valid : (h, w) bool
        Where the photo's rectangle is seen.
    used : Box
        The decoded pixels that are seen; empty when none is.
    """

    map_x: NDArray[np.float32]
    map_y: NDArray[np.float32]
    valid: NDArray[np.bool_]
    used: Box


def locate(camera: Camera, decoded: Decoded, sheet: Sheet, box: Box) -> Places:
    """Where the pixels of a canvas rectangle, whose rows lie on the canvas, lie in a decoded photo."""
    map_x, map_y = np.empty(box.shape, np.float32), np.empty(box.shape, np.float32)
    valid = np.empty(box.shape, np.bool_)
    find, lens = _finder(camera, sheet, box), lens_of(camera, decoded)
    if camera.mesh is None:
        low_x, high_x, low_y, high_y = find(lens, map_x, map_y, valid)
    else:
        low_x, high_x, low_y, high_y = locate_bent(camera.mesh, camera, decoded, find, lens, (map_x, map_y, valid))
    return Places(map_x, map_y, valid, Box(int(low_x), int(low_y), int(high_x) + 1, int(high_y) + 1))


def _finder(camera: Camera, sheet: Sheet, box: Box) -> Finder:
    """The kernel that locates the pixels of a canvas rectangle, with the directions of its columns and rows as the camera sees them."""
    sideways, forward = sheet.columns.take(np.arange(box.left, box.right), axis=1, mode="wrap")
    factor, down, further = sheet.rows[:, box.top : box.bottom]
    right, below, ahead = world_to_camera(camera).T
    columns = right[:, None] * sideways + ahead[:, None] * forward
    rows = below[:, None] * down + ahead[:, None] * further
    if PROJECTIONS[sheet.canvas.projection].angular:
        return partial(locate_angular_pixels, columns, rows, ahead, np.concatenate([sideways**2, down**2]))
    return partial(locate_pixels, columns, np.concatenate([rows, factor[None]]))


def locate_bent(
    mesh: Floats, camera: Camera, decoded: Decoded, find: Finder, lens: Floats, places: tuple[NDArray[Any], ...]
) -> tuple[int, int, int, int]:
    """Locate the pixels of a photo with a mesh: the places are found in a larger photo, then moved."""
    scale = np.array(decoded.scale)
    pieces = spline_pieces(mesh * scale)
    rim = int(np.abs(mesh * scale).max()) + 1
    h, w = decoded.pixels.shape[:2]
    find(lens + np.array([0, 0, rim, rim, 0, 0, 0, 2 * rim, 2 * rim]), *places)
    cells = np.array([pieces.shape[1], pieces.shape[0]])
    frame = np.array([*(np.array(decoded.offset) - 0.5), *(cells / (np.array(camera.size) * scale)), rim])
    still = ~pieces.any(axis=(2, 3, 4))
    by_axis = np.ascontiguousarray(pieces.transpose(0, 1, 2, 4, 3)).reshape(*still.shape, 4, 8)
    low_x, high_x, low_y, high_y = bend_places(by_axis, still, frame, np.array([w, h]), *places)
    return low_x, high_x, low_y, high_y


def draw(camera: Camera, decoded: Decoded, places: Places, *, grading: Grading | None, smooth: bool) -> tuple[Floats32, NDArray[np.bool_]]:
    """A photo's pixels at given places.

    Parameters
    ----------
    camera : Camera
    decoded : Decoded
    places : Places
    grading : Grading or None
        None changes no value.
    smooth : bool
        Bicubic interpolation, which keeps detail at full size; else bilinear.

    Returns
    -------
    pixels : (h, w, 3) float32
        Graded, in the units of the photo; meaningless where not valid.
    valid : (h, w) bool
        Where the photo is seen and its mask has pixels.

    Notes
    -----
    Only the part of the photo that is seen is graded and sampled: OpenCV takes no image of 32,768 pixels or more a side. Positions are
    multiples of 1/32, so moving their origin changes no bit of the result. Beyond its edge the photo goes on with its edge's colour.
    Of a linear ramp bilinear interpolation shows what lies at the rounded position, up to 1/64 px beside the true one along each axis, and
    the bicubic kernel (Keys' with a = -0.75, as OpenCV's) what lies up to 0.0482 px beside that.
    """
    h, w = decoded.pixels.shape[:2]
    if not places.used:
        return np.zeros((*places.valid.shape, 3), np.float32), places.valid
    crop = places.used.grow(FROM_EDGE).clip(Box(0, 0, w, h))
    # OpenCV's nearest pixel of a half is the even one: from an even origin it stays the same.
    crop = Box(crop.left // 2 * 2, crop.top // 2 * 2, crop.right, crop.bottom)
    pixels = _graded(camera, decoded, crop, grading)
    if smooth:
        drawn = np.empty((*places.valid.shape, 3), np.float32)
        sample_cubic(pixels, places.map_x, places.map_y, places.valid, crop.left, crop.top, drawn)
    else:
        drawn = np.asarray(_remapped(pixels, places, crop, cv2.INTER_LINEAR), np.float32)
    if decoded.mask is None:
        return drawn, places.valid
    mask = np.ascontiguousarray(decoded.mask[crop.top : crop.bottom, crop.left : crop.right]).view(np.uint8)
    return drawn, places.valid & (_remapped(mask, places, crop, cv2.INTER_NEAREST) > 0)


def _remapped(part: NDArray[Any], places: Places, crop: Box, how: int) -> NDArray[Any]:
    """The part of a photo that a box shows, or of its mask, at given places."""
    map_x, map_y = places.map_x - np.float32(crop.left), places.map_y - np.float32(crop.top)
    return np.asarray(cv2.remap(part, map_x, map_y, how, borderMode=cv2.BORDER_REPLICATE))


def _graded(camera: Camera, decoded: Decoded, crop: Box, grading: Grading | None) -> Floats32:
    """The part of a photo's pixels that a box shows, graded, (h, w, 3)."""
    pixels = decoded.pixels[crop.top : crop.bottom, crop.left : crop.right]
    if grading is None:
        return np.ascontiguousarray(pixels, np.float32)
    columns, rows = squared_radii(camera, decoded, np.arange(crop.left, crop.right), np.arange(crop.top, crop.bottom))
    return grading.grade(pixels, rows, columns)


def extend_colours(decoded: Decoded) -> Decoded:
    """A masked photo whose colours go on a few pixels beyond its mask, so that interpolation at the mask's edge meets no foreign colour.

    Worked on in strips of rows, so that no picture of floats is held, and only where the mask has an edge.
    """
    if decoded.mask is None:
        return decoded
    pixels, side = decoded.pixels.copy(), (2 * FROM_EDGE + 1, 2 * FROM_EDGE + 1)
    for top in range(0, len(pixels), STRIP):
        first, last = max(0, top - FROM_EDGE), min(len(pixels), top + STRIP + FROM_EDGE)
        mask = decoded.mask[first:last]
        if mask.all() or not mask.any():
            continue
        own = slice(top - first, min(top + STRIP, len(pixels)) - first)
        known = mask.astype(np.float32)
        share = cv2.blur(known, side, borderType=cv2.BORDER_REFLECT)[own, :, None]
        rim = ~mask[own] & (share[..., 0] > 1e-4)
        colours = decoded.pixels[first:last].astype(np.float32) * known[..., None]
        mean = cv2.blur(colours, side, borderType=cv2.BORDER_REFLECT)[own][rim] / share[rim]
        pixels[top : top + STRIP][rim] = mean if pixels.dtype == np.float32 else np.round(mean)
    return dataclasses.replace(decoded, pixels=pixels)
