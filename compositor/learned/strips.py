"""Square tiles along a seam: where they lie, what a network is told there, and how their results are put together again."""

from __future__ import annotations

import dataclasses
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from compositor.compose.floor import Finished
from compositor.compose.layers import Layers
from compositor.learned.warp import warp_change

__all__ = ["TILE", "Strip", "average", "cut", "dilate", "seam_radius", "tile_corners"]

TILE = 64
"""Side of a tile, px."""
FADE = 2.0
"""Px over which a change fades out at the end of the ring."""
FARTHEST = 1e4
"""Px from the seam, where there is none or it is farther."""
APART = 48
"""Px along a seam, about, from one tile to the next."""
LEAST_RADIUS, LARGEST_RADIUS, RADIUS = 8, 16, 0.01
"""How far behind a seam, inside the new layer, pixels may change: px at least, px at most, share of the picture's height."""


@dataclasses.dataclass(frozen=True, eq=False)
class Strip:
    """What is known in tiles along a seam; all (b, c, n, n) float32 on one device.

    Parameters
    ----------
    reference, new : Tensor
        The layers, c = 3, encoded RGB 0..1; ``new`` as the classical stages left it: in the reference's tone, moved to fit.
    pixels : Tensor
        The classical result, c = 3.
    weight : Tensor
        Share of ``new`` in it, c = 1.
    distance : Tensor
        Px to the seam, positive where ``new`` shows, c = 1.
    overlap : Tensor
        1 where both layers have pixels, else 0, c = 1.
    back : Tensor
        Where the reference shows what ``new`` does, to be added to x and y, px, c = 2; zero at the seam and where nobody knows.
    radius : Tensor
        Radius of the ring, px, (b, 1, 1, 1).
    """

    reference: Tensor
    new: Tensor
    pixels: Tensor
    weight: Tensor
    distance: Tensor
    overlap: Tensor
    back: Tensor
    radius: Tensor

    @classmethod
    def at(cls, corners: NDArray[np.int64], radius: float, layers: Layers, finished: Finished, device: str = "cpu") -> Strip:
        """Tiles of two layers and their classical composite, whose upper left corners are given; ``radius`` is the ring's."""
        reference, overlap, new, pixels, weight, inside, outside = (
            cut(picture, corners).to(device)
            for picture in (layers.reference, layers.overlap, finished.new, finished.pixels, finished.weight, layers.inside, layers.outside)
        )
        distance = inside.clamp(max=FARTHEST) - outside.clamp(max=FARTHEST)
        way = torch.zeros(len(corners), 2, TILE, TILE, device=device) if finished.back is None else cut(finished.back, corners).to(device)
        sizes = torch.full((len(corners), 1, 1, 1), float(radius), device=device)
        return cls(reference, new, pixels, weight, distance, overlap, way, sizes)

    @cached_property
    def window(self) -> Tensor:
        """How far pixels may change, (b, 1, n, n): 1 behind the seam, 0 from the radius on, in the reference and at a layer's end."""
        t = ((self.radius - self.distance) / FADE).clamp(0, 1) * (self.distance > 0)
        inner = 1 - dilate(1 - self.overlap, 4)
        return t * t * (3 - 2 * t) * inner

    @cached_property
    def aligned(self) -> Tensor:
        """The reference as ``new`` would show it, c = 3."""
        return self.reference + warp_change(self.reference, self.back)

    def __len__(self) -> int:
        return len(self.reference)


def dilate(picture: Tensor, reach: int) -> Tensor:
    """The largest value within so many px to each side, up and down: (b, c, h, w).

    Larger and larger steps of whole pictures, many times as fast on a CPU as PyTorch's pooling, which looks at every pixel by itself.
    """
    largest = functional.pad(picture, (reach,) * 4, value=-torch.inf)
    for axis in (2, 3):
        seen = 1
        while seen < 2 * reach + 1:
            step = min(seen, 2 * reach + 1 - seen)
            length = largest.shape[axis] - step
            largest = torch.maximum(largest.narrow(axis, 0, length), largest.narrow(axis, step, length))
            seen += step
    return largest


def average(picture: Tensor, side: int) -> Tensor:
    """Means over squares of so many px a side, an odd number: (b, c, h, w); beyond the border its pixels count. Fast like ``dilate``."""
    padded, (h, w) = functional.pad(picture, (side // 2,) * 4, mode="replicate"), picture.shape[-2:]
    rows = padded[..., :w]
    for k in range(1, side):
        rows = rows + padded[..., k : k + w]
    means = rows[..., :h, :]
    for k in range(1, side):
        means = means + rows[..., k : k + h, :]
    return means * (1 / side**2)


def seam_radius(height: int) -> int:
    """Radius of the ring in a picture of this height, px."""
    return int(min(max(LEAST_RADIUS, RADIUS * height), LARGEST_RADIUS))


def tile_corners(seam: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Upper left corners of tiles that cover a seam, (n, 2) rows and columns, from above.

    Parameters
    ----------
    seam : (h, w) bool
        Pixels beside it; both sides are at least ``TILE``.
    """
    h, w = seam.shape
    left = np.argwhere(seam)
    corners = []
    while len(left):
        # The highest of the pixels that are left, and what the seam goes on to from there: the tile lies over their middle.
        near = left[(left[:, 0] < left[0, 0] + APART) & (np.abs(left[:, 1] - left[0, 1]) < APART)]
        centre = np.round(near.mean(axis=0)).astype(np.int64)
        left = left[(np.abs(left - centre) > APART // 2).any(axis=1) & (left != left[0]).any(axis=1)]
        corners.append(np.clip(centre - TILE // 2, 0, (h - TILE, w - TILE)))
    return np.array(corners, np.int64).reshape(-1, 2)


def cut(picture: NDArray[Any], corners: NDArray[np.int64]) -> Tensor:
    """Tiles of a picture (h, w[, c]), as (b, c, TILE, TILE)."""
    deep = picture if picture.ndim == 3 else picture[..., None]
    tiles = np.stack([deep[y : y + TILE, x : x + TILE] for y, x in corners])
    return torch.from_numpy(np.ascontiguousarray(tiles.transpose(0, 3, 1, 2), np.float32))
