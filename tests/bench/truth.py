"""What is known of a set of rendered photos: its cameras, what was done to its light, and the scene it shows.

A set is a folder with photos and truth/truth.json: the focal length «f» in px, the radial distortion «k1» (0 when absent), the lens's
«vignetting» (a, b, and c or nothing, of 1 + a r^2 + b r^4 + c r^6; none when absent) and «views», each with «name», «R» (camera to world;
x right, y down, z forward), «ev» (stops of exposure) and «wb» (factors on red, green and blue). The scene is a picture of all directions,
«equirect» (twice as wide as high, straight ahead in its middle), or one that a pinhole camera saw straight ahead, «picture», of
«picture_field_of_view» radians across; paths are absolute or begin in truth/.
"""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any, Self

import cv2
import numpy as np
from numpy.typing import NDArray

import compositor
from compositor.images import open_photos
from compositor.types import Photo

Floats = NDArray[np.float64]
ROUND = 8
"""Columns by which a picture of all directions goes on beyond its edges."""


def read_truth(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "truth" / "truth.json").read_text())


def open_views(folder: Path, truth: dict[str, Any]) -> list[Photo]:
    """The set's photos, in the order of its views."""
    return open_photos([folder / view["name"] for view in truth["views"]])[0]


def true_registration(photos: list[Photo], truth: dict[str, Any]) -> compositor.Registration:
    cameras = tuple(
        compositor.Camera(
            photo.name,
            photo.size,
            truth["f"],
            ((photo.size[0] - 1) / 2, (photo.size[1] - 1) / 2),
            np.array(view["R"]),
            (truth.get("k1", 0.0), 0.0),
        )
        for photo, view in zip(photos, truth["views"], strict=True)
    )
    return compositor.Registration("rotation", cameras)


def true_photometry(truth: dict[str, Any]) -> compositor.Photometry:
    """What undoes the exposures, white balances and vignetting that a set was rendered with."""
    views = truth["views"]
    gains = np.array([1 / (2.0 ** view["ev"] * np.array(view["wb"])) for view in views])
    terms = [*truth.get("vignetting", ()), 0.0, 0.0, 0.0][:3]
    return compositor.Photometry(tuple(view["name"] for view in views), gains, np.array([terms] * len(views)))


@dataclasses.dataclass(frozen=True, eq=False)
class Scene:
    """What there was to see. ``focal`` is 0 for a picture of all directions, which then has ``ROUND`` columns more on either side."""

    pixels: NDArray[np.uint8]
    focal: float

    @classmethod
    def of(cls, folder: Path, truth: dict[str, Any]) -> Self:
        pixels = open_photos([folder / "truth" / (truth.get("equirect") or truth["picture"])])[0][0].full().pixels
        if "equirect" in truth:
            return cls(np.concatenate([pixels[:, -ROUND:], pixels, pixels[:, :ROUND]], axis=1), 0.0)
        return cls(pixels, pixels.shape[1] / 2 / math.tan(truth["picture_field_of_view"] / 2))

    def colours(self, directions: Floats) -> NDArray[np.float32]:
        """What is seen in directions, (h, w, 3): encoded values, bicubic."""
        x, y, z = np.moveaxis(directions, -1, 0)
        h, w = self.pixels.shape[:2]
        if self.focal:
            ahead = np.where(z > 0, z, np.nan)
            column, row = x / ahead * self.focal + (w - 1) / 2, y / ahead * self.focal + (h - 1) / 2
        else:
            column = (np.arctan2(x, z) / (2 * np.pi) + 0.5) * (w - 2 * ROUND) - 0.5 + ROUND
            row = (np.arctan2(y, np.hypot(x, z)) / np.pi + 0.5) * h - 0.5
        maps = np.float32(np.nan_to_num(column, nan=-1.0)), np.float32(np.nan_to_num(row, nan=-1.0))
        return np.float32(cv2.remap(self.pixels, *maps, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE))
