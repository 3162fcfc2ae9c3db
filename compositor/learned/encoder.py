"""The encoder in use: pictures in, numbers out; pictures that show the same have a large product.

What is told of a picture has several parts, learned ones and hand-made ones. Each has length 1 and counts by its weight, so that the
product of two pictures' numbers is the weighted mean of how alike they are in each part.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from compositor.errors import OptionError
from compositor.learned.backbone import BackboneShape, EncoderNetwork
from compositor.learned.descriptors import colour_histogram, edge_histogram
from compositor.learned.device import choose_device, torch_threads
from compositor.learned.pictures import Picture, read_picture, shrunk
from compositor.learned.weights import fitting, packaged_weights, read_weights
from compositor.learned.words import SHORT_SIDE as DETAILS_AT
from compositor.learned.words import Words

__all__ = ["KIND", "NEEDED", "OVERLAP", "Encoder", "read_encoder", "squares_of"]

KIND = "an encoder"
SHORT_SIDE, SMALLEST = 96, 64
"""Px of a picture's shorter side that the network looks at; smaller ones are enlarged to the second."""
NEEDED = max(SHORT_SIDE, DETAILS_AT)
"""Shorter side, px, that a picture is read with for all that is told of it."""
REGION = 2 / 3
"""Side of the regions that are told one by one, as a share of the shorter side: about what the network learned from."""
ALONG = 32
"""Regions along a side at most: they are all those of a picture that is eight times as long as it is high."""
AT_ONCE, READ = 32, 256
"""Pictures of one size that the network sees at a time, and those that are read before any is looked at."""
OVERLAP = {"colour": 0.05, "words": 0.95}
"""Parts by which photos that overlap are found, and their weights: what told views best of photos that nothing was learned from, zoomed up
to four times. The network's parts made nothing better beside these, and take a third of the time."""
HAND_MADE: dict[str, Callable[[NDArray[np.uint8]], NDArray[np.float32]]] = {"colour": colour_histogram, "edges": edge_histogram}
LEARNED = ("picture", "regions", "layers")
Floats = NDArray[np.float32]


class Encoder:
    """Tells pictures by numbers.

    Parameters
    ----------
    network : EncoderNetwork, optional
        By default that with the weights that ship.
    words : Words, optional
        A vocabulary of details, for the part «words».
    device : str
        «auto», «cpu», «cuda» or «mps».
    """

    def __init__(self, network: EncoderNetwork | None = None, words: Words | None = None, *, device: str = "auto") -> None:
        if network is None:
            network, words = read_encoder(packaged_weights("encoder"))
        self.device, self.words = choose_device(device), words
        self.network: EncoderNetwork = network.to(self.device, memory_format=torch.channels_last).eval().requires_grad_(False)

    @classmethod
    def load(cls, path: str | os.PathLike[str] | None = None, *, device: str = "auto") -> Self:
        """The encoder with weights from a file, or with those that ship with the package.

        Raises
        ------
        WeightsError
            The file is none, is damaged, or fits another network.
        """
        return cls(*read_encoder(packaged_weights("encoder") if path is None else path), device=device)

    def tensors(self) -> dict[str, Tensor]:
        """All its numbers, by name, as ``load`` finds them in a file."""
        words = (
            {} if self.words is None else {f"words.{name}": torch.from_numpy(array.copy()) for name, array in self.words.tensors().items()}
        )
        return {**self.network.state_dict(), **words}

    def __call__(self, pictures: Iterable[Picture], *, parts: dict[str, float] | None = None) -> Floats:
        """Numbers of pictures.

        Parameters
        ----------
        pictures : iterable of path, (h, w, 3) array or Photo
            Arrays are RGB.
        parts : dict of str to float, optional
            Weights of «picture», «regions», «layers», «colour», «edges», «words»; by default what finds photos that overlap.

        Returns
        -------
        (n, d) float32
            A picture's row has length 1.

        Raises
        ------
        OptionError
            There is no such part.
        ReadError
            A picture cannot be read.
        """
        parts = OVERLAP if parts is None else parts
        known = [*LEARNED, *HAND_MADE, *(["words"] if self.words else [])]
        if not parts or not set(parts) <= set(known) or min(parts.values()) <= 0:
            raise OptionError(f"parts={parts!r} are not known, or weigh nothing; choose from {', '.join(known)}, with weights above 0")
        waiting, rows = iter(pictures), []
        while some := [read_picture(picture, short=NEEDED) for picture in islice(waiting, READ)]:
            rows.append(self._tell(some, parts))
        # Of no picture there are as many numbers as of any other.
        return np.concatenate(rows) if rows else self._tell([np.zeros((SMALLEST, SMALLEST, 3), np.uint8)], parts)[:0]

    def _tell(self, pixels: Sequence[NDArray[np.uint8]], parts: dict[str, float]) -> Floats:
        """Numbers of a few pictures."""
        told = self._look(pixels, learned) if (learned := [name for name in LEARNED if name in parts]) else {}
        for name in parts:
            if name not in LEARNED:
                describe = self.words.describe if name == "words" and self.words else HAND_MADE[name]
                told[name] = np.array([describe(one) for one in pixels], np.float32)
        whole = np.concatenate([np.sqrt(np.float32(weight)) * told[name] for name, weight in parts.items()], axis=-1)
        return np.asarray(whole / np.maximum(np.linalg.norm(whole, axis=-1, keepdims=True), 1e-9), np.float32)

    @torch_threads(1)  # the same bytes whatever the machine
    @torch.inference_mode()
    def _look(self, pixels: Sequence[NDArray[np.uint8]], parts: Sequence[str]) -> dict[str, Floats]:
        """What the network tells of pictures, by part; those of one size are looked at together."""
        small = [shrunk(one, SHORT_SIDE, SMALLEST) for one in pixels]
        alike: dict[tuple[int, ...], list[int]] = {}
        for place, one in enumerate(small):
            alike.setdefault(one.shape, []).append(place)
        rows: dict[str, list[Any]] = {name: [None] * len(small) for name in parts}
        for places in alike.values():
            for first in range(0, len(places), AT_ONCE):
                some = places[first : first + AT_ONCE]
                for name, numbers in self._told(np.stack([small[place] for place in some]), parts).items():
                    for place, row in zip(some, numbers.cpu().numpy(), strict=True):
                        rows[name][place] = row
        return {name: np.array(told, np.float32) for name, told in rows.items()}

    def _told(self, pictures: NDArray[np.uint8], parts: Sequence[str]) -> dict[str, Tensor]:
        """The learned parts of pictures of one size."""
        h, w = pictures.shape[1:3]
        maps = self.network.backbone(torch.from_numpy(pictures).to(self.device).permute(0, 3, 1, 2).float() / 255)
        told: dict[str, Callable[[], Tensor]] = {
            "picture": lambda: self.network.embed(maps),
            "regions": lambda: torch.stack([self.network.embed(_cut(maps, box)) for box in squares_of(h, w, REGION)]).sum(0),
            "layers": lambda: self.network.found(maps),
        }
        return {name: functional.normalize(told[name]()) for name in parts}  # «picture» has length 1 already


def read_encoder(path: str | os.PathLike[str]) -> tuple[EncoderNetwork, Words]:
    """The network and the vocabulary of a file of weights.

    Raises
    ------
    WeightsError
        The file is none, is damaged, or fits another network.
    """
    tensors, record = read_weights(path, kind=KIND)
    with fitting(path):
        shape = record["shape"]
        network = EncoderNetwork(BackboneShape(channels=tuple(shape["channels"]), numbers=shape["numbers"]))
        words = {name.removeprefix("words."): tensors.pop(name).numpy() for name in sorted(tensors) if name.startswith("words.")}
        network.load_state_dict(tensors)
        vocabulary = Words(**words)
    return network, vocabulary


def squares_of(h: int, w: int, share: float) -> list[tuple[float, float, float, float]]:
    """Squares all over a picture, each overlapping the next by half or more, or as many as there may be along a side of a very long
    picture: top, left, bottom and right as shares.

    Parameters
    ----------
    h, w : int
        The picture's sides.
    share : float
        A square's side, as a share of the shorter one.
    """
    side = share * min(h, w)
    down, across = (np.linspace(0, length - side, min(ALONG, 1 + int(np.ceil((length - side) / (side / 2))))) for length in (h, w))
    return [(y / h, x / w, (y + side) / h, (x + side) / w) for y in down for x in across]


def _cut(maps: Sequence[Tensor], box: tuple[float, float, float, float]) -> list[Tensor]:
    """The part of every map that shows a part of the picture."""
    parts = []
    for found in maps:
        h, w = found.shape[-2:]
        top, left, bottom, right = (round(share * length) for share, length in zip(box, (h, w, h, w), strict=True))
        parts.append(found[..., top : max(bottom, top + 1), left : max(right, left + 1)])
    return parts
