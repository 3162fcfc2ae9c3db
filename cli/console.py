"""What a person sees while a command runs: warnings, progress and errors on stderr, each one line; stdout is for results."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import click

from compositor.cli.options import Command
from compositor.errors import WriteError

if TYPE_CHECKING:
    import rich.console

    from compositor.types import Progress

__all__ = ["Console", "console_options", "named", "one_line", "print_text"]

logger, kernels = logging.getLogger("compositor"), logging.getLogger("compositor.kernels")

SCHEMA = 1
"""Version of what ``--json`` prints; raised when a field changes its meaning or goes away."""


def one_line(text: str) -> str:
    """The text on one line, with control characters, which a file's name may have, made visible."""
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in " ".join(text.split()))


def named(left_out: Iterable[tuple[str, str]]) -> list[dict[str, str]]:
    """What ``--json`` tells of what was left out."""
    return [{"name": name, "reason": reason} for name, reason in left_out]


def print_text(text: str) -> None:
    """Put text on stdout.

    Raises
    ------
    WriteError
        The system refused. That nobody reads on at the other end of a pipe is left to click, which ends without a word.
    """
    try:
        click.echo(text)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise WriteError(f"the standard output could not be written ({error.strerror}); free space or send it elsewhere") from error


@dataclasses.dataclass
class Console:
    """How a command talks.

    Parameters
    ----------
    json : bool
        The result goes to stdout as one JSON object.
    quiet : bool
        Only warnings and errors are said.
    verbose : int
        How much more is said: 1 for more, 2 for all.
    debug : bool
        Errors come with a traceback.
    command : str
        Name of the command, «» where there is none.
    left_out : list of (str, str)
        Name and reason of what the command itself left out, before any photo was opened.
    arguments : list of str
        What was typed behind «compositor».
    when_stopped : callable
        What is to be said, beside that it was stopped, when somebody stops the command.
    """

    json: bool = False
    quiet: bool = False
    verbose: int = 0
    debug: bool = False
    command: str = ""
    left_out: list[tuple[str, str]] = dataclasses.field(default_factory=list)
    arguments: list[str] = dataclasses.field(default_factory=list)
    when_stopped: Callable[[], str] = str

    def say(self, text: str) -> None:
        """Tell what happened, unless quiet."""
        if not self.quiet:
            click.echo(one_line(text), err=True)

    def leave_out(self, name: str, reason: str) -> None:
        """Warn of a file that is not taken, and remember it for the result."""
        self.left_out.append((name, reason))
        logger.warning("%s: %s; it is left out", name, reason)

    def error(self, text: str, left_out: Sequence[tuple[str, str]] = ()) -> None:
        """Say what went wrong; for ``--json`` also as an object in place of the result, with what was left out until then."""
        click.echo(f"compositor: error: {one_line(text)}", err=True)
        if self.json:
            # Where stdout is what went wrong, stderr has said so.
            with contextlib.suppress(OSError, WriteError):
                self.result(self.command, {"error": one_line(text), "left_out": named([*left_out, *self.left_out])})

    def result(self, command: str, fields: dict[str, Any], text: str = "") -> None:
        """Put the result on stdout: as one object for ``--json``, else as text."""
        if self.json:
            text = json.dumps({"schema": SCHEMA, "command": command, **fields}, indent=2)
        if text:
            print_text(text)

    @contextlib.contextmanager
    def progress(self) -> Iterator[Progress | None]:
        """A progress bar while the block runs, where somebody watches."""
        if self.quiet or not sys.stderr.isatty() or "NO_COLOR" in os.environ or os.environ.get("TERM") == "dumb":
            yield None
            return
        import rich.console
        import rich.progress

        with rich.progress.Progress(console=rich.console.Console(stderr=True), transient=True) as bars, LogLines.above(bars.console):
            bar = bars.add_task("")

            def show(stage: str, done: int, total: int) -> None:
                bars.update(bar, description=stage, completed=done, total=total)

            yield show


class LogLines(logging.Handler):
    """Shows what the library logs."""

    bars: ClassVar[rich.console.Console | None] = None
    """Where progress bars are shown, while they are."""

    @classmethod
    @contextlib.contextmanager
    def above(cls, bars: rich.console.Console) -> Iterator[None]:
        """While the block runs, lines are shown above progress bars, not behind them."""
        before, cls.bars = cls.bars, bars
        try:
            yield
        finally:
            cls.bars = before

    def emit(self, record: logging.LogRecord) -> None:
        """Show one message."""
        line = f"compositor: {record.levelname.lower()}: {one_line(record.getMessage())}"
        if (bars := self.bars) is None:  # asked once: another thread may be the one that ends them
            click.echo(line, err=True)
        else:
            bars.print(line, markup=False, highlight=False, emoji=False, soft_wrap=True)


def console_options(command: Command) -> Command:
    """The options that every command has for how it talks."""

    def set_flag(name: str) -> Callable[[click.Context, click.Parameter, int], None]:
        def callback(context: click.Context, _: click.Parameter, value: int) -> None:
            setattr(context.obj, name, value)
            if context.obj.quiet:
                kernels.setLevel(logging.NOTSET)
            if context.obj.quiet and context.obj.verbose:
                raise click.UsageError("-q and -v contradict each other; give one of them", context)

        return callback

    def set_verbosity(context: click.Context, parameter: click.Parameter, count: int) -> None:
        logger.handlers = [LogLines()]
        logger.setLevel((logging.WARNING, logging.INFO, logging.DEBUG)[min(count, 2)])
        # Who watches is told what makes him wait, the first time.
        kernels.setLevel(logging.INFO if sys.stderr.isatty() and not context.obj.quiet else logging.NOTSET)
        set_flag("verbose")(context, parameter, count)

    for decorate in (
        click.option("--debug", is_flag=True, expose_value=False, is_eager=True, callback=set_flag("debug"), help="Show tracebacks."),
        click.option("-v", "--verbose", count=True, expose_value=False, callback=set_verbosity, help="Say more; twice says all."),
        click.option("-q", "--quiet", is_flag=True, expose_value=False, callback=set_flag("quiet"), help="Say only warnings and errors."),
        click.option(
            "--json", is_flag=True, expose_value=False, callback=set_flag("json"), help="Print the result as one JSON object on stdout."
        ),
    ):
        command = decorate(command)
    return command
