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

    lit = pictures + uniform(-0.5, 0.5)
    gray = lit.mean(1, keepdim=True)
    lit = gray + (lit - gray) * uniform(0, 2)
    middle = lit.mean((1, 2, 3), keepdim=True)
    lit = middle + (lit - middle) * uniform(0.5, 1.5)
    reach = round(side * SHIFTED)
    rows, columns = (torch.randint(-reach, reach + 1, (count, 1), generator=draws) for _ in range(2))
    place = torch.arange(side)
    padded = functional.pad(lit, (reach, reach, reach, reach))
    index = torch.arange(count)[:, None, None]
    shifted = padded.permute(0, 2, 3, 1)[index, (place + rows + reach)[:, :, None], (place + columns + reach)[:, None, :]]
    hidden = round(side * HIDDEN)
    top, left = (torch.randint(-hidden // 2, side - hidden // 2, (count, 1), generator=draws) for _ in range(2))
    below, right = ((place >= first) & (place < first + hidden) for first in (top, left))
    shown = ~(below[:, :, None] & right[:, None, :])
    return shifted.permute(0, 3, 1, 2) * shown[:, None].to(pictures)
