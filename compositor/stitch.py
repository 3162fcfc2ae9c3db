"""From photos to a panorama: the table of contents. Read this file first."""

from __future__ import annotations

import dataclasses
import logging
import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from compositor.ahead import load_ahead
from compositor.clock import StageClock
from compositor.errors import CompositorError, OptionError, ReadError, RegistrationFileError, TooFewPhotosError, counted, first_names
from compositor.images import MaskSource, masks_by_name, open_photos, open_source, photo_names, with_masks, with_wishes
from compositor.options import ComposeOptions, CorrectOptions, RegisterOptions, StitchOptions
from compositor.panorama import Panorama
from compositor.photometry import Photometry
from compositor.registration import Registration
from compositor.threads import limit_threads
from compositor.types import Canvas, Matcher, Photo, Progress

if TYPE_CHECKING:
    from compositor.compose.layers import Refine

__all__ = ["Source", "compose", "correct", "map_seams", "one_photo_per_camera", "register", "stitch"]

Source = str | os.PathLike[str] | NDArray[Any] | Photo
"""Where a photo comes from: its file, its RGB pixels, or a photo opened before."""

Masks = Iterable[MaskSource | None]
"""One for each photo, in the order of the photos: a picture's file, white where the photo may be used and black where not, or a (h, w)
bool array, true where it may be used; None for a photo that has none. Each has its photo's size."""

UseMasks = Callable[[Iterable[Photo], Mapping[str, MaskSource]], list[Photo]]
"""Hides what masks hide, or shows what they show."""

Approve = Callable[[Canvas], object]
"""Called with the canvas of a panorama, before cropping, when nothing has been drawn yet; what it raises ends the work."""

LeftOut = Sequence[tuple[str, str]]

logger = logging.getLogger("compositor")


def stitch(
    photos: Iterable[Source],
    *,
    masks: Masks | None = None,
    feature_masks: Masks | None = None,
    show_masks: Masks | None = None,
    matcher: Matcher | None = None,
    refine: Refine | None = None,
    approve: Approve | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> Panorama:
    """Turn overlapping photos into one picture.

    Parameters
    ----------
    photos : iterable of path, (h, w[, c]) array or Photo
        In any order; arrays are RGB. What cannot be read or does not belong is left out, and ``left_out`` of the result says why.
    masks : iterable of path, (h, w) array or None, optional
        What of each photo may be looked at and shown: as many as photos, white or true where it may, None for a photo without mask.
        What is hidden shows nowhere: where no other photo covers it, the panorama stays empty.
    feature_masks : iterable of path, (h, w) array or None, optional
        What of each photo may be looked at to find out where the photos look; what they hide is shown all the same.
    show_masks : iterable of path, (h, w) array or None, optional
        Where each photo is to be shown, white or true, whatever the others show there; the seams go round it.
    matcher : callable, optional
        Finds what two photos have in common, in place of our features: called as matcher(first, second) with two ``Photo`` and returns
        ``Correspondences``, or its two arrays of points, in px of the full-size photos. It is called once for every pair of photos,
        one call after the other, from the thread that calls ``stitch``. What it finds is checked and refined like our own matches.
    refine : callable, optional
        Takes a second look at every seam: called with ``Layers`` of a part of it, returns their composite, (h, w, 3) float32, such as
        ``compositor.close_seam`` or a refiner of ``compositor.learned``. Taken where the seam then shows less.
    approve : callable, optional
        Called with the panorama's ``Canvas``, before cropping, when the photos are registered and nothing has been drawn yet. What it
        raises ends the work.
    progress : callable, optional
        Called as progress(stage, done, total) while work goes on.
    **options
        Fields of ``compositor.options.StitchOptions``, such as ``projection="cylindrical"``.

    Returns
    -------
    Panorama

    Raises
    ------
    OptionError
        There is no such option, or no such value; a mask does not fit; what ``matcher`` returned is no correspondences.
    TooFewPhotosError
        Fewer than two readable photos overlap.
    LimitError
        The panorama would need more memory than it may take.
    """
    chosen, clock = StitchOptions.of(options), StageClock(progress)
    _check_refine(refine, chosen)
    with limit_threads(chosen.threads), load_ahead():
        sources = _listed(photos)
        opened, unreadable = _open(sources, clock)
        shown = _masked(opened, sources, masks, "masks")
        looked_at = _masked(shown, sources, feature_masks, "feature_masks")
        registration = _register(looked_at, unreadable, chosen, matcher, clock)
        shown = _masked(shown, sources, show_masks, "show_masks", with_wishes)
        return _compose(registration, one_photo_per_camera(registration, shown), chosen, clock, refine=refine, approve=approve)


def register(
    photos: Iterable[Source],
    *,
    masks: Masks | None = None,
    matcher: Matcher | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> Registration:
    """Find out where every photo looks.

    Parameters
    ----------
    photos : iterable of path, (h, w[, c]) array or Photo
        As for ``stitch``.
    masks : iterable of path, (h, w) array or None, optional
        What of each photo may be looked at, as the ``feature_masks`` of ``stitch``.
    matcher : callable, optional
        As for ``stitch``.
    progress : callable, optional
        Called as progress(stage, done, total) while work goes on.
    **options
        Fields of ``compositor.options.RegisterOptions``.

    Returns
    -------
    Registration

    Raises
    ------
    OptionError
        There is no such option, or no such value; a mask does not fit; what ``matcher`` returned is no correspondences.
    TooFewPhotosError
        Fewer than two readable photos overlap.
    """
    chosen, clock = RegisterOptions.of(options), StageClock(progress)
    with limit_threads(chosen.threads):
        sources = _listed(photos)
        opened, unreadable = _open(sources, clock)
        return _register(_masked(opened, sources, masks, "masks"), unreadable, chosen, matcher, clock)


def compose(
    registration: Registration,
    photos: Iterable[Source],
    *,
    masks: Masks | None = None,
    show_masks: Masks | None = None,
    photometry: Photometry | None = None,
    refine: Refine | None = None,
    approve: Approve | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> Panorama:
    """Draw the panorama of photos whose registration is known.

    Parameters
    ----------
    registration : Registration
        From ``register``, or ``Registration.load``.
    photos : iterable of path, (h, w[, c]) array or Photo
        The registered photos, or other frames, masks, depths or sizes of them: found by name, or taken in order when there are as
        many as cameras. Others are not used.
    masks : iterable of path, (h, w) array or None, optional
        What of each photo may be shown: as many as photos, white or true where it may, None for a photo without mask.
    show_masks : iterable of path, (h, w) array or None, optional
        Where each photo is to be shown, as for ``stitch``.
    photometry : Photometry, optional
        What to do to the photos' light, from another panorama of them or ``Photometry.load``, found in the same way; by default it is
        estimated as the option ``exposure`` says.
    refine, approve : callable, optional
        As for ``stitch``.
    progress : callable, optional
        Called as progress(stage, done, total) while work goes on.
    **options
        Fields of ``compositor.options.ComposeOptions``.

    Returns
    -------
    Panorama

    Raises
    ------
    OptionError
        There is no such option, or no such value; a mask does not fit.
    ReadError
        A registered photo cannot be read.
    RegistrationFileError, PhotometryFileError
        The photos do not fit the registration or the photometry.
    LimitError
        The panorama would need more memory than it may take.
    """
    if not isinstance(registration, Registration):
        raise OptionError(f"registration is a {type(registration).__name__}; give one from register or Registration.load")
    chosen, clock = ComposeOptions.of(options), StageClock(progress)
    _check_refine(refine, chosen)
    with limit_threads(chosen.threads):
        sources = _listed(photos)
        opened, unreadable = _open(sources, clock)
        opened = _masked(opened, sources, masks, "masks")
        opened = _masked(opened, sources, show_masks, "show_masks", with_wishes)
        for name, reason in unreadable:
            if any(camera.name == name for camera in registration.cameras):
                raise ReadError(f"{name}: {reason}; the registration needs it", path=name)
        used = one_photo_per_camera(registration, opened)
        reasons = dict(registration.left_out)
        unused = [(p.name, reasons.get(p.name, "it is not in the registration")) for p in opened if not any(p is u for u in used)]
        _warn(unused)
        fitting = registration.fitted_to([(photo.name, photo.size) for photo in used])
        light = photometry and photometry.fitted_to([photo.name for photo in used])
        return _compose(dataclasses.replace(fitting, left_out=(*unreadable, *unused)), used, chosen, clock, light, refine, approve)


def correct(
    photo: Source,
    *,
    registration: Registration | None = None,
    photometry: Photometry | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> Panorama:
    """Free a photo from its lens's distortion and vignetting, and change its exposure.

    Parameters
    ----------
    photo : path, (h, w[, c]) array or Photo
    registration : Registration, optional
        Tells the lens: that of the photo of the same name, or the one that all its photos share.
    photometry : Photometry, optional
        Tells exposure, white balance and vignetting of the photo of this name, or the vignetting that all its photos share.
    progress : callable, optional
        Called as progress(stage, done, total) while work goes on.
    **options
        Fields of ``compositor.options.CorrectOptions``: the same in numbers.

    Returns
    -------
    Panorama
        Of one photo, as large as it; empty where the photo does not reach.

    Raises
    ------
    OptionError
        There is no such option, or no such value, or two sources of the same.
    ReadError
        The photo cannot be read.
    RegistrationFileError, PhotometryFileError
        They hold neither the photo nor a single lens.
    """
    from compositor.compose import correct_photo, lens_of, light_of

    chosen, clock = CorrectOptions.of(options), StageClock(progress)
    with limit_threads(chosen.threads):
        clock("read", 0, 1)
        opened = open_source(photo)
        lens, light = lens_of(opened, registration, chosen), light_of(opened, photometry, chosen)
        return dataclasses.replace(correct_photo(opened, lens, light, chosen, clock), seconds=clock.seconds())


def map_seams(
    panorama: Panorama, photos: Iterable[Source], *, masks: Masks | None = None, progress: Progress | None = None
) -> NDArray[np.uint8]:
    """Where the seams of a panorama show.

    Parameters
    ----------
    panorama : Panorama
        From ``stitch`` or ``compose``.
    photos : iterable of path, (h, w[, c]) array or Photo
        What it was made of.
    masks : iterable of path, (h, w) array or None, optional
        As it was made with.
    progress : callable, optional
        Called as progress(stage, done, total) while work goes on.

    Returns
    -------
    (h, w) uint8
        Steps from pixel to pixel beside a seam that neither photo has, in 32nds of a level of 8 bits, at most 255; 0 away from seams.

    Raises
    ------
    OptionError
        A mask does not fit.
    RegistrationFileError
        A photo is missing.
    """
    from compositor.compose.seam_map import draw_seam_map

    clock = StageClock(progress)
    sources = _listed(photos)
    opened, _ = _open(sources, clock)
    used = one_photo_per_camera(panorama.registration, _masked(opened, sources, masks, "masks"))
    return draw_seam_map(panorama, used, clock)


def _check_refine(refine: object, options: ComposeOptions) -> None:
    """Refuse what cannot refine, and blends that a second look at seams would undo."""
    if refine is None:
        return
    if not callable(refine):
        raise OptionError(f"refine is a {type(refine).__name__}; give a callable such as compositor.close_seam")
    if options.blend in ("feather", "poisson"):
        raise OptionError(
            f"blend={options.blend!r} does not go with refine, which draws photos anew beside seams; take blend='multiband' or blend='none'"
        )


def _listed(sources: Iterable[Source]) -> list[Source]:
    """All sources of photos, and no single one."""
    if isinstance(sources, str | bytes | os.PathLike | np.ndarray | Photo) or not isinstance(sources, Iterable):
        raise OptionError(f"photos is one {type(sources).__name__}; give a list of paths, arrays or photos")
    return list(sources)


def _open(sources: Sequence[Source], clock: StageClock) -> tuple[list[Photo], LeftOut]:
    """Photos that can be read, and name and reason of those that cannot."""
    clock("read", 0, len(sources))
    return open_photos(sources)


def _masked(photos: list[Photo], sources: Sequence[Source], masks: Masks | None, called: str, use: UseMasks = with_masks) -> list[Photo]:
    """The photos with their masks put to use; there is one mask for every source, also for those that could not be opened."""
    return photos if masks is None else use(photos, masks_by_name(photo_names(sources), masks, called))


def _register(
    photos: list[Photo], unreadable: LeftOut, options: RegisterOptions, matcher: Matcher | None, clock: StageClock
) -> Registration:
    """The photos' registration, which also knows the photos that could not be opened."""
    from compositor.register import register_photos

    try:
        registration = register_photos(photos, options, matcher=matcher, progress=clock)
    except TooFewPhotosError as error:
        if len(photos) > 1:  # that a single one is alone is what the error says
            _warn(error.left_out)
        raise TooFewPhotosError(str(error), left_out=(*unreadable, *error.left_out)) from error
    _warn(registration.left_out)
    for doubt in registration.doubts:
        logger.warning("%s", doubt)
    return dataclasses.replace(registration, left_out=(*unreadable, *registration.left_out))


def _warn(left_out: LeftOut) -> None:
    """One warning for each photo that could be opened and is left out all the same; opening warned of the others."""
    for name, reason in left_out:
        logger.warning("%s: %s; it is left out", name, reason)


def _compose(
    registration: Registration,
    photos: Sequence[Photo],
    options: ComposeOptions,
    clock: StageClock,
    photometry: Photometry | None = None,
    refine: Refine | None = None,
    approve: Approve | None = None,
) -> Panorama:
    """The panorama, which also knows how long everything took."""
    from compositor.compose import compose_photos

    try:
        panorama = compose_photos(registration, photos, options, photometry=photometry, refine=refine, approve=approve, progress=clock)
    except CompositorError as error:
        error.left_out = error.left_out or registration.left_out
        raise
    return dataclasses.replace(panorama, seconds=clock.seconds())


def one_photo_per_camera(registration: Registration, photos: Sequence[Photo]) -> list[Photo]:
    """The photo of every camera: by name, or by order when no name is known and there are as many photos as cameras.

    Raises
    ------
    RegistrationFileError
        There is none for some camera.
    """
    cameras = registration.cameras
    counts = Counter(photo.name for photo in photos)
    missing = [camera.name for camera in cameras if counts[camera.name] != 1]
    if missing and (len(photos) != len(cameras) or len(missing) < len(cameras)):
        raise RegistrationFileError(
            f"{counted(len(cameras), 'photo is', 'photos are')} registered, {counted(len(photos), 'was', 'were')} given, "
            f"and among these is not, or more than once, {first_names(missing)}; "
            f"give photos of these names, or {len(cameras)} of other names in the same order"
        )
    if missing:
        logger.warning(
            "no photo has a name of the registration's; they are taken in the order given, %s for %s", photos[0].name, cameras[0].name
        )
    by_name = {photo.name: photo for photo in photos}
    chosen = list(photos) if missing else [by_name[camera.name] for camera in cameras]
    return chosen
