"""How networks are used."""

from __future__ import annotations

import dataclasses
from typing import Literal

from compositor.errors import OptionError
from compositor.options.record import Options, RunOptions, option

__all__ = [
    "ClassifyOptions",
    "CompareOptions",
    "DeviceMethod",
    "GenerateOptions",
    "GroupOptions",
    "HarmonizeOptions",
    "LikenessMethod",
    "PrecisionMethod",
    "RefineMethod",
    "RefineOptions",
    "SimilarOptions",
]

DeviceMethod = Literal["auto", "cpu", "cuda", "mps"]
PrecisionMethod = Literal["float32", "bfloat16", "float16"]
RefineMethod = Literal["none", "classical", "learned"]
LikenessMethod = Literal["overlap", "look"]


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


@dataclasses.dataclass(frozen=True, kw_only=True)
class HarmonizeOptions(Options):
    """How the tone of a pasted object is fitted to what surrounds it."""

    strength: float = option(1.0, "How much of the proposed change of tone is made.", low=0, high=1)
    limit: float = option(10.0, "Levels of 255 that the object may change, root mean square.", low=0, high=255)
    weights: str = option("", "Weights of that network, a .safetensors file; by default those that ship.")
    device: DeviceMethod = option("auto", "Where a network computes; auto takes a GPU where there is one.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class SimilarOptions(Options):
    """How photos are found that show the same."""

    count: int = option(5, "How many to tell.", low=1, short="n")
    by: LikenessMethod = option("overlap", "What counts: showing the same place, or looking alike to the network and by outlines.")
    zoom: bool = option(True, "For overlap, look for each photo in parts of the other, too, as if a longer lens saw it.")
    weights: str = option("", "The encoder's, a .safetensors file; by default those that ship.")
    device: DeviceMethod = option("auto", "Where a network computes; auto takes a GPU where there is one.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class GroupOptions(RunOptions):
    """How many photos are parted into sets."""

    verify: bool = option(True, "Compare the features of photos that look as if they overlapped; without, looks decide.")
    neighbours: int = option(8, "Photos most like a photo, of which each may overlap it; both must be so to the other.", low=1, high=1000)
    likeness: float = option(
        0.0,
        "How alike photos must be to be taken for overlapping, up to 1; 0 takes 0.07 where features verify it, else 0.11.",
        low=0,
        high=1,
    )
    clusters: int = option(0, "Part them into so many sets of similar look instead, whether they overlap or not; 0 does not.", low=0)
    weights: str = option("", "The encoder's weights, a .safetensors file; by default those that ship.")
    device: DeviceMethod = option("auto", "Where the encoder computes; auto takes a GPU where there is one.")
    seed: int = option(0, "Seed of where clusters begin; nothing else is drawn.", low=0, high=2**63 - 1)

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, usual in (("verify", True), ("neighbours", 8), ("likeness", 0.0)):
            if self.clusters and getattr(self, name) != usual:
                raise OptionError(f"{name}={getattr(self, name)!r} is of sets that overlap; leave it out, or clusters={self.clusters}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class CompareOptions(RunOptions):
    """How pictures are compared."""

    weights: str = option("", "The encoder's weights, a .safetensors file; by default those that ship.")
    device: DeviceMethod = option("auto", "Where the encoder computes; auto takes a GPU where there is one.")
    seed: int = option(0, "Seed of the parts of folders that are drawn to extrapolate; of two pictures nothing is.", low=0, high=2**63 - 1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClassifyOptions(Options):
    """How pictures are told apart."""

    device: DeviceMethod = option("auto", "Where a network computes; auto takes a GPU where there is one.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class GenerateOptions(Options):
    """What is made by a network that makes pictures."""

    count: int = option(64, "How many pictures.", low=1, high=100_000)
    walk: int = option(0, "Make a way through so many pictures instead, which ends where it began; 0 for a sheet.", low=0, high=1000)
    seed: int = option(0, "The same pictures come for the same seed.", low=0, high=2**63 - 1)
    device: DeviceMethod = option("auto", "Where the network computes; auto takes a GPU where there is one.")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.walk == 1:
            raise OptionError("walk=1 is no way; give two pictures or more")
        if self.walk and self.count != type(self).count:
            raise OptionError(f"count={self.count!r} is of a sheet; walk={self.walk!r} says by itself how many pictures it has")
