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

__all__ = ["Finished", "close_seam", "finish"]

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
    from compositor.kernels.membrane import composite

    new = fit_tone(layers).apply(layers.new, layers.new_valid) if tone else layers.new
    new = new.copy() if new is layers.new else new  # from here on it is changed in place: fresh memory costs more than the work
    if flow:
        new = warp_by(close_gaps(layers.with_new(new)), new, out=new)
    pixels = spread_step(layers.with_new(new)) if membrane else np.zeros_like(new)
    weight = np.empty(layers.owner.shape, np.float32)
    masks = layers.reference_valid, layers.new_valid, layers.owner
    composite((layers.reference, new), masks, layers.inside, np.float32(feather), pixels, new, pixels, weight)
    return Finished(pixels, new, weight)


def close_seam(layers: Layers) -> Floats:
    """The composite of two layers whose light was matched before: a refiner for ``stitch`` and ``compose``.

    The photos of a panorama were graded with all their overlaps in view; what few of them tell in one place would only undo that.
    """
    return finish(layers, tone=False).pixels
