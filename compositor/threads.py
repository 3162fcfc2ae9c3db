"""How many threads the libraries below us may use."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["limit_threads"]


@contextmanager
def limit_threads(count: int) -> Iterator[None]:
    """Let OpenCV, Numba and the linear algebra use ``count`` threads inside the block; 0 means one per core."""
    import cv2
    import numba
    from threadpoolctl import threadpool_limits

    wanted = count or os.cpu_count() or 1
    opencv, kernels = cv2.getNumThreads(), numba.get_num_threads()
    cv2.setNumThreads(wanted)
    numba.set_num_threads(min(wanted, kernels))
    try:
        with threadpool_limits(wanted):
            yield
    finally:
        cv2.setNumThreads(opencv)
        numba.set_num_threads(kernels)
