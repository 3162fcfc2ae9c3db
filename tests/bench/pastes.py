"""What becomes of the tone of pasted objects, with the network, with the classical statistics, and of objects that were right.

Of every photo, objects are seen in another light (exposure, white balance, contrast, saturation, haze, vignetting; some with noise, blur
or blocks of a JPEG) and put back at their place: the truth is the photo. PHOTOS are files, folders or lists as «compositor train» reads
them, by default those that scikit-image ships (from which the weights that ship have learned). Objects are found as in training; with
--masks the masks in a folder are used instead, NAME.png or NAME_mask.png for the photo NAME.

Columns: PSNR of the object before and its mean gain in dB (and the share of objects that lost more than 0.1 dB), then PSNR of objects whose
tone was right: mean (60 dB for unchanged ones) and worst, and the mean over the whole picture.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click
import cv2
import numpy as np
import torch
from tables import print_heading, print_row

from compositor.images import read_mask
from compositor.learned import Harmonizer
from compositor.learned.flaws import Flaws, add_flaws
from compositor.learned.objects import draw_objects
from compositor.learned.photographs import Photographs

SHIPPED = ("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg", "motorcycle_left.png")
SIDE = 384
"""Px of the longer side that a photo is looked at with, a multiple of 8."""


@click.command(help=__doc__)
@click.option("--weights", type=click.Path(exists=True), help="The harmonizer's, .safetensors; by default those that ship.")
@click.option("--masks", type=click.Path(exists=True, file_okay=False, path_type=Path), help="Folder of the objects' masks.")
@click.option("--objects", default=3, show_default=True, help="Objects of each photo, where there are no masks.")
@click.option("--most", default=0, help="Photos at most, drawn by the seed; 0 for all.")
@click.option("--seed", default=0, show_default=True, help="Of the objects and their light.")
@click.option("--strength", "strengths", multiple=True, type=float, default=(0.25, 0.5, 1.0), show_default=True)
@click.option("--limit", "limits", multiple=True, type=float, default=(10.0,), show_default=True)
@click.option("--keep", type=click.Path(path_type=Path), help="Folder for before, after and truth beside each other.")
@click.argument("photos", nargs=-1, type=click.Path(exists=True))
def pastes(photos, weights, masks, objects, most, seed, strengths, limits, keep) -> None:
    network = Harmonizer.load(weights, device="cpu").network
    ways = {"nothing": lambda pixels, _: pixels, "mean of the background": mean_gain, "mean and deviation (Reinhard)": reinhard}
    for limit in limits:
        for k in strengths:
            ways[f"harmonizer, strength {k:g}, limit {limit:g}"] = Harmonizer(network, device="cpu", strength=k, limit=limit)
    print_heading()
    found = {way: ([], [], [], []) for way in ways}
    for count, (truth, alpha, worse) in enumerate(cases(photos, masks, objects, most, seed)):
        for way, change in ways.items():
            after, clean = (levels(change(pixels, alpha), pixels, alpha) for pixels in (worse, truth))
            before, clean_db = decibels(worse, truth, alpha), min(60.0, decibels(clean, truth, alpha))
            figures = (before, decibels(after, truth, alpha) - before, clean_db, min(60.0, decibels(clean, truth)))
            for row, figure in zip(found[way], figures, strict=True):
                row.append(figure)
        if keep:
            keep.mkdir(parents=True, exist_ok=True)
            beside = np.concatenate([worse, after, truth, np.repeat(alpha[..., None], 3, 2)], 1)
            cv2.imwrite(str(keep / f"{count:04d}.png"), np.round(255 * beside[..., ::-1]).astype(np.uint8))
    columns = "recoloured dB, gain dB, made worse, clean dB, worst clean dB, clean picture dB"
    print_row("change of tone", "objects", *columns.split(", "), header=True)
    for way, (before, gain, clean, whole) in found.items():
        lost = np.mean(np.array(gain) < -0.1)
        figures = (np.mean(before), np.mean(gain), lost, np.mean(clean), min(clean), np.mean(whole))
        print_row(way, len(gain), *(f"{figure:.2f}" for figure in figures))


def cases(photos, masks, objects, most, seed) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Truth, shares of the object and composite, encoded 0..1, in steps of 1/255."""
    if not photos:
        import skimage

        photos = [Path(skimage.__file__).parent / "data" / name for name in SHIPPED]
    learned, held_out = Photographs.read(photos)
    order = np.random.default_rng(seed)
    chosen = sorted((*learned.photographs, *held_out.photographs), key=lambda photo: photo.digest)
    chosen = [chosen[k] for k in order.permutation(len(chosen))[: most or len(chosen)]]
    for number, photo in enumerate(chosen):
        generator = np.random.default_rng([seed, number])
        h, w = photo.pixels.shape[:2]
        scale = min(1, SIDE / max(h, w))
        size = tuple(max(8, int(side * scale) // 8 * 8) for side in (w, h))
        pixels = cv2.resize(photo.pixels, size, interpolation=cv2.INTER_AREA)
        for mask in masks_of(photo, pixels, masks, objects, generator):
            alpha = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 0.7)
            truth = pixels.astype(np.float32) / 255
            flawed = add_flaws(torch.from_numpy(square(truth)).permute(2, 0, 1)[None], [Flaws.draw(generator)])
            flawed = flawed[0].permute(1, 2, 0).numpy()[: size[1], : size[0]]
            worse = truth + alpha[..., None] * (flawed - truth)
            yield truth, alpha, np.round(worse * 255).astype(np.float32) / 255


def masks_of(photo, pixels, masks, objects, generator) -> list[np.ndarray]:
    """Masks of the photo's objects, or such as are found."""
    if masks is None:
        n = min(pixels.shape[:2])
        y, x = (int(generator.integers(side - n + 1)) for side in pixels.shape[:2])
        drawn = draw_objects(np.ascontiguousarray(pixels[y : y + n, x : x + n]), objects, generator)
        return [np.pad(m, ((y, pixels.shape[0] - n - y), (x, pixels.shape[1] - n - x))) for m in drawn]
    stem = Path(photo.name).stem
    paths = [path for path in (masks / f"{stem}.png", masks / f"{stem}_mask.png") if path.exists()]
    found = [cv2.resize(read_mask(path), pixels.shape[1::-1], interpolation=cv2.INTER_AREA) >= 128 for path in paths]
    return [mask for mask in found if 0.005 < mask.mean() < 0.7]


def square(pixels: np.ndarray) -> np.ndarray:
    """The picture in a square, as flaws need it, its edges repeated."""
    n = max(pixels.shape[:2])
    return np.pad(pixels, ((0, n - pixels.shape[0]), (0, n - pixels.shape[1]), (0, 0)), mode="edge")


def levels(pixels, before, alpha) -> np.ndarray:
    """In steps of 1/255, and the same where there is no object."""
    return np.where((alpha > 0)[..., None], np.round(np.clip(pixels, 0, 1) * 255) / 255, before).astype(np.float32)


def decibels(pixels, truth, alpha=None) -> float:
    """PSNR of the object, or of the whole picture."""
    chosen = slice(None) if alpha is None else alpha > 0.5
    return -10 * np.log10(np.mean((pixels[chosen].astype(np.float64) - truth[chosen]) ** 2) + 1e-12)


def mean_gain(pixels, alpha) -> np.ndarray:
    """The object with the background's mean."""
    own, other = pixels[alpha > 0.5].mean(0), pixels[alpha < 0.02].mean(0)
    return pixels + alpha[..., None] * (np.clip(pixels * other / own, 0, 1) - pixels)


def reinhard(pixels, alpha) -> np.ndarray:
    """The object with the background's mean and deviation."""
    own, other = pixels[alpha > 0.5], pixels[alpha < 0.02]
    made = (pixels - own.mean(0)) / (own.std(0) + 1e-3) * other.std(0) + other.mean(0)
    return pixels + alpha[..., None] * (np.clip(made, 0, 1) - pixels)


if __name__ == "__main__":
    pastes()
