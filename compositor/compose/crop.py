"""Cropping away the empty corners."""

from __future__ import annotations

import dataclasses

from compositor.kernels.rectangle import largest_rectangle
from compositor.panorama import Panorama

__all__ = ["crop_panorama"]


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
    left, top, right, bottom = largest_rectangle(panorama.owner)
    if right <= left:
        return panorama
    canvas = panorama.canvas
    part = (slice(top, bottom), slice(left, right))
    cropped = dataclasses.replace(
        canvas,
        left=canvas.left + left,
        top=canvas.top + top,
        size=(right - left, bottom - top),
        wraps=canvas.wraps and right - left == canvas.size[0],
    )
    return dataclasses.replace(panorama, pixels=panorama.pixels[part], owner=panorama.owner[part], canvas=cropped)
