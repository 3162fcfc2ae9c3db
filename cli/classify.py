"""``compositor classify``."""

from __future__ import annotations

import os
from typing import IO, Any

import click

from compositor.cli.console import Console, console_options, named, one_line
from compositor.cli.options import options_from
from compositor.cli.photos import find_photos, photo_arguments, require_photos
from compositor.errors import ReadError
from compositor.options import ClassifyOptions

EXAMPLES = """\b
Examples:
  compositor classify photos/ --weights animals.safetensors
  compositor classify photos/*.jpg --weights animals.safetensors --json"""


@click.command(short_help="Tell which class pictures belong to.", epilog=EXAMPLES)
@photo_arguments
@click.option("--weights", type=click.Path(), required=True, help="The classifier's, a .safetensors file that «train classifier» wrote.")
@options_from(ClassifyOptions)
@console_options
@click.pass_obj
def classify(console: Console, /, photos: tuple[str, ...], from_file: IO[str] | None, weights: str, device: str) -> int:
    """Tell which class pictures belong to, with a probability; needs the extra «learned». Folders are gone through at any depth."""
    from compositor.images import photo_names
    from compositor.learned import Classifier

    sources = find_photos(console, photos, from_file, deep=True)
    require_photos(sources, 1)
    classifier = Classifier.load(weights, device=device)
    records: list[dict[str, Any]] = []
    for name, source in zip(photo_names(sources), sources, strict=True):
        try:
            told = dict(zip(classifier.classes, classifier([source])[0].tolist(), strict=True))
        except ReadError as error:
            console.leave_out(name, str(error).removeprefix(f"{name}: "))
            continue
        likely = max(told, key=lambda one: told[one])
        records.append({"name": name, "path": os.path.abspath(source), "class": likely, "probability": told[likely], "probabilities": told})
    if not records:
        raise ReadError("none of the pictures can be read; the warnings say why", left_out=tuple(console.left_out))
    text = "\n".join(f"{record['probability']:.3f}  {one_line(record['class'])}  {one_line(record['name'])}" for record in records)
    console.result("classify", {"pictures": records, "left_out": named(console.left_out)}, text)
    return 3 if console.left_out else 0
