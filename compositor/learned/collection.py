"""A folder of pictures as generators and classifiers take it: squares of one size in memory, by class."""

from __future__ import annotations

import dataclasses
import hashlib
import logging
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from compositor.errors import OptionError, counted
from compositor.images.files import printable
from compositor.learned.folders import GIVEN, Entry, is_class, read_entries
from compositor.learned.labelled import square
from compositor.learned.photographs import HELD_OUT, is_picture
from compositor.learned.pictures import read_picture

__all__ = ["Collection"]

logger = logging.getLogger(__name__)


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
        Name and reason of every file that could not be read, or not be measured on.
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
        by_class = _has_classes(roots[0])
        listed = [list(_pictures(root, by_class)) for root in roots]
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
        classes = tuple(sorted({entry.label for entry in parts[0]}))
        parts[1] = _comparable(parts[0], parts[1], left_out)
        if not all(parts):
            broken = f"; {len(left_out)} cannot be read, such as {left_out[0][0]}" if left_out else ""
            where = " in each of train and test" if given else ""
            found = {0: "no picture was", 1: "one picture was"}.get(count := sum(map(len, parts)), f"{count} pictures were")
            raise OptionError(f"{printable(top)}: {found} found{broken}; at least two are needed{where}")
        learned, held_out = (_collected(part, classes, size) for part in parts)
        return dataclasses.replace(learned, left_out=tuple(left_out)), held_out


def _has_classes(root: Path) -> bool:
    """Whether folders part pictures into classes: there are several, and no pictures beside them."""
    folders = [path for path in root.iterdir() if is_class(path) and any(map(is_picture, path.rglob("*")))]
    return len(folders) > 1 and not any(path.is_file() and is_picture(path) for path in root.iterdir())


def _pictures(root: Path, by_class: bool) -> Iterator[tuple[str, Path]]:
    """Class and path of every picture, those in folders first."""
    for folder in sorted(path for path in root.iterdir() if is_class(path)):
        yield from ((folder.name if by_class else "", path) for path in sorted(folder.rglob("*")) if is_picture(path))
    yield from (("", path) for path in sorted(root.iterdir()) if path.is_file() and is_picture(path))


def _comparable(learned: Sequence[Entry], held_out: Sequence[Entry], left_out: list[tuple[str, str]]) -> list[Entry]:
    """Of entries to measure on those of classes that are learned, and that are not learned from; others are named."""
    labels, digests = {entry.label for entry in learned}, {entry.digest: entry.name for entry in learned}
    kept = []
    for entry in held_out:
        if entry.digest in digests:
            reason = f"is the same picture as {digests[entry.digest]}, which is learned from"
        elif entry.label not in labels:
            reason = "is of a class of which no picture is learned from"
        else:
            kept.append(entry)
            continue
        left_out.append((entry.name, reason))
        logger.warning("%s: %s; it is not measured on", *left_out[-1])
    return kept


def _collected(entries: Sequence[Entry], classes: tuple[str, ...], size: int) -> Collection:
    """Entries as a collection."""
    digest = hashlib.sha256("".join(sorted(entry.digest for entry in entries)).encode()).hexdigest()
    pixels = np.stack([entry.pixels for entry in entries]) if entries else np.zeros((0, size, size, 3), np.uint8)
    labels = np.array([classes.index(entry.label) for entry in entries], np.int64)
    return Collection(pixels, labels, classes, tuple(str(entry.path) for entry in entries), digest)
