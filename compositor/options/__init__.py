"""Every option and its default, once.

The command line is generated from these fields: ``help`` is the text shown there, a ``Literal`` becomes the list of choices. Messages
name an option as Python does, ``size='400x300'`` or ``size=``; the command line shows it as its own users write it, ``--size 400x300``.
"""

from compositor.options.compose import BlendMethod, ComposeOptions, ExposureMethod, Projection, SeamMethod, StitchOptions
from compositor.options.networks import (
    ClassifyOptions,
    CompareOptions,
    DeviceMethod,
    GenerateOptions,
    GroupOptions,
    HarmonizeOptions,
    LikenessMethod,
    PrecisionMethod,
    RefineMethod,
    RefineOptions,
    SimilarOptions,
)
from compositor.options.pictures import JPEG_QUALITY, ColorsMethod, CorrectOptions, MosaicOptions, PasteOptions, StyleMethod, StyleOptions
from compositor.options.record import Options, PictureSize, RunOptions
from compositor.options.register import LEARNED, FeatureMethod, FocalMethod, LocalMethod, ModelMethod, RegisterOptions
from compositor.options.training import (
    ClassifierOptions,
    EncoderOptions,
    GanOptions,
    GeneratorOptions,
    HarmonizerOptions,
    LearnOptions,
    PainterOptions,
    TrainOptions,
    VaeOptions,
)

__all__ = [
    "JPEG_QUALITY",
    "LEARNED",
    "BlendMethod",
    "ClassifierOptions",
    "ClassifyOptions",
    "ColorsMethod",
    "CompareOptions",
    "ComposeOptions",
    "CorrectOptions",
    "DeviceMethod",
    "EncoderOptions",
    "ExposureMethod",
    "FeatureMethod",
    "FocalMethod",
    "GanOptions",
    "GenerateOptions",
    "GroupOptions",
    "GeneratorOptions",
    "HarmonizeOptions",
    "HarmonizerOptions",
    "LearnOptions",
    "LikenessMethod",
    "LocalMethod",
    "ModelMethod",
    "MosaicOptions",
    "Options",
    "PainterOptions",
    "PasteOptions",
    "PictureSize",
    "PrecisionMethod",
    "Projection",
    "RefineMethod",
    "RefineOptions",
    "RegisterOptions",
    "RunOptions",
    "SeamMethod",
    "SimilarOptions",
    "StitchOptions",
    "StyleMethod",
    "StyleOptions",
    "TrainOptions",
    "VaeOptions",
]
