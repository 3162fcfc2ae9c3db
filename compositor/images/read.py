"""Photos from files and arrays. One that cannot be read loses itself; the rest of its set goes on."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compositor.encoding import full_scale
from compositor.errors import OptionError, ReadError
from compositor.images.color import to_common_profile, to_rgb
from compositor.images.depth import to_common_depth, with_depth
from compositor.images.files import AnyPath, open_checked, printable, read_bytes_checked
from compositor.images.formats import FIRST_BYTES, find_format
from compositor.images.limits import check_claim, check_size
from compositor.images.metadata import camera_key, exposure_prior, focal_prior, read_exif
from compositor.images.samples import QUARTERS, Header, Samples, mask_of, reduce_area, soft_alpha, turn, turn_upright, upright_size
from compositor.images.small import keep_small_pictures
from compositor.types import Decoded, Photo

__all__ = ["Source", "open_photo", "open_photos", "open_source", "photo_from_array", "photo_names", "read_mask"]

logger = logging.getLogger("compositor")

Source = str | os.PathLike[str] | NDArray[Any] | Photo


def open_photos(sources: Iterable[Source], *, all_needed: bool = False) -> tuple[list[Photo], list[tuple[str, str]]]:
    """Open a set of photos; those that cannot be opened are left out, each with one warning.

    All photos decode to the colour profile of the first one. Damage that shows only in the pixels is found when a photo is
    decoded, at whatever size: its ``decode`` raises ReadError.

    Parameters
    ----------
    sources : iterable of path, array or Photo
        Arrays as for ``photo_from_array``, called «photo 1» and so on by their place among the sources.
    all_needed : bool
        None may be left out.

    Returns
    -------
    photos : list of Photo
        In the order given; no two have the same name.
    left_out : list of (str, str)
        Name and reason of each that could not be opened.

    Raises
    ------
    OptionError
        ``sources`` is a single path.
    ReadError
        One cannot be opened, and all are needed.
    """
    if isinstance(sources, str | bytes | os.PathLike):
        raise OptionError(f"sources is one path, {os.fsdecode(sources)!r}; give a list of paths")
    sources = list(sources)
    photos: list[Photo] = []
    left_out: list[tuple[str, str]] = []
    for name, source in zip(photo_names(sources), sources, strict=True):
        try:
            photos.append(open_source(source, name))
        except ReadError as error:
            reason = str(error).removeprefix(f"{name}: ")
            if all_needed:
                raise ReadError(f"{name}: {reason}", path=error.path) from error
            left_out.append((name, reason))
            logger.warning("%s: %s; it is left out", name, reason)
    in_files = {photo.name: photo for photo in keep_small_pictures([p for p in photos if isinstance(p.decode, FileDecoder)])}
    photos = [in_files.get(photo.name, photo) for photo in photos]
    return to_common_depth(to_common_profile(photos)), left_out


def photo_names(sources: Sequence[Source]) -> list[str]:
    """A name for each source: base names where they differ, else whole paths; what is still the same is numbered."""
    names = [source_name(source, position, os.path.basename) for position, source in enumerate(sources, 1)]
    count = collections.Counter(names)
    names = [source_name(s, i, str) if count[name] > 1 else name for i, (name, s) in enumerate(zip(names, sources, strict=True), 1)]
    taken, numbers = set(names), collections.Counter[str]()
    for place, name in enumerate(names):
        numbers[name] += 1
        if numbers[name] == 1:
            continue
        while (numbered := f"{name} ({numbers[name]})") in taken:
            numbers[name] += 1
        names[place] = numbered
        taken.add(numbered)
    return names


def source_name(source: Source, position: int, shorten: Any) -> str:
    """What one source is called; ``shorten`` is applied to its path."""
    if isinstance(source, Photo):
        return source.name
    if isinstance(source, str | bytes | os.PathLike):
        return printable(shorten(os.fsdecode(source))) or printable(source)
    return f"photo {position}"


def open_source(source: Source, name: str | None = None) -> Photo:
    """A photo of any source, with this name, or else with what it is called in a set of its own.

    Raises
    ------
    ReadError
        It cannot be opened.
    """
    name = name or photo_names([source])[0]
    if isinstance(source, Photo):
        return dataclasses.replace(source, name=name)
    if isinstance(source, np.ndarray):
        return photo_from_array(source, name)
    if isinstance(source, str | bytes | os.PathLike):
        return open_photo(source, name=name)
    raise ReadError(f"{name}: is a {type(source).__name__}; give a path, an array or a Photo")


def open_photo(path: AnyPath, *, name: str | None = None, is_mask: bool = False) -> Photo:
    """Open one photo: its header is read and checked, its pixels are not decoded yet.

    JPEG, PNG, TIFF, WebP, AVIF, GIF and BMP are told by their content. 8 bits, 16 bits and float stay what they are. The photo
    comes upright, as RGB; gray and CMYK become sRGB; transparent pixels and those that are no finite number are masked.

    Parameters
    ----------
    path : str or path
        The file; it is opened again each time the photo is decoded.
    name : str, optional
        How messages call it; the file's name by default.
    is_mask : bool
        It may be packed into fewer bytes than a photo can be.

    Raises
    ------
    ReadError
        The file is missing, not a picture of a known kind, too small, too large or visibly damaged.
    """
    path = os.fsdecode(path)
    name = printable(os.path.basename(path)) if name is None else name
    with reading(name, path):
        with open_checked(path) as (file, length):
            found = find_format(file.read(FIRST_BYTES))
            header = found.read_header(file, length)
        if is_mask:
            check_size(header.size)
        else:
            check_claim(header.size, length)
    if header.remark:
        logger.info("%s: %s", name, header.remark)
    exif = read_exif(header.exif)
    size = upright_size(header.size, exif.orientation)
    metadata = {key: value for key, value in (("exif", header.exif), ("icc", header.icc)) if value}
    if header.icc is not None and header.icc[16:20] in (b"GRAY", b"CMYK"):
        # Decoding converts these to sRGB.
        del metadata["icc"]
    decode = FileDecoder(path, name, header, exif.orientation)
    return Photo(
        name,
        size,
        header.dtype,
        decode,
        focal=focal_prior(exif, size),
        camera_key=camera_key(exif, size),
        exposure=exposure_prior(exif),
        taken=exif.taken,
        position=exif.position,
        turned=QUARTERS.get(exif.orientation, 0),
        metadata=metadata,
    )


@contextlib.contextmanager
def reading(name: str, path: AnyPath | None) -> Iterator[None]:
    """Gives every ReadError in its block the name and path of the photo."""
    try:
        yield
    except ReadError as error:
        raise ReadError(f"{name}: {error}", path=path) from error


@dataclasses.dataclass(frozen=True, eq=False)
class FileDecoder:
    """Decodes the photo in a file; holds no pixels.

    Parameters
    ----------
    path : str
        The file.
    name : str
        How messages call it.
    header : Header
        What the file said when it was opened.
    orientation : int
        EXIF orientation, 1..8.
    """

    path: str
    name: str
    header: Header
    orientation: int

    def __call__(self, shrink: int) -> Decoded:
        """The photo at 1/shrink, shrink being 1, 2, 4 or 8.

        Raises
        ------
        ReadError
            The file is gone, has changed, or its picture is damaged.
        """
        with reading(self.name, self.path):
            content = read_bytes_checked(self.path)
            samples = find_format(content[:FIRST_BYTES]).decode(content, shrink)
            w, h = self.header.size
            if samples.colors.shape[:2] != (-(-h // samples.shrink), -(-w // samples.shrink)) or samples.colors.dtype != self.header.dtype:
                raise ReadError("is not what it was when it was opened; open it again")
            if samples.remark:
                logger.warning("%s: %s", self.name, samples.remark)
            return finish(samples, self.header, self.orientation, shrink)


def finish(samples: Samples, header: Header, orientation: int, shrink: int) -> Decoded:
    """A decoder's samples as RGB, reduced and upright."""
    mask = mask_of(samples)
    colors = samples.colors
    if mask is not None and colors.dtype.kind == "f":
        colors = np.where(np.isfinite(colors), colors, np.zeros((), colors.dtype))
    pixels = to_rgb(colors, header.icc)
    w, h = header.size
    scale = (1 / samples.shrink, 1 / samples.shrink)
    if samples.shrink != shrink:
        pixels, mask = reduce_area(pixels, mask, shrink)
        scale = (pixels.shape[1] / w, pixels.shape[0] / h)
    decoded = turn_upright(pixels, mask, orientation, scale=scale, size=upright_size(header.size, orientation))
    alpha = soft_alpha(samples) if shrink == 1 else None
    return decoded if alpha is None else dataclasses.replace(decoded, alpha=turn(alpha, orientation))


def photo_from_array(array: NDArray[Any], name: str, mask: NDArray[Any] | None = None) -> Photo:
    """A photo of pixels that are in memory already; they are not copied and must not be changed afterwards.

    Parameters
    ----------
    array : (h, w), (h, w, 1), (h, w, 3) or (h, w, 4) uint8, uint16, float32 or float64
        Gray, RGB, or RGB with straight alpha; float holds 0..1. NaN and infinity are masked, double precision becomes single.
    name : str
        How messages call it.
    mask : (h, w) bool, optional
        Where the photo has pixels; other dtypes count as true where they are not zero.

    Raises
    ------
    ReadError
        The shape or dtype is none of these, or the picture is too small or too large.
    """
    array = np.asarray(array)
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)):
        raise ReadError(f"{name}: is an array of shape {array.shape}; needed is (h, w), (h, w, 1), (h, w, 3) or (h, w, 4)")
    if array.dtype == np.float64:
        array = array.astype(np.float32)
    if array.dtype not in (np.uint8, np.uint16, np.float32):
        raise ReadError(f"{name}: is an array of {array.dtype}; needed is uint8, uint16, float32 or float64")
    array = np.atleast_3d(array)
    h, w = array.shape[:2]
    with reading(name, None):
        check_size((w, h))
        if mask is not None and np.shape(mask) != (h, w):
            raise ReadError(f"has a mask of shape {np.shape(mask)}; needed is {(h, w)}")
    decode = ArrayDecoder(array, None if mask is None else np.asarray(mask).astype(bool, copy=False), name)
    return Photo(name, (w, h), array.dtype, decode)


@dataclasses.dataclass(frozen=True, eq=False)
class ArrayDecoder:
    """Gives the photo that an array is.

    Parameters
    ----------
    array : (h, w, 1 | 3 | 4) uint8, uint16 or float32
        Gray, RGB or RGB with straight alpha.
    mask : (h, w) bool or None
        Where it has pixels.
    name : str
        How messages call it.
    """

    array: NDArray[Any]
    mask: NDArray[np.bool_] | None
    name: str

    def __call__(self, shrink: int) -> Decoded:
        """The photo at 1/shrink, shrink being 1, 2, 4 or 8.

        Raises
        ------
        ReadError
            No pixel of it is opaque.
        """
        alpha = self.array[..., 3] if self.array.shape[2] == 4 else None
        colors = self.array if alpha is None else self.array[..., :3]
        if self.mask is not None:
            opaque = np.asarray(full_scale(self.array.dtype), self.array.dtype)
            alpha = np.where(self.mask, opaque if alpha is None else alpha, np.zeros((), self.array.dtype))
        h, w = colors.shape[:2]
        with reading(self.name, None):
            return finish(Samples(colors, alpha), Header((w, h), self.array.dtype), 1, shrink)


def read_mask(path: AnyPath) -> NDArray[np.uint8]:
    """A picture that is a mask, as its brightness 0..255; transparent pixels are 0.

    Parameters
    ----------
    path : str or path
        Any picture that ``open_photo`` reads.

    Returns
    -------
    (h, w) uint8

    Raises
    ------
    ReadError
        As ``open_photo``.
    """
    import cv2

    decoded = open_photo(path, is_mask=True).decode(1)
    gray = np.asarray(cv2.cvtColor(with_depth(decoded.pixels, 8), cv2.COLOR_RGB2GRAY))
    if decoded.mask is not None:
        gray = np.where(decoded.mask, gray, np.uint8(0))
    return gray
