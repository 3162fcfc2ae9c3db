"""From photos to a Registration: where every photo looks."""

from __future__ import annotations

import dataclasses
import hashlib
import logging
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np
from threadpoolctl import threadpool_limits

from compositor.errors import ReadError, TooFewPhotosError
from compositor.options import RegisterOptions
from compositor.register.features import Picture, read_picture
from compositor.register.plug import Detect, Propose, choose_source
from compositor.registration import Pair, Registration
from compositor.types import Camera, Features, Matcher, Photo, Progress

if TYPE_CHECKING:
    from compositor.register.graph import Verdicts
    from compositor.register.parallax import Agreement
    from compositor.register.solve import Solution

__all__ = ["register_photos"]

UNEVEN, UNEVEN_ORB = 0.12, 1.0
"""Root mean square distance between matched points after adjustment, px of the reduced photos, below which cameras explain everything.
ORB places points to half a pixel of the level on which it finds them, and its matches are not sharpened."""

EXPLAINED = 0.95
"""Share of the verified matches that cameras bring together when they explain everything."""

SHEET = 0.985
"""Share of the verified matches that bent photos bring together when what they show is a sheet that does not lie flat, which is no fault
of theirs. Where there is depth, and the camera moved, edges remain that no smooth bending closes: a fortieth of the matches and more."""

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
        # A matcher is asked in the order given: whatever that does to it is its own affair.
        order = order_of_content(features) if matcher is None else list(range(len(readable)))
        readable, features = [readable[k] for k in order], [features[k] for k in order]
        found = compare(readable, features, options, pool, propose, tell, own_features=matcher is None)
        as_given = [sorted(group, key=lambda i: order[i]) for group in found.groups]
        left_out += named(lonely(as_given, readable, found), readable, order)
        if not as_given or len(as_given[0]) < 2:
            from compositor.register.reasons import few_message

            raise TooFewPhotosError(few_message(photos, list(found.verdicts.values())), left_out=tuple(left_out))
        tell("adjust", 0, 1)
        return look(readable, features, found, options, pool, order, left_out)


class Found(NamedTuple):
    """What comparing photos came to: the verdict on each pair, what a second look saved by photo, what it tried, and who hangs together."""

    verdicts: Verdicts
    saved: dict[int, str]
    tried: list[str]
    groups: list[list[int]]


def compare(
    photos: Sequence[Photo],
    features: Sequence[Features],
    options: RegisterOptions,
    pool: ThreadPoolExecutor,
    propose: Propose | None,
    tell: Progress,
    *,
    own_features: bool,
) -> Found:
    """Match photos in pairs, and try again those that match no other."""
    # Only now: importing Numba takes longer than finding the features of two photos.
    from compositor.register.graph import groups_of, match_photos
    from compositor.register.ladder import climb

    tell("match", 0, 1)
    pixels = [reduced_pixel(photo, options) for photo in photos]
    verdicts = match_photos(photos, features, pixels, pool, propose, tell)
    climbed = climb(photos, features, verdicts, pixels, options, pool, own_features=own_features)
    return Found(*climbed, groups_of(len(photos), climbed.verdicts))


def lonely(groups: Sequence[Sequence[int]], photos: Sequence[Photo], found: Found) -> dict[int, str]:
    """Why photos hang together with none, or not with those that most others hang together with; reason by index."""
    from compositor.register.reasons import no_overlap

    if len(photos) == 1:
        return {0: "no other photo is left that it could overlap"}
    outside = groups if not groups or len(groups[0]) < 2 else groups[1:]
    return {i: no_overlap(i, groups, photos, found.verdicts, found.tried) for group in outside for i in group}


def look(
    photos: Sequence[Photo],
    features: Sequence[Features],
    found: Found,
    options: RegisterOptions,
    pool: ThreadPoolExecutor,
    order: Sequence[int],
    left_out: Sequence[tuple[str, str]],
) -> Registration:
    """Where the photos of the largest group look; ``order`` says at which place each photo was given."""
    from compositor.register.parallax import agreement
    from compositor.register.solve import level, solve

    inside = set(found.groups[0])
    matches = [v.match for v in found.verdicts.values() if v.match and v.match.first in inside]
    solution = solve(photos, features, found.groups[0], matches, options)
    agreed = agreement(solution.cameras, found.verdicts)
    used = sorted(solution.cameras, key=lambda i: order[i])
    light = np.array([brightening(features[i]) for i in used])
    leveled = level([solution.cameras[i] for i in used], solution.model, options, [photos[i].turned for i in used], light)
    cameras, local = dict(zip(used, leveled, strict=True)), None
    if uneven(solution, agreed, options):
        from compositor.register.local import align_locally

        inner = sorted(used)
        looks, insist = [features[i] for i in inner], options.local_alignment == "mesh"
        bent, local = align_locally([cameras[i] for i in inner], looks, pool, insist=insist)
        cameras |= zip(inner, bent, strict=True)
        if local and (closed := agreement(cameras, found.verdicts)).share >= SHEET:
            agreed = closed
    saved = {photos[i].name: found.saved[i] for i in used if i in found.saved}
    every = [*left_out, *named(solution.left_out, photos, order)]
    return dataclasses.replace(registration_of(solution, cameras, every, agreed, saved), local=local)


def uneven(solution: Solution, agreed: Agreement, options: RegisterOptions) -> bool:
    """Whether photos may lie so far apart in their overlaps that bending them is worth a look."""
    if options.local_alignment == "auto":
        pixel = np.median([reduced_pixel(camera, options) for camera in solution.cameras.values()])
        noise = UNEVEN_ORB if options.features == "orb" else UNEVEN
        return bool(solution.error > noise * pixel) or agreed.share < EXPLAINED
    return options.local_alignment == "mesh"


def order_of_content(features: Sequence[Features]) -> list[int]:
    """The order in which photos are worked on: that of their content, so that the order in which they are given changes nothing.

    It does for sets so large that only likely pairs are compared, as the order given is a hint which those are.
    """
    from compositor.register.candidates import FEW_PHOTOS

    if len(features) > FEW_PHOTOS:
        return list(range(len(features)))
    digests = [hashlib.blake2b(f.picture.tobytes()).digest() for f in features]
    return sorted(range(len(features)), key=lambda k: digests[k])


def named(reasons: Mapping[int, str], photos: Sequence[Photo], order: Sequence[int]) -> list[tuple[str, str]]:
    """Name and reason of photos, in the order in which they were given."""
    return [(photos[i].name, reasons[i]) for i in sorted(reasons, key=lambda i: order[i])]


def registration_of(
    solution: Solution, cameras: Mapping[int, Camera], left_out: Sequence[tuple[str, str]], agreed: Agreement, saved: Mapping[str, str]
) -> Registration:
    """The registration of cameras, by photo index in the order in which they were given, with what is to be said of it."""
    from compositor.register.reasons import dispute_notes, explained, misfit, same_view_notes, saved_note

    place = {i: k for k, i in enumerate(cameras)}
    ends = [sorted((place[p.first], place[p.second])) for p in solution.pairs]
    counted = sorted((a, b, p.inliers, p.error) for (a, b), p in zip(ends, solution.pairs, strict=True))
    pairs, used = tuple(Pair(*numbers) for numbers in counted), tuple(cameras.values())
    notes = [saved_note(name, step) for name, step in saved.items()]
    notes += same_view_notes(used, pairs)
    notes += dispute_notes(solution.disputes, {i: camera.name for i, camera in cameras.items()})
    for note in notes:
        logger.info("%s", note)
    registration = Registration(
        solution.model,
        used,
        tuple(left_out),
        pairs,
        solution.error,
        confidence=solution.confidence * explained(agreed),
        doubts=misfit(agreed, used),
        notes=tuple(notes),
    )
    first = used[0]
    logger.info(
        "%d photos, model %s (confidence %.2f), error %.2f px, focal length %.0f px, lens k1 %+.3f k2 %+.3f",
        len(used),
        registration.model,
        registration.confidence,
        registration.error,
        first.focal,
        *first.distortion,
    )
    return registration


def brightening(features: Features) -> tuple[float, float]:
    """How a picture brightens to the right and downward, where its mask shows it: correlation of brightness with position."""
    mask = np.ones_like(features.picture) if features.mask is None else features.mask.astype(np.uint8)
    coarse, shown = (
        cv2.resize(part[::8, ::8].astype(np.float32), (16, 16), interpolation=cv2.INTER_AREA) for part in (features.picture * mask, mask)
    )
    coarse = (coarse / np.maximum(shown, 1e-6)).astype(np.float64)
    position = np.linspace(-1, 1, 16) / np.sqrt(np.mean(np.linspace(-1, 1, 16) ** 2))
    mean = np.average(coarse, weights=shown)
    spread = np.sqrt(np.average((coarse - mean) ** 2, weights=shown))
    varying = (coarse - mean) / (spread + 4) * shown  # four gray levels: a fog brightens nowhere
    return float(np.mean(varying * position)), float(np.mean(varying * position[:, None]))


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


def reduced_pixel(photo: Photo | Camera, options: RegisterOptions) -> float:
    """Size of a pixel of the reduced photo, in full-size px."""
    w, h = photo.size
    return float(max(1.0, np.sqrt(w * h / (options.registration_megapixels * 1e6))))
