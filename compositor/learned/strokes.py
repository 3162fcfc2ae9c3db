"""The network that paints a picture in one pass, and how large a part of the picture each of its pixels depends on.

An encoder, residual blocks and a decoder, as in Johnson, Alahi and Fei-Fei («Perceptual losses for real-time style transfer and
super-resolution», ECCV 2016), but nothing is normalised: what is made of a pixel depends on what is near it and on nothing else, so that
a picture of any size can be painted in tiles that meet exactly. What the network makes is added to the picture; it begins with nothing.
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["STRIDE", "StrokeNetwork", "StrokeShape"]

STRIDE = 4
"""Pixels a side that become one; parts of a picture that begin at multiples of it are painted as the whole is."""
COLORS = 4096
"""That stand for all of a style, evenly drawn."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class StrokeShape:
    """Channels at full size, which double at a half and again at a quarter, and how far apart each block looks there."""

    channels: int = 16
    dilations: tuple[int, ...] = (1, 2, 4, 1)


class StrokeNetwork(nn.Module):
    """Paints pictures that have the style's colours already.

    Parameters
    ----------
    shape : StrokeShape, optional
    """

    palette: Tensor
    """(COLORS, 3) uint8: colours of the style, which pictures are given before they are painted."""

    def __init__(self, shape: StrokeShape | None = None) -> None:
        super().__init__()
        self.shape = shape or StrokeShape()
        fine, middle, coarse = (self.shape.channels * 2**k for k in range(3))
        self.enter = nn.Sequential(_convolution(3, fine, 5), nn.ReLU())
        self.shrink = nn.Sequential(_convolution(fine, middle, stride=2), nn.ReLU(), _convolution(middle, coarse, stride=2), nn.ReLU())
        self.blocks = nn.Sequential(*(_Block(coarse, dilation) for dilation in self.shape.dilations))
        self.grow, self.finish = _convolution(coarse, middle), _convolution(middle, fine)
        self.leave = _convolution(fine, 3, 5)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)
        self.register_buffer("palette", torch.zeros((COLORS, 3), dtype=torch.uint8))

    @property
    def reach(self) -> int:
        """Pixels around one that decide what becomes of it, at most; a multiple of ``STRIDE``."""
        # Convolutions at full size reach 2 + 1 + 1 + 2, the two at half size 2 each, those of a block 4 for each step they look apart.
        blocks = sum(STRIDE * (dilation + 1) for dilation in self.shape.dilations)
        return -(-(10 + blocks) // STRIDE) * STRIDE + STRIDE  # and what is enlarged shows its pixel's neighbours

    def forward(self, pictures: Tensor) -> Tensor:
        """Painted pictures.

        Parameters
        ----------
        pictures : (b, 3, h, w) float32
            Encoded RGB, 0..1, in the style's colours; sides are multiples of ``STRIDE``.

        Returns
        -------
        (b, 3, h, w) float32
            May leave 0..1 a little.
        """
        found = self.blocks(self.shrink(self.enter((pictures - 0.5) * 2)))
        found = functional.relu(self.grow(functional.interpolate(found, scale_factor=2)))
        found = functional.relu(self.finish(functional.interpolate(found, scale_factor=2)))
        return pictures + torch.as_tensor(self.leave(found))


class _Block(nn.Module):
    """Two convolutions beside a way around them, at first as if they were not there."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(_convolution(channels, channels, dilation=dilation), nn.ReLU(), _convolution(channels, channels))
        self.weight = nn.Parameter(torch.full((channels, 1, 1), 0.2))

    def forward(self, found: Tensor) -> Tensor:
        """Maps of the same size and channels."""
        return found + self.weight * torch.as_tensor(self.layers(found))


def _convolution(before: int, after: int, side: int = 3, *, stride: int = 1, dilation: int = 1) -> nn.Conv2d:
    """A convolution that sees the border's pixels beyond the border, as it may in a picture of any size."""
    reach = dilation * (side // 2)
    return nn.Conv2d(before, after, side, stride=stride, padding=reach, dilation=dilation, padding_mode="replicate")
