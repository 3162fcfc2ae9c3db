"""The refiner's network: two branches that start as «change nothing» and can change little, and nothing far from the seam.

The *tone branch* looks at both layers at low resolution and proposes a smooth correction of the new layer's tone, bounded by how much the
layers still differ where they overlap. The *local branch* looks at tiles along the seam and proposes, inside a ring around it, where each
layer's pixels are taken from (how far along the optical flow that the classical stages found, and a few px beside), how much each counts,
and a small residual. A pixel changes at most by how much the layers differ around it, and a level of 8 bits, and stays within what they
show there: where the layers agree there is nothing to refine. The last layers begin at zero, so that an untrained network returns the
classical result exactly.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from compositor.learned.alignment import measure_shift
from compositor.learned.strips import Strip, average, dilate
from compositor.learned.warp import warp_change

__all__ = ["LocalBranch", "RefinerNetwork", "Shape", "ToneBranch"]

FARTHEST = 2.5
"""Px that the local branch may move a pixel beyond what the measured shifts say."""
TRUST = 1.5
"""Of the way back that the flow found, what it may take at most."""
LEVEL = 1 / 255
TONE_REACH = 2.0
"""The largest change of tone, as a multiple of the mean difference that is left between the layers."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shape:
    """How many channels the network has: at half, quarter and eighth resolution of the local branch, and in the tone branch."""

    local: tuple[int, int, int] = (32, 48, 64)
    tone: tuple[int, int, int] = (16, 24, 32)


class RefinerNetwork(nn.Module):
    """Both branches.

    Parameters
    ----------
    shape : Shape, optional
    """

    def __init__(self, shape: Shape | None = None) -> None:
        super().__init__()
        self.shape = shape or Shape()
        self.tone = ToneBranch(self.shape.tone)
        self.local = LocalBranch(self.shape.local)


class ToneBranch(nn.Module):
    """A smooth correction of tone from two layers at low resolution."""

    def __init__(self, channels: tuple[int, int, int]) -> None:
        super().__init__()
        first, second, third = channels
        self.down = nn.Sequential(
            _conv(12, first), nn.ReLU(), _conv(first, second, stride=2), nn.ReLU(), _conv(second, third, stride=2), nn.ReLU()
        )
        self.everywhere = nn.Linear(third, third)
        self.out = nn.Sequential(_conv(third, third), nn.ReLU(), _zero(_conv(third, 3)))

    def forward(self, reference: Tensor, new: Tensor, overlap: Tensor, owner: Tensor, weight: Tensor) -> Tensor:
        """The correction at a quarter of the resolution given.

        Parameters
        ----------
        reference, new : (b, 3, h, w) float32
            The layers, pooled; h and w are multiples of 4.
        overlap, owner, weight : (b, 1, h, w) float32
            Shares of the cells where both have pixels, and where ``new`` shows; how much a cell's pixels tell.

        Returns
        -------
        (b, 3, h / 4, w / 4) float32
            What to add to ``new``.
        """
        difference = (reference - new) * overlap
        amount = overlap.sum((2, 3), keepdim=True) + 1e-3
        bound = TONE_REACH * difference.abs().sum((2, 3), keepdim=True) / amount
        told = torch.cat([(reference - 0.5) * weight, new - 0.5, 8 * difference, overlap, owner, weight], 1)
        deep = self.down(told)
        deep = deep + self.everywhere(deep.mean((2, 3)))[..., None, None]
        return bound * torch.tanh(self.out(deep))


class LocalBranch(nn.Module):
    """Flow, shares and a residual along the seam: a small U-Net."""

    TOLD = 21

    def __init__(self, channels: tuple[int, int, int]) -> None:
        super().__init__()
        first, second, third = channels
        self.enter = nn.Sequential(_conv(4 * self.TOLD, first), _relu(), _conv(first, first), _relu())
        self.down = nn.Sequential(_conv(first, second, stride=2), _relu(), _conv(second, second), _relu())
        self.deep = nn.Sequential(_conv(second, third, stride=2), _relu(), _conv(third, third), _relu(), _conv(third, third), _relu())
        self.up = nn.Sequential(_conv(third + second, second), _relu())
        self.leave = nn.Sequential(_conv(second + first, first), _relu(), nn.Conv2d(first, 48, 1), _relu())
        self.fine = nn.Sequential(_conv(12 + self.TOLD, 24), _relu(), _zero(_conv(24, 12)))

    def forward(self, strip: Strip) -> Tensor:
        """The refined pixels of tiles along a seam, (b, 3, n, n); n is a multiple of 8."""
        window = strip.window
        with torch.autocast(strip.new.device.type, enabled=False):  # differences of products need all their digits
            aligned = strip.aligned
            shift, sureness = measure_shift(aligned, strip.new, strip.overlap)
        near = (strip.distance / strip.radius).clamp(-3, 3)
        told = _beside_each_other(
            *(strip.reference - 0.5, aligned - 0.5, strip.new - 0.5, 4 * (strip.new - aligned) * strip.overlap),
            *(strip.back, shift, sureness, near, strip.weight, strip.overlap, window),
        )
        answer = self.fine(torch.cat([self._look(told), told], 1)).float().contiguous()
        trust, beside, share, residual, gate = answer.split([3, 4, 1, 3, 1], dim=1)
        trust, beside = torch.tanh(trust), FARTHEST * torch.tanh(beside / FARTHEST)
        way = TRUST * trust[:, :1] * strip.back + trust[:, 1:2] * shift + beside[:, :2]
        reference = strip.reference + warp_change(strip.reference, window * way)
        new = strip.new + warp_change(strip.new, window * (beside[:, 2:] - trust[:, 2:] * shift))
        weight = (strip.weight + window * torch.tanh(share)).clamp(0, 1)
        blended, before = reference + weight * (new - reference), strip.reference + strip.weight * (strip.new - strip.reference)
        unlike = (strip.new - strip.reference).abs().amax(1, keepdim=True)
        apart = average(functional.pad(unlike, (2,) * 4), 5)[..., 2:-2, 2:-2]
        residual = window * (0.5 * apart + LEVEL) * torch.tanh(residual) * torch.sigmoid(gate)
        change = blended - before + residual
        most = dilate(unlike, 2) * strip.overlap + LEVEL
        change = torch.where(window > 0, _explained(strip.pixels + change, reference, new) - strip.pixels, 0)
        return (strip.pixels + torch.minimum(torch.maximum(change, -most), most)).clamp(0, 1)

    def _look(self, told: Tensor) -> Tensor:
        """What the layers show around every pixel, (b, 12, n, n)."""
        entered = self.enter(functional.pixel_unshuffle(told, 2))
        below = self.down(entered)
        up = self.up(torch.cat([functional.interpolate(self.deep(below), scale_factor=2.0), below], 1))
        leaving = self.leave(torch.cat([functional.interpolate(up, scale_factor=2.0), entered], 1))
        return functional.pixel_shuffle(leaving, 2)


def _beside_each_other(*pictures: Tensor) -> Tensor:
    """Pictures as channels of one, (b, c, h, w), which lie beside each other in memory: what convolutions on a CPU want.

    Copied one by one: on a CPU in a fifth of the time that it takes to turn them round together.
    """
    b, _, h, w = pictures[0].shape
    channels = [picture.shape[1] for picture in pictures]
    whole = torch.empty(b, sum(channels), h, w, dtype=pictures[0].dtype, device=pictures[0].device, memory_format=torch.channels_last)
    for part, picture in zip(whole.split(channels, dim=1), pictures, strict=True):
        part.copy_(picture)
    return whole


def _explained(pixels: Tensor, reference: Tensor, new: Tensor) -> Tensor:
    """Pixels kept within what the layers show in the 3 x 3 pixels around, give or take a level."""
    highest = dilate(torch.maximum(reference, new), 1) + LEVEL
    lowest = -dilate(-torch.minimum(reference, new), 1) - LEVEL
    return torch.minimum(torch.maximum(pixels, lowest), highest)


def _conv(inside: int, outside: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inside, outside, 3, stride=stride, padding=1)


def _relu() -> nn.ReLU:
    """In place: at this size fresh memory costs as much as the work."""
    return nn.ReLU(inplace=True)


def _zero(layer: Any) -> Any:
    """The layer, answering zero to everything until it is trained."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer
