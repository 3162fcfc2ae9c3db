"""From a registration to a panorama: plan on a small canvas, render in tiles, crop."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from compositor.compose.canvas import plan_canvas
from compositor.compose.crop import crop_panorama
from compositor.compose.early import EarlyPhotos, most_early
from compositor.compose.layers import Refine
from compositor.compose.memory import Demands, choose_holding
from compositor.compose.opened import Opened
from compositor.compose.plan import make_plan
from compositor.compose.render import render
from compositor.compose.surroundings import most_kept
from compositor.compose.view import turned
from compositor.errors import RegistrationFileError, counted
from compositor.heap import give_back_memory
from compositor.options import ComposeOptions
from compositor.panorama import Panorama
from compositor.photometry import Photometry
from compositor.registration import Registration
from compositor.types import Canvas, Photo, Progress

__all__ = ["compose_photos"]

logger = logging.getLogger("compositor")


def compose_photos(
    registration: Registration,
    photos: Sequence[Photo],
    options: ComposeOptions,
    *,
    canvas: Canvas | None = None,
    photometry: Photometry | None = None,
    refine: Refine | None = None,
    approve: Callable[[Canvas], object] | None = None,
    progress: Progress | None = None,
) -> Panorama:
    """Draw the panorama of registered photos.

    Parameters
    ----------
    registration : Registration
        Where the photos look.
    photos : sequence of Photo
        In the order of ``registration.cameras``.
    options : ComposeOptions
    canvas : Canvas, optional
        What to draw on; by default one that shows all photos.
    photometry : Photometry, optional
        What to do to the photos' light, in the order of ``registration.cameras``; by default what the overlaps and the options say.
    refine : callable, optional
        Composites the two layers of a seam better; what it returns is taken where the seam then shows less.
    approve : callable, optional
        Called with the canvas before anything is drawn; what it raises ends the work.
    progress : callable, optional
        Called as progress("plan", done, total) for every photo that was drawn small, then progress("render", done, total) for every tile
        of the panorama, and progress("refine", done, total) where seams are refined.

    Returns
    -------
    Panorama
        Its pixels have the photos' type; the same for any number of threads. They lie on disk where they would need more memory than
        they may take. Its registration is turned as the options say.

    Raises
    ------
    LimitError
        The panorama would need more memory than it may take; nothing large was allocated.
    OptionError
        The projection cannot show the views.
    ReadError
        A photo cannot be decoded.
    RegistrationFileError
        The photos do not fit the registration.
    TooFewPhotosError
        The registration holds no photo.
    """
    report = progress or (lambda stage, done, total: None)
    registration = turned(registration, options)
    canvas = canvas or plan_canvas(registration, options)
    types = sorted({photo.dtype.name for photo in photos})
    if len(photos) != len(registration.cameras) or len(types) != 1:
        raise RegistrationFileError(
            f"{counted(len(photos), 'photo')} of pixel type {' and '.join(types) or 'none'} given; "
            f"needed are {len(registration.cameras)} of one type, in the registration's order"
        )
    if approve is not None:
        approve(canvas)
    holding = choose_holding(registration, canvas, options, np.dtype(photos[0].dtype), demands=Demands.of(photos, refine))
    report("plan", 0, len(photos))
    workers = options.threads or os.cpu_count() or 1
    with ThreadPoolExecutor(workers) as pool:
        early = EarlyPhotos(photos, registration, canvas, pool, most_early(workers, few=holding.photos is not None))
        plan = make_plan(registration, photos, canvas, options, pool, report, photometry=photometry, meanwhile=early.decode)
        early.keep([k for k, need in enumerate(plan.needs) if need.mask.any()])
        for light in plan.photometry.lights:
            logger.info("%s", light)
        give_back_memory()
        kept = _Kept(0 if refine is None or holding.photos else _most_kept(photos))
        pixels, owner = render(plan, registration.cameras, early.photos, pool, report, holding=holding, let_go=kept)
    if refine is not None:
        from compositor.compose.mend import mend_seams

        mend_seams(pixels, owner, registration.cameras, photos, canvas, plan.photometry, refine, report, opened=kept.opened())
    panorama = Panorama(pixels, owner, registration, canvas, plan.photometry, dict(photos[0].metadata))
    return crop_panorama(panorama) if options.crop else panorama


class _Kept:
    """Photos that rendering needs no more and a second look at seams will, so that they are decoded once: as many as are allowed."""

    def __init__(self, most: int) -> None:
        self.most, self.photos = most, dict[int, Future[Opened]]()

    def __call__(self, index: int, photo: Future[Opened]) -> None:
        """Keep one, if there is room."""
        if len(self.photos) < self.most:
            self.photos[index] = photo

    def opened(self) -> dict[int, Opened]:
        """Those that were kept, which are given away."""
        photos, self.photos = self.photos, {}
        return {k: photo.result() for k, photo in photos.items()}


def _most_kept(photos: Sequence[Photo]) -> int:
    """How many of them may be kept decoded."""
    return most_kept(max(math.prod(photo.size) * 3 * photo.dtype.itemsize for photo in photos))
