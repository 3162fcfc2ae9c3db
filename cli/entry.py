"""The command ``compositor``: its commands, what it exits with, and how errors look."""

from __future__ import annotations

import click

__all__ = ["main"]


@click.group()
def compositor() -> None:
    """Several photos become one picture."""


def main() -> None:
    """Run the command line."""
    compositor()
