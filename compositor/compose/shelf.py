"""Which photos are open while tiles are rendered: from shortly before a photo's first tile until after its last one.

Where only few may be open at a time, the one whose next tile is farthest off makes room (Belady 1966) and is opened again later.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Sequence
from typing import Generic, TypeVar

__all__ = ["Shelf"]

T = TypeVar("T")


class Shelf(Generic[T]):
    """Photos at hand.

    Parameters
    ----------
    needed : sequence of collection of int
        The photos that every tile needs, in the order in which tiles are taken.
    open_photo : callable
        Opens a photo, by its index.
    most : int or None
        Photos that may be open at a time, if a tile does not need more; None for no limit.
    let_go : callable, optional
        Told of every photo, by its index, that no later tile needs.
    """

    def __init__(
        self,
        needed: Sequence[Collection[int]],
        open_photo: Callable[[int], T],
        most: int | None,
        let_go: Callable[[int, T], object] | None = None,
    ) -> None:
        self._needed, self._open_photo, self._most, self._let_go = needed, open_photo, most, let_go
        self._opened: dict[int, T] = {}
        self._uses: dict[int, deque[int]] = {}
        for position, photos in enumerate(needed):
            for k in photos:
                self._uses.setdefault(k, deque()).append(position)

    def take(self, position: int) -> dict[int, T]:
        """The photos of the next tile, by index; those that no later tile needs are let go."""
        for k in self._needed[position]:
            if k not in self._opened:
                self._make_room(position)
                self._opened[k] = self._open_photo(k)
        taken = {k: self._opened[k] for k in self._needed[position]}
        for k in taken:
            self._uses[k].popleft()
            if not self._uses[k]:
                last = self._opened.pop(k)
                if self._let_go is not None:
                    self._let_go(k, last)
        return taken

    def fetch(self, position: int) -> None:
        """Open the photos of a tile that will be taken later, unless that would cost one that is needed sooner."""
        for k in self._needed[position] if position < len(self._needed) else ():
            if k not in self._opened:
                if not self._make_room(position, sooner=False):
                    return
                self._opened[k] = self._open_photo(k)

    def _make_room(self, position: int, *, sooner: bool = True) -> bool:
        """Let a photo go if too many are open; whether there is room then. ``sooner``: also one that is needed before ``position``."""
        if not self._most or len(self._opened) < self._most:
            return True
        others = [k for k in self._opened if k not in self._needed[position]]
        last = max(others, key=lambda k: (self._uses[k][0], k), default=None)
        if last is None or not (sooner or self._uses[last][0] > position):
            return False
        del self._opened[last]
        return True
