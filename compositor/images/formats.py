"""Which kinds of files are read, told by their first bytes; names are never trusted."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import BinaryIO

from compositor.errors import ReadError
from compositor.images import jpeg, pillow, png, tiff
from compositor.images.samples import Header, Samples

__all__ = ["FIRST_BYTES", "Format", "find_format"]

FIRST_BYTES = 32
"""How many bytes of a file ``find_format`` wants."""


@dataclasses.dataclass(frozen=True)
class Format:
    """One kind of file.

    Parameters
    ----------
    read_header : callable
        (file, its length) to Header.
    decode : callable
        (content, shrink) to Samples, at 1/shrink or at full size.
    """

    read_header: Callable[[BinaryIO, int], Header]
    decode: Callable[[bytes, int], Samples]


JPEG = Format(jpeg.read_jpeg_header, jpeg.decode_jpeg)
PNG = Format(png.read_png_header, png.decode_png)
TIFF = Format(tiff.read_tiff_header, tiff.decode_tiff)
WEBP, AVIF, GIF, BMP = (Format(pillow.header_reader_of(kind), pillow.decoder_of(kind)) for kind in ("WebP", "AVIF", "GIF", "BMP"))

FORMATS: tuple[tuple[bytes, Format], ...] = (
    (b"\xff\xd8\xff", JPEG),
    (b"\x89PNG\r\n\x1a\n", PNG),
    (b"II*\0", TIFF),
    (b"MM\0*", TIFF),
    (b"II+\0", TIFF),
    (b"MM\0+", TIFF),
    (b"GIF87a", GIF),
    (b"GIF89a", GIF),
    (b"BM", BMP),
)

# What is found instead of a photo, by a piece of its first bytes in lower case.
OTHERS = (
    (b"<!doctype html", "is a web page, not a picture; download the photo itself"),
    (b"<html", "is a web page, not a picture; download the photo itself"),
    (b"ftyphei", "is a HEIC photo; export it as JPEG"),
    (b"ftypmif1", "is a HEIF photo; export it as JPEG"),
    (b"ftypcr", "is a camera raw file; develop it to TIFF or JPEG"),
    (b"fujifilm", "is a camera raw file; develop it to TIFF or JPEG"),
    (b"ftyp", "is a video; export its frames"),
    (b"jxl ", "is a JPEG XL; save it as JPEG, PNG or TIFF"),
    (b"jp  ", "is a JPEG 2000; save it as JPEG, PNG or TIFF"),
    (b"%pdf", "is a PDF; export its pictures"),
    (b"8bps", "is a Photoshop file; save it as TIFF"),
    (b"v/1\x01", "is an OpenEXR file; save it as TIFF"),
    (b"#?rad", "is a Radiance file; save it as TIFF"),
)


def find_format(first: bytes) -> Format:
    """The kind of file that begins like this.

    Raises
    ------
    ReadError
        None of those that are read; the message says what it is as far as that is known.
    """
    if first[:4] == b"RIFF" and first[8:12] == b"WEBP":
        return WEBP
    if first[4:12] in (b"ftypavif", b"ftypavis"):
        return AVIF
    for magic, found in FORMATS:
        if first.startswith(magic):
            return found
    for mark, advice in OTHERS:
        if mark in first.lower():
            raise ReadError(advice)
    what = "text" if all(byte in b"\t\n\r\f" or byte >= 32 for byte in first) else "no picture of a known kind"
    raise ReadError(f"is {what}; JPEG, PNG, TIFF, WebP, AVIF, GIF and BMP are read")
