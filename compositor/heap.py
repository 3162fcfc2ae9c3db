"""What concerns the memory of the whole process: when freed blocks go back to the system."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable

__all__ = ["give_back_memory", "keep_freed_memory"]


M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8
"""Parameters of mallopt(3)."""


def keep_freed_memory() -> None:
    """Let the C library of Linux keep large freed blocks for the next request; for programs, not for libraries.

    By default it returns each to the system at once and gets it back page by page: a sixth of the time of a large panorama. And all
    threads draw on one store, so that what one has freed serves the others too: a twentieth less memory, while large blocks are so few
    that no thread waits for another.
    """
    option = c_function("mallopt")
    if option is not None:
        option(M_MMAP_THRESHOLD, 2**30)
        option(M_TRIM_THRESHOLD, 2**31 - 1)
        option(M_ARENA_MAX, 1)


def give_back_memory() -> None:
    """Return freed memory to the system between stages, so that the next one does not come on top of it."""
    trim = c_function("malloc_trim")
    if trim is not None:
        trim(0)


def c_function(name: str) -> Callable[..., int] | None:
    """A function of the C library, None where it has no such function."""
    return getattr(ctypes.CDLL(None), name, None) if sys.platform == "linux" else None
