"""The photographs that a network learns from: small copies in memory, and crops of them drawn by seed."""

from __future__ import annotations

import dataclasses
import hashlib
import logging
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, islice
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from compositor.errors import OptionError, ReadError, counted, first_names
from compositor.images import PICTURE_ENDINGS, open_photo, read_bytes_checked
from compositor.images.files import printable
from compositor.learned.pictures import eight_bits, in_srgb

__all__ = ["CONFUSION", "CURVES", "SAMPLES", "Photograph", "Photographs", "is_picture", "numbered", "pictures_of"]

logger = logging.getLogger(__name__)

CURVES, SAMPLES, CONFUSION = ".curves.png", ".samples.png", ".confusion.png"
"""How the pictures end that trainings write."""
BESIDE = (".safetensors", ".checkpoint", ".jsonl")
"""What lies beside them, of the same name."""
SHORT_SIDE = 512
"""Px that is kept of a photograph's shorter side: more than any crop needs."""
HELD_OUT = 8
"""One scene of so many is never learned from; what training reports is measured on these."""


@dataclasses.dataclass(frozen=True, eq=False)
class Photograph:
    """A photograph in memory.

    Parameters
    ----------
    name : str
        Its file's name.
    digest : str
        SHA-256 of its file, hexadecimal.
    pixels : (h, w, 3) uint8
        RGB, sRGB-encoded.
    """

    name: str
    digest: str
    pixels: NDArray[np.uint8]


class Photographs:
    """Photographs to draw crops from.

    Parameters
    ----------
    photographs : sequence of Photograph
    left_out : sequence of (str, str)
        Name and reason of every photo that could not be read.
    """

    def __init__(self, photographs: Sequence[Photograph], left_out: Sequence[tuple[str, str]] = ()) -> None:
        self.photographs, self.left_out = tuple(photographs), tuple(left_out)

    def manifest(self) -> dict[str, str]:
        """SHA-256 and name of every photograph."""
        return {photo.digest: photo.name for photo in self.photographs}

    @classmethod
    def read(cls, sources: Iterable[str | os.PathLike[str]], *, threads: int = 0) -> tuple[Photographs, Photographs]:
        """Read photographs to learn from, and others to measure on.

        Parameters
        ----------
        sources : iterable of path
            Photos, folders of photos, or lists (``.txt``) of photos, relative to the list: a line is a scene, and several photos of
            one scene stand in its line, parted by tabs. Elsewhere every photo is a scene of its own.
        threads : int
            So many photos are read, and held in full size, at a time; 0 means one per core.

        Returns
        -------
        learned, held_out : Photographs
            No scene is in both. Which is where depends on the files' contents only. The first knows which photos could not be read.

        Raises
        ------
        OptionError
            There are fewer than two scenes.
        """
        learned: list[list[Photograph]] = []
        held_out: list[list[Photograph]] = []
        known: set[str] = set()
        left_out: list[tuple[str, str]] = []
        given = sources if isinstance(sources, str | os.PathLike) else list(sources)
        scenes = _scenes(given)
        with ThreadPoolExecutor(threads or os.cpu_count() or 1) as pool:
            results = pool.map(_read, chain.from_iterable(scenes))
            for scene in scenes:
                photographs = [photo for photo in _sound(islice(results, len(scene)), left_out) if photo.digest not in known]
                known.update(photo.digest for photo in photographs)
                if photographs:
                    part = held_out if int(photographs[0].digest[:8], 16) % HELD_OUT == 0 else learned
                    part.append(photographs)
        if len(learned) + len(held_out) < 2:
            broken = f"; {counted(len(left_out), 'photo')} cannot be read, such as {left_out[0][0]}" if left_out else ""
            where = first_names([printable(one) for one in given])
            found = f"{counted(len(learned) + len(held_out), 'scene was', 'scenes were')} found in {where}{broken}"
            raise OptionError(f"{found}; give at least two photos of different scenes", left_out=tuple(left_out))
        if not held_out or not learned:  # so few that chance put all of them on one side
            (held_out if not held_out else learned).append((learned or held_out).pop())
        first, second = (cls(sorted(chain.from_iterable(part), key=lambda photo: photo.digest)) for part in (learned, held_out))
        return cls(first.photographs, left_out), second

    def crop(self, generator: np.random.Generator, size: int) -> NDArray[np.uint8]:
        """A square crop of a photograph at a random scale, turned and mirrored at random.

        Parameters
        ----------
        generator : numpy.random.Generator
        size : int
            Side, px.

        Returns
        -------
        (size, size, 3) uint8
        """
        pixels = self.photographs[generator.integers(len(self.photographs))].pixels
        short = min(pixels.shape[:2])
        # The scale is drawn so that a crop shows between all and a part of the photograph's shorter side.
        side = round(size * float(np.exp(generator.uniform(0, np.log(max(short / size, 1))))))
        side = min(side, short)
        y, x = (int(generator.integers(length - side + 1)) for length in pixels.shape[:2])
        crop = pixels[y : y + side, x : x + side]
        if side != size:
            crop = cv2.resize(crop, (size, size), interpolation=cv2.INTER_AREA if side > size else cv2.INTER_CUBIC)
        crop = np.rot90(crop, int(generator.integers(4)))
        return np.ascontiguousarray(crop[:, ::-1] if generator.random() < 0.5 else crop)


def is_picture(path: Path) -> bool:
    """Whether a file of a folder is taken for a picture to learn from: by its name, and none that a training wrote."""
    if path.suffix.lower() not in PICTURE_ENDINGS:
        return False
    name = re.sub(r"\.[0-9]{6,}\.png$", ".png", path.name)
    wrote = next((ending for ending in (CURVES, SAMPLES, CONFUSION) if name.endswith(ending)), None)
    return wrote is None or not any(path.with_name(name.removesuffix(wrote) + ending).exists() for ending in BESIDE)


def numbered(ending: str, step: int) -> str:
    """How the picture of one report ends, ``.samples.000500.png`` beside ``.samples.png``."""
    return f".{step:06d}".join(os.path.splitext(ending))


def pictures_of(sources: Iterable[str | os.PathLike[str]]) -> list[Path]:
    """The pictures that ``Photographs.read`` would read of these sources."""
    return [path for scene in _scenes(sources) for path in scene]


def _scenes(sources: Iterable[str | os.PathLike[str]]) -> list[list[Path]]:
    """The photos' paths, scene by scene."""
    if isinstance(sources, str | os.PathLike):
        raise OptionError(f"photos is one {type(sources).__name__}; give a list of files, folders or lists")
    scenes: list[list[Path]] = []
    for source in map(Path, sources):
        if source.is_dir():
            scenes += [[path] for path in sorted(source.rglob("*")) if is_picture(path)]
        elif source.suffix.lower() == ".txt":
            lines = _read_list(source)
            scenes += [[source.parent / name for name in line.split("\t")] for line in lines if line.strip()]
        else:
            scenes.append([source])
    return scenes


def _read_list(path: Path) -> list[str]:
    """The lines of a list of scenes."""
    try:
        return read_bytes_checked(path).decode(errors="surrogateescape").splitlines()
    except ReadError as error:
        raise ReadError(f"{printable(path)}: {error}", path=path) from error


def _sound(found: Iterable[Photograph | tuple[str, str]], left_out: list[tuple[str, str]]) -> Iterator[Photograph]:
    """Photographs; those that cannot be read are named and left out."""
    for one in found:
        if isinstance(one, Photograph):
            yield one
        else:
            left_out.append(one)
            logger.warning("%s: %s; it is left out", *one)


def _read(path: Path) -> Photograph | tuple[str, str]:
    """A photograph, as small as is needed, in sRGB; of one that cannot be read its name and why."""
    try:
        return _reduced(path)
    except ReadError as error:
        name = printable(path.name)
        return name, str(error).removeprefix(f"{name}: ")


def _reduced(path: Path) -> Photograph:
    """A photograph, as small as is needed, in sRGB."""
    pixels = eight_bits(in_srgb(open_photo(path)).full().pixels)
    scale = SHORT_SIDE / min(pixels.shape[:2])
    if scale < 1:
        h, w = pixels.shape[:2]
        pixels = cv2.resize(pixels, (max(1, round(w * scale)), max(1, round(h * scale))), interpolation=cv2.INTER_AREA)
    return Photograph(path.name, hashlib.sha256(read_bytes_checked(path)).hexdigest(), np.ascontiguousarray(pixels))
