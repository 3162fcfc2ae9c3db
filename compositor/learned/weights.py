"""Weights of networks as files: safetensors with one JSON record inside that tells what they are. Pickles are never opened."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor

from compositor.errors import CompositorError
from compositor.images.files import printable, read_record, write_atomically

__all__ = ["FORMAT", "WeightsError", "digest_of", "fitting", "packaged_weights", "read_told", "read_weights", "write_weights"]

FORMAT = 1
"""Version of the record; raised when a field changes its meaning."""
RECORD = "compositor"
LARGEST = 2 * 2**30
"""Bytes of a file of weights that are read; the checkpoint of a generator of 256 px has a thirtieth."""
LARGEST_HEAD = 100 * 10**6
"""Bytes of what a file of weights begins with, which the format allows."""
ADVICE = "give a .safetensors file that «compositor train» wrote"


class WeightsError(CompositorError):
    """A file of weights is not one, is damaged, is of an unknown version, or fits another network."""


def packaged_weights(name: str) -> Path:
    """Where weights lie that ship with the package.

    Raises
    ------
    WeightsError
        They do not.
    """
    path = Path(__file__).with_name("data") / f"{name}.safetensors"
    if not path.exists():
        raise WeightsError(f"no weights «{name}» ship with this version; train them (compositor train) and give their file", path=path)
    return path


def digest_of(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 of tensors: of their names, shapes and bytes, in the order of their names."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode() + tensor.numpy().tobytes())
    return digest.hexdigest()


def write_weights(
    path: str | os.PathLike[str], tensors: Mapping[str, Tensor], record: Mapping[str, Any], *, overwrite: bool = False
) -> dict[str, Any]:
    """Write tensors and what is to be known of them, whole or not at all.

    Parameters
    ----------
    path : str or path
    tensors : mapping of str to Tensor
    record : mapping
        What JSON can hold; the format's version and the tensors' SHA-256 are added.
    overwrite : bool
        Replace a file that is there.

    Returns
    -------
    dict
        The record as it was written.
    """
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    whole = {**record, "format": FORMAT, "sha256": digest_of(tensors)}
    content = safetensors.torch.save(tensors, {RECORD: json.dumps(whole, sort_keys=True)})
    write_atomically(path, lambda file: file.write(content), overwrite=overwrite)
    return whole


@contextlib.contextmanager
def fitting(path: str | os.PathLike[str]) -> Iterator[None]:
    """Where a network is made as a file's record says and takes up its tensors: what fails inside says that they do not fit.

    Raises
    ------
    WeightsError
        The record misses something or tells another shape, or the tensors are others.
    """
    try:
        yield
    except (LookupError, TypeError, ValueError, ArithmeticError, RuntimeError, AttributeError) as error:
        raise WeightsError(f"{printable(path)}: fits another network; take weights of this version", path=path) from error


def read_weights(path: str | os.PathLike[str], *, kind: str | tuple[str, ...]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what ``write_weights`` wrote.

    Parameters
    ----------
    path : str or path
    kind : str or tuple of str
        What the record's ``kind`` must say; one of several.

    Returns
    -------
    tensors : dict of str to Tensor
        On the CPU.
    record : dict

    Raises
    ------
    WeightsError
        The file cannot be read, is none, is damaged, or holds something else.
    """

    def parse(content: bytes) -> tuple[dict[str, Tensor], dict[str, Any]]:
        record = _record_in(content, kind)
        try:
            tensors = safetensors.torch.load(content)
        except (ValueError, KeyError, TypeError, SafetensorError) as error:
            raise WeightsError(f"is no file of weights ({type(error).__name__}); {ADVICE}") from error
        if record.get("sha256") != digest_of(tensors):
            raise WeightsError("its numbers are not those that were written (SHA-256 differs); copy it again")
        return tensors, record

    return read_record(path, parse, WeightsError, called="a file of weights", advice=ADVICE, largest=LARGEST)


def read_told(path: str | os.PathLike[str], *, kind: str | tuple[str, ...]) -> dict[str, Any]:
    """The record alone of what ``write_weights`` wrote; it stands first, and of the tensors nothing is read or checked.

    Parameters
    ----------
    path : str or path
    kind : str or tuple of str
        As for ``read_weights``.

    Returns
    -------
    dict

    Raises
    ------
    WeightsError
        The file cannot be read, does not begin like one of weights, or holds something else.
    """

    def begin(file: BinaryIO) -> bytes:
        length = file.read(8)
        return length + file.read(min(int.from_bytes(length, "little"), LARGEST_HEAD))

    def parse(content: bytes) -> dict[str, Any]:
        return _record_in(content, kind)

    return read_record(path, parse, WeightsError, called="a file of weights", advice=ADVICE, largest=LARGEST, read=begin)


def _record_in(content: bytes, kind: str | tuple[str, ...]) -> dict[str, Any]:
    """The record that a file of weights begins with."""
    kinds = (kind,) if isinstance(kind, str) else kind
    if content[:2] == b"PK" or (content[:1] == b"\x80" and content[8:9] != b"{"):  # a length may begin like a pickle
        raise WeightsError(f"is a pickle, which could run any program when opened; {ADVICE}")
    try:
        (length,) = struct.unpack_from("<Q", content)
        record = json.loads(json.loads(content[8 : 8 + length])["__metadata__"][RECORD])
    except (ValueError, KeyError, TypeError, RecursionError, struct.error) as error:
        raise WeightsError(f"is no file of weights ({type(error).__name__}); {ADVICE}") from error
    if not isinstance(record, dict) or record.get("format") != FORMAT or record.get("kind") not in kinds:
        found = f"{record.get('kind')} of format {record.get('format')}" if isinstance(record, dict) else "something else"
        raise WeightsError(f"holds {found}, needed is {' or '.join(kinds)} of format {FORMAT}; {ADVICE}")
    return record
