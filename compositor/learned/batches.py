"""What generators learn from: batches of a collection's pictures, drawn by number, and pictures of what they made."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from compositor.learned.collection import Collection
from compositor.learned.vary import move

__all__ = ["FINEST", "SMALLEST", "Batch", "PictureShape", "as_pixels", "as_tensor", "draw_batch", "growing", "sheet", "way"]

SHIFT = 16
"""Pictures are shifted by at most a side's so-manieth part, so that there seem to be more of them."""
FINEST = 16
"""Channels at full size."""
SMALLEST = 4
"""Side of the coarsest maps of whatever makes pictures, px."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class PictureShape:
    """Side of the pictures, px; channels at half of it, which double as sides halve, and at most."""

    size: int = 32
    channels: int = 32
    most: int = 192

    def widths(self) -> list[int]:
        """Channels from half size to the coarsest maps; at full size, where each costs most, there are few."""
        halvings = (self.size // SMALLEST).bit_length() - 1
        return [min(self.channels * 2**k, self.most) for k in range(halvings)]


def growing(before: int, after: int) -> nn.Sequential:
    """Twice the resolution: a convolution whose channels become four pixels each.

    All four begin alike, or pictures would begin as grids and take long to lose them (Aitken and others, arXiv:1707.02937).
    """
    convolution = nn.Conv2d(before, 4 * after, 3, padding=1)
    with torch.no_grad():
        for part in (convolution.weight, convolution.bias):
            part.copy_(part[::4].repeat_interleave(4, dim=0))
    return nn.Sequential(convolution, nn.PixelShuffle(2))


@dataclasses.dataclass(frozen=True, eq=False)
class Batch:
    """What a step learns from.

    Parameters
    ----------
    pictures : (b, 3, s, s) float32
        Encoded RGB, -1..1.
    labels : (b,) int64
        Classes.
    draws : torch.Generator
        Whatever else the step draws at random, on the CPU.
    """

    pictures: Tensor
    labels: Tensor
    draws: torch.Generator


def draw_batch(collection: Collection, number: int, *, size: int, seed: int, device: str) -> Batch:
    """The pictures of a step, some of them mirrored or shifted; they depend on seed and number only.

    Parameters
    ----------
    collection : Collection
    number : int
        Of the step.
    size : int
        How many pictures.
    seed : int
    device : str
    """
    generator = np.random.default_rng([seed, number])
    chosen, reach = generator.integers(len(collection), size=size), collection.pixels.shape[1] // SHIFT
    shifts = torch.from_numpy(generator.integers(2 * reach + 1, size=(size, 2)) - reach).to(device)
    mirrored = torch.from_numpy(generator.random(size) < 0.5).to(device)
    draws = torch.Generator().manual_seed(int(generator.integers(2**62)))
    pictures = move(as_tensor(collection.pixels[chosen], device), shifts, mirrored)
    return Batch(pictures, torch.from_numpy(collection.labels[chosen]).to(device), draws)


def as_tensor(pixels: NDArray[np.uint8], device: str) -> Tensor:
    """Pictures, (n, h, w, 3) uint8, as networks take them, (n, 3, h, w) float32, -1..1."""
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))).to(device).float() / 127.5 - 1


def as_pixels(pictures: Tensor) -> NDArray[np.uint8]:
    """The other way round; what lies beyond black and white is cut."""
    levels = (pictures.detach().cpu().float().clamp(-1, 1) + 1) * 127.5
    return np.ascontiguousarray(levels.round().to(torch.uint8).permute(0, 2, 3, 1).numpy())


def sheet(pixels: NDArray[np.uint8], *, across: int | None = None, gap: int = 2) -> NDArray[np.uint8]:
    """Pictures beside and below each other, as one.

    Parameters
    ----------
    pixels : (n, h, w, 3) uint8
    across : int, optional
        Pictures in a row; about as many as there are rows when not given.
    gap : int
        White px between them.

    Returns
    -------
    (H, W, 3) uint8
    """
    across = across or math.ceil(math.sqrt(len(pixels)))
    n, h, w, _ = pixels.shape
    rows = -(-n // across)
    page = np.full((rows * (h + gap) - gap, across * (w + gap) - gap, 3), 255, np.uint8)
    for k, picture in enumerate(pixels):
        top, left = k // across * (h + gap), k % across * (w + gap)
        page[top : top + h, left : left + w] = picture
    return page


def way(start: Tensor, end: Tensor, steps: int) -> Tensor:
    """Points on the way between two points of a normal distribution that are as likely as these, (steps, d).

    On a straight line the middle would be shorter than anything that was learned; directions and lengths go over separately.
    """
    t = torch.linspace(0, 1, steps)[:, None]
    a, b = functional.normalize(start, dim=-1), functional.normalize(end, dim=-1)
    angle = torch.arccos((a * b).sum(-1, keepdim=True).clamp(-1 + 1e-6, 1 - 1e-6))
    direction = (torch.sin((1 - t) * angle) * a + torch.sin(t * angle) * b) / torch.sin(angle)
    return direction * ((1 - t) * start.norm(dim=-1, keepdim=True) + t * end.norm(dim=-1, keepdim=True))
