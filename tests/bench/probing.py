"""How well classes are told by frozen features where labels are few, by ridge regression, and how far a mean over seeds may be off."""

from __future__ import annotations

from collections.abc import Iterable

import click
import numpy as np
from scipy.stats import t

from compositor.learned.encoder import KIND
from compositor.learned.weights import packaged_weights, read_weights

STRENGTHS = 10.0 ** np.arange(-3, 3)
"""Of the regression's penalty; the one is taken that tells a fifth of the labelled pictures best."""


def standardized(known: np.ndarray, asked: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both as differences from the mean of what is known, in units in which parts of different length count alike."""
    middle, spread = known.mean(0), max(float(known.std(0).mean()) * np.sqrt(known.shape[1]), 1e-9)
    return (known - middle) / spread, (asked - middle) / spread


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


def mean_and_interval(values: np.ndarray) -> tuple[str, str]:
    """The mean, and how far it may be off with 95 %."""
    around = t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.nan
    return f"{np.mean(values):.4f}", f"{around:.4f}"


def refuse_known(digests: Iterable[str], learned: Iterable[str] = (), weights: Iterable[str | None] = (None,)) -> None:
    """Ask about no picture that was learned from: by SHA-256, those given and those that encoders know, by default the one that ships."""
    known = set(learned)
    for path in weights:
        record = read_weights(path or packaged_weights("encoder"), kind=KIND)[1]
        known |= {*record["photographs"], *record["held_out"]}
    if met := len(known & set(digests)):
        raise click.ClickException(f"{met} of the pictures that are asked about were learned from; give others, or another encoder")
