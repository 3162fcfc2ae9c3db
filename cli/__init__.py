"""The command line: one command per file, generated from the options where it can be."""

from compositor.cli.entry import main

__all__ = ["main"]
