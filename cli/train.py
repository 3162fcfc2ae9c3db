"""``compositor train``."""

from __future__ import annotations

import os
from typing import Any

import click

from compositor.cli.console import Console, console_options, named, print_text
from compositor.cli.options import Command, options_from
from compositor.options import EncoderOptions, HarmonizerOptions, TrainOptions

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


@click.group(short_help="Train a network on photos of yours.")
def train() -> None:
    """Train a network on photos of yours; needs the extra «learned»."""


def training_options(command: Command) -> Command:
    """What every training is told."""
    for decorate in (
        click.option("--overwrite", is_flag=True, help="Replace weights that are there."),
        click.option(
            "-o",
            "--output",
            type=click.Path(),
            required=True,
            help="The weights to write, .safetensors; a log and a card stand beside them.",
        ),
        click.argument("photos", nargs=-1, required=True, type=click.Path(exists=True)),
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


def tell(console: Console, command: str, output: str, record: dict[str, Any]) -> int:
    """Say how good the weights are; the exit code."""
    left_out = [(name, reason) for name, reason in record.get("left_out", [])]
    if console.json:
        fields = {"output": os.path.abspath(output), "figures": record["figures"], "sha256": record["sha256"], "left_out": named(left_out)}
        console.result(command, fields)
    else:
        print_text(f"{len(record['photographs'])} photos learned from, {len(record['held_out'])} measured on")
        figures = "".join(f"{name} {value:.4g}\n" for name, value in record["figures"].items())
        print_text(f"{figures}the weights are {os.path.abspath(output)}")
    return 3 if left_out else 0
