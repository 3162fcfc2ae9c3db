"""From photos to a Registration: where every photo looks."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
from threadpoolctl import threadpool_limits

from compositor.errors import ReadError, TooFewPhotosError
from compositor.heap import give_back_memory
from compositor.options import RegisterOptions
from compositor.register.features import Picture, read_picture
from compositor.register.plug import Detect, choose_source
from compositor.registration import Registration
from compositor.types import Features, Matcher, Photo, Progress

if TYPE_CHECKING:
    from compositor.register.graph import Verdicts

__all__ = ["register_photos"]

logger = logging.getLogger("compositor")


def register_photos(
    photos: Sequence[Photo], options: RegisterOptions, *, matcher: Matcher | None = None, progress: Progress | None = None
) -> Registration:
    """Find where every photo looks.

    Parameters
    ----------
    photos : sequence of Photo
    options : RegisterOptions
    matcher : callable, optional
        Finds what two photos have in common in place of our features; only the calling thread calls it.
    progress : callable, optional
        Told of the stages «features», «match» and «adjust».

    Returns
    -------
    Registration
        Of the largest group of photos that hang together; every other photo is left out with its reason.

    Raises
    ------
    OptionError
        A network cannot be used, or the matcher did not return correspondences.
    TooFewPhotosError
        No two photos overlap.
    """
    tell = progress or (lambda stage, done, total: None)
    detect, propose = choose_source(options, matcher)
    # LAPACK's and BLAS's bytes depend on how many threads they use; work is spread over photos and pairs instead.
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(options.threads or os.cpu_count()) as pool:
        readable, features, left_out = all_features(photos, options, detect, pool, tell)
        give_back_memory()
        # Only now: importing Numba takes longer than finding the features of two photos.
        from compositor.register.graph import connected_groups, match_photos
        from compositor.register.solve import solve

        tell("match", 0, 1)
        verdicts = match_photos(readable, features, [reduced_pixel(p, options) for p in readable], pool, propose, tell)
        matches = [v.match for v in verdicts.values() if v.match]
        groups = connected_groups(len(readable), matches)
        for group in groups[1:]:
            left_out += [(readable[i].name, no_overlap(i, groups[0], readable, verdicts)) for i in group]
        if not groups or len(groups[0]) < 2:
            raise TooFewPhotosError(few_message(photos), left_out=tuple(left_out))
        tell("adjust", 0, 1)
        inside = set(groups[0])
        solution = solve(readable, features, groups[0], [m for m in matches if m.first in inside], options)
    logger.info(
        "%d photos, model %s (confidence %.2f), error %.2f px, focal length %.0f px, lens k1 %+.3f k2 %+.3f",
        len(solution.cameras),
        solution.model,
        solution.confidence,
        solution.error,
        solution.cameras[0].focal,
        *solution.cameras[0].distortion,
    )
    return Registration(
        solution.model, tuple(solution.cameras), tuple(left_out), tuple(solution.pairs), solution.error, confidence=solution.confidence
    )


def all_features(
    photos: Sequence[Photo], options: RegisterOptions, detect: Detect, pool: ThreadPoolExecutor, tell: Progress
) -> tuple[list[Photo], list[Features], list[tuple[str, str]]]:
    """Features of every photo that can be read; the others, and copies of one photo, come back with their reason.

    Photos are decoded ahead on all threads, but features are looked for in one photo at a time: the detector is parallel itself,
    and takes 250 bytes per pixel while it works.
    """

    def one(photo: Photo) -> Picture | ReadError:
        try:
            return read_picture(photo, options)
        except ReadError as error:
            return error

    readable: list[Photo] = []
    features: list[Features] = []
    left_out: list[tuple[str, str]] = []
    for done, (photo, picture) in enumerate(zip(photos, pool.map(one, photos), strict=True)):
        tell("features", done, len(photos))
        if isinstance(picture, ReadError):
            left_out.append((photo.name, str(picture).removeprefix(f"{photo.name}: ")))
            continue
        found = detect(picture)
        twin = next((p.name for p, f in zip(readable, features, strict=True) if same_picture(f, found)), None)
        if twin is not None:
            left_out.append((photo.name, f"the same picture as {twin}"))
            continue
        logger.info("%s: %d features", photo.name, len(found.points))
        readable.append(photo)
        features.append(found)
    return readable, features, left_out


def same_picture(a: Features, b: Features) -> bool:
    """Whether two photos are one: every feature equal, and without any the pictures."""
    if len(a.points) == 0:
        return bool(np.ptp(a.picture) > 0) and np.array_equal(a.picture, b.picture)
    return np.array_equal(a.points, b.points) and np.array_equal(a.descriptors, b.descriptors)


def reduced_pixel(photo: Photo, options: RegisterOptions) -> float:
    """Size of a pixel of the reduced photo, in full-size px."""
    w, h = photo.size
    return float(max(1.0, np.sqrt(w * h / (options.registration_megapixels * 1e6))))


def no_overlap(i: int, group: Sequence[int], photos: Sequence[Photo], verdicts: Verdicts) -> str:
    """Why photo ``i`` is not in ``group``, with the numbers of its best attempt."""
    tries = [(v.inliers, -v.needed, pair) for pair, v in verdicts.items() if i in pair and (pair[0] in group or pair[1] in group)]
    if not tries:
        return "no overlap found with any other photo"
    inliers, needed, pair = max(tries)
    other = photos[pair[0] if pair[1] == i else pair[1]].name
    return f"no overlap found: best with {other}, {inliers} matching points agree, {-needed} needed"


def few_message(photos: Sequence[Photo]) -> str:
    """One line for a set without two overlapping photos."""
    if not photos:
        return "no photo could be used; give at least two overlapping photos"
    if len(photos) == 1:
        return f"{photos[0].name} is the only photo that could be used; give at least two overlapping photos"
    return f"fewer than two of {len(photos)} photos overlap, the warnings say why; neighbours should share about a third of their view"
