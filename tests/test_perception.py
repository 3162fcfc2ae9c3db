"""How different pictures look: a distance, which grows with what is done to one of them, and which says where."""

from __future__ import annotations

import itertools
import json
import re

import cv2
import numpy as np
import pytest

pytest.importorskip("torch", reason="the extra «learned» is not installed")
pytest.importorskip("safetensors", reason="the extra «learned» is not installed")

from test_learned import texture

from compositor.cli.entry import run
from compositor.errors import OptionError
from compositor.images import write_image
from compositor.learned import Perception


@pytest.fixture(scope="module")
def perception():
    return Perception(device="cpu")


PICTURE = texture(3, 128)


def noisy(strength):
    return PICTURE + np.random.default_rng(0).normal(size=PICTURE.shape) * 12 * strength


def blurred(strength):
    return cv2.GaussianBlur(PICTURE, (0, 0), 0.8 * strength)


def moved(strength):
    return cv2.warpAffine(PICTURE, np.float32([[1, 0, strength], [0, 1, strength / 2]]), (128, 128), borderMode=cv2.BORDER_REFLECT)


def lit(strength):
    return PICTURE * 2.0 ** (-0.2 * strength)


def eight_bits(pixels):
    return np.clip(np.round(pixels), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("spoil", [noisy, blurred, moved, lit])
def test_more_is_farther(perception, spoil):
    told = [perception(PICTURE, eight_bits(spoil(strength))) for strength in (0.5, 1, 2, 4)]
    assert told[0] > 0.01
    assert all(less < more for less, more in itertools.pairwise(told))


def test_it_is_a_distance(perception):
    """Nothing between equals, the same both ways, and no way round is shorter."""
    pictures = [PICTURE, eight_bits(noisy(1)), eight_bits(blurred(2)), texture(4, 128)]
    told = np.array([[perception(one, other) for other in pictures] for one in pictures])
    assert (told.diagonal() == 0).all()
    np.testing.assert_allclose(told, told.T, rtol=1e-5)
    # Each is a sum over places in float32, exact to about that.
    assert all(told[i, k] <= told[i, j] + told[j, k] + 1e-5 for i in range(4) for j in range(4) for k in range(4))
    assert told[0, 3] > told[0, 1]


def test_map_says_where(perception):
    """All of what differs lies around the changed square, and what the map holds is what the distance says."""
    other = PICTURE.copy()
    other[40:72, 80:112] = texture(5, 32)
    told = perception.map(PICTURE, other)
    assert told.shape == (128, 128)
    away = np.ones((128, 128), bool)
    away[24:88, 64:128] = False
    assert told[44:68, 84:108].mean() > 8 * told[away].mean()
    # Coarse maps are drawn larger bilinearly, which keeps their mean but for the rim.
    assert np.sqrt((told**2).mean()) == pytest.approx(perception(PICTURE, other), rel=0.05)


def test_files_of_any_size_are_compared_whole(perception, tmp_path):
    small = np.ascontiguousarray(PICTURE[:47, :90])
    write_image(tmp_path / "one.png", small)
    assert perception(tmp_path / "one.png", small) == 0
    assert perception(tmp_path / "one.png", np.ascontiguousarray(PICTURE[:47, 1:91])) > 0
    assert perception.map(small, small).shape == (47, 90)


def test_what_cannot_be_compared_is_refused(perception):
    with pytest.raises(OptionError, match="one size"):
        perception(PICTURE, PICTURE[:100])
    with pytest.raises(OptionError, match="32 px"):
        perception(PICTURE[:20], PICTURE[:20])


def test_flat_pictures_have_a_distance(perception):
    gray, lighter = np.full((64, 64, 3), 100, np.uint8), np.full((64, 64, 3), 140, np.uint8)
    assert 0 < perception(gray, lighter) < perception(gray, np.full((64, 64, 3), 220, np.uint8))


def test_two_pictures_at_the_shell(perception, tmp_path, capsys):
    paths = [str(tmp_path / name) for name in ("one.png", "other.png")]
    other = eight_bits(noisy(2))
    for path, pixels in zip(paths, (PICTURE, other), strict=True):
        write_image(path, pixels)
    assert run(["compare", *paths, "--map", str(tmp_path / "map.png"), "--device", "cpu", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["difference"] == pytest.approx(perception(PICTURE, other))
    assert told["psnr_db"] == pytest.approx(cv2.PSNR(PICTURE, other), abs=1e-3)
    assert cv2.imread(str(tmp_path / "map.png"), cv2.IMREAD_UNCHANGED).shape == (128, 128)
    assert run(["compare", paths[0], paths[0], "--device", "cpu", "--json"]) == 0
    same = json.loads(capsys.readouterr().out)
    assert (same["difference"], same["psnr_db"]) == (0, None)
    assert run(["compare", paths[0], str(tmp_path)]) == 2
    assert "two folders" in capsys.readouterr().err


def test_two_folders_at_the_shell(tmp_path, capsys):
    """A folder is nearer to one with the other halves of its pictures than to one with noise."""
    for name in ("ours", "halves", "noise"):
        (tmp_path / name).mkdir()
    for seed in range(8):
        whole = texture(seed, 128)
        write_image(tmp_path / "ours" / f"{seed}.png", np.ascontiguousarray(whole[:, :64]))
        write_image(tmp_path / "halves" / f"{seed}.png", np.ascontiguousarray(whole[:, 64:]))
        write_image(tmp_path / "noise" / f"{seed}.png", np.random.default_rng(seed).integers(0, 255, (128, 64, 3)).astype(np.uint8))
    told = {}
    for name in ("halves", "noise"):
        assert run(["compare", str(tmp_path / "ours"), str(tmp_path / name), "--device", "cpu", "--json"]) == 0
        told[name] = json.loads(capsys.readouterr().out)
    near, far = told["halves"], told["noise"]
    assert near["kernel_distance"] < far["kernel_distance"]
    assert near["frechet_distance"] < far["frechet_distance"]
    assert near["pictures"] == [8, 8]
    (tmp_path / "few").mkdir()
    write_image(tmp_path / "few" / "one.png", texture(1, 64))
    assert run(["compare", str(tmp_path / "few"), str(tmp_path / "ours"), "--device", "cpu"]) == 2
    assert f"1 of 1 picture in folder {tmp_path / 'few'} can be read" in capsys.readouterr().err


def test_folders_of_classes_are_compared_without_guessing(tmp_path, capsys):
    """Pictures at any depth count; so few of them say nothing of what the distance would come to with more."""
    for kind in ("cats", "dogs"):
        (tmp_path / "whole" / kind).mkdir(parents=True)
        for seed in range(2):
            write_image(tmp_path / "whole" / kind / f"{seed}.png", texture(seed, 64))
    asked = ["compare", str(tmp_path / "whole"), str(tmp_path / "whole"), "--device", "cpu"]
    assert run([*asked, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["pictures"] == [4, 4]
    assert told["frechet_extrapolated"] is None
    assert run(asked) == 0
    assert re.search("frechet extrapolated +–", capsys.readouterr().out)


def test_a_folder_of_broken_pictures_is_named(tmp_path, capsys):
    for name in ("bad", "flat"):
        (tmp_path / name).mkdir()
    (tmp_path / "bad" / "broken.jpg").write_bytes(b"no picture")
    write_image(tmp_path / "flat" / "one.png", texture(1, 64))
    assert run(["compare", str(tmp_path / "bad"), str(tmp_path / "flat"), "--device", "cpu", "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert f"0 of 1 picture in folder {tmp_path / 'bad'} can be read" in told["error"]
    assert [one["name"] for one in told["left_out"]] == ["broken.jpg"]


def test_options_of_comparing_are_heeded(tmp_path, capsys, monkeypatch):
    """As many threads as asked for; and no seed where nothing is drawn."""
    path, seen = str(tmp_path / "one.png"), []
    write_image(path, PICTURE)
    monkeypatch.setattr(Perception, "__call__", lambda *_: float(seen.append(cv2.getNumThreads()) or 0))
    before = cv2.getNumThreads()
    assert run(["compare", path, path, "--device", "cpu", "--threads", str(before + 1)]) == 0
    assert seen == [before + 1]
    assert cv2.getNumThreads() == before
    capsys.readouterr()
    assert run(["compare", path, path, "--seed", "3"]) == 2
    assert "--seed 3 is of folders" in capsys.readouterr().err


@pytest.mark.parametrize("weights", [(1, 2), (1, 1, 1, 1, -1), (1, 1, 1, 1, float("nan"))])
def test_weights_that_do_not_fit_are_refused(weights):
    with pytest.raises(OptionError, match="5 numbers"):
        Perception(weights=weights)
