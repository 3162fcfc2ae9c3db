"""What training needs to go on exactly where it was, in one file that is whole or not there."""

from __future__ import annotations

import os
import reprlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from compositor.images.files import printable
from compositor.learned.weights import WeightsError, fitting, read_told, read_weights, write_weights

__all__ = ["read_checkpoint", "read_standing", "write_checkpoint"]

KIND = "a checkpoint"
NAMED = 5
"""Differences that are named when a checkpoint is of another training."""
DIGITS = 64
"""Of the SHA-256 of a picture."""


def write_checkpoint(
    path: str | os.PathLike[str],
    modules: Mapping[str, nn.Module],
    optimizers: Mapping[str, torch.optim.Optimizer],
    record: Mapping[str, Any],
) -> None:
    """Write everything that changes while training runs.

    Random numbers need no place here: every iteration draws its own from the seed and its number.

    Parameters
    ----------
    path : str or path
        Replaced when it is there.
    modules, optimizers : mappings by name
    record : mapping
        What else ``read_checkpoint`` is to give back.
    """
    tensors = {f"{name}/{key}": value for name, module in modules.items() for key, value in module.state_dict().items()}
    for name, optimizer in optimizers.items():
        for number, state in optimizer.state_dict()["state"].items():
            tensors |= {f"{name}/{number}/{key}": value for key, value in state.items()}
    write_weights(path, tensors, {**record, "kind": KIND}, overwrite=True)


def read_checkpoint(
    path: str | os.PathLike[str],
    modules: Mapping[str, nn.Module],
    optimizers: Mapping[str, torch.optim.Optimizer],
    asked: Mapping[str, Any],
) -> dict[str, Any]:
    """Put modules and optimizers back into the state that ``write_checkpoint`` saw.

    Parameters
    ----------
    path : str or path
    modules, optimizers : mappings by name
        Like those that were written.
    asked : mapping
        What the record must say, so that training goes on as it began.

    Returns
    -------
    dict
        The record; empty where there is no file.

    Raises
    ------
    WeightsError
        The file is none, of another training, or of networks that were built otherwise.
    """
    if not Path(path).exists():
        return {}
    tensors, record = read_weights(path, kind=KIND)
    different = list(_differences({name: record.get(name) for name in asked}, asked))
    if different:
        more = [f"{len(different) - NAMED} more"] if len(different) > NAMED else []
        told = "; ".join(different[:NAMED] + more)
        raise WeightsError(f"{printable(path)}: is of a training with other values: {told}. Remove it or train as it says", path=path)
    with fitting(path):
        _take_up(tensors, modules, optimizers)
    return record


def read_standing(path: str | os.PathLike[str]) -> dict[str, Any]:
    """How far a training had come that left a checkpoint, from its first bytes alone.

    Returns
    -------
    dict
        The record; empty where there is no file.

    Raises
    ------
    WeightsError
        The file is no checkpoint.
    """
    return read_told(path, kind=KIND) if Path(path).exists() else {}


def _differences(there: Mapping[str, Any], here: Mapping[str, Any]) -> Iterator[str]:
    """What differs, with both values; pictures are named, not their digests."""
    for name in dict.fromkeys((*here, *there)):
        old, new = there.get(name), here.get(name)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            yield from _differences(old, new)
        elif old != new:
            yield f"{name[:12] if len(name) == DIGITS else name} was {reprlib.repr(old)}, now is {reprlib.repr(new)}"


def _take_up(tensors: Mapping[str, Tensor], modules: Mapping[str, nn.Module], optimizers: Mapping[str, torch.optim.Optimizer]) -> None:
    """Put tensors where they belong."""
    parts: dict[str, dict[str, Tensor]] = {name: {} for name in (*modules, *optimizers)}
    for key, value in tensors.items():
        name, _, rest = key.partition("/")
        parts[name][rest] = value
    for name, module in modules.items():
        module.load_state_dict(parts[name])
    for name, optimizer in optimizers.items():
        state: dict[int, dict[str, Tensor]] = {}
        for key, value in parts[name].items():
            number, _, what = key.partition("/")
            state.setdefault(int(number), {})[what] = value
        optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
