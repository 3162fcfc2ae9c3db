"""How much memory there is, asked before much of it is taken."""

from __future__ import annotations

import os
from pathlib import Path

from compositor.errors import LimitError

__all__ = ["available_memory", "require_memory"]

UNKNOWN = 4_000_000_000
"""Bytes that a machine is taken to have that does not tell."""
SHARE = 0.75
"""Of what is free, that may be taken."""


def available_memory() -> int:
    """Bytes that this machine could still give to a process."""
    meminfo = Path("/proc/meminfo")
    if meminfo.exists():
        for line in meminfo.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return UNKNOWN


def require_memory(needed: float, what: str, advice: str) -> None:
    """Refuse what would take more than three quarters of the memory that is free.

    Parameters
    ----------
    needed : float
        Bytes.
    what, advice : str
        What needs them, and what to try instead, for the message.

    Raises
    ------
    LimitError
    """
    allowed = SHARE * available_memory()
    if needed > allowed:
        raise LimitError(f"{what} needs {needed / 1e6:.0f} MB of memory, {allowed / 1e6:.0f} MB may be taken; try {advice}")
