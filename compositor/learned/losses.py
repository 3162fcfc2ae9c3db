"""How far a refined seam is from the truth, for training and for its reports."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from compositor.learned.examples import Examples

__all__ = ["gradient_errors", "local_loss", "ring_errors", "tone_loss"]

LEVEL = 1 / 255


def local_loss(refined: Tensor, examples: Examples) -> Tensor:
    """Mean over tiles of the logarithms of three errors in the ring: of pixels, of gradients, and of means over 4 x 4 pixels.

    A logarithm makes a seam that is nearly right count as much as one that is far off: what is learned is the share of the error that
    goes away, which is what decibels measure, and scenes that need no change pull as hard as those that need much.
    """
    error, ring = refined - examples.truth, (examples.strip.window > 0).float()
    used = ring.sum((1, 2, 3)) > 0
    amount = ring.sum((1, 2, 3)).clamp(min=1)
    pixels = (_charbonnier(error) * ring).mean(1).sum((1, 2)) / amount
    gradients = (_charbonnier(_gradient(error)) * ring).mean(1).sum((1, 2)) / amount
    means = functional.avg_pool2d(error * ring, 4).abs().mean(1).sum((1, 2)) * 16 / amount
    losses = torch.log(pixels + LEVEL / 4) + 0.5 * torch.log(gradients + LEVEL / 4) + 0.5 * torch.log(means + LEVEL / 8)
    return (losses * used).sum() / used.sum().clamp(min=1)


def tone_loss(correction: Tensor, examples: Examples) -> Tensor:
    """Mean over scenes of the logarithm of the error that the tone correction leaves in what ``new`` shows.

    Parameters
    ----------
    correction : (b, 3, h, w) float32
        As the tone branch gives it.
    examples : Examples
    """
    fine = functional.interpolate(correction, examples.low_truth.shape[-2:], mode="bilinear", align_corners=False)
    error = (examples.low_pixels + examples.low_weight * fine - examples.low_truth) * examples.low_weight
    amount = examples.low_weight.sum((1, 2, 3)).clamp(min=1)
    return torch.log(_charbonnier(error).mean(1).sum((1, 2)) / amount + LEVEL / 8).mean()


def ring_errors(refined: Tensor, examples: Examples) -> Tensor:
    """Mean squared error in the ring, by tile: (n,)."""
    ring = (examples.strip.window > 0).float()
    return ((refined - examples.truth) ** 2 * ring).mean(1).sum((1, 2)) / ring.sum((1, 2, 3)).clamp(min=1)


def gradient_errors(refined: Tensor, examples: Examples) -> Tensor:
    """Mean absolute error of the gradient in the ring, by tile: (n,)."""
    ring = (examples.strip.window > 0).float()
    return (_gradient(refined - examples.truth).abs() * ring).mean(1).sum((1, 2)) / ring.sum((1, 2, 3)).clamp(min=1)


def _gradient(pixels: Tensor) -> Tensor:
    """Differences to the next pixel along either axis, (b, 2 c, h, w)."""
    right = functional.pad(pixels[..., 1:] - pixels[..., :-1], (0, 1))
    down = functional.pad(pixels[..., 1:, :] - pixels[..., :-1, :], (0, 0, 0, 1))
    return torch.cat([right, down], 1)


def _charbonnier(error: Tensor) -> Tensor:
    """The absolute error, smooth where it is below half a level."""
    return torch.sqrt(error * error + (LEVEL / 2) ** 2) - LEVEL / 2
