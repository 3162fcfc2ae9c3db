"""Multi-band blending alone, beside OpenCV's, in one process and in alternation.

Photos of several megapixels that are already warped, 8 bit, overlap in a grid; a map says who owns each pixel. Ours blends them as
composing does: tile by tile, coarse bands on a reduced canvas, whose small photos are made inside the measured time. OpenCV's
``cv2.detail_MultiBandBlender`` is fed the same photos with the same owners as masks and as many bands. Fed «needed», both get only the
part of every photo that its bands can reach, fed «everything», all of it. Freed memory is «returned» to the system, as the C library does
unless it is told otherwise, or «kept» for the next request, as the program ``compositor`` does; that is most of OpenCV's time. Ratios are
medians of OpenCV's time by ours within a turn.

Then how exact both are, on a set of a ninth of the pixels: deviations in levels of 8 bits, greatest and mean, from the same blend in
float64; for photos that differ in their light and noise alone, and for photos that are also out of place by up to two pixels, where ours
leaves out what differs far more than usual and would stain. Ours is compared before its pixels are rounded: in one pyramid at full size, as
composing blends what it does not plan smaller, and with the coarse bands on a reduced canvas, which differs by what reducing costs; then as
it is stored. OpenCV's, whose pyramids hold integers, is compared with the blend that it means. The last column tells what becomes of photos
that are 200 all over.
"""

from __future__ import annotations

import dataclasses
import itertools
import os
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import click
import cv2
import numpy as np
from numpy.typing import NDArray
from tables import print_heading, print_row

from compositor.compose.blend import enlarging_taps
from compositor.compose.coarse import blend_coarse, count_bands
from compositor.compose.needs import Outline, find_needs, widen
from compositor.compose.plan import Plan
from compositor.compose.render import _finish_tile, _Job, _Piece
from compositor.compose.seams import find_seams, spread_labels
from compositor.compose.tiles import Tile, cut_tiles
from compositor.compose.warp import Box, Sheet
from compositor.compose.warped import Warped
from compositor.heap import keep_freed_memory
from compositor.photometry import Photometry
from compositor.types import Canvas

Floats = NDArray[np.float64]
ROWS, COLUMNS, OVERLAP = 2, 3, 0.25


@dataclasses.dataclass(frozen=True, eq=False)
class Scene:
    """Photos on a canvas: the box of each, its pixels (h, w, 3), where it has any, and who owns every ``factor``-th pixel of the canvas."""

    size: tuple[int, int]
    boxes: list[Box]
    pixels: list[NDArray[np.uint8]]
    masks: list[NDArray[np.bool_]]
    labels: NDArray[np.int16]
    factor: int
    bands: int


@click.command(help=__doc__)
@click.option("-n", "turns", type=click.IntRange(1), default=7, show_default=True, help="Turns after the first.")
@click.option("--width", type=click.IntRange(600), default=2560, show_default=True, help="Of a photo, px; it is three quarters as high.")
def blending(turns: int, width: int) -> None:
    print_heading()
    scene = make_scene(width)
    megapixels = scene.size[0] * scene.size[1] / 1e6
    print(f"{len(scene.boxes)} photos of {width * width * 0.75 / 1e6:.1f} MP, canvas {megapixels:.1f} MP, {scene.bands} bands\n")
    columns = "fed, freed memory, threads, ours s, ours CPU s, cv2 s, cv2 CPU s, ours MP/s, cv2 MP/s, ratio, ratio CPU, turns"
    print_row(*columns.split(", "), header=True)
    for memory in ("returned", "kept"):
        if memory == "kept":
            keep_freed_memory()
        for needed in (True, False):
            for threads in (os.cpu_count() or 1, 1):
                measure(scene, needed, memory, threads, turns)
    print()
    print_exactness(
        {"in place": make_scene(width // 3, astray=0), "out of place": make_scene(width // 3)}, make_scene(width // 3, constant=200)
    )


def make_scene(width: int, constant: int | None = None, astray: int = 2) -> Scene:
    """Photos of a photograph that scikit-image ships, each with its own shading and noise, and ``astray`` px out of place at most."""
    from skimage.data import stereo_motorcycle

    height = width * 3 // 4
    factor = 1 << max(0, round(np.log2(width * height / 0.15e6) / 2))
    step = [int(side * (1 - OVERLAP)) // 32 * 32 for side in (width, height)]
    size = (width + (COLUMNS - 1) * step[0], height + (ROWS - 1) * step[1])
    world = cv2.resize(stereo_motorcycle()[0], size, interpolation=cv2.INTER_CUBIC)
    boxes, pixels, masks, generator = [], [], [], np.random.default_rng(0)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    for n in range(ROWS * COLUMNS):
        left, top = n % COLUMNS * step[0], n // COLUMNS * step[1]
        boxes.append(Box(left, top, left + width, top + height))
        part = np.roll(world[top : top + height, left : left + width], generator.integers(-astray, astray + 1, 2), (0, 1)).astype(
            np.float32
        )
        shade = 0.9 + 0.1 * np.cos((x - generator.uniform(0, width)) / width) * np.cos((y - generator.uniform(0, height)) / height)
        part = part * shade[..., None] + generator.normal(0, 2, (height, width, 1)).astype(np.float32)
        pixels.append(np.full(part.shape, constant, np.uint8) if constant else np.round(np.clip(part, 0, 255)).astype(np.uint8))
        # Turned a little, so that the rims are not straight along rows.
        masks.append((x > 0.02 * y) & (y > 0.02 * (width - x)) & (width - x > 0.02 * (height - y)) & (height - y > 0.02 * x))
    reduced = (-(-(size[0] - 1) // factor) + 1, -(-(size[1] - 1) // factor) + 1)
    small = [reduced_photo(*photo, factor) for photo in zip(pixels, masks, boxes, strict=True)]
    labels = spread_labels(find_seams(small, reduced, wraps=False, method="graphcut"), wraps=False)
    return Scene(size, boxes, pixels, masks, labels, factor, count_bands(OVERLAP * width))


# Ours


def plan_of(scene: Scene, needed: bool) -> Plan:
    """What composing would have decided before it blends: seams, and where each photo is needed."""
    canvas, factor = Canvas("plane", 1000.0, 0.0, 0.0, scene.size), scene.factor
    outlines = []
    for box, mask in zip(scene.boxes, scene.masks, strict=True):
        small, (h, w) = mask[::factor, ::factor], scene.labels.shape
        reduced = Box(*(side // factor for side in box[:2]), *(side // factor for side in box[:2]))
        reduced = Box(reduced.left, reduced.top, min(reduced.left + small.shape[1], w), min(reduced.top + small.shape[0], h))
        small = small[: reduced.shape[0], : reduced.shape[1]]
        outlines.append(Outline(reduced, widen(small, 2, False), ~widen(~small, 2, False)))
    needs = find_needs(outlines, scene.labels, None, wraps=False)
    if not needed:
        needs = tuple(dataclasses.replace(need, mask=outline.may) for need, outline in zip(needs, outlines, strict=True))
    neutral = Photometry.neutral([str(k) for k in range(len(outlines))])
    return Plan(canvas, factor, scene.labels, np.ones_like(scene.labels, np.bool_), neutral, scene.bands, None, None, None, needs)


def blend(scene: Scene, plan: Plan, tiles: list[Tile], pool: ThreadPoolExecutor, dtype: type = np.uint8) -> tuple[NDArray, NDArray]:
    """Blend a scene as composing does; the picture and its owners."""
    levels = plan.factor.bit_length() - 1
    boxes = [need.box for need in plan.needs]
    small = list(pool.map(reduced_photo, scene.pixels, scene.masks, scene.boxes, itertools.repeat(plan.factor), boxes))
    reduced = Canvas("plane", plan.canvas.scale / plan.factor, 0.0, 0.0, scene.labels.shape[::-1])
    correction = blend_coarse(small, scene.labels, reduced, levels, scene.bands - levels, pool) if scene.bands > levels else None
    plan = dataclasses.replace(plan, correction=correction)
    picture, owner = np.zeros((*scene.size[::-1], 3), dtype), np.full(scene.size[::-1], -1, np.int8)
    job = _Job(plan, (), Sheet.of(plan.canvas), enlarging_taps(levels), picture, owner)
    list(pool.map(lambda tile: blend_tile(scene, job, tile), tiles))
    return picture, owner


def reduced_photo(pixels: NDArray[np.uint8], mask: NDArray[np.bool_], box: Box, factor: int, needed: Box | None = None) -> Warped:
    """A photo on the reduced canvas, where it may be needed there, by OpenCV's pyramid in float32."""
    frame = Box(*(side // factor for side in box))
    frame = frame.clip(needed) if needed else frame
    part = Box(*(side * factor for side in frame)).within(box)
    small = pixels[part] * np.float32(1 / 255)
    for _ in range(factor.bit_length() - 1):
        small = cv2.pyrDown(small, borderType=cv2.BORDER_REPLICATE)
    return Warped(small, np.ascontiguousarray(mask[part][::factor, ::factor]), (frame.left, frame.top))


def blend_tile(scene: Scene, job: _Job, tile: Tile) -> None:
    """One tile, its photos cut out of what is warped already."""
    pieces, full = {}, np.float32(255 if job.pixels.dtype == np.uint8 else 1)
    for k, wanted in tile.pieces.items():
        if box := wanted.clip(scene.boxes[k]):
            at = box.within(scene.boxes[k])
            pixels = np.ascontiguousarray(scene.pixels[k][at], np.float32)
            pieces[k] = _Piece(box, pixels if full > 1 else pixels / np.float32(255), np.ascontiguousarray(scene.masks[k][at]))
    if pieces:
        _finish_tile(job, tile, pieces)


# OpenCV's


def feeds(scene: Scene, owner: NDArray, needed: bool) -> list[tuple[Box, NDArray[np.uint8]]]:
    """What OpenCV is fed of each photo, and the mask of its owned pixels."""
    found = []
    for k, box in enumerate(scene.boxes):
        mask = (owner[box.top : box.bottom, box.left : box.right] == k).astype(np.uint8) * 255
        if needed:
            # It continues what it is fed by so much by itself.
            left, top, w, h = cv2.boundingRect(mask)
            part = Box(box.left + left, box.top + top, box.left + left + w, box.top + top + h).grow(3 << scene.bands).clip(box)
            mask, box = np.ascontiguousarray(mask[part.within(box)]), part
        found.append((box, mask))
    return found


def blend_by_opencv(scene: Scene, fed: list[tuple[Box, NDArray[np.uint8]]]) -> NDArray:
    blender = cv2.detail_MultiBandBlender(0, scene.bands)
    blender.prepare((0, 0, *scene.size))
    for (box, mask), whole, pixels in zip(fed, scene.boxes, scene.pixels, strict=True):
        blender.feed(pixels[box.within(whole)], mask, (box.left, box.top))
    picture, _ = blender.blend(None, None)
    return picture


def measure(scene: Scene, needed: bool, memory: str, threads: int, turns: int) -> None:
    """Run both in alternation and print a row."""
    plan = plan_of(scene, needed)
    tiles = cut_tiles(plan)
    with ThreadPoolExecutor(threads) as pool:
        fed = feeds(scene, blend(scene, plan, tiles, pool)[1], needed)
        steps: dict[str, Callable[[], object]] = {
            "ours": lambda: blend(scene, plan, tiles, pool),
            "cv2": lambda: blend_by_opencv(scene, fed),
        }
        wall: dict[str, list[float]] = {name: [] for name in steps}
        cpu: dict[str, list[float]] = {name: [] for name in steps}
        for turn in range(turns + 1):
            for name, step in list(steps.items())[:: -1 if turn % 2 else 1]:
                cv2.setNumThreads(threads)
                start, used = time.perf_counter(), time.process_time()
                step()
                if turn:
                    wall[name].append(time.perf_counter() - start)
                    cpu[name].append(time.process_time() - used)
    times = {name: (statistics.median(wall[name]), statistics.median(cpu[name])) for name in steps}
    megapixels = scene.size[0] * scene.size[1] / 1e6
    ratios = [statistics.median(b / a for a, b in zip(took["ours"], took["cv2"], strict=True)) for took in (wall, cpu)]
    print_row(
        "needed" if needed else "everything",
        memory,
        threads,
        *(f"{seconds:.3f}" for name in ("ours", "cv2") for seconds in times[name]),
        *(f"{megapixels / times[name][0]:.0f}" for name in ("ours", "cv2")),
        *(f"{ratio:.2f}" for ratio in ratios),
        turns,
    )


# The same in float64


def print_exactness(scenes: dict[str, Scene], constant: Scene) -> None:
    """Deviations of every blender from its own blend in float64, and what it makes of a constant."""
    print_row("photos", "blender", "max", "999 of 1000 below", "mean", "200 becomes", header=True)
    for title, scene in scenes.items():
        plan = plan_of(scene, needed=True)
        with ThreadPoolExecutor(1) as pool:
            composed, owner = blend(scene, plan, cut_tiles(plan), pool, np.float32)
            stored = blend(scene, plan, cut_tiles(plan), pool)[0]
            whole = dataclasses.replace(scene, factor=1, labels=spread_labels(owner.astype(np.int16), wraps=False))
            whole_plan = plan_of(whole, needed=True)
            single = blend(whole, whole_plan, cut_tiles(whole_plan), pool, np.float32)[0]
            even = blend(constant, plan, cut_tiles(plan), pool)[0]
        fed, shown = feeds(scene, owner, needed=False), owner >= 0
        by_opencv, even_by_opencv = blend_by_opencv(scene, fed), blend_by_opencv(constant, fed)
        reference, meant = blend_in_float64(whole), blend_as_opencv_means(scene, fed)
        for name, picture, truth, flat in (
            ("ours, one pyramid, float", single.astype(np.float64) * 255, reference, None),
            ("ours, reduced canvas, float", composed.astype(np.float64) * 255, reference, None),
            ("ours, reduced canvas, 8 bit", stored.astype(np.float64), reference, even),
            ("cv2", np.clip(by_opencv, 0, 255).astype(np.float64), meant, even_by_opencv),
        ):
            error = np.abs(picture - (truth if name.endswith("float") else np.clip(truth, 0, 255)))[shown]
            becomes = None if flat is None else f"{flat[shown].min()} to {flat[shown].max()}"
            print_row(title, name, *(f"{number:.4f}" for number in (error.max(), np.quantile(error, 0.999), error.mean())), becomes)


def blend_in_float64(scene: Scene) -> Floats:
    """Burt and Adelson's blend with labels at full size, each photo continued by the hard composite beyond its mask, levels of 8 bits."""
    hard, reach = np.zeros((*scene.size[::-1], 3)), 4 << scene.bands
    for k, box in enumerate(scene.boxes):
        at = box.within(Box(0, 0, *scene.size))
        mine = (scene.labels[at] == k) & scene.masks[k]
        hard[at][mine] = scene.pixels[k][mine]
    total, canvas = hard.copy(), Box(0, 0, *scene.size)
    covered = np.zeros(scene.size[::-1], np.bool_)
    for k, box in enumerate(scene.boxes):
        covered[box.within(canvas)] |= scene.masks[k] & (scene.labels[box.within(canvas)] == k)
    labels = np.pad(scene.labels, reach, mode="edge")
    for k, box in enumerate(scene.boxes):
        at, grown = box.within(canvas), box.grow(reach)
        both = scene.masks[k] & covered[at]
        difference = np.pad(np.where(both[..., None], scene.pixels[k] - hard[at], 0), ((reach, reach), (reach, reach), (0, 0)))
        weight = (labels[grown.within(canvas.grow(reach))] == k).astype(np.float64)[..., None]
        share = blended_share(difference, weight, scene.bands)
        inside = grown.clip(canvas)
        total[inside.within(canvas)] += share[inside.within(grown)]
    return total


def blended_share(picture: Floats, weight: Floats, bands: int) -> Floats:
    """The sum of a picture's bands, each times the weight at its level."""
    if not bands:
        return picture * weight
    coarse = halved(picture)
    below = blended_share(coarse, halved(weight), bands - 1)
    return weight * (picture - doubled(coarse, picture.shape[:2])) + doubled(below, picture.shape[:2])


def halved(picture: Floats) -> Floats:
    """The next level of a Gaussian pyramid; beyond its border a picture goes on with its border's colour."""
    small = cv2.pyrDown(picture, borderType=cv2.BORDER_REPLICATE)
    return small.reshape(*small.shape[:2], -1)


def doubled(picture: Floats, shape: tuple[int, int]) -> Floats:
    """A picture enlarged to a shape; beyond its border it goes on with its border's colour."""
    for axis, n in enumerate(shape):
        i, last = np.arange(n), picture.shape[axis] - 1
        here, after, before = (picture.take(np.clip(i // 2 + k, 0, last), axis) for k in (0, 1, -1))
        odd = (i % 2 == 1).reshape((-1, 1, 1) if axis == 0 else (1, -1, 1))
        picture = np.where(odd, (here + after) / 2, (before + 6 * here + after) / 8)
    return picture


def blend_as_opencv_means(scene: Scene, fed: list[tuple[Box, NDArray[np.uint8]]]) -> Floats:
    """Sum of the photos' bands times their weights, divided by the sum of the weights, each photo continued by its reflection."""
    step = 1 << scene.bands
    width, height = (-(-side // step) * step for side in scene.size)
    sums = [np.zeros((height >> n, width >> n, 3)) for n in range(scene.bands + 1)]
    totals = [np.zeros((height >> n, width >> n, 1)) for n in range(scene.bands + 1)]
    for pixels, (box, mask) in zip(scene.pixels, fed, strict=True):
        # As far as its bands reach, on the grid of the coarsest.
        near = box.grow(3 * step).clip(Box(0, 0, width, height))
        near = Box(near.left // step * step, near.top // step * step, -(-near.right // step) * step, -(-near.bottom // step) * step)
        rims = (box.top - near.top, near.bottom - box.bottom, box.left - near.left, near.right - box.right)
        picture = cv2.copyMakeBorder(pixels.astype(np.float64), *rims, cv2.BORDER_REFLECT)
        weight = cv2.copyMakeBorder(mask / 255.0, *rims, cv2.BORDER_CONSTANT)
        for n in range(scene.bands + 1):
            at = slice(near.top >> n, near.bottom >> n), slice(near.left >> n, near.right >> n)
            coarse = cv2.pyrDown(picture)
            band = picture - cv2.pyrUp(coarse) if n < scene.bands else picture
            sums[n][at] += weight[..., None] * band
            totals[n][at] += weight[..., None]
            picture, weight = coarse, cv2.pyrDown(weight)
    bands = [band / np.maximum(total, 1e-12) for band, total in zip(sums, totals, strict=True)]
    result = bands.pop()
    while bands:
        result = bands.pop() + cv2.pyrUp(result)
    return result[: scene.size[1], : scene.size[0]]


if __name__ == "__main__":
    blending()
