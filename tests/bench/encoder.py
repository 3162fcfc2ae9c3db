"""How well photos that overlap find each other among photos of other scenes, by each part that the encoder tells and by some together.

FOLDERS hold a scene each, in whatever folders of theirs; photos that the encoder learned from are left out with their whole folder. Photos
of a folder overlap if enough of their SIFT features agree on a homography; those of different folders do not; others are not counted. The
last row also puts parts beside wholes. AUC: how often an overlapping pair is more alike than a pair of different scenes. recall@5: how many
photos have an overlapping one among the five that are most like them. ms: a photo, on one thread, reading it left aside.
"""

from __future__ import annotations

import hashlib
import time
from pathlib import Path

import click
import cv2
import numpy as np
from tables import print_heading, print_row

from compositor.errors import ReadError
from compositor.images import PICTURE_ENDINGS
from compositor.learned import Encoder
from compositor.learned.backbone import EncoderNetwork
from compositor.learned.beside import likeness, tell_closely
from compositor.learned.encoder import KIND, OVERLAP
from compositor.learned.pictures import read_picture, shrunk
from compositor.learned.weights import packaged_weights, read_weights
from compositor.register.features import detect_sift

PARTS = {
    "colour": {"colour": 1.0},
    "edges": {"edges": 1.0},
    "words": {"words": 1.0},
    "picture": {"picture": 1.0},
    "regions": {"regions": 1.0},
    "layers": {"layers": 1.0},
    "colour and words": OVERLAP,
    "colour, words and picture": {**OVERLAP, "picture": 0.05},
}
FEATURES, AGREEING, SHARE = 1000, 12, 0.3
"""Features of a photo; of its matches with another so many, and such a share, agree if they overlap."""


@click.command(help=__doc__)
@click.option("--weights", type=click.Path(exists=True), help="The encoder's, .safetensors; by default those that ship.")
@click.argument("folders", nargs=-1, required=True, type=click.Path(exists=True, file_okay=False, path_type=Path))
def encoder(folders: tuple[Path, ...], weights: str | None) -> None:
    cv2.setNumThreads(1)
    record = read_weights(weights or packaged_weights("encoder"), kind=KIND)[1]
    pictures, scenes = read_scenes(folders, {*record["photographs"], *record["held_out"]})
    overlap = find_overlaps(pictures, scenes)
    looked_at = [shrunk(picture, 256) for picture in pictures]
    print_heading()
    print(f"{len(pictures)} photos of {len(set(scenes))} scenes, {int(overlap.sum()) // 2} pairs overlap\n")
    print_row("told by", "AUC", "recall@5", "recall@1", "ms", header=True)
    taught = Encoder.load(weights, device="cpu")
    untaught = Encoder(EncoderNetwork(), taught.words, device="cpu")
    for name, encode, parts in [
        ("picture, random weights", untaught, PARTS["picture"]),
        *((name, taught, parts) for name, parts in PARTS.items()),
    ]:
        began = time.process_time()
        told = encode(looked_at, parts=parts)
        took = (time.process_time() - began) / len(told) * 1000
        print_row(name, *(f"{figure:.4f}" for figure in judge(told @ told.T, overlap, np.array(scenes))), f"{took:.1f}")
    began = time.process_time()
    closely = [tell_closely(picture, taught) for picture in looked_at]
    took = (time.process_time() - began) / len(closely) * 1000
    alike = np.array([[likeness(one, other) for other in closely] for one in closely])
    figures = (f"{figure:.4f}" for figure in judge(alike, overlap, np.array(scenes)))
    print_row("similar: parts beside wholes, too", *figures, f"{took:.1f}")


def read_scenes(folders: tuple[Path, ...], learned: set[str]) -> tuple[list[np.ndarray], list[str]]:
    """The photos that were not learned from, and the folder of each."""
    pictures, scenes = [], []
    for place in sorted({path.parent for folder in folders for path in folder.rglob("*") if path.suffix.lower() in PICTURE_ENDINGS}):
        paths = sorted(path for path in place.iterdir() if path.suffix.lower() in PICTURE_ENDINGS and "mask" not in path.name)
        if any(hashlib.sha256(path.read_bytes()).hexdigest() in learned for path in paths):
            continue
        for path in paths:
            try:
                pictures.append(read_picture(path))
                scenes.append(str(place))
            except ReadError as error:
                print(error)
    return pictures, scenes


def find_overlaps(pictures: list[np.ndarray], scenes: list[str]) -> np.ndarray:
    """Which photos of one scene overlap, (n, n) bool."""
    features = [detect_sift(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), None, FEATURES) for picture in pictures]
    overlap = np.zeros((len(pictures), len(pictures)), bool)
    matcher = cv2.BFMatcher(cv2.NORM_L2)
    for i, (first, own) in enumerate(features):
        for j in range(i):
            second, other = features[j]
            if scenes[i] != scenes[j] or min(len(own), len(other)) < 2:
                continue
            matches = [a for a, b in matcher.knnMatch(own, other, 2) if a.distance < 0.8 * b.distance]
            if len(matches) < AGREEING:
                continue
            ours = np.array([first[match.queryIdx].pt for match in matches], np.float32)
            theirs = np.array([second[match.trainIdx].pt for match in matches], np.float32)
            agree = cv2.findHomography(ours, theirs, cv2.USAC_ACCURATE, 3.0)[1]
            overlap[i, j] = overlap[j, i] = agree is not None and agree.sum() >= max(AGREEING, SHARE * len(matches))
    return overlap


def judge(alike: np.ndarray, overlap: np.ndarray, scenes: np.ndarray) -> tuple[float, float, float]:
    """AUC, recall@5 and recall@1."""
    above = np.triu_indices(len(alike), 1)
    other = np.sort(alike[above][(scenes[:, None] != scenes[None])[above]])
    own = alike[above][overlap[above]]
    wins = (np.searchsorted(other, own, "left") + np.searchsorted(other, own, "right")) / 2
    np.fill_diagonal(alike, -np.inf)
    nearest = np.argsort(-alike, axis=1, kind="stable")
    found = np.take_along_axis(overlap, nearest, axis=1)[overlap.any(1)]
    return wins.mean() / len(other), found[:, :5].any(1).mean(), found[:, 0].mean()


if __name__ == "__main__":
    encoder()
