"""Generators: training goes on where it was, seeds decide, and the numbers that say how good they are know right answers."""

from __future__ import annotations

import copy
import json
import threading
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="the extra «learned» is not installed")
pytest.importorskip("safetensors", reason="the extra «learned» is not installed")

import cv2
import imagecodecs
import torch
from PIL import Image
from torch.nn import functional

from compositor.cli.entry import run
from compositor.errors import OptionError
from compositor.images import open_photo, write_image
from compositor.images.animation import write_animation
from compositor.learned import Gan, Vae, train_gan, train_vae
from compositor.learned.batches import as_tensor, draw_batch, sheet
from compositor.learned.collection import Collection
from compositor.learned.gan import KIND as GAN
from compositor.learned.gan import GanShape, GanTraining, Generator, Judge
from compositor.learned.labelled import square
from compositor.learned.vae import KIND as VAE
from compositor.learned.vae import VaeTraining
from compositor.learned.vary import vary
from compositor.learned.weights import WeightsError, read_weights, write_weights
from compositor.options import GanOptions, VaeOptions

SMALL = {"iterations": 4, "report_every": 2, "batch": 4, "channels": 16, "threads": 1, "device": "cpu"}


@pytest.fixture(autouse=True)
def one_thread():
    from compositor.learned.device import torch_threads

    with torch_threads(1):
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two classes that a glance tells: pictures that brighten downward, and reddish ones with a square."""
    top = tmp_path_factory.mktemp("pictures")
    generator = np.random.default_rng(0)
    for name in ("slopes", "squares"):
        (top / name).mkdir()
        for k in range(12):
            pixels = np.full((40, 48, 3), generator.integers(30, 90), np.float64)
            if name == "slopes":
                pixels += np.linspace(0, 120, 40)[:, None, None]
            else:
                y, x = generator.integers(4, 20, 2)
                pixels[y : y + 14, x : x + 14] += (120, 20, 20)
            write_image(top / name / f"{k}.png", np.clip(pixels, 0, 255).astype(np.uint8))
    return top


@pytest.fixture(scope="module")
def trained(folder, tmp_path_factory):
    """Files of weights that have learned next to nothing."""
    place = tmp_path_factory.mktemp("weights")
    train_gan(folder, place / "gan.safetensors", **SMALL)
    train_vae(folder, place / "vae.safetensors", numbers=16, **SMALL)
    return place


def test_a_collection_knows_classes_and_parts(folder, tmp_path):
    learned, held_out = Collection.read(folder, 32)
    assert learned.classes == ("slopes", "squares")
    assert len(learned) + len(held_out) == 24
    assert not set(learned.paths) & set(held_out.paths)
    assert learned.pixels.shape[1:] == (32, 32, 3)
    for path, label in zip(learned.paths, learned.labels, strict=True):
        assert learned.classes[label] in path


def test_a_collection_takes_given_parts_and_names_what_is_broken(tmp_path):
    for part, count in (("train", 3), ("test", 2)):
        for name in ("a", "b"):
            (tmp_path / part / name).mkdir(parents=True)
            for k in range(count):
                grays = 10 * k + 3 * (part == "test") + 100 * (name == "b")
                write_image(tmp_path / part / name / f"{k}.png", np.full((20, 20, 3), grays, np.uint8))
    (tmp_path / "train" / "a" / "broken.png").write_bytes(b"no picture")
    learned, held_out = Collection.read(tmp_path, 32)
    assert (len(learned), len(held_out)) == (6, 4)
    assert [name for name, _ in learned.left_out] == ["train/a/broken.png"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(OptionError, match="no picture was"):
        Collection.read(tmp_path / "empty", 32)


def test_only_what_is_learned_is_a_class_and_nothing_is_also_measured_on(tmp_path):
    """A class of which all is broken, one that only the test has, and a picture that is in both."""
    for place, grays in (("train/a", (10, 20)), ("train/b", (30, 40)), ("test/a", (10, 50)), ("test/c", (60,))):
        (tmp_path / place).mkdir(parents=True)
        for gray in grays:
            write_image(tmp_path / place / f"{gray}.png", np.full((20, 20, 3), gray, np.uint8))
    (tmp_path / "train" / "eel").mkdir()
    (tmp_path / "train" / "eel" / "broken.png").write_bytes(b"no picture")
    learned, held_out = Collection.read(tmp_path, 32)
    assert learned.classes == held_out.classes == ("a", "b")
    assert [Path(path).name for path in held_out.paths] == ["50.png"]
    assert [name for name, _ in learned.left_out] == ["train/eel/broken.png", "test/a/10.png", "test/c/60.png"]


def test_pictures_are_read_in_srgb_and_as_large_as_is_needed(tmp_path):
    profile = imagecodecs.cms_profile("adobergb")
    noise = np.random.default_rng(1).integers(0, 256, (300, 3000, 3), np.uint8)
    write_image(tmp_path / "long.png", noise)
    write_image(tmp_path / "adobe.png", np.full((40, 40, 3), (60, 200, 60), np.uint8), metadata={"icc": profile})
    parts = Collection.read(tmp_path, 256)
    found = {Path(path).name: pixels for part in parts for path, pixels in zip(part.paths, part.pixels, strict=True)}
    sharp = square(noise, 256)
    assert found["long.png"].std() == pytest.approx(sharp.std(), rel=0.02)  # read small and enlarged it has a third of it
    # Adobe RGB's green is beyond sRGB's: there is no red in it there.
    assert found["adobe.png"][..., 0].max() < 40


def test_what_a_training_drew_among_the_pictures_changes_nothing(tmp_path):
    """The same classes and pictures are found again, so that the training may also go on."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for k in range(3):
            write_image(tmp_path / name / f"{k}.png", np.full((40, 40, 3), 20 * k + 9 * (name == "a"), np.uint8))
    before = Collection.read(tmp_path, 32)[0]
    train_gan(tmp_path, tmp_path / "gan.safetensors", **SMALL)
    after = Collection.read(tmp_path, 32)[0]
    assert (after.classes, after.digest) == (before.classes, before.digest) == (("a", "b"), before.digest)


@pytest.mark.parametrize(("train", "options"), [(train_gan, {}), (train_vae, {"numbers": 16})])
def test_stopped_training_goes_on_to_the_same_bytes(folder, tmp_path, train, options):
    whole, stopped = tmp_path / "whole.safetensors", tmp_path / "stopped.safetensors"
    train(folder, whole, **options, **SMALL)

    def stop(stage, done, total):
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(folder, stopped, progress=stop, **options, **SMALL)
    assert stopped.with_suffix(".checkpoint").exists()
    train(folder, stopped, **options, **SMALL)
    assert whole.read_bytes() == stopped.read_bytes()
    assert whole.with_suffix(".samples.png").read_bytes() == stopped.with_suffix(".samples.png").read_bytes()


def test_training_stopped_before_its_first_report_leaves_nothing(folder, tmp_path):
    """Nothing of it is in the way of another training of that name."""

    def stop(stage, done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_gan(folder, tmp_path / "gan.safetensors", progress=stop, **SMALL)
    assert not list(tmp_path.iterdir())


def test_seed_and_class_decide_what_is_made(trained):
    gan = Gan.load(trained / "gan.safetensors", device="cpu")
    first = gan.sample(4, seed=1)
    assert first.shape == (4, 32, 32, 3)
    np.testing.assert_array_equal(first, gan.sample(4, seed=1))
    assert (first != gan.sample(4, seed=2)).any()
    np.testing.assert_array_equal(gan.sample(2, seed=1)[1], gan.sample(2, seed=1, of="squares")[1])
    assert gan.walk(3, 2, of="slopes").shape == (6, 32, 32, 3)
    with pytest.raises(OptionError, match="slopes, squares"):
        gan.sample(1, of="ships")


@pytest.mark.parametrize("use", [Gan, Vae])
@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        (lambda maker: maker.sample(-1), "count=-1"),
        (lambda maker: maker.sample(0), "count=0"),
        (lambda maker: maker.sample(1.5), "count=1.5"),
        (lambda maker: maker.sample(1, seed=2**64), "seed="),
        (lambda maker: maker.sample(1, seed=-1), "seed=-1"),
        (lambda maker: maker.walk(0, 3), "stops=0"),
        (lambda maker: maker.walk(1, 3), "stops=1"),
        (lambda maker: maker.walk(2, 0), "steps=0"),
    ],
)
def test_numbers_out_of_range_are_named(trained, use, wrong, named):
    with pytest.raises(OptionError, match=named):
        wrong(use.load(trained / f"{use.__name__.lower()}.safetensors", device="cpu"))


def test_numbers_may_be_of_numpy(trained):
    gan = Gan.load(trained / "gan.safetensors", device="cpu")
    np.testing.assert_array_equal(gan.sample(np.int64(2), seed=np.int64(3)), gan.sample(2, seed=3))


@pytest.mark.parametrize("source", [["a/", "b/"], ("a/",), 5, None])
def test_what_is_no_folder_is_refused_before_anything_is_written(tmp_path, source):
    with pytest.raises(OptionError, match="gan learns from the path of one folder"):
        train_gan(source, tmp_path / "gan.safetensors", **SMALL)
    assert not list(tmp_path.iterdir())


def test_the_judge_is_asked_about_pictures_that_nobody_learned_from(folder):
    learned, held_out = Collection.read(folder, 32)
    training = GanTraining(GanOptions.of({"size": 32, "channels": 16}), "cpu", learned, held_out)
    assert training.told == 0.5  # what a judge that cannot tell comes to
    assert training.measure() == training.measure()
    seen = []

    class First(torch.nn.Module):
        """Finds what it is shown first better than what it is shown second."""

        def forward(self, pictures, labels):
            seen.append(pictures)
            return torch.full((len(pictures),), -float(len(seen)))

    training.judge = First()
    assert training.measure() == {"judge_is_right_unseen": 1.0}
    torch.testing.assert_close(seen[0].contiguous(), as_tensor(held_out.pixels, "cpu").contiguous())


def test_hidden_folders_are_no_classes(tmp_path):
    for name in ("a", "b", ".cache"):
        (tmp_path / name).mkdir()
        for k in range(2):
            write_image(tmp_path / name / f"{k}.png", np.full((40, 40, 3), 20 * k + 5 * len(name) + ord(name[-1]), np.uint8))
    learned, held_out = Collection.read(tmp_path, 32)
    assert (learned.classes, len(learned) + len(held_out)) == (("a", "b"), 4)


def test_no_more_pictures_are_read_at_a_time_than_threads_were_given(folder, monkeypatch):
    there, most, lock = [], [], threading.Lock()

    def read(path, *, short):
        with lock:
            there.append(path)
            most.append(len(there))
        time.sleep(0.002)  # long enough for others to begin
        with lock:
            there.remove(path)
        return np.zeros((40, 40, 3), np.uint8)

    monkeypatch.setattr("compositor.learned.collection.read_picture", read)
    Collection.read(folder, 32, threads=2)
    assert max(most) == 2


def test_an_autoencoder_learns_to_give_pictures_back(folder, tmp_path):
    record = train_vae(
        folder, tmp_path / "vae.safetensors", numbers=32, **{**SMALL, "iterations": 60, "report_every": 60, "batch": 12}, warming=1.0
    )
    lines = [json.loads(line) for line in (tmp_path / "vae.jsonl").read_text().splitlines()]
    # Pictures here differ in few numbers: a minute's learning more than halves the error.
    assert record["figures"]["reconstruction_db"] > lines[0]["reconstruction_db"] + 3
    vae = Vae.load(tmp_path / "vae.safetensors", device="cpu")
    pixels = Collection.read(folder, 32)[0].pixels[:3]
    assert vae.encode(pixels).shape == (3, 32)
    np.testing.assert_array_equal(vae.reconstruct(pixels), vae.decode(vae.encode(pixels)))
    between = vae.interpolate(pixels[0], pixels[1], steps=5)
    np.testing.assert_array_equal(between[[0, -1]], vae.reconstruct(pixels[:2]))
    with pytest.raises(OptionError, match="32, 32, 3"):
        vae.encode(pixels[:, :16])
    with pytest.raises(OptionError, match="no pictures of a class"):
        vae.sample(1, of="squares")


def test_an_autoencoder_is_fitted_to_more_pictures_than_it_looks_at_at_a_time(monkeypatch):
    pixels = np.random.default_rng(0).integers(0, 256, (300, 32, 32, 3), np.uint8)
    learned = Collection(pixels, np.zeros(300, np.int64), ("",), ("",) * 300, "")
    training = VaeTraining(VaeOptions.of({"size": 32, "numbers": 8, "channels": 16}), "cpu", learned, learned)
    there = []
    monkeypatch.setattr("compositor.learned.vae.as_tensor", lambda part, device: there.append(len(part)) or as_tensor(part, device))
    network = training.maker().network
    assert max(there) < 300
    with torch.no_grad():
        mean, variance = (told.double() for told in network.encode(as_tensor(pixels, "cpu")))
    covariance = torch.cov(mean.T) + torch.diag(variance.exp().mean(0))
    covariance = 0.95 * covariance + 0.05 * torch.diag(covariance.diagonal())
    # What is kept are float32.
    torch.testing.assert_close((network.root @ network.root.T).double(), covariance, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(network.middle.double(), mean.mean(0), rtol=1e-4, atol=1e-5)


def test_one_look_of_the_judge_gives_the_generator_its_own_slope(folder):
    """What the generator learns from is the slope of its loss, as if the judge had looked for it alone."""
    learned, held_out = Collection.read(folder, 32)
    training = GanTraining(GanOptions.of({"channels": 16, "seed": 3}), "cpu", learned, held_out)
    batch, again = (draw_batch(learned, 1, size=4, seed=0, device="cpu") for _ in range(2))
    numbers = torch.randn((4, training.shape.numbers), generator=again.draws)
    generator, judge = copy.deepcopy(training.generator), copy.deepcopy(training.judge)
    made, real = (vary(pictures, again.draws) for pictures in (generator(numbers, again.labels), again.pictures))
    functional.softplus(judge(real, again.labels) - judge(made, again.labels)).mean().backward()
    training.step(1, batch)
    for found, right in zip(training.generator.parameters(), generator.parameters(), strict=True):
        torch.testing.assert_close(found.grad, right.grad, rtol=1e-3, atol=1e-6)


def test_what_an_autoencoder_cannot_take_is_told(folder, tmp_path):
    train_vae(folder, tmp_path / "codes.safetensors", **{**SMALL, "iterations": 1})
    vae = Vae.load(tmp_path / "codes.safetensors", device="cpu")
    picture = np.zeros((32, 32, 3), np.uint8)
    for wrong in (
        lambda: vae.decode(np.zeros((2, 5))),
        lambda: vae.reconstruct([1]),
        lambda: vae.interpolate(picture, picture[:16]),
        lambda: vae.interpolate(picture, picture, steps=-1),
    ):
        with pytest.raises(OptionError, match="; give"):
            wrong()


def test_numbers_decide_a_picture_more_than_its_class_does():
    """At the beginning; where a class drowns them, all its pictures become one."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = Generator(GanShape(channels=16, classes=6))
    numbers = torch.randn((6, 1, 64), generator=torch.Generator().manual_seed(0)).expand(6, 6, 64)
    with torch.no_grad():
        made = network(numbers.reshape(36, 64), torch.arange(6).repeat(6)).reshape(6, 6, -1)
    assert made.var(0).mean() > 2 * made.var(1).mean()


@pytest.mark.parametrize(("size", "channels"), [(32, 33), (64, 24), (256, 16)])
def test_generator_and_judge_are_made_at_any_size(size, channels):
    shape = GanShape(size=size, channels=channels, classes=1)
    with torch.no_grad():
        made = Generator(shape)(torch.zeros(2, 64), torch.zeros(2, dtype=torch.int64))
        assert made.shape == (2, 3, size, size)
        assert Judge(shape)(made, torch.zeros(2, dtype=torch.int64)).shape == (2,)


def test_batches_depend_on_their_number_only(folder):
    learned, _ = Collection.read(folder, 32)
    one, again, other = (draw_batch(learned, number, size=5, seed=3, device="cpu") for number in (7, 7, 8))
    torch.testing.assert_close(one.pictures, again.pictures)
    assert (one.pictures != other.pictures).any()
    assert one.pictures.min() >= -1
    assert one.pictures.max() <= 1


def test_a_sheet_shows_every_picture():
    pixels = np.arange(5, dtype=np.uint8)[:, None, None, None] * np.ones((4, 4, 3), np.uint8)
    page = sheet(pixels, gap=1)
    assert page.shape == (9, 14, 3)
    assert [page[0, 0, 0], page[0, 5, 0], page[5, 0, 0], page[8, 13, 0]] == [0, 1, 3, 255]


def test_generate_writes_sheets_and_walks(trained, tmp_path, capsys):
    weights = str(trained / "gan.safetensors")
    assert run(["generate", "--weights", weights, "-o", str(tmp_path / "sheet.png"), "--count", "4", "--device", "cpu", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["pictures"] == 4
    assert open_photo(tmp_path / "sheet.png").size == (66, 66)
    weights = str(trained / "vae.safetensors")
    assert run(["generate", "--weights", weights, "-o", str(tmp_path / "walk.gif"), "--walk", "2", "--device", "cpu"]) == 0
    with Image.open(tmp_path / "walk.gif") as walk:
        assert walk.size == (32, 32)
        assert 2 <= walk.n_frames <= 24  # equal neighbours are one frame
    assert run(["generate", "--weights", weights, "-o", str(tmp_path / "walk.png"), "--walk", "2"]) == 2
    assert ".gif" in capsys.readouterr().err
    assert run(["generate", "--weights", weights, "-o", str(tmp_path / "sheet.mp4")]) == 2
    assert "--walk 6" in capsys.readouterr().err
    assert run(["generate", "--weights", weights, "-o", str(tmp_path / "other.gif"), "--walk", "2", "--count", "5"]) == 2
    assert "--count 5" in capsys.readouterr().err
    assert run(["generate", "--weights", str(tmp_path / "none"), "-o", str(tmp_path / "other.gif"), "--walk", "2"]) == 2


def test_a_walk_is_a_video_too(trained, tmp_path, capsys, monkeypatch):
    command = ["generate", "--weights", str(trained / "vae.safetensors"), "--walk", "2", "--device", "cpu", "-o"]
    assert run([*command, str(tmp_path / "walk.mp4")]) == 0
    assert video(tmp_path / "walk.mp4").shape == (24, 32, 32, 3)
    frames = np.zeros((5, 32, 48, 3), np.uint8)
    frames[:, :, :24] = 200, 60, 20
    frames[:, :, 24:, 2] = np.arange(20, 220, 40)[:, None, None]
    write_animation(tmp_path / "flat.mp4", frames, pause=100)
    # Colours pass through a conversion of 8 bits and a coarse one of brightness, and smear where they meet.
    assert np.median(np.abs(video(tmp_path / "flat.mp4").astype(int) - frames)) <= 4
    capsys.readouterr()
    monkeypatch.setattr("compositor.images.animation.CODEC", "none")
    assert run([*command, str(tmp_path / "other.mp4")]) == 2
    assert "cannot write MP4" in capsys.readouterr().err
    assert not (tmp_path / "other.mp4").exists()


def video(path) -> np.ndarray:
    """The frames of a video, (n, h, w, 3) uint8, RGB."""
    opened, frames = cv2.VideoCapture(str(path)), []
    while (frame := opened.read())[0]:
        frames.append(frame[1][..., ::-1])
    return np.stack(frames)


@pytest.mark.parametrize(("use", "name"), [(Gan, "gan"), (Vae, "vae")])
def test_a_record_of_another_shape_is_told_and_a_missing_device_is_not_blamed_on_it(trained, tmp_path, use, name):
    kind = {"gan": GAN, "vae": VAE}[name]
    tensors, record = read_weights(trained / f"{name}.safetensors", kind=kind)
    write_weights(tmp_path / "small.safetensors", tensors, {**record, "shape": {**record["shape"], "size": 4}})
    with pytest.raises(WeightsError, match="another network"):
        use.load(tmp_path / "small.safetensors", device="cpu")
    with pytest.raises(OptionError, match="is not there"):
        use.load(trained / f"{name}.safetensors", device="abacus")


def test_only_the_first_of_several_processes_tells(folder, tmp_path, monkeypatch, capsys):
    """The others have a record without the weights' SHA-256, for they write none."""
    record = {"photographs": {"": "2 pictures"}, "held_out": {"": "1 picture"}, "figures": {"loss": 1.0}}
    monkeypatch.setattr("compositor.learned.train_gan", lambda *_, **__: record)
    command = ["train", "gan", str(folder), "-o", str(tmp_path / "gan.safetensors")]
    assert run(command) == run([*command, "--json"]) == 0
    assert not capsys.readouterr().out
    record["sha256"] = "0"
    assert run(command) == 0
    assert "the weights are" in capsys.readouterr().out


def test_weights_of_one_kind_are_no_weights_of_another(trained):
    with pytest.raises(WeightsError, match="needed is a picture generator"):
        Gan.load(trained / "vae.safetensors")
