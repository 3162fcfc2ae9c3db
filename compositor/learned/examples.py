"""What the network is trained on: training scenes as the classical stages leave them, at low resolution and in tiles along the seam.

The classical stages work as they do in use, picture by picture on the CPU, before anything is learned: a network trained without them
learns what they do better. A share of the scenes skips some, so that it also knows what they leave when they fail.
"""

from __future__ import annotations

import dataclasses
from concurrent.futures import Executor

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from compositor.compose.floor import Finished, finish
from compositor.compose.layers import Layers
from compositor.learned.photographs import Photographs
from compositor.learned.scenes import make_scenes
from compositor.learned.strips import LARGEST_RADIUS, LEAST_RADIUS, TILE, Strip, cut

__all__ = ["GRID", "Examples", "make_examples", "pooled"]

GRID = 64
"""Cells along the longer side of what the tone branch sees; sides are multiples of 8."""
FLOORED = 0.85
"""Share of the scenes that all classical stages saw."""
Floats = NDArray[np.float32]


@dataclasses.dataclass(frozen=True, eq=False)
class Examples:
    """Training examples of b scenes with k tiles each, scene by scene.

    Parameters
    ----------
    low : tuple of Tensor
        What the tone branch is given, (b, c, 64, 64) each.
    low_truth, low_pixels, low_weight : Tensor
        The truth and the classical result, pooled alike, (b, 3, 64, 64), and the share of ``new`` in it, (b, 1, 64, 64).
    strip : Strip
        b * k tiles.
    hard, truth : (b * k, 3, n, n) float32
        The layers beside each other as they came, and the truth.
    clean, moved : (b,) bool
        Scenes whose layers were equal, and scenes in which something had moved.
    """

    low: tuple[Tensor, ...]
    low_truth: Tensor
    low_pixels: Tensor
    low_weight: Tensor
    strip: Strip
    hard: Tensor
    truth: Tensor
    clean: Tensor
    moved: Tensor


@dataclasses.dataclass(frozen=True, eq=False)
class _Example:
    """One scene's."""

    low: list[Floats]
    strip: Strip
    hard: Tensor
    truth: Tensor


def make_examples(
    photographs: Photographs,
    numbers: list[int],
    *,
    seed: int,
    tiles: int,
    size: int = 256,
    device: str = "cpu",
    workers: Executor | None = None,
) -> Examples:
    """Make training examples; the same for the same seed and numbers, whoever works on them.

    Parameters
    ----------
    photographs : Photographs
    numbers : list of int
        Which scenes.
    seed : int
    tiles : int
        How many tiles of each scene.
    size : int
        Side of a scene, px.
    device : str
        Where the examples are wanted.
    workers : concurrent.futures.Executor, optional
        Do the classical stages' work; by default it is done here.

    Returns
    -------
    examples : Examples
        Of all scenes.
    """
    scenes = make_scenes(photographs, numbers, seed=seed, size=size, device=device)
    pictures = [np.ascontiguousarray(t.permute(0, 2, 3, 1).cpu().numpy()) for t in (scenes.reference, scenes.new, scenes.truth)]
    jobs = []
    for k, (number, place) in enumerate(zip(numbers, scenes.placements, strict=True)):
        reference, new, truth = (picture[k] for picture in pictures)
        reference, new = reference * place.reference_valid[..., None], new * place.new_valid[..., None]
        layers = Layers(reference, new, place.reference_valid, place.new_valid, place.owner)
        jobs.append((layers, truth, np.random.default_rng([seed, number, 1]), tiles))
    done = list(workers.map(_example, *zip(*jobs, strict=True))) if workers else [_example(*job) for job in jobs]
    low = [
        torch.from_numpy(np.stack([one.low[i] for one in done]).transpose(0, 3, 1, 2).copy()).to(device) for i in range(len(done[0].low))
    ]
    names = [field.name for field in dataclasses.fields(Strip)]
    strip = Strip(**{name: torch.cat([getattr(one.strip, name) for one in done]).to(device) for name in names})
    hard, truth = (torch.cat([getattr(one, name) for one in done]).to(device) for name in ("hard", "truth"))
    return Examples(tuple(low[:5]), low[5], low[6], low[7], strip, hard, truth, scenes.clean, scenes.moved > 0)


def pooled(layers: Layers, finished: Finished) -> list[Floats]:
    """What the tone branch is given of two layers, (64, n, c) or (n, 64, c) each.

    The reference and the finished new layer, each averaged over its own pixels, then the shares of pixels where both are, where ``new``
    shows, and where the reference is.
    """
    h, w = layers.owner.shape
    scale, step = GRID / max(h, w), max(1, max(h, w) // (4 * GRID))  # four samples a cell and direction tell its mean well enough
    size = tuple(max(8, round(side * scale / 8) * 8) for side in (w, h))
    masks = [mask[::step, ::step] for mask in (layers.overlap, layers.owner, layers.reference_valid, layers.new_valid)]
    shares = [_shrink(mask.astype(np.float32), size) for mask in masks]
    reference = _shrink(layers.reference[::step, ::step] * masks[2][..., None], size) / np.maximum(shares[2], 1e-3)
    new = _shrink(finished.new[::step, ::step] * masks[3][..., None], size) / np.maximum(shares[3], 1e-3)
    return [np.asarray(picture, np.float32) for picture in (reference, new, *shares[:3])]


def _shrink(picture: Floats, size: tuple[int, ...]) -> Floats:
    """Means over cells, (h, w, c)."""
    small = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.float32)
    return small if small.ndim == 3 else small[..., None]


def _example(layers: Layers, truth: Floats, generator: np.random.Generator, tiles: int) -> _Example:
    """One scene after the classical stages, and tiles of it at random places of the seam."""
    whole = generator.random() < FLOORED
    tone, flow, membrane = (whole or bool(generator.random() < 0.5) for _ in range(3))
    finished = finish(layers, tone=tone, flow=flow, membrane=membrane, back=True)
    low = [*pooled(layers, finished)]
    size = (low[0].shape[1], low[0].shape[0])
    low += [_shrink(truth, size), _shrink(finished.pixels, size), _shrink(finished.weight, size)]
    rows, columns = np.nonzero(layers.owner & (layers.inside < 1))
    chosen = generator.integers(len(rows), size=tiles)
    corners = np.stack([rows[chosen], columns[chosen]], 1) + generator.integers(-12, 13, (tiles, 2)) - TILE // 2
    corners = np.clip(corners, 0, np.array(layers.owner.shape) - TILE)
    radius = LEAST_RADIUS if generator.random() < 0.6 else int(generator.integers(LEAST_RADIUS, LARGEST_RADIUS + 1))
    hard = np.where(layers.owner[..., None], layers.new, layers.reference)
    return _Example(low, Strip.at(corners, radius, layers, finished), cut(hard, corners), cut(truth, corners))
