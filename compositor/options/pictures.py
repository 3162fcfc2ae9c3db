"""How single pictures are corrected, pasted, composed into mosaics and given another's style, and how any is written."""

from __future__ import annotations

import dataclasses
from typing import Literal

from compositor.errors import OptionError
from compositor.options.networks import DeviceMethod
from compositor.options.record import LARGEST_SIZE, RunOptions, option

__all__ = ["JPEG_QUALITY", "ColorsMethod", "CorrectOptions", "MosaicOptions", "PasteOptions", "StyleMethod", "StyleOptions"]

StyleMethod = Literal["photo", "paint"]
ColorsMethod = Literal["style", "own"]

JPEG_QUALITY = 95
"""Of 100, where nothing else is said."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class CorrectOptions(RunOptions):
    """What a single photo is freed from."""

    distortion: tuple[float, float] = option(
        (0.0, 0.0), "Radial distortion k1 k2 of the lens, with radii in focal lengths.", low=-10, high=10
    )
    focal: float = option(0.0, "Focal length in px; 0 takes what the photo's file tells.", low=0.0, high=1e9)
    vignetting: tuple[float, float, float] = option(
        (0.0, 0.0, 0.0), "The lens's falloff 1 + a r^2 + b r^4 + c r^6 as a b c, r being 1 in the corners.", low=-100, high=100
    )
    exposure: float = option(0.0, "Stops by which the photo is made brighter.", low=-16, high=16)


@dataclasses.dataclass(frozen=True, kw_only=True)
class MosaicOptions(RunOptions):
    """How one picture is composed of many."""

    columns: int = option(100, "Tiles from left to right; from top to bottom as many as the target's shape asks for.", low=1, high=10_000)
    tile_size: int = option(64, "Side of a tile in the mosaic, in px.", low=4, high=4096)
    radius: float = option(8.0, "No tile is shown twice within so many cells; less where there are too few tiles.", low=0.0, high=64.0)
    uses: int = option(0, "How often a tile may be shown; 0 for any number.", low=0)
    tone: float = option(0.0, "How far tiles are coloured like the target, 1 for fully; 0 leaves them as they are.", low=0.0, high=1.0)
    feature_weight: float = option(1.0, "How much features, where they are given, weigh beside colours.", low=0.0, high=100.0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class StyleOptions(RunOptions):
    """How a picture takes the style of another."""

    method: StyleMethod = option("photo", "Take the style's colours and stay a photo; or paint with its patches too, which needs PyTorch.")
    colors: ColorsMethod = option("style", "Whose colours a painting has: the style's, or the picture's own.")
    strength: float = option(1.0, "How far the result goes from the picture to its style.", low=0.0, high=1.0)
    detail: float = option(0.5, "How much painting keeps of the picture's own lines and shapes.", low=0.0, high=1.0)
    size: int = option(0, "Longest side in px that the picture is reduced to first; 0 keeps its size.", low=0, high=LARGEST_SIZE)
    brush: float = option(1.0, "Size of the style's strokes: 2 shows them twice as large beside the picture.", low=0.1, high=10.0)
    device: DeviceMethod = option("auto", "Where painting computes; auto takes a GPU where there is one.")
    seed: int = option(0, "Seed of what painting draws at random.", low=0, high=2**63 - 1)

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, usual in (("detail", 0.5), ("brush", 1.0)):
            if self.method != "paint" and getattr(self, name) != usual:
                raise OptionError(f"{name}={getattr(self, name)!r} is of painting; give method='paint' too, or leave it out")
        if self.method != "paint" and self.colors == "own":
            raise OptionError("colors='own' would change nothing of a photo; give method='paint' too, or leave it out")


@dataclasses.dataclass(frozen=True, kw_only=True)
class PasteOptions(RunOptions):
    """How an object is placed on a background."""

    at: tuple[int, int] = option(
        (0, 0), "Where the upper left corner of the object's picture comes to lie on the background: x y, px.", low=-(2**24), high=2**24
    )
    scale: float = option(1.0, "Size of the object's picture on the background, 1 keeps its pixels.", low=0.001, high=16.0)
    fade: float = option(
        1.5,
        "Px over which the object fades at the border of a hard mask; its colours are drawn from further inside there. 0 cuts hard.",
        low=0.0,
        high=1000.0,
    )
