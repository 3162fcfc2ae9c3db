"""``compositor generate``."""

from __future__ import annotations

import os
from typing import Any

import click

from compositor.cli.console import Console, console_options
from compositor.cli.options import options_from
from compositor.errors import OptionError, counted
from compositor.options import GenerateOptions

EXAMPLES = """\b
Examples:
  compositor generate --weights generator.safetensors -o sheet.png --count 100
  compositor generate --weights generator.safetensors -o ships.png --of ship --seed 3
  compositor generate --weights codes.safetensors -o walk.mp4 --walk 6"""
LEG, PAUSE = 12, 80
"""Pictures between two stops of a walk, and the time that each is shown, ms."""


@click.command(short_help="Make pictures with a network that «train gan» or «train vae» trained.", epilog=EXAMPLES)
@click.option("--weights", type=click.Path(), required=True, help="What «train gan» or «train vae» wrote.")
@click.option("-o", "--output", type=click.Path(), required=True, help="A sheet of pictures, .png, .jpg or .tif; a walk is a .gif or .mp4.")
@click.option("--overwrite", is_flag=True, help="Replace an output that exists.")
@click.option("--of", help="The class of all of them; of every class by turns when not given.")
@options_from(GenerateOptions)
@console_options
@click.pass_obj
def generate(console: Console, /, weights: str, output: str, overwrite: bool, of: str | None, **options: Any) -> int:
    """Make pictures with a network that «train gan» or «train vae» trained; needs the extra «learned»."""
    from compositor.images import check_output, write_image
    from compositor.images.animation import ENDINGS, check_animation, write_animation
    from compositor.learned.generators import load_generator, sheet

    wanted = GenerateOptions.of(options)
    if wanted.walk:
        check_animation(output, overwrite=overwrite)
    elif os.path.splitext(output)[1].lower() in ENDINGS:
        raise OptionError(f"{output}: a sheet does not move; give walk=6 too, or a name that ends in .png")
    else:
        check_output(output, overwrite=overwrite)
    generator = load_generator(weights, device=wanted.device)
    if wanted.walk:
        frames = generator.walk(wanted.walk, LEG, seed=wanted.seed, of=of)
        write_animation(output, frames, pause=PAUSE, overwrite=overwrite)
    else:
        frames = generator.sample(wanted.count, seed=wanted.seed, of=of)
        write_image(output, sheet(frames), overwrite=overwrite)
    console.say(f"{output}: {counted(len(frames), 'picture')} of {generator.size} px")
    console.result("generate", {"output": os.path.abspath(output), "pictures": len(frames), "size": generator.size})
    return 0
