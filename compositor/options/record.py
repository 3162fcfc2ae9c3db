"""What every record of options does: it checks its values, and each of its fields knows its help text and its range."""

from __future__ import annotations

import dataclasses
import difflib
import numbers
import os
import typing
from collections.abc import Mapping
from typing import Any, Literal, NewType, Self

from compositor.errors import OptionError

__all__ = ["LARGEST_SIZE", "Options", "PictureSize", "RunOptions", "option"]

PictureSize = NewType("PictureSize", str)
"""Width and height in px, as «4000x2000», or the width only; «» for none."""

LARGEST_SIZE = 2**24
"""Pixels a side."""

KINDS: dict[Any, tuple[Any, str]] = {
    bool: (bool, "True or False"),
    int: (numbers.Integral, "a whole number"),
    float: (numbers.Real, "a number"),
    str: ((str, os.PathLike), "a path"),
    PictureSize: (str, "a size such as '4000x2000' or (4000, 2000), or '4000' or 4000 for the width"),
}
"""What a field of each type takes; plain text is always the path of a file or folder, «» for none."""


def option(default: Any, text: str, *, low: float | None = None, high: float | None = None, short: str = "") -> Any:
    """A dataclass field with its help text and, for numbers, its allowed range; «short» is a letter for the command line."""
    return dataclasses.field(default=default, metadata={"help": text, "low": low, "high": high, "short": short})


def _check_value(field: dataclasses.Field[Any], value: Any, hint: Any) -> None:
    """Refuse what is not of its kind, or a number out of the field's range."""
    low, high = field.metadata.get("low"), field.metadata.get("high")
    kind, called = KINDS[hint]
    if not isinstance(value, kind) or (kind is not bool and isinstance(value, bool)):
        raise OptionError(f"{field.name}={value!r} is not {called}")
    if hint is not str and not ((low is None or value >= low) and (high is None or value <= high)):
        raise OptionError(f"{field.name}={value!r} is out of range; it must lie in {low} .. {'any' if high is None else high}")


ARGUMENTS = ("masks", "feature_masks", "show_masks", "matcher", "photometry", "refine", "approve", "progress")
"""What the functions of ``compositor.stitch`` take beside options; a mistyped one arrives among these."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """Values that are checked.

    Raises
    ------
    OptionError
        A value is none of the choices or out of its range.
    """

    def __post_init__(self) -> None:
        hints = typing.get_type_hints(type(self))
        for field in dataclasses.fields(self):
            value, choices = getattr(self, field.name), typing.get_args(hints[field.name])
            if typing.get_origin(hints[field.name]) is Literal:
                if value not in choices:
                    raise OptionError(f"{field.name}={value!r} is not known; choose one of {', '.join(map(repr, choices))}")
                continue
            parts = [(value, hints[field.name])]
            if typing.get_origin(hints[field.name]) is tuple:
                if not isinstance(value, tuple) or len(value) != len(choices):
                    raise OptionError(f"{field.name}={value!r} is not a tuple of {len(choices)}")
                parts = list(zip(value, choices, strict=True))
            for part, hint in parts:
                _check_value(field, part, hint)
            if hints[field.name] is str:
                object.__setattr__(self, field.name, os.fsdecode(value))  # options hold plain values

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """Options from a mapping of names to values.

        Raises
        ------
        OptionError
            A name or value is not known; the message lists the right ones.
        """
        names = [field.name for field in dataclasses.fields(cls)]
        for name in values:
            if name not in names:
                near = difflib.get_close_matches(name, [*names, *ARGUMENTS], 1)
                hint = f"did you mean {near[0]}? The" if near else "the"
                raise OptionError(f"there is no option {name!r}; {hint} options are {', '.join(names)}")
        return cls(**values)


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunOptions(Options):
    """How to run, whatever is done."""

    threads: int = option(0, "Worker threads; 0 means one per core. The result does not depend on it.", low=0, high=1024)
    seed: int = option(0, "Seed of whatever draws random numbers. Nothing here draws any: the same photos give the same bytes.", low=0)
