"""A step in tone taken out of the seams of a picture that somebody else stitched, where only the picture itself is there to tell.

At every place of a seam straight lines are laid through the pixels of its two sides, to where they meet; what they differ by is the step
there. One such difference may be anything that the picture shows. What many of them agree on along a seam is not: they are averaged, those
that stand out count less, and of the mean is kept what its own scatter does not explain. Half of it is spread into either side, as the
smoothest continuation from the seam, and fades out; where a seam does not show less afterwards, nothing is changed.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from compositor.encoding import full_scale
from compositor.types import Pixels

__all__ = ["SeamLevel", "level_seams", "snap_seams"]

Floats = NDArray[np.float32]
Owners = NDArray[np.integer[Any]]
Places = NDArray[np.intp]
Offset = tuple[int, int, Floats]
"""Column and row of its first cell, and what is added from there on, (h, w, 3)."""

NEAREST, FARTHEST = 1, 8
"""Pixels from the border to the first and last that lines are laid through; the very first may be mixed of both sides."""
CELL = 4
"""Side of the cells, px, in which the means are found: they change slowly."""
ALONG = 6.0
"""Standard deviation, cells, over which steps are averaged."""
BROAD = 3.0
"""Over how many times as far it is looked how much these means go up and down."""
KINSHIP = 4.0
"""How many neighbouring steps tell about as much as one: they see the same texture."""
CERTAIN = 2.5
"""Of how many standard errors a step is none."""
SPREAD = 3.0 / 255
"""Deviation from the mean at which a step counts a quarter."""
MOST = 0.15
"""Larger steps are first taken to be as large."""
LESS = 0.9
"""Of the difference across a seam, what may at most be left where something is changed."""
REACH, LEAST_REACH, LARGEST_REACH = 0.05, 24, 256
"""How far from a seam pixels may change: share of the picture's height, and px at least and at most."""
ROWS = 256
"""Rows that are changed at once."""


@dataclasses.dataclass(frozen=True)
class SeamLevel:
    """What was done to one seam.

    Parameters
    ----------
    first, second : int
        The owners that it lies between.
    length : int
        Places that were looked at.
    before, after : float
        Mean difference across it where it was changed, in levels of 8 bits; both 0 where it was not.
    changed : float
        Share of its places that were changed.
    """

    first: int
    second: int
    length: int
    before: float
    after: float
    changed: float


def level_seams(pixels: Pixels, owner: Owners) -> tuple[Pixels, list[SeamLevel]]:
    """Take what step in tone there is out of a picture's seams.

    Parameters
    ----------
    pixels : (h, w, 3) uint8, uint16 or float32
        RGB, encoded.
    owner : (h, w) integer
        Which photo each pixel came from; negative for none.

    Returns
    -------
    pixels : as given
        Changed no farther from a seam than 5 % of the height, 24 px at least and 256 at most.
    seams : list of SeamLevel
        Of each two owners that meet.
    """
    h, w = owner.shape
    white, reach = np.float32(full_scale(pixels.dtype)), float(np.clip(REACH * h, LEAST_REACH, LARGEST_REACH))
    size = -(-h // CELL), -(-w // CELL)
    offsets: dict[int, list[Offset]] = {}
    seams = []
    for (first, second), places in sorted(_borders(owner).items()):
        steps, across = _steps(pixels, places, white)
        found = _agreed(steps, places[:, :2] // CELL, size)
        at = places[:, 0] // CELL, places[:, 1] // CELL
        helps = _helps(across, found[at], at, size)
        field = _spread(found * helps[..., None], at, size, reach)
        left, top, width, height = cv2.boundingRect(field.any(axis=2).view(np.uint8))
        part = field[top : top + height, left : left + width].copy()
        for k, half in ((first, np.float32(-0.5)), (second, np.float32(0.5))):
            offsets.setdefault(k, []).append((left, top, half * part))
        seams.append(_told(first, second, across, (found * helps[..., None])[at]))
    return _changed(pixels, owner, offsets, white), seams


def snap_seams(pixels: Pixels, owner: Owners) -> Owners:
    """Owners whose borders are known to a pixel only, moved to where the picture's tone steps most.

    Parameters
    ----------
    pixels : (h, w, 3) uint8, uint16 or float32
    owner : (h, w) integer

    Returns
    -------
    (h, w) integer
        Each two neighbours' border as it was, or a pixel farther to one of them.
    """
    white, square = np.float32(full_scale(pixels.dtype)), np.ones((3, 3), np.uint8)
    named = owner.astype(np.float32)  # exact up to 16 million of them
    tried = [owner, *(change(named, square, borderType=cv2.BORDER_REPLICATE).astype(owner.dtype) for change in (cv2.dilate, cv2.erode))]
    sharpest: dict[tuple[int, int], tuple[float, int]] = {}
    for n, candidate in enumerate(tried):
        for pair, places in _borders(candidate).items():
            step = float(np.abs(np.median(_differences(pixels, places, white)[0], axis=0)).sum())
            if step > sharpest.get(pair, (-1.0, 0))[0]:
                sharpest[pair] = step, n
    out = owner.copy()
    for (first, second), (_, n) in sharpest.items():
        moved = np.isin(owner, (first, second)) & np.isin(tried[n], (first, second)) & (owner != tried[n])
        out[moved] = tried[n][moved]
    return out


def _borders(owner: Owners) -> dict[tuple[int, int], Places]:
    """Where owners meet: by pair, (n, 4) row and column of the first one's pixel at the border and the step from there to the second's."""
    found = []
    h, w = owner.shape
    for down, across in ((0, 1), (1, 0)):
        one, other = owner[: h - down, : w - across], owner[down:, across:]
        rows, columns = np.nonzero((one != other) & (one >= 0) & (other >= 0))
        first, second = one[rows, columns].astype(np.int64), other[rows, columns].astype(np.int64)
        turned = first > second
        towards = np.where(turned, -1, 1)
        place = [rows + down * turned, columns + across * turned, down * towards, across * towards]
        found.append(np.stack([np.minimum(first, second), np.maximum(first, second), *place], axis=1))
    whole = _clear(owner, np.concatenate(found))
    # One sort parts them by pair, however many there are.
    whole = whole[np.lexsort((whole[:, 1], whole[:, 0]))]
    starts = np.flatnonzero((np.diff(whole[:, :2], axis=0, prepend=-1) != 0).any(axis=1))
    return {(int(part[0, 0]), int(part[0, 1])): part[:, 2:] for part in np.split(whole, starts[1:]) if len(part)}


def _clear(owner: Owners, borders: Places) -> Places:
    """Of (n, 6) both owners and a place, those beside which each side shows one owner as far as is looked."""
    h, w = owner.shape
    clear = np.ones(len(borders), np.bool_)
    for k in range(FARTHEST + 1):
        for (rows, columns), whose in zip(_sides(borders[:, 2:], k), (borders[:, 0], borders[:, 1]), strict=True):
            clear &= (rows >= 0) & (rows < h) & (columns >= 0) & (columns < w)
            clear[clear] = owner[rows[clear], columns[clear]] == whose[clear]
    return borders[clear]


def _sides(places: Places, k: int) -> tuple[tuple[Places, Places], tuple[Places, Places]]:
    """Rows and columns of the pixels k from the border on the side of the first and of the second owner."""
    first = places[:, 0] - k * places[:, 2], places[:, 1] - k * places[:, 3]
    return first, (places[:, 0] + (k + 1) * places[:, 2], places[:, 1] + (k + 1) * places[:, 3])


def _differences(pixels: Pixels, places: Places, white: np.float32) -> Floats:
    """By how much pixels of the first side are above those as far from the border on the second: (k, n, 3) by distance, 0..1."""
    apart = []
    for k in range(FARTHEST + 1):
        one, other = (pixels[side].astype(np.float32) for side in _sides(places, k))
        apart.append((one - other) / white)
    return np.stack(apart)


def _steps(pixels: Pixels, places: Places, white: np.float32) -> tuple[Floats, Floats]:
    """By how much the first side is above the second where the lines through them meet, and where they touch: (n, 3) each, 0..1."""
    apart = _differences(pixels, places, white)
    # Pixels k from the border are 2 k + 1 apart; a line through their differences tells that of pixels no way apart.
    away = 2 * np.arange(NEAREST, FARTHEST + 1, dtype=np.float32) + 1
    share = 1 / len(away) - away.mean() * (away - away.mean()) / ((away - away.mean()) ** 2).sum()
    steps = np.tensordot(share, apart[NEAREST:], 1)
    return np.asarray(steps, np.float32), np.asarray((apart[0] + apart[1]) / 2, np.float32)


def _gather(values: Floats, cells: Any, size: tuple[int, int]) -> Floats:
    """Sums by cell of values (n, c): (h, w, c)."""
    index = cells[0] * size[1] + cells[1]
    sums = [np.bincount(index, weights=channel, minlength=size[0] * size[1]) for channel in values.T]
    return np.stack(sums, axis=1).reshape(*size, -1).astype(np.float32)


def _blurred(picture: Floats, sigma: float) -> Floats:
    """Gaussian sums, with weights that add up to one; nothing lies beyond the border. (h, w, c) also of one channel."""
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), sigma, borderType=cv2.BORDER_CONSTANT), np.float32).reshape(picture.shape)


def _agreed(steps: Floats, cells: Places, size: tuple[int, int]) -> Floats:
    """What steps agree on around each place, (h, w, 3) by cell: their mean, less what its scatter explains; zero away from them."""
    at = cells[:, 0], cells[:, 1]
    middle = np.clip(steps, -MOST, MOST).mean(axis=0)  # not their median: of two kinds of steps it would be one
    scatter = max(float(np.median(np.abs(steps - middle))), SPREAD / 3)
    mean, weight = np.broadcast_to(middle, steps.shape), np.ones((len(steps), 1), np.float32)
    for _ in range(3):  # the mean of all, then of those near it
        weight = 1 / (1 + (np.abs(steps - mean).max(axis=1, keepdims=True) / (2 * scatter + SPREAD)) ** 2) ** 2
        amount = _blurred(_gather(weight, at, size), ALONG) + np.float32(1e-9)
        field = _blurred(_gather(weight * steps, at, size), ALONG) / amount
        mean = field[at]
    variance = _blurred(_gather((weight * (steps - mean)) ** 2, at, size), ALONG / 2**0.5) / np.float32(4 * np.pi * ALONG**2)
    # Means that go up and down along the seam tell what the picture shows there, such as large things that end at it.
    one = np.ones_like(weight)
    whole = _blurred(_gather(np.concatenate([mean, one], 1), at, size), BROAD * ALONG)
    unrest = (field - whole[..., :3] / (whole[..., 3:] + np.float32(1e-9)))[at] ** 2
    unrest = _blurred(_gather(np.concatenate([unrest, one], 1), at, size), BROAD * ALONG)
    expected = np.float32(KINSHIP) * variance / amount**2
    error = expected + np.maximum(unrest[..., :3] / (unrest[..., 3:] + np.float32(1e-9)) - 2 * expected, 0)
    error *= np.float32(CERTAIN**2)
    return np.asarray(field * np.clip(1 - error / np.maximum(field**2, np.float32(1e-12)), 0, 1), np.float32)


def _helps(across: Floats, steps: Floats, at: tuple[Places, Places], size: tuple[int, int]) -> Floats:
    """1 in cells around which the differences across a seam become less by taking the steps away, 0 elsewhere, soft between: (h, w)."""
    sums = [_blurred(_gather(np.abs(apart).mean(axis=1, keepdims=True), at, size), ALONG)[..., 0] for apart in (across, across - steps)]
    better = (sums[1] < np.float32(LESS) * sums[0]).astype(np.float32)
    some = _gather(np.ones((len(across), 1), np.float32), at, size)[..., 0] > 0
    amount = _blurred(some.astype(np.float32), ALONG / 2) + np.float32(1e-9)
    share = _blurred(better * some, ALONG / 2) / amount
    return np.asarray(np.where(better > 0, np.clip(2 * share - 1, 0, 1), 0), np.float32)


def _spread(steps: Floats, at: tuple[Places, Places], size: tuple[int, int], reach: float) -> Floats:
    """Steps of the cells along a seam continued smoothly to all sides, and faded out: (h, w, 3)."""
    from compositor.kernels.membrane import pull, push

    seam = np.zeros(size, np.float32)
    seam[at] = 1
    levels = [(steps * seam[..., None], seam.copy())]
    while max(levels[-1][1].shape) > 1:
        half = -(-levels[-1][1].shape[0] // 2), -(-levels[-1][1].shape[1] // 2)
        levels.append((np.empty((*half, 3), np.float32), np.empty(half, np.float32)))
        pull(*levels[-2], *levels[-1])
    for (coarse, _), fine in zip(levels[:0:-1], levels[-2::-1], strict=True):
        push(coarse, *fine)
    distance = cv2.distanceTransform((seam == 0).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5) * np.float32(CELL)
    left = np.clip(1 - distance / np.float32(reach - 2 * CELL), 0, 1)
    return np.asarray(levels[0][0] * (left * left * (3 - 2 * left))[..., None], np.float32)


def _changed(pixels: Pixels, owner: Owners, offsets: dict[int, list[Offset]], white: np.float32) -> Pixels:
    """The picture with each owner's offset, by cell, added to what it shows."""
    out, (h, w) = pixels.copy(), owner.shape
    for k, parts in offsets.items():
        left, top, offset = _together(parts, (-(-h // CELL), -(-w // CELL)))
        # A cell more on each side, where nothing is added.
        columns = slice(max((left - 1) * CELL, 0), min((left + offset.shape[1] + 1) * CELL, w))
        first, last = max((top - 1) * CELL, 0), min((top + offset.shape[0] + 1) * CELL, h)
        # Where the pixels' centres lie among the cells': what cv2.resize would do to all of them.
        x = (np.arange(columns.start, columns.stop, dtype=np.float32) + 0.5) / CELL - 0.5 - left
        for begin in range(first, last, ROWS):
            rows = slice(begin, min(begin + ROWS, last))
            mine = owner[rows, columns] == k
            if not mine.any():
                continue
            y = (np.arange(rows.start, rows.stop, dtype=np.float32) + 0.5) / CELL - 0.5 - top
            across, down = (np.ascontiguousarray(np.broadcast_to(place, mine.shape)) for place in (x, y[:, None]))
            change = cv2.remap(offset, across, down, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
            there = mine & change.any(axis=2)
            after = out[rows, columns][there] + change[there] * white
            out[rows, columns][there] = after if out.dtype == np.float32 else np.clip(np.rint(after), 0, white).astype(out.dtype)
    return out


def _together(parts: list[Offset], size: tuple[int, int]) -> Offset:
    """The sum of an owner's offsets, with a cell of nothing around it inside the picture, so that it goes over into none."""
    left, top = max(min(x for x, _, _ in parts) - 1, 0), max(min(y for _, y, _ in parts) - 1, 0)
    right = min(max(x + field.shape[1] for x, _, field in parts) + 1, size[1])
    bottom = min(max(y + field.shape[0] for _, y, field in parts) + 1, size[0])
    whole = np.zeros((bottom - top, right - left, 3), np.float32)
    for x, y, field in parts:
        whole[y - top : y - top + field.shape[0], x - left : x - left + field.shape[1]] += field
    return left, top, whole


def _told(first: int, second: int, across: Floats, taken: Floats) -> SeamLevel:
    """What was done to a seam, in numbers."""
    changed = taken.any(axis=1)
    before, after = (np.abs(apart[changed].mean(axis=0)).mean() * 255 if changed.any() else 0.0 for apart in (across, across - taken))
    return SeamLevel(first, second, len(across), float(before), float(after), float(changed.mean()))
