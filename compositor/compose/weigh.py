"""How reluctantly each photo shows what it shows badly: what is noisy, and what is burnt out where another photo is not."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from concurrent.futures import Executor

import numpy as np
from numpy.typing import NDArray

from compositor.compose.frames import add_at, frame_of, gather, goes_around
from compositor.compose.overlaps import unsaturated
from compositor.compose.seams import room_of
from compositor.compose.warped import Warped, border_distance
from compositor.photometry import Photometry, falloff
from compositor.types import Canvas

__all__ = ["weigh_pixels"]

NOISE = 0.004
"""What it costs to show a pixel whose light was neither raised nor lowered, in the units of ``seam_cost``: noise of a level of 255. Raised
fourfold it has twice the noise. Among seams along which photos agree alike, those are found that show the brighter photos and the middles
of lenses."""
LOSS, MOST = 12.0, 0.05
"""What a burnt-out pixel costs where others show the place unburnt: so many times the square of how far its colour is from theirs,
and no more than so much. By the square, and less near the other photo's border, since this is paid for areas: what burning put off by a few
levels, like paper, is better shown than a seam led along that border to avoid it. At 12 a white page that is burnt out in one of two photos
is cut at most 8 % dearer; at 3 patches of a sky round the sun show."""


def weigh_pixels(
    drawn: Sequence[Warped], graded: Sequence[Warped], photometry: Photometry, canvas: Canvas, pool: Executor, *, ends: bool
) -> list[Warped]:
    """Photos that are reluctant to show what others show better.

    Parameters
    ----------
    drawn : sequence of Warped
        As the photos are, with ``radii`` where noise is to count.
    graded : sequence of Warped
        The same, exposures matched.
    photometry : Photometry
        What was done to them.
    canvas : Canvas
        Theirs.
    pool : Executor
        Works on a photo at a time.
    ends : bool
        Whether the photos' values end at white: floats go on beyond it, and nothing in them is burnt out.

    Returns
    -------
    list of Warped
        ``graded`` with ``reluctance``.
    """
    reluctance = list(pool.map(_noise, drawn, photometry.gains, photometry.vignetting))
    burnt = [photo.mask & ~unsaturated(photo) if ends else np.zeros_like(photo.mask) for photo in drawn]
    if any(part.any() for part in burnt):
        colours, room = _unburnt(graded, burnt, canvas)
        for photo, own, lost in zip(graded, reluctance, burnt, strict=True):
            if lost.any():
                box = frame_of(photo)
                off = gather(colours, box, canvas.wraps) - photo.pixels
                own += lost * gather(room, box, canvas.wraps) * np.minimum(LOSS * np.einsum("ijk,ijk->ij", off, off), MOST)
    return [dataclasses.replace(photo, reluctance=own) for photo, own in zip(graded, reluctance, strict=True)]


def _noise(photo: Warped, gains: NDArray[np.float64], terms: NDArray[np.float64]) -> NDArray[np.float32]:
    """What the noise of each pixel costs: the more, the more its light is raised."""
    if photo.radii is None:
        return np.zeros(photo.mask.shape, np.float32)
    return np.asarray(NOISE * np.sqrt(gains.mean() / falloff(photo.radii.astype(np.float64), terms)), np.float32)


def _unburnt(
    graded: Sequence[Warped], burnt: Sequence[NDArray[np.bool_]], canvas: Canvas
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The mean colour of the photos that show a place of the canvas unburnt, and how much room they have there, 0 at their borders to 1."""
    width, height = canvas.size
    colours, room = np.zeros((height, width, 3), np.float32), np.zeros((height, width), np.float32)
    for photo, lost in zip(graded, burnt, strict=True):
        box = frame_of(photo)
        share = ~lost * np.minimum(1, border_distance(photo.mask, around=goes_around(box, canvas)) / room_of(photo.mask))
        add_at(colours, photo.pixels * share[..., None], box, canvas.wraps)
        add_at(room, share, box, canvas.wraps)
    colours /= np.maximum(room, np.finfo(np.float32).tiny)[..., None]
    return colours, np.minimum(room, 1)
