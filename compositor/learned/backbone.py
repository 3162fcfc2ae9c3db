"""The network that looks at whole pictures: four stages of convolutions, and what they found put into few numbers.

The first convolution looks at every pixel and all shrinking is by averaging, so that a picture shifted by a pixel looks the same. Groups
are normalised, not batches: a picture's numbers do not depend on its neighbours in the batch.
"""

from __future__ import annotations

import dataclasses
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["Backbone", "BackboneShape", "EncoderNetwork", "pooled"]

GROUP = 8
"""Channels that are normalised together, about."""
POWER = 3.0
"""Exponent of the mean by which places are pooled: strong answers count more (Radenović and others, «GeM», PAMI 41(7), 2019)."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class BackboneShape:
    """How many channels there are at every pixel, at a half, a quarter, an eighth and a sixteenth of a side; how many numbers come out."""

    channels: tuple[int, int, int, int, int] = (16, 32, 64, 128, 192)
    numbers: int = 128


class Backbone(nn.Module):
    """Maps of what is where, coarser and coarser.

    Parameters
    ----------
    channels : sequence of int
        As in ``BackboneShape``.
    """

    def __init__(self, channels: tuple[int, ...]) -> None:
        super().__init__()
        self.channels = channels
        self.stem = _convolved(3, channels[0])
        self.stages = nn.ModuleList([_Stage(before, after) for before, after in pairwise(channels)])

    def forward(self, pictures: Tensor) -> list[Tensor]:
        """What every stage found.

        Parameters
        ----------
        pictures : (b, 3, h, w) float32
            Encoded RGB, 0..1; sides of 32 px and more.

        Returns
        -------
        list of (b, c, h / 2^k, w / 2^k) float32
            Of k = 1, 2, 3, 4; nothing is negative.
        """
        found, maps = self.stem((pictures - 0.45) * 4), []
        for stage in self.stages:
            found = stage(found)
            maps.append(found)
        return maps


class _Stage(nn.Module):
    """Half the resolution, then two convolutions, the second beside a way around it."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.enter, self.refine = _convolved(before, after), nn.Sequential(_convolution(after, after), _normal(after))

    def forward(self, found: Tensor) -> Tensor:
        """The next stage's map."""
        found = self.enter(functional.avg_pool2d(found, 3, stride=2, padding=1, count_include_pad=False))
        return functional.relu(found + self.refine(found))


class EncoderNetwork(nn.Module):
    """A backbone and what makes a few numbers of a picture: alike for pictures that show the same.

    Parameters
    ----------
    shape : BackboneShape, optional
    """

    def __init__(self, shape: BackboneShape | None = None) -> None:
        super().__init__()
        self.shape = shape or BackboneShape()
        self.backbone = Backbone(self.shape.channels)
        self.head = nn.Linear(sum(self.shape.channels[1:]), self.shape.numbers)

    def forward(self, pictures: Tensor) -> Tensor:
        """Numbers of length 1, (b, n), of (b, 3, h, w) pictures."""
        return self.embed(self.backbone(pictures))

    def embed(self, maps: list[Tensor]) -> Tensor:
        """Numbers of length 1 from what the stages found."""
        return functional.normalize(self.head(self.found(maps)))

    def found(self, maps: list[Tensor]) -> Tensor:
        """What the stages found in the whole picture, each stage's part at length 1, (b, c)."""
        return torch.cat([functional.normalize(pooled(found)) for found in maps], 1)


def pooled(found: Tensor) -> Tensor:
    """The places of a map put together, (b, c)."""
    return (found.clamp(min=1e-4) ** POWER).mean((2, 3)) ** (1 / POWER)


def _convolution(before: int, after: int) -> nn.Conv2d:
    return nn.Conv2d(before, after, 3, padding=1, padding_mode="zeros", bias=False)


def _normal(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(max(1, channels // GROUP), channels)


def _convolved(before: int, after: int) -> nn.Sequential:
    return nn.Sequential(_convolution(before, after), _normal(after), nn.ReLU())
