"""What is taken of a refiner's change to a seam, and what is not: two photos that lie on each other to the pixel, cut in the middle."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from test_compose import camera, photo_of

from compositor.compose.mend import mend_seams
from compositor.compose.windows import CELL
from compositor.photometry import Photometry
from compositor.types import Canvas

SIZE = WIDTH, HEIGHT = 480, 320
SEAM = WIDTH // 2
EYES = tuple(camera(name, size=SIZE) for name in ("left", "right"))
SHEET = Canvas("plane", EYES[0].focal, -(WIDTH - 1) / 2, -(HEIGHT - 1) / 2, SIZE)
ROWS = slice(80, 240)
"""Away from the ends of the seam."""


def photo(values):
    """A gray photo of values (h, w), levels."""
    return np.repeat(np.rint(values).astype(np.uint8)[..., None], 3, axis=2)


def mended(first, second, refine, nobody=np.zeros((HEIGHT, WIDTH), np.bool_)):  # noqa: B008 - never written to
    """The cut panorama as it was, and as it is mended, (h, w) levels; where ``nobody`` says, no photo shows."""
    owner = np.zeros((HEIGHT, WIDTH), np.int8)
    owner[:, SEAM:] = 1
    owner[nobody] = -1
    before = np.where(owner[..., None] == 1, second, first) * ~nobody[..., None]
    photos = [photo_of(pixels, eye.name) for pixels, eye in zip((first, second), EYES, strict=True)]
    after, light = before.copy(), Photometry.neutral(tuple(eye.name for eye in EYES))
    mend_seams(after, owner, EYES, photos, SHEET, light, refine, lambda stage, done, total: None)
    return before[..., 0].astype(float), after[..., 0].astype(float)


def closing(layers, changed=None, reach=64.0):
    """The composite, the step between the layers' means taken out of the new one, less and less towards ``reach`` px from the seam."""
    new = layers.new if changed is None else changed
    left = np.clip(1 - layers.inside / np.float32(reach), 0, 1)[..., None]
    step = (layers.new - layers.reference).mean(dtype=np.float64)
    return np.where(layers.owner[..., None], new - np.float32(step) * left, layers.reference).astype(np.float32)


def step_at_seam(picture):
    """By how much it is brighter just behind the seam than just before it, levels."""
    return picture[ROWS, SEAM : SEAM + 5].mean() - picture[ROWS, SEAM - 5 : SEAM].mean()


@pytest.mark.parametrize(("step", "blurred"), [(2, False), (6, True)])
def test_detail_is_not_given_for_a_seam_that_hardly_shows(generator, step, blurred):
    """Grain behind the seam, which a refiner wipes off: beside a large step that is the lesser evil, beside a faint one it is none."""
    scene = 120 + generator.normal(0, 2, (HEIGHT, WIDTH))

    def wiping(layers):
        there = layers.owner & (layers.inside > 8) & (layers.inside < 48)
        return closing(layers, np.where(there[..., None], cv2.GaussianBlur(layers.new, (0, 0), 4), layers.new))

    before, after = mended(photo(scene), photo(scene + step), wiping)
    grain = [picture[ROWS, SEAM + 16 : SEAM + 40].std(axis=0).mean() for picture in (before, after)]
    if blurred:
        assert grain[1] < 0.7 * grain[0]
    else:
        assert grain[1] > 0.95 * grain[0]


def test_a_soft_photo_gets_no_sharp_rim(generator):
    """One photo shows all of the grain and the other half of it; a refiner shows the first one beyond the seam."""
    grain = generator.normal(0, 8, (HEIGHT, WIDTH))

    def sharpening(layers):
        there = layers.owner & (layers.inside < 24)
        return closing(layers, np.where(there[..., None], layers.reference + np.float32(6 / 255), layers.new))

    before, after = mended(photo(120 + grain), photo(126 + grain / 2), sharpening)
    own, left = (picture[ROWS, SEAM + 2 : SEAM + 20].std() for picture in (before, after))
    assert abs(step_at_seam(after)) < 0.5 * abs(step_at_seam(before))
    assert left < 1.3 * own


def test_a_closed_step_makes_no_grain(generator):
    """The step is no detail that would have to be kept."""
    grain = generator.normal(0, 1, (HEIGHT, WIDTH))
    before, after = mended(photo(120 + grain), photo(140 + grain), closing)
    shown = [np.diff(picture[ROWS, SEAM + 2 : SEAM + 12], axis=0).std() for picture in (before, after)]
    assert abs(step_at_seam(after)) < 0.3 * abs(step_at_seam(before))
    assert 0.9 * shown[0] < shown[1] < 1.1 * shown[0]


def test_towards_a_photo_that_no_seam_of_the_window_is_shared_with_nothing_changes():
    """Left and right are refined; below the right one, where another window begins, a third photo shows, which is as bright as it."""
    size = WIDTH, CELL + 200
    eyes = tuple(camera(name, size=size) for name in ("left", "right", "below"))
    sheet, border = Canvas("plane", eyes[0].focal, -(size[0] - 1) / 2, -(size[1] - 1) / 2, size), CELL + 3
    pictures = [np.full((*size[::-1], 3), level, np.uint8) for level in (120, 132, 132)]
    photos = [photo_of(pixels, eye.name) for pixels, eye in zip(pictures, eyes, strict=True)]

    def changed(third):
        """By how much closing in the upper window alone brightens the panorama, levels; ``third`` shows below the border."""
        windows = []

        def closing_the_first(layers):
            windows.append(layers)
            return closing(layers) if len(windows) == 1 else closing(layers, reach=1e-6)

        owner = np.zeros(size[::-1], np.int8)
        owner[:, SEAM:], owner[border:, SEAM:] = 1, third
        before = np.where(owner[..., None] > 0, pictures[1], pictures[0])
        after, light = before.copy(), Photometry.neutral(tuple(eye.name for eye in eyes))
        mend_seams(after, owner, eyes, photos, sheet, light, closing_the_first, lambda stage, done, total: None)
        return after[..., 0].astype(float) - before[..., 0]

    alone, beside = changed(1), changed(2)
    at_third, far = (border - 1, slice(SEAM + 12, SEAM + 40)), (slice(CELL - 200, CELL - 100), slice(SEAM, SEAM + 3))
    assert (alone[at_third] < -1.5).all()
    assert (np.abs(beside[at_third]) < 0.5).all()
    assert (alone[far] < -1.5).all()
    np.testing.assert_allclose(beside[far], alone[far], atol=1)  # a level is what is stored


def test_no_step_is_made_larger(generator):
    """Above, the photos part by six levels, below by one; a refiner adds two there, too gently to be seen from pixel to pixel."""
    scene, upper = 120 + generator.normal(0, 1, (HEIGHT, WIDTH)), np.arange(HEIGHT)[:, None] < HEIGHT // 2

    def parting(layers):
        left, rising = np.clip(1 - layers.inside / 64, 0, 1), np.clip(layers.inside / 4, 0, 1)
        assert len(left) == HEIGHT
        new = layers.new + np.float32(1 / 255) * np.where(upper, -6 * left, 2 * left * rising)[..., None]
        return np.where(layers.owner[..., None], new, layers.reference).astype(np.float32)

    before, after = mended(photo(scene), photo(scene + np.where(upper, 6, 1)), parting)
    changed = after - before
    closed, added = (changed[rows, SEAM : SEAM + 5].mean() for rows in (slice(40, 130), slice(190, 280)))
    assert closed < -0.7 * 6
    assert added < 0.4  # of the 1.2 that it would be


def striping(layers):
    """Takes the seam's step away, and stains what is behind it: with stripes of twelve levels, four px apart."""
    rim = layers.owner & (layers.inside > 6) & (layers.inside < 24)
    stripes = np.float32(12 / 255) * np.sin(np.arange(WIDTH, dtype=np.float32)[: rim.shape[1]] * np.float32(np.pi / 2))
    return closing(layers, layers.new + (rim * stripes)[..., None])


def test_of_a_change_that_stains_its_tone_is_taken(generator):
    scene = 120 + generator.normal(0, 1, (HEIGHT, WIDTH))
    before, after = mended(photo(scene), photo(scene + 6), striping)
    assert abs(step_at_seam(after)) < 0.3 * step_at_seam(before)
    columns = [picture[ROWS, SEAM + 8 : SEAM + 22].mean(axis=0) for picture in (before, after)]
    left = np.diff(columns[1]) - np.diff(columns[0])
    assert np.abs(left).max() < 3  # a level of fine detail up, one down, and what is left of the stripes when they are smooth


def test_of_a_change_that_is_no_number_somewhere_nothing_is_taken(generator):
    scene = 120 + generator.normal(0, 1, (HEIGHT, WIDTH))

    def spoiling(layers):
        made = striping(layers)
        made[np.unravel_index(np.argmax(layers.owner & (layers.inside > 8)), layers.owner.shape)] = np.nan
        return made

    before, after = mended(photo(scene), photo(scene + 6), spoiling)
    np.testing.assert_array_equal(after, before)


def test_where_no_photo_shows_nothing_changes(generator):
    scene, nobody = 20 + generator.normal(0, 1, (HEIGHT, WIDTH)), np.zeros((HEIGHT, WIDTH), np.bool_)
    nobody[60:260, SEAM - 40 : SEAM - 12] = True

    def darkening(layers):  # the other side, whose smooth part would reach into the hole
        rim = ~layers.owner & (layers.outside > 8) & (layers.outside < 24)
        stripes = np.float32(25 / 255) * np.sin(np.arange(WIDTH, dtype=np.float32)[: rim.shape[1]] * np.float32(np.pi / 2))
        closer = layers.reference + np.float32(8 / 255) * np.clip(1 - layers.outside / 64, 0, 1)[..., None] + (rim * stripes)[..., None]
        return np.where(layers.owner[..., None], closing(layers), closer).astype(np.float32)

    before, after = mended(photo(scene), photo(scene + 16), darkening, nobody)
    assert (after != before).any()
    assert (after[nobody] == 0).all()


def test_what_rounding_adds_is_no_detail():
    """A smooth sky: what a refiner makes of it is smoother than it can be stored, and still its seam is closed."""
    x, y = np.meshgrid(np.arange(WIDTH), np.arange(HEIGHT))
    sky = 120 + x / 23 + y / 31

    def smoothing(layers):
        smooth = cv2.blur(layers.new, (31, 31))
        return closing(layers, np.where((layers.inside > 0)[..., None], smooth, layers.new))

    before, after = mended(photo(sky), photo(sky + 1), smoothing)
    assert abs(step_at_seam(after) - step_at_seam(sky)) < 0.5 * abs(step_at_seam(before) - step_at_seam(sky))


@pytest.mark.parametrize(
    ("begin", "left", "shared", "taken"),
    [
        (4, 0.7, True, True),  # near the seam, less than half of what both photos show there
        (4, 0.2, True, False),  # most of it
        (4, 0.7, False, False),  # only the new photo shows it: nothing says that it is bent
        (30, 0.7, True, False),  # too far away for bending to explain it
    ],
)
def test_busy_places_beside_a_seam_may_be_bent_a_little(begin, left, shared, taken):
    """Stripes, whose contrast a refiner changes in a band behind the seam while it takes the seam's step away."""
    x, y = np.meshgrid(np.arange(WIDTH), np.arange(HEIGHT))
    stripes = 20 * np.sin((x + 2 * y) * (2 * np.pi / 30))
    reference = 120 + stripes * shared

    def bending(layers):
        depth = np.clip(np.minimum(layers.inside - begin, begin + 8 - layers.inside) / 2, 0, 1)
        share = np.where(layers.owner, 1 - (1 - left) * depth, 1)[..., None]
        middle = np.float32(132 / 255)
        return closing(layers, (middle + share * (layers.new - middle)).astype(np.float32), reach=40)

    before, after = mended(photo(reference), photo(132 + stripes), bending)
    band = slice(SEAM + begin + 2, SEAM + begin + 6)
    contrast = [np.ptp(picture[ROWS, band], axis=0).mean() for picture in (before, after)]
    share = contrast[1] / contrast[0]
    assert (share < 0.85) if taken else (share > 0.95), share
