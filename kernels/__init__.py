"""Compiled loops: arrays in and out, allocated by the caller, nothing checked."""

import os
import tempfile

from numba.core import config as _config


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
