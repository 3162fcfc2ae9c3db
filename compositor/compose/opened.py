"""A photo as the full-size canvas needs it: decoded, and with what is done to its light."""

from __future__ import annotations

import dataclasses

from compositor.compose.footprint import enlargement
from compositor.compose.grade import Grading, make_grading
from compositor.compose.warp import extend_colours
from compositor.photometry import Photometry
from compositor.types import Camera, Canvas, Decoded, Photo

__all__ = ["Opened", "needed_whole", "open_for"]

WHOLE = 0.75
"""Canvas pixels per photo pixel, along a line, from which on a photo is needed with all its pixels."""


@dataclasses.dataclass(frozen=True, eq=False)
class Opened:
    """A decoded photo, and what is done to its light."""

    decoded: Decoded
    grading: Grading | None


def needed_whole(camera: Camera, canvas: Canvas) -> bool:
    """Whether a canvas shows so much of a photo's detail that it is decoded at full size."""
    return enlargement(camera, canvas) > WHOLE


def open_for(canvas: Canvas, photo: Photo, camera: Camera, photometry: Photometry, index: int) -> Opened:
    """A photo's pixels: all of them, or fewer where the canvas shows it much smaller, so that nothing aliases.

    Parameters
    ----------
    canvas : Canvas
    photo : Photo
    camera : Camera
        The photo's.
    photometry : Photometry
    index : int
        Of the photo in it.

    Returns
    -------
    Opened
    """
    small = photo.size[0] * photo.size[1] * enlargement(camera, canvas) ** 2 / 1e6
    decoded = extend_colours(photo.full() if needed_whole(camera, canvas) else photo.reduced(small))
    return Opened(decoded, make_grading(photometry, index, camera, decoded.pixels.dtype))
