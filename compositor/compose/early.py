"""Photos that are decoded before rendering asks for them, while planning leaves cores with nothing to do."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Sequence
from concurrent.futures import Executor, Future

from compositor.compose.opened import needed_whole
from compositor.compose.small import plan_box
from compositor.registration import Registration
from compositor.types import Camera, Canvas, Decoded, Decoder, Photo

__all__ = ["FIRST", "EarlyPhotos", "most_early"]

FIRST = 3
"""Photos that are decoded early, no more than the first tiles wait for or will soon."""


def most_early(workers: int, *, few: bool) -> int:
    """How many photos are decoded early, by the threads that work; ``few``: no more photos may be held than must.

    A single worker would decode beside the thread that plans: on two cores where one was allowed.
    """
    return 0 if few or workers == 1 else FIRST


@dataclasses.dataclass(eq=False)
class _EarlyDecoder:
    """Decodes a photo, perhaps before it is asked for; what was decoded early, by its shrink, is given away once."""

    decode: Decoder
    early: dict[int, Future[Decoded]] = dataclasses.field(default_factory=dict)

    def __call__(self, shrink: int) -> Decoded:
        """The photo at 1/shrink, shrink being 1, 2, 4 or 8."""
        early = self.early.pop(shrink, None)  # looks and takes in one step: of two threads one gets it, the other decodes
        return self.decode(shrink) if early is None else early.result()


class EarlyPhotos:
    """The photos of a registration, of which those that the first tiles show can be decoded early.

    Parameters
    ----------
    photos : sequence of Photo
        In the order of ``registration.cameras``.
    registration : Registration
    canvas : Canvas
    pool : Executor
        Decodes them.
    most : int
        How many are decoded early.
    """

    def __init__(self, photos: Sequence[Photo], registration: Registration, canvas: Canvas, pool: Executor, most: int) -> None:
        cameras = registration.cameras
        first = sorted(range(len(cameras)), key=lambda k: _begin(cameras[k], canvas))[:most]
        self._pool, self._decoders = pool, {k: _EarlyDecoder(photos[k].decode) for k in first if needed_whole(cameras[k], canvas)}
        self.photos = [
            dataclasses.replace(photo, decode=self._decoders[k]) if k in self._decoders else photo for k, photo in enumerate(photos)
        ]

    def decode(self) -> None:
        """Begin to decode them in full."""
        for decoder in self._decoders.values():
            decoder.early[1] = self._pool.submit(decoder.decode, 1)

    def keep(self, shown: Collection[int]) -> None:
        """Keep those that tiles show, by index, and let the others go: nobody will ask for them."""
        for k, decoder in self._decoders.items():
            if k not in shown and (unasked := decoder.early.pop(1, None)) is not None:
                unasked.cancel()


def _begin(camera: Camera, canvas: Canvas) -> int:
    """Where a photo begins along the line on which tiles advance, canvas pixels; below 0 where it crosses the edge that closes a turn."""
    axis = 0 if canvas.size[0] >= canvas.size[1] else 1  # tiles go along the shorter side first
    box = plan_box(camera, canvas)
    return box[axis] - canvas.size[axis] if box[axis + 2] > canvas.size[axis] else box[axis]
