"""The tiles of a mosaic: a collection of pictures, read once, cut square and kept at the size they will be shown at."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compositor.clock import StageClock
from compositor.encoding import full_scale
from compositor.errors import CompositorError, ReadError, WriteError
from compositor.images import open_source, photo_names, to_common_profile
from compositor.images.read import Source
from compositor.spool import Spool
from compositor.threads import limit_threads, threads_allowed
from compositor.types import Photo

__all__ = ["LAYOUT", "Collection", "layout_of", "read_collection", "to_bytes"]

LAYOUT = 4
"""Side, px, of the thumbnail that tells how colours are laid out in a tile."""
AT_ONCE = 1024
"""Tiles that are waited for together: a hundred thousand promises would take memory of their own."""

logger = logging.getLogger("compositor")


@dataclasses.dataclass(frozen=True, eq=False)
class Collection:
    """Tiles of one size.

    Parameters
    ----------
    names : list of str
        What each tile is called.
    pixels : Spool, (n * side, side, 3) uint8
        RGB, one tile below the other, in a temporary file.
    thumbnails : (n, LAYOUT, LAYOUT, 3) float32
        Each tile reduced, RGB 0..255, encoded as the target.
    left_out : list of (str, str)
        Name and reason of every picture that could not be read.
    """

    names: list[str]
    pixels: Spool
    thumbnails: NDArray[np.float32]
    left_out: list[tuple[str, str]]

    def tile(self, number: int) -> NDArray[np.uint8]:
        """The pixels of one tile, (side, side, 3)."""
        side = self.pixels.shape[1]
        return np.asarray(self.pixels[number * side : (number + 1) * side])


def read_collection(sources: Sequence[Source], target: Photo, side: int, tell: StageClock) -> Collection:
    """Read every picture once, in parallel and at the smallest scale that its format offers and the tiles' size allows.

    Parameters
    ----------
    sources : sequence of path, array or Photo
    target : Photo
        Its colour profile becomes that of all.
    side : int
        Of a tile, px.
    tell : StageClock
        Told of every part that is done.

    Raises
    ------
    ReadError
        None can be read.
    WriteError
        The temporary file has no room.
    """
    names = photo_names(sources)
    try:
        pixels = Spool((len(sources) * side, side, 3), np.uint8)
    except OSError as error:
        raise _no_room(len(sources) * side * side * 3, error) from error
    thumbnails = np.zeros((len(sources), LAYOUT, LAYOUT, 3), np.float32)
    faults: dict[int, str] = {}

    def read(place: int) -> None:
        try:
            tile = _square(open_source(sources[place], names[place]), target, side)
        except ReadError as error:
            faults[place] = str(error).removeprefix(f"{names[place]}: ")
            return
        try:
            pixels[place * side : (place + 1) * side, 0:side] = tile
        except OSError as error:
            raise _no_room(pixels.nbytes, error) from error
        thumbnails[place] = layout_of(tile)

    workers = threads_allowed()
    with limit_threads(1), ThreadPoolExecutor(workers) as pool:
        for begin in range(0, len(sources), AT_ONCE):
            tell("tiles", begin, len(sources))
            for _ in pool.map(read, range(begin, min(begin + AT_ONCE, len(sources)))):
                pass
    left_out = [(names[place], faults[place]) for place in sorted(faults)]
    for name, reason in left_out:
        logger.warning("%s: %s; it is left out", name, reason)
    kept = np.array([place for place in range(len(sources)) if place not in faults], np.int64)
    if not len(kept):
        raise ReadError("none of the tiles can be read; the warnings say why", left_out=tuple(left_out))
    return _without(Collection(names, pixels, thumbnails, left_out), kept)


def _without(collection: Collection, kept: NDArray[np.int64]) -> Collection:
    """The collection of the tiles that were read; those behind a missing one move up in the file."""
    if len(kept) == len(collection.names):
        return collection
    side = collection.pixels.shape[1]
    for place, tile in enumerate(kept):
        if place != tile:
            collection.pixels[place * side : (place + 1) * side, 0:side] = collection.tile(int(tile))
    names = [collection.names[tile] for tile in kept]
    pixels = collection.pixels.part(slice(0, len(kept) * side), slice(0, side))
    return Collection(names, pixels, collection.thumbnails[kept], collection.left_out)


def _no_room(size: int, error: OSError) -> CompositorError:
    return WriteError(f"the temporary file of the tiles, {size / 1e6:.0f} MB, has no room ({error.strerror}); set TMPDIR to a larger disk")


def _square(photo: Photo, target: Photo, side: int) -> NDArray[np.uint8]:
    """The middle square of a photo as a tile, (side, side, 3)."""
    import cv2

    photo = to_common_profile([target, photo])[1]
    shrink = next(s for s in (8, 4, 2, 1) if s == 1 or min(photo.size) >= s * side)
    pixels = to_bytes(photo.decode(shrink).pixels)
    h, w = pixels.shape[:2]
    size = min(h, w)
    top, left = (h - size) // 2, (w - size) // 2
    square = pixels[top : top + size, left : left + size]
    way = cv2.INTER_AREA if size > side else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(square, (side, side), interpolation=way), np.uint8)


def to_bytes(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    """Pixels of any depth with 8 bits."""
    if pixels.dtype == np.uint8:
        return pixels
    levels = pixels.astype(np.float32) * np.float32(255 / full_scale(pixels.dtype))
    return np.asarray(np.rint(np.clip(levels, 0, 255)).astype(np.uint8))


def layout_of(tile: NDArray[np.uint8]) -> NDArray[np.float32]:
    """A tile reduced to LAYOUT pixels a side by area averaging, of encoded values as viewers do it; RGB, 0..255."""
    import cv2

    return np.asarray(cv2.resize(tile.astype(np.float32), (LAYOUT, LAYOUT), interpolation=cv2.INTER_AREA), np.float32)
