"""A training of a painter: parts of photos, given the style's colours, are painted so that their patches become those of the style.

It learns from the terms that painting by descent goes down: at three sizes the sliced Wasserstein distance between random features of what
was painted and of the style, where the style has such colours; and the lines, colours and plain areas that are to stay. Other than there,
features see colours less their average nearby: a part of a photo has not all colours of the style, and how far it is from them would
drown what can be learned. Features and directions are drawn anew at every step, from its number.
"""

from __future__ import annotations

import copy
import dataclasses
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from compositor.datasets.augment import generator_of
from compositor.errors import OptionError
from compositor.images.files import printable
from compositor.learned.batches import sheet
from compositor.learned.device import computing_in
from compositor.learned.folders import read_entries
from compositor.learned.learner import NetworkLearner, Record, Results, seeded
from compositor.learned.likeness import RandomFeatures, Shown, apart, partners, resized, smooth
from compositor.learned.painter import KIND
from compositor.learned.photographs import Photograph, Photographs, is_picture
from compositor.learned.pictures import read_picture
from compositor.learned.strokes import COLORS, StrokeNetwork, StrokeShape
from compositor.learned.vary import blur, expose
from compositor.options import PainterOptions
from compositor.style import transfer_colors
from compositor.types import Progress

__all__ = ["PainterTraining", "Subjects"]

SHOWN = 512
"""Px a side of a square as large as a style is looked at, for a brush of 1: about the photos' own size."""
WINDOW = 256
"""Longest side, px, of the part of a style that a step looks at."""
SIZES = (1, 2, 4)
"""By which pictures are shrunk to compare them."""
FLOOR = 1e-3
"""Of a style's variance: in parts of it that are all but plain, differences that nobody sees would count most."""
SAMPLES = 2048
"""Places of what was painted that are compared, with as many of the style."""
MEASURED_SEED = 2**64
"""Seed of what reports are measured on."""
PICTURED = 8
"""Parts of photos that a report shows."""


@dataclasses.dataclass(frozen=True, eq=False)
class Subjects:
    """Photos to be painted, and the pictures in whose style.

    Parameters
    ----------
    photographs : Photographs
    styles : tuple of Photograph
    broken : tuple of (str, str)
        Name and reason of every picture of the style that could not be read.
    """

    photographs: Photographs
    styles: tuple[Photograph, ...]
    broken: tuple[tuple[str, str], ...] = ()

    @property
    def left_out(self) -> tuple[tuple[str, str], ...]:
        """Name and reason of every file that could not be read."""
        return (*self.photographs.left_out, *self.broken)

    def manifest(self) -> dict[str, str]:
        """SHA-256 and name of every photo."""
        return self.photographs.manifest()

    @classmethod
    def read(cls, photos: Any, options: PainterOptions) -> tuple[Subjects, Subjects]:
        """Photos to learn from and others to measure on, both with the style.

        Raises
        ------
        OptionError
            There is no style, or there are too few photos.
        """
        if not options.style:
            raise OptionError("style= is missing; give a picture, or a folder of pictures in one style")
        place = Path(options.style)
        paths, top = (sorted(place.rglob("*")), place) if place.is_dir() else ([place], place.parent)
        found = [("", path) for path in paths if path == place or is_picture(path)]
        broken: list[tuple[str, str]] = []
        short = round(SHOWN * options.brush)
        entries = read_entries(top, found, lambda path: read_picture(path, short=short), broken, threads=options.threads)
        if not entries:
            why = f"; {broken[0][0]}: {broken[0][1]}" if broken else ""
            raise OptionError(f"{printable(place)}: no picture of a style could be read{why}", left_out=tuple(broken))
        styles = {entry.digest: Photograph(entry.name, entry.digest, entry.pixels) for entry in entries}
        learned, held_out = Photographs.read(photos, threads=options.threads)
        ordered = tuple(styles[digest] for digest in sorted(styles))
        return cls(learned, ordered, tuple(broken)), cls(held_out, ordered)


@dataclasses.dataclass(frozen=True, eq=False)
class Lesson:
    """What a step learns from.

    Parameters
    ----------
    colored : (b, 3, s, s) float32
        Parts of photos in the style's colours; encoded RGB, 0..1.
    draws : torch.Generator
        Whatever else the step draws at random, on the CPU.
    """

    colored: Tensor
    draws: torch.Generator


class PainterTraining(NetworkLearner[Lesson]):
    """What changes while a painter is trained.

    Parameters
    ----------
    options : PainterOptions
    device : str
    learned, held_out : Photographs
        In the style's colours, to learn from and to measure on.
    styles : sequence of Photograph
    """

    longest, warming = 1.0, 20

    def __init__(
        self, options: PainterOptions, device: str, learned: Photographs, held_out: Photographs, styles: tuple[Photograph, ...]
    ) -> None:
        self.options, self.device, self.learned, self.named = options, device, learned, styles
        with seeded(options.seed):
            self.network = StrokeNetwork(StrokeShape(channels=options.channels)).to(device, memory_format=torch.channels_last)
        self.network.palette.copy_(torch.from_numpy(_palette(styles)))
        self.average = copy.deepcopy(self.network).requires_grad_(False)
        self.optimizer = torch.optim.AdamW(self.network.parameters(), lr=options.rate, weight_decay=1e-3, betas=(0.9, 0.99))
        self.styles = [_scaled(style.pixels, SHOWN * options.brush).to(device) for style in styles]
        self.measured = self._lesson(held_out, MEASURED_SEED, 0, options.measured)

    @classmethod
    def prepared(cls, options: PainterOptions, device: str, learned: Subjects, held_out: Subjects, progress: Progress | None) -> Self:
        """A training that has not begun."""
        palette, colored = _floats(_palette(learned.styles)[None]), []
        given = [*learned.photographs.photographs, *held_out.photographs.photographs]
        for done, photo in enumerate(given, 1):
            pixels = np.clip(transfer_colors(_floats(photo.pixels), palette), 0, 1)
            colored.append(dataclasses.replace(photo, pixels=np.rint(pixels * 255).astype(np.uint8)))
            if progress:
                progress("colours", done, len(given))
        count = len(learned.photographs.photographs)
        return cls(options, device, Photographs(colored[:count]), Photographs(colored[count:]), learned.styles)

    def asked(self) -> Record:
        """The pictures of the style."""
        return {"styles": {style.digest: style.name for style in self.named}}

    def make(self, number: int) -> Lesson:
        """The parts of photos of a step."""
        return self._lesson(self.learned, self.options.seed, number, self.options.batch)

    def _lesson(self, photographs: Photographs, seed: int, number: int, count: int) -> Lesson:
        """Parts of photos; they depend on seed and number only."""
        generator, size = generator_of(seed, number), self.options.size
        crops = np.stack([photographs.crop(generator, size) for _ in range(count)])
        draws = torch.Generator().manual_seed(int(generator.integers(2**62)))
        colored = torch.from_numpy(crops.transpose(0, 3, 1, 2).copy()).to(self.device).float() / 255
        colored = blur(expose(colored, draws, stops=0.2, balance=0.2), draws, most=1.5, chance=0.3)  # large photos are smoother
        return Lesson(colored, draws)

    def step(self, iteration: int, lesson: Lesson) -> dict[str, float]:
        """Learn from parts of photos; the losses."""
        with computing_in(self.options.precision, self.device):
            painted = self.network(lesson.colored)
        painted = painted.float()
        style = self._far(painted, lesson.draws)
        loss = Shown(lesson.colored, lesson.colored, self.options.detail).added(style, painted)
        self.learn(iteration, loss)
        return {"loss": float(loss.detach()), "style": float(style.detach())}

    def _far(self, painted: Tensor, draws: torch.Generator) -> Tensor:
        """How far patches are from those of the style that have their colours, the mean over sizes."""
        style = self._window(draws)
        features = RandomFeatures(draws, painted.device)
        total = painted.new_zeros(())
        for factor in SIZES:
            made, own = (resized(one, [length // factor for length in one.shape[2:]]).contiguous() for one in (painted, style))
            colors, models = smooth(made), smooth(own)
            mine, theirs = (_rows(one.detach()) for one in (colors, models))
            seen, places = (torch.randint(len(rows), (SAMPLES,), generator=draws).to(made.device) for rows in (mine, theirs))
            places = places[partners(mine[seen], theirs[places])]
            for found, wanted in zip(features(made - colors), features(own - models), strict=True):
                total = total + apart(_rows(found)[seen].T, _rows(wanted)[places].T, draws, FLOOR)
        return total / len(SIZES)

    def _window(self, draws: torch.Generator) -> Tensor:
        """A part of a picture of the style, both at random, (1, 3, h, w)."""
        style = self.styles[int(torch.randint(len(self.styles), (), generator=draws))]
        corner = [int(torch.randint(max(0, length - WINDOW) + 1, (), generator=draws)) for length in style.shape[2:]]
        return style[:, :, corner[0] : corner[0] + WINDOW, corner[1] : corner[1] + WINDOW]

    @torch.no_grad()
    def measure(self) -> Record:
        """How much nearer to the style painting brings parts of photos that were not learned from, and how much of their lines stays."""
        colored = self.measured.colored
        painted = self.average(colored)
        seed = self.measured.draws.initial_seed()
        after, before = (float(self._far(one, torch.Generator().manual_seed(seed))) for one in (painted, colored))
        return {"style_distance": after / max(before, 1e-9), "lines_kept": Shown(colored, colored, self.options.detail).kept(painted)}

    @torch.no_grad()
    def picture(self) -> NDArray[np.uint8]:
        """Parts of photos, and below them how they are painted."""
        colored = self.measured.colored[:PICTURED]
        both = torch.cat([colored, self.average(colored)]).clamp(0, 1).permute(0, 2, 3, 1).cpu().numpy()
        return sheet(np.rint(both * 255).astype(np.uint8), across=len(colored))

    def results(self) -> Results:
        """The averaged network."""
        listed = "\n".join(f"- {style.name} `{style.digest}`" for style in self.named)
        told = f"\n## Paints in the style of\n\n{listed}\n"
        return Results({".safetensors": (KIND, self.average.state_dict())}, {"shape": dataclasses.asdict(self.network.shape)}, told=told)


def _palette(styles: tuple[Photograph, ...]) -> NDArray[np.uint8]:
    """Colours of all styles alike, (COLORS, 3), evenly over each."""
    parts = []
    for count, style in zip(np.diff(np.linspace(0, COLORS, len(styles) + 1).round().astype(int)), styles, strict=True):
        colors = style.pixels.reshape(-1, 3)
        parts.append(colors[np.linspace(0, len(colors) - 1, count).round().astype(int)])
    return np.concatenate(parts)


def _rows(maps: Tensor) -> Tensor:
    """What maps (b, c, h, w) tell of every place, (b * h * w, c)."""
    return maps.permute(0, 2, 3, 1).flatten(0, 2)


def _floats(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    return np.asarray(pixels / np.float32(255), np.float32)


def _scaled(pixels: NDArray[np.uint8], side: float) -> Tensor:
    """A picture, (1, 3, h, w) float32, 0..1, with the area of a square of this side; never enlarged."""
    height, width = pixels.shape[:2]
    factor = min(1.0, side / (height * width) ** 0.5)
    picture = torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))[None].float() / 255
    # What patches and averages reach over must fit in at every size.
    return resized(picture, [max(12 * max(SIZES), round(length * factor)) for length in (height, width)])
