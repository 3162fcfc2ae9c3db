"""Wall time by stage."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from compositor.types import Progress

__all__ = ["StageClock"]


class StageClock:
    """Passes progress on and notes how long each stage took: a stage lasts until another one reports.

    Parameters
    ----------
    progress : Progress, optional
        Told everything that the clock is told.
    """

    def __init__(self, progress: Progress | None = None) -> None:
        self._progress = progress
        self._stage = ""
        self._since = time.perf_counter()
        self._seconds: dict[str, float] = {}

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Note that ``done`` of ``total`` parts of a stage are done."""
        if stage != self._stage:
            self._close()
            self._stage = stage
        if self._progress is not None:
            self._progress(stage, done, total)

    def seconds(self) -> dict[str, float]:
        """Seconds by stage, in the order the stages began; the running one up to now."""
        self._close()
        return dict(self._seconds)

    def _close(self) -> None:
        now = time.perf_counter()
        if self._stage:
            self._seconds[self._stage] = self._seconds.get(self._stage, 0.0) + now - self._since
        self._since = now
