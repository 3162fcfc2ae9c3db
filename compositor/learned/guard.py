"""What a network may do to a seam: only what can be seen to help, and nothing that the photos do not show.

A seam shows where the picture changes in a way that neither photo does. So, tile by tile, the gradients of the picture beside the seam are
compared with those of both photos, and what fits neither is how much the seam shows. Both photos are seen in one geometry, that of the new
one as the classical stages bent it; the reference is bent to it by the flow that they found. As they came the two disagree behind the seam,
and a reference that just goes on for some px there would explain any seam away that it has only moved. The refined pixels are taken where
the seam shows less, where the same over the whole ring does not rise much, and where neither the likeness to the photos nor the sharpness
falls.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from compositor.learned.strips import Strip, average, dilate

__all__ = ["Verdict", "judge"]

LEVEL = 1 / 255
BESIDE = 3.0
"""Px from the seam within which it is measured how much it shows."""
BETTER = 0.98
"""What that must at least fall to."""
SCALES = (1, 3, 7)
"""Sides of the windows, px, over which pixels are averaged before they are compared: a faint step shows in wide ones only."""
ELSEWHERE, SPARED = 1.5, 0.1 * LEVEL
"""How far that may rise: what agrees with neither photo exactly may lie between the two, as it should where they disagree."""
SHARP = 0.93
"""Of the fine detail of the photo that has less of it, what must be left in the ring."""
STRANGE = 0.25 * LEVEL
"""How much less like the photos the refined pixels may be, on average: less than storing them in 8 bits costs."""


@dataclasses.dataclass(frozen=True, eq=False)
class Verdict:
    """What was found about tiles.

    Parameters
    ----------
    taken : (n,) bool
        Whether the refined pixels are taken.
    before, after : (n,) float32
        How much the seam shows in the classical and in the refined pixels: mean gradient that neither photo explains, over all scales.
    """

    taken: Tensor
    before: Tensor
    after: Tensor


def judge(strip: Strip, refined: Tensor) -> Verdict:
    """Compare refined tiles with the classical ones.

    Parameters
    ----------
    strip : Strip
    refined : (n, 3, h, w) float32

    Returns
    -------
    Verdict
    """
    beside, whole = (((strip.distance.abs() <= reach) & (strip.overlap > 0)).float() for reach in (BESIDE, strip.radius + 1))
    pictures = strip.pixels, refined
    unlike = [_unlike(strip, pictures, side) for side in SCALES]
    before, after = (_over_scales(scales, beside) for scales in zip(*unlike, strict=True))
    wide = [_over_scales(scales, whole) for scales in zip(*unlike, strict=True)]
    ring = (strip.window > 0).float()
    strange = [_mean_where(beyond, ring) for beyond in _beyond(strip, pictures)]
    detail = [_mean_where(_detail(pixels), ring) for pixels in (refined, strip.pixels, strip.aligned, strip.new)]
    sharp = detail[0] >= SHARP * torch.minimum(torch.minimum(detail[1], detail[2]), detail[3])
    seen = (after <= BETTER * before) & (wide[1] <= ELSEWHERE * wide[0] + SPARED)
    taken = seen & (strange[1] <= strange[0] + STRANGE) & sharp
    return Verdict(taken & torch.isfinite(refined).flatten(1).all(1), before, after)


def _unlike(strip: Strip, pictures: tuple[Tensor, ...], side: int) -> list[Tensor]:
    """How far the gradients of pictures' means over squares are from those of the photo they are more like, (n, 1, h, w) each."""
    photos = [_gradient(_mean(photo, side), side) for photo in (strip.aligned, strip.new)]
    seen = [_gradient(_mean(picture, side), side) for picture in pictures]
    return [torch.minimum(*((one - photo).abs().mean(1, keepdim=True) for photo in photos)) for one in seen]


def _over_scales(unlike: Sequence[Tensor], mask: Tensor) -> Tensor:
    """Mean over a mask and all scales, by tile: (n,)."""
    return torch.stack([_mean_where(scale, mask) for scale in unlike]).mean(0)


def _mean_where(values: Tensor, mask: Tensor) -> Tensor:
    """Mean over a mask, by tile: (n,)."""
    return (values * mask).sum((1, 2, 3)) / mask.sum((1, 2, 3)).clamp(min=1)


def _beyond(strip: Strip, pictures: tuple[Tensor, ...]) -> list[Tensor]:
    """How far pictures' pixels lie outside of what both photos show in the 3 x 3 pixels around, (n, 1, h, w) each."""
    highest = dilate(torch.maximum(strip.aligned, strip.new), 1)
    lowest = -dilate(-torch.minimum(strip.aligned, strip.new), 1)
    return [(functional.relu(one - highest) + functional.relu(lowest - one)).mean(1, keepdim=True) for one in pictures]


def _detail(pixels: Tensor) -> Tensor:
    """Strength of the finest detail, (n, 1, h, w)."""
    return (pixels - _mean(pixels, 3)).abs().mean(1, keepdim=True)


def _mean(pixels: Tensor, side: int) -> Tensor:
    """Means over squares."""
    return pixels if side == 1 else average(pixels, side)


def _gradient(pixels: Tensor, step: int) -> Tensor:
    """Differences to the pixel ``step`` further on along either axis, (n, 2 c, h, w)."""
    right = functional.pad(pixels[..., step:] - pixels[..., :-step], (0, step))
    down = functional.pad(pixels[..., step:, :] - pixels[..., :-step, :], (0, 0, 0, step))
    return torch.cat([right, down], 1)
