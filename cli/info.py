"""``compositor info``."""

from __future__ import annotations

import math
from typing import IO, TYPE_CHECKING, Any

import click

from compositor.cli.console import Console, console_options, named, one_line
from compositor.cli.photos import find_photos, photo_arguments, require_photos
from compositor.errors import ReadError

if TYPE_CHECKING:
    from compositor.types import Photo


@click.command(short_help="Tell what the files of photos say of them.")
@photo_arguments
@console_options
@click.pass_obj
def info(console: Console, /, photos: tuple[str, ...], from_file: IO[str] | None) -> int:
    """Tell what the files of photos say of them: size, depth, focal length."""
    from compositor.images import open_photos

    sources = find_photos(console, photos, from_file)
    require_photos(sources, 1)
    opened, unreadable = open_photos(sources)
    if not opened:
        raise ReadError("none of the photos can be read; the warnings say why", left_out=tuple(unreadable))
    records = [photo_fields(photo) for photo in opened]
    left_out = [*unreadable, *console.left_out]
    console.result("info", {"photos": records, "left_out": named(left_out)}, "\n".join(map(photo_line, records)))
    return 3 if left_out else 0


def photo_fields(photo: Photo) -> dict[str, Any]:
    """What ``--json`` tells of a photo."""
    return {
        "name": photo.name,
        "size": list(photo.size),
        "dtype": photo.dtype.name,
        "focal_px": photo.focal,
        "camera": photo.camera_key,
        "metadata_bytes": {kind: len(content) for kind, content in photo.metadata.items()},
    }


def photo_line(record: dict[str, Any]) -> str:
    """One photo on one line."""
    width, height = record["size"]
    parts = [one_line(record["name"]), f"{width} x {height} px", record["dtype"]]
    if (focal := record["focal_px"]) is not None:
        angle = math.degrees(2 * math.atan(width / 2 / focal))
        parts.append(f"focal length {focal:.0f} px, {angle:.0f} degrees wide")
    return "  ".join([*parts, *(f"{kind} {count} bytes" for kind, count in record["metadata_bytes"].items())])
