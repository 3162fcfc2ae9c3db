"""``compositor refine``."""

from __future__ import annotations

import dataclasses
import os

import click

import compositor
from compositor.cli.console import Console, console_options
from compositor.cli.output import check_outputs
from compositor.cli.photos import require_photos
from compositor.errors import counted
from compositor.options import JPEG_QUALITY

EXAMPLES = """\b
Examples:
  compositor refine panorama.tif --owner owner.png -o levelled.tif
  compositor refine panorama.jpg --seams lines.png -o levelled.jpg"""


@click.command(epilog=EXAMPLES)
@click.argument("panorama", type=click.Path())
@click.option("--owner", type=click.Path(), help="Which photo each pixel came from: a picture as large, a gray or colour for each.")
@click.option("--seams", type=click.Path(), help="The seams, in place of --owner: a picture as large, with thin white lines.")
@click.option("-o", "--output", type=click.Path(), required=True, help="The picture to write: .jpg, .png or .tif.")
@click.option("--quality", type=click.IntRange(1, 100), default=JPEG_QUALITY, show_default=True, help="Quality of a JPEG output.")
@click.option("--overwrite", is_flag=True, help="Replace outputs that exist.")
@console_options
@click.pass_obj
def refine(console: Console, /, panorama: str, owner: str | None, seams: str | None, output: str, quality: int, overwrite: bool) -> int:
    """Take steps in tone out of the seams of a panorama that is there already.

    PANORAMA is a picture that any program stitched. Where the photos are at hand, «stitch --refine» and «compose --refine» do more.
    """
    if (owner is None) == (seams is None):
        raise click.UsageError("a picture does not tell where its seams are; give either --owner or --seams")
    inputs = [path for path in (panorama, owner, seams) if path is not None]
    require_photos(inputs, len(inputs))
    check_outputs(output=output, inputs=inputs, overwrite=overwrite)
    refined = compositor.refine(panorama, owner=owner, seams=seams)
    refined.save(output, overwrite=overwrite, quality=quality)
    better = [seam for seam in refined.seams if seam.changed]
    console.say(f"{output}: {len(better)} of {counted(len(refined.seams), 'seam')} changed, {refined.changed.mean():.1%} of the picture")
    told = {"seams": [dataclasses.asdict(seam) for seam in refined.seams], "changed": float(refined.changed.mean())}
    console.result("refine", {**told, "output": os.path.abspath(output)})
    return 0
