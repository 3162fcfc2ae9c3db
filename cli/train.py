"""``compositor train``."""

from __future__ import annotations

import functools
import os
import shlex
from collections.abc import Mapping
from typing import Any

import click

from compositor.cli.console import Console, console_options, named, print_text
from compositor.cli.options import options_from
from compositor.cli.photos import require_photos
from compositor.errors import CompositorError, counted
from compositor.options import (
    ClassifierOptions,
    EncoderOptions,
    GanOptions,
    HarmonizerOptions,
    LearnOptions,
    PainterOptions,
    TrainOptions,
    VaeOptions,
)

PHOTOS, FOLDER = "PHOTOS...", "FOLDER"
SCENES = """PHOTOS are files, folders, or lists (.txt) with a scene a line; several photos of one scene stand in its line, parted by tabs.
One scene of eight is kept for measuring."""
RESUMED = "Stopped, the same command goes on from the last checkpoint."


@click.group(short_help="Train a network on photos of yours.")
def train() -> None:
    """Train a network on photos of yours; needs the extra «learned»."""


def add_training(name: str, fields: type[LearnOptions], source: str, title: str, text: str, *examples: str) -> None:
    """Add the command of a training: what it is called, its options, what it learns from, its help and examples of its use."""
    many = source == PHOTOS

    def command(console: Console, /, source: Any, output: str, overwrite: bool, **options: Any) -> int:
        places = source if many else [source]
        require_photos(places, len(places))
        from compositor import learned

        training = getattr(learned, f"train_{name}")
        console.when_stopped = functools.partial(what_is_left, console, output, options)
        with console.progress() as progress:
            record = training(source, output, overwrite=overwrite, progress=progress, tell=console.say, **options)
        console.when_stopped = str
        return tell(console, f"train {name}", output, record)

    made: Any = command
    shown = "".join(f"\n  {example}" for example in examples)
    for decorate in (
        click.pass_obj,
        console_options,
        options_from(fields),
        click.option("--overwrite", is_flag=True, help="Replace weights that are there."),
        click.option(
            "-o",
            "--output",
            type=click.Path(),
            required=True,
            help="The weights to write, .safetensors; a log and a card stand beside them.",
        ),
        click.argument("source", metavar=source, nargs=-1 if many else 1, required=True, type=click.Path()),
        train.command(name, help=f"{title}\n\n{text} {RESUMED}", epilog=f"\b\nExamples:{shown}"),
    ):
        made = decorate(made)


add_training(
    "refiner",
    TrainOptions,
    PHOTOS,
    "Train the refiner of seams.",
    SCENES,
    "compositor train refiner photos/ -o seams.safetensors --iterations 4000 -v",
    "compositor train refiner photos.txt -o seams.safetensors --seed 1 --threads 2",
)
add_training(
    "encoder",
    EncoderOptions,
    PHOTOS,
    "Train the encoder of pictures, without labels.",
    f"""It learns which parts of photos overlap, whatever their light; with «--squares anywhere» what sets the pictures of a collection
apart, for learning their classes from few labels. {SCENES}""",
    "compositor train encoder photos/ -o encoder.safetensors -v",
    "compositor train encoder animals/ -o own.safetensors --squares anywhere      # then train classifier with --encoder own.safetensors",
    "torchrun --nproc-per-node 2 -m compositor train encoder photos/ -o encoder.safetensors --device cuda",
)
add_training(
    "harmonizer",
    HarmonizerOptions,
    PHOTOS,
    "Train the harmonizer of pasted objects.",
    f"Objects are looked for in photos; no masks are needed. {SCENES}",
    "compositor train harmonizer photos/ -o tones.safetensors -v",
)
add_training(
    "gan",
    GanOptions,
    FOLDER,
    "Train a network that makes pictures like those in a folder.",
    """FOLDER holds pictures, those of a class in a folder of its name where there are classes; «generate» then makes pictures of each.
Their middle squares are learned from. Every report shows what is made of the same random numbers in a picture beside the
weights (.samples.png, and by its step: .samples.000500.png).""",
    "compositor train gan pictures/ -o generator.safetensors -v",
    "compositor train gan pictures/ -o generator.safetensors --size 64 --iterations 50000 --device cuda",
)
add_training(
    "vae",
    VaeOptions,
    FOLDER,
    "Train a network that puts the pictures of a folder into few numbers and back.",
    """FOLDER is as for «train gan». «generate» makes new pictures of random numbers; what lies between two pictures, and what the numbers
remember of one, compositor.learned.Vae tells in Python.""",
    "compositor train vae pictures/ -o codes.safetensors -v",
    "compositor train vae pictures/ -o codes.safetensors --size 64 --beta 2",
)
add_training(
    "painter",
    PainterOptions,
    PHOTOS,
    "Train a network that paints pictures in one style.",
    f"""«style --weights» then paints any picture in a moment. What photos show matters little, so few will do. {SCENES} Every report shows
what is painted in a picture beside the weights (.samples.png, and
by its step: .samples.000500.png).""",
    "compositor train painter photos/ --style painting.jpg -o painter.safetensors -v",
    "compositor train painter photos/ --style etchings/ -o painter.safetensors --brush 0.5 --detail 0.8",
)
add_training(
    "classifier",
    ClassifierOptions,
    FOLDER,
    "Train a classifier on FOLDER, which has a folder for each class.",
    """One picture of five is kept for measuring, and for when to stop. Which classes are taken for which stands beside the weights as a
picture.""",
    "compositor train classifier animals/ -o animals.safetensors      # animals/cat/*.jpg, animals/dog/*.jpg, ...",
    "compositor train classifier animals/ -o animals.safetensors --begin scratch --size 96",
)


def what_is_left(console: Console, output: str, options: Mapping[str, Any]) -> str:
    """What a training that was stopped has saved, and how it goes on."""
    from compositor.learned.course import standing

    try:
        stands = standing(output)
    except CompositorError:
        return ""  # of a checkpoint that is none training says so when it begins
    if not stands:
        return f"; nothing is saved yet, the first checkpoint comes at step {min(options['report_every'], options['iterations'])}"
    reached = f"step {stands['iteration']} of {options['iterations']}"
    return f"; saved up to {reached}, from where this goes on: {shlex.join(['compositor', *console.arguments])}"


def tell(console: Console, command: str, output: str, record: dict[str, Any]) -> int:
    """Say how good the weights are; the exit code. Of several processes only the first has written them, and tells.

    To torchrun any code but 0 is a failure of all, so with several nothing but the warnings tells what was left out.
    """
    left_out = [(name, reason) for name, reason in record.get("left_out", [])]
    if "sha256" in record:
        _tell_figures(console, command, output, record, left_out)
    return 3 if left_out and int(os.environ.get("WORLD_SIZE", "1")) == 1 else 0


def _tell_figures(console: Console, command: str, output: str, record: dict[str, Any], left_out: list[tuple[str, str]]) -> None:
    """Say how good the weights are, as text or as JSON."""
    from compositor.learned.figures import in_words

    place = os.path.abspath(output)
    if console.json:
        fields = {"output": place, "figures": record["figures"], "sha256": record["sha256"], "left_out": named(left_out)}
        console.result(command, fields)
        return
    learned, held_out = (
        ", ".join(record[part].values()) if len(record[part]) == 1 else counted(len(record[part]), "photo")
        for part in ("photographs", "held_out")
    )
    print_text(f"{learned} learned from, {held_out} measured on")
    figures = "".join(f"{in_words(name, value)}\n" for name, value in record["figures"].items())
    print_text(f"{figures}the weights are {place}")
