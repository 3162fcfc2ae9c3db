"""XMP that tells viewers how a panorama is to be wrapped around whoever looks at it.

The properties are those of Google's «Photo Sphere XMP Metadata», https://developers.google.com/streetview/spherical-metadata, which most
viewers read.
"""

from __future__ import annotations

import math

from compositor.types import Canvas

__all__ = ["panorama_xmp"]

SOFTWARE = "compositor"
PROJECTION_TYPES = {"spherical": "equirectangular", "cylindrical": "cylindrical"}
"""How the properties call the projections they know."""

PACKET = """\
<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about="" xmlns:GPano="http://ns.google.com/photos/1.0/panorama/">
{properties}
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
<?xpacket end="r"?>"""


def panorama_xmp(canvas: Canvas, *, heading: float | None = None) -> bytes | None:
    """The XMP packet of a panorama that goes around its viewer.

    Parameters
    ----------
    canvas : Canvas
        What the file shows, after cropping.
    heading : float or None
        Compass direction of the panorama's middle column, degrees.

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
        "PosePitchDegrees": "0.0",
        "PoseRollDegrees": "0.0",
    }
    if heading is not None:
        # Rounded first, since 359.99 rounds to 360.0, which is none.
        properties["PoseHeadingDegrees"] = round(heading, 1) % 360
    lines = [f"   <GPano:{name}>{value}</GPano:{name}>" for name, value in properties.items()]
    return PACKET.format(properties="\n".join(lines)).encode()


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
