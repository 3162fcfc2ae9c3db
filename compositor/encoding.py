"""How pixels hold light: the value of white in each type, and the curve of sRGB."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["decode_srgb", "encode_srgb", "flatten_highlights", "full_scale", "restore_highlights"]


def full_scale(dtype: np.dtype[Any]) -> int:
    """The value of white: the largest one of uint8 and uint16, 1 of float32."""
    return 1 if dtype.kind == "f" else int(np.iinfo(dtype).max)


def decode_srgb(encoded: NDArray[Any]) -> NDArray[Any]:
    """Linear light, 0..1, of encoded values, 0..1 (IEC 61966-2-1). Negative values continue the curve's first, straight part."""
    return np.where(encoded <= 0.04045, encoded / 12.92, ((np.maximum(encoded, 0.04045) + 0.055) / 1.055) ** 2.4)


def encode_srgb(linear: NDArray[Any]) -> NDArray[Any]:
    """Encoded values of linear light (IEC 61966-2-1)."""
    return np.where(linear <= 0.0031308, linear * 12.92, 1.055 * np.maximum(linear, 0.0031308) ** (1 / 2.4) - 0.055)


def restore_highlights(linear: NDArray[Any], shoulder: float) -> NDArray[Any]:
    """The light that linear values stand for, where a camera's tone curve flattens towards white more than that of sRGB does.

    One number, below 1, for what such curves have in common (Grossberg and Nayar, «Modeling the space of camera response functions», PAMI
    26(10), 2004, collect many). The shape is that of Reinhard and others, «Photographic tone reproduction for digital images»,
    SIGGRAPH 2002: a value is E / (1 + shoulder * E). Dark values stay; beyond 0 and 1 the factor is that of 0 and 1.
    """
    return linear / (1 - shoulder * np.clip(linear, 0, 1)) if shoulder else linear


def flatten_highlights(light: NDArray[Any], shoulder: float) -> NDArray[Any]:
    """Linear values of light: the inverse of ``restore_highlights``."""
    return light / (1 + shoulder * np.clip(light, 0, 1 / (1 - shoulder))) if shoulder else light
