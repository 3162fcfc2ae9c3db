"""The tone of one picture matched to another's where they overlap.

Channels are mixed and shifted (3 x 4 numbers: exposure, white balance, saturation, haze), then each is bent by a monotone curve of
straight pieces (what is left of the cameras' tone curves). Both are found together, channel by channel, by Gauss-Newton steps from the
median gain on, with weights that let go of what moved (Geman and McClure's, which are Cauchy's squared: with Cauchy's own, one bright
patch that only one picture shows bends the curve to itself). The steps look at means over small cells, so that noise and misalignment
by a pixel or two hardly count. Weak pulls towards «nothing changes» decide what an overlap leaves open, such as colours that it does not
show. (After Goldman, «Vignette and exposure calibration and compensation», PAMI 32(12), 2010, who fits all photos of a set in such a way.)
"""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from compositor.compose.layers import Layers

__all__ = ["Tone", "fit_tone"]

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

CELLS, SIDES = 12000, (16, 8, 4, 2)
"""Cells that are enough for a fit, and the sides of cells, px: the largest that leaves as many is taken, or the smallest."""
BLACK, WHITE = 0.008, 0.985
"""Beyond these, a value may be burnt out."""
COARSE = 12
"""Side of cells, px, that are tried too, as texture that is misaligned misleads small ones; so are the sorted values alone."""
SHARES = np.linspace(0.02, 0.98, 25)
"""Which of the sorted values are compared."""
WORTH, KEPT = (1.0, 1.2, 2.0), 0.9
"""What sorted values' differences count for each of the three, and what part of them may at most be left."""
PIECES = 8
"""Of a curve."""
FEWEST, FOR_MATRIX, FOR_CURVE = 12, 100, 300
"""Cells that a shift and gain need, those that mixing channels needs, and those that a curve needs."""
GAIN, MIX, SHIFT, BEND, STEP = 0.5, 0.1, 0.1, 0.05, 0.02
"""How far from nothing a gain, the share of another channel, a shift, a curve and the bend at one of its knots are expected to be."""
CUTOFF = 1.5
"""Residuals that are as many times as large as usual count a quarter, larger ones hardly."""
FINEST = 0.3 / 255
"""Differences below this say nothing."""
STEPS = 12
FLATTEST, STEEPEST = 0.25, 4.0
"""Slopes that a curve's pieces keep to."""


@dataclasses.dataclass(frozen=True, eq=False)
class Tone:
    """A change of tone.

    Parameters
    ----------
    matrix : (3, 4) float32
        Of red, green, blue and one; each row makes one channel.
    curves : (3, n) float32
        What becomes of n values at even steps from 0 to 1, by channel.
    """

    matrix: Floats
    curves: Floats

    @classmethod
    def neutral(cls) -> Tone:
        """The one that changes nothing."""
        return cls(np.eye(3, 4, dtype=np.float32), np.tile(np.linspace(0, 1, 2, dtype=np.float32), (3, 1)))

    @property
    def is_neutral(self) -> bool:
        """Whether it changes nothing."""
        even = np.linspace(0, 1, self.curves.shape[1], dtype=np.float32)
        return bool((self.matrix == np.eye(3, 4)).all() and (self.curves == even).all())

    def apply(self, pixels: Floats, valid: NDArray[np.bool_] | None = None) -> Floats:
        """The pixels (h, w, 3), encoded, 0..1, in this tone; where ``valid`` (h, w) is false, as they are. May leave 0..1."""
        from compositor.kernels.tone import change_tone

        if self.is_neutral:
            return pixels
        out = np.empty_like(pixels)
        change_tone(pixels, np.ones(pixels.shape[:2], np.bool_) if valid is None else valid, self.matrix, self.curves, out)
        return out


def fit_tone(layers: Layers) -> Tone:
    """What brings ``new`` to the tone of ``reference``.

    Parameters
    ----------
    layers : Layers

    Returns
    -------
    Tone
        Neutral where the overlap is too small to tell, or agrees as well without.
    """
    cells = _cells(layers)
    fine = _fit(cells)
    before, difference = _difference(Tone.neutral(), cells), _difference(fine, cells)
    if len(cells) < FOR_CURVE or _usual_residual(fine, cells) < difference:
        # Most places agree better than all values do: the rest shows something else.
        return fine
    # Texture that is misaligned says little at single places; then what says more about all values together is right.
    tones = fine, _fit(_cells(layers, COARSE)), _fit(np.quantile(cells, SHARES, axis=0))
    differences = [_difference(tone, cells) * worth for tone, worth in zip(tones, WORTH, strict=True)]
    best = int(np.argmin(differences))
    return tones[best] if differences[best] < KEPT * before else Tone.neutral()


def _usual_residual(tone: Tone, cells: Doubles) -> float:
    """The median difference, at single places, that a tone leaves."""
    return float(np.median(np.abs(tone.apply(cells[None, :, 1].astype(np.float32))[0] - cells[:, 0])))


def _fit(cells: Doubles) -> Tone:
    """The tone that turns cells of ``new`` into those of ``reference``; neutral where they are few, or agree as well without."""
    if len(cells) < FEWEST:
        return Tone.neutral()
    target, source = cells[:, 0], cells[:, 1]
    with threadpool_limits(1, user_api="blas"):  # its bytes depend on its threads
        fits = [_fit_channel(source, target[:, k], k) for k in range(3)]
    tone = Tone(np.array([fit[0] for fit in fits], np.float32), np.array([fit[1] for fit in fits], np.float32))
    before, after = source - target, tone.apply(source[None].astype(np.float32))[0] - target
    scale = max(float(np.median(np.abs(after))), FINEST)
    return tone if _misfit(after, scale) < 0.95 * _misfit(before, scale) else Tone.neutral()


def _difference(tone: Tone, cells: Doubles) -> float:
    """How far the values that both pictures show are from each other, each sorted by size: wherever they lie, so also where misaligned."""
    if not len(cells):
        return 0.0
    source = tone.apply(cells[None, :, 1].astype(np.float32))[0]
    return float(np.abs(np.quantile(source, SHARES, axis=0) - np.quantile(cells[:, 0], SHARES, axis=0)).mean())


def _cells(layers: Layers, side: int = 0) -> Doubles:
    """Means of ``reference`` and ``new`` over cells of their overlap, (n, 2, 3); the cells' side is chosen where none is given."""
    from compositor.kernels.tone import average_cells

    rows, columns = np.flatnonzero(layers.overlap.any(axis=1)), np.flatnonzero(layers.overlap.any(axis=0))
    if not len(rows):
        return np.empty((0, 2, 3))
    part = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    reference, new, overlap = layers.reference[part], layers.new[part], layers.overlap[part]
    shown = np.count_nonzero(overlap)
    side = side or next((side for side in SIDES if shown >= CELLS * side**2), SIDES[-1])
    means = np.empty(((overlap.shape[0] // side) * (overlap.shape[1] // side) + 1, 2, 3))
    return means[: average_cells(reference, new, overlap, side, BLACK, WHITE, means)]


def _misfit(residuals: Doubles, scale: float) -> float:
    """Cauchy's robust sum."""
    return float(np.log1p((residuals / scale) ** 2).sum())


def _fit_channel(source: Doubles, target: Doubles, channel: int) -> tuple[Doubles, Doubles]:
    """A row of the matrix and a curve, which turn source (n, 3) into target (n,)."""
    mixes, bends = len(source) >= FOR_MATRIX, len(source) >= FOR_CURVE
    row, even = np.eye(3, 4)[channel], np.linspace(0, 1, PIECES + 1)
    curve = even.copy()
    ones = np.column_stack([source, np.ones(len(source))])
    pull, expected = _expectations(row, even, channel, mixes, bends)
    row *= np.median(target / source[:, channel])  # up to half of the places may show something else
    for _ in range(STEPS):
        mixed = ones @ row
        piece = np.clip((mixed * PIECES).astype(np.int64), 0, PIECES - 1)
        part = mixed * PIECES - piece
        slope = (curve[piece + 1] - curve[piece]) * PIECES
        residual = target - (curve[piece] + part * (curve[piece + 1] - curve[piece]))
        scale = max(1.4826 * float(np.median(np.abs(residual))), FINEST)
        weight = 1 / (1 + (residual / (CUTOFF * scale)) ** 2) ** 2 / scale**2
        design = np.zeros((len(source), 4 + PIECES + 1))
        design[:, :4] = ones * slope[:, None]
        index = np.arange(len(source))
        design[index, 4 + piece], design[index, 5 + piece] = 1 - part, part
        normal = design.T @ (design * weight[:, None]) + pull
        right = design.T @ (weight * residual) + pull @ (expected - np.concatenate([row, curve]))
        change: Doubles = np.linalg.solve(normal, right)
        row, curve = row + change[:4], _monotone(curve + change[4:])
        if np.abs(change).max() < 1e-5:
            break
    return row, curve


def _expectations(row: Doubles, even: Doubles, channel: int, mixes: bool, bends: bool) -> tuple[Doubles, Doubles]:
    """How strongly parameters are pulled, as a normal matrix, and where to: the row of the matrix, then the curve."""
    count = 4 + len(even)
    spread = np.full(count, BEND if bends else 1e-6)
    spread[:3] = MIX if mixes else 1e-6
    spread[channel], spread[3] = GAIN, SHIFT
    pull = np.diag(1 / spread**2)
    bend = np.zeros((len(even) - 2, count))
    for knot in range(len(even) - 2):
        bend[knot, 4 + knot : 7 + knot] = 1, -2, 1
    return pull + bend.T @ bend / STEP**2, np.concatenate([row, even])


def _monotone(curve: Doubles) -> Doubles:
    """The curve with no piece too flat or too steep, its middle kept."""
    steps = np.clip(np.diff(curve), FLATTEST / PIECES, STEEPEST / PIECES)
    made = np.concatenate([[0], np.cumsum(steps)])
    return np.asarray(made + (curve[PIECES // 2] - made[PIECES // 2]))
