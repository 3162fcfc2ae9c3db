"""What all makers of pictures share: what is made of a seed, ways through it, and what their trainings learn from and show."""

from __future__ import annotations

import abc
import dataclasses
import numbers
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from compositor.errors import OptionError
from compositor.learned.batches import Batch, draw_batch, sheet, way
from compositor.learned.collection import Collection
from compositor.learned.learner import Learner, Results
from compositor.options import GeneratorOptions
from compositor.types import Progress

__all__ = ["MakerLearner", "PictureMaker"]

SHOWN = 64
"""Pictures that every report shows, always of the same random numbers."""
LAST_SEED = 2**63 - 1


class PictureMaker(abc.ABC):
    """A network in use that makes pictures of random numbers."""

    kind: ClassVar[str]
    network: Any
    classes: tuple[str, ...] = ("",)

    @property
    def size(self) -> int:
        """Side of the pictures, px."""
        return int(self.network.shape.size)

    def sample(self, count: int, *, seed: int = 0, of: str | None = None) -> NDArray[np.uint8]:
        """New pictures.

        Parameters
        ----------
        count : int
            From 1.
        seed : int
            The same pictures come for the same seed; from 0, below 2**63.
        of : str, optional
            Class of all; by turns of every class when not given.

        Returns
        -------
        (count, size, size, 3) uint8
            RGB.

        Raises
        ------
        OptionError
            A number is out of its range, or there is no such class.
        """
        _check("count", count, 1)
        return self._made(self._noise(count, seed), of)

    def walk(self, stops: int, steps: int, *, seed: int = 0, of: str | None = None) -> NDArray[np.uint8]:
        """A way through new pictures of one class that ends where it began.

        Parameters
        ----------
        stops : int
            Pictures that it leads through, from 2; those that ``sample`` makes of the same seed, where all are of this class.
        steps : int
            Pictures from one stop to the next, without the latter; from 1.
        seed : int
            The same way comes for the same seed; from 0, below 2**63.
        of : str, optional
            Class of all; the first one when not given.

        Returns
        -------
        (stops * steps, size, size, 3) uint8
            RGB.

        Raises
        ------
        OptionError
            A number is out of its range, or there is no such class.
        """
        _check("stops", stops, 2)
        _check("steps", steps, 1)
        noise = self._noise(stops, seed)
        legs = [way(noise[k], noise[(k + 1) % stops], steps + 1)[:-1] for k in range(stops)]
        return self._made(torch.cat(legs), self.classes[0] if of is None else of)

    def _noise(self, count: int, seed: int) -> Tensor:
        _check("seed", seed, 0, LAST_SEED)
        return torch.randn((count, self.network.shape.numbers), generator=torch.Generator().manual_seed(int(seed)))

    @abc.abstractmethod
    def _made(self, noise: Tensor, of: str | None) -> NDArray[np.uint8]:
        """The pictures of normal random numbers, (n, numbers)."""


class MakerLearner(Learner[Batch]):
    """What changes while a maker of pictures is trained.

    Parameters
    ----------
    options : GeneratorOptions
    device : str
    learned, held_out : Collection
        Pictures to learn from, and others to measure on.
    """

    options: Any

    def __init__(self, options: GeneratorOptions, device: str, learned: Collection, held_out: Collection) -> None:
        self.options, self.device, self.learned, self.held_out = options, device, learned, held_out

    @classmethod
    def prepared(cls, options: GeneratorOptions, device: str, learned: Collection, held_out: Collection, _: Progress | None) -> Self:
        """A training that has not begun."""
        return cls(options, device, learned, held_out)

    @abc.abstractmethod
    def maker(self) -> PictureMaker:
        """What was learned so far, in use."""

    def make(self, number: int) -> Batch:
        """The pictures of a step."""
        return draw_batch(self.learned, number, size=self.options.batch, seed=self.options.seed, device=self.device)

    def picture(self) -> NDArray[np.uint8]:
        """A sheet of what is made."""
        return sheet(self.maker().sample(SHOWN))

    def results(self) -> Results:
        """The network that makes pictures."""
        maker = self.maker()
        record = {"shape": dataclasses.asdict(maker.network.shape), "classes": list(self.learned.classes)}
        return Results({".safetensors": (maker.kind, maker.network.state_dict())}, record)


def _check(name: str, value: Any, low: int, high: int | None = None) -> None:
    """Refuse what is no whole number, or out of its range."""
    if not isinstance(value, numbers.Integral) or isinstance(value, bool):
        raise OptionError(f"{name}={value!r} is not a whole number")
    if int(value) < low or (high is not None and int(value) > high):
        raise OptionError(f"{name}={value!r} is out of range; it must lie in {low} .. {'any' if high is None else high}")
