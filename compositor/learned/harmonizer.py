"""The harmonizer in use: a composite and its object's mask in, the composite with the object in a tone that fits out."""

from __future__ import annotations

import math
import os
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray

from compositor.errors import OptionError
from compositor.learned.clues import Clues, gather_clues
from compositor.learned.device import choose_device, torch_threads
from compositor.learned.harmonizing import KIND
from compositor.learned.harmony import HarmonyNetwork, HarmonyShape, Seen
from compositor.learned.tones import apply_tone
from compositor.learned.weights import fitting, packaged_weights, read_weights
from compositor.options import HarmonizeOptions

__all__ = ["Harmonizer"]

AT_ONCE = 2**20
"""Pixels that are corrected at a time: bounds memory at any size of picture."""
ROUNDING = 0.5 / 255
"""What rounding to 8 bits adds at most, and does add where a flat colour changes."""
LOOKS = 4
"""Times that a composite is looked at, at other random places each time; what is concluded is the mean."""
Floats = NDArray[np.float32]


class Harmonizer:
    """Fits the tone of pasted objects to what surrounds them.

    Parameters
    ----------
    network : HarmonyNetwork
    device : str
        «auto», «cpu», «cuda» or «mps».
    strength : float
        How much of the proposed change is made, 0..1; the weights are measured with 1.
    limit : float
        Levels of 8 bits that an object may change, root mean square, also after its pixels are rounded to 8 bits.

    Attributes
    ----------
    report : dict
        Of the last call: by how many ``stops`` the network would make the object brighter, ``red`` and ``blue`` beside green, the
        exponent of ``contrast`` and the factor of ``saturation``, the ``haze`` it would take; the ``strength`` at which that was done
        to stay within the limit, and the ``change`` it made, in levels of 8 bits, root mean square. Empty where nothing was to do.
    """

    def __init__(
        self,
        network: HarmonyNetwork,
        *,
        device: str = "auto",
        strength: float = HarmonizeOptions.strength,
        limit: float = HarmonizeOptions.limit,
    ) -> None:
        HarmonizeOptions(strength=strength, limit=limit)  # refuses what is out of range
        self.device, self.strength = choose_device(device), strength
        self.limit = max(limit / 255 - ROUNDING, 0)
        self.network = network.to(self.device).eval().requires_grad_(False)
        self.report: dict[str, float] = {}

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str] | None = None,
        *,
        device: str = "auto",
        strength: float = HarmonizeOptions.strength,
        limit: float = HarmonizeOptions.limit,
    ) -> Self:
        """The harmonizer with weights from a file, or with those that ship with the package.

        Raises
        ------
        WeightsError
            The file is none, is damaged, or fits another network.
        """
        path = packaged_weights("harmonizer") if path is None else path
        tensors, record = read_weights(path, kind=KIND)
        with fitting(path):
            network = HarmonyNetwork(HarmonyShape(**record["shape"]))
            network.load_state_dict(tensors)
        return cls(network, device=device, strength=strength, limit=limit)

    @torch_threads(1)  # the same bytes whatever the machine
    @torch.inference_mode()
    def __call__(self, pixels: Floats, alpha: Floats) -> Floats:
        """Change the object's tone.

        Parameters
        ----------
        pixels : (h, w, 3) float32
            The composite: encoded RGB, 0..1.
        alpha : (h, w) float32
            Shares of its pixels that are the object's, 0..1.

        Returns
        -------
        (h, w, 3) float32
            The same pixels where ``alpha`` is 0. The object changes by ``limit`` at most, root mean square over the pixels
            that are more than half its own.

        Raises
        ------
        OptionError
            The two do not fit each other.
        """
        if pixels.ndim != 3 or pixels.shape[2] != 3 or alpha.shape != pixels.shape[:2]:
            raise OptionError(
                f"a composite of shape {pixels.shape} and shares of shape {alpha.shape} do not fit; needed are (h, w, 3), (h, w)"
            )
        self.report = {}
        clues = gather_clues(pixels, alpha, np.random.default_rng(0), looks=LOOKS)
        if not clues:
            return pixels.copy()
        tones = self.network(self._seen(Clues.stack(clues)))
        tone = tones.mean(0, keepdim=True).cpu()
        if not (tone.any() and torch.isfinite(tone).all()):
            return pixels.copy()
        own = alpha > 0
        shares, before = alpha[own][:, None], pixels[own]
        change = np.concatenate([_corrected(tone, part) - part for part in np.array_split(before, len(before) // AT_ONCE + 1)]) * shares
        size = float(np.sqrt(np.square(change[shares[:, 0] > 0.5], dtype=np.float64).mean()))
        strength = min(self.strength, self.limit / max(size, 1e-9))
        made = pixels.copy()
        made[own] = before + np.float32(strength) * change
        self.report = _told(tone[0].tolist(), strength, size)
        return made

    def _seen(self, clues: Clues) -> Seen:
        names = ("object", "near", "far", "pairs", "pair_weights", "share")
        return Seen(**{name: torch.from_numpy(getattr(clues, name)).to(self.device) for name in names})


def _corrected(tone: torch.Tensor, colours: Floats) -> Floats:
    """Colours, (n, 3), after a correction."""
    return np.asarray(apply_tone(tone, torch.from_numpy(np.ascontiguousarray(colours))[None])[0].numpy())


def _told(tone: list[float], strength: float, size: float) -> dict[str, float]:
    """What was done, in a photographer's words."""
    red, green, blue, exponent, saturation, haze = tone
    stops = 2.2 / math.log(2)  # of light, per unit of the logarithm of an encoded value
    return {
        "stops": (red + green + blue) / 3 * stops,
        "red": (red - green) * stops,
        "blue": (blue - green) * stops,
        "contrast": math.exp(exponent),
        "saturation": math.exp(saturation),
        "haze": haze,
        "strength": strength,
        "change": strength * size * 255,
    }
