"""Whatever makes pictures, in use: the generator of a pair of adversaries, or the decoder of an autoencoder."""

from __future__ import annotations

import os

from compositor.learned.batches import sheet
from compositor.learned.gan import KIND as GAN
from compositor.learned.gan import Gan
from compositor.learned.vae import KIND as VAE
from compositor.learned.vae import Vae
from compositor.learned.weights import read_told

__all__ = ["load_generator", "sheet"]


def load_generator(path: str | os.PathLike[str], *, device: str = "auto") -> Gan | Vae:
    """What «compositor train gan» or «compositor train vae» wrote, by what the file says it is.

    Raises
    ------
    WeightsError
        The file is none of these, or is damaged.
    """
    told = read_told(path, kind=(GAN, VAE))
    return Gan.load(path, device=device) if told["kind"] == GAN else Vae.load(path, device=device)
