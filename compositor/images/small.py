"""Small pictures of a set's photos, made of those that registration decodes, so that planning need not decode the files again.

However little of a JPEG is wanted, all its codes have to be read for it, and other files are decoded whole.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from compositor.types import Decoded, Decoder, Photo, shrink_to

__all__ = ["keep_small_pictures"]

LOOKED_AT = 1.3e6
"""Pixels at which registration looks at a photo, unless it is told otherwise; then the small picture is only dearer."""
PLANNED = 0.15e6
"""Pixels at which a photo is planned, about; for other sizes its file is decoded."""
MOST_KEPT = 128e6
"""Bytes that a set's small pictures may have; those of the photos beyond are made when they are asked for."""


@dataclasses.dataclass(eq=False)
class SmallPictureKeeper:
    """Decodes a photo; its small picture, at 1/``small``, is made of that at 1/``looked_at``.

    It is the same whether it was kept when that was decoded or has to be made.

    Parameters
    ----------
    decode : Decoder
    looked_at, small : int
        The first is less than the second.
    keeps : bool
        Whether to keep the small picture until it is asked for, once.
    """

    decode: Decoder
    looked_at: int
    small: int
    keeps: bool
    kept: Decoded | None = None

    def __call__(self, shrink: int) -> Decoded:
        """The photo at 1/shrink, shrink being 1, 2, 4 or 8."""
        if shrink == self.small:
            kept, self.kept, self.keeps = self.kept, None, False
            return kept or self._smaller(self.decode(self.looked_at))
        decoded = self.decode(shrink)
        if self.keeps and shrink == self.looked_at:
            self.kept = self._smaller(decoded)
        return decoded

    def _smaller(self, decoded: Decoded) -> Decoded:
        """The small picture, by area averaging."""
        h, w = decoded.pixels.shape[:2]
        times = self.small // self.looked_at
        return decoded.shrunk((max(1, round(w / times)), max(1, round(h / times))))


def keep_small_pictures(photos: Sequence[Photo]) -> list[Photo]:
    """Photos that keep their small pictures between registration and planning, and decode to the same where they keep none.

    Parameters
    ----------
    photos : sequence of Photo
        All of a set that are in files.

    Returns
    -------
    list of Photo
    """
    kept, needed = [], 0.0
    for photo in photos:
        area = math.prod(photo.size)
        looked_at, small = shrink_to(photo.size, LOOKED_AT), min(8, 1 << max(0, round(math.log2(area / PLANNED) / 2)))
        if looked_at < small:
            needed += 3 * photo.dtype.itemsize * area / small**2
            photo = dataclasses.replace(photo, decode=SmallPictureKeeper(photo.decode, looked_at, small, needed <= MOST_KEPT))
        kept.append(photo)
    return kept
