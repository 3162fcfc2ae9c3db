"""Which of many photos belong together: photos of several places thrown into one heap, parted by compositor.learned.group.

FOLDERS hold the photos of one place each; that these all hang together, and with none of another, is the truth. Precision: pairs of photos
in one set that are of one place. Recall: pairs of one place that are in one set. Every option of `compositor group` that parts by overlap
can be given; without --threads there is one.
"""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path
from typing import Any

import click
import numpy as np
from scenes import photos_in
from tables import print_heading, print_row

from compositor.cli.options import options_from
from compositor.learned import Encoder
from compositor.learned import group as part
from compositor.options import GroupOptions


@click.command(help=__doc__)
@options_from(GroupOptions)
@click.argument("folders", nargs=-1, required=True, type=click.Path(exists=True, file_okay=False, path_type=Path))
def group(folders: tuple[Path, ...], **options: Any) -> None:
    photos = {path: place for place, folder in enumerate(folders) for path in photos_in(folder)}
    paths = [list(photos)[k] for k in np.random.default_rng(options["seed"]).permutation(len(photos))]
    options["threads"] = options["threads"] or 1
    encoder = Encoder.load(options["weights"] or None, device=options["device"])
    began = time.process_time()
    found = part(paths, encoder=encoder, **options)
    took = (time.process_time() - began) / len(paths)
    places = [[photos[paths[k]] for k in one] for one in found.sets]
    together = sum(pairs(len(one)) for one in places)
    right = sum(pairs(count) for one in places for count in Counter(one).values())
    wanted = sum(pairs(count) for count in Counter(photos.values()).values())
    print_heading()
    columns = "photos, places, sets, single, sets of several places, precision, recall, compared, CPU s a photo"
    print_row(*columns.split(", "), header=True)
    mixed = sum(len(set(one)) > 1 for one in places)
    shares = (f"{right / max(all_pairs, 1):.4f}" for all_pairs in (together, wanted))
    print_row(len(paths), len(folders), len(places), len(found.singles), mixed, *shares, found.compared, f"{took:.3f}")
    for one, known in zip(found.sets, places, strict=True):
        if len(set(known)) > 1:
            print(f"\none set of {len(one)}:", *(str(folders[place]) for place in sorted(set(known))))
    if found.singles:
        print("\nsingle:", *(paths[k] for k in found.singles))


def pairs(count: int) -> int:
    """That so many photos have."""
    return count * (count - 1) // 2


if __name__ == "__main__":
    group()
