"""Pictures composed of many."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
import tifffile

import compositor
from compositor.cli.entry import run
from compositor.images import write_image
from compositor.kernels.mosaic import nearest_tiles

SIDE = 16
"""px; smaller pictures are no photos."""


def plain(color, side=SIDE):
    return np.full((side, side, 3), color, np.uint8)


def palette(generator, count=300):
    """Tiles of plain random colours."""
    return [plain(color) for color in generator.integers(0, 256, (count, 3))]


def ramp(height=60, width=80):
    """A target whose colours change smoothly."""
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([x * 255 / width, y * 255 / height, 255 - x * 255 / width], -1).astype(np.uint8)


def nearest_repeat(chosen):
    """Distance of the two nearest cells that show one tile, in cells."""
    nearest = np.inf
    for tile in np.unique(chosen):
        places = np.argwhere(chosen == tile).astype(float)
        apart = np.hypot(*(places[:, None] - places[None]).transpose(2, 0, 1))
        nearest = min(nearest, apart[apart > 0].min(initial=np.inf))
    return nearest


def test_nearest_are_those_of_all_distances(generator):
    cells = generator.normal(size=(50, 6)).astype(np.float32)
    tiles = generator.normal(size=(200, 6)).astype(np.float32)
    tiles = tiles[np.argsort(tiles[:, 0], kind="stable")]
    found, distances = np.empty((50, 7), np.int32), np.empty((50, 7), np.float32)
    nearest_tiles(cells, tiles, found, distances)
    every = ((cells[:, None].astype(float) - tiles[None]) ** 2).sum(2)
    np.testing.assert_array_equal(found, np.argsort(every, axis=1)[:, :7])
    np.testing.assert_allclose(distances, np.sort(every, axis=1)[:, :7], rtol=1e-5)  # single precision


def test_without_a_radius_every_cell_shows_its_own_tile(generator):
    colors = generator.permutation(np.array(np.meshgrid([20, 90, 160, 230], [20, 90, 160, 230], [20, 120, 220])).reshape(3, -1).T)
    target = np.vstack([np.hstack([plain(color) for color in row]) for row in colors.reshape(6, 8, 3)])
    made = compositor.mosaic(target, [plain(color) for color in colors], columns=8, tile_size=SIDE, radius=0)
    np.testing.assert_array_equal(made.chosen, np.arange(48).reshape(6, 8))
    np.testing.assert_array_equal(np.asarray(made.pixels), target)
    assert made.difference < 0.01  # rounding of single precision


def test_layout_decides_between_tiles_of_one_mean():
    left = np.hstack([np.zeros((16, 8, 3), np.uint8), np.full((16, 8, 3), 255, np.uint8)])
    tiles = [left, left[:, ::-1], left.transpose(1, 0, 2), left.transpose(1, 0, 2)[::-1]]
    target = np.vstack([np.hstack(tiles[:2]), np.hstack(tiles[2:])])
    made = compositor.mosaic(target, tiles, columns=2, tile_size=SIDE, radius=0)
    np.testing.assert_array_equal(made.chosen, [[0, 1], [2, 3]])


@pytest.mark.parametrize("radius", [1, 2.5, 4])
def test_nothing_is_repeated_within_the_radius(generator, radius):
    made = compositor.mosaic(ramp(), palette(generator), columns=24, tile_size=SIDE, radius=radius)
    assert made.radius == radius
    assert nearest_repeat(made.chosen) > radius


def test_limited_uses_hold_and_exchanges_help(generator):
    tiles = palette(generator, 200)
    made = compositor.mosaic(ramp(), tiles, columns=16, tile_size=SIDE, radius=2, uses=1)
    assert made.chosen.size == 192
    assert np.unique(made.chosen).size == 192
    shuffled = compositor.mosaic(ramp(), [tiles[k] for k in generator.permutation(200)], columns=16, tile_size=SIDE, radius=2, uses=1)
    # The order in which a collection lies in its folder may decide little: both are near the best there is.
    assert made.difference == pytest.approx(shuffled.difference, rel=0.1)


def test_too_few_tiles_narrow_the_radius_and_say_so(generator, caplog):
    made = compositor.mosaic(ramp(), palette(generator, 6), columns=12, tile_size=SIDE, radius=5)
    assert made.radius == 1
    assert nearest_repeat(made.chosen) > 1
    assert "6 tiles are too few" in caplog.text
    with pytest.raises(compositor.OptionError, match="uses=2 of 6 tiles fill 12 cells"):
        compositor.mosaic(ramp(), palette(generator, 6), columns=12, tile_size=SIDE, uses=2)


def test_tone_brings_the_picture_nearer_and_keeps_detail(generator):
    tiles = [np.clip(tile + generator.normal(0, 20, tile.shape), 0, 255).astype(np.uint8) for tile in palette(generator, 40)]
    target = cv2.resize(ramp(), (24 * SIDE, 18 * SIDE), interpolation=cv2.INTER_LINEAR)
    seen = [np.asarray(compositor.mosaic(ramp(), tiles, columns=24, tile_size=SIDE, tone=tone).pixels, np.float32) for tone in (0, 0.5, 1)]
    apart = [np.abs(cv2.resize(picture - target, (24, 18), interpolation=cv2.INTER_AREA)).mean() for picture in seen]
    assert apart[0] > 1.5 * apart[1] > 2 * apart[2]
    detail = [np.abs(cv2.Laplacian(picture, cv2.CV_32F)).mean() for picture in seen]
    assert detail[2] > 0.5 * detail[0]


def test_rows_are_the_same_however_they_are_asked_for(generator):
    made = compositor.mosaic(ramp(), palette(generator, 50), columns=10, tile_size=7, radius=1)
    whole = np.asarray(made.pixels)
    assert whole.shape == made.pixels.shape == (56, 70, 3)
    np.testing.assert_array_equal(made.pixels[5:23, 3:11], whole[5:23, 3:11])
    np.testing.assert_array_equal(made.pixels[::9, ::4], whole[::9, ::4])
    np.testing.assert_array_equal(made.pixels[20], whole[20])
    np.testing.assert_array_equal(made.pixels[20:24, 5], whole[20:24, 5])
    assert made.pixels[60:80].shape == (0, 70, 3)


def test_any_number_of_threads_gives_the_same(generator):
    tiles = palette(generator)
    one, two = (compositor.mosaic(ramp(), tiles, columns=30, tile_size=SIDE, threads=threads) for threads in (1, 2))
    np.testing.assert_array_equal(one.chosen, two.chosen)


def test_features_decide_where_colours_cannot():
    stripes = np.zeros((16, 16, 3), np.uint8)
    stripes[::2] = 255
    tiles = [stripes, stripes.transpose(1, 0, 2), plain(0), plain(255)]  # the first two have one colour layout
    target = np.hstack([tiles[1], tiles[0]])

    def direction(pictures):
        gray = pictures[..., 0].astype(np.float32)
        return np.stack([np.abs(np.diff(gray, axis=axis)).mean((1, 2)) for axis in (1, 2)], 1)

    made = compositor.mosaic(target, tiles, columns=2, tile_size=16, radius=0, features=direction)
    np.testing.assert_array_equal(made.chosen, [[1, 0]])
    with pytest.raises(compositor.OptionError, match="features gave"):
        compositor.mosaic(target, tiles, columns=2, tile_size=16, features=lambda pictures: np.zeros(3))
    with pytest.raises(compositor.OptionError, match="is that of features="):
        compositor.mosaic(target, tiles, columns=2, tile_size=16, feature_weight=2.0)


@pytest.fixture
def collection(tmp_path, generator):
    """A folder with tiles of all kinds, some of them bad."""
    folder = tmp_path / "tiles"
    (folder / "deep").mkdir(parents=True)
    for number, tile in enumerate(palette(generator, 30)):
        write_image(folder / f"{number}.{'jpg' if number % 2 else 'png'}", cv2.resize(tile, (40 + number, 30)))
    write_image(folder / "deep" / "sixteen.tif", np.full((40, 40, 3), 40_000, np.uint16))
    (folder / "3.jpg").write_bytes((folder / "3.jpg").read_bytes()[:300])
    (folder / "text.jpg").write_text("no picture")
    return folder


def test_bad_tiles_lose_themselves_by_name(tmp_path, collection, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_image(tmp_path / "target.png", ramp())
    asked = ["mosaic", str(tmp_path / "target.png"), "--tiles", str(collection), "-o", "m.tif", "--json", "--columns", "20"]
    assert run([*asked, "--tile-size", "16", "--radius", "1"]) == 3
    told = json.loads(capsys.readouterr().out)
    assert {entry["name"] for entry in told["left_out"]} == {"3.jpg", "text.jpg"}
    assert told["size"] == [320, 240]
    assert told["output"] == str(tmp_path / "m.tif")
    assert told["tiles_used"] <= 30
    with tifffile.TiffFile(tmp_path / "m.tif") as tiff:
        assert tiff.pages[0].is_tiled
        assert tiff.asarray().shape == (240, 320, 3)
    assert run(asked) == 2  # it exists
    assert run([*asked[:2], "--tiles", str(tmp_path / "nothing*"), "-o", str(tmp_path / "n.tif")]) == 2


def test_a_picture_too_large_for_its_format_is_refused_before_tiles_are_read(tmp_path, collection, capsys):
    write_image(tmp_path / "target.png", ramp())
    asked = ["mosaic", str(tmp_path / "target.png"), "--tiles", str(collection), "-o", str(tmp_path / "m.jpg")]
    assert run([*asked, "--columns", "2000"]) == 2
    said = capsys.readouterr().err
    assert "128000 x 96000 px is too large for JPEG" in said
    assert "left out" not in said


def test_more_cells_than_memory_holds_are_refused_before_tiles_are_read(monkeypatch, tmp_path):
    monkeypatch.setattr("compositor.memory.available_memory", lambda: 100_000_000)
    with pytest.raises(compositor.LimitError, match="1000 x 750 cells needs 531 MB of memory, 75 MB may be taken; try fewer columns="):
        compositor.mosaic(ramp(), [tmp_path / "missing.jpg"], columns=1000, tile_size=4)


def test_no_tile_that_can_be_read_is_an_error(tmp_path):
    (tmp_path / "a.jpg").write_text("no picture")
    with pytest.raises(compositor.ReadError, match="none of the tiles can be read") as caught:
        compositor.mosaic(ramp(), [tmp_path / "a.jpg"])
    assert caught.value.left_out[0][0] == "a.jpg"
