"""Pasting: an object with its mask, placed on a background."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from compositor.encoding import decode_srgb, encode_srgb, full_scale
from compositor.errors import OptionError
from compositor.images import MaskSource, open_photos, read_matte, write_image
from compositor.images.read import Source
from compositor.memory import require_memory
from compositor.options import JPEG_QUALITY, PasteOptions
from compositor.paste.matte import heal_border, soften
from compositor.threads import limit_threads
from compositor.types import Decoded, Photo, Pixels

__all__ = ["Harmonize", "Pasted", "paste"]

Floats = NDArray[np.float32]
Harmonize = Callable[[Floats, Floats], Floats]
"""Changes the tone of an object: called with a composite, (h, w, 3) float32, encoded, 0..1, and the shares of its pixels that are the
object's, (h, w) float32; returns the composite with the object in another tone, and the same pixels where its share is 0."""


FADED, CUT = 90, 24
"""Bytes for each pixel of an enlarged object whose border fades, and of one that is cut hard; measured."""


@dataclasses.dataclass(frozen=True, eq=False)
class Pasted:
    """A picture that an object was pasted on.

    Parameters
    ----------
    pixels : (h, w, 3) uint8, uint16 or float32
        RGB; where ``alpha`` is 0 the background's, to the bit.
    alpha : (h, w) float32
        Shares of the pixels that are the object's.
    mask : (h, w) bool or None
        Where there is a picture, if the background is transparent somewhere; None for everywhere.
    metadata : mapping
        ``exif`` and ``icc`` bytes of the background, for the file.
    """

    pixels: Pixels
    alpha: Floats
    mask: NDArray[np.bool_] | None = None
    metadata: Mapping[str, bytes] = dataclasses.field(default_factory=dict)

    def __repr__(self) -> str:
        """One line, as the pixels would flood a prompt."""
        h, w = self.alpha.shape
        return f"Pasted({w}x{h}, {self.pixels.dtype}, object {self.alpha.mean():.1%})"

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False, quality: int = JPEG_QUALITY) -> None:
        """Write the picture; the file is there whole or not at all.

        Raises
        ------
        OutputError, WriteError
            The file is there already, cannot be written, or its ending is unknown.
        """
        write_image(path, self.pixels, mask=self.mask, overwrite=overwrite, quality=quality, metadata=self.metadata)


def paste(
    background: Source, cutout: Source, *, mask: MaskSource | None = None, harmonize: Harmonize | None = None, **options: Any
) -> Pasted:
    """Paste an object of one picture on another.

    Parameters
    ----------
    background, cutout : path, (h, w[, c]) array or Photo
        The deeper of their pixel types and the background's colour profile become both's.
    mask : path or (h, w) array, optional
        What of ``cutout`` is the object: white or true; of its size. A mask with a soft border is a matte and stays as it is.
        Without one, what of ``cutout`` is opaque, and how much.
    harmonize : callable, optional
        Changes the object's tone to fit, such as ``compositor.learned.Harmonizer.load()``. By default no tone changes: matching
        statistics of the object to those of the background makes most objects worse.
    **options
        Fields of ``compositor.options.PasteOptions``.

    Returns
    -------
    Pasted

    Raises
    ------
    OptionError
        There is no such option or value, the mask does not fit, or the object would lie outside the background.
    LimitError
        The object would be so large that there is not the memory for it.
    ReadError
        A picture cannot be read.
    """
    chosen = PasteOptions.of(options)
    opened, _ = open_photos([background, cutout], all_needed=True)
    with limit_threads(chosen.threads):
        behind, decoded = opened[0].full(), opened[1].full()
        matte = _matte(mask, _opacity(decoded), opened[1])
        pixels, alpha = _placed(behind, decoded.pixels, matte, chosen)
        if harmonize is not None:
            white = np.float32(full_scale(pixels.dtype))
            pixels = _in_depth(harmonize(pixels.astype(np.float32) / white, alpha), alpha, pixels)
    return Pasted(pixels, alpha, None if behind.mask is None else behind.mask | (alpha >= 0.5), opened[0].metadata)


def _placed(background: Decoded, cutout: Pixels, matte: Floats, options: PasteOptions) -> tuple[Pixels, Floats]:
    """The background with the object on it, and the shares of its pixels that are the object's."""
    behind = background.pixels
    front = cutout.astype(np.float32) / np.float32(full_scale(cutout.dtype))
    h, w = matte.shape
    if options.scale > 1:
        needed = h * w * options.scale**2 * (FADED if options.fade else CUT)
        require_memory(needed, f"an object of {w} x {h} px at scale={options.scale:g}", "a smaller scale= or a smaller picture")
    front, matte = _scaled(front, matte, options.scale)
    # How the border fades, and what colours it has, depends on the whole object, so it is settled before a part is cut off.
    alpha = soften(matte, options.fade)
    front = heal_border(front, alpha, options.fade)
    there, here = _windows(alpha.shape, behind.shape[:2], options.at)
    alpha, front = alpha[here], front[here]
    if not (alpha > 0).any():
        (x, y), (h, w) = options.at, behind.shape[:2]
        raise OptionError(f"with its picture's corner at {x} {y} nothing of the object lies on the background of {w} x {h} px; move it")
    pixels = behind.copy()
    pixels[there] = _laid_over(behind[there], front, alpha, None if background.mask is None else background.mask[there])
    whole = np.zeros(behind.shape[:2], np.float32)
    whole[there] = alpha
    return pixels, whole


def _opacity(decoded: Decoded) -> Floats | None:
    """How opaque each pixel of a picture is, 0..1; None where all are wholly."""
    if decoded.alpha is not None:
        return np.asarray(decoded.alpha / np.float32(full_scale(decoded.alpha.dtype)), np.float32)
    return None if decoded.mask is None else decoded.mask.astype(np.float32)


def _matte(mask: MaskSource | None, opaque: Floats | None, photo: Photo) -> Floats:
    """The object's mask, 0..1, as far as it is opaque."""
    if mask is None:
        if opaque is None:
            raise OptionError(f"{photo.name} is opaque everywhere; give a mask= of the object")
        return opaque
    matte = read_matte(mask, photo.size, photo.name)
    if opaque is not None:
        matte = matte * opaque
    if not (matte >= 0.5).any():
        raise OptionError(f"the mask of {photo.name} shows nothing; it must be white on the object")
    return np.asarray(matte, np.float32)


def _scaled(pixels: Floats, matte: Floats, scale: float) -> tuple[Floats, Floats]:
    """The object in its size on the background."""
    if scale == 1:
        return pixels, matte
    h, w = matte.shape
    size = (max(1, round(w * scale)), max(1, round(h * scale)))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    larger = (np.asarray(np.clip(cv2.resize(picture, size, interpolation=how), 0, 1), np.float32) for picture in (pixels, matte))
    pixels, matte = larger
    return pixels, matte


def _windows(size: tuple[int, ...], canvas: tuple[int, ...], at: tuple[int, int]) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """The part of the background that the object's picture lies on, and the part of that picture that does."""
    begins = (max(0, at[1]), max(0, at[0]))
    ends = [max(begin, min(whole, at[1 - axis] + side)) for axis, (begin, whole, side) in enumerate(zip(begins, canvas, size, strict=True))]
    there = slice(begins[0], ends[0]), slice(begins[1], ends[1])
    here = slice(begins[0] - at[1], ends[0] - at[1]), slice(begins[1] - at[0], ends[1] - at[0])
    return there, here


def _laid_over(behind: Pixels, front: Floats, alpha: Floats, opaque: NDArray[np.bool_] | None) -> Pixels:
    """The object over the background, mixed in linear light as a lens mixes what lies on one pixel; unmixed where that shows nothing."""
    white = np.float32(full_scale(behind.dtype))
    mixed = (alpha > 0) & (alpha < 1)
    if opaque is not None:
        mixed &= opaque
    made = front.copy()
    light = decode_srgb(front[mixed]) * alpha[mixed][:, None] + decode_srgb(behind[mixed] / white) * (1 - alpha[mixed][:, None])
    made[mixed] = encode_srgb(light)
    return _in_depth(made, alpha, behind)


def _in_depth(pixels: Floats, alpha: Floats, otherwise: Pixels) -> Pixels:
    """Pixels in the type of others, which stay where there is no object."""
    if otherwise.dtype.kind == "f":
        made = pixels.astype(otherwise.dtype)
    else:
        white = full_scale(otherwise.dtype)
        made = np.clip(np.rint(pixels * np.float32(white)), 0, white).astype(otherwise.dtype)
    return np.where((alpha > 0)[..., None], made, otherwise)
