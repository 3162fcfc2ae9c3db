"""Registration: cameras against the truth they were rendered with, and photos that do not belong."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Sequence

import numpy as np
import pytest
from skimage import data

from compositor.assess.cameras import camera_errors
from compositor.datasets.synthesize import look_around, render_views
from compositor.errors import TooFewPhotosError
from compositor.geometry.views import see
from compositor.images import photo_from_array
from compositor.kernels.matching import best_two, best_two_bits
from compositor.kernels.refine import RADIUS, refine_points
from compositor.options import RegisterOptions
from compositor.register import register_photos
from compositor.register.adjust import adjust
from compositor.register.choose import independent_matches
from compositor.register.features import detect_features, read_picture
from compositor.register.graph import connected_groups, spanning_tree
from compositor.register.initialize import best_rotations
from compositor.register.least_squares import Problem
from compositor.register.models import MODELS
from compositor.register.straighten import straighten
from compositor.types import Camera, Match, Photo


@pytest.fixture(scope="module")
def cameras() -> list[Camera]:
    return look_around(rows=2, columns=3, seed=3)


@pytest.fixture(scope="module")
def photos(cameras) -> list[Photo]:
    return [photo_from_array(v.pixels, v.camera.name) for v in render_views(data.stereo_motorcycle()[0], cameras, seed=3)]


@pytest.fixture(scope="module")
def stranger() -> Photo:
    return photo_from_array(data.coffee()[:360, :480], "stranger.png")


def options(**changes) -> RegisterOptions:
    return RegisterOptions.of(changes)


@pytest.mark.parametrize("features", ["sift", "orb"])
def test_cameras_are_found(photos, cameras, features):
    registration = register_photos(photos, options(features=features))
    errors = camera_errors(registration.cameras, cameras)
    assert [c.name for c in registration.cameras] == [c.name for c in cameras]
    # Bars: 0.1 degree and 0.2 %; patches that are refined to 0.1 px in views of 480 px reach far below.
    assert math.degrees(errors.rotation) < 0.1
    assert errors.focal < 0.002
    assert registration.error < 0.5


def test_a_bending_lens_is_found():
    cameras = [dataclasses.replace(c, distortion=(-0.08, 0.0)) for c in look_around(rows=1, columns=4, step=(0.13, 0.0), seed=5)]
    views = render_views(data.stereo_motorcycle()[0], cameras, picture_field_of_view=math.radians(80), seed=5)
    registration = register_photos([photo_from_array(v.pixels, v.camera.name) for v in views], options())
    errors = camera_errors(registration.cameras, cameras)
    assert math.degrees(errors.rotation) < 0.03
    assert errors.focal < 0.001
    # 5 % is the bar; k1 and the focal length pull on each other, so neither is right without the other.
    assert registration.cameras[0].distortion[0] == pytest.approx(-0.08, rel=0.05)


def test_a_stranger_is_left_out_and_named(photos, stranger):
    registration = register_photos([photos[0], stranger, *photos[1:]], options())
    assert len(registration.cameras) == len(photos)
    ((name, reason),) = registration.left_out
    assert name == "stranger.png"
    assert "needed" in reason


def test_a_copy_is_left_out_and_named(photos):
    copy = photo_from_array(photos[2].full().pixels, "copy.png")
    registration = register_photos([*photos[:3], copy], options())
    assert registration.left_out == (("copy.png", f"the same picture as {photos[2].name}"),)


@pytest.mark.parametrize("which", ["none", "one", "strangers", "copies", "blank"])
def test_fewer_than_two_overlapping_photos(photos, stranger, which):
    blank = photo_from_array(np.full((300, 400, 3), 128, np.uint8), "blank.png")
    given = {
        "none": [],
        "one": photos[:1],
        "strangers": [photos[0], stranger],
        "copies": [photos[0], photo_from_array(photos[0].full().pixels, "copy.png")],
        "blank": [blank, photos[0]],
    }[which]
    with pytest.raises(TooFewPhotosError) as caught:
        register_photos(given, options())
    assert "\n" not in str(caught.value)
    assert len(caught.value.left_out) >= (len(given) > 1)


def test_two_runs_and_any_thread_count_agree_exactly(photos):
    once = register_photos(photos, options(threads=1)).to_json()
    assert register_photos(photos, options(threads=1)).to_json() == once
    assert register_photos(photos, options(threads=2)).to_json() == once


def test_deep_photos_register_like_shallow_ones(photos):
    deep = [photo_from_array(p.full().pixels.astype(np.uint16) * 257, p.name) for p in photos]
    a, b = register_photos(photos, options()), register_photos(deep, options())
    # Stretching a deep photo's contrast changes which weak features are found, not where things are.
    assert math.degrees(camera_errors(b.cameras, a.cameras).rotation) < 0.03


def test_photos_of_unequal_zoom_get_their_own_focal_lengths():
    cameras = look_around(rows=1, columns=3, step=(math.radians(13), 0), seed=5)
    zoomed = look_around(rows=1, columns=3, step=(math.radians(13), 0), seed=5, field_of_view=math.radians(26))
    cameras[1] = zoomed[1]
    photos = [photo_from_array(v.pixels, v.camera.name) for v in render_views(data.stereo_motorcycle()[0], cameras, seed=5)]
    errors = camera_errors(register_photos(photos, options()).cameras, cameras)
    # With one focal length per photo and a third of a view in common, focal length and angle trade off: measured 0.05 %.
    assert errors.focal < 0.005
    assert math.degrees(errors.rotation) < 0.1


def test_features_lie_where_the_full_photo_has_them():
    """The same corner is found at the same full-size position, however much the photo was reduced."""
    picture = data.brick()
    big = photo_from_array(np.repeat(np.repeat(picture, 3, axis=0), 3, axis=1), "big")
    same = options(registration_megapixels=picture.size / 1e6)
    full = detect_features(read_picture(photo_from_array(picture, "small"), same), same)
    reduced = detect_features(read_picture(big, same), same)
    ours, theirs = (full.points + 0.5) * 3 - 0.5, reduced.points
    nearest = np.sqrt(((ours[:100, None] - theirs[None]) ** 2).sum(axis=2).min(axis=1))
    # Reducing in two steps weighs pixels a little differently: a tenth of a reduced pixel. A wrong frame would show a whole one.
    assert np.median(nearest) < 0.3


@pytest.mark.parametrize("strip", [40, 7])
def test_best_two_equals_sorting(strip):
    rng = np.random.default_rng(1)
    table = rng.integers(0, 50, (40, 30)).astype(np.float32)  # with ties
    best, second = np.empty(40, np.float32), np.empty(40, np.float32)
    index, back = np.empty(40, np.int32), np.empty(30, np.int32)
    best_back = np.full(table.shape[1], -np.inf, np.float32)
    back[:] = -1
    for top in range(0, len(table), strip):
        part = slice(top, top + strip)
        best_two(table[part], top, best[part], index[part], second[part], back, best_back)
    ordered = np.sort(table, axis=1)
    assert np.array_equal(best, ordered[:, -1])
    assert np.array_equal(second, ordered[:, -2])
    assert np.array_equal(index, table.argmax(axis=1))
    assert np.array_equal(back, table.argmax(axis=0))


def test_best_two_bits_equals_sorting():
    rng = np.random.default_rng(2)
    first, second = rng.integers(0, 256, (40, 32), dtype=np.uint8), rng.integers(0, 256, (30, 32), dtype=np.uint8)
    second[20] = second[10] = first[7]  # ties
    best, other = np.empty(40, np.float32), np.empty(40, np.float32)
    index, back = np.empty(40, np.int32), np.empty(30, np.int32)
    best_two_bits(first.view(np.uint64), second.view(np.uint64), best, index, other, back)
    distances = np.unpackbits(first[:, None] ^ second[None], axis=2).sum(axis=2)
    ordered = np.sort(distances, axis=1)
    assert np.array_equal(best, ordered[:, 0])
    assert np.array_equal(other, ordered[:, 1])
    assert np.array_equal(index, distances.argmin(axis=1))
    assert np.array_equal(back, distances.argmin(axis=0))


@pytest.mark.parametrize("shift", [(0.0, 0.0), (0.37, -0.81), (-1.3, 0.5)])
def test_patches_are_brought_together(shift):
    """A picture shifted in the frequency domain, darker and flatter: the shift comes back to a fiftieth of a pixel."""
    import cv2

    picture = cv2.GaussianBlur(data.brick()[:256, :256].astype(np.float64), (0, 0), 1.0)
    fy, fx = np.meshgrid(np.fft.fftfreq(256), np.fft.fftfreq(256), indexing="ij")
    moved = np.fft.ifft2(np.fft.fft2(picture) * np.exp(-2j * np.pi * (fx * shift[0] + fy * shift[1]))).real
    first, second = (np.clip(np.rint(p), 0, 255).astype(np.uint8) for p in (picture, moved * 0.7 + 20))
    points = np.random.default_rng(2).integers(RADIUS + 20, 256 - RADIUS - 20, (200, 2))
    found, score = points.astype(np.float64), np.empty(200)
    refine_points(first, second, points, found, np.broadcast_to(np.eye(2), (200, 2, 2)).copy(), 15, score)
    good = score > 0.9
    assert good.mean() > 0.5
    assert np.median(np.abs(found[good] - points[good] - shift)) < 0.02


def test_best_rotations_ignore_a_few_wrong_directions():
    rng = np.random.default_rng(4)
    source = rng.normal(size=(2, 60, 3))
    source /= np.linalg.norm(source, axis=2, keepdims=True)
    turn = look_around(seed=1)[5].rotation
    target = source @ turn.T
    target[:, :6] = source[:, :6][:, ::-1]
    # A tenth of nonsense tilts the first fit by degrees; the second leaves it out.
    assert np.allclose(best_rotations(source, target), turn, atol=1e-6)


def match_between(first: int, second: int, inliers: int) -> Match:
    points = np.zeros((inliers, 2))
    return Match(first, second, points, points, np.eye(3), inliers)


def test_groups_and_tree():
    matches = [match_between(0, 2, 5), match_between(2, 4, 9), match_between(0, 4, 7), match_between(1, 3, 50)]
    assert connected_groups(6, matches) == [[0, 2, 4], [1, 3], [5]]
    steps = spanning_tree([0, 2, 4], matches[:3])
    assert [(known, new) for known, new, _ in steps] == [(4, 2), (4, 0)]


@pytest.mark.parametrize("turn", ["as is", "rolled", "upside down"])
def test_straightening_levels_the_horizon(turn):
    """Cameras on a level circle come back level, however the world was turned before."""
    level = [c for c in look_around(rows=1, columns=5, jitter=0.0)]
    world = {"as is": np.eye(3), "rolled": look_around(seed=7, jitter=0.6)[0].rotation, "upside down": np.diag([-1.0, -1.0, 1.0])}[turn]
    straight = straighten([c.looking(world @ c.rotation) for c in level])
    for camera, expected in zip(straight, level, strict=True):
        assert np.allclose(camera.rotation, expected.rotation, atol=1e-9)


def test_straightening_a_vertical_pair_keeps_it_upright():
    pair = look_around(rows=2, columns=1, jitter=0.0)
    for camera, expected in zip(straighten(pair), pair, strict=True):
        assert np.allclose(camera.rotation, expected.rotation, atol=1e-6)


def test_patches_without_a_curve_say_nothing():
    """On an exact ramp every shift fits after a change of offset: no patch may be moved, and nothing divided by zero."""
    ramp = np.tile(np.arange(200, dtype=np.uint8), (200, 1))
    points = np.full((3, 2), 100)
    found, score = points.astype(np.float64), np.empty(3)
    refine_points(ramp, ramp, points, found, np.broadcast_to(np.eye(2), (3, 2, 2)).copy(), 8, score)
    assert (score == -2).all()
    assert np.array_equal(found, points)


def test_a_common_caption_joins_nothing():
    import cv2

    photos = []
    for name in ("coffee", "astronaut", "chelsea", "rocket"):
        picture = cv2.resize(getattr(data, name)(), (640, 480), interpolation=cv2.INTER_AREA)
        cv2.putText(picture, "(c) 2024 J. Photographer", (20, 460), cv2.FONT_HERSHEY_SIMPLEX, 1.1, (255, 255, 255), 2, cv2.LINE_AA)
        photos.append(photo_from_array(picture, name))
    with pytest.raises(TooFewPhotosError):
        register_photos(photos, options())


def test_a_principal_point_off_the_middle_is_found_in_portrait_and_landscape():
    """One sensor, 25 px off: photos held upright have the offset elsewhere, so it is estimated apart."""
    rng = np.random.default_rng(11)
    cameras, pairs = [], [(0, 1), (1, 2), (2, 3), (3, 4), (0, 2), (1, 3), (2, 4)]
    for k in range(5):
        size, offset = ((1200, 900), (25, 0)) if k in (0, 2, 4) else ((900, 1200), (0, 25))
        center = ((size[0] - 1) / 2 + offset[0], (size[1] - 1) / 2 + offset[1])
        cameras.append(Camera(str(k), size, 1100.0, center, rotation_about(0.02 * k, 0.18 * k, 0.01)))
    matches = []
    for a, b in pairs:
        ahead = cameras[a].rotation[:, 2] + cameras[b].rotation[:, 2]
        directions = ahead / np.linalg.norm(ahead) + rng.uniform(-0.25, 0.25, (600, 3))
        seen = [project(cameras[i], directions) for i in (a, b)]
        inside = np.all([(s >= 0).all(axis=1) & (s < cameras[i].size).all(axis=1) for s, i in zip(seen, (a, b), strict=True)], axis=0)
        first, second = (s[inside] + rng.normal(0, 0.1, (inside.sum(), 2)) for s in seen)
        matches.append(Match(a, b, first, second, np.eye(3), len(first)))
    start = [Camera(c.name, c.size, 1150.0, ((c.size[0] - 1) / 2, (c.size[1] - 1) / 2), c.rotation) for c in cameras]
    adjusted = adjust(start, Problem.of(matches, {i: i for i in range(5)}), MODELS["rotation"], focal="shared")
    assert adjusted.cameras[0].focal == pytest.approx(1100, rel=0.002)
    for camera, true in zip(adjusted.cameras, cameras, strict=True):
        # A tenth of a pixel of noise in some two thousand matches leaves the principal point uncertain by about one pixel.
        assert camera.center == pytest.approx(true.center, abs=3)


BENT = (-0.15, 0.12)


def adjusted_lenses(reach: Sequence[float]) -> list[tuple[float, float]]:
    """Lens by lens, what four photos each tell of it, whose matches reach so far of the way to the corners."""
    rng = np.random.default_rng(12)
    cameras, matches = [], []
    for lens, share in enumerate(reach):
        size = (1200, 900 - 100 * lens)
        middle = ((size[0] - 1) / 2, (size[1] - 1) / 2)
        start = len(cameras)
        cameras += [Camera(f"{lens} {k}", size, 900.0, middle, rotation_about(0, 0.2 * k, 0), BENT) for k in range(4)]
        for a, b in itertools.pairwise(range(start, start + 4)):
            directions = np.column_stack([rng.uniform(-1, 1.5, 6000), rng.uniform(-0.7, 0.7, 6000), np.ones(6000)])
            (first, seen), (second, also) = (see(cameras[k], directions) for k in (a, b))
            near = np.all([np.hypot(*(points - middle).T) < share * np.hypot(*middle) for points in (first, second)], axis=0)
            both = seen & also & near
            first, second = (points[both] + rng.normal(0, 0.2, (both.sum(), 2)) for points in (first, second))
            matches.append(Match(a, b, first, second, np.eye(3), len(first)))
    guesses = [dataclasses.replace(camera, focal=950.0, distortion=(0.0, 0.0)) for camera in cameras]
    problem = Problem.of(matches, {i: i for i in range(len(cameras))})
    adjusted = adjust(guesses, problem, MODELS["rotation"], focal="shared")
    return [adjusted.cameras[start].distortion for start in range(0, len(cameras), 4)]


def test_bending_far_out_is_told_only_by_matches_that_lie_there():
    (told,) = adjusted_lenses([2.0])
    # A fifth of a pixel of noise in two thousand matches leaves either number uncertain by less than a hundredth.
    assert told == pytest.approx(BENT, abs=0.02)
    (blind,) = adjusted_lenses([0.78])
    assert blind[1] == 0
    assert BENT[0] < blind[0] < BENT[0] + BENT[1]  # k1 takes up what it can


def test_matches_of_one_lens_tell_nothing_of_another():
    told, blind = adjusted_lenses([2.0, 0.78])
    assert told == pytest.approx(BENT, abs=0.02)
    assert blind[1] == 0


def rotation_about(x: float, y: float, z: float) -> np.ndarray:
    import cv2

    return cv2.Rodrigues(np.array([x, y, z]))[0]


def project(camera: Camera, directions: np.ndarray) -> np.ndarray:
    ray = directions @ camera.rotation
    return camera.center + camera.focal * ray[:, :2] / ray[:, 2:]


def plane_motion(model: str, k: int, rng: np.random.Generator) -> np.ndarray:
    """Photo pixels of the k-th photo to picture pixels."""
    motion = np.eye(3)
    if model in ("euclidean", "similarity"):
        angle, scale = 0.2 * rng.uniform(-1, 1), 1 + 0.1 * rng.uniform(-1, 1) * (model == "similarity")
        motion[:2, :2] = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    elif model in ("affine", "homography"):
        motion[:2, :2] += rng.uniform(-0.1, 0.1, (2, 2))
    if model == "homography":
        motion[2, :2] = rng.uniform(-3e-4, 3e-4, 2)
    motion[:2, 2] = 140 + 150.3 * k, 100 + 7.7 * k
    return motion


@pytest.mark.parametrize("model", ["translation", "euclidean", "similarity", "affine", "homography"])
def test_photos_of_a_plane_get_their_own_model(model):
    import cv2

    import compositor

    rng = np.random.default_rng(21)
    picture = cv2.resize(data.coffee(), (1200, 800), interpolation=cv2.INTER_CUBIC)
    motions = [plane_motion(model, k, rng) for k in range(3)]
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    photos = [cv2.warpPerspective(picture, m, (420, 320), flags=flags, borderMode=cv2.BORDER_REFLECT) for m in motions]
    registration = compositor.register(photos)
    assert registration.model == model
    assert registration.confidence > 0.9
    assert compositor.Registration.from_json(registration.to_json()).to_json() == registration.to_json()
    # Relative motions of photo pixels against the truth, at the corners: the plane's own coordinates are a matter of taste.
    corners = np.array([[0, 0, 1], [419, 0, 1], [419, 319, 1], [0, 319, 1]], np.float64)
    pixel = [
        c.view @ np.array([[1 / c.focal, 0, -c.center[0] / c.focal], [0, 1 / c.focal, -c.center[1] / c.focal], [0, 0, 1]])
        for c in registration.cameras
    ]
    for k in range(2):
        found, true = np.linalg.inv(pixel[k + 1]) @ pixel[k] @ corners.T, np.linalg.inv(motions[k + 1]) @ motions[k] @ corners.T
        assert np.abs(found[:2] / found[2] - true[:2] / true[2]).max() < 1.0
    panorama = compositor.compose(registration, photos)
    assert panorama.canvas.projection == "plane"
    assert panorama.mask.mean() > 0.5


def test_scans_of_a_sheet_that_does_not_lie_flat_are_not_taken_for_views_from_elsewhere():
    import cv2

    import compositor

    rng = np.random.default_rng(4)
    picture = cv2.resize(data.coffee(), (1400, 933), interpolation=cv2.INTER_CUBIC)
    place = np.dstack(np.meshgrid(np.arange(420), np.arange(320))).astype(np.float32)
    scans = []
    for k in range(4):
        motion = cv2.getRotationMatrix2D((210, 160), rng.uniform(-3, 3), 1) + np.array(
            [[0, 0, 300 + 210 * (k % 2)], [0, 0, 200 + 190 * (k // 2)]]
        )
        scan = cv2.warpAffine(picture, motion, (420, 320), flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP)
        bent = cv2.resize(rng.normal(0, 0.8, (4, 5, 2)).astype(np.float32), (420, 320), interpolation=cv2.INTER_CUBIC)
        scans.append(cv2.remap(scan, place + bent, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT))
    # Any freer model fits what is left a good deal better, in every overlap alike: as if a thousand matches said so.
    assert compositor.register(scans).model == "euclidean"


def test_errors_that_neighbours_share_count_as_few():
    rng = np.random.default_rng(2)
    camera = Camera("one", (640, 480), 600.0, (319.5, 239.5), np.eye(3))
    points = rng.uniform(0, 400, (300, 2))
    noisy, bent = rng.normal(0, 1, (300, 2)), np.column_stack([np.sin(points[:, 0] / 100), np.cos(points[:, 1] / 100)])
    told = [independent_matches(Match(0, 1, points, points + errors, np.eye(3), 300), camera, camera) for errors in (noisy, bent)]
    assert told[0] == 30  # as many as any pair counts for
    assert 1 <= told[1] < 5  # two or three waves fit into the overlap
    behind = dataclasses.replace(camera, rotation=np.diag([-1.0, 1, -1]))
    assert independent_matches(Match(0, 1, points, points, np.eye(3), 300), camera, behind) == 30


def test_what_a_mask_hides_does_not_stretch_deep_pixels():
    picture = (data.brick().astype(np.float32) / 255)[..., None].repeat(3, axis=2)
    mask = np.ones(picture.shape[:2], bool)
    mask[:40] = False
    marked = np.where(mask[..., None], picture, np.float32(-9999))
    clean, spoiled = (read_picture(photo_from_array(p, "deep", mask=mask), options()).gray for p in (picture, marked))
    assert np.array_equal(clean[60:], spoiled[60:])
    assert np.ptp(clean[60:]) > 100
