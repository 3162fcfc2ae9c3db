"""``compositor train``."""

from __future__ import annotations

import os
from typing import Any

import click

from compositor.cli.console import Console, console_options, named, print_text
from compositor.cli.options import Command, options_from
from compositor.options import ClassifierOptions, EncoderOptions, GanOptions, HarmonizerOptions, TrainOptions, VaeOptions

REFINER_EXAMPLES = """\b
Examples:
  compositor train refiner photos/ -o seams.safetensors --iterations 4000 -v
  compositor train refiner photos.txt -o seams.safetensors --seed 1 --threads 2"""
ENCODER_EXAMPLES = """\b
Examples:
  compositor train encoder photos/ -o encoder.safetensors -v
  torchrun --nproc-per-node 2 -m compositor train encoder photos/ -o encoder.safetensors --device cuda"""

HARMONIZER_EXAMPLES = """\b
Examples:
  compositor train harmonizer photos/ -o tones.safetensors -v"""
GAN_EXAMPLES = """\b
Examples:
  compositor train gan pictures/ -o generator.safetensors -v
  compositor train gan pictures/ -o generator.safetensors --size 64 --iterations 50000 --device cuda"""
VAE_EXAMPLES = """\b
Examples:
  compositor train vae pictures/ -o codes.safetensors -v
  compositor train vae pictures/ -o codes.safetensors --size 64 --beta 2"""


CLASSIFIER_EXAMPLES = """\b
Examples:
  compositor train classifier animals/ -o animals.safetensors      # animals/cat/*.jpg, animals/dog/*.jpg, ...
  compositor train classifier animals/ -o animals.safetensors --start scratch --size 96"""


@click.group(short_help="Train a network on photos of yours.")
def train() -> None:
    """Train a network on photos of yours; needs the extra «learned»."""


def training_options(command: Command) -> Command:
    """What every training from photos is told."""
    return click.argument("photos", nargs=-1, required=True, type=click.Path(exists=True))(weights_options(command))


def weights_options(command: Command) -> Command:
    """Where weights go."""
    for decorate in (
        click.option("--overwrite", is_flag=True, help="Replace weights that are there."),
        click.option(
            "-o",
            "--output",
            type=click.Path(),
            required=True,
            help="The weights to write, .safetensors; a log and a card stand beside them.",
        ),
    ):
        command = decorate(command)
    return command


@train.command(epilog=REFINER_EXAMPLES)
@training_options
@options_from(TrainOptions)
@console_options
@click.pass_obj
def refiner(console: Console, /, photos: tuple[str, ...], output: str, overwrite: bool, **options: Any) -> int:
    """Train the refiner of seams.

    PHOTOS are files, folders, or lists (.txt) with a scene a line; several photos of one scene stand in its line, parted by tabs. One
    scene of eight is kept for measuring. Stopped, the same command goes on from the last checkpoint.
    """
    from compositor.learned import train_refiner

    with console.progress() as progress:
        record = train_refiner(photos, output, overwrite=overwrite, progress=progress, **options)
    return tell(console, "train refiner", output, record)


@train.command(epilog=ENCODER_EXAMPLES)
@training_options
@options_from(EncoderOptions)
@console_options
@click.pass_obj
def encoder(console: Console, /, photos: tuple[str, ...], output: str, overwrite: bool, **options: Any) -> int:
    """Train the encoder of pictures, without labels.

    It learns which parts of photos overlap, whatever their light. PHOTOS are files, folders, or lists (.txt) with a scene a line; several
    photos of one scene stand in its line, parted by tabs. One scene of eight is kept for measuring. Stopped, the same command goes on from
    the last checkpoint.
    """
    from compositor.learned import train_encoder

    with console.progress() as progress:
        record = train_encoder(photos, output, overwrite=overwrite, progress=progress, **options)
    return tell(console, "train encoder", output, record)


@train.command(epilog=HARMONIZER_EXAMPLES)
@training_options
@options_from(HarmonizerOptions)
@console_options
@click.pass_obj
def harmonizer(console: Console, /, photos: tuple[str, ...], output: str, overwrite: bool, **options: Any) -> int:
    """Train the harmonizer of pasted objects.

    PHOTOS are files, folders, or lists (.txt) with a scene a line; several photos of one scene stand in its line, parted by tabs. Objects
    are looked for in them; no masks are needed. One scene of eight is kept for measuring. Stopped, the same command goes on from the
    last checkpoint.
    """
    from compositor.learned import train_harmonizer

    with console.progress() as progress:
        record = train_harmonizer(photos, output, overwrite=overwrite, progress=progress, **options)
    return tell(console, "train harmonizer", output, record)


@train.command(epilog=GAN_EXAMPLES)
@click.argument("folder", type=click.Path(exists=True, file_okay=False))
@weights_options
@options_from(GanOptions)
@console_options
@click.pass_obj
def gan(console: Console, /, folder: str, output: str, overwrite: bool, **options: Any) -> int:
    """Train a network that makes pictures like those in a folder.

    FOLDER holds pictures, those of a class in a folder of its name where there are classes; «generate» then makes pictures of each. Their
    middle squares are learned from. Every report shows what is made in a picture beside the weights (.samples.png). Stopped, the same
    command goes on from the last checkpoint.
    """
    from compositor.learned import train_gan

    with console.progress() as progress:
        record = train_gan(folder, output, overwrite=overwrite, progress=progress, **options)
    return tell(console, "train gan", output, record)


@train.command(epilog=VAE_EXAMPLES)
@click.argument("folder", type=click.Path(exists=True, file_okay=False))
@weights_options
@options_from(VaeOptions)
@console_options
@click.pass_obj
def vae(console: Console, /, folder: str, output: str, overwrite: bool, **options: Any) -> int:
    """Train a network that puts the pictures of a folder into few numbers and back.

    FOLDER is as for «train gan». «generate» makes new pictures of random numbers; what lies between two pictures, and what the numbers
    remember of one, compositor.learned.Vae tells in Python.
    """
    from compositor.learned import train_vae

    with console.progress() as progress:
        record = train_vae(folder, output, overwrite=overwrite, progress=progress, **options)
    return tell(console, "train vae", output, record)


@train.command(epilog=CLASSIFIER_EXAMPLES)
@click.argument("folder", type=click.Path(exists=True, file_okay=False))
@weights_options
@options_from(ClassifierOptions)
@console_options
@click.pass_obj
def classifier(console: Console, /, folder: str, output: str, overwrite: bool, **options: Any) -> int:
    """Train a classifier on FOLDER, which has a folder for each class.

    One picture of five is kept for measuring, and for when to stop. Which classes are taken for which stands beside the weights as a
    picture. Stopped, the same command goes on from the last checkpoint.
    """
    from compositor.learned import train_classifier

    with console.progress() as progress:
        record = train_classifier(folder, output, overwrite=overwrite, progress=progress, **options)
    return tell(console, "train classifier", output, record)


def tell(console: Console, command: str, output: str, record: dict[str, Any]) -> int:
    """Say how good the weights are; the exit code. Of several processes only the first has written them, and tells."""
    left_out = [(name, reason) for name, reason in record.get("left_out", [])]
    if "sha256" in record:
        _tell_figures(console, command, output, record, left_out)
    return 3 if left_out else 0


def _tell_figures(console: Console, command: str, output: str, record: dict[str, Any], left_out: list[tuple[str, str]]) -> None:
    """Say how good the weights are, as text or as JSON."""
    place = os.path.abspath(output)
    if console.json:
        fields = {"output": place, "figures": record["figures"], "sha256": record["sha256"], "left_out": named(left_out)}
        console.result(command, fields)
        return
    learned, held_out = (
        ", ".join(record[part].values()) if len(record[part]) == 1 else f"{len(record[part])} photos"
        for part in ("photographs", "held_out")
    )
    print_text(f"{learned} learned from, {held_out} measured on")
    figures = "".join(f"{name} {value:.4g}\n" for name, value in record["figures"].items())
    print_text(f"{figures}the weights are {place}")
