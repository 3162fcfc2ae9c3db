"""Training the seam refiner: from photographs to a file of weights."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable
from typing import Any

from compositor.learned.card import card
from compositor.learned.examples import Examples, make_examples
from compositor.learned.loop import begin, finish, run
from compositor.learned.photographs import Photographs
from compositor.learned.training import Training
from compositor.options import TrainOptions
from compositor.types import Progress

__all__ = ["train_refiner"]

MEASURED_SEED = 2**64
"""Seed of the scenes that reports are measured on."""
MEANT = """\
Meant for seams between overlapping photos that the classical stages have matched already. It sees sRGB-encoded colour; a change near a
seam stays within what both photos show there. Not meant for pasted objects."""


def train_refiner(
    photos: Iterable[str | os.PathLike[str]],
    output: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    progress: Progress | None = None,
    **options: Any,
) -> dict[str, Any]:
    """Train the seam refiner.

    Beside the weights it writes what happened as JSON lines (``.jsonl``) and as curves (``.curves.png``), the critic's weights
    (``.critic.safetensors``), a card that says what the weights are and where they come from (``.md``), and while it runs a checkpoint
    (``.checkpoint``), from which the same call goes on when it was stopped.

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
    chosen = TrainOptions.of(options)
    photos = photos if isinstance(photos, str | os.PathLike) else list(photos)  # they are gone through twice
    with begin(output, chosen, overwrite=overwrite, inputs=photos, also=(".critic.safetensors",)) as course:
        learned, held_out = Photographs.read(photos)

        def make(number: int) -> Examples:
            numbers = list(range(number * chosen.scenes, (number + 1) * chosen.scenes))
            return make_examples(learned, numbers, seed=chosen.seed, tiles=chosen.tiles, device=course.device)

        measured = make_examples(held_out, list(range(chosen.measured)), seed=MEASURED_SEED, tiles=4, device=course.device)
        training = Training(chosen, course.device, measured)
        record = run(training, make, course, course.asked(learned, held_out), progress)
        record["shape"] = dataclasses.asdict(training.network.shape)
        refiner, critic = training.average.state_dict(), training.critic.state_dict()
        weights = {".safetensors": ("a seam refiner", refiner), ".critic.safetensors": ("a seam critic", critic)}
        return finish(course, record, weights, _card)


def _card(name: str, record: dict[str, Any]) -> str:
    told = {"called": "the seam refiner", "command": "train refiner", "measured": "scenes that were not learned from"}
    return card(name, record, meant=MEANT, **told)
