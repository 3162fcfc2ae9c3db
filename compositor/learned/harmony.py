"""The harmonizer's network: from clues to one correction of an object's tone.

Most of what it is told is closed-form: how brightness and colour are distributed in the object, around it and everywhere else, and how
they jump across its border, where many things that look torn apart tell by how much. A small network looks at every pair across the border
by itself and weighs them; another concludes, and says how much of its correction to make, so that one number is enough to leave an object
alone. The last layer begins at zero, so that an untrained network changes nothing.
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor, nn

from compositor.learned.tones import NUMBERS

__all__ = ["HarmonyNetwork", "HarmonyShape", "Seen"]

SCALE = (0.25, 0.25, 0.25, 0.25, 0.3, 0.03)
"""What a photo's flaws amount to, for each number of a correction."""
FARTHEST = 3.0
"""The largest correction, in these."""
QUANTILES = (0.02, 0.08, 0.2, 0.35, 0.5, 0.65, 0.8, 0.92, 0.98)
BINS = ((1.0, 31), (0.4, 21), (0.4, 21))
"""Histograms of jumps in brightness and two colours: how far from 0 they reach, in natural logarithms, and how many bins they have."""
ROUGH = 0.1
"""Change of colour within a side of the border from which on a pair tells little of the jump."""
LOOKS = 4


@dataclasses.dataclass(frozen=True)
class Seen:
    """What the network is given of b composites: ``compositor.learned.clues.Clues`` as tensors, without places."""

    object: Tensor
    near: Tensor
    far: Tensor
    pairs: Tensor
    pair_weights: Tensor
    share: Tensor


@dataclasses.dataclass(frozen=True, kw_only=True)
class HarmonyShape:
    """How wide the layers are: those that look at a pair, and those that conclude."""

    pair: int = 64
    wide: int = 256
    dropped: float = 0.1


class HarmonyNetwork(nn.Module):
    """Both networks.

    Parameters
    ----------
    shape : HarmonyShape, optional
    """

    def __init__(self, shape: HarmonyShape | None = None) -> None:
        super().__init__()
        self.shape = shape or HarmonyShape()
        pair, wide, dropped = self.shape.pair, self.shape.wide, self.shape.dropped
        self.look = nn.Sequential(nn.Linear(18, pair), nn.ReLU(), nn.Linear(pair, pair), nn.ReLU())
        self.weigh = nn.Linear(pair, LOOKS)
        told = 25 * (len(QUANTILES) + 2) + 2 * sum(count for _, count in BINS) + 1 + (LOOKS + 1) * pair
        self.norm = nn.BatchNorm1d(told, affine=False, momentum=0.02)
        self.conclude = nn.Sequential(
            *(nn.Linear(told, wide), nn.ReLU(), nn.Dropout(dropped)),
            *(nn.Linear(wide, wide), nn.ReLU(), nn.Dropout(dropped)),
            *(nn.Linear(wide, wide // 2), nn.ReLU()),
        )
        self.out = nn.Linear(wide // 2, NUMBERS + 1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)
        self.register_buffer("scale", torch.tensor(SCALE))

    def forward(self, seen: Seen) -> Tensor:
        """The correction, (b, 6)."""
        own, near, far = (_statistics(colours) for colours in (seen.object, seen.near, seen.far))
        pairs, weights = _opposed(seen.pairs), seen.pair_weights
        jumps, slopes = pairs[:, :, 2] - pairs[:, :, 1], torch.cat([pairs[:, :, 1] - pairs[:, :, 0], pairs[:, :, 3] - pairs[:, :, 2]], -1)
        flat = weights * torch.exp(-slopes.abs().sum(-1) / ROUGH)
        histograms = [_histogram(jumps[..., k], w, *bins) for w in (weights, flat) for k, bins in enumerate(BINS)]
        looks = self.look(torch.cat([pairs.flatten(2), 4 * jumps, 3 * slopes[..., :3]], -1))
        shares = (self.weigh(looks) + torch.log(weights + 1e-6)[..., None]).softmax(1)
        heard = torch.einsum("bnk,bnc->bkc", shares, looks).flatten(1)
        mean = (looks * weights[..., None]).sum(1) / (weights.sum(1, keepdim=True) + 1)
        told = torch.cat([own, near, far, near - own, far - own, *histograms, seen.share[:, None], heard, mean], 1)
        answer = self.out(self.conclude(self.norm(told)))
        return FARTHEST * torch.tanh(answer[:, :NUMBERS] / FARTHEST) * self.scale * torch.sigmoid(answer[:, NUMBERS:] + 1)


def _opposed(colours: Tensor) -> Tensor:
    """Brightness, red against green and blue against green, as logarithms."""
    logs = torch.log(colours + 0.03)
    return torch.stack([logs.mean(-1), logs[..., 0] - logs[..., 1], logs[..., 2] - logs[..., 1]], -1)


def _statistics(colours: Tensor) -> Tensor:
    """Quantiles, means and deviations of what colours are and of their largest and smallest channel, (b, 5 * 11)."""
    values = torch.cat([_opposed(colours), colours.amax(-1, keepdim=True), colours.amin(-1, keepdim=True)], -1)
    ordered = values.sort(1).values
    chosen = ordered[:, [round(q * (ordered.shape[1] - 1)) for q in QUANTILES]]
    return torch.cat([chosen, values.mean(1, keepdim=True), values.std(1, keepdim=True)], 1).flatten(1)


def _histogram(jumps: Tensor, weights: Tensor, reach: float, count: int) -> Tensor:
    """Shares of the pairs by their jump, each spread over neighbouring bins, (b, count)."""
    centres = torch.linspace(-reach, reach, count, device=jumps.device)
    width = 2 * reach / (count - 1)
    near = torch.exp(-0.5 * ((jumps.clamp(-reach, reach)[..., None] - centres) / width) ** 2)
    return torch.einsum("bnk,bn->bk", near, weights) / (weights.sum(1, keepdim=True) + 1)
