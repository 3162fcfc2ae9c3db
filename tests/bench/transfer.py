"""What features that learned without labels are worth where labels are few: the encoder's beside those of the same network with random
weights, hand-made ones, and all together, by ridge regression on frozen features.

TRAIN and TEST have a folder for each class. Of each class --labels pictures are taken, --seeds times; the columns are the mean share of
TEST that is told right and its 95 % interval over these draws. Purity and NMI (normalised mutual information) say how far clusters of TEST,
as many as classes and made without any label, are classes; means over as many seeds.
"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
import torch
from scipy.stats import t
from tables import print_heading, print_row

from compositor.learned import Encoder
from compositor.learned.backbone import EncoderNetwork
from compositor.learned.clustering import k_means
from compositor.learned.labelled import Labelled

SIDE = 64
STRENGTHS = 10.0 ** np.arange(-3, 3)
"""Of the regression's penalty; the one is taken that tells a fifth of the labelled pictures best."""


@click.command(help=__doc__)
@click.option("--weights", type=click.Path(exists=True), help="The encoder's, .safetensors; by default those that ship.")
@click.option("--labels", default=50, show_default=True, help="Of each class.")
@click.option("--seeds", default=5, show_default=True, help="Draws.")
@click.argument("train", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("test", type=click.Path(exists=True, file_okay=False, path_type=Path))
def transfer(train: Path, test: Path, weights: str | None, labels: int, seeds: int) -> None:
    known, asked = (Labelled.read(folder, size=SIDE) for folder in (train, test))
    taught = Encoder.load(weights, device="cpu")
    torch.manual_seed(0)
    untaught = Encoder(EncoderNetwork(), device="cpu")
    rows = {
        "random weights, last layer": (untaught, {"picture": 1.0}),
        "random weights, all layers": (untaught, {"layers": 1.0}),
        "encoder, last layer": (taught, {"picture": 1.0}),
        "encoder, all layers": (taught, {"layers": 1.0}),
        "colour": (taught, {"colour": 1.0}),
        "edges": (taught, {"edges": 1.0}),
        "encoder and colour": (taught, {"layers": 1.0, "colour": 1.0}),
        "encoder and edges": (taught, {"layers": 1.0, "edges": 1.0}),
        "encoder, colour and edges": (taught, {"layers": 1.0, "colour": 1.0, "edges": 1.0}),
        "random weights, colour and edges": (untaught, {"layers": 1.0, "colour": 1.0, "edges": 1.0}),
    }
    print_heading()
    print_row("features", "right", "+-", "purity", "NMI", header=True)
    for name, (encode, parts) in rows.items():
        told = [np.hstack([standardized(encode(part.pixels, parts={one: 1.0})) for one in parts]) for part in (known, asked)]
        shares = [probe(*told, known.labels, asked.labels, labels, seed) for seed in range(seeds)]
        around = t.ppf(0.975, seeds - 1) * np.std(shares, ddof=1) / np.sqrt(seeds)
        looks = encode(asked.pixels, parts=parts)
        parted = [clustered(k_means(looks, len(asked.classes), seed=seed)[0], asked.labels) for seed in range(seeds)]
        print_row(name, f"{np.mean(shares):.4f}", f"{around:.4f}", *(f"{figure:.3f}" for figure in np.mean(parted, 0)))


def clustered(labels: np.ndarray, truth: np.ndarray) -> tuple[float, float]:
    """Share of pictures in whose cluster their class is the most frequent, and normalised mutual information of clusters and classes."""
    counts = np.zeros((labels.max() + 1, truth.max() + 1))
    np.add.at(counts, (labels, truth), 1)
    share = counts / counts.sum()

    def entropy(shares: np.ndarray) -> float:
        return float(-(shares[shares > 0] * np.log(shares[shares > 0])).sum())

    apart, both = (entropy(share.sum(axis)) for axis in (0, 1)), entropy(share)
    first, second = apart
    return counts.max(1).sum() / counts.sum(), (first + second - both) / np.sqrt(max(first * second, 1e-12))


def standardized(told: np.ndarray) -> np.ndarray:
    """Parts of different length count alike."""
    return (told - told.mean(0)) / max(float(told.std(0).mean()) * np.sqrt(told.shape[1]), 1e-9)


def probe(known: np.ndarray, asked: np.ndarray, labels: np.ndarray, truth: np.ndarray, count: int, seed: int) -> float:
    """The share that is told right, with so many labels of each class."""
    generator = np.random.default_rng(seed)
    drawn = np.concatenate([generator.permutation(np.flatnonzero(labels == label))[:count] for label in np.unique(labels)])
    drawn = generator.permutation(drawn)
    part = len(drawn) // 5
    tried = [right(known[drawn[part:]], known[drawn[:part]], labels[drawn[part:]], labels[drawn[:part]], s) for s in STRENGTHS]
    return right(known[drawn], asked, labels[drawn], truth, STRENGTHS[int(np.argmax(tried))])


def right(known: np.ndarray, asked: np.ndarray, labels: np.ndarray, truth: np.ndarray, strength: float) -> float:
    """The share that ridge regression onto classes tells right, by inner products of pictures."""
    wanted = np.eye(labels.max() + 1)[labels]
    middle = wanted.mean(0)
    inner = known @ known.T
    told = asked @ known.T @ np.linalg.solve(inner + strength * np.trace(inner) / len(inner) * np.eye(len(inner)), wanted - middle)
    return float(((told + middle).argmax(1) == truth).mean())


if __name__ == "__main__":
    transfer()
