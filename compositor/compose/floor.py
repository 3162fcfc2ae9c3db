"""A seam made to vanish without a network: tone, geometry, what colour step is left, and a narrow fade, in this order.

Only what ``new`` shows changes; the reference stays to the bit. Every step looks at what the steps before it left.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from compositor.compose.flow import close_gaps, warp_by
from compositor.compose.layers import Layers
from compositor.compose.membrane import membrane as spread_step
from compositor.compose.tone import fit_tone

__all__ = ["Finished", "finish"]

Floats = NDArray[np.float32]


@dataclasses.dataclass(frozen=True, eq=False)
class Finished:
    """A composite of two layers.

    Parameters
    ----------
    pixels : (h, w, 3) float32
        RGB, encoded, 0..1; zero where neither has pixels.
    new : (h, w, 3) float32
        The new picture as it was changed to fit, 0..1 where ``new`` shows.
    weight : (h, w) float32
        How much of ``new`` shows, 0..1; zero outside ``owner``.
    """

    pixels: Floats
    new: Floats
    weight: Floats


def finish(layers: Layers, *, tone: bool = True, flow: bool = True, membrane: bool = True, feather: float = 6.0) -> Finished:
    """Composite two layers so that their seam shows as little as may be.

    Parameters
    ----------
    layers : Layers
    tone : bool
        Match the tone of ``new`` to that of ``reference``.
    flow : bool
        Bend ``new`` beside the seam to continue ``reference``.
    membrane : bool
        Spread what step is left into ``new``.
    feather : float
        Pixels behind the seam, inside ``new``, over which ``reference`` fades out; 0 for a hard seam.

    Returns
    -------
    Finished
    """
    toned = layers.with_new(fit_tone(layers).apply(layers.new, layers.new_valid)) if tone else layers
    if flow:
        toned = toned.with_new(warp_by(close_gaps(toned), toned.new))
    new = toned.new + spread_step(toned) if membrane else toned.new
    if new is not layers.new:
        new = np.clip(new, 0, 1)
    weight = _weights(layers, feather)
    pixels = np.where(layers.owner[..., None], new, np.where(layers.reference_valid[..., None], layers.reference, np.float32(0)))
    mixed = (weight < 1) & layers.owner
    share = weight[mixed][:, None]
    pixels[mixed] += (1 - share) * (layers.reference[mixed] - new[mixed])
    return Finished(pixels, new, weight)


def _weights(layers: Layers, feather: float) -> Floats:
    """How much of ``new`` shows at every pixel."""
    weight = layers.owner.astype(np.float32)
    ring = layers.overlap & layers.owner & (layers.inside < feather)
    fade = layers.inside[ring] / np.float32(max(feather, 1e-6))
    weight[ring] = fade * fade * (3 - 2 * fade)
    return weight
