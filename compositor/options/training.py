"""How networks are trained."""

from __future__ import annotations

import dataclasses
from typing import Literal

from compositor.errors import OptionError
from compositor.options.networks import DeviceMethod
from compositor.options.record import RunOptions, option

__all__ = [
    "ClassifierOptions",
    "EncoderOptions",
    "GanOptions",
    "GeneratorOptions",
    "HarmonizerOptions",
    "LearnOptions",
    "PainterOptions",
    "TrainOptions",
    "VaeOptions",
]

LearnPrecision = Literal["float32", "bfloat16"]
BeginMethod = Literal["encoder", "scratch"]
SquaresMethod = Literal["overlapping", "anywhere"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class LearnOptions(RunOptions):
    """How any network is trained."""

    iterations: int = option(4000, "Steps of training; how long one takes is shown while training.", low=1)
    report_every: int = option(200, "Steps between reports; each measures on what is never learned from and saves a checkpoint.", low=1)
    device: DeviceMethod = option("auto", "Where to compute; auto takes a GPU where there is one.")
    precision: LearnPrecision = option("float32", "What is costly is computed in this; bfloat16 is faster on recent GPUs and some CPUs.")
    threads: int = option(
        0, "Threads; 0 means one per core. On a CPU half of them make examples; the weights depend on the others' number.", low=0, high=1024
    )
    seed: int = option(0, "Seed of the first weights and of all examples.", low=0, high=2**63 - 1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainOptions(LearnOptions):
    """How the refiner of seams is trained."""

    scenes: int = option(4, "Scenes that a step learns from.", low=1, high=4096)
    tiles: int = option(6, "Tiles along the seam of each scene.", low=1, high=64)
    rate: float = option(0.001, "Learning rate after the first steps; it falls to nothing by the last one.", low=1e-7, high=1.0)
    adversarial: float = option(
        0.07, "How hard the critic pulls, as a share of the pull towards the truth; 0 for no critic.", low=0.0, high=1.0
    )
    measured: int = option(40, "Scenes that reports are measured on.", low=1, high=4096)


@dataclasses.dataclass(frozen=True, kw_only=True)
class EncoderOptions(LearnOptions):
    """How the encoder of pictures is trained."""

    iterations: int = option(2000, "Steps of training; how long one takes is shown while training.", low=1)
    pairs: int = option(64, "Pairs of squares that a step learns from.", low=2, high=65_536)
    size: int = option(64, "Side of the squares, px.", low=32, high=512)
    squares: SquaresMethod = option(
        "overlapping",
        "Which squares of a photo are a pair: overlapping ones, to tell what overlaps, or squares anywhere in it, in quite another light, "
        "to tell what it shows, for learning from few labels.",
    )
    rate: float = option(0.002, "Learning rate after the first steps; it falls to nothing by the last one.", low=1e-7, high=1.0)
    measured: int = option(256, "Pairs that reports are measured on.", low=2, high=65_536)


@dataclasses.dataclass(frozen=True, kw_only=True)
class HarmonizerOptions(LearnOptions):
    """How the harmonizer of pasted objects is trained."""

    iterations: int = option(1200, "Steps of training; how long one takes is shown while training.", low=1)
    batch: int = option(64, "Objects that a step learns from.", low=2, high=65536)
    rate: float = option(0.001, "Learning rate after the first steps; it falls to nothing by the last one.", low=1e-7, high=1.0)
    clean: float = option(0.3, "Share of the objects that are left as they were, so that it learns to leave such alone.", low=0.0, high=1.0)
    crops: int = option(1000, "Crops of photos that objects are looked for in, before training begins.", low=1, high=1_000_000)
    things: int = option(6, "Objects in each crop.", low=1, high=256)
    measured: int = option(40, "Crops of photos never learned from that reports are measured on.", low=1, high=1_000_000)


@dataclasses.dataclass(frozen=True, kw_only=True)
class GeneratorOptions(LearnOptions):
    """How whatever makes pictures is trained."""

    size: int = option(32, "Side of the pictures in px: 32, 64, 128 or 256.", low=32, high=256)
    batch: int = option(32, "Pictures that a step learns from.", low=2, high=65_536)
    channels: int = option(32, "Channels of the networks at half size; they double as sides halve again, up to 192.", low=16, high=512)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.size & (self.size - 1):
            raise OptionError(f"size={self.size} is no power of two; take 32, 64, 128 or 256")


@dataclasses.dataclass(frozen=True, kw_only=True)
class GanOptions(GeneratorOptions):
    """How a generative adversarial network is trained."""

    iterations: int = option(10_000, "Steps of training; how long one takes is shown while training.", low=1)
    report_every: int = option(500, "Steps between reports; each shows what is made and saves a checkpoint.", low=1)
    batch: int = option(16, "Pictures that a step learns from.", low=2, high=65_536)
    channels: int = option(24, "Channels of the networks at half size; they double as sides halve again, up to 192.", low=16, high=512)
    rate: float = option(0.002, "Learning rate after the first steps; it falls to a hundredth by the last one.", low=1e-7, high=1.0)
    numbers: int = option(64, "Random numbers that a picture is made of.", low=1, high=4096)
    slope: float = option(0.01, "How hard the judge's slope is held down: more is steadier, less is sharper.", low=0.0, high=1000.0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class VaeOptions(GeneratorOptions):
    """How a variational autoencoder is trained."""

    rate: float = option(0.001, "Learning rate after the first steps; it falls to nothing by the last one.", low=1e-7, high=1.0)
    numbers: int = option(256, "Numbers that a picture becomes.", low=1, high=4096)
    beta: float = option(1.0, "What telling costs beside exactness: more gives smoother pictures, easier to draw at random.", low=0.0)
    warming: float = option(0.2, "Share of the training over which that cost rises.", low=0.0, high=1.0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class PainterOptions(LearnOptions):
    """How a painter is trained."""

    style: str = option("", "The style: a picture, or a folder of pictures in one style.")
    iterations: int = option(1000, "Steps of training; how long one takes is shown while training.", low=1)
    report_every: int = option(100, "Steps between reports; each shows what is painted and saves a checkpoint.", low=1)
    batch: int = option(2, "Parts of photos that a step learns from.", low=1, high=4096)
    size: int = option(128, "Side of these parts, px.", low=64, high=1024)
    rate: float = option(0.003, "Learning rate after the first steps; it falls to nothing by the last one.", low=1e-7, high=1.0)
    detail: float = option(0.5, "How much the painter keeps of a picture's own lines and shapes.", low=0.0, high=1.0)
    brush: float = option(1.0, "Size of strokes: with 1 the style is looked at as large as a square of 512 px.", low=0.1, high=4.0)
    channels: int = option(16, "Channels of the network at full size; twice and four times as many where it is coarser.", low=4, high=64)
    measured: int = option(16, "Parts of photos that reports are measured on.", low=1, high=4096)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClassifierOptions(LearnOptions):
    """How a classifier is trained."""

    iterations: int = option(1500, "Steps of training at most; how long one takes is shown while training.", low=1)
    report_every: int = option(50, "Steps between reports; each measures on what is never learned from and saves a checkpoint.", low=1)
    batch: int = option(64, "Pictures that a step learns from.", low=1, high=65_536)
    size: int = option(64, "Side of the squares that are looked at, px.", low=32, high=512)
    begin: BeginMethod = option("encoder", "With an encoder, which has learned without labels already, or from scratch.")
    encoder: str = option("", "The encoder's weights, a .safetensors file; by default those that ship.")
    rate: float = option(0.002, "Learning rate after the first steps; it falls to nothing by the last one.", low=1e-7, high=1.0)
    patience: int = option(8, "Reports without anything better after which the training ends.", low=1)
