"""What another exposure of a scene does to its pixels: light, lens, camera and file, drawn at random and computed for a batch."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

__all__ = ["Flaws", "add_flaws"]

GAMMA = 2.2
BLOCK = 8
COARSENESS = (16, 11, 10, 16, 24, 40, 51, 61)
"""Steps of a JPEG's luminance by frequency, along either axis, as its standard's example begins."""


@dataclasses.dataclass(frozen=True, eq=False)
class Flaws:
    """How one layer differs from the photograph.

    Parameters
    ----------
    gain : (3,) float32
        Exposure and white balance, on linear light.
    shade : (3,) float32
        Vignetting: its depth, and its centre as a share of the side, x and y.
    gamma, saturation, haze : float
        Exponent after encoding, factor on the distance from gray, what is added.
    blur : float
        Standard deviation, px.
    noise : float
        Standard deviation, 0..1, and ``noise_seed`` where its numbers come from.
    blocks : float
        Coarseness of JPEG's steps, 1 for quality 50; 0 for none.
    """

    gain: NDArray[np.float32]
    shade: NDArray[np.float32]
    gamma: float
    saturation: float
    haze: float
    blur: float
    noise: float
    noise_seed: int
    blocks: float

    @classmethod
    def draw(cls, generator: np.random.Generator) -> Flaws:
        """Flaws as hand-held photos have them."""
        balance = generator.uniform(-0.13, 0.13, 3)
        kind = generator.random()
        return cls(
            gain=np.exp(generator.uniform(-0.8, 0.8) * math.log(2) + balance - balance.mean()).astype(np.float32),
            shade=np.array([generator.uniform(0, 0.35), *generator.uniform(-0.3, 1.3, 2)], np.float32),
            gamma=math.exp(generator.uniform(-0.25, 0.25)),
            saturation=1 + generator.uniform(-0.3, 0.3),
            haze=generator.uniform(-0.02, 0.03),
            blur=generator.uniform(0.4, 0.9) if kind < 0.25 else 0.0,
            noise=generator.uniform(0.002, 0.012) if 0.25 <= kind < 0.55 else 0.0,
            noise_seed=int(generator.integers(2**62)),
            blocks=generator.uniform(0.08, 0.5) if 0.55 <= kind < 0.8 else 0.0,
        )


def add_flaws(pixels: Tensor, flaws: Sequence[Flaws]) -> Tensor:
    """Give every picture of a batch its flaws.

    Parameters
    ----------
    pixels : (b, 3, n, n) float32
        Encoded RGB, 0..1; n is a multiple of 8.
    flaws : sequence of Flaws

    Returns
    -------
    (b, 3, n, n) float32
    """

    def numbers(name: str) -> Tensor:
        values = np.array([getattr(flaw, name) for flaw in flaws], np.float32)
        return torch.from_numpy(values).to(pixels.device).reshape(len(flaws), -1, 1, 1)

    n = pixels.shape[-1]
    places = (torch.arange(n, device=pixels.device, dtype=torch.float32) + 0.5) / n
    depth, x, y = numbers("shade").split(1, dim=1)
    far = ((places[None, :] - x) ** 2 + (places[:, None] - y) ** 2).clamp(max=1.4) / 1.4
    light = pixels**GAMMA * numbers("gain") * (1 - depth * far)
    pixels = light.clamp(min=1e-6) ** (numbers("gamma") / GAMMA)
    gray = pixels.mean(1, keepdim=True)
    pixels = (gray + (pixels - gray) * numbers("saturation") + numbers("haze")).clamp(0, 1)
    finished = [_spoil(one[None], flaw) for one, flaw in zip(pixels, flaws, strict=True)]
    return torch.cat(finished).clamp(0, 1)


def _spoil(pixels: Tensor, flaw: Flaws) -> Tensor:
    """One picture blurred, or with noise, or with the blocks of a JPEG."""
    if flaw.blur:
        return _blur(pixels, flaw.blur)
    if flaw.noise:
        # Drawn on the CPU, so that every device adds the same.
        generator = torch.Generator().manual_seed(flaw.noise_seed)
        return pixels + flaw.noise * torch.randn(pixels.shape, generator=generator).to(pixels.device)
    return _compress(pixels, flaw.blocks) if flaw.blocks else pixels


def _blur(pixels: Tensor, sigma: float) -> Tensor:
    """Gaussian blur by less than a px."""
    offsets = torch.arange(-3, 4, device=pixels.device, dtype=torch.float32)
    weights = torch.exp(-0.5 * (offsets / sigma) ** 2)
    weights = (weights / weights.sum()).expand(3, 1, 1, 7)
    blurred = functional.conv2d(functional.pad(pixels, (3, 3, 0, 0), mode="reflect"), weights, groups=3)
    return functional.conv2d(functional.pad(blurred, (0, 0, 3, 3), mode="reflect"), weights.transpose(2, 3), groups=3)


def _compress(pixels: Tensor, coarseness: float) -> Tensor:
    """Cosine coefficients of blocks, rounded to steps that grow with frequency, colour twice as coarsely as brightness."""
    device = pixels.device
    steps = torch.tensor(COARSENESS, device=device, dtype=torch.float32)
    steps = torch.maximum(steps[:, None], steps[None, :]) * coarseness / 255
    k, x = torch.arange(BLOCK, device=device)[:, None], torch.arange(BLOCK, device=device)[None, :]
    cosine = torch.cos(math.pi * (2 * x + 1) * k / (2 * BLOCK)) * math.sqrt(2 / BLOCK)
    cosine[0] /= math.sqrt(2)
    to_luma = torch.tensor([[0.299, 0.587, 0.114], [-0.169, -0.331, 0.5], [0.5, -0.419, -0.081]], device=device)
    luma = torch.einsum("ij,bjhw->bihw", to_luma, pixels)
    b, c, h, w = luma.shape
    blocks = luma.reshape(b, c, h // BLOCK, BLOCK, w // BLOCK, BLOCK).transpose(3, 4)
    rounded = cosine @ blocks @ cosine.T
    by_channel = steps * torch.tensor([1.0, 2.0, 2.0], device=device)[:, None, None, None, None]
    rounded = (rounded / by_channel).round() * by_channel
    restored = (cosine.T @ rounded @ cosine).transpose(3, 4).reshape(b, c, h, w)
    return torch.einsum("ij,bjhw->bihw", torch.linalg.inv(to_luma), restored)
