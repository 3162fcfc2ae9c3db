"""A variational autoencoder: pictures as few numbers, and numbers drawn at random as pictures.

Kingma & Welling, «Auto-encoding variational Bayes», ICLR 2014. How exactly pictures must be given back beside how much the numbers may tell
is not a weight to be chosen: the decoder's error is taken as normal with the variance that it has (Rybkin, Daniilidis & Levine, «Simple and
effective VAE training with calibrated decoders», ICML 2021). New pictures are drawn from a normal distribution fitted to what the encoder
says of those learned from, which is closer to it than the one it was pulled towards (Ghosh and others, ICLR 2020).
"""

from __future__ import annotations

import copy
import dataclasses
import os
from collections.abc import Iterable
from itertools import pairwise
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from compositor.datasets.augment import generator_of
from compositor.errors import OptionError
from compositor.learned.batches import FINEST, SMALLEST, Batch, PictureShape, as_pixels, as_tensor, growing
from compositor.learned.collection import Collection
from compositor.learned.device import choose_device, computing_in
from compositor.learned.learner import NetworkLearner, seeded
from compositor.learned.making import MakerLearner, PictureMaker
from compositor.learned.weights import fitting, read_weights
from compositor.options import VaeOptions

__all__ = ["KIND", "Vae", "VaeNetwork", "VaeShape", "VaeTraining"]

KIND = "a variational autoencoder"
FREE = 0.02
"""What each number may tell without being charged for it, nats."""
AT_ONCE, MEASURED = 256, 2048
"""Pictures that are computed at a time, and those that reports are measured on at most."""
SHRUNK = 0.05
"""Share of the fitted covariance that is taken from its diagonal, for there may be fewer pictures than numbers."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class VaeShape(PictureShape):
    """Also numbers that a picture becomes."""

    numbers: int = 256


class VaeNetwork(nn.Module):
    """Encoder, decoder, and the normal distribution that new pictures are drawn from.

    Parameters
    ----------
    shape : VaeShape
    """

    def __init__(self, shape: VaeShape) -> None:
        super().__init__()
        self.shape = shape
        widths = shape.widths()
        down: list[nn.Module] = [nn.Conv2d(3, widths[0], 4, stride=2, padding=1), _Refine(widths[0])]
        for before, after in pairwise(widths):
            down += [nn.Conv2d(before, after, 4, stride=2, padding=1), _Refine(after)]
        deepest = widths[-1] * SMALLEST**2
        self.encoder = nn.Sequential(*down, nn.Flatten(), nn.Linear(deepest, 2 * shape.numbers))
        up: list[nn.Module] = [nn.Linear(shape.numbers, deepest), nn.Unflatten(1, (widths[-1], SMALLEST, SMALLEST)), _Refine(widths[-1])]
        for before, after in pairwise(widths[::-1]):
            up += [growing(before, after), _Refine(after)]
        finest = [growing(widths[0], FINEST), nn.SiLU(), nn.Conv2d(FINEST, 3, 3, padding=1)]
        self.decoder = nn.Sequential(*up, *finest)
        self.register_buffer("middle", torch.zeros(shape.numbers))
        self.register_buffer("root", torch.eye(shape.numbers))

    def encode(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and logarithm of the variance of the numbers, (b, n) each, of pictures (b, 3, s, s), -1..1."""
        mean, variance = self.encoder(pictures).chunk(2, dim=1)
        return mean, variance.clamp(-12, 4)

    def decode(self, numbers: Tensor) -> Tensor:
        """Pictures of numbers; the other way round."""
        return torch.as_tensor(self.decoder(numbers))

    @torch.no_grad()
    def fit(self, parts: Iterable[Tensor]) -> None:
        """Fit the distribution to what the encoder says of pictures, (b, 3, s, s) each part; they need not be there at a time."""
        count, sums = 0, torch.zeros(self.shape.numbers, dtype=torch.float64)
        variances, products = torch.zeros_like(sums), torch.outer(sums, sums)
        for part in parts:
            mean, variance = (told.cpu().double() for told in self.encode(part))
            count += len(mean)
            sums += mean.sum(0)
            variances += variance.exp().sum(0)
            products += mean.T @ mean
        middle = sums / count
        covariance = (products - count * torch.outer(middle, middle)) / max(1, count - 1) + torch.diag(variances / count)
        covariance = (1 - SHRUNK) * covariance + SHRUNK * torch.diag(covariance.diagonal())
        self.middle.copy_(middle)
        self.root.copy_(torch.linalg.cholesky(covariance))


class _Refine(nn.Module):
    """A convolution beside a way around it."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.GroupNorm(max(1, channels // 16), channels), nn.SiLU(), nn.Conv2d(channels, channels, 3, padding=1))

    def forward(self, maps: Tensor) -> Tensor:
        """Maps of the same size and channels."""
        return maps + torch.as_tensor(self.layers(maps))


class VaeTraining(MakerLearner, NetworkLearner[Batch]):
    """What changes while an autoencoder is trained."""

    longest = 1.0

    def __init__(self, options: VaeOptions, device: str, learned: Collection, held_out: Collection) -> None:
        super().__init__(options, device, learned, held_out)
        with seeded(options.seed):
            network = VaeNetwork(VaeShape(size=options.size, channels=options.channels, numbers=options.numbers))
        self.network = network.to(device, memory_format=torch.channels_last)
        self.average = copy.deepcopy(self.network).requires_grad_(False)
        self.optimizer = torch.optim.AdamW(self.network.parameters(), lr=options.rate, weight_decay=1e-3, betas=(0.9, 0.99))

    def maker(self) -> PictureMaker:
        """The averaged network with its distribution fitted to the pictures it learned from."""
        starts = range(0, len(self.learned), AT_ONCE)
        self.average.fit(as_tensor(self.learned.pixels[start : start + AT_ONCE], self.device) for start in starts)
        return Vae(self.average, device=self.device)

    def step(self, iteration: int, batch: Batch) -> dict[str, float]:
        """Learn from pictures; the losses."""
        options, pictures = self.options, batch.pictures
        with computing_in(options.precision, self.device):
            mean, variance = (told.float() for told in self.network.encode(pictures))
            noise = torch.randn(mean.shape, generator=batch.draws).to(mean)
            given_back = self.network.decode(mean + noise * (variance / 2).exp())
        error = functional.mse_loss(given_back.float(), pictures)
        told = 0.5 * (mean.square() + variance.exp() - 1 - variance).mean(0)  # nats of each number
        # The likelihood of a picture's values where their variance is the error that was made.
        likelihood = 0.5 * pictures[0].numel() * error.clamp(min=1e-6).log()
        warmed = min(1.0, (iteration + 1) / max(1, options.warming * options.iterations))
        loss = (likelihood + options.beta * warmed * told.clamp(min=FREE).sum()) / pictures[0].numel()
        self.learn(iteration, loss)
        return {"error": float(error.detach()), "nats": float(told.detach().sum())}

    @torch.no_grad()
    def measure(self) -> dict[str, Any]:
        """How well pictures are given back that were not learned from: mean over pictures, dB."""
        some = generator_of(0, 0).permutation(len(self.held_out))[:MEASURED]  # of all classes, which lie one behind the other
        pictures = as_tensor(self.held_out.pixels[np.sort(some)], self.device)
        errors = [(self.average.decode(self.average.encode(part)[0]) - part).square().mean((1, 2, 3)) for part in pictures.split(AT_ONCE)]
        return {"reconstruction_db": float((-10 * torch.log10(torch.cat(errors) / 4)).mean())}


class Vae(PictureMaker):
    """An autoencoder in use.

    Parameters
    ----------
    network : VaeNetwork
    device : str
        «auto», «cpu», «cuda» or «mps».
    """

    kind = KIND

    def __init__(self, network: VaeNetwork, *, device: str = "auto") -> None:
        self.device = choose_device(device)
        self.network = network.to(self.device).eval().requires_grad_(False)

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, device: str = "auto") -> Self:
        """The autoencoder with weights from a file that «compositor train vae» wrote.

        Raises
        ------
        WeightsError
            The file is none, is damaged, or fits another network.
        """
        tensors, record = read_weights(path, kind=KIND)
        with fitting(path):
            network = VaeNetwork(VaeShape(**record["shape"]))
            network.load_state_dict(tensors)
        return cls(network, device=device)

    def encode(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Pictures as numbers.

        Parameters
        ----------
        pixels : (n, size, size, 3) uint8
            RGB.

        Returns
        -------
        (n, d) float32
        """
        wanted = (self.size, self.size, 3)
        if not isinstance(pixels, np.ndarray) or pixels.ndim != 4 or pixels.shape[1:] != wanted or pixels.dtype != np.uint8:
            found = np.asarray(pixels)
            raise OptionError(f"pixels have shape {found.shape} and type {found.dtype}; give (n, {self.size}, {self.size}, 3) uint8")
        parts = as_tensor(pixels, self.device).split(AT_ONCE)
        return np.concatenate([self.network.encode(part)[0].cpu().numpy() for part in parts])

    def decode(self, numbers: NDArray[np.floating]) -> NDArray[np.uint8]:
        """Numbers, (n, d), as pictures, (n, size, size, 3) uint8."""
        numbers = np.asarray(numbers, np.float32)
        if numbers.ndim != 2 or numbers.shape[1] != self.network.shape.numbers:
            raise OptionError(f"numbers have shape {numbers.shape}; give (n, {self.network.shape.numbers})")
        parts = torch.from_numpy(numbers).to(self.device).split(AT_ONCE)
        return np.concatenate([as_pixels(self.network.decode(part)) for part in parts])

    def reconstruct(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Pictures as the numbers remember them."""
        return self.decode(self.encode(pixels))

    def interpolate(self, first: NDArray[np.uint8], second: NDArray[np.uint8], steps: int = 8) -> NDArray[np.uint8]:
        """Pictures on the way from one picture to another, (steps, size, size, 3) uint8; both are (size, size, 3) uint8."""
        if np.shape(first) != np.shape(second) or steps < 2:
            raise OptionError(
                f"pictures of shapes {np.shape(first)} and {np.shape(second)}, steps={steps}; give two of one shape, and two or more"
            )
        start, end = self.encode(np.stack([first, second]))
        t = np.linspace(0, 1, steps, dtype=np.float32)[:, None]
        return self.decode((1 - t) * start + t * end)

    def _made(self, noise: Tensor, of: str | None) -> NDArray[np.uint8]:
        if of:
            raise OptionError(f"of={of!r}: an autoencoder makes no pictures of a class; «compositor train gan» trains what does")
        # Normal numbers as they are distributed here.
        return self.decode((self.network.middle.cpu() + noise @ self.network.root.cpu().T).numpy())
