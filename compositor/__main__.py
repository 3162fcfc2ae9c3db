"""``python -m compositor`` is the command line."""

from compositor.cli import main

main()
