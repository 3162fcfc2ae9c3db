"""Loading code before it is needed, while the first photos are being looked at."""

from __future__ import annotations

import contextlib
import importlib
import threading
from collections.abc import Iterator

__all__ = ["load_ahead"]

NEEDED = ("compositor.register.solve", "compositor.compose")
"""What the stages after finding features need, in this order."""


@contextlib.contextmanager
def load_ahead() -> Iterator[None]:
    """Import what the later stages need while the first ones, inside the block, decode photos and look for features.

    Importing Numba and loading the first compiled kernel take more than half a second, which a second core can spend better than
    waiting.
    """
    thread = threading.Thread(target=_load, name="load ahead")
    thread.start()
    try:
        yield
    finally:
        thread.join()


def _load() -> None:
    with contextlib.suppress(ImportError, RuntimeError):  # whoever needs the code meets the same error, and tells of it
        _import()


def _import() -> None:
    import numpy as np

    from compositor.kernels.matching import best_two

    one = np.zeros(1, np.float32)
    best_two(np.zeros((1, 1), np.float32), 0, one, np.zeros(1, np.int32), one.copy(), np.zeros(1, np.int32), one.copy())
    for name in NEEDED:
        importlib.import_module(name)
