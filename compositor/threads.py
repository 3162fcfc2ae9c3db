"""How many threads the libraries below us may use."""

from __future__ import annotations

import dataclasses
import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

__all__ = ["limit_threads", "threads_allowed"]


@dataclasses.dataclass(eq=False)
class _Block:
    """A block that has begun, and what gives back the limits there were when it did."""

    before: ExitStack
    ended: bool = False


_lock = threading.Lock()
_blocks: list[_Block] = []
"""In the order they began; one that ended stays until those that began after it have ended too."""


@contextmanager
def limit_threads(count: int) -> Iterator[None]:
    """Let OpenCV use ``count`` threads inside the block; 0 means one per core.

    The linear algebra uses one: its last bits depend on how many it has, and those that wait for work wait in a loop. Numba needs no
    limit: every kernel runs on the thread that calls it, and the stages call kernels from as many. A block within another gives back the
    outer one's limit when it ends. The limit is the whole process's: of several blocks at a time, of whichever threads, the last to begin
    decides, and when all have ended there is what was there before the first.
    """
    import cv2
    from threadpoolctl import threadpool_limits

    wanted = count or os.cpu_count() or 1
    block = _Block(ExitStack())
    with _lock:
        block.before.callback(cv2.setNumThreads, cv2.getNumThreads())
        block.before.enter_context(threadpool_limits({"blas": 1, "openmp": wanted}))
        cv2.setNumThreads(wanted)
        _blocks.append(block)
    try:
        yield
    finally:
        with _lock:
            block.ended = True
            while _blocks and _blocks[-1].ended:
                _blocks.pop().before.close()


def threads_allowed() -> int:
    """How many threads work may be spread over now."""
    import cv2

    return max(1, cv2.getNumThreads())
