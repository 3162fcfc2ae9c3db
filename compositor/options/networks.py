"""How networks are used."""

from __future__ import annotations

import dataclasses
from typing import Literal

from compositor.errors import OptionError
from compositor.options.record import RunOptions, option

__all__ = ["DeviceMethod", "PrecisionMethod", "RefineMethod", "RefineOptions"]

DeviceMethod = Literal["auto", "cpu", "cuda", "mps"]
PrecisionMethod = Literal["float32", "bfloat16", "float16"]
RefineMethod = Literal["none", "classical", "learned"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class RefineOptions(RunOptions):
    """How seams are given a second look."""

    refine: RefineMethod = option(
        "none", "Look at every seam again and close what shows of it, without or with a network; taken where the seam then shows less."
    )
    weights: str = option("", "Weights of that network, a .safetensors file.")
    device: DeviceMethod = option("auto", "Where a network computes; auto takes a GPU where there is one.")
    precision: PrecisionMethod = option(
        "float32", "Numbers that a network computes with: 16 bits are faster on a GPU, and differ by less than a level on average."
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.weights and self.refine != "learned":
            raise OptionError("weights= are those of a network; give refine='learned' too")
        if self.precision != "float32" and self.refine != "learned":
            raise OptionError(f"precision={self.precision!r} is that of a network; give refine='learned' too")
