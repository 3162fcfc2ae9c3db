"""Pictures in the style of others, beside rivals: the colour transfer of a plain linear map, and the Gram matrices of a random VGG.

For every pair of PICTURES (each with each STYLE): the style distance, which is the sliced Wasserstein distance between the answers of a
random network that nobody here optimises, divided by that of the untouched picture; and how much is left of the picture's structure, the
structural similarity of the gradients of luma. Seconds are of the CPU on one thread. The mean of all pairs comes last.

Without PICTURES a photograph and a texture that scikit-image ships are taken.
"""

from __future__ import annotations

import time
from collections import defaultdict
from pathlib import Path

import click
import cv2
import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from skimage.metrics import structural_similarity
from tables import print_heading, print_row

import compositor
from compositor.learned import TrainedPainter, paint
from compositor.style import linear_transfer

VGG = ((64, 64), (128, 128), (256, 256))
"""Channels of the layers between two poolings."""


@click.command(help=__doc__)
@click.option("--style", "styles", multiple=True, type=click.Path(exists=True, dir_okay=False), help="May be given several times.")
@click.option("--size", default=256, show_default=True, help="Longest side of the pictures, px.")
@click.option("--steps", default=60, show_default=True, help="Of the descent by Gram matrices.")
@click.option("--method", "methods", multiple=True, default=("linear", "photo", "gram", "paint"), show_default=True, help="What to run.")
@click.option("--weights", type=click.Path(exists=True, dir_okay=False), help="Of a painter, for «--method trained»; trained on STYLE.")
@click.option("--keep", type=click.Path(file_okay=False, path_type=Path), help="Folder for the pictures.")
@click.argument("pictures", nargs=-1, type=click.Path(exists=True, dir_okay=False))
def style(
    styles: tuple[str, ...],
    size: int,
    steps: int,
    methods: tuple[str, ...],
    weights: str | None,
    keep: Path | None,
    pictures: tuple[str, ...],
) -> None:
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    judge, found = random_vgg(seed=987, widths=((24, 24), (48, 48), (96, 96))), defaultdict(list)
    make = {"linear": linear, "photo": photo, "gram": lambda a, b: gram(a, b, steps), "paint": painted}
    if weights:
        painter = TrainedPainter.load(weights)
        make["trained"] = lambda a, b: compositor.style(a, b, method="paint", paint=painter, device="cpu").pixels
    print_heading()
    print_row("picture", "style", "method", "style distance", "structure", "CPU s", header=True)
    for name, picture in read(pictures, "astronaut", size):
        for model, own in read(styles, "brick", size):
            far = apart(judge, picture, own)
            for method in methods:
                start = time.process_time()
                made = np.clip(make[method](picture, own), 0, 1)
                took = time.process_time() - start
                row = (apart(judge, made, own) / far, structure(picture, made), took)
                found[method].append(row)
                print_row(name, model, method, *(f"{value:.3f}" for value in row))
                if keep:
                    keep.mkdir(parents=True, exist_ok=True)
                    cv2.imwrite(str(keep / f"{name}_{model}_{method}.png"), np.rint(made[..., ::-1] * 255))
    for method, rows in found.items():
        print_row("mean", f"{len(rows)} pairs", method, *(f"{value:.3f}" for value in np.mean(rows, 0)))


def read(paths: tuple[str, ...], default: str, size: int) -> list[tuple[str, np.ndarray]]:
    """Names and pictures, RGB float32 0..1, so large at most."""
    import skimage.data

    loaded = [(Path(path).stem, cv2.imread(path)[..., ::-1]) for path in paths] or [(default, getattr(skimage.data, default)())]
    made = []
    for name, picture in loaded:
        picture = np.repeat(picture[..., None], 3, 2) if picture.ndim == 2 else picture
        factor = min(1.0, size / max(picture.shape[:2]))
        small = cv2.resize(np.ascontiguousarray(picture), None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
        made.append((name, small.astype(np.float32) / 255))
    return made


def linear(picture: np.ndarray, own: np.ndarray) -> np.ndarray:
    matrix, shift = linear_transfer(picture.reshape(-1, 3), own.reshape(-1, 3))
    return (picture @ matrix.T + shift).astype(np.float32)


def photo(picture: np.ndarray, own: np.ndarray) -> np.ndarray:
    return compositor.style(picture, own).pixels


def painted(picture: np.ndarray, own: np.ndarray) -> np.ndarray:
    return compositor.style(picture, own, method="paint", paint=paint, device="cpu").pixels


def random_vgg(*, seed: int, widths: tuple[tuple[int, ...], ...]) -> list[torch.Tensor | None]:
    """Weights of a VGG with He's initialisation, None where it pools."""
    generator, layers, channels = torch.Generator().manual_seed(seed), [], 3
    for group in widths:
        for width in group:
            layers.append(torch.randn(width, channels, 3, 3, generator=generator) * (2 / (9 * channels)) ** 0.5)
            channels = width
        layers.append(None)
    return layers[:-1]


def answers(network: list[torch.Tensor | None], x: torch.Tensor) -> list[torch.Tensor]:
    """Rectified answers of the layers before every pooling and at the end, (c, n) each."""
    x, found = x - 0.45, []
    for weights in network:
        if weights is None:
            found.append(x)
            x = F.avg_pool2d(x, 2)
        else:
            x = F.relu(F.conv2d(F.pad(x, (1,) * 4, mode="reflect"), weights))
    return [*found, x]


def tensor(picture: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1), dtype=np.float32))[None]


def apart(network: list[torch.Tensor | None], first: np.ndarray, second: np.ndarray) -> float:
    """Sliced Wasserstein distance of answers, the mean of the layers, each in units of the second picture's deviation."""
    generator, total = torch.Generator().manual_seed(5), 0.0
    with torch.no_grad():
        for a, b in zip(*(answers(network, tensor(one)) for one in (first, second)), strict=True):
            directions = F.normalize(torch.randn(64, a.shape[1], generator=generator), dim=1)
            a, b = (torch.quantile(directions @ maps[0].flatten(1), torch.linspace(0, 1, 200), dim=1) for maps in (a, b))
            total += float((a - b).abs().mean() / b.std(0).mean())
    return total


def structure(picture: np.ndarray, made: np.ndarray) -> float:
    """Structural similarity of the gradients of luma."""
    edges = []
    for one in (picture, made):
        luma = cv2.cvtColor(np.ascontiguousarray(one, dtype=np.float32), cv2.COLOR_RGB2GRAY)
        edges.append(np.hypot(cv2.Sobel(luma, cv2.CV_32F, 1, 0), cv2.Sobel(luma, cv2.CV_32F, 0, 1)) / 4)
    return float(structural_similarity(*edges, data_range=1.0))


def gram(picture: np.ndarray, own: np.ndarray, steps: int) -> np.ndarray:
    """Descent by Gram matrices and content of a random VGG (Gatys et al., CVPR 2016; random weights as He et al., NIPS 2016)."""
    network = random_vgg(seed=0, widths=VGG)

    def grams(maps: list[torch.Tensor]) -> list[torch.Tensor]:
        return [one[0].flatten(1) @ one[0].flatten(1).T / one[0, 0].numel() for one in maps]

    with torch.no_grad():
        wanted, content = grams(answers(network, tensor(own))), answers(network, tensor(picture))[-1]
    x = tensor(picture).clone().requires_grad_()
    descent = torch.optim.Adam([x], lr=0.02)
    for _ in range(steps):
        descent.zero_grad()
        maps = answers(network, x)
        loss = sum(((a - b) ** 2).sum() / (b**2).sum() for a, b in zip(grams(maps), wanted, strict=True))
        loss = loss + 0.1 * ((maps[-1] - content) ** 2).mean() / (content**2).mean()
        loss.backward()
        descent.step()
        with torch.no_grad():
            x.clamp_(0, 1)
    return x.detach()[0].permute(1, 2, 0).numpy()


if __name__ == "__main__":
    style()
