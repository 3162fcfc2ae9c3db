"""Masks as alpha channels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from compositor.encoding import full_scale

__all__ = ["with_alpha", "with_needed_alpha"]


def with_alpha(pixels: NDArray[Any], mask: NDArray[np.bool_]) -> NDArray[Any]:
    """RGB or gray pixels and a mask as RGB with straight alpha, (h, w, 4) of the pixels' type."""
    made = np.empty((*mask.shape, 4), pixels.dtype)
    made[..., :3] = pixels if pixels.ndim == 3 else pixels[..., None]
    made[..., 3] = mask
    made[..., 3] *= np.asarray(full_scale(pixels.dtype), pixels.dtype)
    return made


def with_needed_alpha(pixels: NDArray[Any], mask: NDArray[np.bool_] | None) -> NDArray[Any]:
    """The same where there is anything to mask; else the pixels as they are, contiguous."""
    return np.ascontiguousarray(pixels) if mask is None or mask.all() else with_alpha(pixels, mask)
