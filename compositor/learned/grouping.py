"""Which of many photos belong together: those that overlap, found before any feature is matched.

An encoder tells every photo by numbers. Photos that are among each other's nearest are worth comparing, and only these are: by the
features of reduced photos, as registration compares them. What hangs together by pairs that overlap is a set, one panorama each.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from compositor.errors import OptionError, ReadError
from compositor.images import open_source, photo_names
from compositor.learned.encoder import NEEDED, Encoder
from compositor.learned.pictures import Picture, read_picture
from compositor.options import GroupOptions, RegisterOptions
from compositor.register.features import detect_features
from compositor.register.features import read_picture as read_gray
from compositor.register.matching import match_pair
from compositor.threads import limit_threads, threads_allowed
from compositor.types import Features, Photo, Progress

__all__ = ["Groups", "Joint", "Told", "group", "mutual_neighbours", "tell_photos"]

SAME = 0.99
"""Product of two photos' numbers from which they are one photo saved twice, which takes one place among neighbours."""
ALIKE, ALIKE_UNVERIFIED = 0.07, 0.11
"""Product of two photos' numbers from which they are compared, and from which they count as overlapping where nothing compares them. Of
photos of other scenes one pair in twenty reaches the first and one in five hundred the second; of overlapping ones, zoomed up to four
times, 97 and 82 in a hundred do."""
MEGAPIXELS, FEATURES = 0.3, 2000
"""That photos are reduced to before they are compared, and strongest features of each by which they are."""
AT_ONCE = 32
"""Photos that are read and told at a time."""
ROWS = 1024
"""Photos that are likened to all others at a time."""
KEPT = 256
"""Photos whose features are kept for the next comparison, 1.4 MB each."""
Floats = NDArray[np.float32]


@dataclasses.dataclass(frozen=True)
class Joint:
    """Two photos that overlap.

    Parameters
    ----------
    first, second : int
        Their places among the photos given.
    likeness : float
        Product of their numbers.
    matches : int
        Features that agree on how they overlap; 0 where nobody looked.
    """

    first: int
    second: int
    likeness: float
    matches: int = 0


@dataclasses.dataclass(frozen=True, eq=False)
class Groups:
    """How photos part into sets.

    Parameters
    ----------
    names : tuple of str
        Of all photos given.
    sets : tuple of tuple of int
        Places of the photos of every set of two and more, each in the order given, the sets by their first photo.
    singles : tuple of int
        Photos that overlap none.
    joints : tuple of Joint
        What each set hangs together by: one fewer than it has photos.
    compared : int
        Pairs whose features were compared.
    left_out : tuple of (str, str)
        Name and reason of every photo that could not be read.
    """

    names: tuple[str, ...]
    sets: tuple[tuple[int, ...], ...]
    singles: tuple[int, ...]
    joints: tuple[Joint, ...]
    compared: int
    left_out: tuple[tuple[str, str], ...]


@dataclasses.dataclass(frozen=True, eq=False)
class Told:
    """Photos and their numbers.

    Parameters
    ----------
    numbers : (n, d) float32
        Of the photos that can be read.
    places : tuple of int
        Their places among all that were given.
    left_out : tuple of (str, str)
        Name and reason of the others.
    """

    numbers: Floats
    places: tuple[int, ...]
    left_out: tuple[tuple[str, str], ...]


def group(photos: Iterable[Picture], *, encoder: Encoder | None = None, progress: Progress | None = None, **options: Any) -> Groups:
    """Part photos into sets that overlap.

    Parameters
    ----------
    photos : iterable of path, (h, w, 3) array or Photo
        In any order; what cannot be read is left out.
    encoder : Encoder, optional
        Instead of that of ``weights=`` or the one that ships.
    progress : callable, optional
        Called as progress(stage, done, total), of the stages «look» and «match».
    **options
        Fields of ``compositor.options.GroupOptions``.

    Returns
    -------
    Groups
        The same for the same photos in the same order, whatever the number of threads.

    Raises
    ------
    OptionError
        There is no such option or value.
    WeightsError
        ``weights=`` are none of an encoder.
    """
    chosen, sources = GroupOptions.of(options), list(photos)
    if chosen.clusters:
        raise OptionError(f"clusters={chosen.clusters} asks for sets by look; call compositor.learned.cluster")
    names = photo_names(sources)
    least = chosen.likeness or (ALIKE if chosen.verify else ALIKE_UNVERIFIED)
    tell = progress or (lambda stage, done, total: None)
    with limit_threads(chosen.threads):
        told = tell_photos(sources, encoder or Encoder.load(chosen.weights or None, device=chosen.device), names=names, progress=tell)
        joining = _Joining(told.places, _comparison(sources, names) if chosen.verify else None, tell)
        kept, same = _without_equals(told.numbers, max(SAME, least))
        joining.join(same)
        rows = told.numbers[kept]
        some = mutual_neighbours(rows, chosen.neighbours, least)
        # Photos of a burst fill each other's places, so that what they overlap beside has none: it is looked for beyond their set. Looks
        # alone would join too much there.
        while joining.join(Joint(int(kept[one.first]), int(kept[one.second]), one.likeness) for one in some) and chosen.verify:
            some = _beyond(rows, np.array([joining.root(int(place)) for place in kept]), chosen.neighbours, least)
        joints, compared = joining.joints, len(joining.compared)
    sets = _connected(told.places, joints)
    singles = tuple(one[0] for one in sets if len(one) == 1)
    return Groups(tuple(names), tuple(one for one in sets if len(one) > 1), singles, tuple(joints), compared, told.left_out)


def tell_photos(
    sources: Sequence[Picture],
    encoder: Callable[..., Floats],
    *,
    names: Sequence[str] | None = None,
    parts: dict[str, float] | None = None,
    progress: Progress | None = None,
) -> Told:
    """The numbers of many photos, a few of which are in memory at a time.

    Parameters
    ----------
    sources : sequence of path, (h, w, 3) array or Photo
    encoder : Encoder or Beside
    names : sequence of str, optional
        What the photos are called.
    parts : dict of str to float, optional
        What counts how much, as ``Encoder`` takes it; ``Beside`` takes none.
    progress : callable, optional
        Called as progress("look", done, total).
    """
    names = names or photo_names(list(sources))
    tell = encoder if parts is None else functools.partial(encoder, parts=parts)

    def read(place: int) -> NDArray[np.uint8] | ReadError:
        try:
            return read_picture(sources[place], short=NEEDED)
        except ReadError as error:
            return error

    rows: list[Floats] = []
    places: list[int] = []
    left_out: list[tuple[str, str]] = []
    with ThreadPoolExecutor(threads_allowed()) as pool:
        for first in range(0, len(sources), AT_ONCE):
            if progress:
                progress("look", first, len(sources))
            some = range(first, min(first + AT_ONCE, len(sources)))
            shown = dict(zip(some, pool.map(read, some), strict=True))
            left_out += [(names[k], str(one).removeprefix(f"{names[k]}: ")) for k, one in shown.items() if isinstance(one, ReadError)]
            pictures = {k: one for k, one in shown.items() if not isinstance(one, ReadError)}
            places += pictures
            if pictures:
                rows.append(tell(pictures.values()))
    return Told(np.concatenate(rows or [tell([])]), tuple(places), tuple(left_out))


def mutual_neighbours(numbers: Floats, count: int, least: float, sets: NDArray[np.int64] | None = None) -> list[Joint]:
    """Pairs of which each is among the nearest of the other, in ascending order of the first and then the nearest first.

    Parameters
    ----------
    numbers : (n, d) float32
        Rows of length 1.
    count : int
        Nearest others of each that count.
    least : float
        Product of two rows below which they are no pair.
    sets : (n,) int64, optional
        Which set each belongs to: only others of another set count. By default each is a set of its own.
    """
    sets = np.arange(len(numbers)) if sets is None else sets
    near: list[dict[int, float]] = []
    with threadpool_limits(1, user_api="blas"):  # the same bytes for any number of threads
        for top in range(0, len(numbers), ROWS):
            alike = numbers[top : top + ROWS] @ numbers.T
            alike[sets[top : top + ROWS, None] == sets] = -np.inf
            most = min(count, len(numbers) - 1)
            nearest = np.argpartition(-alike, most - 1, axis=1)[:, :most] if most else np.zeros((len(alike), 0), np.int64)
            near += [{int(k): float(row[k]) for k in some if row[k] >= least} for row, some in zip(alike, nearest, strict=True)]
    pairs = [Joint(i, j, likeness) for i, partners in enumerate(near) for j, likeness in partners.items() if i < j and i in near[j]]
    return sorted(pairs, key=lambda one: (one.first, -one.likeness, one.second))


Compare = Callable[[int, int], int]
"""How many features two photos have in common if they overlap, else 0."""


def _without_equals(numbers: Floats, least: float) -> tuple[NDArray[np.int64], list[Joint]]:
    """Places of rows of which no two are the same, and pairs of one of these and one that is left away for it."""
    for_whom = np.full(len(numbers), -1)
    pairs = []
    with threadpool_limits(1, user_api="blas"):
        for top in range(0, len(numbers), ROWS):
            for place, alike in enumerate(numbers[top : top + ROWS] @ numbers.T, top):
                if for_whom[place] < 0:
                    same = np.flatnonzero((for_whom < 0) & (alike >= least))
                    for_whom[same] = for_whom[place] = place
                    pairs += [Joint(place, int(other), float(alike[other])) for other in same if other != place]
    return np.flatnonzero(for_whom == np.arange(len(numbers))), pairs


def _beyond(numbers: Floats, sets: NDArray[np.int64], count: int, least: float) -> list[Joint]:
    """Mutual neighbours in different sets of which one fills all places of its own photos."""
    full = np.bincount(sets, minlength=1)[sets] > count
    return [one for one in mutual_neighbours(numbers, count, least, sets) if full[one.first] or full[one.second]]


class _Joining:
    """Photos that hang together more and more.

    Parameters
    ----------
    places : sequence of int
        Of the photos among all that were given.
    compare : callable, optional
        Tells which pairs overlap; by default all do.
    tell : callable
        Called as tell("match", done, total).

    Attributes
    ----------
    joints : list of Joint
        Pairs that overlap and joined what was apart until then, by their places among all.
    compared : set of (int, int)
        Pairs that were compared; others would change no set.
    """

    def __init__(self, places: Sequence[int], compare: Compare | None, tell: Progress) -> None:
        self.places, self.compare, self.tell = places, compare, tell
        self.joints: list[Joint] = []
        self.compared: set[tuple[int, int]] = set()
        self.parent = list(range(len(places)))

    def root(self, photo: int) -> int:
        """The photo that stands for the set of one."""
        while self.parent[photo] != photo:
            self.parent[photo] = photo = self.parent[self.parent[photo]]
        return photo

    def join(self, pairs: Iterable[Joint]) -> bool:
        """Join what overlaps; whether anything did that was apart."""
        pairs, before = list(pairs), len(self.joints)
        for done, pair in enumerate(pairs):
            self.tell("match", done, len(pairs))
            first, second = self.root(pair.first), self.root(pair.second)
            if first == second or (pair.first, pair.second) in self.compared:
                continue
            pair = Joint(self.places[pair.first], self.places[pair.second], pair.likeness)
            if self.compare is not None:
                self.compared.add((pairs[done].first, pairs[done].second))
                pair = dataclasses.replace(pair, matches=self.compare(pair.first, pair.second))
                if not pair.matches:
                    continue
            self.parent[max(first, second)] = min(first, second)
            self.joints.append(pair)
        return len(self.joints) > before


def _connected(places: Sequence[int], joints: Sequence[Joint]) -> list[tuple[int, ...]]:
    """What hangs together, by its first photo."""
    members = {place: [place] for place in places}
    for joint in joints:
        first, second = members[joint.first], members[joint.second]
        first += second
        members |= dict.fromkeys(second, first)
    return sorted({id(one): tuple(sorted(one)) for one in members.values()}.values())


def _comparison(sources: Sequence[Picture], names: Sequence[str]) -> Compare:
    """What compares photos by their features, as registration does, but of smaller photos and without a second look."""
    options = RegisterOptions(registration_megapixels=MEGAPIXELS, feature_megapixels=MEGAPIXELS, max_features=FEATURES)

    @functools.lru_cache(KEPT)
    def features(place: int) -> tuple[Photo, Features] | None:
        try:
            photo = open_source(sources[place], names[place])
            return photo, detect_features(read_gray(photo, options), options)
        except ReadError:  # it has changed since it was looked at, or its mask hides all
            return None

    def compare(first: int, second: int) -> int:
        one, other = features(first), features(second)
        if one is None or other is None:
            return 0
        sizes = one[0].size, other[0].size
        pixel = max(1.0, *(float(np.sqrt(w * h / (MEGAPIXELS * 1e6))) for w, h in sizes))
        match = match_pair((one[1], other[1]), sizes, (first, second), pixel=pixel).match
        return match.inliers if match else 0

    return compare
