"""How much a seam shows: what of the picture's gradient beside it neither photo shows."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from compositor.compose.layers import Layers

__all__ = ["Measure", "beside"]

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]

BESIDE = 5
"""Pixels around a seam in which is measured how much it shows."""
FINEST = 1.0
"""Standard deviation, px, of the blur that takes noise away before."""
AROUND = 7
"""Side of the squares, px, in which what a seam shows is averaged."""
RIM = 4
"""Pixels around these that the blur and the differences look at."""


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
    """

    def __init__(self, layers: Layers, near: Mask | None = None) -> None:
        near = beside(layers) if near is None else near
        left, top, across, down = cv2.boundingRect(near.view(np.uint8))
        h, w = near.shape
        self.part = slice(max(top - RIM, 0), min(top + down + RIM, h)), slice(max(left - RIM, 0), min(left + across + RIM, w))
        self.shape, self.near = near.shape, near[self.part]
        self.steps = [self._steps(picture) for picture in (layers.reference, layers.new)] if across else []

    def __call__(self, picture: Floats) -> float:
        """The mean, beside the seam, of the steps from pixel to pixel of a composite (h, w, 3) that are in neither layer."""
        if not self.steps:
            return 0.0
        found = [unlike[beside] for unlike, beside in zip(self._unlike(picture), (self.near[:, 1:], self.near[1:]), strict=True)]
        return float(np.concatenate(found).mean(dtype=np.float64))

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
        mean = np.zeros(self.shape, np.float32)
        if self.steps:
            amount = cv2.blur(self.near.astype(np.float32), (AROUND, AROUND)) + np.float32(1e-6)
            mean[self.part] = self.near * cv2.blur(self.shown(picture)[self.part], (AROUND, AROUND)) / amount
        return mean

    def _unlike(self, picture: Floats) -> list[Floats]:
        """Steps of the picture that neither layer has, means of the channels, across and down."""
        steps = zip(self._steps(picture), *self.steps, strict=True)
        return [np.minimum(np.abs(own - first), np.abs(own - second)).mean(axis=2) for own, first, second in steps]

    def _steps(self, picture: Floats) -> list[Floats]:
        """Differences from pixel to pixel, across and down, of a picture freed from its finest detail."""
        smooth = cv2.GaussianBlur(np.ascontiguousarray(picture[self.part]), (0, 0), FINEST)
        return [smooth[:, 1:] - smooth[:, :-1], smooth[1:] - smooth[:-1]]
