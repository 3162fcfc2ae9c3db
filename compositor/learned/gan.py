"""A generative adversarial network for few pictures: one network makes pictures of random numbers, another tells them from real ones.

The judge compares pairs, a real and a made picture, and its slope is held down at both (Huang and others, «The GAN is dead; long live the
GAN!», NeurIPS 2024): with that a plain training converges. All that the judge sees is varied at random, alike for real and made pictures,
so that it cannot learn few pictures by heart (Zhao and others, «Differentiable augmentation», NeurIPS 2020). With classes, both are told
which one it is (Miyato & Koyama, ICLR 2018); what a picture is made of speaks at every size (Chen and others, «On self modulation for
generative adversarial networks», ICLR 2019). One look of the judge serves both networks.
"""

from __future__ import annotations

import copy
import dataclasses
import math
import os
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from compositor.datasets.augment import generator_of
from compositor.errors import OptionError
from compositor.learned.average import follow
from compositor.learned.batches import FINEST, SMALLEST, Batch, PictureShape, as_pixels, as_tensor
from compositor.learned.collection import Collection
from compositor.learned.device import choose_device, computing_in
from compositor.learned.learner import rise_and_fall, seeded
from compositor.learned.making import MakerLearner, PictureMaker
from compositor.learned.processes import average_gradients
from compositor.learned.vary import vary
from compositor.learned.weights import fitting, read_weights
from compositor.options import GanOptions

__all__ = ["KIND", "Gan", "GanShape", "GanTraining", "Generator", "Judge"]

KIND = "a picture generator"
EVERY = 8
"""Steps between those that hold down the judge's slope, which costs as much as a step; it then counts as often more."""
CLASSES = 0.3
"""Length of what tells a class beside that of the random numbers: where it drowns them, a class becomes one picture."""
WARMING = 50
"""Steps over which the learning rate rises."""
LEAST = 0.01
"""Share of the learning rate that is left in the end: while it is high, colours and contrast of what is made wander."""
STEEPEST = 12.0
"""Difference of two scores beyond which the generator's slope grows no more."""
AT_ONCE, JUDGED, MEASURED = 256, 64, 256
"""Pictures that are made at a time, that are judged at a time, and that reports are measured on at most."""


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
        widths, told = [*shape.widths()[::-1], FINEST], 2 * shape.numbers
        self.classes = nn.Embedding(shape.classes, shape.numbers)
        self.enter = nn.Linear(told, widths[0] * SMALLEST**2)
        last = len(widths) - 2  # at full size, where each costs most, there is one convolution only
        self.stages = nn.ModuleList([_Grow(a, b, told, refined=k < last) for k, (a, b) in enumerate(pairwise(widths))])
        self.norm, self.leave = _Told(FINEST, told), nn.Conv2d(FINEST, 3, 3, padding=1)

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
        classes = functional.normalize(self.classes(labels)) * (CLASSES * math.sqrt(self.shape.numbers))
        told = torch.cat([numbers, classes], 1)
        maps = self.enter(told).view(len(numbers), -1, SMALLEST, SMALLEST).contiguous(memory_format=torch.channels_last)
        for stage in self.stages:
            maps = stage(maps, told)
        return torch.tanh(self.leave(self.norm(maps, told)))


class _Told(nn.Module):
    """Groups of channels normalised, then scaled and shifted by what the picture is made of, then bent."""

    def __init__(self, channels: int, told: int) -> None:
        super().__init__()
        groups = math.gcd(channels, max(1, channels // 16))  # of about sixteen channels, whatever their number
        self.norm, self.tell = nn.GroupNorm(groups, channels, affine=False), nn.Linear(told, 2 * channels)
        with torch.no_grad():
            self.tell.weight.mul_(0.3)
            self.tell.bias.zero_()

    def forward(self, maps: Tensor, told: Tensor) -> Tensor:
        """Maps of the same size."""
        scale, shift = self.tell(told)[:, :, None, None].chunk(2, 1)
        return functional.leaky_relu(self.norm(maps) * (1 + scale) + shift, 0.2)


class _Grow(nn.Module):
    """Twice the resolution: convolved where that is cheap, then enlarged smoothly, so that no grid arises."""

    def __init__(self, before: int, after: int, told: int, *, refined: bool) -> None:
        super().__init__()
        self.enter, self.change = _Told(before, told), nn.Conv2d(before, after, 3, padding=1)
        self.again = _Told(after, told) if refined else None
        self.refine = nn.Conv2d(after, after, 3, padding=1) if refined else None

    def forward(self, maps: Tensor, told: Tensor) -> Tensor:
        """Maps of twice the size."""
        maps = functional.interpolate(self.change(self.enter(maps, told)), scale_factor=2, mode="bilinear", align_corners=False)
        return maps if self.again is None or self.refine is None else maps + self.refine(self.again(maps, told))


class Judge(nn.Module):
    """Tells real pictures from made ones: a score for each, higher for real.

    No picture's score depends on another's, which ``GanTraining`` relies on.

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
        nn.init.normal_(self.classes.weight, std=0.5)

    def forward(self, pictures: Tensor, labels: Tensor) -> Tensor:
        """(b,) float32 for pictures (b, 3, s, s), -1..1, of classes (b,)."""
        # One answer for all and one for each class: with the second alone every class would soon have but one picture.
        return torch.as_tensor((self.answer(self.layers(pictures)) * (1 + self.classes(labels))).sum(1) / math.sqrt(128))


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
        self.told = 0.5

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
        self.told = state.get("told", 0.5)

    def maker(self) -> PictureMaker:
        """The averaged generator."""
        return Gan(self.average, self.learned.classes, device=self.device)

    def step(self, iteration: int, batch: Batch) -> dict[str, float]:
        """Teach the judge, then the generator; the losses."""
        real, labels, draws = batch.pictures, batch.labels, batch.draws
        rising, falling = rise_and_fall(iteration, self.options.iterations, warming=WARMING, least=LEAST)
        for optimizer in (self.judge_optimizer, self.generator_optimizer):
            optimizer.param_groups[0]["lr"] = self.options.rate * falling * rising
        made = vary(self._make(len(real), labels, draws), draws)
        real = vary(real, draws)
        judged, uphill = self._teach_judge(iteration, real, made.detach(), labels)
        self._learn(self.generator_optimizer, self.generator, lambda: made.backward(uphill))
        follow(self.average, self.generator, iteration, kept=1.0)  # over a ninth of all steps so far
        return judged

    def _teach_judge(self, iteration: int, real: Tensor, made: Tensor, labels: Tensor) -> tuple[dict[str, float], Tensor]:
        """One step of the judge; the losses, and the slope of the generator's loss at what it made.

        Both losses are functions of how much better a real picture was found than the made one beside it, so their slopes at the made one
        differ by a factor only, and the judge need not look again for the generator.
        """
        made = made.requires_grad_()
        both, labelled = torch.cat([real, made]).contiguous(memory_format=torch.channels_last), torch.cat([labels, labels])
        with computing_in(self.options.precision, self.device):
            scores = self.judge(both, labelled)
        better = torch.sub(*scores.float().chunk(2))
        loss = functional.softplus(-better).mean()

        def backward() -> None:
            loss.backward()
            if iteration % EVERY == 0:
                self._hold(both.detach(), labelled)

        self._learn(self.judge_optimizer, self.judge, backward)
        better = better.detach()
        self.told += 0.02 * (float((better > 0).float().mean()) - self.told)
        told = {"generator": float(functional.softplus(better).mean()), "judge": float(loss.detach()), "judge_is_right": self.told}
        slope = torch.zeros_like(made) if made.grad is None else made.grad
        return told, slope * -better.clamp(-STEEPEST, STEEPEST).exp()[:, None, None, None]

    def _hold(self, pictures: Tensor, labels: Tensor) -> None:
        """Add to the judge's gradients what holds its slope down; slopes of slopes need all their digits."""
        pictures = pictures.requires_grad_()
        (slope,) = torch.autograd.grad(self.judge(pictures, labels).sum(), pictures, create_graph=True)
        (EVERY * self.options.slope * slope.square().sum((1, 2, 3)).mean()).backward()  # half of each kind's mean, of two kinds

    def _make(self, count: int, labels: Tensor, draws: torch.Generator) -> Tensor:
        """Pictures of random numbers."""
        numbers = torch.randn((count, self.shape.numbers), generator=draws).to(self.device)
        with computing_in(self.options.precision, self.device):
            return torch.as_tensor(self.generator(numbers, labels)).float()

    def _learn(self, optimizer: torch.optim.Optimizer, network: nn.Module, backward: Callable[[], None]) -> None:
        """One step down the gradients that ``backward`` adds."""
        optimizer.zero_grad()
        backward()
        average_gradients(network.parameters())
        if math.isfinite(float(nn.utils.clip_grad_norm_(network.parameters(), 10.0))):
            optimizer.step()

    @torch.no_grad()
    def measure(self) -> dict[str, Any]:
        """How often the judge tells a picture that nobody learned from from a made one, always of the same numbers.

        Near 1 the generator has lost it, near 0.5 the judge has; below what it tells of those learned from, it knows these by heart.
        """
        some = np.sort(generator_of(0, 0).permutation(len(self.held_out))[:MEASURED])
        numbers = torch.randn((len(some), self.shape.numbers), generator=torch.Generator().manual_seed(0)).to(self.device)
        real, labels = as_tensor(self.held_out.pixels[some], self.device), torch.from_numpy(self.held_out.labels[some]).to(self.device)
        right = [
            self.judge(pictures, of) > self.judge(self.average(drawn, of), of)
            for pictures, of, drawn in zip(*(one.split(JUDGED) for one in (real, labels, numbers)), strict=True)
        ]
        return {"judge_is_right_unseen": float(torch.cat(right).float().mean())}


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
