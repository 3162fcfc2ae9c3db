"""What a painting is judged by: how far its patches are from those of a style, and how much of a picture it still shows.

Distributions of features are compared by the sliced Wasserstein distance between them, along random directions. Random filters will do as
features where they are orthogonal and drawn anew now and then: nothing then can be right for a few of them only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F  # noqa: N812

__all__ = ["Features", "RandomFeatures", "Shown", "apart", "partners", "resized", "smooth"]

Features = Callable[[torch.Tensor], list[torch.Tensor]]
"""Takes (1, 3, h, w) encoded RGB 0..1 to maps of features, each (1, c, h, w)."""

FEWEST_SLICES, MOST_SLICES, SORTED = 4, 32, 200_000
"""Random directions along which distributions are compared, anew at each step: as many as keep what is sorted to so many values."""
LINES, COLORS, CHROMA = 0.32, 10.0, 4.0
"""Weights beside the distance of the patches: of the term for lines, at full detail; for colours on the whole; and for chroma nearby, which
would otherwise take upon itself, as confetti, what luma is kept from."""
PLAIN, STILL = 2.0, 0.02
"""Weight, at full detail, of the colours of every pixel where the picture is plain, and of their chroma once more in its own weight, lest a
sky be filled with marks, confetti and halos; and the changes, in encoded values, at which it is half as plain as can be."""

EMPTY = 0.004
"""Changes at which a picture is half as empty as it can be: about one of 255 levels, as in a clear sky. With five times as much,
pictures with much sky came less near to a style than by Gram matrices."""


class Shown:
    """What a painting is to show of a picture: lines, colours on the whole, chroma nearby, and every pixel where the picture is plain.

    Parameters
    ----------
    picture, colored : (b, 3, h, w) float32
        The picture, and the picture in the style's colours; encoded RGB, 0..1, sides of 8 px and more.
    detail : float
        How much of lines and shapes is to be kept, 0..1.
    """

    def __init__(self, picture: torch.Tensor, colored: torch.Tensor, detail: float) -> None:
        self.colored, self.detail = colored, detail
        self.lines, self.colors, self.chroma = _lines(picture), smooth(colored), _chroma(colored)
        self.plain, self.still = PLAIN * detail * _plain(picture, STILL), min(1.0, 2 * detail) * _plain(picture, EMPTY)

    def added(self, loss: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """A loss and, by their weights, what a painting (b, 3, h, w) misses; also how far it leaves 0..1."""
        loss = loss + LINES * self.detail * ((_lines(x) - self.lines) ** 2).mean()
        loss = loss + COLORS * ((smooth(x) - self.colors) ** 2).mean()
        loss = loss + CHROMA * ((1 + self.plain) * (_chroma(x) - self.chroma) ** 2).mean()
        loss = loss + (self.plain * (x - self.colored) ** 2).mean()
        return loss + 10 * (x - x.clamp(0, 1)).square().mean()

    def stilled(self, maps: torch.Tensor) -> torch.Tensor:
        """Maps of a painting, (b, c, h, w), that are moved the less the emptier the picture is there.

        Such places count among what is compared, but their differences are noise: moved to where the style's are, they became marks.
        """
        return maps.detach().lerp(maps, 1 - resized(self.still, maps.shape[2:]))

    def kept(self, x: torch.Tensor) -> float:
        """The share of lines that a painting shows where the picture has them: their correlation."""
        return float(F.cosine_similarity(_lines(x).flatten(), self.lines.flatten(), dim=0))


def apart(mine: torch.Tensor, wanted: torch.Tensor, generator: torch.Generator, floor: float = 1e-6) -> torch.Tensor:
    """Squared distance of two distributions along random directions, in units of the second one's variance.

    Parameters
    ----------
    mine, wanted : (c, n), (c, m) float32
        Features at places.
    generator : torch.Generator
        On the CPU.
    floor : float
        The least that this variance is taken for.
    """
    count = mine.shape[1]
    slices = max(FEWEST_SLICES, min(MOST_SLICES, SORTED // count))
    directions = torch.randn(slices, len(mine), generator=generator).to(mine.device)
    directions = directions / directions.norm(dim=1, keepdim=True)
    ranks = torch.linspace(0, wanted.shape[1] - 1, count, device=mine.device).round().long()
    quantiles = (directions @ wanted).sort(1).values
    return (((directions @ mine).sort(1).values - quantiles[:, ranks]) ** 2).mean() / quantiles.var(1).mean().clamp_min(floor)


def partners(mine: torch.Tensor, theirs: torch.Tensor) -> torch.Tensor:
    """Of colours ``theirs``, (m, 3), the index of the nearest to each of ``mine``, (n, 3)."""
    return torch.cdist(mine, theirs).argmin(1)


class RandomFeatures:
    """Two layers of random orthogonal filters at every pixel, with a blur between them so that nothing aliases.

    Parameters
    ----------
    generator : torch.Generator
    device : torch.device
    """

    def __init__(self, generator: torch.Generator, device: torch.device) -> None:
        self.first = _orthogonal(24, 3, 5, generator).to(device)
        self.second = _orthogonal(32, 24, 3, generator).to(device)

    def __call__(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Patches as seen by the first layer, and what the second makes of its rectified answers; (1, c, h, w) each."""
        patches = F.conv2d(F.pad(x, (2,) * 4, mode="reflect"), self.first)
        seen = _blurred(F.relu(patches - patches.mean((2, 3), keepdim=True)))
        return [patches, F.relu(F.conv2d(F.pad(seen, (2,) * 4, mode="reflect"), self.second, dilation=2))]


def _orthogonal(filters: int, channels: int, side: int, generator: torch.Generator) -> torch.Tensor:
    """Filters of unit length, at right angles to each other, (filters, channels, side, side)."""
    drawn = torch.randn(channels * side * side, filters, generator=generator)
    return torch.linalg.qr(drawn)[0].T.reshape(filters, channels, side, side).contiguous()


def _blurred(maps: torch.Tensor) -> torch.Tensor:
    """Maps after a binomial filter of three taps a side."""
    padded = F.pad(maps, (1,) * 4, mode="reflect")
    rows = padded[:, :, :-2] + 2 * padded[:, :, 1:-1] + padded[:, :, 2:]
    return (rows[..., :-2] + 2 * rows[..., 1:-1] + rows[..., 2:]) / 16


def smooth(x: torch.Tensor) -> torch.Tensor:
    """The average around every pixel, over 15 x 15."""
    x = F.avg_pool2d(F.pad(x, (0, 0, 7, 7), mode="reflect"), (15, 1), stride=1)
    return F.avg_pool2d(F.pad(x, (7, 7, 0, 0), mode="reflect"), (1, 15), stride=1)


def _lines(x: torch.Tensor) -> torch.Tensor:
    """Luma less its average nearby, divided by its deviation nearby: lines and shapes whatever their contrast, (1, 1, h, w)."""
    luma = (x * x.new_tensor([0.299, 0.587, 0.114])[:, None, None]).sum(1, keepdim=True)
    apart = luma - smooth(luma)
    return apart / (smooth(apart**2) + 1e-3).sqrt()


def _plain(x: torch.Tensor, half: float) -> torch.Tensor:
    """How plain a picture is around every pixel: 1 where nothing changes, a half where changes are so large, (1, 1, h, w)."""
    changes = _blurred(_blurred(((x - _blurred(_blurred(x))) ** 2).mean(1, keepdim=True)))
    return half**2 / (half**2 + changes)


def _chroma(x: torch.Tensor) -> torch.Tensor:
    """Colours less their mean of the three, a little smoothed, (1, 3, h, w)."""
    return _blurred(x - x.mean(1, keepdim=True))


def resized(x: torch.Tensor, size: Sequence[int]) -> torch.Tensor:
    """A picture at another size, without aliasing."""
    return x if tuple(x.shape[2:]) == tuple(size) else F.interpolate(x, tuple(size), mode="bilinear", antialias=True, align_corners=False)
