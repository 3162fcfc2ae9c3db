"""How far a training has come, as lines of text: where nothing else shows it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from compositor.learned.figures import in_words

__all__ = ["Milestones"]

PARTS, PAUSE = 10, 60.0
"""A line is due when so many parts of the work are one more, or when so many seconds have passed without any."""
MINUTE, HOUR = 60.0, 3600.0


class Milestones:
    """The steps of a training after which a line is due, and what it says.

    Parameters
    ----------
    start, total : int
        Steps that were done before, and that will have been in the end.
    """

    def __init__(self, start: int, total: int) -> None:
        self.start, self.total = start, total
        self.began = self.told_at = time.perf_counter()

    def reached(self, done: int) -> bool:
        """Whether a line is due: after the first step, every tenth of the work and every minute."""
        now, parts = time.perf_counter(), (PARTS * done // self.total) - (PARTS * (done - 1) // self.total)
        due = done == self.start + 1 or parts > 0 or now - self.told_at >= PAUSE
        if due:
            self.told_at = now
        return due

    def told(self, done: int, figures: Mapping[str, Any]) -> str:
        """The line: how many steps are done, how long the others will take at the speed of these, and some figures."""
        left = (time.perf_counter() - self.began) / (done - self.start) * (self.total - done)
        words = "; ".join(
            in_words(name, value) for name, value in figures.items() if name != "iteration" and isinstance(value, int | float)
        )
        return f"step {done} of {self.total}, {_in_time(left)} left" + (f": {words}" if words else "")


def _in_time(seconds: float) -> str:
    """A duration as people say it, to two digits or so."""
    if seconds < 2 * MINUTE:
        return f"{seconds:.0f} s"
    return f"{seconds / MINUTE:.0f} min" if seconds < 2 * HOUR else f"{seconds / HOUR:.1f} h"
