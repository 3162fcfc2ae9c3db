"""How different two pictures look: what a network finds in each, place by place, compared.

What every layer of the encoder finds at a place is a direction; two pictures differ there by how far the directions lie apart. That the
differences of trained networks follow what people see is known since Zhang and others, «The unreasonable effectiveness of deep features
as a perceptual metric», CVPR 2018; network, weights and numbers here are others, so nothing that was measured with theirs compares.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from compositor.errors import OptionError
from compositor.learned.backbone import EncoderNetwork
from compositor.learned.device import choose_device, torch_threads
from compositor.learned.encoder import read_encoder
from compositor.learned.pictures import Picture, read_whole
from compositor.learned.weights import packaged_weights

__all__ = ["LAYER_WEIGHTS", "Perception"]

LAYER_WEIGHTS = (1.002, 2.645, 9.144, 218.9, 5.794)
"""What the four layers count, fine to coarse, and the colours of places: ``tests/bench/perception.py --fit`` on half of 42 photos, so that
pictures spoilt as badly as there lie at 1 in the mean. All count about as much: coarse layers differ less."""
FAINT = 0.1
"""Length, beside its mean over the picture, below which what is found at a place counts less: nothing has no direction."""
LEAST = 32
"""Px that a side must have."""
Floats = NDArray[np.float32]


class Perception:
    """Tells how different pictures look: 0 for equal ones; the distance between points, so that detours are never shorter.

    Parameters
    ----------
    network : EncoderNetwork, optional
        By default that with the weights that ship.
    weights : sequence of float
        What each of the four layers counts, fine to coarse, and the colours of places.
    device : str
        «auto», «cpu», «cuda» or «mps».

    Raises
    ------
    OptionError
        There are more or fewer weights, or some below 0.
    """

    def __init__(self, network: EncoderNetwork | None = None, *, weights: Sequence[float] = LAYER_WEIGHTS, device: str = "auto") -> None:
        self.device, self.weights = choose_device(device), tuple(weights)
        network = network or read_encoder(packaged_weights("encoder"))[0]
        parts = len(network.backbone.channels)  # a layer for each but the first, and colours
        if len(self.weights) != parts or not (np.isfinite(self.weights).all() and min(self.weights) >= 0):
            raise OptionError(f"weights={self.weights} do not fit; give {parts} numbers of 0 and more, for the layers and the colours")
        self.network: EncoderNetwork = network.to(self.device, memory_format=torch.channels_last).eval().requires_grad_(False)

    @classmethod
    def load(cls, path: str | os.PathLike[str] | None = None, *, device: str = "auto") -> Self:
        """The distance by an encoder from a file, or by the one that ships with the package.

        Raises
        ------
        WeightsError
            The file is none, is damaged, or fits another network.
        """
        return cls(read_encoder(packaged_weights("encoder") if path is None else path)[0], device=device)

    def __call__(self, first: Picture, second: Picture) -> float:
        """How different two pictures look, 0 and more; about 1 where one is spoilt badly.

        Parameters
        ----------
        first, second : path, (h, w, 3) array or Photo
            Of one size, 32 px a side and more. Arrays are RGB.

        Raises
        ------
        OptionError
            They differ in size, or are too small.
        ReadError
            One cannot be read.
        """
        return float(
            np.sqrt(sum(weight * float(part.mean()) for weight, part in zip(self.weights, self.parts(first, second), strict=True)))
        )

    @torch_threads(1)  # the same bytes whatever the machine
    def map(self, first: Picture, second: Picture) -> Floats:
        """Where they look different, (h, w) float32: the squares of its values have the square of the distance as their mean, about."""
        shown = self._read(first, second)
        parts = [
            weight * functional.interpolate(part[None, None], shown[0].shape[:2], mode="bilinear")[0, 0]
            for weight, part in zip(self.weights, self._parts(*shown), strict=True)
        ]
        return np.asarray(torch.stack(parts).sum(0).clamp(min=0).sqrt().cpu().numpy(), np.float32)

    @torch_threads(1)
    def parts(self, first: Picture, second: Picture) -> list[Floats]:
        """Squared differences by layer, place by place: four maps, fine to coarse, and one of colours."""
        return [np.asarray(part.cpu().numpy(), np.float32) for part in self._parts(*self._read(first, second))]

    def _read(self, first: Picture, second: Picture) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """The pixels of both."""
        one, other = read_whole(first), read_whole(second)
        if one.shape != other.shape or min(one.shape[:2]) < LEAST:
            sizes = " and ".join(f"{shown.shape[1]} x {shown.shape[0]}" for shown in (one, other))
            raise OptionError(
                f"pictures of {sizes} px cannot be compared; both must have one size, {LEAST} px a side at least: scale or crop one"
            )
        return one, other

    @torch.inference_mode()
    def _parts(self, first: NDArray[np.uint8], second: NDArray[np.uint8]) -> list[Tensor]:
        """Squared differences by layer, (h / 2^k, w / 2^k) each."""
        both = torch.from_numpy(np.stack([first, second])).to(self.device).permute(0, 3, 1, 2).float() / 255
        found = [_directions(layer) for layer in self.network.backbone(both)]
        # Groups are normalised, so that the layers do not see what light everything is in.
        found.append(functional.avg_pool2d(both, 4))
        return [(layer[0] - layer[1]).square().sum(0) for layer in found]


def _directions(found: Tensor) -> Tensor:
    """What was found at each place, at length 1 where it is plain and shorter where it is faint."""
    length = found.norm(dim=1, keepdim=True)
    return found / (length + FAINT * length.mean((2, 3), keepdim=True) + 1e-6)
