"""Bundle adjustment: all cameras at once, and as much of their lenses as the matches tell (Triggs et al. 2000)."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from compositor.options import FocalMethod
from compositor.register.least_squares import Freedom, Problem, minimise, narrowing, noise_scale, robust_cost, settled, squared_errors
from compositor.register.models import MODELS, MotionModel
from compositor.types import Camera

__all__ = ["Adjustment", "adjust", "adjust_plane"]

MOST_MATCHES = 60_000
"""Matches that decide about lenses and bring cameras near; only the last steps look at more."""


@dataclasses.dataclass(frozen=True, eq=False)
class Adjustment:
    """Adjusted cameras and what is left of the errors.

    Parameters
    ----------
    cameras : list of Camera
    table : (n, 23) float64
        The same as the kernel reads them.
    unknowns : int
        Number of parameters that were adjusted.
    errors : (m,) float64
        Distance between matched points, px, the root mean square of both directions.
    """

    cameras: list[Camera]
    table: NDArray[np.float64]
    unknowns: int
    errors: NDArray[np.float64]

    @classmethod
    def of(cls, table: NDArray[np.float64], cameras: Sequence[Camera], problem: Problem, unknowns: int) -> Adjustment:
        """Name the cameras of a table like others, and measure them."""
        return cls(cameras_of(table, cameras), table, unknowns, np.sqrt(squared_errors(table, problem).mean(axis=1)))


def adjust(cameras: Sequence[Camera], problem: Problem, *, focal: FocalMethod) -> Adjustment:
    """Refine cameras that turn about one point until matched points meet: rotations, focal lengths, and what the lens does.

    Photos of equal size that start with one focal length are taken to come through one lens. Its radial distortion and principal
    point, and focal lengths of their own, are let free one after the other, and stay free where that lowers the error by more
    than the added freedom would by chance.

    Parameters
    ----------
    cameras : sequence of Camera
        First guesses.
    problem : Problem
        The matches between them.
    focal : str
        «shared»: photos through one lens keep one focal length; «per-photo»: each has its own; «auto»: as the matches say.

    Returns
    -------
    Adjustment
    """
    table, alone = camera_table(cameras), np.arange(len(cameras))
    lens, sensor = lens_groups(cameras, upright=False), lens_groups(cameras, upright=True)
    freedom = Freedom.of(MODELS["rotation"], len(table), lens=lens)
    few = problem.thinned(MOST_MATCHES)
    table = narrowing(table, few, freedom)
    # Places in a camera's row of the table, in the order in which they usually matter: k1, the principal point, k2.
    steps = [((3,), lens), ((1, 2), sensor), ((4,), lens)]
    if focal != "shared" and lens.max() + 1 < len(table):
        steps.append(((0,), alone))
    for places, groups in steps:
        freer = freedom.freeing(places, groups)
        tried = settled(table, few, freer)
        scale = noise_scale(tried, few)
        costs = robust_cost(table, few, scale), robust_cost(tried, few, scale)
        forced = focal == "per-photo" and places == (0,)
        if forced or worth_it(*costs, freer.size - freedom.size, 2 * problem.independent):
            table, freedom = tried, freer
    table = minimise(table, problem, freedom, [noise_scale(table, problem)])
    return Adjustment.of(table, cameras, problem, freedom.size - len(MODELS["rotation"].generators))


def adjust_plane(cameras: Sequence[Camera], problem: Problem, model: MotionModel) -> Adjustment:
    """Refine where photos lie on their plane until matched points meet.

    Parameters
    ----------
    cameras : sequence of Camera
        First guesses, all photos of a plane.
    problem : Problem
        The matches between them.
    model : MotionModel
        How the photos may move on the plane.

    Returns
    -------
    Adjustment
    """
    freedom = Freedom.of(model, len(cameras))
    table = narrowing(camera_table(cameras), problem.thinned(MOST_MATCHES), freedom)
    table = minimise(table, problem, freedom, [noise_scale(table, problem)])
    # Moving all photos together changes nothing: one photo's worth of unknowns is idle.
    return Adjustment.of(table, cameras, problem, freedom.size - len(model.generators))


def lens_groups(cameras: Sequence[Camera], *, upright: bool) -> NDArray[np.int64]:
    """Number of every camera's lens: equal for photos of one size that start with one focal length.

    A photo held the other way has the same lens, but its principal point lies elsewhere (``upright``).
    """
    keys = [(*(c.size if upright else sorted(c.size)), round(float(np.log(c.focal)), 6)) for c in cameras]
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
