"""What an encoder that learned without labels is worth where labels are few, beside the same network with random weights: by ridge
regression on frozen features, alone and beside hand-made ones, and as what a classifier begins with.

TRAIN and TEST have a folder for each class. Every seed takes --labels pictures of each class of TRAIN, random weights of its own, and of
several encoders the next in turn; with --steps it also trains a classifier for so many steps of 64 pictures of --size px from either, of
whose weights along the way one in five of the labelled pictures chooses: one without the outlines that classifiers are told beside what
their network finds, and one with them. The columns: the mean share of TEST that is told right, what that is more
than with random weights, seed by seed, each with its 95 % interval over seeds; purity and NMI (normalised mutual information) say how far
clusters of TEST, as many as classes and made without any label, are classes.
"""

from __future__ import annotations

from pathlib import Path
from unittest.mock import patch

import click
import numpy as np
import torch
from probing import mean_and_interval, probe, refuse_known, standardized
from recognition import drawn, judged, train_ours
from tables import print_heading, print_row

from compositor.learned import Encoder
from compositor.learned.backbone import EncoderNetwork
from compositor.learned.clustering import k_means
from compositor.learned.labelled import Labelled
from compositor.learned.recognition import OUTLINED
from compositor.options import ClassifierOptions

SIDE = 64
HAND_MADE = {"colour": ["colour"], "edges": ["edges"]}
LEARNED = {
    "last layer": ["picture"],
    "all layers": ["layers"],
    "all layers and colour": ["layers", "colour"],
    "all layers and edges": ["layers", "edges"],
    "all layers, colour and edges": ["layers", "colour", "edges"],
}
Told = dict[str, tuple[np.ndarray, np.ndarray]]
"""By part, what is told of TRAIN and of TEST."""


@click.command(help=__doc__)
@click.option("--weights", multiple=True, type=click.Path(exists=True), help="An encoder's, .safetensors; by default those that ship.")
@click.option("--labels", default=50, show_default=True, help="Of each class.")
@click.option("--seeds", default=5, show_default=True, help="Draws.")
@click.option("--steps", default=0, show_default=True, help="Of a classifier; 0 for none.")
@click.option("--size", default=SIDE, show_default=True, help="Px of the squares that a classifier looks at.")
@click.argument("train", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("test", type=click.Path(exists=True, file_okay=False, path_type=Path))
def transfer(train: Path, test: Path, weights: tuple[str, ...], labels: int, seeds: int, steps: int, size: int) -> None:
    torch.set_num_threads(1)
    known, asked = (Labelled.read(folder, size=SIDE) for folder in (train, test))
    refuse_known(asked.digests, known.digests, weights or [None])
    taught = [tell(Encoder.load(path, device="cpu"), known, asked) for path in weights or [None]]
    untaught = [tell(untrained(seed), known, asked) for seed in range(seeds)]
    print_heading()
    print(f"{len(known.labels)} pictures, {labels} of each class taken; {len(asked.labels)} asked; {seeds} seeds\n")
    print_row("", "right", "+-", "more than with random weights", "+-", "purity", "NMI", header=True)
    for name, parts in HAND_MADE.items():
        print_shares(name, [judge(untaught[0], parts, known, asked, labels, seed) for seed in range(seeds)])
    for name, parts in LEARNED.items():
        before, after = (
            [judge(told[seed % len(told)], parts, known, asked, labels, seed) for seed in range(seeds)] for told in (untaught, taught)
        )
        print_shares(f"random weights, {name}", before)
        print_shares(f"encoder, {name}", after, before)
    for name, outlined in (("fine-tuned", 0.0), ("fine-tuned beside outlines", OUTLINED)) if steps else ():
        with patch("compositor.learned.recognition.OUTLINED", outlined):
            before, after = (
                [(fine_tuned(known, asked, labels, seed, steps, size, **starts[seed % len(starts)]),) for seed in range(seeds)]
                for starts in ([{"begin": "scratch"}], [{"encoder": path} for path in weights or [""]])
            )
        print_shares(f"random weights, {name}", before)
        print_shares(f"encoder, {name}", after, before)


def untrained(seed: int) -> Encoder:
    """An encoder with random weights."""
    torch.manual_seed(seed)
    return Encoder(EncoderNetwork(), device="cpu")


def tell(encoder: Encoder, known: Labelled, asked: Labelled) -> Told:
    """What an encoder tells of both folders, part by part."""
    parts = ("picture", "layers", "colour", "edges")
    return {name: tuple(encoder(some.pixels, parts={name: 1.0}) for some in (known, asked)) for name in parts}


def judge(told: Told, parts: list[str], known: Labelled, asked: Labelled, labels: int, seed: int) -> tuple[float, float, float]:
    """The share told right, and how far clusters are classes."""
    both = zip(*(standardized(*told[name]) for name in parts), strict=True)
    share = probe(*(np.hstack(part) for part in both), known.labels, asked.labels, labels, seed)
    looks = np.hstack([told[name][1] for name in parts])
    return share, *clustered(k_means(looks, len(asked.classes), seed=seed)[0], asked.labels)


def fine_tuned(known: Labelled, asked: Labelled, labels: int, seed: int, steps: int, size: int, **start: str) -> float:
    """The share that a classifier tells right."""
    options = ClassifierOptions(iterations=steps, report_every=min(25, steps), size=size, seed=seed, patience=steps)
    learned, held_out = drawn(known, labels, seed).parted()
    return judged(*train_ours(learned, held_out, options, **start), asked, size)[0]


def print_shares(name: str, rows: list[tuple[float, ...]], before: list[tuple[float, ...]] | None = None) -> None:
    """A row of the table: means over seeds."""
    table = np.array(rows)
    more = mean_and_interval(table[:, 0] - np.array(before)[:, 0]) if before else ("", "")
    print_row(name, *mean_and_interval(table[:, 0]), *more, *(f"{figure:.3f}" for figure in table[:, 1:].mean(0)))


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


if __name__ == "__main__":
    transfer()
