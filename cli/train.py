"""``compositor train``."""

from __future__ import annotations

import os
from typing import Any

import click

from compositor.cli.console import Console, console_options, print_text
from compositor.cli.options import options_from
from compositor.options import TrainOptions

EXAMPLES = """\b
Examples:
  compositor train refiner photos/ -o seams.safetensors --iterations 4000 -v
  compositor train refiner photos.txt -o seams.safetensors --seed 1 --threads 2"""


@click.group(short_help="Train a network on photos of yours.")
def train() -> None:
    """Train a network on photos of yours; needs the extra «learned»."""


@train.command(epilog=EXAMPLES)
@click.argument("photos", nargs=-1, required=True, type=click.Path(exists=True))
@click.option(
    "-o", "--output", type=click.Path(), required=True, help="The weights to write, .safetensors; a log and a card stand beside them."
)
@click.option("--overwrite", is_flag=True, help="Replace weights that are there.")
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
    if console.json:
        console.result("train refiner", {"output": os.path.abspath(output), "figures": record["figures"], "sha256": record["sha256"]})
    else:
        print_text(f"{len(record['photographs'])} photos learned from, {len(record['held_out'])} measured on")
        print_text(
            "".join(f"{name} {value:.4g}\n" for name, value in record["figures"].items()) + f"the weights are {os.path.abspath(output)}"
        )
    return 0
