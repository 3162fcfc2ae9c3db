"""Photos read from every format and depth, upright and reduced, and pictures written back."""

from __future__ import annotations

import io
import itertools
import logging
import math
import subprocess
import sys

import cv2
import imagecodecs
import numpy as np
import pytest
import simplejpeg
import tifffile
from PIL import Image

from compositor.errors import OptionError, OutputError, ReadError
from compositor.images import check_output, encode_preview, open_photo, open_photos, photo_from_array, read_mask, write_image
from compositor.spool import Spool
from compositor.threads import limit_threads

SRGB, ADOBE_RGB = imagecodecs.cms_profile("srgb"), imagecodecs.cms_profile("adobergb")


def smooth(w=96, h=64, seed=0, dtype=np.uint8):
    """A picture without detail: any sensible way of reducing it gives the same."""
    coarse = np.random.default_rng(seed).uniform(0.1, 0.9, (4, 5, 3)).astype(np.float32)
    picture = np.clip(cv2.resize(coarse, (w, h), interpolation=cv2.INTER_CUBIC), 0, 1)
    if dtype == np.float32:
        return picture
    return np.rint(picture * np.iinfo(dtype).max).astype(dtype)


def circle(w=96, h=64):
    """A mask that is neither full nor symmetric."""
    y, x = np.mgrid[:h, :w]
    return np.hypot(x - w / 3, y - h / 2) < h / 2.5


def decoded(path, shrink=1):
    return open_photo(path).decode(shrink)


def save(path, picture, **options):
    """Save with Pillow, the other implementation."""
    (picture if isinstance(picture, Image.Image) else Image.fromarray(picture)).save(path, **options)
    return path


def opened(path, mode=None):
    """Pixels by Pillow."""
    with Image.open(path) as picture:
        return np.asarray(picture.convert(mode) if mode else picture)


# --- what is written can be read


@pytest.mark.parametrize(
    ("ending", "dtype"), [("png", np.uint8), ("png", np.uint16), ("tif", np.uint8), ("tif", np.uint16), ("tif", np.float32)]
)
@pytest.mark.parametrize("masked", [False, True])
def test_lossless_formats_give_back_what_was_written(tmp_path, dtype, ending, masked):
    picture, mask = smooth(dtype=dtype), circle() if masked else None
    path = tmp_path / f"picture.{ending}"
    write_image(path, picture, mask=mask)
    photo = open_photo(path)
    assert (photo.name, photo.size, photo.dtype) == (path.name, (96, 64), dtype)
    found = photo.full()
    np.testing.assert_array_equal(found.pixels, picture)
    if masked:
        np.testing.assert_array_equal(found.mask, mask)
    else:
        assert found.mask is None


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("quality", [95, 80])
def test_jpeg_holds_eight_bits(tmp_path, dtype, quality):
    path = tmp_path / "picture.jpg"
    write_image(path, smooth(dtype=dtype), mask=circle(), quality=quality)
    found = decoded(path)
    assert found.mask is None
    # Two quantization steps of colour: 4 levels a step at quality 95, about 20 at 80.
    assert np.abs(found.pixels.astype(int) - smooth()).max() <= (8 if quality == 95 else 40)


@pytest.mark.parametrize("height", [1, 64, 65, 601])
@pytest.mark.parametrize("quality", [95, 80])
@pytest.mark.parametrize("channels", [(3,), ()])
def test_a_jpeg_in_strips_is_the_picture_that_it_is_at_once(tmp_path, height, quality, channels):
    """Blocks, coarser colours and their rounding end at strips' ends as they would end anywhere."""
    path = tmp_path / "picture.jpg"
    picture = np.random.default_rng(0).integers(0, 256, (height, 333, *channels), dtype=np.uint8)
    write_image(path, picture, quality=quality)
    kinds = (picture, "RGB", "444" if quality > 90 else "420") if channels else (picture[..., None], "GRAY", "Gray")
    at_once = simplejpeg.encode_jpeg(kinds[0], quality, *kinds[1:])
    np.testing.assert_array_equal(opened(path), np.asarray(Image.open(io.BytesIO(at_once))))
    np.testing.assert_array_equal(cv2.imread(str(path), cv2.IMREAD_UNCHANGED), cv2.imdecode(np.frombuffer(at_once, np.uint8), -1))
    simplejpeg.decode_jpeg(path.read_bytes(), strict=True)
    assert (b"\xff\xd0" in path.read_bytes()) == (height > 64)


def test_a_jpeg_of_a_picture_on_disk_is_that_of_one_in_memory_whatever_the_threads(tmp_path):
    picture = np.random.default_rng(0).integers(0, 256, (700, 411, 3), dtype=np.uint8)
    spool = Spool(picture.shape, np.uint8)
    spool[:, :] = picture
    for name, pixels, threads in (("whole.jpg", picture, 1), ("two.jpg", picture, 2), ("disk.jpg", spool, 2)):
        with limit_threads(threads):
            write_image(tmp_path / name, pixels)
    assert (tmp_path / "whole.jpg").read_bytes() == (tmp_path / "two.jpg").read_bytes() == (tmp_path / "disk.jpg").read_bytes()


def test_rounding_to_fewer_bits_is_to_nearest(tmp_path):
    levels = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    write_image(tmp_path / "ramp.png", levels.astype(np.float32) / 65535)
    np.testing.assert_array_equal(opened(tmp_path / "ramp.png"), levels)
    preview = np.asarray(Image.open(io.BytesIO(encode_preview(levels, None, 10**6))))
    np.testing.assert_array_equal(preview, np.rint(levels / 257).astype(np.uint8))


def test_float_outside_zero_to_one_is_clipped_where_it_is_rounded(tmp_path):
    picture = smooth(dtype=np.float32)
    picture[:20], picture[20:40], picture[40:50] = -3, 7, np.nan
    write_image(tmp_path / "a.png", picture)
    found = decoded(tmp_path / "a.png").pixels
    assert (found[:20] == 0).all()
    assert (found[20:40] == 65535).all()
    assert (found[40:50] == 0).all()


def test_gray_picture_is_written_as_gray(tmp_path):
    mask = circle().astype(np.uint8) * 255
    for ending in ("png", "tif"):
        write_image(tmp_path / f"mask.{ending}", mask)
        assert opened(tmp_path / f"mask.{ending}").ndim == 2
        np.testing.assert_array_equal(read_mask(tmp_path / f"mask.{ending}"), mask)
    write_image(tmp_path / "mask.jpg", mask)
    assert opened(tmp_path / "mask.jpg").ndim == 2


@pytest.mark.parametrize("ending", ["jpg", "png", "tif"])
def test_other_programs_read_what_is_written(tmp_path, ending):
    path = tmp_path / f"picture.{ending}"
    write_image(path, smooth(), metadata={"exif": camera_exif(focal_35mm=50, orientation=6), "icc": ADOBE_RGB})
    with Image.open(path) as picture:
        assert np.abs(np.asarray(picture).astype(int) - smooth()).max() <= 6
        assert picture.info["icc_profile"] == ADOBE_RGB
        exif = picture.getexif()
    assert (exif[0x010F], exif[0x0110], exif.get(0x0112, 1)) == ("Maker", "Model", 1)
    assert exif.get_ifd(0x8769)[0x920A] == 35
    assert exif.get_ifd(0x8825)[1] == "N"


@pytest.mark.parametrize(
    "pixels", [np.zeros((4, 4), bool), np.zeros((4, 4, 2), np.uint8), np.zeros((0, 4, 3), np.uint8), np.zeros(4, np.uint8)]
)
def test_arrays_that_are_no_picture_are_refused(tmp_path, pixels):
    with pytest.raises(OptionError, match="needed is"):
        write_image(tmp_path / "a.png", pixels)


def test_preview_has_at_most_the_pixels_asked_for():
    made = encode_preview(smooth(900, 700, dtype=np.uint16), circle(900, 700), 10_000)
    preview = Image.open(io.BytesIO(made))
    assert preview.mode == "RGBA"
    assert 9_000 < preview.width * preview.height <= 10_000
    assert preview.width / preview.height == pytest.approx(9 / 7, rel=0.02)


# --- formats of others


@pytest.mark.parametrize(("ending", "options"), [("webp", {"lossless": True}), ("bmp", {}), ("avif", {"quality": 95}), ("gif", {})])
def test_common_formats_are_read(tmp_path, ending, options):
    path = save(tmp_path / f"picture.{ending}", smooth(), **options)
    np.testing.assert_array_equal(decoded(path).pixels, opened(path, "RGB"))


def test_the_content_counts_not_the_name(tmp_path):
    path = save(tmp_path / "picture.tif", smooth(), format="PNG")
    np.testing.assert_array_equal(decoded(path).pixels, smooth())


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_png_of_every_mode(tmp_path, mode):
    picture = smooth()
    made = Image.fromarray(picture[..., 0].astype(np.uint16) * 257) if mode == "I;16" else Image.fromarray(picture).convert(mode)
    if mode in ("LA", "RGBA"):
        made.putalpha(Image.fromarray(circle().astype(np.uint8) * 200))
    found = decoded(save(tmp_path / "a.png", made))
    if mode == "I;16":
        np.testing.assert_array_equal(found.pixels, np.repeat(picture[..., :1].astype(np.uint16) * 257, 3, axis=2))
    else:
        np.testing.assert_array_equal(found.pixels, np.asarray(made.convert("RGB")))
    if mode in ("LA", "RGBA"):
        np.testing.assert_array_equal(found.mask, circle())


def test_transparent_palette_colour_is_masked(tmp_path):
    made = Image.fromarray(smooth()).quantize(8)
    for ending in ("png", "gif"):
        path = save(tmp_path / f"a.{ending}", made, transparency=3)
        np.testing.assert_array_equal(decoded(path).mask, np.asarray(made) != 3)


def test_only_the_first_frame_is_used_and_said(tmp_path, caplog):
    caplog.set_level(logging.INFO, "compositor")
    frames = [Image.fromarray(smooth(seed=seed)).quantize(64) for seed in range(3)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    tifffile.imwrite(tmp_path / "a.tif", np.stack([smooth(seed=seed) for seed in range(3)]), photometric="rgb")
    np.testing.assert_array_equal(decoded(tmp_path / "a.tif").pixels, smooth(seed=0))
    np.testing.assert_array_equal(decoded(tmp_path / "a.gif").pixels, np.asarray(frames[0].convert("RGB")))
    assert "a.tif: only the first of its 3 pictures is used" in caplog.text
    assert "a.gif: only the first of its frames is used" in caplog.text


TIFF_LAYOUTS = {
    "plain": {},
    "lzw": {"compression": "lzw"},
    "lzw, predictor": {"compression": "lzw", "predictor": True},
    "deflate": {"compression": "zlib"},
    "tiled": {"tile": (32, 32)},
    "planar": {"planarconfig": "separate"},
    "big": {"bigtiff": True},
    "big endian": {"byteorder": ">"},
}


@pytest.mark.parametrize("layout", TIFF_LAYOUTS)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_tiff_of_every_layout(tmp_path, layout, dtype):
    picture, options = smooth(dtype=dtype), TIFF_LAYOUTS[layout]
    stored = np.moveaxis(picture, -1, 0) if layout == "planar" else picture
    tifffile.imwrite(tmp_path / "a.tif", stored, photometric="rgb", rowsperstrip=None if "tile" in options else 10, **options)
    np.testing.assert_array_equal(decoded(tmp_path / "a.tif").pixels, picture)


def test_tiff_of_double_and_half_precision_becomes_single(tmp_path):
    for dtype in (np.float64, np.float16):
        tifffile.imwrite(tmp_path / "a.tif", smooth(dtype=np.float32).astype(dtype), photometric="rgb")
        photo = open_photo(tmp_path / "a.tif")
        assert photo.dtype == np.float32
        # Half precision has 11 bits.
        np.testing.assert_allclose(photo.full().pixels, smooth(dtype=np.float32), atol=2**-11)


def test_numbers_that_are_no_number_are_masked(tmp_path):
    picture, hole = smooth(dtype=np.float32), circle()
    picture[hole, 1] = np.nan
    picture[0, 0, 0], picture[0, 1, 2] = np.inf, -np.inf
    hole[0, :2] = True
    tifffile.imwrite(tmp_path / "a.tif", picture, photometric="rgb")
    for photo in (open_photo(tmp_path / "a.tif"), photo_from_array(picture, "a")):
        for shrink in (1, 4):
            found = photo.decode(shrink)
            assert np.isfinite(found.pixels).all()
        np.testing.assert_array_equal(photo.full().mask, ~hole)


def test_premultiplied_alpha_is_divided_out(tmp_path):
    picture, alpha = smooth(), np.full((64, 96), 200, np.uint8)
    alpha[circle()] = 0
    stored = np.dstack([np.rint(picture * (alpha[..., None] / 255)).astype(np.uint8), alpha])
    tifffile.imwrite(tmp_path / "a.tif", stored, photometric="rgb", extrasamples=["assocalpha"])
    found = decoded(tmp_path / "a.tif")
    np.testing.assert_array_equal(found.mask, ~circle())
    # Half a level of the premultiplied value is 255 / 200 times that of the colour, and both are rounded.
    assert np.abs(found.pixels[found.mask].astype(int) - picture[found.mask]).max() <= 1


def test_white_can_be_zero(tmp_path):
    gray = smooth()[..., 0]
    tifffile.imwrite(tmp_path / "a.tif", 255 - gray, photometric="miniswhite")
    np.testing.assert_array_equal(decoded(tmp_path / "a.tif").pixels[..., 1], gray)


def test_tiff_palette(tmp_path):
    made = Image.fromarray(smooth()).quantize(32)
    np.testing.assert_array_equal(decoded(save(tmp_path / "a.tif", made)).pixels, np.asarray(made.convert("RGB")))


def test_tiff_of_one_bit(tmp_path):
    made = Image.fromarray(smooth()).convert("1")
    np.testing.assert_array_equal(decoded(save(tmp_path / "a.tif", made)).pixels, np.asarray(made.convert("RGB")))


@pytest.mark.parametrize("ending", ["jpg", "tif"])
def test_inks_become_colours(tmp_path, ending):
    # Pillow's own CMYK is the plain inversion, and so are our inks without a profile.
    path = save(tmp_path / f"a.{ending}", Image.fromarray(smooth()).convert("CMYK"), **({"quality": 95} if ending == "jpg" else {}))
    assert np.abs(decoded(path).pixels.astype(int) - smooth()).max() <= 6
    assert "icc" not in open_photo(path).metadata


@pytest.mark.parametrize("dtype", [np.int16, np.uint32, np.int32, np.complex64])
def test_tiff_of_other_numbers_is_refused(tmp_path, dtype):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((32, 32), dtype))
    with pytest.raises(ReadError, match=rf"a\.tif: is a TIFF of {np.dtype(dtype)} numbers; save it"):
        open_photo(tmp_path / "a.tif")


def test_camera_raw_is_refused(tmp_path):
    tifffile.imwrite(tmp_path / "a.dng", smooth(), photometric="rgb", extratags=[(50706, 1, 4, bytes([1, 4, 0, 0]), True)])
    with pytest.raises(ReadError, match="camera raw"):
        open_photo(tmp_path / "a.dng")


# --- geometry: where the pixels of a reduced, turned photo lie


def stored_as(upright, orientation):
    """How a camera stores an upright picture with this orientation, written down from the EXIF standard's table."""
    return {
        1: lambda p: p,
        2: np.fliplr,
        3: lambda p: np.rot90(p, 2),
        4: np.flipud,
        5: lambda p: p.swapaxes(0, 1),
        6: lambda p: np.rot90(p, 1),
        7: lambda p: np.rot90(p, 2).swapaxes(0, 1),
        8: lambda p: np.rot90(p, -1),
    }[orientation](upright)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("ending", ["jpg", "png", "tif", "webp"])
def test_photo_is_upright(tmp_path, orientation, ending):
    exif = Image.Exif()
    exif[0x0112] = orientation
    upright = smooth()
    options = {"jpg": {"quality": 95, "subsampling": 0}, "webp": {"lossless": True}}.get(ending, {})
    path = save(tmp_path / f"a.{ending}", np.ascontiguousarray(stored_as(upright, orientation)), exif=exif, **options)
    photo = open_photo(path)
    assert photo.size == (96, 64)
    assert np.abs(photo.full().pixels.astype(int) - upright).max() <= (6 if ending == "jpg" else 0)


@pytest.mark.parametrize(("orientation", "shrink"), [*itertools.product(range(1, 9), (1, 2, 4, 8))])
@pytest.mark.parametrize("ending", ["jpg", "png"])
def test_reduced_pixels_lie_where_scale_and_offset_say(tmp_path, orientation, shrink, ending):
    # Neither side is a multiple of 8, so the last column and row of a reduced JPEG are partly outside.
    w, h = 331, 205
    upright = smooth(w, h)
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"quality": 98, "subsampling": 0} if ending == "jpg" else {}
    path = save(tmp_path / f"a.{ending}", np.ascontiguousarray(stored_as(upright, orientation)), exif=exif, **options)
    found = decoded(path, shrink)
    rows, columns = found.pixels.shape[:2]
    if ending == "jpg":
        assert (columns, rows) == (math.ceil(w / shrink), math.ceil(h / shrink))
        assert found.scale == (1 / shrink, 1 / shrink)
    # Where the middle of each reduced pixel is in the full photo, and what the full photo's average is there.
    inside = slice(1, -1)
    x = found.to_full(np.column_stack([np.arange(columns), np.zeros(columns)]))[inside, 0]
    y = found.to_full(np.column_stack([np.zeros(rows), np.arange(rows)]))[inside, 1]
    averaged = cv2.blur(
        cv2.copyMakeBorder(upright.astype(np.float32), 8, 8, 8, 8, cv2.BORDER_REFLECT_101), (shrink, shrink), anchor=(0, 0)
    )[8:, 8:]
    # The blur's value at p is the mean of p .. p + shrink - 1, whose middle is (shrink - 1) / 2 further.
    grid_x, grid_y = np.meshgrid((x - (shrink - 1) / 2).astype(np.float32), (y - (shrink - 1) / 2).astype(np.float32))
    expected = cv2.remap(averaged, grid_x, grid_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    difference = found.pixels[inside, inside].astype(np.float32) - expected
    # The steepest slope is about 3 levels per pixel: a shift by half a reduced pixel would change shrink * 1.5 levels.
    slope = np.abs(np.diff(upright.astype(np.float32), axis=1)).max()
    assert np.sqrt((difference**2).mean()) < 0.8 + 0.02 * slope * shrink
    assert abs(difference.mean()) < 0.3


def test_a_position_survives_reduction_and_turning(tmp_path):
    # One bright dot; its place in the reduced photo, taken back to the full one, is where it was: to a tenth of a reduced pixel.
    upright = np.zeros((205, 331, 3), np.uint8)
    x, y = np.meshgrid(np.arange(331), np.arange(205))
    dot = np.array([250.3, 60.8])
    upright[:] = np.rint(255 * np.exp(-((x - dot[0]) ** 2 + (y - dot[1]) ** 2) / (2 * 14.0**2)))[..., None]
    exif = Image.Exif()
    for orientation in range(1, 9):
        exif[0x0112] = orientation
        path = save(tmp_path / "a.jpg", np.ascontiguousarray(stored_as(upright, orientation)), exif=exif, quality=95)
        for shrink in (1, 2, 4, 8):
            found = decoded(path, shrink)
            weight = found.pixels[..., 1].astype(float)
            weight[weight < 8] = 0
            rows, columns = np.indices(weight.shape)
            middle = np.array([[(columns * weight).sum(), (rows * weight).sum()]]) / weight.sum()
            np.testing.assert_allclose(found.to_full(middle)[0], dot, atol=0.1 * shrink)


def test_reduced_mask_keeps_only_whole_pixels(tmp_path):
    write_image(tmp_path / "a.png", smooth(), mask=circle())
    found = decoded(tmp_path / "a.png", 4)
    whole = circle().reshape(16, 4, 24, 4).all(axis=(1, 3))
    np.testing.assert_array_equal(found.mask, whole)


def test_reduced_photo_of_a_jpeg_lies_where_it_says(tmp_path):
    write_image(tmp_path / "a.jpg", smooth(1201, 903), quality=95)
    photo = open_photo(tmp_path / "a.jpg")
    reduced = photo.reduced(0.05)
    assert reduced.pixels.shape[0] * reduced.pixels.shape[1] == pytest.approx(50_000, rel=0.02)
    corner = reduced.to_full(np.array([[-0.5, -0.5]]))[0]
    np.testing.assert_allclose(corner, -0.5, atol=1e-9)


# --- arrays


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float64])
@pytest.mark.parametrize("channels", [0, 1, 3, 4])
def test_arrays_of_every_kind(dtype, channels):
    picture = smooth(dtype=np.float32 if dtype == np.float64 else dtype).astype(dtype)
    opaque = 1 if np.dtype(dtype).kind == "f" else np.iinfo(dtype).max
    array = {
        0: picture[..., 0],
        1: picture[..., :1],
        3: picture,
        4: np.dstack([picture, circle() * opaque]).astype(dtype),
    }[channels]
    photo = photo_from_array(array, "it")
    expected = picture if channels >= 3 else np.repeat(picture[..., :1], 3, axis=2)
    assert photo.dtype == (np.float32 if dtype == np.float64 else dtype)
    np.testing.assert_array_equal(photo.full().pixels, expected.astype(photo.dtype))
    if channels == 4:
        np.testing.assert_array_equal(photo.full().mask, circle())
    else:
        assert photo.full().mask is None


def test_array_with_a_mask():
    array = np.dstack([smooth(), np.full((64, 96), 255, np.uint8)])
    array[:10, :, 3] = 0
    found = photo_from_array(array, "it", circle()).full()
    expected = circle()
    expected[:10] = False
    np.testing.assert_array_equal(found.mask, expected)


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((64, 64), bool), "array of bool"),
        (np.zeros((64, 64), np.int32), "array of int32"),
        (np.zeros((64, 64, 2), np.uint8), r"shape \(64, 64, 2\)"),
        (np.zeros(64, np.uint8), "shape"),
        (np.zeros((1, 64), np.uint8), "too small"),
        (np.lib.stride_tricks.as_strided(np.zeros(1, np.uint8), (40_000, 40_000), (0, 0)), "1600 megapixels"),
    ],
)
def test_arrays_that_are_no_photo_are_refused(array, words):
    with pytest.raises(ReadError, match=f"^it: .*{words}"):
        photo_from_array(array, "it")


@pytest.mark.parametrize("quality", ["high", 0, 101, 90.5, None])
def test_a_quality_that_is_none_is_refused(tmp_path, quality):
    with pytest.raises(OptionError, match=r"quality=.* needed is a whole number in 1 \.\. 100"):
        write_image(tmp_path / "a.jpg", smooth(), quality=quality)
    assert not list(tmp_path.iterdir())


# --- sets


def test_names_are_base_names_unless_they_collide(tmp_path):
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        write_image(tmp_path / folder / "a.png", smooth())
    write_image(tmp_path / "one" / "b.png", smooth())
    one, two, other = str(tmp_path / "one" / "a.png"), tmp_path / "two" / "a.png", tmp_path / "one" / "b.png"
    photos, left_out = open_photos([one, two, other, smooth(), open_photo(other), one])
    assert not left_out
    names = [photo.name for photo in photos]
    assert names == [one, str(two), str(other), "photo 4", "b.png", f"{one} (2)"]


def test_a_number_that_is_taken_is_not_given_again():
    sources = [photo_from_array(smooth(), name) for name in ("x", "x", "x (2)", "x", "x (2)")]
    assert [photo.name for photo in open_photos(sources)[0]] == ["x", "x (3)", "x (2)", "x (4)", "x (2) (2)"]


def test_one_bad_photo_loses_only_itself(tmp_path, caplog):
    write_image(tmp_path / "a.png", smooth())
    (tmp_path / "b.png").write_bytes(b"")
    photos, left_out = open_photos([tmp_path / "a.png", tmp_path / "b.png", tmp_path / "none.jpg", np.zeros((64, 64), bool), None])
    assert [photo.name for photo in photos] == ["a.png"]
    assert [name for name, _ in left_out] == ["b.png", "none.jpg", "photo 4", "photo 5"]
    assert left_out[0][1] == "is empty; copy it again"
    assert "no such file" in left_out[1][1]
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 4
    assert warnings[0] == "b.png: is empty; copy it again; it is left out"


def test_a_single_path_is_not_a_set(tmp_path):
    with pytest.raises(OptionError, match="give a list"):
        open_photos(str(tmp_path / "a.png"))


# --- colour profiles


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_a_set_is_in_the_profile_of_its_first_photo(tmp_path, dtype):
    # Known colours: AdobeRGB (1998) primaries, D65 and gamma 563/256 against IEC 61966-2-1, both written out here.
    picture = smooth(dtype=dtype)
    white = 1.0 if dtype == np.float32 else np.iinfo(dtype).max
    for name, icc in (("plain", None), ("adobe", ADOBE_RGB), ("srgb", SRGB)):
        write_image(tmp_path / f"{name}.tif", picture, metadata={"icc": icc} if icc else {})
    (plain, adobe, srgb), _ = open_photos([tmp_path / f"{name}.tif" for name in ("plain", "adobe", "srgb")])
    linear = (picture / white) ** (563 / 256)
    adobe_to_xyz = np.array([[0.57667, 0.18556, 0.18823], [0.29734, 0.62736, 0.07529], [0.02703, 0.07069, 0.99134]])
    xyz_to_srgb = np.array([[3.2406, -1.5372, -0.4986], [-0.9689, 1.8758, 0.0415], [0.0557, -0.2040, 1.0570]])
    light = linear @ (xyz_to_srgb @ adobe_to_xyz).T
    inside = ((light > 0.02) & (light < 0.98)).all(axis=2)
    expected = 1.055 * np.clip(light, 0.0031308, None) ** (1 / 2.4) - 0.055
    found = adobe.full().pixels / white
    # 8-bit Little CMS works in 1.14 fixed point; published matrices have four digits.
    assert inside.mean() > 0.5
    assert np.abs(found - expected)[inside].max() < 1.5 / 255
    assert np.abs(picture / white - expected)[inside].max() > 8 / 255
    for photo in (plain, srgb):
        np.testing.assert_array_equal(photo.full().pixels, picture)
    assert "icc" not in adobe.metadata


def test_the_first_photo_decides_and_its_profile_is_kept(tmp_path):
    write_image(tmp_path / "adobe.png", smooth(), metadata={"icc": ADOBE_RGB})
    write_image(tmp_path / "plain.png", smooth())
    (adobe, plain), _ = open_photos([tmp_path / "adobe.png", tmp_path / "plain.png"])
    np.testing.assert_array_equal(adobe.full().pixels, smooth())
    assert plain.metadata["icc"] == adobe.metadata["icc"] == ADOBE_RGB
    there = imagecodecs.cms_transform(smooth(), SRGB, ADOBE_RGB, colorspace="rgb", outcolorspace="rgb", intent=1)
    np.testing.assert_array_equal(plain.full().pixels, there)


def test_a_broken_profile_costs_no_photo(tmp_path, caplog):
    write_image(tmp_path / "a.png", smooth(), metadata={"icc": b"garbage" * 50})
    write_image(tmp_path / "b.png", smooth(), metadata={"icc": ADOBE_RGB[:300] + bytes(564)})
    write_image(tmp_path / "c.png", smooth())
    photos, left_out = open_photos(tmp_path / f"{name}.png" for name in "abc")
    assert not left_out
    for photo in photos:
        np.testing.assert_array_equal(photo.full().pixels, smooth())
        assert "icc" not in photo.metadata
    assert caplog.text.count("colour profile cannot be used") == 2


def test_gray_profile_is_converted(tmp_path):
    gray = smooth()[..., 0]
    linear = imagecodecs.cms_profile("gray", gamma=1.0)
    save(tmp_path / "a.png", gray, icc_profile=linear)
    found = decoded(tmp_path / "a.png").pixels
    light = gray / 255
    expected = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055) * 255
    assert np.abs(found - expected[..., None]).max() < 1.5


# --- metadata


def camera_exif(*, focal=35.0, focal_35mm=None, orientation=1, **more):
    exif = Image.Exif()
    exif[0x010F], exif[0x0110], exif[0x0112] = "Maker", "Model", orientation
    photo = {0x920A: focal, 0xA405: focal_35mm} | {int(tag[1:], 16): value for tag, value in more.items()}
    exif[0x8769] = {tag: value for tag, value in photo.items() if value is not None}
    exif[0x8825] = {1: "N", 2: (48.0, 8.0, 0.0)}
    return exif.tobytes().removeprefix(b"Exif\0\0")


def photo_with(tmp_path, exif, size=(96, 64)):
    return open_photo(save(tmp_path / "a.jpg", smooth(*size), exif=b"Exif\0\0" + exif))


def test_focal_length_by_the_35_mm_equivalent(tmp_path):
    photo = photo_with(tmp_path, camera_exif(focal_35mm=50))
    # CIPA DCG-001: equal diagonal angle of view on 36 mm x 24 mm.
    assert photo.focal == pytest.approx(50 * math.hypot(96, 64) / math.hypot(36, 24))
    assert photo.camera_key == "Maker|Model|35|96x64"


def test_focal_length_by_the_sensors_resolution(tmp_path):
    # 100 px per mm on a sensor whose picture was 192 px wide and has been halved since: 35 mm are 1750 px.
    photo = photo_with(tmp_path, camera_exif(xA20E=1000.0, xA210=3, xA002=192, xA003=128), size=(96, 64))
    assert photo.focal == pytest.approx(35 * 100 / 2)


def test_turned_photos_share_camera_and_focal_length(tmp_path):
    level = photo_with(tmp_path, camera_exif(focal_35mm=28))
    upright = photo_with(tmp_path, camera_exif(focal_35mm=28, orientation=6))
    assert upright.size == (64, 96)
    assert (upright.focal, upright.camera_key) == (level.focal, level.camera_key)


@pytest.mark.parametrize("focal_35mm", [0, 65535, 1])
@pytest.mark.parametrize("focal", [0.0, math.nan, 1e9, -50.0])
def test_implausible_focal_lengths_are_ignored(tmp_path, focal, focal_35mm):
    class Ratio:  # 0/0 and the like, as the file holds them
        def __init__(self, value):
            self.numerator, self.denominator = (0, 0) if math.isnan(value) else (int(value), 1)

    exif = camera_exif(focal_35mm=focal_35mm, xA20E=1000.0, xA210=3)
    ratio = Ratio(focal)
    signed = ratio.numerator % 2**32
    exif = exif.replace((35).to_bytes(4, "big") + (1).to_bytes(4, "big"), signed.to_bytes(4, "big") + ratio.denominator.to_bytes(4, "big"))
    exif = exif.replace(
        (35).to_bytes(4, "little") + (1).to_bytes(4, "little"), signed.to_bytes(4, "little") + ratio.denominator.to_bytes(4, "little")
    )
    photo = photo_with(tmp_path, exif)
    assert photo.focal is None
    assert photo.full().pixels.shape == (64, 96, 3)


def test_a_result_does_not_pretend_the_photos_angle_of_view(tmp_path):
    photo = photo_with(tmp_path, camera_exif(focal_35mm=50, xA20E=1000.0, xA210=3, orientation=6))
    for ending in ("jpg", "png", "tif"):
        write_image(tmp_path / f"result.{ending}", smooth(200, 64), metadata=photo.metadata)
        result = open_photo(tmp_path / f"result.{ending}")
        assert result.focal is None
        assert result.size == (200, 64)
        exif = Image.Exif()
        exif.load(result.metadata["exif"])
        assert exif.get_ifd(0x8769)[0xA002] == 200


def test_thumbnail_is_dropped(tmp_path):
    thumbnail = io.BytesIO()
    Image.fromarray(smooth()).save(thumbnail, "JPEG")
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    main = exif.tobytes()[6:]
    # A second block behind the first: offset and length of a JPEG.
    order = "little" if main[:2] == b"II" else "big"
    second = len(main)
    entries = 2
    at = second + 2 + entries * 12 + 4
    block = entries.to_bytes(2, order)
    for tag, value in ((0x0201, at), (0x0202, len(thumbnail.getvalue()))):
        block += tag.to_bytes(2, order) + (4).to_bytes(2, order) + (1).to_bytes(4, order) + value.to_bytes(4, order)
    link = int.from_bytes(main[4:8], order)
    link += 2 + 12 * int.from_bytes(main[link : link + 2], order)
    whole = main[:link] + second.to_bytes(4, order) + main[link + 4 :] + block + bytes(4) + thumbnail.getvalue()
    photo = photo_with(tmp_path, whole)
    assert thumbnail.getvalue() in photo.metadata["exif"]
    write_image(tmp_path / "result.png", smooth(), metadata=photo.metadata)
    result = open_photo(tmp_path / "result.png")
    assert b"Maker" in result.metadata["exif"]
    assert b"\xff\xd8\xff" not in result.metadata["exif"]


# --- outputs


def test_what_cannot_be_written_is_known_before(tmp_path):
    (tmp_path / "there.png").write_bytes(b"old")
    (tmp_path / "folder.png").mkdir()
    for name, size, words in (
        ("a.xyz", None, r"\.xyz is no format to write; choose \.jpg, \.png or \.tif"),
        ("a", None, r"has no ending that tells its format; choose \.jpg, \.png or \.tif"),
        (".", None, "is a folder; give the name of a file in it"),
        ("none/a.png", None, "there is no folder"),
        ("folder.png", None, "is a folder"),
        ("there.png", None, "exists already"),
        ("a.jpg", (65_501, 100), "too large for JPEG.*write a .tif"),
    ):
        with pytest.raises(OutputError, match=words) as caught:
            check_output(tmp_path / name, overwrite=False, size=size)
        assert "\n" not in str(caught.value)
        assert caught.value.path == tmp_path / name
    check_output(tmp_path / "there.png", overwrite=True)
    check_output(tmp_path / "a.jpg", overwrite=False, size=(65_500, 65_500))
    check_output(tmp_path / "a.tif", overwrite=False, size=(200_000, 100))


def test_too_wide_a_jpeg_is_refused_and_a_tiff_is_not(tmp_path):
    wide = np.zeros((1, 70_000, 3), np.uint8)
    with pytest.raises(OutputError, match="too large for JPEG"):
        write_image(tmp_path / "wide.jpg", wide)
    write_image(tmp_path / "wide.tif", wide)
    write_image(tmp_path / "wide.png", wide)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["wide.png", "wide.tif"]


def test_importing_images_loads_no_codec():
    heavy = {"cv2", "PIL", "tifffile", "imagecodecs", "simplejpeg", "numba", "scipy"}
    code = f"import sys, compositor.images; print({heavy} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "set()"
