"""What a user wants to see of one photo, whatever the others show at that place."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from compositor.compose.frames import frame_of, gather, raise_at
from compositor.compose.warped import Warped
from compositor.types import Canvas

__all__ = ["grant_wishes"]


def grant_wishes(
    warped: Sequence[Warped], wishes: Mapping[int, NDArray[np.bool_]], canvas: Canvas
) -> tuple[list[Warped], NDArray[np.bool_]]:
    """Photos without what another photo is wanted for, to find seams with.

    Where several photos are wanted, seams decide between them; where a wanted photo has no pixels, another one may show.

    Parameters
    ----------
    warped : sequence of Warped
    wishes : mapping of int to (h, w) bool
        By a photo's index, in its frame: where it is wanted.
    canvas : Canvas

    Returns
    -------
    granted : list of Warped
    wanted : (H, W) bool
        Where on the canvas some photo is wanted.
    """
    wanted = np.zeros(canvas.size[::-1], np.bool_)
    for k, wish in wishes.items():
        raise_at(wanted, wish & warped[k].mask, frame_of(warped[k]), canvas.wraps)
    granted = []
    for k, photo in enumerate(warped):
        others = gather(wanted, frame_of(photo), canvas.wraps) & ~wishes.get(k, np.zeros((), np.bool_))
        granted.append(dataclasses.replace(photo, mask=photo.mask & ~others))
    return granted, wanted
