"""What a photo's EXIF block says, as far as it can be believed, and what of it a result keeps."""

from __future__ import annotations

import dataclasses
import datetime
import logging
import math
import struct
import warnings
from collections.abc import Mapping
from typing import Any, BinaryIO

from compositor.images.exif_types import EXIF_IFD, GPS_IFD, with_true_types

__all__ = [
    "Exif",
    "camera_key",
    "exif_for_output",
    "exif_of_tiff",
    "exposure_prior",
    "focal_prior",
    "load_exif",
    "photo_heading",
    "read_exif",
]

logger = logging.getLogger("compositor")

DIAGONAL_35MM = math.hypot(36.0, 24.0)
"""mm. CIPA DCG-001 defines the 35 mm equivalent by equal diagonal angle of view, whatever the picture's shape."""

FOCAL_RANGE = (1.0, 5000.0)
"""mm in which a focal length is believed, real or equivalent."""

VIEW_RANGE = (math.radians(2.0), math.radians(150.0))
"""Angle of view across the longer side in which a focal length is believed."""

BIG = 43
"""The number after the byte order by which a BigTIFF, with positions of 64 bits, is known."""

# What reading hostile EXIF has been seen or is documented to raise, in Pillow and in the number types it returns.
EXIF_ERRORS = (SyntaxError, OSError, ValueError, TypeError, LookupError, ArithmeticError, AttributeError, struct.error)

ORIENTATION, MAKE, MODEL = 0x0112, 0x010F, 0x0110
FOCAL_LENGTH, FOCAL_35MM, PLANE_RESOLUTION, PLANE_UNIT, PIXELS_X, PIXELS_Y = 0x920A, 0xA405, 0xA20E, 0xA210, 0xA002, 0xA003
EXPOSURE_TIME, F_NUMBER, SENSITIVITY = 0x829A, 0x829D, 0x8827
TAKEN, TAKEN_FRACTION = 0x9003, 0x9291
SOFTWARE, GPS_DIRECTION, CHROMA_POSITION = 0x0131, 0x11, 0x0213

# FocalPlaneResolutionUnit: mm per unit.
PLANE_UNITS = {2: 25.4, 3: 10.0, 4: 1.0, 5: 0.001}

# Tags that describe how the original file was stored; in another file they would be wrong.
STORAGE_TAGS = {0x0100, 0x0101, 0x0102, 0x0103, 0x0106, 0x0111, 0x0115, 0x0116, 0x0117, 0x011C, 0x0140, 0x0142, 0x0143, 0x0144, 0x0145}
STORAGE_TAGS |= {0x013D, 0x014A, 0x0152, 0x0153, 0x015B, 0x0201, 0x0202, 0x0211, 0x0212, 0x0213, 0x02BC, 0x83BB, 0x8649, 0x8773, 0xC4A5}

# Description, make, model, date, artist, copyright.
TEXT_TAGS = (0x010E, MAKE, MODEL, 0x0132, 0x013B, 0x8298)

# Maker's notes and the interoperability block are full of positions in the original file; the unique number is that of the original.
MOVED_TAGS = {0x927C, 0xA005, 0xA420}

# Where the subject is in the original picture, px, and how many bits a pixel of it took; maker's notes aside, nothing else tells of pixels.
PLACE_TAGS = {0x9102, 0x9214, 0xA214}

# The compass direction of the photo, true or magnetic; a panorama looks elsewhere.
DIRECTION_TAGS = {0x10, GPS_DIRECTION}

# Angle of view: 35 mm equivalent, focal plane resolution and its unit, digital zoom. A result has another one than its photos.
VIEW_TAGS = {FOCAL_35MM, PLANE_RESOLUTION, 0xA20F, PLANE_UNIT, 0xA404}


@dataclasses.dataclass(frozen=True)
class Exif:
    """The part of an EXIF block that reading needs; None and «» where the file says nothing plausible.

    Parameters
    ----------
    orientation : int
        1..8; 1 is upright.
    make, model : str
        Of the camera.
    focal_mm, focal_35mm : float or None
        Focal length, and its 35 mm equivalent.
    plane_pixels_per_mm : float or None
        Pixels per mm on the sensor, of a picture ``plane_side`` wide.
    plane_side : int or None
        Longer side, px, of the picture that the camera wrote.
    seconds, f_number, iso : float or None
        Exposure time, aperture and sensitivity.
    taken : float or None
        When the shutter opened, seconds of a clock that all photos of one camera share.
    position : (float, float) or None
        Latitude and longitude, degrees.
    heading : float or None
        Compass direction that the camera looked in, degrees clockwise from north.
    """

    orientation: int = 1
    make: str = ""
    model: str = ""
    focal_mm: float | None = None
    focal_35mm: float | None = None
    plane_pixels_per_mm: float | None = None
    plane_side: int | None = None
    seconds: float | None = None
    f_number: float | None = None
    iso: float | None = None
    taken: float | None = None
    position: tuple[float, float] | None = None
    heading: float | None = None


def load_exif(content: bytes) -> Any:
    """Pillow's view of an EXIF block; it raises one of ``EXIF_ERRORS`` at anything broken."""
    from PIL import Image

    exif = Image.Exif()
    exif.load(content)
    return exif


def read_exif(content: bytes | None) -> Exif:
    """What an EXIF block says; nothing where it is missing or broken, never an error.

    Parameters
    ----------
    content : bytes or None
        From the TIFF header on, as a JPEG, PNG or WebP holds it.
    """
    if not content:
        return Exif()
    # Pillow warns about every odd entry; what is odd is left out, and nobody can do anything about it.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            main = load_exif(content)
            photo = main.get_ifd(EXIF_IFD)
        except EXIF_ERRORS:
            return Exif()
        unit = PLANE_UNITS.get(whole(photo, PLANE_UNIT, 2), 0.0)
        resolution = number(photo, PLANE_RESOLUTION, 1e-3, 1e9)
        return Exif(
            orientation=orientation if 1 <= (orientation := whole(main, ORIENTATION, 1)) <= 8 else 1,
            make=words(main, MAKE),
            model=words(main, MODEL),
            focal_mm=number(photo, FOCAL_LENGTH, *FOCAL_RANGE),
            focal_35mm=number(photo, FOCAL_35MM, *FOCAL_RANGE),
            plane_pixels_per_mm=resolution / unit if resolution and unit else None,
            plane_side=max(whole(photo, PIXELS_X, 0), whole(photo, PIXELS_Y, 0)) or None,
            seconds=number(photo, EXPOSURE_TIME, 1e-6, 1e5),
            f_number=number(photo, F_NUMBER, 0.5, 1000),
            iso=number(photo, SENSITIVITY, 1, 1e7),
            taken=moment(photo),
            position=position(main),
            heading=heading(main),
        )


def moment(photo: Any) -> float | None:
    """When a photo was taken, seconds; to a fraction of one where the camera tells it."""
    try:
        whole_seconds = datetime.datetime.strptime(words(photo, TAKEN), "%Y:%m:%d %H:%M:%S")
    except ValueError:
        return None
    fraction = words(photo, TAKEN_FRACTION)
    return whole_seconds.replace(tzinfo=datetime.UTC).timestamp() + (float(f"0.{fraction}") if fraction.isdecimal() else 0.0)


def position(main: Any) -> tuple[float, float] | None:
    """Latitude and longitude, degrees, where the file tells both."""
    try:
        tags = main.get_ifd(GPS_IFD)
        degrees = [sum(float(part) / 60**k for k, part in enumerate(tags[tag])) for tag in (2, 4)]
        signs = [-1.0 if str(tags.get(tag, ""))[:1].upper() == negative else 1.0 for tag, negative in ((1, "S"), (3, "W"))]
    except EXIF_ERRORS:
        return None
    latitude, longitude = (sign * value for sign, value in zip(signs, degrees, strict=True))
    return (latitude, longitude) if abs(latitude) <= 90 and abs(longitude) <= 180 else None


def heading(main: Any) -> float | None:
    """Compass direction of the photo, degrees, where the file tells it; 360 is north too."""
    try:
        tags = main.get_ifd(GPS_IFD)
    except EXIF_ERRORS:
        return None
    found = number(tags, GPS_DIRECTION, 0, 360)
    return None if found is None else found % 360


def number(tags: Any, tag: int, low: float, high: float) -> float | None:
    """A tag's value where it is a number between ``low`` and ``high``."""
    try:
        value = tags.get(tag)
        value = float(value[0] if isinstance(value, tuple) else value)
    except EXIF_ERRORS:
        return None
    return value if low <= value <= high else None


def whole(tags: Any, tag: int, otherwise: int) -> int:
    """A tag's value where it is a whole number that a size or a choice can be."""
    value = number(tags, tag, 0, 1e6)
    return otherwise if value is None else int(value)


def words(tags: Any, tag: int) -> str:
    """A tag's value where it is text, without padding."""
    try:
        value = tags.get(tag)
    except EXIF_ERRORS:
        return ""
    return value.strip("\0 ")[:100] if isinstance(value, str) else ""


def photo_heading(metadata: Mapping[str, bytes]) -> float | None:
    """Compass direction that a photo was taken in, degrees clockwise from north; None where its ``exif`` does not tell."""
    return read_exif(metadata.get("exif")).heading


def focal_prior(exif: Exif, size: tuple[int, int]) -> float | None:
    """The focal length in px that EXIF tells, or None when it tells nothing plausible.

    The 35 mm equivalent comes first: it is whole millimetres, but holds for crops made in the camera; otherwise the focal length
    times the sensor's resolution. Reductions of the whole picture change neither, crops made later make both wrong.

    Parameters
    ----------
    exif : Exif
        What the file says.
    size : (int, int)
        Width and height of the photo, px, upright or not.

    References
    ----------
    CIPA DCG-001-2018 (35 mm equivalent); CIPA DC-008 (Exif) 4.6.6, focal plane resolution.
    """
    candidates = []
    if exif.focal_35mm is not None:
        candidates.append(exif.focal_35mm * math.hypot(*size) / DIAGONAL_35MM)
    if exif.focal_mm is not None and exif.plane_pixels_per_mm is not None:
        reduced = max(size) / exif.plane_side if exif.plane_side else 1.0
        candidates.append(exif.focal_mm * exif.plane_pixels_per_mm * reduced)
    for focal in candidates:
        if VIEW_RANGE[0] <= 2 * math.atan(max(size) / (2 * focal)) <= VIEW_RANGE[1]:
            return focal
    return None


def exposure_prior(exif: Exif) -> float | None:
    """Natural logarithm of time * sensitivity / aperture^2, or None when EXIF lacks one of them."""
    if exif.seconds is None or exif.f_number is None or exif.iso is None:
        return None
    return math.log(exif.seconds * exif.iso / exif.f_number**2)


def camera_key(exif: Exif, size: tuple[int, int]) -> str:
    """The same text for photos of one camera at one focal length and size; «» when EXIF does not tell."""
    focal = exif.focal_mm or exif.focal_35mm
    if not (exif.make or exif.model) or focal is None:
        return ""
    return f"{exif.make}|{exif.model}|{focal:.6g}|{max(size)}x{min(size)}"


def exif_for_output(content: bytes, size: tuple[int, int]) -> bytes | None:
    """A photo's EXIF block made right for a result: upright, its size, without thumbnail, angle of view,
    compass direction and storage details.

    Parameters
    ----------
    content : bytes
        The photo's block.
    size : (int, int)
        Width and height of the result, px.

    Returns
    -------
    bytes or None
        From the TIFF header on; None when the block cannot be read.
    """
    from PIL import Image

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            found = load_exif(content)
            made = Image.Exif()
            for tag, value in found.items():
                if tag not in STORAGE_TAGS | {EXIF_IFD, GPS_IFD}:
                    made[tag] = value
            made[ORIENTATION], made[CHROMA_POSITION] = 1, 1
            made[SOFTWARE] = "compositor"
            photo = {tag: value for tag, value in found.get_ifd(EXIF_IFD).items() if tag not in MOVED_TAGS | VIEW_TAGS | PLACE_TAGS}
            made[EXIF_IFD] = photo | {PIXELS_X: size[0], PIXELS_Y: size[1]}
            if position := found.get_ifd(GPS_IFD):
                made[GPS_IFD] = {tag: value for tag, value in position.items() if tag not in DIRECTION_TAGS}
            return with_true_types(made.tobytes().removeprefix(b"Exif\0\0"))
        except EXIF_ERRORS as error:
            logger.warning("the first photo's EXIF block cannot be kept (%s)", error)
            return None


def exif_of_tiff(file: BinaryIO) -> bytes | None:
    """The EXIF block of a TIFF, whose own tags it is, as other formats hold it; None where it is broken.

    Parameters
    ----------
    file : binary file
        The TIFF.
    """
    from PIL import Image

    file.seek(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            made = Image.Exif()
            head = file.read(16)
            head = head if BIG in head[2:4] else head[:8]
            found = load_directory(file, head)
            for tag in (*TEXT_TAGS, ORIENTATION):
                if tag in found:
                    made[tag] = found[tag]
            for block in (EXIF_IFD, GPS_IFD):
                inner = load_directory(file, head, block, found[block]) if block in found else {}
                if values := {tag: value for tag, value in inner.items() if tag not in MOVED_TAGS}:
                    made[block] = values
            return made.tobytes().removeprefix(b"Exif\0\0")
        except EXIF_ERRORS:
            return None


def load_directory(file: BinaryIO, head: bytes, block: int | None = None, place: int | None = None) -> Mapping[int, Any]:
    """The tags of a TIFF's or BigTIFF's first directory, or of the block that a tag of it points to.

    Pillow's own reader of EXIF in TIFFs knows no BigTIFF. Raises one of ``EXIF_ERRORS`` at anything broken.
    """
    from PIL.TiffImagePlugin import ImageFileDirectory_v2

    directory = ImageFileDirectory_v2(head, group=block)
    file.seek(directory.next if place is None else place)
    directory.load(file)
    return dict(directory)
