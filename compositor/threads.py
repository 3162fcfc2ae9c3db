"""How many threads the libraries below us may use."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

__all__ = ["limit_threads", "threads_allowed"]


_lock = threading.Lock()
_inside: list[tuple[int, ExitStack]] = []
"""How many threads OpenCV had before, and what gives the linear algebra its own back, while anybody is inside ``limit_threads``."""


@contextmanager
def limit_threads(count: int) -> Iterator[None]:
    """Let OpenCV and the linear algebra use ``count`` threads inside the block; 0 means one per core.

    Numba needs no limit: every kernel runs on the thread that calls it, and the stages call kernels from as many. The limit is the whole
    process's: of several blocks at a time the last to begin decides, and the last to end gives back what there was before the first.
    """
    import cv2
    from threadpoolctl import threadpool_limits

    wanted = count or os.cpu_count() or 1
    with _lock:
        _inside.append((cv2.getNumThreads(), ExitStack()))
        _inside[0][1].enter_context(threadpool_limits(wanted))
        cv2.setNumThreads(wanted)
    try:
        yield
    finally:
        with _lock:
            opencv, limits = _inside[0]
            if len(_inside) == 1:
                cv2.setNumThreads(opencv)
                limits.close()
                _inside.clear()
            else:
                _inside.pop()


def threads_allowed() -> int:
    """How many threads work may be spread over now."""
    import cv2

    return max(1, cv2.getNumThreads())
