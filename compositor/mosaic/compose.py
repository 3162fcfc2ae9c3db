"""From a target and a collection of tiles to a mosaic."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compositor.clock import StageClock
from compositor.errors import OptionError
from compositor.images import open_source
from compositor.images.read import Source
from compositor.memory import require_memory
from compositor.mosaic.collection import LAYOUT, Collection, read_collection, to_bytes
from compositor.mosaic.match import CANDIDATES, assign, describe
from compositor.mosaic.picture import Mosaic, draw_row
from compositor.options import MosaicOptions
from compositor.spool import Drawn
from compositor.threads import limit_threads
from compositor.types import Photo, Progress

__all__ = ["Features", "grid_of", "mosaic"]

Floats = NDArray[np.float32]
Features = Callable[[NDArray[np.uint8]], NDArray[Any]]
"""Takes (n, side, side, 3) uint8 RGB pictures to (n, d) numbers that are near each other for pictures that look alike."""
Approve = Callable[[tuple[int, int]], object]
AT_ONCE = 64
"""Pictures that features are computed of at a time."""
CELL, CANDIDATE, FEATURE = 700, 8, 12
"""Bytes for each cell (its thumbnail, descriptors and what is made of them), for each of its candidates, and for each feature of a cell or
tile; the first two measured."""


def mosaic(
    target: Source,
    tiles: Iterable[Source],
    *,
    features: Features | None = None,
    approve: Approve | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> Mosaic:
    """Compose a picture out of many small ones.

    Parameters
    ----------
    target : path, (h, w[, c]) array or Photo
        What the mosaic shows from afar. Its edges are cropped so that whole square cells fill it.
    tiles : iterable of path, array or Photo
        The collection; each shows its middle square. One that cannot be read is left out, and ``left_out`` of the result says why.
    features : callable, optional
        Compares cells and tiles by more than the layout of their colours: called as features(pictures) with (n, side, side, 3) uint8
        RGB, returns (n, d) numbers, such as those of an encoder. Scaled to weigh as much as colours times ``feature_weight``.
    approve : callable, optional
        Called with the mosaic's (width, height) before any tile is read. What it raises ends the work.
    progress : callable, optional
        Called as progress(stage, done, total) while work goes on.
    **options
        Fields of ``compositor.options.MosaicOptions``, such as ``columns=100``.

    Returns
    -------
    Mosaic

    Raises
    ------
    OptionError
        There is no such option, or no such value, or too few tiles for it.
    ReadError
        The target cannot be read, or none of the tiles.
    LimitError
        So many cells would take more memory than there is.
    WriteError
        The temporary file that keeps the tiles has no room.
    """
    chosen, clock = MosaicOptions.of(options), StageClock(progress)
    if features is None and chosen.feature_weight != MosaicOptions.feature_weight:
        raise OptionError(f"feature_weight={chosen.feature_weight!r} is that of features=; give them, too, or leave it out")
    if isinstance(tiles, str | bytes | os.PathLike | np.ndarray | Photo) or not isinstance(tiles, Iterable):
        raise OptionError(f"tiles is one {type(tiles).__name__}; give a list of paths, arrays or photos")
    with limit_threads(chosen.threads):
        clock("target", 0, 1)
        photo, sources = open_source(target), list(tiles)
        rows, columns = grid_of(photo.size, chosen)
        if approve is not None:
            approve((columns * chosen.tile_size, rows * chosen.tile_size))
        needed = rows * columns * (CELL + CANDIDATE * min(CANDIDATES, len(sources)))
        require_memory(needed, f"a mosaic of {columns} x {rows} cells", "fewer columns=")
        picture = _cropped(photo, rows, columns)
        collection = read_collection(sources, photo, chosen.tile_size, clock)
        clock("match", 0, 1)
        wanted = _cells(picture, rows, columns, LAYOUT).astype(np.float32)
        (cells, colors), (described, tile_colors) = describe(wanted), describe(collection.thumbnails)
        if features is not None:
            cells, described = _with_features(features, cells, described, picture, collection, (rows, columns), chosen.feature_weight)
        assignment = assign(cells, described, (rows, columns), radius=chosen.radius, most_uses=chosen.uses)
        difference = float(np.sqrt(((colors - tile_colors[assignment.chosen.ravel()]) ** 2).sum(1).mean()))

    def draw(row: int) -> NDArray[np.uint8]:
        return draw_row(collection, assignment.chosen[row], wanted.reshape(rows, columns, LAYOUT, LAYOUT, 3)[row], chosen.tone)

    size = (rows * chosen.tile_size, columns * chosen.tile_size, 3)
    kept = {key: value for key, value in photo.metadata.items() if key == "icc"}
    pixels = Drawn(size, np.uint8, chosen.tile_size, draw)
    seconds = clock.seconds()
    return Mosaic(pixels, assignment.chosen, collection.names, collection.left_out, difference, assignment.radius, kept, seconds)


def grid_of(size: tuple[int, int], options: MosaicOptions) -> tuple[int, int]:
    """Rows and columns of cells for a target of this width and height, px: square cells that cover nearly all of it."""
    width, height = size
    return max(1, round(options.columns * height / width)), options.columns


def _cropped(photo: Photo, rows: int, columns: int) -> NDArray[np.uint8]:
    """The target, (h, w, 3), cut around its middle to the shape of so many square cells, and no finer than cells can show."""
    # A tile of many pixels may carry a feature's worth of a cell's detail: 32 px a cell, which is plenty.
    pixels = to_bytes(photo.reduced(rows * columns * 1024 / 1e6).pixels)
    h, w = pixels.shape[:2]
    scale = min(h / rows, w / columns)
    height, width = max(1, round(rows * scale)), max(1, round(columns * scale))
    top, left = (h - height) // 2, (w - width) // 2
    return pixels[top : top + height, left : left + width]


def _cells(picture: NDArray[np.uint8], rows: int, columns: int, side: int) -> NDArray[Any]:
    """The target as (rows * columns, side, side, 3) thumbnails, one for each cell."""
    import cv2

    w, h = columns * side, rows * side
    way = cv2.INTER_AREA if picture.shape[0] >= h else cv2.INTER_LINEAR
    small = cv2.resize(picture, (w, h), interpolation=way)
    return np.ascontiguousarray(small.reshape(rows, side, columns, side, 3).transpose(0, 2, 1, 3, 4)).reshape(-1, side, side, 3)


def _with_features(
    features: Features,
    cells: Floats,
    described: Floats,
    picture: NDArray[np.uint8],
    collection: Collection,
    shape: tuple[int, int],
    weight: float,
) -> tuple[Floats, Floats]:
    """Descriptors of cells and tiles with their features behind them."""
    side = collection.pixels.shape[1]
    rows, columns = shape
    numbers = range(0, len(collection.names), AT_ONCE)
    of_tile = np.concatenate(
        [
            _checked(features, np.stack([collection.tile(k) for k in range(begin, min(begin + AT_ONCE, len(collection.names)))]))
            for begin in numbers
        ]
    )
    needed = FEATURE * of_tile.shape[1] * (rows * columns + len(of_tile))
    require_memory(needed, f"{of_tile.shape[1]} features of {columns} x {rows} cells", "fewer columns=")
    of_cells: list[NDArray[Any]] = []
    for row in range(rows):
        band = picture[row * len(picture) // rows : max((row + 1) * len(picture) // rows, row * len(picture) // rows + 1)]
        of_cells += _in_parts(features, _cells(band, 1, columns, side))
    of_cell = np.concatenate(of_cells)
    spread = float(of_tile.var(0).sum()) or 1.0
    factor = np.float32(weight * np.sqrt(float(described.var(0).sum()) / spread))
    return np.hstack([cells, of_cell * factor]), np.hstack([described, of_tile * factor])


def _in_parts(features: Features, pictures: NDArray[np.uint8]) -> list[NDArray[Any]]:
    return [_checked(features, pictures[begin : begin + AT_ONCE]) for begin in range(0, len(pictures), AT_ONCE)]


def _checked(features: Features, pictures: NDArray[np.uint8]) -> Floats:
    """The features of some pictures.

    Raises
    ------
    OptionError
        They are no finite numbers, or not one row for each.
    """
    found = np.asarray(features(pictures), np.float32)
    if found.ndim != 2 or len(found) != len(pictures) or not np.isfinite(found).all():
        raise OptionError(f"features gave an array of shape {found.shape} for {len(pictures)} pictures; needed are as many rows of numbers")
    return found
