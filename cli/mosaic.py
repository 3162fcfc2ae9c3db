"""``compositor mosaic``."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import click

import compositor
from compositor.cli.console import Console, console_options, named
from compositor.cli.options import options_from
from compositor.cli.output import check_outputs
from compositor.cli.photos import is_missing, natural, pictures_in, require_photos
from compositor.errors import counted, first_names
from compositor.options import JPEG_QUALITY, MosaicOptions

if TYPE_CHECKING:
    from compositor.mosaic import Features

EXAMPLES = """\b
Examples:
  compositor mosaic portrait.jpg --tiles holidays/ -o mosaic.tif --columns 160
  compositor mosaic portrait.jpg --tiles holidays/ -o mosaic.jpg --columns 60 --tile-size 48 --tone 0.3
  compositor mosaic portrait.jpg --tiles holidays/ -o mosaic.tif --columns 80 --features encoder"""


@click.command(short_help="Compose one picture out of many small ones.", epilog=EXAMPLES)
@click.argument("target", type=click.Path())
@click.option("--tiles", required=True, multiple=True, type=click.Path(), help="Folder of pictures, with all in it, or a quoted pattern.")
@click.option("-o", "--output", required=True, type=click.Path(), help="The picture to write: .jpg, .png or .tif.")
@click.option("--overwrite", is_flag=True, help="Replace an output that exists.")
@click.option("--quality", type=click.IntRange(1, 100), default=JPEG_QUALITY, show_default=True, help="Quality of a JPEG output.")
@click.option("--features", type=click.Choice(["encoder"]), help="Compare by what an encoder finds, too, not by colours alone.")
@click.option("--weights", type=click.Path(), help="The encoder's, a .safetensors file; by default those that ship.")
@options_from(MosaicOptions)
@console_options
@click.pass_obj
def mosaic(
    console: Console,
    /,
    target: str,
    tiles: tuple[str, ...],
    output: str,
    overwrite: bool,
    quality: int,
    features: str | None,
    weights: str | None,
    **options: Any,
) -> int:
    """Compose TARGET out of many small pictures, each the nearest to a part of it.

    A tile that cannot be read is left out. Tiles lie in a temporary file, and a TIFF or PNG is drawn row by row: memory is taken by the
    number of cells, 1.2 kB each, not by their size. With --features encoder, which needs the extra «learned», what tiles show counts, too;
    it takes minutes for tens of thousands.
    """
    from compositor.images import check_output

    require_photos([target], 1)
    if weights and not features:
        raise click.UsageError("--weights are those of --features encoder; give both")
    sources = [path for path in find_tiles(tiles) if os.path.realpath(path) != os.path.realpath(output)]
    check_outputs(output=output, inputs=[target, *sources], overwrite=overwrite)
    look = _encoder(weights) if features else None
    with console.progress() as progress:
        made = compositor.mosaic(
            target,
            sources,
            features=look,
            approve=lambda size: check_output(output, overwrite=True, size=size),
            progress=progress,
            **options,
        )
    made.save(output, overwrite=overwrite, quality=quality)
    rows, columns = made.chosen.shape
    used = len(made.used)
    console.say(f"{output}: {columns} x {rows} cells of {used} of {counted(len(sources), 'tile')}, colours {made.difference:.1f} apart")
    fields = {"size": [made.pixels.shape[1], made.pixels.shape[0]], "cells": [columns, rows], "tiles_used": used, "radius": made.radius}
    left_out = {"left_out": named(made.left_out), "seconds": dict(made.seconds), "output": os.path.abspath(output)}
    console.result("mosaic", {**fields, "difference": made.difference, **left_out})
    return 3 if made.left_out else 0


def _encoder(weights: str | None) -> Features:
    """What an encoder tells of pictures."""
    from compositor.learned import Encoder

    encoder = Encoder.load(weights)
    return lambda pictures: encoder(pictures, parts={"picture": 1.0})


def find_tiles(places: tuple[str, ...]) -> list[str]:
    """Pictures in folders, at any depth, files and what patterns match; each once, in natural order within a place.

    Raises
    ------
    click.UsageError
        There is none.
    """
    found = [path for place in places for path in sorted(_in_place(place), key=natural)]
    if not found and (missing := [place for place in places if is_missing(place) and not glob.has_magic(place)]):
        raise click.UsageError(f"there is no file or folder {first_names(missing)}; correct the name{'s' * (len(missing) > 1)}")
    if not found:
        from compositor.images import PICTURE_ENDINGS

        raise click.UsageError(f"there are no pictures in {', '.join(places)}; looked for {' '.join(PICTURE_ENDINGS)}")
    return list(dict.fromkeys(found))


def _in_place(place: str) -> Iterable[str]:
    if os.path.isdir(place):
        return pictures_in(place, deep=True)
    return [place] if os.path.lexists(place) else glob.glob(place)
