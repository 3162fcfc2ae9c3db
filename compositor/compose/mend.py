"""A second look at the seams of a panorama: both photos of a seam are drawn again around it, and whoever refines composites them anew.

This is done in windows along the seams, one after the other, each of which begins with what those before it left. Where photos meet in one,
each two of them are refined, and their changes fade into each other; towards the end of the window they fade into what was there. What a
refiner makes of a seam counts only where it does no harm.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from compositor.compose.harm import take
from compositor.compose.layers import Layers, Refine
from compositor.compose.opened import Opened
from compositor.compose.surroundings import Surroundings
from compositor.compose.visibility import Measure, beside
from compositor.compose.windows import change_part, read_part, seam_windows
from compositor.encoding import full_scale
from compositor.errors import OptionError
from compositor.photometry import Photometry
from compositor.spool import Spool
from compositor.types import Camera, Canvas, Photo, Pixels, Progress

__all__ = ["mend_seams"]

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]
Owners = NDArray[np.int8] | NDArray[np.int16] | Spool

logger = logging.getLogger("compositor")

VISIBLE = 0.15 / 255
"""What must show at some place of a seam for it to be looked at again: less is what rounding to 8 bits shows at any seam."""
CONTEXT = 64
"""Pixels around places that show which a refiner is told of."""
FAR = 1e4
"""Pixels from a seam beyond which all are equally far."""


def mend_seams(
    pixels: Pixels | Spool,
    owner: Owners,
    cameras: Sequence[Camera],
    photos: Sequence[Photo],
    canvas: Canvas,
    photometry: Photometry,
    refine: Refine,
    progress: Progress,
    *,
    opened: dict[int, Opened] | None = None,
) -> None:
    """Refine a panorama's seams, in place.

    Parameters
    ----------
    pixels : (h, w, 3) uint8, uint16 or float32
        Changed.
    owner : (h, w) int8 or int16
    cameras, photos : sequence
        As the panorama was composed from.
    canvas : Canvas
    photometry : Photometry
        What was done to the photos' light.
    refine : callable
        Called with the layers of one seam in one window after the other.
    progress : callable
        Told of every window, as «refine».
    opened : dict of int to Opened, optional
        Photos that rendering left open, by index; taken over.
    """
    surroundings, white = Surroundings(cameras, photos, canvas, photometry, opened), np.float32(full_scale(pixels.dtype))
    windows, taken = seam_windows(owner, canvas), 0
    for n, window in enumerate(windows):
        progress("refine", n, len(windows))
        owners, before = (read_part(picture, window.box, canvas) for picture in (owner, pixels))
        base = before.astype(np.float32) / white
        seams, others = surroundings.seams(window, owners, base), _shares_of_others(owners, window.pairs)
        change = _mended(seams, others, base, refine, white)
        if change.any():
            after = before + change * window.share()[..., None] * white
            stored = after if before.dtype == np.float32 else np.clip(np.rint(after), 0, white).astype(before.dtype)
            change_part(pixels, window.box, canvas, stored)
            taken += 1
    progress("refine", len(windows), len(windows))
    logger.info("seams were looked at again in %d windows, and changed in %d", len(windows), taken)


def _mended(seams: Sequence[tuple[Layers, Mask]], others: Floats, base: Floats, refine: Refine, white: np.float32) -> Floats:
    """What refining all seams of a window changes in it.

    A photo between two seams goes over from what one makes of it to what the other does, and towards a seam that is not among them to what
    it was: else it would part from the photo beyond.
    """
    if len(seams) == 1 and not others.any():
        return _refined(*seams[0], base, refine, white)
    change, shares = np.zeros_like(base), others[..., None].copy()
    for layers, theirs in seams:
        share = np.where(theirs, _share(np.where(layers.owner, layers.inside, layers.outside)), np.float32(0))[..., None]
        shares += share
        change += share * _refined(layers, theirs, base, refine, white)
    return np.asarray(change / np.maximum(shares, np.float32(1e-12)), np.float32)


def _shares_of_others(owners: NDArray[Any], pairs: Sequence[tuple[int, int]]) -> Floats:
    """How much it counts that nothing is changed at the seams of a window that are not among these pairs', (h, w)."""
    shares = np.zeros(owners.shape, np.float32)
    for k in {k for pair in pairs for k in pair}:
        meets = [*{k, *(other for pair in pairs if k in pair for other in pair)}]
        mine = owners == k
        touched = cv2.dilate(mine.view(np.uint8), np.ones((3, 3), np.uint8)) > 0
        others = touched & (owners >= 0) & ~np.isin(owners, meets)
        if others.any():
            distance = cv2.distanceTransform((~others).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5) - np.float32(0.5)
            shares[mine] = _share(distance[mine])
    return shares


def _share(distance: Floats) -> Floats:
    """How much a seam counts so many px from it."""
    return np.asarray(1 / (np.minimum(distance, np.float32(FAR)) + 1) ** 2, np.float32)


def _refined(layers: Layers, theirs: Mask, base: Floats, refine: Refine, white: np.float32) -> Floats:
    """What refining one seam changes in a window; nothing where it shows as much as before, and where there was nothing to be seen."""
    change, near = np.zeros_like(base), beside(layers)
    seam = Measure(layers, near).around(base)
    at = _around(seam > np.float32(VISIBLE))
    if at is None:
        return change
    part, before = layers.part(*at), base[at]
    made = refine(part)
    if not isinstance(made, np.ndarray) or made.shape != before.shape or made.dtype.kind != "f":
        found = f"{made.dtype} of shape {made.shape}" if isinstance(made, np.ndarray) else type(made).__name__
        raise OptionError(f"refine returned {found}; needed are the layers' pixels, float32 of shape {before.shape}")
    # Layers end at white; what floats hold beyond it stays.
    proposed = np.where(theirs[at][..., None] & (before <= 1), made - before, 0).astype(np.float32)
    proposed *= _fading(at, base.shape)[..., None]
    change[at] = take(proposed, part, before, seam[at], near[at], white)
    return change


def _around(visible: Mask) -> tuple[slice, slice] | None:
    """The part of a window around what can be seen in it, which a refiner is shown; None where that is nothing."""
    left, top, across, down = cv2.boundingRect(visible.view(np.uint8))
    if not across:
        return None
    rows, columns = (
        slice(max(first - CONTEXT, 0), min(first + length + CONTEXT, side))
        for first, length, side in ((top, down, visible.shape[0]), (left, across, visible.shape[1]))
    )
    return rows, columns


def _fading(at: tuple[slice, slice], shape: tuple[int, ...]) -> Floats:
    """How much of a change counts in a part of a window: all, but less towards those of its sides that are none of the window's."""
    sides = []
    for part, length in zip(at, shape[:2], strict=True):
        place = np.arange(part.stop - part.start, dtype=np.float32) + np.float32(0.5)
        first, last = (place if part.start else place + CONTEXT), (place[::-1] if part.stop < length else place + CONTEXT)
        t = np.minimum(np.minimum(first, last) / np.float32(CONTEXT / 2), 1)
        sides.append(t * t * (3 - 2 * t))
    return np.asarray(sides[0][:, None] * sides[1], np.float32)
