"""Features kept between runs."""

from __future__ import annotations

import numpy as np
import pytest
from skimage import data

import compositor
from compositor.datasets.synthesize import look_around, render_views
from compositor.images import write_image


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> list:
    folder = tmp_path_factory.mktemp("photos")
    views = render_views(data.stereo_motorcycle()[0], look_around(rows=1, columns=3, seed=4, size=(320, 240)), seed=4)
    for view in views:
        write_image(folder / view.camera.name, view.pixels)
    return [folder / view.camera.name for view in views]


def test_a_kept_feature_is_the_same_as_one_found_anew(photos, tmp_path):
    cache = tmp_path / "new" / "folder"
    without = compositor.register(photos)
    first, again = (compositor.register(photos, cache=str(cache)) for _ in range(2))
    assert len(list(cache.iterdir())) == len(photos)
    assert first.to_json() == again.to_json() == without.to_json()


def test_what_is_kept_is_used(photos, tmp_path):
    """Files with half the features in place of all: the registration is another one."""
    whole = compositor.register(photos, cache=str(tmp_path))
    for file in tmp_path.iterdir():
        with np.load(file) as arrays:
            half = {name: array[::2] for name, array in arrays.items()}
        np.savez(file, **half)
    assert compositor.register(photos, cache=str(tmp_path)).to_json() != whole.to_json()


def test_other_options_keep_other_features(photos, tmp_path):
    compositor.register(photos, cache=str(tmp_path))
    compositor.register(photos, cache=str(tmp_path), max_features=1000)
    assert len(list(tmp_path.iterdir())) == 2 * len(photos)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 broken", b"\x93NUMPY"])
def test_a_broken_file_is_made_anew(photos, tmp_path, content):
    expected = compositor.register(photos, cache=str(tmp_path)).to_json()
    for file in tmp_path.iterdir():
        file.write_bytes(content)
    assert compositor.register(photos, cache=str(tmp_path)).to_json() == expected
    assert all(file.read_bytes() != content for file in tmp_path.iterdir())


def test_a_cache_that_is_a_file_is_refused(photos):
    with pytest.raises(compositor.OptionError, match="is no folder"):
        compositor.register(photos, cache=str(photos[0]))
