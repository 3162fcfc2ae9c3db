"""One command, measured as a whole process tree, and what it tells of its result. Linux only: it reads /proc."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re
import select
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

PAUSE = 0.03
"""Seconds between two looks at the memory."""

OURS = shlex.join([str(Path(sys.executable).with_name("compositor")), *["stitch", "{photos}", "-o", "{out}", "--overwrite", "--json"]])
OPENCV = shlex.join([sys.executable, str(Path(__file__).with_name("opencv_stitcher.py")), "{out}", "{photos}"])

Commands = dict[str, list[str]]


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What one run of a command took and gave.

    ``wall`` and ``cpu`` are seconds, ``memory`` is the peak of the tree's proportional set size in MB, ``code`` is None when the time was
    up, ``used`` is None when the command does not tell, ``told`` is its JSON object, ``size`` the picture's width and height.
    """

    wall: float
    cpu: float
    memory: float
    code: int | None
    given: int
    used: int | None
    told: dict[str, Any]
    size: tuple[int, int] | None
    last_words: str

    @property
    def whole(self) -> bool:
        """Whether it ended well, wrote a picture and used every photo."""
        return self.code == 0 and self.size is not None and self.used == self.given


def run_command(
    command: Sequence[str],
    out: Path,
    photos: Sequence[str],
    *,
    timeout: float,
    environment: Mapping[str, str] | None = None,
    watched: bool = True,
) -> Outcome:
    """Run a command to its end, or for ``timeout`` seconds; ``{out}`` and ``{photos}`` in it are filled in.

    Looking at the memory of a process of half a gigabyte takes a third of a core, and holds the process up meanwhile. A run whose seconds
    count is not ``watched``; its ``memory`` is 0.
    """
    out.unlink(missing_ok=True)
    words = [filled for word in command for filled in (photos if word == "{photos}" else [word.replace("{out}", str(out))])]
    peak, late = 0.0, False
    with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        start = time.perf_counter()
        process = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr, start_new_session=True, env={**os.environ, **(environment or {})}
        )
        ended = os.pidfd_open(process.pid)
        try:
            while not select.select([ended], [], [], PAUSE)[0] and not late:
                peak = max(peak, tree_memory(process.pid)) if watched else peak
                late = time.perf_counter() - start > timeout
            wall = time.perf_counter() - start
        finally:
            # Whatever it started goes with it, also when this is interrupted. It is not waited for yet, so the number is still its own.
            os.killpg(process.pid, signal.SIGKILL)
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            os.close(ended)
        text, complaints = (file.seek(0) or file.read().decode(errors="replace") for file in (stdout, stderr))
    told, size = json_object(text), picture_size(out)
    used = photos_used(text, told)
    return Outcome(
        wall=wall,
        cpu=usage.ru_utime + usage.ru_stime,
        memory=peak,
        code=None if late else process.returncode,
        given=len(photos),
        used=0 if used is None and size is None and process.returncode else used,
        told=told,
        size=size,
        last_words=(complaints.strip().splitlines() or [""])[-1].strip(),
    )


def tree_memory(process: int) -> float:
    """Proportional set size of a process and all its descendants, MB: what they share is counted once."""
    total, waiting = 0, [str(process)]
    while waiting:
        folder = Path("/proc", waiting.pop())
        with contextlib.suppress(OSError):  # it may end while it is looked at
            total += int(re.search(r"^Pss:\s+(\d+)", (folder / "smaps_rollup").read_text(), re.M)[1])
            waiting += [child for task in folder.glob("task/*/children") for child in task.read_text().split()]
    return total * 1024 / 1e6


def json_object(text: str) -> dict[str, Any]:
    """The JSON object that a text is, or an empty one."""
    with contextlib.suppress(ValueError):
        if isinstance(told := json.loads(text), dict):
            return told
    return {}


def photos_used(text: str, told: Mapping[str, Any]) -> int | None:
    """How many photos are in the result: from a JSON list ``used``, or from a line «used N of M»."""
    if isinstance(told.get("used"), list):
        return len(told["used"])
    line = re.search(r"\bused (\d+) of \d+", text)
    return int(line[1]) if line else None


def picture_size(path: Path) -> tuple[int, int] | None:
    """Width and height of a written picture, or None."""
    from PIL import Image

    Image.MAX_IMAGE_PIXELS = None
    try:
        with Image.open(path) as picture:
            return picture.size
    except OSError:
        return None


def named_commands(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> Commands:
    """Callback of ``--run NAME='COMMAND'``: the words of each command by its name."""
    commands = {}
    for value in values:
        name, _, template = value.partition("=")
        words = shlex.split(template)
        if "{photos}" not in words or not shutil.which(words[0]):
            raise click.BadParameter(f"«{value}» is not NAME='PROGRAM … {{out}} … {{photos}}' with a program that exists")
        commands[name] = words
    return commands
