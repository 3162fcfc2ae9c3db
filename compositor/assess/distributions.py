"""How alike two collections of pictures are, given the features of each: numbers that need no network by themselves."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from compositor.errors import OptionError

__all__ = ["Coverage", "coverage", "kernel_distance", "nearest"]

Floats = NDArray[np.floating]

NEIGHBOURS = 3
"""The neighbour whose distance says how far a picture's surroundings reach."""


class Coverage(NamedTuple):
    """What pictures that were made and real ones have in common.

    Parameters
    ----------
    precision : float
        Share of those made that lie where real ones do.
    recall : float
        Share of the real ones that lie where those made do.
    """

    precision: float
    recall: float


def kernel_distance(first: Floats, second: Floats) -> float:
    """Squared maximum mean discrepancy of two sets of features, with a cubic kernel; unbiased, so that it may fall below zero.

    Parameters
    ----------
    first, second : (n, d), (m, d) floating
        At least two each.

    Raises
    ------
    OptionError
        There are fewer.

    Notes
    -----
    Bińkowski and others, «Demystifying MMD GANs», ICLR 2018. Their figures come from another network: only such of one encoder compare.
    """
    a, b = np.asarray(first, np.float64), np.asarray(second, np.float64)
    n, m = len(a), len(b)
    if min(n, m) < 2:
        raise OptionError(f"{min(n, m)} pictures have no distance; give at least two of each kind")

    def kernel(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray((x @ y.T / x.shape[1] + 1) ** 3)

    within, among = kernel(a, a), kernel(b, b)
    return float(
        (within.sum() - np.trace(within)) / (n * (n - 1)) + (among.sum() - np.trace(among)) / (m * (m - 1)) - 2 * kernel(a, b).mean()
    )


def coverage(real: Floats, made: Floats) -> Coverage:
    """Precision and recall of made pictures, by the distances of each kind's nearest neighbours.

    Parameters
    ----------
    real, made : (n, d), (m, d) floating
        More than three each; recall falls where fewer are made than are real, so give equally many.

    Raises
    ------
    OptionError
        There are fewer.

    Notes
    -----
    Kynkäänniemi and others, «Improved precision and recall metric for assessing generative models», NeurIPS 2019.
    """
    if min(len(real), len(made)) <= NEIGHBOURS:
        raise OptionError(f"{min(len(real), len(made))} pictures have too few neighbours; give more than {NEIGHBOURS} of each kind")
    between = cdist(real, made)
    reach = [np.sort(cdist(part, part), axis=1)[:, NEIGHBOURS] for part in (real, made)]
    return Coverage(
        float((between <= reach[0][:, None]).any(axis=0).mean()),
        float((between <= reach[1][None]).any(axis=1).mean()),
    )


def nearest(made: Floats, known: Floats) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """For every made picture the known one that is most like it, and how far it is: what was learned by heart lies very near.

    Parameters
    ----------
    made, known : (n, d), (m, d) floating

    Returns
    -------
    (n,) intp, (n,) float64
    """
    distances = cdist(made, known)
    best = distances.argmin(axis=1)
    return best, distances[np.arange(len(best)), best]
