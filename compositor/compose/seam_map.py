"""A picture of where a panorama's seams show."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from compositor.compose.surroundings import Surroundings
from compositor.compose.visibility import Measure
from compositor.compose.windows import change_part, read_part, seam_windows
from compositor.encoding import full_scale
from compositor.panorama import Panorama
from compositor.types import Photo, Progress

__all__ = ["draw_seam_map"]

PARTS = 32
"""Gray levels of the map for a level of 8 bits: a step of 8 levels is white."""


def draw_seam_map(panorama: Panorama, photos: Sequence[Photo], progress: Progress) -> NDArray[np.uint8]:
    """Where a panorama's seams show: the steps from pixel to pixel beside them that neither photo has.

    Parameters
    ----------
    panorama : Panorama
    photos : sequence of Photo
        Those it shows, in the order of its cameras.
    progress : callable
        Told of every window along the seams, as «map».

    Returns
    -------
    (h, w) uint8
        In 32nds of a level of 8 bits, at most 255; 0 away from seams.
    """
    surroundings = Surroundings(panorama.registration.cameras, photos, panorama.canvas, panorama.photometry)
    white, (h, w) = np.float32(full_scale(panorama.pixels.dtype)), panorama.owner.shape
    shown, windows = np.zeros((h, w), np.uint8), seam_windows(panorama.owner, panorama.canvas)
    for n, window in enumerate(windows):
        progress("map", n, len(windows))
        owners, picture = (read_part(whole, window.box, panorama.canvas) for whole in (panorama.owner, panorama.pixels))
        base = picture.astype(np.float32) / white
        found = [Measure(layers).shown(base) for layers, _ in surroundings.seams(window, owners, base)]
        levels = np.rint(np.minimum(np.max(found, axis=0) * (255 * PARTS), 255)).astype(np.uint8)
        change_part(shown, window.box, panorama.canvas, np.maximum(levels, read_part(shown, window.box, panorama.canvas)))
    progress("map", len(windows), len(windows))
    return shown
