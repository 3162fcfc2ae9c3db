"""What only one of several photos shows: a passer-by, a car that drove on, a wave. Others vote it out.

Two photos that disagree do not tell which of them shows the guest. Where three or more meet, a photo has as many supporters as there are
others that show the same, and one that has fewer than another photo at that place is reluctant to show it. (The median of many exposures
does the same to a whole picture; choosing among whole photos keeps grain and sharpness.)
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from compositor.compose.frames import frame_of, gather, raise_at
from compositor.compose.overlaps import overlaps
from compositor.compose.warped import Warped
from compositor.types import Canvas

__all__ = ["vote_out_guests"]

ALIKE = 0.08
"""Distance of two blurred encoded colours below which two photos show the same: twenty levels, more than noise and light leave."""
BLUR = 1.5
"""Reduced pixels by which colours are blurred first, so that edges that lie half a pixel apart count as alike."""
THIN = 5
"""Reduced pixels across, below which what is disagreed about is an edge, not a guest."""
AROUND = 9
"""Reduced pixels across by which a guest is widened: his shadow and his blurred rim are his too."""
RELUCTANCE = 0.5
"""Cost of a pixel of guest: two of them outweigh the dearest pixel of seam."""


def vote_out_guests(warped: Sequence[Warped], canvas: Canvas) -> tuple[list[Warped], NDArray[np.bool_]]:
    """Photos that are reluctant to show what the others that show the place agree is not there.

    Parameters
    ----------
    warped : sequence of Warped
        Exposures matched.
    canvas : Canvas
        Theirs.

    Returns
    -------
    voted : list of Warped
        With ``reluctance`` where any photo is outvoted.
    guests : (H, W) bool
        Where on the canvas one is.
    """
    width, height = canvas.size
    supporters = [np.zeros(photo.mask.shape, np.uint16) for photo in warped]
    blurred = [_blurred(photo) for photo in warped]
    for i, first in enumerate(warped):
        for j in range(i + 1, len(warped)):
            for a, b in overlaps(first, warped[j], width, canvas.wraps):
                difference = np.linalg.norm(blurred[i][a] - blurred[j][b], axis=-1)
                alike = (difference < ALIKE) & first.mask[a] & warped[j].mask[b]
                supporters[i][a] += alike
                supporters[j][b] += alike
    most = np.zeros((height, width), np.uint16)
    for photo, votes in zip(warped, supporters, strict=True):
        raise_at(most, np.where(photo.mask, votes, 0), frame_of(photo), canvas.wraps)
    voted, guests = [], np.zeros((height, width), np.bool_)
    for photo, votes in zip(warped, supporters, strict=True):
        box = frame_of(photo)
        own = _guests(photo, votes, gather(most, box, canvas.wraps))
        raise_at(guests, own, box, canvas.wraps)
        voted.append(_reluctant(photo, own))
    return voted, guests


def _blurred(photo: Warped) -> NDArray[np.float32]:
    """A photo's colours, blurred within its mask."""
    known = photo.mask.astype(np.float32)
    share = cv2.GaussianBlur(known, (0, 0), BLUR)
    colours = cv2.GaussianBlur(photo.pixels * known[..., None], (0, 0), BLUR)
    return np.asarray(colours / np.maximum(share, 1e-3)[..., None], np.float32)


def _guests(photo: Warped, votes: NDArray[np.uint16], most: NDArray[np.uint16]) -> NDArray[np.bool_]:
    """Where a photo has fewer supporters than another one at the same place, but for thin edges."""
    outvoted = (photo.mask & (votes < most)).astype(np.uint8)
    return np.asarray(cv2.morphologyEx(outvoted, cv2.MORPH_OPEN, np.ones((THIN, THIN), np.uint8)) > 0)


def _reluctant(photo: Warped, guests: NDArray[np.bool_]) -> Warped:
    """A photo that is reluctant to show its guests."""
    if not guests.any():
        return photo
    # Never where the photo is as well supported as any other but for a guest's surroundings: those only lean.
    around = cv2.dilate(guests.astype(np.uint8), cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (AROUND, AROUND)))
    reluctance = np.float32(RELUCTANCE) * np.where(guests, np.float32(1), np.float32(0.25) * around)
    own = 0 if photo.reluctance is None else photo.reluctance
    return dataclasses.replace(photo, reluctance=np.asarray(own + reluctance, np.float32))
