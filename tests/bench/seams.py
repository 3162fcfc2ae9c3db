"""A seam between two layers of one photo, and what each step of the finish makes of it.

Each CASES folder holds folders with reference.png, new.png, reference_valid.png, new_valid.png, owner.png (white where `new` shows),
truth.png and case.json with its «group». Without any, cases are made of photographs that scikit-image ships: the new layer has another
exposure, white balance, contrast and noise, and in some it is displaced by a few px, which the truth lets fade in behind the seam; every
fifth is the photo itself, which must come back. Prints a Markdown table, a row for each group and step.

PSNR: of the whole picture, and of what is within 8 px of the seam. Step: how far the step in colour across the seam is from the truth's, in
8-bit levels. Gradient error: near the seam, levels. Sharpness: energy of the second derivatives near the seam, beside the truth's. Change:
mean and largest difference from the hard composite, levels; zero is right where nothing was to be mended.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import cv2
import numpy as np
import skimage.data
from tables import print_heading, print_row

from compositor.compose.floor import finish
from compositor.compose.layers import Layers

NOTHING = {"tone": False, "flow": False, "membrane": False, "feather": 0.0}
STEPS: dict[str, dict[str, Any]] = {
    "none": NOTHING,
    "tone": {**NOTHING, "tone": True},
    "tone, flow": {"membrane": False, "feather": 0.0},
    "tone, flow, membrane": {"feather": 0.0},
    "all": {},
    "all but tone": {"tone": False},
    "all but flow": {"flow": False},
    "all but membrane": {"membrane": False},
}
SIZE = (384, 448)
PHOTOGRAPHS = ("astronaut", "chelsea", "coffee", "rocket")
Case = tuple[str, str, Layers, np.ndarray]


@click.command(help=__doc__)
@click.option("--keep", type=click.Path(path_type=Path), help="Folder for the pictures, one folder for each step in it.")
@click.option("--seed", default=0, show_default=True, help="Of the cases that are made.")
@click.option("--step", "chosen", multiple=True, type=click.Choice(list(STEPS)), help="Only this step; may be given more than once.")
@click.argument("cases", nargs=-1, type=click.Path(exists=True, file_okay=False, path_type=Path))
def seams(cases: tuple[Path, ...], keep: Path | None, seed: int, chosen: tuple[str, ...]) -> None:
    rows = defaultdict(list)
    print_heading()
    for name, group, layers, truth in read_cases(cases) if cases else make_cases(seed):
        hard = finish(layers, **NOTHING).pixels
        for step in chosen or STEPS:
            pixels = np.round(255 * finish(layers, **STEPS[step]).pixels)
            if keep:
                folder = keep / step.replace(", ", "-").replace(" ", "-")
                folder.mkdir(parents=True, exist_ok=True)
                cv2.imwrite(str(folder / f"{name}.png"), pixels[..., ::-1].astype(np.uint8))
            rows[group, step].append(measure(pixels / np.float32(255), truth, hard, layers))
    columns = "PSNR dB, near the seam dB, step, gradient error, sharpness, mean change, largest change"
    print_row("group", "steps", "cases", *columns.split(", "), "worst PSNR dB", header=True)
    for (group, step), figures in sorted(rows.items(), key=lambda row: row[0][0]):
        print_row(group, step, len(figures), *(f"{value:.3f}" for value in np.mean(figures, axis=0)), f"{min(f[0] for f in figures):.2f}")


def read_cases(folders: tuple[Path, ...]) -> Iterator[Case]:
    """Name, group, layers and truth of every case."""
    for folder in sorted(case.parent for cases in folders for case in cases.glob("**/case.json")):
        read = {path.stem: cv2.imread(str(path), cv2.IMREAD_UNCHANGED) for path in folder.glob("*.png")}
        masks = {name: read[name] > 0 for name in ("reference_valid", "new_valid", "owner")}
        colours = {name: np.ascontiguousarray(read[name][..., ::-1], np.float32) / 255 for name in ("reference", "new", "truth")}
        truth = colours.pop("truth")
        yield folder.name, json.loads((folder / "case.json").read_text())["group"], Layers(**colours, **masks), truth


def make_cases(seed: int) -> Iterator[Case]:
    """Five cases of every photograph: without parallax, with it, and one that is clean."""
    for number in range(5 * len(PHOTOGRAPHS)):
        generator = np.random.default_rng([seed, number])
        photo = crop(getattr(skimage.data, PHOTOGRAPHS[number // 5])())
        group = ("no parallax", "parallax", "no parallax", "parallax", "clean")[number % 5]
        y, x = np.indices(SIZE)
        angle = generator.uniform(0, 2 * np.pi)
        across = (x - SIZE[1] / 2) * np.cos(angle) + (y - SIZE[0] / 2) * np.sin(angle) + 15 * np.sin((x + y) / generator.uniform(30, 80))
        before, behind = generator.uniform(25, 110, 2)
        owner, new_valid, reference_valid = across > 0, across > -before, across < behind
        new, truth = photo, photo
        if group == "parallax":
            shift = 2.5 * (generator.normal(0, 0.5, 2) + smooth_noise(generator, 30.0))
            new = displace(photo, shift)
            depth = np.clip(cv2.distanceTransform(owner.astype(np.uint8), cv2.DIST_L2, 5) / 16, 0, 1)[..., None]
            truth = displace(photo, shift * depth**2 * (3 - 2 * depth))
        if group != "clean":
            new = another_shot(new, generator)
        layers = Layers(photo * reference_valid[..., None], new * new_valid[..., None], reference_valid, new_valid, owner)
        yield f"{number:04d}", group, layers, truth


def crop(photo: np.ndarray) -> np.ndarray:
    """The middle of a photo, float32, 0..1, shrunk as far as it may be."""
    h, w = photo.shape[:2]
    scale = max(SIZE[0] / h, SIZE[1] / w)
    size = max(round(w * scale), SIZE[1]), max(round(h * scale), SIZE[0])
    photo = cv2.resize(photo, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    top, left = (size[1] - SIZE[0]) // 2, (size[0] - SIZE[1]) // 2
    return np.ascontiguousarray(photo[top : top + SIZE[0], left : left + SIZE[1]]).astype(np.float32) / 255


def smooth_noise(generator: np.random.Generator, sigma: float) -> np.ndarray:
    """Two channels of blurred noise, of unit variance."""
    noise = cv2.GaussianBlur(generator.standard_normal((*SIZE, 2)), (0, 0), sigma)
    return noise / noise.std()


def displace(photo: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """The photo seen through a shift (h, w, 2), px."""
    y, x = np.indices(SIZE)
    to = (np.stack([x, y], axis=2) + shift).astype(np.float32)
    return np.clip(cv2.remap(photo, to, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101), 0, 1)


def another_shot(photo: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """The same at another exposure and white balance, darker to one side, with another tone curve, and noise, in 8 bits."""
    y, x = np.indices(SIZE)
    side = (x * generator.normal() / SIZE[1] + y * generator.normal() / SIZE[0])[..., None]
    gain = 2.0 ** generator.uniform(-0.7, 0.7) * np.exp(generator.uniform(-0.1, 0.1, 3)) * np.exp(-0.12 * np.abs(side))
    shot = np.clip(photo**2.2 * gain, 0, 1) ** (generator.uniform(0.8, 1.25) / 2.2)
    shot = shot + generator.normal(0, generator.uniform(0, 0.008), shot.shape)
    return (np.round(np.clip(shot, 0, 1) * 255) / 255).astype(np.float32)


def measure(pixels: np.ndarray, truth: np.ndarray, hard: np.ndarray, layers: Layers) -> list[float]:
    """The columns of the table."""
    mask = layers.owner.astype(np.uint8)
    signed = cv2.distanceTransform(mask, cv2.DIST_L2, 5) - cv2.distanceTransform(1 - mask, cv2.DIST_L2, 5)
    near, error = np.abs(signed) <= 8, pixels - truth
    squared = (error**2).mean(axis=2)
    slopes = [np.abs(np.diff(error, axis=axis)).mean(axis=2)[: SIZE[0] - 1, : SIZE[1] - 1] for axis in (0, 1)]
    energies = [(cv2.Laplacian(picture, cv2.CV_32F)[near] ** 2).mean() for picture in (pixels, truth)]
    steps, counts = zip(*(step_across(picture, signed) for picture in (pixels, truth)), strict=True)
    changed = 255 * np.abs(pixels - hard)
    return [
        *(float(-10 * np.log10(part.mean() + 1e-8)) for part in (squared, squared[near])),
        255 * float(np.abs(steps[0] - steps[1])[counts[0]].mean()),
        255 * float((slopes[0] + slopes[1])[near[:-1, :-1]].mean()),
        float(energies[0] / (energies[1] + 1e-9)),
        float(changed.mean()),
        float(changed.max()),
    ]


def step_across(picture: np.ndarray, signed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean colour of 5 px on the new side of the seam minus that on the other, within 13 px; and where it can be told."""
    means, told = [], np.abs(signed) <= 1.5
    for side in ((signed > 0) & (signed <= 5), (signed < 0) & (signed >= -5)):
        count = cv2.boxFilter(side.astype(np.float32), -1, (13, 13), normalize=False)
        means.append(cv2.boxFilter(picture * side[..., None], -1, (13, 13), normalize=False) / np.maximum(count, 1e-6)[..., None])
        told &= count > 4
    return means[0] - means[1], told


if __name__ == "__main__":
    seams()
