"""Killed by the system where it stands, every training goes on to the weights it would have made."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
import time

import numpy as np
import pytest

pytest.importorskip("torch", reason="the extra «learned» is not installed")
pytest.importorskip("safetensors", reason="the extra «learned» is not installed")

import torch
from safetensors.torch import load_file

from compositor.cli.entry import run
from compositor.cli.train import train as trainings
from compositor.images import write_image
from compositor.learned.figures import WORDS

TRAININGS = {
    "encoder": ["--pairs", "2", "--size", "32", "--measured", "2"],
    "classifier": ["--batch", "2", "--size", "32", "--begin", "scratch"],
    "gan": ["--batch", "2", "--channels", "16"],
    "vae": ["--batch", "2", "--channels", "16", "--numbers", "8"],
    "painter": ["--batch", "1", "--size", "64", "--channels", "4", "--measured", "1", "--style", "{folder}/a"],
    "refiner": ["--scenes", "1", "--tiles", "1", "--measured", "1"],
    "harmonizer": ["--crops", "1", "--things", "2", "--measured", "1", "--batch", "2"],
}
OTHERWISE = {
    "encoder, squares anywhere": [*TRAININGS["encoder"], "--squares", "anywhere", "--precision", "bfloat16"],
    "classifier, begun with an encoder": ["--batch", "2", "--size", "32", "--patience", "1"],
    "gan, sixteen bits": [*TRAININGS["gan"], "--precision", "bfloat16"],
}
"""Other options of them, under which they are killed, too."""
SHORT = ["--iterations", "3", "--report-every", "1", "--threads", "1", "--device", "cpu", "--quiet"]


@pytest.fixture(scope="module")
def processes():
    """Processes that begin with PyTorch imported, as copies of one that did nothing else."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["compositor.learned.train", "compositor.cli.entry", "torch._dynamo"])
    return context


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two classes of pictures."""
    top = tmp_path_factory.mktemp("pictures")
    for seed in range(6):
        (top / "ab"[seed % 2]).mkdir(exist_ok=True)
        pixels = np.kron(np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8), np.ones((32, 32, 1), np.uint8))
        write_image(top / "ab"[seed % 2] / f"{seed}.png", pixels)
    return top


def train(arguments: list[str], files: int = 0) -> None:
    """Run a training; be killed when so many files were written to the disk, and the last one has not got its name yet."""
    written, fsync = [], os.fsync

    def kill(descriptor: int) -> None:
        fsync(descriptor)
        written.append(descriptor)
        if len(written) == files:
            os.kill(os.getpid(), signal.SIGKILL)

    os.fsync = kill
    os._exit(run(arguments))


@pytest.mark.parametrize("name", trainings.commands)
def test_every_training_computes_in_sixteen_bits_what_is_costly(name, folder, tmp_path):
    """Weights are other ones, but nearly the same: the losses of the second step are off by a few parts in a thousand."""
    losses, tensors = {}, {}
    for precision in ("float32", "bfloat16"):
        weights = tmp_path / f"{precision}.safetensors"
        options = [word.format(folder=folder) for word in TRAININGS[name]]
        assert run(["train", name, str(folder), *options, *SHORT, "--iterations", "2", "--precision", precision, "-o", str(weights)]) == 0
        losses[precision] = {
            key: value
            for key, value in json.loads(weights.with_suffix(".jsonl").read_text().splitlines()[-1]).items()
            if key in ("loss", "local", "tone", "generator", "judge", "error", "loss_db")
        }
        tensors[precision] = load_file(weights)
        assert torch.bfloat16 not in {tensor.dtype for tensor in tensors[precision].values()}
    assert losses["float32"]
    assert losses["bfloat16"] == pytest.approx(losses["float32"], rel=0.05)
    assert any(not torch.equal(tensor, tensors["bfloat16"][key]) for key, tensor in tensors["float32"].items())


@pytest.mark.parametrize("name", [*trainings.commands, *OTHERWISE])
def test_a_killed_training_goes_on_to_the_same_bytes(name, folder, tmp_path, processes):
    """Killed in the middle of a checkpoint or just behind one, then at some moment; every training that there is, also one that is new."""
    whole, killed = tmp_path / "whole.safetensors", tmp_path / "killed.safetensors"
    options = [word.format(folder=folder) for word in {**TRAININGS, **OTHERWISE}[name]]
    command = ["train", name.split(",")[0], str(folder), *options, *SHORT, "-o"]
    first = processes.Process(target=train, args=([*command, str(killed)], 5))
    first.start()
    began = time.monotonic()
    assert run([*command, str(whole)]) == 0
    took = time.monotonic() - began
    first.join()
    assert first.exitcode == -signal.SIGKILL
    assert killed.with_suffix(".checkpoint").exists()
    assert not killed.exists()
    second = processes.Process(target=train, args=([*command, str(killed)],))
    second.start()
    second.join(random.Random(name).uniform(0, took))
    second.kill()
    second.join()
    assert second.exitcode in (0, -signal.SIGKILL)
    if killed.with_suffix(".checkpoint").exists():  # else it had been through by then, which removes it last
        assert run([*command, str(killed)]) == 0
    assert {path.name for path in tmp_path.glob("killed.*")} == {path.name.replace("whole", "killed") for path in tmp_path.glob("whole.*")}
    for path in tmp_path.glob("whole.*"):
        if path.suffix != ".md":  # which tells the name of the weights
            assert path.read_bytes() == (tmp_path / path.name.replace("whole", "killed")).read_bytes()
    assert set(json.loads(whole.with_suffix(".jsonl").read_text().splitlines()[-1])) <= set(WORDS)  # people are told in plain words
