"""How far two layers are apart, locally, in closed form: a hint that a network need not learn to compute.

Lucas and Kanade, «An iterative image registration technique», 1981: within a Gaussian window the shift that explains the difference of two
pictures best by their gradient. A ridge pulls it to zero where there is too little texture to tell.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from compositor.learned.strips import dilate

__all__ = ["measure_shift"]

SIGMA = 3.0
RIDGE = 2e-5
"""Squared gradient per px that counts as texture; noise of a level or two makes less."""
FARTHEST = 3.0
"""Px; linearised differences say nothing of larger shifts."""


def measure_shift(reference: Tensor, new: Tensor, overlap: Tensor) -> tuple[Tensor, Tensor]:
    """The shift v of every pixel with reference(p + v) nearest new(p), and how sure it is.

    Parameters
    ----------
    reference, new : (b, 3, h, w) float32
    overlap : (b, 1, h, w) float32
        1 where both have pixels.

    Returns
    -------
    shift : (b, 2, h, w) float32
        x and y, px.
    sureness : (b, 1, h, w) float32
        0 for none to 1.
    """
    first, second = reference.mean(1, keepdim=True), new.mean(1, keepdim=True)
    inside = 1 - dilate(1 - overlap, 1)
    both = functional.pad((first + second) / 2, (1, 1, 1, 1), mode="replicate")
    right = (both[..., 1:-1, 2:] - both[..., 1:-1, :-2]) / 2
    down = (both[..., 2:, 1:-1] - both[..., :-2, 1:-1]) / 2
    amount = _gather(inside) + 1e-6
    difference = second - first
    difference = difference - _gather(difference * inside) / amount
    products = torch.cat([right * right, right * down, down * down, right * difference, down * difference], 1) * inside
    xx, xy, yy, xd, yd = (_gather(products) / amount).split(1, dim=1)
    xx, yy = xx + RIDGE, yy + RIDGE
    determinant = xx * yy - xy * xy
    shift = torch.cat([yy * xd - xy * yd, xx * yd - xy * xd], 1) / determinant
    least = (xx + yy) / 2 - (((xx - yy) / 2) ** 2 + xy * xy).sqrt()
    return shift.clamp(-FARTHEST, FARTHEST) * inside, (1 - RIDGE / least.clamp(min=RIDGE)) * inside


def _gather(pixels: Tensor) -> Tensor:
    """Weighted sums over a Gaussian window, channel by channel; nothing counts beyond the border."""
    # Products with matrices of a tile's side: several times as fast as convolutions that have a channel each.
    down, across = (_window(side, pixels) for side in pixels.shape[2:])
    return down @ (pixels @ across)


def _window(side: int, like: Tensor) -> Tensor:
    """The weights of the window around each of so many places, (side, side)."""
    reach = int(2 * SIGMA)
    place = torch.arange(side, device=like.device, dtype=like.dtype)
    apart = place - place[:, None]
    offsets = torch.arange(-reach, reach + 1, device=like.device, dtype=like.dtype)
    whole = torch.exp(-0.5 * (offsets / SIGMA) ** 2).sum()
    return torch.where(apart.abs() <= reach, torch.exp(-0.5 * (apart / SIGMA) ** 2) / whole, 0)
