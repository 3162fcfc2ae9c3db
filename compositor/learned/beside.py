"""How alike pictures are to one picture: parts of one beside the whole of the other, or only whole beside whole.

Whole pictures of one place look less and less alike the farther one lens zooms in. A part of the wider one then shows what the other shows:
the details of parts are told beside those of the whole, and of all that are put beside the other picture the most alike ones count (late
interaction, as Khattab and Zaharia, «ColBERT», SIGIR 2020, call it among words).
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from compositor.learned.encoder import NEEDED, OVERLAP, Encoder, squares_of
from compositor.learned.pictures import Picture, read_picture

__all__ = ["Beside", "likeness", "tell_closely"]

PART = 1 / 2
"""Side of the parts, as a share of the shorter side: beside these, a lens of four times the focal length zooms in by two."""
Floats = NDArray[np.float32]


class Beside:
    """Tells how alike pictures are to one.

    Parameters
    ----------
    picture : path, (h, w, 3) array or Photo
        Which one.
    encoder : Encoder
    zoom : bool
        Put parts beside wholes, too.
    parts : dict of str to float, optional
        What else counts than what overlaps, as ``Encoder`` takes it; then wholes are put beside wholes.
    """

    def __init__(self, picture: Picture, encoder: Encoder, *, zoom: bool = True, parts: dict[str, float] | None = None) -> None:
        self.encoder, self.zoom, self.parts = encoder, zoom and parts is None, parts
        self.wanted = tell_closely(picture, encoder) if self.zoom else encoder([picture], parts=parts)

    def __call__(self, pictures: Iterable[Picture]) -> Floats:
        """Likenesses, (n, 1): 1 for an equal picture."""
        if self.zoom:
            told = [[likeness(self.wanted, tell_closely(picture, self.encoder))] for picture in pictures]
            return np.array(told, np.float32).reshape(-1, 1)
        return np.asarray(self.encoder(pictures, parts=self.parts) @ self.wanted.T, np.float32)


def tell_closely(picture: Picture, encoder: Encoder) -> Floats:
    """Numbers of a picture and of squares all over it, (1 + k, d): what ``likeness`` compares.

    Parameters
    ----------
    picture : path, (h, w, 3) array or Photo
    encoder : Encoder
    """
    pixels = read_picture(picture, short=NEEDED)
    h, w = pixels.shape[:2]
    shares = [(0.0, 0.0, 1.0, 1.0), *squares_of(h, w, PART)]
    # Details are looked for in the whole once, for a part of it, looked at alone, has fewer. What else is told is that of the whole: the
    # colours of a small part are like those of a part of nearly any picture.
    alone = encoder([pixels], parts={name: weight for name, weight in OVERLAP.items() if name != "words"})
    words, rest = OVERLAP["words"], sum(weight for name, weight in OVERLAP.items() if name != "words")
    if encoder.words is None:
        return alone.repeat(len(shares), axis=0)
    told = np.concatenate(
        [np.sqrt(rest) * alone.repeat(len(shares), axis=0), np.sqrt(words) * encoder.words.describe_parts(pixels, shares)], -1
    )
    told[0] /= np.linalg.norm(told[0])  # the whole is told as ever; a part without details is like nothing, its row stays short
    return np.asarray(told, np.float32)


def likeness(one: Floats, other: Floats) -> float:
    """The mean of how alike two pictures are and of how alike the whole or a part of one and the whole of the other are at best.

    Parameters
    ----------
    one, other : (1 + k, d) float32
        What ``tell_closely`` told of each.
    """
    at_best = max(float((one @ other[0]).max()), float((other @ one[0]).max()))
    return (float(one[0] @ other[0]) + at_best) / 2
