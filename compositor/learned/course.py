"""Where and how a training runs: places that can be written, options, device and threads."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol

from compositor.errors import OptionError, OutputError
from compositor.images.files import check_place, printable
from compositor.learned.checkpoint import read_standing
from compositor.learned.device import choose_device, torch_threads
from compositor.learned.photographs import CURVES, SAMPLES, pictures_of
from compositor.learned.processes import Processes, joined
from compositor.options import LearnOptions
from compositor.threads import limit_threads

__all__ = ["Course", "Pictures", "begin", "standing"]

GROWING = (".jsonl", CURVES, SAMPLES)
"""Endings of what is written while a training runs: one that was stopped left these behind."""
Record = dict[str, Any]


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
        return _checkpoint(self.output)

    def asked(self, learned: Pictures, held_out: Pictures) -> Record:
        """All that decides what the weights become; a checkpoint of a training that was asked for something else is refused."""
        # Where an encoder or a style lies is nobody's business and may change; which it is, its SHA-256 tells.
        passing = ("threads", "device", "encoder", "style")
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
    WeightsError
        What a stopped training left there is no checkpoint.
    """
    output = Path(output)
    if output.suffix != ".safetensors":
        raise OptionError(f"{output.name}: weights are written as .safetensors; give such a name")
    stopped = standing(output)
    overwrite = overwrite or bool(stopped.get("ended"))  # it had learned all: what lies there is its own, perhaps in part
    taken = {os.path.realpath(path) for path in pictures_of(inputs)}
    for ending in (".safetensors", ".jsonl", CURVES, ".md", *also):
        place = output.with_suffix(ending)
        if os.path.realpath(place) in taken:
            raise OutputError(f"{printable(place)} is an input too; choose another name for the output", path=place)
        check_place(place, overwrite=overwrite or (bool(stopped) and ending in GROWING))
    device = choose_device(options.device)
    with joined(device) as processes:
        threads = options.threads or max(1, (os.cpu_count() or 1) // processes.count)
        computing = max(1, threads // 2) if device == "cpu" else 1
        with limit_threads(1), torch_threads(computing):
            yield Course(options, output, device, computing, threads - computing, processes, overwrite)


def standing(output: str | os.PathLike[str]) -> Record:
    """Where a training to these weights stands, by the checkpoint beside them: its record, empty where there is none.

    Raises
    ------
    WeightsError
        What lies there is no checkpoint.
    """
    return read_standing(_checkpoint(Path(output)))


def _checkpoint(output: Path) -> Path:
    return output.with_suffix(".checkpoint")
