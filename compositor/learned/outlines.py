"""How edges run in the parts of pictures, told of whole batches where these lie, without learning.

The gradients of a cell are counted by direction and told beside those of its neighbours, so that neither light nor contrast matters (Dalal
and Triggs, «Histograms of oriented gradients for human detection», CVPR 2005). Shares of directions are smooth functions here, sums alone.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["OUTLINES", "outlines"]

SIDE, CELLS, DIRECTIONS = 64, 8, 9
"""Px of the side at which edges are told, cells along it, and directions over half a turn."""
FAINT, MOST, FLAT = 0.02, 0.25, 0.1
"""Strength of edges, in encoded values, that counts half; the largest share one direction of a cell may have; length below which a part
counts as flat."""
OUTLINES = 4 * DIRECTIONS * (CELLS - 1) ** 2
"""Numbers that are told of a picture."""


@torch.no_grad()
def outlines(pictures: Tensor) -> Tensor:
    """Numbers of pictures, (b, 1764) float32, of (b, 3, s, s) encoded RGB, 0..1."""
    if pictures.shape[-1] != SIDE:
        larger = pictures.shape[-1] > SIDE
        pictures = functional.interpolate(pictures, (SIDE, SIDE), mode="bilinear", antialias=larger, align_corners=False)
    # Pixels between two cells count for both: halves of cells, added up by how near they are.
    halves = functional.avg_pool2d(_by_direction(pictures.float()), SIDE // CELLS // 2)
    near = pictures.new_tensor([1.0, 3.0, 3.0, 1.0]) / 8
    cells = functional.conv2d(halves, (near[:, None] * near).expand(DIRECTIONS, 1, -1, -1), stride=2, padding=1, groups=DIRECTIONS)
    parts = torch.cat([cells[:, :, top : top + CELLS - 1, left : left + CELLS - 1] for top in (0, 1) for left in (0, 1)], 1)
    shares = (parts / (parts.norm(dim=1, keepdim=True) + FAINT)).clamp(max=MOST)
    return functional.normalize(shares, dim=1, eps=FLAT).flatten(1)


def _by_direction(pictures: Tensor) -> Tensor:
    """How strong the edges of each direction are at every pixel, (b, directions, s, s)."""
    around = functional.pad(pictures, (1, 1, 1, 1), mode="replicate")
    across = around[:, :, 1:-1, 2:] - around[:, :, 1:-1, :-2]
    down = around[:, :, 2:, 1:-1] - around[:, :, :-2, 1:-1]
    # Of twice the angle all colours' edges can be added up: those that run the same way, light to dark or dark to light, are one.
    cosine, sine = (across**2 - down**2).sum(1, keepdim=True), (2 * across * down).sum(1, keepdim=True)
    squared = (cosine * cosine + sine * sine).sqrt()
    angles = torch.arange(DIRECTIONS, device=pictures.device) * (2 * math.pi / DIRECTIONS)
    towards = (cosine * angles.cos()[:, None, None] + sine * angles.sin()[:, None, None]) / squared.clamp(min=1e-8)
    near = towards.clamp(min=0)
    return near * near * near * squared.sqrt()
