"""The one loop that everything is trained by: it goes on where it was, tells what happened, and works in several processes."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="the extra «learned» is not installed")
pytest.importorskip("safetensors", reason="the extra «learned» is not installed")

import torch
import trainings
from PIL import Image
from torch.distributed.run import get_args_parser

from compositor.cli.entry import run, stop
from compositor.cli.train import train as every_training
from compositor.errors import OptionError, OutputError
from compositor.images import open_photo, write_image
from compositor.learned.course import begin
from compositor.learned.curves import draw_curves
from compositor.learned.photographs import Photographs
from compositor.learned.vae import VaeTraining
from compositor.learned.weights import WeightsError, read_weights, write_weights
from compositor.options import ClassifierOptions


@pytest.fixture(autouse=True)
def one_thread():
    from compositor.learned.device import torch_threads

    with torch_threads(1):
        yield


def test_stopped_training_goes_on_to_the_same_bytes(tmp_path):
    whole, stopped = tmp_path / "whole.safetensors", tmp_path / "stopped.safetensors"
    trainings.fit_line(whole)
    with pytest.raises(KeyboardInterrupt):
        trainings.fit_line(stopped, stop_at=5)
    assert not stopped.exists()
    record = trainings.fit_line(stopped)
    assert record["figures"]["seen"] == 24
    assert whole.read_bytes() == stopped.read_bytes()
    assert whole.with_suffix(".jsonl").read_bytes() == stopped.with_suffix(".jsonl").read_bytes()


def test_training_stopped_while_its_files_are_written_writes_them_again(tmp_path, monkeypatch):
    """All was learned and some files are there: they are this training's own, and nobody has to allow that they are replaced."""
    whole, stopped = tmp_path / "whole.safetensors", tmp_path / "stopped.safetensors"
    trainings.fit_line(whole)

    def interrupt(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("compositor.learned.loop.card", interrupt)
        with pytest.raises(KeyboardInterrupt):
            trainings.fit_line(stopped)
    assert stopped.exists()
    assert not stopped.with_suffix(".md").exists()
    trainings.fit_line(stopped)
    assert whole.read_bytes() == stopped.read_bytes()
    assert stopped.with_suffix(".md").exists()
    assert not stopped.with_suffix(".checkpoint").exists()


def test_training_ends_when_the_learner_has_enough(tmp_path):
    """After the report at which it says so."""
    record = trainings.fit_line(tmp_path / "line.safetensors", enough=12)
    assert (record["figures"]["iteration"], record["figures"]["seen"]) == (4, 16)


def test_training_leaves_log_curves_and_card_beside_the_weights(tmp_path):
    path = tmp_path / "line.safetensors"
    record = trainings.fit_line(path)
    assert sorted(file.suffix for file in tmp_path.iterdir()) == [".jsonl", ".md", ".png", ".safetensors"]
    assert path.with_suffix(".curves.png").exists()
    lines = [json.loads(line) for line in path.with_suffix(".jsonl").read_text().splitlines()]
    assert [line["iteration"] for line in lines] == [0, 2, 4, 6]
    assert lines[-1] == record["figures"] == read_weights(path, kind="a line")[1]["figures"]
    np.testing.assert_array_equal(open_photo(path.with_suffix(".curves.png")).full().pixels, draw_curves(lines))
    assert record["sha256"] in path.with_suffix(".md").read_text()
    with pytest.raises(OutputError, match="exists"):
        trainings.fit_line(path)


def test_no_picture_that_is_learned_from_is_written_over(tmp_path):
    """Neither one of the weights' name nor one that is called like the curves."""
    write_image(tmp_path / "line.png", np.zeros((4, 4, 3), np.uint8))
    before = (tmp_path / "line.png").read_bytes()
    trainings.fit_line(tmp_path / "line.safetensors", inputs=[tmp_path], overwrite=True)
    assert (tmp_path / "line.png").read_bytes() == before
    (tmp_path / "other.curves.png").write_bytes(before)
    with pytest.raises(OutputError, match=r"other.curves.png is an input too"):
        trainings.fit_line(tmp_path / "other.safetensors", inputs=[tmp_path], overwrite=True)


def test_stopped_training_lifts_the_guard_of_its_own_files_only(tmp_path):
    path = tmp_path / "line.safetensors"
    with pytest.raises(KeyboardInterrupt):
        trainings.fit_line(path, stop_at=5)
    path.with_suffix(".md").write_text("notes")
    with pytest.raises(OutputError, match=r"line.md: exists"):
        trainings.fit_line(path)
    assert path.with_suffix(".md").read_text() == "notes"


def test_options_of_trainings_are_none_that_torchrun_takes_for_its_own():
    """It takes what is the beginning of an option of its own, also behind the module's name."""
    theirs = [name.replace("_", "-") for name in get_args_parser()._option_string_actions]
    ours = [name for command in every_training.commands.values() for one in command.params for name in one.opts if name.startswith("--")]
    assert not [name for name in ours if any(other.startswith(name) for other in theirs)]


def test_several_processes_that_cannot_meet_are_told(monkeypatch, tmp_path):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.delenv("RANK", raising=False)
    with pytest.raises(OptionError, match=r"WORLD_SIZE is 2, but RANK.* not set; start with torchrun"):
        trainings.fit_line(tmp_path / "line.safetensors")


def test_what_a_training_drew_is_no_photograph(tmp_path):
    for name in ("a.png", "b.gif", "c.samples.png", "line.samples.png", "line.samples.000500.png"):
        pixels = np.random.default_rng(len(name)).integers(0, 256, (20, 20, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / name)
    trainings.fit_line(tmp_path / "line.safetensors")
    learned, held_out = Photographs.read([tmp_path])
    assert sorted(photo.name for part in (learned, held_out) for photo in part.photographs) == ["a.png", "b.gif", "c.samples.png"]


def test_checkpoint_of_other_options_is_refused(tmp_path):
    path = tmp_path / "line.safetensors"
    with pytest.raises(KeyboardInterrupt):
        trainings.fit_line(path, stop_at=5)
    with pytest.raises(WeightsError, match="seed was 0, now is 1"):
        trainings.fit_line(path, seed=1)


def test_where_an_encoder_lies_is_not_told(tmp_path):
    options, nobody = ClassifierOptions.of({"encoder": str(tmp_path / "encoder.safetensors"), "device": "cpu"}), Photographs([])
    with begin(tmp_path / "line.safetensors", options, overwrite=False) as course:
        assert str(tmp_path) not in json.dumps(course.asked(nobody, nobody))


def test_two_processes_learn_what_one_learns_of_twice_the_batch(tmp_path):
    single, double = tmp_path / "single.safetensors", tmp_path / "double.safetensors"
    trainings.fit_line(single, batch=4)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1]), "WORLD_SIZE": "2", "OMP_NUM_THREADS": "1"}
    # As torchrun starts them, but for its own process.
    paths = os.pathsep.join([str(Path(trainings.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    settings = [{**os.environ, **meeting, "PYTHONPATH": paths, "RANK": rank, "LOCAL_RANK": rank} for rank in "01"]
    command = [sys.executable, trainings.__file__, str(double), "2"]
    assert [process.wait() for process in [subprocess.Popen(command, env=setting) for setting in settings]] == [0, 0]
    (one, _), (two, record) = (read_weights(path, kind="a line") for path in (single, double))
    for name in one:
        # The same gradients, summed in another order.
        torch.testing.assert_close(one[name], two[name], rtol=1e-5, atol=1e-6)
    assert record["processes"] == 2


def test_curves_show_a_plot_for_every_figure():
    rising = [{"iteration": step, "rises": step, "falls": -step, "nothing": None, "once": float("nan")} for step in range(5)]
    picture = draw_curves(rising)
    one = draw_curves([{name: line[name] for name in ("iteration", "rises")} for line in rising])
    assert picture.shape == one.shape  # two plots fit in a row, and nothing is drawn of what is no number
    np.testing.assert_array_equal(picture[:, : one.shape[1] // 3], one[:, : one.shape[1] // 3])
    assert (picture != one).any()


def test_broken_pictures_are_left_out_by_name(tmp_path):
    for number in range(4):
        write_image(tmp_path / f"{number}.png", np.random.default_rng(number).integers(0, 256, (40 + number, 60, 3), np.uint8))
    (tmp_path / "text.jpg").write_text("no picture")
    (tmp_path / "half.png").write_bytes((tmp_path / "0.png").read_bytes()[:2000])
    learned, held_out = Photographs.read([tmp_path])
    assert sorted(photo.name for part in (learned, held_out) for photo in part.photographs) == [f"{number}.png" for number in range(4)]
    assert sorted(name for name, _ in learned.left_out) == ["half.png", "text.jpg"]
    with pytest.raises(OptionError, match=r"text\.jpg"):
        Photographs.read([tmp_path / "text.jpg", tmp_path / "0.png"])


def test_more_is_read_of_weights_than_of_records(tmp_path):
    """The checkpoint of a generator of large pictures has more than 64 MiB, which is enough for what is no network."""
    path = tmp_path / "large.safetensors"
    write_weights(path, {"numbers": torch.zeros(17 * 2**20)}, {"kind": "zeros"})
    assert read_weights(path, kind="zeros")[0]["numbers"].numel() == 17 * 2**20


@pytest.fixture
def pictures(tmp_path):
    """A folder of small pictures."""
    folder = tmp_path / "some pictures"
    folder.mkdir()
    for seed in range(6):
        write_image(folder / f"{seed}.png", np.random.default_rng(seed).integers(0, 256, (32, 32, 3), np.uint8))
    return folder


@pytest.fixture
def train(pictures, tmp_path, capfd):
    """Trains a generator for a few steps at the shell; gives exit code, stdout, the lines on stderr and what was typed."""

    def call(*more, iterations=12, report_every=6):
        small = ["--batch", "2", "--channels", "16", "--numbers", "8", "--threads", "1", "--device", "cpu"]
        times = ["--iterations", str(iterations), "--report-every", str(report_every)]
        arguments = ["train", "vae", str(pictures), "-o", str(tmp_path / "codes.safetensors"), *small, *times, *more]
        capfd.readouterr()
        code = run(arguments)
        out, err = capfd.readouterr()
        return code, out, err.splitlines(), shlex.join(["compositor", *arguments])

    return call


def test_off_a_terminal_lines_tell_how_far_a_training_has_come(train):
    """Twelve steps have eleven milestones: the first step and every tenth of the work, which is the last step of all too."""
    code, out, err, _ = train("--json")
    assert code == 0
    assert json.loads(out)["command"] == "train vae"
    assert [int(line.split()[1]) for line in err] == [1, 2, 3, 4, 5, 6, 8, 9, 10, 11, 12]
    assert all(re.fullmatch(r"step \d+ of 12, \d+ (s|min) left: error: [\d.e+-]+; .+", line) for line in err)
    assert err[-1].startswith("step 12 of 12, 0 s left")
    assert train("--quiet", "--overwrite")[2] == []


def stop_at(monkeypatch, step):
    """Interrupts a training as Ctrl-C does, before it learns from a batch."""
    teach = VaeTraining.step

    def interrupted(self, iteration, batch):
        if iteration == step:
            os.kill(os.getpid(), signal.SIGINT)
        return teach(self, iteration, batch)

    monkeypatch.setattr(VaeTraining, "step", interrupted)


@pytest.mark.skipif(sys.platform == "win32", reason="no process sends itself SIGINT there")
def test_a_stopped_training_says_what_is_saved_and_goes_on_aloud(train, tmp_path, monkeypatch):
    before = signal.signal(signal.SIGINT, stop)
    try:
        with monkeypatch.context() as patch:
            stop_at(patch, 4)
            code, _, err, _ = train("--quiet")
            assert (code, err) == (
                130,
                ["compositor: error: stopped by SIGINT; nothing is saved yet, the first checkpoint comes at step 6"],
            )
        with monkeypatch.context() as patch:
            stop_at(patch, 9)
            code, out, err, typed = train("--json")
    finally:
        signal.signal(signal.SIGINT, before)
    said = f"stopped by SIGINT; saved up to step 6 of 12, from where this goes on: {typed}"
    assert (code, err[-1], json.loads(out)["error"]) == (130, f"compositor: error: {said}", said)
    assert f"'{tmp_path / 'some pictures'}'" in said
    code, _, err, _ = train("--json")
    assert (code, err[0]) == (0, f"goes on from {tmp_path / 'codes.checkpoint'}, step 6 of 12")
    assert err[1].startswith("step 7 of 12, ")
