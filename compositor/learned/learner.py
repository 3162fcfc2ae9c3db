"""What is trained, whatever it is: its networks, what one step does to them, how good they are, and what they become in the end."""

from __future__ import annotations

import abc
import contextlib
import dataclasses
import math
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from compositor.learned.average import follow
from compositor.learned.processes import average_gradients

__all__ = ["Learner", "NetworkLearner", "Record", "Results", "rise_and_fall", "seeded"]

Batch = TypeVar("Batch")
Record = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Results:
    """What a training ends with.

    Parameters
    ----------
    weights : mapping of str to (str, mapping of str to Tensor)
        By the ending of their file, what kind of weights they are and their tensors; the first are those that the training is for.
    record : dict
        What is to be known of the weights beside what was asked for and the last report.
    pictures : mapping of str to (h, w, 3) uint8
        By the ending of their file.
    told : str
        What their card says beside what every card does, Markdown.
    """

    weights: Mapping[str, tuple[str, Mapping[str, Tensor]]]
    record: Record = dataclasses.field(default_factory=dict)
    pictures: Mapping[str, NDArray[np.uint8]] = dataclasses.field(default_factory=dict)
    told: str = ""


class Learner(abc.ABC, Generic[Batch]):
    """What changes while something is trained.

    In several processes each learns from batches of its own; ``step`` calls ``average_gradients`` before it uses gradients.
    """

    @abc.abstractmethod
    def modules(self) -> dict[str, nn.Module]:
        """Everything that has weights, by name."""

    @abc.abstractmethod
    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        """What remembers earlier steps, by name."""

    @abc.abstractmethod
    def make(self, number: int) -> Batch:
        """The batch of a number, the same whenever it is made; called on several threads."""

    @abc.abstractmethod
    def step(self, iteration: int, batch: Batch) -> dict[str, float]:
        """Learn from a batch; the losses."""

    @abc.abstractmethod
    def measure(self) -> Record:
        """How good the networks are on what is never learned from."""

    @abc.abstractmethod
    def results(self) -> Results:
        """What was learned."""

    def asked(self) -> Record:
        """What decides what the weights become beside options and pictures; as JSON can hold it."""
        return {}

    def state(self) -> Record:
        """What changes beside modules and optimizers, as JSON can hold it."""
        return {}

    def restore(self, state: Record) -> None:
        """Take up what ``state`` told before."""

    def finished(self) -> bool:
        """Whether to end before the last step; asked after every report."""
        return False

    def picture(self) -> NDArray[np.uint8] | None:
        """What a report shows beside its figures, (h, w, 3); None for nothing."""
        return None


class NetworkLearner(Learner[Batch]):
    """A network that learns, and the average of its weights, which is what a training gives out.

    Whoever inherits this makes the attributes below.
    """

    options: Any
    network: Any
    average: Any
    optimizer: torch.optim.Optimizer
    warming: ClassVar[int] = 50
    """Steps over which the learning rate rises; from then on it falls to nothing."""
    longest: ClassVar[float] = math.inf
    """Norm of gradients beyond which they are shortened."""

    def modules(self) -> dict[str, nn.Module]:
        """The network and its average."""
        return {"network": self.network, "average": self.average}

    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        """The network's."""
        return {"optimizer": self.optimizer}

    def learn(self, iteration: int, loss: Tensor) -> None:
        """A step down a loss."""
        self.optimizer.zero_grad()
        loss.backward()
        self.descend(iteration)

    def descend(self, iteration: int) -> None:
        """A step down the gradients that are there."""
        rising, falling = rise_and_fall(iteration, self.options.iterations, warming=self.warming)
        for group in self.optimizer.param_groups:
            group["lr"] = self.options.rate * rising * falling
        average_gradients(self.network.parameters())
        if math.isfinite(float(nn.utils.clip_grad_norm_(self.network.parameters(), self.longest))):
            self.optimizer.step()
        follow(self.average, self.network, iteration)


def rise_and_fall(iteration: int, iterations: int, *, warming: int, least: float = 0.0) -> tuple[float, float]:
    """The two factors of the learning rate: it rises evenly over the first steps, and falls as a cosine over all of them.

    Parameters
    ----------
    iteration, iterations : int
        The step, from 0, and their number.
    warming : int
        Steps over which it rises.
    least : float
        Share below which it does not fall.
    """
    falling = 0.5 * (1 + math.cos(math.pi * iteration / iterations))
    return min(1.0, (iteration + 1) / warming), max(falling, least)


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draw what PyTorch draws inside from a seed; nobody else's numbers are.

    GPUs that nobody has used yet, and Apple's, go on from this seed afterwards.
    """
    gpus = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()  # to ask one that is not in use would take it up
    with torch.random.fork_rng(devices=list(gpus)):
        torch.manual_seed(seed)
        yield
