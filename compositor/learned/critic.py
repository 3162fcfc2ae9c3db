"""A critic that tells seams from none: the discriminator of the adversarial part of training, and a learned measure of how a seam shows.

A patch discriminator (Isola and others, «Image-to-image translation with conditional adversarial networks», CVPR 2017) with a hinge loss.
Seams are faint: beside the pixels it sees them without their low frequencies, how far their means differ across the seam, and where the
seam is; its patches count near the seam only; and its layers are not normalised spectrally, which would keep it from answering differently
to what differs little.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["Critic", "critic_loss", "separation"]

NEAR = 6.0
"""Px from the seam at which a patch counts by half."""
SIDE, AROUND = 5.0, 13
"""Px to each side of the seam whose means are compared, in a window of so many px."""
CONTRAST = 8.0
"""How many times as strongly faint differences are shown to it."""


class Critic(nn.Module):
    """How real tiles look along a seam."""

    def __init__(self, channels: tuple[int, int, int] = (24, 40, 56)) -> None:
        super().__init__()
        first, second, third = channels
        self.layers = nn.Sequential(
            nn.Conv2d(11, first, 3, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(first, second, 4, stride=2, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(second, third, 4, stride=2, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(third, 1, 3, padding=1),
        )

    def forward(self, pixels: Tensor, distance: Tensor) -> Tensor:
        """The score of every tile, above zero for «no seam here».

        Parameters
        ----------
        pixels : (b, 3, n, n) float32
        distance : (b, 1, n, n) float32
            Px to the seam.

        Returns
        -------
        (b,) float32
        """
        count = 1 / (1 + (distance / NEAR) ** 4)
        smooth = functional.avg_pool2d(functional.pad(pixels, (4, 4, 4, 4), mode="replicate"), 9, stride=1)
        faint = CONTRAST * torch.cat([pixels - smooth, _across(pixels, distance) * count], 1)
        told = torch.cat([pixels - 0.5, faint, count, (distance / NEAR).clamp(-3, 3) / 3], 1)
        patches, share = self.layers(told), functional.avg_pool2d(count, 4)
        return (patches * share).sum((1, 2, 3)) / share.sum((1, 2, 3)).clamp(min=1e-3)


def _across(pixels: Tensor, distance: Tensor) -> Tensor:
    """How far the mean of what is close behind the seam is from that of what is close before it, (b, 3, n, n)."""
    means = []
    for far in (distance, -distance):
        side = ((far > 0) & (far <= SIDE)).float()
        summed, count = (functional.avg_pool2d(picture, AROUND, stride=1, padding=AROUND // 2) for picture in (pixels * side, side))
        means.append(summed / (count + 1e-3))
    return means[0] - means[1]


def critic_loss(real: Tensor, fake: Tensor) -> Tensor:
    """The hinge loss of scores."""
    return functional.relu(1 - real).mean() + functional.relu(1 + fake).mean()


def separation(real: Tensor, fake: Tensor) -> float:
    """Chance that a real tile scores higher than a fake one (the area under the ROC curve): 0.5 where the critic sees nothing."""
    higher = (real[:, None] > fake[None, :]).float() + 0.5 * (real[:, None] == fake[None, :]).float()
    return float(higher.mean())
