"""The moving average of a network's weights, which is what a training gives out."""

from __future__ import annotations

import torch
from torch import nn

__all__ = ["follow"]

KEPT = 0.998
"""Share of the averaged weights that a step keeps where nothing else is said."""


@torch.no_grad()
def follow(slow: nn.Module, fast: nn.Module, iteration: int, *, kept: float = KEPT) -> None:
    """Let averaged weights follow those that were just learned: at first closely, later slowly.

    Parameters
    ----------
    slow, fast : Module
        The averaged network and the one that learns; what is no parameter is copied.
    iteration : int
        The step, from 0.
    kept : float
        Share of the averaged weights that a later step keeps; 1 averages over a ninth of all steps so far.
    """
    kept = min(kept, (1 + iteration) / (10 + iteration))
    for average, learned in zip(slow.parameters(), fast.parameters(), strict=True):
        average.lerp_(learned.detach(), 1 - kept)
    for average, learned in zip(slow.buffers(), fast.buffers(), strict=True):
        average.copy_(learned)
