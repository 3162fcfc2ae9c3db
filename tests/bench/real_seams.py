"""Seams of real photos, as multi-band blending leaves them and as the learned refiner does, by a measure that its guards do not use.

Each FOLDER holds the photos of one panorama, which is stitched with default options and then refined. Without any a room is photographed by
a camera that does not stay where it is, at unlike exposures, with noise. Prints a Markdown table, a row for each set, and one last row for
the places of all sets together.

Measured is a step in colour: between the means of what lies within 5 px to one side and to the other of a line, in squares of 15 px, in
levels of 8 bits. What a place of a seam shows is how far the panorama's step is from that of the photo which it is more like. The guards
compare gradients from pixel to pixel.

- without: what the same reads on lines 14 px from the seams, where a single photo shows and so nothing should: 90th percentile, levels.
- repeats: how far apart two readings lie in 95 of 100 cases, levels: found by reading each place of the seams twice, on one half of the
  pixels and on the other, in a chequerboard of 2 px.
- places: every fourth pixel along the seams, away from where photos end and others begin; visible: the share of them that shows more than
  lines without a seam.
- improved: share of the visible places that show less when refined, by more than 0.02 levels; before, after: what these show on average.
- worse: share of all places that then show more than before and than lines without a seam, by more than two readings differ; by 0.3: by
  more than 0.3 levels.
- sharpness: energy of the second derivatives 1 to 8 px from the seams, refined beside multi-band; of photos: multi-band, then refined,
  beside the photos themselves, each where it is shown, whose energy has no step of a seam in it.
"""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import click
import cv2
import numpy as np
from numpy.typing import NDArray
from room import photograph_room
from scenes import photos_in
from tables import print_heading, print_row

import compositor
from compositor.compose.layers import Layers
from compositor.compose.surroundings import Surroundings
from compositor.compose.windows import read_part, seam_windows
from compositor.encoding import full_scale
from compositor.images import open_photos, write_image
from compositor.learned import Refiner
from compositor.panorama import Panorama
from compositor.stitch import one_photo_per_camera

DEEP, SIDE, FEWEST = 5, 15, 12
"""Pixels to both sides of a line whose means are compared, side of the squares that they are taken over, and how many they are at least."""
ASIDE, AWAY = 14, 6
"""Pixels from a seam to the lines where none is, and from where photos end."""
NEAR = 8
"""Pixels to both sides of a seam in which sharpness is measured."""
EVERY = 4
"""Of the pixels along a line one in so many is a place."""
LESS = 0.02
"""What a place must show less to have improved, levels: it was changed at all."""
MUCH = 0.3
"""By how much a place may show more at most, levels, whatever readings differ by."""
LEAST_PLACES = 20
"""Sets with fewer places tell nothing."""
COLUMNS = "set, used, without, repeats, places, visible, improved, before, after, worse, by 0.3, sharpness, of photos"
Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]


@dataclasses.dataclass(frozen=True, eq=False)
class Seams:
    """What was read along the seams of one set.

    Parameters
    ----------
    without, repeats : float
        What lines without a seam show, and how far apart two readings lie, as the columns are, levels.
    before, after : (n,) float32
        What places show, as they were and refined, levels.
    energies : (3,) float64
        Of the second derivatives beside the seams, before and after, and of the photos there.
    """

    without: float
    repeats: float
    before: Floats
    after: Floats
    energies: NDArray[np.float64]

    @property
    def visible(self) -> Mask:
        """Which places show more than lines without a seam, (n,)."""
        return np.asarray(self.before > self.without)

    @property
    def more(self) -> Floats:
        """How much more places show than before and than lines without a seam, (n,)."""
        return np.asarray(self.after - np.maximum(self.before, self.without))

    @property
    def worse(self) -> Mask:
        """Where that is more than two readings differ by, (n,)."""
        return np.asarray(self.more > self.repeats)


@click.command(help=__doc__)
@click.option("--weights", type=click.Path(exists=True), help="The refiner's, .safetensors; by default those that ship.")
@click.option("--keep", type=click.Path(path_type=Path), help="Folder for the pictures, two for each set.")
@click.option("--seed", default=0, show_default=True, help="Of the noise in the room.")
@click.argument("folders", nargs=-1, type=click.Path(exists=True, file_okay=False, path_type=Path))
def real_seams(folders: tuple[Path, ...], weights: str | None, keep: Path | None, seed: int) -> None:
    refine, found = Refiner.load(weights, device="cpu"), []
    print_heading()
    print_row(*COLUMNS.split(", "), header=True)
    with tempfile.TemporaryDirectory(prefix="compositor-bench-") as temporary:
        for folder in folders or [photograph_room(Path(temporary, "rooms", "room"), seed)]:
            photos, label = photos_in(folder), "/".join(folder.resolve().parts[-2:])
            before = compositor.stitch(photos)
            after = refine(before, photos=photos)
            if keep:
                keep.mkdir(parents=True, exist_ok=True)
                for name, panorama in (("before", before), ("after", after)):
                    write_image(keep / f"{label.replace('/', '-')}-{name}.png", np.asarray(panorama.pixels))
            seams, used = read_seams(before, after, photos), f"{len(before.registration.cameras)} / {len(photos)}"
            if seams is None:
                print_row(label, used, *[None] * 11)
                continue
            found.append(seams)
            print_row(label, used, f"{seams.without:.2f}", f"{seams.repeats:.2f}", *cells([seams]))
    if found:
        print_row(f"all {len(found)}", None, None, None, *cells(found))


def cells(sets: Sequence[Seams]) -> list[str]:
    """The cells from «places» on, over all places of some sets."""
    names = "before", "after", "visible", "worse", "more"
    before, after, visible, worse, more = (np.concatenate([getattr(seams, name) for seams in sets]) for name in names)
    energies = np.sum([seams.energies for seams in sets], axis=0)
    improved = (after < before - LESS)[visible].mean() if visible.any() else 0
    means = [f"{shown[visible].mean() if visible.any() else 0:.2f}" for shown in (before, after)]
    shares = [f"{worse.mean():.4f}", f"{(more > MUCH).mean():.4f}"]
    sharpness = f"{energies[1] / energies[0]:.3f}", " / ".join(f"{energy / energies[2]:.3f}" for energy in energies[:2])
    return [str(len(before)), f"{visible.mean():.3f}", f"{improved:.3f}", *means, *shares, *sharpness]


def read_seams(before: Panorama, after: Panorama, photos: Sequence[str]) -> Seams | None:
    """What the seams of a panorama and of the refined one show; None where there are too few places."""
    cameras, white = before.registration.cameras, full_scale(before.pixels.dtype)
    used = one_photo_per_camera(before.registration, open_photos(photos)[0])
    surroundings = Surroundings(cameras, used, before.canvas, before.photometry)
    elsewhere, places, energies = [np.empty(0)], [np.empty((3, 0))], np.zeros(3)
    for window in seam_windows(before.owner, before.canvas):
        owners, *pictures = (read_part(picture, window.box, before.canvas) for picture in (before.owner, before.pixels, after.pixels))
        both = [picture.astype(np.float32) * np.float32(255 / white) for picture in pictures]
        core = np.zeros(owners.shape, bool)
        left, top = window.core.left - window.box.left, window.core.top - window.box.top
        core[top : top + window.core.shape[0], left : left + window.core.shape[1]] = True
        for layers, theirs in surroundings.seams(window, owners, both[0] / 255):
            distance = np.where(layers.owner, np.minimum(layers.inside, 1e4), -np.minimum(layers.outside, 1e4)).astype(np.float32)
            counted = core & away_from_ends(theirs)
            places.append(np.array(read_seam(layers, distance, counted, both)))
            elsewhere += read_aside(layers, distance, counted, both[0])
            # The pixels at the seam itself bend by its step.
            beside = (np.abs(distance) <= NEAR) & (np.abs(distance) >= 1) & counted & away_from_ends(layers.overlap)
            bends = [cv2.Laplacian(picture, cv2.CV_32F) for picture in (*both, 255 * layers.reference, 255 * layers.new)]
            bends[2:] = [np.where(layers.owner[..., None], bends[3], bends[2])]
            energies += [float((bend[beside] ** 2).sum()) for bend in bends]
    without, (shown, refined, apart) = np.concatenate(elsewhere), np.concatenate(places, axis=1)
    if min(len(without), len(shown)) < LEAST_PLACES:
        return None
    # Half of the pixels scatter more than all of them do.
    repeats = float(np.percentile(apart, 95) / np.sqrt(2))
    return Seams(float(np.percentile(without, 90)), repeats, shown, refined, energies)


def read_seam(layers: Layers, distance: Floats, counted: Mask, pictures: Sequence[Floats]) -> list[Floats]:
    """What places of a seam show in two pictures, and how far apart two halves of the pixels read it in the first."""
    y, x = np.indices(distance.shape) // 2
    halves = [layers.overlap & ((x + y) % 2 == k) for k in (0, 1)]
    photos = 255 * layers.reference, 255 * layers.new
    where = line(distance, layers.overlap) & counted & away_from_ends(layers.overlap)

    def shown(picture: Floats, pixels: Mask) -> Floats:
        own = step(picture, distance, pixels)
        return np.minimum(*(np.abs(own - step(photo, distance, pixels)).mean(axis=2) for photo in photos))[where][::EVERY]

    first, second = (shown(pictures[0], half) for half in halves)
    return [*(shown(picture, layers.overlap) for picture in pictures), np.abs(first - second)]


def read_aside(layers: Layers, distance: Floats, counted: Mask, picture: Floats) -> Iterator[Floats]:
    """The same on lines where one photo shows on both sides."""
    for side, photo, valid in ((ASIDE, layers.new, layers.new_valid), (-ASIDE, layers.reference, layers.reference_valid)):
        where = line(distance - side, valid) & counted & away_from_ends(valid)
        steps = step(picture, distance - side, valid) - step(255 * photo, distance - side, valid)
        yield np.abs(steps).mean(axis=2)[where][::EVERY]


def line(distance: Floats, pixels: Mask) -> Mask:
    """The pixels along the line at distance zero that have enough others to both sides."""
    enough = [cv2.boxFilter(side, -1, (SIDE, SIDE), normalize=False) > FEWEST for side in sides(distance, pixels)]
    return np.asarray((np.abs(distance) <= 1.2) & enough[0] & enough[1])


def step(picture: Floats, distance: Floats, pixels: Mask) -> Floats:
    """Mean colours to one side of the line minus those to the other, (h, w, 3)."""
    means = []
    for side in sides(distance, pixels):
        count = cv2.boxFilter(side, -1, (SIDE, SIDE), normalize=False)
        means.append(cv2.boxFilter(picture * side[..., None], -1, (SIDE, SIDE), normalize=False) / (count[..., None] + 1e-6))
    return np.asarray(means[0] - means[1], np.float32)


def sides(distance: Floats, pixels: Mask) -> tuple[Floats, Floats]:
    """Which pixels lie close to a line on its one side, and on its other, 0 or 1."""
    first, second = (pixels & (away > 0) & (away <= DEEP) for away in (distance, -distance))
    return first.astype(np.float32), second.astype(np.float32)


def away_from_ends(mask: Mask) -> Mask:
    """A mask without what lies close to its end."""
    return np.asarray(cv2.erode(mask.astype(np.uint8), np.ones((2 * AWAY + 1,) * 2, np.uint8)) > 0)


if __name__ == "__main__":
    real_seams()
