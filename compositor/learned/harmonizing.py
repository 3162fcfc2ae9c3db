"""Training the harmonizer: things of a photograph are seen in another light, and the network learns to undo that.

Looking at a photograph takes long, changing the colours of what was seen does not: things are looked for once, and every step sees some of
them in lights of its own. The loss is the logarithm of the error, as PSNR is: it rewards seeing through a change, and punishes little what
cannot be seen, so that the network leaves alone what it is not sure of, and what nobody changed.
"""

from __future__ import annotations

import copy
import dataclasses
import math
import os
from collections.abc import Iterable
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from compositor.learned.average import follow
from compositor.learned.card import card
from compositor.learned.clues import Clues, gather_clues
from compositor.learned.flaws import Flaws
from compositor.learned.harmony import HarmonyNetwork, Seen
from compositor.learned.loop import begin, finish, run
from compositor.learned.objects import draw_objects
from compositor.learned.photographs import Photographs
from compositor.learned.processes import average_gradients
from compositor.learned.tones import apply_tone, recolour
from compositor.options import HarmonizerOptions
from compositor.types import Progress

__all__ = ["CAP", "HarmonizerTraining", "Lesson", "find_things", "make_lesson", "train_harmonizer"]

KIND = "a harmonizer"
CAP = 10 / 255
"""The most that an object may change, root mean square: what was right before keeps 28 dB, whatever the network proposes."""
SIZE = 256
"""Side of the crops that things are looked for in, px."""
BLIND = 5 / 255
"""Errors well below this count alike."""
MEASURED_SEED = 2**64
WARMING = 50
"""Steps over which the learning rate rises."""
MEANT = """\
Meant for objects that were pasted on another picture: it proposes one change of exposure, white balance, contrast, saturation and haze for
the whole object, from what the object, its surroundings and the border between them show. It learned from parts of photos in another
light, whose borders tell more than those of a thing from elsewhere. It changes an object by 10 of 255 levels at most (root mean square)."""


@dataclasses.dataclass(frozen=True)
class Lesson:
    """Composites as the network sees them, the truth of their objects' samples, (b, n, 3), and which were left as they were, (b,)."""

    seen: Seen
    truth: Tensor
    clean: Tensor


def find_things(photographs: Photographs, crops: int, things: int, *, seed: int, progress: Progress | None = None) -> Clues:
    """Look at things in crops of photographs; the same for the same seed.

    Parameters
    ----------
    photographs : Photographs
    crops, things : int
        How many crops, and things in each.
    seed : int
    progress : callable, optional
        Called as progress("look", done, total).
    """
    found: list[Clues] = []
    for number in range(crops):
        generator = np.random.default_rng([seed, number])
        photo = photographs.crop(generator, SIZE)
        pixels = photo.astype(np.float32) / np.float32(255)
        for mask in draw_objects(photo, things, generator):
            alpha = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), float(generator.uniform(0.3, 1.2)))
            found += gather_clues(pixels, np.asarray(alpha, np.float32), generator)
        if progress:
            progress("look", number + 1, crops)
    return Clues.stack(found)


def make_lesson(things: Clues, number: int, *, seed: int, count: int, clean: float, plain: bool = False) -> Lesson:
    """Show things in another light.

    Parameters
    ----------
    things : Clues
        Of many composites.
    number : int
        Which lesson.
    seed : int
    count : int
        How many things are chosen.
    clean : float
        Share of them that stay as they are.
    plain : bool
        Leave whole pictures in their own light; by default each is seen in another, with its object.
    """
    generator = np.random.default_rng([seed, number])
    chosen = generator.integers(len(things.object), size=count)
    part = {field.name: torch.from_numpy(getattr(things, field.name)[chosen]) for field in dataclasses.fields(Clues)}
    if not plain:
        whole = generator.normal(0, 1, (count, 6)) * (0.05, 0.05, 0.05, 0.1, 0.1, 0)
        whole[:, :3] += generator.normal(0, 0.1, (count, 1))
        light = torch.from_numpy(whole.astype(np.float32))
        for name in ("object", "near", "far", "pairs"):
            part[name] = apply_tone(light, part[name].flatten(1, -2)).reshape(part[name].shape)
    left = torch.from_numpy(generator.random(count) < clean)
    flaws = [Flaws.draw(generator) for _ in range(count)]
    truth = part["object"]
    own = torch.where(left[:, None, None], truth, recolour(truth, part["object_places"], flaws))
    inside = part["pairs"][:, :, :2]
    places = part["pair_places"][:, :, None].expand(-1, -1, 2, -1).flatten(1, 2)
    changed = recolour(inside.flatten(1, 2), places, flaws).reshape(inside.shape)
    inside = torch.where(left[:, None, None, None], inside, changed)
    pairs = torch.cat([inside, part["pairs"][:, :, 2:]], 2)
    return Lesson(Seen(own, part["near"], part["far"], pairs, part["pair_weights"], part["share"]), truth, left)


class HarmonizerTraining:
    """What changes while the harmonizer is trained.

    Parameters
    ----------
    options : HarmonizerOptions
    device : str
    measured : list of Lesson
        Of things that are never learned from: recoloured ones, and such as they were.
    """

    def __init__(self, options: HarmonizerOptions, device: str, measured: list[Lesson]) -> None:
        self.options, self.device, self.measured = options, device, measured
        with torch.random.fork_rng(devices=[]):  # nobody else's numbers are drawn from this seed
            torch.manual_seed(options.seed)
            self.network = HarmonyNetwork().to(device)
        self.average = copy.deepcopy(self.network).requires_grad_(False).eval()
        self.optimizer = torch.optim.AdamW(self.network.parameters(), lr=options.rate, weight_decay=1e-3)

    def modules(self) -> dict[str, torch.nn.Module]:
        """Everything that has weights, by name."""
        return {"network": self.network, "average": self.average}

    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        """What remembers earlier steps, by name."""
        return {"optimizer": self.optimizer}

    def state(self) -> dict[str, Any]:
        """What else changes: nothing."""
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Take up what ``state`` told before."""

    def finished(self) -> bool:
        """Never before the last step."""
        return False

    def step(self, iteration: int, lesson: Lesson) -> dict[str, float]:
        """Learn from a lesson; the loss, in dB."""
        for group in self.optimizer.param_groups:
            falling = 0.5 * (1 + math.cos(math.pi * iteration / self.options.iterations))
            group["lr"] = self.options.rate * min(1, (iteration + 1) / WARMING) * falling
        self.optimizer.zero_grad()
        with torch.random.fork_rng(devices=[]):  # what is dropped depends on the step alone, so that training resumes exactly
            torch.manual_seed(self.options.seed + iteration)
            tone = self.network(lesson.seen)
        error = ((apply_tone(tone, lesson.seen.object) - lesson.truth) ** 2).mean((1, 2))
        loss = torch.log10(error + BLIND**2).mean()
        loss.backward()
        average_gradients(self.network.parameters())
        norm = torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        if math.isfinite(float(norm)):
            self.optimizer.step()
        follow(self.average, self.network, iteration)
        return {"loss_db": 10 * float(loss.detach())}

    @torch.no_grad()
    def measure(self) -> dict[str, Any]:
        """What the averaged network gains on recoloured things, and what it leaves of those that nobody changed, in dB of the object."""
        figures: dict[str, Any] = {}
        for lesson in self.measured:
            own, truth = lesson.seen.object, lesson.truth
            change = apply_tone(self.average(lesson.seen), own) - own
            size = (change**2).mean((1, 2)).sqrt().clamp(min=1e-9)
            after = _decibels(own + (CAP / size).clamp(max=1)[:, None, None] * change, truth)
            if lesson.clean.all():
                figures |= {"clean_db": float(after.mean()), "clean_worst_db": float(after.min())}
                continue
            gain = after - _decibels(own, truth)
            figures |= {"recoloured_db": float(_decibels(own, truth).mean()), "gain_db": float(gain.mean())}
            figures["share_worse"] = float((gain < -0.1).float().mean())
        return figures


def _decibels(colours: Tensor, truth: Tensor) -> Tensor:
    """PSNR of every object, 60 dB at most."""
    return -10 * torch.log10(((colours - truth) ** 2).mean((1, 2)) + 1e-6)


def train_harmonizer(
    photos: Iterable[str | os.PathLike[str]],
    output: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    progress: Progress | None = None,
    **options: Any,
) -> dict[str, Any]:
    """Train the harmonizer of pasted objects.

    Parameters and files are those of ``train_refiner``, but for the critic, and options are the fields of
    ``compositor.options.HarmonizerOptions``.

    Returns
    -------
    dict
        The record that stands in the weights.
    """
    chosen = HarmonizerOptions.of(options)
    photos = photos if isinstance(photos, str | os.PathLike) else list(photos)  # they are gone through twice
    with begin(output, chosen, overwrite=overwrite, inputs=photos) as course:
        learned, held_out = Photographs.read(photos)
        things = find_things(learned, chosen.crops, chosen.things, seed=chosen.seed, progress=progress)
        unseen = find_things(held_out, chosen.measured, chosen.things, seed=MEASURED_SEED)
        count = len(unseen.object)
        measured = [make_lesson(unseen, 0, seed=MEASURED_SEED, count=count, clean=clean, plain=True) for clean in (0, 1)]
        training = HarmonizerTraining(chosen, course.device, [_moved(lesson, course.device) for lesson in measured])

        def make(number: int) -> Lesson:
            lesson = make_lesson(things, number, seed=chosen.seed, count=chosen.batch, clean=chosen.clean)
            return _moved(lesson, course.device)

        record = run(training, make, course, course.asked(learned, held_out), progress)
        record["shape"] = dataclasses.asdict(training.network.shape)
        return finish(course, record, {".safetensors": (KIND, training.average.state_dict())}, _card)


def _moved(lesson: Lesson, device: str) -> Lesson:
    """The lesson on the device."""
    seen = Seen(**{field.name: getattr(lesson.seen, field.name).to(device) for field in dataclasses.fields(Seen)})
    return Lesson(seen, lesson.truth.to(device), lesson.clean.to(device))


def _card(name: str, record: dict[str, Any]) -> str:
    told = {"called": "the harmonizer", "command": "train harmonizer", "measured": "things in photos that were not learned from"}
    return card(name, record, meant=MEANT, **told)
