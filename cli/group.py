"""``compositor group``."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from compositor.cli.console import Console, console_options, named, one_line
from compositor.cli.options import options_from
from compositor.cli.photos import find_photos, photo_arguments, require_photos
from compositor.clock import StageClock
from compositor.errors import CompositorError, OptionError, ReadError
from compositor.options import GroupOptions

if TYPE_CHECKING:
    from compositor.learned.clustering import Clusters
    from compositor.learned.grouping import Groups

EXAMPLES = """\b
Examples:
  compositor group holiday/
  compositor group holiday/ -o sets/ && compositor stitch --from-file sets/set_001.txt -o first.tif
  compositor group holiday/ --clusters 12 --json"""


@click.command(short_help="Part many photos into sets that overlap.", epilog=EXAMPLES)
@photo_arguments
@click.option("-o", "--output", type=click.Path(), help="Folder to write a list of every set into, as --from-file of «stitch» reads it.")
@click.option("--overwrite", is_flag=True, help="Write into a folder that holds something, and replace lists of an earlier run.")
@options_from(GroupOptions)
@console_options
@click.pass_obj
def group(
    console: Console, /, photos: tuple[str, ...], from_file: IO[str] | None, output: str | None, overwrite: bool, **options: Any
) -> int:
    """Part many photos into sets that overlap, one panorama each, and singles; needs the extra «learned».

    A small network tells which photos are worth comparing, before any feature is matched; features of reduced photos verify it. With
    --clusters they are parted by look instead.
    """
    from compositor import learned
    from compositor.images import check_folder

    sources = find_photos(console, photos, from_file)
    require_photos(sources, 1)
    if output is not None:
        check_folder(output, overwrite=overwrite)
        check_names(sources)
    with console.progress() as progress:
        clock = StageClock(progress)
        parted: Clusters | Groups
        count = options.pop("clusters")
        try:
            parted = (
                learned.cluster(sources, count, progress=clock, **options) if count else learned.group(sources, progress=clock, **options)
            )
        except CompositorError as error:
            for name, reason in error.left_out:
                console.leave_out(name, reason)
            error.left_out = ()  # the console tells them
            raise
        seconds = clock.seconds()
    for name, reason in parted.left_out:
        console.leave_out(name, reason)
    if len(parted.left_out) == len(sources):
        raise ReadError("none of the photos can be read; the warnings say why")
    if output is not None:
        write_lists(output, [[sources[place] for place in one] for one in parted.sets], overwrite=overwrite)
    sets, singles = tell(parted, sources), [parted.names[place] for place in getattr(parted, "singles", ())]
    fields: dict[str, Any] = {"clusters": sets} if count else {"sets": sets, "singles": singles, "compared": getattr(parted, "compared", 0)}
    fields |= {"left_out": named(console.left_out), "seconds": seconds, "output": None if output is None else os.path.abspath(output)}
    console.say(f"clusters: {len(sets)}" if count else f"sets: {len(sets)}, photos that overlap none: {len(singles)}")
    lines = [*(one["photos"] for one in sets), *([name] for name in singles)]
    console.result("group", fields, "\n".join("  ".join([f"{len(one):4d}", *map(one_line, one)]) for one in lines))
    return 3 if console.left_out else 0


def tell(parted: Clusters | Groups, sources: Sequence[str]) -> list[dict[str, Any]]:
    """What ``--json`` tells of every set: its photos, their files, and of those that overlap what it hangs together by."""
    names = parted.names
    told: list[dict[str, Any]] = [
        {"photos": [names[place] for place in one], "files": [os.path.abspath(sources[place]) for place in one]} for one in parted.sets
    ]
    joints = getattr(parted, "joints", None)
    if joints is None:
        return told
    for one, record in zip(parted.sets, told, strict=True):
        record["joined_by"] = [
            {"first": names[pair.first], "second": names[pair.second], "likeness": round(pair.likeness, 4), "matches": pair.matches}
            for pair in joints
            if pair.first in one
        ]
    return told


def check_names(sources: Sequence[str]) -> None:
    """Refuse names that a list, one a line, cannot hold."""
    for path in map(os.path.abspath, sources):
        if "\n" in path or "\r" in path:
            raise OptionError(f"{one_line(path)}: its name has a line break, which a list cannot hold; rename it, or ask without --output")


def write_lists(folder: str, sets: Sequence[Sequence[str]], *, overwrite: bool) -> None:
    """Write a list of the files of every set, one a line."""
    from compositor.images import write_folder

    def write(place: Path) -> None:
        for number, one in enumerate(sets, 1):
            content = "".join(f"{os.path.abspath(path)}\n" for path in one)
            (place / f"set_{number:03d}.txt").write_text(content, encoding="utf-8", errors="surrogateescape")

    write_folder(folder, write, overwrite=overwrite, outdated=lambda path: re.fullmatch(r"set_\d{3,}\.txt", path.name) is not None)
