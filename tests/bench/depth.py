"""Are photos told apart that are no panorama? Sets rendered in streets and around churches, registered with default options.

    python tests/bench/depth.py [--sets 5] [--seed 0]

For every kind so many sets of two to five photos are rendered: turned on a tripod and in the hand (a panorama), and walked forward,
sideways, facing the houses, turning while walking, and taken by tourists near each other and all around (none). Prints the confidence of
each, lowest to highest, and how many were doubted or refused. Facing the houses is one plane with things in front of it: a panorama
with flaws.
"""

from __future__ import annotations

import argparse
import logging
import math
from collections.abc import Callable

import numpy as np
from skimage import data
from tables import print_heading

import compositor
from compositor.datasets.boards import photograph_boards
from compositor.datasets.scenery import church, street
from compositor.datasets.synthesize import rotation_of
from compositor.types import Camera

SIZE, FOCAL = (800, 600), 690.0
PICTURES = (data.stereo_motorcycle()[0], data.coffee(), data.astronaut(), data.chelsea(), data.hubble_deep_field(), data.retina())

Pose = tuple[tuple[float, float, float], tuple[float, float, float]]
"""Yaw, pitch and roll, degrees; place, metres."""


def turned(k: int, n: int, generator: np.random.Generator) -> Pose:
    return (-20 * (n - 1) / 2 + 20 * k, 4, 0), (0, 0, 0)


def in_the_hand(k: int, n: int, generator: np.random.Generator) -> Pose:
    return turned(k, n, generator)[0], tuple(generator.uniform(-0.06, 0.06, 3))


def forward(k: int, n: int, generator: np.random.Generator) -> Pose:
    return (0, 0, 0), (generator.uniform(-0.3, 0.3), 0, 1.5 * k)


def sideways(k: int, n: int, generator: np.random.Generator) -> Pose:
    return (45, 0, 0), (-3, 0, 1.2 * k)


def facing(k: int, n: int, generator: np.random.Generator) -> Pose:
    return (90, 0, 0), (-4.5, 0, 8 + 1.5 * k)


def walking(k: int, n: int, generator: np.random.Generator) -> Pose:
    return (-40 + 20 * k, 0, 0), (-2 + 0.9 * k, 0, 2 + generator.uniform(-1, 1))


def around(k: int, n: int, generator: np.random.Generator, width: float = 90) -> Pose:
    angle = math.radians(-width / 2 + width * k / (n - 1) + generator.uniform(-4, 4))
    distance = generator.uniform(27, 40)
    return (-math.degrees(angle) + generator.uniform(-6, 6), generator.uniform(5, 14), 0), (
        math.sin(angle) * distance,
        generator.uniform(-1, 0.5),
        45 - math.cos(angle) * distance,
    )


def side_by_side(k: int, n: int, generator: np.random.Generator) -> Pose:
    return around(k, n, generator, width=32)


KINDS: dict[str, tuple[Callable[..., list], Callable[[int, int, np.random.Generator], Pose]]] = {
    "turned, street": (street, turned),
    "turned, church": (church, turned),
    "in the hand, street": (street, in_the_hand),
    "in the hand, church": (church, in_the_hand),
    "facing the houses": (street, facing),
    "walking and turning": (street, walking),
    "sideways": (street, sideways),
    "forward": (street, forward),
    "side by side": (church, side_by_side),
    "around": (church, around),
}


def main() -> None:
    """Render, register, tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", type=int, default=5, help="sets of each kind")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    logging.getLogger("compositor").setLevel(logging.ERROR)
    print_heading()
    print("| kind | doubted or refused | confidence |\n|---|---|---|")
    for index, (kind, (place, pose)) in enumerate(KINDS.items()):
        confidences, doubted = [], 0
        for number in range(arguments.sets):
            generator = np.random.default_rng([arguments.seed, index, number])
            boards, n = place(PICTURES, generator), int(generator.integers(2, 6))
            poses = [pose(k, n, generator) for k in range(n)]
            middle = ((SIZE[0] - 1) / 2, (SIZE[1] - 1) / 2)
            cameras = [
                Camera(str(k), SIZE, FOCAL, middle, rotation_of(*np.radians(np.add(angles, generator.uniform(-1.5, 1.5, 3)))))
                for k, (angles, _) in enumerate(poses)
            ]
            photos = photograph_boards(boards, cameras, [where for _, where in poses], seed=number)
            try:
                registration = compositor.register(photos)
            except compositor.TooFewPhotosError:
                doubted += 1
                continue
            doubted += bool(registration.doubts)
            confidences.append(registration.confidence)
        print(f"| {kind} | {doubted} of {arguments.sets} | {' '.join(f'{c:.2f}' for c in sorted(confidences))} |", flush=True)


if __name__ == "__main__":
    main()
