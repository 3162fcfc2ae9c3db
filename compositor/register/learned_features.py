"""Features and matches of networks that OpenCV 5 runs, from ONNX files of the user's; nothing is downloaded.

ALIKED (Zhao et al. 2023), DISK (Tyszkiewicz et al. 2020) and LightGlue (Lindenberger et al. 2023). Their files see squares of one size; a
photo is fitted into one at its top left and keeps its proportions, because the networks were trained on undistorted pictures.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Callable, Iterator
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from compositor.errors import OptionError
from compositor.options import RegisterOptions
from compositor.register.features import Picture, features_of
from compositor.types import Features, Photo

__all__ = ["LearnedDetector", "LearnedMatcher"]

OUT_OF_MEMORY = -4
"""``code`` of the error that OpenCV raises then."""


@dataclasses.dataclass(frozen=True)
class Network:
    """How OpenCV runs a feature network.

    Parameters
    ----------
    called : str
        Its name, also of OpenCV's class for it.
    side : int
        The square that its published files see, px.
    to_pixels : float
        OpenCV tells positions times this, in px of the square.
    """

    called: str
    side: int
    to_pixels: float


NETWORKS = {
    # Its positions run from -1 to 1 between the centres of the outermost pixels; OpenCV takes them for the edges.
    "aliked": Network("ALIKED", 640, 640 / 639),
    "disk": Network("DISK", 1024, 1.0),
}


class LearnedDetector:
    """Finds features by a network; holds it, for one thread at a time.

    Parameters
    ----------
    options : RegisterOptions
        ``features``, ``feature_model`` and ``features_kept`` are used.

    Raises
    ------
    OptionError
        This OpenCV cannot run such networks, or the file is none.
    """

    def __init__(self, options: RegisterOptions) -> None:
        self.kind, self.path, self.most = NETWORKS[options.features], options.feature_model, options.features_kept
        self.network = load(self.kind.called, self.path, "feature_model")

    def __call__(self, picture: Picture) -> Features:
        """The features of a picture, surest first; it must have its colours.

        Raises
        ------
        OptionError
            The network does not do what it should.
        """
        colors = picture.gray[..., None].repeat(3, axis=2) if picture.colors is None else picture.colors
        square, shown = fit_square(colors, self.kind.side)
        with explained(self.kind.called, self.path, "feature_model"):
            keypoints, descriptors = self.network.detectAndCompute(np.ascontiguousarray(square[..., ::-1]), None)
        if not keypoints:
            return features_of(picture, np.zeros((0, 2)), np.zeros(0), np.zeros((0, 128), np.float32), shown)
        points = np.array([k.pt for k in keypoints], np.float64) / self.kind.to_pixels
        kept = np.flatnonzero(((points > -0.5) & (points < np.array(shown) - 0.5)).all(axis=1) & visible(picture, points, shown))
        order = kept[np.argsort([-keypoints[k].response for k in kept], kind="stable")][: self.most]
        descriptors = descriptors[order] / np.maximum(np.linalg.norm(descriptors[order], axis=1, keepdims=True), 1e-9)
        sizes = np.array([keypoints[k].size for k in order])
        return features_of(picture, points[order], sizes, np.ascontiguousarray(descriptors, np.float32), shown)


class LearnedMatcher:
    """Matches learned features by LightGlue; holds the network, for one thread at a time.

    Parameters
    ----------
    options : RegisterOptions
        ``matcher_model`` is used.

    Raises
    ------
    OptionError
        This OpenCV cannot run such networks, or the file is none.
    """

    def __init__(self, options: RegisterOptions) -> None:
        self.path = options.matcher_model
        self.network = load("LightGlueMatcher", self.path, "matcher_model")

    def __call__(self, photos: tuple[Photo, Photo], features: tuple[Features, Features]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Matched points of two photos, px.

        Raises
        ------
        OptionError
            The network does not do what it should.
        """
        first, second = features
        if not (len(first.points) and len(second.points)):
            return first.points[:0], second.points[:0]
        with explained("LightGlue", self.path, "matcher_model"):
            # Without sizes OpenCV hands positions on as they are.
            self.network.setPairInfo(*(unit_square(f.points, p.size) for f, p in zip(features, photos, strict=True)))
            found = self.network.match(first.descriptors, second.descriptors)
        rows = np.array([(m.queryIdx, m.trainIdx) for m in found], np.int64).reshape(-1, 2)
        return first.points[rows[:, 0]], second.points[rows[:, 1]]


def load(called: str, path: str, option: str) -> Any:
    """A network of one of OpenCV's classes from a file."""
    create: Callable[[str], Any] | None = getattr(getattr(cv2, called, None), "create", None)
    if create is None:
        raise OptionError(f"OpenCV {cv2.__version__} has no {called}, which came with version 5; install opencv-contrib-python 5 or newer")
    if not os.path.isfile(path):
        raise OptionError(f"{option}={path!r} is no file; give the ONNX file of the network with its weights", path=path)
    if not path.lower().endswith(".onnx"):  # OpenCV tells a file's kind by its ending
        raise OptionError(f"{option}={path!r} does not end in .onnx; give an ONNX file", path=path)
    with explained(called.removesuffix("Matcher"), path, option):
        return create(path)


@contextlib.contextmanager
def explained(called: str, path: str, option: str) -> Iterator[None]:
    """Turns what OpenCV says of a network into one line about its file; its own lines on stderr are silenced meanwhile."""
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        yield
    except cv2.error as error:
        if error.code == OUT_OF_MEMORY:
            raise
        reason = " ".join(str(error.err).split())[:200]
        needed = f"{option}={path!r} is no {called} network that OpenCV {cv2.__version__} can run"
        raise OptionError(f"{needed} ({reason}); give another file", path=path) from error
    finally:
        cv2.utils.logging.setLogLevel(level)


def fit_square(colors: NDArray[np.uint8], side: int) -> tuple[NDArray[np.uint8], tuple[int, int]]:
    """A picture in the top left of a square, as large as it fits, and the width and height it has there; its edges go on beyond it."""
    h, w = colors.shape[:2]
    width, height = max(1, round(side * w / max(w, h))), max(1, round(side * h / max(w, h)))
    how = cv2.INTER_AREA if side < max(w, h) else cv2.INTER_LINEAR
    fitted = cv2.resize(colors, (width, height), interpolation=how)
    square = cv2.copyMakeBorder(fitted, 0, side - height, 0, side - width, cv2.BORDER_REPLICATE)
    return np.asarray(square, np.uint8), (width, height)


def visible(picture: Picture, points: NDArray[np.float64], shown: tuple[int, int]) -> NDArray[np.bool_]:
    """Which points of a picture of another size its mask lets through."""
    if picture.mask is None:
        return np.ones(len(points), np.bool_)
    h, w = picture.mask.shape
    columns, rows = np.floor((points + 0.5) * (np.array([w, h]) / shown)).astype(np.int64).T
    return np.asarray(picture.mask[np.clip(rows, 0, h - 1), np.clip(columns, 0, w - 1)])


def unit_square(points: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.float32]:
    """Points of a photo as LightGlue takes them: its middle is the origin, its longer side runs from -1 to 1."""
    return np.ascontiguousarray((points + 0.5 - np.array(size) / 2) / (max(size) / 2), np.float32)
