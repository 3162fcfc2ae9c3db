"""Projections, cameras and the canvas."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compositor.compose import estimate_memory, plan_canvas
from compositor.compose.canvas import plan_reduction, reduced_canvas
from compositor.compose.warp import Box, Sheet, locate
from compositor.errors import CompositorError, LimitError, OptionError, TooFewPhotosError
from compositor.geometry.projections import PROJECTIONS, canvas_columns, canvas_directions, canvas_positions, canvas_rows
from compositor.geometry.views import border_directions, largest_radius, ray_directions, resolution, see
from compositor.options import ComposeOptions
from compositor.registration import Registration
from compositor.types import Camera, Canvas, Decoded


def turned(yaw=0.0, pitch=0.0, roll=0.0):
    """Camera to world, angles in degrees: up by pitch, then right by yaw."""
    y, p, r = np.radians([yaw, pitch, roll])
    about_y = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    about_x = np.array([[1, 0, 0], [0, np.cos(p), -np.sin(p)], [0, np.sin(p), np.cos(p)]])
    about_z = np.array([[np.cos(r), -np.sin(r), 0], [np.sin(r), np.cos(r), 0], [0, 0, 1]])
    return about_y @ about_x @ about_z


def camera(yaw=0.0, pitch=0.0, roll=0.0, size=(120, 90), focal=100.0, distortion=(0.0, 0.0), name="photo"):
    w, h = size
    return Camera(name, size, focal, ((w - 1) / 2, (h - 1) / 2), turned(yaw, pitch, roll), distortion)


def canvas_of(*cameras, **options):
    return plan_canvas(Registration("rotation", cameras), ComposeOptions(**options))


def directions_of(canvas):
    """Plain twin of the tables: the direction of every canvas pixel, (h, w, 3), by the definitions of the projections."""
    x, y = np.meshgrid(np.arange(canvas.size[0]), np.arange(canvas.size[1]))
    u, v = (x + canvas.left) / canvas.scale, (y + canvas.top) / canvas.scale
    if canvas.projection == "plane":
        return np.stack([u, v, np.ones_like(u)], -1)
    if canvas.projection == "cylindrical":
        return np.stack([np.sin(u), v, np.cos(u)], -1)
    if canvas.projection in ("stereographic", "fisheye"):
        radius, around = np.hypot(u, v), np.arctan2(v, u)
        angle = radius if canvas.projection == "fisheye" else 2 * np.arctan(radius / 2)
        return np.stack([np.sin(angle) * np.cos(around), np.sin(angle) * np.sin(around), np.cos(angle)], -1)
    longitude, latitude = u, v
    if canvas.projection == "mercator":
        latitude = 2 * np.arctan(np.exp(v)) - np.pi / 2
    if canvas.projection == "panini":
        longitude = 2 * np.arctan(u / 2)
        latitude = np.arctan(v * (1 + np.cos(longitude)) / 2)
    return np.stack([np.sin(longitude) * np.cos(latitude), np.sin(latitude), np.cos(longitude) * np.cos(latitude)], -1)


def unit(directions):
    return directions / np.linalg.norm(directions, axis=-1, keepdims=True)


@pytest.mark.parametrize("name", PROJECTIONS)
def test_locating_undoes_the_direction_tables(name):
    canvas = Canvas(name, 50.0, -60.0, -40.0, (121, 81))
    directions = directions_of(canvas).reshape(-1, 3)
    x, y = np.meshgrid(np.arange(121), np.arange(81))
    positions = np.stack([x.ravel(), y.ravel()], 1).astype(float)
    found, exists = canvas_directions(canvas, positions)
    assert exists.all()
    np.testing.assert_allclose(unit(found), unit(directions), atol=1e-15)
    np.testing.assert_allclose(canvas_positions(canvas, 3 * directions), positions, atol=1e-10)
    if name != "fisheye":  # whose directions are no products of tables
        (a, b), (c, s, t) = canvas_columns(canvas), canvas_rows(canvas)[:, :, None]
        np.testing.assert_allclose(unit(np.stack([a * c, s + 0 * a, b * c + t], -1)).reshape(-1, 3), unit(directions), atol=1e-15)


@pytest.mark.parametrize("name", PROJECTIONS)
@settings(deadline=None, max_examples=60)
@given(st.floats(-math.pi, math.pi), st.floats(-math.pi / 2, math.pi / 2))
def test_a_direction_comes_back_from_where_it_is_shown(name, longitude, latitude):
    """Whatever a surface can show: its coordinates are finite, and lead back to the direction."""
    direction = np.array([[math.sin(longitude) * math.cos(latitude), math.sin(latitude), math.cos(longitude) * math.cos(latitude)]])
    surface = PROJECTIONS[name]
    u, v = surface.locate(direction).T
    if not (abs(u) <= surface.reach[0] and abs(v) <= surface.reach[1]):  # also what has no coordinates at all
        assert name != "fisheye"
        off = math.acos(np.clip(direction[0, 2], -1, 1))
        allowed = {"plane": off, "stereographic": off / 2, "panini": max(abs(longitude) / 2, abs(latitude))}.get(name, abs(latitude))
        # The box of a plane's reach holds the cone of 75 degrees, a panini's that of its elevation only near the middle.
        assert allowed > math.radians(20 if name == "panini" else 74.9)
        return
    assert surface.exists(u, v).all()
    np.testing.assert_allclose(unit(surface.directions(u, v)), direction, atol=1e-9)


@pytest.mark.parametrize("distortion", [(0.0, 0.0), (-0.1, 0.0), (0.05, -0.02), (-0.6, 0.1)])
def test_pixels_come_back_from_their_directions(distortion):
    eye = camera(20, 10, 5, distortion=distortion)
    points = np.random.default_rng(0).uniform(-0.5, [119.5, 89.5], (500, 2))
    radius = np.hypot(*((points - eye.center) / eye.focal).T)
    limit = largest_radius(distortion)
    k1, k2 = distortion
    # Pixels beyond the fold of the distortion are seen by no direction.
    known = radius < (limit * (1 + k1 * limit**2 + k2 * limit**4) if math.isfinite(limit) else math.inf) * (1 - 1e-9)
    positions, seen = see(eye, ray_directions(eye, points))
    assert seen[known].all()
    np.testing.assert_allclose(positions[known], points[known], atol=1e-6)


def test_distortion_never_folds():
    """Whatever lies further out than the turning point of the distortion is not seen, although the formula leads back into the photo."""
    eye = camera(distortion=(-0.6, 0.0), size=(400, 400))
    assert largest_radius(eye.distortion) == pytest.approx(math.sqrt(1 / 1.8))
    angles = np.linspace(0, 1.5, 200)
    positions, seen = see(eye, np.stack([np.sin(angles), 0 * angles, np.cos(angles)], 1))
    assert (np.diff(positions[seen, 0]) > 0).all()
    assert not seen[np.tan(angles) > math.sqrt(1 / 1.8)].any()


@pytest.mark.parametrize("name", PROJECTIONS)
@pytest.mark.parametrize("distortion", [(0.0, 0.0), (-0.1, 0.02), (-0.9, 0.0)])
def test_kernel_finds_the_pixels_that_the_camera_sees(name, distortion):
    eye = camera(15, -12, 7, distortion=distortion)
    canvas = Canvas(name, 90.0, -130.0, -90.0, (261, 181))
    decoded = Decoded(np.zeros((45, 60, 3), np.uint8), None, (0.5, 0.5), (0.25, -0.125))
    places = locate(eye, decoded, Sheet.of(canvas), Box(0, 0, *canvas.size))
    positions, seen = see(eye, directions_of(canvas).reshape(-1, 3))
    # The kernel knows the decoded pixels' rectangle, not the photo's; and it rounds to 1/32.
    expected = (positions + 0.5) * 0.5 - 0.5 + (0.25, -0.125)
    rounded = np.round(expected * 32) / 32
    in_front = see(dataclasses.replace(eye, size=(10**6, 10**6), center=eye.center), directions_of(canvas).reshape(-1, 3))[1] | seen
    inside = ((rounded >= -0.5) & (rounded <= (59.5, 44.5))).all(axis=1)
    valid = places.valid.ravel()
    assert valid.sum() > 1000
    found = np.stack([places.map_x.ravel(), places.map_y.ravel()], 1)
    # A position exactly between two multiples of 1/32 may be rounded either way.
    assert np.abs(found[valid] - expected[valid]).max() <= 1 / 64 + 1e-9
    assert (found[~valid] == -1e4).all()
    assert not (valid & ~inside).any()
    assert (valid | ~(inside & in_front)).all()
    assert places.used == Box(*(int(f(found[valid][:, axis])) + plus for f, plus in ((np.min, 0), (np.max, 1)) for axis in (0, 1)))


def test_nothing_is_seen_behind_the_camera():
    eye = camera()
    canvas = Canvas("spherical", 100.0, -314.0, -40.0, (628, 80), True)
    places = locate(eye, Decoded(np.zeros((90, 120, 3), np.uint8)), Sheet.of(canvas), Box(0, 0, 628, 80))
    columns = np.flatnonzero(places.valid.any(axis=0))
    assert columns[0] > 314 - 80
    assert columns[-1] < 314 + 80


def test_one_photo_on_a_plane_keeps_its_pixels():
    canvas = canvas_of(camera(), projection="plane")
    assert (canvas.projection, canvas.scale, canvas.size) == ("plane", 100.0, (120, 90))
    assert (canvas.left, canvas.top) == pytest.approx((-59.5, -44.5), abs=1e-9)


@pytest.mark.parametrize(
    ("yaws", "pitches", "expected"),
    [
        ((-5, 5), (0,), "plane"),
        ((-30, 0, 30), (0,), "cylindrical"),
        ((-30, 0, 30), (-30, 30), "spherical"),
        ((-20, 20), (45,), "spherical"),
        (tuple(range(0, 360, 30)), (0,), "cylindrical"),
    ],
)
def test_projection_follows_the_field_of_view(yaws, pitches, expected):
    assert canvas_of(*(camera(yaw, pitch) for yaw in yaws for pitch in pitches)).projection == expected


@pytest.mark.parametrize("projection", ["cylindrical", "spherical", "mercator"])
def test_a_full_turn_wraps(projection):
    canvas = canvas_of(*(camera(yaw) for yaw in range(0, 360, 30)), projection=projection)
    assert canvas.wraps
    assert canvas.size[0] == pytest.approx(2 * math.pi * canvas.scale)
    assert 1 <= canvas.scale / 100 < 1.02
    assert canvas.size[0] % plan_reduction(Registration("rotation", (camera(),)), canvas) == 0


def test_views_across_the_back_are_cut_in_their_largest_gap():
    canvas = canvas_of(camera(170), camera(-160), projection="spherical")
    assert not canvas.wraps
    # 30 degrees between the views and 62 of each of them, in radians of 100 px.
    assert canvas.size[0] == pytest.approx(100 * (math.radians(30) + 2 * math.atan(0.595)), abs=3)
    assert canvas.left == pytest.approx(100 * (math.radians(170) - math.atan(0.595)), abs=3)


@pytest.mark.parametrize("pitch", [90, -90, 80])
def test_a_pole_is_shown_whole(pitch):
    canvas = canvas_of(camera(20, pitch), camera(0, pitch / 2), projection="spherical")
    assert canvas.wraps
    edge = canvas.top if pitch > 0 else canvas.top + canvas.size[1] - 1
    assert abs(edge) == pytest.approx(math.pi / 2 * canvas.scale, abs=1)


@pytest.mark.parametrize(
    ("projection", "yaw", "pitch"), [("plane", 80, 0), ("plane", 180, 0), ("cylindrical", 0, 70), ("cylindrical", 0, -89)]
)
def test_a_projection_that_cannot_show_a_view_is_refused(projection, yaw, pitch):
    with pytest.raises(OptionError, match="spherical"):
        canvas_of(camera(), camera(yaw, pitch), projection=projection)


def test_photos_of_a_plane_are_drawn_on_it():
    flat = dataclasses.replace(camera(), plane=np.array([[2.0, 0, 1], [0, 2.0, -1], [0, 0, 1]]))
    negative = dataclasses.replace(flat, plane=-flat.plane)
    assert resolution(flat) == pytest.approx(50)
    canvas = canvas_of(flat)
    # 100 px a radian and two units of the plane a radian: 50 px a unit keep the photo's size.
    assert (canvas.projection, canvas.size, canvas.scale) == ("plane", (120, 90), 50.0)
    assert canvas_of(negative).left == pytest.approx(canvas.left)
    with pytest.raises(OptionError, match="plane"):
        canvas_of(flat, projection="spherical")
    with pytest.raises(OptionError, match="horizon"):
        canvas_of(dataclasses.replace(camera(), plane=np.array([[1.0, 0, 0], [0, 1.0, 0], [3.0, 0, 1]])))


def test_an_empty_registration_is_refused():
    with pytest.raises(TooFewPhotosError):
        canvas_of()


def test_a_reduced_canvas_holds_every_nth_pixel():
    canvas = Canvas("spherical", 100.0, -50.5, -20.25, (101, 42))
    reduced = reduced_canvas(canvas, 4)
    np.testing.assert_allclose(directions_of(reduced)[:11, :25], directions_of(canvas)[:44:4, :100:4], atol=1e-12)
    assert reduced.size == (26, 12)


cameras = st.builds(
    camera,
    st.floats(-360, 360),
    st.floats(-90, 90),
    st.floats(-180, 180),
    size=st.tuples(st.integers(1, 20000), st.integers(1, 20000)),
    focal=st.floats(0.01, 1e9),
    distortion=st.tuples(st.floats(-2, 2), st.floats(-2, 2)),
)


@settings(deadline=None, max_examples=60)
@given(st.lists(cameras, min_size=1, max_size=5), st.sampled_from(["auto", *PROJECTIONS]), st.floats(0.001, 4))
def test_no_cameras_make_a_canvas_without_bounds(eyes, projection, scale):
    registration = Registration("rotation", tuple(eyes))
    options = ComposeOptions(projection=projection, scale=scale)
    try:
        canvas = plan_canvas(registration, options)
    except (OptionError, LimitError):
        return
    w, h = canvas.size
    assert w >= 1
    assert h >= 1
    assert w * h <= 2**36
    if PROJECTIONS[canvas.projection].cyclic:
        assert w <= 2 * math.pi * canvas.scale + 1.5
    if canvas.projection == "spherical":
        assert h <= math.pi * canvas.scale + 1.5
    assert estimate_memory(registration, canvas, options, np.dtype(np.uint8)) > w * h * 5


@settings(deadline=None, max_examples=40)
@given(st.lists(cameras, min_size=1, max_size=4))
def test_the_canvas_holds_every_border(eyes):
    """Every border pixel's direction lies on the canvas, give or take the pixel that rounding costs."""
    try:
        canvas = plan_canvas(Registration("rotation", tuple(eyes)), ComposeOptions(projection="spherical"))
    except CompositorError:
        return
    w, h = canvas.size
    for eye in eyes:
        if min(eye.size) < 16:  # no photo can be smaller (images.limits), and the scale of such a canvas is rounded by a quarter
            continue
        x, y = (PROJECTIONS["spherical"].locate(border_directions(eye)) * canvas.scale - (canvas.left, canvas.top)).T
        x = (x + 1) % (2 * math.pi * canvas.scale) - 1
        # A turn has a whole number of columns, for which the scale is rounded afterwards: by half a column a turn.
        assert ((x >= -1.01) & (x <= w + 0.1)).all()
        assert ((y >= -1.26) & (y <= h + 0.26)).all()
