"""The encoder: photos that overlap are alike to it, whatever their light, its training learns, and its files are safe."""

from __future__ import annotations

import json
import os

import cv2
import numpy as np
import pytest
import skimage.data

pytest.importorskip("torch", reason="the extra «learned» is not installed")
pytest.importorskip("safetensors", reason="the extra «learned» is not installed")

import torch
from test_learned import texture

from compositor.cli.entry import run
from compositor.errors import OptionError
from compositor.images import open_photo, write_image
from compositor.learned import Encoder, train_encoder
from compositor.learned.backbone import EncoderNetwork
from compositor.learned.beside import Beside, likeness, tell_closely
from compositor.learned.contrast import Contrast, contrast_loss, make_pairs, make_views
from compositor.learned.encoder import squares_of
from compositor.learned.grouping import tell_photos
from compositor.learned.photographs import Photograph, Photographs
from compositor.learned.weights import WeightsError, write_weights
from compositor.learned.words import Words
from compositor.options import EncoderOptions

SMALL = {"iterations": 3, "pairs": 4, "size": 32, "report_every": 1, "measured": 4, "threads": 2}


@pytest.fixture(autouse=True)
def one_thread():
    from compositor.learned.device import torch_threads

    with torch_threads(1):
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("photos")
    for seed in range(6):
        write_image(place / f"{seed}.png", texture(seed, 160))
    return place


@pytest.fixture(scope="module")
def untrained():
    torch.manual_seed(0)
    return Encoder(EncoderNetwork(), Words.learn([texture(seed, 160) for seed in range(6)], np.random.default_rng(0)), device="cpu")


def test_every_picture_gets_numbers_of_its_own(untrained):
    """As many for each, of length 1, whatever its size and depth, and whatever other pictures are looked at with it."""
    picture = texture(1, 200)
    others = [texture(2, 32), picture[:120], picture.astype(np.uint16) * 257, picture.astype(np.float32) / 255]
    numbers = untrained([picture, *others])
    np.testing.assert_allclose(np.linalg.norm(numbers, axis=1), 1, atol=1e-6)
    # In a batch the same sums may be taken in another order.
    np.testing.assert_allclose(numbers[0], untrained([picture])[0], atol=1e-5)
    np.testing.assert_allclose(numbers[0], numbers[3], atol=1e-5)
    np.testing.assert_allclose(numbers[0], numbers[4], atol=1e-5)
    assert len(untrained([])) == 0


def test_product_is_the_weighted_mean_of_the_parts(untrained):
    pictures = [texture(1, 120), texture(2, 140)]
    weights = {"picture": 1.0, "colour": 2.0, "edges": 0.5, "words": 1.5, "layers": 1.0, "regions": 1.0}
    whole = untrained(pictures, parts=weights)
    single = {name: untrained(pictures, parts={name: 1.0}) for name in weights}
    expected = sum(weight * single[name][0] @ single[name][1] for name, weight in weights.items()) / sum(weights.values())
    assert whole[0] @ whole[1] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("parts", [{}, {"sound": 1.0}, {"colour": 0.0}, {"colour": -1.0}])
def test_unknown_parts_are_refused(untrained, parts):
    with pytest.raises(OptionError, match="picture, regions"):
        untrained([texture(1, 64)], parts=parts)


def test_loss_is_that_of_the_other_half():
    """Halves that are equal and unlike all others cost next to nothing; squares of one photo are not told apart."""
    told = torch.eye(6)[[0, 1, 2, 0, 1, 2]]
    assert contrast_loss(told, torch.arange(3), temperature=0.1) < 1e-3
    assert contrast_loss(torch.cat([told[:3], told[3:].roll(1, 0)]), torch.arange(3), temperature=0.1) > 5
    same = torch.eye(6)[[0, 0, 2, 0, 0, 2]]
    assert contrast_loss(same, torch.tensor([5, 5, 6]), temperature=0.1) < 1e-3
    assert contrast_loss(same, torch.arange(3), temperature=0.1) > 0.3


@pytest.mark.parametrize("make", [make_pairs, make_views])
def test_pairs_depend_on_seed_and_number_only(folder, make):
    photographs, _ = Photographs.read([folder])
    first, again, other = (make(photographs, number, pairs=4, size=32, seed=2) for number in (3, 3, 4))
    torch.testing.assert_close(first.first, again.first, rtol=0, atol=0)
    torch.testing.assert_close(first.second, again.second, rtol=0, atol=0)
    assert not torch.equal(first.first, other.first)


def test_squares_anywhere_are_of_their_photo_in_another_light():
    """A photo that is one half red, the other blue, and another of green: what is not gray shows its own photo's colours, as bright or dark
    as may be; no photo comes twice before all have come."""
    halves = np.zeros((40, 60, 3), np.uint8)
    halves[:, :30, 0], halves[:, 30:, 2] = 160, 160
    green = np.zeros((50, 50, 3), np.uint8)
    green[..., 1] = 160
    photographs = Photographs([Photograph(str(k), str(k), pixels) for k, pixels in enumerate([halves, green])])
    pairs = make_views(photographs, 0, pairs=40, size=32, seed=0)
    assert (pairs.origin.bincount() == 20).all()
    grays = 0
    for shown, other in ((pairs.first, pairs.second), (pairs.second, pairs.first)):
        assert shown.shape == (40, 3, 32, 32)
        assert 0 <= shown.min() < shown.max() <= 1
        assert not torch.equal(shown, other)
        middle = shown.mean((2, 3))
        gray = (shown.amax(1) - shown.amin(1)).amax((1, 2)) < 1e-4
        assert ((middle[:, 1] > middle[:, ::2].amax(1)) == (pairs.origin == 1))[~gray].all()
        grays += int(gray.sum())
    assert 4 <= grays <= 30  # a fifth of 80 in the mean


@pytest.mark.parametrize("make", [make_pairs, make_views])
def test_learning_brings_halves_together(folder, make):
    photographs, _ = Photographs.read([folder])
    pairs = make(photographs, 0, pairs=5, size=32, seed=0)
    training = Contrast(EncoderOptions(iterations=400, rate=0.003), "cpu", photographs, pairs)
    losses = [training.step(iteration, pairs)["loss"] for iteration in range(12)]
    assert losses[-1] < 0.7 * losses[0]  # of one batch, learned by heart


def test_halves_of_one_photo_alone_are_not_measured(folder):
    photographs, _ = Photographs.read([folder])
    several, one = (
        make_pairs(Photographs(photographs.photographs[:count]), 0, pairs=4, size=32, seed=0) for count in (len(photographs.photographs), 1)
    )
    assert set(Contrast(EncoderOptions(), "cpu", photographs, several).measure()) == {"found_first", "auc"}
    assert Contrast(EncoderOptions(), "cpu", photographs, one).measure() == {}


def test_a_network_that_tells_all_alike_finds_nothing(folder):
    photographs, _ = Photographs.read([folder])
    training = Contrast(EncoderOptions(), "cpu", photographs, make_pairs(photographs, 0, pairs=5, size=32, seed=0))
    training.average = lambda pictures: torch.ones(len(pictures), 4) / 2
    assert training.measure() == {"found_first": 0.0, "auc": 0.5}


def test_one_photo_to_learn_from_is_refused(folder, tmp_path):
    with pytest.raises(OptionError, match=r"1 photo to learn from and 1 to measure on; give at least three"):
        train_encoder([folder / "0.png", folder / "1.png"], tmp_path / "weights.safetensors", **SMALL)


def test_a_vocabulary_is_learned_from_some_of_many_pictures(monkeypatch):
    monkeypatch.setattr("compositor.learned.words.LEARNED_FROM", 3)
    pictures = [texture(seed, 160) for seed in range(4)]
    some, same, all_three = (Words.learn(part, np.random.default_rng(0)) for part in (pictures, pictures, pictures[:3]))
    np.testing.assert_array_equal(some.centres, same.centres)
    assert not np.array_equal(some.centres, all_three.centres)


@pytest.mark.parametrize("squares", ["overlapping", "anywhere"])
def test_training_writes_weights_that_load_and_goes_on_to_the_same(folder, tmp_path, squares):
    whole, stopped = tmp_path / "whole.safetensors", tmp_path / "stopped.safetensors"
    asked = {**SMALL, "squares": squares}
    record = train_encoder([folder], whole, **asked)
    assert "loss" in record["figures"]  # whether others are told depends on how many of so few photos are held out

    def stop(_stage, done, _total):
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_encoder([folder], stopped, progress=stop, **asked)
    train_encoder([folder], stopped, **asked)
    assert whole.read_bytes() == stopped.read_bytes()
    numbers = Encoder.load(whole, device="cpu")([texture(1, 100)])
    assert np.isfinite(numbers).all()


def test_weights_of_another_network_are_refused(tmp_path):
    path = tmp_path / "weights.safetensors"
    write_weights(path, {"one": torch.zeros(3)}, {"kind": "an encoder", "shape": {"channels": [4, 4, 4, 4, 4], "numbers": 3}})
    with pytest.raises(WeightsError, match="another network"):
        Encoder.load(path)


def test_similar_names_photos_by_what_they_show(tmp_path, folder, untrained, capsys):
    """Parts of two pictures in other light: first come those of the same picture. What cannot be read is named."""
    weights = tmp_path / "encoder.safetensors"
    write_weights(weights, untrained.tensors(), {"kind": "an encoder", "shape": {"channels": [16, 32, 64, 128, 192], "numbers": 128}})
    photos = tmp_path / "photos"
    photos.mkdir()
    for seed in (20, 21):
        for left in (0, 60):
            write_image(
                photos / f"{seed}_{left}.png", np.clip(texture(seed, 260)[:, left : left + 190] * (1 + left / 400), 0, 255).astype(np.uint8)
            )
    write_image(photos / "near.png", cv2.resize(texture(20, 260)[95:190, 47:142], (240, 240), interpolation=cv2.INTER_CUBIC))
    (photos / "broken.jpg").write_bytes(b"no picture")
    assert run(["similar", str(photos / "20_0.png"), str(photos), "--weights", str(weights), "--device", "cpu", "--json"]) == 3
    told = json.loads(capsys.readouterr().out)
    assert next(one["name"] for one in told["similar"]) == "20_60.png"
    assert len(told["similar"]) == 4
    assert told["similar"][0]["path"] == os.path.abspath(photos / "20_60.png")
    assert [one["name"] for one in told["left_out"]] == ["broken.jpg"]
    assert told["photo"] == os.fspath(photos / "20_0.png")
    assert run(["similar", str(photos / "20_0.png"), str(photos), "--weights", str(weights), "--device", "cpu", "--json", "--no-zoom"]) == 3
    whole = json.loads(capsys.readouterr().out)
    assert whole["similar"][0]["name"] == "20_60.png"
    assert (
        run(["similar", str(photos / "20_0.png"), str(photos), "--weights", str(weights), "--device", "cpu", "--json", "--by", "look"]) == 3
    )
    looks = {one["name"]: one["likeness"] for one in json.loads(capsys.readouterr().out)["similar"]}
    encoder = Encoder.load(weights, device="cpu")
    here, there = encoder([photos / "20_0.png", photos / "21_0.png"], parts={"layers": 1.0, "edges": 1.0})
    assert looks["21_0.png"] == pytest.approx(float(here @ there), abs=1e-4)
    closely, plainly = ({one["name"]: one["likeness"] for one in found["similar"]} for found in (told, whole))
    assert closely["near.png"] > plainly["near.png"]


def test_a_part_that_a_longer_lens_saw_is_more_like_the_whole_when_parts_are_told(untrained):
    """Of three pictures one has the part; put beside wholes alone it is hardly more like that one."""
    wide = [texture(seed, 300) for seed in (30, 31, 32)]
    near = cv2.resize(wide[1][80:200, 100:220], (240, 240), interpolation=cv2.INTER_CUBIC)
    plain, closely = (Beside(near, untrained, zoom=zoom)(wide)[:, 0] for zoom in (False, True))
    assert closely.argmax() == 1
    lead = [float(told[1] - max(told[0], told[2])) for told in (plain, closely)]
    assert lead[1] > lead[0] + 0.015  # with the whole's colours the other two are nearly as like
    whole = tell_closely(wide[0], untrained)
    assert whole[0] @ whole[0] == pytest.approx(1, abs=1e-5)
    assert likeness(whole, tell_closely(near, untrained)) == pytest.approx(float(closely[0]), abs=1e-5)


@pytest.mark.parametrize("zoom", [True, False])
def test_a_picture_is_wholly_like_itself_and_less_like_its_part(untrained, zoom):
    picture, blank = texture(33, 300), np.full((200, 300, 3), 240, np.uint8)
    beside = Beside(picture, untrained, zoom=zoom)
    assert beside([picture, picture[50:250, 50:250], blank])[:, 0] == pytest.approx([1, 0.5, 0], abs=0.45)
    assert float(beside([picture])[0, 0]) == pytest.approx(1, abs=1e-5)
    assert float(Beside(blank, untrained, zoom=zoom)([blank])[0, 0]) == pytest.approx(1, abs=1e-5)


def test_a_mosaic_compares_what_the_encoder_finds(tmp_path, capsys):
    tiles, target = tmp_path / "tiles", tmp_path / "target.png"
    tiles.mkdir()
    for seed in range(6):
        write_image(tiles / f"{seed}.png", texture(seed, 64))
    write_image(target, np.hstack([texture(seed, 64) for seed in (4, 1)]))
    asked = ["mosaic", str(target), "--tiles", str(tiles), "-o", str(tmp_path / "made.png"), "--columns", "2", "--tile-size", "64"]
    assert run([*asked, "--features", "encoder", "--radius", "0"]) == 0
    np.testing.assert_array_equal(open_photo(tmp_path / "made.png").full().pixels, open_photo(target).full().pixels)
    assert run([*asked, "--overwrite", "--weights", str(target)]) == 2
    assert "--features encoder" in capsys.readouterr().err


def test_a_strip_of_any_length_has_few_regions_from_end_to_end():
    assert len(squares_of(200, 300, 0.5)) == 15
    strip = squares_of(30, 20_000, 0.5)
    assert len(strip) < 100
    assert min(left for _, left, _, _ in strip) == 0
    assert max(right for _, _, _, right in strip) == pytest.approx(1)


def test_a_long_picture_is_told_alike_from_a_file_and_among_many(tmp_path):
    long = np.tile(texture(3, 300), (1, 10, 1))
    cv2.imwrite(str(tmp_path / "long.png"), long)
    encoder = Encoder(device="cpu")
    (alone,), (among,) = encoder([str(tmp_path / "long.png")]), tell_photos([str(tmp_path / "long.png")], encoder).numbers
    assert alone @ among == pytest.approx(1, abs=1e-5)


def test_the_weights_that_ship_find_the_other_half():
    """Of pictures that nobody learned from, the left and the right two thirds, one darker than the other."""
    halves = []
    for name in ("camera", "coins", "text", "moon", "brick", "grass", "gravel"):
        gray = getattr(skimage.data, name)()
        picture = np.repeat(gray[..., None], 3, 2)
        third = picture.shape[1] // 3
        halves += [picture[:, : 2 * third], np.round(picture[:, third:] * 0.8).astype(np.uint8)]
    told = Encoder(device="cpu")(halves)
    alike = told @ told.T - 2 * np.eye(len(told))
    found = alike.argmax(1) == np.arange(len(told)) ^ 1
    assert found.mean() >= 0.85  # two may be missed; by chance one of fourteen would be found
