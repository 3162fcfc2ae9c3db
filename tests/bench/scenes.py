"""Photo sets for the benchmarks: the photos in a folder, and sets rendered from a photograph that scikit-image ships."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from compositor.cli.console import Console
from compositor.cli.photos import find_photos

SCENES = {
    "row": {"rows": 1, "columns": 4, "step": (math.radians(10.5), 0.0)},
    "grid": {"rows": 2, "columns": 3},
    "long-row": {"rows": 1, "columns": 6, "step": (math.radians(6.5), 0.0)},
}
"""What ``look_around`` is told for each rendered scene."""


def photos_in(folder: Path) -> list[str]:
    """Paths of a folder's photos in natural order; files whose name begins with «mask» are masks, no photos."""
    return [path for path in find_photos(Console(), [str(folder)], None) if not Path(path).name.lower().startswith("mask")]


def render_set(folder: Path, *, seed: int = 0, **look: Any) -> Path:
    """Render a set with known cameras into a folder; ``look`` are options of ``compositor.datasets.synthesize.look_around``.

    ``truth/truth.json`` holds the focal length ``f`` in px, the radial distortion ``k1``, the lens's ``vignetting`` and ``views``: ``name``
    and ``R``, camera → world, ``ev``, stops of exposure, and ``wb``, factors on red, green and blue. ``picture`` is the scene's file there,
    ``picture_field_of_view`` its width in radians.
    """
    from skimage.data import stereo_motorcycle

    from compositor.datasets.synthesize import VIGNETTING, look_around, render_views
    from compositor.images import write_image

    (folder / "truth").mkdir(parents=True)
    picture, field_of_view = stereo_motorcycle()[0], math.radians(70)
    views = render_views(picture, look_around(seed=seed, **look), picture_field_of_view=field_of_view, seed=seed)
    write_image(folder / "truth" / "scene.png", picture)
    for view in views:
        write_image(folder / view.camera.name, view.pixels)
    cameras = [
        {"name": v.camera.name, "R": v.camera.rotation.tolist(), "ev": math.log2(v.gain[1]), "wb": (v.gain / v.gain[1]).tolist()}
        for v in views
    ]
    scene = {"picture": "scene.png", "picture_field_of_view": field_of_view}
    truth = {"f": views[0].camera.focal, "k1": 0.0, "vignetting": VIGNETTING, **scene, "views": cameras}
    (folder / "truth" / "truth.json").write_text(json.dumps(truth, indent=1))
    return folder
