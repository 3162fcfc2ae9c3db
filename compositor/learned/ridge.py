"""Linear regression onto classes, with a penalty: scores that need no training, of whatever is known of pictures.

Of several penalties the one is taken that makes classes of other pictures most likely, and scores are scaled to be as sure as they may be.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from compositor.learned.judgement import fit_temperature, probabilities

__all__ = ["fit_scores"]

STRENGTHS = (0.1, 0.3, 1.0, 3.0, 10.0)
"""Of the penalty, as multiples of a row's mean squared length."""
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
    share = weights / weights.sum()
    wanted = np.eye(classes)[labels]
    middle, mean = share @ wanted, share @ known
    root = np.sqrt(share * len(share))[:, None]
    rows, targets = root * (known - mean), root * (wanted - middle)
    penalty = max(float((rows**2).sum() / len(rows)), 1e-12)
    wide = rows.shape[1] > rows.shape[0]
    inner, tried = rows @ rows.T if wide else rows.T @ rows, []
    for strength in STRENGTHS:
        system = inner + strength * penalty * np.eye(len(inner))
        matrix = rows.T @ np.linalg.solve(system, targets) if wide else np.linalg.solve(system, rows.T @ targets)
        scores = (asked - mean) @ matrix
        temperature = fit_temperature(scores + middle, truth)
        likely = probabilities(scores + middle, temperature)[np.arange(len(truth)), truth]
        tried.append((float(-np.log(np.maximum(likely, 1e-12)).mean()), matrix / temperature, (middle - mean @ matrix) / temperature))
    _, matrix, constants = min(tried, key=lambda one: one[0])
    return matrix.T.astype(np.float32), constants.astype(np.float32)
