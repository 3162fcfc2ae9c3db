"""Where networks compute, and on how many threads."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch

from compositor.errors import OptionError

__all__ = ["choose_device", "computing_in", "ran_out", "torch_threads"]


def choose_device(wanted: str) -> str:
    """The device of this name; for «auto» a GPU where there is one, else the CPU.

    Raises
    ------
    OptionError
        There is no such device here.
    """
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if wanted == "auto":
        return next(name for name in ("cuda", "mps", "cpu") if there[name])
    if not there.get(wanted):
        raise OptionError(f"device={wanted!r} is not there; take one of {', '.join(name for name in there if there[name])}")
    return wanted


def ran_out(error: RuntimeError) -> bool:
    """Whether it says that a device has no memory left."""
    return isinstance(error, torch.cuda.OutOfMemoryError) or "out of memory" in str(error).lower()  # MPS has no error of its own for it


def computing_in(precision: str, device: str) -> contextlib.AbstractContextManager[None]:
    """Let what is costly be computed in «float32» or, where nothing is lost by it, in «bfloat16» inside the block.

    bfloat16 reaches as far as float32, so that gradients need no scaling.
    """
    return torch.autocast(device, dtype=torch.bfloat16, enabled=precision == "bfloat16")


@contextlib.contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Let PyTorch use so many threads of the CPU inside the block; sums may come out differently on more."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
