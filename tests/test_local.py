"""Local alignment: photos bent a little where their overlaps would not meet, and how bent photos are drawn, mapped and saved."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math

import cv2
import numpy as np
import pytest
from bench.room import joints, photograph, seen_by_both, step_forward, tiled
from scipy.interpolate import BSpline
from skimage.data import stereo_motorcycle

import compositor
from compositor.compose.warp import Box, Sheet, locate
from compositor.datasets.synthesize import look_around, render_views, rotation_of
from compositor.errors import RegistrationFileError
from compositor.geometry.mesh import displacements, steepness, undisplaced
from compositor.geometry.projections import canvas_directions
from compositor.geometry.views import ray_directions, see
from compositor.kernels.mesh import add_rows, factor_band, multiply_band, solve_band
from compositor.register.lines import line_bending
from compositor.register.mesh import Elastics, bend, fit_meshes, keep_straight, make_elastic, solve_meshes, tie
from compositor.register.residuals import Sought
from compositor.types import Camera, Canvas, Decoded

SIZE = 640, 480


def bump(height, size=SIZE, shape=(9, 11), at=(0.3, 0.5), width=0.25):
    """Control values of a smooth displacement that is largest, ``height`` px, at one place of the photo (shares of its sides)."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    x, y = (x - 1) / (shape[1] - 3) - at[0], ((y - 1) / (shape[0] - 3) - at[1]) * size[1] / size[0]
    return np.exp(-(x**2 + y**2) / (2 * width**2))[..., None] * height


def pair(mesh):
    """Two overlapping cameras, the second one with a mesh."""
    first, second = look_around(rows=1, columns=2, size=SIZE, step=(np.radians(13), 0), field_of_view=np.radians(32), seed=3)
    return first, dataclasses.replace(second, mesh=mesh)


def overlap_errors(cameras, truth):
    """How far the cameras carry points of the first photo's overlap from where they belong, px, (n, 2)."""
    x, y = np.meshgrid(np.arange(4, SIZE[0] - 4, 8.0), np.arange(4, SIZE[1] - 4, 8.0))
    points = np.stack([x.ravel(), y.ravel()], 1)
    found, seen = see(cameras[1], ray_directions(cameras[0], points))
    right, visible = see(truth[1], ray_directions(truth[0], points))
    # Half a patch from the rims nothing can be measured; there the mesh goes on as it was.
    inside = ((right > 12) & (right < np.array(SIZE) - 13)).all(1) & ((points > 12) & (points < np.array(SIZE) - 13)).all(1)
    keep = seen & visible & inside
    return found[keep] - right[keep]


@pytest.fixture(scope="module")
def bent():
    """Photos of which the second is bent by up to 5 px, the truth, and their registration."""
    truth = pair(bump((4.0, -3.0), width=0.15))
    photos = [view.pixels for view in render_views(stereo_motorcycle()[0], truth)]
    return photos, truth, compositor.register(photos)


def test_a_smooth_displacement_is_recovered(bent):
    _, truth, registration = bent
    errors = overlap_errors(registration.cameras, truth)
    bare = [dataclasses.replace(camera, mesh=None) for camera in registration.cameras]
    before = overlap_errors(bare, truth)
    assert len(errors) > 500
    # What turning and the lens cannot explain of the bump is most of a pixel; patches say to 0.05 px where they are.
    assert np.median(np.linalg.norm(before, axis=1)) > 0.4
    assert np.median(np.linalg.norm(errors, axis=1)) < 0.12
    assert registration.local.after < 0.3 * registration.local.before
    assert "local" in json.loads(registration.to_json())


def test_any_thread_count_bends_alike(bent):
    photos, _, registration = bent
    assert compositor.register(photos, threads=1).to_json() == registration.to_json()


def test_none_bends_nothing(bent):
    photos, _, registration = bent
    plain = compositor.register(photos, local_alignment="none")
    assert plain.local is None
    bare = tuple(dataclasses.replace(camera, mesh=None) for camera in registration.cameras)
    assert dataclasses.replace(registration, cameras=bare, local=None).to_json() == plain.to_json()


@pytest.mark.parametrize("method", ["auto", "mesh"])
def test_exact_cameras_are_left_alone(photos, method):
    plain = compositor.register(photos, local_alignment="none")
    assert compositor.register(photos, local_alignment=method).to_json() == plain.to_json()


def test_something_that_moved_bends_nothing(views):
    """A thing that is elsewhere in one photo is no smooth error: around it the photos fit as they are."""
    photos = [view.pixels.copy() for view in views[:2]]
    thing = cv2.GaussianBlur(np.random.default_rng(5).integers(0, 255, (60, 60, 3)).astype(np.uint8), (0, 0), 1.5)
    for photo, left in zip(photos, (330, 100), strict=True):
        photo[150:210, left : left + 60] = thing
    registration = compositor.register(photos, local_alignment="mesh")
    assert registration.local is None


def test_parallax_goes_and_straight_lines_stay():
    """A camera moved 12 cm forward between its photos of a wall and a floor: no camera that only turns can explain that."""
    cameras, positions = step_forward(size=SIZE)
    photos = [photograph(camera, position, tiled()) for camera, position in zip(cameras, positions, strict=True)]
    registration = compositor.register(photos, model="rotation", focal="shared")
    assert registration.local is not None
    bare = [dataclasses.replace(camera, mesh=None) for camera in registration.cameras]
    first, second = seen_by_both(cameras, positions, 0, 1)
    assert len(first) > 500
    before, after = (np.sqrt(np.mean((see(c[1], ray_directions(c[0], first))[0] - second) ** 2)) for c in (bare, registration.cameras))
    assert after < 0.2 * before
    # How far the meshes take the joints of the tiles from straight lines.
    lines = [(camera, line) for camera, c, p in zip(registration.cameras, cameras, positions, strict=True) for line in joints(c, p)]
    assert len(lines) > 30
    assert max(off_straight(displacements(camera.mesh, SIZE, line), line) for camera, line in lines) < 0.3


def off_straight(moved, line):
    """Largest distance of points on a line, each moved, from the straight line that fits them best."""
    moved = line + moved - (line + moved).mean(axis=0)
    normal = np.linalg.svd(moved)[2][1]
    return float(np.abs(moved @ normal).max())


def between(points, there, slopes):
    """Points that a first photo has in common with a second one."""
    count = len(points)
    return Sought(np.zeros(count, np.int64), np.ones(count, np.int64), points, there, slopes, np.ones(count))


def test_a_straight_line_bends_the_other_photo():
    """Two photos share a correction; where one of them has straight lines across it, the other one takes it."""
    cameras = [Camera(name, SIZE, 600.0, (319.5, 239.5), np.eye(3)) for name in "ab"]
    x, y = np.meshgrid(np.arange(10, 630, 16.0), np.arange(10, 470, 16.0))
    points = np.stack([x.ravel(), y.ravel()], 1)
    apart = displacements(bump((0.0, 4.0), width=0.12), SIZE, points)
    sought = between(points, points, np.tile(np.eye(2), (len(points), 1, 1)))
    lines = np.array([[[0.0, v], [639, v]] for v in range(40, 480, 40)])
    worst = []
    for known in (np.zeros((0, 2, 2)), lines):
        elastics = [make_elastic(k, cameras, [(0, 1)], 1.0) for k in (0, 1)]
        elastics[0] = keep_straight(elastics[0], cameras[0], known)
        both = Elastics.of(cameras, elastics)
        x = np.zeros(len(both.free))
        tied = dataclasses.replace(tie(sought, both, x), error=apart)
        bent = bend(cameras, both, fit_meshes(tied, both, x, scales=(4, 2, 1, 0.5)))
        left = see(bent[1], ray_directions(bent[0], points))[0] - (points + apart)
        assert np.sqrt(np.mean(left**2)) < 0.05
        worst.append(line_bending(bent[0], lines).max())
    assert worst[0] > 0.8  # half of the 4 px, less what a straight line takes of the bump
    assert worst[1] < 0.1


def test_saved_meshes_come_back_exactly(bent, tmp_path):
    registration = bent[2]
    registration.save(tmp_path / "photos.json")
    again = compositor.Registration.load(tmp_path / "photos.json")
    assert again.to_json() == registration.to_json()
    assert again.local == registration.local
    for one, other in zip(registration.cameras, again.cameras, strict=True):
        assert np.array_equal(one.mesh, other.mesh)


def test_files_without_meshes_still_load(bent):
    record = json.loads(bent[2].to_json())
    del record["local"]
    for photo in record["photos"]:
        del photo["mesh"]
    loaded = compositor.Registration.from_json(json.dumps(record))
    assert loaded.local is None
    assert all(camera.mesh is None for camera in loaded.cameras)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda mesh: mesh[0].pop(), "rows of"),
        (lambda mesh: mesh.__delitem__(slice(3, None)), "no registration"),
        (lambda mesh: mesh[4].__setitem__(4, [1e4, 0.0]), "fold"),
        (lambda mesh: mesh[4].__setitem__(4, ["1", 0.0]), "no registration"),
    ],
)
def test_meshes_that_make_no_sense_are_refused(bent, spoil, message):
    record = json.loads(bent[2].to_json())
    spoil(record["photos"][0]["mesh"])
    with pytest.raises(RegistrationFileError, match=message):
        compositor.Registration.from_json(json.dumps(record))


@pytest.fixture(scope="module")
def panorama(bent):
    return compositor.compose(bent[2], bent[0])


def test_mapping_back_undoes_mapping(panorama):
    points = np.random.default_rng(1).uniform(0, np.array(SIZE) - 1.0, (500, 2))
    for k in (0, 1):
        there = panorama.map_points(k, points)
        np.testing.assert_allclose(panorama.map_back(k, there), points, atol=1e-6)
        plain = dataclasses.replace(
            panorama,
            registration=dataclasses.replace(
                panorama.registration, cameras=[dataclasses.replace(c, mesh=None) for c in panorama.registration.cameras]
            ),
        )
        assert np.abs(plain.map_points(k, points) - there).max() > 0.3


def test_source_of_says_where_bent_pixels_came_from(panorama):
    rng = np.random.default_rng(2)
    for y, x in rng.permutation(np.argwhere(panorama.mask))[:50]:
        photo, place = panorama.source_of(int(x), int(y))
        # At the rim it is the nearest place in the photo.
        np.testing.assert_allclose(panorama.map_points(photo, [place])[0], (x, y), atol=0.05)


def test_composed_pixels_are_where_the_maps_say(bent, panorama):
    """A second rendering of each photo holds, as its colours, its own coordinates: what is composed of it tells where it was drawn from."""
    x, y = np.meshgrid(np.arange(SIZE[0]), np.arange(SIZE[1]))
    coordinates = np.stack([x / 1000, y / 1000, 0 * x], -1).astype(np.float32)
    drawn = compositor.compose(bent[2], [coordinates, coordinates], exposure="none", blend="none")
    assert drawn.owner.shape == panorama.owner.shape
    rows, columns = np.nonzero(cv2.erode(drawn.mask.astype(np.uint8), np.ones((9, 9))))
    for k in (0, 1):
        mine = drawn.owner[rows, columns] == k
        places = drawn.map_back(k, np.stack([columns[mine], rows[mine]], 1).astype(float))
        inner = ((places > 2) & (places < np.array(SIZE) - 3)).all(1)  # beyond its rim a photo goes on as it ends
        assert inner.sum() > 10_000
        # Positions are rounded twice to 1/32 px, and OpenCV's cubic kernel (a = -3/4) takes a ramp up to 0.048 px aside.
        assert np.abs(drawn.pixels[rows[mine], columns[mine], :2] * 1000 - places)[inner].max() < 1 / 32 + 0.05


def test_meshes_scale_with_their_photos(bent):
    registration = bent[2]
    half = registration.fitted_to([(c.name, (SIZE[0] // 2, SIZE[1] // 2)) for c in registration.cameras])
    points = np.random.default_rng(3).uniform(0, np.array(SIZE) - 1.0, (200, 2))
    for full, small in zip(registration.cameras, half.cameras, strict=True):
        np.testing.assert_allclose(ray_directions(small, (points + 0.5) / 2 - 0.5), ray_directions(full, points), atol=1e-9)


@pytest.mark.parametrize("projection", ["cylindrical", "stereographic", "fisheye"])
@pytest.mark.parametrize(("scale", "offset"), [((1.0, 1.0), (0.0, 0.0)), ((0.5, 0.5), (0.25, -0.125))])
def test_kernel_finds_the_pixels_that_a_bent_camera_sees(scale, offset, projection):
    mesh = np.random.default_rng(4).uniform(-3, 3, (7, 8, 2))
    mesh[:3] = 0  # cells in which nothing moves
    eye = Camera("photo", (120, 90), 100.0, (59.5, 44.5), np.eye(3), (-0.1, 0.02), None, mesh)
    assert 0.1 < steepness(mesh, eye.size) < 1
    canvas = Canvas(projection, 110.0, -80.0, -60.0, (161, 121))
    size = tuple(round(side * s) for side, s in zip((90, 120), scale, strict=True))
    places = locate(eye, Decoded(np.zeros((*size, 3), np.uint8), None, scale, offset), Sheet.of(canvas), Box(0, 0, *canvas.size))
    x, y = np.meshgrid(np.arange(canvas.size[0]), np.arange(canvas.size[1]))
    directions, _ = canvas_directions(canvas, np.stack([x.ravel(), y.ravel()], 1).astype(float))
    positions, _ = see(eye, directions)
    expected = (positions + 0.5) * scale - 0.5 + offset
    found, valid = np.stack([places.map_x.ravel(), places.map_y.ravel()], 1), places.valid.ravel()
    assert valid.sum() > 5000
    # Rounded to 1/32 before and after bending, and what the first rounding moves changes the bending by less than the steepness.
    assert np.abs(found[valid] - expected[valid]).max() < (1 / 64) * 2 * 1.5
    assert (found[~valid] == -1e4).all()
    surely = ((expected > -0.45) & (expected < np.array(size[::-1]) - 0.55)).all(1)
    surely_not = ((expected < -0.55) | (expected > np.array(size[::-1]) - 0.45)).any(1)
    assert valid[surely].all()
    assert not valid[surely_not].any()
    whole = found[valid].astype(int)
    assert places.used == Box(*whole.min(0), *(whole.max(0) + 1))


def test_displacements_are_cubic_b_splines():
    mesh = np.random.default_rng(6).normal(size=(8, 10, 2))
    points = np.random.default_rng(7).uniform(-0.5, [99.5, 59.5], (300, 2))
    x, y = ((points + 0.5) * [7 / 100, 5 / 60]).T
    across = BSpline(np.arange(-3.0, 11), np.eye(10), 3)(x)
    down = BSpline(np.arange(-3.0, 9), np.eye(8), 3)(y)
    np.testing.assert_allclose(displacements(mesh, (100, 60), points), np.einsum("nr,nc,rck->nk", down, across, mesh), atol=1e-12)


def test_undoing_a_displacement():
    mesh = bump((30.0, -20.0), width=0.15)
    assert steepness(mesh, SIZE) < 0.9
    points = np.random.default_rng(8).uniform(-20, np.array(SIZE) + 20.0, (300, 2))
    found = undisplaced(mesh, SIZE, points)
    np.testing.assert_allclose(found + displacements(mesh, SIZE, found), points, atol=1e-7)


def test_steepness_bounds_every_difference():
    mesh = np.random.default_rng(9).normal(size=(8, 10, 2))
    points = np.random.default_rng(10).uniform(0, 60, (40, 2))
    moved = displacements(mesh, (100, 60), points)
    for a, b in itertools.combinations(range(40), 2):
        assert np.linalg.norm(moved[a] - moved[b]) <= steepness(mesh, (100, 60)) * np.linalg.norm(points[a] - points[b]) + 1e-12


def dense(band):
    """A symmetric band, stored by columns, as a full matrix."""
    n, width = band.shape
    full = np.zeros((n, n))
    for j in range(n):
        for d in range(min(width, n - j)):
            full[j + d, j] = full[j, j + d] = band[j, d]
    return full


def test_bands_do_what_full_matrices_do():
    rng = np.random.default_rng(12)
    nodes, values = rng.integers(0, 20, (1, 1)) + rng.integers(0, 6, (60, 5)), rng.normal(size=(60, 5, 2))
    band = np.zeros((60, 14))
    band[:, 0] = 0.5
    add_rows(nodes, values, band)
    rows = np.zeros((60, 60))
    for row in range(60):
        for node, (x, y) in zip(nodes[row], values[row], strict=True):
            rows[row, 2 * node] += x
            rows[row, 2 * node + 1] += y
    full = rows.T @ rows + 0.5 * np.eye(60)
    np.testing.assert_allclose(dense(band), full, atol=1e-12)
    x, product = rng.normal(size=60), rng.normal(size=60)
    expected = product + full @ x
    multiply_band(band, x, product)
    np.testing.assert_allclose(product, expected, atol=1e-10)
    factor_band(band)
    np.testing.assert_allclose(np.tril(dense(band)), np.linalg.cholesky(full), atol=1e-10)
    answer = x.copy()
    solve_band(band, answer)
    np.testing.assert_allclose(answer, np.linalg.solve(full, x), atol=1e-8)


def test_meshes_solve_the_least_squares():
    """Against a full matrix, whose columns are what each unknown alone does to the points."""
    rng = np.random.default_rng(13)
    turned = rotation_of(math.radians(35), 0, 0)  # so far that most of either photo is no overlap, where nothing may move
    cameras = [Camera("a", SIZE, 600.0, (319.5, 239.5), np.eye(3)), Camera("b", (480, 640), 600.0, (239.5, 319.5), turned)]
    count = 300
    slopes = np.eye(2) + rng.normal(0, 0.1, (count, 2, 2))
    sought = between(rng.uniform(0, 470, (count, 2)), rng.uniform(0, 470, (count, 2)), slopes)
    elastics = [keep_straight(make_elastic(k, cameras, [(0, 1)], 1.5), cameras[k], np.array([[[10.0, 20], [400, 300]]])) for k in (0, 1)]
    both = Elastics.of(cameras, elastics)
    size = len(both.free)
    tied = dataclasses.replace(tie(sought, both, np.zeros(size)), error=rng.normal(0, 1, (count, 2)))
    weights, free = rng.uniform(0.1, 1, count), both.free
    found = solve_meshes(tied, weights, both, np.zeros(size))
    equations = np.array([tied.moved(unit).ravel() for unit in np.eye(size)]).T
    full = equations.T * np.repeat(weights, 2) @ equations + dense(both.band)
    right = equations.T @ (np.repeat(weights, 2) * tied.error.ravel())
    assert not free.all()
    assert (found[~free] == 0).all()
    answer = np.linalg.solve(full[np.ix_(free, free)], right[free])
    away = found[free] - answer
    # Conjugate gradients stop at a relative error of 1e-3 in the norm of the preconditioner, which is near the least squares' own.
    assert away @ full[np.ix_(free, free)] @ away < (3e-3) ** 2 * (answer @ full[np.ix_(free, free)] @ answer)
