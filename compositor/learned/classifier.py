"""A classifier in use."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from compositor.learned.device import choose_device, torch_threads
from compositor.learned.judgement import probabilities
from compositor.learned.labelled import square, with_room
from compositor.learned.pictures import Picture
from compositor.learned.recognition import AT_ONCE, KIND, ClassifierNetwork
from compositor.learned.weights import fitting, read_weights

__all__ = ["Classifier"]


class Classifier:
    """Tells which class pictures belong to.

    Parameters
    ----------
    network : ClassifierNetwork
    classes : sequence of str
    size : int
        Px of the squares that it looks at.
    temperature : float
        By which scores are divided to be as sure as they may be.
    device : str
        «auto», «cpu», «cuda» or «mps».
    """

    def __init__(
        self, network: ClassifierNetwork, classes: Iterable[str], *, size: int, temperature: float = 1.0, device: str = "auto"
    ) -> None:
        self.device, self.classes, self.size, self.temperature = choose_device(device), tuple(classes), size, temperature
        self.network: ClassifierNetwork = network.to(self.device, memory_format=torch.channels_last).eval().requires_grad_(False)

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, device: str = "auto") -> Self:
        """The classifier with weights from a file.

        Raises
        ------
        WeightsError
            The file is none, is damaged, or fits another network.
        """
        tensors, record = read_weights(path, kind=KIND)
        with fitting(path):
            network = ClassifierNetwork(tuple(record["shape"]["channels"]), len(record["classes"]))
            network.load_state_dict(tensors)
            size, temperature = int(record["shape"]["size"]), float(record["temperature"])
            classes = [str(name) for name in record["classes"]]
        return cls(network, classes, size=size, temperature=temperature, device=device)

    @torch_threads(1)  # the same bytes whatever the machine
    @torch.inference_mode()
    def __call__(self, pictures: Iterable[Picture]) -> NDArray[np.float64]:
        """Probabilities of pictures, (n, classes).

        Parameters
        ----------
        pictures : iterable of path, (h, w, 3) array or Photo
            Arrays are RGB.

        Raises
        ------
        ReadError
            A picture cannot be read.
        """
        shown = [square(with_room(picture, self.size), self.size) for picture in pictures]  # as sharp as what was learned from
        scores: list[Tensor] = [torch.zeros(0, len(self.classes))]
        for first in range(0, len(shown), AT_ONCE):
            part = torch.from_numpy(np.stack(shown[first : first + AT_ONCE])).to(self.device)
            scores.append(self.network(part.permute(0, 3, 1, 2).float() / 255).cpu())
        return probabilities(torch.cat(scores).numpy(), self.temperature)
