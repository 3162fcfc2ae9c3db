"""Training the harmonizer: things of a photograph are seen in another light, and the network learns to undo that.

Looking at a photograph takes long, changing the colours of what was seen does not: things are looked for once, and every step sees some of
them in lights of its own. The loss is the logarithm of the error, as PSNR is: it rewards seeing through a change, and punishes little what
cannot be seen, so that the network leaves alone what it is not sure of, and what nobody changed.
"""

from __future__ import annotations

import copy
import dataclasses
from typing import Any, Self

import cv2
import numpy as np
import torch
from torch import Tensor

from compositor.learned.clues import Clues, gather_clues
from compositor.learned.device import computing_in
from compositor.learned.flaws import Flaws
from compositor.learned.harmony import HarmonyNetwork, Seen
from compositor.learned.learner import NetworkLearner, Results, seeded
from compositor.learned.objects import draw_objects
from compositor.learned.photographs import Photographs
from compositor.learned.tones import apply_tone, recolour
from compositor.options import HarmonizeOptions, HarmonizerOptions
from compositor.types import Progress

__all__ = ["CAP", "HarmonizerTraining", "Lesson", "find_things", "make_lesson"]

KIND = "a harmonizer"
CAP = HarmonizeOptions.limit / 255
"""The most that an object may change, root mean square: what was right before keeps 28 dB, whatever the network proposes."""
SIZE = 256
"""Side of the crops that things are looked for in, px."""
BLIND = 5 / 255
"""Errors well below this count alike."""
MEASURED_SEED = 2**64


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


class HarmonizerTraining(NetworkLearner[Lesson]):
    """What changes while the harmonizer is trained.

    Parameters
    ----------
    options : HarmonizerOptions
    device : str
    things : Clues
        To learn from.
    measured : list of Lesson
        Of things that are never learned from: recoloured ones, and such as they were.
    """

    longest = 1.0

    def __init__(self, options: HarmonizerOptions, device: str, things: Clues, measured: list[Lesson]) -> None:
        self.options, self.device, self.things, self.measured = options, device, things, measured
        with seeded(options.seed):
            self.network = HarmonyNetwork().to(device)
        self.average = copy.deepcopy(self.network).requires_grad_(False).eval()
        self.optimizer = torch.optim.AdamW(self.network.parameters(), lr=options.rate, weight_decay=1e-3)

    @classmethod
    def prepared(
        cls, options: HarmonizerOptions, device: str, learned: Photographs, held_out: Photographs, progress: Progress | None
    ) -> Self:
        """A training that has not begun; things are looked for, which takes a while."""
        things = find_things(learned, options.crops, options.things, seed=options.seed, progress=progress)
        unseen = find_things(held_out, options.measured, options.things, seed=MEASURED_SEED)
        count = len(unseen.object)
        measured = [make_lesson(unseen, 0, seed=MEASURED_SEED, count=count, clean=clean, plain=True) for clean in (0, 1)]
        return cls(options, device, things, [_moved(lesson, device) for lesson in measured])

    def make(self, number: int) -> Lesson:
        """The lesson of a step."""
        options = self.options
        return _moved(make_lesson(self.things, number, seed=options.seed, count=options.batch, clean=options.clean), self.device)

    def step(self, iteration: int, lesson: Lesson) -> dict[str, float]:
        """Learn from a lesson; the loss, in dB."""
        # What is dropped depends on the step alone, so that training resumes exactly.
        with seeded(self.options.seed + iteration), computing_in(self.options.precision, self.device):
            tone = self.network(lesson.seen)
        error = ((apply_tone(tone.float(), lesson.seen.object) - lesson.truth) ** 2).mean((1, 2))
        loss = torch.log10(error + BLIND**2).mean()
        self.learn(iteration, loss)
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

    def results(self) -> Results:
        """The averaged network."""
        return Results({".safetensors": (KIND, self.average.state_dict())}, {"shape": dataclasses.asdict(self.network.shape)})


def _decibels(colours: Tensor, truth: Tensor) -> Tensor:
    """PSNR of every object, 60 dB at most."""
    return -10 * torch.log10(((colours - truth) ** 2).mean((1, 2)) + 1e-6)


def _moved(lesson: Lesson, device: str) -> Lesson:
    """The lesson on the device."""
    seen = Seen(**{field.name: getattr(lesson.seen, field.name).to(device) for field in dataclasses.fields(Seen)})
    return Lesson(seen, lesson.truth.to(device), lesson.clean.to(device))
