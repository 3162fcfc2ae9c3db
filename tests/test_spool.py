"""Pictures on disk behave as arrays do."""

import numpy as np
import pytest

import compositor.spool
from compositor.spool import Spool, part_of

RECTANGLES = [
    (slice(None), slice(None)),
    (slice(3, 9), slice(None)),
    (slice(3, 9), slice(2, 11)),
    (slice(None, None, 4), slice(1, None, 3)),
    (slice(9, 2, -2), slice(0, 5)),
    (slice(5, 5), slice(2, 4)),
    (slice(-4, None), slice(-3, None)),
]


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """So that small pictures have several."""
    monkeypatch.setattr(compositor.spool, "BLOCK", 4)


@pytest.mark.parametrize(("dtype", "channels"), [(np.uint8, (3,)), (np.uint16, (3,)), (np.float32, (3,)), (np.int16, ())])
def test_regions_are_read_as_of_an_array(tmp_path, dtype, channels):
    array = np.random.default_rng(0).integers(0, 200, (17, 13, *channels)).astype(dtype)
    spool = Spool(array.shape, dtype, folder=tmp_path)
    spool[0:17, 0:6] = array[:, :6]
    spool[0:17, 6:13] = array[:, 6:]
    assert np.array_equal(np.asarray(spool), array)
    assert (len(spool), spool.ndim, spool.nbytes) == (17, array.ndim, array.nbytes)
    for rows, columns in RECTANGLES:
        assert np.array_equal(spool[rows, columns], array[rows, columns])
    assert np.array_equal(spool[4], array[4])
    assert np.array_equal(spool[-1, -2], array[-1, -2])
    assert np.array_equal(spool[2:5], array[2:5])


def test_what_was_not_written_is_empty_and_only_that(tmp_path):
    spool = Spool((5, 6), np.int16, empty=-1, folder=tmp_path)
    spool[1:3, 2:4] = np.array([[0, 1], [-1, 300]], np.int16)
    expected = np.full((5, 6), -1, np.int16)
    expected[1:3, 2:4] = [[0, 1], [-1, 300]]
    assert np.array_equal(spool[:, :], expected)


def test_parts_share_the_picture(tmp_path):
    array = np.arange(17 * 13 * 3, dtype=np.uint16).reshape(17, 13, 3)
    spool = Spool(array.shape, array.dtype, folder=tmp_path)
    spool[0:17, 0:13] = array
    for picture in (array, spool):
        part = part_of(part_of(picture, slice(2, 15), slice(3, 12)), slice(1, 9), slice(2, 7))
        assert part.shape == (8, 5, 3)
        assert np.array_equal(np.asarray(part), array[3:11, 5:10])
        assert np.array_equal(part[::3, 1:], array[3:11, 5:10][::3, 1:])
    part_of(spool, slice(0, 2), slice(0, 2))[0:2, 0:2] = np.zeros((2, 2, 3), np.uint16)
    assert not spool[:2, :2].any()
    assert spool[2:, :].all()


def test_the_file_has_no_name(tmp_path):
    spool = Spool((4, 4), np.uint8, folder=tmp_path)
    spool[0:4, 0:4] = np.ones((4, 4), np.uint8)
    del spool
    assert not list(tmp_path.iterdir())
