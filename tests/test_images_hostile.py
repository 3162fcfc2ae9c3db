"""Files that are damaged, lie, or are no photos: each loses itself, in one line, quickly and without allocating what it claims."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import struct
import zlib

import cv2
import imagecodecs
import numpy as np
import pytest
import simplejpeg
import tifffile
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image

from compositor.errors import ReadError
from compositor.images import open_photo, open_photos, write_image
from compositor.images.metadata import Exif, camera_key, exif_for_output, focal_prior, read_exif

SHRINKS = (1, 2, 4, 8)


def detailed(w=400, h=300, seed=0):
    """A picture with detail, so that its compressed form is long."""
    generator = np.random.default_rng(seed)
    coarse = cv2.resize(generator.integers(0, 256, (h // 16, w // 16, 3), dtype=np.uint8), (w, h), interpolation=cv2.INTER_CUBIC)
    return np.clip(coarse + generator.normal(0, 6, (h, w, 1)), 0, 255).astype(np.uint8)


def jpeg(kind="4:2:0"):
    options = {"4:2:0": {}, "4:4:4": {"subsampling": 0}, "progressive": {"progressive": True}, "restarts": {"restart_marker_rows": 1}}[kind]
    made = io.BytesIO()
    Image.fromarray(detailed()).save(made, "JPEG", quality=92, **options)
    return made.getvalue()


def encoded(kind, **options):
    made = io.BytesIO()
    Image.fromarray(detailed()).save(made, kind, **options)
    return made.getvalue()


def tiff(**options):
    made = io.BytesIO()
    tifffile.imwrite(made, detailed(), photometric="rgb", rowsperstrip=16, **options)
    return made.getvalue()


def put(tmp_path, content, name="IMG_3.jpg"):
    path = tmp_path / name
    path.write_bytes(content)
    return path


def refused(path, shrink=None):
    """The message with which opening, or else decoding, refuses a photo; it must be one line that begins with the name."""
    with pytest.raises(ReadError) as caught:
        open_photo(path).decode(shrink or 1)
    message = str(caught.value)
    assert message.startswith(f"{path.name}: ")
    assert "\n" not in message
    assert os.fspath(caught.value.path) == os.fspath(path)
    return message


# --- cut off and flipped


@pytest.mark.parametrize("shrink", SHRINKS)
@pytest.mark.parametrize("kind", ["4:2:0", "4:4:4", "progressive", "restarts"])
def test_a_cut_jpeg_is_refused_at_every_size(tmp_path, kind, shrink):
    content = jpeg(kind)
    for part in (0.3, 0.6, 0.95, 0.999):
        assert "damaged JPEG" in refused(put(tmp_path, content[: int(len(content) * part)]), shrink)


@pytest.mark.parametrize("shrink", SHRINKS)
@pytest.mark.parametrize("kind", ["4:2:0", "4:4:4", "progressive", "restarts"])
def test_a_jpeg_with_flipped_bytes_is_refused_at_every_size(tmp_path, kind, shrink):
    # One flipped byte may make other valid codes; 25 never did.
    content = jpeg(kind)
    for seed in range(5):
        generator = np.random.default_rng(seed)
        damaged = bytearray(content)
        for place in generator.integers(1000, len(content) - 2, 25):
            damaged[place] ^= int(generator.integers(1, 256))
        assert "damaged JPEG" in refused(put(tmp_path, bytes(damaged)), shrink)


def test_what_is_seen_of_damage_does_not_depend_on_the_size(tmp_path):
    # Registration sees a photo reduced, composition in full: neither may find damage that the other did not.
    content = jpeg()
    for seed in range(20):
        generator = np.random.default_rng(seed)
        damaged = bytearray(content)
        damaged[int(generator.integers(1000, len(content) - 2))] ^= int(generator.integers(1, 256))
        photos, _ = open_photos([put(tmp_path, bytes(damaged))])
        verdicts = set()
        for shrink in SHRINKS:
            try:
                verdicts.add(photos[0].decode(shrink) is None)
            except ReadError:
                verdicts.add(True)
        assert len(verdicts) == 1


def test_a_jpeg_cut_short_is_left_out_at_opening(tmp_path):
    whole = put(tmp_path, jpeg(), "whole.jpg")
    cut = put(tmp_path, jpeg()[:-500], "cut.jpg")
    photos, left_out = open_photos([whole, cut])
    assert [photo.name for photo in photos] == ["whole.jpg"]
    assert left_out[0][0] == "cut.jpg"


@pytest.mark.parametrize("kind", ["4:2:0", "progressive", "restarts"])
def test_a_jpeg_that_only_lacks_its_end_mark_is_taken_with_a_warning(tmp_path, kind, caplog):
    content = jpeg(kind)
    found = open_photo(put(tmp_path, content[:-2])).full()
    np.testing.assert_array_equal(found.pixels, simplejpeg.decode_jpeg(content))
    assert "IMG_3.jpg: its end mark is missing; the picture is whole" in caplog.text


def test_what_follows_a_jpeg_does_not_matter(tmp_path, caplog):
    # A phone's motion photo carries its film behind the picture.
    for tail in (b"\0" * 10, b"film" * 100_000):
        photo = open_photo(put(tmp_path, jpeg() + tail))
        np.testing.assert_array_equal(photo.full().pixels, simplejpeg.decode_jpeg(jpeg()))
    assert not caplog.records


FORMATS = {
    "png": encoded("PNG"),
    "webp": encoded("WEBP", lossless=True),
    "gif": encoded("GIF"),
    "bmp": encoded("BMP"),
    "avif": encoded("AVIF"),
    "tiff": tiff(),
    "lzw": tiff(compression="lzw", predictor=True),
    "deflate": tiff(compression="zlib"),
}


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("part", [0.02, 0.3, 0.7, 0.97])
def test_other_formats_cut_off_are_refused(tmp_path, kind, part):
    content = FORMATS[kind]
    refused(put(tmp_path, content[: int(len(content) * part)], f"a.{kind}"))


@pytest.mark.parametrize("kind", ["png", "deflate", "webp", "avif"])
def test_other_formats_with_flipped_bytes_never_raise_anything_else(tmp_path, kind):
    for seed in range(20):
        generator = np.random.default_rng(seed)
        damaged = bytearray(FORMATS[kind])
        for place in generator.integers(12, len(damaged), 25):
            damaged[place] ^= int(generator.integers(1, 256))
        path = put(tmp_path, bytes(damaged), f"a.{kind}")
        if kind == "png":  # Everything in it has check sums.
            refused(path)
            continue
        with contextlib.suppress(ReadError):
            open_photo(path).decode(1)


@pytest.mark.parametrize("kind", ["jpg", *FORMATS])
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(changes=[(10, 173)])
@example(changes=[(39, 4), (194, 9)])
@given(changes=st.lists(st.tuples(st.integers(0, 399), st.integers(0, 255)), min_size=1, max_size=8))
def test_any_damage_to_a_header_is_a_read_error_or_none(tmp_path, kind, changes):
    damaged = bytearray(jpeg() if kind == "jpg" else FORMATS[kind])
    for place, value in changes:
        damaged[place] = value
    with contextlib.suppress(ReadError):
        assert open_photo(put(tmp_path, bytes(damaged), f"a.{kind}")).decode(8).pixels.size


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    magic=st.sampled_from(
        [b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"II*\0\x08\0\0\0", b"GIF89a", b"BM", b"RIFF\0\0\0\0WEBP", b"\0\0\0\x1cftypavif"]
    ),
    rest=st.binary(max_size=300),
)
def test_noise_is_a_read_error(tmp_path, magic, rest):
    with pytest.raises(ReadError):
        open_photo(put(tmp_path, magic + rest)).decode(1)


# --- no photos


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"<!DOCTYPE html><html>404</html>", "is a web page"),
        (b"\n<html>", "is a web page"),
        (b"Dear Sir or Madam, I have no photo to offer.", "is text"),
        (bytes(range(256)), "is no picture of a known kind"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC"),
        (b"\0\0\0\x18ftypcrx \0\0\0\1crx isom", "camera raw"),
        (b"\0\0\0\x18ftypmp42\0\0\0\0", "video"),
        (b"%PDF-1.7", "PDF"),
        (b"8BPS\0\1", "Photoshop"),
    ],
)
def test_what_is_no_photo_is_named(tmp_path, content, words):
    assert words in refused(put(tmp_path, content))


def test_folders_pipes_devices_and_missing_files(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "loop.jpg").symlink_to(tmp_path / "loop.jpg")
    (tmp_path / "broken.jpg").symlink_to(tmp_path / "nothing")
    (tmp_path / "zero.jpg").symlink_to("/dev/zero")
    for name, words in (
        ("pipe.jpg", "is not a regular file"),
        ("zero.jpg", "is not a regular file"),
        ("folder.jpg", "is a folder"),
        ("loop.jpg", "cannot be read"),
        ("broken.jpg", "no such file"),
        ("missing.jpg", "no such file"),
        ("x" * 300 + ".jpg", "name too long"),
    ):
        assert words in refused(tmp_path / name)
    with pytest.raises(ReadError, match="cannot be read"):
        open_photo(f"{tmp_path}/nul\0.jpg")


@pytest.mark.parametrize("size", [(1, 1), (15, 300), (3000, 1)])
def test_a_photo_too_small_to_recognise_anything_in(tmp_path, size):
    made = io.BytesIO()
    Image.new("RGB", size).save(made, "PNG")
    assert f"too small, {size[0]} x {size[1]} px" in refused(put(tmp_path, made.getvalue(), "a.png"))


def test_a_file_that_goes_or_changes_after_opening(tmp_path):
    path = put(tmp_path, jpeg())
    photo = open_photo(path)
    path.write_bytes(FORMATS["tiff"])
    assert photo.full().pixels.shape == (300, 400, 3)
    write_image(path, detailed(100, 100), overwrite=True)
    with pytest.raises(ReadError, match=r"IMG_3\.jpg: is not what it was"):
        photo.full()
    path.unlink()
    with pytest.raises(ReadError, match=r"IMG_3\.jpg: cannot be read \(no such file"):
        photo.full()


# --- claims


def lying_jpeg(w, h):
    content = bytearray(jpeg())
    frame = content.index(b"\xff\xc0")
    content[frame + 5 : frame + 9] = struct.pack(">HH", h, w)
    return bytes(content)


def lying_png(w, h, depth=8, color=2):
    header = struct.pack(">IIBBBBB", w, h, depth, color, 0, 0, 0)
    body = zlib.compress(bytes(10_000))
    parts = [b"\x89PNG\r\n\x1a\n"]
    for name, content in ((b"IHDR", header), (b"IDAT", body), (b"IEND", b"")):
        parts.append(struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content)))
    return b"".join(parts)


def lying_tiff(w, h):
    content = bytearray(FORMATS["deflate"])
    with tifffile.TiffFile(io.BytesIO(bytes(content))) as found:
        tags = found.pages.first.tags
        for tag, value in ((256, w), (257, h)):
            place, size = tags[tag].valueoffset, {3: "<H", 4: "<I"}[tags[tag].dtype]
            struct.pack_into(size, content, place, value)
    return bytes(content)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (lying_jpeg(65_500, 65_500), "declares 65500 x 65500 = 4290 megapixels; at most 500"),
        (lying_jpeg(65_500, 65_500)[:-2], "declares 65500 x 65500"),
        (lying_jpeg(20_000, 20_000), "declares 400 megapixels in a file of"),
        (lying_png(50_000, 50_000, 1, 0), "declares 50000 x 50000"),
        (lying_png(20_000, 20_000), "declares 400 megapixels in a file of"),
        (lying_png(2**31 - 1, 2**31 - 1), "declares"),
        (lying_tiff(60_000, 60_000), "declares|damaged"),
        (
            b"BM" + struct.pack("<IHHIIiiHHIIIIII", 1000, 0, 0, 54, 40, 30_000, 30_000, 1, 24, 0, 0, 0, 0, 0, 0) + bytes(1000),
            "declares 30000 x 30000",
        ),
        (
            b"GIF89a" + struct.pack("<HHBBB", 65_535, 65_535, 0, 0, 0) + b"," + struct.pack("<HHHHB", 0, 0, 65_535, 65_535, 0) + bytes(200),
            "declares",
        ),
    ],
)
def test_what_a_header_claims_is_checked_before_anything_is_allocated(tmp_path, content, words):
    import re
    import tracemalloc

    tracemalloc.start()
    message = refused(put(tmp_path, content, "big.img"))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert re.search(words, message)
    assert peak < 50e6


def test_a_tiff_whose_pages_point_in_a_circle(tmp_path):
    content = bytearray(tiff())
    begin = struct.unpack("<I", content[4:8])[0]
    count = struct.unpack("<H", content[begin : begin + 2])[0]
    content[begin + 2 + 12 * count : begin + 6 + 12 * count] = struct.pack("<I", begin)
    np.testing.assert_array_equal(open_photo(put(tmp_path, bytes(content), "a.tif")).full().pixels, detailed())


# --- metadata never loses pixels


def chunk(name, body):
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


@pytest.mark.parametrize(
    "extra",
    [
        chunk(b"iCCP", b"bomb\0\0" + zlib.compress(bytes(2**28))),
        chunk(b"zTXt", b"bomb\0\0" + zlib.compress(bytes(2**28))) * 4,
        chunk(b"iCCP", b"broken\0\0not zlib"),
        chunk(b"iCCP", b""),
        chunk(b"eXIf", b"garbage"),
        chunk(b"tEXt", bytes(2**24)),
        struct.pack(">I", 4) + b"tEXt" + b"text" + b"CRC?",
    ],
)
def test_a_png_with_bombs_beside_its_picture(tmp_path, extra):
    content = FORMATS["png"]
    path = put(tmp_path, content[:33] + extra + content[33:], "a.png")
    photo = open_photo(path)
    np.testing.assert_array_equal(photo.full().pixels, detailed())
    assert "icc" not in photo.metadata


def test_a_jpeg_with_garbage_for_metadata(tmp_path):
    content = jpeg()
    for body in (
        b"Exif\0\0garbage",
        b"Exif\0\0",
        b"Exif\0\0II*\0\xff\xff\xff\xff",
        b"ICC_PROFILE\0",
        b"ICC_PROFILE\0\1\1bad",
        b"ICC_PROFILE\0\7\1bad",
    ):
        marker = b"\xff\xe1" if body.startswith(b"Exif") else b"\xff\xe2"
        damaged = content[:2] + marker + struct.pack(">H", len(body) + 2) + body + content[2:]
        (photo,), _ = open_photos([put(tmp_path, damaged)])
        np.testing.assert_array_equal(photo.full().pixels, simplejpeg.decode_jpeg(content))
        for ending in ("jpg", "png", "tif"):
            write_image(tmp_path / f"result.{ending}", detailed(), metadata=photo.metadata, overwrite=True)
            assert open_photo(tmp_path / f"result.{ending}").size == (400, 300)


EXIF = (
    b"II*\0\x08\0\0\0\x02\0"
    + struct.pack("<HHII", 0x0112, 3, 1, 6)
    + struct.pack("<HHII", 0x8769, 4, 1, 38)
    + bytes(4)
    + b"\x03\0"
    + struct.pack("<HHII", 0x920A, 5, 1, 80)
    + struct.pack("<HHII", 0xA405, 3, 1, 28)
    + struct.pack("<HHII", 0xA20E, 5, 1, 80)
    + bytes(4)
    + struct.pack("<II", 50, 1)
)


@settings(max_examples=300, deadline=None)
@given(
    content=st.one_of(
        st.binary(max_size=300),
        st.binary(max_size=300).map(lambda rest: EXIF[:8] + rest),
        st.lists(st.tuples(st.integers(0, len(EXIF) - 1), st.integers(0, 255)), min_size=1, max_size=12).map(
            lambda changes: bytes(dict(changes).get(place, value) for place, value in enumerate(EXIF))
        ),
    )
)
def test_any_bytes_are_an_exif_block_that_says_something_sane_or_nothing(content):
    exif = read_exif(content)
    assert exif.orientation in range(1, 9)
    focal = focal_prior(exif, (4000, 3000))
    # 150 and 2 degrees across the longer side.
    assert focal is None or 535 < focal < 115_000
    assert camera_key(exif, (4000, 3000)).isprintable()
    made = exif_for_output(content, (100, 50))
    if made is not None:
        assert read_exif(made).orientation == 1


def test_the_exif_block_above_is_a_good_one():
    assert read_exif(EXIF) == Exif(orientation=6, focal_mm=50, focal_35mm=28, plane_pixels_per_mm=50 / 25.4)


@pytest.mark.parametrize("ratio", [(0, 0), (50, 0), (0, 1), (2**32 - 1, 1), (1, 2**32 - 1)])
def test_ratios_that_are_no_focal_length(ratio):
    content = EXIF[:-8] + struct.pack("<II", *ratio)
    exif = read_exif(content)
    assert exif.focal_mm is None
    assert exif.plane_pixels_per_mm is None or focal_prior(Exif(plane_pixels_per_mm=exif.plane_pixels_per_mm), (4000, 3000)) is None
    assert exif.focal_35mm == 28


# --- names


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("söndag 日本.jpg".encode(), "söndag 日本.jpg"),
        ("s\u00f6ndag.jpg".encode("latin-1"), "s\\xf6ndag.jpg"),
        (b"two\nlines.jpg", "two\\nlines.jpg"),
        (b"-rf *?[a].jpg", "-rf *?[a].jpg"),
        (b"no ending", "no ending"),
        (b"x" * 251 + b".jpg", "x" * 251 + ".jpg"),
        (b"\xc2\x9b31mred.jpg", "\\x9b31mred.jpg"),
    ],
)
def test_names_of_every_kind(tmp_path, name, shown, caplog):
    caplog.set_level(logging.WARNING, "compositor")
    path = os.path.join(os.fsencode(tmp_path), name)
    ending = "" if b"." in name else ".jpg"
    write_image(os.fsdecode(path) + ending, detailed())
    if ending:
        os.rename(path + ending.encode(), path)
    broken = os.path.join(os.fsencode(tmp_path), b"sub")
    os.mkdir(broken)
    broken = os.path.join(broken, name)
    with open(broken, "wb"):
        pass
    (photo,), _ = open_photos([os.fsdecode(path)])
    assert photo.name == shown
    assert photo.decode(8).pixels.shape == (38, 50, 3)
    _, left_out = open_photos([os.fsdecode(broken)])
    assert left_out == [(shown, "is empty; copy it again")]
    assert caplog.messages == [f"{shown}: is empty; copy it again; it is left out"]


def test_icc_of_a_set_is_bounded_work(tmp_path, monkeypatch):
    # Hundreds of photos with one profile: it is looked at once, not once per photo.
    icc = imagecodecs.cms_profile("adobergb")
    write_image(tmp_path / "a.png", detailed(64, 64), metadata={"icc": icc})
    work, transform = [], imagecodecs.cms_transform
    monkeypatch.setattr(imagecodecs, "cms_transform", lambda *a, **k: work.append(1) or transform(*a, **k))
    photos, _ = open_photos([tmp_path / "a.png"] * 200)
    assert len(photos) == 200
    # To sRGB and back; the photos are not decoded.
    assert len(work) == 2
