"""The harmonizer of pasted objects: what it may never do, whatever its weights are, and that what ships helps."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

pytest.importorskip("torch", reason="the extra «learned» is not installed")
pytest.importorskip("safetensors", reason="the extra «learned» is not installed")

import torch

import compositor
from compositor.cli.entry import run
from compositor.errors import OptionError
from compositor.images import write_image
from compositor.learned import Harmonizer, train_harmonizer
from compositor.learned.clues import gather_clues
from compositor.learned.flaws import Flaws
from compositor.learned.harmony import HarmonyNetwork
from compositor.learned.objects import draw_objects
from compositor.learned.photographs import Photograph, Photographs
from compositor.learned.tones import apply_tone, recolour
from compositor.learned.weights import WeightsError

SMALL = {"iterations": 4, "report_every": 2, "crops": 2, "things": 3, "measured": 1, "batch": 4, "device": "cpu", "threads": 2}


@pytest.fixture(autouse=True)
def one_thread():
    from compositor.learned.device import torch_threads

    with torch_threads(1):
        yield


def picture(seed: int, size: int = 200) -> np.ndarray:
    """Smooth areas, edges and detail in natural colours, (size, size, 3) uint8."""
    noise = np.random.default_rng(seed)
    smooth = cv2.GaussianBlur(noise.random((size, size, 1), np.float32), (0, 0), 14)[..., None] + 0.3 * cv2.GaussianBlur(
        noise.random((size, size, 3), np.float32), (0, 0), 10
    )
    edges = cv2.GaussianBlur(noise.random((size, size), np.float32), (0, 0), 5) > 0.5
    made = 0.45 + 4 * (smooth - smooth.mean()) + 0.2 * (edges[..., None] - 0.5) + 0.05 * noise.standard_normal((size, size, 1))
    return np.clip(made * 255, 0, 255).astype(np.uint8)


def composite(seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """A picture and the shares of something in it."""
    y, x = np.indices((200, 200))
    mask = ((x - 90) / 50.0) ** 2 + ((y - 110) / 35.0) ** 2 < 1
    return picture(seed).astype(np.float32) / 255, cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 0.7)


def random_network(seed: int, strength: float = 1.0) -> HarmonyNetwork:
    torch.manual_seed(seed)
    network = HarmonyNetwork()
    torch.nn.init.normal_(network.out.weight, std=strength)
    torch.nn.init.normal_(network.out.bias, std=strength)
    return network


def decibels(pixels, truth, alpha) -> float:
    return float(-10 * np.log10(((pixels - truth)[alpha > 0.5] ** 2).mean() + 1e-12))


def test_untrained_network_changes_nothing():
    pixels, alpha = composite()
    np.testing.assert_array_equal(Harmonizer(HarmonyNetwork(), device="cpu")(pixels, alpha), pixels)


@pytest.mark.parametrize("seed", range(4))
def test_background_never_changes_and_the_object_by_the_limit_at_most(seed):
    """Whatever the weights are; so what was right keeps 28 dB."""
    pixels, alpha = composite()
    harmonize = Harmonizer(random_network(seed), device="cpu")
    made = harmonize(pixels, alpha)
    np.testing.assert_array_equal(made[alpha == 0], pixels[alpha == 0])
    assert np.isfinite(made).all()
    assert (made >= 0).all()
    assert (made <= 1 + 1e-6).all()
    assert 0 < np.sqrt(((made - pixels)[alpha > 0.5] ** 2).mean()) * 255 <= 10 + 1e-3
    assert decibels(np.round(made * 255) / 255, pixels, alpha) > 28
    assert harmonize.report["change"] <= 10 + 1e-3
    milder = Harmonizer(random_network(seed), device="cpu", limit=3)(pixels, alpha)
    assert np.sqrt(((milder - pixels)[alpha > 0.5] ** 2).mean()) * 255 <= 3 + 1e-3
    np.testing.assert_array_equal(Harmonizer(random_network(seed), device="cpu", strength=0)(pixels, alpha), pixels)
    np.testing.assert_array_equal(harmonize(pixels, alpha), made)  # nothing is drawn


def test_a_flat_object_keeps_28_db_after_rounding():
    """There rounding errs in one direction everywhere."""
    pixels, alpha = composite()
    for seed in range(4):
        flat = np.where((alpha > 0)[..., None], np.float32(100 / 255), pixels)
        made = Harmonizer(random_network(seed), device="cpu")(flat, alpha)
        assert decibels(np.round(made * 255) / 255, flat, alpha) > 28


@pytest.mark.parametrize("alpha", [np.zeros((40, 40), np.float32), np.ones((40, 40), np.float32)])
def test_nothing_to_compare_is_left_alone(alpha):
    pixels = picture(3, 40).astype(np.float32) / 255
    harmonize = Harmonizer(random_network(0), device="cpu")
    np.testing.assert_array_equal(harmonize(pixels, alpha), pixels)
    assert harmonize.report == {}


def test_tiny_objects_and_pictures_are_no_trouble():
    harmonize = Harmonizer(random_network(1), device="cpu")
    pixels = picture(4, 12).astype(np.float32) / 255
    for size in (1, 2, 5):
        alpha = np.zeros((12, 12), np.float32)
        alpha[6 : 6 + size, 5 : 5 + size] = 1
        made = harmonize(pixels, alpha)
        assert np.isfinite(made).all()
        np.testing.assert_array_equal(made[alpha == 0], pixels[alpha == 0])


def test_background_below_an_object_is_not_looked_at():
    """Where the object lies, nobody knows what was there: clues are the object's colours and those outside it."""
    pixels, alpha = composite()
    painted = np.where((alpha > 0.5)[..., None], np.float32(0.5), pixels)
    (clues,) = gather_clues(painted, alpha, np.random.default_rng(0))
    np.testing.assert_allclose(clues.object, 0.5)
    np.testing.assert_allclose(clues.pairs[clues.pair_weights > 0][:, :2], 0.5, atol=1e-5)
    assert np.abs(clues.near - 0.5).max() > 0.1


def test_correction_undoes_what_it_can_name():
    """Exposure and white balance on linear light are factors on what encodes them with an exponent."""
    colours = torch.rand(1, 500, 3) * 0.6 + 0.1
    gain = np.array([1.3, 1.0, 0.8], np.float32)
    flaws = Flaws(gain, np.zeros(3, np.float32), 1.0, 1.0, 0.0, 0.0, 0.0, 0, 0.0)
    changed = recolour(colours, torch.zeros(1, 500, 2), [flaws])
    tone = torch.zeros(1, 6)
    tone[0, :3] = -torch.log(torch.from_numpy(gain)) / 2.2
    torch.testing.assert_close(apply_tone(tone, changed), colours, atol=1e-5, rtol=0)


def test_objects_are_found_by_seed_and_cover_what_they_should():
    photo = picture(5, 256)
    first, second = (draw_objects(photo, 12, np.random.default_rng(3)) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    shares = [mask.mean() for mask in first]
    assert min(shares) >= 0.02
    assert max(shares) <= 0.4
    assert max(shares) > 2 * min(shares)


def test_shipped_weights_see_through_another_light():
    """Of things they never saw; a share of them, for most of what could tell is not in one picture."""
    harmonize = Harmonizer.load(device="cpu")
    crops = Photographs([Photograph("a", "a", picture(7, 256))])
    generator, gains = np.random.default_rng(0), []
    for number in range(6):
        truth = crops.crop(generator, 200).astype(np.float32) / 255
        _, alpha = composite()
        flaws = [Flaws.draw(np.random.default_rng(number))]
        flawed = recolour(torch.from_numpy(truth.reshape(1, -1, 3)), torch.zeros(1, 200 * 200, 2), flaws).numpy().reshape(truth.shape)
        worse = truth + alpha[..., None] * (flawed - truth)
        gains.append(decibels(harmonize(worse, alpha), truth, alpha) - decibels(worse, truth, alpha))
        assert decibels(harmonize(truth, alpha), truth, alpha) > 28
    # The issue asks for 1.5 dB over many photos; the borders here cut through smooth areas, which makes it easier.
    assert np.mean(gains) > 1.5


def test_training_resumes_to_the_same_bytes(tmp_path, monkeypatch):
    folder = tmp_path / "photos"
    folder.mkdir()
    for seed in range(4):
        write_image(folder / f"{seed}.png", picture(seed, 160))
    whole, stopped = tmp_path / "whole.safetensors", tmp_path / "stopped.safetensors"
    record = train_harmonizer([folder], whole, **SMALL)
    assert {"gain_db", "clean_db", "clean_worst_db"} <= set(record["figures"])

    class StopError(Exception):
        pass

    def stop(stage: str, done: int, total: int) -> None:
        if stage == "train" and done == 3:
            raise StopError

    with pytest.raises(StopError):
        train_harmonizer([folder], stopped, progress=stop, **SMALL)
    assert stopped.with_suffix(".checkpoint").exists()
    train_harmonizer([folder], stopped, **SMALL)
    assert whole.read_bytes() == stopped.read_bytes()
    pixels, alpha = composite()
    assert Harmonizer.load(whole, device="cpu")(pixels, alpha).shape == pixels.shape
    with pytest.raises(WeightsError):
        compositor.learned.Refiner.load(whole)


def test_wrong_options_are_told():
    with pytest.raises(OptionError, match="strength=2"):
        Harmonizer(HarmonyNetwork(), strength=2)
    with pytest.raises(OptionError, match="limit=-1"):
        Harmonizer(HarmonyNetwork(), limit=-1)
    with pytest.raises(OptionError, match="do not fit"):
        Harmonizer(HarmonyNetwork(), device="cpu")(np.zeros((4, 4, 3), np.float32), np.zeros((4, 5), np.float32))


def test_command_harmonizes(tmp_path, capsys):
    pixels, alpha = composite()
    darker = np.round(pixels * 0.7 * 255).astype(np.uint8)
    for name, content in (("b.png", picture(1)), ("o.png", darker), ("m.png", np.round(alpha * 255).astype(np.uint8))):
        write_image(tmp_path / name, content)
    arguments = ["paste", *(str(tmp_path / name) for name in ("b.png", "o.png")), "--mask", str(tmp_path / "m.png"), "--json"]
    assert run([*arguments, "-o", str(tmp_path / "out.png"), "--harmonize", "--device", "cpu"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["tone"]["stops"] > 0
    assert told["tone"]["change"] <= 10.01
