"""Which photos a command line means: files, folders, patterns and lists."""

from __future__ import annotations

import glob
import itertools
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import IO

import click

from compositor.cli.console import Console
from compositor.cli.options import Command
from compositor.errors import first_names

__all__ = ["expand", "find_photos", "is_missing", "natural", "photo_arguments", "pictures_in", "require_photos"]

MANY = 1000
"""Pictures in folders of a folder that are looked at for saying where they lie."""


def photo_arguments(command: Command) -> Command:
    """The arguments that name photos."""
    command = click.option(
        "--from-file",
        type=click.File("r", errors="surrogateescape"),
        help="Read more names from this file, one a line; - is the standard input.",
    )(command)
    return click.argument("photos", nargs=-1, type=click.Path(readable=False))(command)


def find_photos(
    console: Console, arguments: Iterable[str], more: IO[str] | None, outputs: Iterable[str | None] = (), *, deep: bool = False
) -> list[str]:
    """Paths of the photos: folders give the image files in them, patterns what they match, both in natural order.

    Where ``deep``, folders in folders are gone through too. From a folder neither the ``outputs`` of the command are taken nor panoramas
    that this program wrote before.

    Raises
    ------
    click.UsageError
        There is none.
    """
    arguments = [*arguments, *(line.rstrip("\r\n") for line in more or () if line.strip())]
    taken = {os.path.realpath(output) for output in outputs if output is not None}
    paths = []
    for argument in arguments:
        found = expand(argument, deep=deep)
        paths += without_results(console, argument, found, taken) if os.path.isdir(argument) else found
    if not paths:
        raise click.UsageError("no photos were given; name files, folders or patterns")
    return paths


def without_results(console: Console, folder: str, found: Sequence[str], outputs: set[str]) -> list[str]:
    """The pictures of a folder that are photos: what was made of them is left behind, and said."""
    from compositor.images import is_photo_mask, is_stitched
    from compositor.images.files import printable

    left = []
    for path in found:
        if os.path.realpath(path) in outputs:
            console.say(f"{printable(path)} is an output of this command and not taken as a photo")
        elif is_stitched(path):
            console.leave_out(printable(os.path.basename(path)), "is a picture that compositor composed; name the file itself to use it")
        elif is_photo_mask(path):
            console.leave_out(printable(os.path.basename(path)), "tells where photos or seams show, as compositor wrote it")
        else:
            left.append(path)
    if not left:
        raise click.UsageError(f"folder {folder} has no photos, only what compositor made; give the photos' folder")
    return left


def require_photos(paths: Sequence[str], least: int) -> None:
    """Refuse names of files that are not there, unless as many photos as are needed are left without them: then reading warns of each.

    Raises
    ------
    click.UsageError
        Fewer than ``least`` are left.
    """
    missing = [path or "''" for path in paths if is_missing(path)]
    if missing and len(paths) - len(missing) < least:
        counted = f"; {len(missing)} of {len(paths)} files {'is' if len(missing) == 1 else 'are'} missing" if len(paths) > 1 else ""
        needed = f", at least {least} {'is' if least == 1 else 'are'} needed" if least < len(paths) else ""
        raise click.UsageError(f"there is no file {first_names(missing)}{counted}{needed}; correct the name{'s' * (len(missing) > 1)}")


def is_missing(path: str) -> bool:
    """Whether there is nothing of this name; not where it may only not be looked at."""
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except (OSError, ValueError):
        return False
    return False


def expand(argument: str, *, deep: bool = False) -> list[str]:
    """The files that one argument means; one that does not exist stands for itself."""
    if os.path.isdir(argument):
        from compositor.images import PICTURE_ENDINGS

        if not (found := list(pictures_in(argument, deep=deep))):
            looked = f"looked for {' '.join(PICTURE_ENDINGS)}, {'also' if deep else 'not'} in folders within it"
            within = "" if deep else advice_within(argument)
            raise click.UsageError(f"folder {argument} has no pictures; {looked}{within}")
        return sorted(found, key=natural)
    if not os.path.lexists(argument) and glob.has_magic(argument):
        if not (found := glob.glob(argument)):
            raise click.UsageError(f"no file matches {argument}")
        return sorted(found, key=natural)
    return [argument]


def advice_within(folder: str) -> str:
    """What to try where the pictures lie in folders of a folder; nothing where they do not."""
    found = {os.path.dirname(path) for path in itertools.islice(pictures_in(folder, deep=True), MANY)}
    if not found:
        return ""
    first, *others = sorted(found, key=natural)
    return f"; there are pictures in {first}{' and other folders' if others else ''}, give such folders"


def pictures_in(folder: str, *, deep: bool) -> Iterator[str]:
    """The image files in a folder, and where ``deep`` in folders in it that are not hidden."""
    from compositor.images import PICTURE_ENDINGS

    for place, folders, files in os.walk(folder):
        yield from (os.path.join(place, name) for name in files if name.lower().endswith(PICTURE_ENDINGS) and not name.startswith("."))
        folders[:] = sorted(name for name in folders if deep and not name.startswith("."))


def natural(path: str) -> list[tuple[int, str]]:
    """A sort key that puts 2.jpg before 10.jpg."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", path.lower())]
