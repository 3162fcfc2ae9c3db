"""A second look at the seams of a panorama: both photos of a seam are drawn again around it, and whoever refines composites them anew.

This is done in windows along the seams, one after the other, each of which begins with what those before it left. Where photos meet in one,
each two of them are refined, and their changes fade into each other; towards the end of the window they fade into what was there. What a
refiner makes of a seam counts only where the seam then shows less than before, and nothing is stained beside it. Detail that it takes away
is given back as far as the photos allow; where a seam hardly showed, none may be lost.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from compositor.compose.layers import Layers, Refine
from compositor.compose.opened import Opened
from compositor.compose.surroundings import Surroundings
from compositor.compose.visibility import MEAN, Measure, beside
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

TRIES = 4
"""How often a refiner's change is taken back where a seam then shows more, before all of it is: taking back leaves ends of its own."""
SLACK, SPREAD = 1.0 / 255, 0.5
"""What a change may add to what shows around a pixel: bent things are in neither photo, and half a level is rounding; more where it is at
most such a share of what the seam showed there before, for a step that is spread shows a little everywhere."""
SPARED = 8
"""Pixels beyond such places over which it is taken back."""
VISIBLE = 0.15 / 255
"""What must show at some place of a seam for it to be looked at again: less is what rounding to 8 bits shows at any seam."""
CONTEXT = 64
"""Pixels around places that show which a refiner is told of."""
MASKED, BENT = 0.5, 12.0
"""What a change may add to that beside busy things, as a share of the steps that both photos have there, for what is bent is in neither;
up to so many px from the seam, and falling to nothing at twice as many."""
LEAST, REGION = 0.25 / 255, 12
"""What is no change of detail, and pixels to all sides over which detail is averaged."""
STRONGEST, RISE = 2.0, 2.0
"""How much stronger the detail that a change leaves is made at most, and px from the seam from which on it is."""
FAINT, KEPT = 0.3 / 255, 0.9
"""Where a seam shows less, on average over such a region, it is left alone if changing it would leave less of the detail."""
FAR = 1e4
"""Pixels from a seam beyond which all are equally far."""
HALF = np.float32(0.501)
"""Half a step of the stored numbers, and the last bit of a float: as much as rounding may change a pixel."""


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
        change = _mended(surroundings.seams(window, owners, base), base, refine, white)
        if change.any():
            after = before + change * window.share()[..., None] * white
            stored = after if before.dtype == np.float32 else np.clip(np.rint(after), 0, white).astype(before.dtype)
            change_part(pixels, window.box, canvas, stored)
            taken += 1
    progress("refine", len(windows), len(windows))
    logger.info("seams were looked at again in %d windows, and changed in %d", len(windows), taken)


def _mended(seams: Sequence[tuple[Layers, Mask]], base: Floats, refine: Refine, white: np.float32) -> Floats:
    """What refining all seams of a window changes in it; a photo between two seams goes over from what one makes of it to the other's."""
    if len(seams) == 1:
        return _refined(*seams[0], base, refine, white)
    change, shares = np.zeros_like(base), np.zeros((*base.shape[:2], 1), np.float32)
    for layers, theirs in seams:
        distance = np.where(layers.owner, layers.inside, layers.outside)
        share = np.where(theirs, 1 / (np.minimum(distance, FAR) + 1) ** 2, 0)[..., None].astype(np.float32)
        shares += share
        change += share * _refined(layers, theirs, base, refine, white)
    return np.asarray(change / np.maximum(shares, np.float32(1e-12)), np.float32)


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
    # Layers end at white; what floats hold beyond it stays. What is only not rounded yet is no change.
    proposed = np.where(theirs[at][..., None] & (before <= 1), made - before, 0).astype(np.float32)
    proposed *= _fading(at, base.shape)[..., None]
    if white > 1:
        proposed[np.abs(proposed) <= HALF / white] = 0
    if proposed.any():
        change[at] = _sparing(proposed, part, before, seam[at], near[at], white)
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


def _sparing(change: Floats, layers: Layers, base: Floats, seam: Floats, near: Mask, white: np.float32) -> Floats:
    """A change of a window without what of it would stain the picture; nothing where the seam then shows as much as before."""
    # Changes reach far to the side of a seam: what is there goes with the nearest place of it.
    _, nearest = cv2.distanceTransformWithLabels((~near).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL)
    change = _keeping_detail(change, layers, base)
    change *= _away_from(_blurring(change, base, _spread(_mean_around(seam, near), near, nearest)), nearest)[..., None]
    changed = _strongest(change) != 0
    measure = Measure(layers, changed | near)
    anywhere, shows = measure.only(changed), measure.only(near)
    masked = np.float32(MASKED) * np.clip(2 - np.where(layers.owner, layers.inside, layers.outside) / np.float32(BENT), 0, 1)
    may_show = anywhere.around(base) + np.float32(SLACK) + masked * anywhere.busy()
    may_show = np.maximum(may_show, np.float32(SPREAD) * _spread(seam, near, nearest))
    for _ in range(TRIES):
        after = base + change
        if white > 1:
            after = np.rint(after * white) / white  # as it will be stored
        harmed = ~(anywhere.around(after) <= may_show)
        if not harmed.any():
            return change if shows(after) < shows(base) else np.zeros_like(base)
        change *= _away_from(harmed, nearest)[..., None]
    return np.zeros_like(base)  # also what is no number is no gain


def _spread(values: Floats, near: Mask, nearest: NDArray[np.int32]) -> Floats:
    """Values of places of a seam, given to all pixels that are nearest to them, (h, w)."""
    of_places = np.zeros(int(nearest.max()) + 1, np.float32)
    of_places[nearest[near]] = values[near]
    return np.asarray(of_places[nearest])


def _keeping_detail(change: Floats, layers: Layers, base: Floats) -> Floats:
    """A change that is to leave as much fine detail as there was, behind the seam.

    Beside a photo that is less sharp, and by bending and averaging, a sharp one would get a soft rim. What is made stronger stays within
    what the photos show around.
    """
    made, changed = base + change, _strongest(change) > np.float32(LEAST)
    before, after = (_mean_around(_detail(picture), changed) for picture in (base, made))
    distance = np.where(layers.owner, layers.inside, layers.outside)
    more = np.clip(before / np.maximum(after, np.float32(1e-6)), 1, STRONGEST) - 1
    more *= changed * np.clip(distance / np.float32(RISE), 0, 1)
    around = np.ones((3, 3), np.uint8)
    highest = np.minimum(cv2.dilate(np.maximum(layers.reference, layers.new), around), np.float32(1))
    lowest = cv2.erode(np.minimum(layers.reference, layers.new), around)
    added = np.where(base < 1, more[..., None] * (made - cv2.blur(made, (3, 3))), 0)  # what floats hold beyond white stays
    return np.asarray(change + np.clip(added, np.minimum(lowest - made, 0), np.maximum(highest - made, 0)), np.float32)


def _blurring(change: Floats, base: Floats, shown: Floats) -> Mask:
    """Where a change takes more away from the picture's detail than is worth the little that the seam showed there, (h, w)."""
    changed = _strongest(change) > np.float32(LEAST)
    before, after = (_mean_around(_detail(picture), changed) for picture in (base, base + change))
    return np.asarray(changed & (shown < np.float32(FAINT)) & (after < np.float32(KEPT) * before))


def _strongest(change: Floats) -> Floats:
    """The largest change of any channel, (h, w); many times as fast as along an axis."""
    red, green, blue = cv2.split(np.abs(change))
    return np.asarray(np.maximum(np.maximum(red, green), blue), np.float32)


def _detail(picture: Floats) -> Floats:
    """How far pixels are from the mean of those around, (h, w)."""
    return np.asarray(cv2.transform(cv2.absdiff(picture, cv2.blur(picture, (3, 3))), MEAN), np.float32)


def _mean_around(values: Floats, where: Mask) -> Floats:
    """Means over large squares of the pixels asked for, (h, w)."""
    share, side = where.astype(np.float32), (2 * REGION + 1, 2 * REGION + 1)
    return np.asarray(cv2.blur(values * share, side) / np.maximum(cv2.blur(share, side), np.float32(1e-6)), np.float32)


def _away_from(harmed: Mask, nearest: NDArray[np.int32]) -> Floats:
    """The share of a change that is kept, (h, w): none where the nearest place of the seam has harmed pixels, going over to all of it."""
    lost, side = np.zeros(int(nearest.max()) + 1, np.float32), (2 * SPARED + 1, 2 * SPARED + 1)
    lost[nearest[harmed]] = 1
    return np.asarray(1 - cv2.blur(cv2.dilate(lost[nearest], np.ones(side, np.uint8)), side, borderType=cv2.BORDER_REPLICATE), np.float32)
