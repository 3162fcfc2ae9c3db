"""Is the motion model chosen right? Generated sets of six kinds, registered with default options.

    python tests/bench/models.py [--sets 50] [--seed 0]

For every kind (rotation, translation, euclidean, similarity, affine, homography) so many sets of two to five photos are rendered from
photographs that scikit-image ships, each photo with its own exposure, noise and JPEG compression. The sheets of the euclidean sets do not
lie flat: each scan is displaced smoothly, by up to a pixel or so, otherwise than the others. Prints how often which model was
chosen, how often the answer was unsure (confidence below 0.9), and names every wrong answer.
"""

from __future__ import annotations

import argparse
import collections
import math
from collections.abc import Callable

import cv2
import numpy as np
from skimage import data
from tables import print_heading

import compositor
from compositor.datasets.synthesize import look_around, render_views

WIDTH, HEIGHT = 420, 320
UNSURE = 0.9
PICTURES = (
    data.stereo_motorcycle()[0],
    data.coffee(),
    data.astronaut(),
    data.chelsea(),
    data.hubble_deep_field(),
    data.brick(),
    data.gravel(),
    data.immunohistochemistry(),
    data.rocket(),
    data.retina(),
    data.grass(),
)


def enlarged(picture: np.ndarray) -> np.ndarray:
    """An RGB picture 1400 px long."""
    rgb = np.repeat(picture[..., None], 3, axis=2) if picture.ndim == 2 else picture[..., :3]
    factor = 1400 / max(rgb.shape)
    return cv2.resize(np.ascontiguousarray(rgb), None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)


def photographed(picture: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """The picture with another exposure, noise and JPEG compression."""
    light = (picture.astype(np.float32) / 255) ** 2.2 * 2 ** generator.uniform(-0.3, 0.3)
    light = light + generator.standard_normal(light.shape) * np.sqrt(2e-4 * np.clip(light, 0, 1) + 4e-6)
    pixels = np.round(np.clip(light, 0, 1) ** (1 / 2.2) * 255).astype(np.uint8)
    return cv2.imdecode(cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 92])[1], cv2.IMREAD_COLOR)


def turning(picture: np.ndarray, count: int, generator: np.random.Generator) -> list[np.ndarray]:
    """Photos of a camera that turns on the spot, 28 to 36 degrees wide."""
    wide = math.radians(generator.uniform(28, 36))
    high = 2 * math.atan(math.tan(wide / 2) * HEIGHT / WIDTH)
    rows = 1 if count < 4 else 2
    seed = int(generator.integers(1 << 30))
    cameras = look_around(
        rows=rows, columns=count // rows, step=(0.45 * wide, 0.45 * high), size=(WIDTH, HEIGHT), field_of_view=wide, seed=seed
    )
    field_of_view = generator.uniform(60, 90)
    while True:  # a wider picture, where a view looks beyond this one
        try:
            return [v.pixels for v in render_views(picture, cameras, picture_field_of_view=math.radians(field_of_view), seed=seed)]
        except compositor.OptionError:
            field_of_view += 4


def shift(x: float, y: float, _: np.random.Generator) -> np.ndarray:
    """A scanner: photo pixels to picture pixels."""
    return np.array([[1, 0, x - WIDTH / 2], [0, 1, y - HEIGHT / 2], [0, 0, 1.0]])


def around_middle(linear: np.ndarray, x: float, y: float) -> np.ndarray:
    """A linear map that takes the photo's middle to (x, y)."""
    motion = np.eye(3)
    motion[:2, :2] = linear
    motion[:2, 2] = np.array([x, y]) - linear @ [WIDTH / 2, HEIGHT / 2]
    return motion


def turned_and_scaled(x: float, y: float, generator: np.random.Generator) -> np.ndarray:
    """A camera that looks straight down from changing heights."""
    angle, scale = generator.uniform(-0.3, 0.3), math.exp(generator.uniform(-0.15, 0.15))
    return around_middle(scale * np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]), x, y)


def laid(x: float, y: float, generator: np.random.Generator) -> np.ndarray:
    """A scanner on which the sheet is laid by hand."""
    angle = generator.uniform(-0.06, 0.06)
    return around_middle(np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]), x, y)


def sheared(x: float, y: float, generator: np.random.Generator) -> np.ndarray:
    """A scanner whose carriage and paper are not square."""
    return around_middle(np.eye(2) + generator.uniform(-0.12, 0.12, (2, 2)), x, y)


def from_anywhere(x: float, y: float, generator: np.random.Generator) -> np.ndarray:
    """A camera above the plane, tilted by up to 20 degrees, whose middle looks at (x, y)."""
    focal = 1.1 * WIDTH
    rotation = cv2.Rodrigues(np.deg2rad(generator.uniform(-20, 20, 3)) * (1, 1, 0.5))[0]
    position = np.array([x, y, 0]) - rotation[:, 2] * focal * generator.uniform(0.9, 1.15)
    lens = np.array([[focal, 0, (WIDTH - 1) / 2], [0, focal, (HEIGHT - 1) / 2], [0, 0, 1]])
    return np.linalg.inv(lens @ rotation.T @ np.column_stack([[1, 0, 0], [0, 1, 0], -position]))


Motion = Callable[[float, float, np.random.Generator], np.ndarray]
PLANAR: dict[str, Motion] = {
    "translation": shift,
    "euclidean": laid,
    "similarity": turned_and_scaled,
    "affine": sheared,
    "homography": from_anywhere,
}


def uneven(scan: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """A scan of a sheet that does not lie flat, cut out by hand."""
    grid = generator.standard_normal((*generator.integers(3, 6, 2), 2)).astype(np.float32) * generator.uniform(0, 1)
    displaced = np.dstack(np.meshgrid(np.arange(WIDTH), np.arange(HEIGHT))).astype(np.float32)
    displaced += cv2.resize(grid, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    bent = cv2.remap(scan, displaced, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
    return bent[: HEIGHT - generator.integers(0, 4), : WIDTH - generator.integers(0, 5)]


def flat(picture: np.ndarray, motion: Motion, count: int, generator: np.random.Generator) -> list[np.ndarray]:
    """Photos of a plane, side by side."""
    h, w = picture.shape[:2]
    step = min(WIDTH * 0.5, (w - WIDTH - 80) / max(count - 1, 1))
    photos = []
    for k in range(count):
        x = w / 2 + (k - (count - 1) / 2) * step + generator.uniform(-20, 20)
        matrix = motion(x, h / 2 + generator.uniform(-40, 40), generator)
        flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
        photos.append(cv2.warpPerspective(picture, matrix, (WIDTH, HEIGHT), flags=flags, borderMode=cv2.BORDER_REFLECT))
    return photos


def main() -> None:
    """Render, register, count."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", type=int, default=50, help="sets of each kind")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    print_heading()
    chosen: collections.Counter[tuple[str, str]] = collections.Counter()
    unsure, wrong = 0, []
    for index, kind in enumerate(("rotation", *PLANAR)):
        for number in range(arguments.sets):
            generator = np.random.default_rng([arguments.seed, number, index])
            picture, count = enlarged(PICTURES[number % len(PICTURES)]), int(generator.integers(2, 6))
            views = turning(picture, count, generator) if kind == "rotation" else flat(picture, PLANAR[kind], count, generator)
            views = [uneven(view, generator) for view in views] if kind == "euclidean" else views
            try:
                registration = compositor.register([photographed(view, generator) for view in views])
            except compositor.TooFewPhotosError as error:
                chosen[kind, "none"] += 1
                wrong.append(f"{kind} set {number}: {error}")
                continue
            chosen[kind, registration.model] += 1
            unsure += registration.confidence < UNSURE
            if registration.model != kind:
                wrong.append(f"{kind} set {number}: {registration.model}, confidence {registration.confidence:.2f}, {len(views)} photos")
    models = sorted({model for _, model in chosen})
    print("| truth |", " | ".join(models), "|\n|---" + "|---" * len(models) + "|")
    for kind in ("rotation", *PLANAR):
        print(f"| {kind} |", " | ".join(str(chosen[kind, model]) for model in models), "|")
    total = sum(chosen.values())
    right = sum(count for (kind, model), count in chosen.items() if kind == model)
    print(f"right: {right} of {total} ({100 * right / total:.1f} %), unsure (confidence < {UNSURE}): {unsure}")
    print("\n".join(wrong))


if __name__ == "__main__":
    main()
