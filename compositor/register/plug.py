"""Where the points that photos have in common come from: our own features, a network's, or a matcher of the user's."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compositor.errors import OptionError
from compositor.options import LEARNED, RegisterOptions
from compositor.register.features import Picture, detect_features, features_of
from compositor.types import Correspondences, Features, Matcher, Photo

__all__ = ["Detect", "Points", "Propose", "choose_source"]

Points = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Matched points of two photos, (n, 2) each, px of the full-size photos."""

Detect = Callable[[Picture], Features]
Propose = Callable[[tuple[Photo, Photo], tuple[Features, Features]], Points]
"""Points that two photos may have in common; called from one thread at a time."""

BEYOND = 0.01
"""A matcher's points may lie outside a photo by this share of its longer side; they are dropped. Farther ones tell of another frame."""


def choose_source(options: RegisterOptions, matcher: Matcher | None) -> tuple[Detect, Propose | None]:
    """How features are found in pictures, and how they are matched where that is not by their descriptors alone.

    Parameters
    ----------
    options : RegisterOptions
    matcher : callable or None
        The user's; pictures then need no features.

    Returns
    -------
    detect : callable
    propose : callable or None

    Raises
    ------
    OptionError
        The matcher cannot be called, or a network cannot be loaded.
    """
    if matcher is not None:
        if not callable(matcher):
            raise OptionError(f"matcher is a {type(matcher).__name__}; give a callable that takes two photos")
        if options.features in LEARNED:
            raise OptionError(f"a matcher and features={options.features!r} were given; the matcher needs no features, leave one away")
        return without_features, functools.partial(ask, matcher, most=options.matches_kept)
    propose: Propose | None = None
    if options.features not in LEARNED:
        detect: Detect = functools.partial(detect_features, options=options)
    else:
        from compositor.register.learned_features import LearnedDetector, LearnedMatcher

        detect = LearnedDetector(options)
        propose = LearnedMatcher(options) if options.matcher_model else None
    if options.cache:
        from compositor.register.cache import remembering

        detect = remembering(detect, options)
    return detect, propose


def without_features(picture: Picture) -> Features:
    """The picture alone, which matches are refined on."""
    return features_of(picture, np.zeros((0, 2)), np.zeros(0), np.zeros((0, 0), np.float32), picture.gray.shape[::-1])


def ask(matcher: Matcher, photos: tuple[Photo, Photo], features: tuple[Features, Features], *, most: int) -> Points:
    """What a matcher of the user's finds in two photos, checked, and without what masks hide.

    Parameters
    ----------
    matcher : callable
    photos : (Photo, Photo)
    features : (Features, Features)
        Of the same photos; their masks are used.
    most : int
        The surest so many are kept; of alike ones every so-manieth.

    Raises
    ------
    OptionError
        It did not return correspondences.
    """
    found = matcher(*photos)
    said = f"the matcher returned for {photos[0].name} and {photos[1].name}"
    if isinstance(found, tuple) and len(found) == 2:
        found = Correspondences(*found)
    if not isinstance(found, Correspondences):
        raise OptionError(f"{said} {described(found)}; needed is Correspondences or a tuple of two (n, 2) arrays")
    points = [checked(p, f"{said} points_{side}") for p, side in ((found.points_first, "first"), (found.points_second, "second"))]
    if len(points[0]) != len(points[1]):
        raise OptionError(f"{said} {len(points[0])} points_first and {len(points[1])} points_second; needed are pairs of points")
    kept = np.ones(len(points[0]), np.bool_)
    for p, photo, feature in zip(points, photos, features, strict=True):
        kept &= inside(p, photo, said) & feature.may_look(feature.to_picture(p))
    rows = np.flatnonzero(kept)
    if found.scores is not None:
        scores = checked(found.scores, f"{said} scores", columns=0)
        if len(scores) != len(kept):
            raise OptionError(f"{said} {len(scores)} scores for {len(kept)} points; needed is one for each, or None")
        rows = rows[np.argsort(-scores[rows], kind="stable")][:most]
    elif len(rows) > most:
        rows = rows[np.linspace(0, len(rows) - 1, most).round().astype(np.int64)]
    return points[0][rows], points[1][rows]


def described(value: object) -> str:
    """What something is, in a few words."""
    return f"a tuple of {len(value)}" if isinstance(value, tuple) else "None" if value is None else f"a {type(value).__name__}"


def checked(value: Any, said: str, *, columns: int = 2) -> NDArray[np.float64]:
    """Finite numbers of the right shape."""
    try:
        numbers = np.asarray(value, np.float64)
    except (TypeError, ValueError) as error:
        raise OptionError(f"{said} that are no array of numbers ({error}); needed are finite ones") from error
    if numbers.size == 0:
        numbers = numbers.reshape(0, 2) if columns else numbers.reshape(0)
    if numbers.ndim != 1 + bool(columns) or (columns and numbers.shape[1] != columns):
        raise OptionError(f"{said} of shape {numbers.shape}; needed is {'(n, 2)' if columns else '(n,)'}")
    if not np.isfinite(numbers).all():
        raise OptionError(f"{said} of which {np.count_nonzero(~np.isfinite(numbers))} numbers are not finite; leave those matches away")
    return numbers


def inside(points: NDArray[np.float64], photo: Photo, said: str) -> NDArray[np.bool_]:
    """Which points lie in a photo; all must lie there or next to it."""
    size = np.array(photo.size)
    far = np.abs(points - (size - 1) / 2) - size / 2
    if (far > BEYOND * max(photo.size)).any():
        x, y = points[np.argmax(far.max(axis=1))]
        w, h = photo.size
        raise OptionError(f"{said} the point ({x:.6g}, {y:.6g}), which is not in {photo.name}; needed are px of its full size, {w} x {h}")
    return np.asarray((far <= 0).all(axis=1))
