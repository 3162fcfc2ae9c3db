"""How photos are brought into one frame."""

from __future__ import annotations

import dataclasses
from typing import Literal

from compositor.errors import OptionError
from compositor.options.record import RunOptions, option

__all__ = ["LEARNED", "FeatureMethod", "FocalMethod", "LocalMethod", "ModelMethod", "RegisterOptions"]

FeatureMethod = Literal["sift", "orb", "aliked", "disk"]
ModelMethod = Literal["auto", "rotation", "translation", "euclidean", "similarity", "affine", "homography"]
FocalMethod = Literal["auto", "shared", "per-photo"]
LocalMethod = Literal["auto", "mesh", "none"]

LEARNED = ("aliked", "disk")
"""Feature detectors that are networks, whose weights come from a file of the user's."""

FEATURES, OTHERS = 1500, 2500
"""Features of a photo that matching has use for: beyond, it takes longer and finds no more. And what networks and a user's matcher, which
nobody could try, may find."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class RegisterOptions(RunOptions):
    """How photos are brought into one frame."""

    features: FeatureMethod = option("sift", "Feature detector: sift is exact, orb is fast; aliked and disk are networks and need a file.")
    feature_model: str = option("", "Network of aliked or disk with its weights, an ONNX file.")
    matcher_model: str = option("", "LightGlue network that matches the features of aliked or disk, an ONNX file.")
    registration_megapixels: float = option(1.3, "Photos are reduced to this size for registration.", low=0.01, high=100.0)
    feature_megapixels: float = option(0.4, "Features are looked for at this size.", low=0.01, high=100.0)
    max_features: int = option(0, "Strongest features kept per photo; 0 keeps as many as matching has use for.", low=0, high=100_000)
    model: ModelMethod = option("auto", "How the photos differ: by a turning camera, or as photos of a plane; auto takes what fits best.")
    focal: FocalMethod = option("auto", "One focal length for all photos of one zoom, one per photo, or whichever the photos support.")
    cache: str = option("", "Folder that keeps features between runs; a photo's are found again by what it shows.")
    straighten: bool = option(True, "Level the horizon, where the camera turned; photos of a plane are always seen squarely.")
    local_alignment: LocalMethod = option(
        "auto", "Bend photos a little where parallax or the lens leaves overlaps apart: if matches ask for it, whenever it helps, or never."
    )

    @property
    def features_kept(self) -> int:
        """Strongest features kept per photo, as asked for or as many as matching has use for."""
        return self.max_features or (OTHERS if self.features in LEARNED else FEATURES)

    @property
    def matches_kept(self) -> int:
        """Surest matches of a pair kept that a user's matcher finds."""
        return self.max_features or OTHERS

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
