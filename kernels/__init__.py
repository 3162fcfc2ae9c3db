"""Compiled loops: arrays in and out, allocated by the caller, nothing checked."""

import functools
import logging
import os
import sys
import tempfile
from typing import Any

from numba.core import config as _config
from numba.core import environment
from numba.core.caching import FunctionCache
from numba.core.runtime import rtsys  # type: ignore[attr-defined]

_logger = logging.getLogger("compositor.kernels")


@functools.cache
def _tell_of_compiling() -> None:
    """Say, once, why it takes so long."""
    _logger.info("inner loops that were not used before are being compiled; this is done once and may take half a minute")


def _load_quickly() -> None:
    """Let Numba's cache load our kernels without what it takes to compile them.

    Its own first imports every function that kernels might call, more than half a second's work; compiling imports them by itself. Of
    functions that are not ours nothing changes there. And it imports the modules of Numba that functions inside a kernel came from, for
    code that falls back on Python's objects, as compiled loops do not: while one is not loaded Numba's topmost stands for it.
    """
    whole, rebuild = FunctionCache.load_overload, environment._rebuild_env

    def rebuild_env(module: str, constants: list[Any], name: str) -> Any:
        return rebuild("numba" if module.startswith("numba.") and module not in sys.modules else module, constants, name)

    # Caches name this function, and are to find Numba's own where this file is not.
    rebuild_env.__module__, rebuild_env.__qualname__ = environment.__name__, "_rebuild_env"
    rebuild_env.__name__ = "_rebuild_env"

    def load_overload(self: Any, sig: Any, target_context: Any) -> Any:
        if not self._py_func.__module__.startswith(f"{__name__}."):
            return whole(self, sig, target_context)
        rtsys.initialize(target_context)
        found = None
        with self._guard_against_spurious_io_errors():
            found = self._load_overload(sig, target_context)
        if found is None:
            _tell_of_compiling()
        return found

    FunctionCache.load_overload = load_overload  # type: ignore[method-assign]
    environment._rebuild_env = rebuild_env


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
_load_quickly()
