"""What every test needs: one place for compiled kernels, one seed."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import platformdirs
import pytest

import compositor


def kernel_cache() -> Path:
    """A folder for compiled kernels, kept between runs.

    Numba looks only at the file of the kernel that is called; a folder per content of all of them can hold nothing stale.
    """
    digest = hashlib.sha256()
    for path in sorted((Path(compositor.__file__).parent / "kernels").glob("*.py")):
        digest.update(path.name.encode() + path.read_bytes())
    return platformdirs.user_cache_path("compositor") / "test-kernels" / digest.hexdigest()[:16]


# Before anything imports numba; the commands that tests start inherit it.
os.environ.setdefault("NUMBA_CACHE_DIR", str(kernel_cache()))


@pytest.fixture
def generator():
    """Random numbers that are the same in every run."""
    import numpy as np

    return np.random.default_rng(20250101)
