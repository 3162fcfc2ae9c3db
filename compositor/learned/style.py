"""Painting a picture in the style of another: its patches are moved to where the style's are, from coarse to fine.

At every size of a pyramid the picture is changed, by gradient descent, until the patches of the picture and of the style are distributed
alike: the sliced Wasserstein distance between them, or between features of them, falls (Rabin et al., «Wasserstein barycenter and its
application to texture mixing», SSVM 2011; Heitz et al., «A sliced Wasserstein loss for neural texture synthesis», CVPR 2021; Elnekave and
Weiss, «Generating natural images with direct patch distributions matching», ECCV 2022). More terms hold the picture together: its lines,
as luma divided by its local contrast; its colours on the whole, which are those of the colour transfer; its chroma nearby; and the colour
of every pixel where it is plain.

Sizes up to ``WHOLE`` are painted at once. Larger ones are painted in tiles that overlap, each towards those patches of the style that go
with the colours it has by then: a tile of sky is not asked to show all that is in the style.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from compositor.clock import StageClock
from compositor.learned.device import choose_device, torch_threads
from compositor.learned.likeness import Features, RandomFeatures, Shown, apart, partners, resized, smooth
from compositor.options import StyleOptions

__all__ = ["Features", "Painter", "paint"]

Floats = NDArray[np.float32]
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
BANDS = 5
"""Of the pyramid whose parts are what descends: what is wanted of many pixels together moves them together, instead of each as noise."""
RATE = 0.02
"""Of Adam, in encoded values."""
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
        x = resized(target, sizes[0])
        for number, size in enumerate(sizes):
            tell("paint", number, len(sizes))
            goal = resized(target, size)
            factor = ratio * size[0] / content.shape[0]
            high, wide = (max(SMALLEST, round(side * factor)) for side in style.shape[:2])
            # Enlarged as a whole it could be of any size; windows of it are not.
            own = model if high * wide > model[0, 0].numel() else resized(model, (high, wide))
            if number:
                low = resized(resized(target, sizes[number - 1]), size)
                x = (resized(x, size) + (goal - low) * (KEPT * options.detail)).clamp(0, 1)
            here = None if masked is None else _halved(resized(masked[None, None].float(), size)[0, 0])
            steps = max(FEWEST, STEPS - 25 * number)
            canvas = _Canvas(resized(picture, size), goal, own, (high, wide), here, options.detail, self.features, generator)
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
        shown = Shown(self.picture, self.colored, self.detail)
        places = None if self.where is None else self.where.flatten().nonzero()[:, 0]
        descent = torch.optim.Adam(bands, lr=RATE, betas=(0.8, 0.95))
        for step in range(steps):
            if step % RENEW == 0:
                features = self.features or RandomFeatures(self.generator, x.device)
                wanted = self._wanted(x, features, alike)
            descent.param_groups[0]["lr"] = RATE * (1 - 0.9 * step / steps)
            descent.zero_grad()
            x = _joined(bands)
            loss = x.new_zeros(())
            for maps, own in zip(features(x), wanted, strict=True):
                mine = shown.stilled(maps)[0].flatten(1)
                mine = mine if places is None else mine[:, places]
                loss = loss + apart(mine, own, self.generator)
            shown.added(loss, x).backward()
            descent.step()
            x = x.detach()
        return _joined(bands).detach().clamp(0, 1)

    def _wanted(self, x: torch.Tensor, features: Features, alike: bool) -> list[torch.Tensor]:
        """Features of the style at places drawn at random, (c, SAMPLES) of every map."""
        style = self._window()
        places = self._draw(style[0, 0].numel())
        if alike:
            mine, theirs = (smooth(one)[0].flatten(1).T for one in (x, style))
            places = places[partners(mine[self._draw(len(mine))], theirs[places])]
        with torch.no_grad():
            return [maps[0].flatten(1)[:, places] for maps in features(style)]

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
        return resized(self.style[:, :, rows, columns], (high, wide))

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
        low = resized(x, ((x.shape[2] + 1) // 2, (x.shape[3] + 1) // 2))
        bands.append((x - resized(low, x.shape[2:])).detach().clone())
        x = low
    return [*bands, x.detach().clone()]


def _joined(bands: list[torch.Tensor]) -> torch.Tensor:
    """The picture that bands sum up to."""
    x = bands[-1]
    for band in bands[-2::-1]:
        x = band + resized(x, band.shape[2:])
    return x


def _tensor(picture: Floats) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)))[None]


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
