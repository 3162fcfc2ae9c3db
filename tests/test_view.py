"""Projections and views: what composing shows under each of them, beside the scene sampled directly."""

from __future__ import annotations

import dataclasses
import math
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_compose import as_type, compose, directions_of, photo_of, rendered, shoot, world
from test_projection import camera, canvas_of, unit

from compositor.compose import choose_holding, estimate_memory, plan_canvas, turned
from compositor.compose.memory import FEWEST, Holding
from compositor.errors import CompositorError, LimitError, OptionError
from compositor.geometry.projections import PROJECTIONS, canvas_directions, canvas_positions
from compositor.geometry.views import ray_directions, see
from compositor.options import ComposeOptions
from compositor.photometry import Photometry
from compositor.registration import Registration

NEW = ["mercator", "stereographic", "fisheye", "panini"]


def sphere():
    """Views of everything: a ring at the horizon, one above and one below, zenith and nadir."""
    rings = [(yaw + pitch, pitch) for pitch in (-50, 0, 50) for yaw in range(0, 360, 60)]
    views = [*rings, (10, 90), (20, -90)]
    return Registration("rotation", tuple(camera(*view, size=(128, 128), focal=70.0, name=f"photo {k}") for k, view in enumerate(views)))


def ring(count=8, focal=110.0):
    return Registration("rotation", tuple(camera(360 / count * k + 3, (-1) ** k, focal=focal, name=f"photo {k}") for k in range(count)))


def direction(yaw, pitch):
    y, p = np.radians([yaw, pitch])
    return np.array([[math.sin(y) * math.cos(p), -math.sin(p), math.cos(y) * math.cos(p)]])


TURNED = {"yaw": 70, "pitch": -35, "roll": 20}


@pytest.mark.parametrize(
    ("projection", "view"),
    [
        *((name, TURNED) for name in NEW),
        ("plane", {**TURNED, "fov": 100}),
        ("spherical", TURNED),
        ("fisheye", {}),
        ("stereographic", {"pitch": -90}),
    ],
)
def test_a_sphere_of_photos_shows_the_world_under_every_projection(projection, view):
    registration = sphere()
    panorama = compose(registration, projection=projection, size="240x240", exposure="none", **view)
    canvas = panorama.canvas
    x, y = np.meshgrid(np.arange(canvas.size[0]), np.arange(canvas.size[1]))
    seen, exists = canvas_directions(canvas, np.stack([x.ravel(), y.ravel()], 1).astype(float))
    # Photos look at all of the sphere, so all of the canvas that means a direction is filled, but for a pixel at the rim.
    assert panorama.mask.ravel()[exists].mean() > 0.99
    assert not panorama.mask.ravel()[~exists].any()
    back = np.linalg.inv(turned(registration, ComposeOptions(**view)).cameras[0].rotation @ registration.cameras[0].rotation.T)
    truth = world(seen @ back.T).reshape(*x.shape, 3) * 255
    error = (panorama.pixels - truth)[panorama.mask]
    # Two roundings cost 0.4 levels root mean square, 56 dB. Where a canvas is coarser than the photos they are averaged to its size, which
    # blurs a scene of 30 radians a period by up to 3 levels; a photo that is off by one of the canvas' pixels would stay below 30 dB.
    assert 20 * np.log10(255 / np.sqrt((error**2).mean())) > 36


@pytest.mark.parametrize("projection", NEW)
def test_neither_tiles_nor_threads_change_a_bit(generator, projection):
    registration = ring(6, focal=100.0)
    big = [dataclasses.replace(e, size=(480, 360), focal=4 * e.focal, center=(239.5, 179.5)) for e in registration.cameras]
    registration = Registration("rotation", tuple(big))
    photos = []
    for eye in registration.cameras:
        mask = np.ones((360, 480), bool)
        mask[100:140, 200:333] = False
        photos.append(photo_of(as_type(shoot(eye, np.float32, generator.uniform(0.8, 1.2)).full().pixels, np.uint8), eye.name, mask))
    options, names = ComposeOptions(projection=projection, size="800"), tuple(eye.name for eye in registration.cameras)
    light = Photometry(names, generator.uniform(0.9, 1.1, (len(names), 3)), np.zeros((len(names), 3)), 0.5)
    pixels, owner = rendered(registration, photos, options, 512, 1, light)
    assert len(np.unique(owner)) > 3
    for side, workers in ((200, 2), (10_000, 1)):
        other, other_owner = rendered(registration, photos, options, side, workers, light)
        np.testing.assert_array_equal(other_owner, owner)
        np.testing.assert_array_equal(other, pixels)


@pytest.mark.parametrize("projection", PROJECTIONS)
def test_points_map_there_and_back(projection):
    registration = Registration("rotation", (camera(-15, 5, name="a"), camera(15, -5, name="b")))
    panorama = compose(registration, projection=projection, yaw=10, pitch=-5)
    points = np.random.default_rng(0).uniform(0, [119, 89], (50, 2))
    for k in range(2):
        np.testing.assert_allclose(panorama.map_back(k, panorama.map_points(k, points)), points, atol=1e-6)


@pytest.mark.parametrize("projection", ["plane", *NEW])
def test_what_is_behind_a_plane_is_nowhere_on_it(projection):
    canvas = dataclasses.replace(canvas_of(camera(), projection=projection))
    behind = canvas_positions(canvas, np.array([[0.0, 0.0, -1.0]]))
    if projection in ("mercator", "fisheye"):
        assert np.isfinite(behind).all()
    else:
        assert np.isnan(behind).all()


@pytest.mark.parametrize("projection", [name for name in PROJECTIONS if name != "cylindrical"])
@pytest.mark.parametrize(
    ("yaw", "pitch", "roll", "where"),
    [(30, 0, 0, (30, 0)), (0, 20, 0, (0, 20)), (-50, -25, 40, (-50, -25)), (120, 60, -10, (120, 60))],
)
def test_the_middle_shows_where_the_view_looks(projection, yaw, pitch, roll, where):
    """Yaw to the right and pitch upward; roll leaves the middle alone."""
    registration = turned(sphere(), ComposeOptions(yaw=yaw, pitch=pitch, roll=roll))
    canvas = plan_canvas(registration, ComposeOptions(projection=projection, fov=80, size="401x301"))
    eye = sphere().cameras[0]
    turn = registration.cameras[0].rotation @ eye.rotation.T
    np.testing.assert_allclose(canvas_positions(canvas, direction(*where) @ turn.T), [[200, 150]], atol=1e-9)
    # Half the field of view to the right is the right edge, half a pixel beyond the last pixel's centre.
    np.testing.assert_allclose(canvas_positions(canvas, direction(40, 0)), [[400.5, 150]], atol=1e-9)


def test_a_view_turns_right_up_and_clockwise():
    """A point to the right, above and straight ahead, seen by a view that turned the same way, comes nearer to the middle or goes round."""
    registration = Registration("rotation", (camera(),))
    eye = registration.cameras[0]

    def seen(point, **view):
        canvas = plan_canvas(turned(registration, ComposeOptions(**view)), ComposeOptions(projection="plane", fov=120, size="1001x1001"))
        (x, y), *_ = canvas_positions(canvas, point @ (turned(registration, ComposeOptions(**view)).cameras[0].rotation @ eye.rotation.T).T)
        return x - 500, y - 500

    assert seen(direction(20, 0))[0] > 100
    assert seen(direction(20, 0), yaw=20) == pytest.approx((0, 0), abs=1e-9)
    assert seen(direction(0, 20))[1] < -100
    assert seen(direction(0, 20), pitch=20) == pytest.approx((0, 0), abs=1e-9)
    # A camera that rolls clockwise by a quarter sees at its top what was on its right.
    x, y = seen(direction(20, 0), roll=90)
    assert x == pytest.approx(0, abs=1e-9)
    assert y < -100


def test_a_turned_registration_gives_the_same_picture():
    """The view is a turn of the whole registration: what is saved with the picture gives the picture again."""
    registration = ring()
    photos = [shoot(eye) for eye in registration.cameras]
    panorama = compose(registration, photos, projection="stereographic", pitch=-90, size="200")
    again = compose(panorama.registration, photos, projection="stereographic", size="200")
    np.testing.assert_array_equal(again.pixels, panorama.pixels)


def test_a_little_planet_stands_on_its_ground():
    """Looking down at a ring of photos: the nadir in the middle, the horizon a circle around it, the sky outside."""
    panorama = compose(ring(), projection="stereographic", pitch=-90, fov=200, size="201x201")
    turn = panorama.registration.cameras[0].rotation @ ring().cameras[0].rotation.T
    radius = [np.hypot(*(canvas_positions(panorama.canvas, direction(yaw, 0) @ turn.T)[0] - 100)) for yaw in range(0, 360, 30)]
    np.testing.assert_allclose(radius, 201 / 2 / math.tan(math.radians(50)), rtol=1e-9)
    assert not panorama.mask[100, 100]  # no photo looks down
    assert panorama.mask[100, [20, 181]].all()


@pytest.mark.parametrize("fov", [60, 330])
@pytest.mark.parametrize("projection", ["cylindrical", "mercator", "fisheye"])
def test_fov_limits_the_canvas(projection, fov):
    for yaw in (0, 100):
        whole = turned(ring(), ComposeOptions(yaw=yaw))
        canvas = plan_canvas(whole, ComposeOptions(projection=projection, fov=fov))
        assert not canvas.wraps
        assert canvas.size[0] == pytest.approx(math.radians(fov) * canvas.scale, abs=1.1)
        assert canvas.left == pytest.approx(-canvas.size[0] / 2, abs=1.1)
        panorama = compose(ring(), projection=projection, fov=fov, yaw=yaw, exposure="none")
        assert panorama.canvas == canvas
        middle = panorama.mask[canvas.size[1] // 2] if projection != "fisheye" else panorama.mask[round(-canvas.top)]
        assert middle.all()  # there are photos all round, also at both ends of a window that nearly closes


def test_fov_never_makes_a_canvas_larger():
    registration = Registration("rotation", (camera(-10, name="a"), camera(10, name="b")))
    without = canvas_of(*registration.cameras, projection="spherical")
    assert canvas_of(*registration.cameras, projection="spherical", fov=120) == without
    assert canvas_of(*registration.cameras, projection="spherical", fov=40).size[0] < without.size[0]


@pytest.mark.parametrize("projection", PROJECTIONS)
@pytest.mark.parametrize("size", ["257", "256x100", "100x400", "64x64", "1", "333x1"])
def test_size_is_fitted_into(projection, size):
    eyes = [camera(-15, name="a"), camera(15, 3, name="b")]
    canvas = canvas_of(*eyes, projection=projection, size=size)
    limits = [int(side) for side in (*size.split("x"), "1000000")[:2]]
    assert canvas.size[0] <= limits[0]
    assert canvas.size[1] <= limits[1]
    # One of the sides is filled, and the picture is that of any size.
    assert canvas.size[0] == limits[0] or canvas.size[1] == limits[1]
    free = canvas_of(*eyes, projection=projection)
    if min(canvas.size) > 20:
        assert canvas.size[0] / canvas.size[1] == pytest.approx(free.size[0] / free.size[1], rel=0.05)


@pytest.mark.parametrize("projection", PROJECTIONS)
@pytest.mark.parametrize(("size", "fov"), [("320x200", 90), ("201x333", 40), ("500", 120)])
def test_size_and_fov_make_a_view_of_just_that_size(projection, size, fov):
    registration = sphere() if projection != "cylindrical" else ring()
    canvas = plan_canvas(registration, ComposeOptions(projection=projection, size=size, fov=fov))
    width, _, height = size.partition("x")
    assert canvas.size == (int(width), int(height or canvas.size[1]))
    half = canvas.size[0] / 2
    middle = (canvas.size[0] - 1) / 2
    for side in (-1, 1):
        x = canvas_positions(canvas, direction(side * fov / 2, 0))[0, 0]
        assert x - middle == pytest.approx(side * half, abs=1e-6)


@pytest.mark.parametrize("projection", ["cylindrical", "spherical", "mercator"])
@pytest.mark.parametrize("size", ["500", "501x300", "777", "2000"])
def test_a_full_turn_of_some_size_wraps(projection, size):
    """So small a set is planned at its full size, where every width closes."""
    for fov in (0, 360):
        canvas = plan_canvas(ring(), ComposeOptions(projection=projection, size=size, fov=fov))
        assert canvas.wraps
        width, _, height = size.partition("x")
        assert int(width) - 8 < canvas.size[0] <= int(width)
        assert canvas.size[0] == pytest.approx(2 * math.pi * canvas.scale)
        if fov and height:
            assert canvas.size[1] == int(height)
            assert canvas.top == -(canvas.size[1] - 1) / 2


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"scale": 0.7},
        {"size": "400x200"},
        {"size": "400x170"},
        {"size": "333"},
        {"size": "500", "fov": 360},
        {"size": "300", "fov": 90},
    ],
)
def test_a_full_sphere_is_twice_as_wide_as_high(options):
    """And its poles are the edges of its first and last row."""
    canvas = plan_canvas(sphere(), ComposeOptions(projection="spherical", **options))
    rows = round(math.pi * canvas.scale)
    assert canvas.size[1] == rows
    assert canvas.top == pytest.approx(-(rows - 1) / 2)
    if options.get("fov") != 90:
        assert canvas.wraps
        assert canvas.size[0] == 2 * rows
    if options.get("size") == "400x200":
        assert canvas.size == (400, 200)


def test_a_sphere_that_ends_at_one_pole_begins_there():
    views = [camera(yaw, 50, size=(128, 128), focal=70.0, name=f"photo {yaw}") for yaw in range(0, 360, 60)]
    upper = Registration("rotation", (*views, camera(0, 90, size=(128, 128), focal=70.0, name="up")))
    free = plan_canvas(upper, ComposeOptions(projection="spherical"))
    fitted = plan_canvas(upper, ComposeOptions(projection="spherical", size="5000x90"))
    for canvas in (free, fitted):
        assert canvas.top == pytest.approx(-math.pi / 2 * canvas.scale + 0.5)
    # Rounding the width down to one that closes takes less than a row.
    assert fitted.size[1] in (89, 90)


@pytest.mark.parametrize(("size", "fov"), [("400x201", 360), ("400x400", 360), ("200x201", 180)])
def test_a_window_has_as_many_rows_as_are_asked_for(size, fov):
    """Also one that ends just at the poles, or beyond them."""
    canvas = plan_canvas(sphere(), ComposeOptions(projection="spherical", size=size, fov=fov))
    assert canvas.size == tuple(int(side) for side in size.split("x"))


def test_a_photo_outside_the_view_shows_nowhere():
    registration = ring()
    panorama = compose(registration, projection="plane", fov=40, yaw=3)
    assert set(np.unique(panorama.owner)) <= {-1, 0, 1, 7}
    assert panorama.mask.mean() > 0.9
    truth = world(directions_of(panorama.canvas) @ (panorama.registration.cameras[0].rotation @ registration.cameras[0].rotation.T))
    assert np.abs(panorama.pixels / 255 - truth)[panorama.mask].mean() < 0.02


@st.composite
def views(draw):
    """A few photos that look anywhere, and what to see of them."""
    angle, side = st.floats(-180, 180), st.integers(1, 150)
    sizes = draw(st.lists(st.tuples(side, side), min_size=1, max_size=4))
    eyes = [
        camera(draw(angle), draw(angle), draw(angle), size, draw(st.floats(40, 160)), name=f"photo {k}") for k, size in enumerate(sizes)
    ]
    size = f"{draw(st.integers(2, 200))}x{draw(st.integers(2, 200))}"
    turn = {"yaw": draw(angle), "pitch": draw(angle), "roll": draw(angle)}
    return eyes, {
        "projection": draw(st.sampled_from(list(PROJECTIONS))),
        "size": size,
        "fov": draw(st.floats(1, 360) | st.just(0.0)),
        **turn,
    }


def fills_what_is_seen(eyes, options):
    photos = [photo_of(np.full((*eye.size[::-1], 3), 100 + 20 * k, np.uint8), eye.name) for k, eye in enumerate(eyes)]
    try:
        panorama = compose(Registration("rotation", tuple(eyes)), photos, exposure="none", blend="none", seams="voronoi", **options)
    except CompositorError:
        return
    canvas, surface = panorama.canvas, PROJECTIONS[options["projection"]]
    x, y = np.meshgrid(np.arange(canvas.size[0]), np.arange(canvas.size[1]))
    directions, exists = canvas_directions(canvas, np.stack([x.ravel(), y.ravel()], 1).astype(float))
    reached = (np.abs((x + canvas.left) / canvas.scale) <= surface.reach[0]) & (np.abs((y + canvas.top) / canvas.scale) <= surface.reach[1])
    covered = np.zeros(len(directions), bool)
    for eye in panorama.registration.cameras:
        positions, seen = see(eye, directions)
        covered |= seen & ((positions > -0.45) & (positions < np.array(eye.size) - 0.55)).all(axis=1)
    assert (panorama.mask | ~((covered & exists).reshape(x.shape) & reached)).all()


@settings(deadline=None, max_examples=40)
@given(views())
def test_every_pixel_of_a_view_that_some_photo_covers_is_filled(view):
    fills_what_is_seen(*view)


@pytest.mark.parametrize("projection", PROJECTIONS)
def test_photos_of_a_few_pixels_are_seen_to_their_rims(projection):
    """Each pixel is a patch of 80 and more on the canvas, whose outer half is beyond what is looked at around its centre."""
    fills_what_is_seen([camera(20, 10, 5, (2, 1), 60.0)], {"projection": projection, "size": "201x141", "fov": 2.3, "yaw": 20, "pitch": 10})


def test_a_photo_at_both_ends_of_a_view_that_nearly_closes_is_seen_at_both():
    """It ends a fraction of a pixel of so small a canvas past the last column, and begins the first."""
    eyes = [camera(195.2, -33.6, 0.0, (113, 57), 92.6)]
    for yaw in np.linspace(0, 360, 60):
        fills_what_is_seen(eyes, {"projection": "spherical", "size": "7x182", "fov": 337.5, "yaw": float(yaw)})


@pytest.mark.parametrize("projection", PROJECTIONS)
def test_a_view_within_a_single_photo(projection):
    """A photo that reaches beyond the view on all sides fills it."""
    eye = camera(5, 3, 10, size=(300, 300), focal=100.0)
    panorama = compose(Registration("rotation", (eye,)), projection=projection, fov=60, size="61x61")
    assert panorama.mask.all()


def test_photos_of_a_plane_only_roll():
    flat = dataclasses.replace(camera(), plane=np.array([[2.0, 0, 1], [0, 2.0, -1], [0, 0, 1]]))
    registration = Registration("homography", (flat,))
    for options in ({"yaw": 5}, {"pitch": -5}):
        with pytest.raises(OptionError, match="only roll="):
            compose(registration, [photo_of(np.zeros((90, 120, 3), np.uint8), "photo")], **options)
    with pytest.raises(OptionError, match="fov=50"):
        plan_canvas(registration, ComposeOptions(fov=50))
    canvas = plan_canvas(turned(registration, ComposeOptions(roll=90)), ComposeOptions())
    assert canvas.size == (90, 120)
    assert plan_canvas(registration, ComposeOptions(size="60")).size == (60, 45)
    # A clockwise roll shows at the top what was on the right.
    right = ray_directions(flat, np.array([[119.0, 44.5]]))
    rolled = turned(registration, ComposeOptions(roll=90)).cameras[0]
    (_, before), (_, after) = canvas_positions(canvas, np.stack([right[0], ray_directions(rolled, np.array([[119.0, 44.5]]))[0]]))
    assert after < before


@pytest.mark.parametrize(
    ("size", "text"), [(90, "90"), (np.int64(90), "90"), ((90, 70), "90x70"), ([90, 70], "90x70"), ((90,), "90"), ("90x70", "90x70")]
)
def test_a_size_is_text_or_whole_numbers(size, text):
    assert ComposeOptions(size=size) == ComposeOptions(size=text)
    assert ComposeOptions(size=size).pixels == ((90, 70) if "x" in text else (90, 0))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"size": "100", "scale": 0.5}, "size='100' and scale=0.5"),
        ({"size": "100x"}, "4000x2000"),
        ({"size": "x100"}, "4000x2000"),
        ({"size": "0x100"}, "4000x2000"),
        ({"size": "1e3"}, "4000x2000"),
        ({"size": "-5"}, "4000x2000"),
        ({"size": "99999999"}, "16777216"),
        ({"size": 100.5}, "4000x2000"),
        ({"size": (100, 50, 3)}, "(4000, 2000)"),
        ({"size": (100, 50.5)}, "(4000, 2000)"),
        ({"size": ()}, "(4000, 2000)"),
        ({"size": True}, "4000 for the width"),
        ({"size": (0, 50)}, "4000x2000"),
        ({"fov": 400}, "360"),
        ({"fov": -1}, "0"),
        ({"yaw": math.nan}, "yaw"),
        ({"pitch": 200}, "180"),
        ({"projection": "plane", "fov": 160}, "150 degrees"),
        ({"projection": "stereographic", "fov": 320}, "300 degrees"),
        ({"projection": "panini", "fov": 310}, "300 degrees"),
        ({"projection": "spherical", "fov": 20, "pitch": 90, "size": "50x5"}, "no photo shows"),
        ({"projection": "plane", "fov": 20, "pitch": -90, "size": "50x50"}, "no photo shows"),
    ],
)
def test_what_cannot_be_shown_is_refused_in_one_line(options, words):
    with pytest.raises(OptionError, match=words) as caught:
        compose(ring(), **options)
    assert "\n" not in str(caught.value)


def test_a_size_that_fits_is_advised():
    registration, dtype = ring(6, focal=70.0), np.dtype(np.uint8)
    options = ComposeOptions(size="9000x4000", fov=300)
    least = Holding(on_disk=True, photos=FEWEST)
    allowed = 0.95 * estimate_memory(registration, plan_canvas(registration, options), options, dtype, holding=least) / 1e6
    limited = dataclasses.replace(options, max_memory=allowed)
    with pytest.raises(LimitError, match=r"try size='\d+x\d+', ") as caught:
        choose_holding(registration, plan_canvas(registration, limited), limited, dtype)
    smaller = dataclasses.replace(limited, size=re.search(r"size='(\d+x\d+)'", str(caught.value))[1])
    choose_holding(registration, plan_canvas(registration, smaller), smaller, dtype)


def test_unit_directions_of_the_sphere_are_all_seen():
    """The scene of these tests has no gap: otherwise «filled» would say little."""
    points = unit(np.random.default_rng(1).standard_normal((2000, 3)))
    assert np.any([see(eye, points)[1] for eye in sphere().cameras], axis=0).all()
