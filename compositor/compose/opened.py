"""A photo as the full-size canvas needs it: decoded, and with what is done to its light."""

from __future__ import annotations

import dataclasses

from compositor.compose.footprint import enlargement
from compositor.compose.grade import Grading, make_grading
from compositor.compose.warp import extend_colours
from compositor.photometry import Photometry
from compositor.types import Camera, Canvas, Decoded, Photo

__all__ = ["Opened", "open_for"]


@dataclasses.dataclass(frozen=True, eq=False)
class Opened:
    """A decoded photo, and what is done to its light."""

    decoded: Decoded
    grading: Grading | None


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
    share = enlargement(camera, canvas)
    wanted = photo.full() if share > 0.75 else photo.reduced(photo.size[0] * photo.size[1] * share**2 / 1e6)
    decoded = extend_colours(wanted)
    return Opened(decoded, make_grading(photometry, index, camera, decoded.pixels.dtype))
