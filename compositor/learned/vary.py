"""Variation that gradients pass through: what a judge sees of real and of made pictures, so that few pictures are not learned by heart.

Zhao and others, «Differentiable augmentation for data-efficient GAN training», NeurIPS 2020: colour, place, and a part that is hidden.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["vary"]

SHIFTED, HIDDEN = 0.125, 0.5
"""Shares of a side: by how much pictures are shifted at most, and how long a hidden square is."""
LIGHT, SATURATION, CONTRAST = 0.2, 0.2, 0.2
"""By how much these change at most. What is varied is told less well, and so learned less well: with two and a half times as much, pictures
came out flatter and duller than real ones and differed more in brightness."""


def vary(pictures: Tensor, draws: torch.Generator) -> Tensor:
    """Each picture at another brightness, saturation and contrast, shifted, and with a gray square somewhere.

    Parameters
    ----------
    pictures : (b, 3, s, s) float32
        -1..1.
    draws : torch.Generator
        On the CPU, so that the same comes out everywhere.

    Returns
    -------
    (b, 3, s, s) float32
    """
    count, side = len(pictures), pictures.shape[-1]

    def uniform(low: float, high: float) -> Tensor:
        return (low + (high - low) * torch.rand((count, 1, 1, 1), generator=draws)).to(pictures)

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
