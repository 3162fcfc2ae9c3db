"""Command line options made from the fields of an options record, so that names, defaults and help stand in one place."""

from __future__ import annotations

import ast
import dataclasses
import re
import shlex
import typing
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

from compositor import options
from compositor.errors import CompositorError
from compositor.options import Options, PictureSize, RunOptions

__all__ = ["Command", "as_typed", "model_files", "options_from"]

Command = TypeVar("Command", bound=Callable[..., Any])

RECORDS = [record for record in map(vars(options).get, options.__all__) if isinstance(record, type) and issubclass(record, Options)]
NAMES = sorted(
    {field.name for record in RECORDS for field in dataclasses.fields(record)} | {"overwrite", "mask", "limit", "owner", "seams", "of"}
)
QUOTES = ("'", '"')
VALUE = r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|True|False|-?[0-9.]+(?:e[-+]?[0-9]+)?(?![\w.])"""
"""Text, a truth or a number, as Python writes it."""
MENTION = rf"(?<![\w./\\-])(?P<name>{'|'.join(NAMES)})=(?P<value>{VALUE}|(?![^\s,;)]))"
"""An option in a message, with its value or without."""


def options_from(record: type[Options], *, run: bool = True) -> Callable[[Command], Command]:
    """A decorator that gives a command one option per field; how to run, if that is wanted too, comes after what to do."""
    run_names = [field.name for field in dataclasses.fields(RunOptions)]
    fields = sorted(dataclasses.fields(record), key=lambda field: field.name in run_names)
    fields = [field for field in fields if run or field.name not in run_names]
    hints = typing.get_type_hints(record)

    def decorate(command: Command) -> Command:
        for field in reversed(fields):
            command = option_of(field, hints[field.name])(command)
        return command

    return decorate


def as_typed(error: CompositorError) -> str:
    """An error's message with options as they are typed: ``--fov 50`` where Python has ``fov=50``, ``--fov`` for ``fov=``."""
    from compositor.images.files import printable

    def typed(mention: re.Match[str]) -> str:
        if mention["name"] is None:
            return mention[0]
        name, value = "--" + mention["name"].replace("_", "-"), mention["value"]
        if value in ("", "True"):
            return name
        if value == "False":
            return name.replace("--", "--no-", 1)
        return f"{name} {shlex.quote(str(ast.literal_eval(value))) if value[0] in QUOTES else value}"

    # The file's name may look like an option and stays what it is.
    path = "" if error.path is None else re.escape(printable(error.path)) + "|"
    return re.sub(path + MENTION, typed, str(error))


def model_files(options: Mapping[str, Any]) -> list[str]:
    """Files of networks that options name, which no output may replace."""
    return [options[name] for name in ("feature_model", "matcher_model") if options[name]]


def option_of(field: dataclasses.Field[Any], hint: Any) -> Callable[[Command], Command]:
    """The option of one field: its choices, its range, its default and its help."""
    name = field.name.replace("_", "-")
    declaration = f"--{name}/--no-{name}" if hint is bool else f"--{name}"
    parts = typing.get_args(hint) if typing.get_origin(hint) is tuple else (hint,)
    return click.option(
        *(f"-{letter}" for letter in field.metadata["short"]),
        declaration,
        field.name,
        type=parameter_type(field, parts[0]),
        nargs=len(parts),
        default=field.default,
        show_default=field.default != "",
        help=field.metadata["help"],
    )


def parameter_type(field: dataclasses.Field[Any], hint: Any) -> click.ParamType[Any]:
    """What the command line accepts for a field."""
    if typing.get_origin(hint) is typing.Literal:
        return click.Choice(typing.get_args(hint))
    if hint is bool:
        return click.BOOL
    if hint is PictureSize:
        return click.STRING  # the record tells what is wrong with it
    if hint is str:
        return click.Path()
    limits = {"min": field.metadata["low"], "max": field.metadata["high"]}
    return click.IntRange(**limits) if hint is int else click.FloatRange(**limits)
