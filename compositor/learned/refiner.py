"""The refiner in use: two layers in, their composite out, changed only near the seam and, smoothly, in the new layer's tone.

The classical stages do what they can; the network works on what they leave, on small tiles along the seam, so that its cost grows with the
seam's length and not with the picture. What a tile proposes is taken or left as the guard says; neighbouring tiles fade into each other.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
from collections.abc import Iterable
from typing import Any, Self, overload

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from compositor.compose.floor import Finished, finish
from compositor.compose.layers import Layers
from compositor.errors import OptionError
from compositor.images import MaskSource
from compositor.learned.device import choose_device, ran_out, torch_threads
from compositor.learned.examples import pooled
from compositor.learned.guard import judge
from compositor.learned.network import RefinerNetwork, Shape
from compositor.learned.panoramas import refine_panorama
from compositor.learned.strips import TILE, Strip, seam_radius, tile_corners
from compositor.learned.weights import fitting, packaged_weights, read_weights
from compositor.options import RefineOptions
from compositor.panorama import Panorama
from compositor.stitch import Source
from compositor.types import Progress

__all__ = ["Refined", "Refiner"]

logger = logging.getLogger("compositor")

KIND = "a seam refiner"
AT_ONCE = 32
"""Tiles that the network sees at a time: bounds memory at any size of picture."""
FULL = 0.25
"""Sum of the tiles' shares from which on a pixel takes their whole change; less of it where tiles barely reach."""
Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]


@dataclasses.dataclass(frozen=True, eq=False)
class Refined:
    """A refined composite.

    Parameters
    ----------
    pixels : (h, w, 3) float32
        RGB, encoded, 0..1.
    changed : (h, w) bool
        Where they differ from the classical result.
    ring, toned : (h, w) bool
        Where the network was allowed to change them: behind the seam, and by the smooth change of tone.
    report : dict
        ``tiles`` along the seam, how many were ``taken``, how much the seam showed ``before`` and ``after`` (mean of the gradient that
        neither photo explains, in levels of 8 bits), whether the ``tone`` was taken, and the ``largest_change`` in levels.
    """

    pixels: Floats
    changed: Mask
    ring: Mask
    toned: Mask
    report: dict[str, Any]


class Refiner:
    """Makes seams vanish that the classical stages leave.

    Parameters
    ----------
    network : RefinerNetwork, optional
        By default the one whose weights ship with the package.
    device : str
        «auto», «cpu», «cuda» or «mps». Where its memory does not suffice for a single tile, the rest is done on the CPU.
    precision : str
        «float32», «bfloat16» or «float16»: what convolutions along the seam compute with; everything else stays float32.

    Raises
    ------
    OptionError
        There is no such device here, or no such precision.
    """

    def __init__(self, network: RefinerNetwork | None = None, *, device: str = "auto", precision: str = "float32") -> None:
        RefineOptions.of({"refine": "learned", "device": device, "precision": precision})
        network = _read(packaged_weights("refiner")) if network is None else network
        self.device, self.precision = choose_device(device), precision
        # Channels beside each other: convolutions of few channels are half as fast again on a CPU.
        self.network = network.to(self.device, memory_format=torch.channels_last).eval().requires_grad_(False)

    @classmethod
    def load(cls, path: str | os.PathLike[str] | None = None, *, device: str = "auto", precision: str = "float32") -> Self:
        """The refiner with weights from a file, or with those that ship with the package.

        Raises
        ------
        WeightsError
            The file is none, is damaged, or fits another network.
        """
        return cls(None if path is None else _read(path), device=device, precision=precision)

    @overload
    def __call__(self, picture: Layers, finished: Finished | None = None) -> Refined: ...

    @overload
    def __call__(
        self,
        picture: Panorama,
        *,
        photos: Iterable[Source] | None = None,
        masks: Iterable[MaskSource | None] | None = None,
        progress: Progress | None = None,
    ) -> Panorama: ...

    def __call__(
        self,
        picture: Layers | Panorama,
        finished: Finished | None = None,
        *,
        photos: Iterable[Source] | None = None,
        masks: Iterable[MaskSource | None] | None = None,
        progress: Progress | None = None,
    ) -> Refined | Panorama:
        """Composite two layers, or refine the seams of a panorama.

        Parameters
        ----------
        picture : Layers or Panorama
            Layers of at least 64 px a side; or a panorama from ``stitch`` or ``compose``, in memory, blended in bands or not at all. It
            comes out as if it had been made with ``refine=``. A cropped one does so but nearly: seams end at its border, and what the
            network sees at a time begins at its corner, so that along seams everywhere a few levels differ.
        finished : Finished, optional
            What ``compositor.compose.floor.finish`` made of the layers; by default it is called here.
        photos : iterable of path, (h, w[, c]) array or Photo, optional
            What the panorama was made of. A panorama holds one layer only: without its photos the network has nothing to look at behind a
            seam, and only steps in tone are taken out, as by ``compositor.refine``.
        masks : iterable of path, (h, w) array or None, optional
            As the panorama was made with.
        progress : callable, optional
            Called as progress(stage, done, total) while a panorama is refined.

        Returns
        -------
        Refined or Panorama
            Of layers what became of them; of a panorama another one.

        Raises
        ------
        OptionError
            The layers are too small, the panorama lies on disk, or it is neither.
        RegistrationFileError
            A photo of the panorama is missing.
        """
        if isinstance(picture, Panorama) and finished is None:
            return refine_panorama(picture, photos, self.close_seam, masks=masks, progress=progress)
        if isinstance(picture, Layers) and photos is None and masks is None:
            return self._composite(picture, finished)
        raise OptionError(f"{type(picture).__name__} cannot be refined with these; give a Panorama and its photos=, or Layers")

    @torch_threads(1)  # the same bytes whatever the machine
    @torch.inference_mode()
    def _composite(self, layers: Layers, finished: Finished | None) -> Refined:
        """The composite of two layers."""
        if min(layers.owner.shape) < TILE:
            raise OptionError(f"layers of {layers.owner.shape[1]}x{layers.owner.shape[0]} px cannot be refined; at least {TILE} a side can")
        finished = finished or finish(layers, back=True)
        toned, change = self._tone(layers, finished)
        pixels, new = finished.pixels.copy(), finished.new
        if change is not None:
            change *= toned[..., None]
            new = new + change
            pixels = np.clip(pixels + change * finished.weight[..., None], 0, 1)
        radius = seam_radius(layers.picture_height or len(pixels))
        report = self._along_seam(layers, dataclasses.replace(finished, pixels=pixels, new=new), radius)
        ring = layers.overlap & layers.owner & (layers.inside < radius)
        changed, may = np.zeros_like(ring), ring if change is None else ring | (toned > 0)
        red, green, blue = np.abs(pixels[may] - finished.pixels[may]).T
        apart = np.maximum(np.maximum(red, green), blue)  # many times as fast as along an axis
        changed[may] = apart > 0
        report |= {"tone": change is not None, "largest_change": float(apart.max(initial=0) * 255)}
        return Refined(pixels, changed, ring, toned > 0, report)

    def close_seam(self, layers: Layers) -> Floats:
        """The composite of two layers whose light was matched before: a refiner for ``stitch`` and ``compose``.

        As ``compositor.close_seam``, whose result it starts from and returns where the layers are too small for more.
        """
        finished = finish(layers, tone=False, back=True)
        return finished.pixels if min(layers.owner.shape) < TILE else self._composite(layers, finished).pixels

    def _tone(self, layers: Layers, finished: Finished) -> tuple[Floats, Floats | None]:
        """How far the tone of ``new`` may change, 0..1, and the change; None where it would not bring the layers nearer."""
        far = _far_window(layers)
        pictures = [torch.from_numpy(picture.transpose(2, 0, 1)[None].copy()) for picture in pooled(layers, finished)]
        try:
            low = [picture.to(self.device) for picture in pictures]
            correction = self.network.tone(*low)
        except RuntimeError as error:
            self._leave_device(error)
            low = pictures
            correction = self.network.tone(*low)
        if not correction.any() or not torch.isfinite(correction).all():
            return far, None
        shown = torch.nn.functional.interpolate(correction, low[0].shape[-2:], mode="bilinear", align_corners=False)
        apart = low[0] - low[1]
        weight = low[2] * low[3]
        if float(((apart - shown).abs() * weight).sum()) >= float((apart.abs() * weight).sum()):
            return far, None
        h, w = layers.owner.shape
        coarse = np.ascontiguousarray(correction[0].permute(1, 2, 0).cpu().numpy())
        return far, np.asarray(cv2.resize(coarse, (w, h), interpolation=cv2.INTER_LINEAR), np.float32)

    def _along_seam(self, layers: Layers, finished: Finished, radius: int) -> dict[str, Any]:
        """Change the pixels in tiles along the seam; what was found about these."""
        corners = tile_corners(layers.owner & (layers.inside < 1))
        change, shares = np.zeros_like(finished.pixels), np.zeros(layers.owner.shape, np.float32)
        hat = 1 - np.abs(np.arange(TILE, dtype=np.float32) - (TILE - 1) / 2) / (TILE / 2)
        hat = hat[:, None] * hat
        touched = np.zeros_like(layers.owner)
        found: list[tuple[bool, float, float]] = []
        for part in range(0, len(corners), AT_ONCE):
            some = corners[part : part + AT_ONCE]
            proposed, verdicts = self._judged(some, radius, layers, finished)
            for (y, x), own, (taken, _, _) in zip(some, proposed, verdicts, strict=True):
                box = slice(y, y + TILE), slice(x, x + TILE)
                shares[box] += hat
                if taken:
                    change[box] += own * hat[..., None]
                    touched[box] |= own.any(2)
            found += verdicts
        share = np.maximum(shares[touched], FULL)[:, None]
        finished.pixels[touched] = np.clip(finished.pixels[touched] + change[touched] / share, 0, 1)
        before, after = (sum(one[k] if one[0] else one[1] for one in found) / max(len(found), 1) * 255 for k in (1, 2))
        return {"tiles": len(found), "taken": sum(one[0] for one in found), "before": before, "after": after}

    def _judged(
        self, corners: NDArray[np.int64], radius: int, layers: Layers, finished: Finished
    ) -> tuple[Floats, list[tuple[bool, float, float]]]:
        """What the network would change in tiles, (n, h, w, 3); of each whether it is taken, and how much the seam shows without and with.

        A device whose memory does not suffice is given half as many, and at last nothing any more.
        """
        try:
            strip = Strip.at(corners, radius, layers, finished, self.device)
            with self._computing():
                refined = self.network.local(strip)
            verdict = judge(strip, refined)
            verdicts = zip(verdict.taken.tolist(), verdict.before.tolist(), verdict.after.tolist(), strict=True)
            return (refined - strip.pixels).permute(0, 2, 3, 1).cpu().numpy(), list(verdicts)
        except RuntimeError as error:
            if len(corners) == 1 or not ran_out(error):
                self._leave_device(error)
                return self._judged(corners, radius, layers, finished)
        halves = [self._judged(half, radius, layers, finished) for half in np.array_split(corners, 2)]
        return np.concatenate([half[0] for half in halves]), halves[0][1] + halves[1][1]

    def _computing(self) -> contextlib.AbstractContextManager[Any]:
        """Lets convolutions compute with the numbers that were asked for."""
        if self.precision == "float32":
            return contextlib.nullcontext()
        return torch.autocast(self.device, getattr(torch, self.precision))

    def _leave_device(self, error: RuntimeError) -> None:
        """Go on with the CPU where a device's memory ran out; any other error is raised again."""
        if self.device == "cpu" or not ran_out(error):
            raise error
        logger.warning("the memory of %s ran out; what is left is refined on the CPU", self.device)
        self.network, self.device, self.precision = self.network.to("cpu"), "cpu", "float32"


def _read(path: str | os.PathLike[str]) -> RefinerNetwork:
    """The network of a file of weights."""
    tensors, record = read_weights(path, kind=KIND)
    with fitting(path):
        network = RefinerNetwork(Shape(**{name: tuple(value) for name, value in record["shape"].items()}))
        network.load_state_dict(tensors)
    return network


def _far_window(layers: Layers) -> Floats:
    """1 at the seam, fading to 0 where ``new`` ends beside what nobody here shows; 0 outside ``owner``."""
    beyond = ~layers.owner & ~layers.reference_valid
    if not beyond.any():
        return layers.owner.astype(np.float32)
    far = np.asarray(cv2.distanceTransform((~beyond).view(np.uint8), cv2.DIST_L2, 5), np.float32) - 1
    share = np.where(layers.owner, far / np.maximum(far + np.minimum(layers.inside, 1e6), 1e-6), 0).astype(np.float32)
    return np.asarray(np.clip(share, 0, 1), np.float32)
