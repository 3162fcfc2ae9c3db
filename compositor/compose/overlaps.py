"""Places that two photos show, and how bright they are in either."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from compositor.compose.warped import Warped
from compositor.encoding import decode_srgb

__all__ = ["SATURATED", "Places", "overlaps", "shared_places", "unsaturated"]

Floats = NDArray[np.float64]
_Slices = tuple[slice, slice]

SATURATED, DARK, DARKEST = 0.97, 0.12, 0.03
"""Encoded values from which a pixel says nothing of the light; below which it says little; below which it says nothing either."""
SIDE, PER_PAIR, FEWEST_PER_PAIR, PLACES = 3, 800, 200, 30_000
"""A place is a square of so many pixels a side at least, in so many places at most: of each overlap, and of all together."""
FEWEST = 30
"""Places of an overlap below which dark ones are welcome too."""
FULL_WEIGHT = 2000
"""Pixels from which on an overlap says as much as any other: what is wrong with it is no longer noise."""


@dataclasses.dataclass(frozen=True, eq=False)
class Places:
    """Small squares that two photos show.

    Parameters
    ----------
    light : (s, 2, 3) float64
        Mean linear values, 0..1, in either photo.
    radii : (s, 2) float64
        Squared distance from either photo's principal point, in halves of its diagonal.
    pair : (s,) int64
        Row of ``pairs``, ascending.
    share : (s,) float64
        Weight; those of an overlap add up to one, or less for a small one.
    pairs : (p, 2) int64
        The photos of every overlap.
    """

    light: Floats
    radii: Floats
    pair: NDArray[np.int64]
    share: Floats
    pairs: NDArray[np.int64]


def overlaps(first: Warped, second: Warped, width: int, wraps: bool) -> Iterator[tuple[_Slices, _Slices]]:
    """Where two photos' boxes share a canvas: rows and columns in either. On a canvas that wraps there may be two such places."""
    top = max(first.corner[1], second.corner[1])
    bottom = min(first.corner[1] + first.mask.shape[0], second.corner[1] + second.mask.shape[0])
    for turn in (-width, 0, width) if wraps else (0,):
        corner = second.corner[0] + turn
        left, right = max(first.corner[0], corner), min(first.corner[0] + first.mask.shape[1], corner + second.mask.shape[1])
        if left < right and top < bottom:
            yield (
                (slice(top - first.corner[1], bottom - first.corner[1]), slice(left - first.corner[0], right - first.corner[0])),
                (slice(top - second.corner[1], bottom - second.corner[1]), slice(left - corner, right - corner)),
            )


def shared_places(warped: Sequence[Warped], width: int, wraps: bool) -> Places:
    """Squares that two photos show unsaturated, spread over all overlaps.

    Parameters
    ----------
    warped : sequence of Warped
        As the photos are, nothing matched yet.
    width : int
        Width of their canvas, px.
    wraps : bool
        Whether that canvas wraps.

    Returns
    -------
    Places
    """
    trusted = [unsaturated(photo) for photo in warped]
    found = []
    for i, first in enumerate(warped):
        for j in range(i + 1, len(warped)):
            for a, b in overlaps(first, warped[j], width, wraps):
                if pixels := int(np.count_nonzero(trusted[i][a] & trusted[j][b])):
                    found.append((i, j, a, b, pixels))
    most = max(FEWEST_PER_PAIR, min(PER_PAIR, PLACES // max(1, len(found))))
    light, radii, share = [np.zeros((0, 2, 3))], [np.zeros((0, 2))], [np.zeros(0)]
    counts: list[int] = []
    pairs: list[tuple[int, int]] = []
    for i, j, a, b, pixels in found:
        # In a small overlap single pixels have to do.
        side = max(min(SIDE, math.isqrt(pixels) // 10), math.ceil(math.sqrt(pixels / most)), 1)
        whole = _shrink((trusted[i][a] & trusted[j][b]).astype(np.float32), side) > 0.999
        values = np.stack([_shrink(photo.pixels[part], side)[whole] for photo, part in ((warped[i], a), (warped[j], b))], axis=1)
        distances = np.stack([_middles(photo.radii, part, side)[whole] for photo, part in ((warped[i], a), (warped[j], b))], axis=1)
        darkest = values.min(axis=(1, 2))
        bright = darkest > DARK if np.count_nonzero(darkest > DARK) >= FEWEST else darkest > DARKEST
        if count := int(np.count_nonzero(bright)):
            light.append(decode_srgb(values[bright].astype(np.float64)))
            radii.append(distances[bright])
            share.append(np.full(count, min(count * side**2, FULL_WEIGHT) / FULL_WEIGHT / count))
            counts.append(count)
            pairs.append((i, j))
    places = np.repeat(np.arange(len(pairs)), counts)
    return Places(np.concatenate(light), np.concatenate(radii), places, np.concatenate(share), np.array(pairs, np.int64).reshape(-1, 2))


def unsaturated(photo: Warped) -> NDArray[np.bool_]:
    """Where a photo has pixels and none of its channels is saturated."""
    red, green, blue = (photo.pixels[..., channel] < SATURATED for channel in range(3))
    return np.asarray(photo.mask & red & green & blue)


def _shrink(picture: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    """Means over squares of a picture; what does not fill a square at its right and bottom is left out."""
    if side == 1:
        return picture
    h, w = picture.shape[0] // side, picture.shape[1] // side
    if not (h and w):
        return np.zeros((h, w, *picture.shape[2:]), np.float32)
    return np.asarray(cv2.resize(picture[: h * side, : w * side], (w, h), interpolation=cv2.INTER_AREA), np.float32)


def _middles(radii: NDArray[np.float32] | None, part: _Slices, side: int) -> NDArray[np.float32]:
    """Squared radii at the middles of the same squares; zero where nobody asked."""
    h, w = ((s.stop - s.start) // side for s in part)
    if radii is None:
        return np.zeros((h, w), np.float32)
    # The middle of an even square lies between pixels. Half a pixel off, a place is too far out in one photo and not far enough in the
    # other, and the falloff between the two passes for exposure, more so from photo to photo along a strip.
    before, after = (radii[part][i : h * side : side, i : w * side : side] for i in ((side - 1) // 2, side // 2))
    return np.asarray((before + after) / 2, np.float32)
