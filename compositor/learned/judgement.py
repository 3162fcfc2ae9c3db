"""How good a classifier is: how sure it may be, what it confuses, and how each class fares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["calibration_error", "confusion", "draw_confusion", "fit_temperature", "probabilities", "report_by_class", "table_by_class"]

Floats = NDArray[np.floating]
CELL, MARGIN = 44, 130
"""Px of a cell of the drawing, and of what stands beside it."""
MOST_CELLS = 60
"""Classes up to which cells have numbers and names; the drawing grows no further."""
BINS = 10


def probabilities(scores: Floats, temperature: float = 1.0) -> NDArray[np.float64]:
    """Probabilities of scores, (n, classes): the softmax, the flatter the higher the temperature."""
    scaled = np.asarray(scores, np.float64) / temperature
    powers = np.exp(scaled - scaled.max(1, keepdims=True))
    return np.asarray(powers / powers.sum(1, keepdims=True))


def fit_temperature(scores: Floats, labels: NDArray[np.int64]) -> float:
    """The temperature at which scores make the truth most likely (Guo and others, «On calibration of modern networks», ICML 2017).

    That all of a few pictures are told right does not say that all others are: as if one more had been told right and one wrong, a share
    of what is true is dealt to the other classes (Platt, «Probabilistic outputs for support vector machines», 1999).

    Parameters
    ----------
    scores : (n, classes) float
        Of pictures that were not learned from.
    labels : (n,) int
        The truth.
    """
    n, classes = scores.shape
    wrong = 1 / (n + 2)
    truth = np.full((n, classes), wrong / max(classes - 1, 1))
    truth[np.arange(n), labels] = 1 - wrong

    def unlikely(logarithm: float) -> float:
        told = probabilities(scores, float(np.exp(logarithm)))
        return float(-(truth * np.log(np.maximum(told, 1e-12))).sum(1).mean())

    low, high = -3.0, 3.0
    while high - low > 1e-4:  # it falls, then it rises: the third that is farther from the lowest place is given up
        left, right = low + (high - low) / 3, high - (high - low) / 3
        low, high = (low, right) if unlikely(left) < unlikely(right) else (left, high)
    return float(np.exp((low + high) / 2))


def calibration_error(told: Floats, labels: NDArray[np.int64]) -> float:
    """By how much a classifier's certainty and how often it is right differ, mean over ten bins of equally many pictures.

    Parameters
    ----------
    told : (n, classes) float
        Probabilities.
    labels : (n,) int
        The truth.
    """
    sure, right = told.max(1), told.argmax(1) == labels
    dealt = np.random.default_rng(0).permutation(len(labels))  # equal ones may lie class by class
    bins = np.array_split(dealt[np.argsort(sure[dealt], kind="stable")], BINS)
    return float(sum(abs(sure[one].mean() - right[one].mean()) * len(one) for one in bins if len(one)) / len(labels))


def confusion(told: Floats, labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many pictures of each class (rows) were taken for which (columns)."""
    count = told.shape[1]
    return np.bincount(labels * count + told.argmax(1), minlength=count * count).reshape(count, count)


def report_by_class(counts: NDArray[np.int64], classes: Sequence[str]) -> dict[str, dict[str, float]]:
    """Of each class: how many of its pictures were found, how many that were taken for it are, both in one, and how many there are."""
    right, there, taken = counts.diagonal(), counts.sum(1), counts.sum(0)
    found, true = right / np.maximum(there, 1), right / np.maximum(taken, 1)
    both = 2 * found * true / np.maximum(found + true, 1e-12)
    columns = zip(classes, found, true, both, there, strict=True)
    return {name: {"recall": float(a), "precision": float(b), "f1": float(c), "pictures": int(n)} for name, a, b, c, n in columns}


def table_by_class(by_class: Mapping[str, Mapping[str, float]]) -> str:
    """What ``report_by_class`` told, as a section of Markdown."""
    rows = "".join(
        f"| {name} | {one['recall']:.3f} | {one['precision']:.3f} | {one['f1']:.3f} | {one['pictures']} |\n"
        for name, one in by_class.items()
    )
    return f"\n## Class by class\n\n| class | recall | precision | F1 | pictures |\n| --- | --- | --- | --- | --- |\n{rows}"


def draw_confusion(counts: NDArray[np.int64], classes: Sequence[str]) -> NDArray[np.uint8]:
    """A picture of a confusion matrix, (h, w, 3) uint8, RGB: rows are what pictures show, columns what they were taken for.

    Of many classes shares are shown alone, without names and numbers, in a drawing of 2640 px.
    """
    share = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    if len(classes) > MOST_CELLS:
        side = CELL * MOST_CELLS
        how = cv2.INTER_NEAREST if len(classes) < side else cv2.INTER_AREA
        return _coloured(cv2.resize(share.astype(np.float32), (side, side), interpolation=how))
    side = MARGIN + CELL * len(classes) + 10
    drawing = np.full((side, side, 3), 255, np.uint8)
    for row in range(len(classes)):
        for column in range(len(classes)):
            y, x = MARGIN + row * CELL, MARGIN + column * CELL
            drawing[y : y + CELL - 1, x : x + CELL - 1] = _coloured(share[row, column])
            ink = (255, 255, 255) if share[row, column] > 0.5 else (60, 60, 60)
            _write(drawing, str(counts[row, column]), (x + 6, y + CELL // 2 + 5), ink)
        _write(drawing, classes[row][:15], (4, MARGIN + row * CELL + CELL // 2 + 5), (0, 0, 0))
    # Names of columns stand upright: written in a row of their own and turned.
    beside = np.full((side, MARGIN, 3), 255, np.uint8)
    for column, name in enumerate(classes):
        _write(beside, name[:15], (4, side - (MARGIN + column * CELL + CELL // 2) + 5), (0, 0, 0))
    drawing[:MARGIN, MARGIN:] = np.rot90(beside, -1)[:, MARGIN:]
    return drawing


def _coloured(share: Floats) -> NDArray[np.uint8]:
    """Shares, (...), as colours, (..., 3): the more the bluer."""
    return np.asarray(np.round(255 - share[..., None] * np.array([235, 195, 95], np.float32)), np.uint8)


def _write(drawing: NDArray[np.uint8], text: str, place: tuple[int, int], colour: tuple[int, int, int]) -> None:
    cv2.putText(drawing, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.42, colour, 1, cv2.LINE_AA)
