"""Which photos a command line means: files, folders, patterns and lists."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterable
from typing import IO

import click

from compositor.cli.options import Command

__all__ = ["find_photos", "photo_arguments"]

ENDINGS = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp", ".bmp", ".gif", ".avif")
"""What is taken from a folder; a file that is named itself may end in anything."""


def photo_arguments(command: Command) -> Command:
    """The arguments that name photos."""
    command = click.option(
        "--from-file",
        type=click.File("r", errors="surrogateescape"),
        help="Read more names from this file, one a line; - is the standard input.",
    )(command)
    return click.argument("photos", nargs=-1, type=click.Path(readable=False))(command)


def find_photos(arguments: Iterable[str], more: IO[str] | None) -> list[str]:
    """Paths of the photos: folders give the image files in them, patterns what they match, both in natural order.

    Raises
    ------
    click.UsageError
        There is none.
    """
    arguments = [*arguments, *(line.rstrip("\r\n") for line in more or () if line.strip())]
    paths = [path for argument in arguments for path in expand(argument)]
    if not paths:
        raise click.UsageError("no photos were given; name files, folders or patterns")
    return paths


def expand(argument: str) -> list[str]:
    """The files that one argument means; one that does not exist stands for itself, and reading it will say so."""
    if os.path.isdir(argument):
        found = [entry.path for entry in os.scandir(argument) if entry.name.lower().endswith(ENDINGS) and not entry.name.startswith(".")]
        if not found:
            raise click.UsageError(f"folder {argument} has no pictures; looked for {' '.join(ENDINGS)}")
        return sorted(found, key=natural)
    if not os.path.lexists(argument) and glob.has_magic(argument):
        if not (found := glob.glob(argument)):
            raise click.UsageError(f"no file matches {argument}")
        return sorted(found, key=natural)
    return [argument]


def natural(path: str) -> list[tuple[int, str]]:
    """A sort key that puts 2.jpg before 10.jpg."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", path.lower())]
