"""What is done to the light of every photo: the value that evens out a panorama's colours, and its file."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from typing import Annotated, Literal, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from compositor.errors import PhotometryFileError, counted, first_names
from compositor.images.files import read_record, write_atomically

__all__ = ["MOST_SHOULDER", "PhotoLight", "Photometry", "falloff"]

Floats = NDArray[np.float64]

DARKEST = 1 / 3
"""No corner is taken to get less light than this share of the middle's: what is lifted more is mostly noise."""
MOST_SHOULDER = 0.95
"""At that one, white stands for twenty times the light that its linear value says."""

Gain = Annotated[float, msgspec.Meta(gt=0, le=1e6)]
Term = Annotated[float, msgspec.Meta(ge=-100, le=100)]


def falloff(squared_radius: Floats, terms: Sequence[float] | Floats) -> Floats:
    """Share of the middle's light that a lens gives to places farther out.

    Parameters
    ----------
    squared_radius : float64 of any shape
        Squared distance from the principal point, in halves of the photo's diagonal.
    terms : (3,) float64
        a, b and c of 1 + a r^2 + b r^4 + c r^6: the even polynomial that Goldman, «Vignette and exposure calibration and
        compensation», PAMI 32(12), 2010, and common lens tables use.

    Returns
    -------
    float64 of the same shape
        At least ``DARKEST``.
    """
    a, b, c = terms
    return np.asarray(np.maximum(1 + squared_radius * (a + squared_radius * (b + squared_radius * c)), DARKEST))


class PhotoLight(msgspec.Struct, frozen=True):
    """What is done to one photo's light, as a person reads it.

    ``exposure_stops`` is that of green, ``white_balance`` what red and blue get beside green, ``corner_stops`` the light that the corners
    were found to have beside the middle, in stops: -0.5 where the lens took half a stop from them, which is given back, 0 where it took
    none. ``exposure_stops`` is what the photo got: +0.5 where it was made brighter.
    """

    name: str
    exposure_stops: float
    white_balance: tuple[float, float]
    corner_stops: float

    def __str__(self) -> str:
        """One line."""
        red, blue = self.white_balance
        balance = f"red {red:.3f}, blue {blue:.3f}"
        return f"{self.name}: exposure {self.exposure_stops:+.2f} stops, {balance}, corners {self.corner_stops:+.2f} stops"


class PhotoRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """One photo as the file holds it."""

    name: str
    gain: tuple[Gain, Gain, Gain]
    vignetting: tuple[Term, Term, Term] = (0.0, 0.0, 0.0)


class PhotometryRecord(msgspec.Struct, frozen=True):
    """The whole file."""

    format: Literal["compositor photometry"]
    version: Literal[1]
    photos: tuple[PhotoRecord, ...]
    shoulder: Annotated[float, msgspec.Meta(ge=0, le=MOST_SHOULDER)] = 0.0


@dataclasses.dataclass(frozen=True, eq=False)
class Photometry:
    """What is done to the light of every photo; can be saved, and applied to other versions or frames of the same photos.

    A photo's linear value L, decoded with the curve of sRGB, stands for the light L / (1 - shoulder * L). That is multiplied by the
    photo's gain, divided by its lens's falloff, and turned back into a value by the inverse.

    Parameters
    ----------
    names : tuple of str
        The photos.
    gains : (n, 3) float64
        Factors on the light of red, green and blue.
    vignetting : (n, 3) float64
        a, b and c of each photo's ``falloff``; 0 where the lens shades nothing. Photos of one lens have the same.
    shoulder : float
        How much the photos' tone curve flattens towards white, beyond that of sRGB: 0 for not at all, up to ``MOST_SHOULDER``.
    """

    names: tuple[str, ...]
    gains: Floats
    vignetting: Floats
    shoulder: float = 0.0

    @classmethod
    def neutral(cls, names: Sequence[str]) -> Self:
        """Photometry that leaves photos as they are."""
        return cls(tuple(names), np.ones((len(names), 3)), np.zeros((len(names), 3)))

    def __repr__(self) -> str:
        """One line, as the numbers would flood a prompt."""
        return f"Photometry({counted(len(self.names), 'photo')}, shoulder {self.shoulder:.2f})"

    @property
    def lights(self) -> tuple[PhotoLight, ...]:
        """What is done to each photo, as a person reads it."""
        corners = [float(np.log2(falloff(np.array(1.0), terms))) for terms in self.vignetting]
        return tuple(
            PhotoLight(name, float(np.log2(gain[1])), (float(gain[0] / gain[1]), float(gain[2] / gain[1])), corner)
            for name, gain, corner in zip(self.names, self.gains, corners, strict=True)
        )

    def fitted_to(self, names: Sequence[str]) -> Self:
        """The same photometry for photos in another order, or for as many other frames of them in the same order.

        Parameters
        ----------
        names : sequence of str
            The photos, in the order that is wanted.

        Raises
        ------
        PhotometryFileError
            Some are known by name and some are not, or they are not as many.
        """
        missing = [name for name in names if self.names.count(name) != 1]
        if missing and (len(names) != len(self.names) or len(missing) < len(names)):
            raise PhotometryFileError(
                f"{counted(len(names), 'photo was', 'photos were')} given; the photometry does not hold once: {first_names(missing)}; "
                f"give its photos by name, or {len(self.names)} others in the same order"
            )
        rows = list(range(len(names))) if missing else [self.names.index(name) for name in names]
        return dataclasses.replace(self, names=tuple(names), gains=self.gains[rows], vignetting=self.vignetting[rows])

    def to_json(self) -> str:
        """The photometry as versioned JSON text; reading it back gives exactly the same numbers."""
        photos = tuple(
            PhotoRecord(name, tuple(gain), tuple(terms))
            for name, gain, terms in zip(self.names, self.gains.tolist(), self.vignetting.tolist(), strict=True)
        )
        record = PhotometryRecord("compositor photometry", 1, photos, self.shoulder)
        return msgspec.json.format(msgspec.json.encode(record)).decode() + "\n"

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Photometry from JSON text.

        Raises
        ------
        PhotometryFileError
            The text is no photometry of a known version.
        """
        try:
            record = msgspec.json.decode(text, type=PhotometryRecord)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise PhotometryFileError(f"no photometry this version can read ({error}); write one with --photometry") from error
        gains = np.array([photo.gain for photo in record.photos], np.float64).reshape(-1, 3)
        vignetting = np.array([photo.vignetting for photo in record.photos], np.float64).reshape(-1, 3)
        return cls(tuple(photo.name for photo in record.photos), gains, vignetting, record.shoulder)

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Write the photometry as JSON.

        Raises
        ------
        OutputError
            The file exists and ``overwrite`` is not set, or its folder is missing.
        WriteError
            The file could not be written; what was there before is still there.
        """
        write_atomically(path, lambda file: file.write(self.to_json().encode()), overwrite=overwrite)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read photometry that ``save`` wrote.

        Raises
        ------
        PhotometryFileError
            The file cannot be read or is no photometry.
        """
        return read_record(
            path, cls.from_json, PhotometryFileError, called="a photometry file", advice="give a file that was written with --photometry"
        )
