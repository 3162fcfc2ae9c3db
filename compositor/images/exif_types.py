"""The types of an EXIF block's tags as the standard wants them (CIPA DC-008, 4.6); Pillow goes by the values."""

from __future__ import annotations

import struct

__all__ = ["EXIF_IFD", "GPS_IFD", "true_type", "with_true_types"]

EXIF_IFD, GPS_IFD = 0x8769, 0x8825
BYTE, RATIONAL, UNDEFINED, SIGNED_RATIONAL = 1, 5, 7, 10
UNDEFINED_TAGS = {EXIF_IFD: {0x8828, 0x9000, 0x9101, 0x9286, 0xA000, 0xA20C, 0xA300, 0xA301, 0xA302, 0xA40B}, GPS_IFD: {0x1B, 0x1C}}
"""Tags whose bytes are neither text nor numbers: versions, comments, patterns, names of methods."""
SIGNED_TAGS = {0x9201, 0x9203, 0x9204, 0x9400, 0x9402, 0x9405}
"""Shutter speed, brightness, bias, temperature, depth under water and elevation may be below zero."""


def with_true_types(block: bytes) -> bytes:
    """An EXIF block as Pillow writes it, each number and byte in the type that the standard wants.

    Both types of a pair take as many bytes, so that nothing moves.
    """
    made, order = bytearray(block), "<" if block[:2] == b"II" else ">"
    directories = [(struct.unpack_from(f"{order}I", made, 4)[0], 0)]
    for start, name in directories:
        for place in range(start + 2, start + 2 + 12 * struct.unpack_from(f"{order}H", made, start)[0], 12):
            tag, kind, _, value = struct.unpack_from(f"{order}HHII", made, place)
            if not name and tag in (EXIF_IFD, GPS_IFD):
                directories.append((value, tag))
            else:
                struct.pack_into(f"{order}H", made, place + 2, true_type(name, tag, kind))
    return bytes(made)


def true_type(block: int, tag: int, kind: int) -> int:
    """The type of a tag in a block that the standard wants in place of the one that its value suggests."""
    if kind == BYTE and tag in UNDEFINED_TAGS.get(block, ()):
        return UNDEFINED
    if kind == RATIONAL and block == EXIF_IFD and tag in SIGNED_TAGS:
        return SIGNED_RATIONAL
    return kind
