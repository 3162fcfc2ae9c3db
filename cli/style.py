"""``compositor style``."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

import compositor
from compositor.cli.console import Console, console_options
from compositor.cli.options import options_from
from compositor.cli.output import check_outputs
from compositor.cli.photos import require_photos
from compositor.options import JPEG_QUALITY, StyleOptions

if TYPE_CHECKING:
    from compositor.style import Paint

EXAMPLES = """\b
Examples:
  compositor style street.jpg --style evening.jpg -o graded.jpg
  compositor style street.jpg --style painting.jpg -o painted.png --method paint --size 1024
  compositor style portrait.jpg --style painting.jpg -o behind.png --method paint --mask background.png
  compositor style street.jpg --weights painter.safetensors -o painted.jpg"""


@click.command(epilog=EXAMPLES)
@click.argument("content", type=click.Path())
@click.option("--style", "model", type=click.Path(), help="The picture whose style is taken; with --weights, only its colours.")
@click.option("--weights", type=click.Path(), help="Paint in a moment, as «train painter» has learned: what it wrote.")
@click.option("-o", "--output", required=True, type=click.Path(), help="The picture to write: .jpg, .png or .tif.")
@click.option("--mask", type=click.Path(), help="Picture of the size of CONTENT, white where it is to be changed.")
@click.option("--overwrite", is_flag=True, help="Replace an output that exists.")
@click.option("--quality", type=click.IntRange(1, 100), default=JPEG_QUALITY, show_default=True, help="Quality of a JPEG output.")
@options_from(StyleOptions)
@console_options
@click.pass_obj
def style(
    console: Console,
    /,
    content: str,
    model: str | None,
    weights: str | None,
    output: str,
    mask: str | None,
    overwrite: bool,
    quality: int,
    **options: Any,
) -> int:
    """Give CONTENT the style of another picture.

    By default it stays a photo and takes the other's colours. Painted, it is also made of the other's strokes and patches.
    With --weights a network paints that learned how, in the colours that it learned from unless --style tells others.
    """
    if model is None and weights is None:
        raise click.UsageError("give a picture with --style, or a painter with --weights")
    read = [path for path in (content, model, mask) if path is not None]
    for path in read:
        require_photos([path], 1)
    check_outputs(output=output, inputs=read, overwrite=overwrite)
    painter, given = _painter(weights, options)
    with console.progress() as progress:
        made = compositor.style(content, given if model is None else model, mask=mask, paint=painter, progress=progress, **options)
    made.save(output, overwrite=overwrite, quality=quality)
    height, width = made.pixels.shape[:2]
    console.say(f"{output}: {width} x {height} px")
    console.result("style", {"size": [width, height], "seconds": dict(made.seconds), "output": os.path.abspath(output)})
    return 0


def _painter(weights: str | None, options: dict[str, Any]) -> tuple[Paint | None, Any]:
    """Who paints, if anybody does, and the colours that a trained painter brings; ``options`` then say that it is painted."""
    if weights is not None:
        from compositor.learned import TrainedPainter

        if options["method"] != "paint" and click.get_current_context().get_parameter_source("method") == ParameterSource.COMMANDLINE:
            raise click.UsageError(f"--weights paints, --method {options['method']} does not; leave one of them out")
        options["method"], painter = "paint", TrainedPainter.load(weights)
        return painter, painter.palette
    if options["method"] == "paint":
        from compositor.learned import paint

        return paint, None
    return None, None
