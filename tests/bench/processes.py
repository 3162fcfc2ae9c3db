"""Whole processes side by side on one photo list, from start to exit, in alternation.

Prints a Markdown table with a row for every command: photos used of given, medians of wall and CPU seconds and of the peak memory of the
process tree (PSS, sampled, in runs of their own, since sampling slows down what it looks at), medians of the pairwise ratios to the first
command, the CPU time as a multiple of what nobody can do without, decoding the photos and encoding the command's picture once (printed
below the table), the wall time of the first run, which no median counts, exit codes, and the command with its options. Where the first
command did not use every photo in every run it is no reference: the ratios stand in brackets and a line says so.

Without photos a row of six is rendered.
"""

from __future__ import annotations

import dataclasses
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import click
import cv2
from measure import OPENCV, OURS, Commands, Outcome, named_commands, run_command
from scenes import SCENES, photos_in, render_set
from tables import print_heading, print_row, short

FIGURES = ("wall", "cpu", "memory")


@click.command(help=__doc__)
@click.option(
    "--run",
    "commands",
    multiple=True,
    default=[f"opencv={OPENCV}", f"compositor={OURS}"],
    callback=named_commands,
    metavar="NAME='COMMAND'",
    help="A command with {out} and {photos} in it; may be given several times, the reference first. Default: cv2.Stitcher, compositor.",
)
@click.option("-n", "runs", type=click.IntRange(1), default=5, show_default=True, help="Runs of each command after the first, twice each.")
@click.option("--cold", is_flag=True, help="Start with an empty cache of compiled kernels; later runs find it filled.")
@click.option("--timeout", default=600.0, show_default=True, help="Seconds that a command may take.")
@click.argument("photos", nargs=-1, type=click.Path(exists=True))
def processes(commands: Commands, runs: int, cold: bool, timeout: float, photos: tuple[str, ...]) -> None:
    with tempfile.TemporaryDirectory(prefix="compositor-bench-") as folder:
        given = photos or photos_in(render_set(Path(folder, "row"), **SCENES["long-row"], size=(1200, 900)))
        environment = {"NUMBA_CACHE_DIR": str(Path(folder, "kernels"))} if cold else {}
        print_heading(commands)
        outcomes: dict[str, list[Outcome]] = {name: [] for name in commands}
        for turn in range(runs + 1):
            # Every other turn backwards, so that none always follows the same one.
            for name, words in list(commands.items())[:: -1 if turn % 2 else 1]:
                outcomes[name].append(run_twice(words, Path(folder, f"{name}.jpg"), given, timeout=timeout, environment=environment))
        floors = {name: floor_seconds(given, Path(folder, f"{name}.jpg")) for name in commands}
        print_table(commands, outcomes, floors, kernels="compiled in it" if cold else "as they were")


def run_twice(words: list[str], out: Path, photos: Sequence[str], *, timeout: float, environment: Mapping[str, str]) -> Outcome:
    """Run a command for its seconds, and again for its memory."""
    timed, watched = (
        run_command(words, out, photos, timeout=timeout, environment=environment, watched=watched) for watched in (False, True)
    )
    return dataclasses.replace(timed, memory=watched.memory, code=timed.code or watched.code)


def floor_seconds(photos: Sequence[str], picture: Path) -> float:
    """CPU seconds of decoding photos and encoding a picture, on one thread, by OpenCV; the median of three times."""
    cv2.setNumThreads(1)
    made = cv2.imread(str(picture))
    if made is None:
        return float("nan")
    taken = []
    for _ in range(3):
        began = time.process_time()
        for photo in photos:
            cv2.imread(photo)
        cv2.imencode(".jpg", made, [cv2.IMWRITE_JPEG_QUALITY, 95])
        taken.append(time.process_time() - began)
    return statistics.median(taken)


def print_table(commands: Commands, outcomes: dict[str, list[Outcome]], floors: Mapping[str, float], *, kernels: str) -> None:
    """A row for every command, and whether its first is a reference."""
    reference = next(iter(outcomes))
    fair = all(outcome.whole for outcome in outcomes[reference])
    figures = "wall s, CPU s, memory MB, wall ratio, CPU ratio, memory ratio, CPU in floors"
    columns = f"run, used of given, {figures}, first run s (kernels {kernels}), exit, command"
    print_row(*columns.split(", "), header=True)
    for name, (first, *later) in outcomes.items():
        medians = [statistics.median(getattr(outcome, figure) for outcome in later) for figure in FIGURES]
        print_row(
            name,
            used_of_given([first, *later]),
            *(f"{median:.{digits}f}" for median, digits in zip(medians, (2, 2, 0), strict=True)),
            *(f"{ratio:.2f}" if fair else f"({ratio:.2f})" for ratio in ratios(later, outcomes[reference][1:])),
            f"{medians[1] / floors[name]:.1f}",
            f"{first.wall:.2f}",
            distinct("out of time" if outcome.code is None else outcome.code for outcome in (first, *later)),
            short(commands[name]),
        )
    print("\nDecoding the photos and encoding the picture alone, CPU s: " + ", ".join(f"{name} {s:.2f}" for name, s in floors.items()))
    if not fair:
        print(f"\n{reference} used {used_of_given(outcomes[reference])} photos: no reference.")


def ratios(outcomes: list[Outcome], reference: list[Outcome]) -> list[float]:
    """Median over the turns of the ratio within a turn, for each figure."""
    pairs = list(zip(outcomes, reference, strict=True))
    return [statistics.median(getattr(a, figure) / max(getattr(b, figure), 1e-9) for a, b in pairs) for figure in FIGURES]


def used_of_given(outcomes: list[Outcome]) -> str:
    """Photos in the result and photos given; several numbers where the runs differ."""
    return f"{distinct('?' if outcome.used is None else outcome.used for outcome in outcomes)} of {outcomes[0].given}"


def distinct(values: object) -> str:
    """The different values, in the order they came."""
    return " or ".join(dict.fromkeys(map(str, values)))


if __name__ == "__main__":
    processes()
