"""Command line options made from the fields of an options record, so that names, defaults and help stand in one place."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

from compositor.options import PictureSize, RunOptions

__all__ = ["Command", "model_files", "options_from"]

Command = TypeVar("Command", bound=Callable[..., Any])


def options_from(record: type[RunOptions]) -> Callable[[Command], Command]:
    """A decorator that gives a command one option per field; how to run comes after what to do."""
    run_names = [field.name for field in dataclasses.fields(RunOptions)]
    fields = sorted(dataclasses.fields(record), key=lambda field: field.name in run_names)
    hints = typing.get_type_hints(record)

    def decorate(command: Command) -> Command:
        for field in reversed(fields):
            command = option_of(field, hints[field.name])(command)
        return command

    return decorate


def model_files(options: Mapping[str, Any]) -> list[str]:
    """Files of networks that options name, which no output may replace."""
    return [options[name] for name in ("feature_model", "matcher_model") if options[name]]


def option_of(field: dataclasses.Field[Any], hint: Any) -> Callable[[Command], Command]:
    """The option of one field: its choices, its range, its default and its help."""
    name = field.name.replace("_", "-")
    declaration = f"--{name}/--no-{name}" if hint is bool else f"--{name}"
    parts = typing.get_args(hint) if typing.get_origin(hint) is tuple else (hint,)
    return click.option(
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
