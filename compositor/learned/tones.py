"""Tone as a photographer would name it: exposure and white balance, contrast, saturation, haze. Applied to colours of any number.

Two directions. A *correction* is six numbers that are all 0 where nothing is to change; a network proposes it. A *recolouring* is what
another exposure of a thing looks like, drawn by chance from the same flaws as everywhere; a network learns to undo it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from compositor.learned.flaws import GAMMA, Flaws

__all__ = ["NUMBERS", "apply_tone", "recolour"]

NUMBERS = 6
"""Of a correction: logarithms of the factors on red, green and blue, of the exponent and of the saturation, then haze."""
DARKEST = 1e-4


def apply_tone(tone: Tensor, colours: Tensor) -> Tensor:
    """Colours after a correction.

    Parameters
    ----------
    tone : (b, 6) float32
        A correction for each of b objects: haze is taken away, then saturation changes, then contrast, then exposure and white balance.
    colours : (b, n, 3) float32
        Encoded RGB, 0..1.

    Returns
    -------
    (b, n, 3) float32
    """
    gains, exponent, saturation, haze = tone[:, None].split([3, 1, 1, 1], dim=-1)
    colours = colours - haze
    gray = colours.mean(-1, keepdim=True)
    colours = (gray + (colours - gray) * saturation.exp()).clamp(DARKEST, 1)
    return (colours ** exponent.exp() * gains.exp()).clamp(0, 1)


def recolour(colours: Tensor, places: Tensor, flaws: Sequence[Flaws]) -> Tensor:
    """Colours as another exposure shows them: all of the flaws but what no single pixel can tell, blur, noise and blocks.

    Parameters
    ----------
    colours : (b, n, 3) float32
    places : (b, n, 2) float32
        Where they are, x and y as shares of the picture, for vignetting.
    flaws : sequence of Flaws
        b of them.

    Returns
    -------
    (b, n, 3) float32
    """
    gain, shade = (torch.from_numpy(np.stack([getattr(flaw, name) for flaw in flaws]))[:, None] for name in ("gain", "shade"))
    numbers: NDArray[np.float32] = np.array([[flaw.gamma, flaw.saturation, flaw.haze] for flaw in flaws], np.float32)
    gamma, saturation, haze = torch.from_numpy(numbers)[:, None].split(1, dim=-1)
    far = ((places - shade[..., 1:]) ** 2).sum(-1, keepdim=True).clamp(max=1.4) / 1.4
    light = colours**GAMMA * gain * (1 - shade[..., :1] * far)
    colours = light.clamp(min=1e-6) ** (gamma / GAMMA)
    gray = colours.mean(-1, keepdim=True)
    return (gray + (colours - gray) * saturation + haze).clamp(0, 1)
