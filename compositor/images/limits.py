"""What a photo may claim to be before anything is allocated for it."""

from __future__ import annotations

from compositor.errors import ReadError

__all__ = ["LARGEST_FILE", "LEAST_SIDE", "MOST_PIXELS", "check_claim", "check_size"]

LARGEST_FILE = 8 * 2**30
"""Bytes of the largest file that is read: 500 megapixels of 32-bit float RGBA."""

MOST_PIXELS = 500_000_000
"""Pixels of the largest photo; the largest cameras make 150 million, scanned film somewhat more."""

LEAST_SIDE = 16
"""Shortest side, px, of a photo in which anything can be recognised."""

MOST_PIXELS_PER_BYTE = 2000
"""A photo never packs this well: deflate ends at 344 RGB pixels per byte, a uniformly grey JPEG at about 170."""


def check_size(size: tuple[int, int]) -> None:
    """Refuse a photo with too many or too few pixels.

    Parameters
    ----------
    size : (int, int)
        Width and height, px.

    Raises
    ------
    ReadError
        Without the photo's name, which the caller adds.
    """
    w, h = size
    if min(w, h) < LEAST_SIDE:
        raise ReadError(f"too small, {w} x {h} px; at least {LEAST_SIDE} px a side are needed")
    if w * h > MOST_PIXELS:
        raise ReadError(f"declares {w} x {h} = {w * h / 1e6:.0f} megapixels; at most {MOST_PIXELS / 1e6:.0f} are read, reduce it first")


def check_claim(size: tuple[int, int], length: int) -> None:
    """Refuse a file whose header declares what its length cannot hold.

    Parameters
    ----------
    size : (int, int)
        Declared width and height, px.
    length : int
        Length of the file, bytes.

    Raises
    ------
    ReadError
        Without the photo's name, which the caller adds.
    """
    check_size(size)
    w, h = size
    if w * h > MOST_PIXELS_PER_BYTE * length:
        raise ReadError(f"declares {w * h / 1e6:.0f} megapixels in a file of {length} bytes; its header is damaged, copy it again")
