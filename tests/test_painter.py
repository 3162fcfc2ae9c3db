"""A painter that learns a style once and paints in one pass; needs PyTorch."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

import compositor
from compositor.cli.entry import run
from compositor.images import write_image

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors", reason="the extra «learned» is not installed")

from compositor.learned import TrainedPainter, train_painter  # noqa: E402
from compositor.learned.device import torch_threads  # noqa: E402
from compositor.learned.strokes import STRIDE, StrokeNetwork, StrokeShape  # noqa: E402
from compositor.learned.weights import WeightsError, read_weights, write_weights  # noqa: E402

TINY = {"iterations": 3, "report_every": 1, "batch": 2, "size": 64, "channels": 4, "measured": 2, "threads": 1, "device": "cpu"}


@pytest.fixture(autouse=True, scope="module")
def quick():
    """Compare few places, on one thread."""
    with pytest.MonkeyPatch.context() as patch, torch_threads(1):
        patch.setattr("compositor.learned.painting.SAMPLES", 200)
        patch.setattr("compositor.learned.likeness.SORTED", 8000)
        yield


@pytest.fixture(scope="module")
def painter():
    """A painter with random weights: it changes everything, which one that learned a little might not."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = StrokeNetwork(StrokeShape(channels=4))
        for weights in network.parameters():
            torch.nn.init.normal_(weights, std=0.2)
        network.palette.copy_(torch.randint(256, network.palette.shape, dtype=torch.uint8))
    return TrainedPainter(network)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Photos, and a style: a picture and a file that is none."""
    top = tmp_path_factory.mktemp("pictures")
    for name, count in (("photos", 3), ("style", 1)):
        (top / name).mkdir()
        for seed in range(count):
            pixels = np.random.default_rng([count, seed]).integers(0, 256, (12, 15, 3), np.uint8)
            write_image(top / name / f"{seed}.png", cv2.resize(pixels, (150, 120), interpolation=cv2.INTER_CUBIC))
    (top / "style" / "broken.png").write_bytes(b"nothing")
    return top


@pytest.fixture(scope="module")
def trained(folders, tmp_path_factory):
    """Weights of a short training, and its record."""
    path = tmp_path_factory.mktemp("weights") / "whole.safetensors"
    return path, train_painter([folders / "photos"], path, style=folders / "style", **TINY)


def picture(generator, height, width):
    return cv2.resize(generator.random((height // 4, width // 4, 3), dtype=np.float32), (width, height))


def paint(painter, content, style=None, **options):
    given = painter.palette if style is None else style
    return compositor.style(content, given, method="paint", paint=painter, device="cpu", **options)


def test_training_goes_on_to_the_same_bytes_and_names_what_is_broken(folders, trained, tmp_path):
    (whole, record), stopped, style = trained, tmp_path / "stopped.safetensors", folders / "style"
    assert [name for name, _ in record["left_out"]] == ["broken.png"]
    assert list(record["styles"].values()) == ["0.png"]
    assert {"style_distance", "lines_kept"} <= set(record["figures"])

    def stop(stage, done, total):
        if stage == "train" and done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_painter([folders / "photos"], stopped, style=style, progress=stop, **TINY)
    train_painter([folders / "photos"], stopped, style=style, **TINY)
    assert whole.read_bytes() == stopped.read_bytes()
    assert "Paints in the style of" in whole.with_suffix(".md").read_text()
    shown = [whole.with_suffix(ending).read_bytes() for ending in (".samples.png", ".samples.000003.png")]
    assert shown[0] == shown[1]
    old = stopped.with_name("stopped.samples.000700.png")
    old.write_bytes(shown[0])
    train_painter([folders / "photos"], stopped, style=style, overwrite=True, **TINY)
    assert not old.exists()
    card = whole.with_suffix(".md").read_text()
    assert "The last step was 3, its losses: loss " in card
    assert "| iteration" not in card
    assert {path.name for path in whole.parent.glob("whole.samples.*.png")} == {f"whole.samples.{step:06d}.png" for step in (1, 2, 3)}
    painted = paint(TrainedPainter.load(whole), np.zeros((30, 40, 3), np.uint8))
    assert painted.pixels.shape == (30, 40, 3)


def test_learning_brings_pictures_nearer_to_the_style(folders, tmp_path):
    """From smooth photos to stripes of colourful grain. So short a training comes to 0.7 to 1.0 of the distance, depending on its seed."""
    for seed in range(2):
        pixels = np.random.default_rng(seed).integers(0, 256, (12, 15, 3), np.uint8)
        write_image(tmp_path / f"{seed}.png", cv2.resize(pixels, (150, 120), interpolation=cv2.INTER_CUBIC))
    rows = np.arange(120)[:, None, None] // 8 % 2 * 160 + 40
    style = rows + np.random.default_rng(9).integers(-30, 31, (120, 120, 3))
    write_image(tmp_path / "style.png", style.astype(np.uint8))
    options = {**TINY, "iterations": 100, "report_every": 100, "measured": 4, "rate": 0.003, "channels": 8, "detail": 0.0}
    record = train_painter([tmp_path / "0.png", tmp_path / "1.png"], tmp_path / "p.safetensors", style=tmp_path / "style.png", **options)
    assert record["figures"]["style_distance"] < 0.9


def test_a_style_is_needed(folders, tmp_path):
    for style, message in (("", "style= is missing"), (folders / "style" / "broken.png", "no picture of a style could be read")):
        with pytest.raises(compositor.OptionError, match=message):
            train_painter([folders / "photos"], tmp_path / "painter.safetensors", style=style, **TINY)


def test_an_untrained_network_changes_nothing(generator):
    content = torch.from_numpy(generator.random((1, 3, 40, 48), dtype=np.float32))
    torch.testing.assert_close(StrokeNetwork()(content), content, atol=0, rtol=0)


def test_a_pixel_depends_on_nothing_beyond_its_reach(painter, generator):
    network, near = painter.network, painter.network.reach
    content = torch.from_numpy(generator.random((1, 3, 16, 2 * near + 64), dtype=np.float32))
    changed = content.clone()
    changed[..., : near // 2 + 1] = 0
    difference = (network(changed) - network(content)).abs().amax((0, 1, 2))
    assert difference[: near // 2].min() > 0
    assert difference[near // 2 + 1 + near :].max() == 0
    assert near % STRIDE == 0


@pytest.mark.parametrize("shape", [(203, 301), (150, 140)])
def test_tiles_and_threads_do_not_show(painter, generator, monkeypatch, shape):
    """Sums of a convolution may be taken in another order where a tile has another size: a hundredth of an 8-bit level."""
    content = picture(generator, *shape)
    whole = paint(painter, content).pixels
    monkeypatch.setattr("compositor.learned.painter.TILE", 64)
    tiled = [paint(painter, content, threads=threads).pixels for threads in (1, 2)]
    np.testing.assert_array_equal(*tiled)
    np.testing.assert_allclose(tiled[0], whole, atol=4e-5)
    assert np.abs(whole - content).mean() > 0.05


@pytest.mark.parametrize("shape", [(16, 16), (17, 70), (63, 130)])
def test_any_size_is_painted_within_bounds(painter, generator, shape):
    made = paint(painter, generator.random((*shape, 3), dtype=np.float32)).pixels
    assert made.shape == (*shape, 3)
    assert made.min() >= 0
    assert made.max() <= 1


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_depth_and_what_is_transparent_stay_and_the_mask_decides_where(painter, generator, dtype):
    white = 1 if dtype == np.float32 else np.iinfo(dtype).max
    content = (picture(generator, 40, 60) * white).astype(dtype)
    alpha = np.full((40, 60, 1), white, dtype)
    alpha[:10] = 0
    mask = np.zeros((40, 60), bool)
    mask[:, 30:] = True
    made = paint(painter, np.dstack([content, alpha]), mask=mask)
    assert made.pixels.dtype == dtype
    np.testing.assert_array_equal(made.mask, alpha[..., 0] > 0)
    np.testing.assert_array_equal(made.pixels[10:, :30], content[10:, :30])
    assert (made.pixels[10:, 30:] != content[10:, 30:]).mean() > 0.9


def test_another_style_gives_other_colours(painter, generator):
    content, red = picture(generator, 40, 60), np.full((16, 16, 3), (0.9, 0.1, 0.1), np.float32)
    own, other = (paint(painter, content, style).pixels for style in (None, red))
    assert np.abs(own - other).mean() > 0.05


def test_command_paints_with_weights(folders, trained, tmp_path, capsys):
    (weights, _), content = trained, folders / "photos" / "0.png"
    asked = ["style", str(content), "--weights", str(weights), "--device", "cpu"]
    assert run([*asked, "-o", str(tmp_path / "out.png")]) == 0
    made = paint(TrainedPainter.load(weights), content).pixels
    np.testing.assert_array_equal(cv2.imread(str(tmp_path / "out.png"))[..., ::-1], made)
    capsys.readouterr()
    for more, message in (
        (["--brush", "2"], "--brush 2.0: a painter has learned it"),
        (["--method", "photo"], "--weights paints, --method photo does not"),
        (["--weights", str(content)], "0.png: is no file of weights"),
    ):
        assert run([*asked, *more, "-o", str(tmp_path / "other.png")]) != 0
        told = capsys.readouterr().err.strip()
        assert message in told
        assert "Traceback" not in told
    assert run(["style", str(content), "-o", str(tmp_path / "other.png")]) == 2
    assert not (tmp_path / "other.png").exists()


def test_weights_of_something_else_are_told_in_one_line(trained, tmp_path):
    tensors, record = read_weights(trained[0], kind="a painter")
    other = tmp_path / "other.safetensors"
    for told, message in (({"kind": "an encoder"}, "needed is a painter"), ({"shape": {"channels": 8}}, "fits another network")):
        write_weights(other, tensors, {**record, **told}, overwrite=True)
        with pytest.raises(WeightsError, match=message) as raised:
            TrainedPainter.load(other)
        assert "\n" not in str(raised.value)
