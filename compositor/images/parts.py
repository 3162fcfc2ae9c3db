"""Files that are not whole yet, and what becomes of them where their process was killed.

A part is locked (``flock``) as long as its process lives; the lock goes with the process, however that ends. So a part of the same file,
left by the same user on the same machine, that can be locked is nobody's any more, and whoever writes that file next takes it away.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import secrets
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

__all__ = ["new_part"]

MOST_LOOKED_AT = 4096
"""Files of a folder among which parts are looked for: a cache of a hundred thousand is not gone through for each that is added."""


@contextlib.contextmanager
def new_part(place: Path) -> Iterator[tuple[Path, BinaryIO]]:
    """A new file beside ``place``, open for reading and writing; it may be closed and renamed in the block, and goes away at its end.

    Parts of ``place`` that killed processes left go away at once, where that can be told.

    Raises
    ------
    OSError
        The system refused.
    """
    # A name of its own length: the place's name may be as long as names can be. Other machines that share the folder make others.
    mark = hashlib.sha256(os.fsencode(place.name) + b"\0" + _machine().encode()).hexdigest()[:12]
    _sweep(place.parent, f".{mark}-")
    while True:
        part = place.with_name(f".{mark}-{secrets.token_hex(4)}.part")
        with contextlib.ExitStack() as held:
            file = open(part, "x+b")  # noqa: SIM115 (held)
            held.callback(part.unlink, missing_ok=True)
            held.enter_context(file)
            _lock(file, held)
            if part.exists():  # else somebody swept it before it was locked
                yield part, file
                return


if sys.platform == "win32":

    def _machine() -> str:
        """Nothing is swept, whosever it is."""
        return ""

    def _lock(file: BinaryIO, held: contextlib.ExitStack) -> None:
        """There is no ``flock``."""

    def _sweep(folder: Path, beginning: str) -> None:
        """Nobody can tell whose a part is."""

else:
    import fcntl

    def _machine() -> str:
        """The machine's name."""
        return os.uname().nodename

    def _lock(file: BinaryIO, held: contextlib.ExitStack) -> None:
        """Lock a file until ``held`` ends, even if it is closed before; some systems cannot, and then nobody else can either."""
        descriptor = os.dup(file.fileno())
        held.callback(os.close, descriptor)
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)

    def _sweep(folder: Path, beginning: str) -> None:
        """Remove files of such names that are this user's and that nobody holds a lock on."""
        with contextlib.suppress(OSError), os.scandir(folder) as entries:
            for entry in itertools.islice(entries, MOST_LOOKED_AT):
                if entry.name.startswith(beginning) and entry.name.endswith(".part"):
                    _remove_unlocked(folder / entry.name)

    def _remove_unlocked(part: Path) -> None:
        with contextlib.suppress(OSError):
            descriptor = os.open(part, os.O_RDWR | os.O_NONBLOCK | os.O_NOFOLLOW)
            try:
                found = os.fstat(descriptor)
                if stat.S_ISREG(found.st_mode) and found.st_uid == os.getuid():
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    part.unlink()
            finally:
                os.close(descriptor)
