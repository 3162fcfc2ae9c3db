"""How a sample's light may change: each a record of its ranges that takes pixels one step further.

Pixels are (h, w, 3) float32, encoded RGB, 0..1; values beyond stay until the last step.
"""

from __future__ import annotations

import dataclasses
import math

import cv2
import numpy as np
from numpy.typing import NDArray

from compositor.images import as_jpeg

__all__ = ["Blur", "Colour", "Exposure", "Gray", "Jpeg", "Noise"]

Pixels = NDArray[np.float32]
GAMMA = 2.2
"""Of encoded values, near enough to sRGB's curve for what is drawn at random."""


@dataclasses.dataclass(frozen=True)
class Exposure:
    """Make linear light brighter or darker by so many stops at most, each colour a little more or less: exposure and white balance."""

    stops: float
    balance: float = 0.0

    def __call__(self, pixels: Pixels, generator: np.random.Generator) -> Pixels:
        """Change the light."""
        stops = generator.uniform(-self.stops, self.stops) + generator.uniform(-self.balance, self.balance, 3)
        # A factor on linear light is a factor on its power, too.
        return np.asarray(np.minimum(pixels * np.exp2(stops / GAMMA), 1), np.float32)


@dataclasses.dataclass(frozen=True)
class Colour:
    """Change the tone curve and the saturation by a factor of exp(``tone``), exp(``saturation``) at most, and what black is by ``haze``."""

    tone: float = 0.0
    saturation: float = 0.0
    haze: float = 0.0

    def __call__(self, pixels: Pixels, generator: np.random.Generator) -> Pixels:
        """Change the light."""
        tone, saturation, haze = (generator.uniform(-most, most) for most in (self.tone, self.saturation, self.haze))
        pixels = np.maximum(pixels, 0) ** np.float32(math.exp(tone))
        gray = pixels.mean(2, keepdims=True)
        return np.asarray(gray + (pixels - gray) * np.float32(math.exp(saturation)) + np.float32(haze), np.float32)


@dataclasses.dataclass(frozen=True)
class Gray:
    """Take all colour away, with a chance."""

    chance: float

    def __call__(self, pixels: Pixels, generator: np.random.Generator) -> Pixels:
        """Change the light."""
        if generator.random() >= self.chance:
            return pixels
        return np.repeat(pixels @ np.array([[0.299], [0.587], [0.114]], np.float32), 3, axis=2)


@dataclasses.dataclass(frozen=True)
class Noise:
    """Add normal noise of a standard deviation of ``most`` at most."""

    most: float

    def __call__(self, pixels: Pixels, generator: np.random.Generator) -> Pixels:
        """Change the light."""
        level = np.float32(generator.uniform(0, self.most))
        return pixels + level * generator.standard_normal(pixels.shape, np.float32)


@dataclasses.dataclass(frozen=True)
class Blur:
    """Blur by a standard deviation of ``most`` px at most, with a chance."""

    most: float
    chance: float = 1.0

    def __call__(self, pixels: Pixels, generator: np.random.Generator) -> Pixels:
        """Change the light."""
        wanted, sigma = generator.random() < self.chance, generator.uniform(0, self.most)
        return np.asarray(cv2.GaussianBlur(pixels, (0, 0), sigma), np.float32) if wanted and sigma > 0.1 else pixels


@dataclasses.dataclass(frozen=True)
class Jpeg:
    """Keep what a JPEG of a quality between two keeps, with a chance."""

    least: int
    most: int
    chance: float = 1.0

    def __call__(self, pixels: Pixels, generator: np.random.Generator) -> Pixels:
        """Change the light."""
        wanted, quality = generator.random() < self.chance, int(generator.integers(self.least, self.most + 1))
        if not wanted:
            return pixels
        kept = as_jpeg(np.round(np.clip(pixels, 0, 1) * 255).astype(np.uint8), quality)
        return np.asarray(kept.astype(np.float32) / 255, np.float32)
