"""``compositor correct``."""

from __future__ import annotations

import contextlib
import logging
import os
from typing import IO, Any

import click

import compositor
from compositor.cli.console import Console, console_options, named
from compositor.cli.options import options_from
from compositor.cli.output import check_outputs, refuse_inputs
from compositor.cli.photos import find_photos, photo_arguments, require_photos
from compositor.cli.report import light_fields
from compositor.errors import OutputError, counted, first_names
from compositor.options import JPEG_QUALITY, CorrectOptions

EXAMPLES = """\b
Examples:
  compositor correct photos/ -o corrected --registration photos.json --use-photometry light.json
  compositor correct photo.jpg -o corrected --distortion -0.06 0.01 --vignetting -0.3 0 0"""

logger = logging.getLogger("compositor")

WRITTEN = (".jpg", ".jpeg", ".jpe", ".png", ".tif", ".tiff")


@click.command(epilog=EXAMPLES)
@photo_arguments
@click.option("-o", "--output", "folder", type=click.Path(), required=True, help="The folder to write to; it is created.")
@click.option("--registration", type=click.Path(), help="Take the lens from this file, which «register» wrote.")
@click.option("--use-photometry", "photometry", type=click.Path(), help="Take exposure, white balance and vignetting from this file.")
@click.option("--quality", type=click.IntRange(1, 100), default=JPEG_QUALITY, show_default=True, help="Quality of a JPEG output.")
@click.option("--overwrite", is_flag=True, help="Replace outputs that exist.")
@options_from(CorrectOptions)
@console_options
@click.pass_obj
def correct(
    console: Console,
    /,
    photos: tuple[str, ...],
    from_file: IO[str] | None,
    folder: str,
    registration: str | None,
    photometry: str | None,
    quality: int,
    overwrite: bool,
    **options: Any,
) -> int:
    """Free single photos from their lens's distortion and vignetting.

    PHOTOS are files, folders (the photos in them) or patterns. Each is written to the folder under its own name; what is neither JPEG, PNG
    nor TIFF becomes a TIFF.
    """
    sources = find_photos(console, photos, from_file)
    outputs = [os.path.join(folder, written_name(source)) for source in sources]
    read = [path for path in (*sources, registration, photometry) if path is not None]
    refuse_inputs(outputs, read)
    require_photos(sources, 1)
    if registration is None and photometry is None and not any((*options["distortion"], *options["vignetting"], options["exposure"])):
        raise click.UsageError(
            "there is nothing to correct; give --registration, --use-photometry, --distortion with --focal, --vignetting or --exposure"
        )
    if os.path.splitext(folder)[1].lower() in WRITTEN and not os.path.isdir(folder):
        raise OutputError(f"{folder}: a folder is needed, as several photos may be corrected; give one, such as straight/", path=folder)
    lens = None if registration is None else compositor.Registration.load(registration)
    light = None if photometry is None else compositor.Photometry.load(photometry)
    made = not os.path.isdir(folder)
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: no such folder can be made ({error.strerror}); choose another", path=folder) from error
    for output in outputs:
        check_outputs(output=output, inputs=[], overwrite=overwrite)
    corrected, left_out, unchanged = [], [], []
    with console.progress() as progress:
        for done, (source, output) in enumerate(zip(sources, outputs, strict=True)):
            try:
                panorama = compositor.correct(source, registration=lens, photometry=light, **options)
            except compositor.ReadError as error:
                left_out.append((source, str(error)))
                logger.warning("%s; it is left out", error)
                continue
            panorama.save(output, overwrite=overwrite, quality=quality)
            corrected.append({**light_fields(panorama.photometry)["photos"][0], "output": output})
            if is_neutral(panorama):
                unchanged.append(panorama.used[0])
            if progress:
                progress("correct", done + 1, len(sources))
    if not corrected:
        if made:
            with contextlib.suppress(OSError):  # not empty: of somebody else
                os.rmdir(folder)
        raise compositor.ReadError("none of the photos can be read; the warnings say why", left_out=tuple(left_out))
    if unchanged:
        logger.warning("nothing is known that would correct %s; written unchanged", first_names(unchanged))
    left_out += console.left_out
    console.say(f"{folder}: {len(corrected)} of {counted(len(corrected) + len(left_out), 'photo')}")
    console.result("correct", {"corrected": corrected, "left_out": named(left_out)})
    return 3 if left_out else 0


def is_neutral(panorama: compositor.Panorama) -> bool:
    """Whether a corrected photo is what it was: its lens bends nothing and its light is not changed."""
    (camera,), light = panorama.registration.cameras, panorama.photometry
    return not any(camera.distortion) and bool((light.gains == 1).all()) and not light.vignetting.any()


def written_name(source: str) -> str:
    """The name of a photo's corrected version."""
    name = os.path.basename(source)
    stem, ending = os.path.splitext(name)
    return name if ending.lower() in WRITTEN else f"{stem}.tif"
