"""Where results go, and what is checked about it before any work is done."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

import click

from compositor.cli.options import Command
from compositor.errors import OutputError
from compositor.options import JPEG_QUALITY

__all__ = ["check_outputs", "output_options"]


def output_options(command: Command) -> Command:
    """The options that say where a picture goes and how it is written."""
    for decorate in (
        click.option("-n", "--dry-run", is_flag=True, help="Tell what would be made; write nothing."),
        click.option("--quality", type=click.IntRange(1, 100), default=JPEG_QUALITY, show_default=True, help="Quality of a JPEG output."),
        click.option("--overwrite", is_flag=True, help="Replace outputs that exist."),
        click.option("--photometry", type=click.Path(), help="Also save what was done to every photo's light, as JSON."),
        click.option("-o", "--output", type=click.Path(), help="The picture to write: .jpg, .png or .tif."),
    ):
        command = decorate(command)
    return command


def check_outputs(
    *, picture: str | None = None, registration: str | None = None, photometry: str | None = None, inputs: Sequence[str], overwrite: bool
) -> None:
    """Check that everything can be written where it shall go, before any work is done for it.

    Raises
    ------
    OutputError
        An output exists, its folder is missing, its ending is unknown, or it would replace an input.
    """
    from compositor.images import check_output
    from compositor.images.files import check_place

    refuse_inputs([path for path in (picture, registration, photometry) if path is not None], inputs)
    if picture is not None:
        check_output(picture, overwrite=overwrite)
    for path in (registration, photometry):
        if path is not None:
            check_place(path, overwrite=overwrite)


def refuse_inputs(outputs: Iterable[str], inputs: Iterable[str]) -> None:
    """Refuse to write over what is read, or two results into one file."""
    taken = {os.path.realpath(path): "an input" for path in inputs}
    for output in outputs:
        real = os.path.realpath(output)
        if real in taken:
            raise OutputError(f"{output} is {taken[real]} too; choose another name for the output", path=output)
        taken[real] = "another output"
