"""Bytes from files and into files.

A result is written under a temporary name in the folder it belongs to, forced to the disk and only then given its name: whatever
happens, the name holds what was there before or the whole new file.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import stat
from collections.abc import Callable, Iterator, Set
from pathlib import Path
from typing import BinaryIO, TypeVar

from compositor.errors import CompositorError, OptionError, OutputError, ReadError, WriteError
from compositor.images.limits import LARGEST_FILE
from compositor.images.parts import new_part

__all__ = [
    "PICTURE_ENDINGS",
    "check_folder",
    "check_place",
    "open_checked",
    "printable",
    "read_bytes_checked",
    "read_record",
    "write_atomically",
    "write_folder",
]

AnyPath = str | os.PathLike[str]
T = TypeVar("T")

PICTURE_ENDINGS = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp", ".bmp", ".gif", ".avif")
"""What is taken from a folder for a picture; a file that is named itself may end in anything."""

LARGEST_RECORD = 64 * 2**20
"""Bytes of a registration or photometry that are read; no real one comes near."""

RECORDS = {"compositor registration": "a registration", "compositor photometry": "a photometry file"}
"""What the files that this program writes for itself are, by their ``format``."""

PLACES = {"a registration": "as registration", "a photometry file": "with --use-photometry"}
"""Where each of them belongs."""


def printable(path: AnyPath) -> str:
    """A path as text that fits in one line of any log or JSON file: what cannot be shown is written as an escape."""
    text = os.fsencode(path).decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


@contextlib.contextmanager
def open_checked(path: AnyPath) -> Iterator[tuple[BinaryIO, int]]:
    """Open a regular file for reading; gives the file and its length in bytes.

    A FIFO or a device is refused without being opened: opening one may hang or do something.

    Raises
    ------
    ReadError
        No such file, no regular file, empty, too large, or not allowed to be read. The name is not in the message.
    """
    if "\0" in os.fsdecode(path):
        raise ReadError("cannot be read (there is a zero byte in its name); give a photo that can")
    try:
        check_regular(os.stat(path))
        with open(path, "rb", opener=open_without_waiting) as file:
            found = os.fstat(file.fileno())
            check_regular(found)
            yield file, found.st_size
    except OSError as error:
        reason = error.strerror or str(error)
        raise ReadError(f"cannot be read ({reason[:1].lower()}{reason[1:]}); give a photo that can") from error


def open_without_waiting(path: str, flags: int) -> int:
    """Open for ``open``; should the file have become a FIFO just now, this does not wait for a writer."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def check_regular(found: os.stat_result) -> None:
    """Refuse what is no regular file of a sensible length."""
    if stat.S_ISDIR(found.st_mode):
        raise ReadError("is a folder; give the photos in it")
    if not stat.S_ISREG(found.st_mode):
        raise ReadError("is not a regular file; save it to one first")
    if found.st_size == 0:
        raise ReadError("is empty; copy it again")
    if found.st_size > LARGEST_FILE:
        raise ReadError(f"has {found.st_size} bytes; at most {LARGEST_FILE} are read")


def read_bytes_checked(path: AnyPath) -> bytes:
    """The content of a regular file.

    Raises
    ------
    ReadError
        As in ``open_checked``.
    """
    with open_checked(path) as (file, _):
        return file.read()


def check_place(path: AnyPath, *, overwrite: bool) -> Path:
    """Check that a file can be written at ``path`` and give where it really lies.

    Raises
    ------
    OutputError
        The folder is missing or not writable, or something is there that must not be replaced.
    """
    name = printable(path)
    try:
        # A link stays a link: what it points to is replaced.
        place = Path(os.path.realpath(path))
        if not place.parent.is_dir():
            raise OutputError(f"{name}: there is no folder {printable(place.parent)}; create it or choose another", path=path)
        if place.is_dir():
            raise OutputError(f"{name}: is a folder; give the name of a file in it", path=path)
        if place.is_symlink() or (place.exists() and not place.is_file()):
            raise OutputError(f"{name}: is not a regular file; give another name", path=path)
        if place.exists() and not overwrite:
            message = f"{name}: exists already; choose another name or allow it to be overwritten (overwrite=True)"
            raise OutputError(message, path=path)
        if not os.access(place.parent, os.W_OK | os.X_OK):
            raise OutputError(f"{name}: nothing may be written in {printable(place.parent)}; choose another folder", path=path)
    except (OSError, ValueError) as error:
        raise OutputError(f"{name}: cannot be written ({error}); choose another name", path=path) from error
    return place


def read_record(
    path: AnyPath,
    parse: Callable[[bytes], T],
    refusal: type[CompositorError],
    *,
    called: str,
    advice: str,
    largest: int = LARGEST_RECORD,
    read: Callable[[BinaryIO], bytes] = lambda file: file.read(),
) -> T:
    """What a file that this program wrote holds.

    Parameters
    ----------
    path : str or path
    parse : callable
        Makes the value of the file's bytes, or raises a ``refusal``.
    refusal : type of error
        Raised with the file's name where it is not there, cannot be read, is too large or is no such record.
    called : str
        What it should be, as ``RECORDS`` calls it.
    advice : str
        Which file to give instead.
    largest : int
        Bytes that such a file may have.
    read : callable
        Takes from the open file what ``parse`` needs of it.
    """
    try:
        if (size := os.stat(path).st_size) > largest:
            raise refusal(f"{path}: {size} bytes is too large for {called}; at most {largest} are read", path=path)
        with open(path, "rb") as file:
            content = read(file)
    except OSError as error:
        told = refusal(f"{path}: cannot be read ({error.strerror}); {advice}", path=path)
        if isinstance(error, FileNotFoundError | NotADirectoryError):  # a mistyped name, as that of a photo would be
            told.exit_code = OptionError.exit_code
        raise told from error
    try:
        return parse(content)
    except refusal as error:
        found = what_record(content)
        if found is not None and found != called:
            raise refusal(f"{path}: is {found}, needed is {called}; {advice}, and this one {PLACES[found]}", path=path) from error
        raise refusal(f"{path}: {error}", path=path) from error


def what_record(content: bytes) -> str | None:
    """What a file of this program's is, as ``RECORDS`` calls it; None for any other."""
    import msgspec

    try:
        found = msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return RECORDS.get(found["format"]) if isinstance(found, dict) and isinstance(found.get("format"), str) else None


def write_atomically(path: AnyPath, write: Callable[[BinaryIO], object], *, overwrite: bool) -> None:
    """Write a file whole or not at all.

    Parameters
    ----------
    path : str or path
        Where to.
    write : callable
        Called with the file, open for reading and writing bytes, at its beginning.
    overwrite : bool
        Replace a file that is there.

    Raises
    ------
    OutputError
        As in ``check_place``; ``write`` was not called.
    WriteError
        The system refused (disk full, name too long, ...); what was there before is still there.
    """
    place = check_place(path, overwrite=overwrite)
    try:
        with new_part(place) as (part, file):
            write(file)
            file.flush()
            os.fsync(file.fileno())
            file.close()
            if place.exists():
                check_place(path, overwrite=overwrite)
                os.chmod(part, stat.S_IMODE(place.stat().st_mode))
            os.replace(part, place)
    except OSError as error:
        reason = error.strerror or str(error)
        raise WriteError(f"{printable(path)}: could not be written ({reason}); free space or choose another folder", path=path) from error
    sync_folder(place.parent)


def check_folder(path: AnyPath, *, overwrite: bool) -> Path:
    """Check that files can be written into a folder of their own, which need not be there yet, and give where it really lies.

    Raises
    ------
    OutputError
        The folder that it belongs to is missing or not writable, something else is there, or it holds something that must not be replaced.
    """
    name = printable(path)
    try:
        place = Path(os.path.realpath(path))
        if not os.path.lexists(place):
            return check_place(place, overwrite=overwrite)
        if not place.is_dir():
            raise OutputError(f"{name}: is not a folder; give another name", path=path)
        if not overwrite and any(place.iterdir()):
            message = f"{name}: holds something already; choose another folder or allow it to be overwritten (overwrite=True)"
            raise OutputError(message, path=path)
        if not os.access(place, os.W_OK | os.X_OK):
            raise OutputError(f"{name}: nothing may be written in it; choose another folder", path=path)
    except (OSError, ValueError) as error:
        raise OutputError(f"{name}: cannot be written ({error}); choose another name", path=path) from error
    return place


def write_folder(
    path: AnyPath, write: Callable[[Path], object], *, overwrite: bool, outdated: Callable[[Path], bool] | None = None
) -> None:
    """Write files into a folder: all of them, or none if one fails; only where files are replaced, each by itself is old or new.

    Parameters
    ----------
    path : str or path
        Where to; created if missing.
    write : callable
        Called with an empty folder to write into.
    overwrite : bool
        Write into a folder that holds something; what has other names there stays, unless it is outdated.
    outdated : callable, optional
        Tells of a file that stands there under another name whether it is of an earlier time and goes away, once all are written.

    Raises
    ------
    OutputError
        As in ``check_folder``; ``write`` was not called.
    WriteError
        The system refused.
    """
    place = check_folder(path, overwrite=overwrite)
    # In a folder that is there, since nothing may be allowed beside it.
    part = (place if place.is_dir() else place.parent) / f".{secrets.token_hex(4)}.part"
    try:
        part.mkdir()
        write(part)
        if place.is_dir():
            written = sorted(part.iterdir())
            for file in written:
                os.replace(file, place / file.name)
            if outdated is not None:
                remove_outdated(place, {part.name, *(file.name for file in written)}, outdated)
        else:
            os.rename(part, place)
    except OSError as error:
        reason = error.strerror or str(error)
        raise WriteError(f"{printable(path)}: could not be written ({reason}); free space or choose another folder", path=path) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    sync_folder(place)
    sync_folder(place.parent)


def remove_outdated(folder: Path, kept: Set[str], outdated: Callable[[Path], bool]) -> None:
    """Take files away that are ``outdated`` and whose names are not among those kept."""
    for file in sorted(folder.iterdir()):
        if file.name not in kept and file.is_file() and not file.is_symlink() and outdated(file):
            file.unlink()


def sync_folder(folder: Path) -> None:
    """Force a new name to the disk; some systems cannot, and the file is there all the same."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
