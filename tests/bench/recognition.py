"""The classifier beside a plain small ResNet trained equally long, and what the encoder is worth where labels are few.

TRAIN and TEST have a folder for each class. Every seed draws its own first weights and batches, and --labels also which pictures of each
class there are to learn from; one of five of these says which of the weights along the way are the best, and how sure they may be. All are
trained for --iterations steps of 64 pictures of --size px, ours with its own variations and AdamW, the ResNet as is usual: padded crops,
flips, SGD with momentum, a rate that falls as a cosine. The columns: the share of TEST that is told right with its 95 % interval over
seeds, what ours has more than the ResNet seed by seed, the calibration error (10 bins of equally many), what that would be in the mean if
every probability were true (bins of few pictures are off by chance), how many numbers are learned, in millions, and CPU seconds a seed.
"""

from __future__ import annotations

import copy
import dataclasses
import math
import time
from pathlib import Path

import click
import numpy as np
import torch
from probing import mean_and_interval, probe, refuse_known, standardized
from tables import print_heading, print_row
from torch import nn
from torch.nn import functional

from compositor.learned import Encoder
from compositor.learned.judgement import calibration_error, fit_temperature, probabilities
from compositor.learned.labelled import Labelled
from compositor.learned.recognition import Recognition, make_batch, squares
from compositor.options import ClassifierOptions

WARMING, RATE, DECAY = 20, 0.05, 5e-4


@click.command(help=__doc__)
@click.option("--weights", type=click.Path(exists=True), help="The encoder's, .safetensors; by default those that ship.")
@click.option("--labels", default=0, help="Of each class; all there are by default.")
@click.option("--iterations", default=1000, show_default=True)
@click.option("--every", default=50, show_default=True, help="Steps after which weights may be the best.")
@click.option("--size", default=32, show_default=True, help="Px of the squares.")
@click.option("--seeds", default=5, show_default=True)
@click.option("--width", default=16, show_default=True, help="Channels of the ResNet at first.")
@click.option("--only", multiple=True, help="Rows wanted; by default all.")
@click.argument("train", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("test", type=click.Path(exists=True, file_okay=False, path_type=Path))
def recognition(
    train: Path,
    test: Path,
    weights: str | None,
    labels: int,
    iterations: int,
    every: int,
    size: int,
    seeds: int,
    width: int,
    only: tuple[str, ...],
) -> None:
    torch.set_num_threads(1)
    known, asked = (Labelled.read(folder, size=size) for folder in (train, test))
    refuse_known(asked.digests, known.digests, [weights])
    encoder = Encoder.load(weights, device="cpu")
    rows = {
        "plain ResNet": lambda learned, held_out, options: train_resnet(learned, held_out, options, width),
        "ours, from scratch": lambda learned, held_out, options: train_ours(learned, held_out, options, begin="scratch"),
        "ours, on the encoder": lambda learned, held_out, options: train_ours(learned, held_out, options, encoder=weights or ""),
    }
    print_heading()
    print(f"{len(known.labels)} pictures, {labels or 'all'} of each class taken; {len(asked.labels)} asked; {seeds} seeds\n")
    columns = ("right", "+-", "more than the ResNet", "+-", "calibration error", "+-", "by chance alone", "parameters, M", "CPU s")
    print_row("", *columns, header=True)
    plain = None
    for name, trained in rows.items():
        if only and name not in only:
            continue
        told = []
        for seed in range(seeds):
            options = ClassifierOptions(iterations=iterations, report_every=every, size=size, seed=seed, patience=iterations)
            learned, held_out = drawn(known, labels, seed).parted()
            began = time.process_time()
            network, temperature = trained(learned, held_out, options)
            took = time.process_time() - began
            told.append((*judged(network, temperature, asked, size), took))
            many = sum(one.numel() for one in network.parameters()) / 1e6
            click.echo(f"{name}, seed {seed}: {told[-1][0]:.4f} right, calibration error {told[-1][1]:.4f}", err=True)
        right, unsure, chance, seconds = np.array(told).T
        plain = right if name == "plain ResNet" else plain
        more = mean_and_interval(right - plain) if plain is not None else ("", "")
        print_row(
            name,
            *mean_and_interval(right),
            *more,
            *mean_and_interval(unsure),
            f"{chance.mean():.4f}",
            f"{many:.2f}",
            f"{seconds.mean():.0f}",
        )
    if not only or "linear probe" in only:
        told = standardized(*(encoder(part.pixels, parts={"layers": 1.0}) for part in (known, asked)))
        shares = np.array([probe(*told, known.labels, asked.labels, labels or len(known.labels), seed) for seed in range(seeds)])
        more = mean_and_interval(shares - plain) if plain is not None else ("", "")
        print_row("linear probe of the encoder", *mean_and_interval(shares), *more, *[""] * 5)


def drawn(known: Labelled, count: int, seed: int) -> Labelled:
    """So many pictures of each class; 0 for all."""
    if not count:
        return known
    generator = np.random.default_rng(seed)
    classes = range(len(known.classes))
    return known.some(np.concatenate([generator.permutation(np.flatnonzero(known.labels == label))[:count] for label in classes]))


def judged(network: nn.Module, temperature: float, asked: Labelled, size: int) -> tuple[float, float, float]:
    """The share told right, the calibration error, and what that would be in the mean if all that is told were true."""
    told = probabilities(scored(network, squares(asked, size)).numpy(), temperature)
    generator, below = np.random.default_rng(0), told.cumsum(1)
    true = [(below > generator.random((len(told), 1)) * below[:, -1:]).argmax(1) for _ in range(200)]
    chance = np.mean([calibration_error(told, labels) for labels in true])
    return float((told.argmax(1) == asked.labels).mean()), calibration_error(told, asked.labels), float(chance)


@torch.no_grad()
def scored(network: nn.Module, pictures: torch.Tensor) -> torch.Tensor:
    """Scores of pictures."""
    return torch.cat([network(part) for part in pictures.split(64)])


def train_ours(learned: Labelled, held_out: Labelled, options: ClassifierOptions, **start: str) -> tuple[nn.Module, float]:
    """What ``train classifier`` trains, and its temperature, without its files."""
    training = Recognition(dataclasses.replace(options, **start), "cpu", learned, held_out)
    training.measure()  # what regression makes of it may be the best
    for iteration in range(options.iterations):
        training.step(iteration, make_batch(learned, iteration, options))
        if (iteration + 1) % options.report_every == 0 or iteration + 1 == options.iterations:
            training.measure()
    return training.best, training.results().record["temperature"]


class Block(nn.Module):
    """Two convolutions with a way around them (He and others, «Deep residual learning for image recognition», CVPR 2016)."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(before, after, 3, stride, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU())
        self.second = nn.Sequential(nn.Conv2d(after, after, 3, 1, 1, bias=False), nn.BatchNorm2d(after))
        around = nn.Sequential(nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after))
        self.around = around if stride > 1 or before != after else nn.Identity()

    def forward(self, found: torch.Tensor) -> torch.Tensor:
        return functional.relu(self.second(self.first(found)) + self.around(found))


def resnet(classes: int, width: int) -> nn.Sequential:
    """Nine layers; with 16 channels at first 0.3 million numbers, and about as much work as ours."""
    stages = [Block(width * before, width * after, stride) for before, after, stride in ((1, 1, 1), (1, 2, 2), (2, 4, 2), (4, 8, 2))]
    stem = nn.Sequential(nn.Conv2d(3, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU())
    return nn.Sequential(stem, *stages, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8 * width, classes))


def train_resnet(learned: Labelled, held_out: Labelled, options: ClassifierOptions, width: int) -> tuple[nn.Module, float]:
    """The usual recipe; the weights that tell the pictures held out best, and the temperature at which they do."""
    torch.manual_seed(options.seed)
    generator = np.random.default_rng(options.seed)
    network = resnet(len(learned.classes), width).to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(network.parameters(), lr=RATE, momentum=0.9, weight_decay=DECAY, nesterov=True)
    pictures, labels = squares(learned, options.size), torch.from_numpy(learned.labels)
    padded = functional.pad(pictures, [options.size // 8] * 4, mode="reflect")
    others, truth = squares(held_out, options.size), torch.from_numpy(held_out.labels)
    best, least, order = copy.deepcopy(network), math.inf, np.zeros(0, np.int64)
    for iteration in range(options.iterations):
        if len(order) < options.batch:
            order = np.concatenate([order, generator.permutation(len(labels))])
        places, order = order[: options.batch], order[options.batch :]
        batch = torch.stack([cropped(padded[place], options.size, generator) for place in places])
        for group in optimizer.param_groups:
            group["lr"] = RATE * min(1, (iteration + 1) / WARMING) * 0.5 * (1 + math.cos(math.pi * iteration / options.iterations))
        loss = functional.cross_entropy(network((batch - 0.45) * 4), labels[places])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if (iteration + 1) % options.report_every == 0 or iteration + 1 == options.iterations:
            network.eval()
            found = float(functional.cross_entropy(scored(Centred(network), others), truth))
            network.train()
            if found < least:
                best, least = copy.deepcopy(network), found
    chosen = Centred(best.eval())
    return chosen, fit_temperature(scored(chosen, others).numpy(), held_out.labels)


def cropped(padded: torch.Tensor, size: int, generator: np.random.Generator) -> torch.Tensor:
    """A square of a picture with room around it, half of the time in the mirror."""
    top, left = generator.integers(0, padded.shape[1] - size + 1, 2)
    square = padded[:, top : top + size, left : left + size]
    return square.flip(2) if generator.random() < 0.5 else square


class Centred(nn.Module):
    """A network that is given pictures about zero."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        return self.network((pictures - 0.45) * 4)


if __name__ == "__main__":
    recognition()
