"""Local alignment: what the cameras leave apart in the overlaps is closed by bending the photos a little, where that helps.

Parallax, or a lens that is not what it is taken for, leaves errors that no camera explains but that change smoothly across an overlap.
They are measured all over the overlaps, from small pictures to larger ones, and a mesh is laid through them that leaves straight lines
straight. Whether it helps is judged at points that it was not fitted to.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures import Executor

import numpy as np
from numpy.typing import NDArray

from compositor.geometry.mesh import steepness
from compositor.register.lines import find_lines, line_bending
from compositor.register.mesh import Elastic, Tied, bend, fit_meshes, keep_straight, make_elastic, tie
from compositor.register.residuals import CELL, Level, Ties, measure_ties, see_level, shared_views
from compositor.registration import LocalAlignment
from compositor.types import Camera, Features

__all__ = ["align_locally"]

Floats = NDArray[np.float64]

SCALES = {2: (4.0,), 1: (2.0,), 0: (1.0, 0.5)}
"""How often the reduced photos are halved, the smallest first, as it finds what lies far apart; and the robust scales at that size, px."""

FEW_POINTS = 100
"""Points per photo of the first look."""

WORTH_A_LOOK = 0.25
"""Pixels of the reduced photos that those points must be apart for more to be tried; of good cameras, 0.1 to 0.2 are measured."""

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

BLOCK = 3
"""Cells to a side of the blocks that are held out together, so that no point is judged by its own neighbours."""

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
    pixels, pairs = [1 / float(np.mean(f.scale)) for f in features], shared_views(cameras)
    if not pairs:
        return list(cameras), None
    if not insist and not apart(measure_ties(cameras, see_all(features, 1, pool), pairs, pool, most=FEW_POINTS), pixels):
        return list(cameras), None
    elastics = list(pool.map(lambda k: make_elastic(k, cameras, list(pairs), pixels[k]), range(len(cameras))))
    x = [np.zeros(len(e.free)) for e in elastics]
    bent, lines = list(cameras), list[Floats]()
    for halvings, scales in SCALES.items():
        levels = see_all(features, halvings, pool)
        if halvings == 0:
            lines = list(pool.map(find_lines, levels))
            elastics = list(pool.map(keep_straight, elastics, cameras, lines))
        ties = measure_ties(bent, levels, pairs, pool)
        tied = [tie(t, bent, elastics) for t in ties]
        if any(len(t.error) for t in tied):
            x = fit_meshes(tied, elastics, x, scales=scales)
            bent = bend(cameras, elastics, x)
    if sum(len(t.error) for t in tied) < ENOUGH_POINTS:
        return list(cameras), None
    before, after = held_out(ties, tied, elastics, x, levels)
    bending = max(float(line_bending(c, ends).max(initial=0.0)) / p for c, ends, p in zip(bent, lines, pixels, strict=True))
    sound = bending <= STRAIGHT and steepest(bent) < STEEPEST
    helps = sound and after <= HELPS * before and before - after >= NOTICEABLE
    found = LocalAlignment(*(float(np.median(pixels)) * value for value in (before, after, bending)))
    logger.info(SAID, found.before, found.after, found.bending, "" if helps else "; it does not help and is off")
    return (bent, found) if helps else (list(cameras), None)


def see_all(features: Sequence[Features], halvings: int, pool: Executor) -> list[Level]:
    """All photos at one level."""
    return list(pool.map(lambda f: see_level(f, halvings), features))


def apart(ties: Sequence[Ties], pixels: Sequence[float]) -> bool:
    """Whether points say that photos are further apart in their overlaps than measuring alone would make them."""
    found = np.concatenate([t.apart / pixels[t.second] for t in ties])
    return not len(found) or typical(found) >= WORTH_A_LOOK


def steepest(cameras: Sequence[Camera]) -> float:
    """The largest steepness of the cameras' meshes."""
    return max(steepness(c.mesh, c.size) for c in cameras if c.mesh is not None)


def held_out(
    ties: Sequence[Ties], tied: Sequence[Tied], elastics: Sequence[Elastic], x: list[Floats], levels: Sequence[Level]
) -> tuple[float, float]:
    """How far apart points are without meshes, and with meshes fitted without these points; px of the reduced photos.

    Blocks of cells are held out, in the manner of a chessboard: first the black ones, then the white.
    """
    black = [(levels[t.first].to_picture(t.points_first) // (BLOCK * CELL)).sum(axis=1) % 2 == 0 for t in ties]
    after = []
    for colour in (True, False):
        kept = [t.where(b != colour) for t, b in zip(tied, black, strict=True)]
        meshes = fit_meshes(kept, elastics, x, scales=SCALES[0][-1:]) if any(len(t.error) for t in kept) else [0 * u for u in x]
        after += [t.error - t.moved(meshes) for t in (t.where(b == colour) for t, b in zip(tied, black, strict=True))]
    return typical(np.concatenate([t.error for t in tied])), typical(np.concatenate(after))


def typical(errors: Floats) -> float:
    """Mean length of (n, 2) errors, none of which counts for more than ``AT_MOST``."""
    return float(np.minimum(np.linalg.norm(errors, axis=1), AT_MOST).mean())
