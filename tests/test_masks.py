"""Masks of the user: what is not looked at, what is not shown, and which mask belongs to which photo."""

from __future__ import annotations

import math

import click
import cv2
import numpy as np
import pytest
from PIL import Image

import compositor
from compositor.assess.cameras import camera_errors
from compositor.cli.entry import run
from compositor.cli.masks import pair_masks
from compositor.images import open_photo, photo_from_array, read_mask, with_masks, write_image
from compositor.register.sharpen import sharpen
from compositor.types import Features, Match

LOGO = (180, 280)
"""Height and width: a good fourth of a view, and more to recognise than in the rest."""

PLACES = ((20, 190), (100, 60), (150, 10))
"""Top left corner of the logo in each view."""


@pytest.fixture(scope="module")
def logo():
    blocks = np.random.default_rng(1).integers(0, 256, (LOGO[0] // 5, LOGO[1] // 5, 3), np.uint8)
    return np.kron(blocks, np.ones((5, 5, 1), np.uint8))


@pytest.fixture(scope="module")
def branded(views, logo):
    """The views with the same logo at another place in each."""
    photos = []
    for view, (top, left) in zip(views, PLACES, strict=True):
        pixels = view.pixels.copy()
        pixels[top : top + LOGO[0], left : left + LOGO[1]] = logo
        photos.append(photo_from_array(pixels, view.camera.name))
    return photos


@pytest.fixture(scope="module")
def logo_masks(views):
    masks = [np.ones(view.pixels.shape[:2], bool) for view in views]
    for mask, (top, left) in zip(masks, PLACES, strict=True):
        mask[top : top + LOGO[0], left : left + LOGO[1]] = False
    return masks


def rotation_error(registration, views):
    return math.degrees(camera_errors(registration.cameras, [view.camera for view in views]).rotation)


def test_a_logo_misleads_unless_it_is_masked(branded, logo_masks, views):
    misled = compositor.register(branded)
    assert misled.model == "translation" or rotation_error(misled, views) > 1
    masked = compositor.register(branded, masks=logo_masks)
    assert masked.model == "rotation"
    # As without any logo, though half of the overlap is hidden.
    assert rotation_error(masked, views) < 0.1


def test_a_second_look_at_the_pictures_does_not_see_what_is_masked(views):
    """Known cameras say where every corner of one photo is in the other: those hidden in either are not sought."""
    cameras = {k: view.camera for k, view in enumerate(views[:2])}
    masks = [np.ones(view.pixels.shape[:2], bool) for view in views[:2]]
    masks[0][:180] = False
    masks[1][:, :100] = False
    found = []
    for hidden in ([None, None], masks):
        features = [
            Features(np.zeros((0, 2)), np.zeros(0), np.zeros((0, 128)), v.pixels[..., 1], mask=m)
            for v, m in zip(views, hidden, strict=False)
        ]
        (match,) = sharpen([Match(0, 1, np.zeros((0, 2)), np.zeros((0, 2)), np.eye(3), 0)], cameras, features)
        pixels = [np.rint(points).astype(int).T for points in (match.points_first, match.points_second)]
        found.append([np.count_nonzero(~mask[y, x]) for mask, (x, y) in zip(masks, pixels, strict=True)])
        assert match.inliers > 20
    assert min(found[0]) > 20
    assert found[1] == [0, 0]


@pytest.fixture(scope="module")
def marked(views):
    """The views with a magenta square in the second one, where the first one shows the scene too; the square is not in the scene."""
    pixels = [view.pixels.copy() for view in views]
    pixels[1][120:220, 60:160] = (255, 0, 255)
    return [photo_from_array(p, view.camera.name) for p, view in zip(pixels, views, strict=True)]


def square_mask(views, left=60):
    mask = np.ones(views[1].pixels.shape[:2], bool)
    mask[120:220, left : left + 100] = False
    return [None, mask, None]


def magenta(pixels):
    """How many pixels are magenta, as nothing of the scene is."""
    red, green, blue = np.moveaxis(pixels.astype(int), 2, 0)
    return np.count_nonzero((red > green + 100) & (blue > green + 100))


# Half way between the photos the square would show; where they agree best it may not.
HALF_WAY = {"seams": "voronoi", "exposure": "none"}


def test_what_is_masked_shows_from_another_photo(marked, views):
    assert magenta(compositor.stitch(marked, **HALF_WAY).pixels) > 1000
    panorama = compositor.stitch(marked, masks=square_mask(views), **HALF_WAY)
    assert magenta(panorama.pixels) == 0
    x, y = np.rint(panorama.map_points(1, np.array([[110.0, 170.0]]))[0]).astype(int)
    assert panorama.owner[y, x] == 0


def test_what_is_masked_from_the_features_shows_all_the_same(marked, views):
    assert magenta(compositor.stitch(marked, feature_masks=square_mask(views), **HALF_WAY).pixels) > 1000


@pytest.mark.parametrize("seams", ["graphcut", "voronoi"])
def test_what_is_wanted_of_a_photo_is_shown_whatever_others_show(marked, views, seams):
    """Half way the first photo would show most of the left part of the square, and all of it where they agree best."""
    registration = compositor.register(marked)
    square = square_mask(views)[1]
    corners = np.array([[60.0, 120.0], [159.0, 120.0], [159.0, 219.0], [60.0, 219.0]])
    shown = compositor.compose(registration, marked, show_masks=[None, ~square, None], seams=seams, exposure="none", blend="none")
    area = cv2.contourArea(shown.map_points(1, corners).astype(np.float32))
    assert magenta(shown.pixels) > 0.97 * area  # a rim of a pixel or two may go to either photo


def test_what_only_a_masked_photo_covers_stays_empty(views):
    hidden = [np.ones(views[0].pixels.shape[:2], bool), None, None]
    hidden[0][100:200, 20:80] = False
    panorama = compositor.stitch([view.pixels for view in views], masks=hidden)
    whole = compositor.stitch([view.pixels for view in views])
    x, y = np.rint(panorama.map_points(0, np.array([[50.0, 150.0]]))[0]).astype(int)
    assert not panorama.mask[y, x]
    assert not panorama.pixels[y, x].any()
    corners = panorama.map_points(0, np.array([[19.5, 99.5], [79.5, 99.5], [79.5, 199.5], [19.5, 199.5]]))
    area = cv2.contourArea(corners.astype(np.float32))
    # The hole and nothing else; its outline of some 360 pixels is cut at whole ones.
    assert abs(np.count_nonzero(whole.mask) - np.count_nonzero(panorama.mask) - area) < 200


def test_a_registration_is_composed_with_masks(marked, views):
    registration = compositor.register(marked)
    assert magenta(compositor.compose(registration, marked, **HALF_WAY).pixels) > 1000
    assert magenta(compositor.compose(registration, marked, masks=square_mask(views), **HALF_WAY).pixels) == 0


def test_a_photo_that_is_masked_altogether_is_left_out(views):
    nothing = np.zeros(views[0].pixels.shape[:2], bool)
    panorama = compositor.stitch([view.pixels for view in views], masks=[None, None, nothing])
    assert panorama.used == ("photo 1", "photo 2")
    assert panorama.left_out == (("photo 3", "its mask leaves nothing to recognise; let it show more"),)


def test_composing_may_hide_a_photo_altogether(views):
    photos = [view.pixels for view in views]
    registration = compositor.register(photos)
    nothing = np.zeros(views[0].pixels.shape[:2], bool)
    panorama = compositor.compose(registration, photos, masks=[None, None, nothing])
    assert set(np.unique(panorama.owner)) == {-1, 0, 1}


@pytest.mark.parametrize("shrink", [1, 2, 4, 8])
@pytest.mark.parametrize("orientation", [1, 3, 6, 7])
def test_reduced_photos_hide_every_pixel_that_the_mask_touches(tmp_path, shrink, orientation):
    """The mask is that of the upright photo, however the camera was held and however small the photo is decoded."""
    path = tmp_path / "photo.jpg"
    exif = Image.Exif()
    exif[274] = orientation
    pixels = np.random.default_rng(2).integers(0, 256, (101, 135, 3), np.uint8)
    Image.fromarray(pixels).save(path, exif=exif)
    w, h = open_photo(path).size
    mask = np.ones((h, w), bool)
    mask[40:47, 13:60] = False
    mask[h - 1, w - 1] = False
    decoded = with_masks([open_photo(path)], {"photo.jpg": mask})[0].decode(shrink)
    # Where the middles of the hidden full-size pixels lie in the decoded photo.
    rows, columns = np.nonzero(~mask)
    places = (np.column_stack([columns, rows]) + 0.5) * decoded.scale - 0.5 + decoded.offset
    x, y = np.rint(places).astype(int).T
    expected = np.ones(decoded.pixels.shape[:2], bool)
    expected[np.clip(y, 0, expected.shape[0] - 1), np.clip(x, 0, expected.shape[1] - 1)] = False
    assert np.array_equal(decoded.mask, expected)


def test_transparent_pixels_stay_hidden_under_a_mask(generator):
    pixels = generator.integers(0, 256, (60, 80, 4), np.uint8)
    pixels[..., 3] = 255
    pixels[:20, :, 3] = 0
    mask = np.ones((60, 80), np.uint8)  # any number but zero shows
    mask[:, :30] = 0
    (masked,) = with_masks([photo_from_array(pixels, "a")], {"a": mask})
    assert np.array_equal(masked.full().mask, (pixels[..., 3] > 0) & (mask > 0))


def write_masks(folder, masks, names):
    folder.mkdir()
    for mask, name in zip(masks, names, strict=True):
        write_image(folder / name, mask.astype(np.uint8) * 255)


def test_masks_are_read_from_files(branded, logo_masks, views, tmp_path):
    write_masks(tmp_path / "masks", logo_masks, ["a.png", "b.jpg", "c.tif"])
    files = [tmp_path / "masks" / name for name in ("a.png", "b.jpg", "c.tif")]
    assert rotation_error(compositor.register(branded, masks=files), views) < 0.1


def test_a_mask_may_pack_better_than_any_photo(tmp_path):
    """A bilevel picture of one colour holds thousands of pixels in a byte."""
    Image.new("1", (6000, 4000), 1).save(tmp_path / "mask.png")
    assert (read_mask(tmp_path / "mask.png") == 255).all()


@pytest.mark.parametrize(
    ("masks", "said"),
    [
        ([None, None], "masks holds 2 masks for 3 photos"),
        ("masks", "masks is one str; give a list"),
        ({"photo 1": None}, "masks is one dict; give a list"),
        ([np.ones((360, 479), bool), None, None], r"the mask of photo 1 is bool of shape \(360, 479\); needed is bool, \(360, 480\)"),
        ([np.ones((360, 480), np.float32), None, None], "the mask of photo 1 is float32"),
        ([None, 3, None], "the mask of photo 2 is a int; give a file"),
        ([None, None, "nothing.png"], "nothing.png, the mask of photo 3, cannot be read"),
        ([None, None, "small.png"], "small.png, the mask of photo 3, has 100 x 80 px; needed is one of 480 x 360 px"),
        ([None, None, "text.png"], "text.png, the mask of photo 3, is text"),
    ],
)
def test_masks_that_do_not_fit_are_refused_in_one_line(views, tmp_path, monkeypatch, masks, said):
    monkeypatch.chdir(tmp_path)
    write_image("small.png", np.zeros((80, 100), np.uint8))
    (tmp_path / "text.png").write_text("not a picture")
    with pytest.raises(compositor.OptionError, match=said) as caught:
        compositor.stitch([view.pixels for view in views], masks=masks)
    assert "\n" not in str(caught.value)


@pytest.fixture
def folder(marked, tmp_path):
    """Photos in a folder, as view-1.png and so on."""
    (tmp_path / "photos").mkdir()
    for photo in marked:
        write_image(tmp_path / "photos" / photo.name, photo.full().pixels)
    return tmp_path


def stitched(folder, *arguments):
    """Exit code of a command that writes panorama.png."""
    output = folder / "panorama.png"
    return run(["stitch", str(folder / "photos"), "-o", str(output), "--overwrite", "--seams", "voronoi", "--exposure", "none", *arguments])


@pytest.mark.parametrize(
    ("masks", "paired"),
    [
        (["m/b.tif"], [None, "m/b.tif", None]),
        (["m/B_mask.png", "m/a.PNG"], ["m/a.PNG", "m/B_mask.png", None]),
        (["m/c.png.jpg"], [None, None, "m/c.png.jpg"]),
        (["m/1.png", "m/2.png", "m/10.png"], ["m/1.png", "m/2.png", "m/10.png"]),
        ([], None),
    ],
)
def test_a_mask_is_called_like_its_photo(masks, paired):
    """Or all are taken in order when none is."""
    assert pair_masks(masks, ["p/a.jpg", "p/b.jpg", "p/c.png"]) == paired


@pytest.mark.parametrize(
    ("masks", "said"),
    [
        (["d.png"], r"mask d\.png belongs to no photo; a\.jpg, for example, has one called a\.png or a_mask\.png"),
        (["a.png", "d.png", "e.png"], r"d\.png belongs to no photo"),
        (["mask_a.png"], r"mask_a\.png belongs to no photo; if it is that of a\.jpg, call it a\.png or a_mask\.png"),
        (["a.png", "a_mask.png"], r"a\.jpg has two masks, a\.png and a_mask\.png"),
        (["b.png"], r"b\.png belongs to b\.jpg and to b\.tif; call it like the whole name of one, such as b\.jpg\.png"),
    ],
)
def test_masks_that_cannot_be_paired_are_refused(masks, said):
    with pytest.raises(click.UsageError, match=said):
        pair_masks(masks, ["a.jpg", "b.jpg", "b.tif"])


def test_masks_beside_their_photos_are_no_photos(folder, views, capfd):
    """What «--masks» hides, «--feature-masks» shows."""
    write_image(folder / "photos" / "view-2_mask.png", square_mask(views)[1].astype(np.uint8) * 255)
    pattern = str(folder / "photos" / "*_mask.png")
    assert stitched(folder, "--masks", pattern) == 0
    assert "3 of 3 photos" in capfd.readouterr().err
    assert magenta(open_photo(folder / "panorama.png").full().pixels) == 0
    assert stitched(folder, "--feature-masks", pattern) == 0
    assert magenta(open_photo(folder / "panorama.png").full().pixels) > 1000


def test_a_mask_without_photo_is_wrong_usage(folder, views, capfd):
    write_masks(folder / "masks", square_mask(views)[1:2], ["view-7.png"])
    assert stitched(folder, "--masks", str(folder / "masks")) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert "view-7.png belongs to no photo" in line
    assert not (folder / "panorama.png").exists()


def test_masks_that_are_not_found_or_not_masks_are_told(folder, views, capfd):
    photos = folder / "photos"
    write_image(photos / "view-2_mask.png", square_mask(views)[1].astype(np.uint8) * 255)
    write_image(photos / "view-3_mask.png", square_mask(views)[1].astype(np.uint8) * 255)
    mask, other = photos / "view-2_mask.png", photos / "view-3_mask.png"
    for arguments, said in (
        ([mask, "--masks", mask], f"mask {mask} is given twice"),
        ([mask, "--masks", photos / ".." / "photos" / mask.name], f"{mask.name} is given twice (as {mask} before)"),
        ([photos / "view-7_mask.png"], f"there is no mask {photos / 'view-7_mask.png'}; give folders, patterns in quotes"),
        # What the shell makes of a pattern without quotes.
        ([mask, other], f"{other} is given as a photo and called like a mask; put patterns of masks in quotes"),
        (
            [photos],
            f"are given as masks too; where masks lie beside their photos, name them by a pattern in quotes, such as '{photos}/*_mask.*'",
        ),
    ):
        capfd.readouterr()
        assert stitched(folder, "--masks", *map(str, arguments)) == 2
        (line,) = capfd.readouterr().err.splitlines()
        assert said in line
    assert not (folder / "panorama.png").exists()


def test_register_compose_and_dry_runs_take_masks(folder, views, capfd):
    write_masks(folder / "masks", square_mask(views)[1:2], ["view-2.png"])
    photos, masks, saved = str(folder / "photos"), str(folder / "masks"), str(folder / "photos.json")
    assert run(["register", photos, "--masks", masks, "-o", saved]) == 0
    assert run(["compose", saved, photos, "--masks", masks, "-o", str(folder / "panorama.png"), "--seams", "voronoi"]) == 0
    assert magenta(open_photo(folder / "panorama.png").full().pixels) == 0
    write_masks(folder / "wanted", [~square_mask(views)[1]], ["view-2.png"])
    assert run(["compose", saved, photos, "--show-masks", str(folder / "wanted"), "-o", str(folder / "shown.png")]) == 0
    assert magenta(open_photo(folder / "shown.png").full().pixels) > 5000
    write_image(folder / "masks" / "view-1.png", np.zeros((80, 100), np.uint8))
    for arguments in (["stitch", photos], ["compose", saved, photos]):
        capfd.readouterr()
        assert run([*arguments, "--masks", masks, "--dry-run"]) == 2
        assert "has 100 x 80 px" in capfd.readouterr().err


def test_an_output_never_replaces_a_mask(folder, views):
    write_masks(folder / "masks", square_mask(views)[1:2], ["view-2.png"])
    before = (folder / "masks" / "view-2.png").read_bytes()
    mask = str(folder / "masks" / "view-2.png")
    assert run(["stitch", str(folder / "photos"), "--masks", mask, "-o", mask, "--overwrite"]) == 2
    assert (folder / "masks" / "view-2.png").read_bytes() == before
