"""``compositor compose``."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable
from typing import IO, TYPE_CHECKING, Any

import click

import compositor
from compositor.cli.console import Console, console_options
from compositor.cli.masks import MASK_RULE, find_masks, mask_option, pair_masks, without_masks
from compositor.cli.options import options_from
from compositor.cli.output import check_outputs, output_options, save_all, size_check
from compositor.cli.photos import find_photos, photo_arguments, require_photos
from compositor.cli.report import report_panorama, report_plan
from compositor.cli.second_look import refine_options, refiner_of
from compositor.clock import StageClock
from compositor.options import ComposeOptions

if TYPE_CHECKING:
    from compositor.compose.layers import Refine
    from compositor.types import Canvas

EXAMPLES = """\b
Examples:
  compositor compose photos.json photos/ -o panorama.tif
  compositor compose photos.json photos/ -o sphere.jpg --projection spherical --scale 0.5
  compositor compose photos.json frames/ -o frame.tif --use-photometry light.json"""


@click.command(epilog=f"{EXAMPLES}\n\n{MASK_RULE}")
@click.argument("registration", type=click.Path())
@photo_arguments
@output_options
@click.option("--use-photometry", type=click.Path(), help="Take what is done to every photo's light from this file.")
@mask_option("masks", "Masks of what must not be shown.")
@mask_option("show-masks", "Masks of what must be shown, whatever the other photos show there.")
@refine_options
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
    photometry: str | None,
    owner: str | None,
    photo_masks: str | None,
    seam_map: str | None,
    use_photometry: str | None,
    dry_run: bool,
    masks: tuple[str, ...],
    show_masks: tuple[str, ...],
    refine: str,
    weights: str,
    device: str,
    precision: str,
    **options: Any,
) -> int:
    """Draw the panorama of photos that were registered before.

    REGISTRATION is a file that «register» wrote. PHOTOS are its photos, found by name, or as many in the same order.
    """
    outputs = {"output": output, "photometry": photometry, "owner": owner, "photo_masks": photo_masks, "seam_map": seam_map}
    hidden, wanted = find_masks(masks), find_masks(show_masks)
    sources = without_masks(find_photos(console, photos, from_file, outputs.values()), [*hidden, *wanted])
    read = [path for path in (registration, use_photometry, weights, *sources, *hidden, *wanted) if path]
    check_outputs(**outputs, inputs=read, overwrite=overwrite)
    loaded = compositor.Registration.load(registration)
    require_photos(sources, len(loaded.cameras))
    of_photos, shown = pair_masks(hidden, sources), pair_masks(wanted, sources)
    light = None if use_photometry is None else compositor.Photometry.load(use_photometry)
    second_look = refiner_of(refine, weights, device, precision)
    approve = size_check(output, owner, seam_map, crop=options["crop"])
    if dry_run:
        return plan(console, loaded, sources, {"masks": of_photos, "show_masks": shown}, options, second_look, approve)
    if output is None:
        raise click.UsageError("say where the panorama goes, such as -o panorama.tif")
    with console.progress() as progress:
        clock = StageClock(progress)
        panorama = compositor.compose(
            loaded,
            sources,
            masks=of_photos,
            show_masks=shown,
            photometry=light,
            refine=second_look,
            approve=approve,
            progress=clock,
            **options,
        )
        clock("write", 0, 1)
        save_all(
            panorama,
            outputs,
            map_seams=lambda made: compositor.map_seams(made, sources, masks=of_photos, progress=clock),
            overwrite=overwrite,
            quality=quality,
        )
    return report_panorama(console, "compose", panorama, seconds=clock.seconds(), registration=registration, **outputs)


def plan(
    console: Console,
    registration: compositor.Registration,
    sources: list[str],
    masks: dict[str, list[str | None] | None],
    options: dict[str, Any],
    refine: Refine | None,
    approve: Callable[[Canvas], None],
) -> int:
    """Tell what composing would make; it leaves out what cannot be read or is not registered, whatever registering left out."""
    from compositor.images import masks_by_name, open_photos, photo_names, with_masks, with_wishes
    from compositor.stitch import one_photo_per_camera

    photos, left_out = open_photos(sources)
    for (called, paths), use in zip(masks.items(), (with_masks, with_wishes), strict=True):
        photos = use(photos, masks_by_name(photo_names(sources), paths, called))
    used, reasons = one_photo_per_camera(registration, photos), dict(registration.left_out)
    for photo in photos:
        if not any(photo is camera_photo for camera_photo in used):
            left_out.append((photo.name, reasons.get(photo.name, "it is not in the registration")))
            logging.getLogger("compositor").warning("%s: %s; it is left out", *left_out[-1])
    return report_plan(
        console, dataclasses.replace(registration, left_out=tuple(left_out)), photos, options, seconds={}, refine=refine, approve=approve
    )
