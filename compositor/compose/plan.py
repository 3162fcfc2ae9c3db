"""What is decided on the reduced canvas, before any photo is decoded in full.

The reduced canvas is level n of the blending pyramid: its pixel i lies at canvas pixel i * 2^n. On it every photo is drawn small; exposures
are matched there, seams found, and all bands of the blend that are too coarse for tiles are summed up. What the full size needs to know of
it is a label per reduced pixel, a gain per photo, a smooth correction, and where every photo can be needed at all.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Sequence
from concurrent.futures import Executor

import numpy as np
from numpy.typing import NDArray

from compositor.compose.canvas import plan_reduction, reduced_canvas
from compositor.compose.coarse import blend_coarse, count_bands, typical_overlap
from compositor.compose.exposure import estimate_photometry
from compositor.compose.grade import make_grading
from compositor.compose.needs import Need, find_needs
from compositor.compose.seams import find_seams, spread_labels
from compositor.compose.small import draw_small
from compositor.compose.warp import Sheet
from compositor.compose.warped import Warped
from compositor.compose.weigh import weigh_pixels
from compositor.encoding import full_scale
from compositor.options import ComposeOptions
from compositor.photometry import Photometry
from compositor.registration import Registration
from compositor.types import Camera, Canvas, Photo, Progress

__all__ = ["Plan", "make_plan"]

FADE = 0.5
"""Of the typical overlap's width, across how much of it feathered photos fade into each other. More shows more things twice."""


@dataclasses.dataclass(frozen=True, eq=False)
class Plan:
    """All decisions about a panorama.

    Parameters
    ----------
    canvas : Canvas
    factor : int
        Canvas pixels per pixel of the reduced canvas, a power of two.
    labels : (H, W) int16
        The photo that should own each reduced pixel; every pixel has one.
    settled : (H, W) bool
        Reduced pixels beside which the full size leaves seams where ``labels`` has them.
    photometry : Photometry
        What is done to the photos' light.
    bands : int
        Bands of the whole blend; 0 for none.
    correction : (H, W, 3) float32 or None
        The sum of the coarse bands, in units of full scale.
    shares : tuple of (h, w) float32, or None
        Of every photo in the box of its need, as ``feather_shares`` gives them; None where photos are not feathered.
    offsets : tuple of (h, w, 3) float32, or None
        What is added to every photo, in units of full scale, in the box of its need; None for nothing.
    needs : tuple of Need
        One per photo.
    """

    canvas: Canvas
    factor: int
    labels: NDArray[np.int16]
    settled: NDArray[np.bool_]
    photometry: Photometry
    bands: int
    correction: NDArray[np.float32] | None
    shares: tuple[NDArray[np.float32], ...] | None
    offsets: tuple[NDArray[np.float32], ...] | None
    needs: tuple[Need, ...]


def make_plan(
    registration: Registration,
    photos: Sequence[Photo],
    canvas: Canvas,
    options: ComposeOptions,
    pool: Executor,
    progress: Progress,
    *,
    photometry: Photometry | None = None,
    meanwhile: Callable[[], object] | None = None,
) -> Plan:
    """Decide everything about a panorama that can be seen small.

    Parameters
    ----------
    registration : Registration
    photos : sequence of Photo
        In the order of the registration's cameras.
    canvas : Canvas
    options : ComposeOptions
    pool : Executor
        Works on a photo at a time.
    progress : Progress
    photometry : Photometry or None
        What to do to the photos' light; None to find out.
    meanwhile : callable, optional
        Called when all photos are drawn small; what then remains to be done leaves most threads idle.

    Returns
    -------
    Plan
    """
    factor = plan_reduction(registration, canvas)
    reduced = reduced_canvas(canvas, factor)
    sheet, (width, height) = Sheet.of(reduced), reduced.size
    warped, outlines = [], []
    for photo, outline in pool.map(draw_small, registration.cameras, photos, itertools.repeat(sheet)):
        warped.append(photo)
        outlines.append(outline)
        progress("plan", len(warped), len(photos))
    if meanwhile is not None:
        meanwhile()
    matched = photometry is not None or options.exposure != "none"
    if photometry is None:
        photometry = _measure_light(registration, photos, warped, reduced, options)
    graded = list(pool.map(_graded, warped, itertools.count(), registration.cameras, itertools.repeat(photometry)))
    # Where light is not matched, photos differ everywhere: how far does not tell what burning lost.
    if options.seams == "graphcut" and matched:
        graded = weigh_pixels(warped, graded, photometry, reduced, pool, ends=full_scale(photos[0].dtype) > 1)
    warped, led = graded, factor > 1 and options.seams == "graphcut" and options.blend != "feather"
    settled = np.full((height, width), not led)
    if options.deghost:
        from compositor.compose.ghosts import vote_out_guests

        warped, guests = vote_out_guests(warped, reduced)
        settled |= guests
    to_cut = warped
    if wishes := _wishes(registration, photos, sheet, pool):
        from compositor.compose.wishes import grant_wishes

        to_cut, wanted = grant_wishes(warped, wishes, reduced)
        settled |= wanted
    labels = find_seams(to_cut, (width, height), wraps=reduced.wraps, method=options.seams, pool=pool)
    labels = spread_labels(labels, reduced.wraps)
    levels, bands, correction, shares, offsets = factor.bit_length() - 1, 0, None, None, None
    if options.blend == "multiband":
        bands = count_bands(typical_overlap(warped, reduced) * factor)
        correction = blend_coarse(warped, labels, reduced, levels, bands - levels, pool) if bands > levels else None
    elif options.blend == "feather":
        from compositor.compose.feather import feather_shares

        shares = tuple(feather_shares(warped, labels, reduced, FADE * typical_overlap(warped, reduced)))
    elif options.blend == "poisson":
        from compositor.compose.poisson import poisson_offsets

        # What photos still differ in is finer than a reduced pixel.
        bands, offsets = levels, tuple(poisson_offsets(warped, labels, reduced))
    needs = find_needs(outlines, labels, shares, reduced.wraps)
    return Plan(canvas, factor, labels, settled, photometry, bands, correction, shares, offsets, needs)


def _wishes(registration: Registration, photos: Sequence[Photo], sheet: Sheet, pool: Executor) -> dict[int, NDArray[np.bool_]]:
    """Where on the reduced canvas photos must be shown, in their frames, by index."""
    asked = {k: photo.wish for k, photo in enumerate(photos) if photo.wish is not None}
    drawn = pool.map(draw_small, [registration.cameras[k] for k in asked], asked.values(), itertools.repeat(sheet))
    return {k: wish.mask & (wish.pixels[..., 0] >= 0.5) for k, (wish, _) in zip(asked, drawn, strict=True)}


def _measure_light(
    registration: Registration, photos: Sequence[Photo], warped: Sequence[Warped], canvas: Canvas, options: ComposeOptions
) -> Photometry:
    """What has to be done to the photos' light, as far as the options want it done."""
    names = [camera.name for camera in registration.cameras]
    if options.exposure == "none":
        return Photometry.neutral(names)
    # A camera's lens shades portraits as it does landscapes.
    lenses = [(photo.camera_key, *sorted(photo.size)) for photo in photos] if options.exposure == "full" else []
    exposures = [photo.exposure for photo in photos]
    return estimate_photometry(names, warped, canvas.size[0], canvas.wraps, exposures=exposures, lenses=lenses)


def _graded(photo: Warped, index: int, camera: Camera, photometry: Photometry) -> Warped:
    """A photo on the reduced canvas with its exposure matched; nobody asks for radii any more."""
    grading = make_grading(photometry, index, camera, np.dtype(np.float32), small=True)
    if grading is None or photo.radii is None:
        return photo
    return dataclasses.replace(photo, pixels=np.clip(grading.grade_scattered(photo.pixels, photo.radii), 0, 1), radii=None)
