"""``compositor generate``."""

from __future__ import annotations

import os
from typing import get_args

import click

from compositor.cli.console import Console, console_options
from compositor.options import DeviceMethod

EXAMPLES = """\b
Examples:
  compositor generate --weights generator.safetensors -o sheet.png --count 100
  compositor generate --weights generator.safetensors -o ships.png --of ship --seed 3
  compositor generate --weights codes.safetensors -o walk.gif --walk 6"""
LEG, PAUSE = 12, 80
"""Pictures between two stops of a walk, and the time that each is shown, ms."""


@click.command(short_help="Make pictures with a network that «train gan» or «train vae» trained.", epilog=EXAMPLES)
@click.option("--weights", type=click.Path(exists=True, dir_okay=False), required=True, help="What «train gan» or «train vae» wrote.")
@click.option("-o", "--output", type=click.Path(), required=True, help="A sheet of pictures, .png, .jpg or .tif; a walk is a .gif.")
@click.option("--overwrite", is_flag=True, help="Replace an output that exists.")
@click.option("--count", type=click.IntRange(1, 100_000), default=64, show_default=True, help="How many pictures.")
@click.option("--of", help="The class of all of them; of every class by turns when not given.")
@click.option(
    "--walk", type=click.IntRange(2, 1000), help="Make a way through so many pictures instead, as a GIF that ends where it began."
)
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), default=0, show_default=True, help="The same pictures come for the same seed.")
@click.option("--device", type=click.Choice(get_args(DeviceMethod)), default="auto", show_default=True, help="Where the network computes.")
@console_options
@click.pass_obj
def generate(
    console: Console,
    /,
    weights: str,
    output: str,
    overwrite: bool,
    count: int,
    of: str | None,
    walk: int | None,
    seed: int,
    device: str,
) -> int:
    """Make pictures with a network that «train gan» or «train vae» trained; needs the extra «learned»."""
    from compositor.images import check_output, write_image
    from compositor.images.animation import check_animation, write_animation
    from compositor.learned.generators import load_generator, sheet

    if walk:
        check_animation(output, overwrite=overwrite)
    else:
        check_output(output, overwrite=overwrite)
    generator = load_generator(weights, device=device)
    if walk:
        write_animation(output, generator.walk(walk, LEG, seed=seed, of=of), pause=PAUSE, overwrite=overwrite)
    else:
        write_image(output, sheet(generator.sample(count, seed=seed, of=of)), overwrite=overwrite)
    made = walk * LEG if walk else count
    console.say(f"{output}: {made} pictures of {generator.size} px")
    console.result("generate", {"output": os.path.abspath(output), "pictures": made, "size": generator.size})
    return 0
