"""Pictures with labels: a folder for each class."""

from __future__ import annotations

import dataclasses
import logging
import os
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from compositor.errors import OptionError
from compositor.images.files import printable
from compositor.learned.folders import GIVEN, Entry, is_class, read_entries
from compositor.learned.photographs import is_picture
from compositor.learned.pictures import Picture, read_picture, shrunk

__all__ = ["Labelled", "square", "with_room"]

logger = logging.getLogger(__name__)

ROOM = 1.25
"""A picture's shorter side that is kept, as a multiple of the squares that are cut from it."""
HELD_OUT = 5
"""Of so many pictures of a class one is kept for measuring."""


@dataclasses.dataclass(frozen=True, eq=False)
class Labelled:
    """Pictures and which class each belongs to.

    Parameters
    ----------
    classes : tuple of str
        Their names.
    pixels : tuple of (h, w, 3) uint8
        RGB, small.
    labels : (n,) int64
        Places in ``classes``.
    names, digests : tuple of str
        The files, and the SHA-256 of each.
    left_out : tuple of (str, str)
        Name and reason of every picture that could not be read, or is in two classes.
    """

    classes: tuple[str, ...]
    pixels: tuple[NDArray[np.uint8], ...]
    labels: NDArray[np.int64]
    names: tuple[str, ...]
    digests: tuple[str, ...]
    left_out: tuple[tuple[str, str], ...] = ()

    @classmethod
    def read(cls, folder: str | os.PathLike[str], *, size: int, threads: int = 0) -> Self:
        """The pictures of a folder that has a folder for each class; folders whose names begin with a dot are none.

        Parameters
        ----------
        folder : path
        size : int
            Px of the squares that will be cut from them.
        threads : int
            Pictures that are read at a time; 0 means one per core.

        Raises
        ------
        OptionError
            There are not at least two classes of two readable pictures each, or they are called «train» and «test».
        """
        place, needed = Path(folder), "give a folder that has a folder for each class, with two pictures or more"
        if place.exists() and not place.is_dir():
            raise OptionError(f"{printable(folder)} is no folder; {needed}")
        classes = sorted(one.name for one in place.iterdir() if is_class(one)) if place.is_dir() else []
        if tuple(classes) == tuple(sorted(GIVEN)):
            inside = printable(place / "train")
            raise OptionError(
                f"{printable(folder)} has folders train and test, which are no classes; give {inside}, and classify test with it"
            )
        found = [(name, path) for name in classes for path in sorted((place / name).rglob("*")) if is_picture(path)]
        left_out: list[tuple[str, str]] = []
        rows: dict[str, Entry] = {}  # by contents: nothing is learned from and measured on
        for entry in read_entries(place, found, lambda path: with_room(path, size), left_out, threads=threads):
            first = rows.setdefault(entry.digest, entry)
            if first.label != entry.label:
                left_out.append((entry.name, f"is the same picture as {first.name}, of another class"))
                logger.warning("%s: %s; it is left out", *left_out[-1])
        labels = np.array([classes.index(entry.label) for entry in rows.values()], np.int64)
        counts = np.bincount(labels, minlength=len(classes))
        if len(classes) < 2 or counts.min() < 2:
            told = ", ".join(f"{name} {count}" for name, count in zip(classes, counts, strict=True)) or "none"
            raise OptionError(f"{printable(folder)}: its classes are: {told}; {needed}", left_out=tuple(left_out))
        pixels, names = (tuple(getattr(entry, name) for entry in rows.values()) for name in ("pixels", "name"))
        return cls(tuple(classes), pixels, labels, names, tuple(rows), tuple(left_out))

    def parted(self) -> tuple[Self, Self]:
        """Pictures to learn from and others to measure on; which is where depends on the files' contents only."""
        held_out = np.zeros(len(self.labels), bool)
        for label in range(len(self.classes)):
            mine = sorted(np.flatnonzero(self.labels == label), key=lambda place: self.digests[place])
            held_out[mine[: max(1, len(mine) // HELD_OUT)]] = True
        return self.some(np.flatnonzero(~held_out)), self.some(np.flatnonzero(held_out))

    def some(self, places: NDArray[np.int64]) -> Self:
        """Those at these places."""
        pixels, names, digests = (tuple(row[place] for place in places) for row in (self.pixels, self.names, self.digests))
        return dataclasses.replace(self, pixels=pixels, labels=self.labels[places], names=names, digests=digests)

    def manifest(self) -> dict[str, str]:
        """SHA-256 and name of every picture."""
        return dict(zip(self.digests, self.names, strict=True))


def with_room(picture: Picture, size: int) -> NDArray[np.uint8]:
    """A picture as small as squares of this size are cut from, (h, w, 3)."""
    kept = round(ROOM * size)
    return shrunk(read_picture(picture, short=kept), kept)


def square(pixels: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """The middle of a picture, (size, size, 3)."""
    small = shrunk(pixels, size, size)
    top, left = ((length - size) // 2 for length in small.shape[:2])
    return small[top : top + size, left : left + size]
