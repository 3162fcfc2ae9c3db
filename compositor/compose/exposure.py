"""Exposure, white balance, vignetting and shoulder of photos, estimated together where they overlap.

A photo k shows a place with the light E as E * exposure_k * V(r), r being the place's distance from the middle of the photo, and its tone
curve makes a value of that; see ``compositor.photometry.Photometry``. Two photos' values of the same places, in linear light, so tell
ratios of exposures, the shape of V, and how the ratio changes with brightness. All of it is found by Gauss-Newton steps for the
logarithms with weights that let go of what moved or is misaligned (Goldman, «Vignette and exposure calibration and compensation», PAMI
32(12), 2010; Kim and Pollefeys, «Robust radiometric calibration and vignetting correction», PAMI 30(4), 2008).

Photos of one lens share V. Its terms and the shoulder are let in one after the other, as long as the overlaps support them.
"""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from compositor.compose.overlaps import SATURATED, Places, shared_places
from compositor.compose.warped import Warped
from compositor.encoding import decode_srgb, restore_highlights
from compositor.kernels.photometry import EQUAL, LEAST_ABSOLUTE, REDESCENDING, accumulate_ratios
from compositor.photometry import MOST_SHOULDER, Photometry, falloff

__all__ = ["estimate_photometry"]

Floats = NDArray[np.float64]

PRIOR, TOLD_PRIOR = 1e-3, 3e-2
"""Weight of «the gain is one», and of the exposure that the files tell, beside an overlap of full weight."""
TRUSTED_SCALE = 0.1
"""Median residual up to which overlaps are as good as that; what agrees less is believed less, beside what the files tell."""
RIDGE = 1e-3
"""Weight of «the lens shades nothing» and «no shoulder», beside an overlap of full weight."""
FINEST = 0.002
"""Residuals below this say nothing: rounding to 8 bits is as large."""
CUTOFF, MIDDLE = 4.0, 0.5
"""Multiples of the median residual: where weights begin to end, and where those begin to fall that lead to a median."""
FIRST_STEPS, STEPS, SETTLED = 12, 8, 1e-4
"""Gauss-Newton steps from nothing, and from a simpler model; they end earlier when a step is as small as that."""
MOST_STEP = 0.3
"""By how much the shoulder may change in a step, which is taken as if its effect were straight."""
INDEPENDENT = 60
"""Places of an overlap that count as independent evidence: neighbours share reflections, parallax and light that has changed."""
ONE_TERM: tuple[tuple[int, ...], ...] = ((0,), (1,))
MORE_TERMS: tuple[tuple[int, ...], ...] = ((0, 1), (0, 1, 2))
"""Terms of the falloff that are let in at first, whichever fits better, and after that: a, b, c are 0, 1, 2."""
MOST_LENSES = 4
RISE = 0.01
"""By how much a falloff may rise on its way out; a lens gives its corners less light, never more."""
BRIGHT, DARKEN = 0.99, 0.6
"""Share of a photo's unsaturated pixels that stay below white, unless the panorama would get darker than by this factor."""
SEEN, FEWEST_SEEN = 6000, 30
"""Pixels of a photo that are looked at for that, and unsaturated ones below which nothing is said."""


@dataclasses.dataclass(frozen=True, eq=False)
class _Problem:
    """What is known: places, each photo's lens (-1 for none), its logarithm of the expected exposure, and the weight of that."""

    places: Places
    lenses: NDArray[np.int64]
    expected: Floats
    prior: float


@dataclasses.dataclass(frozen=True, eq=False)
class _Model:
    """What was found: log exposures (n, 3), a, b, c of each lens, the shoulder; what is left of every place (s, 3), and its median size."""

    exposures: Floats
    curves: Floats
    shoulder: float
    residuals: Floats
    scale: float = 0.0

    @property
    def terms(self) -> tuple[int, ...]:
        """Which terms of the falloff are in use."""
        return tuple(np.flatnonzero(self.curves.any(axis=0)).tolist())


def estimate_photometry(
    names: Sequence[str],
    warped: Sequence[Warped],
    width: int,
    wraps: bool,
    *,
    exposures: Sequence[float | None] = (None,),
    lenses: Sequence[Hashable] = (),
) -> Photometry:
    """What makes photos agree where they overlap.

    What the overlaps leave open, and the slow drift that small errors add up to along a strip, is decided by the exposures that the files
    tell.

    Parameters
    ----------
    names : sequence of str
        The photos.
    warped : sequence of Warped
        Encoded pixels, nothing matched yet; with ``radii`` where lenses are told.
    width : int
        Width of their canvas, px.
    wraps : bool
        Whether that canvas wraps.
    exposures : sequence of float or None
        Natural logarithm of the exposure that every photo's file tells; None where it tells none.
    lenses : sequence of hashable
        The same for photos of one lens; empty to look for gains only, neither vignetting nor a shoulder.

    Returns
    -------
    Photometry
        The geometric mean of the gains is one, or less where a photo would burn out otherwise.
    """
    places = shared_places(warped, width, wraps)
    linked = np.zeros(len(warped), np.bool_)
    linked[places.pairs] = True
    if not linked.any():
        return Photometry.neutral(names)
    expected, prior = np.zeros(len(warped)), PRIOR
    if all(exposure is not None for exposure in exposures):
        told = np.array(exposures, np.float64)
        expected, prior = told - told.mean(), TOLD_PRIOR
    # Overlaps that say the same more than once share their errors, and count against the prior as a chain of photos does.
    prior *= max(1.0, float(places.share.sum()) / np.count_nonzero(linked))
    problem = _Problem(places, _number_lenses(lenses, len(warped)), expected, prior)
    with threadpool_limits(1, user_api="blas"):  # its bytes depend on its threads
        model = _choose_model(problem, bends=bool(lenses))
    gains = -model.exposures
    gains[~linked] = 0
    gains[linked] -= gains[linked].mean(axis=0)
    vignetting = np.where((problem.lenses >= 0)[:, None], model.curves[problem.lenses], 0.0) if len(model.curves) else np.zeros_like(gains)
    photometry = Photometry(tuple(names), np.exp(gains), vignetting, model.shoulder)
    return dataclasses.replace(photometry, gains=photometry.gains * _headroom(warped, photometry))


def _number_lenses(lenses: Sequence[Hashable], count: int) -> NDArray[np.int64]:
    """A number for every photo's lens, the commonest first; -1 for lenses of single photos, whose falloff rests on too little."""
    common = [lens for lens, photos in Counter(lenses).most_common(MOST_LENSES) if photos > 1]
    return np.array([common.index(lens) if lens in common else -1 for lens in lenses] or [-1] * count, np.int64)


def _choose_model(problem: _Problem, *, bends: bool) -> _Model:
    """The model that the places support, from gains alone on, by the Bayesian information criterion."""
    count, lenses = len(problem.lenses), int(problem.lenses.max()) + 1
    nothing = _Model(np.zeros((count, 3)), np.zeros((lenses, 3)), 0.0, np.zeros((len(problem.places.light), 3)))
    model = _fit(problem, nothing, terms=(), bends=False, first=True)
    evidence = np.minimum(np.bincount(problem.places.pair), INDEPENDENT).sum()

    def try_model(terms: tuple[int, ...], shoulder: bool) -> bool:
        nonlocal model
        tried = _fit(problem, model, terms=terms, bends=shoulder)
        more = lenses * (len(terms) - len(model.terms)) + (shoulder and not model.shoulder)
        cutoff = CUTOFF * model.scale
        gained = evidence * np.log(_misfit(model, problem, cutoff) / _misfit(tried, problem, cutoff))
        if gained > more * np.log(evidence) and all(_falls(curve) for curve in tried.curves):
            model = tried
            return True
        return False

    if not bends:
        return model
    for terms in ONE_TERM if lenses else ():
        try_model(terms, False)
    try_model(model.terms, True)
    for terms in MORE_TERMS if model.terms else ():
        if not try_model(terms, model.shoulder > 0):
            break
    return model


def _misfit(model: _Model, problem: _Problem, cutoff: float) -> float:
    """Sum of squared residuals, hardly more than the cutoff's each (Geman and McClure); not quite 0."""
    squared = model.residuals**2
    return float((problem.places.share @ (squared / (1 + squared / cutoff**2))).sum()) + FINEST**2


def _falls(terms: Floats) -> bool:
    """Whether a falloff has the shape of one."""
    light = falloff(np.linspace(0, 1, 33) ** 2, terms)
    return bool((light <= np.minimum.accumulate(light) + RISE).all())


def _fit(problem: _Problem, start: _Model, *, terms: tuple[int, ...], bends: bool, first: bool = False) -> _Model:
    """A model of some complexity, from a simpler one on."""
    curves = np.where(np.isin(np.arange(3), terms), start.curves, 0.0)
    model, places = dataclasses.replace(start, curves=curves, shoulder=start.shoulder if bends else 0.0), problem.places
    count, lenses = len(problem.lenses), len(start.curves)
    residuals, scale = np.empty_like(start.residuals), start.scale
    free = np.array([3 * lens + term for lens in range(lenses) for term in terms] + [3 * lenses] * bends, np.int64)
    known = (places.light, places.radii, places.pair, places.share, places.pairs, problem.lenses)
    shapes = (3, count, count), (3, count), (3, count, 3 * lenses + 1), (3 * lenses + 1, 3 * lenses + 1), (3 * lenses + 1,)
    steps, change = FIRST_STEPS if first else STEPS, math.inf
    for step in range(steps + 1):
        sums = tuple(np.zeros(shape) for shape in shapes)
        # What a simpler model could not explain is still far off: it must not be let go of before the new one had its chance.
        weighting = EQUAL if first and not step else LEAST_ABSOLUTE if step < steps // 2 else REDESCENDING
        cutoff = scale * (CUTOFF if weighting == REDESCENDING else MIDDLE)
        accumulate_ratios(*known, model.exposures, model.curves, model.shoulder, bends, weighting, cutoff, sums, residuals)
        scale = max(float(np.median(np.abs(residuals))), FINEST)
        if step == steps or (change < SETTLED and step > steps // 2):
            break
        model, change = _step(problem, dataclasses.replace(model, scale=scale), sums, free, bends)
    return dataclasses.replace(model, residuals=residuals, scale=scale)


def _step(problem: _Problem, model: _Model, sums: tuple[Floats, ...], free: NDArray[np.int64], bends: bool) -> tuple[_Model, float]:
    """A Gauss-Newton step and its largest change: photos first eliminated, then solved for (Schur complement)."""
    normal, right, cross, inner, inner_right = sums
    prior = problem.prior * max(1.0, (model.scale / TRUSTED_SCALE) ** 2)
    normal = normal + prior * np.eye(len(problem.expected))
    right = right + prior * (problem.expected - model.exposures.T)
    solved = np.linalg.solve(normal, np.concatenate([right[..., None], cross[..., free]], axis=2))
    alone, along = solved[..., 0], solved[..., 1:]
    if not len(free):
        return dataclasses.replace(model, exposures=model.exposures + alone.T), float(np.abs(alone).max())
    parameters = np.append(model.curves.ravel(), model.shoulder)
    matrix = inner[np.ix_(free, free)] + RIDGE * np.eye(len(free)) - sum(cross[c][:, free].T @ along[c] for c in range(3))
    vector = inner_right[free] - RIDGE * parameters[free] - sum(cross[c][:, free].T @ alone[c] for c in range(3))
    change = np.linalg.solve(matrix, vector)
    if bends:
        allowed = np.clip(change[-1], -MOST_STEP, MOST_STEP)
        allowed = np.clip(model.shoulder + allowed, 0, MOST_SHOULDER) - model.shoulder
        if allowed != change[-1]:  # then the lenses' terms follow what it could do
            change[:-1] = np.linalg.solve(matrix[:-1, :-1], vector[:-1] - matrix[:-1, -1] * allowed)
            change[-1] = allowed
    parameters[free] += change
    exposures = alone - along @ change
    curves, shoulder = parameters[:-1].reshape(-1, 3), float(parameters[-1])
    found = dataclasses.replace(model, exposures=model.exposures + exposures.T, curves=curves, shoulder=shoulder)
    return found, float(max(np.abs(exposures).max(), np.abs(change).max()))


def _headroom(warped: Sequence[Warped], photometry: Photometry) -> float:
    """A factor for all photos, at most one, under which the brightest parts of each stay below white: what is burnt out is lost."""
    factor, white = 1.0, 1 / (1 - photometry.shoulder)
    for photo, gain, terms in zip(warped, photometry.gains, photometry.vignetting, strict=True):
        step = max(1, math.isqrt(photo.mask.size // SEEN))
        seen = photo.mask[::step, ::step]
        values = photo.pixels[::step, ::step][seen].astype(np.float64)
        unburnt = values.max(axis=1) < SATURATED
        if np.count_nonzero(unburnt) < FEWEST_SEEN:
            continue
        light = restore_highlights(decode_srgb(values[unburnt]), photometry.shoulder) * gain
        if photo.radii is not None and terms.any():
            light /= falloff(photo.radii[::step, ::step][seen][unburnt].astype(np.float64), terms)[:, None]
        factor = min(factor, white / max(float(np.quantile(light, BRIGHT, axis=0).max()), 1e-6))
    return max(factor, DARKEN)
