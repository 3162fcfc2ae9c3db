"""A seam made to vanish without a network: tone, geometry, what colour step is left, and a narrow fade, in this order.

Only what ``new`` shows changes; the reference stays to the bit. Every step looks at what the steps before it left.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from compositor.compose.flow import close_gaps, close_gaps_both_ways, warp_by
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
    back : (h, w, 2) float32, optional
        Where the reference shows what ``new`` does, as from ``close_gaps_both_ways``; None where nobody asked.
    """

    pixels: Floats
    new: Floats
    weight: Floats
    back: Floats | None = None


def finish(
    layers: Layers, *, tone: bool = True, flow: bool = True, membrane: bool = True, feather: float = 6.0, back: bool = False
) -> Finished:
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
    back : bool
        Whether to tell, too, where the reference shows what ``new`` does.

    Returns
    -------
    Finished
    """
    from compositor.kernels.membrane import composite

    new = fit_tone(layers).apply(layers.new, layers.new_valid) if tone else layers.new
    new = new.copy() if new is layers.new else new  # from here on it is changed in place: fresh memory costs more than the work
    returning = None
    if flow and back:
        bent, returning = close_gaps_both_ways(layers.with_new(new))
        new = warp_by(bent, new, out=new)
    elif flow:
        new = warp_by(close_gaps(layers.with_new(new)), new, out=new)
    pixels = spread_step(layers.with_new(new)) if membrane else np.zeros_like(new)
    weight = np.empty(layers.owner.shape, np.float32)
    masks = layers.reference_valid, layers.new_valid, layers.owner
    composite((layers.reference, new), masks, layers.inside, np.float32(feather), pixels, new, pixels, weight)
    return Finished(pixels, new, weight, returning)


def close_seam(layers: Layers) -> Floats:
    """The composite of two layers whose light was matched before: a refiner for ``stitch`` and ``compose``.

    The photos of a panorama were graded with all their overlaps in view; what few of them tell in one place would only undo that.
    """
    return finish(layers, tone=False).pixels
