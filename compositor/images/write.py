"""Pictures into files: JPEG, PNG and TIFF by the name's ending, whole or not at all."""

from __future__ import annotations

import math
import numbers
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from compositor.errors import OptionError, OutputError
from compositor.images.alpha import with_alpha, with_needed_alpha
from compositor.images.depth import with_depth
from compositor.images.files import AnyPath, check_place, printable, write_atomically
from compositor.images.jpeg import decode_jpeg
from compositor.images.jpeg_write import encode_jpeg, write_jpeg
from compositor.images.metadata import exif_for_output
from compositor.images.png import encode_png, stream_png
from compositor.images.tiff import write_tiff
from compositor.options import JPEG_QUALITY
from compositor.spool import Derived, Drawn, Spool

__all__ = ["as_jpeg", "check_output", "encode_preview", "write_image"]

FORMAT_OF_ENDING = {".jpg": "JPEG", ".jpeg": "JPEG", ".jpe": "JPEG", ".png": "PNG", ".tif": "TIFF", ".tiff": "TIFF"}

LONGEST_SIDE = {"JPEG": 65_500, "PNG": 1_000_000, "TIFF": 2**31 - 1}
"""px; the JPEG format ends at 65,535, but libjpeg, which most programs read it with, at 65,500; libpng ends at a million."""

LARGEST_WHOLE = 2**27
"""Bytes of a picture, as its PNG holds them, up to which it is encoded at once; a larger one goes in strip by strip, wherever it lies."""
STRIP = 64
"""Rows of one: a few megabytes of a wide picture."""


def check_output(path: AnyPath, *, overwrite: bool, size: tuple[int, int] | None = None, lossless: bool = False) -> None:
    """Check all that can be known of an output before the work is done.

    Parameters
    ----------
    path : str or path
        Where the picture shall go.
    overwrite : bool
        Whether a file that is there may be replaced.
    size : (int, int), optional
        Its width and height, px, when known already.
    lossless : bool
        Every value must be kept.

    Raises
    ------
    OutputError
        Unknown ending, a format that changes values, missing or read-only folder, a folder of this name, a file that exists, or a
        side longer than the format allows.
    """
    format_name = output_format(path)
    if lossless and format_name == "JPEG":
        raise OutputError(f"{printable(path)}: a JPEG does not keep every value as it is; write a .png or .tif", path=path)
    check_place(path, overwrite=overwrite)
    longest = LONGEST_SIDE[format_name]
    if size is not None and max(size) > longest:
        found = f"{size[0]} x {size[1]} px is too large for {format_name}, which ends at {longest} px a side"
        raise OutputError(f"{printable(path)}: {found}; write a .tif, or make it smaller", path=path)


def output_format(path: AnyPath) -> str:
    """«JPEG», «PNG» or «TIFF», by the name's ending."""
    ending = Path(path).suffix.lower()
    if ending not in FORMAT_OF_ENDING:
        if Path(path).is_dir():
            raise OutputError(f"{printable(path)}: is a folder; give the name of a file in it", path=path)
        found = f"{ending} is no format to write; choose" if ending else "has no ending that tells its format; choose"
        raise OutputError(f"{printable(path)}: {found} .jpg, .png or .tif", path=path)
    return FORMAT_OF_ENDING[ending]


def write_image(
    path: AnyPath,
    pixels: NDArray[Any] | Spool | Drawn,
    *,
    mask: NDArray[np.bool_] | Derived | None = None,
    metadata: Mapping[str, bytes] | None = None,
    overwrite: bool = False,
    quality: int = JPEG_QUALITY,
) -> None:
    """Write a picture as JPEG, PNG or TIFF.

    JPEG holds 8 bits and no mask: 16 bits and float are rounded to 8, colours are at full resolution from quality 90 on and at half
    (4:2:0) below. PNG holds 8 or 16 bits; float is rounded to 16. TIFF holds everything, deflated;
    above 4 GB it is a BigTIFF.

    Parameters
    ----------
    path : str or path
        Where to; the ending chooses the format.
    pixels : (h, w, 3) or (h, w) uint8, uint16 or float32
        RGB or gray; float holds 0..1 and is clipped to it where it is rounded. From disk it is read strip by strip.
    mask : (h, w) bool, optional
        Where the picture has pixels. PNG and TIFF keep it as straight alpha when it is not all true.
    metadata : mapping, optional
        ``exif`` and ``icc`` bytes of the photo it was made from; the EXIF block is kept without thumbnail, maker's notes and
        angle of view, its orientation and size set to the picture's. The profile of a gray picture is not kept. ``xmp`` bytes are
        those of the picture itself and go in as they are.
    overwrite : bool
        Replace a file that is there.
    quality : int
        JPEG quality, 1..100.

    Raises
    ------
    OutputError
        As ``check_output``; nothing was written.
    OptionError
        The pixels or the quality are none of the above.
    WriteError
        The system refused; what was there before is still there.
    """
    check_pixels(pixels, mask, quality)
    h, w = pixels.shape[:2]
    check_output(path, overwrite=overwrite, size=(w, h))
    kept = kept_metadata(metadata or {}, (w, h), gray=pixels.ndim == 2)
    format_name = output_format(path)
    if format_name == "TIFF":

        def write(file: BinaryIO) -> None:
            write_tiff(file, pixels, mask, kept)

    elif format_name == "PNG":

        def write(file: BinaryIO) -> None:
            write_png(file, pixels, mask, kept)

    else:

        def write(file: BinaryIO) -> None:
            write_jpeg(file, pixels, quality, kept)

    write_atomically(path, write, overwrite=overwrite)


def check_pixels(pixels: NDArray[Any] | Spool | Drawn, mask: NDArray[np.bool_] | Derived | None, quality: int) -> None:
    """Refuse arrays that are no picture."""
    if pixels.dtype not in (np.uint8, np.uint16, np.float32) or not (pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] == 3)):
        raise OptionError(f"pixels are {pixels.dtype} of shape {pixels.shape}; needed is uint8, uint16 or float32, (h, w, 3) or (h, w)")
    if 0 in pixels.shape:
        raise OptionError(f"pixels have shape {pixels.shape}; needed is at least one")
    if mask is not None and (mask.dtype != np.bool_ or mask.shape != pixels.shape[:2]):
        raise OptionError(f"mask is {mask.dtype} of shape {mask.shape}; needed is bool, {pixels.shape[:2]}")
    if not isinstance(quality, numbers.Integral) or not 1 <= quality <= 100:
        raise OptionError(f"quality={quality!r} is no quality; needed is a whole number in 1 .. 100")


def kept_metadata(metadata: Mapping[str, bytes], size: tuple[int, int], *, gray: bool) -> dict[str, bytes]:
    """What a result keeps of a photo's metadata."""
    kept = {}
    if (exif := metadata.get("exif")) and (made := exif_for_output(exif, size)):
        kept["exif"] = made
    if (icc := metadata.get("icc")) and not gray:
        kept["icc"] = icc
    if xmp := metadata.get("xmp"):
        kept["xmp"] = xmp
    return kept


def as_jpeg(pixels: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    """What a JPEG of this quality, 1 to 100, keeps of a picture, (h, w, 3) uint8, RGB."""
    return np.asarray(decode_jpeg(encode_jpeg(pixels, quality), 1).colors)


def write_png(
    file: BinaryIO, pixels: NDArray[Any] | Spool | Drawn, mask: NDArray[np.bool_] | Derived | None, kept: Mapping[str, bytes]
) -> None:
    """Write pixels as a PNG with alpha, EXIF, XMP and colour profile; a large one strip by strip."""
    (height, width), bits = pixels.shape[:2], 8 if pixels.dtype == np.uint8 else 16
    extra = png_chunks(kept)
    if height * width * (bits // 8) * (1 if pixels.ndim == 2 else 3) <= LARGEST_WHOLE:
        whole = with_depth(np.asarray(pixels), bits)
        file.write(encode_png(with_needed_alpha(whole, None if mask is None else np.asarray(mask)), extra))
        return
    strips = [slice(top, min(top + STRIP, height)) for top in range(0, height, STRIP)]
    alpha = mask is not None and not all(bool(np.all(mask[rows])) for rows in strips)

    def made() -> Iterator[NDArray[Any]]:
        for rows in strips:
            strip = with_depth(np.asarray(pixels[rows]), bits)
            yield with_alpha(strip, np.asarray(mask[rows])) if alpha and mask is not None else strip

    stream_png(file, made(), (width, height), extra)


def png_chunks(kept: Mapping[str, bytes]) -> dict[bytes, bytes]:
    """Metadata as a PNG's chunks by name."""
    extra = {}
    if icc := kept.get("icc"):
        extra[b"iCCP"] = b"ICC profile\0\0" + zlib.compress(icc)
    if exif := kept.get("exif"):
        extra[b"eXIf"] = exif
    if xmp := kept.get("xmp"):
        # Neither compressed nor in a language.
        extra[b"iTXt"] = b"XML:com.adobe.xmp\0\0\0\0\0" + xmp
    return extra


def encode_preview(pixels: NDArray[Any], mask: NDArray[np.bool_] | None, most_pixels: int) -> bytes:
    """An 8-bit PNG of a picture, reduced to at most ``most_pixels`` by area averaging.

    Parameters
    ----------
    pixels : (h, w, 3) or (h, w) uint8, uint16 or float32
        RGB or gray; float holds 0..1.
    mask : (h, w) bool or None
        Becomes alpha when it is not all true.
    most_pixels : int
        Width times height is at most this.

    Raises
    ------
    OptionError
        The pixels are none of the above.
    """
    import cv2

    check_pixels(pixels, mask, 100)
    h, w = pixels.shape[:2]
    factor = math.sqrt(most_pixels / (w * h))
    if factor < 1:
        size = (max(1, math.floor(w * factor)), max(1, math.floor(h * factor)))
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
        if mask is not None:
            mask = cv2.resize(mask.view(np.uint8) * np.uint8(255), size, interpolation=cv2.INTER_AREA) >= 128
    return encode_png(with_needed_alpha(with_depth(pixels, 8), mask))
