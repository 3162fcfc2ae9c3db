"""The options that give seams a second look."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

import click

import compositor
from compositor.cli.options import Command
from compositor.options import DeviceMethod

if TYPE_CHECKING:
    from compositor.compose.layers import Refine

__all__ = ["refine_options", "refiner_of"]


def refine_options(command: Command) -> Command:
    """How seams are looked at again, by what network, and where that computes."""
    for decorate in (
        click.option(
            "--device", type=click.Choice(get_args(DeviceMethod)), default="auto", show_default=True, help="Where a network computes."
        ),
        click.option("--weights", type=click.Path(), help="Weights of that network, a .safetensors file."),
        click.option(
            "--refine",
            type=click.Choice(["none", "classical", "learned"]),
            default="none",
            show_default=True,
            help="Look at every seam again and close what shows of it, without or with a network; taken where the seam then shows less.",
        ),
    ):
        command = decorate(command)
    return command


def refiner_of(refine: str, weights: str | None, device: str) -> Refine | None:
    """What the options ask for.

    Raises
    ------
    click.UsageError
        Weights are named for nothing.
    CompositorError
        PyTorch is not installed, or the weights cannot be used.
    """
    if refine != "learned":
        if weights is not None:
            raise click.UsageError("--weights are those of a network; give --refine learned too")
        return compositor.close_seam if refine == "classical" else None
    from compositor.learned import Refiner

    return Refiner.load(weights, device=device).close_seam
