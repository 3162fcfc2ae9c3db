"""How much memory composing takes, known before any of it is taken."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any

import numpy as np

from compositor.compose.canvas import footprint, plan_canvas, plan_reduction, reduced_canvas
from compositor.compose.plan import plan_box
from compositor.compose.tiles import TILE
from compositor.errors import LimitError
from compositor.options import ComposeOptions
from compositor.registration import Registration
from compositor.types import Canvas

__all__ = ["available_memory", "check_memory", "estimate_memory"]

MEGABYTE = 10**6
LIBRARIES = 200 * MEGABYTE
"""The interpreter with OpenCV, Numba and SciPy."""
SMALLEST_SCALE = 0.01
"""Nobody wants less."""
UNKNOWN = 4000 * MEGABYTE
"""What a machine is taken to have that does not tell."""


def estimate_memory(
    registration: Registration, canvas: Canvas, options: ComposeOptions, dtype: np.dtype[Any], *, masked: bool = False
) -> int:
    """The memory that composing will take at its peak.

    Parameters
    ----------
    registration : Registration
    canvas : Canvas
        From ``plan_canvas``.
    options : ComposeOptions
        ``threads`` is used.
    dtype : numpy.dtype
        Of the photos' pixels.
    masked : bool
        Photos have masks of the user's.

    Returns
    -------
    int
        Bytes, for the whole process: libraries and the largest of what planning, rendering and writing hold. Every photo is taken to
        be decoded in full, and every picture to be written with alpha; JPEGs need less.
    """
    depth = np.dtype(dtype).itemsize
    width, height = canvas.size
    factor = plan_reduction(registration, canvas)
    reduced = reduced_canvas(canvas, factor)
    boxes = [plan_box(footprint(camera, canvas.projection), reduced) for camera in registration.cameras]
    areas = [(box.right - box.left) * (box.bottom - box.top) for box in boxes]
    # Drawn and graded pixels, radii, mask, need; labels, hard composite and correction.
    plan = 34 * sum(areas) + 40 * reduced.size[0] * reduced.size[1]
    largest = max(camera.size[0] * camera.size[1] for camera in registration.cameras)
    photo = largest * 3 * depth
    # Two masks, one of them also as it is read, in colours and gray; and a photo's colours that go on beyond it.
    masks = largest * 6 + photo if masked else 0
    workers = options.threads or os.cpu_count() or 1
    # A tile at work: its pieces, the source pixels, picture, pyramids. The front: as many tiles as two photos' heights, two abreast.
    tile = (TILE + 8 * factor) ** 2
    tallest = max(box.bottom - box.top for box in boxes) * factor
    waiting = 2 * (tallest // TILE + 2) * tile * 13
    panorama = width * height * (3 * depth + 2)
    # A photo that is being decoded exists twice, as its file has it and as RGB; each worker of the plan decodes one.
    planning = plan + 2 * min(workers, len(areas)) * (photo + masks / 2)
    rendering = plan + panorama + 3 * photo + masks + workers * tile * 80 + waiting
    # The picture with its alpha, and its file.
    writing = panorama + 2 * width * height * 4 * depth
    return int(LIBRARIES + max(planning, rendering, writing))


def available_memory() -> int:
    """Bytes that this machine could still give to a process."""
    meminfo = Path("/proc/meminfo")
    if meminfo.exists():
        for line in meminfo.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return UNKNOWN


def check_memory(
    registration: Registration, canvas: Canvas, options: ComposeOptions, dtype: np.dtype[Any], *, masked: bool = False
) -> None:
    """Refuse a canvas that does not fit into memory.

    Raises
    ------
    LimitError
        With what is needed and allowed.
    """
    needed = estimate_memory(registration, canvas, options, dtype, masked=masked)
    allowed = options.max_memory * MEGABYTE or 0.75 * available_memory()
    if needed > allowed:
        scale = _scale_that_fits(registration, options, dtype, allowed, masked)
        raise LimitError(
            f"a {canvas.projection} panorama of {canvas.size[0]} x {canvas.size[1]} pixels needs {needed / MEGABYTE:.0f} MB of memory, "
            f"{allowed / MEGABYTE:.0f} MB are allowed; try "
            + (f"--scale {scale:.2g}, another --projection" if scale else "fewer --threads (no --scale is small enough)")
            + " or a larger --max-memory"
        )


def _scale_that_fits(
    registration: Registration, options: ComposeOptions, dtype: np.dtype[Any], allowed: float, masked: bool
) -> float | None:
    """A scale whose panorama fits into memory; None where libraries and photos alone do not."""
    scale = 0.8 * options.scale
    while scale >= SMALLEST_SCALE:
        scale = float(f"{scale:.2g}")
        smaller = dataclasses.replace(options, scale=scale)
        if estimate_memory(registration, plan_canvas(registration, smaller), smaller, dtype, masked=masked) <= allowed:
            return scale
        scale *= 0.8
    return None
