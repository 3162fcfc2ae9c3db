"""The result: one picture, which photo every pixel came from, and what was left out and why."""

from __future__ import annotations

import dataclasses
import math
import numbers
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from compositor.errors import OptionError, counted
from compositor.geometry.projections import canvas_directions, canvas_positions
from compositor.geometry.views import angles_of, ray_directions, rotation_of, see
from compositor.options import JPEG_QUALITY
from compositor.photometry import Photometry
from compositor.registration import Registration
from compositor.spool import Derived, Spool
from compositor.types import Camera, Canvas, Pixels

if TYPE_CHECKING:
    from compositor.images import Pose

__all__ = ["Panorama"]

PREVIEW_PIXELS = 1_000_000
MASK_NAME = re.compile(r"\d{3,}_.*\.png", re.DOTALL)
"""How ``save_photo_masks`` calls its files."""
STEEPEST = 0.9
"""Sine of the angle above or below the horizon from which on a photo's compass direction means little."""


@dataclasses.dataclass(frozen=True, eq=False)
class Panorama:
    """A composed picture with its provenance.

    Parameters
    ----------
    pixels : (h, w, 3) uint8, uint16 or float32
        RGB; zero where no photo has pixels. An array; or, of a panorama too large for memory, a ``Spool``: a file that is read by
        region, ``panorama.pixels[100:200, 50:80]``.
    owner : (h, w) int8, of more than 127 photos int16
        Index into ``registration.cameras`` of the photo each pixel came from; -1 where none did. An array or a ``Spool``.
    registration : Registration
        Where every photo looks, and what was left out and why.
    canvas : Canvas
        Projection and scale; after cropping, of what is left.
    photometry : Photometry
        What was done to every photo's light: exposure, white balance, vignetting.
    metadata : mapping
        ``exif`` and ``icc`` bytes of the first photo, for the file.
    seconds : mapping
        Wall time by stage.
    """

    pixels: Pixels | Spool
    owner: NDArray[np.int8] | NDArray[np.int16] | Spool
    registration: Registration
    canvas: Canvas
    photometry: Photometry
    metadata: Mapping[str, bytes] = dataclasses.field(default_factory=dict)
    seconds: Mapping[str, float] = dataclasses.field(default_factory=dict)

    def __repr__(self) -> str:
        """One line, as the pixels would flood a prompt."""
        (h, w), out = self.owner.shape, len(self.left_out)
        return f"Panorama({w}x{h}, {self.pixels.dtype}, {self.canvas.projection}, {counted(len(self.used), 'photo')}, left out {out})"

    @property
    def mask(self) -> NDArray[np.bool_] | Derived:
        """Where the panorama has pixels, (h, w) bool; of one on disk, read by region like its pixels."""
        return Derived(self.owner, lambda part: part >= 0, np.bool_) if isinstance(self.owner, Spool) else self.owner >= 0

    @property
    def gains(self) -> NDArray[np.float64]:
        """Factor applied to every photo's red, green and blue, in linear light, (n, 3)."""
        return self.photometry.gains

    @property
    def left_out(self) -> tuple[tuple[str, str], ...]:
        """Name and reason of every photo that is not in the panorama."""
        return self.registration.left_out

    @property
    def used(self) -> tuple[str, ...]:
        """Names of the photos in the panorama."""
        return tuple(camera.name for camera in self.registration.cameras)

    def map_points(self, photo: int, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Where points of a photo lie in the panorama.

        Parameters
        ----------
        photo : int
            Index into ``registration.cameras``.
        points : (n, 2) float64
            x and y, px of the full-size photo.

        Returns
        -------
        (n, 2) float64
            x and y, px of the panorama; may lie outside it where it was cropped or limited, NaN where its projection cannot show the point.
        """
        directions = ray_directions(self._camera(photo), np.asarray(points, np.float64).reshape(-1, 2))
        return canvas_positions(self.canvas, directions)

    def map_back(self, photo: int, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Where points of the panorama lie in a photo: the inverse of ``map_points``.

        Parameters
        ----------
        photo : int
            Index into ``registration.cameras``.
        points : (n, 2) float64
            x and y, px of the panorama.

        Returns
        -------
        (n, 2) float64
            x and y, px of the full-size photo; NaN where the photo does not show the point.
        """
        directions, exists = canvas_directions(self.canvas, np.asarray(points, np.float64).reshape(-1, 2))
        positions, seen = see(self._camera(photo), directions)
        return np.where((exists & seen)[:, None], positions, np.nan)

    def _camera(self, photo: int) -> Camera:
        cameras = self.registration.cameras
        if not isinstance(photo, numbers.Integral) or not 0 <= photo < len(cameras):
            raise OptionError(f"there is no photo {photo!r}; the panorama has 0 to {len(cameras) - 1}, in the order of its «used»")
        return cameras[int(photo)]

    def source_of(self, x: float, y: float) -> tuple[int, tuple[float, float]] | None:
        """Which photo a pixel of the panorama came from, and from where in it.

        Parameters
        ----------
        x, y : float
            Place in the panorama, px; the pixel whose centre is nearest is meant.

        Returns
        -------
        (int, (float, float)) or None
            Index into ``registration.cameras`` and x and y, px of the full-size photo; None where the panorama is empty.

        Raises
        ------
        OptionError
            The panorama has no such pixel.
        """
        x, y, (h, w) = round(x), round(y), self.owner.shape
        if not (0 <= x < w and 0 <= y < h):
            raise OptionError(f"({x}, {y}) is no pixel of the panorama; x goes to {w - 1}, y to {h - 1}")
        photo = int(self.owner[y, x])
        if photo < 0:
            return None
        camera = self.registration.cameras[photo]
        positions, _ = see(camera, canvas_directions(self.canvas, np.array([[x, y]], np.float64))[0])
        # Pixels are drawn from positions rounded to 1/32 px, so one at the rim may lie a little beyond it.
        column, row = np.clip(positions[0], -0.5, np.array(camera.size) - 0.5)
        return photo, (float(column), float(row))

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False, quality: int = JPEG_QUALITY) -> None:
        """Write the panorama as JPEG, PNG or TIFF, by the name's ending; PNG and TIFF keep the mask as alpha.

        What goes around its viewer, on a sphere or a cylinder, tells programs so (XMP properties of Google's photo spheres).

        Parameters
        ----------
        path : str or path
            Where to.
        overwrite : bool
            Replace a file that is there.
        quality : int
            JPEG quality, 1..100.

        Raises
        ------
        OutputError
            Unknown ending, missing folder, a file that exists, or a picture too large for the format.
        WriteError
            The file could not be written; what was there before is still there.
        """
        from compositor.images import creator_xmp, panorama_xmp, write_image

        metadata = dict(self.metadata)
        if xmp := panorama_xmp(self.canvas, self._pose()):
            metadata["xmp"] = xmp
        elif len(self.used) > 1:  # so that it is known again among photos; one photo made right is a photo still
            metadata["xmp"] = creator_xmp("panorama")
        # Only formats with alpha ask for the mask, and a TIFF strip by strip.
        mask = Derived(self.owner, lambda part: part >= 0, np.bool_)
        write_image(path, self.pixels, mask=mask, metadata=metadata, overwrite=overwrite, quality=quality)

    def save_owner(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Write which photo each pixel came from, as a gray PNG or TIFF as large as the panorama.

        Parameters
        ----------
        path : str or path
            Where to. A pixel k came from photo ``used[k - 1]``, 0 from none; 8 bits for up to 255 photos, else 16.
        overwrite : bool
            Replace a file that is there.

        Raises
        ------
        OutputError
            As for ``save``, or the name asks for a JPEG, which would not keep the numbers.
        WriteError
            The file could not be written; what was there before is still there.
        """
        from compositor.images import check_output, creator_xmp, write_image

        check_output(path, overwrite=overwrite, lossless=True)
        depth = np.uint8 if len(self.used) <= np.iinfo(np.uint8).max else np.uint16
        write_image(path, (np.asarray(self.owner) + 1).astype(depth), metadata={"xmp": creator_xmp("photo mask")}, overwrite=overwrite)

    def save_photo_masks(self, folder: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Write a mask for each photo: a gray PNG as large as the panorama, white where the panorama shows this photo, else black.

        No two masks are white at the same pixel, and together they are white wherever there is a picture.

        Parameters
        ----------
        folder : str or path
            Created if missing. The mask of photo ``used[k - 1]`` is called by k, of three digits at least, and the photo's name:
            ``002_right.png`` for right.jpg.
        overwrite : bool
            Write into a folder that holds something and replace what has a mask's name there. Masks that an earlier call wrote there
            for other photos are removed, anything else stays.

        Raises
        ------
        OutputError
            It is no folder, holds something, or nothing may be written there.
        WriteError
            A mask could not be written; none has been then, or where some were to be replaced, each is old or new.
        """
        from compositor.images import creator_xmp, is_photo_mask, write_folder, write_image

        owner, told = np.asarray(self.owner), {"xmp": creator_xmp("photo mask")}

        def write(place: Path) -> None:
            for k, name in enumerate(self.used):
                # No name may have more than 255 bytes.
                stem = os.fsencode(os.path.splitext(os.path.basename(name))[0])[:200].decode(errors="ignore")
                write_image(place / f"{k + 1:03}_{stem}.png", (owner == k).view(np.uint8) * np.uint8(255), metadata=told)

        def outdated(file: Path) -> bool:
            return MASK_NAME.fullmatch(file.name) is not None and is_photo_mask(file)

        write_folder(folder, write, overwrite=overwrite, outdated=outdated)

    def _pose(self) -> Pose | None:
        """How the panorama's middle column, where its projection has the horizon, looks into the world; None of what has no such thing."""
        from compositor.images import Pose

        if self.canvas.projection not in ("spherical", "cylindrical"):
            return None
        level = rotation_of(*map(math.radians, self.registration.turned))
        middle = (self.canvas.left + (self.canvas.size[0] - 1) / 2) / self.canvas.scale
        yaw, pitch, roll = map(math.degrees, angles_of(level @ rotation_of(middle, 0.0, 0.0)))
        north = self._north(level)
        return Pose(None if north is None else (yaw - north) % 360, pitch, roll)

    def _north(self, level: NDArray[np.float64]) -> float | None:
        """Where north lies on the level, degrees to the right of straight ahead, where the first photo's file tells its heading."""
        from compositor.images import photo_heading

        told = photo_heading(self.metadata)
        if told is None or not self.registration.cameras:
            return None
        x, y, z = level @ self.registration.cameras[0].rotation[:, 2]
        return None if abs(y) > STEEPEST else math.degrees(math.atan2(x, z)) - told

    def _repr_png_(self) -> bytes:
        """A preview of at most a megapixel, for notebooks."""
        from compositor.images import encode_preview

        step = max(1, int(np.sqrt(self.owner.shape[0] * self.owner.shape[1] / PREVIEW_PIXELS) / 2)) if isinstance(self.owner, Spool) else 1
        return encode_preview(self.pixels[::step, ::step], self.mask[::step, ::step], PREVIEW_PIXELS)
