"""The curves of a training, as a picture: one small plot for every figure of its log."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from compositor.errors import counted

__all__ = ["draw_curves"]

WIDTH, HEIGHT, ACROSS = 320, 180, 3
"""Px of a plot, and plots in a row."""
LEFT, TOP, RIGHT, BOTTOM = 12, 30, 12, 22
"""Px around a curve, for its name above and its range below."""
PAPER, INK, FAINT = (255, 255, 255), (20, 60, 160), (150, 150, 150)


def draw_curves(lines: Sequence[Mapping[str, Any]]) -> NDArray[np.uint8]:
    """Draw how figures change over a training.

    Parameters
    ----------
    lines : sequence of mapping
        A report each: its ``iteration`` and figures by name; what is no finite number is left out.

    Returns
    -------
    (h, w, 3) uint8
        RGB.
    """
    names = list(dict.fromkeys(name for line in lines for name in line if name != "iteration"))
    curves = {name: [(line["iteration"], line[name]) for line in lines if _is_number(line.get(name))] for name in names}
    plots = [_plot(name, points) for name, points in curves.items() if points] or [_plot("nothing measured", [])]
    plots += [np.full_like(plots[0], 255)] * (-len(plots) % ACROSS)
    return np.vstack([np.hstack(plots[first : first + ACROSS]) for first in range(0, len(plots), ACROSS)])


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _plot(name: str, points: Sequence[tuple[float, float]]) -> NDArray[np.uint8]:
    """One curve, with its name, its last value and the range it covers."""
    plot = np.full((HEIGHT, WIDTH, 3), PAPER, np.uint8)
    _write(plot, f"{name} {points[-1][1]:.4g}" if points else name, (LEFT, TOP - 12), (0, 0, 0))
    cv2.rectangle(plot, (LEFT, TOP), (WIDTH - RIGHT, HEIGHT - BOTTOM), FAINT)
    if not points:
        return plot
    places = np.array(points, float)
    low, high = places.min(0), places.max(0)
    share = (places - low) / np.where(high > low, high - low, 1)
    x = LEFT + share[:, 0] * (WIDTH - RIGHT - LEFT)
    y = HEIGHT - BOTTOM - np.where(high[1] > low[1], share[:, 1], 0.5) * (HEIGHT - BOTTOM - TOP)
    # Four more bits for the place of a point, so that a slow curve shows no stairs.
    line = np.round(np.stack([x, y], 1) * 16).astype(np.int32)
    cv2.polylines(plot, [line[:, None]], False, INK, 1, cv2.LINE_AA, 4)
    cv2.circle(plot, (int(line[-1, 0]), int(line[-1, 1])), 3 * 16, INK, -1, cv2.LINE_AA, 4)
    _write(plot, f"{low[1]:.4g} .. {high[1]:.4g} in {counted(int(high[0]), 'step')}", (LEFT, HEIGHT - 7), FAINT)
    return plot


def _write(plot: NDArray[np.uint8], text: str, place: tuple[int, int], colour: tuple[int, int, int]) -> None:
    cv2.putText(plot, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.42, colour, 1, cv2.LINE_AA)
