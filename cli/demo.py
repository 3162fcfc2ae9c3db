"""``compositor demo``."""

from __future__ import annotations

import math
import os
import sys
import tempfile

import click

import compositor
from compositor.cli.console import Console, console_options, print_text
from compositor.cli.output import check_outputs
from compositor.cli.report import report_panorama
from compositor.clock import StageClock
from compositor.options import JPEG_QUALITY


@click.command(short_help="Stitch rendered views whose truth is known, and measure.")
@click.option("-o", "--output", type=click.Path(), default="demo.jpg", show_default=True, help="The picture to write.")
@click.option("--quality", type=click.IntRange(1, 100), default=JPEG_QUALITY, show_default=True, help="Quality of a JPEG output.")
@click.option("--overwrite", is_flag=True, help="Replace the output if it exists.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Other views of the same photograph.")
@console_options
@click.pass_obj
def demo(console: Console, /, output: str, quality: int, overwrite: bool, seed: int) -> int:
    """Render views of a photograph with known cameras, stitch them, measure the error.

    The photograph comes with scikit-image; nothing is downloaded.
    """
    check_outputs(output=output, inputs=[], overwrite=overwrite)
    sys.modules.pop("scipy.linalg", None)  # scikit-image needs what other commands start faster without
    from skimage.data import stereo_motorcycle

    from compositor.assess.cameras import camera_errors
    from compositor.datasets.synthesize import look_around, render_views
    from compositor.images import write_image

    with console.progress() as progress, tempfile.TemporaryDirectory(prefix="compositor-demo-") as folder:
        clock = StageClock(progress)
        clock("demo", 0, 1)
        views = render_views(stereo_motorcycle()[0], look_around(seed=seed), seed=seed)
        paths = [os.path.join(folder, view.camera.name) for view in views]
        for view, path in zip(views, paths, strict=True):
            write_image(path, view.pixels)
        panorama = compositor.stitch(paths, progress=clock)
        clock("write", 0, 1)
        panorama.save(output, overwrite=overwrite, quality=quality)
    errors = camera_errors(panorama.registration.cameras, [view.camera for view in views])
    degrees = math.degrees(errors.rotation)
    code = report_panorama(
        console,
        "demo",
        panorama,
        seconds=clock.seconds(),
        output=output,
        rotation_error_degrees=degrees,
        focal_error_percent=100 * errors.focal,
    )
    if not console.json:
        print_text(f"{len(panorama.used)} of {len(views)} rendered views stitched")
        print_text(f"rotation error {degrees:.4f} degrees (root mean square over all pairs), focal length error {errors.focal:.3%}")
        print_text(f"the picture is {os.path.abspath(output)}")
    return code
