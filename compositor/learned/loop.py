"""How everything here is trained: one loop, whatever learns.

A training says what one step does and how good its networks are; the loop does the rest: places that can be written, device and threads,
batches made ahead, a log, its curves, a checkpoint at every report, exact resume, and at the end the weights with their card. Batches are
made from their number, so that a training that was stopped goes on from its last checkpoint to the same weights as one that was not. On a
CPU these depend on how many threads compute, so that number is part of the record.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor, nn

import compositor
from compositor.errors import OptionError, OutputError
from compositor.images import write_atomically, write_image
from compositor.images.files import check_place, printable
from compositor.learned.checkpoint import read_checkpoint, write_checkpoint
from compositor.learned.curves import draw_curves
from compositor.learned.device import choose_device, torch_threads
from compositor.learned.photographs import CURVES, SAMPLES, pictures_of
from compositor.learned.processes import Processes, joined
from compositor.learned.weights import write_weights
from compositor.options import LearnOptions
from compositor.threads import limit_threads
from compositor.types import Progress

__all__ = ["Course", "Learner", "begin", "finish", "run"]

logger = logging.getLogger(__name__)

GROWING = (".jsonl", CURVES, SAMPLES)
"""Endings of what is written while a training runs: one that was stopped left these behind."""
AHEAD = 3
"""Steps whose batches are made in advance, at least."""
Batch = TypeVar("Batch", contravariant=True)
Record = dict[str, Any]


class Learner(Protocol[Batch]):
    """What is trained: its networks, what one step does to them, and how good they are.

    In several processes each learns from batches of its own; ``step`` calls ``average_gradients`` before it uses gradients.
    """

    def modules(self) -> dict[str, nn.Module]:
        """Everything that has weights, by name."""

    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        """What remembers earlier steps, by name."""

    def state(self) -> Record:
        """What else changes, as JSON can hold it."""

    def restore(self, state: Record) -> None:
        """Take up what ``state`` told before."""

    def finished(self) -> bool:
        """Whether to end before the last step; asked after every report."""

    def step(self, iteration: int, batch: Batch) -> dict[str, float]:
        """Learn from a batch; the losses."""

    def measure(self) -> Record:
        """How good the networks are on what is never learned from."""


class Pictures(Protocol):
    """What is learned from or measured on."""

    @property
    def left_out(self) -> tuple[tuple[str, str], ...]:
        """Name and reason of every file that could not be read."""

    def manifest(self) -> dict[str, str]:
        """What was read, by SHA-256."""


@dataclasses.dataclass(frozen=True)
class Course:
    """Where and how a training runs.

    Parameters
    ----------
    options : LearnOptions
    output : Path
        The weights' file; all others lie beside it.
    device : str
        As PyTorch calls it.
    computing, making : int
        Threads that compute, and threads that make batches.
    processes : Processes
    overwrite : bool
        Weights that are there may be replaced.
    """

    options: LearnOptions
    output: Path
    device: str
    computing: int
    making: int
    processes: Processes
    overwrite: bool

    @property
    def checkpoint(self) -> Path:
        """Where the training stands; there while it runs."""
        return self.output.with_suffix(".checkpoint")

    def asked(self, learned: Pictures, held_out: Pictures) -> Record:
        """All that decides what the weights become; a checkpoint of a training that was asked for something else is refused."""
        # Where an encoder lies is nobody's business and may change; which it is, its SHA-256 tells.
        passing = ("threads", "device", "encoder")
        lasting = {name: value for name, value in dataclasses.asdict(self.options).items() if name not in passing}
        record: Record = {"options": lasting, "device": self.device, "computing_threads": self.computing}
        # What is measured on may decide when something begins.
        record |= {"photographs": learned.manifest(), "held_out": held_out.manifest()}
        if learned.left_out:
            record["left_out"] = [list(entry) for entry in learned.left_out]
        if self.processes.count > 1:
            record["processes"] = self.processes.count
        return record


@contextlib.contextmanager
def begin(
    output: str | os.PathLike[str],
    options: LearnOptions,
    *,
    overwrite: bool,
    inputs: Iterable[str | os.PathLike[str]] = (),
    also: tuple[str, ...] = (),
) -> Iterator[Course]:
    """Check where files are to go, choose device and threads, and keep to them inside the block.

    Parameters
    ----------
    output : path
        The file of weights to write: ``.safetensors``.
    options : LearnOptions
    overwrite : bool
        Replace weights that are there.
    inputs : iterable of path
        What will be learned from, as ``Photographs.read`` takes it; none of its pictures is written over.
    also : tuple of str
        Endings of files that are written beside the usual ones.

    Raises
    ------
    OptionError
        The ending is another, or there is no such device.
    OutputError
        A file cannot be written there, or is learned from.
    """
    output = Path(output)
    if output.suffix != ".safetensors":
        raise OptionError(f"{output.name}: weights are written as .safetensors; give such a name")
    stopped, taken = output.with_suffix(".checkpoint").exists(), {os.path.realpath(path) for path in pictures_of(inputs)}
    for ending in (".safetensors", ".jsonl", CURVES, ".md", *also):
        place = output.with_suffix(ending)
        if os.path.realpath(place) in taken:
            raise OutputError(f"{printable(place)} is an input too; choose another name for the output", path=place)
        check_place(place, overwrite=overwrite or (stopped and ending in GROWING))
    device = choose_device(options.device)
    with joined(device) as processes:
        threads = options.threads or max(1, (os.cpu_count() or 1) // processes.count)
        computing = max(1, threads // 2) if device == "cpu" else 1
        with limit_threads(1), torch_threads(computing):
            yield Course(options, output, device, computing, threads - computing, processes, overwrite)


def run(learner: Learner[Batch], make: Callable[[int], Batch], course: Course, asked: Record, progress: Progress | None = None) -> Record:
    """Train, from the beginning or from where it was stopped.

    Parameters
    ----------
    learner : Learner
    make : callable
        The batch of a number, the same whenever it is made; called on several threads.
    course : Course
    asked : dict
        What ``course.asked`` told.
    progress : callable, optional
        Called as progress("train", done, total).

    Returns
    -------
    dict
        What weights are written with: ``asked``, and the last report as ``figures``.

    Raises
    ------
    WeightsError
        The checkpoint is of another training.
    """
    options, parts = course.options, (learner.modules(), learner.optimizers())
    resumed = read_checkpoint(course.checkpoint, *parts, asked)
    learner.restore(resumed)
    course.processes.wait()  # until all have read it
    start, lines = resumed.get("iteration", 0), resumed.get("log") or [{"iteration": 0, **learner.measure()}]
    began, spent = time.perf_counter(), time.process_time() - resumed.get("cpu_seconds", 0.0)
    for iteration, batch in _feed(make, course, start) if not learner.finished() else ():
        losses, done = learner.step(iteration, batch), iteration + 1
        if progress and course.processes.first:
            progress("train", done, options.iterations)
        if done % options.report_every and done != options.iterations:
            continue
        lines.append({"iteration": done, **losses, **learner.measure()})
        if course.processes.first:
            logger.info("%s", _told(lines[-1], (time.perf_counter() - began) / (done - start) * (options.iterations - done)))
            state = {**asked, **learner.state(), "iteration": done, "log": lines, "cpu_seconds": time.process_time() - spent}
            write_checkpoint(course.checkpoint, *parts, state)
            _write_log(course.output, lines)
        if learner.finished():
            break
    return {**asked, "figures": lines[-1]}


def finish(
    course: Course, record: Record, weights: Mapping[str, tuple[str, Mapping[str, Tensor]]], card: Callable[[str, Record], str]
) -> Record:
    """Write the weights and their card; the checkpoint is needed no more.

    Parameters
    ----------
    course : Course
    record : dict
        What ``run`` returned and what more is to be known of the weights.
    weights : mapping of str to (str, mapping of str to Tensor)
        By the ending of their file, what kind of weights they are and their tensors; the first are those that the training is for.
    card : callable
        Called with the file's name and its record; returns Markdown.

    Returns
    -------
    dict
        The record that stands in the first weights.
    """
    first = next(iter(weights.values()))[1]
    record = {**record, "parameters": sum(tensor.numel() for tensor in first.values()), "torch": torch.__version__}
    record["compositor"] = compositor.__version__
    written: list[Record] = []
    if course.processes.first:
        for ending, (kind, tensors) in weights.items():
            overwrite = course.overwrite or bool(written)
            told = {**(written[0] if written else record), "kind": kind}
            written.append(write_weights(course.output.with_suffix(ending), tensors, told, overwrite=overwrite))
        text = card(course.output.name, written[0]).encode()
        write_atomically(course.output.with_suffix(".md"), lambda file: file.write(text), overwrite=True)
        course.checkpoint.unlink(missing_ok=True)
    course.processes.wait()
    return written[0] if written else record


def _feed(make: Callable[[int], Batch], course: Course, start: int) -> Iterator[tuple[int, Batch]]:
    """The batches of every step from ``start`` on, made a few steps ahead on threads of their own."""
    rank, count = course.processes.rank, course.processes.count
    with ThreadPoolExecutor(max(1, course.making), initializer=torch.set_num_threads, initargs=(1,)) as pool:
        waiting: deque[Future[Batch]] = deque()
        try:
            for iteration in range(start, course.options.iterations):
                until = min(iteration + max(AHEAD, course.making + 1), course.options.iterations)
                waiting.extend(pool.submit(make, later * count + rank) for later in range(iteration + len(waiting), until))
                yield iteration, waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _write_log(output: Path, lines: list[Record]) -> None:
    """Write the reports so far, as JSON lines and as curves."""
    text = "".join(json.dumps(line) + "\n" for line in lines).encode()
    write_atomically(output.with_suffix(".jsonl"), lambda file: file.write(text), overwrite=True)
    write_image(output.with_suffix(CURVES), draw_curves(lines), overwrite=True)


def _told(line: Record, left: float) -> str:
    """A report as one line, with the minutes that are left."""
    figures = ", ".join(f"{name} {value:.4g}" for name, value in line.items() if name != "iteration" and isinstance(value, int | float))
    return f"step {line['iteration']}, {left / 60:.1f} min left: {figures}"
