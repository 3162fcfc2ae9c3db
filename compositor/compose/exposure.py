"""Exposure and white balance: one gain per photo and channel, in linear light, estimated where photos overlap."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from compositor.compose.warped import Warped
from compositor.encoding import decode_srgb, encode_srgb, full_scale

__all__ = ["estimate_gains", "gain_table", "overlaps"]

SATURATED, DARK, DARKEST = 0.97, 0.12, 0.03
SAMPLES = 8_000
FEWEST = 30
PRIOR, TOLD_PRIOR = 1e-3, 3e-2
"""Weight of «the gain is one», and of the exposure that the files tell, beside an overlap of full weight."""
BRIGHT, DARKEN = 0.99, 0.6
"""Share of a photo's pixels that stay below white, unless the panorama would get darker than by this factor."""


def gain_table(gain: NDArray[np.float64], dtype: np.dtype[Any]) -> NDArray[np.float32] | None:
    """What a gain in linear light makes of encoded values, for ``grade_pixels``.

    Parameters
    ----------
    gain : (3,) float64
        Of red, green and blue.
    dtype : numpy.dtype
        Of the pixels: uint8, uint16 or float32.

    Returns
    -------
    (3, n) float32 or None
        In units of the pixels, integers not above their largest value; None when every gain is one.
    """
    if (gain == 1).all():
        return None
    whole = full_scale(dtype)
    top = whole if whole > 1 else 65535
    table = encode_srgb(decode_srgb(np.arange(top + 1) / top) * gain[:, None])
    return np.asarray(np.minimum(table, 1) * top if whole > 1 else table, np.float32)


def overlaps(first: Warped, second: Warped, width: int, wraps: bool) -> Iterator[tuple[tuple[slice, slice], tuple[slice, slice]]]:
    """Where two photos' boxes share a canvas: rows and columns in either. On a canvas that wraps there may be two such places."""
    top = max(first.corner[1], second.corner[1])
    bottom = min(first.corner[1] + first.mask.shape[0], second.corner[1] + second.mask.shape[0])
    for turn in (-width, 0, width) if wraps else (0,):
        corner = second.corner[0] + turn
        left, right = max(first.corner[0], corner), min(first.corner[0] + first.mask.shape[1], corner + second.mask.shape[1])
        if left < right and top < bottom:
            yield (
                (slice(top - first.corner[1], bottom - first.corner[1]), slice(left - first.corner[0], right - first.corner[0])),
                (slice(top - second.corner[1], bottom - second.corner[1]), slice(left - corner, right - corner)),
            )


def _common_pixels(first: Warped, second: Warped, width: int, wraps: bool) -> tuple[NDArray[np.float32], NDArray[np.float32]] | None:
    """Pixels that both photos show, (n, 3) each, at most about ``SAMPLES``; None where their boxes are apart."""
    places = list(overlaps(first, second, width, wraps))
    if not places:
        return None
    step = max(1, int((sum(first.mask[a].size for a, _ in places) / SAMPLES) ** 0.5))
    found = []
    for a, b in places:
        both = first.mask[a][::step, ::step] & second.mask[b][::step, ::step]
        found.append((first.pixels[a][::step, ::step][both], second.pixels[b][::step, ::step][both]))
    return np.concatenate([a for a, _ in found]), np.concatenate([b for _, b in found])


def _log_ratio(first: NDArray[np.float32], second: NDArray[np.float32]) -> tuple[NDArray[np.float64], int]:
    """Natural logarithm of how much brighter the first photo is, by channel, and the number of pixels that say so.

    Saturated pixels say nothing and dark ones little; pixels that moved are far from the median and are left out of the mean.
    """
    brightest, darkest = np.maximum(first, second).max(axis=1), np.minimum(first, second).min(axis=1)
    usable = (brightest < SATURATED) & (darkest > DARK)
    if usable.sum() < FEWEST:
        usable = (brightest < SATURATED) & (darkest > DARKEST)
    if usable.sum() < FEWEST:
        return np.zeros(3), 0
    ratios = np.log(decode_srgb(first[usable].astype(np.float64)) / decode_srgb(second[usable].astype(np.float64)))
    middle = np.median(ratios, axis=0)
    spread = 1.4826 * np.median(np.abs(ratios - middle), axis=0)
    still = (np.abs(ratios - middle) <= 2.5 * spread + 1e-3).all(axis=1)
    # Where each group of pixels is off in a channel of its own, none is still in all of them.
    return np.asarray(ratios[still].mean(axis=0) if still.any() else middle), int(usable.sum())


def estimate_gains(warped: Sequence[Warped], width: int, wraps: bool, exposures: Sequence[float | None] = (None,)) -> NDArray[np.float64]:
    """Gains that make photos agree where they overlap.

    Weighted least squares for the logarithms over all overlaps at once (as the gains of Brown and Lowe, «Automatic panoramic image
    stitching using invariant features», IJCV 74(1), 2007, section 6), here by channel, in linear light, from robust ratios. What
    the overlaps leave open, and the slow drift that small errors add up to along a strip, is decided by the exposures that the files
    tell.

    Parameters
    ----------
    warped : sequence of Warped
        Encoded pixels, exposures not matched yet.
    width : int
        Width of their canvas, px.
    wraps : bool
        Whether that canvas wraps.
    exposures : sequence of float or None
        Natural logarithm of the exposure that every photo's file tells; None where it tells none.

    Returns
    -------
    (n, 3) float64
        Factors for red, green and blue. Their geometric mean is one, or less where a photo would burn out otherwise.
    """
    count = len(warped)
    normal, right = np.zeros((count, count)), np.zeros((count, 3))
    for i in range(count):
        for j in range(i + 1, count):
            common = _common_pixels(warped[i], warped[j], width, wraps)
            if common is None:
                continue
            ratio, pixels = _log_ratio(*common)
            weight = min(pixels, 2000) / 2000
            normal[[i, j], [i, j]] += weight
            normal[[i, j], [j, i]] -= weight
            right[i] -= weight * ratio
            right[j] += weight * ratio
    linked = np.diag(normal) > 0
    expected, prior = np.zeros(count), PRIOR
    if all(exposure is not None for exposure in exposures):
        told = np.array(exposures, np.float64)
        expected, prior = told.mean() - told, TOLD_PRIOR
    gains = np.zeros((count, 3))
    if linked.any():
        normal += prior * np.eye(count)
        right += prior * expected[:, None]
        with threadpool_limits(1, user_api="blas"):  # its bytes depend on its threads
            gains[linked] = np.linalg.solve(normal[np.ix_(linked, linked)], right[linked])
        gains[linked] -= gains[linked].mean(axis=0)
    return np.exp(gains) * _headroom(warped, np.exp(gains))


def _headroom(warped: Sequence[Warped], gains: NDArray[np.float64]) -> float:
    """A factor for all photos, at most one, under which the brightest parts of each stay below white: what is burnt out is lost."""
    factor = 1.0
    for photo, gain in zip(warped, gains, strict=True):
        seen = photo.pixels[photo.mask][::7]
        unburnt = seen[seen.max(axis=1) < SATURATED]
        if len(unburnt) >= FEWEST:
            brightest = np.quantile(decode_srgb(unburnt.astype(np.float64)) * gain, BRIGHT, axis=0).max()
            factor = min(factor, 1 / max(float(brightest), 1e-6))
    return max(factor, DARKEN)
