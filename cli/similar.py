"""``compositor similar``."""

from __future__ import annotations

import os
from typing import IO

import click

from compositor.cli.console import Console, console_options, named, one_line
from compositor.cli.options import options_from
from compositor.cli.photos import find_photos, photo_arguments, require_photos
from compositor.errors import ReadError
from compositor.options import SimilarOptions

EXAMPLES = """\b
Examples:
  compositor similar photo.jpg photos/
  compositor similar photo.jpg photos/ --count 20 --by look --weights own.safetensors --json"""


@click.command(short_help="Find the photos that show most of what one shows.", epilog=EXAMPLES)
@click.argument("photo", type=click.Path(dir_okay=False))
@photo_arguments
@options_from(SimilarOptions)
@console_options
@click.pass_obj
def similar(
    console: Console,
    /,
    photo: str,
    photos: tuple[str, ...],
    from_file: IO[str] | None,
    count: int,
    by: str,
    zoom: bool,
    weights: str,
    device: str,
) -> int:
    """Find the photos that show most of what PHOTO shows, by its colours and details; needs the extra «learned».

    Parts of one are also put beside the whole of the other, as a longer lens would have seen them. «--by look» finds those that look like
    it, whatever place they show, to a small network and by their outlines: with --weights to one that learned from pictures of yours.
    """
    require_photos([photo], 1)
    from compositor.images import photo_names
    from compositor.learned import Encoder
    from compositor.learned.beside import Beside
    from compositor.learned.clustering import LOOK
    from compositor.learned.grouping import tell_photos

    sources = find_photos(console, photos, from_file)
    require_photos(sources, 1)
    others = [place for place, source in enumerate(sources) if os.path.realpath(source) != os.path.realpath(photo)]
    if not others:
        raise click.UsageError(f"{photo} is the only photo that was given; name others to compare it with")
    encoder, names = Encoder.load(weights or None, device=device), photo_names(sources)
    beside = Beside(photo, encoder, zoom=zoom, parts=LOOK if by == "look" else None)
    with console.progress() as progress:
        told = tell_photos([sources[place] for place in others], beside, names=[names[place] for place in others], progress=progress)
    for name, reason in told.left_out:
        console.leave_out(name, reason)
    if not told.places:
        raise ReadError("none of the other photos can be read; the warnings say why")
    found = sorted(
        ((float(row[0]), names[others[place]], others[place]) for row, place in zip(told.numbers, told.places, strict=True)),
        key=lambda one: (-one[0], one[1]),
    )
    records = [
        {"name": name, "path": os.path.abspath(sources[place]), "likeness": round(likeness, 4)} for likeness, name, place in found[:count]
    ]
    text = "\n".join(f"{record['likeness']:7.4f}  {one_line(str(record['name']))}" for record in records)
    console.result("similar", {"photo": photo, "similar": records, "left_out": named(console.left_out)}, text)
    return 3 if console.left_out else 0
