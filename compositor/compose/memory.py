"""How much memory composing takes, known before any of it is taken."""

from __future__ import annotations

import dataclasses
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from typing import Any

import numpy as np

from compositor.compose.canvas import plan_canvas, plan_reduction, reduced_canvas
from compositor.compose.early import most_early
from compositor.compose.layers import Refine
from compositor.compose.opened import needed_whole
from compositor.compose.small import plan_box
from compositor.compose.surroundings import MOST_BYTES, MOST_OPEN, most_kept
from compositor.compose.tiles import BLOCK, MARGIN, tile_side
from compositor.compose.warp import Box
from compositor.compose.windows import LARGEST
from compositor.errors import LimitError
from compositor.images import is_masked
from compositor.memory import SHARE, available_memory
from compositor.options import ComposeOptions, PictureSize
from compositor.registration import Registration
from compositor.types import Canvas, Photo

__all__ = ["Demands", "Holding", "choose_holding", "estimate_memory"]

MEGABYTE = 10**6
LIBRARIES = 270 * MEGABYTE
"""The interpreter with OpenCV, Numba and SciPy, their compiled kernels, and what finding the cameras left behind."""
SMALLEST_SCALE = 0.01
"""Nobody wants less."""
FEWEST = 4
"""Photos that must be held at least where four corners meet."""
WINDOW = 250
"""Bytes for each pixel of a window in which a seam is looked at again: four photos drawn, both layers' distances, what is made of them."""
NETWORK = 350 * MEGABYTE
"""PyTorch, and what a network of ours holds of the tiles that it looks at."""


@dataclasses.dataclass(frozen=True)
class Holding:
    """Where a panorama is held while it is made, and how many photos beside it.

    Parameters
    ----------
    on_disk : bool
        In temporary files rather than in memory.
    photos : int or None
        Decoded photos at a time; None for as many as save decoding any twice.
    """

    on_disk: bool = False
    photos: int | None = None


@dataclasses.dataclass(frozen=True)
class Demands:
    """What is asked of composing besides its options, as far as it takes memory.

    Parameters
    ----------
    masked : bool
        Photos have masks of the user's.
    wished : bool
        Photos have masks of what must be shown.
    refined : bool
        Seams are looked at again.
    """

    masked: bool = False
    wished: bool = False
    refined: bool = False

    @classmethod
    def of(cls, photos: Sequence[Photo], refine: Refine | None) -> Demands:
        """What photos and a refiner ask for."""
        return cls(any(map(is_masked, photos)), any(photo.wish is not None for photo in photos), refine is not None)


def estimate_memory(
    registration: Registration,
    canvas: Canvas,
    options: ComposeOptions,
    dtype: np.dtype[Any],
    *,
    demands: Demands = Demands(),
    holding: Holding = Holding(),
) -> int:
    """The memory that composing will take at its peak.

    Parameters
    ----------
    registration : Registration
    canvas : Canvas
        From ``plan_canvas``.
    options : ComposeOptions
        ``threads``, ``blend``, ``seams`` and ``deghost`` are used.
    dtype : numpy.dtype
        Of the photos' pixels.
    demands : Demands
    holding : Holding
        Where the panorama is held.

    Returns
    -------
    int
        Bytes, for the whole process: libraries and the largest of what planning, rendering, refining and writing hold. Every photo is
        taken to be decoded in full, and every picture in memory to be written with alpha; JPEGs need less.
    """
    depth = np.dtype(dtype).itemsize
    width, height = canvas.size
    factor = plan_reduction(registration, canvas)
    reduced = reduced_canvas(canvas, factor)
    boxes = [plan_box(camera, reduced) for camera in registration.cameras]
    areas = [(box.right - box.left) * (box.bottom - box.top) for box in boxes]
    # Drawn and graded pixels, radii, mask, need; labels, hard composite and correction.
    plan = 34 * sum(areas) + 40 * reduced.size[0] * reduced.size[1]
    if options.blend == "feather":
        plan += 20 * sum(areas)  # shares, and distances
    elif options.blend == "poisson":
        plan += 12 * sum(areas) + 200 * reduced.size[0] * reduced.size[1]  # offsets, ties and what conjugate gradients hold
    if options.deghost or options.seams == "graphcut":
        plan += 6 * sum(areas)  # reluctance, and that of the halves; the votes are gone when most is held
    largest = max(camera.size[0] * camera.size[1] for camera in registration.cameras)
    photo = largest * 3 * depth
    # Two masks, one of them also as it is read, in colours and gray; and a photo's colours that go on beyond it.
    masks = largest * 6 + photo if demands.masked else 0
    if demands.wished:
        plan += 4 * sum(areas)  # what is wanted, and the masks without it, once more in halves
    workers = options.threads or os.cpu_count() or 1
    # Its pieces, the source pixels, picture, pyramids or sums.
    side = tile_side(factor)
    margins = 2 * MARGIN * factor
    # Where the canvas wraps, tiles at its edges hold narrow blocks besides.
    tile = (side + margins) * (side + margins + 2 * BLOCK * factor * canvas.wraps) * (96 if options.blend == "feather" else 80)
    # Those of the tiles at work come on top of those that are held for tiles to come, and one is being decoded.
    # Those that were decoded early begin first along the line on which tiles advance: while one waits for its tiles only such are open.
    whole = sum(needed_whole(camera, canvas) for camera in registration.cameras)
    early = min(most_early(workers, few=holding.photos is not None), whole)
    photos = (holding.photos + workers if holding.photos else max(early, most_at_once(boxes, reduced.size, side // factor))) + 1
    panorama = 0 if holding.on_disk else width * height * (3 * depth + 2)
    # A photo that is being decoded exists twice, as its file has it and as RGB; each worker of the plan decodes one. What is wanted of a
    # photo is decoded from a mask: as gray, as yes or no and as a picture.
    wished = 3 * largest if demands.wished else 0
    drawing = min(workers, len(areas)) * max(2 * photo + masks, wished)
    # Photos are decoded early once all are drawn, and held; what is wanted of others is drawn meanwhile.
    planning = plan + max(drawing, early * photo + max(min(workers, early) * (photo + masks), min(workers, len(areas)) * wished))
    kept = most_kept(photo) * photo if demands.refined and not holding.photos else 0
    rendering = plan + panorama + min(photos, len(areas) + 1) * photo + kept + masks + workers * tile
    refining = plan + panorama + masks + mending_memory(photo, len(areas)) if demands.refined else 0
    # The picture with its alpha, and its file; from disk it is written strip by strip.
    writing = 0 if holding.on_disk else panorama + 2 * width * height * 4 * depth
    # Whoever refines by a network has loaded what it takes.
    loaded = NETWORK if demands.refined and "torch" in sys.modules else 0
    return int(LIBRARIES + loaded + max(planning, rendering, refining, writing))


def mending_memory(photo: int, photos: int) -> float:
    """Bytes that looking at seams again holds beside the panorama, given those of a decoded photo and how many there are."""
    # Where photos are large no more than two stay open, and one more is being decoded.
    held = min(min(MOST_OPEN, photos) * photo, max(2 * photo, MOST_BYTES + photo))
    return WINDOW * LARGEST**2 + held + photo


def most_at_once(boxes: Sequence[Box], size: tuple[int, int], tile: int) -> int:
    """Photos that are open at a time when tiles are rendered along the shorter side of a reduced canvas first."""
    axis = 0 if size[0] >= size[1] else 1
    count = np.zeros(size[axis] + 1, np.int64)
    for box in boxes:
        first, last = box[axis] // tile * tile, box[axis + 2]
        whole = last > size[axis]  # round the back: needed at the first column and at the last one
        count[0 if whole else max(0, first - tile)] += 1
        count[size[axis] if whole else last] -= 1
    return int(np.cumsum(count).max())


def choose_holding(
    registration: Registration, canvas: Canvas, options: ComposeOptions, dtype: np.dtype[Any], *, demands: Demands = Demands()
) -> Holding:
    """Hold a panorama in memory if it fits there, else on disk with as many photos as fit.

    Parameters
    ----------
    registration, canvas, options, dtype, demands
        As for ``estimate_memory``.

    Returns
    -------
    Holding

    Raises
    ------
    LimitError
        Not even that fits into the memory that is allowed, or the disk has no room; with what is needed.
    """
    allowed = options.max_memory * MEGABYTE or SHARE * available_memory()

    def needed(holding: Holding) -> int:
        return estimate_memory(registration, canvas, options, dtype, demands=demands, holding=holding)

    if needed(Holding()) <= allowed:
        return Holding()
    least = Holding(on_disk=True, photos=FEWEST)
    if needed(least) > allowed:
        smaller = _what_fits(registration, options, dtype, allowed, demands)
        raise LimitError(
            f"a {canvas.projection} panorama of {canvas.size[0]} x {canvas.size[1]} pixels needs {needed(least) / MEGABYTE:.0f} MB of "
            f"memory, {allowed / MEGABYTE:.0f} MB are allowed; try "
            + (f"{smaller}, another projection=" if smaller else "fewer threads= (no scale= is small enough)")
            + (", no refine=," if demands.refined else "")
            + " or a larger max_memory="
        )
    check_disk(canvas, np.dtype(dtype))
    photos = FEWEST
    while photos < len(registration.cameras) and needed(Holding(on_disk=True, photos=photos + 1)) <= allowed:
        photos += 1
    return Holding(on_disk=True, photos=photos)


def check_disk(canvas: Canvas, dtype: np.dtype[Any]) -> None:
    """Refuse a panorama that is too large for the folder of temporary files.

    Raises
    ------
    LimitError
        With what is needed and free.
    """
    folder = tempfile.gettempdir()
    needed, free = canvas.size[0] * canvas.size[1] * (3 * dtype.itemsize + 2), shutil.disk_usage(folder).free
    if needed > free:
        raise LimitError(
            f"a panorama of {canvas.size[0]} x {canvas.size[1]} pixels needs {needed / MEGABYTE:.0f} MB in the folder for temporary files, "
            f"{folder}, where {free / MEGABYTE:.0f} MB are free; set TMPDIR to a folder with more room, or try a smaller scale="
        )


def _what_fits(registration: Registration, options: ComposeOptions, dtype: np.dtype[Any], allowed: float, demands: Demands) -> str | None:
    """An option with which the panorama fits into memory; None where libraries and photos alone do not."""
    factor = 0.8
    while factor * options.scale >= SMALLEST_SCALE:
        smaller, advice = _reduced(options, factor)
        canvas, least = plan_canvas(registration, smaller), Holding(on_disk=True, photos=FEWEST)
        if estimate_memory(registration, canvas, smaller, dtype, demands=demands, holding=least) <= allowed:
            return advice
        factor *= 0.8
    return None


def _reduced(options: ComposeOptions, factor: float) -> tuple[ComposeOptions, str]:
    """Options for a smaller panorama, and the one of them that makes it so."""
    if options.pixels is None:
        scale = float(f"{factor * options.scale:.2g}")
        return dataclasses.replace(options, scale=scale), f"scale={scale:g}"
    width, height = (max(1, int(side * factor)) if side else 0 for side in options.pixels)
    size = PictureSize(f"{width}x{height}" if height else f"{width}")
    return dataclasses.replace(options, size=size), f"size={size!r}"
