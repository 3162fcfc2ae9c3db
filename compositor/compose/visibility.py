"""How much a seam shows: what of the picture's gradient beside it neither photo shows."""

from __future__ import annotations

import copy
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

from compositor.compose.layers import Layers

__all__ = ["COARSE", "Measure", "beside"]

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]

MEAN = np.full((1, 3), 1 / 3, np.float32)
"""Makes the mean of three channels, many times as fast as numpy's."""
BESIDE = 5
"""Pixels around a seam in which is measured how much it shows."""
FINEST, COARSE = 1.0, 3.0
"""Standard deviations, px, of the blur that takes noise away before; the coarse one lets faint steps be seen that noise hides."""
AROUND = 7
"""Side of the squares, px, in which what a seam shows is averaged."""
RIM = 4
"""Standard deviations of the blur, at which pixels around these are looked at."""


def beside(layers: Layers) -> Mask:
    """The pixels beside the seam that both layers show, (h, w)."""
    return np.asarray((np.where(layers.owner, layers.inside, layers.outside) <= BESIDE) & layers.overlap)


class Measure:
    """Measures how much one seam shows in composites of its two layers.

    Parameters
    ----------
    layers : Layers
    near : (h, w) bool, optional
        The pixels that are looked at; by default those beside the seam that both layers show.
    finest : float
        Standard deviation, px, of the blur before.
    """

    def __init__(self, layers: Layers, near: Mask | None = None, *, finest: float = FINEST) -> None:
        near = beside(layers) if near is None else near
        left, top, across, down = cv2.boundingRect(near.view(np.uint8))
        h, w = near.shape
        rim = round(RIM * finest)
        part = slice(max(top - rim, 0), min(top + down + rim, h)), slice(max(left - rim, 0), min(left + across + rim, w))
        self.finest = finest
        self.shape, self.part = near.shape, part
        self.near, self.steps = near[part], []
        if not across:
            return
        first, second = layers.reference_valid[part], layers.new_valid[part]
        # Where one layer ends the other goes on; where both do, nothing tells what should be there.
        self.near = self.near & (cv2.erode((first | second).view(np.uint8), np.ones((2 * rim - 1,) * 2, np.uint8)) > 0)
        for one, other, there in ((layers.reference, layers.new, first), (layers.new, layers.reference, second)):
            self.steps.append(_steps(one[part] if there.all() else np.where(there[..., None], one[part], other[part]), finest))

    def only(self, near: Mask) -> Self:
        """The same for some of the pixels that are looked at, (h, w), without looking at the layers again."""
        some = copy.copy(self)
        some.near = self.near & near[self.part]
        return some

    def __call__(self, picture: Floats) -> float:
        """The mean, beside the seam, of the steps from pixel to pixel of a composite (h, w, 3) that are in neither layer."""
        if not self.steps:
            return 0.0
        found = [unlike[beside] for unlike, beside in zip(self._unlike(picture), (self.near[:, 1:], self.near[1:]), strict=True)]
        steps = np.concatenate(found)
        return float(steps.mean(dtype=np.float64)) if steps.size else 0.0

    def shown(self, picture: Floats) -> Floats:
        """The same at every pixel beside the seam, the larger of across and down, (h, w); zero elsewhere."""
        shown = np.zeros(self.shape, np.float32)
        if self.steps:
            part = shown[self.part]
            for unlike, place in zip(self._unlike(picture), (part[:, 1:], part[1:]), strict=True):
                np.maximum(place, unlike, out=place)
            part *= self.near
        return shown

    def around(self, picture: Floats) -> Floats:
        """The mean of what is shown in a small square around every pixel that is looked at, (h, w); zero elsewhere."""
        return self._around(self.shown(picture))

    def busy(self) -> Floats:
        """As ``around``, the steps that both layers have themselves, the smaller ones: beside larger ones small ones hardly show."""
        busy = np.zeros(self.shape, np.float32)
        if self.steps:
            part = busy[self.part]
            for first, second, place in zip(*self.steps, (part[:, 1:], part[1:]), strict=True):
                np.maximum(place, cv2.transform(np.minimum(np.abs(first), np.abs(second)), MEAN), out=place)
        return self._around(busy)

    def _around(self, values: Floats) -> Floats:
        """Means over small squares of the pixels that are looked at."""
        mean = np.zeros(self.shape, np.float32)
        if self.steps:
            amount = cv2.blur(self.near.astype(np.float32), (AROUND, AROUND)) + np.float32(1e-6)
            mean[self.part] = self.near * cv2.blur(values[self.part] * self.near, (AROUND, AROUND)) / amount
        return mean

    def _unlike(self, picture: Floats) -> list[Floats]:
        """Steps of the picture that neither layer has, means of the channels, across and down."""
        steps = zip(_steps(np.ascontiguousarray(picture[self.part]), self.finest), *self.steps, strict=True)
        return [cv2.transform(np.minimum(cv2.absdiff(own, first), cv2.absdiff(own, second)), MEAN) for own, first, second in steps]


def _steps(picture: Floats, finest: float) -> list[Floats]:
    """Differences from pixel to pixel, across and down, of a picture freed from its finest detail."""
    smooth = np.asarray(cv2.GaussianBlur(picture, (0, 0), finest), np.float32)
    return [smooth[:, 1:] - smooth[:, :-1], smooth[1:] - smooth[:-1]]
