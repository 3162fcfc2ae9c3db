"""What the learned refiner makes of seams between two layers of one photo, beside the classical stages it stands on.

Cases and columns are those of seams.py: CASES folders as it reads them, or cases made of photographs that scikit-image ships. One row is
the classical result, one the refined one, one what the network proposes where no guard looks at it. Below the table: how many tiles the
guard took.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import click
import cv2
import numpy as np
import torch
from seams import NOTHING, make_cases, measure, read_cases
from tables import print_heading, print_row

from compositor.compose.floor import finish
from compositor.learned import Refiner
from compositor.learned import refiner as in_use
from compositor.learned.guard import Verdict, judge


@click.command(help=__doc__)
@click.option("--weights", type=click.Path(exists=True), help="The refiner's, .safetensors; by default those that ship.")
@click.option("--keep", type=click.Path(path_type=Path), help="Folder for the pictures, one folder for each row in it.")
@click.option("--seed", default=0, show_default=True, help="Of the cases that are made.")
@click.option("--device", default="cpu", show_default=True, help="Where the network computes.")
@click.argument("cases", nargs=-1, type=click.Path(exists=True, file_okay=False, path_type=Path))
def refiner(cases: tuple[Path, ...], weights: str | None, keep: Path | None, seed: int, device: str) -> None:
    rows, refine, tiles = defaultdict(list), Refiner.load(weights, device=device), [0, 0]
    print_heading()
    for name, group, layers, truth in read_cases(cases) if cases else make_cases(seed):
        finished = finish(layers, back=True)
        hard, refined = finish(layers, **NOTHING).pixels, refine(layers, finished)
        tiles = [tiles[0] + refined.report["taken"], tiles[1] + refined.report["tiles"]]
        in_use.judge = trust
        results = {"classical": finished.pixels, "refined": refined.pixels, "unguarded": refine(layers, finished).pixels}
        in_use.judge = judge
        for row, pixels in results.items():
            pixels = np.round(255 * pixels)
            if keep:
                (keep / row).mkdir(parents=True, exist_ok=True)
                cv2.imwrite(str(keep / row / f"{name}.png"), pixels[..., ::-1].astype(np.uint8))
            rows[group, row].append(measure(pixels / np.float32(255), truth, hard, layers))
    columns = "PSNR dB, near the seam dB, step, gradient error, sharpness, mean change, largest change"
    print_row("group", "result", "cases", *columns.split(", "), "worst PSNR dB", header=True)
    for (group, row), figures in sorted(rows.items(), key=lambda entry: entry[0][0]):
        print_row(group, row, len(figures), *(f"{value:.3f}" for value in np.mean(figures, axis=0)), f"{min(f[0] for f in figures):.2f}")
    print(f"\nthe guard took {tiles[0]} of {tiles[1]} tiles")


def trust(strip, refined) -> Verdict:
    """A guard that takes everything."""
    nothing = torch.zeros(len(refined))
    return Verdict(torch.ones(len(refined), dtype=torch.bool), nothing, nothing)


if __name__ == "__main__":
    refiner()
