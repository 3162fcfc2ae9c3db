"""From a picture and its style to a picture in that style."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compositor.clock import StageClock
from compositor.encoding import full_scale
from compositor.errors import OptionError, counted
from compositor.images import open_source, read_matte, to_common_profile
from compositor.images.masks import MaskSource
from compositor.images.read import Source
from compositor.memory import require_memory
from compositor.options import JPEG_QUALITY, StyleOptions
from compositor.style.colors import transfer_colors
from compositor.style.regrain import regrain
from compositor.threads import limit_threads
from compositor.types import Photo, Pixels, Progress

__all__ = ["Paint", "Styled", "style"]

Floats = NDArray[np.float32]
Paint = Callable[[Floats, Floats, Floats, "NDArray[np.bool_] | None", StyleOptions, StageClock], Floats]
"""Paints a picture: called with the picture, the style and the picture in the style's colours, (h, w, 3) float32 encoded RGB 0..1, where
it shall be painted ((h, w) bool or None for everywhere), the options, and the clock to tell; returns it painted."""

LUMA = np.array([0.299, 0.587, 0.114], np.float32)
"""Shares of red, green and blue in how bright encoded colours are (ITU-R BT.601)."""
PIXEL = 130
"""Bytes that are taken for a pixel of the picture; measured."""
FEWEST = 64
"""Pixels that colours are concluded from at least."""


@dataclasses.dataclass(frozen=True, eq=False)
class Styled:
    """A picture in the style of another.

    Parameters
    ----------
    pixels : (h, w, 3) uint8, uint16 or float32
        RGB, in the depth of the picture.
    metadata : mapping
        ``exif`` and ``icc`` bytes of the picture.
    seconds : mapping
        Wall time by stage.
    mask : (h, w) bool or None
        Where there is a picture, if it is transparent somewhere; None for everywhere.
    """

    pixels: Pixels
    metadata: Mapping[str, bytes]
    seconds: Mapping[str, float]
    mask: NDArray[np.bool_] | None = None

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False, quality: int = JPEG_QUALITY) -> None:
        """Write the picture as JPEG, PNG or TIFF, by the name's ending; a JPEG cannot hold what is transparent.

        Parameters
        ----------
        path : str or path
            Where to.
        overwrite : bool
            Replace a file that is there.
        quality : int
            JPEG quality, 1..100.

        Raises
        ------
        OutputError
            Unknown ending, missing folder, a file that exists, or a picture too large for the format.
        WriteError
            The file could not be written; what was there before is still there.
        """
        from compositor.images import write_image

        write_image(path, self.pixels, mask=self.mask, metadata=self.metadata, overwrite=overwrite, quality=quality)


def style(
    content: Source,
    style: Source,
    *,
    mask: MaskSource | None = None,
    paint: Paint | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> Styled:
    """Give a picture the style of another.

    Parameters
    ----------
    content : path, (h, w[, c]) array or Photo
        What is to be seen.
    style : path, array or Photo
        How: its colours and, where it is painted, its strokes.
    mask : path or (h, w) array, optional
        White or true where the picture is to be changed; gray edges fade. Style only an object by its mask, or only the background by
        the opposite.
    paint : callable, optional
        Paints, for ``method="paint"``: such as ``compositor.learned.paint``, which needs PyTorch.
    progress : callable, optional
        Called as progress(stage, done, total) while work goes on.
    **options
        Fields of ``compositor.options.StyleOptions``, such as ``method="photo"``.

    Returns
    -------
    Styled

    Raises
    ------
    OptionError
        There is no such option, or no such value; the mask does not fit; there is nobody to paint.
    ReadError
        A picture cannot be read.
    LimitError
        The picture would take more memory than there is.
    """
    chosen, clock = StyleOptions.of(options), StageClock(progress)
    if (chosen.method == "paint") != (paint is not None):
        needed = "needs" if paint is None else "does not go with"
        raise OptionError(f"method={chosen.method!r} {needed} a painter; compositor.learned.paint is one, for method='paint'")
    with limit_threads(chosen.threads):
        clock("read", 0, 1)
        photo = open_source(content)
        model = to_common_profile([photo, open_source(style)])[1]
        w, h = photo.size
        scale = min(1.0, chosen.size / max(w, h)) if chosen.size else 1.0
        require_memory(PIXEL * scale**2 * w * h, f"{photo.name} in a style, {round(scale * w)} x {round(scale * h)} px", "a smaller size=")
        (before, shown), (after, modelled) = _floats(photo, chosen.size), _floats(model, 0)
        share = None if mask is None else _share(mask, before.shape[:2], photo)
        where = _both(shown, None if share is None else share >= np.float32(0.5))
        for picture, pixels in ((photo, where), (model, modelled)):
            if pixels is not None and np.count_nonzero(pixels) < FEWEST:
                found = counted(int(np.count_nonzero(pixels)), "pixel")
                raise OptionError(f"of {picture.name} a mask leaves {found}; at least {FEWEST} are needed to tell its colours")
        clock("colours", 0, 1)
        colored = transfer_colors(before, after, where, modelled) if chosen.colors == "style" else before
        if chosen.colors == "own":  # the style takes its picture's colours (Gatys and others, «Preserving color in style transfer», 2016)
            after = np.clip(transfer_colors(after, before, modelled, where), 0, 1)
        clipped = np.clip(colored, 0, 1)
        made = regrain(before, colored) if paint is None else paint(before, after, clipped, where, chosen, clock)
        if chosen.colors == "own":
            made = before + np.asarray(
                (made - before) @ LUMA[:, None], np.float32
            )  # what paint changes of colours is left out, of brightness kept
        weight = np.float32(chosen.strength) if share is None else (share * np.float32(chosen.strength))[..., None]
        made = before + (made - before) * weight
    return Styled(_as(made, photo.dtype), photo.metadata, clock.seconds(), shown)


def _both(first: NDArray[np.bool_] | None, second: NDArray[np.bool_] | None) -> NDArray[np.bool_] | None:
    """Where two masks are true, either of which may be None for everywhere."""
    return second if first is None else first if second is None else first & second


def _floats(photo: Photo, size: int) -> tuple[Floats, NDArray[np.bool_] | None]:
    """A photo's pixels as float32, 0..1, at most ``size`` px on its longer side unless that is 0, and where it is opaque.

    What is transparent has the colours of the nearest opaque pixels: nobody sees those beneath, so nothing may take after them.
    """
    import cv2

    longest = max(photo.size)
    megapixels = math.prod(photo.size) * min(1.0, size / longest) ** 2 / 1e6 if size else math.inf
    decoded = photo.full() if math.isinf(megapixels) else photo.reduced(megapixels)
    pixels = np.asarray(decoded.pixels / np.float32(full_scale(decoded.pixels.dtype)), np.float32)
    if decoded.mask is None or not decoded.mask.any():
        return pixels, decoded.mask
    hidden = (~decoded.mask).view(np.uint8)
    _, labels = cv2.distanceTransformWithLabels(hidden, cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL)
    nearest = np.zeros(labels.max() + 1, np.int64)
    nearest[labels[decoded.mask]] = np.flatnonzero(decoded.mask)
    return pixels.reshape(-1, 3)[nearest[labels]], decoded.mask


def _share(mask: MaskSource, shape: tuple[int, ...], photo: Photo) -> Floats:
    """How far each pixel is to be changed, (h, w) float32, 0..1, from a mask of the whole photo; raises as ``read_matte``."""
    import cv2

    given = read_matte(mask, photo.size, photo.name)
    if given.shape == shape:
        return given
    return np.asarray(cv2.resize(given, (shape[1], shape[0]), interpolation=cv2.INTER_AREA), np.float32)


def _as(pixels: Floats, dtype: np.dtype[Any]) -> Pixels:
    """Floats, 0..1, in another depth."""
    pixels = np.clip(pixels, 0, 1)
    scaled = pixels if dtype.kind == "f" else np.rint(pixels * np.float32(full_scale(dtype)))
    return np.asarray(scaled.astype(dtype))
