"""Pictures into JPEGs, strip by strip, on all cores.

A JPEG may be cut at restart marks, behind which its codes begin anew. So strips of rows are encoded each by itself, as pictures of their
own by libjpeg-turbo, and their codes joined with a mark between them: the same picture as if encoded at once, but for the marks.
"""

from __future__ import annotations

import io
import logging
import math
import struct
from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from compositor.images.depth import with_depth
from compositor.images.jpeg import FRAMES, SCAN, segments
from compositor.threads import threads_allowed

__all__ = ["encode_jpeg", "write_jpeg"]

logger = logging.getLogger("compositor")

FULL_CHROMA_QUALITY = 90
"""JPEG quality from which on colours are stored at full resolution."""

STRIP = 64
"""Rows of a strip: whole blocks of every kind, and of the widest picture no more of them than the format counts between marks, 65,535."""

SEGMENT = 65_533
"""Bytes that a segment holds besides its marker and length."""
START, END, INTERVAL, RESTART = 0xD8, 0xD9, 0xDD, 0xD0
AHEAD, AT_WORK = 2, 2**26
"""Strips a thread that are encoded before the first of them is written, as long as they are of so many bytes together."""


def encode_jpeg(pixels: NDArray[Any], quality: int) -> bytes:
    """A picture as the bytes of a JPEG; as ``write_jpeg``."""
    file = io.BytesIO()
    write_jpeg(file, pixels, quality, {})
    return file.getvalue()


def write_jpeg(file: BinaryIO, pixels: Any, quality: int, kept: Mapping[str, bytes]) -> None:
    """Write a picture as a JPEG with EXIF, XMP and colour profile.

    The bytes do not depend on the number of threads, and never more than a few strips are held.

    Parameters
    ----------
    file : binary file
    pixels : (h, w, 3) or (h, w) array, Spool or Drawn
        RGB or gray; what is not uint8 is rounded to it.
    quality : int
        1..100.
    kept : mapping
        Bytes of ``exif``, ``icc`` and ``xmp``, where there are any.
    """
    height, width = pixels.shape[:2]
    colors = "Gray" if pixels.ndim == 2 else "444" if quality >= FULL_CHROMA_QUALITY else "420"
    for number, strip in enumerate(_encoded(pixels, quality, colors)):
        *before, (_, begin, codes) = segments(io.BytesIO(strip))
        if not number:
            file.write(bytes([0xFF, START]))
            for place, (marker, first, end) in enumerate(before):
                body = strip[first:end]
                if marker in FRAMES:
                    body = body[:1] + struct.pack(">H", height) + body[3:]
                file.write(_segment(marker, body))
                if not place:  # the JFIF segment, which comes first
                    file.write(_metadata(kept))
            if height > STRIP:
                side = 16 if colors == "420" else 8
                file.write(_segment(INTERVAL, struct.pack(">H", -(-width // side) * (STRIP // side))))
            file.write(_segment(SCAN, strip[begin:codes]))
        else:
            file.write(bytes([0xFF, RESTART + (number - 1) % 8]))
        file.write(strip[codes:-2])
    file.write(bytes([0xFF, END]))


def _encoded(pixels: Any, quality: int, colors: str) -> Iterator[bytes]:
    """The strips of a picture, each as a JPEG of its own, from top to bottom."""
    import simplejpeg

    def encode(strip: NDArray[np.uint8]) -> bytes:
        if colors == "Gray":
            return bytes(simplejpeg.encode_jpeg(strip[..., None], quality, "GRAY", colors))
        return bytes(simplejpeg.encode_jpeg(strip, quality, "RGB", colors))

    at_work: deque[Future[bytes]] = deque()
    with ThreadPoolExecutor(threads_allowed()) as pool:
        for top in range(0, len(pixels), STRIP):
            strip = np.ascontiguousarray(with_depth(np.asarray(pixels[top : top + STRIP]), 8))
            at_work.append(pool.submit(encode, strip))
            if len(at_work) > min(AHEAD * threads_allowed(), AT_WORK // strip.nbytes):
                yield at_work.popleft().result()
        while at_work:
            yield at_work.popleft().result()


def _segment(marker: int, body: bytes) -> bytes:
    """A segment, whose length counts its own two bytes."""
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def _metadata(kept: Mapping[str, bytes]) -> bytes:
    """The segments of EXIF, XMP and colour profile."""
    parts = []
    exif, icc = kept.get("exif", b""), kept.get("icc", b"")
    if exif and len(exif) + 6 <= SEGMENT:
        parts.append((0xE1, b"Exif\0\0" + exif))
    elif exif:
        logger.warning("the first photo's EXIF block of %d bytes is too large for a JPEG and is dropped", len(exif))
    if (xmp := kept.get("xmp", b"")) and len(xmp) + 29 <= SEGMENT:
        parts.append((0xE1, b"http://ns.adobe.com/xap/1.0/\0" + xmp))
    elif xmp:
        logger.warning("the XMP packet of %d bytes is too large for a JPEG and is dropped", len(xmp))
    step = SEGMENT - 14
    count = math.ceil(len(icc) / step)
    if count > 255:
        logger.warning("the colour profile of %d bytes is too large for a JPEG and is dropped", len(icc))
        count = 0
    parts += [(0xE2, b"ICC_PROFILE\0" + bytes([i + 1, count]) + icc[i * step : (i + 1) * step]) for i in range(count)]
    return b"".join(_segment(*part) for part in parts)
