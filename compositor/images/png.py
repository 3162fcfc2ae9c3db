"""PNG: its chunks and the few of them that make the picture; the rest, however large or broken, costs nothing."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterable, Iterator, Mapping
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from compositor.errors import ReadError
from compositor.images.samples import Header, Samples

__all__ = ["decode_png", "encode_png", "read_png_header", "stream_png"]

SIGNATURE = b"\x89PNG\r\n\x1a\n"
PICTURE_CHUNKS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")
LARGEST_PROFILE = 16 * 2**20
COLOR_TYPES = {1: 0, 3: 2, 4: 6}
"""What the header calls gray, RGB and RGB with alpha."""
SUB = 1
"""The filter by which every byte is told as the difference from that of the pixel before it."""
LEAST_CHUNK = 2**16
"""Bytes of compressed picture that are worth a chunk of their own."""


def chunks(file: BinaryIO, wanted: tuple[bytes, ...]) -> Iterator[tuple[bytes, bytes]]:
    """Names and contents of a PNG's chunks up to its end; only those that are wanted.

    The contents come with length, name and check sum around them, as they are in the file.

    Raises
    ------
    ReadError
        The file ends before its last chunk.
    """
    length = file.seek(0, io.SEEK_END)
    place = file.seek(len(SIGNATURE))
    name = b""
    while name != b"IEND":
        head = file.read(8)
        size, name = struct.unpack(">I4s", head) if len(head) == 8 else (0, b"")
        place += 12 + size
        if len(head) < 8 or place > length:
            raise ReadError("is a PNG that is cut off; copy it again")
        if name in wanted:
            yield name, head + file.read(size + 4)
        file.seek(place)


def read_png_header(file: BinaryIO, length: int) -> Header:
    """Size, depth, EXIF and colour profile of a PNG; the compressed picture is stepped over.

    Raises
    ------
    ReadError
        It is cut off or does not begin with its header.
    """
    width = height = depth = 0
    exif = icc = None
    for name, whole in chunks(file, (b"IHDR", b"eXIf", b"iCCP")):
        body = whole[8:-4]
        if name == b"IHDR" and len(body) == 13:
            width, height, depth = struct.unpack(">IIB", body[:9])
        elif name == b"eXIf":
            exif = body.removeprefix(b"Exif\0\0")
        elif name == b"iCCP":
            icc = unpack_profile(body)
    if depth == 0:
        raise ReadError("is a PNG without a header; copy it again")
    return Header((width, height), np.dtype(np.uint16 if depth == 16 else np.uint8), exif, icc)


def unpack_profile(body: bytes) -> bytes | None:
    """The profile in an iCCP chunk; None when it is broken or unpacks to more than any profile has."""
    _, _, packed = body.partition(b"\0")
    unpacker = zlib.decompressobj()
    try:
        icc = unpacker.decompress(packed[1:], LARGEST_PROFILE)
    except zlib.error:
        return None
    return icc if unpacker.eof else None


def decode_png(content: bytes, shrink: int) -> Samples:
    """The picture of a PNG at full size, 8 or 16 bits; palettes and transparent colours become RGB and alpha.

    Raises
    ------
    ReadError
        It is cut off or damaged.
    """
    import imagecodecs

    picture = b"".join([SIGNATURE, *(whole for _, whole in chunks(io.BytesIO(content), PICTURE_CHUNKS))])
    try:
        colors = np.atleast_3d(imagecodecs.png_decode(picture))
    except (RuntimeError, ValueError) as error:
        raise ReadError(f"is a damaged PNG ({error}); copy it again") from error
    if colors.shape[2] in (2, 4):
        return Samples(colors[..., :-1], colors[..., -1])
    return Samples(colors)


def encode_png(pixels: NDArray[np.uint8] | NDArray[np.uint16], extra: Mapping[bytes, bytes] | None = None) -> bytes:
    """Pixels as a PNG, compressed quickly.

    Parameters
    ----------
    pixels : (h, w), (h, w, 3) or (h, w, 4) uint8 or uint16
        Gray, RGB or RGB with straight alpha.
    extra : mapping, optional
        Contents of further chunks by name, put before the picture.
    """
    import cv2

    if pixels.ndim == 3:
        pixels = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR if pixels.shape[2] == 3 else cv2.COLOR_RGBA2BGRA)
    _, made = cv2.imencode(".png", pixels)
    written = made.tobytes()
    if not extra:
        return written
    added = b"".join(chunk(name, body) for name, body in extra.items())
    # Behind the signature and the header, which always has 25 bytes.
    begin = len(SIGNATURE) + 25
    return written[:begin] + added + written[begin:]


def stream_png(
    file: BinaryIO,
    strips: Iterable[NDArray[np.uint8] | NDArray[np.uint16]],
    size: tuple[int, int],
    extra: Mapping[bytes, bytes] | None = None,
) -> None:
    """Write a PNG from strips of rows, one after the other, compressed quickly; no more than a strip is ever held.

    Parameters
    ----------
    file : binary file
    strips : iterable of (n, w), (n, w, 3) or (n, w, 4) uint8 or uint16
        As for ``encode_png``, all of one type, from the top to the bottom; at least one.
    size : (int, int)
        Width and height of the whole, px.
    extra : mapping, optional
        Contents of further chunks by name, put before the picture.
    """
    # Differences of neighbours run on where a picture is smooth: looking for runs only is fast, and loses little (zlib's manual).
    packer = zlib.compressobj(1, zlib.DEFLATED, 15, 9, zlib.Z_RLE)
    waiting, begun = b"", False
    for strip in strips:
        if not begun:
            channels = 1 if strip.ndim == 2 else strip.shape[2]
            header = struct.pack(">IIBBBBB", *size, 8 * strip.itemsize, COLOR_TYPES[channels], 0, 0, 0)
            file.write(SIGNATURE + chunk(b"IHDR", header))
            for name, body in (extra or {}).items():
                file.write(chunk(name, body))
            begun = True
        waiting += packer.compress(filtered(strip).data)
        if len(waiting) >= LEAST_CHUNK:
            file.write(chunk(b"IDAT", waiting))
            waiting = b""
    file.write(chunk(b"IDAT", waiting + packer.flush()) + chunk(b"IEND", b""))


def filtered(strip: NDArray[np.uint8] | NDArray[np.uint16]) -> NDArray[np.uint8]:
    """Rows as a PNG compresses them, (n, 1 + bytes of a row): big-endian, each byte less that of the pixel before, behind the filter."""
    rows = np.ascontiguousarray(strip, strip.dtype.newbyteorder(">")).view(np.uint8).reshape(len(strip), -1)
    pixel = rows.shape[1] // strip.shape[1]
    made = np.empty((len(rows), rows.shape[1] + 1), np.uint8)
    made[:, 0] = SUB
    made[:, 1 : 1 + pixel] = rows[:, :pixel]
    np.subtract(rows[:, pixel:], rows[:, :-pixel], out=made[:, 1 + pixel :])
    return made


def chunk(name: bytes, body: bytes) -> bytes:
    """A chunk as it stands in a file, with its length and check sum."""
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
