"""Pictures that move: a GIF or an MP4 of frames."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import cv2
import numpy as np
from numpy.typing import NDArray

from compositor.errors import OutputError
from compositor.images.files import check_place, printable, write_atomically

__all__ = ["ENDINGS", "check_animation", "write_animation"]

ENDINGS = (".gif", ".mp4")

CODEC = "mp4v"
"""MPEG-4, which OpenCV's own builds can write; H.264 they leave to the system."""


def check_animation(path: str | os.PathLike[str], *, overwrite: bool) -> None:
    """Check that an animation can be written at ``path``.

    Raises
    ------
    OutputError
        The ending is another than .gif or .mp4, this build of OpenCV writes no MP4, or ``check_place`` refuses the place.
    """
    if (ending := Path(path).suffix.lower()) not in ENDINGS:
        raise OutputError(f"{printable(path)}: animations are written as .gif or .mp4; give such a name", path=path)
    check_place(path, overwrite=overwrite)
    if ending == ".mp4":
        with tempfile.TemporaryDirectory() as folder, _video(path, Path(folder, "try.mp4"), (32, 32), 10.0):
            pass


def write_animation(path: str | os.PathLike[str], frames: NDArray[np.uint8], *, pause: int, overwrite: bool = False) -> None:
    """Write frames as a GIF that begins anew when it is over, or as an MP4.

    Parameters
    ----------
    path : str or path
    frames : (n, h, w, 3) uint8
        RGB. GIF holds 256 colours a frame, MP4 half the resolution of colours.
    pause : int
        How long each is shown, ms.
    overwrite : bool
        Replace a file that is there.

    Raises
    ------
    OutputError, WriteError
        It cannot be written there.
    """
    check_animation(path, overwrite=overwrite)
    write = _write_video if Path(path).suffix.lower() == ".mp4" else _write_gif
    write_atomically(path, lambda file: write(path, file, frames, pause), overwrite=overwrite)


def _write_gif(_: str | os.PathLike[str], file: BinaryIO, frames: NDArray[np.uint8], pause: int) -> None:
    from PIL import Image

    first, *others = (Image.fromarray(frame) for frame in frames)
    first.save(file, "GIF", save_all=True, append_images=others, duration=pause, loop=0)


def _write_video(path: str | os.PathLike[str], file: BinaryIO, frames: NDArray[np.uint8], pause: int) -> None:
    """OpenCV writes to names only: the video is made aside and copied."""
    h, w = frames.shape[1:3]
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder, "video.mp4")
        with _video(path, place, (w, h), 1000 / pause) as video:
            for frame in frames:
                video.write(np.ascontiguousarray(frame[..., ::-1]))
        file.write(place.read_bytes())


@contextlib.contextmanager
def _video(path: str | os.PathLike[str], place: Path, size: tuple[int, int], rate: float) -> Iterator[cv2.VideoWriter]:
    """A video at ``place`` that frames, BGR, can be written to; ``path`` is what its user calls it."""
    before = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # what it cannot do is told here
    try:
        video = cv2.VideoWriter(str(place), cv2.VideoWriter.fourcc(*CODEC), rate, size)
    finally:
        cv2.utils.logging.setLogLevel(before)
    try:
        if not video.isOpened():
            raise OutputError(f"{printable(path)}: this build of OpenCV cannot write MP4; give a .gif", path=path)
        yield video
    finally:
        video.release()
