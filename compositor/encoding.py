"""How pixels hold light: the value of white in each type, and the curve of sRGB."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["decode_srgb", "encode_srgb", "full_scale"]


def full_scale(dtype: np.dtype[Any]) -> int:
    """The value of white: the largest one of uint8 and uint16, 1 of float32."""
    return 1 if dtype.kind == "f" else int(np.iinfo(dtype).max)


def decode_srgb(encoded: NDArray[Any]) -> NDArray[Any]:
    """Linear light, 0..1, of encoded values, 0..1 (IEC 61966-2-1). Negative values continue the curve's first, straight part."""
    return np.where(encoded <= 0.04045, encoded / 12.92, ((np.maximum(encoded, 0.04045) + 0.055) / 1.055) ** 2.4)


def encode_srgb(linear: NDArray[Any]) -> NDArray[Any]:
    """Encoded values of linear light (IEC 61966-2-1)."""
    return np.where(linear <= 0.0031308, linear * 12.92, 1.055 * np.maximum(linear, 0.0031308) ** (1 / 2.4) - 0.055)
