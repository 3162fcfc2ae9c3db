"""What parallax leaves apart at a seam, closed: optical flow between two pictures, full at the seam and faded out behind it.

The flow is found by dense inverse search (Kroeger, Timofte, Dai and Van Gool, «Fast optical flow using dense inverse search», ECCV 2016) on
gray pictures of one tone. It is believed where going there and back ends where it began, and where it makes the pictures agree better;
elsewhere it is filled in from there. Geometry at the seam becomes that of the reference; behind it the new picture goes
over into its own, no faster than a gentle stretch.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from compositor.compose.layers import Layers

__all__ = ["close_gaps", "warp_by"]

Floats = NDArray[np.float32]

CONTEXT = 32
"""Pixels beside what is bent that the flow may look at."""
REACH, STRETCH = 8.0, 3.0
"""The flow has faded out this many px behind the seam, and this many more for each px of its size."""
FARTHEST = 48.0
"""Beyond as many px the flow is not looked for."""
RETURNS = 0.7
"""Going there and back may end as many px, and a tenth of the way, from where it began."""
BETTER = 0.8
"""Of the difference between the pictures, squared, what may at most be left where the flow is believed."""
SMOOTH, WINDOW = 4.0, 5.0
"""Standard deviations, px, over which the flow is smoothed and differences are averaged."""
LEAST = 0.15
"""Flows that are smaller everywhere, px, are not worth the blur of drawing the picture again."""


def close_gaps(layers: Layers) -> Floats:
    """Where the pixels of ``new`` are to be taken from, so that it continues ``reference`` across the seam.

    Parameters
    ----------
    layers : Layers
        Of one tone.

    Returns
    -------
    (h, w, 2) float32
        To be added to x and y, px; zero away from the seam, outside ``owner`` too far to matter, and where nothing is gained.
    """
    flow = np.zeros((*layers.owner.shape, 2), np.float32)
    ring = layers.overlap & (layers.inside <= FARTHEST) & (layers.outside <= FARTHEST / 2)
    box = _box_of(ring, CONTEXT)
    if box is None:
        return flow
    first, second = _gray(layers, box)
    there, back = _search(first, second), _search(second, first)
    sure = _believe(first, second, there, back) * ring[box]
    total = _blur(sure, SMOOTH)
    smooth = _blur(there * sure[..., None], SMOOTH) / np.maximum(total, 1e-6)[..., None]
    smooth *= np.minimum(total / 0.25, 1)[..., None]
    inside, near = layers.inside[box], ring[box] & (layers.inside[box] + layers.outside[box] <= REACH)
    size = float(np.sqrt((smooth[near] ** 2).sum(axis=1).mean())) if near.any() else 0.0
    if size < LEAST:
        return flow
    left = 1 - np.clip(inside / (REACH + STRETCH * size), 0, 1)
    flow[box] = smooth * (left * left * (3 - 2 * left))[..., None]
    return flow


def warp_by(flow: Floats, picture: Floats) -> Floats:
    """A picture (h, w, 3) taken from where a flow (h, w, 2) says, px; untouched, to the bit, where the flow is zero."""
    moved = (flow != 0).any(axis=2)
    box = _box_of(moved, 0)
    if box is None:
        return picture
    out = picture.copy()
    y, x = np.mgrid[box].astype(np.float32)
    drawn = cv2.remap(picture, x + flow[box][..., 0], y + flow[box][..., 1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    np.copyto(out[box], drawn, where=moved[box][..., None])
    return out


def _box_of(mask: NDArray[np.bool_], margin: int) -> tuple[slice, slice] | None:
    """The rows and columns that hold all that is true, and a margin."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return None
    return slice(max(rows[0] - margin, 0), rows[-1] + 1 + margin), slice(max(columns[0] - margin, 0), columns[-1] + 1 + margin)


def _gray(layers: Layers, box: tuple[slice, slice]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Both pictures in gray; where one has nothing it continues with the other, so that nothing moves there."""
    first, second = (
        np.clip(cv2.cvtColor(np.ascontiguousarray(picture[box]), cv2.COLOR_RGB2GRAY) * 255 + 0.5, 0, 255).astype(np.uint8)
        for picture in (layers.reference, layers.new)
    )
    reference_valid, new_valid = layers.reference_valid[box], layers.new_valid[box]
    return np.where(reference_valid, first, second), np.where(new_valid, second, first)


def _search(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> Floats:
    """Where the pixels of the first picture are in the second: (h, w, 2), px."""
    search = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    search.setFinestScale(0)
    return np.asarray(search.calc(first, second, None), np.float32)


def _believe(first: NDArray[np.uint8], second: NDArray[np.uint8], there: Floats, back: Floats) -> Floats:
    """How sure the flow is, 0 or 1, at every pixel."""
    y, x = np.mgrid[: first.shape[0], : first.shape[1]].astype(np.float32)
    to_x, to_y = x + there[..., 0], y + there[..., 1]
    end = there + cv2.remap(back, to_x, to_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    returns = np.hypot(end[..., 0], end[..., 1]) < RETURNS + 0.1 * np.hypot(there[..., 0], there[..., 1])
    one, other = first.astype(np.float32), second.astype(np.float32)
    moved = cv2.remap(other, to_x, to_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    before, after = _blur((one - other) ** 2, WINDOW), _blur((one - moved) ** 2, WINDOW)
    return (returns & (after < BETTER * before)).astype(np.float32)


def _blur(picture: Floats, sigma: float) -> Floats:
    """Gaussian blur by some standard deviation, px."""
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE), np.float32)
