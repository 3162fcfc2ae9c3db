"""WebP, AVIF, GIF and BMP, which Pillow decodes: 8 bits, the first frame."""

from __future__ import annotations

import importlib
import io
from collections.abc import Callable
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


def open_picture(file: BinaryIO, kind: str) -> Any:
    """Pillow's picture of a file, its pixels not decoded yet."""
    module, name = CLASSES[kind]
    try:
        return getattr(importlib.import_module(module), name)(file)
    except ImportError as error:
        raise ReadError(f"is a {kind}, which the installed Pillow does not read; install a newer one") from error
    except PILLOW_ERRORS as error:
        raise ReadError(f"is a damaged {kind} ({error}); copy it again") from error


def header_reader_of(kind: str) -> Callable[[BinaryIO, int], Header]:
    """The function that reads headers of this kind of file."""

    def read_header(file: BinaryIO, length: int) -> Header:
        file.seek(0)
        picture = open_picture(file, kind)
        frames = getattr(picture, "n_frames", 1)
        remark = f"only the first of its {frames} frames is used" if frames > 1 else ""
        exif = picture.info.get("exif") or b""
        return Header(picture.size, np.dtype(np.uint8), exif.removeprefix(b"Exif\0\0") or None, picture.info.get("icc_profile"), remark)

    return read_header


def decoder_of(kind: str) -> Callable[[bytes, int], Samples]:
    """The function that decodes this kind of file at full size."""

    def decode(content: bytes, shrink: int) -> Samples:
        picture = open_picture(io.BytesIO(content), kind)
        try:
            picture.load()
            if picture.has_transparency_data:
                colors = np.asarray(picture.convert("RGBA"))
                return Samples(colors[..., :3], colors[..., 3])
            return Samples(np.asarray(picture.convert("RGB")))
        except PILLOW_ERRORS as error:
            raise ReadError(f"is a damaged {kind} ({error}); copy it again") from error

    return decode
