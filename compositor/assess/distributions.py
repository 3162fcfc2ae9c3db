"""How alike two collections of pictures are, given the features of each: numbers that need no network by themselves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from compositor.errors import OptionError, counted

__all__ = ["Coverage", "Frechet", "coverage", "frechet_distance", "kernel_distance", "nearest"]

Floats = NDArray[np.floating]

SHARES, DRAWS = (0.5, 0.6, 0.7, 0.8, 0.9), 4
"""Shares of the pictures of which the distance is found too, and how often each share is drawn: how it falls with their number is what
is extrapolated."""
NEIGHBOURS = 3
"""The neighbour whose distance says how far a picture's surroundings reach."""

ROWS = 1024
"""That are compared with all others at a time."""


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


class Frechet(NamedTuple):
    """How far apart two sets of features lie, taken for normal distributions.

    Parameters
    ----------
    distance : float
        Of the pictures given. Too large, the more so the fewer they are and the more features each has: only distances of equally many
        pictures compare.
    extrapolated : float
        What it would come to with any number of pictures; to be believed where there are several times more pictures than features.
    pictures : int
        In the smaller set.
    """

    distance: float
    extrapolated: float
    pictures: int


def frechet_distance(first: Floats, second: Floats, *, seed: int = 0) -> Frechet:
    """Squared Fréchet distance of the normal distributions with the means and covariances of two sets of features.

    Parameters
    ----------
    first, second : (n, d), (m, d) floating
        At least four each.
    seed : int
        Of the parts that are drawn to extrapolate.

    Raises
    ------
    OptionError
        There are fewer.

    Notes
    -----
    Heusel and others, «GANs trained by a two time-scale update rule», NeurIPS 2017, with features of another network: only figures from
    one encoder compare. The bias falls as one by the number of pictures (Chong and Forsyth, «Effectively unbiased FID and Inception Score
    and where to find them», CVPR 2020), which is what the extrapolation follows.
    """
    a, b = np.asarray(first, np.float64), np.asarray(second, np.float64)
    n, m = len(a), len(b)
    if min(n, m) < 4:
        raise OptionError(f"{counted(min(n, m), 'picture has', 'pictures have')} no distribution; give at least four of each kind")
    generator, whole = np.random.default_rng(seed), _between_normals(a, b)
    inverse, found = [1.0], [whole]
    for share in SHARES:
        counts = max(2, round(share * n)), max(2, round(share * m))
        drawn = [_between_normals(*(generator.permutation(rows)[:k] for rows, k in zip((a, b), counts, strict=True))) for _ in range(DRAWS)]
        inverse.append((n / counts[0] + m / counts[1]) / 2)
        found.append(float(np.mean(drawn)))
    slope, _ = np.polyfit(inverse, found, 1)
    return Frechet(whole, float(whole - slope), min(n, m))


def _between_normals(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Squared Fréchet distance, without the square root of a matrix: the trace of that is the sum of singular values of a product."""
    means = a.mean(axis=0), b.mean(axis=0)
    # With rows over the root of their number, the product of a part with itself is its covariance; R of QR has the same product.
    x, y = (np.asarray(np.linalg.qr((rows - mean) / np.sqrt(len(rows) - 1), mode="r")) for rows, mean in zip((a, b), means, strict=True))
    shared = np.linalg.svd(x @ y.T, compute_uv=False).sum()
    return max(0.0, float(((means[0] - means[1]) ** 2).sum() + (x**2).sum() + (y**2).sum() - 2 * shared))


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
        raise OptionError(f"{counted(min(n, m), 'picture has', 'pictures have')} no distance; give at least two of each kind")

    def between(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
        return sum(float(((x[rows] @ y.T / x.shape[1] + 1) ** 3).sum()) for rows in _blocks(len(x)))

    def within(x: NDArray[np.float64]) -> float:
        own = float((((x**2).sum(axis=1) / x.shape[1] + 1) ** 3).sum())
        return (between(x, x) - own) / (len(x) * (len(x) - 1))

    return within(a) + within(b) - 2 * between(a, b) / (n * m)


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
    if (fewest := min(len(real), len(made))) <= NEIGHBOURS:
        raise OptionError(f"{counted(fewest, 'picture has', 'pictures have')} too few neighbours; give more than {NEIGHBOURS} of each kind")
    reach = [
        np.concatenate([np.partition(_distances(part[rows], part), NEIGHBOURS, axis=1)[:, NEIGHBOURS] for rows in _blocks(len(part))])
        for part in (real, made)
    ]
    hit, met = np.zeros(len(made), bool), np.zeros(len(real), bool)
    for rows in _blocks(len(real)):
        between = _distances(real[rows], made)
        hit |= (between <= reach[0][rows, None]).any(axis=0)
        met[rows] = (between <= reach[1]).any(axis=1)
    return Coverage(float(hit.mean()), float(met.mean()))


def nearest(made: Floats, known: Floats) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """For every made picture the known one that is most like it, and how far it is: what was learned by heart lies very near.

    Parameters
    ----------
    made, known : (n, d), (m, d) floating

    Returns
    -------
    (n,) intp, (n,) float64
    """
    best, far = np.zeros(len(made), np.intp), np.zeros(len(made))
    for rows in _blocks(len(made)):
        distances = _distances(made[rows], known)
        best[rows], far[rows] = distances.argmin(axis=1), distances.min(axis=1)
    return best, far


def _blocks(count: int) -> Iterator[slice]:
    """Rows a block at a time: a matrix of all rows beside all would not fit into memory where there are many."""
    return (slice(start, start + ROWS) for start in range(0, count, ROWS))


def _distances(first: Floats, second: Floats) -> NDArray[np.float64]:
    """Of every row to every other, (n, m): to about 1e-8 of their length, and without SciPy, which commands start without."""
    a, b = np.asarray(first, np.float64), np.asarray(second, np.float64)
    squares = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1)[None] - 2 * a @ b.T
    return np.asarray(np.sqrt(np.maximum(squares, 0)))
