"""Accuracy against known cameras.

Each FOLDER holds photos and truth/truth.json: the focal length «f» in px, the radial distortion «k1» (0 when absent) and «views», each with
«name» and «R» (camera to world; x right, y down, z forward). Without a folder rows and grids are rendered, from several seeds.

Prints a Markdown table with a row for every set: photos used of given, motion model, rotation error over all pairs (RMS and largest, in
degrees), focal error of the worst photo, k1 error of the worst photo (and in percent where there is a distortion), distance between
matched points (RMS, in px), seconds by stage of compositor.register, and its options; then the median and the worst of all sets. The
first set is registered once before anything is measured, so that the seconds hold no imports and no compilation.

``--peer NAME='COMMAND … {cameras} … {photos}'`` measures another program on the same sets: the command writes to {cameras} a JSON list with
«name», «focal» (px) and «R» of every photo it used. Its seconds are those of the whole process.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
from measure import Commands, named_commands, run_command
from scenes import SCENES, render_set
from scipy.spatial.transform import Rotation
from tables import print_heading, print_row

import compositor
from compositor.cli.options import options_from
from compositor.clock import StageClock
from compositor.options import RegisterOptions
from compositor.types import Camera


@dataclasses.dataclass(frozen=True)
class Errors:
    """How far one set's cameras are from the truth; in the order of the table."""

    rotation_rms: float
    rotation_max: float
    focal_percent: float
    k1: float
    match_px: float
    seconds: float


@click.command(help=__doc__)
@click.option("--seeds", type=click.IntRange(1), default=3, show_default=True, help="How many of each scene are rendered.")
@click.option("--peer", "peers", multiple=True, metavar="NAME='COMMAND'", callback=named_commands, help="Another program; may be repeated.")
@options_from(RegisterOptions)
@click.argument("folders", nargs=-1, type=click.Path(exists=True, file_okay=False, path_type=Path))
def cameras(folders: tuple[Path, ...], seeds: int, peers: Commands, **options: Any) -> None:
    defaults = RegisterOptions.of({})
    changed = " ".join(f"{name}={value}" for name, value in options.items() if value != getattr(defaults, name)) or "defaults"
    with tempfile.TemporaryDirectory(prefix="compositor-bench-") as temporary:
        chosen = folders or [
            render_set(Path(temporary, f"{name}-{seed}"), seed=seed, **look) for name, look in SCENES.items() for seed in range(seeds)
        ]
        register(chosen[0], options)
        print_heading()
        columns = (
            "set, used of given, model, rotation RMS °, rotation max °, focal error %, k1 error, match error px, seconds, stages, options"
        )
        print_row(*columns.split(", "), header=True)
        summarize([measure(folder, options, changed) for folder in chosen], changed)
        for name, words in peers.items():
            summarize([measure_peer(folder, name, words) for folder in chosen], name)


def summarize(outcomes: list[tuple[Errors | None, bool]], what: str) -> None:
    """The rows of the median and the worst, of the sets in which every photo was used."""
    measured = [dataclasses.astuple(errors) for errors, whole in outcomes if errors and whole]
    for name, summary in (("median", statistics.median), ("worst", max)) if measured else ():
        errors = Errors(*(summary(column) for column in zip(*measured, strict=True)))
        print_row(f"**{name}**", f"{len(measured)} of {len(outcomes)} sets whole", None, *shown(errors), None, what)


def measure_peer(folder: Path, name: str, words: list[str]) -> tuple[Errors | None, bool]:
    """Let another program register one set and print its row."""
    truth = json.loads((folder / "truth" / "truth.json").read_text())
    photos = [str(folder / view["name"]) for view in truth["views"]]
    with tempfile.TemporaryDirectory(prefix="compositor-bench-") as temporary:
        place = Path(temporary, "cameras.json")
        filled = [word.replace("{cameras}", str(place)) for word in words]
        outcome = run_command(filled, Path(temporary, "out.png"), photos, timeout=600)
        told = json.loads(place.read_text()) if place.exists() else []
    if len(told) < 2:
        print_row(folder.name, f"{len(told)} of {len(photos)}", None, *[None] * 6, outcome.last_words, name)
        return None, False
    size = (1, 1)  # which does not matter here
    found = [Camera(camera["name"], size, camera["focal"], (0, 0), np.array(camera["R"])) for camera in told]
    errors = compare(compositor.Registration("rotation", tuple(found)), truth, outcome.wall)
    errors = dataclasses.replace(errors, k1=math.nan, match_px=math.nan)  # which it does not tell
    print_row(folder.name, f"{len(found)} of {len(photos)}", None, *shown(errors), "whole process", name)
    return errors, len(found) == len(photos)


def measure(folder: Path, options: dict[str, Any], changed: str) -> tuple[Errors | None, bool]:
    """Register one set and print its row; its errors, None without cameras, and whether every photo was used."""
    truth = json.loads((folder / "truth" / "truth.json").read_text())
    given = len(truth["views"])
    try:
        registration, stages = register(folder, options)
    except compositor.CompositorError as error:
        print_row(folder.name, f"0 of {given}", None, *[None] * 6, str(error), changed)
        return None, False
    errors = compare(registration, truth, sum(stages.values()))
    texts = shown(errors)
    if truth.get("k1"):
        texts[3] += f" ({100 * errors.k1 / abs(truth['k1']):.1f} %)"
    stage_texts = ", ".join(f"{stage} {seconds:.2f}" for stage, seconds in stages.items())
    print_row(folder.name, f"{len(registration.cameras)} of {given}", registration.model, *texts, stage_texts, changed)
    return errors, len(registration.cameras) == given


def register(folder: Path, options: dict[str, Any]) -> tuple[compositor.Registration, dict[str, float]]:
    """The registration of the views that the truth names, and seconds by stage."""
    views = json.loads((folder / "truth" / "truth.json").read_text())["views"]
    clock = StageClock()
    registration = compositor.register([folder / view["name"] for view in views], progress=clock, **options)
    return registration, clock.seconds()


def compare(registration: compositor.Registration, truth: dict[str, Any], seconds: float) -> Errors:
    """Errors of the cameras that were found, whatever frame their world has."""
    found, known = registration.cameras, {view["name"]: np.array(view["R"]) for view in truth["views"]}
    angles = [
        Rotation.from_matrix(a.rotation.T @ b.rotation @ (known[a.name].T @ known[b.name]).T).magnitude()
        for a, b in itertools.combinations(found, 2)
    ]
    degrees = np.degrees(angles)
    return Errors(
        rotation_rms=float(np.sqrt(np.mean(degrees**2))),
        rotation_max=float(degrees.max()),
        focal_percent=max(100 * abs(camera.focal / truth["f"] - 1) for camera in found),
        k1=max(abs(camera.distortion[0] - truth.get("k1", 0.0)) for camera in found),
        match_px=registration.error,
        seconds=seconds,
    )


def shown(errors: Errors) -> list[str]:
    """The errors as a row shows them."""
    digits: Sequence[int] = (4, 4, 4, 5, 3, 2)
    return ["–" if math.isnan(value) else f"{value:.{places}f}" for value, places in zip(dataclasses.astuple(errors), digits, strict=True)]


if __name__ == "__main__":
    cameras()
