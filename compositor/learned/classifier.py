"""A classifier: its training on a folder of classes, and its use."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from compositor.images import write_image
from compositor.learned.backbone import Backbone, BackboneShape
from compositor.learned.card import card
from compositor.learned.device import choose_device, torch_threads
from compositor.learned.encoder import read_encoder
from compositor.learned.judgement import (
    calibration_error,
    confusion,
    draw_confusion,
    fit_temperature,
    probabilities,
    report_by_class,
)
from compositor.learned.labelled import Labelled, square
from compositor.learned.loop import begin, finish, run
from compositor.learned.photographs import CONFUSION
from compositor.learned.pictures import Picture, read_picture
from compositor.learned.recognition import AT_ONCE, ClassifierNetwork, Recognition, make_batch
from compositor.learned.weights import fitting, packaged_weights, read_weights
from compositor.options import ClassifierOptions
from compositor.types import Progress

__all__ = ["Classifier", "train_classifier"]

KIND = "a classifier"
MEANT = """\
Meant for telling the classes below apart, in pictures like those it learned from; of a picture of anything else it tells one of them all
the same. Probabilities were calibrated on the pictures that are measured on, which also decided which weights are the best: the figures
are a little too good, and other pictures should judge."""


class Classifier:
    """Tells which class pictures belong to.

    Parameters
    ----------
    network : ClassifierNetwork
    classes : sequence of str
    size : int
        Px of the squares that it looks at.
    temperature : float
        By which scores are divided to be as sure as they may be.
    device : str
        «auto», «cpu», «cuda» or «mps».
    """

    def __init__(
        self, network: ClassifierNetwork, classes: Iterable[str], *, size: int, temperature: float = 1.0, device: str = "auto"
    ) -> None:
        self.device, self.classes, self.size, self.temperature = choose_device(device), tuple(classes), size, temperature
        self.network: ClassifierNetwork = network.to(self.device, memory_format=torch.channels_last).eval().requires_grad_(False)

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, device: str = "auto") -> Self:
        """The classifier with weights from a file.

        Raises
        ------
        WeightsError
            The file is none, is damaged, or fits another network.
        """
        tensors, record = read_weights(path, kind=KIND)
        with fitting(path):
            network = ClassifierNetwork(tuple(record["shape"]["channels"]), len(record["classes"]))
            network.load_state_dict(tensors)
            size, temperature = int(record["shape"]["size"]), float(record["temperature"])
            classes = [str(name) for name in record["classes"]]
        return cls(network, classes, size=size, temperature=temperature, device=device)

    @torch_threads(1)  # the same bytes whatever the machine
    @torch.inference_mode()
    def __call__(self, pictures: Iterable[Picture]) -> NDArray[np.float64]:
        """Probabilities of pictures, (n, classes).

        Parameters
        ----------
        pictures : iterable of path, (h, w, 3) array or Photo
            Arrays are RGB.

        Raises
        ------
        ReadError
            A picture cannot be read.
        """
        shown = [square(read_picture(picture, short=self.size), self.size) for picture in pictures]
        scores: list[Tensor] = [torch.zeros(0, len(self.classes))]
        for first in range(0, len(shown), AT_ONCE):
            part = torch.from_numpy(np.stack(shown[first : first + AT_ONCE])).to(self.device)
            scores.append(self.network(part.permute(0, 3, 1, 2).float() / 255).cpu())
        return probabilities(torch.cat(scores).numpy(), self.temperature)


def train_classifier(
    folder: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    progress: Progress | None = None,
    **options: Any,
) -> dict[str, Any]:
    """Train a classifier.

    Beside the weights it writes a log (``.jsonl``), its curves (``.curves.png``), which classes are taken for which
    (``.confusion.png``), a card (``.md``), and while it runs a checkpoint (``.checkpoint``), from which the same call goes on when it was
    stopped.

    Parameters
    ----------
    folder : path
        Has a folder for each class. One picture of five is kept for measuring.
    output : path
        The file of weights to write: ``.safetensors``.
    overwrite : bool
        Replace weights that are there.
    progress : callable, optional
        Called as progress(stage, done, total).
    **options
        Fields of ``compositor.options.ClassifierOptions``.

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
    chosen = ClassifierOptions.of(options)
    with begin(output, chosen, overwrite=overwrite, inputs=[folder], also=(CONFUSION,)) as course:
        learned, held_out = Labelled.read(folder, size=chosen.size).parted()
        asked = course.asked(learned, held_out)
        backbone, asked["encoder"] = _backbone(chosen)
        training = Recognition(chosen, course.device, learned, held_out, backbone, taught=chosen.start == "encoder")
        record = run(training, lambda number: make_batch(learned, number, chosen, course.device), course, asked, progress)
        judged, counts = _judged(training, held_out)
        record |= judged
        record["classes"], record["shape"] = list(learned.classes), {"channels": list(backbone.channels), "size": chosen.size}
        record = finish(course, record, {".safetensors": (KIND, training.best.state_dict())}, _card)
        if course.processes.first:
            write_image(course.output.with_suffix(CONFUSION), draw_confusion(counts, learned.classes), overwrite=True)
        return record


def _backbone(options: ClassifierOptions) -> tuple[Backbone, str]:
    """What a training begins with, and which encoder's it is: the SHA-256 of its tensors, «» for none."""
    if options.start == "encoder":
        path = options.encoder or packaged_weights("encoder")
        return read_encoder(path)[0].backbone, str(read_weights(path, kind="an encoder")[1]["sha256"])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(options.seed)
        return Backbone(BackboneShape().channels), ""


def _judged(training: Recognition, held_out: Labelled) -> tuple[dict[str, Any], NDArray[np.int64]]:
    """How good the best weights are, on pictures that were not learned from, and how many of which class are taken for which."""
    scores = training.scores(training.best).cpu().numpy()
    temperature = fit_temperature(scores, held_out.labels)
    told = probabilities(scores, temperature)
    counts = confusion(told, held_out.labels)
    by_class = report_by_class(counts, held_out.classes)
    figures = {
        "right": float((told.argmax(1) == held_out.labels).mean()),
        "right_by_class": float(np.mean([one["recall"] for one in by_class.values()])),
        "calibration_error": calibration_error(told, held_out.labels),
        "calibration_error_before": calibration_error(probabilities(scores), held_out.labels),
    }
    return {"temperature": temperature, "by_class": by_class, "figures": figures}, counts


def _card(name: str, record: dict[str, Any]) -> str:
    told = {"called": "a classifier", "command": "train classifier", "measured": "pictures that were not learned from"}
    rows = "".join(
        f"| {name} | {one['recall']:.3f} | {one['precision']:.3f} | {one['f1']:.3f} | {one['pictures']} |\n"
        for name, one in record["by_class"].items()
    )
    table = f"\n## Class by class\n\n| class | recall | precision | F1 | pictures |\n| --- | --- | --- | --- | --- |\n{rows}"
    return card(name, record, meant=MEANT, **told) + table
