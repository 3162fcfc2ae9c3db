"""Training scenes whose truth is known: two layers of one photograph that differ in light, sharpness and geometry, with a seam between.

Everything random is drawn on the CPU from the seed and the scene's number, pixels are computed for a whole batch on the device: scene 17 of
seed 3 is the same scene in every batch, whatever was made before it. The truth is the photograph in the tone of the reference layer; where
the new layer is displaced, the displacement fades in from nothing at the seam, as a careful retoucher would have it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from compositor.learned.flaws import Flaws, add_flaws
from compositor.learned.photographs import Photographs
from compositor.learned.seamlines import Placement, place_layers
from compositor.learned.warp import warp

__all__ = ["SceneBatch", "make_scenes"]

CLEAN, STILL = 0.15, 0.4
"""Share of the scenes whose layers are equal, and share of the others that nothing moves in."""
DRIFTING = 0.3
"""Share of the scenes whose reference changes its tone beyond the seam, so that a network cannot trust it blindly there."""
SPLINE_STRENGTH = 0.479
"""Standard deviation of a cubic B-spline, in both directions, whose coefficients are independent and have 1."""


@dataclasses.dataclass(frozen=True, eq=False)
class SceneBatch:
    """Scenes of one size.

    Parameters
    ----------
    reference, new, truth : (b, 3, n, n) float32
        Encoded RGB, 0..1, in steps of 1/255.
    placements : list of Placement
        Where the layers lie and the seam between them.
    moved : (b,) float32
        Standard deviation of the displacement, px; 0 where nothing moved.
    clean : (b,) bool
        Whether the layers are equal.
    """

    reference: Tensor
    new: Tensor
    truth: Tensor
    placements: list[Placement]
    moved: Tensor
    clean: Tensor


@dataclasses.dataclass(frozen=True, eq=False)
class _Drawn:
    """What chance decided about one scene; ``field`` is noise of its displacement, ``drift`` of the reference's tone, on coarse grids.

    ``step`` is how the tone of the reference's second photo differs beyond the seam.
    """

    photo: NDArray[np.uint8]
    placement: Placement
    clean: bool
    moved: float
    field: NDArray[np.float32]
    shift: NDArray[np.float32]
    drift: NDArray[np.float32]
    step: NDArray[np.float32]
    flaws: Flaws


def make_scenes(photographs: Photographs, numbers: Sequence[int], *, seed: int, size: int = 256, device: str = "cpu") -> SceneBatch:
    """Make scenes.

    Parameters
    ----------
    photographs : Photographs
    numbers : sequence of int
        Which scenes of the endless series that ``seed`` begins.
    seed : int
    size : int
        Side of a scene, px.
    device : str
        Where the pixels are computed.

    Returns
    -------
    SceneBatch
    """
    drawn = [_draw(photographs, np.random.default_rng([seed, number]), size) for number in numbers]
    photo = _batch([scene.photo.transpose(2, 0, 1) for scene in drawn], device).float() / 255
    distance = _batch([scene.placement.distance for scene in drawn], device)[:, None]
    moved = _batch([np.float32(scene.moved) for scene in drawn], device)
    flow = torch.cat([_smooth(scene.field, size, device) for scene in drawn])
    flow = (flow + _batch([scene.shift for scene in drawn], device)[..., None, None]) * (moved / 1.6)[:, None, None, None]
    faded = (distance / (3 * moved + 8)[:, None, None, None]).clamp(0, 1)
    faded = faded * faded * (3 - 2 * faded)
    still = (moved == 0)[:, None, None, None]
    truth = torch.where(still, photo, warp(photo, flow * faded).clamp(0, 1))
    new = torch.where(still, photo, warp(photo, flow).clamp(0, 1))
    clean = _batch([np.bool_(scene.clean) for scene in drawn], device)
    new = torch.where(clean[:, None, None, None], new, add_flaws(new, [scene.flaws for scene in drawn]))
    second = _batch([scene.placement.second for scene in drawn], device)[:, None] * _batch([scene.step for scene in drawn], device)
    drift = (torch.cat([_smooth(scene.drift, size, device) for scene in drawn]) + second) * ((distance - 2) / 24).clamp(0, 1)
    return SceneBatch(_levels(photo * drift.exp()), _levels(new), _levels(truth), [scene.placement for scene in drawn], moved, clean)


def _draw(photographs: Photographs, generator: np.random.Generator, size: int) -> _Drawn:
    """Decide about one scene."""
    photo = photographs.crop(generator, size)
    clean = generator.random() < CLEAN
    moved = 0.0 if clean or generator.random() < STILL else float(generator.uniform(0.5, 4))
    cells = int(np.clip(size / generator.uniform(12, 50) * 0.7, 3, 24)) + 3
    drifting = not clean and generator.random() < DRIFTING
    return _Drawn(
        photo=photo,
        placement=place_layers(photo, generator),
        clean=clean,
        moved=moved,
        field=generator.standard_normal((2, cells, cells)).astype(np.float32),
        shift=generator.normal(0, 0.7, 2).astype(np.float32),
        drift=(generator.normal(0, 0.06, (3, 6, 6)) * drifting).astype(np.float32),
        step=(generator.normal(0, 0.03, (3, 1, 1)) * (not clean)).astype(np.float32),
        flaws=Flaws.draw(generator),
    )


def _batch(arrays: Sequence[NDArray[np.generic] | np.generic], device: str) -> Tensor:
    """Arrays of one shape as a tensor on the device."""
    return torch.from_numpy(np.stack(arrays)).to(device)


def _smooth(noise: NDArray[np.float32], size: int, device: str) -> Tensor:
    """Noise on a coarse grid as a smooth field of about unit strength, (1, c, size, size): cubic B-splines, the grid's rim outside."""
    cells = noise.shape[-1]
    places = np.linspace(1, cells - 2, size)[:, None] - np.arange(cells)
    far = np.abs(places)
    spline = np.where(far < 1, 2 / 3 - far**2 + far**3 / 2, np.clip(2 - far, 0, None) ** 3 / 6)
    weights = torch.from_numpy(spline.astype(np.float32)).to(device)
    return weights @ torch.from_numpy(noise).to(device)[None] @ weights.T / SPLINE_STRENGTH


def _levels(pixels: Tensor) -> Tensor:
    """Pixels as a file of 8 bits would hold them."""
    return (pixels.clamp(0, 1) * 255).round() / 255
