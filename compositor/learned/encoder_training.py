"""Training the encoder: from photographs to a file of weights."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable
from typing import Any

from compositor.datasets.augment import generator_of
from compositor.learned.card import card
from compositor.learned.contrast import Contrast, Pairs, make_pairs
from compositor.learned.encoder import KIND, Encoder
from compositor.learned.loop import begin, finish, run
from compositor.learned.photographs import Photographs
from compositor.learned.words import Words
from compositor.options import EncoderOptions
from compositor.types import Progress

__all__ = ["train_encoder"]

MEASURED_SEED = 2**64
"""Seed of the pairs that reports are measured on."""
MEANT = """\
Meant for finding photos that overlap, and for features of pictures to learn from where labels are few. It learned without labels, from
pairs of overlapping squares of photos. It sees sRGB-encoded colour, about 100 px of a picture's shorter side. Not meant for telling who
a person is."""


def train_encoder(
    photos: Iterable[str | os.PathLike[str]],
    output: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    progress: Progress | None = None,
    **options: Any,
) -> dict[str, Any]:
    """Train the encoder of pictures, without labels.

    Beside the weights it writes a log (``.jsonl``), its curves (``.curves.png``), a card (``.md``), and while it runs a checkpoint
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
        Fields of ``compositor.options.EncoderOptions``.

    Returns
    -------
    dict
        The record that stands in the weights.

    Raises
    ------
    OptionError
        There is no such option or value, or too few photos.
    OutputError, WriteError, WeightsError
        A file cannot be written, or the checkpoint is of another training.
    """
    chosen = EncoderOptions.of(options)
    photos = photos if isinstance(photos, str | os.PathLike) else list(photos)  # they are gone through twice
    with begin(output, chosen, overwrite=overwrite, inputs=photos) as course:
        learned, held_out = Photographs.read(photos)

        def make(number: int) -> Pairs:
            return make_pairs(learned, number, pairs=chosen.pairs, size=chosen.size, seed=chosen.seed, device=course.device)

        measured = make_pairs(held_out, 0, pairs=chosen.measured, size=chosen.size, seed=MEASURED_SEED, device=course.device)
        training = Contrast(chosen, course.device, measured)
        record = run(training, make, course, course.asked(learned, held_out), progress)
        record["shape"] = dataclasses.asdict(training.network.shape)
        words = Words.learn([photo.pixels for photo in learned.photographs], generator_of(chosen.seed, 0))
        return finish(course, record, {".safetensors": (KIND, Encoder(training.average, words, device=course.device).tensors())}, _card)


def _card(name: str, record: dict[str, Any]) -> str:
    told = {"called": "the encoder of pictures", "command": "train encoder", "measured": "pairs of squares of photos not learned from"}
    return card(name, record, meant=MEANT, **told)
