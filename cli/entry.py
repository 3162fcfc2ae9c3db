"""The command ``compositor``: its commands, its exit codes and how it ends when something goes wrong."""

from __future__ import annotations

import contextlib
import gc
import os
import platform
import signal
import sys
import traceback
from types import FrameType
from typing import NoReturn

import click

import compositor
from compositor.cli.classify import classify
from compositor.cli.compare import compare
from compositor.cli.compose import compose
from compositor.cli.console import Console
from compositor.cli.correct import correct
from compositor.cli.demo import demo
from compositor.cli.generate import generate
from compositor.cli.group import group
from compositor.cli.info import info
from compositor.cli.mosaic import mosaic
from compositor.cli.options import as_typed
from compositor.cli.paste import paste
from compositor.cli.refine import refine
from compositor.cli.register import register
from compositor.cli.similar import similar
from compositor.cli.stitch import stitch
from compositor.cli.style import style
from compositor.cli.train import train
from compositor.errors import CompositorError, LimitError
from compositor.heap import keep_freed_memory

__all__ = ["main"]

EXIT_CODES = """\b
Exit codes:
  0    done
  1    failed
  2    wrong usage; a file is not where it was said to be; the output exists, its folder is missing or its ending is unknown
  3    done, but something was left out: the warnings say what and why
  4    fewer than two usable photos overlap
  5    more memory would be needed than is allowed
  130  interrupted (SIGINT)
  143  terminated (SIGTERM)
The picture is written with 0 and 3 only; a registration may be there when the picture fails."""


OPENCV_OUT_OF_MEMORY = -4
"""``code`` of the error that OpenCV raises then."""


class Stopped(BaseException):
    """Somebody asked the process to end; holds the number of the signal."""


def show_version(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    """Print the versions that a bug report needs; asks the installation, imports nothing."""
    if not wanted or context.resilient_parsing:
        return
    import importlib.metadata

    click.echo(f"compositor {compositor.__version__}")
    click.echo(f"python {platform.python_version()}")
    for name in ("numpy", "scipy", "numba", "opencv-contrib-python"):
        click.echo(f"{name} {importlib.metadata.version(name)}")
    context.exit()


@click.group(epilog=EXIT_CODES, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=show_version, help="Show the versions and exit.")
def commands() -> None:
    """Several photos become one picture."""


for command in (
    stitch,
    register,
    compose,
    correct,
    refine,
    paste,
    group,
    similar,
    compare,
    classify,
    mosaic,
    style,
    train,
    generate,
    info,
    demo,
):
    commands.add_command(command)


def main() -> NoReturn:
    """Run the command line and exit."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    keep_freed_memory()
    start_lean()
    code = run(sys.argv[1:])
    # Everything is written and closed. Taking the interpreter apart would cost as much again as starting it.
    with contextlib.suppress(OSError):  # what could not be written was complained about
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


def start_lean() -> None:
    """Spare the work that only longer lives repay; a third of a second.

    Loading its first kernel, Numba imports SciPy's linear algebra, for calls that no kernel here makes; it does without where there
    is none. And imports make so many objects that the collector looks for garbage among them again and again, in vain. NumPy's linear
    algebra would start threads that nothing here asks for work (``threads.limit_threads``).
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    sys.modules["scipy.linalg"] = None  # type: ignore[assignment]
    gc.set_threshold(100_000)


def run(arguments: list[str]) -> int:
    """Run one command; what went wrong becomes one line on stderr, with ``--json`` an object on stdout too, and an exit code."""
    # Known before the arguments are parsed, for whatever is wrong with them is told in the same way.
    asked = arguments[: arguments.index("--")] if "--" in arguments else arguments
    command = arguments[0] if arguments and arguments[0] in commands.commands else ""
    console = Console(json="--json" in asked, command=command, arguments=arguments)
    try:
        return commands.main(arguments, prog_name="compositor", standalone_mode=False, obj=console) or 0
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return error.exit_code
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        console.error(f"{error.format_message()} ({context.command_path} --help)" if context else error.format_message())
        return error.exit_code
    except Stopped as stopped:
        console.error(f"stopped by {signal.Signals(stopped.args[0]).name}{console.when_stopped()}")
        return int(128 + stopped.args[0])
    except Exception as error:  # the last place where a person can be told in one line
        if console.debug:
            traceback.print_exc()
        return explain(error, console)


def explain(error: Exception, console: Console) -> int:
    """Say in one line what went wrong; the exit code for it."""
    if isinstance(error, CompositorError):
        console.error(as_typed(error), error.left_out)
        return error.exit_code
    if isinstance(error, MemoryError) or getattr(error, "code", None) == OPENCV_OUT_OF_MEMORY:
        console.error("memory ran out; give fewer photos, a smaller --scale or a smaller --max-memory")
        return LimitError.exit_code
    console.error(f"unexpected {type(error).__name__}: {error}; this is a mistake in compositor, --debug shows where")
    return CompositorError.exit_code


def stop(number: int, _: FrameType | None) -> NoReturn:
    """Unwind, so that temporary files are removed."""
    raise Stopped(number)
