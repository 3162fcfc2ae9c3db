"""How many threads the libraries below us may use."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

__all__ = ["limit_threads", "threads_allowed"]


_lock, _limits = threading.Lock(), ExitStack()
_blocks = 0
"""How many blocks of ``limit_threads`` are open; ``_limits`` gives back what there was before the first."""


@contextmanager
def limit_threads(count: int) -> Iterator[None]:
    """Let OpenCV and the linear algebra use ``count`` threads inside the block; 0 means one per core.

    Numba needs no limit: every kernel runs on the thread that calls it, and the stages call kernels from as many. The limit is the whole
    process's: of several blocks at a time the last to begin decides, and the last to end gives back what there was before the first.
    """
    import cv2
    from threadpoolctl import threadpool_limits

    global _blocks
    wanted = count or os.cpu_count() or 1
    with _lock:
        if not _blocks:
            _limits.callback(cv2.setNumThreads, cv2.getNumThreads())
        _limits.enter_context(threadpool_limits(wanted))
        cv2.setNumThreads(wanted)
        _blocks += 1
    try:
        yield
    finally:
        with _lock:
            _blocks -= 1
            if not _blocks:
                _limits.close()


def threads_allowed() -> int:
    """How many threads work may be spread over now."""
    import cv2

    return max(1, cv2.getNumThreads())
