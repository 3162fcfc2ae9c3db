"""Training the seam refiner: from photographs to a file of weights.

Every step learns from scenes of its own, number by number from the seed, so that a training that was stopped goes on from its last
checkpoint to the same weights as one that was not. On a CPU they depend on how many threads compute, so that number is part of the record.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch

import compositor
from compositor.errors import OptionError
from compositor.images import write_atomically
from compositor.images.files import check_place
from compositor.learned.checkpoint import read_checkpoint, write_checkpoint
from compositor.learned.device import choose_device, torch_threads
from compositor.learned.examples import Examples, make_examples
from compositor.learned.photographs import Photographs
from compositor.learned.training import Training
from compositor.learned.weights import write_weights
from compositor.options import TrainOptions
from compositor.threads import limit_threads
from compositor.types import Progress

__all__ = ["train_refiner"]

logger = logging.getLogger(__name__)

KIND = "a seam refiner"
MEASURED_SEED = 2**64
"""Seed of the scenes that reports are measured on."""
AHEAD = 3
"""Steps whose examples are made in advance."""


def train_refiner(
    photos: Iterable[str | os.PathLike[str]],
    output: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    progress: Progress | None = None,
    **options: Any,
) -> dict[str, Any]:
    """Train the seam refiner.

    Beside the weights it writes what happened as JSON lines (``.jsonl``), the critic's weights (``.critic.safetensors``), a card that says
    what the weights are and where they come from (``.md``), and while it runs a checkpoint (``.checkpoint``), from which the same call goes
    on when it was stopped.

    Parameters
    ----------
    photos : iterable of path
        Photos, folders of them, or lists of them, as ``Photographs.read`` takes.
    output : path
        The file of weights to write: ``.safetensors``.
    overwrite : bool
        Replace weights that are there.
    progress : callable, optional
        Called as progress(stage, done, total).
    **options
        Fields of ``compositor.options.TrainOptions``.

    Returns
    -------
    dict
        The record that stands in the weights.

    Raises
    ------
    OptionError
        There is no such option or value, or too few photos.
    OutputError, WriteError, ReadError, WeightsError
        A file cannot be written or read, or the checkpoint is of another training.
    """
    chosen, output = TrainOptions.of(options), Path(output)
    if output.suffix != ".safetensors":
        raise OptionError(f"{output.name}: weights are written as .safetensors; give such a name")
    beside = [output.with_suffix(ending) for ending in (".jsonl", ".md", ".critic.safetensors")]
    for place in (output, *beside):
        # A training that was stopped left its log there.
        check_place(place, overwrite=overwrite or output.with_suffix(".checkpoint").exists())
    device = choose_device(chosen.device)
    threads = chosen.threads or os.cpu_count() or 1
    computing = max(1, threads // 2) if device == "cpu" else 1
    with limit_threads(1), torch_threads(computing):
        learned, held_out = Photographs.read(photos)
        asked = {"options": _lasting(chosen), "device": device, "computing_threads": computing, "photographs": _manifest(learned)}
        asked["held_out"] = _manifest(held_out)  # what is measured on them decides when the critic begins to pull
        training = Training(chosen, device)
        checkpoint, log = output.with_suffix(".checkpoint"), output.with_suffix(".jsonl")
        resumed = read_checkpoint(checkpoint, training.modules(), training.optimizers(), asked)
        training.pulls, begin, lines = resumed.get("pulls", False), resumed.get("iteration", 0), resumed.get("log", [])
        measured = make_examples(held_out, list(range(chosen.measured)), seed=MEASURED_SEED, tiles=4, device=device)
        lines = lines or [{"iteration": 0, **training.measure(measured)}]
        began, spent, seconds = time.perf_counter(), time.process_time(), resumed.get("cpu_seconds", 0.0)
        for iteration, examples in _feed(learned, chosen, begin, device, threads - computing):
            losses = training.step(iteration, examples)
            done = iteration + 1
            if progress:
                progress("train", done, chosen.iterations)
            if done % chosen.report_every and done != chosen.iterations:
                continue
            lines.append({"iteration": done, **losses, **training.measure(measured)})
            logger.info("%s", _told(lines[-1], (time.perf_counter() - began) / (done - begin) * (chosen.iterations - done)))
            state = {**asked, "iteration": done, "pulls": training.pulls, "log": lines}
            state["cpu_seconds"] = seconds + time.process_time() - spent
            write_checkpoint(checkpoint, training.modules(), training.optimizers(), state)
            write_atomically(log, lambda file: file.write("".join(json.dumps(line) + "\n" for line in lines).encode()), overwrite=True)
    record = {
        **asked,
        "kind": KIND,
        "shape": dataclasses.asdict(training.network.shape),
        "figures": lines[-1],
    }
    record |= {"parameters": sum(p.numel() for p in training.network.parameters()), "torch": torch.__version__}
    record["compositor"] = compositor.__version__
    record = write_weights(output, training.average.state_dict(), record, overwrite=overwrite)
    write_weights(
        output.with_suffix(".critic.safetensors"), training.critic.state_dict(), {**record, "kind": "a seam critic"}, overwrite=True
    )
    write_atomically(output.with_suffix(".md"), lambda file: file.write(_card(output.name, record).encode()), overwrite=True)
    checkpoint.unlink(missing_ok=True)
    return record


def _feed(photographs: Photographs, options: TrainOptions, begin: int, device: str, threads: int) -> Iterator[tuple[int, Examples]]:
    """The examples of every step from ``begin`` on, made a few steps ahead on threads of their own."""

    def make(iteration: int) -> Examples:
        numbers = list(range(iteration * options.scenes, (iteration + 1) * options.scenes))
        return make_examples(photographs, numbers, seed=options.seed, tiles=options.tiles, device=device)

    with ThreadPoolExecutor(max(1, threads), initializer=torch.set_num_threads, initargs=(1,)) as pool:
        waiting: deque[Future[Examples]] = deque()
        try:
            for iteration in range(begin, options.iterations):
                ahead = range(iteration + len(waiting), min(iteration + max(AHEAD, threads + 1), options.iterations))
                waiting.extend(pool.submit(make, later) for later in ahead)
                yield iteration, waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _lasting(options: TrainOptions) -> dict[str, Any]:
    """The options that decide what the weights become."""
    fields = dataclasses.asdict(options)
    return {name: value for name, value in fields.items() if name not in ("threads", "device")}


def _manifest(photographs: Photographs) -> dict[str, str]:
    """SHA-256 and name of every photograph."""
    return {photo.digest: photo.name for photo in photographs.photographs}


def _told(line: dict[str, Any], left: float) -> str:
    """A report as one line, with the seconds that are left."""
    figures = ", ".join(f"{name} {value:.4g}" for name, value in line.items() if name != "iteration")
    return f"step {line['iteration']}, {left / 60:.1f} min left: {figures}"


def _card(name: str, record: dict[str, Any]) -> str:
    """What a reader should know of the weights, as Markdown."""
    figures = "\n".join(f"| {key} | {value:.5g} |" for key, value in record["figures"].items())
    photographs, held_out = (
        "\n".join(f"- {name} `{digest}`" for digest, name in record[part].items()) for part in ("photographs", "held_out")
    )
    return f"""# {name}

Weights of the seam refiner, {record["parameters"]} parameters; SHA-256 of the tensors {record["sha256"]}.
Trained by `compositor train refiner` of compositor {record["compositor"]}, PyTorch {record["torch"]}, on {record["device"]}
({record["computing_threads"]} threads compute), with {json.dumps(record["options"])}.

Meant for seams between overlapping photos that the classical stages have matched already. It sees sRGB-encoded colour; a change near a
seam stays within what both photos show there. Not meant for pasted objects.

## Measured on scenes that were not learned from

| figure | value |
| --- | --- |
{figures}

## Learned from

{photographs}

## Measured on

{held_out}
"""
