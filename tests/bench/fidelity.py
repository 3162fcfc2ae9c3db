"""How close panoramas come to the scene, beside a reference that knows the true cameras and colours.

Each FOLDER holds photos and truth/truth.json, as the beginning of truth.py says. Without a folder rows and grids are rendered, from
several seeds. Every command makes a picture of the photos, in any projection that is found again (plane, cylinder or sphere), and so does
the reference: by default our own compositing with the true cameras and colours and hard seams, or what ``--oracle`` runs.

Prints a Markdown table with a row for every set and command. Each number is followed by its difference from the reference's, scored alike:

- PSNR, dB, after one straight line per channel between encoded values. Compared is what lies within the middle 85 per cent of some photo.
- sharpness: the Laplacian's energy beside that of the scene, percent. Noise counts as sharpness here, and more so in smooth scenes.
- detail: the share of the scene's Laplacian that is found again, by regression, percent. Noise does not count, blur does.
- covered: share of that part of the picture's frame which has pixels, percent.
- wrap: where the picture goes all round, the step of its error from its last column to its first, beside the median of the steps between
  columns elsewhere (means over rows, each over 31 rows, of the absolute value).

Then the median and the worst of each command.
"""

from __future__ import annotations

import dataclasses
import math
import shlex
import statistics
import tempfile
from pathlib import Path

import click
import cv2
import numpy as np
from measure import OURS, Commands, named_commands, run_command
from numpy.typing import NDArray
from placing import Placing, place_panorama
from scenes import SCENES, render_set
from tables import print_heading, print_row
from truth import Scene, open_views, read_truth, true_photometry, true_registration

import compositor
from compositor.geometry.views import see
from compositor.types import Camera

INNER = 0.85
"""Of a photo's width and height, the part in which pictures are compared."""
EMPTY, CLOSED, RIM = 4, 9, 13
"""Largest value of a picture's black outside; squares that close what is as dark inside it, and that keep away from its rim, px."""
BAND = 64
"""Rows that are looked up at once."""
COLUMNS = "set, picture, used, PSNR dB, –, sharpness %, –, detail %, –, covered %, wrap"


@dataclasses.dataclass(frozen=True)
class Score:
    """In the order of the table; ``wrap`` is nan for pictures that do not go all round."""

    psnr: float
    sharpness: float
    detail: float
    covered: float
    wrap: float


@click.command(help=__doc__)
@click.option(
    "--run",
    "commands",
    multiple=True,
    default=[f"compositor={OURS}"],
    callback=named_commands,
    metavar="NAME='COMMAND'",
    help="A command with {out} and {photos} in it; may be given several times. Default: compositor stitch, beside this Python.",
)
@click.option("--oracle", metavar="'COMMAND'", help="A command with {folder} and {out} in it that makes the reference.")
@click.option("--seeds", type=click.IntRange(1), default=2, show_default=True, help="How many of each scene are rendered.")
@click.option("--keep", type=click.Path(path_type=Path), help="Keep the pictures in this folder; those of an earlier run are replaced.")
@click.option("--timeout", default=600.0, show_default=True, help="Seconds that a command may take.")
@click.argument("folders", nargs=-1, type=click.Path(exists=True, file_okay=False, path_type=Path))
def fidelity(commands: Commands, oracle: str | None, seeds: int, keep: Path | None, timeout: float, folders: tuple[Path, ...]) -> None:
    with tempfile.TemporaryDirectory(prefix="compositor-bench-") as temporary:
        chosen = [folder.resolve() for folder in folders] or [
            render_set(Path(temporary, f"{name}-{seed}"), seed=seed, **look) for name, look in SCENES.items() for seed in range(seeds)
        ]
        results = keep or Path(temporary, "results")
        results.mkdir(parents=True, exist_ok=True)
        print_heading({**commands, **({"reference": shlex.split(oracle)} if oracle else {})})
        print_row(*COLUMNS.split(", "), header=True)
        differences: dict[str, list[tuple[Score, Score]]] = {name: [] for name in commands}
        for folder in chosen:
            measured = Measured.of(folder)
            reference = measured.score(measured.reference(results / f"{folder.name}-reference.png", oracle, timeout))
            print_row(folder.name, "reference", None, *cells(reference, None))
            photos = [str(folder / camera.name) for camera in measured.cameras]
            for name, words in commands.items():
                out = results / f"{folder.name}-{name}.png"
                outcome = run_command(words, out, photos, timeout=timeout)
                score = measured.score(out) if outcome.size else None
                used = f"{'?' if outcome.used is None else outcome.used} / {outcome.given}"
                print_row(folder.name, name, used, *cells(score, reference))
                if score and reference:
                    differences[name].append((score, reference))
    for name, pairs in differences.items():
        summarize(name, pairs)


def cells(score: Score | None, reference: Score | None) -> list[str | None]:
    """A row's numbers, each with its difference from the reference's where there is one."""
    if score is None:
        return [None] * 8
    row: list[str | None] = []
    for number, other, places in zip(dataclasses.astuple(score), dataclasses.astuple(reference or score), (2, 1, 1), strict=False):
        row += [f"{number:.{places}f}", f"{number - other:+.{places}f}" if reference else None]
    # Sharpness stands for an energy: what matters is its ratio.
    row[3] = f"{100 * (score.sharpness / reference.sharpness - 1):+.1f} %" if reference else None
    return [*row, f"{score.covered:.1f}", None if math.isnan(score.wrap) else f"{score.wrap:.2f}"]


def summarize(name: str, pairs: list[tuple[Score, Score]]) -> None:
    """The median and the worst difference from the reference of all sets."""
    if not pairs:
        return
    psnr = [score.psnr - reference.psnr for score, reference in pairs]
    sharpness = [100 * (score.sharpness / reference.sharpness - 1) for score, reference in pairs]
    detail = [score.detail - reference.detail for score, reference in pairs]
    for what, of_psnr, of_ratio in (("median", statistics.median, statistics.median), ("worst", min, lambda row: max(row, key=abs))):
        ratio = f"{of_ratio(sharpness):+.1f} %"
        print_row(f"**{what}**", name, None, None, f"{of_psnr(psnr):+.2f}", None, ratio, None, f"{of_ratio(detail):+.1f}", None, None)


@dataclasses.dataclass(frozen=True, eq=False)
class Measured:
    """A set whose pictures are measured."""

    folder: Path
    pixels: list[NDArray[np.uint8]]
    cameras: tuple[Camera, ...]
    scene: Scene

    @classmethod
    def of(cls, folder: Path) -> Measured:
        truth = read_truth(folder)
        photos = open_views(folder, truth)
        cameras = true_registration(photos, truth).cameras
        return cls(folder, [photo.full().pixels for photo in photos], cameras, Scene.of(folder, truth))

    def reference(self, out: Path, oracle: str | None, timeout: float) -> Path:
        """The file of what the true cameras and colours give."""
        if oracle:
            words = [word.replace("{folder}", str(self.folder)) for word in shlex.split(oracle)]
            outcome = run_command(words, out, [], timeout=timeout)
            if outcome.size is None:
                raise click.ClickException(f"the oracle made no picture of {self.folder.name}: {outcome.last_words}")
            return out
        truth = read_truth(self.folder)
        photos = open_views(self.folder, truth)
        panorama = compositor.compose(true_registration(photos, truth), photos, photometry=true_photometry(truth), blend="none")
        panorama.save(out, overwrite=True)
        return out

    def score(self, path: Path) -> Score | None:
        """A picture's numbers; None where it cannot be placed."""
        pixels = np.ascontiguousarray(cv2.imread(str(path), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)[..., ::-1])
        square = np.ones((CLOSED, CLOSED), np.uint8)
        shown = cv2.morphologyEx((pixels.max(axis=2) > EMPTY).astype(np.uint8), cv2.MORPH_CLOSE, square)
        shown = cv2.erode(shown, np.ones((RIM, RIM), np.uint8), borderValue=0) > 0
        placing = place_panorama(pixels, shown, self.pixels, self.cameras, self.scene)
        if placing is None:
            return None
        there, inner = self.look_up(placing, shown.shape)
        return compare(pixels, there, shown & inner, float(shown[inner].mean()), goes_round(placing, shown.shape[1]))

    def look_up(self, placing: Placing, shape: tuple[int, int]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """The scene in a picture's frame, (h, w, 3), and where it lies in the middle of some photo."""
        there, inner = np.empty((*shape, 3), np.float32), np.zeros(shape, np.bool_)
        for top in range(0, shape[0], BAND):
            y, x = np.mgrid[top : min(top + BAND, shape[0]), : shape[1]].astype(np.float64)
            directions = placing.directions(x, y)
            there[top : top + BAND] = self.scene.colours(directions)
            for camera in self.cameras:
                positions, seen = see(camera, directions.reshape(-1, 3))
                far = np.abs(positions - camera.center) / (np.array(camera.size) / 2)
                inner[top : top + BAND] |= (seen & (far < INNER).all(axis=1)).reshape(x.shape)
        return there, inner


def goes_round(placing: Placing, width: int) -> bool:
    """Whether a picture's last column meets its first."""
    return placing.projection != "plane" and abs(width / (2 * np.pi * placing.numbers[0]) - 1) < 0.5 / width


def compare(pixels: NDArray[np.uint8], there: NDArray[np.float32], mask: NDArray[np.bool_], covered: float, wraps: bool) -> Score:
    """A picture beside the scene in its frame."""
    fitted = np.empty_like(there)
    for channel in range(3):
        own, true = pixels[..., channel][mask], there[..., channel][mask]
        unburnt = (own > 3) & (own < 252) & (true > 3) & (true < 252)
        slope, level = np.polyfit(own[unburnt].astype(np.float64), true[unburnt], 1)
        fitted[..., channel] = np.clip(slope * pixels[..., channel] + level, 0, 255)
    error = fitted - there
    bent, true_bent = (cv2.Laplacian(picture.mean(axis=2), cv2.CV_32F)[mask].astype(np.float64) for picture in (fitted, there))
    return Score(
        psnr=float(10 * np.log10(255**2 / np.square(error[mask], dtype=np.float64).mean())),
        sharpness=float(100 * (bent @ bent) / (true_bent @ true_bent)),
        detail=float(100 * (bent @ true_bent) / (true_bent @ true_bent)),
        covered=100 * covered,
        wrap=step_across(error.mean(axis=2), mask) if wraps else math.nan,
    )


def step_across(error: NDArray[np.float32], mask: NDArray[np.bool_]) -> float:
    """The step of the error from the last column to the first, beside the median of those elsewhere."""
    whole = mask[:, 12:-12].all(axis=1)  # the rim of the picture is masked there, though it has none
    steps = cv2.blur(np.roll(error[whole], -1, axis=1) - error[whole], (1, 31))
    sizes = np.abs(steps).mean(axis=0)
    return float(sizes[-1] / np.median(sizes[:-1]))


if __name__ == "__main__":
    fidelity()
