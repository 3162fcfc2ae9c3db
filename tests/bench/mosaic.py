"""A mosaic of many tiles as a whole process: wall and CPU seconds, peak memory of the process tree, and how near it comes to its target.

Without TILES they are cut from photographs that scikit-image ships; with PHOTOS folders from the pictures in them. The output is a tiled
TIFF. The table has a row for every run; the difference is the root mean square one between the mean colours of cells and their tiles, in
units of CIE L*a*b*.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import click
import cv2
import numpy as np
from measure import run_command
from tables import print_heading, print_row

PHOTOGRAPHS = ("astronaut", "chelsea", "coffee", "rocket", "stereo_motorcycle")
SHARE = 0.999
"""Of a photograph's shorter side that a tile is wide at most."""


@click.command(help=__doc__)
@click.option("--tiles", type=click.Path(exists=True, file_okay=False, path_type=Path), help="A folder of tiles, instead of making some.")
@click.option("--target", type=click.Path(exists=True, dir_okay=False), help="Default: a photograph that scikit-image ships.")
@click.option("--count", default=20_000, show_default=True, help="Tiles to make.")
@click.option("--megapixels", default=200.0, show_default=True, help="Size of the mosaic.")
@click.option("--tile-size", default=64, show_default=True, help="px.")
@click.option("--option", "options", multiple=True, metavar="NAME=VALUE", help="More options of the command, such as tone=0.3.")
@click.option("-n", "runs", default=3, show_default=True, help="Runs.")
@click.option("--keep", type=click.Path(file_okay=False, path_type=Path), help="Folder for the tiles that are made and the mosaic.")
@click.argument("photos", nargs=-1, type=click.Path(exists=True, file_okay=False, path_type=Path))
def mosaic(
    tiles: Path | None,
    target: str | None,
    count: int,
    megapixels: float,
    tile_size: int,
    options: tuple[str, ...],
    runs: int,
    keep: Path | None,
    photos: tuple[Path, ...],
) -> None:
    with tempfile.TemporaryDirectory(prefix="compositor-bench-") as made:
        folder = keep or Path(made)
        folder.mkdir(parents=True, exist_ok=True)
        if target is None:
            target = str(folder / "target.png")
            cv2.imwrite(target, pictures(())[0])
        if tiles is None:
            tiles = folder / "tiles"
            make_tiles(tiles, pictures(photos), count)
        height, width = cv2.imread(target).shape[:2]
        columns = round((megapixels * 1e6 * width / height) ** 0.5 / tile_size)
        more = [word for option in options for word in ("--" + option.partition("=")[0], option.partition("=")[2])]
        command = [str(Path(sys.executable)), "-m", "compositor", "mosaic", target, "--tiles", str(tiles), "-o", "{out}", "--json"]
        command += ["--columns", str(columns), "--tile-size", str(tile_size), *more]
        print_heading({"mosaic": command})
        print_row("run", "size", "tiles used", "wall s", "CPU s", "memory MB", "file MB", "difference", "exit", header=True)
        for turn in range(runs):
            out = folder / "mosaic.tif"
            outcome = run_command(command, out, [], timeout=1200)
            size = "x".join(map(str, outcome.size or ()))
            figures = (f"{outcome.wall:.1f}", f"{outcome.cpu:.1f}", f"{outcome.memory:.0f}")
            weight = f"{out.stat().st_size / 1e6:.0f}" if out.exists() else None
            apart = f"{outcome.told.get('difference', float('nan')):.2f}"
            print_row(turn + 1, size, outcome.told.get("tiles_used"), *figures, weight, apart, outcome.code)


def pictures(folders: tuple[Path, ...]) -> list[np.ndarray]:
    """BGR pictures of folders; or of scikit-image, each at several scales so that there is something to choose from."""
    if folders:
        found = [cv2.imread(str(path)) for folder in folders for path in sorted(folder.rglob("*.jpg"))]
        return [picture for picture in found if picture is not None]
    import skimage.data

    loaded = [getattr(skimage.data, name)() for name in PHOTOGRAPHS]
    return [np.ascontiguousarray((one[0] if isinstance(one, tuple) else one)[..., 2::-1]) for one in loaded]


def make_tiles(folder: Path, photographs: list[np.ndarray], count: int) -> None:
    """Square crops of random size and place, 96 to 256 px a side, as JPEG; seeded, each photograph in its turn."""
    folder.mkdir(exist_ok=True)
    generator = np.random.default_rng(0)
    for number in range(count):
        picture = photographs[number % len(photographs)]
        h, w = picture.shape[:2]
        side = int(generator.integers(min(96, h, w), int(min(h, w) * SHARE) + 1))
        top, left = int(generator.integers(0, h - side + 1)), int(generator.integers(0, w - side + 1))
        crop = picture[top : top + side, left : left + side]
        if side > 256:
            crop = cv2.resize(crop, (256, 256), interpolation=cv2.INTER_AREA)
        cv2.imwrite(str(folder / f"{number:06d}.jpg"), crop, [cv2.IMWRITE_JPEG_QUALITY, 90])


if __name__ == "__main__":
    mosaic()
