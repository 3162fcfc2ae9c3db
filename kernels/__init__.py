"""Compiled loops: arrays in and out, allocated by the caller, nothing checked."""

import os
import tempfile
from collections.abc import Callable
from typing import Any

from numba import njit
from numba.core import config as _config
from numba.core.caching import FunctionCache
from numba.core.runtime import rtsys  # type: ignore[attr-defined]

__all__ = ["kernel"]


class _QuickCache(FunctionCache):
    """Numba's cache, which loads what was compiled without loading what it takes to compile.

    Numba's own first imports every function that kernels might call, more than half a second's work; compiling imports them by itself.
    """

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """The compiled kernel for a signature; None if there is none."""
        rtsys.initialize(target_context)
        with self._guard_against_spurious_io_errors():
            return self._load_overload(sig, target_context)
        return None


def kernel(function: Callable[..., Any] | None = None, **options: Any) -> Any:
    """Compile a function when it is first called, and keep it on disk; it runs without Python's lock.

    Parameters
    ----------
    function : callable
    **options
        Of ``numba.njit``.

    Returns
    -------
    callable
    """
    if function is None:
        return lambda function: kernel(function, **options)
    compiled = njit(nogil=True, **options)(function)
    compiled._cache = _QuickCache(function)
    return compiled


def _find_cache() -> None:
    """Let compiled kernels be kept in a temporary folder where neither this folder nor the user's cache can be written.

    A read-only installation run by a user without a home, as in many containers, could not even import the kernels otherwise.
    """
    if _config.CACHE_DIR or os.access(os.path.dirname(os.path.abspath(__file__)), os.W_OK):  # type: ignore[attr-defined]
        return
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~")
    while home and not os.path.isdir(home) and home != os.path.dirname(home):
        home = os.path.dirname(home)
    if not os.access(home, os.W_OK):
        _config.CACHE_DIR = os.path.join(tempfile.gettempdir(), f"compositor-kernels-{getattr(os, 'getuid', int)()}")  # type: ignore[attr-defined]


_find_cache()
