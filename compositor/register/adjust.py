"""Bundle adjustment: all cameras at once, and as much of their lenses as the matches tell (Triggs et al. 2000)."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from compositor.options import FocalMethod
from compositor.register.least_squares import Freedom, Problem, narrowing, noise_scale, robust_cost, settled, squared_errors
from compositor.register.models import MotionModel
from compositor.types import Camera

__all__ = ["Adjustment", "adjust", "approach", "readjust"]

DECIDING = 2_000
"""Matches that decide about lenses; only the last steps look at more."""

DECIDED = 3e-5
"""When a step promises to lower the cost by a smaller share, what a lens is worth can be told."""

FAR_OUT, FAR_OUT_MATCHES = 0.8, 30
"""Of the way to the farthest corner, beyond which a lens needs so many matches for k2 to be let free."""


@dataclasses.dataclass(frozen=True, eq=False)
class Adjustment:
    """Adjusted cameras and what is left of the errors.

    Parameters
    ----------
    cameras : list of Camera
    table : (n, 23) float64
        The same as the kernel reads them.
    freedom : Freedom
        What was adjusted.
    errors : (m,) float64
        Distance between matched points, px, the root mean square of both directions.
    """

    cameras: list[Camera]
    table: NDArray[np.float64]
    freedom: Freedom
    errors: NDArray[np.float64]

    @property
    def unknowns(self) -> int:
        """Number of parameters that were adjusted and matter: moving all cameras together changes nothing."""
        return self.freedom.size - len(self.freedom.generators)

    @classmethod
    def of(cls, table: NDArray[np.float64], cameras: Sequence[Camera], problem: Problem, freedom: Freedom) -> Adjustment:
        """Name the cameras of a table like others, and measure them."""
        return cls(cameras_of(table, cameras), table, freedom, np.sqrt(squared_errors(table, problem).mean(axis=1)))


def approach(cameras: Sequence[Camera], problem: Problem, model: MotionModel, bodies: Sequence[str] = ()) -> list[Camera]:
    """Bring cameras near to where matched points meet, by a few matches of every pair, with no more of the lens than its focal length.

    Parameters
    ----------
    cameras : sequence of Camera
        First guesses.
    problem : Problem
        The matches between them.
    model : MotionModel
    bodies : sequence of str
        As of ``adjust``.

    Returns
    -------
    list of Camera
    """
    return cameras_of(narrowing(camera_table(cameras), problem.thinned(0), usual_freedom(cameras, model, bodies), bottom=DECIDED), cameras)


def adjust(
    cameras: Sequence[Camera], problem: Problem, model: MotionModel, *, focal: FocalMethod, bodies: Sequence[str] = ()
) -> Adjustment:
    """Refine cameras until matched points meet: where they look or where their photos lie on the plane, and what the lens does.

    Photos of equal size that start with one focal length are taken to come through one lens, if they are of one camera body. Where
    cameras turn, its radial distortion and principal point, and focal lengths of their own, are let free one after the other, and stay
    free where that lowers the error by more than the added freedom would by chance.

    Parameters
    ----------
    cameras : sequence of Camera
        First guesses.
    problem : Problem
        The matches between them.
    model : MotionModel
        How the cameras may move.
    focal : str
        «shared»: photos through one lens keep one focal length; «per-photo»: each has its own; «auto»: as the matches say.
    bodies : sequence of str
        Equal for photos of one camera body at one zoom, one per camera; by default nothing is known of them.

    Returns
    -------
    Adjustment
    """
    freedom, few = usual_freedom(cameras, model, bodies), problem.thinned(DECIDING)
    # Whether a lens is worth its freedom shows long before the last digits of the cameras do.
    table = narrowing(camera_table(cameras), few, freedom, bottom=DECIDED)
    if not model.planar:
        table, freedom = with_lens(table, few, freedom, cameras, focal=focal, bodies=bodies)
    return Adjustment.of(settled(table, problem, freedom), cameras, problem, freedom)


def readjust(adjusted: Adjustment, problem: Problem) -> Adjustment:
    """The same cameras adjusted to somewhat other matches, with the same freedom."""
    return Adjustment.of(settled(adjusted.table, problem, adjusted.freedom), adjusted.cameras, problem, adjusted.freedom)


def usual_freedom(cameras: Sequence[Camera], model: MotionModel, bodies: Sequence[str]) -> Freedom:
    """Motions, and for cameras that turn the focal lengths of their lenses."""
    return Freedom.of(model, len(cameras), lens=None if model.planar else lens_groups(cameras, bodies, upright=False))


def with_lens(
    table: NDArray[np.float64],
    problem: Problem,
    freedom: Freedom,
    cameras: Sequence[Camera],
    *,
    focal: FocalMethod,
    bodies: Sequence[str],
) -> tuple[NDArray[np.float64], Freedom]:
    """Cameras with as much freedom of the lens as the matches tell, and that freedom."""
    lens, sensor = lens_groups(cameras, bodies, upright=False), lens_groups(cameras, bodies, upright=True)
    # Places in a camera's row of the table, in the order in which they usually matter: k1, the principal point, k2.
    steps = [((3,), lens), ((1, 2), sensor), ((4,), seen_far_out(problem, table, cameras, lens))]
    if focal != "shared" and lens.max() + 1 < len(table):
        steps.append(((0,), np.arange(len(cameras))))
    for places, groups in steps:
        if (groups < 0).all():
            continue
        freer = freedom.freeing(places, groups)
        tried = settled(table, problem, freer, bottom=DECIDED)
        errors, tried_errors = squared_errors(table, problem), squared_errors(tried, problem)
        scale = noise_scale(tried_errors)
        costs = robust_cost(errors, scale), robust_cost(tried_errors, scale)
        forced = focal == "per-photo" and places == (0,)
        if forced or worth_it(*costs, freer.size - freedom.size, 2 * problem.independent):
            table, freedom = tried, freer
    return table, freedom


def seen_far_out(problem: Problem, table: NDArray[np.float64], cameras: Sequence[Camera], lens: NDArray[np.int64]) -> NDArray[np.int64]:
    """Lenses, by camera, that matches tell of far from the principal point, numbered from 0; -1 for the others.

    Where matches tell nothing there, k2 takes up what parallax left in the middle, and bends corners that nothing vouches for.
    """
    matches = np.zeros(lens.max() + 1, np.int64)
    for (i, j), start, end in zip(problem.pairs, problem.offsets[:-1], problem.offsets[1:], strict=True):
        first, second = (far_out(points[start:end], table[k], cameras[k]) for k, points in ((i, problem.first), (j, problem.second)))
        if lens[i] == lens[j]:
            matches[lens[i]] += (first | second).sum()
        else:
            matches[lens[i]] += first.sum()
            matches[lens[j]] += second.sum()
    told = matches >= FAR_OUT_MATCHES
    return np.where(told, np.cumsum(told) - 1, -1)[lens]


def far_out(points: NDArray[np.float64], row: NDArray[np.float64], camera: Camera) -> NDArray[np.bool_]:
    """Which pixels, (n, 2), lie near the corners of a photo, whose camera has such a row of the table."""
    middle = row[1:3]
    corner = np.maximum(middle, np.array(camera.size) - 1 - middle)
    return np.asarray(np.hypot(*(points - middle).T) > FAR_OUT * np.hypot(*corner))


def lens_groups(cameras: Sequence[Camera], bodies: Sequence[str], *, upright: bool) -> NDArray[np.int64]:
    """Number of every camera's lens: equal for photos of one camera body and size that start with one focal length.

    A photo held the other way has the same lens, but its principal point lies elsewhere (``upright``).
    """
    known = bodies or [""] * len(cameras)
    keys = [(b, *(c.size if upright else sorted(c.size)), round(float(np.log(c.focal)), 6)) for c, b in zip(cameras, known, strict=True)]
    return np.array([sorted(set(keys)).index(key) for key in keys], np.int64)


def worth_it(cost: float, freer_cost: float, added: int, measurements: int) -> bool:
    """Whether ``added`` parameters lower the cost by more than chance would.

    The Bayesian information criterion (Schwarz 1978) with the penalty doubled: one lens without faults is what is likely beforehand.
    """
    return bool(measurements * np.log(max(cost, 1e-12) / max(freer_cost, 1e-12)) > 2 * added * np.log(measurements))


def camera_table(cameras: Sequence[Camera]) -> NDArray[np.float64]:
    """Cameras as the kernel reads them, (n, 23)."""
    return np.array([[c.focal, *c.center, *c.distortion, *c.view.ravel(), *c.inverse_view.ravel()] for c in cameras])


def cameras_of(table: NDArray[np.float64], cameras: Sequence[Camera]) -> list[Camera]:
    """The cameras of a table, with the names and sizes of others."""
    return [
        dataclasses.replace(
            c, focal=float(row[0]), center=(float(row[1]), float(row[2])), distortion=(float(row[3]), float(row[4]))
        ).looking(row[5:14].reshape(3, 3).copy())
        for c, row in zip(cameras, table, strict=True)
    ]
