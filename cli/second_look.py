"""The options that give seams a second look."""

from __future__ import annotations

from typing import TYPE_CHECKING

import compositor
from compositor.cli.options import options_from
from compositor.options import RefineOptions

if TYPE_CHECKING:
    from compositor.compose.layers import Refine

__all__ = ["refine_options", "refiner_of"]

refine_options = options_from(RefineOptions, run=False)
"""How seams are looked at again, by what network, and where and how exactly that computes."""


def refiner_of(refine: str, weights: str, device: str, precision: str) -> Refine | None:
    """What the options ask for.

    Raises
    ------
    OptionError
        Weights are named for nothing.
    CompositorError
        PyTorch is not installed, or the weights cannot be used.
    """
    RefineOptions.of({"refine": refine, "weights": weights, "device": device, "precision": precision})
    if refine != "learned":
        return compositor.close_seam if refine == "classical" else None
    from compositor.learned import Refiner

    return Refiner.load(weights or None, device=device, precision=precision).close_seam
