"""``compositor register``."""

from __future__ import annotations

from typing import IO, Any

import click

import compositor
from compositor.cli.console import Console, console_options
from compositor.cli.masks import MASK_RULE, find_masks, mask_option, pair_masks, without_masks
from compositor.cli.options import model_files, options_from
from compositor.cli.output import check_outputs
from compositor.cli.photos import find_photos, photo_arguments, require_photos
from compositor.cli.report import report_registration
from compositor.clock import StageClock
from compositor.options import RegisterOptions

EXAMPLES = """\b
Examples:
  compositor register photos/ -o photos.json
  compositor compose photos.json photos/ -o panorama.tif"""


@click.command(epilog=f"{EXAMPLES}\n\n{MASK_RULE}")
@photo_arguments
@click.option("-o", "--output", type=click.Path(), required=True, help="The registration to write, JSON.")
@click.option("--overwrite", is_flag=True, help="Replace the output if it exists.")
@mask_option("masks", "Masks of what must not be looked at.")
@options_from(RegisterOptions)
@console_options
@click.pass_obj
def register(
    console: Console,
    /,
    photos: tuple[str, ...],
    from_file: IO[str] | None,
    output: str,
    overwrite: bool,
    masks: tuple[str, ...],
    **options: Any,
) -> int:
    """Find out where every photo looks and save it.

    PHOTOS are files, folders (the photos in them) or patterns.
    """
    hidden = find_masks(masks)
    sources = without_masks(find_photos(console, photos, from_file), hidden)
    check_outputs(registration=output, inputs=[*sources, *hidden, *model_files(options)], overwrite=overwrite)
    require_photos(sources, 2)
    with console.progress() as progress:
        clock = StageClock(progress)
        registration = compositor.register(sources, masks=pair_masks(hidden, sources), progress=clock, **options)
        clock("write", 0, 1)
        registration.save(output, overwrite=overwrite)
    return report_registration(console, registration, seconds=clock.seconds(), output=output)
