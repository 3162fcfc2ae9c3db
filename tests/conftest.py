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


@pytest.fixture(scope="session")
def views():
    """Three overlapping views of one photograph, and the cameras they were rendered with."""
    from skimage.data import stereo_motorcycle

    from compositor.datasets.synthesize import look_around, render_views

    return render_views(stereo_motorcycle()[0], look_around(rows=1, columns=3))


@pytest.fixture(scope="session")
def photos(views, tmp_path_factory):
    """The three views as files, in the order they overlap."""
    from compositor.images import write_image

    folder = tmp_path_factory.mktemp("photos")
    for view in views:
        write_image(folder / view.camera.name, view.pixels)
    return [str(folder / view.camera.name) for view in views]


@pytest.fixture(scope="session")
def pool():
    """Two workers."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(2) as executor:
        yield executor
