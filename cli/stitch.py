"""``compositor stitch``."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import IO, TYPE_CHECKING, Any

import click

import compositor
from compositor.cli.console import Console, console_options
from compositor.cli.masks import MASK_RULE, find_masks, mask_option, pair_masks, without_masks
from compositor.cli.options import model_files, options_from
from compositor.cli.output import check_outputs, output_options, save_all, size_check
from compositor.cli.photos import find_photos, photo_arguments, require_photos
from compositor.cli.report import report_panorama, report_plan
from compositor.cli.second_look import refine_options, refiner_of
from compositor.clock import StageClock
from compositor.options import ComposeOptions, RegisterOptions, RunOptions, StitchOptions

if TYPE_CHECKING:
    from compositor.compose.layers import Refine
    from compositor.types import Canvas

EXAMPLES = """\b
Examples:
  compositor stitch photos/ -o panorama.tif
  compositor stitch left.jpg middle.jpg right.jpg -o panorama.jpg --crop
  compositor stitch photos/*.jpg --projection cylindrical --dry-run
  compositor stitch photos/ -o panorama.jpg --masks masks/"""


@click.command(epilog=f"{EXAMPLES}\n\n{MASK_RULE}")
@photo_arguments
@output_options
@mask_option("masks", "Masks of what must not be looked at and not be shown.")
@mask_option("feature-masks", "Masks of what must not be looked at to find out where the photos look; it is shown all the same.")
@click.option("--registration", type=click.Path(), help="Also save where every photo looks, as JSON.")
@mask_option("show-masks", "Masks of what must be shown, whatever the other photos show there.")
@refine_options
@options_from(StitchOptions)
@console_options
@click.pass_obj
def stitch(
    console: Console,
    /,
    photos: tuple[str, ...],
    from_file: IO[str] | None,
    output: str | None,
    overwrite: bool,
    quality: int,
    photometry: str | None,
    owner: str | None,
    photo_masks: str | None,
    seam_map: str | None,
    dry_run: bool,
    masks: tuple[str, ...],
    feature_masks: tuple[str, ...],
    show_masks: tuple[str, ...],
    refine: str,
    weights: str,
    device: str,
    precision: str,
    registration: str | None,
    **options: Any,
) -> int:
    """Turn overlapping photos into one panorama.

    PHOTOS are files, folders (the photos in them) or patterns.
    """
    outputs = {"output": output, "registration": registration, "photometry": photometry}
    outputs |= {"owner": owner, "photo_masks": photo_masks, "seam_map": seam_map}
    hidden, not_looked_at, wanted = find_masks(masks), find_masks(feature_masks), find_masks(show_masks)
    sources = without_masks(find_photos(console, photos, from_file, outputs.values()), [*hidden, *not_looked_at, *wanted])
    inputs = [*sources, *hidden, *not_looked_at, *wanted, *model_files(options), *([weights] if weights else [])]
    check_outputs(**outputs, inputs=inputs, overwrite=overwrite)
    require_photos(sources, 2)
    of_photos, looked_at, shown = (pair_masks(paths, sources) for paths in (hidden, not_looked_at, wanted))
    second_look = refiner_of(refine, weights, device, precision)
    approve = size_check(output, owner, seam_map, crop=options["crop"])
    if dry_run:
        return plan(console, sources, {"masks": of_photos, "feature_masks": looked_at, "show_masks": shown}, options, second_look, approve)
    if output is None:
        raise click.UsageError("say where the panorama goes, such as -o panorama.tif")
    with console.progress() as progress:
        clock = StageClock(progress)
        panorama = compositor.stitch(
            sources,
            masks=of_photos,
            feature_masks=looked_at,
            show_masks=shown,
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
    return report_panorama(console, "stitch", panorama, seconds=clock.seconds(), **outputs)


def plan(
    console: Console,
    sources: list[str],
    masks: dict[str, list[str | None] | None],
    options: dict[str, Any],
    refine: Refine | None,
    approve: Callable[[Canvas], None],
) -> int:
    """Register only, and tell what composing would make."""
    from compositor.images import masks_by_name, open_photos, photo_names, with_masks, with_wishes

    with console.progress() as progress:
        clock = StageClock(progress)
        photos, unreadable = open_photos(sources)
        for called, of_photos in masks.items():
            use = with_wishes if called == "show_masks" else with_masks
            photos = use(photos, masks_by_name(photo_names(sources), of_photos, called))
        registration = compositor.register(photos, progress=clock, **options_of(RegisterOptions, options))
    registration = dataclasses.replace(registration, left_out=(*unreadable, *registration.left_out))
    return report_plan(
        console, registration, photos, options_of(ComposeOptions, options), seconds=clock.seconds(), refine=refine, approve=approve
    )


def options_of(record: type[RunOptions], options: dict[str, Any]) -> dict[str, Any]:
    """Those options that a record has."""
    return {field.name: options[field.name] for field in dataclasses.fields(record)}
