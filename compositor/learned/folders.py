"""Pictures of a folder, read side by side: those that cannot be are named and left out."""

from __future__ import annotations

import dataclasses
import hashlib
import logging
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from compositor.errors import ReadError
from compositor.images import read_bytes_checked
from compositor.images.files import printable

__all__ = ["GIVEN", "Entry", "is_class", "read_entries"]

logger = logging.getLogger(__name__)

GIVEN = ("train", "test")
"""Folders that say by themselves what to learn from and what to measure on."""


@dataclasses.dataclass(frozen=True, eq=False)
class Entry:
    """A picture of a folder.

    Parameters
    ----------
    path : Path
    name : str
        Its place in the folder, as it is told.
    digest : str
        SHA-256 of its file, hexadecimal.
    label : str
        Its class.
    pixels : (h, w, 3) uint8
        RGB, sRGB-encoded.
    """

    path: Path
    name: str
    digest: str
    label: str
    pixels: NDArray[np.uint8]


def is_class(path: Path) -> bool:
    """Whether it is a folder of pictures that belong together; programs keep things of their own in hidden ones."""
    return path.is_dir() and not path.name.startswith(".")


def read_entries(
    top: Path,
    found: Sequence[tuple[str, Path]],
    read: Callable[[Path], NDArray[np.uint8]],
    left_out: list[tuple[str, str]],
    *,
    threads: int = 0,
) -> list[Entry]:
    """Read pictures.

    Parameters
    ----------
    top : Path
        The folder that names are told from.
    found : sequence of (str, Path)
        Class and path of each.
    read : callable
        Gives a file's pixels; called on several threads.
    left_out : list of (str, str)
        Gets name and reason of every picture that cannot be read.
    threads : int
        So many pictures are read, and held in full size, at a time; 0 means one per core.
    """

    def one(entry: tuple[str, Path]) -> Entry | tuple[str, str]:
        label, path = entry
        name = printable(path.relative_to(top))
        try:
            return Entry(path, name, hashlib.sha256(read_bytes_checked(path)).hexdigest(), label, read(path))
        except ReadError as error:
            return name, str(error).removeprefix(f"{printable(path.name)}: ")

    entries: list[Entry] = []
    with ThreadPoolExecutor(threads or os.cpu_count() or 1) as pool:
        for result in pool.map(one, found):
            if isinstance(result, Entry):
                entries.append(result)
            else:
                left_out.append(result)
                logger.warning("%s: %s; it is left out", *result)
    return entries
