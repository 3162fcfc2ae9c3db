"""XMP that tells viewers how a panorama is to be wrapped around whoever looks at it, and this program what it wrote before.

The properties are those of Google's «Photo Sphere XMP Metadata», https://developers.google.com/streetview/spherical-metadata, which most
viewers read.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Literal, NamedTuple

from compositor.errors import ReadError
from compositor.images.files import AnyPath, open_checked
from compositor.types import Canvas

__all__ = ["Pose", "creator_xmp", "is_photo_mask", "is_stitched", "panorama_xmp", "xmp_of"]

SOFTWARE = "compositor"
PROJECTION_TYPES = {"spherical": "equirectangular", "cylindrical": "cylindrical"}
"""How the properties call the projections they know."""

PANORAMA_SCHEMA = ("GPano", "http://ns.google.com/photos/1.0/panorama/")
FILE_SCHEMA = ("xmp", "http://ns.adobe.com/xap/1.0/")
"""Prefix and name of a group of properties."""

STITCHED = re.compile(rb"(GPano:StitchingSoftware(>|=[\"'])compositor|xmp:CreatorTool(>|=[\"'])compositor (panorama|mosaic))[<\"']")
PHOTO_MASK = re.compile(rb"xmp:CreatorTool(>|=[\"'])compositor (photo mask|seam map)[<\"']")
WHOLE = re.compile(rb"<\?xpacket begin=.*?<\?xpacket end=[\"'][rw][\"']\?>", re.DOTALL)
"""As an element, which this program writes, or as an attribute, which programs make of it that write the packet anew."""

HEAD = 2**18
"""Bytes of a file in which the packet is looked for. Ours stands before the picture, after EXIF and colour profile."""

PACKET = """\
<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about="" xmlns:{prefix}="{schema}">
{properties}
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
<?xpacket end="r"?>"""


class Pose(NamedTuple):
    """How the middle of a whole turn looks into the world, degrees.

    Parameters
    ----------
    heading : float or None
        Its compass direction; None where that is not known.
    pitch : float
        Above the horizon, -90..90.
    roll : float
        Clockwise, as a camera is turned; the horizon turns the other way. -180..180.
    """

    heading: float | None = None
    pitch: float = 0.0
    roll: float = 0.0


def panorama_xmp(canvas: Canvas, pose: Pose | None = None) -> bytes | None:
    """The XMP packet of a panorama that goes around its viewer.

    Parameters
    ----------
    canvas : Canvas
        What the file shows, after cropping.
    pose : Pose, optional
        That of the panorama's middle column, at the row where the projection has the horizon: the whole turn's middle, also where the
        canvas shows a part of it without that row. By default level, in an unknown direction.

    Returns
    -------
    bytes or None
        None for projections that no viewer wraps around anybody.
    """
    if canvas.projection not in PROJECTION_TYPES:
        return None
    properties: dict[str, object] = {
        "UsePanoramaViewer": True,
        "StitchingSoftware": SOFTWARE,
        "ProjectionType": PROJECTION_TYPES[canvas.projection],
        **cropped_area(canvas),
    }
    heading, pitch, roll = pose or Pose()
    # Zero is added for its sign's sake: a level panorama is no -0.0 degrees high. Half a turn is 180, not -180.
    properties["PosePitchDegrees"] = round(pitch, 2) + 0.0
    properties["PoseRollDegrees"] = 180.0 if round(roll, 2) == -180 else round(roll, 2) + 0.0
    if heading is not None:
        # Rounded first, since 359.99 rounds to 360.0, which is none.
        properties["PoseHeadingDegrees"] = round(heading, 1) % 360
    return packet_of(PANORAMA_SCHEMA, properties)


def creator_xmp(kind: Literal["panorama", "mosaic", "photo mask", "seam map"]) -> bytes:
    """The XMP packet that says no more than that this program wrote a picture, and what it is."""
    return packet_of(FILE_SCHEMA, {"CreatorTool": f"{SOFTWARE} {kind}"})


def packet_of(group: tuple[str, str], properties: Mapping[str, object]) -> bytes:
    """A packet of properties of one group."""
    prefix, schema = group
    lines = [f"   <{prefix}:{name}>{value}</{prefix}:{name}>" for name, value in properties.items()]
    return PACKET.format(prefix=prefix, schema=schema, properties="\n".join(lines)).encode()


def is_stitched(path: AnyPath) -> bool:
    """Whether a picture's file tells that it is a panorama of this program."""
    return STITCHED.search(head_of(path)) is not None


def is_photo_mask(path: AnyPath) -> bool:
    """Whether a picture's file tells that this program wrote it as the mask of a photo's part of a panorama."""
    return PHOTO_MASK.search(head_of(path)) is not None


def xmp_of(path: AnyPath) -> bytes | None:
    """The XMP packet of a picture's file; None where none stands before the picture."""
    found = WHOLE.search(head_of(path))
    return None if found is None else found[0]


def head_of(path: AnyPath) -> bytes:
    """The first bytes of a file; none of one that cannot be read, as whoever needs it will say."""
    try:
        with open_checked(path) as (file, _):
            return file.read(HEAD)
    except ReadError:
        return b""


def cropped_area(canvas: Canvas) -> dict[str, int]:
    """Which part of a whole turn a canvas is, px.

    The whole turn is laid so that the canvas lies in its middle: then the heading of one is that of the other, and no canvas is cut in two
    at the back. A sphere's rows count from its zenith; those of a cylinder, which has none, from the horizon, and the first one is negative
    above it.
    """
    width, height = canvas.size
    full_width = width if canvas.wraps else max(width, 2 * round(math.pi * canvas.scale))
    # ``top`` is the middle of the first row.
    if canvas.projection == "spherical":
        top = max(0, round(canvas.top - 0.5 + canvas.scale * math.pi / 2))
        # A window that was asked for may be higher than the sphere.
        full_height = max(round(full_width / 2), top + height)
    else:
        top, full_height = round(canvas.top - 0.5), height
    return {
        "CroppedAreaImageWidthPixels": width,
        "CroppedAreaImageHeightPixels": height,
        "FullPanoWidthPixels": full_width,
        "FullPanoHeightPixels": full_height,
        "CroppedAreaLeftPixels": (full_width - width) // 2,
        "CroppedAreaTopPixels": top,
    }
