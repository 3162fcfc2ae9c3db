"""Exposure, white balance, vignetting and shoulder: known ones are found, nothing is invented, and they do what they say."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import compositor
from compositor.compose.exposure import estimate_photometry
from compositor.compose.grade import make_grading, squared_radii
from compositor.compose.warped import Warped
from compositor.encoding import decode_srgb, encode_srgb, flatten_highlights, full_scale, restore_highlights
from compositor.kernels.photometry import EQUAL, LEAST_ABSOLUTE, REDESCENDING, accumulate_ratios
from compositor.photometry import DARKEST, Photometry, falloff
from compositor.types import Camera, Decoded

LENS = (-0.3, -0.1, 0.05)
SIZE = (120, 90)


def eye(center=((SIZE[0] - 1) / 2, (SIZE[1] - 1) / 2)):
    return Camera("photo", SIZE, 100.0, center, np.eye(3))


def parts_of(camera):
    w, h = camera.size
    return squared_radii(camera, Decoded(np.zeros((h, w, 3), np.uint8)), np.arange(w), np.arange(h))


def radii_of(camera):
    across, down = parts_of(camera)
    return (across + down[:, None]).astype(np.float32)


def row(generator, *, count=5, step=60, terms=(0.0, 0.0, 0.0), shoulder=0.0, brightness=0.4, noise=0.004, stops=0.3):
    """A row of photos of a wall with noise and 8 bits, and the truth: log exposures of red, green and blue."""
    w, h = SIZE
    wall = brightness * (0.1 + 0.9 * generator.random((h // 6, (w + count * step) // 6 + 1, 3))).repeat(6, 0).repeat(6, 1)
    exposures = np.log(2) * generator.uniform(-stops, stops, (count, 1)) + generator.uniform(-0.05, 0.05, (count, 3))
    radii = radii_of(eye())
    warped = []
    for k in range(count):
        light = wall[:, k * step : k * step + w] * np.exp(exposures[k]) * falloff(radii, terms)[..., None]
        light += generator.normal(0, noise, light.shape) * np.sqrt(np.maximum(light, 0.01))
        pixels = np.round(encode_srgb(np.clip(flatten_highlights(light, shoulder), 0, 1)) * 255) / 255
        warped.append(Warped(pixels.astype(np.float32), np.ones((h, w), bool), (k * step, 0), radii))
    return warped, exposures


def estimate(warped, **changes):
    names = [f"photo {k}" for k in range(len(warped))]
    return estimate_photometry(names, warped, 10_000, False, **{"lenses": ["lens"] * len(warped), **changes})


def gain_errors(photometry, exposures):
    """Largest error of a ratio of gains, which is all that matters, as a natural logarithm."""
    errors = np.log(photometry.gains) + exposures
    return np.abs(errors - errors.mean(axis=0)).max()


@pytest.mark.parametrize("wraps", [False, True])
def test_known_gains_are_recovered(generator, wraps):
    """Exposures of a third of a stop and white balances of 5 per cent, noise, saturation, and something that moved."""
    w, h, n = 360, 80, 6
    step = w // n
    world = 0.05 + 0.6 * generator.random((h // 8, w // 8, 3)).repeat(8, 0).repeat(8, 1)
    truth = np.exp(generator.uniform(-0.23, 0.23, (n, 1)) + generator.uniform(-0.05, 0.05, (n, 3)))
    warped = []
    for k in range(n):
        columns = np.arange(k * step, k * step + 2 * step if wraps or k < n - 1 else w)
        light = world[:, columns % w] / truth[k]
        if k == 2:
            light[10:50, :30] = 0.3  # somebody walks by
        pixels = encode_srgb(np.clip(light, 0, 1)) + generator.normal(0, 0.01, light.shape)
        warped.append(Warped(np.clip(pixels, 0, 1).astype(np.float32), np.ones(pixels.shape[:2], bool), (k * step, 0)))
    gains = estimate_photometry("abcdef", warped, w, wraps).gains
    truth /= np.exp(np.log(truth).mean(axis=0))
    # 0.01 is a seventieth of a stop; the noise would allow a tenth of it.
    np.testing.assert_allclose(gains, truth, rtol=0.01)


def test_gains_stay_finite_where_every_pixel_is_off_in_some_channel():
    first = np.full((30, 30, 3), 0.5, np.float32)
    second = first.copy()
    for channel in range(3):
        second[10 * channel : 10 * channel + 10, :, channel] = 0.8
    warped = [Warped(pixels, np.ones((30, 30), bool), (0, 0)) for pixels in (first, second)]
    # Two thirds of the pixels agree in each channel.
    np.testing.assert_allclose(estimate(warped).gains, 1, rtol=1e-5)


def test_photos_that_overlap_nothing_keep_their_exposure(generator):
    warped = [Warped(generator.random((20, 20, 3)).astype(np.float32), np.ones((20, 20), bool), (x, 0)) for x in (0, 50)]
    assert (estimate(warped, exposures=[0.0, 1.0]).gains == 1).all()


@pytest.mark.parametrize("terms", [(-0.35, 0.0, 0.0), (0.0, -0.4, 0.0), LENS])
def test_vignetting_is_found_together_with_the_gains(generator, terms):
    warped, exposures = row(generator, terms=terms)
    photometry = estimate(warped)
    shares = np.linspace(0, 1, 11)
    # Issue: gains to 0.03 stops, which are 0.02, and the light at the corners to 2 per cent. The photos overlap by half: ratios between
    # their middles and their sides fix the falloff, only the corners themselves, a tenth of the picture, follow from its shape.
    np.testing.assert_allclose(falloff(shares, photometry.vignetting[0]), falloff(shares, terms), atol=0.02)
    assert gain_errors(photometry, exposures) < 0.01
    assert (photometry.vignetting == photometry.vignetting[0]).all()


def test_exposures_do_not_drift_along_a_strip(generator):
    """What is compared in these overlaps are squares of four pixels a side."""
    warped, exposures = row(generator, count=10, step=36, terms=LENS)
    # Noise makes 0.0007; a middle half a pixel off would pass falloff for exposure, ever more along the row, and make 0.002.
    assert gain_errors(estimate(warped), exposures) < 0.001


@pytest.mark.parametrize("seed", range(4))
def test_where_there_is_no_vignetting_none_is_found(seed):
    warped, exposures = row(np.random.default_rng(seed))
    photometry = estimate(warped)
    assert not photometry.vignetting.any()
    assert photometry.shoulder == 0
    assert gain_errors(photometry, exposures) < 0.01


def test_a_falloff_that_rises_is_none(generator):
    """Something else makes the sides brighter; a lens does not."""
    warped, _ = row(generator, terms=(0.3, 0.0, 0.0))
    assert not estimate(warped).vignetting.any()


def test_a_lens_that_took_a_single_photo_is_left_alone(generator):
    warped, _ = row(generator, terms=LENS)
    photometry = estimate(warped, lenses=["lens"] * 4 + ["other"])
    assert photometry.vignetting[:4].any(axis=1).all()
    assert not photometry.vignetting[4].any()


def test_saturated_pixels_do_not_matter(generator):
    """A third of the brightest photo is white, or nearly so, in some channel."""
    warped, exposures = row(generator, terms=LENS, brightness=1.1)
    assert max(np.mean(photo.pixels.max(axis=2) > 0.97) for photo in warped) > 0.33
    photometry = estimate(warped)
    assert falloff(np.array(1.0), photometry.vignetting[0]) == pytest.approx(falloff(np.array(1.0), LENS), abs=0.02)
    assert gain_errors(photometry, exposures) < 0.02


def test_what_moved_does_not_matter(generator):
    """A fifth of every second photo is hidden by something that came by."""
    warped, exposures = row(generator, terms=LENS)
    for photo in warped[::2]:
        photo.pixels[30:70, 20:70] = (0.75, 0.3, 0.5)
    photometry = estimate(warped)
    assert falloff(np.array(1.0), photometry.vignetting[0]) == pytest.approx(falloff(np.array(1.0), LENS), abs=0.02)
    assert gain_errors(photometry, exposures) < 0.01


def test_a_shoulder_is_found_where_exposures_differ_enough(generator):
    warped, exposures = row(generator, terms=LENS, shoulder=0.7, stops=1.0, brightness=0.8)
    photometry = estimate(warped)
    # Of what a highlight of 0.9 becomes after a change of one stop 0.1 is worth one 8-bit level.
    assert photometry.shoulder == pytest.approx(0.7, abs=0.1)
    assert gain_errors(photometry, exposures) < 0.03
    without = estimate(warped, lenses=[])
    assert without.shoulder == 0
    assert gain_errors(without, exposures) > 3 * gain_errors(photometry, exposures)


def test_a_drift_that_the_files_deny_is_held_back():
    """Each of twenty photos seems to get a tenth more light than the one before, as where walls shine to one side."""
    warped = [Warped(np.full((60, 80, 3), encode_srgb(np.array(0.2)), np.float32), np.ones((60, 80), bool), (50 * k, 0)) for k in range(20)]
    for photo in warped[1:]:
        photo.pixels[:, :30] = encode_srgb(np.array(0.22))
    drift = [np.ptp(np.log(estimate(warped, exposures=told).gains[:, 1])) for told in ([None], [0.0] * 20)]
    assert drift[0] > 1.4
    assert drift[1] < 0.6 * drift[0]


def test_highlights_stay_below_white(generator):
    """Lifting bright corners makes room for them."""
    warped, _ = row(generator, terms=(-0.4, 0.0, 0.0), brightness=0.7, stops=0.0)
    photometry = estimate(warped)
    for photo, gain, terms in zip(warped, photometry.gains, photometry.vignetting, strict=True):
        light = decode_srgb(photo.pixels.astype(float)) * gain / falloff(photo.radii.astype(float), terms)[..., None]
        # Saturated ones excepted, one in a hundred of a sample may be lost, in each channel.
        assert np.mean(light[photo.pixels.max(axis=2) < 0.97] > 1) < 0.015
    assert photometry.gains.min() >= 0.6 * 0.9


@given(st.floats(0, 0.95), st.floats(-0.5, 1))
def test_highlights_come_back_as_they_went(shoulder, value):
    there_and_back = flatten_highlights(restore_highlights(np.array(value), shoulder), shoulder)
    assert there_and_back == pytest.approx(value, abs=1e-12)


@settings(max_examples=30, deadline=None)
@given(
    st.sampled_from([np.uint8, np.uint16, np.float32]),
    st.sampled_from([((0.0, 0.0, 0.0), 3e-3), (LENS, 0.3), ((-2.0, 0.0, 0.0), 4)]),
    st.sampled_from([0.0, 0.8]),
    st.integers(0, 2**32 - 1),
)
def test_grading_does_what_photometry_says(dtype, lens, shoulder, seed):
    """A plain twin of tables and kernels, for a crop of a photo whose principal point is not its centre."""
    (terms, levels), generator, white = lens, np.random.default_rng(seed), full_scale(np.dtype(dtype))
    pixels = (
        generator.random((*SIZE[::-1], 3)).astype(np.float32) if white == 1 else generator.integers(0, white + 1, (*SIZE[::-1], 3), dtype)
    )
    pixels[::2] = pixels[::2, :, :1]  # gray ones are burnt out in all channels now and then
    camera, gain = eye((70.0, 40.0)), np.exp(generator.uniform(-0.5, 0.5, 3))
    photometry = Photometry(("photo",), gain[None], np.array([terms]), shoulder)
    x, y = np.arange(20, 100), np.arange(5, 90)
    across, down = squared_radii(camera, Decoded(pixels), x, y)
    part = pixels[5:90, 20:100]
    graded = make_grading(photometry, 0, camera, np.dtype(dtype)).grade(part, down, across)

    distance = ((x - 70.0) ** 2 + (y[:, None] - 40.0) ** 2) / ((120**2 + 90**2) / 4)
    light = restore_highlights(decode_srgb(part / white), shoulder) * gain
    light /= np.maximum(1 + terms[0] * distance + terms[1] * distance**2 + terms[2] * distance**3, DARKEST)[..., None]
    expected = encode_srgb(flatten_highlights(light, shoulder)) * white
    expected = np.minimum(expected, white) if white > 1 else expected
    burnt = np.clip((part.min(axis=2) / white - 0.97) / 0.03, 0, 1)
    around = np.pad(burnt, 1, mode="edge")  # what lies at a rim is not as bright as may be
    burnt = (burnt * np.mean([around[i : i + burnt.shape[0], j : j + burnt.shape[1]] for i in range(3) for j in range(3)], axis=0))[
        ..., None
    ]
    if not any(terms) and white > 1 and (gain < 1).any():  # burnt-out pixels stay white
        expected += burnt * (white - expected)
    if any(terms):  # burnt-out pixels become what they would at the farthest corner from (70, 40)
        farthest = np.maximum(1 + np.polynomial.Polynomial((0, *terms))((70.5**2 + 49.5**2) / (60**2 + 45**2)), DARKEST)
        brightest = encode_srgb(flatten_highlights(restore_highlights(np.ones(3), shoulder) * gain / farthest, shoulder)) * white
        expected += burnt * np.maximum(np.minimum(brightest, white) - expected, 0)
    # 8-bit levels. Tables of a stack are joined by straight lines, which miss a bend: where a shoulder ends, above white, and much more
    # where a falloff meets its limit.
    np.testing.assert_allclose(graded, expected, rtol=0, atol=levels * white / 255)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_a_burnt_out_sky_does_not_show_the_falloff_upside_down(dtype):
    photometry = Photometry(("photo",), np.full((1, 3), 0.8), np.array([LENS]))
    white = full_scale(np.dtype(dtype))
    pixels = np.full((*SIZE[::-1], 3), white, dtype)
    graded = make_grading(photometry, 0, eye(), np.dtype(dtype)).grade(pixels, *reversed(parts_of(eye())))
    np.testing.assert_allclose(np.minimum(graded, white), white)
    pixels[...] = 0.9 * white  # bright, but not burnt out: the middle is what the gain makes of it
    graded = make_grading(photometry, 0, eye(), np.dtype(dtype)).grade(pixels, *reversed(parts_of(eye())))
    assert graded[45, 60, 0] == pytest.approx(white * encode_srgb(decode_srgb(np.array(0.9)) * 0.8), rel=0.01)


def test_extreme_floats_stay_in_the_tables():
    pixels = np.array([[[-1.0, 2.0, np.nan]], [[np.inf, -np.inf, 1.0]]], np.float32)
    for terms in ((0.0, 0.0, 0.0), LENS):
        photometry = Photometry(("photo",), np.full((1, 3), 0.5), np.array([terms]))
        graded = make_grading(photometry, 0, eye(), np.dtype(np.float32)).grade(pixels, np.zeros(2), np.zeros(1))
        assert graded[0, 0, 0] == pytest.approx(-0.5, rel=1e-3)
        assert 1 < graded[0, 0, 1] < 2
        assert np.isnan(graded[0, 0, 2])
        assert graded[1, 0, 2] == pytest.approx(encode_srgb(np.array(0.5)), abs=1e-6)


def test_what_changes_nothing_is_no_grading():
    assert make_grading(Photometry.neutral(["photo"]), 0, eye(), np.dtype(np.uint8)) is None


def ratios(light, radii, places, pairs, lenses, exposures, curves, shoulder):
    """Plain twin of the residuals of ``accumulate_ratios``."""
    first, second = pairs[places].T
    shade = [
        np.where(lenses[k] >= 0, [falloff(r, curves[lens]) for r, lens in zip(radii[:, side], lenses[k], strict=True)], 1)
        for side, k in enumerate((first, second))
    ]
    difference = exposures[first] - exposures[second] + np.log(shade[0] / shade[1])[:, None]
    middle = np.log(restore_highlights(light, shoulder)).mean(axis=1)
    values = [flatten_highlights(np.exp(middle + sign * difference / 2), shoulder) for sign in (1, -1)]
    return np.log(light[:, 0] / light[:, 1]) - np.log(values[0] / values[1])


@pytest.mark.parametrize("shoulder", [0.0, 0.6])
@pytest.mark.parametrize("weighting", [EQUAL, LEAST_ABSOLUTE, REDESCENDING])
def test_normal_equations_are_those_of_the_residuals(generator, shoulder, weighting):
    """Photos 0 and 1 of one lens, 2 of another, 3 of none; derivatives by finite differences."""
    pairs, lenses = np.array([(0, 1), (0, 2), (1, 3), (2, 3)]), np.array([0, 0, 1, -1])
    places, share, radii = np.arange(40) // 10, generator.uniform(0.5, 1, 40), generator.uniform(0, 1, (40, 2))
    light, exposures = generator.uniform(0.1, 0.4, (40, 2, 3)), generator.normal(0, 0.1, (4, 3))
    curves = np.array([(-0.3, -0.1, 0.05), (-0.1, -0.2, 0.0)])
    sums = tuple(np.zeros(shape) for shape in ((3, 4, 4), (3, 4), (3, 4, 7), (7, 7), (7,)))
    residuals = np.empty((40, 3))
    known = (light, radii, places, share, pairs, lenses)
    accumulate_ratios(*known, exposures, curves, shoulder, True, weighting, 0.2, sums, residuals)

    def expected(parameters):
        e, c = parameters[:12].reshape(4, 3), parameters[12:18].reshape(2, 3)
        return ratios(light, radii, places, pairs, lenses, e, c, parameters[18])

    at = np.concatenate([exposures.ravel(), curves.ravel(), [shoulder]])
    np.testing.assert_allclose(residuals, expected(at), atol=1e-12)
    step = 1e-6
    jacobian = -np.stack([(expected(at + d) - expected(at - d)) / (2 * step) for d in step * np.eye(19)], axis=-1)
    if shoulder == 0:  # which cannot be less
        jacobian[..., 18] = -(expected(at + step * np.eye(19)[18]) - expected(at)) / step
    size = np.abs(residuals)
    factor = {EQUAL: 1.0, LEAST_ABSOLUTE: np.minimum(1, 0.2 / size), REDESCENDING: (1 + (size / 0.2) ** 2) ** -2}[weighting]
    weights = share[:, None] * factor
    hessian = np.einsum("scp,sc,scq->pq", jacobian, weights, jacobian)
    gradient = np.einsum("scp,sc,sc->p", jacobian, weights, residuals)
    normal, right, cross, inner, inner_right = sums
    for c in range(3):
        own = slice(c, 12, 3)
        np.testing.assert_allclose(normal[c], hessian[own, own], atol=1e-5)
        np.testing.assert_allclose(right[c], gradient[own], atol=1e-5)
        np.testing.assert_allclose(cross[c], hessian[own, 12:], atol=1e-5)
    np.testing.assert_allclose(inner, hessian[12:, 12:], atol=1e-5)
    np.testing.assert_allclose(inner_right, gradient[12:], atol=1e-5)


def some_photometry():
    gains = np.array([[1.1, 1.0, 0.9], [0.5, 0.5, 0.5], [1.0, 2.0, 3.0]])
    return Photometry(("a.jpg", "b.jpg", "c.jpg"), gains, np.array([LENS, LENS, (0.0, 0.0, 0.0)]), 0.25)


def same(first, second):
    assert first.names == second.names
    np.testing.assert_array_equal(first.gains, second.gains)
    np.testing.assert_array_equal(first.vignetting, second.vignetting)
    assert first.shoulder == second.shoulder


def test_photometry_is_saved_and_read_back_exactly(tmp_path):
    photometry = some_photometry()
    photometry.save(tmp_path / "light.json")
    same(Photometry.load(tmp_path / "light.json"), photometry)
    with pytest.raises(compositor.OutputError, match="exists"):
        photometry.save(tmp_path / "light.json")


def test_lights_are_what_a_person_reads():
    first, second, third = some_photometry().lights
    assert (first.exposure_stops, second.exposure_stops, third.exposure_stops) == pytest.approx((0, -1, 1))
    assert first.white_balance == pytest.approx((1.1, 0.9))
    assert first.corner_stops == pytest.approx(np.log2(0.65))
    assert third.corner_stops == 0
    assert str(first) == "a.jpg: exposure +0.00 stops, red 1.100, blue 0.900, corners -0.62 stops"


def test_photometry_fits_photos_by_name_or_else_by_order():
    photometry = some_photometry()
    by_name = photometry.fitted_to(["c.jpg", "a.jpg"])
    np.testing.assert_array_equal(by_name.gains, photometry.gains[[2, 0]])
    by_order = photometry.fitted_to(["x", "y", "z"])
    assert by_order.names == ("x", "y", "z")
    np.testing.assert_array_equal(by_order.gains, photometry.gains)
    for names in (["a.jpg", "b.jpg", "x"], ["x", "y"]):
        with pytest.raises(compositor.PhotometryFileError, match=names[-1]):
            photometry.fitted_to(names)


@pytest.mark.parametrize(
    "change",
    [
        {"format": "compositor registration"},
        {"version": 2},
        {"shoulder": 1.0},
        {"photos": [{"name": "a", "gain": [1, 1]}]},
        {"photos": [{"name": "a", "gain": [1, 0, 1]}]},
        {"photos": [{"name": "a", "gain": [1, 1, 1], "vignetting": [1000, 0, 0]}]},
    ],
)
def test_what_is_no_photometry_is_refused(tmp_path, change):
    record = json.loads(some_photometry().to_json()) | change
    (tmp_path / "light.json").write_text(json.dumps(record))
    with pytest.raises(compositor.PhotometryFileError, match=r"light\.json"):
        Photometry.load(tmp_path / "light.json")


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(compositor.PhotometryFileError, match=r"none\.json"):
        Photometry.load(tmp_path / "none.json")
