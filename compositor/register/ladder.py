"""What is tried again, step by step, for photos that seem to overlap with no other.

Each step costs more than the one before, and only photos that still hang together with no other are tried. As more is tried, more
turns up by chance: what a step finds is believed only when the pictures themselves confirm it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from typing import NamedTuple

import cv2

from compositor.options import RegisterOptions
from compositor.register.confirm import confirm
from compositor.register.features import Picture, detect_features
from compositor.register.graph import Verdicts, groups_of
from compositor.register.matching import Verdict, match_pair
from compositor.types import Features, Photo

__all__ = ["Climb", "climb"]

MOST_PAIRS = 40
"""Pairs that a step looks at; of a large set the most promising."""

MORE_FEATURES = 6000
"""Features per photo where there were too few."""

OTHER_FEATURES = 4000
"""Of another detector: bit strings are compared one by one."""

CLIP, TILES = 3.0, (8, 8)
"""How much contrast is raised, and in how many parts of the picture on its own."""


@dataclasses.dataclass(frozen=True)
class Step:
    """One way to look again.

    Parameters
    ----------
    name : str
        Completes «found with ...» and «tried again with ...».
    options : callable or None
        How features are looked for, given how they were; None keeps those that there are.
    contrast : bool
        Whether faint texture is raised before.
    """

    name: str
    options: Callable[[RegisterOptions], RegisterOptions] | None
    contrast: bool = False


class Climb(NamedTuple):
    """What came of trying again.

    Parameters
    ----------
    verdicts : dict
        Of all pairs that were compared.
    saved : dict
        Name of the step by index of each photo that hangs together with the largest group by it.
    tried : list of str
        Names of the steps that were taken.
    """

    verdicts: Verdicts
    saved: dict[int, str]
    tried: list[str]


def more(options: RegisterOptions) -> RegisterOptions:
    """More features, of our own detectors where a network or a matcher found too little."""
    if options.features not in ("sift", "orb"):
        options = dataclasses.replace(options, features="sift", feature_model="", matcher_model="")
    return dataclasses.replace(options, max_features=max(MORE_FEATURES, options.features_kept))


def finer(options: RegisterOptions) -> RegisterOptions:
    """More features, at all the resolution that registration sees."""
    return dataclasses.replace(more(options), feature_megapixels=max(options.registration_megapixels, options.feature_megapixels))


def other(options: RegisterOptions) -> RegisterOptions:
    """The other detector."""
    options = finer(options)
    if options.features == "orb":
        return dataclasses.replace(options, features="sift")
    return dataclasses.replace(options, features="orb", max_features=max(OTHER_FEATURES, options.features_kept))


STEPS = (
    Step("fewer matches that the pictures confirm", None),
    Step("raised contrast and more features", more, contrast=True),
    Step("features at higher resolution", finer, contrast=True),
    Step("the other detector", other),
)


def climb(
    photos: Sequence[Photo],
    features: Sequence[Features],
    verdicts: Verdicts,
    pixels: Sequence[float],
    options: RegisterOptions,
    pool: Executor,
    *,
    own_features: bool = True,
) -> Climb:
    """Try again what does not hang together.

    Parameters
    ----------
    photos, features : sequences
        Of every photo.
    verdicts : dict
        What comparing them came to.
    pixels : sequence of float
        Size of a reduced pixel in full-size px, per photo.
    options : RegisterOptions
        How the features were found.
    pool : Executor
        Runs the comparisons.
    own_features : bool
        Whether features may be looked for; not when a matcher of the user's takes their place.

    Returns
    -------
    Climb
    """
    verdicts, saved, tried = dict(verdicts), dict[int, str](), list[str]()
    for step in STEPS if own_features else STEPS[:1]:
        groups = groups_of(len(photos), verdicts)
        pairs = promising(groups, verdicts)
        if not pairs:
            break
        tried.append(step.name)
        wanted = sorted({i for pair in pairs for i in pair})
        looked = dict(zip(wanted, (again(step, features[i], options) for i in wanted), strict=True))

        def compare(pair: tuple[int, int], step: Step = step, looked: Mapping[int, Features] = looked) -> Verdict:
            both, sizes, pixel = (
                (looked[pair[0]], looked[pair[1]]),
                (photos[pair[0]].size, photos[pair[1]].size),
                max(pixels[i] for i in pair),
            )
            verdict = verdicts[pair] if step.options is None and pair in verdicts else match_pair(both, sizes, pair, pixel=pixel)
            return confirm(verdict, pair, both, sizes, pixel=pixel)

        for pair, verdict in zip(pairs, pool.map(compare, pairs), strict=True):
            if verdict.match or pair not in verdicts or verdict.inliers > verdicts[pair].inliers:
                verdicts[pair] = verdict
        saved |= {i: step.name for i in groups_of(len(photos), verdicts)[0] if i not in groups[0] and i not in saved}
    return Climb(dict(sorted(verdicts.items())), saved, tried)


def promising(groups: Sequence[Sequence[int]], verdicts: Verdicts) -> list[tuple[int, int]]:
    """Pairs that would join two groups, of a large set those of every photo that came closest to a match.

    Each photo outside the largest group proposes its best pair, then its second, and so on, until there are enough.
    """
    group_of = {i: k for k, group in enumerate(groups) for i in group}
    proposals: list[tuple[int, int, tuple[int, int]]] = []
    for i in (i for group in groups[1:] for i in group):
        pairs = [(min(i, j), max(i, j)) for j in group_of if group_of[j] != group_of[i]]
        pairs.sort(key=lambda pair: (*hope(verdicts.get(pair)), pair))
        proposals += [(rank, i, pair) for rank, pair in enumerate(pairs[:MOST_PAIRS])]
    return sorted(list(dict.fromkeys(pair for *_, pair in sorted(proposals)))[:MOST_PAIRS])


def hope(verdict: Verdict | None) -> tuple[int, int]:
    """Smaller for a pair that came closer to a match."""
    return (-verdict.inliers, -len(verdict.candidates[0])) if verdict else (0, 0)


def again(step: Step, features: Features, options: RegisterOptions) -> Features:
    """A photo's features as a step looks for them, with the picture as it is."""
    if step.options is None:
        return features
    picture = Picture(features.picture, features.mask, features.scale, features.offset)
    if step.contrast:
        picture = dataclasses.replace(picture, gray=cv2.createCLAHE(CLIP, TILES).apply(picture.gray))
    return dataclasses.replace(detect_features(picture, step.options(options)), picture=features.picture)
