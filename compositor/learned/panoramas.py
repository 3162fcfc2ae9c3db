"""A second look at the seams of a panorama that is there already."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import numpy as np

from compositor.clock import StageClock
from compositor.compose.layers import Refine
from compositor.compose.level import level_seams
from compositor.compose.mend import mend_seams
from compositor.errors import OptionError
from compositor.images import MaskSource, masks_by_name, open_photos, photo_names, with_masks
from compositor.panorama import Panorama
from compositor.spool import Spool
from compositor.stitch import Source, one_photo_per_camera
from compositor.types import Progress

__all__ = ["refine_panorama"]


def refine_panorama(
    panorama: Panorama,
    photos: Iterable[Source] | None,
    refine: Refine,
    *,
    masks: Iterable[MaskSource | None] | None = None,
    progress: Progress | None = None,
) -> Panorama:
    """A panorama with its seams refined; the one that is given stays as it is.

    Parameters
    ----------
    panorama : Panorama
        From ``stitch`` or ``compose``, blended in bands or not at all.
    photos : iterable of path, (h, w[, c]) array or Photo, or None
        What it was made of: a panorama holds one layer only, and what lies behind a seam is drawn from them. Without them steps in tone
        are taken out, as by ``compositor.refine``, and nothing else.
    refine : callable
        Composites the two layers of a seam.
    masks : iterable of path, (h, w) array or None, optional
        As it was made with.
    progress : callable, optional
        Called as progress(stage, done, total) while work goes on.

    Returns
    -------
    Panorama

    Raises
    ------
    OptionError
        The panorama lies on disk, or masks do not fit the photos.
    RegistrationFileError
        A photo is missing.
    """
    if isinstance(panorama.pixels, Spool) or isinstance(panorama.owner, Spool):
        raise OptionError("a panorama that lies on disk is refined while it is made; give refine= to compose or stitch")
    if photos is None:
        if masks is not None:
            raise OptionError("masks= are those of photos; give photos= too")
        return dataclasses.replace(panorama, pixels=level_seams(panorama.pixels, panorama.owner.astype(np.int64))[0])
    if isinstance(photos, Panorama) or not isinstance(photos, Iterable) or isinstance(photos, str | bytes | np.ndarray):
        raise OptionError(f"photos is one {type(photos).__name__}; give a list of paths, arrays or photos")
    sources, clock = list(photos), StageClock(progress)
    opened, _ = open_photos(sources)
    shown = opened if masks is None else with_masks(opened, masks_by_name(photo_names(sources), masks, "masks"))
    used, pixels = one_photo_per_camera(panorama.registration, shown), panorama.pixels.copy()
    mend_seams(pixels, panorama.owner, panorama.registration.cameras, used, panorama.canvas, panorama.photometry, refine, clock)
    return dataclasses.replace(panorama, pixels=pixels, seconds={**panorama.seconds, **clock.seconds()})
