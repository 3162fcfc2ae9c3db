"""Several photos become one picture.

>>> import compositor
>>> panorama = compositor.stitch(["left.jpg", "middle.jpg", "right.jpg"])  # doctest: +SKIP
>>> panorama.save("panorama.tif")  # doctest: +SKIP

The public names are loaded on first use: importing the package alone loads neither OpenCV nor Numba.
"""

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from compositor.compose.floor import close_seam
    from compositor.compose.foreign import refine
    from compositor.errors import (
        CompositorError,
        LimitError,
        OptionError,
        OutputError,
        PhotometryFileError,
        ReadError,
        RegistrationFileError,
        TooFewPhotosError,
        WriteError,
    )
    from compositor.mosaic import Mosaic, mosaic
    from compositor.panorama import Panorama
    from compositor.paste.pasted import Pasted, paste
    from compositor.photometry import Photometry
    from compositor.registration import Registration
    from compositor.stitch import compose, correct, map_seams, register, stitch
    from compositor.style import Styled, style
    from compositor.types import Camera, Correspondences, Photo

__version__ = "0.1.0"

__all__ = [
    "Camera",
    "CompositorError",
    "Correspondences",
    "LimitError",
    "Mosaic",
    "OptionError",
    "OutputError",
    "Panorama",
    "Pasted",
    "Photo",
    "Photometry",
    "PhotometryFileError",
    "ReadError",
    "Registration",
    "RegistrationFileError",
    "Styled",
    "TooFewPhotosError",
    "WriteError",
    "__version__",
    "close_seam",
    "compose",
    "correct",
    "map_seams",
    "refine",
    "mosaic",
    "paste",
    "register",
    "stitch",
    "style",
]

_HOMES = {
    **dict.fromkeys(("stitch", "register", "compose", "correct", "map_seams"), "compositor.stitch"),
    **dict.fromkeys(("Camera", "Correspondences", "Photo"), "compositor.types"),
    **dict.fromkeys(("Mosaic", "mosaic"), "compositor.mosaic"),
    **dict.fromkeys(("Styled", "style"), "compositor.style"),
    "Panorama": "compositor.panorama",
    "close_seam": "compositor.compose.floor",
    "refine": "compositor.compose.foreign",
    **dict.fromkeys(("paste", "Pasted"), "compositor.paste.pasted"),
    "Photometry": "compositor.photometry",
    "Registration": "compositor.registration",
    **dict.fromkeys([name for name in __all__ if name.endswith("Error")], "compositor.errors"),
}


def __getattr__(name: str) -> Any:
    """Load a public name on its first use (PEP 562)."""
    if name == "learned":  # loads no PyTorch by itself
        return importlib.import_module("compositor.learned")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)


class _Package(ModuleType):
    """Keeps ``compositor.stitch``, ``register`` and ``compose`` functions.

    Each is also the name of a module, and the import system would put that module in the function's place once it is loaded.
    """

    def __setattr__(self, name: str, value: object) -> None:
        if not (name in _HOMES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
