"""Painting a picture in the style of another: its patches are moved to where the style's are, from coarse to fine.

At every size of a pyramid the picture is changed, by gradient descent, until the patches of the picture and of the style are distributed
alike: the sliced Wasserstein distance between them, or between features of them, falls (Rabin et al., «Wasserstein barycenter and its
application to texture mixing», SSVM 2011; Heitz et al., «A sliced Wasserstein loss for neural texture synthesis», CVPR 2021; Elnekave and
Weiss, «Generating natural images with direct patch distributions matching», ECCV 2022). Random filters will do as features where they are
orthogonal and drawn anew now and then: nothing then can be right for a few of them only. More terms hold the picture together: its
lines, as luma divided by its local contrast; its colours on the whole, which are those of the colour transfer; its chroma nearby; and the
colour of every pixel where it is plain.

Sizes up to ``WHOLE`` are painted at once. Larger ones are painted in tiles that overlap, each towards those patches of the style that go
with the colours it has by then: a tile of sky is not asked to show all that is in the style.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from numpy.typing import NDArray

from compositor.clock import StageClock
from compositor.learned.device import choose_device, torch_threads
from compositor.options import StyleOptions

__all__ = ["Features", "Painter", "paint"]

Floats = NDArray[np.float32]
Features = Callable[[torch.Tensor], list[torch.Tensor]]
"""Takes (1, 3, h, w) encoded RGB 0..1 to maps of features, each (1, c, h, w)."""

WHOLE = 768
"""Longest side, px, that is painted at once."""
MARGIN = 48
"""Pixels by which a tile reaches into its neighbours, with which it fades into them."""
SMALLEST = 48
"""Shorter side, px, of the coarsest size; smaller ones hold no patches."""
STEPS, FEWEST = 90, 40
"""Of descent at the coarsest size, falling with every finer one to the fewest: fine sizes begin near their end and cost most."""
RENEW = 10
"""Steps after which filters and what is compared of the style are drawn anew."""
SAMPLES = 4096
"""Places of the style that stand for all. Of the picture every place counts: gradients at a few would make noise."""
FEWEST_SLICES, MOST_SLICES, SORTED = 4, 32, 200_000
"""Random directions along which distributions are compared, anew at each step: as many as keep what is sorted to so many values."""
BANDS = 5
"""Of the pyramid whose parts are what descends: what is wanted of many pixels together moves them together, instead of each as noise."""
RATE = 0.02
"""Of Adam, in encoded values."""
LINES, COLORS, CHROMA = 0.32, 10.0, 4.0
"""Weights beside the distance of the patches: of the term for lines, at full detail; for colours on the whole; and for chroma nearby, which
would otherwise take upon itself, as confetti, what luma is kept from."""
PLAIN, STILL = 2.0, 0.02
"""Weight, at full detail, of the colours of every pixel where the picture is plain, and of their chroma once more in its own weight, lest a
sky be filled with marks, confetti and halos; and the changes, in encoded values, at which it is half as plain as can be."""
KEPT = 0.5
"""How much of the picture's own fine detail each finer size begins with, at full detail."""


def paint(
    content: Floats, style: Floats, colored: Floats, where: NDArray[np.bool_] | None, options: StyleOptions, tell: StageClock
) -> Floats:
    """Paint a picture with random features: the ``paint`` of ``compositor.style``.

    Parameters
    ----------
    content, style, colored : (h, w, 3) float32
        The picture, the style (of any size) and the picture in the style's colours; RGB, encoded, 0..1.
    where : (h, w) bool or None
        The pixels whose patches shall be those of the style; None for all.
    options : StyleOptions
    tell : StageClock

    Returns
    -------
    (h, w, 3) float32
    """
    return Painter()(content, style, colored, where, options, tell)


@dataclasses.dataclass(frozen=True)
class Painter:
    """Paints with features of some kind.

    Parameters
    ----------
    features : callable, optional
        Those of an encoder, say; by default random ones, drawn anew now and then.
    """

    features: Features | None = None

    @torch_threads(1)  # the same bytes whatever the machine
    def __call__(
        self, content: Floats, style: Floats, colored: Floats, where: NDArray[np.bool_] | None, options: StyleOptions, tell: StageClock
    ) -> Floats:
        """Paint a picture, as ``paint`` does."""
        device, generator = choose_device(options.device), torch.Generator().manual_seed(options.seed)
        picture, model, target = (_tensor(one).to(device) for one in (content, style, colored))
        masked = None if where is None else torch.from_numpy(where).to(device)
        sizes = _sizes(content.shape[:2])
        # Both show their things at about one size: the style is scaled to the picture's area, and by the size of the brush.
        ratio = options.brush * math.sqrt(content.shape[0] * content.shape[1] / (style.shape[0] * style.shape[1]))
        x = _resized(target, sizes[0])
        for number, size in enumerate(sizes):
            tell("paint", number, len(sizes))
            goal = _resized(target, size)
            factor = ratio * size[0] / content.shape[0]
            high, wide = (max(SMALLEST, round(side * factor)) for side in style.shape[:2])
            # Enlarged as a whole it could be of any size; windows of it are not.
            own = model if high * wide > model[0, 0].numel() else _resized(model, (high, wide))
            if number:
                low = _resized(_resized(target, sizes[number - 1]), size)
                x = (_resized(x, size) + (goal - low) * (KEPT * options.detail)).clamp(0, 1)
            here = None if masked is None else _halved(_resized(masked[None, None].float(), size)[0, 0])
            steps = max(FEWEST, STEPS - 25 * number)
            canvas = _Canvas(_resized(picture, size), goal, own, (high, wide), here, options.detail, self.features, generator)
            x = canvas.whole(x, steps) if max(size) <= WHOLE else canvas.tiled(x, FEWEST // 2)
        return np.ascontiguousarray(x[0].permute(1, 2, 0).cpu().numpy())


@dataclasses.dataclass(frozen=True, eq=False)
class _Canvas:
    """One size of a picture and what it is painted by; all (1, 3, h, w), ``where`` (h, w) or None.

    ``style`` has its own size; ``shown`` are the height and width at which it is looked at.
    """

    picture: torch.Tensor
    colored: torch.Tensor
    style: torch.Tensor
    shown: tuple[int, int]
    where: torch.Tensor | None
    detail: float
    features: Features | None
    generator: torch.Generator

    def whole(self, x: torch.Tensor, steps: int, *, alike: bool = False) -> torch.Tensor:
        """The picture after so many steps; ``alike`` compares with patches of the style that have the picture's colours."""
        bands = [band.requires_grad_() for band in _split(x)]
        lines, colors, chroma = _lines(self.picture), _smooth(self.colored), _chroma(self.colored)
        plain = PLAIN * self.detail * _plain(self.picture)
        places = None if self.where is None else self.where.flatten().nonzero()[:, 0]
        descent = torch.optim.Adam(bands, lr=RATE, betas=(0.8, 0.95))
        for step in range(steps):
            if step % RENEW == 0:
                features = self.features or RandomFeatures(self.generator, x.device)
                wanted = self._wanted(x, features, alike)
            descent.param_groups[0]["lr"] = RATE * (1 - 0.9 * step / steps)
            descent.zero_grad()
            x = _joined(bands)
            loss = sum((self._apart(maps, own, places) for maps, own in zip(features(x), wanted, strict=True)), x.new_zeros(()))
            loss = loss + LINES * self.detail * ((_lines(x) - lines) ** 2).mean()
            loss = loss + COLORS * ((_smooth(x) - colors) ** 2).mean()
            loss = loss + CHROMA * ((1 + plain) * (_chroma(x) - chroma) ** 2).mean()
            loss = loss + (plain * (x - self.colored) ** 2).mean()
            loss = loss + 10 * (x - x.clamp(0, 1)).square().mean()
            loss.backward()
            descent.step()
            x = x.detach()
        return _joined(bands).detach().clamp(0, 1)

    def _wanted(self, x: torch.Tensor, features: Features, alike: bool) -> list[torch.Tensor]:
        """Features of the style at places drawn at random, (c, SAMPLES) of every map."""
        style = self._window()
        partners = self._draw(style[0, 0].numel())
        if alike:
            mine, theirs = (_smooth(one)[0].flatten(1).T for one in (x, style))
            partners = partners[torch.cdist(mine[self._draw(len(mine))], theirs[partners]).argmin(1)]
        with torch.no_grad():
            return [maps[0].flatten(1)[:, partners] for maps in features(style)]

    def _apart(self, maps: torch.Tensor, wanted: torch.Tensor, places: torch.Tensor | None) -> torch.Tensor:
        """Squared distance of two distributions of features along random directions, in units of the style's variance."""
        mine = maps[0].flatten(1) if places is None else maps[0].flatten(1)[:, places]
        count = mine.shape[1]
        slices = max(FEWEST_SLICES, min(MOST_SLICES, SORTED // count))
        directions = torch.randn(slices, len(mine), generator=self.generator).to(mine.device)
        directions = directions / directions.norm(dim=1, keepdim=True)
        ranks = torch.linspace(0, wanted.shape[1] - 1, count, device=mine.device).round().long()
        quantiles = (directions @ wanted).sort(1).values
        return (((directions @ mine).sort(1).values - quantiles[:, ranks]) ** 2).mean() / quantiles.var(1).mean().clamp_min(1e-6)

    def _draw(self, count: int) -> torch.Tensor:
        return torch.randint(count, (SAMPLES,), generator=self.generator).to(self.picture.device)

    def _window(self) -> torch.Tensor:
        """The style as large as it is shown, or a window of a large one, at random."""
        h, w = self.shown
        high, wide = min(h, WHOLE), min(w, WHOLE)
        top, left = (int(torch.randint(room + 1, (), generator=self.generator)) for room in (h - high, w - wide))
        rows, columns = (
            slice(begin * side // full, -(-(begin + part) * side // full))
            for begin, part, full, side in zip((top, left), (high, wide), self.shown, self.style.shape[2:], strict=True)
        )
        return _resized(self.style[:, :, rows, columns], (high, wide))

    def tiled(self, x: torch.Tensor, steps: int) -> torch.Tensor:
        """The picture, painted tile by tile, each fading into the next."""
        total, shares = torch.zeros_like(x), torch.zeros_like(x[:, :1])
        for rows, columns in _tiles(x.shape[2], x.shape[3]):
            here = None if self.where is None else self.where[rows, columns]
            if here is not None and not here.any():
                made = x[:, :, rows, columns]
            else:
                part = dataclasses.replace(
                    self, picture=self.picture[:, :, rows, columns], colored=self.colored[:, :, rows, columns], where=here
                )
                made = part.whole(x[:, :, rows, columns], steps, alike=True)
            share = _hat(made.shape[2], x.device)[:, None] * _hat(made.shape[3], x.device)
            total[:, :, rows, columns] += made * share
            shares[:, :, rows, columns] += share
        return total / shares


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


def _halved(shares: torch.Tensor) -> torch.Tensor:
    """Where a mask covers half of a pixel; where a small one covers most, if it covers half of none."""
    return shares >= shares.max().clamp(max=0.5)


def _split(x: torch.Tensor) -> list[torch.Tensor]:
    """Bands of a pyramid, fine to coarse, that sum up to a picture.

    After Burt and Adelson, «The Laplacian pyramid as a compact image code», IEEE Trans. Comm. 31(4), 1983.
    """
    bands = []
    for _ in range(BANDS - 1):
        if min(x.shape[2:]) < 16:
            break
        low = _resized(x, ((x.shape[2] + 1) // 2, (x.shape[3] + 1) // 2))
        bands.append((x - _resized(low, x.shape[2:])).detach().clone())
        x = low
    return [*bands, x.detach().clone()]


def _joined(bands: list[torch.Tensor]) -> torch.Tensor:
    """The picture that bands sum up to."""
    x = bands[-1]
    for band in bands[-2::-1]:
        x = band + _resized(x, band.shape[2:])
    return x


def _smooth(x: torch.Tensor) -> torch.Tensor:
    """The average around every pixel, over 15 x 15."""
    x = F.avg_pool2d(F.pad(x, (0, 0, 7, 7), mode="reflect"), (15, 1), stride=1)
    return F.avg_pool2d(F.pad(x, (7, 7, 0, 0), mode="reflect"), (1, 15), stride=1)


def _lines(x: torch.Tensor) -> torch.Tensor:
    """Luma less its average nearby, divided by its deviation nearby: lines and shapes whatever their contrast, (1, 1, h, w)."""
    luma = (x * x.new_tensor([0.299, 0.587, 0.114])[:, None, None]).sum(1, keepdim=True)
    apart = luma - _smooth(luma)
    return apart / (_smooth(apart**2) + 1e-3).sqrt()


def _plain(x: torch.Tensor) -> torch.Tensor:
    """How plain a picture is around every pixel: 1 where nothing changes, a half where changes are ``STILL``, (1, 1, h, w)."""
    changes = _blurred(_blurred(((x - _blurred(_blurred(x))) ** 2).mean(1, keepdim=True)))
    return STILL**2 / (STILL**2 + changes)


def _chroma(x: torch.Tensor) -> torch.Tensor:
    """Colours less their mean of the three, a little smoothed, (1, 3, h, w)."""
    return _blurred(x - x.mean(1, keepdim=True))


def _tensor(picture: Floats) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)))[None]


def _resized(x: torch.Tensor, size: Sequence[int]) -> torch.Tensor:
    """A picture at another size, without aliasing."""
    return x if tuple(x.shape[2:]) == tuple(size) else F.interpolate(x, tuple(size), mode="bilinear", antialias=True, align_corners=False)


def _sizes(shape: tuple[int, ...]) -> list[tuple[int, int]]:
    """Heights and widths from coarse to fine, each half of the next."""
    sizes = [(shape[0], shape[1])]
    while min(sizes[0]) >= 2 * SMALLEST:
        sizes.insert(0, ((sizes[0][0] + 1) // 2, (sizes[0][1] + 1) // 2))
    return sizes


def _tiles(height: int, width: int) -> Iterator[tuple[slice, slice]]:
    """Regions of at most ``WHOLE`` px a side that overlap by twice the margin at least and cover everything."""

    def parts(length: int) -> list[slice]:
        count = max(1, math.ceil((length - 2 * MARGIN) / (WHOLE - 2 * MARGIN)))
        starts = [round(k * (length - min(WHOLE, length)) / max(1, count - 1)) for k in range(count)]
        return [slice(start, start + min(WHOLE, length)) for start in starts]

    return ((rows, columns) for rows in parts(height) for columns in parts(width))


def _hat(length: int, device: torch.device) -> torch.Tensor:
    """Shares of a tile: rising from its border to 1 at twice the margin inside."""
    edge = torch.arange(length, device=device) + 0.5
    return (torch.minimum(edge, length - edge) / (2 * MARGIN)).clamp(max=1)
