"""How many threads the libraries below us may use."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["limit_threads", "threads_allowed"]


@contextmanager
def limit_threads(count: int) -> Iterator[None]:
    """Let OpenCV and the linear algebra use ``count`` threads inside the block; 0 means one per core.

    Numba needs no limit: every kernel runs on the thread that calls it, and the stages call kernels from as many.
    """
    import cv2
    from threadpoolctl import threadpool_limits

    wanted = count or os.cpu_count() or 1
    opencv = cv2.getNumThreads()
    cv2.setNumThreads(wanted)
    try:
        with threadpool_limits(wanted):
            yield
    finally:
        cv2.setNumThreads(opencv)


def threads_allowed() -> int:
    """How many threads work may be spread over now."""
    import cv2

    return max(1, cv2.getNumThreads())
