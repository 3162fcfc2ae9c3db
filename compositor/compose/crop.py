"""Cropping away the empty corners."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from compositor.kernels.rectangle import largest_rectangle
from compositor.panorama import Panorama
from compositor.spool import Spool, part_of

__all__ = ["crop_panorama"]

STRIP = 1024
"""Rows that are looked at at a time."""


def crop_panorama(panorama: Panorama) -> Panorama:
    """The largest upright rectangle of a panorama that is filled everywhere.

    Parameters
    ----------
    panorama : Panorama

    Returns
    -------
    Panorama
        A part of the same pixels; one that went all the way round still does if no column is lost. Unchanged when it is empty.
    """
    left, top, right, bottom = largest_rectangle_of(panorama.owner)
    if right <= left:
        return panorama
    canvas = panorama.canvas
    part = slice(top, bottom), slice(left, right)
    cropped = dataclasses.replace(
        canvas,
        left=canvas.left + left,
        top=canvas.top + top,
        size=(right - left, bottom - top),
        wraps=canvas.wraps and right - left == canvas.size[0],
    )
    return dataclasses.replace(panorama, pixels=part_of(panorama.pixels, *part), owner=part_of(panorama.owner, *part), canvas=cropped)


def largest_rectangle_of(owner: NDArray[np.int8] | NDArray[np.int16] | Spool) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of the largest filled rectangle, looked for strip by strip."""
    h, w = owner.shape
    heights, best = np.zeros(w + 1, np.int32), np.zeros(4, np.int64)
    for top in range(0, h, STRIP):
        largest_rectangle(np.ascontiguousarray(owner[top : top + STRIP]), top, heights, best)
    left, top, right, bottom = best.tolist()
    return left, top, right, bottom
