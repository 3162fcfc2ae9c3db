"""Pixels taken from a little beside their place."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["warp", "warp_change"]


def warp(pixels: Tensor, flow: Tensor) -> Tensor:
    """Pixels at p + flow(p), by bicubic interpolation; beyond the border the border's pixels count.

    Parameters
    ----------
    pixels : (b, c, h, w) float32
    flow : (b, 2, h, w) float32
        x and y, px.

    Returns
    -------
    (b, c, h, w) float32
    """
    h, w = pixels.shape[-2:]
    y = torch.arange(h, dtype=flow.dtype, device=flow.device)[:, None] + flow[:, 1]
    x = torch.arange(w, dtype=flow.dtype, device=flow.device) + flow[:, 0]
    grid = torch.stack([(2 * x + 1) / w - 1, (2 * y + 1) / h - 1], dim=-1)
    return functional.grid_sample(pixels, grid, mode="bicubic", padding_mode="border", align_corners=False)


def warp_change(pixels: Tensor, flow: Tensor) -> Tensor:
    """What ``warp`` adds to the pixels; exactly nothing where the flow is zero, which rounding would else spoil.

    There too it has a gradient, or nothing that begins at zero would ever move.
    """
    change = warp(pixels, flow) - pixels
    return torch.where((flow == 0).all(1, keepdim=True), change - change.detach(), change)
