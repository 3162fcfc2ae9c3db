"""Every option and its default, once.

The command line is generated from these fields: ``help`` is the text shown there, a ``Literal`` becomes the list of choices. Messages
name an option as Python does, ``size='400x300'`` or ``size=``; the command line shows it as its own users write it, ``--size 400x300``.
"""

from __future__ import annotations

import dataclasses
import difflib
import numbers
import os
import re
import typing
from collections.abc import Mapping
from typing import Any, Literal, NewType, Self

from compositor.errors import OptionError

__all__ = [
    "JPEG_QUALITY",
    "ClassifierOptions",
    "CompareOptions",
    "ComposeOptions",
    "CorrectOptions",
    "EncoderOptions",
    "GanOptions",
    "GroupOptions",
    "HarmonizerOptions",
    "LearnOptions",
    "MosaicOptions",
    "PasteOptions",
    "RefineOptions",
    "RegisterOptions",
    "RunOptions",
    "StitchOptions",
    "StyleOptions",
    "TrainOptions",
    "VaeOptions",
]

FeatureMethod = Literal["sift", "orb", "aliked", "disk"]
ModelMethod = Literal["auto", "rotation", "translation", "euclidean", "similarity", "affine", "homography"]
FocalMethod = Literal["auto", "shared", "per-photo"]
LocalMethod = Literal["auto", "mesh", "none"]
Projection = Literal["auto", "plane", "cylindrical", "spherical", "mercator", "stereographic", "fisheye", "panini"]
ExposureMethod = Literal["full", "gain", "none"]
SeamMethod = Literal["graphcut", "voronoi"]
BlendMethod = Literal["multiband", "feather", "poisson", "none"]
StyleMethod = Literal["photo", "paint"]
DeviceMethod = Literal["auto", "cpu", "cuda", "mps"]
PrecisionMethod = Literal["float32", "bfloat16", "float16"]
LearnPrecision = Literal["float32", "bfloat16"]
StartMethod = Literal["encoder", "scratch"]
RefineMethod = Literal["none", "classical", "learned"]
PictureSize = NewType("PictureSize", str)
"""Width and height in px, as «4000x2000», or the width only; «» for none."""

JPEG_QUALITY = 95
"""Of 100, where nothing else is said."""

LEARNED = ("aliked", "disk")
"""Feature detectors that are networks, whose weights come from a file of the user's."""

LARGEST_SIZE = 2**24
"""Pixels a side."""

KINDS: dict[Any, tuple[Any, str]] = {
    bool: (bool, "True or False"),
    int: (numbers.Integral, "a whole number"),
    float: (numbers.Real, "a number"),
    str: ((str, os.PathLike), "a path"),
    PictureSize: (str, "a size such as '4000x2000' or (4000, 2000), or '4000' or 4000 for the width"),
}
"""What a field of each type takes; plain text is always the path of a file or folder, «» for none."""


def option(default: Any, text: str, *, low: float | None = None, high: float | None = None) -> Any:
    """A dataclass field with its help text and, for numbers, its allowed range."""
    return dataclasses.field(default=default, metadata={"help": text, "low": low, "high": high})


def _check_value(field: dataclasses.Field[Any], value: Any, hint: Any) -> None:
    """Refuse what is not of its kind, or a number out of the field's range."""
    low, high = field.metadata.get("low"), field.metadata.get("high")
    kind, called = KINDS[hint]
    if not isinstance(value, kind) or (kind is not bool and isinstance(value, bool)):
        raise OptionError(f"{field.name}={value!r} is not {called}")
    if hint is not str and not ((low is None or value >= low) and (high is None or value <= high)):
        raise OptionError(f"{field.name}={value!r} is out of range; it must lie in {low} .. {'any' if high is None else high}")


ARGUMENTS = ("masks", "feature_masks", "show_masks", "matcher", "photometry", "refine", "approve", "progress")
"""What the functions of ``compositor.stitch`` take beside options; a mistyped one arrives among these."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunOptions:
    """How to run, whatever is done.

    Raises
    ------
    OptionError
        A value is none of the choices or out of its range.
    """

    threads: int = option(0, "Worker threads; 0 means one per core. The result does not depend on it.", low=0, high=1024)
    seed: int = option(0, "Seed of whatever draws random numbers. Nothing here draws any: the same photos give the same bytes.", low=0)

    def __post_init__(self) -> None:
        hints = typing.get_type_hints(type(self))
        for field in dataclasses.fields(self):
            value, choices = getattr(self, field.name), typing.get_args(hints[field.name])
            if typing.get_origin(hints[field.name]) is Literal:
                if value not in choices:
                    raise OptionError(f"{field.name}={value!r} is not known; choose one of {', '.join(map(repr, choices))}")
                continue
            parts = [(value, hints[field.name])]
            if typing.get_origin(hints[field.name]) is tuple:
                if not isinstance(value, tuple) or len(value) != len(choices):
                    raise OptionError(f"{field.name}={value!r} is not a tuple of {len(choices)}")
                parts = list(zip(value, choices, strict=True))
            for part, hint in parts:
                _check_value(field, part, hint)
            if hints[field.name] is str:
                object.__setattr__(self, field.name, os.fsdecode(value))  # options hold plain values

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """Options from a mapping of names to values.

        Raises
        ------
        OptionError
            A name or value is not known; the message lists the right ones.
        """
        names = [field.name for field in dataclasses.fields(cls)]
        for name in values:
            if name not in names:
                near = difflib.get_close_matches(name, [*names, *ARGUMENTS], 1)
                hint = f"did you mean {near[0]}? The" if near else "the"
                raise OptionError(f"there is no option {name!r}; {hint} options are {', '.join(names)}")
        return cls(**values)


FEATURES, ORB_FEATURES = 2500, 1500
"""Features of a photo that matching has use for: beyond, it takes longer and finds no more. ORB is chosen to be fast."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class RegisterOptions(RunOptions):
    """How photos are brought into one frame."""

    features: FeatureMethod = option("sift", "Feature detector: sift is exact, orb is fast; aliked and disk are networks and need a file.")
    feature_model: str = option("", "Network of aliked or disk with its weights, an ONNX file.")
    matcher_model: str = option("", "LightGlue network that matches the features of aliked or disk, an ONNX file.")
    registration_megapixels: float = option(1.3, "Photos are reduced to this size for registration.", low=0.01, high=100.0)
    feature_megapixels: float = option(0.6, "Features are looked for at this size.", low=0.01, high=100.0)
    max_features: int = option(0, "Strongest features kept per photo; 0 keeps as many as suit the detector.", low=0, high=100_000)
    model: ModelMethod = option("auto", "How the photos differ: by a turning camera, or as photos of a plane; auto takes what fits best.")
    focal: FocalMethod = option("auto", "One focal length for all photos of one zoom, one per photo, or whichever the photos support.")
    cache: str = option("", "Folder that keeps features between runs; a photo's are found again by what it shows.")
    straighten: bool = option(True, "Level the horizon, where the camera turned; photos of a plane are always seen squarely.")
    local_alignment: LocalMethod = option(
        "auto", "Bend photos a little where parallax or the lens leaves overlaps apart: if matches ask for it, whenever it helps, or never."
    )

    @property
    def features_kept(self) -> int:
        """Strongest features kept per photo, as asked for or as suits the detector."""
        return self.max_features or (ORB_FEATURES if self.features == "orb" else FEATURES)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.features in LEARNED and not self.feature_model:
            raise OptionError(
                f"features={self.features!r} is a network and needs feature_model=, an ONNX file of it with its weights; the projects "
                "LightGlue-ONNX and ALIKED-LightGlue-ONNX publish such files, OpenCV names some in its list of test models; "
                "sift and orb need none"
            )
        if self.features not in LEARNED and (self.feature_model or self.matcher_model):
            name = "feature_model" if self.feature_model else "matcher_model"
            raise OptionError(f"{name}= does not go with features={self.features!r}; choose aliked or disk, or leave the file away")


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
class GroupOptions(RunOptions):
    """How many photos are parted into sets."""

    verify: bool = option(True, "Compare the features of photos that look as if they overlapped; without, looks decide.")
    neighbours: int = option(8, "Photos most like a photo, of which each may overlap it; both must be so to the other.", low=1, high=1000)
    likeness: float = option(
        0.0,
        "How alike photos must be to be taken for overlapping, up to 1; 0 takes 0.25 where features verify it, else 0.35.",
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
    seed: int = option(0, "Seed of the parts of folders that are drawn to extrapolate.", low=0, high=2**63 - 1)


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


@dataclasses.dataclass(frozen=True, kw_only=True)
class LearnOptions(RunOptions):
    """How any network is trained."""

    iterations: int = option(4000, "Steps of training; how long one takes is shown while training.", low=1)
    report_every: int = option(200, "Steps between reports; each measures on what is never learned from and saves a checkpoint.", low=1)
    device: DeviceMethod = option("auto", "Where to compute; auto takes a GPU where there is one.")
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
    rate: float = option(0.002, "Learning rate after the first steps; it falls to nothing by the last one.", low=1e-7, high=1.0)
    precision: LearnPrecision = option("float32", "What is costly is computed in this; bfloat16 is faster on recent GPUs and some CPUs.")
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
    rate: float = option(0.0004, "Learning rate; it falls to a twentieth over the second half.", low=1e-7, high=1.0)
    numbers: int = option(64, "Random numbers that a picture is made of.", low=1, high=4096)
    slope: float = option(1.0, "How hard the judge's slope is held down: more is steadier, less is sharper.", low=0.0, high=1000.0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class VaeOptions(GeneratorOptions):
    """How a variational autoencoder is trained."""

    rate: float = option(0.001, "Learning rate after the first steps; it falls to nothing by the last one.", low=1e-7, high=1.0)
    numbers: int = option(256, "Numbers that a picture becomes.", low=1, high=4096)
    beta: float = option(1.0, "What telling costs beside exactness: more gives smoother pictures, easier to draw at random.", low=0.0)
    warming: float = option(0.2, "Share of the training over which that cost rises.", low=0.0, high=1.0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClassifierOptions(LearnOptions):
    """How a classifier is trained."""

    iterations: int = option(1500, "Steps of training at most; how long one takes is shown while training.", low=1)
    report_every: int = option(50, "Steps between reports; each measures on what is never learned from and saves a checkpoint.", low=1)
    batch: int = option(64, "Pictures that a step learns from.", low=1, high=65_536)
    size: int = option(64, "Side of the squares that are looked at, px.", low=32, high=512)
    start: StartMethod = option("encoder", "Begin with an encoder, which has learned without labels already, or from nothing.")
    encoder: str = option("", "The encoder's weights, a .safetensors file; by default those that ship.")
    rate: float = option(0.002, "Learning rate after the first steps; it falls to nothing by the last one.", low=1e-7, high=1.0)
    patience: int = option(8, "Reports without anything better after which the training ends.", low=1)
    precision: LearnPrecision = option("float32", "What is costly is computed in this; bfloat16 is faster on recent GPUs and some CPUs.")
