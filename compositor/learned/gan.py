"""A generative adversarial network for few pictures: one network makes pictures of random numbers, another tells them from real ones.

The judge compares pairs, a real and a made picture, and its slope is held down at both (Huang and others, «The GAN is dead; long live the
GAN!», NeurIPS 2024): with that a plain training converges. All that the judge sees is varied at random, alike for real and made pictures,
so that it cannot learn few pictures by heart (Zhao and others, «Differentiable augmentation», NeurIPS 2020). With classes, both are told
which one it is (Miyato & Koyama, ICLR 2018).
"""

from __future__ import annotations

import copy
import dataclasses
import math
import os
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from compositor.errors import OptionError
from compositor.learned.average import follow
from compositor.learned.batches import FINEST, SMALLEST, Batch, PictureShape, as_pixels, growing
from compositor.learned.collection import Collection
from compositor.learned.device import choose_device
from compositor.learned.learner import seeded
from compositor.learned.making import MakerLearner, PictureMaker
from compositor.learned.processes import average_gradients
from compositor.learned.vary import vary
from compositor.learned.weights import fitting, read_weights
from compositor.options import GanOptions

__all__ = ["KIND", "Gan", "GanShape", "GanTraining", "Generator", "Judge"]

KIND = "a picture generator"
EVERY = 4
"""Steps between those that hold down the judge's slope, which costs twice a step; it then counts as often more."""
AT_ONCE = 256
"""Pictures that are made at a time."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class GanShape(PictureShape):
    """Also random numbers that a picture is made of, and classes."""

    numbers: int = 64
    classes: int = 1


class Generator(nn.Module):
    """Makes pictures of random numbers.

    Parameters
    ----------
    shape : GanShape
    """

    def __init__(self, shape: GanShape) -> None:
        super().__init__()
        self.shape = shape
        widths = shape.widths()
        self.classes = nn.Embedding(shape.classes, shape.numbers)
        self.enter = nn.Linear(2 * shape.numbers, widths[-1] * SMALLEST**2)
        self.stages = nn.ModuleList([_Grow(before, after) for before, after in pairwise(widths[::-1])])
        self.finest, self.leave = growing(widths[0], FINEST), nn.Conv2d(FINEST, 3, 3, padding=1)

    def forward(self, numbers: Tensor, labels: Tensor) -> Tensor:
        """Pictures.

        Parameters
        ----------
        numbers : (b, n) float32
            Normal random numbers.
        labels : (b,) int64
            Classes.

        Returns
        -------
        (b, 3, s, s) float32
            -1..1.
        """
        told = torch.cat([numbers, self.classes(labels)], 1)
        maps = self.enter(told).view(len(numbers), -1, SMALLEST, SMALLEST)
        for stage in self.stages:
            maps = stage(maps)
        maps = self.finest(functional.leaky_relu(maps, 0.2))
        return torch.tanh(self.leave(functional.leaky_relu(maps, 0.2)))


class _Grow(nn.Module):
    """Twice the resolution."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(max(1, before // 16), before)
        self.grow = growing(before, after)

    def forward(self, maps: Tensor) -> Tensor:
        """Maps of twice the size."""
        return torch.as_tensor(self.grow(functional.leaky_relu(self.norm(maps), 0.2)))


class Judge(nn.Module):
    """Tells real pictures from made ones: a score for each, higher for real.

    Parameters
    ----------
    shape : GanShape
    """

    def __init__(self, shape: GanShape) -> None:
        super().__init__()
        widths = shape.widths()
        layers: list[nn.Module] = [nn.Conv2d(3, widths[0], 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
        for before, after in pairwise(widths):
            layers += [nn.Conv2d(before, after, 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers, nn.Conv2d(widths[-1], widths[-1], 3, padding=1), nn.LeakyReLU(0.2), nn.Flatten())
        self.answer = nn.Linear(widths[-1] * SMALLEST**2, 128)
        self.classes = nn.Embedding(shape.classes, 128)

    def forward(self, pictures: Tensor, labels: Tensor) -> Tensor:
        """(b,) float32 for pictures (b, 3, s, s), -1..1, of classes (b,)."""
        return torch.as_tensor((self.answer(self.layers(pictures)) * self.classes(labels)).sum(1) / math.sqrt(128))


class GanTraining(MakerLearner):
    """What changes while a generator is trained."""

    def __init__(self, options: GanOptions, device: str, learned: Collection, held_out: Collection) -> None:
        super().__init__(options, device, learned, held_out)
        self.shape = GanShape(size=options.size, channels=options.channels, numbers=options.numbers, classes=len(learned.classes))
        with seeded(options.seed):
            generator, judge = Generator(self.shape), Judge(self.shape)
        self.generator, self.judge = (net.to(device, memory_format=torch.channels_last) for net in (generator, judge))
        self.average = copy.deepcopy(self.generator).requires_grad_(False)
        self.generator_optimizer, self.judge_optimizer = (
            torch.optim.Adam(net.parameters(), lr=options.rate, betas=(0.0, 0.99)) for net in (self.generator, self.judge)
        )
        self.told = 0.0

    def modules(self) -> dict[str, nn.Module]:
        """Everything that has weights, by name."""
        return {"generator": self.generator, "judge": self.judge, "average": self.average}

    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        """What remembers earlier steps, by name."""
        return {"generator_optimizer": self.generator_optimizer, "judge_optimizer": self.judge_optimizer}

    def state(self) -> dict[str, Any]:
        """How often the judge was right lately."""
        return {"told": self.told}

    def restore(self, state: dict[str, Any]) -> None:
        """Take up what ``state`` told before."""
        self.told = state.get("told", 0.0)

    def maker(self) -> PictureMaker:
        """The averaged generator."""
        return Gan(self.average, self.learned.classes, device=self.device)

    def step(self, iteration: int, batch: Batch) -> dict[str, float]:
        """Teach the judge, then the generator; the losses."""
        real, labels, draws = batch.pictures, batch.labels, batch.draws
        falling = 0.5 * (1 + math.cos(math.pi * max(0.0, 2 * iteration / self.options.iterations - 1)))  # from half-way on
        for optimizer in (self.judge_optimizer, self.generator_optimizer):
            optimizer.param_groups[0]["lr"] = self.options.rate * max(falling, 0.05)
        judged = self._teach_judge(iteration, real, labels, draws)
        made = self._make(len(real), labels, draws)
        self.judge.requires_grad_(False)
        with torch.no_grad():
            score = self.judge(vary(real, draws), labels)
        better = self.judge(vary(made, draws), labels) - score
        self.judge.requires_grad_(True)
        loss = functional.softplus(-better).mean()
        self._learn(self.generator_optimizer, self.generator, loss)
        follow(self.average, self.generator, iteration)
        return {"generator": float(loss.detach()), **judged}

    def _teach_judge(self, iteration: int, real: Tensor, labels: Tensor, draws: torch.Generator) -> dict[str, float]:
        """One step of the judge."""
        with torch.no_grad():
            made = self._make(len(real), labels, draws)
        held = iteration % EVERY == 0
        seen = [vary(pictures, draws).detach().requires_grad_(held) for pictures in (real, made)]
        scores = [self.judge(pictures, labels) for pictures in seen]
        better = scores[0] - scores[1]
        loss = functional.softplus(-better).mean()
        if held:
            slopes = torch.autograd.grad(scores[0].sum() + scores[1].sum(), seen, create_graph=True)
            loss = loss + EVERY * self.options.slope / 2 * sum(slope.square().sum((1, 2, 3)).mean() for slope in slopes)
        self._learn(self.judge_optimizer, self.judge, loss)
        self.told += 0.02 * (float((better > 0).float().mean()) - self.told)
        return {"judge": float(functional.softplus(-better).mean().detach())}

    def _make(self, count: int, labels: Tensor, draws: torch.Generator) -> Tensor:
        """Pictures of random numbers."""
        numbers = torch.randn((count, self.shape.numbers), generator=draws).to(self.device)
        return torch.as_tensor(self.generator(numbers, labels))

    def _learn(self, optimizer: torch.optim.Optimizer, network: nn.Module, loss: Tensor) -> None:
        """One step down a loss."""
        optimizer.zero_grad()
        loss.backward()
        average_gradients(network.parameters())
        if math.isfinite(float(nn.utils.clip_grad_norm_(network.parameters(), 10.0))):
            optimizer.step()

    def measure(self) -> dict[str, Any]:
        """How often the judge tells a real picture from a made one: near 1 the generator has lost it, near 0.5 the judge has."""
        return {"judge_is_right": self.told}


class Gan(PictureMaker):
    """A generator in use.

    Parameters
    ----------
    network : Generator
    classes : sequence of str
        Their names, by number.
    device : str
        «auto», «cpu», «cuda» or «mps».
    """

    kind = KIND

    def __init__(self, network: Generator, classes: Sequence[str] = ("",), *, device: str = "auto") -> None:
        self.device, self.classes = choose_device(device), tuple(classes)
        self.network = network.to(self.device).eval().requires_grad_(False)

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, device: str = "auto") -> Self:
        """The generator with weights from a file that «compositor train gan» wrote.

        Raises
        ------
        WeightsError
            The file is none, is damaged, or fits another network.
        """
        tensors, record = read_weights(path, kind=KIND)
        with fitting(path):
            network = Generator(GanShape(**record["shape"]))
            network.load_state_dict(tensors)
            classes = [str(name) for name in record["classes"]]
        return cls(network, classes, device=device)

    def _made(self, noise: Tensor, of: str | None) -> NDArray[np.uint8]:
        parts = zip(noise.to(self.device).split(AT_ONCE), self._labels(len(noise), of).to(self.device).split(AT_ONCE), strict=True)
        return np.concatenate([as_pixels(self.network(*part)) for part in parts])

    def _labels(self, count: int, of: str | None) -> Tensor:
        if of is None:
            return torch.arange(count) % len(self.classes)
        if of not in self.classes:
            raise OptionError(f"of={of!r} is no class of these weights; they know {', '.join(filter(None, self.classes)) or 'none'}")
        return torch.full((count,), self.classes.index(of))
