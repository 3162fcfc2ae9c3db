"""Training generators of pictures, adversarial or by encoding: from a folder of pictures to a file of weights."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compositor.images import write_image
from compositor.learned.batches import Batch, draw_batch, sheet
from compositor.learned.card import card
from compositor.learned.collection import Collection
from compositor.learned.gan import KIND as GAN
from compositor.learned.gan import Gan, GanTraining
from compositor.learned.loop import Course, begin, finish, run
from compositor.learned.photographs import SAMPLES
from compositor.learned.vae import KIND as VAE
from compositor.learned.vae import Vae, VaeTraining, fitted
from compositor.options import GanOptions, VaeOptions
from compositor.types import Progress

__all__ = ["train_gan", "train_vae"]

SHOWN = 64
"""Pictures that every report shows, always of the same random numbers."""
MEANT = """\
Meant for new pictures in the manner of those it learned from, and for looking at what was learned. What it makes is invented, however much
it may look like a photo."""


def train_gan(
    folder: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    progress: Progress | None = None,
    **options: Any,
) -> dict[str, Any]:
    """Train two networks against each other until one makes pictures like those of a folder.

    Beside the weights it writes a log (``.jsonl``), its curves (``.curves.png``), what it makes at every report (``.samples.png``), a card
    (``.md``), and while it runs a checkpoint (``.checkpoint``), from which the same call goes on when it was stopped.

    Parameters
    ----------
    folder : path
        Pictures, in a folder for each class where there are classes, as ``Collection.read`` takes them.
    output : path
        The file of weights to write: ``.safetensors``.
    overwrite : bool
        Replace weights that are there.
    progress : callable, optional
        Called as progress(stage, done, total).
    **options
        Fields of ``compositor.options.GanOptions``.

    Returns
    -------
    dict
        The record that stands in the weights.

    Raises
    ------
    OptionError
        There is no such option or value, or too few pictures.
    OutputError, WriteError, WeightsError
        A file cannot be written, or the checkpoint is of another training.
    """
    chosen = GanOptions.of(options)
    with begin(output, chosen, overwrite=overwrite, inputs=[folder], also=(SAMPLES,)) as course:
        learned, held_out = Collection.read(folder, chosen.size)
        training = GanTraining(chosen, course.device, len(learned.classes))

        def made() -> NDArray[np.uint8]:
            return Gan(training.average, learned.classes, device=course.device).sample(SHOWN)

        record = run(_Showing(training, course, made), _batches(learned, chosen, course), course, course.asked(learned, held_out), progress)
        record |= {"shape": dataclasses.asdict(training.shape), "classes": list(learned.classes)}
        return finish(course, record, {".safetensors": (GAN, training.average.state_dict())}, _card("the generator", "train gan"))


def train_vae(
    folder: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    progress: Progress | None = None,
    **options: Any,
) -> dict[str, Any]:
    """Train an autoencoder: pictures of a folder as few numbers, and numbers as pictures.

    Parameters, files and errors are those of ``train_gan``; options are fields of ``compositor.options.VaeOptions``.
    """
    chosen = VaeOptions.of(options)
    with begin(output, chosen, overwrite=overwrite, inputs=[folder], also=(SAMPLES,)) as course:
        learned, held_out = Collection.read(folder, chosen.size)
        training = VaeTraining(chosen, course.device, held_out)

        def made() -> NDArray[np.uint8]:
            return Vae(fitted(training, learned), device=course.device).sample(SHOWN)

        record = run(_Showing(training, course, made), _batches(learned, chosen, course), course, course.asked(learned, held_out), progress)
        record |= {"shape": dataclasses.asdict(training.network.shape), "classes": list(learned.classes)}
        return finish(
            course, record, {".safetensors": (VAE, fitted(training, learned).state_dict())}, _card("the autoencoder", "train vae")
        )


class _Showing:
    """A training whose reports also write what it makes, as a picture."""

    def __init__(self, training: Any, course: Course, made: Callable[[], NDArray[np.uint8]]) -> None:
        self.training, self.course, self.made = training, course, made
        self.modules, self.optimizers = training.modules, training.optimizers
        self.state, self.restore, self.finished, self.step = training.state, training.restore, training.finished, training.step

    def measure(self) -> dict[str, Any]:
        """What the training measures."""
        if self.course.processes.first:
            write_image(self.course.output.with_suffix(SAMPLES), sheet(self.made()), overwrite=True)
        return dict(self.training.measure())


def _batches(learned: Collection, options: GanOptions | VaeOptions, course: Course) -> Callable[[int], Batch]:
    """What makes the batch of a number."""
    return lambda number: draw_batch(learned, number, size=options.batch, seed=options.seed, device=course.device)


def _card(called: str, command: str) -> Callable[[str, dict[str, Any]], str]:
    told = {"called": called, "command": command, "measured": "pictures that were not learned from"}
    return lambda name, record: card(name, record, meant=MEANT, **told)
