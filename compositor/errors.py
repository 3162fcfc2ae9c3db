"""What can go wrong, one class per cause.

Every message is one line that says what was found, what was needed and what to try; the command line prints it and exits with
``exit_code``.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

__all__ = [
    "CompositorError",
    "LimitError",
    "OptionError",
    "OutputError",
    "PhotometryFileError",
    "ReadError",
    "RegistrationFileError",
    "TooFewPhotosError",
    "WriteError",
    "counted",
    "first_names",
]

MOST_NAMES = 3
"""Names that a message lists; of more it tells the number."""


def first_names(names: Sequence[str]) -> str:
    """The first few of some names and how many more there are, so that a message stays one line that somebody reads."""
    shown = ", ".join(names[:MOST_NAMES])
    return shown if len(names) <= MOST_NAMES else f"{shown} and {len(names) - MOST_NAMES} more"


def counted(number: int, one: str, many: str = "") -> str:
    """A number and what is counted, «1 photo» or «2 photos»; with a verb both forms are told, as «photo is» and «photos are»."""
    return f"{number} {one if number == 1 else many or one + 's'}"


class CompositorError(Exception):
    """Base of every error that compositor raises on purpose.

    Parameters
    ----------
    message : str
        One line: what was found, what was needed, what to try.
    path : str or os.PathLike, optional
        The file the error is about.
    left_out : tuple of (str, str), optional
        Name and reason of every photo that had been left out by then.
    """

    exit_code = 1

    def __init__(self, message: str, *, path: str | os.PathLike[str] | None = None, left_out: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(message)
        self.path = path
        self.left_out = left_out


class OptionError(CompositorError, ValueError):
    """An option has a name or a value that does not exist; the message lists the right ones."""

    exit_code = 2


class OutputError(CompositorError):
    """The output cannot go where it was asked to: it exists, its folder is missing, or its format is unknown or too small."""

    exit_code = 2


class ReadError(CompositorError):
    """A photo cannot be read; it loses itself, the rest of the set goes on."""


class WriteError(CompositorError):
    """A result could not be written; nothing is left at its place but what was there before."""


class PhotometryFileError(CompositorError):
    """A photometry file is not one, is of an unknown version, or does not fit the photos given with it."""


class RegistrationFileError(CompositorError):
    """A registration file is not one, is of an unknown version, or does not fit the photos given with it."""


class TooFewPhotosError(CompositorError):
    """Fewer than two usable photos overlap; ``left_out`` says why."""

    exit_code = 4


class LimitError(CompositorError):
    """The work would need more pixels or memory than is allowed; nothing large was allocated."""

    exit_code = 5
