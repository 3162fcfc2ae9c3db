"""JPEG: the header by its segments, the pixels by libjpeg-turbo, strictly."""

from __future__ import annotations

import contextlib
import dataclasses
import io
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np

from compositor.errors import ReadError
from compositor.images.limits import check_claim
from compositor.images.samples import Header, Samples

__all__ = ["decode_jpeg", "read_jpeg_header"]

END, SCAN, EXIF_SEGMENT, ICC_SEGMENT = 0xD9, 0xDA, 0xE1, 0xE2
FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
EXIF_MARK, ICC_MARK = b"Exif\0\0", b"ICC_PROFILE\0"
BARE = {0x01, *range(0xD0, 0xDA)}
METADATA = {*range(0xE1, 0xF0), 0xFE} - {0xEE}
MOST_SEGMENTS = 10_000
MOST_STRAY = 65_536
TAIL = 65_536


def read_jpeg_header(file: BinaryIO, length: int) -> Header:
    """Size, EXIF and colour profile of a JPEG; only its segments before the picture are read.

    Raises
    ------
    ReadError
        There is no frame header before the file ends or the picture begins, or the picture itself is cut off.
    """
    size, exif, icc = None, None, {}
    for marker, begin, end in segments(file):
        if marker not in FRAMES | {EXIF_SEGMENT, ICC_SEGMENT}:
            continue
        file.seek(begin)
        body = file.read(end - begin)
        if marker in FRAMES and len(body) >= 6:
            size = (int.from_bytes(body[3:5], "big"), int.from_bytes(body[1:3], "big"))
        elif marker == EXIF_SEGMENT and body.startswith(EXIF_MARK) and exif is None:
            exif = body[len(EXIF_MARK) :]
        elif marker == ICC_SEGMENT and body.startswith(ICC_MARK) and len(body) > 14:
            icc[body[12]] = body[14:]
    if size is None:
        raise ReadError("is a JPEG without a picture; copy it again")
    check_claim(size, length)
    if not has_end(file, length):
        # The last bytes are not a picture's end: rarely something long is appended, mostly the rest is missing. Decoding tells.
        file.seek(0)
        decode_jpeg(file.read(), 8)
    return Header(size, np.dtype(np.uint8), exif, b"".join(icc[number] for number in sorted(icc)) or None)


def segments(file: BinaryIO) -> Iterator[tuple[int, int, int]]:
    """Marker of every segment up to that which begins the picture's codes, and where its content begins and ends.

    Raises
    ------
    ReadError
        The file ends before.
    """
    place = 2
    for _ in range(MOST_SEGMENTS):
        file.seek(place)
        marker = next_marker(file)
        place = file.tell()
        if marker in BARE:
            continue
        begin, place = place + 2, place + max(2, int.from_bytes(exactly(file, 2), "big"))
        yield marker, begin, place
        if marker == SCAN:
            return
    raise ReadError(f"is a JPEG of more than {MOST_SEGMENTS} segments; save it again")


def exactly(file: BinaryIO, count: int) -> bytes:
    """The next bytes, all of them."""
    found = file.read(count)
    if len(found) < count:
        raise ReadError("is a JPEG that ends before its picture; copy it again")
    return found


def next_marker(file: BinaryIO) -> int:
    """The next marker's code; fill bytes and stray ones before it are skipped as decoders do."""
    stray = 0
    while exactly(file, 1) != b"\xff":
        if (stray := stray + 1) > MOST_STRAY:
            raise ReadError("is a damaged JPEG (its segments do not follow each other); copy it again")
    while (code := exactly(file, 1)) == b"\xff":
        pass
    return code[0]


def has_end(file: BinaryIO, length: int) -> bool:
    """Whether the mark of a picture's end is among the last bytes."""
    file.seek(max(0, length - TAIL))
    return bytes([0xFF, END]) in file.read()


def decode_jpeg(content: bytes, shrink: int) -> Samples:
    """The picture of a JPEG at 1/shrink, each pixel from shrink x shrink by the scaled inverse DCT.

    A picture that is whole but for its end mark is accepted, with a remark.

    Parameters
    ----------
    content : bytes
        The file.
    shrink : int
        1, 2, 4 or 8. The result has ceil(side / shrink) pixels a side, all at exactly this scale.

    Raises
    ------
    ReadError
        The picture is cut off or damaged, at whatever size it is decoded: the compressed numbers are all read at each.
    """
    try:
        return decode_strictly(content, shrink)
    except ValueError as error:
        reason = error
    # Strictness extends to metadata; and the end mark may be missing.
    bare = picture_only(content)
    for mended, remark in ((bare, ""), (bare + bytes([0xFF, END]), "its end mark is missing; the picture is whole")):
        with contextlib.suppress(ValueError):
            return dataclasses.replace(decode_strictly(mended, shrink), remark=remark)
    raise ReadError(f"is a damaged JPEG ({str(reason).strip().rstrip('.')}); copy it again") from reason


def picture_only(content: bytes) -> bytes:
    """A JPEG without all that is not needed to decode it; the segments that tell its colour space stay."""
    parts = [content[:2]]
    for marker, begin, end in segments(io.BytesIO(content)):
        if marker not in METADATA:
            # With the length, two bytes before the content; the picture's codes follow the last segment.
            parts.append(bytes([0xFF, marker]) + content[begin - 2 : end if marker != SCAN else None])
    return b"".join(parts)


def decode_strictly(content: bytes, shrink: int) -> Samples:
    """As ``decode_jpeg``, but every fault, even a harmless one, is a ValueError."""
    import simplejpeg

    h, w, space, _ = simplejpeg.decode_jpeg_header(content)
    if space in ("CMYK", "YCCK"):
        return decode_inks(content)
    # It decodes to the smallest of libjpeg-turbo's scales that has at least this many pixels.
    least = {"min_height": -(-h // shrink), "min_width": -(-w // shrink)} if shrink > 1 else {}
    colors = simplejpeg.decode_jpeg(content, colorspace="GRAY" if space == "Gray" else "RGB", strict=True, **least)
    if colors.shape[:2] != (-(-h // shrink), -(-w // shrink)):
        raise ReadError(f"is a JPEG that cannot be decoded at 1/{shrink}; save it again as a common JPEG")
    return Samples(colors, shrink=shrink)


def decode_inks(content: bytes) -> Samples:
    """A CMYK or YCCK JPEG by Pillow, which knows that Adobe's hold inverted inks; always at full size."""
    from PIL.JpegImagePlugin import JpegImageFile

    try:
        return Samples(np.asarray(JpegImageFile(io.BytesIO(content))))
    except (OSError, SyntaxError) as error:
        raise ValueError(str(error)) from error
