"""Features kept on disk between runs, found again by what the picture shows."""

from __future__ import annotations

import contextlib
import hashlib
import io
import logging
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import cv2
import numpy as np

from compositor.errors import OptionError, OutputError, WriteError
from compositor.images.files import write_atomically
from compositor.options import RegisterOptions
from compositor.register.features import Picture
from compositor.types import Features

__all__ = ["remembering"]

LAYOUT = 2
"""Counted up whenever features are found or stored in another way."""

DECIDES = ("features", "feature_megapixels", "features_kept")
"""Options that decide which features a picture has."""

Detect = Callable[[Picture], Features]

logger = logging.getLogger("compositor")


def remembering(detect: Detect, options: RegisterOptions) -> Detect:
    """The same detector, which looks into the folder ``options.cache`` before it works, and leaves there what it found.

    A file's name is a hash of the reduced picture's pixels, its mask and whatever decides about features; a photo that was renamed,
    touched or copied is found again, one that was edited is not. A file that cannot be read is made anew.

    Parameters
    ----------
    detect : callable
        Finds the features of a picture.
    options : RegisterOptions

    Raises
    ------
    OptionError
        The folder is none and cannot be made.
    """
    folder = Path(options.cache)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OptionError(f"cache={str(folder)!r} is no folder and cannot be made one ({error.strerror}); choose another") from error
    recipe = [LAYOUT, cv2.__version__, *(getattr(options, name) for name in DECIDES)]
    if options.feature_model:
        with contextlib.suppress(OSError):  # whoever loads it says what is wrong
            recipe.append(hashlib.sha256(Path(options.feature_model).read_bytes()).hexdigest())

    def found(picture: Picture) -> Features:
        file = folder / f"{key(picture, recipe)}.npz"
        features = load(file, picture)
        if features is None:
            features = detect(picture)
            try:
                write_atomically(file, lambda out: store(out, features), overwrite=True)
            except (OutputError, WriteError) as error:
                logger.warning("%s; its features are not kept", error)
        return features

    return found


def key(picture: Picture, recipe: list[object]) -> str:
    """Hash of a picture and of how its features are found."""
    digest = hashlib.sha256(repr([*recipe, picture.gray.shape, picture.scale, picture.offset]).encode())
    digest.update(picture.gray.tobytes())
    if picture.colors is not None:
        digest.update(picture.colors.tobytes())
    if picture.mask is not None:
        digest.update(np.packbits(picture.mask).tobytes())
    return digest.hexdigest()


def store(file: BinaryIO, features: Features) -> None:
    """Write what a detector found; the picture is there already."""
    np.savez(file, points=features.points, sizes=features.sizes, descriptors=features.descriptors)


def load(file: Path, picture: Picture) -> Features | None:
    """Features from their file, None where there is none that is whole."""
    try:
        with io.BytesIO(file.read_bytes()) as content, np.load(content, allow_pickle=False) as arrays:
            points, sizes, descriptors = arrays["points"], arrays["sizes"], arrays["descriptors"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    if points.shape != (len(sizes), 2) or len(descriptors) != len(sizes):
        return None
    return Features(points, sizes, descriptors, picture.gray, picture.scale, picture.offset, picture.mask)
