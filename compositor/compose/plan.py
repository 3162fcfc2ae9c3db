"""What is decided on the reduced canvas, before any photo is decoded in full.

The reduced canvas is level n of the blending pyramid: its pixel i lies at canvas pixel i * 2^n. On it every photo is drawn small; exposures
are matched there, seams found, and all bands of the blend that are too coarse for tiles are summed up. What the full size needs to know of
it is a label per reduced pixel, a gain per photo, a smooth correction, and where every photo can be needed at all.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Sequence
from concurrent.futures import Executor

import cv2
import numpy as np
from numpy.typing import NDArray

from compositor.compose.blend import add_bands, collapse, empty_pyramid, gaussian_variance
from compositor.compose.canvas import LARGEST_SIDE, plan_reduction, reduced_canvas
from compositor.compose.exposure import estimate_photometry
from compositor.compose.footprint import TURN, Footprint, enlargement, footprint
from compositor.compose.frames import gather, goes_around
from compositor.compose.grade import make_grading, squared_radii
from compositor.compose.overlaps import overlaps
from compositor.compose.seams import find_seams
from compositor.compose.warp import Box, Sheet, draw, extend_colours, locate
from compositor.compose.warped import Warped
from compositor.encoding import full_scale
from compositor.geometry.projections import PROJECTIONS
from compositor.geometry.views import border_directions
from compositor.options import ComposeOptions
from compositor.photometry import Photometry
from compositor.registration import Registration
from compositor.types import Camera, Canvas, Photo, Progress

__all__ = ["Need", "Plan", "make_plan", "plan_box"]

Bools = NDArray[np.bool_]

UNSURE = 2
"""Reduced pixels by which the reduced outline of a photo may differ from its outline at full size."""
REACH = 6
"""Reduced pixels around a photo's labels where the full size needs it: fine bands reach 4, interpolated labels 1, and 1 to spare."""
MOST_BANDS = 8
FADE = 0.5
"""Of the typical overlap's width, across how much of it feathered photos fade into each other. More shows more things twice."""


@dataclasses.dataclass(frozen=True, eq=False)
class Need:
    """Where the full size may need a photo.

    Parameters
    ----------
    box : Box
        Of reduced pixels.
    mask : (h, w) bool
        Reduced pixels in whose neighbourhood it may show or be blended.
    """

    box: Box
    mask: Bools


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
    photometry: Photometry
    bands: int
    correction: NDArray[np.float32] | None
    shares: tuple[NDArray[np.float32], ...] | None
    offsets: tuple[NDArray[np.float32], ...] | None
    needs: tuple[Need, ...]


@dataclasses.dataclass(frozen=True, eq=False)
class _Outline:
    """Where on the reduced canvas a photo may have pixels at full size, and where it surely has."""

    box: Box
    may: Bools
    must: Bools


def plan_box(seen: Footprint | None, canvas: Canvas) -> Box:
    """The pixels of a canvas that a footprint covers, and a few more around; at least one pixel, also where there is no footprint.

    On a cyclic canvas its left lies within the canvas.
    """
    if seen is None:
        return Box(0, 0, 1, 1)
    w, h = canvas.size
    margin = UNSURE + 2
    top, bottom = math.floor(seen.top * canvas.scale - canvas.top) - margin, math.ceil(seen.bottom * canvas.scale - canvas.top) + margin + 1
    top, bottom = max(0, min(top, h - 1)), min(h, max(bottom, 1))
    start = _first_column(seen, canvas)
    left, right = math.floor(start) - margin, math.ceil(start + (seen.right - seen.left) * canvas.scale) + margin + 1
    if not canvas.wraps:
        if _at_both_ends(seen, start, canvas):
            return Box(0, top, w, bottom)
        return Box(max(0, min(left, w - 1)), top, min(w, max(right, 1)), bottom)
    if seen.full_turn or right - left >= w:
        return Box(0, top, w, bottom)
    return Box(left % w, top, left % w + right - left, bottom)


def _first_column(seen: Footprint, canvas: Canvas) -> float:
    """The column at which a footprint begins; of all turns the one that shows most of it."""
    start = seen.left * canvas.scale - canvas.left
    if not PROJECTIONS[canvas.projection].cyclic:
        return start
    turn, width = TURN * canvas.scale, (seen.right - seen.left) * canvas.scale
    gap = max(0.0, turn - canvas.size[0])  # a photo at the first column may begin a hair before it, but not beyond the middle of the gap
    start = (start + gap / 2) % turn - gap / 2
    before = start - turn  # on a canvas of less than a turn a wide photo may begin far before it
    return before if not canvas.wraps and before + width > max(0.0, min(start + width, canvas.size[0]) - max(0.0, start)) else start


def _at_both_ends(seen: Footprint, start: float, canvas: Canvas) -> bool:
    """Whether a footprint, cut by an end of a canvas of less than a turn, goes round to its other end."""
    if not PROJECTIONS[canvas.projection].cyclic:
        return False
    turn, end = TURN * canvas.scale, start + (seen.right - seen.left) * canvas.scale
    cut = start < -1e-3 or end > canvas.size[0]
    return cut and (end - turn > 0 or start + turn < canvas.size[0])


def make_plan(
    registration: Registration,
    photos: Sequence[Photo],
    canvas: Canvas,
    options: ComposeOptions,
    pool: Executor,
    progress: Progress,
    *,
    photometry: Photometry | None = None,
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
        Draws the photos.
    progress : Progress
    photometry : Photometry or None
        What to do to the photos' light; None to find out.

    Returns
    -------
    Plan
    """
    factor = plan_reduction(registration, canvas)
    reduced = reduced_canvas(canvas, factor)
    sheet, (width, height) = Sheet.of(reduced), reduced.size
    warped, outlines = [], []
    for photo, outline in pool.map(_draw_small, registration.cameras, photos, itertools.repeat(sheet)):
        warped.append(photo)
        outlines.append(outline)
        progress("plan", len(warped), len(photos))
    if photometry is None:
        photometry = _measure_light(registration, photos, warped, reduced, options)
    warped = [_graded(photo, k, camera, photometry) for k, (photo, camera) in enumerate(zip(warped, registration.cameras, strict=True))]
    labels = find_seams(warped, (width, height), wraps=reduced.wraps, method=options.seams)
    labels = spread_labels(labels, reduced.wraps)
    levels, bands, correction, shares, offsets = factor.bit_length() - 1, 0, None, None, None
    if options.blend == "multiband":
        bands = count_bands(typical_overlap(warped, reduced) * factor)
        correction = blend_coarse(warped, labels, reduced, levels, bands - levels) if bands > levels else None
    elif options.blend == "feather":
        from compositor.compose.feather import feather_shares

        shares = tuple(feather_shares(warped, labels, reduced, FADE * typical_overlap(warped, reduced)))
    elif options.blend == "poisson":
        from compositor.compose.poisson import poisson_offsets

        # What photos still differ in is finer than a reduced pixel.
        bands, offsets = levels, tuple(poisson_offsets(warped, labels, reduced))
    needs = find_needs(outlines, labels, shares, reduced.wraps)
    return Plan(canvas, factor, labels, photometry, bands, correction, shares, offsets, needs)


def _draw_small(camera: Camera, photo: Photo, sheet: Sheet) -> tuple[Warped, _Outline]:
    """A photo on the reduced canvas, encoded 0..1, exposure as it is, and its outline."""
    canvas = sheet.canvas
    box = plan_box(footprint(camera, canvas.projection), canvas)
    # A hair less than the canvas' scale, so that a JPEG decoded at 1/8 needs no resizing.
    share = (1 - 1e-6) * enlargement(camera, canvas)
    decoded = extend_colours(photo.reduced(camera.size[0] * camera.size[1] * share**2 / 1e6))
    decoded = dataclasses.replace(decoded, pixels=decoded.pixels.astype(np.float32) * np.float32(1 / full_scale(decoded.pixels.dtype)))
    places = locate(camera, decoded, sheet, box)
    pixels, mask = draw(camera, decoded, places, grading=None, smooth=False)
    pixels[~mask] = 0
    across, down = squared_radii(camera, decoded, places.map_x, places.map_y)
    touched = places.valid.copy()
    _mark_border(camera, canvas, box, touched)
    around = goes_around(box, canvas)
    outline = _Outline(box, may=_widen(touched, UNSURE, around), must=~_widen(~mask, UNSURE, around))
    return Warped(pixels, mask, (box.left, box.top), across + down), outline


def _widen(mask: Bools, reach: int, around: bool) -> Bools:
    """A mask and everything up to ``reach`` pixels from it; beyond the mask's edge is nothing, or its other side."""
    square = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
    padded = np.pad(mask, ((0, 0), (reach, reach)), mode="wrap" if around else "constant").astype(np.uint8)
    return np.asarray(cv2.dilate(padded, square, borderType=cv2.BORDER_CONSTANT, borderValue=0)[:, reach:-reach] > 0)


def _mark_border(camera: Camera, canvas: Canvas, box: Box, touched: Bools) -> None:
    """Mark the pixels nearest to a photo's border, so that one too thin to be met by any pixel centre is known all the same."""
    x, y = (PROJECTIONS[canvas.projection].locate(border_directions(camera)) * canvas.scale).T
    x, y = x - canvas.left - box.left, y - canvas.top - box.top
    if PROJECTIONS[canvas.projection].cyclic:
        x %= 2 * math.pi * canvas.scale
    known = (np.abs(x) < LARGEST_SIDE) & (np.abs(y) < LARGEST_SIDE)  # not where the surface never shows it
    columns, rows = np.rint(x[known]).astype(np.int64), np.rint(y[known]).astype(np.int64)
    if goes_around(box, canvas):
        columns %= canvas.size[0]
    on = (columns >= 0) & (columns < touched.shape[1]) & (rows >= 0) & (rows < touched.shape[0])
    touched[rows[on], columns[on]] = True


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
    """A photo on the reduced canvas with its exposure matched."""
    grading = make_grading(photometry, index, camera, np.dtype(np.float32), small=True)
    if grading is None or photo.radii is None:
        return photo
    return dataclasses.replace(photo, pixels=np.clip(grading.grade_scattered(photo.pixels, photo.radii), 0, 1))


def spread_labels(labels: NDArray[np.int16], wraps: bool) -> NDArray[np.int16]:
    """Labels whose empty pixels (-1) got the label of the nearest other one, so that every pixel has one."""
    if not (labels < 0).any():
        return labels
    if (labels < 0).all():
        return np.zeros_like(labels)
    w = labels.shape[1]
    around = np.concatenate([labels, labels, labels], axis=1) if wraps else labels
    _, nearest = cv2.distanceTransformWithLabels((around < 0).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    known = np.zeros(int(nearest.max()) + 1, np.int16)
    known[nearest[around >= 0]] = around[around >= 0]
    return np.ascontiguousarray(known[nearest][:, w : 2 * w] if wraps else known[nearest])


def typical_overlap(warped: Sequence[Warped], canvas: Canvas) -> float:
    """How wide overlaps are, reduced px: half of their area is in ones that are no wider; 0 where there is none."""
    widths, areas = [], []
    for i, first in enumerate(warped):
        for second in warped[i + 1 :]:
            for a, b in overlaps(first, second, canvas.size[0], canvas.wraps):
                both = first.mask[a] & second.mask[b]
                rows, columns = np.flatnonzero(both.any(axis=1)), np.flatnonzero(both.any(axis=0))
                if len(rows):
                    areas.append(int(both.sum()))
                    widths.append(areas[-1] / max(np.ptp(rows) + 1, np.ptp(columns) + 1))
    if not widths:
        return 0.0
    order = np.argsort(widths, kind="stable")
    middle = order[np.searchsorted(np.cumsum(np.asarray(areas)[order]), sum(areas) / 2)]
    return float(widths[middle])


def count_bands(width: float) -> int:
    """As many bands as overlaps of a width, px, have room for: the coarsest one reaches about half way across."""
    return min(MOST_BANDS, max(0, math.floor(math.log2(max(1.0, width / 8)))))


def blend_coarse(warped: Sequence[Warped], labels: NDArray[np.int16], canvas: Canvas, levels: int, bands: int) -> NDArray[np.float32]:
    """Sum of the coarse bands of the blend.

    Parameters
    ----------
    warped : sequence of Warped
        Exposures matched.
    labels : (H, W) int16
    canvas : Canvas
        The reduced one.
    levels : int
        Its level in the pyramid.
    bands : int
        Bands from that level on; what is left below them counts too.

    Returns
    -------
    (H, W, 3) float32
        In units of full scale.
    """
    width, height = canvas.size
    shares, frames = [], []
    total, picture = np.zeros((height, width, 1), np.float32), np.zeros((height, width, 3), np.float32)
    reach = 4 * 2**bands
    for k, photo in enumerate(warped):
        h, w = photo.mask.shape
        frame = Box(*photo.corner, photo.corner[0] + w, photo.corner[1] + h)
        share = _smooth_share(gather(labels, frame.grow(reach), canvas.wraps) == k, levels)
        own = share[reach:-reach, reach:-reach] * photo.mask[..., None]
        _add_at(total, own, frame, canvas.wraps)
        _add_at(picture, own * photo.pixels, frame, canvas.wraps)
        shares.append(share)
        frames.append(frame)
    picture /= np.maximum(total, 1e-6)
    correction = np.zeros_like(picture)
    for photo, share, frame in zip(warped, shares, frames, strict=True):
        both = photo.mask & (gather(total, frame, canvas.wraps)[..., 0] > 1e-6)
        difference = np.where(both[..., None], photo.pixels - gather(picture, frame, canvas.wraps), np.float32(0))
        around, grown = goes_around(frame, canvas), frame.grow(reach)
        difference = np.pad(difference, ((reach, reach), (0, 0), (0, 0)))
        difference = np.pad(difference, ((0, 0), (reach, reach), (0, 0)), mode="wrap" if around else "constant")
        sums = empty_pyramid(grown.shape, bands)
        add_bands(difference, share, sums, rest=True)
        shown = grown.clip(Box(frame.left, 0, frame.right, height) if around else Box(grown.left, 0, grown.right, height))
        _add_at(correction, collapse(sums)[shown.within(grown)], shown, canvas.wraps)
    return correction


def _smooth_share(mine: Bools, levels: int) -> NDArray[np.float32]:
    """A photo's share of every reduced pixel, (h, w, 1): its labels, blurred as much as that level of a Gaussian pyramid is."""
    part = gaussian_variance(levels) / 2
    kernel = np.array([part, 1 - 2 * part, part], np.float32)
    share = cv2.sepFilter2D(mine.astype(np.float32), -1, kernel, kernel, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(share[..., None], np.float32)


def _add_at(picture: NDArray[np.float32], part: NDArray[np.float32], box: Box, wraps: bool) -> None:
    """Add a part to a picture at a box; columns beyond its edges are dropped, or go round as often as needed."""
    w = picture.shape[1]
    for turn in range(box.left // w, -(-box.right // w)) if wraps else (0,):
        left, right = max(box.left, turn * w), min(box.right, (turn + 1) * w)
        picture[box.top : box.bottom, left - turn * w : right - turn * w] += part[:, left - box.left : right - box.left]


def find_needs(
    outlines: Sequence[_Outline], labels: NDArray[np.int16], shares: Sequence[NDArray[np.float32]] | None, wraps: bool
) -> tuple[Need, ...]:
    """Where the full size may need each photo: near its labels, where it has a share, and where it may have to stand in for another."""
    risky = np.ones_like(labels, np.bool_)
    for k, outline in enumerate(outlines):
        sure = outline.must & (gather(labels, outline.box, wraps) == k)
        rows, columns = np.nonzero(sure)
        risky[rows + outline.box.top, (columns + outline.box.left) % labels.shape[1]] = False
    needs = []
    for k, outline in enumerate(outlines):
        grown = outline.box.grow(REACH)
        own = _widen(gather(labels, grown, wraps) == k, REACH, around=False)[REACH:-REACH, REACH:-REACH]
        around = wraps and outline.box.right - outline.box.left == labels.shape[1]
        stands_in = _widen(gather(risky, outline.box, wraps) & outline.may, REACH, around)
        shared = _widen(shares[k] > 0, UNSURE, around) if shares is not None else False
        needs.append(Need(outline.box, (own | stands_in | shared) & outline.may))
    return tuple(needs)
