"""Pictures that move: a GIF of frames."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from compositor.errors import OutputError
from compositor.images.files import check_place, printable, write_atomically

__all__ = ["check_animation", "write_animation"]


def check_animation(path: str | os.PathLike[str], *, overwrite: bool) -> None:
    """Check that an animation can be written at ``path``.

    Raises
    ------
    OutputError
        The ending is another than .gif, or ``check_place`` refuses the place.
    """
    if Path(path).suffix.lower() != ".gif":
        raise OutputError(f"{printable(path)}: animations are written as .gif; give such a name", path=path)
    check_place(path, overwrite=overwrite)


def write_animation(path: str | os.PathLike[str], frames: NDArray[np.uint8], *, pause: int, overwrite: bool = False) -> None:
    """Write frames as a GIF that begins anew when it is over.

    Parameters
    ----------
    path : str or path
    frames : (n, h, w, 3) uint8
        RGB. GIF holds 256 colours a frame.
    pause : int
        How long each is shown, ms.
    overwrite : bool
        Replace a file that is there.

    Raises
    ------
    OutputError, WriteError
        It cannot be written there.
    """
    from PIL import Image

    check_animation(path, overwrite=overwrite)
    first, *others = (Image.fromarray(frame) for frame in frames)
    write_atomically(
        path,
        lambda file: first.save(file, "GIF", save_all=True, append_images=others, duration=pause, loop=0),
        overwrite=overwrite,
    )
