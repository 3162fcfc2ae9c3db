"""Where results go, and what is checked about it before any work is done."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import click

from compositor.cli.options import Command
from compositor.errors import OutputError
from compositor.options import JPEG_QUALITY

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from compositor.panorama import Panorama
    from compositor.types import Canvas

__all__ = ["check_outputs", "output_options", "refuse_inputs", "save_all", "size_check"]


def output_options(command: Command) -> Command:
    """The options that say where a picture goes and how it is written."""
    for decorate in (
        click.option("-n", "--dry-run", is_flag=True, help="Tell what would be made; write nothing."),
        click.option("--quality", type=click.IntRange(1, 100), default=JPEG_QUALITY, show_default=True, help="Quality of a JPEG output."),
        click.option("--overwrite", is_flag=True, help="Replace outputs that exist."),
        click.option(
            "--photo-masks", type=click.Path(), help="Also write a mask of each photo's part of the panorama into this folder, as PNG."
        ),
        click.option(
            "--seam-map", type=click.Path(), help="Also write where seams show: gray, the brighter the more, white from 8 levels on."
        ),
        click.option(
            "--owner",
            type=click.Path(),
            help="Also write which photo each pixel came from: gray .png or .tif, 0 for none, else its number.",
        ),
        click.option("--photometry", type=click.Path(), help="Also save what was done to every photo's light, as JSON."),
        click.option("-o", "--output", type=click.Path(), help="The picture to write: .jpg, .png or .tif."),
    ):
        command = decorate(command)
    return command


def check_outputs(
    *,
    output: str | None = None,
    registration: str | None = None,
    photometry: str | None = None,
    owner: str | None = None,
    photo_masks: str | None = None,
    seam_map: str | None = None,
    inputs: Sequence[str],
    overwrite: bool,
) -> None:
    """Check that everything can be written where it shall go, before any work is done for it.

    Raises
    ------
    OutputError
        An output exists, its folder is missing, its ending is unknown, or it would replace an input.
    """
    from compositor.images import check_folder, check_output
    from compositor.images.files import check_place

    refuse_inputs([path for path in (output, registration, photometry, owner, photo_masks, seam_map) if path is not None], inputs)
    if output is not None:
        check_output(output, overwrite=overwrite)
    for path in (registration, photometry):
        if path is not None:
            check_place(path, overwrite=overwrite)
    if seam_map is not None:
        check_output(seam_map, overwrite=overwrite)
    if owner is not None:
        check_output(owner, overwrite=overwrite, lossless=True)
    if photo_masks is not None:
        if os.path.realpath(photo_masks) in {os.path.dirname(os.path.realpath(path)) for path in inputs}:
            raise OutputError(f"{photo_masks} is the folder of an input; choose another one for the masks", path=photo_masks)
        check_folder(photo_masks, overwrite=overwrite)


def size_check(*pictures: str | None, crop: bool) -> Callable[[Canvas], None]:
    """What refuses a canvas that the format of one of these pictures cannot hold.

    How much cropping takes away is known at the end only, so a canvas that will be cropped is let through.
    """

    def check(canvas: Canvas) -> None:
        from compositor.images import check_output

        for path in pictures:
            if path is not None and not crop:
                check_output(path, overwrite=True, size=canvas.size)

    return check


def save_all(
    panorama: Panorama,
    outputs: Mapping[str, str | None],
    *,
    map_seams: Callable[[Panorama], NDArray[np.uint8]],
    overwrite: bool,
    quality: int,
) -> None:
    """Write the results that were asked for.

    The picture comes last: it is there only when all went well. Where it fails, «compose» can go on from the registration.

    Parameters
    ----------
    panorama : Panorama
    outputs : mapping
        Where each goes by what it is, as for ``check_outputs``; what is missing or None is not written.
    map_seams : callable
        Draws where the panorama's seams show, if that is wanted.
    overwrite : bool
    quality : int
        Of a JPEG.
    """
    if (path := outputs.get("registration")) is not None:
        panorama.registration.save(path, overwrite=overwrite)
    if (path := outputs.get("photometry")) is not None:
        panorama.photometry.save(path, overwrite=overwrite)
    if (path := outputs.get("owner")) is not None:
        panorama.save_owner(path, overwrite=overwrite)
    if (path := outputs.get("seam_map")) is not None:
        from compositor.images import creator_xmp, write_image

        write_image(path, map_seams(panorama), metadata={"xmp": creator_xmp("seam map")}, overwrite=overwrite, quality=quality)
    if (path := outputs.get("photo_masks")) is not None:
        panorama.save_photo_masks(path, overwrite=overwrite)
    if (path := outputs.get("output")) is not None:
        panorama.save(path, overwrite=overwrite, quality=quality)


def refuse_inputs(outputs: Iterable[str], inputs: Iterable[str]) -> None:
    """Refuse to write over what is read, or two results into one file."""
    taken = {os.path.realpath(path): "an input" for path in inputs}
    for output in outputs:
        real = os.path.realpath(output)
        if real in taken:
            raise OutputError(f"{output} is {taken[real]} too; choose another name for the output", path=output)
        taken[real] = "another output"
