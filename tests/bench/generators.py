"""How near made pictures come to real ones that were not learned from: kernel and Fréchet distance, precision and recall on an encoder's
features.

    python tests/bench/generators.py FOLDER [--gan WEIGHTS]... [--vae WEIGHTS]... [--encoder WEIGHTS] [--nearest FILE]

Beside generators stand pictures drawn from a normal distribution fitted to the pixels of those learned from, and, as the floor, pictures
learned from themselves. The encoder should not have learned from any of them. As many are made as are held out. --nearest draws the first
sixteen of each generator above the pictures that they are most like, of those learned from: what was learned by heart shows there.
The Fréchet distance is that of so many pictures, and beside it what it would come to with any number; with fewer pictures than features
(their number is printed) neither says much, and the kernel distance, which is unbiased, is the one to go by.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import click
import numpy as np
from probing import refuse_known
from tables import print_heading, print_row

from compositor.assess.distributions import coverage, frechet_distance, kernel_distance, nearest
from compositor.images import write_image
from compositor.learned import Encoder, Gan, Perception, Vae
from compositor.learned.batches import sheet
from compositor.learned.collection import Collection

SHOWN = 16


@click.command(help=__doc__)
@click.argument("folder", type=click.Path(exists=True, file_okay=False))
@click.option("--gan", "gans", type=click.Path(exists=True), multiple=True)
@click.option("--vae", "vaes", type=click.Path(exists=True), multiple=True)
@click.option("--encoder", type=click.Path(exists=True))
@click.option("--nearest", "drawn", type=click.Path(path_type=Path))
def main(folder: str, gans: tuple[str, ...], vaes: tuple[str, ...], encoder: str | None, drawn: Path | None) -> None:
    print_heading()
    makers = {Path(path).name: Gan.load(path, device="cpu") for path in gans} | {
        Path(path).name: Vae.load(path, device="cpu") for path in vaes
    }
    size = next(iter(makers.values())).size if makers else 32
    learned, held_out = Collection.read(folder, size)
    refuse_known((hashlib.sha256(Path(path).read_bytes()).hexdigest() for path in learned.paths + held_out.paths), weights=[encoder])
    count, look, perception = len(held_out), Encoder.load(encoder, device="cpu"), Perception.load(encoder, device="cpu")

    def features(pixels):
        rows = look(list(pixels), parts={"layers": 1.0})
        return rows * np.sqrt(rows.shape[1])  # numbers of about one, as the kernel takes them

    known, real = features(learned.pixels), features(held_out.pixels)
    generator = np.random.default_rng(0)
    made = {"normal pixels": normal_pixels(learned.pixels, count, generator)}
    made |= {name: maker.sample(count) for name, maker in makers.items()}
    made["learned from"] = learned.pixels[generator.permutation(len(learned))[:count]]
    print(f"{len(learned)} pictures learned from, {count} held out, {size} px, {real.shape[1]} features\n")
    columns = "kernel distance", "of normal pixels'", f"Fréchet, n = {count}", "extrapolated", "precision", "recall"
    print_row("pictures", *columns, "median distance to what was learned", "how different that looks", header=True)
    whole, pages = None, []
    for name, pixels in made.items():
        rows = features(pixels)
        distance, cover = kernel_distance(rows, real), coverage(real, rows)
        whole = whole or distance
        places, far = nearest(rows, known)
        frechet = frechet_distance(rows, real)
        print_row(
            name,
            f"{distance:.4f}",
            f"{distance / whole:.3f}",
            f"{frechet.distance:.2f}",
            f"{frechet.extrapolated:.2f}",
            f"{cover.precision:.2f}",
            f"{cover.recall:.2f}",
            f"{np.median(far):.2f}",
            f"{np.median([perception(one, learned.pixels[place]) for one, place in zip(pixels, places, strict=True)]):.2f}",
        )
        if name in makers:
            pages += [pixels[:SHOWN], learned.pixels[places[:SHOWN]]]
    _, far = nearest(real, known)
    print(f"\nHeld-out pictures lie {np.median(far):.2f} from those learned from (median).")
    if drawn and pages:
        write_image(drawn, sheet(np.concatenate(pages), across=SHOWN), overwrite=True)


def normal_pixels(pixels, count, generator):
    """Pictures from a normal distribution with the mean and the covariance of the pixels of others."""
    rows = pixels.reshape(len(pixels), -1).astype(np.float64)
    mean = rows.mean(axis=0)
    # Mixtures of centred pictures with normal weights have their covariance.
    weights = generator.normal(size=(count, len(rows))) / np.sqrt(len(rows) - 1)
    drawn = mean + weights @ (rows - mean)
    return np.clip(np.round(drawn), 0, 255).astype(np.uint8).reshape(count, *pixels.shape[1:])


if __name__ == "__main__":
    main()
