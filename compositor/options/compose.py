"""How registered photos become one picture, and both steps at once."""

from __future__ import annotations

import dataclasses
import numbers
import re
from typing import Any, Literal

from compositor.errors import OptionError
from compositor.options.record import LARGEST_SIZE, PictureSize, RunOptions, option
from compositor.options.register import RegisterOptions

__all__ = ["BlendMethod", "ComposeOptions", "ExposureMethod", "Projection", "SeamMethod", "StitchOptions"]

Projection = Literal["auto", "plane", "cylindrical", "spherical", "mercator", "stereographic", "fisheye", "panini"]
ExposureMethod = Literal["full", "gain", "none"]
SeamMethod = Literal["graphcut", "voronoi"]
BlendMethod = Literal["multiband", "feather", "poisson", "none"]


def _size_text(size: Any) -> Any:
    """A picture's size as text, given as a whole number or as two; anything else as it is, to be refused where values are checked."""
    sides = tuple(size) if isinstance(size, tuple | list) else (size,)
    plain = 1 <= len(sides) <= 2 and all(isinstance(side, numbers.Integral) and not isinstance(side, bool) for side in sides)
    return "x".join(str(int(side)) for side in sides) if plain else size


@dataclasses.dataclass(frozen=True, kw_only=True)
class ComposeOptions(RunOptions):
    """How registered photos become one picture."""

    projection: Projection = option("auto", "Surface the panorama is drawn on; auto decides by the field of view.")
    exposure: ExposureMethod = option(
        "full", "Match exposure and white balance and undo the lens's vignetting, in linear light; only match; or leave the photos."
    )
    seams: SeamMethod = option("graphcut", "Where one photo ends and the next begins: where they agree, or half way.")
    deghost: bool = option(False, "Where three or more photos meet, leave out what only one of them shows: passers-by, cars, waves.")
    blend: BlendMethod = option(
        "multiband",
        "How photos meet at a seam: in bands, fine ones blended narrowly and coarse ones widely; fading into each other; levelled smoothly "
        "so that no step is left; or cut hard.",
    )
    crop: bool = option(False, "Crop to the largest rectangle without empty corners.")
    max_memory: float = option(0.0, "Memory the work may take, in MB; 0 means three quarters of what the machine has free.", low=0.0)
    scale: float = option(1.0, "Size of the panorama, 1 keeps the photos' resolution.", low=0.001, high=4.0)
    size: PictureSize = option(
        PictureSize(""),
        "Size of the panorama in px instead, as 4000x2000, or 4000 for the width: it fits into that, and fills it with --fov.",
    )
    fov: float = option(0.0, "Horizontal field of view in degrees, around the middle; 0 shows all there is.", low=0.0, high=360.0)
    yaw: float = option(0.0, "Where the panorama looks: degrees to the right.", low=-360.0, high=360.0)
    pitch: float = option(0.0, "Where the panorama looks: degrees upward.", low=-180.0, high=180.0)
    roll: float = option(0.0, "How the panorama looks: turned clockwise, like a camera, by degrees.", low=-360.0, high=360.0)

    @property
    def pixels(self) -> tuple[int, int] | None:
        """Width and height that were asked for, the height 0 if only the width was; None where neither was."""
        width, _, height = self.size.partition("x")
        return (int(width), int(height or 0)) if width else None

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", _size_text(self.size))  # options hold plain values
        super().__post_init__()
        if not self.size:
            return
        sides = re.fullmatch(r"([0-9]{1,9})(?:x([0-9]{1,9}))?", self.size)
        if sides is None or not all(1 <= int(side) <= LARGEST_SIZE for side in sides.groups(default="1")):
            raise OptionError(f"size={self.size!r} is no size such as 4000x2000, or 4000 for the width, of 1 to {LARGEST_SIZE} px a side")
        if self.scale != 1.0:
            raise OptionError(f"size={self.size!r} and scale={self.scale:g} both say how large the panorama is; give one of them")


@dataclasses.dataclass(frozen=True, kw_only=True)
class StitchOptions(RegisterOptions, ComposeOptions):
    """Everything that ``stitch`` can be told."""
