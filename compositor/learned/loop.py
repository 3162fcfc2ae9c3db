"""How everything here is trained: one loop, whatever learns.

A ``Trainer`` says what a training reads, what learns from it and what is to be said of its weights; the loop does the rest: places that can
be written, device and threads, batches made ahead, a log, its curves, a checkpoint at every report, exact resume, and at the end the
weights with their card. Batches are made from their number, so that a training that was stopped goes on from its last checkpoint to the
same weights as one that was not. On a CPU these depend on how many threads compute, so that number is part of the record.
"""

from __future__ import annotations

import dataclasses
import glob
import json
import logging
import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import compositor
from compositor.errors import OptionError
from compositor.images import write_atomically, write_image
from compositor.images.files import printable
from compositor.learned.card import card
from compositor.learned.checkpoint import read_checkpoint, write_checkpoint
from compositor.learned.course import Course, Pictures, begin
from compositor.learned.curves import draw_curves
from compositor.learned.learner import Learner, Record, Results
from compositor.learned.milestones import Milestones
from compositor.learned.photographs import CURVES, SAMPLES, numbered
from compositor.learned.weights import write_weights
from compositor.options import LearnOptions
from compositor.types import Progress

__all__ = ["Trainer"]

logger = logging.getLogger(__name__)

AHEAD = 3
"""Steps whose batches are made in advance, at least."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Trainer:
    """A training: call it to run it.

    Parameters
    ----------
    name : str
        What follows «compositor train».
    options : type
        The record of its options.
    read : callable
        Called with what is to be learned from and the options; returns pictures to learn from, and others to measure on.
    learner : callable
        Called with options, device, both parts and a progress callback or None; returns what learns.
    called, meant, measured : str
        What the card says the weights are the weights of, what they are meant for (a paragraph), and what is measured on.
    also : tuple of str
        Endings of files that are written beside the weights, their log, its curves and their card.
    folder : bool
        It learns from one folder, not from a list.
    """

    name: str
    options: type[LearnOptions]
    read: Callable[[Any, Any], tuple[Pictures, Pictures]]
    learner: Callable[[Any, str, Any, Any, Progress | None], Learner[Any]]
    called: str
    meant: str
    measured: str
    also: tuple[str, ...] = ()
    folder: bool = False

    def __call__(
        self,
        source: Any,
        output: str | os.PathLike[str],
        *,
        overwrite: bool = False,
        progress: Progress | None = None,
        tell: Callable[[str], None] = logger.info,
        **options: Any,
    ) -> Record:
        """Train.

        Beside the weights stand what happened as JSON lines (``.jsonl``) and as curves (``.curves.png``), a card that says what the weights
        are and where they come from (``.md``), what ``also`` names, and while it runs a checkpoint (``.checkpoint``), from which the same
        call goes on when it was stopped.

        Parameters
        ----------
        source : path or iterable of path
            What to learn from: photos, folders of them or lists of them as ``Photographs.read`` takes them, or for generators and
            classifiers one folder, as ``Collection.read`` and ``Labelled.read`` take it.
        output : path
            The file of weights to write: ``.safetensors``.
        overwrite : bool
            Replace weights that are there.
        progress : callable, optional
            Called as progress(stage, done, total).
        tell : callable, optional
            Called with a line of text where a stopped training goes on, and now and then with one that says how far training has come if
            no ``progress`` does.
        **options
            Fields of ``self.options``.

        Returns
        -------
        dict
            The record that stands in the weights.

        Raises
        ------
        OptionError
            There is no such option or value, ``source`` is of another kind, or there are too few pictures.
        OutputError, WriteError, ReadError, WeightsError
            A file cannot be written or read, or the checkpoint is of another training.
        """
        chosen = self.options.of(options)
        inputs = self._inputs(source)
        source = source if self.folder else inputs  # a list may be gone through only once, and is twice
        with begin(output, chosen, overwrite=overwrite, inputs=inputs, also=self.also) as course:
            learned, held_out = self.read(source, chosen)
            learner = self.learner(chosen, course.device, learned, held_out, progress)
            record = _run(learner, course, {**course.asked(learned, held_out), **learner.asked()}, progress, tell)
            return self._finish(course, record, learner.results())

    def _inputs(self, source: Any) -> list[str | os.PathLike[str]]:
        """What is to be learned from, as a list of paths."""
        one = isinstance(source, str | os.PathLike)
        inputs = list(source) if isinstance(source, Iterable) and not one else [source]
        if one != self.folder or not all(isinstance(path, str | os.PathLike) for path in inputs):
            wanted = "the path of one folder" if self.folder else "a list of paths: of photos, folders or lists"
            raise OptionError(f"source is {source!r:.60}; {self.name} learns from {wanted}")
        return inputs

    def _finish(self, course: Course, record: Record, results: Results) -> Record:
        """Write what was learned; the checkpoint is needed no more. The record that stands in the first weights."""
        first = next(iter(results.weights.values()))[1]
        record = {**record, **results.record, "parameters": sum(tensor.numel() for tensor in first.values())}
        record |= {"torch": torch.__version__, "compositor": compositor.__version__}
        written: list[Record] = []
        if course.processes.first:
            for ending, (kind, tensors) in results.weights.items():
                overwrite = course.overwrite or bool(written)
                told = {**(written[0] if written else record), "kind": kind}
                written.append(write_weights(course.output.with_suffix(ending), tensors, told, overwrite=overwrite))
            words = {"called": self.called, "command": f"train {self.name}", "meant": self.meant, "measured": self.measured}
            text = (card(course.output.name, written[0], **words) + results.told).encode()
            write_atomically(course.output.with_suffix(".md"), lambda file: file.write(text), overwrite=True)
            for ending, pixels in results.pictures.items():
                write_image(course.output.with_suffix(ending), pixels, overwrite=True)
            course.checkpoint.unlink(missing_ok=True)
            _tidy(course)
        course.processes.wait()
        return written[0] if written else record


def _run(learner: Learner[Any], course: Course, asked: Record, progress: Progress | None, tell: Callable[[str], None]) -> Record:
    """Train, from the beginning or from where it was stopped; what was asked, the last report as ``figures``, and which are losses."""
    options, parts = course.options, (learner.modules(), learner.optimizers())
    resumed = read_checkpoint(course.checkpoint, *parts, asked)
    learner.restore(resumed)
    course.processes.wait()  # until all have read it
    course.processes.share(learner.modules().values())
    start, lines = resumed.get("iteration", 0), [dict(line) for line in resumed.get("log", ())] or [{"iteration": 0, **learner.measure()}]
    if resumed and course.processes.first:
        tell(f"goes on from {printable(course.checkpoint)}, step {start} of {options.iterations}")
        _report(course.output, lines, learner.picture())  # it may have been stopped between a checkpoint and what stands beside it
    milestones, spent = Milestones(start, options.iterations), time.process_time() - resumed.get("cpu_seconds", 0.0)
    for iteration, batch in _feed(learner.make, course, start) if not course.processes.agree(learner.finished()) else ():
        losses, done = learner.step(iteration, batch), iteration + 1
        if course.processes.first:
            if progress:
                progress("train", done, options.iterations)
            elif milestones.reached(done):
                tell(milestones.told(done, losses))
        if done % options.report_every and done != options.iterations:
            continue
        lines.append({"iteration": done, **losses, **learner.measure()})
        if course.processes.first:
            logger.info("%s", milestones.told(done, lines[-1]))
            state = {**asked, **learner.state(), "iteration": done, "cpu_seconds": time.process_time() - spent}
            state["log"] = [list(line.items()) for line in lines]  # a record's own names are sorted, figures keep their order
            state["ended"] = done == options.iterations or learner.finished()
            write_checkpoint(course.checkpoint, *parts, state)
            _report(course.output, lines, learner.picture())
        if course.processes.agree(learner.finished()):
            break
    return {**asked, "figures": lines[-1], "losses": [name for name in lines[-1] if name not in lines[0]]}


def _feed(make: Callable[[int], Any], course: Course, start: int) -> Iterator[tuple[int, Any]]:
    """The batches of every step from ``start`` on, made a few steps ahead on threads of their own."""
    rank, count = course.processes.rank, course.processes.count
    with ThreadPoolExecutor(max(1, course.making), initializer=torch.set_num_threads, initargs=(1,)) as pool:
        waiting: deque[Future[Any]] = deque()
        try:
            for iteration in range(start, course.options.iterations):
                until = min(iteration + max(AHEAD, course.making + 1), course.options.iterations)
                waiting.extend(pool.submit(make, later * count + rank) for later in range(iteration + len(waiting), until))
                yield iteration, waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _report(output: Path, lines: list[Record], picture: NDArray[np.uint8] | None) -> None:
    """Write the reports so far, as JSON lines and as curves, and what the last one shows."""
    text = "".join(json.dumps({name: value if isfinite(value) else None for name, value in line.items()}) + "\n" for line in lines).encode()
    write_atomically(output.with_suffix(".jsonl"), lambda file: file.write(text), overwrite=True)
    write_image(output.with_suffix(CURVES), draw_curves(lines), overwrite=True)
    if picture is not None:  # the newest under a name of its own, and each by its step, to look at how it came about
        for ending in (SAMPLES, numbered(SAMPLES, lines[-1]["iteration"])):
            write_image(output.with_suffix(ending), picture, overwrite=True)


def _tidy(course: Course) -> None:
    """Remove what reports of an earlier training to the same weights showed, at steps at which this one had none."""
    steps = {*range(0, course.options.iterations, course.options.report_every), course.options.iterations}
    wanted = {course.output.with_suffix(numbered(SAMPLES, step)).name for step in steps}
    for path in course.output.parent.glob(glob.escape(course.output.stem) + numbered(SAMPLES, 0).replace("000000", "[0-9]*")):
        if path.name not in wanted:
            path.unlink()
