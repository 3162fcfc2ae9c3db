"""``compositor compare``."""

from __future__ import annotations

import os
from typing import Any

import click

from compositor.cli.console import Console, console_options, named
from compositor.cli.options import options_from
from compositor.cli.output import check_outputs
from compositor.cli.photos import find_photos, require_photos
from compositor.errors import OptionError, ReadError, counted
from compositor.options import CompareOptions
from compositor.threads import limit_threads

EXAMPLES = """\b
Examples:
  compositor compare panorama.jpg retouched.jpg --map where.png
  compositor compare holiday/ generated/ --json"""
LEAST = 4
"""Pictures of each folder."""


@click.command(short_help="Tell how different two pictures look, or two folders of pictures are.", epilog=EXAMPLES)
@click.argument("first", type=click.Path())
@click.argument("second", type=click.Path())
@click.option("--map", "drawn", type=click.Path(), help="Also write where two pictures look different: gray, white for 2 and more.")
@click.option("--overwrite", is_flag=True, help="Replace an output that exists.")
@options_from(CompareOptions)
@console_options
@click.pass_obj
def compare(console: Console, /, first: str, second: str, drawn: str | None, overwrite: bool, **options: Any) -> int:
    """Tell how different FIRST and SECOND are, by what a small network finds in them; needs the extra «learned».

    Two pictures of one size: 0 for equal ones, about 1 where one is spoilt badly. Two folders, gone through at any depth: how far apart
    what they show is distributed, and how much of either the other covers; SECOND is judged by FIRST.
    """
    for path in (first, second):
        require_photos([path], 1)
    folders = [os.path.isdir(path) for path in (first, second)]
    if folders[0] != folders[1]:
        raise click.UsageError("one is a folder and the other is not; give two pictures or two folders")
    if folders[0] and drawn:
        raise click.UsageError("--map draws where two pictures differ, not two folders")
    check_outputs(output=drawn, inputs=[first, second], overwrite=overwrite)
    chosen = CompareOptions.of(options)
    if chosen.seed and not folders[0]:
        raise OptionError(f"seed={chosen.seed} is of folders, of two pictures nothing is drawn; leave it out")
    with limit_threads(chosen.threads):
        told = compare_folders(console, first, second, chosen) if folders[0] else compare_pictures(first, second, drawn, chosen)
    figures = {name: figure for name, figure in told.items() if isinstance(figure, float) or (figure is None and name != "map")}
    text = "\n".join(f"{name.replace('_', ' '):20}  {'–' if figure is None else f'{figure:.4f}'}" for name, figure in figures.items())
    console.result("compare", {**told, "left_out": named(console.left_out)}, text)
    return 3 if console.left_out else 0


def compare_pictures(first: str, second: str, drawn: str | None, options: CompareOptions) -> dict[str, Any]:
    """How different two pictures look, and how many decibels lie between them; None where they are equal."""
    import numpy as np

    from compositor.images import write_image
    from compositor.learned import Perception
    from compositor.learned.pictures import read_whole

    pictures = read_whole(first), read_whole(second)
    perception = Perception.load(options.weights or None, device=options.device)
    difference = perception(*pictures)
    if drawn:
        write_image(drawn, np.clip(np.round(perception.map(*pictures) * 127.5), 0, 255).astype(np.uint8), overwrite=True)
    error = float(np.mean(np.square(np.subtract(*pictures, dtype=np.float64))))
    return {
        "difference": difference,
        "psnr_db": 10 * float(np.log10(255**2 / error)) if error else None,
        "map": None if drawn is None else os.path.abspath(drawn),
    }


def compare_folders(console: Console, first: str, second: str, options: CompareOptions) -> dict[str, Any]:
    """How far apart two collections lie; nothing is extrapolated from so few pictures that it would mean nothing."""
    import numpy as np

    from compositor.assess.distributions import coverage, frechet_distance, kernel_distance
    from compositor.images.files import printable
    from compositor.learned import Encoder
    from compositor.learned.grouping import tell_photos

    encoder, rows = Encoder.load(options.weights or None, device=options.device), []
    for folder in (first, second):
        with console.progress() as progress:
            told = tell_photos(find_photos(console, [folder], None, deep=True), encoder, parts={"layers": 1.0}, progress=progress)
        for name, reason in told.left_out:
            console.leave_out(name, reason)
        rows.append(told.numbers * np.sqrt(told.numbers.shape[1]))  # numbers of about one, as the kernel takes them
        if (few := len(told.numbers)) < LEAST:
            raise (OptionError if few else ReadError)(
                f"{few} of {counted(few + len(told.left_out), 'picture')} in folder {printable(folder)} can be read, "
                f"at least {LEAST} are needed; give a folder with more"
            )
    features = rows[0].shape[1]
    frechet, covered = frechet_distance(*rows, seed=options.seed), coverage(*rows)
    if few_pictures := frechet.pictures < 2 * features:
        console.say(f"{frechet.pictures} pictures are few beside {features} features: go by the kernel distance, not by the Fréchet one")
    if max(counts := [len(one) for one in rows]) > 1.5 * min(counts):
        console.say(
            f"{counts[0]} and {counts[1]} pictures: precision and recall are for equally many of each, and fall where there are fewer"
        )
    return {
        "kernel_distance": kernel_distance(*rows),
        "frechet_distance": frechet.distance,
        "frechet_extrapolated": None if few_pictures else frechet.extrapolated,
        "precision": covered.precision,
        "recall": covered.recall,
        "pictures": counts,
        "features": features,
    }
