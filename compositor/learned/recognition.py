"""Learning to tell classes apart: a backbone, new or taught without labels before, and one layer of weights for each class.

Rare classes count as much as common ones. The training ends when pictures that are not learned from are told no better for a while, and
gives out the weights that told them best.
"""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from compositor.datasets.augment import Augmentation, Sample, generator_of
from compositor.datasets.lights import Colour, Exposure
from compositor.datasets.moves import Crop, Flip, Rotate
from compositor.learned.average import follow
from compositor.learned.backbone import Backbone, pooled
from compositor.learned.device import computing_in
from compositor.learned.labelled import Labelled, square
from compositor.learned.processes import average_gradients
from compositor.options import ClassifierOptions

__all__ = ["ClassifierNetwork", "Recognition", "make_batch", "squares"]

WARMING = 20
"""Steps over which the learning rate rises."""
TAUGHT = 0.2
"""The learning rate of a backbone that was taught before, as a share of the new layer's."""
SMOOTHING = 0.05
"""Share of the truth that is given to all classes: no picture is certain."""
AT_ONCE = 64


class ClassifierNetwork(nn.Module):
    """What all stages of a backbone found, and a layer that makes a score for each class of it.

    Parameters
    ----------
    channels : sequence of int
        Of the backbone.
    classes : int
        How many.
    """

    def __init__(self, channels: tuple[int, ...], classes: int) -> None:
        super().__init__()
        self.backbone = Backbone(channels)
        self.head = nn.Sequential(nn.LayerNorm(sum(channels[1:])), nn.Linear(sum(channels[1:]), classes))

    def forward(self, pictures: Tensor) -> Tensor:
        """Scores, (b, classes), of (b, 3, h, w) pictures: logarithms of probabilities up to a constant."""
        return self.head(torch.cat([functional.normalize(pooled(found)) for found in self.backbone(pictures)], 1))


def squares(labelled: Labelled, size: int) -> Tensor:
    """The middles of pictures, (n, 3, size, size) float32, 0..1."""
    return torch.from_numpy(np.stack([square(pixels, size) for pixels in labelled.pixels])).permute(0, 3, 1, 2).float() / 255


def make_batch(labelled: Labelled, number: int, options: ClassifierOptions, device: str = "cpu") -> tuple[Tensor, Tensor]:
    """Varied pictures and their labels; they depend on the seed and the batch's number only, and no picture comes twice before all have."""
    vary = Augmentation((Rotate(0.1), Crop((options.size, options.size), 0.55, 1.0), Flip()), (Exposure(0.4, 0.1), Colour(0.15, 0.3)))
    many, first = len(labelled.labels), number * options.batch
    rounds = {
        turn: generator_of(options.seed, turn).permutation(many) for turn in range(first // many, (first + options.batch - 1) // many + 1)
    }
    places = [rounds[k // many][k % many] for k in range(first, first + options.batch)]
    generator = generator_of(options.seed + 1, number)
    varied = np.stack([vary(Sample(labelled.pixels[place]), generator).pixels for place in places])
    pictures = torch.from_numpy(varied).to(device).permute(0, 3, 1, 2).float() / 255
    return pictures, torch.from_numpy(labelled.labels[places]).to(device)


class Recognition:
    """What changes while a classifier is trained.

    Parameters
    ----------
    options : ClassifierOptions
    device : str
    learned, held_out : Labelled
        To learn from, and to measure on.
    backbone : Backbone
        To begin with.
    taught : bool
        It has learned before.
    """

    def __init__(
        self, options: ClassifierOptions, device: str, learned: Labelled, held_out: Labelled, backbone: Backbone, *, taught: bool
    ) -> None:
        self.options, self.device = options, device
        with torch.random.fork_rng(devices=[]):  # nobody else's numbers are drawn from this seed
            torch.manual_seed(options.seed)
            network = ClassifierNetwork(backbone.channels, len(learned.classes))
        network.backbone.load_state_dict(backbone.state_dict())
        self.network = network.to(device, memory_format=torch.channels_last)
        self.average, self.best = (copy.deepcopy(self.network).requires_grad_(False) for _ in range(2))
        share = TAUGHT if taught else 1.0
        groups = [{"params": self.network.backbone.parameters(), "share": share}, {"params": self.network.head.parameters(), "share": 1.0}]
        self.optimizer = torch.optim.AdamW(groups, lr=options.rate, weight_decay=0.02)
        counts = np.bincount(learned.labels, minlength=len(learned.classes))
        self.weights = torch.tensor(counts.sum() / (len(counts) * counts), dtype=torch.float32, device=device)
        self.pictures, self.labels = squares(held_out, options.size).to(device), torch.from_numpy(held_out.labels).to(device)
        self.least, self.waited = math.inf, 0

    def modules(self) -> dict[str, nn.Module]:
        """Everything that has weights, by name."""
        return {"network": self.network, "average": self.average, "best": self.best}

    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        """What remembers earlier steps, by name."""
        return {"optimizer": self.optimizer}

    def state(self) -> dict[str, Any]:
        """How well it was told at best, and how many reports ago."""
        return {"least": self.least, "waited": self.waited}

    def restore(self, state: dict[str, Any]) -> None:
        """Take up what ``state`` told before."""
        self.least, self.waited = state.get("least", math.inf), state.get("waited", 0)

    def finished(self) -> bool:
        """Whether nothing has become better for long."""
        return self.waited >= self.options.patience

    def step(self, iteration: int, batch: tuple[Tensor, Tensor]) -> dict[str, float]:
        """Learn from a batch; the loss."""
        options, (pictures, labels) = self.options, batch
        falling = 0.5 * (1 + math.cos(math.pi * iteration / options.iterations))
        for group in self.optimizer.param_groups:
            group["lr"] = options.rate * group["share"] * min(1, (iteration + 1) / WARMING) * falling
        with computing_in(options.precision, self.device):
            scores = self.network(pictures)
        loss = functional.cross_entropy(scores.float(), labels, self.weights, label_smoothing=SMOOTHING)
        self.optimizer.zero_grad()
        loss.backward()
        average_gradients(self.network.parameters())
        self.optimizer.step()
        follow(self.average, self.network, iteration)
        return {"loss": float(loss.detach())}

    @torch.no_grad()
    def scores(self, network: ClassifierNetwork) -> Tensor:
        """What a network tells of the pictures that are measured on, (n, classes)."""
        return torch.cat([network(part) for part in self.pictures.split(AT_ONCE)]).float()

    @torch.no_grad()
    def measure(self) -> dict[str, Any]:
        """How well classes are told: the loss, the share that is right, and its mean over the classes; the best weights are kept."""
        scores = self.scores(self.average)
        loss = float(functional.cross_entropy(scores, self.labels, self.weights))
        self.waited += 1
        if loss < self.least:
            self.least, self.waited = loss, 0
            self.best.load_state_dict(self.average.state_dict())
        right = (scores.argmax(1) == self.labels).float()
        by_class = [float(right[self.labels == label].mean()) for label in range(scores.shape[1])]
        return {"held_out_loss": loss, "right": float(right.mean()), "right_by_class": float(np.mean(by_class))}
