"""What a change to a seam would harm, and what of it may be taken.

A seam has to show less than before, and nothing may be stained beside it. Detail that a change takes away is given back as far as the
photos allow, and what it adds is taken away; where a seam hardly showed, none may be lost. Where a change may not be taken a gentler one
is tried: its smooth part, and so little of the rest that nothing is smeared. Of what then makes the seam show more in a coarser look, less
is taken.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from compositor.compose.layers import Layers
from compositor.compose.visibility import BESIDE, COARSE, MEAN, Measure

__all__ = ["take"]

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]

BETTER = 0.95
"""What a seam may show at most of what it showed, on average around a place, for a gentle change to be made there."""
TRIES = 4
"""How often a refiner's change is taken back where a seam then shows more, before all of it is: taking back leaves ends of its own."""
SLACK, SPREAD = 1.0 / 255, 0.5
"""What a change may add to what shows around a pixel: bent things are in neither photo, and half a level is rounding; more where it is at
most such a share of what the seam showed there before, for a step that is spread shows a little everywhere."""
SPARED, STEPPED = 4, 8
"""Pixels beyond such places over which it is taken back, and over which that which makes a step in a coarser look is."""
STEP = 0.025 / 255
"""How much more a seam may show by the coarse measure: what a step of 0.3 levels shows."""
LEFT, WORTH = np.float32(0.25), 0.5
"""How much is left of a change where it shows more than that, and how much of what was too much may be left there for it to be worth it."""
MASKED, BENT = 0.5, 12.0
"""What a change may add to that beside busy things, as a share of the steps that both photos have there, for what is bent is in neither;
up to so many px from the seam, and falling to nothing at twice as many."""
LEAST, REGION = 0.25 / 255, 12
"""What is no change of detail, and pixels to all sides over which detail is averaged."""
WEAKEST, STRONGEST, ROUNDS = 0.6, 2.0, 2
"""How much weaker and stronger the detail that a change leaves is made in one round at most, and how many there are: what the photos do not
allow at one place is made up for around it."""
FAINT, KEPT, ROUGH = 0.3 / 255, 0.9, 0.1 / 255
"""Where a seam shows less, on average over such a region, it is left alone if changing it would leave less of the detail, but for so little
that rounding to 8 bits may have made it."""
HALF = np.float32(0.501)
"""Half a step of the stored numbers, and the last bit of a float: as much as rounding may change a pixel."""
SMOOTH, FINE = 1.5, 1.0 / 255
"""Standard deviation, px, of the blur that leaves the smooth part of a change, and how much of the rest a gentle change keeps at most."""


def take(change: Floats, layers: Layers, base: Floats, seam: Floats, near: Mask, white: np.float32) -> Floats:
    """What may be taken of a refiner's change to a seam.

    Parameters
    ----------
    change : (h, w, 3) float32
        Encoded, 1 is white.
    layers : Layers
    base : (h, w, 3) float32
        The picture as it is.
    seam : (h, w) float32
        How much the seam shows there, as ``Measure.around`` finds it.
    near : (h, w) bool
        The pixels beside the seam.
    white : float32
        Steps in which the picture is stored, from black to white; 1 for floats.

    Returns
    -------
    (h, w, 3) float32
    """
    # What is only not rounded yet is no change; what is no number is no gain.
    stored = change if white == 1 else np.where(np.abs(change) > HALF / white, change, 0)
    if not stored.any() or not np.isfinite(change).all():
        return np.zeros_like(base)
    whole = _keeping_detail(stored, layers, base)
    changed = _strongest(whole) != 0
    box = _box(changed | near)
    measure, harm = Measure(layers, box), Harm(base, seam, near, white)
    # What is bent is in neither photo; a gentle change bends nothing.
    depth = np.where(layers.owner, layers.inside, layers.outside) / np.float32(BENT)
    masked = np.asarray(np.float32(MASKED) * np.clip(2 - depth, 0, 1), np.float32)
    anywhere = measure.only(changed)
    share = harm.spared(whole, np.zeros_like(base), measure.only(near), anywhere, masked * anywhere.busy())
    taken, coarse = share[..., None] * whole, Measure(layers, near, finest=COARSE)
    if share.min() == 1:
        return harm.without_steps(taken, coarse)
    gentle = _keeping_detail(_gentle(change, layers, white), layers, base)
    # Layers end at black and white, and where neither photo is; what floats hold beyond white stays.
    may_change = (base <= 1) & (layers.reference_valid | layers.new_valid)[..., None]
    gentle = np.where(may_change, np.clip(gentle, np.minimum(-base, 0), np.maximum(1 - base, 0)), np.float32(0))
    gentle *= (box * (1 - share) * harm.helping(gentle, coarse))[..., None]
    share = harm.spared(gentle, taken, coarse, measure.only(_strongest(gentle) != 0))
    return harm.without_steps(np.asarray(taken + share[..., None] * gentle, np.float32), coarse)


class Harm:
    """Finds what changes to one seam would harm.

    Parameters
    ----------
    base, seam, near, white
        As ``take`` is given them.
    """

    def __init__(self, base: Floats, seam: Floats, near: Mask, white: np.float32) -> None:
        self.base, self.near, self.white = base, near, white
        # Changes reach far to the side of a seam: what is there goes with the nearest place of it.
        _, self.nearest = cv2.distanceTransformWithLabels(
            (~near).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
        )
        self.may_be_spread = np.float32(SPREAD) * self._spread(seam)
        self.shown = self._spread(_mean_around(seam, near))

    def spared(self, change: Floats, taken: Floats, shows: Measure, anywhere: Measure, masked: Floats | float = 0.0) -> Floats:
        """The share of a change that does no harm, (h, w); 0 where the seam then shows no less.

        What is ``taken`` already the change comes on top of; ``shows`` tells how much the seam shows, ``anywhere`` how much that does
        which is changed; ``masked``, (h, w), is what more of the latter may be there.
        """
        before, may_show = self.base + taken, anywhere.around(self.base) + np.float32(SLACK) + masked
        may_show = np.maximum(may_show, self.may_be_spread)
        share = self._away_from(_blurring(self._stored(before + change), self.base, self.shown))
        for _ in range(TRIES):
            after = self._stored(before + share[..., None] * change)
            harmed = ~(anywhere.around(after) <= may_show)
            if not harmed.any():
                return share if shows(after) < shows(before) else np.zeros_like(share)
            share *= self._away_from(harmed)
        return np.zeros_like(share)

    def helping(self, change: Floats, shows: Measure) -> Floats:
        """The share of a change that is made where it alone makes the seam show less, (h, w)."""
        before, after = (_mean_around(shows.shown(picture), self.near) for picture in (self.base, self._stored(self.base + change)))
        return self._away_from(self.near & ~(after < np.float32(BETTER) * before))

    def without_steps(self, change: Floats, coarse: Measure) -> Floats:
        """A change with less of it where, by a ``coarse`` measure, the seam shows more than it did.

        From pixel to pixel a step of some levels hardly shows that a change makes over some px: what only one photo shows at the seam is
        taken for a step, and spread. Taking back leaves ends of its own, where the change that is left begins: it is not done where these
        would show about as much.
        """

        def steps(picture: Floats) -> Floats:
            return _mean_around(coarse.shown(picture), self.near, BESIDE)

        def grown(some: Floats) -> Floats:
            return np.where(self.near, np.maximum(steps(self._stored(self.base + some)) - may_be, 0), np.float32(0))

        may_be, side = steps(self.base) + np.float32(STEP), (4 * STEPPED + 1, 4 * STEPPED + 1)
        more, stays = grown(change), np.zeros_like(self.near)
        for _ in range(TRIES):
            stepped = (more > 0) & ~stays
            if not stepped.any():
                break
            less = change * (LEFT + (1 - LEFT) * self._away_from(stepped, STEPPED))[..., None]
            then = grown(less)
            vain = stepped & (cv2.blur(then, side) > np.float32(WORTH) * cv2.blur(more, side))
            if vain.any():
                stays |= cv2.dilate(vain.view(np.uint8), np.ones(side, np.uint8)) > 0
            else:
                change, more = less, then
        return change

    def _stored(self, picture: Floats) -> Floats:
        """A picture as it will be stored."""
        return np.asarray(np.rint(picture * self.white) / self.white if self.white > 1 else picture, np.float32)

    def _spread(self, values: Floats) -> Floats:
        """Values of places of a seam, given to all pixels that are nearest to them, (h, w)."""
        of_places = np.zeros(int(self.nearest.max()) + 1, np.float32)
        of_places[self.nearest[self.near]] = values[self.near]
        return np.asarray(of_places[self.nearest])

    def _away_from(self, harmed: Mask, beyond: int = SPARED) -> Floats:
        """The share of a change that is kept, (h, w): none where the nearest place of the seam has harmed pixels, going over to all."""
        lost, side = np.zeros(int(self.nearest.max()) + 1, np.float32), (2 * beyond + 1, 2 * beyond + 1)
        lost[self.nearest[harmed]] = 1
        far = cv2.dilate(lost[self.nearest], np.ones(side, np.uint8))
        return np.asarray(1 - cv2.blur(far, side, borderType=cv2.BORDER_REPLICATE), np.float32)


def _box(mask: Mask) -> Mask:
    """The smallest rectangle around a mask, (h, w)."""
    left, top, across, down = cv2.boundingRect(mask.view(np.uint8))
    box = np.zeros_like(mask)
    box[top : top + down, left : left + across] = True
    return box


def _gentle(change: Floats, layers: Layers, white: np.float32) -> Floats:
    """The smooth part of a change to each side of the seam, and of the rest what is too little to be seen."""
    where = (_strongest(change) != 0) & layers.owner
    smooth = np.zeros_like(change)
    for side in (where, ~where):
        share = side.astype(np.float32)
        mean = _smooth(change * share[..., None]) / np.maximum(_smooth(share), np.float32(1e-6))[..., None]
        smooth[side] = mean[side]
    gentle = smooth + np.clip(change - smooth, -np.float32(FINE), np.float32(FINE))
    if white > 1:
        gentle[np.abs(gentle) <= HALF / white] = 0
    return np.asarray(gentle, np.float32)


def _smooth(values: Floats) -> Floats:
    """Values without what is fine in them."""
    return np.asarray(cv2.GaussianBlur(values, (0, 0), SMOOTH), np.float32)


def _keeping_detail(change: Floats, layers: Layers, base: Floats) -> Floats:
    """A change that is to leave as much fine detail as there was to each side of the seam, no less and no more.

    Beside a photo that is less sharp, and by bending and averaging, a sharp one would get a soft rim; and a soft one a sharp rim. What is
    made stronger or weaker stays within what the photos show around. The pixels that touch the seam have its step for detail: they do not
    say how much there was.
    """
    changed, around = _strongest(change) > np.float32(LEAST), np.ones((3, 3), np.uint8)
    apart = changed & (np.where(layers.owner, layers.inside, layers.outside) >= 1)
    highest = np.minimum(cv2.dilate(np.maximum(layers.reference, layers.new), around), np.float32(1))
    lowest = cv2.erode(np.minimum(layers.reference, layers.new), around)

    def energy(picture: Floats) -> Floats:
        values = _detail(picture) ** 2
        return np.where(layers.owner, *(np.maximum(_mean_around(values, apart & side), 0) for side in (layers.owner, ~layers.owner)))

    before = energy(base)
    for _ in range(ROUNDS):
        made = base + change
        more = (np.clip(np.sqrt(before / np.maximum(energy(made), np.float32(1e-12))), WEAKEST, STRONGEST) - 1) * changed
        added = np.where(base < 1, more[..., None] * (made - cv2.blur(made, (3, 3))), 0)  # what floats hold beyond white stays
        change = np.asarray(change + np.clip(added, np.minimum(lowest - made, 0), np.maximum(highest - made, 0)), np.float32)
    return change


def _blurring(after: Floats, base: Floats, shown: Floats) -> Mask:
    """Where a change takes more away from the picture's detail than is worth the little that the seam showed there, (h, w)."""
    changed = _strongest(after - base) > np.float32(LEAST)
    before, left = (_mean_around(_detail(picture), changed) for picture in (base, after))
    return np.asarray(changed & (shown < np.float32(FAINT)) & (left < np.float32(KEPT) * before - np.float32(ROUGH)))


def _strongest(change: Floats) -> Floats:
    """The largest change of any channel, (h, w); many times as fast as along an axis."""
    red, green, blue = cv2.split(np.abs(change))
    return np.asarray(np.maximum(np.maximum(red, green), blue), np.float32)


def _detail(picture: Floats) -> Floats:
    """How far pixels are from the mean of those around, (h, w)."""
    return np.asarray(cv2.transform(cv2.absdiff(picture, cv2.blur(picture, (3, 3))), MEAN), np.float32)


def _mean_around(values: Floats, where: Mask, region: int = REGION) -> Floats:
    """Means over squares, by default large ones, of the pixels asked for, (h, w)."""
    share, side = where.astype(np.float32), (2 * region + 1, 2 * region + 1)
    return np.asarray(cv2.blur(values * share, side) / np.maximum(cv2.blur(share, side), np.float32(1e-6)), np.float32)
