"""Linear regression onto classes, with a penalty: scores that need no training, of whatever is known of pictures.

Of several penalties the one is taken that makes classes of other pictures most likely, and scores are scaled to be as sure as they may be.
Asked about pictures that it did not learn from, part by part, it also says whether some of them happen to be harder than the others.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from compositor.learned.judgement import fit_temperature, probabilities

__all__ = ["fit_scores", "measure_ease"]

STRENGTHS = (0.1, 0.3, 1.0, 3.0, 10.0)
"""Of the penalty, as multiples of a row's mean squared length."""
EASE = 1.5
"""How much easier or harder than the others pictures may be taken to be: of few of them it is known badly."""
Floats = NDArray[np.float64]


def fit_scores(
    known: Floats, labels: NDArray[np.int64], weights: Floats, asked: Floats, truth: NDArray[np.int64], classes: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """A matrix and constants that make scores of rows.

    Parameters
    ----------
    known, asked : (n, d) and (m, d) float64
        What to learn from, and what decides how strong the penalty is.
    labels, truth : (n,) and (m,) int64
        Their classes.
    weights : (n,) float64
        What each known row counts.
    classes : int
        How many there are, also where no known row is of the last ones.

    Returns
    -------
    (classes, d) float32, (classes,) float32
        ``matrix @ row + constants`` are logarithms of probabilities up to a constant.
    """
    tried = []
    for matrix, constants in _regressions(known, labels, weights, classes, STRENGTHS):
        scores = asked @ matrix + constants
        temperature = fit_temperature(scores, truth)
        likely = probabilities(scores, temperature)[np.arange(len(truth)), truth]
        tried.append((float(-np.log(np.maximum(likely, 1e-12)).mean()), matrix / temperature, constants / temperature))
    _, matrix, constants = min(tried, key=lambda one: one[0])
    return matrix.T.astype(np.float32), constants.astype(np.float32)


def measure_ease(rows: Floats, labels: NDArray[np.int64], weights: Floats, parts: NDArray[np.int64], classes: int) -> float:
    """How much easier all pictures are than those of part 0, as a factor of the temperature: less than 1 where chance made these hard.

    Few pictures tell a temperature badly, mostly because some are easy and some hard, for whoever is asked. What regression makes of
    every part when it learned from the other parts tells this of all pictures, so that part 0 can be asked what it would say of a mean
    part: a ratio estimator (Cochran, «Sampling techniques», 1977, chapter 6).

    Parameters
    ----------
    rows : (n, d) float64
        Pictures.
    labels : (n,) int64
        Their classes.
    weights : (n,) float64
        What each counts when it is learned from.
    parts : (n,) int64
        The part that each is in.
    classes : int
        How many there are.
    """
    scores = np.empty((len(rows), classes))
    for part in np.unique(parts):
        asked = parts == part
        matrix, constants = next(_regressions(rows[~asked], labels[~asked], weights[~asked], classes, (1.0,)))
        scores[asked] = rows[asked] @ matrix + constants
    first = parts == 0
    return float(np.clip(fit_temperature(scores, labels) / fit_temperature(scores[first], labels[first]), 1 / EASE, EASE))


def _regressions(
    known: Floats, labels: NDArray[np.int64], weights: Floats, classes: int, strengths: Sequence[float]
) -> Iterator[tuple[Floats, Floats]]:
    """For each strength of the penalty the matrix, (d, classes), and the constants that make shares of classes of rows."""
    share = weights / weights.sum()
    wanted = np.eye(classes)[labels]
    middle, mean = share @ wanted, share @ known
    root = np.sqrt(share * len(share))[:, None]
    rows, targets = root * (known - mean), root * (wanted - middle)
    penalty = max(float((rows**2).sum() / len(rows)), 1e-12)
    wide = rows.shape[1] > rows.shape[0]
    inner = rows @ rows.T if wide else rows.T @ rows
    for strength in strengths:
        system = inner + strength * penalty * np.eye(len(inner))
        matrix = rows.T @ np.linalg.solve(system, targets) if wide else np.linalg.solve(system, rows.T @ targets)
        yield matrix, middle - mean @ matrix
