"""The card that lies beside weights: what they are, how good, and what they learned from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from compositor.errors import counted

__all__ = ["card"]


def card(name: str, record: Mapping[str, Any], *, called: str, command: str, meant: str, measured: str) -> str:
    """What a reader should know of weights, as Markdown.

    Parameters
    ----------
    name : str
        Of their file.
    record : mapping
        As it stands in the weights.
    called : str
        What they are the weights of.
    command : str
        What trained them, such as «train refiner».
    meant : str
        What they are meant for, what they see and what they are not for; a paragraph.
    measured : str
        What the figures were measured on.
    """
    numbers = {key: f"{value:.5g}" for key, value in record["figures"].items() if isinstance(value, int | float)}
    ended = ", ".join(f"{key} {numbers.pop(key)}" for key in record["losses"] if key in numbers)
    step = f"\nThe last step was {numbers.pop('iteration')}, its losses: {ended}.\n" if "iteration" in numbers and ended else ""
    figures = "\n".join(f"| {key} | {value} |" for key, value in numbers.items())
    photographs, held_out = (
        "\n".join(f"- {name} `{digest}`" for digest, name in record[part].items()) for part in ("photographs", "held_out")
    )
    left_out = "\n".join(f"- {name}: {reason}" for name, reason in record.get("left_out", []))
    return f"""# {name}

Weights of {called}, {record["parameters"]} parameters; SHA-256 of the tensors {record["sha256"]}.
Trained by `compositor {command}` of compositor {record["compositor"]}, PyTorch {record["torch"]}, on {record["device"]}
({counted(record["computing_threads"], "computing thread")}), with {json.dumps(record["options"])}.

{meant}

## Measured on {measured}

| figure | value |
| --- | --- |
{figures}
{step}
## Learned from

{photographs}

## Measured on

{held_out}
""" + (f"\n## Left out\n\n{left_out}\n" if left_out else "")
