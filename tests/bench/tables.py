"""What every benchmark prints: the command it was given, the machine, and the rows of a Markdown table."""

from __future__ import annotations

import datetime
import os
import platform
import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path


def print_heading(commands: Mapping[str, Sequence[str]] | None = None) -> None:
    """The exact command that was given, the machine and the day, and what each name in the table runs."""
    model = re.search(r"^model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text(), re.M)
    print(f"`{shlex.join(sys.orig_argv)}`\n")
    print(f"{datetime.date.today()}, {os.cpu_count()} cores, {model[1] if model else platform.machine()}, load {os.getloadavg()[0]:.1f}\n")
    if commands:
        print(*(f"- {name}: `{shlex.join(words)}`" for name, words in commands.items()), "", sep="\n")


def print_row(*cells: object, header: bool = False) -> None:
    """One row of a Markdown table, at once; None is a dash."""
    print("|", " | ".join("–" if cell is None else str(cell).replace("|", "/") for cell in cells), "|", flush=True)
    if header:
        print("|", " --- |" * len(cells), sep="", flush=True)


def short(words: Sequence[str]) -> str:
    """A command with its options, without the folders of its programs and files."""
    return f"`{' '.join(Path(word).name if word.startswith('/') else word for word in words)}`"
