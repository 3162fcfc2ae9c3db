"""Local alignment: what bending the photos does to the overlaps, and to straight lines.

Each set (FOLDERs, or rendered ones: exact cameras, a lens that distorts, a rolling shutter, a camera that moved through a room) is
registered with ``local_alignment="auto"``, or as the option says, and the same cameras are compared with and without their meshes. A row
tells: photos used of given; what held-out points of the overlaps are apart, in px, before and after («off» where bending did not help or
was not tried); how far a straight line is bent at most, in px, among those that the meshes were told of, and, without the worst hundredth,
among lines that another detector finds; how much fine detail of the photos differs in their overlaps, in levels of 255, mean of all pairs;
where the truth is known (rendered sets, or ``truth/truth.json`` in the folder), how far points are carried from where they belong, root
mean square, px; and seconds of CPU time of the registration without and with it, after one that is not counted.
"""

from __future__ import annotations

import dataclasses
import json
import math
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import cv2
import numpy as np
from numpy.typing import NDArray
from room import photograph, seen_by_both, step_forward, tiled
from scenes import SCENES, photos_in, render_set
from tables import print_heading, print_row

import compositor
from compositor.cli.options import options_from
from compositor.compose.canvas import plan_canvas
from compositor.compose.warp import Box, Sheet, draw, locate
from compositor.datasets.synthesize import look_around, render_views
from compositor.geometry.views import ray_directions, see
from compositor.images import open_photo, write_image
from compositor.options import ComposeOptions, RegisterOptions
from compositor.register import least_squares
from compositor.register.features import stretched
from compositor.register.lines import join_pieces, line_bending
from compositor.registration import Registration
from compositor.types import Camera, Decoded

Floats = NDArray[np.float64]
Truth = Callable[[str, str], tuple[Floats, Floats]]
"""Points, px, (n, 2), that two photos, by name, have in common."""

FINE = 4.0
"""Standard deviation, px, of the blur that fine detail is what differs from."""


@click.command(help=__doc__)
@click.option("--straight-lenses", is_flag=True, help="Take lenses to distort nothing, to see what a wrong lens leaves.")
@options_from(RegisterOptions)
@click.argument("folders", nargs=-1, type=click.Path(exists=True, file_okay=False, path_type=Path))
def local(folders: tuple[Path, ...], straight_lenses: bool, **options: Any) -> None:
    if straight_lenses:
        least_squares.PRIOR_SIGMA[3:] = 1e-7
    changed = " ".join(f"{name}={value}" for name, value in options.items() if value != getattr(RegisterOptions(), name)) or "defaults"
    changed += ", straight lenses" if straight_lenses else ""
    with tempfile.TemporaryDirectory(prefix="compositor-bench-") as temporary:
        sets = [(folder, truth_of(folder)) for folder in folders] or list(rendered(Path(temporary)))
        compositor.register(photos_in(sets[0][0]), **options | {"local_alignment": "mesh"})
        print_heading()
        columns = (
            "set, used of given, held out px, bending px, bending elsewhere px (99 %), overlaps differ by, error to truth px, "
            "CPU s without and with, options"
        )
        print_row(*columns.split(", "), header=True)
        for folder, truth in sets:
            measure(folder, truth, options, changed)


def measure(folder: Path, truth: Truth | None, options: dict[str, Any], changed: str) -> None:
    """Register one set without and with local alignment, and print its row."""
    paths, seconds = photos_in(folder), []
    for method in ("none", options["local_alignment"]):
        before = time.process_time()
        registration = compositor.register(paths, **options | {"local_alignment": method})
        seconds.append(time.process_time() - before)
    used, cost = f"{len(registration.cameras)} of {len(paths)}", " → ".join(f"{s:.2f}" for s in seconds)
    found = registration.local
    bare = dataclasses.replace(registration, cameras=tuple(dataclasses.replace(c, mesh=None) for c in registration.cameras))
    known = None if truth is None else f"{error(bare, truth):.3f}"
    if found is None:
        print_row(folder.name, used, "off", None, None, f"{difference(bare, paths):.2f}", known, cost, changed)
        return
    elsewhere = np.concatenate(
        [line_bending(c, other_lines(path)) for c, path in zip(registration.cameras, used_paths(registration, paths), strict=True)]
    )
    print_row(
        folder.name,
        used,
        f"{found.before:.2f} → {found.after:.2f}",
        f"{found.bending:.2f}",
        f"{np.quantile(elsewhere, 0.99):.2f}" if len(elsewhere) else None,
        f"{difference(bare, paths):.2f} → {difference(registration, paths):.2f}",
        known and f"{known} → {error(registration, truth):.3f}",
        cost,
        changed,
    )


def used_paths(registration: Registration, paths: list[str]) -> list[str]:
    """The file of every camera."""
    by_name = {Path(path).name: path for path in paths}
    return [by_name[camera.name] for camera in registration.cameras]


def gray_of(decoded: Decoded) -> NDArray[np.uint8]:
    """A photo's luma in 8 bits."""
    return stretched(cv2.cvtColor(decoded.pixels, cv2.COLOR_RGB2GRAY), decoded.mask)


def other_lines(path: str) -> Floats:
    """Straight lines of a photo, (n, 2, 2), px, by another detector (von Gioi et al. 2012) than the meshes are told of."""
    gray = gray_of(open_photo(path).full())
    side = max(gray.shape)
    factor = min(1.0, 1300 / side)
    gray = cv2.resize(gray, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    found = cv2.createLineSegmentDetector().detect(gray)[0]
    if found is None:
        return np.zeros((0, 2, 2))
    pieces = found.reshape(-1, 2, 2).astype(np.float64)
    pieces = pieces[np.linalg.norm(pieces[:, 1] - pieces[:, 0], axis=1) > 0.02 * max(gray.shape)]
    lines = join_pieces(pieces, 0.06 * max(gray.shape))
    lines = lines[np.linalg.norm(lines[:, 1] - lines[:, 0], axis=1) > 0.04 * max(gray.shape)]
    return (lines + 0.5) / factor - 0.5


def difference(registration: Registration, paths: list[str]) -> float:
    """How much fine detail differs where two photos overlap, levels of 255, mean of all pairs."""
    bare = dataclasses.replace(registration, cameras=tuple(dataclasses.replace(c, mesh=None) for c in registration.cameras))
    sheet, layers = Sheet.of(plan_canvas(bare, ComposeOptions())), []
    for camera, path in zip(registration.cameras, used_paths(registration, paths), strict=True):
        decoded = open_photo(path).full()
        decoded = dataclasses.replace(decoded, pixels=cv2.cvtColor(gray_of(decoded), cv2.COLOR_GRAY2RGB))
        places = locate(camera, decoded, sheet, Box(0, 0, *sheet.canvas.size))
        pixels, valid = draw(camera, decoded, places, grading=None, smooth=True)
        layers.append((pixels[..., 0], valid))
    means = [fine_difference(*layers[p.first], *layers[p.second]) for p in registration.pairs]
    return float(np.nanmean(means))


def fine_difference(a: NDArray[np.float32], in_a: NDArray[np.bool_], b: NDArray[np.float32], in_b: NDArray[np.bool_]) -> float:
    """How much fine detail of two pictures differs where both exist; NaN where that is next to nowhere."""
    both = in_a & in_b
    inner = cv2.erode(both.astype(np.uint8), np.ones((9, 9))) > 0
    if np.count_nonzero(inner) < 1000:
        return float("nan")
    share = np.maximum(cv2.GaussianBlur(both.astype(np.float32), (0, 0), FINE), 1e-3)
    one, other = a * (b[both].mean() / a[both].mean()) * both, b * both
    fine = [picture - cv2.GaussianBlur(picture.astype(np.float32), (0, 0), FINE) / share for picture in (one, other)]
    return float(np.abs(fine[0] - fine[1])[inner].mean())


def error(registration: Registration, truth: Truth) -> float:
    """Root mean square distance from where points of the first photo of each pair are carried in the second to where they belong, px."""
    squares = []
    for pair in registration.pairs:
        first, second = registration.cameras[pair.first], registration.cameras[pair.second]
        here, there = truth(first.name, second.name)
        squares.append(((see(second, ray_directions(first, here))[0] - there) ** 2).sum(axis=1))
    return float(np.sqrt(np.concatenate(squares).mean()))


def truth_of(folder: Path) -> Truth | None:
    """What ``truth/truth.json`` in a folder says of its photos, if it is there."""
    path = folder / "truth" / "truth.json"
    if not path.is_file():
        return None
    known = json.loads(path.read_text())
    cameras = {}
    for view in known["views"]:
        w, h = open_photo(str(folder / view["name"])).size
        cameras[view["name"]] = Camera(
            view["name"], (w, h), known["f"], ((w - 1) / 2, (h - 1) / 2), np.array(view["R"]), (known.get("k1", 0.0), 0.0)
        )
    return from_cameras(cameras)


def from_cameras(cameras: dict[str, Camera]) -> Truth:
    """Points that photos have in common, of which the cameras are known."""

    def truth(first: str, second: str) -> tuple[Floats, Floats]:
        w, h = cameras[first].size
        x, y = np.meshgrid(np.arange(12.0, w - 12, 10), np.arange(12.0, h - 12, 10))
        here = np.stack([x.ravel(), y.ravel()], axis=1)
        there, seen = see(cameras[second], ray_directions(cameras[first], here))
        inside = seen & (there > 12).all(axis=1) & (there < np.array(cameras[second].size) - 13).all(axis=1)
        return here[inside], there[inside]

    return truth


def bent_set(folder: Path, cameras: list[Camera]) -> tuple[Path, Truth]:
    """What cameras see of a photograph that scikit-image ships, rendered into a folder, and the truth."""
    from skimage.data import stereo_motorcycle

    folder.mkdir()
    for view in render_views(stereo_motorcycle()[0], cameras, picture_field_of_view=math.radians(75)):
        write_image(folder / view.camera.name, view.pixels)
    return folder, from_cameras({camera.name: camera for camera in cameras})


def rendered(folder: Path) -> Iterator[tuple[Path, Truth]]:
    """Four sets with a known truth, rendered into a folder."""
    exact = render_set(folder / "exact", size=(960, 720), **SCENES["row"])
    yield exact, truth_of(exact)
    straight = look_around(size=(960, 720), **SCENES["row"])
    yield bent_set(folder / "lens", [dataclasses.replace(camera, distortion=(-0.1, 0.0)) for camera in straight])
    # While a photo is read from top to bottom the hand sways, in each photo its own way.
    rows = np.arange(9)[:, None, None] * np.ones((1, 11, 1))
    sways = [np.concatenate([3 * np.sin(rows / 2 + 2 * k), np.cos(rows / 2 + 3 * k)], axis=2) for k in range(len(straight))]
    yield bent_set(folder / "shutter", [dataclasses.replace(camera, mesh=m) for camera, m in zip(straight, sways, strict=True)])
    cameras, positions = step_forward(3, size=(960, 720))
    (folder / "room").mkdir()
    for camera, position in zip(cameras, positions, strict=True):
        write_image(folder / "room" / camera.name, photograph(camera, position, tiled()))
    order = {camera.name: k for k, camera in enumerate(cameras)}
    yield folder / "room", lambda first, second: seen_by_both(cameras, positions, order[first], order[second])


if __name__ == "__main__":
    local()
