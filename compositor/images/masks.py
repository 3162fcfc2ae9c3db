"""Masks of the user: what must not be looked at, or not be shown, of photos."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compositor.encoding import full_scale
from compositor.errors import OptionError, ReadError, counted
from compositor.images.files import printable
from compositor.images.read import ArrayDecoder, open_photo, read_mask
from compositor.types import Decoded, Decoder, Photo

__all__ = ["MaskSource", "is_masked", "masks_by_name", "read_matte", "with_masks", "with_wishes"]

MaskSource = str | os.PathLike[str] | NDArray[Any]
"""A file whose bright pixels show what to use, or an array that is true there."""

BRIGHT = 128
"""Brightness, 0..255, from which on a mask file's pixel says «use»."""
SLACK = 0.01
"""By which a mask of float may leave 0..1, as filters do."""


def masks_by_name(names: Sequence[str], masks: Iterable[MaskSource | None] | None, called: str) -> dict[str, MaskSource]:
    """Which mask each photo has.

    Parameters
    ----------
    names : sequence of str
        Of all photos that were given, in order.
    masks : iterable of mask or None
        One for each photo; None for a photo that has none, or in place of all of them.
    called : str
        What messages call the masks.

    Raises
    ------
    OptionError
        There is not one for each photo.
    """
    if masks is None:
        return {}
    if isinstance(masks, str | bytes | os.PathLike | np.ndarray | Mapping) or not isinstance(masks, Iterable):
        raise OptionError(f"{called} is one {type(masks).__name__}; give a list with one mask for each photo, None for a photo without")
    masks = list(masks)
    if len(masks) != len(names):
        found = f"{called} holds {counted(len(masks), 'mask')} for {counted(len(names), 'photo')}"
        raise OptionError(f"{found}; give one for each photo, None for a photo without")
    return {name: mask for name, mask in zip(names, masks, strict=True) if mask is not None}


def with_masks(photos: Iterable[Photo], masks: Mapping[str, MaskSource]) -> list[Photo]:
    """Photos that decode without what their masks hide; what was hidden before stays so.

    Parameters
    ----------
    photos : iterable of Photo
    masks : mapping
        By name of the photo. A file is opened again each time the photo is decoded.

    Raises
    ------
    OptionError
        A mask cannot be read, or has not its photo's size.
    """

    def masked(photo: Photo) -> Photo:
        mask = check(masks[photo.name], photo)
        return dataclasses.replace(photo, decode=MaskedDecoder(photo.decode, mask, photo.name, photo.size))

    return [masked(photo) if photo.name in masks else photo for photo in photos]


def with_wishes(photos: Iterable[Photo], masks: Mapping[str, MaskSource]) -> list[Photo]:
    """Photos that are to be shown where their masks are bright or true; parameters and errors as for ``with_masks``."""

    def wished(photo: Photo) -> Photo:
        masked = MaskedDecoder(photo.decode, check(masks[photo.name], photo), photo.name, photo.size)
        return dataclasses.replace(photo, wish=Photo(photo.name, photo.size, np.dtype(np.uint8), WishDecoder(masked)))

    return [wished(photo) if photo.name in masks else photo for photo in photos]


def read_matte(mask: MaskSource, size: tuple[int, int], name: str) -> NDArray[np.float32]:
    """A mask with soft borders, of one picture.

    Parameters
    ----------
    mask : path or (h, w) bool, uint8, uint16 or float array
        White or true on what it shows; float holds 0..1.
    size : (int, int)
        Width and height of its picture, px.
    name : str
        What messages call the picture.

    Returns
    -------
    (h, w) float32
        0..1.

    Raises
    ------
    OptionError
        It is none of these, or has another size.
    ReadError
        The file cannot be read.
    """
    if isinstance(mask, np.ndarray):
        found = mask
    elif isinstance(mask, str | bytes | os.PathLike):
        found = read_mask(mask)
    else:
        raise OptionError(f"the mask of {name} is a {type(mask).__name__}; give a file or an array")
    shape = size[::-1]
    if found.shape != shape or not (found.dtype.kind in "bf" or found.dtype in (np.uint8, np.uint16)):
        kinds = "bool, uint8, uint16 or float"
        raise OptionError(f"the mask of {name} is {found.dtype} of shape {found.shape}; needed is {kinds} of shape {shape}, as its picture")
    if found.dtype.kind == "f" and not (found.min() >= -SLACK and found.max() <= 1 + SLACK):
        raise OptionError(
            f"the mask of {name} holds {found.min():g} to {found.max():g}; needed are numbers from 0 to 1, or uint8 up to 255"
        )
    white = 1 if found.dtype.kind in "bf" else full_scale(found.dtype)
    return np.asarray(np.clip(found.astype(np.float32) / np.float32(white), 0, 1), np.float32)


def is_masked(photo: Photo) -> bool:
    """Whether a photo has a mask of the user's."""
    return isinstance(photo.decode, MaskedDecoder)


def check(mask: MaskSource, photo: Photo) -> MaskSource:
    """A mask of the photo's size; of a file only the header is looked at."""
    w, h = photo.size
    needed = f"needed is one of {w} x {h} px, as its photo"
    if isinstance(mask, np.ndarray):
        if mask.shape != (h, w) or mask.dtype.kind not in "biu":
            message = f"the mask of {photo.name} is {mask.dtype} of shape {mask.shape}; needed is bool, {(h, w)}, as its photo"
            raise OptionError(message)
        return mask.astype(bool, copy=False)
    if not isinstance(mask, str | bytes | os.PathLike):
        raise OptionError(f"the mask of {photo.name} is a {type(mask).__name__}; give a file, an array or None")
    name = printable(mask)
    try:
        size = open_photo(mask, name=name, is_mask=True).size
    except ReadError as error:
        reason = str(error).removeprefix(f"{name}: ").partition(";")[0]
        raise OptionError(f"{name}, the mask of {photo.name}, {reason}; {needed}", path=mask) from error
    if size != photo.size:
        raise OptionError(f"{name}, the mask of {photo.name}, has {size[0]} x {size[1]} px; {needed}", path=mask)
    return mask


@dataclasses.dataclass(frozen=True, eq=False)
class MaskedDecoder:
    """Decodes a photo without what a mask hides.

    Parameters
    ----------
    decode : Decoder
    mask : (h, w) bool or path
        Of the full size.
    name : str
        Of the photo.
    size : (int, int)
        Its width and height, px.
    """

    decode: Decoder
    mask: MaskSource
    name: str
    size: tuple[int, int]

    def __call__(self, shrink: int) -> Decoded:
        """The photo at 1/shrink, shrink being 1, 2, 4 or 8; a reduced pixel shows when all of its parts do.

        Raises
        ------
        ReadError
            The photo or its mask cannot be decoded.
        """
        whole = self.load()  # first: while it is decoded it takes as much memory as the photo
        decoded = self.decode(shrink)
        mask = reduced(whole, decoded)
        if decoded.mask is not None:
            mask = mask & decoded.mask
        alpha = None if decoded.alpha is None else decoded.alpha * whole
        return dataclasses.replace(decoded, mask=None if mask.all() else mask, alpha=alpha)

    def load(self) -> NDArray[np.bool_]:
        """The mask at full size."""
        if isinstance(self.mask, np.ndarray):
            return self.mask
        try:
            mask = np.asarray(read_mask(self.mask) >= BRIGHT)
        except ReadError as error:
            raise ReadError(f"{self.name}: its mask cannot be used ({error})", path=self.mask) from error
        if mask.shape[::-1] != self.size:
            raise ReadError(f"{self.name}: its mask {printable(self.mask)} is not what it was when it was opened", path=self.mask)
        return mask


@dataclasses.dataclass(frozen=True, eq=False)
class WishDecoder:
    """Decodes a mask as a picture, white where it is bright.

    Parameters
    ----------
    masked : MaskedDecoder
        Knows the mask.
    """

    masked: MaskedDecoder

    def __call__(self, shrink: int) -> Decoded:
        """The picture at 1/shrink, shrink being 1, 2, 4 or 8."""
        return ArrayDecoder(self.masked.load()[..., None] * np.uint8(255), None, self.masked.name)(shrink)


def reduced(mask: NDArray[np.bool_], decoded: Decoded) -> NDArray[np.bool_]:
    """A full-size mask on the pixels of a decoded photo, true where all of a pixel's parts are."""
    if mask.shape == decoded.pixels.shape[:2]:
        return mask
    for axis, (scale, offset) in enumerate(zip(decoded.scale[::-1], decoded.offset[::-1], strict=True)):
        # Decoded pixel i begins at (i - offset) / scale, in units of full-size pixels from the photo's edge.
        begins = np.floor((np.arange(decoded.pixels.shape[axis]) - offset) / scale + 1e-6).astype(np.int64)
        mask = np.logical_and.reduceat(mask, np.clip(begins, 0, mask.shape[axis] - 1), axis=axis)
    return mask
