"""TIFF: the first picture of one, by tifffile; 8 and 16 bits and float, in and out."""

from __future__ import annotations

import io
import logging
import struct
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from compositor.encoding import full_scale
from compositor.errors import ReadError
from compositor.images.alpha import with_alpha
from compositor.images.exif_types import EXIF_IFD, GPS_IFD, true_type
from compositor.images.metadata import EXIF_ERRORS, TEXT_TAGS, exif_of_tiff, load_exif
from compositor.images.samples import Header, Samples
from compositor.spool import Derived, Drawn, Spool
from compositor.threads import threads_allowed

__all__ = ["decode_tiff", "read_tiff_header", "write_tiff"]

logger = logging.getLogger("compositor")

# What tifffile and its codecs have been seen to raise at damaged files.
TIFF_ERRORS = (OSError, ValueError, RuntimeError, LookupError, TypeError, AttributeError, ArithmeticError, struct.error)

MIN_IS_WHITE, MIN_IS_BLACK, RGB, PALETTE, SEPARATED, YCBCR = 0, 1, 2, 3, 5, 6
RAW_COLORS = (32803, 34892)
DNG_VERSION, SUB_IFDS, XMP = 50706, 330, 700
CHANNELS = {MIN_IS_WHITE: 1, MIN_IS_BLACK: 1, RGB: 3, PALETTE: 1, SEPARATED: 4, YCBCR: 3}
PREMULTIPLIED, STRAIGHT = 1, 2
JPEG_COMPRESSIONS = (6, 7)
WHOLE_TYPES = {"bool": np.uint8, "uint8": np.uint8, "uint16": np.uint16} | dict.fromkeys(("float16", "float32", "float64"), np.float32)

PLACEHOLDERS = {EXIF_IFD: EXIF_IFD - 1, GPS_IFD: GPS_IFD - 1}
"""Tags that nobody uses, sorted where pointers to EXIF blocks go: tifffile does not write those itself."""

TILE = 256
"""Side, px, of the tiles of a TIFF: programs that show a part of a large picture read no more than these."""

AT_WORK = 2**24
"""Bytes of tiles that are handed to the threads at a time, to be deflated."""

LARGEST_CLASSIC = 4 * 10**9
"""Bytes up to which a TIFF can point into itself with 32 bits, less some for its tags."""


def read_tiff_header(file: BinaryIO, length: int) -> Header:
    """Size, depth, EXIF and colour profile of a TIFF's first picture.

    Raises
    ------
    ReadError
        It is cut off, no photo, or stored in a way that is not read.
    """
    import tifffile

    file.seek(0)
    try:
        # Of damaged tags differences are taken that no number of their kind holds.
        with np.errstate(over="ignore"), tifffile.TiffFile(file) as tiff:
            page = first_page(tiff, length)
            icc = page.iccprofile
            remark = f"only the first of its {len(tiff.pages)} pictures is used" if len(tiff.pages) > 1 else ""
            size, dtype = (int(page.imagewidth), int(page.imagelength)), np.dtype(WHOLE_TYPES[str(page.dtype)])
    except TIFF_ERRORS as error:
        raise ReadError(f"is a damaged TIFF ({error}); copy it again") from error
    if page.photometric == PALETTE:
        dtype = np.dtype(np.uint8)
    return Header(size, dtype, exif_of_tiff(file), icc, remark)


def first_page(tiff: Any, length: int) -> Any:
    """A TIFF's first picture, if it is one that can be read."""
    page = tiff.pages.first
    kind = int(page.photometric) if page.photometric is not None else MIN_IS_BLACK
    if DNG_VERSION in page.tags or kind in RAW_COLORS or (page.is_reduced and SUB_IFDS in page.tags):
        raise ReadError("is a camera raw file; develop it to TIFF or JPEG")
    if kind not in CHANNELS or (kind == YCBCR and page.compression not in JPEG_COMPRESSIONS):
        raise ReadError(f"is a TIFF in {getattr(page.photometric, 'name', kind)} colours; save it as RGB")
    if str(page.dtype) not in WHOLE_TYPES:
        raise ReadError(f"is a TIFF of {page.dtype or 'unknown'} numbers; save it with 8 or 16 bits or as float")
    if page.samplesperpixel < CHANNELS[kind] or page.imagedepth > 1 or (kind == SEPARATED and np.dtype(page.dtype).kind == "f"):
        raise ReadError("is a TIFF whose channels make no picture; save it as RGB")
    if not page.dataoffsets or any(
        count == 0 or offset + count > length for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True)
    ):
        raise ReadError("is a TIFF that is cut off; copy it again")
    return page


def decode_tiff(content: bytes, shrink: int) -> Samples:
    """The first picture of a TIFF at full size.

    Values of unusual depths are stretched to 8 or 16 bits, double precision becomes single. Palettes become RGB, MinIsWhite is
    turned round, colours premultiplied with alpha are divided by it. Further channels than alpha are not used.

    Raises
    ------
    ReadError
        It is cut off or damaged.
    """
    import tifffile

    try:
        with np.errstate(over="ignore"), tifffile.TiffFile(io.BytesIO(content)) as tiff:
            page = first_page(tiff, len(content))
            stored = page.asarray()
            if page.axes.startswith("S"):
                stored = np.moveaxis(stored, 0, -1)
            stored = stored.reshape(page.imagelength, page.imagewidth, page.samplesperpixel)
            kind, extra, bits, palette = int(page.photometric), tuple(map(int, page.extrasamples)), page.bitspersample, page.colormap
    except TIFF_ERRORS as error:
        raise ReadError(f"is a damaged TIFF ({error}); copy it again") from error
    if kind == PALETTE:
        return Samples(apply_palette(stored[..., 0], palette))
    stored = stretch(stored, bits if isinstance(bits, int) else bits[0])
    colors = stored[..., : CHANNELS[kind]]
    if kind == MIN_IS_WHITE:
        colors = full_scale(colors.dtype) - colors if colors.dtype.kind == "f" else ~colors
    if STRAIGHT in extra:
        return Samples(colors, stored[..., CHANNELS[kind] + extra.index(STRAIGHT)])
    if PREMULTIPLIED in extra:
        alpha = stored[..., CHANNELS[kind] + extra.index(PREMULTIPLIED)]
        return Samples(divide(colors, alpha), alpha)
    return Samples(colors)


def stretch(stored: NDArray[Any], bits: int) -> NDArray[Any]:
    """Samples of any depth as uint8, uint16 or float32 over their whole range."""
    made = stored.astype(WHOLE_TYPES[str(stored.dtype)], copy=False)
    if made.dtype.kind == "u" and bits < 8 * made.itemsize:
        made = np.rint(made * (full_scale(made.dtype) / (2**bits - 1))).astype(made.dtype)
    return np.asarray(made)


def apply_palette(indices: NDArray[Any], palette: NDArray[np.uint16]) -> NDArray[np.uint8]:
    """RGB colours of palette indices; some writers fill only the lower byte of the palette's 16-bit numbers."""
    colors = (palette >> 8 if palette.max() > 255 else palette).astype(np.uint8).T
    return np.asarray(colors[np.minimum(indices, len(colors) - 1)])


def divide(colors: NDArray[Any], alpha: NDArray[Any]) -> NDArray[Any]:
    """Colours without the alpha they were multiplied with; where nothing is opaque they stay."""
    white = float(full_scale(colors.dtype))
    opacity = alpha.astype(np.float32)[..., None] / white
    straight = np.divide(colors, opacity, out=colors.astype(np.float32), where=opacity > 0)
    return np.asarray(straight if colors.dtype.kind == "f" else np.rint(np.minimum(straight, white)).astype(colors.dtype))


def write_tiff(
    file: BinaryIO, pixels: NDArray[Any] | Spool | Drawn, mask: NDArray[np.bool_] | Derived | None, metadata: Mapping[str, bytes]
) -> None:
    """Write pixels as a tiled TIFF, deflated with a predictor; BigTIFF where 32-bit positions may not suffice.

    Parameters
    ----------
    file : binary file, readable and writable
        Written from its beginning.
    pixels : (h, w) or (h, w, 3) uint8, uint16 or float32
        Gray or RGB.
    mask : (h, w) bool or None
        Becomes straight alpha where it is not all true; gray becomes RGB then.
    metadata : mapping
        ``exif``, ``icc`` and ``xmp`` bytes to embed as they are.
    """
    import tifffile

    height, width = pixels.shape[:2]
    alpha = mask is not None and not all(bool(np.all(mask[top : top + TILE])) for top in range(0, height, TILE))
    channels = 4 if alpha else 1 if pixels.ndim == 2 else 3

    def tiles() -> Iterator[NDArray[Any]]:
        for top in range(0, height, TILE):
            rows = slice(top, min(top + TILE, height))
            strip = with_alpha(pixels[rows], mask[rows]) if alpha and mask is not None else pixels[rows]
            for left in range(0, width, TILE):
                part = strip[:, left : left + TILE]
                tile = np.zeros((TILE, TILE, *part.shape[2:]), part.dtype)
                tile[: part.shape[0], : part.shape[1]] = part
                yield tile

    big = height * width * channels * pixels.dtype.itemsize > LARGEST_CLASSIC
    texts, blocks = exif_tags(metadata.get("exif"))
    tags: list[tuple[int, int, int, Any, bool]] = [(tag, 2, 0, text, True) for tag, text in texts.items()]
    # These blocks follow the picture; their positions, of 32 or 64 bits, are filled in once they are known.
    tags += [(PLACEHOLDERS[pointer], 16 if big else 4, 1, 0, True) for pointer in blocks]
    if xmp := metadata.get("xmp"):
        tags.append((XMP, 1, len(xmp), xmp, True))
    tifffile.imwrite(
        file,
        tiles(),
        shape=(height, width) if channels == 1 else (height, width, channels),
        dtype=pixels.dtype,
        bigtiff=big,
        byteorder="<",
        photometric="minisblack" if channels == 1 else "rgb",
        extrasamples=["unassalpha"] if alpha else None,
        compression="zlib",
        compressionargs={"level": 1},
        predictor=True,
        tile=(TILE, TILE),
        maxworkers=threads_allowed(),
        buffersize=AT_WORK,
        iccprofile=metadata.get("icc"),
        software="compositor",
        metadata=None,
        extratags=tags,
    )
    for pointer, block in blocks.items():
        append_block(file, pointer, block, big=big)


def exif_tags(exif: bytes | None) -> tuple[dict[int, bytes], dict[int, dict[int, Any]]]:
    """The texts of an EXIF block's main part, and its blocks about the photograph and its place by their pointers' tags."""
    if not exif:
        return {}, {}
    try:
        found = load_exif(exif)
        texts = {tag: text.encode() for tag in TEXT_TAGS if isinstance(text := found.get(tag), str) and text}
        return texts, {pointer: dict(block) for pointer in PLACEHOLDERS if (block := found.get_ifd(pointer))}
    except EXIF_ERRORS:
        return {}, {}


def append_block(file: BinaryIO, pointer: int, block: Mapping[int, Any], *, big: bool) -> None:
    """Put a block of tags at the end of a little-endian TIFF, and its position where ``pointer``'s placeholder is."""
    import tifffile
    from PIL.TiffImagePlugin import ImageFileDirectory_v2

    place = (file.seek(0, io.SEEK_END) + 1) // 2 * 2
    head = b"II+\0" + struct.pack("<HHQ", 8, 0, 16) if big else b"II*\0" + struct.pack("<I", 8)
    directory = ImageFileDirectory_v2(head, group=pointer)
    try:
        for tag, value in block.items():
            directory[tag] = value
            directory.tagtype[tag] = true_type(pointer, tag, directory.tagtype[tag])
        written = directory.tobytes(place)
    except EXIF_ERRORS as error:
        logger.warning("a part of the first photo's EXIF block cannot be kept (%s)", error)
        return
    file.seek(0)
    with tifffile.TiffFile(file) as tiff:
        entry: Any = tiff.pages.first.tags[PLACEHOLDERS[pointer]]
    parts = ((place, written), (entry.offset, struct.pack("<H", pointer)), (entry.valueoffset, struct.pack("<Q" if big else "<I", place)))
    for position, part in parts:
        file.seek(position)
        file.write(part)
