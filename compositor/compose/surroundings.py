"""Both photos of a seam, drawn again around it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compositor.compose.anchor import anchor
from compositor.compose.layers import Layers
from compositor.compose.opened import Opened, open_for
from compositor.compose.warp import Box, Sheet, draw, locate
from compositor.compose.windows import Window
from compositor.encoding import full_scale
from compositor.photometry import Photometry
from compositor.types import Camera, Canvas, Photo

__all__ = ["MOST_BYTES", "MOST_OPEN", "Surroundings", "most_kept"]

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]

MOST_OPEN, MOST_BYTES = 4, 200e6
"""Photos that are held decoded, and the memory that they may take where there are more than two."""


class Surroundings:
    """The layers of a panorama's seams, window by window, from photos of which the last few are kept decoded.

    Parameters
    ----------
    cameras, photos : sequence
        As the panorama was composed from.
    canvas : Canvas
    photometry : Photometry
        What was done to the photos' light.
    opened : dict of int to Opened, optional
        Photos that are open already, as ``open_for`` opens them for this canvas, by index; taken over.
    """

    def __init__(
        self,
        cameras: Sequence[Camera],
        photos: Sequence[Photo],
        canvas: Canvas,
        photometry: Photometry,
        opened: dict[int, Opened] | None = None,
    ) -> None:
        self.cameras, self.photos, self.photometry, self.sheet = cameras, photos, photometry, Sheet.of(canvas)
        self.held: dict[int, Opened] = {} if opened is None else opened

    def seams(self, window: Window, owners: NDArray[Any], picture: Floats) -> list[tuple[Layers, Mask]]:
        """The seams of a window.

        Parameters
        ----------
        window : Window
        owners : (h, w) integer
            Which photo shows.
        picture : (h, w, 3) float32
            What is stored there, encoded, 1 is white.

        Returns
        -------
        list of (Layers, (h, w) bool)
            Of each seam the two layers, in the light that the picture gives them there, and where one of them shows.
        """
        drawn = {}
        for k in sorted({k for pair in window.pairs for k in pair}):
            photo, valid, white = self._draw(k, window.box)
            drawn[k] = anchor(photo, valid, owners == k, picture, white), valid
        found, height = [], self.sheet.canvas.size[1]
        for a, b in window.pairs:
            second = owners == b
            theirs = (owners == a) | second
            found.append((Layers(drawn[a][0], drawn[b][0], drawn[a][1] & theirs, drawn[b][1] & theirs, second, height), theirs))
        return found

    def _draw(self, k: int, box: Box) -> tuple[Floats, Mask, float]:
        """A photo's pixels in a box of the canvas, graded, 0..1, where it has any, and in how many steps they are stored."""
        if k not in self.held:
            while len(self.held) >= MOST_OPEN or (len(self.held) > 1 and self._bytes() > MOST_BYTES):
                self.held.pop(next(iter(self.held)))
            self.held[k] = open_for(self.sheet.canvas, self.photos[k], self.cameras[k], self.photometry, k)
        opened = self.held[k] = self.held.pop(k)  # the last one is let go last
        places = locate(self.cameras[k], opened.decoded, self.sheet, box)
        drawn, valid = draw(self.cameras[k], opened.decoded, places, grading=opened.grading, smooth=True)
        white = full_scale(opened.decoded.pixels.dtype)
        drawn *= np.float32(1 / white)
        return np.clip(drawn, 0, 1, out=drawn), valid, white

    def _bytes(self) -> int:
        """What the photos take that are held."""
        return sum(opened.decoded.pixels.nbytes for opened in self.held.values())


def most_kept(photo: int) -> int:
    """How many photos of so many bytes each may be kept open between rendering and looking at seams again."""
    return min(MOST_OPEN, int(MOST_BYTES // max(photo, 1)))
