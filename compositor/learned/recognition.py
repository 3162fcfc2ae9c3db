"""Learning to tell classes apart: a backbone, new or taught without labels before, outlines, which need no teaching, and one layer of
weights for each class.

Few pictures do not teach a network which way edges run where; told beside what it finds, this tells many things apart. Rare classes count
as much as common ones. The training ends when pictures that are not learned from are told no better for a while, and gives out the weights
that told them best.
"""

from __future__ import annotations

import copy
import logging
import math
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from compositor.datasets.augment import generator_of
from compositor.errors import counted
from compositor.learned.backbone import Backbone, BackboneShape, pooled
from compositor.learned.device import computing_in
from compositor.learned.encoder import KIND as ENCODER
from compositor.learned.encoder import read_encoder
from compositor.learned.judgement import (
    calibration_error,
    confusion,
    draw_confusion,
    fit_temperature,
    probabilities,
    report_by_class,
    table_by_class,
)
from compositor.learned.labelled import HELD_OUT, Labelled, square
from compositor.learned.learner import NetworkLearner, Record, Results, seeded
from compositor.learned.outlines import OUTLINES, outlines
from compositor.learned.photographs import CONFUSION
from compositor.learned.ridge import fit_scores, measure_ease
from compositor.learned.vary import colour, cut, expose
from compositor.learned.weights import packaged_weights, read_weights
from compositor.options import ClassifierOptions
from compositor.types import Progress

__all__ = ["KIND", "ClassifierNetwork", "Recognition", "make_batch", "squares"]

logger = logging.getLogger("compositor")

KIND = "a classifier"
SMOOTHING = 0.05
"""Share of the truth that is given to all classes: no picture is certain."""
OUTLINED = 2.0
"""By which outlines are multiplied to differ from picture to picture about as much as what the stages found."""
FITTED = 2000
"""Pictures that the first weights of the scores are fitted to, at most."""
FEW = 30
"""Pictures to be measured on below which their shares say little: of 30, half of them told right, it is 12 to 18 two times in three."""
AT_ONCE = 64


class ClassifierNetwork(nn.Module):
    """What all stages of a backbone found, the outlines of a picture, and a layer that makes a score for each class of both.

    In use a picture and its mirror image are told alike: the scores are the mean of both.

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
        self.normal, self.head = nn.LayerNorm(sum(channels[1:])), nn.Linear(sum(channels[1:]) + OUTLINES, classes)

    def forward(self, pictures: Tensor) -> Tensor:
        """Scores, (b, classes), of (b, 3, s, s) pictures: logarithms of probabilities up to a constant."""
        scores = self.head(self.found(pictures))
        return scores if self.training else (scores + self.head(self.found(pictures.flip(3)))) / 2

    def found(self, pictures: Tensor) -> Tensor:
        """What is known of pictures before they are scored, (b, d)."""
        stages = torch.cat([functional.normalize(pooled(found)) for found in self.backbone(pictures)], 1)
        return torch.cat([self.normal(stages), OUTLINED * outlines(pictures)], 1)


def squares(labelled: Labelled, size: int) -> Tensor:
    """The middles of pictures, (n, 3, size, size) float32, 0..1."""
    return torch.from_numpy(np.stack([square(pixels, size) for pixels in labelled.pixels])).permute(0, 3, 1, 2).float() / 255


def make_batch(labelled: Labelled, number: int, options: ClassifierOptions, device: str = "cpu") -> tuple[Tensor, Tensor]:
    """Varied pictures and their labels; they depend on the seed and the batch's number only, and no picture comes twice before all have."""
    many, first = len(labelled.labels), number * options.batch
    rounds = {
        turn: generator_of(options.seed, turn).permutation(many) for turn in range(first // many, (first + options.batch - 1) // many + 1)
    }
    places = [rounds[k // many][k % many] for k in range(first, first + options.batch)]
    draws = torch.Generator().manual_seed(int(generator_of(options.seed + 1, number).integers(2**62)))
    pictures = cut([labelled.pixels[place] for place in places], options.size, draws, least=0.55, turned=0.1, device=device)
    pictures = colour(expose(pictures, draws, stops=0.4, balance=0.1), draws, tone=0.15, saturation=0.3)
    return pictures, torch.from_numpy(labelled.labels[places]).to(device)


class Recognition(NetworkLearner[tuple[Tensor, Tensor]]):
    """What changes while a classifier is trained.

    Parameters
    ----------
    options : ClassifierOptions
    device : str
    learned, held_out : Labelled
        To learn from, and to measure on.
    """

    warming = 20

    def __init__(self, options: ClassifierOptions, device: str, learned: Labelled, held_out: Labelled) -> None:
        self.options, self.device, self.learned, self.held_out = options, device, learned, held_out
        backbone, self.encoder = _backbone(options)
        with seeded(options.seed):
            network = ClassifierNetwork(backbone.channels, len(learned.classes))
        network.backbone.load_state_dict(backbone.state_dict())
        self.network = network.to(device, memory_format=torch.channels_last)
        counts = np.bincount(learned.labels, minlength=len(learned.classes))
        self.weights = torch.tensor(counts.sum() / (len(counts) * counts), dtype=torch.float32, device=device)
        self.pictures, self.labels = squares(held_out, options.size).to(device), torch.from_numpy(held_out.labels).to(device)
        self.ease = 1.0
        self._fit_head()
        self.average, self.best = (copy.deepcopy(self.network).eval().requires_grad_(False) for _ in range(2))
        self.optimizer = torch.optim.AdamW(self.network.parameters(), lr=options.rate, weight_decay=0.02)
        self.least, self.waited = math.inf, 0

    @classmethod
    def prepared(cls, options: ClassifierOptions, device: str, learned: Labelled, held_out: Labelled, _: Progress | None) -> Self:
        """A training that has not begun."""
        return cls(options, device, learned, held_out)

    @torch.no_grad()
    def _fit_head(self) -> None:
        """Let scores begin as what regression makes of what the network finds.

        From random ones it would unlearn much of what it knows (Kumar and others, «Fine-tuning can distort pretrained features», ICLR
        2022), and of outlines it learns from few pictures less than regression does at once.
        """
        known, asked = (part.some(self._drawn(part)) for part in (self.learned, self.held_out))
        weights = self.weights.cpu().numpy().astype(np.float64)
        found, others = (self._found(part) for part in (known, asked))
        matrix, constants = fit_scores(
            np.concatenate(found),
            np.tile(known.labels, 2),
            np.tile(weights[known.labels], 2),
            others.mean(0),
            asked.labels,
            len(self.learned.classes),
        )
        if len(asked.labels) == len(self.held_out.labels):  # among more than are drawn chance makes no difference
            rows, labels = np.concatenate([others.mean(0), found.mean(0)]), np.concatenate([asked.labels, known.labels])
            parts = np.concatenate([np.zeros(len(asked.labels), np.int64), 1 + _dealt(known, HELD_OUT - 1)])
            self.ease = measure_ease(rows, labels, weights[labels], parts, len(self.learned.classes))
        self.network.head.weight.copy_(torch.from_numpy(matrix))
        self.network.head.bias.copy_(torch.from_numpy(constants))

    def _found(self, labelled: Labelled) -> NDArray[np.float64]:
        """What the network knows of pictures, and of their mirror images, (2, n, d)."""
        shown = squares(labelled, self.options.size)
        both = [[self.network.found(part.to(self.device)).cpu() for part in one.split(AT_ONCE)] for one in (shown, shown.flip(3))]
        return np.stack([torch.cat(one).double().numpy() for one in both])

    def _drawn(self, labelled: Labelled) -> NDArray[np.int64]:
        """Places of as many pictures as the head is fitted to, with some of every class."""
        order = generator_of(self.options.seed, 0).permutation(len(labelled.labels))
        if len(order) <= FITTED:
            return np.sort(order)
        each = FITTED // (2 * len(labelled.classes))
        some = np.concatenate([order[labelled.labels[order] == label][:each] for label in range(len(labelled.classes))])
        return np.sort(np.concatenate([some, order[~np.isin(order, some)]])[:FITTED])

    def modules(self) -> dict[str, nn.Module]:
        """Everything that has weights, by name."""
        return super().modules() | {"best": self.best}

    def asked(self) -> Record:
        """Which encoder it begins with."""
        return {"encoder": self.encoder}

    def state(self) -> dict[str, Any]:
        """How well it was told at best, and how many reports ago."""
        return {"least": self.least, "waited": self.waited}

    def restore(self, state: dict[str, Any]) -> None:
        """Take up what ``state`` told before."""
        self.least, self.waited = state.get("least", math.inf), state.get("waited", 0)

    def finished(self) -> bool:
        """Whether nothing has become better for long."""
        return self.waited >= self.options.patience

    def make(self, number: int) -> tuple[Tensor, Tensor]:
        """The batch of a step."""
        return make_batch(self.learned, number, self.options, self.device)

    def step(self, iteration: int, batch: tuple[Tensor, Tensor]) -> dict[str, float]:
        """Learn from a batch; the loss."""
        pictures, labels = batch
        with computing_in(self.options.precision, self.device):
            scores = self.network(pictures)
        loss = functional.cross_entropy(scores.float(), labels, self.weights, label_smoothing=SMOOTHING)
        self.learn(iteration, loss)
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

    def results(self) -> Results:
        """The best weights, and how good they are on pictures that were not learned from."""
        if len(self.labels) < FEW:
            logger.warning(
                "probabilities and figures come from %s not learned from, too few to say much; give more pictures",
                counted(len(self.labels), "picture that was", "pictures that were"),
            )
        scores, held_out = self.scores(self.best).cpu().numpy(), self.held_out
        temperature = self.ease * fit_temperature(scores, held_out.labels)
        told = probabilities(scores, temperature)
        counts = confusion(told, held_out.labels)
        by_class = report_by_class(counts, held_out.classes)
        figures = {
            "right": float((told.argmax(1) == held_out.labels).mean()),
            "right_by_class": float(np.mean([one["recall"] for one in by_class.values()])),
            "calibration_error": calibration_error(told, held_out.labels),
            "calibration_error_before": calibration_error(probabilities(scores), held_out.labels),
        }
        shape = {"channels": list(self.best.backbone.channels), "size": self.options.size}
        record = {"temperature": temperature, "ease": self.ease, "by_class": by_class, "figures": figures}
        record |= {"classes": list(held_out.classes), "shape": shape}
        weights = {".safetensors": (KIND, self.best.state_dict())}
        return Results(weights, record, {CONFUSION: draw_confusion(counts, held_out.classes)}, table_by_class(by_class))


def _dealt(labelled: Labelled, count: int) -> NDArray[np.int64]:
    """Which of so many parts each picture is in, every class being spread over all of them."""
    parts = np.empty(len(labelled.labels), np.int64)
    for label in range(len(labelled.classes)):
        mine = np.flatnonzero(labelled.labels == label)
        parts[mine] = np.arange(len(mine)) % count
    return parts


def _backbone(options: ClassifierOptions) -> tuple[Backbone, str]:
    """What a training begins with, and which encoder's it is: the SHA-256 of its tensors, «» for none."""
    if options.begin == "encoder":
        path = options.encoder or packaged_weights("encoder")
        return read_encoder(path)[0].backbone, str(read_weights(path, kind=ENCODER)[1]["sha256"])
    with seeded(options.seed):
        return Backbone(BackboneShape().channels), ""
