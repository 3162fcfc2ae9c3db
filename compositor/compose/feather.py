"""Feathering: photos fade into each other along their seams, each to nothing before it ends.

With shares W_k the blend is H + sum of W_k (p_k - H) / sum of W_k, summed over the photos p_k that have the pixel; H is the hard composite.
So a constant picture stays exactly constant. The shares are smooth, so they are found on the reduced canvas and enlarged. Blending happens
in the encoded (sRGB) values, exposures matched. (Szeliski, «Image alignment and stitching: a tutorial», 2006, section 6.2.)
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from compositor.compose.frames import frame_of, gather, goes_around
from compositor.compose.warped import Warped
from compositor.types import Canvas

__all__ = ["feather_shares"]

RIM = 2
"""Reduced pixels before its end in which a photo has faded: so much may its outline there differ from that at full size."""
LEAST = 1e-3
"""Of its share along the seams, what a photo keeps up to its very end, where others may end too."""
NARROWEST = 1.5
"""Reduced pixels; interpolation needs some to fade over."""


def feather_shares(warped: Sequence[Warped], labels: NDArray[np.int16], canvas: Canvas, width: float) -> list[NDArray[np.float32]]:
    """How much every photo may show of itself at every pixel, before the shares are made to add up to one.

    Parameters
    ----------
    warped : sequence of Warped
    labels : (H, W) int16
        Owner of every reduced pixel.
    canvas : Canvas
        The reduced one.
    width : float
        Reduced pixels across which two photos fade into each other.

    Returns
    -------
    list of (h, w) float32
        In 0..1, one in each photo's frame.
    """
    reach = max(NARROWEST, width / 2)
    shares = []
    for k, photo in enumerate(warped):
        frame, around = frame_of(photo), goes_around(frame_of(photo), canvas)
        margin = math.ceil(reach) + 2
        mine = gather(labels, frame.grow(margin), canvas.wraps) == k
        beside_seam = np.where(mine, distances(mine) - 0.5, 0.5 - distances(~mine))[margin:-margin, margin:-margin]
        inside = np.pad(photo.mask, ((1, 1), (0, 0)))
        inside = np.pad(inside, ((0, 0), (margin + RIM, margin + RIM)), mode="wrap" if around else "constant")
        depth = distances(inside)[1:-1, margin + RIM : -margin - RIM]
        share = np.clip(0.5 + beside_seam / (2 * reach), 0, 1) * np.clip((depth - RIM) / reach, LEAST, 1)
        shares.append(share.astype(np.float32))
    return shares


def distances(mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Distance of every true pixel to the nearest one that is false, px; very large where there is none."""
    if mask.all():
        return np.full(mask.shape, 1e6, np.float32)
    return np.asarray(cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5), np.float32)
