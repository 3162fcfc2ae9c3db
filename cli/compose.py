"""``compositor compose``."""

from __future__ import annotations

import dataclasses
import logging
from typing import IO, Any

import click

import compositor
from compositor.cli.console import Console, console_options
from compositor.cli.options import options_from
from compositor.cli.output import check_outputs, output_options
from compositor.cli.photos import find_photos, photo_arguments
from compositor.cli.report import report_panorama, report_plan
from compositor.clock import StageClock
from compositor.options import ComposeOptions

EXAMPLES = """\b
Examples:
  compositor compose photos.json photos/ -o panorama.tif
  compositor compose photos.json photos/ -o sphere.jpg --projection spherical --scale 0.5"""


@click.command(epilog=EXAMPLES)
@click.argument("registration", type=click.Path())
@photo_arguments
@output_options
@options_from(ComposeOptions)
@console_options
@click.pass_obj
def compose(
    console: Console,
    /,
    registration: str,
    photos: tuple[str, ...],
    from_file: IO[str] | None,
    output: str | None,
    overwrite: bool,
    quality: int,
    dry_run: bool,
    **options: Any,
) -> int:
    """Draw the panorama of photos that were registered before.

    REGISTRATION is a file that «register» wrote. PHOTOS are its photos, found by name, or as many in the same order.
    """
    sources = find_photos(photos, from_file)
    check_outputs(picture=output, inputs=[registration, *sources], overwrite=overwrite)
    loaded = compositor.Registration.load(registration)
    if dry_run:
        return plan(console, loaded, sources, options, output)
    if output is None:
        raise click.UsageError("say where the panorama goes, such as -o panorama.tif")
    with console.progress() as progress:
        clock = StageClock(progress)
        panorama = compositor.compose(loaded, sources, progress=clock, **options)
        clock("write", 0, 1)
        panorama.save(output, overwrite=overwrite, quality=quality)
    return report_panorama(console, "compose", panorama, seconds=clock.seconds(), output=output, registration=registration)


def plan(console: Console, registration: compositor.Registration, sources: list[str], options: dict[str, Any], picture: str | None) -> int:
    """Tell what composing would make; it leaves out what cannot be read or is not registered, whatever registering left out."""
    from compositor.images import open_photos
    from compositor.stitch import one_photo_per_camera

    photos, left_out = open_photos(sources)
    used, reasons = one_photo_per_camera(registration, photos), dict(registration.left_out)
    for photo in photos:
        if not any(photo is camera_photo for camera_photo in used):
            left_out.append((photo.name, reasons.get(photo.name, "it is not in the registration")))
            logging.getLogger("compositor").warning("%s: %s; it is left out", *left_out[-1])
    return report_plan(console, dataclasses.replace(registration, left_out=tuple(left_out)), photos, options, seconds={}, picture=picture)
