"""Learning to tell pictures without labels: two squares of one photo belong together, squares of others do not.

The loss asks, of all squares of a batch, which is the other half (van den Oord and others, «Representation learning with contrastive
predictive coding», 2018). Which squares make a pair decides what is learned. To tell what overlaps, they overlap as neighbouring photos of
a panorama do and differ in exposure, white balance, blur, noise and compression; as there are few photos, each is tinted anew whenever it
is used, both squares alike: to what is learned it is another photo. To tell what is shown, they are from anywhere in a picture, of any
size, and in so different a light that little but the things in them stays (Chen and others, «SimCLR», ICML 2020).
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from compositor.datasets.augment import Augmentation, Sample, generator_of, overlap_pair
from compositor.datasets.lights import Blur, Colour, Exposure, Gray, Jpeg, Noise
from compositor.errors import OptionError, counted
from compositor.learned.backbone import EncoderNetwork
from compositor.learned.device import computing_in
from compositor.learned.encoder import KIND, Encoder
from compositor.learned.learner import NetworkLearner, Results, seeded
from compositor.learned.photographs import Photographs
from compositor.learned.pictures import shrunk
from compositor.learned.vary import colour, cut, expose
from compositor.learned.words import Words
from compositor.options import EncoderOptions
from compositor.types import Progress

__all__ = ["Contrast", "Pairs", "make_pairs", "make_views"]

TEMPERATURE = {"overlapping": 0.1, "anywhere": 0.2}
"""By how much of a product the other half is to be closer than all others: the less, the more the nearest of these count."""
MEASURED_SEED = 2**64
"""Seed of the pairs that reports are measured on."""
LEAST, GRAY = 0.2, 0.2
"""Of squares anywhere: the share of a picture that one shows at least, and of them that are gray."""
TINT = Augmentation(lights=(Exposure(0.5, 0.8), Colour(0.35, 0.5), Gray(0.15)))
LIGHT = Augmentation(lights=(Exposure(0.8, 0.25), Colour(0.2, 0.25, 0.03), Blur(1.0, 0.3), Noise(0.03), Jpeg(40, 95, 0.3)))


@dataclasses.dataclass(frozen=True, eq=False)
class Pairs:
    """A batch of pairs.

    Parameters
    ----------
    first, second : (n, 3, size, size) float32
        Encoded RGB, 0..1.
    origin : (n,) int64
        Which photo each pair is from.
    """

    first: Tensor
    second: Tensor
    origin: Tensor


def make_pairs(photographs: Photographs, number: int, *, pairs: int, size: int, seed: int, device: str = "cpu") -> Pairs:
    """The pairs of a batch; they depend on seed and number only.

    Parameters
    ----------
    photographs : Photographs
    number : int
        Of the batch.
    pairs, size : int
        How many, and their squares' side, px.
    seed : int
    device : str
    """
    generator = generator_of(seed, number)
    many, origin = photographs.photographs, _dealt(photographs, pairs, generator)
    both: tuple[list[NDArray[np.uint8]], list[NDArray[np.uint8]]] = ([], [])
    for index in origin:
        # Mirrored or not, both alike: a photo that is mirrored is another photo.
        mirror, tint = slice(None, None, -1 if generator.random() < 0.5 else 1), int(generator.integers(2**62))
        for squares, square in zip(both, overlap_pair(Sample(many[index].pixels), generator, size=size), strict=True):
            squares.append(LIGHT.lit(TINT.lit(square, generator_of(tint, 0)), generator).pixels[:, mirror])
    first, second = (torch.from_numpy(np.stack(squares).transpose(0, 3, 1, 2).copy()).to(device).float() / 255 for squares in both)
    return Pairs(first, second, torch.from_numpy(origin).to(device))


def make_views(photographs: Photographs, number: int, *, pairs: int, size: int, seed: int, device: str = "cpu") -> Pairs:
    """A batch of pairs as ``make_pairs`` makes them, but of squares anywhere in their photos, in quite another light, or gray."""
    generator = generator_of(seed, number)
    origin = _dealt(photographs, pairs, generator)
    draws = torch.Generator().manual_seed(int(generator.integers(2**62)))
    small = [shrunk(photographs.photographs[index].pixels, 2 * size) for index in origin]
    first, second = (_changed(cut(small, size, draws, least=LEAST, turned=0.1, device=device), draws) for _ in range(2))
    return Pairs(first, second, torch.from_numpy(origin).to(device))


def _changed(squares: Tensor, draws: torch.Generator) -> Tensor:
    """Squares in a light that tells nothing of what they show."""
    lit = colour(expose(squares, draws, stops=1.0, balance=0.4), draws, tone=0.4, saturation=0.7)
    gray = (torch.rand(len(lit), 1, 1, 1, generator=draws) < GRAY).to(lit.device)
    return torch.where(gray, lit.mean(1, keepdim=True), lit)


def _dealt(photographs: Photographs, pairs: int, generator: np.random.Generator) -> NDArray[np.int64]:
    """Which photo each pair is from: none comes twice before all have come."""
    many = len(photographs.photographs)
    return np.concatenate([generator.permutation(many) for _ in range(-(-pairs // many))])[:pairs]


MAKING: dict[str, Callable[..., Pairs]] = {"overlapping": make_pairs, "anywhere": make_views}


class Contrast(NetworkLearner[Pairs]):
    """What changes while an encoder is trained.

    Parameters
    ----------
    options : EncoderOptions
    device : str
    learned : Photographs
    measured : Pairs
        Of photos that are never learned from.
    """

    def __init__(self, options: EncoderOptions, device: str, learned: Photographs, measured: Pairs) -> None:
        self.options, self.device, self.learned, self.measured = options, device, learned, measured
        # Squares anywhere are cut from small photos, which every step would make again.
        small = (dataclasses.replace(photo, pixels=shrunk(photo.pixels, 2 * options.size)) for photo in learned.photographs)
        self.shown = Photographs(list(small)) if options.squares == "anywhere" else learned
        with seeded(options.seed):
            # Convolutions on a CPU are a fifth faster where a pixel's channels lie together.
            self.network = EncoderNetwork().to(device, memory_format=torch.channels_last)
        self.average = copy.deepcopy(self.network).requires_grad_(False)
        self.optimizer = torch.optim.AdamW(self.network.parameters(), lr=options.rate, weight_decay=1e-3)

    @classmethod
    def prepared(cls, options: EncoderOptions, device: str, learned: Photographs, held_out: Photographs, _: Progress | None) -> Self:
        """A training that has not begun.

        Raises
        ------
        OptionError
            There is one photo to learn from, whose squares have none of another photo to be told from.
        """
        if (count := len(learned.photographs)) < 2:
            raise OptionError(f"{counted(count, 'photo')} to learn from and {len(held_out.photographs)} to measure on; give at least three")
        measured = MAKING[options.squares](held_out, 0, pairs=options.measured, size=options.size, seed=MEASURED_SEED, device=device)
        return cls(options, device, learned, measured)

    def make(self, number: int) -> Pairs:
        """The pairs of a step."""
        options, make = self.options, MAKING[self.options.squares]
        return make(self.shown, number, pairs=options.pairs, size=options.size, seed=options.seed, device=self.device)

    def step(self, iteration: int, pairs: Pairs) -> dict[str, float]:
        """Learn from pairs; the loss."""
        with computing_in(self.options.precision, self.device):
            numbers = self.network(torch.cat([pairs.first, pairs.second]))
        loss = contrast_loss(numbers.float(), pairs.origin, temperature=TEMPERATURE[self.options.squares])
        self.learn(iteration, loss)
        return {"loss": float(loss.detach())}

    @torch.no_grad()
    def measure(self) -> dict[str, Any]:
        """How well halves find each other that were never learned from: the share found first, and the area under the curve.

        Halves of one photo alone have no others to be found among: then nothing is told.
        """
        pairs = self.measured
        if bool((pairs.origin == pairs.origin[0]).all()):
            return {}
        alike = self.average(pairs.first) @ self.average(pairs.second).T
        own = alike.diagonal()
        other = alike[pairs.origin[:, None] != pairs.origin[None]]
        rivals = alike.masked_fill(pairs.origin[:, None] == pairs.origin[None], -torch.inf)
        found = rivals.amax(1) < own
        ordered, own = other.sort().values, own.contiguous()
        wins = sum(torch.searchsorted(ordered, own, right=right).double().mean() for right in (False, True)) / 2 / len(other)
        return {"found_first": float(found.float().mean()), "auc": float(wins)}

    def results(self) -> Results:
        """The averaged network and words learned from the same photos."""
        words = Words.learn([photo.pixels for photo in self.learned.photographs], generator_of(self.options.seed, 0))
        tensors = Encoder(self.average, words, device=self.device).tensors()
        return Results({".safetensors": (KIND, tensors)}, {"shape": dataclasses.asdict(self.network.shape)})


def contrast_loss(numbers: Tensor, origin: Tensor, *, temperature: float) -> Tensor:
    """How hard the other half of each square is to tell from all others; squares of the same photo's other pairs do not count.

    Parameters
    ----------
    numbers : (2 n, d) float32
        Of length 1; the second half belongs to the first, in order.
    origin : (n,) int64
        Squares of pairs that share one may overlap though nobody says so.
    temperature : float
        By how much of a product the other half is to be closer than all others.
    """
    n = len(origin)
    alike = numbers @ numbers.T / temperature
    partner = torch.arange(2 * n, device=numbers.device).roll(n)
    ignored = _same(origin).repeat(2, 2) | torch.eye(2 * n, dtype=torch.bool, device=numbers.device)
    ignored[torch.arange(2 * n), partner] = False
    return functional.cross_entropy(alike.masked_fill(ignored, -torch.inf), partner)


def _same(origin: Tensor) -> Tensor:
    """Which pairs are from one photo, but are not the same pair, (n, n)."""
    return (origin[:, None] == origin[None]) & ~torch.eye(len(origin), dtype=torch.bool, device=origin.device)
