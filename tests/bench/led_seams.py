"""What leading seams through full-size pixels is worth where they were planned on a canvas reduced to a --factor-th.

Each FOLDER holds the photos of one panorama, which is stitched with default options, with and without. Without any a room is photographed
by a camera that does not stay where it is. Photos of 12 megapixels are planned at an eighth; smaller ones usually at less, so the factor is
forced. The columns: photos used of given; pixels of seam without; what ``map_seams`` shows of the seams, summed up, without and with, in
levels, and the second beside the first; places where it shows its most, 8 levels, without and with; CPU seconds that leading took.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import click
import numpy as np
from room import photograph_room
from scenes import photos_in
from tables import print_heading, print_row

import compositor
from compositor.compose.plan import make_plan
from compositor.compose.render import render

PARTS, MOST = 32, 255
"""Gray levels of a seam map for a level, and its white."""
COLUMNS = "set, photos, seam px, without, with, beside, over 8 without, with, CPU s"


@click.command(help=__doc__)
@click.option("--factor", default=8, show_default=True, help="1, 2, 4 .. 32.")
@click.option("--seed", default=0, show_default=True, help="Of the noise in the room.")
@click.argument("folders", nargs=-1, type=click.Path(exists=True, file_okay=False, path_type=Path))
def led_seams(folders: tuple[Path, ...], factor: int, seed: int) -> None:
    spent, lead = [0.0], render.__globals__["lead_seams"]

    def timed(*arguments: Any) -> None:
        began = time.thread_time()
        lead(*arguments)
        spent[0] += time.thread_time() - began

    make_plan.__globals__["plan_reduction"] = lambda *_: factor
    print_heading()
    print_row(*COLUMNS.split(", "), header=True)
    ratios = []
    with tempfile.TemporaryDirectory(prefix="compositor-bench-") as temporary:
        for folder in folders or [photograph_room(Path(temporary, "rooms", "room"), seed)]:
            photos, shown, lengths, used = photos_in(folder), [], [], ""
            for leading in (lambda *_: None, timed):
                render.__globals__["lead_seams"], spent[0] = leading, 0.0
                panorama = compositor.stitch(photos)
                used = f"{len(panorama.used)} / {len(photos)}"
                names = set(panorama.used)
                shown.append(compositor.map_seams(panorama, [photo for photo in photos if Path(photo).name in names]))
                lengths.append(seam_length(np.asarray(panorama.owner)))
            sums, most = [seams.sum() / PARTS for seams in shown], [int((seams == MOST).sum()) for seams in shown]
            ratios.append(sums[1] / max(sums[0], 1e-9))
            label = "/".join(folder.resolve().parts[-2:])
            print_row(label, used, lengths[0], *(f"{one:.0f}" for one in sums), f"{ratios[-1]:.3f}", *most, f"{spent[0]:.3f}")
    print_row(f"all {len(ratios)}, mean", *[None] * 4, f"{np.mean(ratios):.3f}", *[None] * 3)


def seam_length(owner: np.ndarray) -> int:
    """Pairs of neighbouring pixels of which two photos own one each."""
    pairs = (owner[:, 1:], owner[:, :-1]), (owner[1:], owner[:-1])
    return sum(int(((a != b) & (a >= 0) & (b >= 0)).sum()) for a, b in pairs)


if __name__ == "__main__":
    led_seams()
