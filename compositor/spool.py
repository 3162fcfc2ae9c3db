"""Pictures too large for memory: their pixels lie in a file, and are read and written by region.

Explicit reads and writes, not mapped pages: the system counts those as memory of the process, and takes it when it likes.
"""

from __future__ import annotations

import copy
import os
import tempfile
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

__all__ = ["Derived", "Drawn", "Spool", "part_of"]


BLOCK = 512
"""Side, px, of the blocks that a file holds one after the other: a tile that is one of them is written at once."""

Region = tuple[slice, slice]


class Spool:
    """A picture in a temporary file that nobody else sees and that is gone when nothing refers to it any more.

    It is read as arrays are, by rows and columns: ``spool[100:200, 50:80]``, ``spool[7, 9]``, ``spool[::10, ::10]``;
    ``numpy.asarray`` reads all of it. Regions are written likewise. Threads may read and write different regions at the same time.

    Parameters
    ----------
    shape : (int, int) or (int, int, int)
        Height, width and, where there are any, channels.
    dtype : dtype
    empty : int
        Value of pixels that were never written.
    folder : str or path, optional
        Where the file lies; by default the system's folder for temporary files.
    """

    def __init__(self, shape: tuple[int, ...], dtype: DTypeLike, *, empty: int = 0, folder: str | os.PathLike[str] | None = None) -> None:
        self.shape, self.dtype, self.empty = shape, np.dtype(dtype), empty
        self._file, self._whole, self._corner = _File(folder, self.nbytes), shape[:2], (0, 0)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def nbytes(self) -> int:
        """Size of the picture, bytes."""
        return int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize

    def __len__(self) -> int:
        return self.shape[0]

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        return np.asarray(self[:, :], dtype)

    def __getitem__(self, key: Any) -> Any:
        rows, columns = key if isinstance(key, tuple) else (key, slice(None))
        if not isinstance(rows, slice):
            return self[rows : rows + 1 or None, columns][0]
        if not isinstance(columns, slice):
            return self[rows, columns : columns + 1 or None][:, 0]
        asked, (left, right, step) = range(*rows.indices(self.shape[0])), columns.indices(self.shape[1])
        if step < 1:
            raise IndexError("columns of a picture on disk are read from left to right")
        read = np.empty((len(asked), max(0, right - left), *self.shape[2:]), self.dtype)
        for first, into in [(asked.start, read)] if asked.step == 1 else [(row, read[k : k + 1]) for k, row in enumerate(asked)]:
            for place, stored, part, within in self._blocks(first, left, into.shape[:2]):
                block = np.empty(stored, self.dtype)
                self._file.read(place, block.reshape(-1).view(np.uint8).data)
                into[part] = block[:, within]
        # Files begin as zeros; so zeros stand for what was never written.
        return (read + np.asarray(self.empty, self.dtype) if self.empty else read)[:, ::step]

    def __setitem__(self, key: Region, values: NDArray[Any]) -> None:
        (top, bottom, _), (left, right, _) = key[0].indices(self.shape[0]), key[1].indices(self.shape[1])
        given = np.broadcast_to(np.asarray(values, self.dtype), (bottom - top, right - left, *self.shape[2:]))
        given = given - np.asarray(self.empty, self.dtype) if self.empty else given
        for place, stored, part, within in self._blocks(top, left, given.shape[:2]):
            block = np.ascontiguousarray(given[part])
            if block.shape == stored:
                self._file.write(place, block.reshape(-1).view(np.uint8).data)
                continue
            pixel = block[:1, :1].nbytes
            for k, row in enumerate(block):
                self._file.write(place + (k * stored[1] + within.start) * pixel, row.reshape(-1).view(np.uint8).data)

    def part(self, rows: slice, columns: slice) -> Spool:
        """A region of the picture as a picture of its own, in the same file.

        Parameters
        ----------
        rows, columns : slice
            Without steps.

        Returns
        -------
        Spool
        """
        (top, bottom, _), (left, right, _) = rows.indices(self.shape[0]), columns.indices(self.shape[1])
        part = copy.copy(self)
        part.shape, part._corner = (bottom - top, right - left, *self.shape[2:]), (self._corner[0] + top, self._corner[1] + left)
        return part

    def _blocks(self, top: int, left: int, size: tuple[int, ...]) -> Iterator[tuple[int, tuple[int, ...], Region, slice]]:
        """Where the file holds a region, block by block.

        Yields the place of the block's rows that the region shows, their shape, what part of the region they are, and which of their
        columns the region shows.
        """
        height, width = self._whole
        pixel = int(np.prod(self.shape[2:], dtype=np.int64)) * self.dtype.itemsize
        top, left = top + self._corner[0], left + self._corner[1]
        bottom, right = top + size[0], left + size[1]
        for y in range(top // BLOCK * BLOCK, bottom, BLOCK):
            first, last, tall = max(top, y), min(bottom, y + BLOCK), min(BLOCK, height - y)
            for x in range(left // BLOCK * BLOCK, right, BLOCK):
                start, stop, broad = max(left, x), min(right, x + BLOCK), min(BLOCK, width - x)
                place = (y * width + x * tall + (first - y) * broad) * pixel
                stored = (last - first, broad, *self.shape[2:])
                yield place, stored, (slice(first - top, last - top), slice(start - left, stop - left)), slice(start - x, stop - x)


class _File:
    """A temporary file of some size that several spools may share; it is closed, and so gone, with the last of them."""

    def __init__(self, folder: str | os.PathLike[str] | None, size: int) -> None:
        self._file, self._lock = tempfile.TemporaryFile(buffering=0, prefix="compositor-", dir=folder), threading.Lock()  # noqa: SIM115
        self._file.truncate(size)
        weakref.finalize(self, self._file.close)

    def read(self, place: int, view: memoryview) -> None:
        """Fill a view with the bytes from a place on."""
        with self._lock:
            self._file.seek(place)
            while view:
                count = self._file.readinto(view)
                if not count:
                    raise OSError("the temporary file ended early")
                view = view[count:]

    def write(self, place: int, view: memoryview) -> None:
        """Write a view from a place on."""
        with self._lock:
            self._file.seek(place)
            while view:
                view = view[self._file.write(view) :]


class Derived:
    """What follows pixel by pixel from a picture, worked out region by region as it is asked for.

    Parameters
    ----------
    source : array or Spool
    of : callable
        Takes a region of the source to the same region of this.
    dtype : dtype
        Of the result.
    """

    def __init__(self, source: NDArray[Any] | Spool, of: Callable[[NDArray[Any]], NDArray[Any]], dtype: DTypeLike) -> None:
        self.shape, self.dtype, self._source, self._of = source.shape, np.dtype(dtype), source, of

    def __len__(self) -> int:
        return self.shape[0]

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        return np.asarray(self[:, :], dtype)

    def __getitem__(self, key: Any) -> Any:
        return self._of(self._source[key])


class Drawn:
    """A picture that is drawn when it is asked for, band by band from top to bottom, and never held whole.

    Parameters
    ----------
    shape : (int, int) or (int, int, int)
        Height, width and, where there are any, channels.
    dtype : dtype
    rows : int
        Height of a band; the last one may be less high.
    draw : callable
        Draws a band by its number, (rows, width[, channels]). The last one drawn is kept, so that reading on from its middle costs nothing.
    """

    def __init__(self, shape: tuple[int, ...], dtype: DTypeLike, rows: int, draw: Callable[[int], NDArray[Any]]) -> None:
        self.shape, self.dtype, self._rows, self._draw = shape, np.dtype(dtype), rows, draw
        self._last: tuple[int, NDArray[Any]] | None = None

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        return np.asarray(self[:, :], dtype)

    def __getitem__(self, key: Any) -> Any:
        rows, columns = key if isinstance(key, tuple) else (key, slice(None))
        if not isinstance(rows, slice):
            return self[rows : rows + 1 or None, columns][0]
        asked = range(*rows.indices(self.shape[0]))
        if asked.step < 1:
            raise IndexError("rows of a picture that is drawn are read from top to bottom")
        wide = len(range(*columns.indices(self.shape[1]))) if isinstance(columns, slice) else None
        read = np.empty((len(asked), *(() if wide is None else (wide,)), *self.shape[2:]), self.dtype)
        for number in dict.fromkeys(row // self._rows for row in asked):
            top = number * self._rows
            first = max(0, -(-(top - asked.start) // asked.step))
            rest = len(range(asked[first], min(asked.stop, top + self._rows), asked.step))
            within = slice(asked[first] - top, self._rows, asked.step)
            read[first : first + rest] = self._band(number)[within, columns][:rest]
        return read

    def _band(self, number: int) -> NDArray[Any]:
        """A band, drawn now or last time."""
        last = self._last
        if last is None or last[0] != number:
            last = self._last = (number, self._draw(number))
        return last[1]


def part_of(picture: NDArray[Any] | Spool, rows: slice, columns: slice) -> Any:
    """A region of a picture, which is not copied, wherever its pixels are."""
    return picture.part(rows, columns) if isinstance(picture, Spool) else picture[rows, columns]
