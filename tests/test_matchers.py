"""Matchers that are plugged in: a callable of the user's, or networks that OpenCV runs from files."""

from __future__ import annotations

import math
import threading

import cv2
import numpy as np
import pytest
from networks import detector, nearest_matcher

import compositor
from compositor.assess.cameras import camera_errors
from compositor.cli.entry import run
from compositor.geometry.views import ray_directions, see
from compositor.images import photo_from_array
from compositor.options import RegisterOptions
from compositor.register.features import read_picture


@pytest.fixture(scope="module")
def opened(views):
    return [photo_from_array(view.pixels, view.camera.name) for view in views]


@pytest.fixture(scope="module")
def cameras(views):
    return {view.camera.name: view.camera for view in views}


@pytest.fixture
def truth(cameras, generator):
    """A matcher that knows the cameras: exact to half a pixel, and every third match is wrong."""

    def match(first, second):
        points = generator.uniform(0, 1, (600, 2)) * (np.array(first.size) - 1)
        there, seen = see(cameras[second.name], ray_directions(cameras[first.name], points))
        there += generator.normal(0, 0.5, there.shape)
        there[::3] = generator.uniform(0, 1, there[::3].shape) * (np.array(second.size) - 1)
        inside = seen & ((there >= 0) & (there <= np.array(second.size) - 1)).all(axis=1)
        return compositor.Correspondences(points[inside], there[inside], generator.uniform(0, 1, np.count_nonzero(inside)))

    return match


def errors(registration, cameras):
    return camera_errors(registration.cameras, list(cameras.values()))


def test_a_matcher_takes_the_place_of_features(opened, cameras, truth):
    """Its matches are refined to a few hundredths of a pixel, so the result is as exact as with our own features."""
    found = errors(compositor.register(opened, matcher=truth), cameras)
    assert math.degrees(found.rotation) < 0.02
    assert found.focal < 0.002


def test_a_matcher_sees_what_no_feature_detector_could(opened, cameras, truth):
    blank = [photo_from_array(np.full((360, 480, 3), 100 + k, np.uint8), photo.name) for k, photo in enumerate(opened)]
    with pytest.raises(compositor.TooFewPhotosError):
        compositor.register(blank)
    registration = compositor.register(blank, matcher=truth)
    assert len(registration.cameras) == 3
    # Nothing can be refined on blank photos: a hundred matches of half a pixel, of 0.067 degrees each, are left.
    assert math.degrees(errors(registration, cameras).rotation) < 0.2


def test_a_matcher_is_asked_once_for_each_pair_in_one_thread(views, truth):
    asked, threads = [], set()

    def match(first, second):
        asked.append((first.name, second.name))
        threads.add(threading.get_ident())
        return np.zeros((0, 2)), np.zeros((0, 2))

    photos, told = [photo_from_array(np.roll(views[0].pixels, k, axis=1), f"{k}.png") for k in range(12)], []
    with pytest.raises(compositor.TooFewPhotosError):
        compositor.stitch(photos, matcher=match, progress=lambda *what: told.append(what))
    assert [what for what in told if what[0] == "match" and what[2] > 1] == [("match", done, 66) for done in range(66)]
    assert asked == [(f"{i}.png", f"{j}.png") for i in range(12) for j in range(i + 1, 12)]
    assert threads == {threading.get_ident()}


def test_two_runs_with_a_matcher_agree_exactly(opened, cameras):
    def grid(first, second):
        x, y = np.meshgrid(np.arange(4.0, 476, 12), np.arange(4.0, 356, 12))
        points = np.column_stack([x.ravel(), y.ravel()])
        there, seen = see(cameras[second.name], ray_directions(cameras[first.name], points))
        return points[seen], there[seen]

    once = compositor.stitch(opened, matcher=grid, threads=1)
    again = compositor.stitch(opened, matcher=grid, threads=2)
    assert np.array_equal(once.pixels, again.pixels)
    assert once.registration.to_json() == again.registration.to_json()


def test_the_surest_matches_are_kept(opened, cameras, truth):
    """Thousands of matches agree that the photos are one, but the matcher is not sure of them."""

    def match(first, second):
        found = truth(first, second)
        if len(found.scores) < 100:
            return found
        wrong = np.random.default_rng(3).uniform(0, 350, (5000, 2))
        sure = np.concatenate([found.scores + 1, np.zeros(5000)])
        both = (np.concatenate([points, wrong]) for points in (found.points_first, found.points_second))
        return compositor.Correspondences(*both, sure)

    registration = compositor.register(opened, matcher=match, max_features=60)
    assert math.degrees(errors(registration, cameras).rotation) < 0.05


def test_masks_hold_for_a_matcher_too(opened, cameras, truth):
    """Matches in what is masked do not count: here all between the first two photos."""
    masks = [np.ones((360, 480), bool) for _ in opened]
    masks[0][:, 150:] = False
    registration = compositor.register(opened, masks=masks, matcher=truth)
    assert [camera.name for camera in registration.cameras] == [opened[1].name, opened[2].name]


@pytest.mark.parametrize(
    ("returned", "said"),
    [
        (None, "None; needed is Correspondences or a tuple of two"),
        ([[1, 2]], "a list; needed is Correspondences"),
        ((1, 2, 3), "a tuple of 3; needed is Correspondences"),
        ((np.zeros((5, 3)), np.zeros((5, 3))), r"points_first of shape \(5, 3\); needed is \(n, 2\)"),
        ((np.zeros((5, 2)), np.zeros((4, 2))), "5 points_first and 4 points_second"),
        ((np.zeros((5, 2)), np.full((5, 2), np.nan)), "points_second of which 10 numbers are not finite"),
        ((np.zeros((5, 2)), np.full((5, 2), 470.0)), r"the point \(470, 470\), which is not in view-2.png; .* full size, 480 x 360"),
        ((["a"], ["b"]), "points_first that are no array of numbers"),
        (compositor.Correspondences(np.zeros((5, 2)), np.zeros((5, 2)), np.zeros(4)), "4 scores for 5 points"),
    ],
)
def test_what_is_no_correspondences_is_refused_in_one_line(opened, returned, said):
    message = rf"the matcher returned for view-1\.png and view-2\.png .*{said}"
    with pytest.raises(compositor.OptionError, match=message) as caught:
        compositor.register(opened, matcher=lambda first, second: returned)
    assert "\n" not in str(caught.value)


def test_what_goes_wrong_in_a_matcher_comes_back_as_it_is(opened):
    def match(first, second):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        compositor.register(opened, matcher=match)


def test_a_matcher_is_callable_and_alone(opened):
    with pytest.raises(compositor.OptionError, match="matcher is a str"):
        compositor.register(opened, matcher="lightglue")
    with pytest.raises(compositor.OptionError, match="leave one away"):
        compositor.register(opened, matcher=lambda first, second: None, features="disk", feature_model="disk.onnx")


needs_networks = pytest.mark.skipif(not hasattr(cv2, "ALIKED"), reason="OpenCV runs learned features from version 5 on")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """One file of each kind of network."""
    folder = tmp_path_factory.mktemp("networks")
    contents = {"aliked": detector(640, disk=False), "disk": detector(1024, disk=True), "matcher": nearest_matcher()}
    for name, content in contents.items():
        (folder / f"{name}.onnx").write_bytes(content)
    return {name: str(folder / f"{name}.onnx") for name in contents}


@needs_networks
@pytest.mark.parametrize(("features", "matcher"), [("aliked", ""), ("disk", ""), ("aliked", "matcher")])
def test_networks_find_the_cameras(opened, cameras, files, features, matcher):
    registration = compositor.register(opened, features=features, feature_model=files[features], matcher_model=files.get(matcher, ""))
    found = errors(registration, cameras)
    # As with SIFT: whatever finds the matches, they are refined.
    assert math.degrees(found.rotation) < 0.02
    assert found.focal < 0.002


@needs_networks
@pytest.mark.parametrize(("features", "side", "size"), [("aliked", 640, (2560, 1800)), ("disk", 1024, (1500, 2560))])
def test_learned_features_lie_where_the_photo_has_them(files, generator, features, side, size):
    """Spots are found at their middles, in landscape and portrait, at every end of the photo."""
    from compositor.register.learned_features import LearnedDetector

    w, h = size
    x, y = np.meshgrid(np.arange(100.0, w - 60, 200), np.arange(100.0, h - 60, 200))
    middles = np.column_stack([x.ravel(), y.ravel()]) + generator.uniform(-5, 5, (x.size, 2))
    gray = np.zeros((h, w), np.float32)
    for u, v in middles:
        across, down = (np.exp(-((np.arange(n) - c) ** 2) / 50) for n, c in ((w, u), (h, v)))
        gray += (200 * np.outer(down, across)).astype(np.float32)
    options = RegisterOptions(features=features, feature_model=files[features], registration_megapixels=10.0)
    picture = read_picture(photo_from_array(gray.astype(np.uint8), "spots"), options)
    points = LearnedDetector(options)(picture).points[: len(middles)]
    offsets = points[:, None] - middles
    nearest = np.linalg.norm(offsets, axis=2).argmin(axis=1)
    assert set(nearest) == set(range(len(middles)))
    away = offsets[np.arange(len(points)), nearest] / (2560 / side)
    # In pixels of the network's square, of which positions are whole ones: half a pixel, or a whole one where two are alike. That much
    # would show a square taken to be a pixel larger or smaller at its far end; half a pixel of shift would show in the mean.
    assert np.abs(away).max() < 0.9
    assert np.abs(away.mean(axis=0)).max() < 0.2


@needs_networks
def test_networks_do_not_look_at_what_is_masked(opened, files):
    from compositor.images import with_masks
    from compositor.register.learned_features import LearnedDetector

    mask = np.ones((360, 480), bool)
    mask[:200, 100:] = False
    (masked,) = with_masks(opened[:1], {opened[0].name: mask})
    options = RegisterOptions(features="aliked", feature_model=files["aliked"])
    points = LearnedDetector(options)(read_picture(masked, options)).points
    assert len(points) > 50
    columns, rows = np.rint(points).astype(int).T
    assert mask[rows, columns].all()


@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        ({"features": "aliked"}, "features='aliked' is a network and needs feature_model=, an ONNX file"),
        ({"features": "disk"}, "features='disk' is a network and needs feature_model=, an ONNX file"),
        ({"feature_model": "disk.onnx"}, "feature_model= does not go with features='sift'"),
        ({"features": "orb", "matcher_model": "glue.onnx"}, "matcher_model= does not go with features='orb'"),
        ({"features": "disk", "feature_model": 7}, "feature_model=7 is not a path"),
    ],
)
def test_networks_need_their_files(opened, chosen, said):
    with pytest.raises(compositor.OptionError, match=said) as caught:
        compositor.register(opened, **chosen)
    assert "\n" not in str(caught.value)


@needs_networks
@pytest.mark.parametrize(
    ("features", "model", "matcher", "said"),
    [
        ("aliked", "missing.onnx", "", r"feature_model='missing\.onnx' is no file"),
        ("aliked", "text.txt", "", r"feature_model='text\.txt' does not end in \.onnx"),
        ("disk", "text.onnx", "", r"feature_model='text\.onnx' is no DISK network that OpenCV"),
        ("aliked", "empty.onnx", "", r"feature_model='empty\.onnx' is no ALIKED network that OpenCV"),
        ("aliked", "disk", "", r"feature_model='.*disk\.onnx' is no ALIKED network that OpenCV"),
        ("disk", "matcher", "", r"feature_model='.*matcher\.onnx' is no DISK network that OpenCV"),
        ("aliked", "aliked", "aliked", r"matcher_model='.*aliked\.onnx' is no LightGlue network that OpenCV"),
    ],
)
def test_files_that_are_no_such_network_are_refused_in_one_line(
    opened, files, tmp_path, monkeypatch, capfd, features, model, matcher, said
):
    monkeypatch.chdir(tmp_path)
    for name, content in (("text.txt", "no network"), ("text.onnx", "no network"), ("empty.onnx", "")):
        (tmp_path / name).write_text(content)
    model, matcher = files.get(model, model), files.get(matcher, matcher)
    with pytest.raises(compositor.OptionError, match=said) as caught:
        compositor.register(opened, features=features, feature_model=model, matcher_model=matcher)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr().err == ""


def test_an_opencv_without_networks_says_so(opened, files, monkeypatch):
    monkeypatch.delattr(cv2, "ALIKED", raising=False)
    with pytest.raises(compositor.OptionError, match=r"has no ALIKED, which came with version 5; install opencv-contrib-python 5"):
        compositor.register(opened, features="aliked", feature_model=files["aliked"])


@needs_networks
def test_the_command_line_takes_networks(photos, files, tmp_path, capfd):
    """And says nothing of its own about them."""
    saved = tmp_path / "photos.json"
    arguments = ["register", *photos, "-o", str(saved), "--features", "aliked", "--feature-model", files["aliked"]]
    assert run([*arguments, "--matcher-model", files["matcher"], "-q"]) == 0
    assert len(compositor.Registration.load(saved).cameras) == 3
    assert capfd.readouterr().err == ""
    assert run([*arguments[:-1], str(saved), "--overwrite"]) == 2
    assert "is an input too" in capfd.readouterr().err
