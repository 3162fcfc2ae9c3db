"""A painter that was trained: pictures of any size in one pass, in tiles that do not show."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from compositor.clock import StageClock
from compositor.errors import OptionError
from compositor.learned.device import choose_device, torch_threads
from compositor.learned.strokes import STRIDE, StrokeNetwork, StrokeShape
from compositor.learned.weights import fitting, read_weights
from compositor.options import StyleOptions

__all__ = ["KIND", "TrainedPainter"]

Floats = NDArray[np.float32]
KIND = "a painter"
TILE = 512
"""Side of what is painted at a time, px; it sees more around it."""


class TrainedPainter:
    """Paints as it learned from one style: a ``paint`` of ``compositor.style``.

    Parameters
    ----------
    network : StrokeNetwork
    """

    def __init__(self, network: StrokeNetwork) -> None:
        # Convolutions on a CPU are a quarter faster where a pixel's channels lie together.
        self.network = network.to(memory_format=torch.channels_last).eval().requires_grad_(False)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """The painter with weights from a file that «compositor train painter» wrote.

        Raises
        ------
        WeightsError
            The file is none, is damaged, or fits another network.
        """
        tensors, record = read_weights(path, kind=KIND)
        with fitting(path):
            network = StrokeNetwork(StrokeShape(**record["shape"]))
            network.load_state_dict(tensors)
        return cls(network)

    @property
    def palette(self) -> NDArray[np.uint8]:
        """Colours of the style as a picture, (64, 64, 3) uint8 RGB, for ``compositor.style`` to take as the style."""
        return self.network.palette.cpu().numpy().reshape(64, 64, 3).copy()

    def __call__(
        self, content: Floats, style: Floats, colored: Floats, where: NDArray[np.bool_] | None, options: StyleOptions, tell: StageClock
    ) -> Floats:
        """Paint a picture, as ``compositor.learned.paint`` does; only what is in the style's colours is looked at.

        Raises
        ------
        OptionError
            The options ask for strokes or detail that the painter did not learn.
        """
        for name, usual in (("detail", 0.5), ("brush", 1.0)):
            if getattr(options, name) != usual:
                raise OptionError(f"{name}={getattr(options, name)!r}: a painter has learned it; train another one, or leave it out")
        device = choose_device(options.device)
        self.network.to(device)
        painted, (height, width) = np.array(colored), colored.shape[:2]
        padding = (0, -width % STRIDE, 0, -height % STRIDE)
        whole = functional.pad(torch.from_numpy(np.ascontiguousarray(colored.transpose(2, 0, 1)))[None], padding, mode="replicate")
        tiles = [tile for tile in _tiles(height, width) if where is None or where[tile].any()]

        def paint(tile: tuple[slice, slice]) -> None:
            painted[tile] = self._painted(whole, tile, device)[: painted[tile].shape[0], : painted[tile].shape[1]]

        # Each tile is computed on one thread, so that threads decide nothing but when.
        threads = (options.threads or os.cpu_count() or 1) if device == "cpu" else 1
        with torch_threads(1), ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            tell("paint", 0, len(tiles))
            for done, _ in enumerate(pool.map(paint, tiles), 1):
                tell("paint", done, len(tiles))
        return painted

    def _painted(self, whole: Tensor, tile: tuple[slice, slice], device: str) -> Floats:
        """A tile of a picture (1, 3, h, w) whose sides are multiples of ``STRIDE``, (h, w, 3)."""
        seen = [slice(max(0, part.start - self.network.reach), part.stop + self.network.reach) for part in tile]
        part = whole[:, :, seen[0], seen[1]].to(device, memory_format=torch.channels_last)
        top, left = (inner.start - outer.start for inner, outer in zip(tile, seen, strict=True))
        made = self.network(part)[0, :, top : top + TILE, left : left + TILE].clamp(0, 1)
        return np.asarray(made.permute(1, 2, 0).cpu().numpy(), np.float32)


def _tiles(height: int, width: int) -> Iterator[tuple[slice, slice]]:
    """Tiles that cover a picture, row by row; the last ones may reach beyond it."""
    return itertools.product(*([slice(start, start + TILE) for start in range(0, length, TILE)] for length in (height, width)))
