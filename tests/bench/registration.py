"""Registration alone, beside its own detector and beside OpenCV's stitcher, in one process and in alternation.

The photos are decoded before anything is timed, and everything is run once first, so that no time holds a decoder, an import or a
compiler. For every set of photos (FOLDERs, or rendered rows) a row tells: photos used of given; median seconds of ``compositor.register``;
of OpenCV's detectAndCompute, with the detector's own settings, on the same reduced pictures that registration looks for features in, one
after the other; of ``cv2.Stitcher.estimateTransform``, with the photos it used; and the medians of the ratios within a turn. A ratio to a
stitcher that left photos out stands in brackets: it is no reference.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import cv2
import numpy as np
from numpy.typing import NDArray
from scenes import SCENES, photos_in, render_set
from tables import print_heading, print_row

import compositor
from compositor.cli.options import options_from
from compositor.images import open_photo, photo_from_array
from compositor.options import RegisterOptions
from compositor.register.features import DETECTORS, read_picture, shrunk

RENDERED: dict[str, dict[str, Any]] = {
    "six": SCENES["long-row"],
    "fourteen": {"rows": 2, "columns": 7, "step": (0.11, 0.14)},
}


@click.command(help=__doc__)
@click.option("-n", "runs", type=click.IntRange(1), default=5, show_default=True, help="Turns after the first.")
@options_from(RegisterOptions)
@click.argument("folders", nargs=-1, type=click.Path(exists=True, file_okay=False, path_type=Path))
def registration(folders: tuple[Path, ...], runs: int, **options: Any) -> None:
    chosen = RegisterOptions.of(options)
    changed = " ".join(f"{name}={value}" for name, value in options.items() if value != getattr(RegisterOptions(), name)) or "defaults"
    with tempfile.TemporaryDirectory(prefix="compositor-bench-") as temporary:
        sets = folders or [render_set(Path(temporary, name), size=(1200, 900), **look) for name, look in RENDERED.items()]
        print_heading()
        columns = (
            "set, used of given, register s, detector s, ratio to detector, cv2 used, cv2 estimateTransform s, ratio to cv2, turns, options"
        )
        print_row(*columns.split(", "), header=True)
        for folder in sets:
            measure(folder, chosen, options, runs, changed)


def measure(folder: Path, chosen: RegisterOptions, options: dict[str, Any], runs: int, changed: str) -> None:
    """Run the three in alternation on one set and print its row."""
    photos = [photo_from_array(open_photo(path).full().pixels, name=Path(path).name) for path in photos_in(folder)]
    bgr = [np.ascontiguousarray(photo.full().pixels[:, :, ::-1]) for photo in photos]
    small = [reduced(photo, chosen) for photo in photos]
    registered: list[compositor.Registration] = []
    stitched: list[int] = []
    steps: dict[str, Callable[[], None]] = {
        "register": lambda: registered.append(compositor.register(photos, **options)),
        "detector": lambda: detect(small, chosen),
        "opencv": lambda: stitched.append(estimate(bgr)),
    }
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for turn in range(runs + 1):
        for name, step in list(steps.items())[:: -1 if turn % 2 else 1]:
            start = time.perf_counter()
            step()
            if turn:
                seconds[name].append(time.perf_counter() - start)
    ours, theirs = len(registered[-1].cameras), min(stitched)
    ratio = {
        name: statistics.median(a / b for a, b in zip(seconds["register"], seconds[name], strict=True)) for name in ("detector", "opencv")
    }
    by_cv2 = f"{ratio['opencv']:.2f}" if theirs == len(photos) else f"({ratio['opencv']:.2f})"
    medians = {name: f"{statistics.median(values):.2f}" for name, values in seconds.items()}
    print_row(
        folder.name,
        f"{ours} of {len(photos)}",
        medians["register"],
        medians["detector"],
        f"{ratio['detector']:.2f}",
        f"{theirs} of {len(photos)}",
        medians["opencv"],
        by_cv2,
        runs,
        changed,
    )


def reduced(photo: compositor.Photo, options: RegisterOptions) -> NDArray[np.uint8]:
    """The gray picture of a photo that its features are looked for in."""
    picture = read_picture(photo, options)
    return shrunk(picture.gray, picture.mask, options.feature_megapixels)[0]


def detect(pictures: list[NDArray[np.uint8]], options: RegisterOptions) -> None:
    """The detector alone, on one picture after the other."""
    for picture in pictures:
        DETECTORS[options.features](picture, None, options.features_kept)


def estimate(photos: list[NDArray[np.uint8]]) -> int:
    """OpenCV's registration; how many photos it used, 0 when it failed."""
    stitcher = cv2.Stitcher.create(cv2.Stitcher_PANORAMA)
    status = stitcher.estimateTransform(photos)
    return len(stitcher.component()) if status == cv2.Stitcher_OK else 0


if __name__ == "__main__":
    registration()
