"""WebP, AVIF, GIF and BMP, which Pillow decodes: 8 bits, the first frame."""

from __future__ import annotations

import contextlib
import importlib
import io
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

import numpy as np

from compositor.errors import ReadError
from compositor.images.samples import Header, Samples

__all__ = ["decoder_of", "header_reader_of"]

# What Pillow's decoders have been seen to raise at damaged files.
PILLOW_ERRORS = (OSError, SyntaxError, ValueError, RuntimeError, EOFError, ArithmeticError, LookupError, TypeError)

# The format's own class, not Image.open: nothing else may be tried on the content, and the limits are ours.
CLASSES = {
    "WebP": ("PIL.WebPImagePlugin", "WebPImageFile"),
    "AVIF": ("PIL.AvifImagePlugin", "AvifImageFile"),
    "GIF": ("PIL.GifImagePlugin", "GifImageFile"),
    "BMP": ("PIL.BmpImagePlugin", "BmpImageFile"),
}


@contextlib.contextmanager
def damage_told(kind: str) -> Iterator[None]:
    """Tells what Pillow raises at a damaged file as a ReadError."""
    from PIL.Image import DecompressionBombError

    try:
        yield
    except ImportError as error:
        raise ReadError(f"is a {kind}, which the installed Pillow does not read; install a newer one") from error
    except (*PILLOW_ERRORS, DecompressionBombError) as error:
        raise ReadError(f"is a damaged {kind} ({error}); copy it again") from error


def open_picture(file: BinaryIO, kind: str) -> Any:
    """Pillow's picture of a file, its pixels not decoded yet."""
    module, name = CLASSES[kind]
    return getattr(importlib.import_module(module), name)(file)


def header_reader_of(kind: str) -> Callable[[BinaryIO, int], Header]:
    """The function that reads headers of this kind of file."""

    def read_header(file: BinaryIO, length: int) -> Header:
        file.seek(0)
        with damage_told(kind):
            picture = open_picture(file, kind)
            # Asked for GIF, this looks for a second frame only.
            remark = "only the first of its frames is used" if getattr(picture, "is_animated", False) else ""
        exif = picture.info.get("exif") or b""
        return Header(picture.size, np.dtype(np.uint8), exif.removeprefix(b"Exif\0\0") or None, picture.info.get("icc_profile"), remark)

    return read_header


def decoder_of(kind: str) -> Callable[[bytes, int], Samples]:
    """The function that decodes this kind of file at full size."""

    def decode(content: bytes, shrink: int) -> Samples:
        with damage_told(kind):
            picture = open_picture(io.BytesIO(content), kind)
            picture.load()
            if picture.has_transparency_data:
                colors = np.asarray(picture.convert("RGBA"))
                return Samples(colors[..., :3], colors[..., 3])
            return Samples(np.asarray(picture.convert("RGB")))

    return decode
