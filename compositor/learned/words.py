"""What details a picture has, in few numbers: its features beside a small vocabulary of features.

Features are SIFT with square-root descriptors, put on their main axes; each is told by how it differs from the nearest word, and what is
told at a word is added up (Jégou and others, «Aggregating local image descriptors into compact codes», PAMI 34(9), 2012).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from compositor.learned.pictures import shrunk

__all__ = ["SHORT_SIDE", "Words"]

SHORT_SIDE, MOST, CONTRAST, LAYERS = 192, 600, 0.02, 2
"""Px at which features are looked for, how many of a picture, how faint they may be, and in how many steps a size doubles. Two pictures
that were taken with unlike lenses share few of their strongest features: it takes many. Fewer steps are faster and find no worse."""
AXES, WORDS, ROUNDS, SAMPLE, LEARNED_FROM = 32, 256, 15, 20_000, 1000
"""Axes that are kept, size of the vocabulary, rounds in which it is made, features it is made of, and pictures they are of at most. Chosen
on views of photos that nothing was learned from, zoomed up to four times: at 128 px 32 words and 48 axes tell overlapping pairs with an AUC
of 0.973, 256 and 32 with 0.990."""
FEWEST = 5
"""Features that a part of a picture must have to be told: one or two are like some of any picture."""
Floats = NDArray[np.float32]


@dataclasses.dataclass(frozen=True, eq=False)
class Words:
    """A vocabulary of features.

    Parameters
    ----------
    mean : (128,) float32
        Of descriptors.
    axes : (128, k) float32
        Along which they differ most.
    centres : (m, k) float32
        The words.
    """

    mean: Floats
    axes: Floats
    centres: Floats

    @classmethod
    def learn(cls, pictures: Sequence[NDArray[np.uint8]], generator: np.random.Generator) -> Self:
        """The vocabulary of some pictures, by principal components and Lloyd's k-means."""
        some = generator.permutation(len(pictures))[:LEARNED_FROM] if len(pictures) > LEARNED_FROM else range(len(pictures))
        found = np.concatenate([_features(pictures[place])[0] for place in some])
        if len(found) < WORDS:  # pictures without detail: any words will do
            found = np.concatenate([found, generator.random((WORDS, 128), np.float32)])
        found = found[generator.permutation(len(found))[:SAMPLE]]
        mean = found.mean(0)
        axes = np.linalg.eigh(np.cov((found - mean).T.astype(np.float64)))[1][:, ::-1][:, :AXES].astype(np.float32)
        placed = np.asarray((found - mean) @ axes, np.float32)
        centres = placed[:WORDS].copy()
        for _ in range(ROUNDS):
            nearest = _nearest(placed, centres)
            for word in range(WORDS):
                if (mine := nearest == word).any():
                    centres[word] = placed[mine].mean(0)
        return cls(mean, axes, centres)

    def describe(self, pixels: NDArray[np.uint8]) -> Floats:
        """Numbers of length 1 for a picture, (m k,), 0 where it has no features."""
        return self.describe_parts(pixels, [(0.0, 0.0, 1.0, 1.0)])[0]

    def describe_parts(self, pixels: NDArray[np.uint8], boxes: Sequence[tuple[float, float, float, float]]) -> Floats:
        """Numbers of parts of a picture, a row each, 0 where there is next to no detail; features are looked for once.

        Parameters
        ----------
        pixels : (h, w, 3) uint8
            RGB.
        boxes : sequence of (float, float, float, float)
            Top, left, bottom and right as shares of the sides.
        """
        descriptors, places = _features(pixels)
        placed = np.asarray((descriptors - self.mean) @ self.axes, np.float32)
        nearest = _nearest(placed, self.centres)
        differing = _unit(placed - self.centres[nearest])
        rows = np.zeros((len(boxes), *self.centres.shape), np.float32)
        for told, (top, left, bottom, right) in zip(rows, boxes, strict=True):
            mine = ((places >= (left, top)) & (places <= (right, bottom))).all(1)
            if mine.all() or mine.sum() >= FEWEST:
                np.add.at(told, nearest[mine], differing[mine])
        told = _unit(_unit(rows).reshape(len(boxes), -1))
        return _unit(np.sign(told) * np.sqrt(np.abs(told)))

    def tensors(self) -> dict[str, Any]:
        """Its arrays by name."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}


def _features(pixels: NDArray[np.uint8]) -> tuple[Floats, Floats]:
    """Descriptors of a picture's strongest features, (n, 128), and their places, (n, 2): x and y as shares of the sides, 0..1."""
    sift = cv2.SIFT_create(MOST, nOctaveLayers=LAYERS, contrastThreshold=CONTRAST)  # type: ignore[attr-defined]
    gray = cv2.cvtColor(shrunk(pixels, SHORT_SIDE), cv2.COLOR_RGB2GRAY)
    found, descriptors = sift.detectAndCompute(gray, None)
    if descriptors is None:
        return np.zeros((0, 128), np.float32), np.zeros((0, 2), np.float32)
    places = (np.array([one.pt for one in found]) + 0.5) / gray.shape[::-1]
    told = np.sqrt(descriptors / np.maximum(descriptors.sum(axis=1, keepdims=True), 1e-6))
    return np.asarray(told, np.float32), np.asarray(np.clip(places, 0, 1), np.float32)


def _nearest(placed: Floats, centres: Floats) -> NDArray[np.int64]:
    """The word that is nearest to each feature."""
    return np.asarray(((centres**2).sum(1) - 2 * placed @ centres.T).argmin(1))


def _unit(rows: Floats) -> Floats:
    """Each row at length 1; nothing stays nothing."""
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=-1, keepdims=True), 1e-9), np.float32)
