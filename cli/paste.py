"""``compositor paste``."""

from __future__ import annotations

import os
from typing import Any

import click

import compositor
from compositor.cli.console import Console, console_options
from compositor.cli.options import options_from
from compositor.cli.output import check_outputs
from compositor.cli.photos import require_photos
from compositor.options import JPEG_QUALITY, HarmonizeOptions, PasteOptions

EXAMPLES = """\b
Examples:
  compositor paste street.jpg dog.jpg --mask dog_mask.png --at 420 310 -o out.png
  compositor paste street.jpg dog.png --at 420 310 --scale 0.5 --harmonize -o out.jpg"""


@click.command(epilog=EXAMPLES, short_help="Place an object of one picture on another.")
@click.argument("background", type=click.Path(dir_okay=False))
@click.argument("cutout", metavar="OBJECT", type=click.Path(dir_okay=False))
@click.option(
    "--mask",
    type=click.Path(dir_okay=False),
    help="A picture of the object's size, white on it; without one, what of OBJECT is opaque.",
)
@click.option("-o", "--output", type=click.Path(), required=True, help="The picture to write: .jpg, .png or .tif.")
@click.option("--quality", type=click.IntRange(1, 100), default=JPEG_QUALITY, show_default=True, help="Quality of a JPEG output.")
@click.option("--overwrite", is_flag=True, help="Replace the output if it exists.")
@click.option("--harmonize", is_flag=True, help="Fit the object's tone to the background by a network; needs the extra «learned».")
@options_from(HarmonizeOptions)
@options_from(PasteOptions)
@console_options
@click.pass_obj
def paste(
    console: Console,
    /,
    background: str,
    cutout: str,
    mask: str | None,
    output: str,
    quality: int,
    overwrite: bool,
    harmonize: bool,
    strength: float,
    limit: float,
    weights: str,
    device: str,
    **options: Any,
) -> int:
    """Place OBJECT, or what of it a mask shows, on BACKGROUND.

    Its border is freed of what it stood before and fades; its tone stays, unless --harmonize asks for another.
    """
    pictures = [path for path in (background, cutout, mask) if path is not None]
    require_photos(pictures, len(pictures))
    inputs = [*pictures, weights] if weights else pictures
    check_outputs(output=output, inputs=inputs, overwrite=overwrite)
    tone = HarmonizeOptions(strength=strength, limit=limit, weights=weights)
    if not harmonize and tone != HarmonizeOptions():
        raise click.UsageError("--weights, --strength and --limit are those of a change of tone; give --harmonize too")
    harmonizer = None
    if harmonize:
        from compositor.learned import Harmonizer

        harmonizer = Harmonizer.load(weights or None, device=device, strength=strength, limit=limit)
    pasted = compositor.paste(background, cutout, mask=mask, harmonize=harmonizer, **options)
    pasted.save(output, overwrite=overwrite, quality=quality)
    h, w = pasted.alpha.shape
    fields = {"output": os.path.abspath(output), "size": [w, h], "object_share": float(pasted.alpha.mean())}
    if harmonizer is not None:
        fields["tone"] = harmonizer.report
    console.say(f"{output}: {w} x {h} px, {fields['object_share']:.1%} of it the object")
    console.result("paste", fields)
    return 0
