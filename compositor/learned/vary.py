"""Pictures varied while something is trained: moved, in another light, blurred; computed for a whole batch, where its network is.

All numbers are drawn on the CPU from a generator that is given, so that a batch depends on nothing but its own, on whichever thread and
device it is made. kornia does as much, but draws from PyTorch's one global generator only, which several threads share; and what it needs
of its transforms comes to the few lines below. ``compositor.datasets.augment`` does more, for one picture after another, without PyTorch.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from compositor.learned.flaws import GAMMA

__all__ = ["blur", "colour", "cut", "expose", "move", "vary"]

SHIFTED, HIDDEN = 0.125, 0.5
"""Shares of a side: by how much a judge sees pictures shifted at most, and how long a hidden square is."""
LIGHT, SATURATION, CONTRAST = 0.2, 0.2, 0.2
"""By how much these change at most. What is varied is told less well, and so learned less well: with two and a half times as much, pictures
came out flatter and duller than real ones and differed more in brightness."""
SHARP = 0.1
"""Standard deviation, px, of a blur that changes nothing."""


def cut(
    pictures: Sequence[NDArray[np.uint8]], size: int, draws: torch.Generator, *, least: float, turned: float, device: str = "cpu"
) -> Tensor:
    """A square of each picture, anywhere in it, turned a little about its own middle, and half of the time in the mirror.

    Parameters
    ----------
    pictures : sequence of (h, w, 3) uint8
        Of any sizes; of one more than twice as large as the squares pixels would be left out.
    size : int
        Side of the squares, px.
    draws : torch.Generator
        On the CPU.
    least : float
        Share of the largest square's area that is taken at least.
    turned : float
        Radians, at most; where a square then leaves the largest one around it, that one's border counts.
    device : str
        Where the squares are wanted.

    Returns
    -------
    (b, 3, size, size) float32
        0..1.
    """
    sides = [min(picture.shape[:2]) for picture in pictures]
    windows = np.zeros((len(pictures), max(sides), max(sides), 3), np.uint8)  # a largest square of each, in a corner
    for window, picture, side, place in zip(windows, pictures, sides, torch.rand(len(sides), generator=draws).tolist(), strict=True):
        top, left = (int(place * (length - side + 1)) for length in picture.shape[:2])
        window[:side, :side] = picture[top : top + side, left : left + side]
    pixels = torch.from_numpy(windows).to(device).permute(0, 3, 1, 2).float() / 255
    share = torch.tensor(sides, device=device) / max(sides)

    def uniform(low: float, high: float) -> Tensor:
        return _uniform(low, high, (len(sides),), draws, share)

    # PyTorch has a window reach from -1 to 1.
    half, angle, chance = share * uniform(least, 1).sqrt(), uniform(-turned, turned), uniform(0, 1)
    across, down = half * angle.cos(), half * angle.sin()
    x, y = (half - 1 + 2 * (share - half) * uniform(0, 1) for _ in range(2))
    mirror = torch.where(chance < 0.5, -1.0, 1.0)
    rows = [torch.stack(row, 1) for row in ((mirror * across, -down, x), (mirror * down, across, y))]
    grid = functional.affine_grid(torch.stack(rows, 1), [len(sides), 3, size, size], align_corners=False)
    grid = grid.minimum((2 * share - 1 - 1 / max(sides))[:, None, None, None])
    return functional.grid_sample(pixels, grid, padding_mode="border", align_corners=False)


def expose(pictures: Tensor, draws: torch.Generator, *, stops: float, balance: float) -> Tensor:
    """Each picture at another exposure and white balance.

    Parameters
    ----------
    pictures : (b, 3, h, w) float32
        Encoded RGB, 0..1.
    draws : torch.Generator
        On the CPU.
    stops, balance : float
        By so many stops at most linear light gets brighter or darker, and each colour by itself.

    Returns
    -------
    (b, 3, h, w) float32
        0..1.
    """
    drawn = [_uniform(-most, most, (len(pictures), channels, 1, 1), draws, pictures) for most, channels in ((stops, 1), (balance, 3))]
    return (pictures * torch.exp2((drawn[0] + drawn[1]) / GAMMA)).clamp(max=1)  # a factor on linear light is one on its power, too


def colour(pictures: Tensor, draws: torch.Generator, *, tone: float, saturation: float) -> Tensor:
    """Each picture with another tone curve and saturation.

    Parameters
    ----------
    pictures : (b, 3, h, w) float32
        Encoded RGB, 0..1.
    draws : torch.Generator
        On the CPU.
    tone, saturation : float
        The exponent of the tone curve and the distance from gray change by a factor of exp(this) at most.

    Returns
    -------
    (b, 3, h, w) float32
        0..1.
    """
    factors = [_uniform(-most, most, (len(pictures), 1, 1, 1), draws, pictures).exp() for most in (tone, saturation)]
    toned = pictures ** factors[0]
    gray = toned.mean(1, keepdim=True)
    return (gray + (toned - gray) * factors[1]).clamp(0, 1)


def blur(pictures: Tensor, draws: torch.Generator, *, most: float, chance: float) -> Tensor:
    """Some pictures blurred, by a standard deviation of ``most`` px at most.

    Parameters
    ----------
    pictures : (b, c, s, s) float32
    draws : torch.Generator
        On the CPU.
    most : float
        Px.
    chance : float
        That a picture is blurred, 0..1.

    Returns
    -------
    (b, c, s, s) float32
    """
    chosen, sigma = (_uniform(0, high, (len(pictures), 1, 1, 1), draws, pictures) for high in (1, most))
    sigma = torch.where(chosen < chance, sigma, 0.0).clamp(min=SHARP)
    places = torch.arange(pictures.shape[-1], device=pictures.device)
    weights = torch.exp(-0.5 * ((places[:, None] - places) / sigma) ** 2)
    weights = weights / weights.sum(-1, keepdim=True)
    return weights @ pictures @ weights.mT  # rows, then columns


def move(pictures: Tensor, shifts: Tensor, mirrored: Tensor) -> Tensor:
    """Pictures shifted by whole pixels, their rims reflected, and some mirrored.

    Parameters
    ----------
    pictures : (b, c, s, s)
    shifts : (b, 2) int64
        Rows and columns, less than a side.
    mirrored : (b,) bool

    Returns
    -------
    (b, c, s, s)
    """
    last = pictures.shape[-1] - 1
    places = torch.arange(last + 1, device=pictures.device)
    rows, columns = (last - (last - (places + shifts[:, k, None]).abs()).abs() for k in (0, 1))
    columns = torch.where(mirrored[:, None], columns.flip(1), columns)
    which = torch.arange(len(pictures), device=pictures.device)[:, None, None]
    return pictures[which, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2).contiguous()


def vary(pictures: Tensor, draws: torch.Generator) -> Tensor:
    """Each picture at another brightness, saturation and contrast, shifted, and with a gray square somewhere.

    So a judge sees real and made pictures, that it does not learn few by heart; gradients pass through (Zhao and others, «Differentiable
    augmentation for data-efficient GAN training», NeurIPS 2020: colour, place, and a part that is hidden).

    Parameters
    ----------
    pictures : (b, 3, s, s) float32
        -1..1.
    draws : torch.Generator
        On the CPU.

    Returns
    -------
    (b, 3, s, s) float32
    """
    count, side = len(pictures), pictures.shape[-1]

    def uniform(low: float, high: float) -> Tensor:
        return _uniform(low, high, (count, 1, 1, 1), draws, pictures)

    lit = pictures + uniform(-LIGHT, LIGHT)
    gray = lit.mean(1, keepdim=True)
    lit = gray + (lit - gray) * uniform(1 - SATURATION, 1 + SATURATION)
    middle = lit.mean((1, 2, 3), keepdim=True)
    lit = middle + (lit - middle) * uniform(1 - CONTRAST, 1 + CONTRAST)
    reach = round(side * SHIFTED)
    rows, columns = (torch.randint(-reach, reach + 1, (count, 1), generator=draws) for _ in range(2))
    place = torch.arange(side)
    corners = torch.cat([rows, columns], 1).add(reach).tolist()
    padded = functional.pad(lit, (reach, reach, reach, reach)).unbind()  # slices, for indices' gradients take as long as a network's
    shifted = torch.stack([one[:, top : top + side, left : left + side] for one, (top, left) in zip(padded, corners, strict=True)])
    hidden = round(side * HIDDEN)
    top, left = (torch.randint(-hidden // 2, side - hidden // 2, (count, 1), generator=draws) for _ in range(2))
    below, right = ((place >= first) & (place < first + hidden) for first in (top, left))
    shown = ~(below[:, :, None] & right[:, None, :])
    return shifted * shown[:, None].to(pictures)


def _uniform(low: float, high: float, shape: tuple[int, ...], draws: torch.Generator, like: Tensor) -> Tensor:
    """Numbers between two, where another tensor is."""
    return (low + (high - low) * torch.rand(shape, generator=draws)).to(like)
