"""Local alignment: what the cameras leave apart in the overlaps is closed by bending the photos a little, where that helps.

Parallax, or a lens that is not what it is taken for, leaves errors that no camera explains but that change smoothly across an overlap.
They are measured all over the overlaps, from small pictures to larger ones, and a mesh is laid through them that leaves straight lines
straight. Whether it helps is judged at points that it was not fitted to.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
from concurrent.futures import Executor

import numpy as np
from numpy.typing import NDArray

from compositor.geometry.mesh import steepness
from compositor.register.lines import find_lines, line_bending
from compositor.register.mesh import Elastics, Tied, bend, fit_meshes, keep_straight, make_elastic, tie
from compositor.register.residuals import ROUNDS, Level, Sought, find, roomy, see_level, seek, shared_views, telling_points
from compositor.registration import LocalAlignment
from compositor.types import Camera, Features

__all__ = ["align_locally"]

Floats = NDArray[np.float64]

ROUGH = 1e-2
"""As ``PRECISE``, of meshes that only begin, or judge, others."""

FINAL_ROUNDS = 3
"""As ``ROUNDS``, where smaller pictures have told to a fraction of a pixel where points are."""

FEW_POINTS = 100
"""Points per photo of the first look."""

WORTH_A_LOOK = 0.25
"""Pixels of the reduced photos that those points must be apart for more to be tried; of good cameras, 0.1 to 0.2 are measured."""

FAR = 1.0
"""Pixels of the reduced photos; where one in twenty of the first points is further apart, others may have been out of sight."""

AT_MOST = 2.0
"""Pixels of the reduced photos that a point counts as being apart at most: further is what moved, or was taken for something else."""

HELPS = 0.7
"""What held-out points are apart may be at most this share of what it was."""

NOTICEABLE = 0.1
"""Pixels of the reduced photos that they must come closer by."""

ENOUGH_POINTS = 30
"""Fewer points than this judge nothing."""

STEEPEST = 0.5
"""A mesh that moves neighbouring points apart by more than this share of their distance tears the picture."""

STRAIGHT = 1.0
"""Pixels of the reduced photos that a straight line may get from straight."""

BLOCK = 60
"""Pixels of the reduced photos to a side of the blocks that are held out together, so that no point is judged by its own neighbours."""

SAID = "local alignment: held-out points of the overlaps are %.2f px apart, with bent photos %.2f; lines bend by up to %.2f px%s"

logger = logging.getLogger("compositor")


def align_locally(
    cameras: Sequence[Camera], features: Sequence[Features], pool: Executor, *, insist: bool
) -> tuple[list[Camera], LocalAlignment | None]:
    """Give cameras the meshes that bring their photos together in the overlaps, if that helps.

    Parameters
    ----------
    cameras : sequence of Camera
        Adjusted, without meshes.
    features : sequence of Features
        Of their photos, for the reduced pictures.
    pool : Executor
    insist : bool
        Look closely even where a first look says that there is little to gain.

    Returns
    -------
    cameras : list of Camera
        With meshes, or as they were.
    found : LocalAlignment or None
        What the meshes do; None without them.
    """
    pixels, pairs = np.array([1 / float(np.mean(f.scale)) for f in features]), shared_views(cameras)
    if not pairs:
        return list(cameras), None
    sharp, halved = see_all(features, 0, pool), see_all(features, 1, pool)
    sought = seek(cameras, list(pool.map(telling_points, sharp, halved)), pairs, pixels, pool)
    bare = list(pool.map(lambda k: make_elastic(k, cameras, pairs, float(pixels[k])), range(len(cameras))))
    elastics = Elastics.of(cameras, bare)
    x = begin(sought.thinned(FEW_POINTS * len(cameras)), features, halved, elastics, pool, insist=insist)
    if x is None:
        return list(cameras), None
    lines = list(pool.map(find_lines, map(roomy, sharp, halved)))
    elastics = Elastics.of(cameras, list(pool.map(keep_straight, bare, cameras, lines)))
    found, tied = measure(sought, sharp, elastics, x, pool, rounds=FINAL_ROUNDS)
    if len(tied.error) < ENOUGH_POINTS:
        return list(cameras), None
    x = fit_meshes(tied, elastics, x, scales=(1.0,), precise=ROUGH)
    x = fit_meshes(tied, elastics, x, scales=(0.5,))
    bent = bend(cameras, elastics, x)
    before, after = held_out(found, tied, elastics, x, 0.5)
    bending = max(float(line_bending(c, ends).max(initial=0.0)) / p for c, ends, p in zip(bent, lines, pixels, strict=True))
    sound = bending <= STRAIGHT and steepest(bent) < STEEPEST
    helps = sound and after <= HELPS * before and before - after >= NOTICEABLE
    told = LocalAlignment(*(float(np.median(pixels) * value) for value in (before, after, bending)))
    logger.info(SAID, told.before, told.after, told.bending, "" if helps else "; it does not help and is off")
    return (bent, told) if helps else (list(cameras), None)


def begin(
    few: Sought, features: Sequence[Features], halved: Sequence[Level], elastics: Elastics, pool: Executor, *, insist: bool
) -> Floats | None:
    """Meshes from few points and small pictures; None where those say that there is little to gain."""
    x = np.zeros(2 * elastics.begins[-1])
    tied = measure(few, halved, elastics, x, pool)[1]
    if not insist and len(tied.error) and typical(tied.error) < WORTH_A_LOOK:
        return None
    if not len(tied.error) or np.quantile(np.linalg.norm(tied.error, axis=1), 0.95) > FAR:
        tied = measure(few.thinned(len(few.first) // 3), see_all(features, 2, pool), elastics, x, pool)[1]
        x = fit_meshes(tied, elastics, x, scales=(4.0,), precise=ROUGH)
        tied = measure(few, halved, elastics, x, pool)[1]
    return fit_meshes(tied, elastics, x, scales=(2.0,), precise=ROUGH)


def see_all(features: Sequence[Features], halvings: int, pool: Executor) -> list[Level]:
    """All photos at one level."""
    return list(pool.map(lambda f: see_level(f, halvings), features))


def measure(
    sought: Sought, levels: Sequence[Level], elastics: Elastics, x: Floats, pool: Executor, *, rounds: int = ROUNDS
) -> tuple[Sought, Tied]:
    """The points that are found near where cameras with meshes see them, and how far they are apart without."""
    tied, pixel = tie(sought, elastics, x), elastics.pixels[sought.second, None]
    apart, found = find(sought, levels, tied.moved(x) * pixel, pool, rounds)
    return sought.where(found), dataclasses.replace(tied, error=apart / pixel).where(found)


def steepest(cameras: Sequence[Camera]) -> float:
    """The largest steepness of the cameras' meshes."""
    return max(steepness(c.mesh, c.size) for c in cameras if c.mesh is not None)


def held_out(found: Sought, tied: Tied, elastics: Elastics, x: Floats, scale: float) -> tuple[float, float]:
    """How far apart points are without meshes, and with meshes fitted without these points; px of the reduced photos.

    Blocks of pixels are held out, in the manner of a chessboard: first the black ones, then the white.
    """
    black = (found.points / elastics.pixels[found.first, None] // BLOCK).sum(axis=1) % 2 == 0
    after = []
    for held in (black, ~black):
        meshes, judge = fit_meshes(tied.where(~held), elastics, x, scales=[scale]), tied.where(held)
        after.append(judge.error - judge.moved(meshes))
    return typical(tied.error), typical(np.concatenate(after))


def typical(errors: Floats) -> float:
    """Mean length of (n, 2) errors, none of which counts for more than ``AT_MOST``."""
    return float(np.minimum(np.linalg.norm(errors, axis=1), AT_MOST).mean())
