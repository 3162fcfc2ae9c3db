"""The colours of one picture given to another: optimal transport between their distributions.

The linear map that takes one Gaussian to another at the least total distance is known in closed form (Pitié and Kokaram, «The linear
Monge-Kantorovitch linear colour mapping for example-based colour transfer», CVMP 2007). What it leaves of the chroma, since colours are no
Gaussians, is matched along one axis after another (Pitié, Kokaram and Dahyot, «Automated colour grading using colour distribution
transfer», CVIU 107, 2007), by curves that are smooth and never steep: a photo must not show bands.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from compositor.threads import limit_threads

__all__ = ["linear_transfer", "transfer_colors"]

Floats = NDArray[np.float32]

SAMPLES = 200_000
"""Pixels that distributions are taken from at most, evenly over the picture."""
FLOOR = 1e-5
"""Variance that every colour axis has at least: a picture of one colour is taken to another's mean without its grain being blown up."""
ROUNDS = 6
"""Over both opponent axes."""
KNOTS = 33
"""Quantiles that a curve goes through."""
SLOPES = (0.5, 2.0)
"""Between which a curve stays: it neither flattens what is different nor tears apart what is alike."""


def linear_transfer(content: Floats, style: Floats) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The linear Monge-Kantorovich map between two sets of colours.

    Parameters
    ----------
    content, style : (n, 3), (m, 3) float32
        RGB, encoded, 0..1.

    Returns
    -------
    matrix : (3, 3) float64
        Symmetric, positive definite.
    shift : (3,) float64
        A colour c becomes matrix @ c + shift.
    """
    a, b = (np.cov(colors, rowvar=False, dtype=np.float64) + FLOOR * np.eye(3) for colors in (content, style))
    with limit_threads(1):  # the same bytes on any number of cores
        root, inverse = _root(a)
        middle, _ = _root(root @ b @ root)
        matrix = inverse @ middle @ inverse
    return matrix, style.mean(0, dtype=np.float64) - matrix @ content.mean(0, dtype=np.float64)


def _root(matrix: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Square root of a symmetric positive matrix, and the inverse of that root."""
    values, axes = np.linalg.eigh(matrix)
    roots = np.sqrt(np.maximum(values, 1e-12))
    return (axes * roots) @ axes.T, (axes / roots) @ axes.T


def transfer_colors(
    content: Floats, style: Floats, where: NDArray[np.bool_] | None = None, modelled: NDArray[np.bool_] | None = None
) -> Floats:
    """A picture with the colour distribution of another.

    Parameters
    ----------
    content, style : (h, w, 3) float32
        RGB, encoded, 0..1.
    where : (h, w) bool, optional
        The pixels of ``content`` whose colours shall be those of ``style``; the others are taken along. None for all.
    modelled : (h, w) bool, optional
        The pixels of ``style`` that say which colours these are; None for all.

    Returns
    -------
    (h, w, 3) float32
        May leave 0..1 a little.
    """
    given = _sample(content if where is None else content[where])
    wanted = _sample(style if modelled is None else style[modelled])
    matrix, shift = linear_transfer(given, wanted)
    full = (content.reshape(-1, 3) @ matrix.T.astype(np.float32)) + shift.astype(np.float32)
    given = given @ matrix.T.astype(np.float32) + shift.astype(np.float32)
    for axis in _axes():
        knots, moves = _curve(given @ axis, wanted @ axis)
        for colors in (given, full):
            colors += np.interp(colors @ axis, knots, moves).astype(np.float32)[:, None] * axis
    return full.reshape(content.shape)


def _sample(colors: Floats) -> Floats:
    """At most ``SAMPLES`` colours, evenly spaced, (n, 3)."""
    colors = colors.reshape(-1, 3)
    return np.array(colors[:: max(1, -(-len(colors) // SAMPLES))], np.float32)


def _axes() -> list[Floats]:
    """Directions of colour, (3,) of unit length: the two opponent axes in turn.

    Lightness stays with the linear map: on nine pairs curves of it brought the style a third nearer, but cost a seventh of the photo's
    structure.
    """
    opponent = np.array([[1, -1, 0], [1, 1, -2]], np.float32)
    return [*(opponent / np.linalg.norm(opponent, axis=1, keepdims=True))] * ROUNDS


def _curve(given: Floats, wanted: Floats) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Values and by how much each moves, so that they are distributed as wanted; half way, for the axes depend on each other."""
    shares = np.linspace(0.005, 0.995, KNOTS)
    knots, goals = np.quantile(given, shares), np.quantile(wanted, shares)
    steps = np.maximum(np.diff(knots), 1e-6)
    slopes = np.clip(np.diff(goals) / steps, *SLOPES)
    # Limiting slopes shifts all behind; the whole is laid so that it misses the goals equally both ways.
    curve = np.concatenate([[0.0], np.cumsum(slopes * steps)])
    curve += np.median(goals - curve)
    return knots + np.arange(KNOTS) * 1e-9, (curve - knots) / 2
