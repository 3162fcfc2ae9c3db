"""A mosaic: the tile of every cell, and a picture whose rows are drawn when they are asked for."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compositor.mosaic.collection import Collection
from compositor.options import JPEG_QUALITY
from compositor.spool import Drawn

__all__ = ["Mosaic", "draw_row"]


@dataclasses.dataclass(frozen=True, eq=False)
class Mosaic:
    """One picture composed of many.

    Parameters
    ----------
    pixels : Drawn, (h, w, 3) uint8
        RGB; rows are drawn as they are asked for, ``mosaic.pixels[100:200, 50:80]``, and ``numpy.asarray`` draws all.
    chosen : (rows, columns) int32
        Index into ``names`` of each cell's tile.
    names : list of str
        What the tiles are called.
    left_out : list of (str, str)
        Name and reason of every tile that could not be read.
    difference : float
        Root mean square difference of the mean colours of cells and their tiles, in units of CIE L*a*b*, before any tone blending.
    radius : float
        Cells within which no tile is repeated.
    metadata : mapping
        ``icc`` bytes of the target.
    seconds : mapping
        Wall time by stage, without drawing.
    """

    pixels: Drawn
    chosen: NDArray[np.int32]
    names: list[str]
    left_out: list[tuple[str, str]]
    difference: float
    radius: float
    metadata: Mapping[str, bytes]
    seconds: Mapping[str, float]

    @property
    def used(self) -> list[str]:
        """Names of the tiles that are shown, in their order."""
        return [self.names[number] for number in np.unique(self.chosen)]

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False, quality: int = JPEG_QUALITY) -> None:
        """Write the mosaic as TIFF or PNG, piece by piece, or as JPEG, whole in memory; by the name's ending.

        Parameters
        ----------
        path : str or path
            Where to.
        overwrite : bool
            Replace a file that is there.
        quality : int
            JPEG quality, 1..100.

        Raises
        ------
        OutputError
            Unknown ending, missing folder, a file that exists, or a picture too large for the format.
        WriteError
            The file could not be written; what was there before is still there.
        """
        from compositor.images import creator_xmp, write_image

        write_image(path, self.pixels, metadata={**self.metadata, "xmp": creator_xmp("mosaic")}, overwrite=overwrite, quality=quality)


def draw_row(collection: Collection, chosen: NDArray[np.int32], wanted: NDArray[np.float32], tone: float) -> NDArray[np.uint8]:
    """A row of cells, (side, columns * side, 3) uint8 RGB.

    Parameters
    ----------
    collection : Collection
    chosen : (columns,) int32
        Tile of each cell.
    wanted : (columns, LAYOUT, LAYOUT, 3) float32
        Thumbnail of what each cell stands for, RGB 0..255.
    tone : float
        How far a tile's thumbnail is brought to that, 0..1; its fine detail stays.
    """
    side = collection.pixels.shape[1]
    row = np.empty((side, len(chosen) * side, 3), np.uint8)
    for column, number in enumerate(chosen):
        tile: NDArray[Any] = collection.tile(int(number))
        if tone:
            tile = _toned(tile, (wanted[column] - collection.thumbnails[number]) * np.float32(tone))
        row[:, column * side : (column + 1) * side] = tile
    return row


def _toned(tile: NDArray[np.uint8], change: NDArray[np.float32]) -> NDArray[np.uint8]:
    """A tile with a smooth change added, which is given at LAYOUT x LAYOUT points."""
    import cv2

    smooth = cv2.resize(change, tile.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    smooth += tile
    return np.asarray(np.clip(smooth + np.float32(0.5), 0, 255).astype(np.uint8))
