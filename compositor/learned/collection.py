"""A folder of pictures as generators and classifiers take it: squares of one size in memory, by class."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from compositor.errors import OptionError, counted
from compositor.images.files import printable
from compositor.learned.folders import Entry, is_class, read_entries
from compositor.learned.labelled import square
from compositor.learned.photographs import HELD_OUT, is_picture
from compositor.learned.pictures import read_picture

__all__ = ["Collection"]

GIVEN = ("train", "test")
"""Folders that say by themselves what to learn from and what to measure on."""


@dataclasses.dataclass(frozen=True, eq=False)
class Collection:
    """Pictures of one size, and what each shows.

    Parameters
    ----------
    pixels : (n, size, size, 3) uint8
        RGB, sRGB-encoded: the middle square of every picture.
    labels : (n,) int64
        Index into ``classes``.
    classes : tuple of str
        Names of the folders; one empty name where there are none.
    paths : tuple of str
        Where each picture lies.
    digest : str
        SHA-256 of all files' contents, hexadecimal.
    left_out : tuple of (str, str)
        Name and reason of every file that could not be read.
    """

    pixels: NDArray[np.uint8]
    labels: NDArray[np.int64]
    classes: tuple[str, ...]
    paths: tuple[str, ...]
    digest: str
    left_out: tuple[tuple[str, str], ...] = ()

    def __len__(self) -> int:
        return len(self.pixels)

    def manifest(self) -> dict[str, str]:
        """What was read, as a record keeps it: one digest for all, for there may be many thousands."""
        return {self.digest: counted(len(self), "picture")}

    @classmethod
    def read(cls, folder: str | os.PathLike[str], size: int, *, threads: int = 0) -> tuple[Collection, Collection]:
        """Read a folder of pictures; folders in it whose names begin with a dot are left out.

        Parameters
        ----------
        folder : path
            Pictures of one class lie in a folder of that name; without such folders all are alike. Where the folders are «train» and
            «test», these say what is learned from, and classes lie in them. Else one of eight is kept for measuring, by its content.
        size : int
            Side of the squares, px.
        threads : int
            Pictures that are read at a time; 0 means one per core.

        Returns
        -------
        learned, held_out : Collection
            The first knows which files could not be read.

        Raises
        ------
        OptionError
            It is no folder, or fewer than two pictures can be read.
        """
        top = Path(folder)
        if not top.is_dir():
            raise OptionError(f"{printable(top)} is no folder; give one with pictures in it")
        given = all((top / name).is_dir() for name in GIVEN)
        roots = [top / name for name in GIVEN] if given else [top]
        listed = [list(_pictures(root)) for root in roots]
        classes = tuple(sorted({name for part in listed for name, _ in part}))
        left_out: list[tuple[str, str]] = []
        parts = [
            read_entries(top, part, lambda path: square(read_picture(path, short=size), size), left_out, threads=threads) for part in listed
        ]
        if not given:
            (part,) = parts
            kept = [k for k, entry in enumerate(part) if int(entry.digest[:8], 16) % HELD_OUT]
            if len(part) >= 2 and len(kept) in (0, len(part)):  # so few that chance put all of them on one side
                kept = list(range(1, len(part)))
            others = sorted(set(range(len(part))) - set(kept))
            parts = [[part[k] for k in kept], [part[k] for k in others]]
        if not all(parts):
            broken = f"; {len(left_out)} cannot be read, such as {left_out[0][0]}" if left_out else ""
            where = " in each of train and test" if given else ""
            found = {0: "no picture was", 1: "one picture was"}.get(count := sum(map(len, parts)), f"{count} pictures were")
            raise OptionError(f"{printable(top)}: {found} found{broken}; at least two are needed{where}")
        learned, held_out = (_collected(part, classes, size) for part in parts)
        return dataclasses.replace(learned, left_out=tuple(left_out)), held_out


def _pictures(root: Path) -> Iterator[tuple[str, Path]]:
    """Class and path of every picture."""
    folders = sorted(path for path in root.iterdir() if is_class(path))
    inside = {folder.name: sorted(path for path in folder.rglob("*") if is_picture(path)) for folder in folders}
    inside = {name: paths for name, paths in inside.items() if paths}
    beside = sorted(path for path in root.iterdir() if path.is_file() and is_picture(path))
    as_classes = len(inside) > 1 and not beside
    for name, paths in inside.items():
        yield from ((name if as_classes else "", path) for path in paths)
    yield from (("", path) for path in beside)


def _collected(entries: Sequence[Entry], classes: tuple[str, ...], size: int) -> Collection:
    """Entries as a collection."""
    digest = hashlib.sha256("".join(sorted(entry.digest for entry in entries)).encode()).hexdigest()
    pixels = np.stack([entry.pixels for entry in entries]) if entries else np.zeros((0, size, size, 3), np.uint8)
    labels = np.array([classes.index(entry.label) for entry in entries], np.int64)
    return Collection(pixels, labels, classes, tuple(str(entry.path) for entry in entries), digest)
