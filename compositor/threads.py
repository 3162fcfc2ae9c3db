"""How many threads the libraries below us may use."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["limit_threads"]


@contextmanager
def limit_threads(count: int) -> Iterator[None]:
    """Let OpenCV, Numba and the linear algebra use ``count`` threads inside the block; 0 means one per core."""
    import cv2
    from threadpoolctl import threadpool_limits

    wanted = count or os.cpu_count() or 1
    opencv = cv2.getNumThreads()
    cv2.setNumThreads(wanted)
    if "numba" in sys.modules:
        sys.modules["numba"].set_num_threads(min(wanted, sys.modules["numba"].config.NUMBA_NUM_THREADS))
    else:  # importing it takes longer than the first stages of the work; it will read this
        os.environ["NUMBA_NUM_THREADS"] = str(wanted)
    try:
        with threadpool_limits(wanted):
            yield
    finally:
        cv2.setNumThreads(opencv)
