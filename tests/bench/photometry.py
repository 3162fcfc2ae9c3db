"""Exposure, white balance and vignetting against the truth.

Each FOLDER holds photos and truth/truth.json: the focal length «f» in px, the lens's «vignetting» (a, b, and c or nothing, of
1 + a r^2 + b r^4 + c r^6) and «views», each with «name», «R» (camera to world; x right, y down, z forward), «ev» (stops of exposure) and
«wb» (factors on red, green and blue). Without a folder rows and grids are rendered, from several seeds.

The photos are composed with their true cameras. Prints a Markdown table with a row for every set: the largest error of a photo's
exposure (in stops) and of its white balance (in percent), as only differences between photos matter; the error of the light at the
corners (in percent of the middle's); the shoulder, which these photos do not have; and how far the panorama is from the one that the true
photometry gives, in dB, beside the same with gains only and with nothing done. Then the median and the worst of all sets.
"""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path
from typing import Any

import click
import numpy as np
from scenes import SCENES, render_set
from tables import print_heading, print_row
from truth import open_views, read_truth, true_photometry, true_registration

import compositor
from compositor.photometry import falloff

COLUMNS = "set, photos, exposure error stops, white balance error %, corner error %, shoulder, PSNR dB, with gains only, with nothing"


@click.command(help=__doc__)
@click.option("--seeds", type=click.IntRange(1), default=3, show_default=True, help="How many of each scene are rendered.")
@click.argument("folders", nargs=-1, type=click.Path(exists=True, file_okay=False, path_type=Path))
def photometry(folders: tuple[Path, ...], seeds: int) -> None:
    with tempfile.TemporaryDirectory(prefix="compositor-bench-") as temporary:
        chosen = folders or [
            render_set(Path(temporary, f"{name}-{seed}"), seed=seed, **look) for name, look in SCENES.items() for seed in range(seeds)
        ]
        print_heading()
        print_row(*COLUMNS.split(", "), header=True)
        rows = [measure(folder) for folder in chosen]
    columns = list(zip(*rows, strict=True))
    print_row("**median**", None, *shown([statistics.median(column) for column in columns]))
    print_row("**worst**", None, *shown([max(column) for column in columns[:4]] + [min(column) for column in columns[4:]]))


def measure(folder: Path) -> list[float]:
    """Compose one set and print its row; its numbers."""
    truth = read_truth(folder)
    photos = open_views(folder, truth)
    registration = true_registration(photos, truth)
    # Every run cuts the photos alike, half way between them, so that nothing but their light differs.
    full, gains, nothing = (
        compositor.compose(registration, photos, exposure=exposure, seams="voronoi") for exposure in ("full", "gain", "none")
    )
    known = true_photometry(truth)
    errors = np.log(full.gains / known.gains)
    errors -= errors.mean(axis=0)
    balance = errors - errors[:, 1:2]
    corners = [float(falloff(np.array(1.0), light.vignetting[0])) for light in (full.photometry, known)]
    numbers = [
        np.abs(errors[:, 1]).max() / np.log(2),
        100 * np.abs(balance).max(),
        100 * abs(corners[0] - corners[1]),
        full.photometry.shoulder,
    ]
    for panorama in (full, gains, nothing):
        level = np.exp(np.log(panorama.gains / known.gains).mean())
        target = compositor.Photometry(known.names, known.gains * level, known.vignetting)
        numbers.append(psnr(panorama, compositor.compose(registration, photos, photometry=target, seams="voronoi")))
    print_row(folder.name, len(photos), *shown(numbers))
    return [float(number) for number in numbers]


def psnr(panorama: compositor.Panorama, target: compositor.Panorama) -> float:
    """Of 8-bit pictures, where both have pixels, dB."""
    both = panorama.mask & target.mask
    error = (panorama.pixels[both].astype(float) - target.pixels[both]) / 255
    return float(-10 * np.log10((error**2).mean()))


def shown(numbers: list[Any]) -> list[str]:
    """The numbers as a row shows them."""
    return [f"{number:.{places}f}" for number, places in zip(numbers, (4, 2, 2, 2, 1, 1, 1), strict=True)]


if __name__ == "__main__":
    photometry()
