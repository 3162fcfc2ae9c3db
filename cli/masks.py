"""Which masks a command line means, and which photo each belongs to."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Sequence

import click

from compositor.cli.options import Command
from compositor.cli.photos import expand, is_missing
from compositor.errors import first_names

__all__ = ["MASK_RULE", "find_masks", "mask_option", "pair_masks", "without_masks"]

MASK_RULE = """\b
A mask is a picture of its photo's size, white where the photo may be used and black where not. It is called
like its photo, with any ending: a.png, a_mask.png and a.jpg.png are masks of a.jpg. Masks of which none is
called like a photo are taken in order, if there are as many as photos. Put patterns in quotes."""

logger = logging.getLogger("compositor")


def mask_option(name: str, text: str) -> Callable[[Command], Command]:
    """An option that names masks."""
    return click.option(f"--{name}", multiple=True, type=click.Path(), metavar="FOLDER|PATTERN|FILE", help=text)


def find_masks(arguments: Iterable[str]) -> list[str]:
    """Paths of the masks that options name, as for photos.

    Raises
    ------
    click.UsageError
        One is not there, or is given twice.
    """
    masks = [path for argument in arguments for path in expand(argument)]
    if missing := [path for path in masks if is_missing(path)]:
        raise click.UsageError(f"there is no mask {first_names(missing)}; give folders, patterns in quotes or files that are there")
    seen: dict[str, str] = {}
    for mask in masks:
        if (first := seen.get(place := os.path.realpath(mask))) is not None:
            again = "" if first == mask else f" (as {first} before)"
            raise click.UsageError(f"mask {mask} is given twice{again}; give each mask once")
        seen[place] = mask
    return masks


def without_masks(photos: Sequence[str], masks: Iterable[str]) -> list[str]:
    """The photos that are no masks: both may lie in one folder.

    Raises
    ------
    click.UsageError
        None is left.
    """
    taken = {os.path.realpath(mask) for mask in masks}
    left = [photo for photo in photos if os.path.realpath(photo) not in taken]
    if not left:
        pattern = os.path.join(os.path.dirname(photos[0]), "*_mask.*")
        raise click.UsageError(
            f"{photos[0]} and all other photos are given as masks too; where masks lie beside their photos, name them "
            f"by a pattern in quotes, such as '{pattern}'"
        )
    return left


def pair_masks(masks: Sequence[str], photos: Sequence[str]) -> list[str | None] | None:
    """The mask of each photo, by its name; None for a photo without one, and in place of all when there are no masks.

    Parameters
    ----------
    masks, photos : sequence of path

    Raises
    ------
    click.UsageError
        A mask belongs to no photo or to several, a photo has several, or a mask was taken as a photo.
    """
    if not masks:
        return None
    refuse_masks_among(photos)
    owners = [owners_of(mask, photos) for mask in masks]
    if not any(owners) and len(masks) == len(photos):
        logger.warning("no mask is called like a photo; they are taken in order, %s for %s", masks[0], photos[0])
        return list(masks)
    paired: list[str | None] = [None] * len(photos)
    for mask, found in zip(masks, owners, strict=True):
        if not found:
            raise click.UsageError(f"mask {mask} belongs to no photo; {name_for(mask, photos)}")
        if len(found) > 1:
            several, name = " and to ".join(photos[k] for k in found), os.path.basename(photos[found[0]])
            raise click.UsageError(f"mask {mask} belongs to {several}; call it like the whole name of one, such as {name}.png")
        if (other := paired[found[0]]) is not None:
            raise click.UsageError(f"{photos[found[0]]} has two masks, {other} and {mask}; give one")
        paired[found[0]] = mask
    return paired


def refuse_masks_among(photos: Sequence[str]) -> None:
    """Refuse a photo that is called like another one's mask: a shell makes photos of all but the first file of a pattern without quotes."""
    whole = {path.casefold() for path in photos}
    stems = {os.path.splitext(path)[0] for path in whole}
    for photo in photos:
        stem = os.path.splitext(photo)[0].casefold()
        if stem in whole or (stem.endswith("_mask") and stem.removesuffix("_mask") in stems):
            raise click.UsageError(f"{photo} is given as a photo and called like a mask; put patterns of masks in quotes, or leave it away")


def name_for(mask: str, photos: Sequence[str]) -> str:
    """How a mask that belongs to no photo should be called: after the photo whose name is in its own, else after any."""
    called = os.path.splitext(os.path.basename(mask))[0].casefold()
    stems = {os.path.basename(photo): os.path.splitext(os.path.basename(photo))[0] for photo in photos}
    if like := [name for name in stems if stems[name].casefold() in called]:
        name = max(like, key=len)
        return f"if it is that of {name}, call it {stems[name]}.png or {stems[name]}_mask.png"
    name = os.path.basename(photos[0])
    return f"{name}, for example, has one called {stems[name]}.png or {stems[name]}_mask.png"


def owners_of(mask: str, photos: Sequence[str]) -> list[int]:
    """Positions of the photos that a mask is called like; the whole name counts more than the one without its ending."""
    stem = os.path.splitext(os.path.basename(mask))[0].casefold()
    names = [os.path.basename(photo).casefold() for photo in photos]
    whole = [k for k, name in enumerate(names) if stem == name]
    return whole or [k for k, name in enumerate(names) if os.path.splitext(name)[0] in (stem, stem.removesuffix("_mask"))]
