"""Composition of a mosaic of any size from a registration that is already there, under a limit on memory.

A few photos of 12 megapixels are made from a photograph that scikit-image ships, enlarged and given a grain of its own everywhere, and
appear again and again under names of their own, side by side with a quarter of overlap: what the mosaic shows is nonsense, what it costs
is not. A row tells: size of the canvas, photos, seconds from start to exit, CPU seconds, the peak of the process's own memory against
what it was allowed, size of the file, and whether tifffile (and pyvips, where it is installed) reads pixels of it right.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click
import cv2
import numpy as np
from tables import print_heading, print_row

from compositor.images import write_image
from compositor.registration import Registration
from compositor.types import Camera

PHOTO = (4000, 3000)
STEP = 0.75
KINDS = 4


def make_photos(folder: Path, count: int) -> list[Path]:
    """Photos on disk: a few, and links to them."""
    from skimage.data import stereo_motorcycle

    picture = cv2.resize(stereo_motorcycle()[0], PHOTO, interpolation=cv2.INTER_CUBIC)
    generator = np.random.default_rng(0)
    for kind in range(KINDS):
        grain = generator.normal(0, 8, (PHOTO[1] // 2, PHOTO[0] // 2, 1)).astype(np.float32)
        grain = cv2.resize(grain, PHOTO)[..., None]
        write_image(folder / f"kind{kind}.jpg", np.clip(picture[:, :: 1 - 2 * (kind % 2)] + grain, 0, 255).astype(np.uint8), overwrite=True)
    paths = [folder / f"photo{k:04d}.jpg" for k in range(count)]
    for k, path in enumerate(paths):
        os.link(folder / f"kind{k % KINDS}.jpg", path)
    return paths


def mosaic(paths: list[Path], columns: int) -> Registration:
    """Photos side by side on a plane, each a little askew."""
    focal, generator = float(PHOTO[0]), np.random.default_rng(1)
    cameras = []
    for k, path in enumerate(paths):
        row, column = divmod(k, columns)
        plane = np.eye(3)
        plane[:2, 2] = np.array([column * PHOTO[0], row * PHOTO[1]]) * STEP / focal + generator.normal(0, 3 / focal, 2)
        turn = generator.normal(0, 0.002)
        plane[:2, :2] = [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
        cameras.append(Camera(path.name, PHOTO, focal, ((PHOTO[0] - 1) / 2, (PHOTO[1] - 1) / 2), np.eye(3), plane=plane))
    return Registration("similarity", tuple(cameras))


def readable(path: Path, size: tuple[int, int]) -> str:
    """Which libraries read a part of the middle of a TIFF, and whether they agree."""
    import tifffile

    (w, h), said = size, []
    with tifffile.TiffFile(path) as file:
        page = file.pages[0]
        assert page.shape[:2] == (h, w), page.shape
        row, column = h // 2 // page.tilelength, w // 2 // page.tilewidth
        index = row * -(-w // page.tilewidth) + column
        file.filehandle.seek(page.dataoffsets[index])
        tile = page.decode(file.filehandle.read(page.databytecounts[index]), index)[0][0]
        said.append(f"tifffile{', BigTIFF' if file.is_bigtiff else ''}")
    try:
        import pyvips
    except ImportError:
        return said[0]
    image = pyvips.Image.new_from_file(str(path), access="random")
    part = image.crop(column * page.tilewidth, row * page.tilelength, page.tilewidth, page.tilelength).numpy()
    return f"{said[0]}; pyvips {'agrees' if np.array_equal(part, tile) else 'DIFFERS'}"


@click.command(help=__doc__)
@click.option("--gigapixels", multiple=True, type=float, default=(0.25, 1.0), show_default=True)
@click.option("--max-memory", default=1500, show_default=True, help="MB, handed on to compositor.")
@click.option("--folder", type=click.Path(file_okay=False), help="Where photos and results go; by default a temporary folder.")
@click.argument("more", nargs=-1)
def main(gigapixels: tuple[float, ...], max_memory: int, folder: str | None, more: tuple[str, ...]) -> None:
    print_heading()
    print_row("canvas", "photos", "wall s", "CPU s", "peak MB", "allowed MB", "file MB", "read by", "options", header=True)
    for size in gigapixels:
        with tempfile.TemporaryDirectory(dir=folder) as place:
            side = np.sqrt(size * 1e9)
            columns, rows = round(side / (PHOTO[0] * STEP)), round(side / (PHOTO[1] * STEP))
            paths = make_photos(Path(place), columns * rows)
            mosaic(paths, columns).save(Path(place) / "mosaic.json")
            out = Path(place) / "mosaic.tif"
            command = [str(Path(sys.executable).with_name("compositor")), "compose", str(Path(place) / "mosaic.json"), *map(str, paths)]
            start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
            process = subprocess.Popen([*command, "-o", str(out), "--max-memory", str(max_memory), *more], stdout=subprocess.DEVNULL)
            _, status, usage = os.wait4(process.pid, 0)
            wall, code = time.perf_counter() - start, os.waitstatus_to_exitcode(status)
            if code:
                raise click.ClickException(f"compositor ended with {code}")
            cpu = usage.ru_utime + usage.ru_stime - before.ru_utime - before.ru_stime
            import tifffile

            with tifffile.TiffFile(out) as file:
                h, w = file.pages[0].shape[:2]
            read = readable(out, (w, h))
            megabytes = round(out.stat().st_size / 1e6)
            peak = round(usage.ru_maxrss / 1024 * 1.048576)
            print_row(
                f"{w} x {h}", len(paths), f"{wall:.1f}", f"{cpu:.1f}", peak, max_memory, megabytes, read, " ".join(more) or "defaults"
            )


if __name__ == "__main__":
    main()
