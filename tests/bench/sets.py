"""Run commands on many photo sets, side by side.

Prints a Markdown table with a row for every set and command: photos used of given, the names of those left out (or the last line on
stderr where nothing was made), size, projection and motion model where the command tells, wall and CPU seconds, peak memory of the
process tree (PSS, sampled), exit code, and the command with its options.

A command tells what it used by a JSON object on stdout, as «compositor stitch --json», or by a line «used N of M».
Without a folder a set is rendered.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import click
from measure import OURS, Commands, Outcome, named_commands, run_command
from scenes import SCENES, photos_in, render_set
from tables import print_heading, print_row, short


@click.command(help=__doc__)
@click.option(
    "--run",
    "commands",
    multiple=True,
    default=[f"compositor={OURS}"],
    callback=named_commands,
    metavar="NAME='COMMAND'",
    help="A command with {out} and {photos} in it; may be given several times. Default: compositor stitch, beside this Python.",
)
@click.option("--keep", type=click.Path(path_type=Path), help="Keep the pictures in this folder; those of an earlier run are replaced.")
@click.option("--timeout", default=600.0, show_default=True, help="Seconds that a command may take.")
@click.argument("folders", nargs=-1, type=click.Path(exists=True, file_okay=False, path_type=Path))
def sets(commands: Commands, keep: Path | None, timeout: float, folders: tuple[Path, ...]) -> None:
    with tempfile.TemporaryDirectory(prefix="compositor-bench-") as temporary:
        chosen = [folder.resolve() for folder in folders] or [render_set(Path(temporary, "rendered", "grid"), **SCENES["grid"])]
        given = {f"{folder.parent.name}/{folder.name}": photos_in(folder) for folder in chosen}
        results = keep or Path(temporary)
        results.mkdir(parents=True, exist_ok=True)
        print_heading(commands)
        columns = "set, run, used / given, left out, size, projection, model, wall s, CPU s, memory MB, exit, command"
        print_row(*columns.split(", "), header=True)
        for label, photos in given.items():
            for name, words in commands.items():
                outcome = run_command(words, results / f"{label.replace('/', '-')}-{name}.jpg", photos, timeout=timeout)
                print_row(label, name, *cells(outcome), short(words))


def cells(outcome: Outcome) -> list[object]:
    """What a row says of one run."""
    told = outcome.told
    return [
        f"{'?' if outcome.used is None else outcome.used} / {outcome.given}",
        left_out(outcome),
        "x".join(map(str, outcome.size)) if outcome.size else None,
        told.get("projection"),
        told.get("model"),
        f"{outcome.wall:.2f}",
        f"{outcome.cpu:.2f}",
        f"{outcome.memory:.0f}",
        "out of time" if outcome.code is None else outcome.code,
    ]


def left_out(outcome: Outcome) -> str | None:
    """Names of the photos left out, as far as the command tells them; why nothing was made when nothing was."""
    if outcome.size is None:
        return outcome.last_words
    names = [photo["name"] for photo in outcome.told.get("left_out", ())]
    if not names and outcome.used is not None and outcome.used < outcome.given:
        return f"{outcome.given - outcome.used}, not named"
    return ", ".join(names) or None


if __name__ == "__main__":
    sets()
