"""Whether a distance between pictures grows with how far one was spoilt, over photos of anything: rank correlation with the strength.

From each photo in FOLDER a square is cut and spoilt in several ways, each in several strengths. The columns say, way by way, how well a
distance orders what was spoilt, of all photos together, by strength (Spearman; 1 is perfect), and how often it puts the weaker of two
strengths on one photo first. --fit looks for what every layer should count on one half of the photos and measures on the other.
"""

from __future__ import annotations

from pathlib import Path

import click
import cv2
import numpy as np
import torch
from scipy.stats import spearmanr
from skimage.metrics import structural_similarity
from tables import print_heading, print_row

from compositor.images import PICTURE_ENDINGS
from compositor.learned.backbone import EncoderNetwork
from compositor.learned.perception import LAYER_WEIGHTS, Perception
from compositor.learned.pictures import read_picture

SIDE, MARGIN = 128, 16
STRENGTHS = np.array([0.1, 0.2, 0.35, 0.6, 1.0])
ALIKE = 0.02
"""How hard the layers are held to count alike: strengths say little of what is small or far."""


def noise(whole, strength, generator):
    return whole + generator.normal(0, 25 * strength, whole.shape)


def blur(whole, strength, _):
    return cv2.GaussianBlur(whole, (0, 0), 3 * strength)


def jpeg(whole, strength, _):
    quality = round(95 - 88 * strength)
    return cv2.imdecode(cv2.imencode(".jpg", np.clip(whole, 0, 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, quality])[1], 1)


def moved(whole, strength, generator):
    angle = generator.uniform(0, 2 * np.pi)
    step = np.float32([[1, 0, 6 * strength * np.cos(angle)], [0, 1, 6 * strength * np.sin(angle)]])
    return cv2.warpAffine(whole, step, whole.shape[1::-1], borderMode=cv2.BORDER_REFLECT)


def bent(whole, strength, generator):
    h, w = whole.shape[:2]
    flow = [cv2.resize(generator.normal(0, 1, (5, 5)).astype(np.float32), (w, h), interpolation=cv2.INTER_CUBIC) for _ in "xy"]
    x, y = np.meshgrid(np.arange(w, dtype=np.float32), np.arange(h, dtype=np.float32))
    return cv2.remap(whole, x + 5 * strength * flow[0], y + 5 * strength * flow[1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)


def ghost(whole, strength, generator):
    return whole + 0.6 * strength * (np.roll(whole, generator.integers(5, 14, 2), (0, 1)) - whole)


def step(whole, strength, generator):
    left = np.arange(whole.shape[1])[None, :, None] < generator.integers(MARGIN + SIDE // 4, MARGIN + 3 * SIDE // 4)
    return whole + 40 * strength * left


def light(whole, strength, generator):
    return whole * 2.0 ** (0.8 * strength * generator.choice([-1, 1])) * (1 + 0.1 * strength * np.array([1, 0, -1]))


WAYS = (noise, blur, jpeg, moved, bent, ghost, step, light)


@click.command(help=__doc__)
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--weights", type=click.Path(exists=True), help="The encoder's, .safetensors; by default those that ship.")
@click.option("--fit", is_flag=True)
def main(folder: Path, weights: str | None, fit: bool) -> None:
    cv2.setNumThreads(1)
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in PICTURE_ENDINGS)
    cases = [case for number, path in enumerate(paths) for case in spoilt(read_picture(path, short=SIDE + 2 * MARGIN), number)]
    taught = Perception.load(weights, device="cpu")
    torch.manual_seed(0)
    untaught = Perception(EncoderNetwork(), device="cpu")
    parts = {name: averages(each, cases) for name, each in (("taught", taught), ("untaught", untaught))}
    ways, strengths, photos = (np.array([case[k] for case in cases]) for k in range(3))
    judged = np.ones(len(cases), bool)
    if fit:
        judged = photos % 2 == 1
        found = fitted(parts["taught"][~judged], ways[~judged], strengths[~judged])
        print(f"LAYER_WEIGHTS = ({', '.join(f'{weight:.4g}' for weight in found)})")
    even = 1 / parts["taught"].mean(0)
    distances = {
        "PSNR": [-cv2.PSNR(a, b) for *_, a, b in cases],
        "SSIM": [-structural_similarity(a, b, channel_axis=2) for *_, a, b in cases],
        "layers, random weights": parts["untaught"][:, :4] @ (1 / parts["untaught"].mean(0))[:4],
        "layers, alike": parts["taught"][:, :4] @ even[:4],
        "layers and colours, alike": parts["taught"] @ even,
        "as shipped": parts["taught"] @ np.array(LAYER_WEIGHTS),
    } | ({"as fitted": parts["taught"] @ found} if fit else {})
    print_heading()
    print(f"{len(set(photos[judged]))} photos\n")
    print_row("distance", *(way.__name__ for way in WAYS), "mean", "weaker first", header=True)
    for name, values in distances.items():
        values = np.array(values)[judged]
        own = [spearmanr(values[ways[judged] == way], strengths[judged][ways[judged] == way]).statistic for way in range(len(WAYS))]
        rows = values.reshape(-1, len(STRENGTHS))
        print_row(name, *(f"{one:.2f}" for one in own), f"{np.mean(own):.3f}", f"{(np.diff(rows, axis=1) > 0).mean():.3f}")


def spoilt(whole, number):
    """Way, strength and photo, and the square before and after, for every way and strength."""
    generator = np.random.default_rng(number)
    top, left = (generator.integers(0, max(1, length - SIDE - 2 * MARGIN)) for length in whole.shape[:2])
    whole = np.ascontiguousarray(whole[top : top + SIDE + 2 * MARGIN, left : left + SIDE + 2 * MARGIN]).astype(np.float32)
    inner = slice(MARGIN, MARGIN + SIDE), slice(MARGIN, MARGIN + SIDE)
    for way, spoil in enumerate(WAYS):
        seed = generator.integers(2**32)
        for strength in STRENGTHS.tolist():
            after = spoil(whole, strength, np.random.default_rng(seed))
            yield way, strength, number, *(np.clip(np.round(one[inner]), 0, 255).astype(np.uint8) for one in (whole, after))


def averages(perception, cases):
    """What every layer tells of every case, (n, layers)."""
    return np.array([[part.mean() for part in perception.parts(first, second)] for *_, first, second in cases], np.float64)


def fitted(parts, ways, strengths):
    """Weights by which distances order strengths best, logistic regression on pairs of one way; the strongest lie at 1 in the mean."""
    rows = torch.from_numpy(parts / parts.mean(0))
    generator = np.random.default_rng(0)
    weak, strong = generator.integers(0, len(parts), (2, 200_000))
    kept = (ways[weak] == ways[strong]) & (strengths[weak] < strengths[strong])
    weak, strong = torch.from_numpy(weak[kept]), torch.from_numpy(strong[kept])
    logarithms, sureness = torch.zeros(parts.shape[1], dtype=torch.float64, requires_grad=True), torch.ones((), requires_grad=True)
    optimizer = torch.optim.Adam([logarithms, sureness], lr=0.05)
    for _ in range(400):
        distances = torch.log((rows * logarithms.exp()).sum(1) + 1e-9)
        loss = torch.nn.functional.softplus(-sureness * (distances[strong] - distances[weak])).mean() + ALIKE * logarithms.square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    found = logarithms.detach().exp().numpy() / parts.mean(0)
    return found / np.mean(np.sqrt(parts[strengths == strengths.max()] @ found)) ** 2


if __name__ == "__main__":
    main()
