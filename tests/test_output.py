"""What a panorama's files say of it: projection, heading, camera, provenance; and the limits of formats, told before the work."""

from __future__ import annotations

import dataclasses
import os
import re
import shutil
import struct

import numpy as np
import pytest
import tifffile
from PIL import Image
from PIL.TiffImagePlugin import IFDRational
from scipy.spatial.transform import Rotation

import compositor.images.tiff
import compositor.images.write
from compositor.compose import plan_canvas
from compositor.compose import turned as registration_turned
from compositor.errors import OutputError, WriteError
from compositor.geometry.views import rotation_of
from compositor.images import Pose, is_stitched, open_photo, panorama_xmp, write_folder, write_image
from compositor.images.metadata import exif_for_output, read_exif
from compositor.options import ComposeOptions
from compositor.panorama import Panorama
from compositor.photometry import Photometry
from compositor.registration import Registration
from compositor.spool import Spool
from compositor.types import Camera, Canvas

WHOLE = Canvas("spherical", 1024 / (2 * np.pi), -512.0, -1024 / 4 + 0.5, (1024, 512), wraps=True)


def turned(yaw):
    c, s = np.cos(np.radians(yaw)), np.sin(np.radians(yaw))
    return np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])


def exif_of_a_phone(heading=None):
    exif = Image.Exif()
    exif[0x010F], exif[0x0110], exif[0x0112], exif[0x0131] = "Maker", "Model", 6, "Phone 1.0"
    exif[0x8769] = {0x9003: "2024:05:06 07:08:09", 0x9214: (10, 20), 0x829A: 0.01}
    exif[0x8825] = {1: "N", 2: (48.0, 30.0, 0.0), 3: "E", 4: (9.0, 15.0, 0.0)}
    if heading is not None:
        exif[0x8825] = {**exif[0x8825], 16: "T", 17: heading}
    return exif.tobytes().removeprefix(b"Exif\0\0")


def types_of_tags(block, start):
    """Of a directory of an EXIF block: the type of every tag, and where a block within it begins, by tag."""
    order = "<" if block[:2] == b"II" else ">"
    count = struct.unpack_from(f"{order}H", block, start)[0]
    entries = [struct.unpack_from(f"{order}HHII", block, start + 2 + 12 * k) for k in range(count)]
    return {tag: kind for tag, kind, _, _ in entries}, {tag: value for tag, _, _, value in entries}


def panorama_on(canvas, generator, count=3, exif=b"", yaw=0.0, dtype=np.uint8):
    w, h = canvas.size
    pixels = generator.random((h, w, 3), np.float32)
    pixels = pixels if dtype == np.float32 else (pixels * np.iinfo(dtype).max).astype(dtype)
    owner = generator.integers(-1, count, (h, w)).astype(np.int16)
    names = [f"{'left' if k % 2 else 'right'} {k}.jpg" for k in range(count)]
    cameras = tuple(Camera(name, (64, 48), 50.0, (31.5, 23.5), turned(yaw)) for name in names)
    metadata = {"exif": exif} if exif else {}
    return Panorama(pixels, owner, Registration("rotation", cameras), canvas, Photometry.neutral(names), metadata)


def xmp_in(path):
    """The packet as other programs find it."""
    if path.suffix == ".tif":
        with tifffile.TiffFile(path) as tiff:
            tag = tiff.pages.first.tags.get(700)
            return None if tag is None else bytes(tag.value)
    with Image.open(path) as picture:
        found = picture.info.get("xmp") or picture.info.get("XML:com.adobe.xmp")
    return found.encode() if isinstance(found, str) else found


def properties_of(packet):
    return dict(re.findall(r"<GPano:(\w+)>([^<]*)</GPano", packet.decode()))


@pytest.mark.parametrize("ending", ["jpg", "png", "tif"])
def test_a_sphere_tells_viewers_what_it_is(generator, tmp_path, ending):
    path = tmp_path / f"a.{ending}"
    panorama_on(WHOLE, generator, exif=exif_of_a_phone()).save(path)
    told = properties_of(xmp_in(path))
    assert told["ProjectionType"] == "equirectangular"
    assert told["UsePanoramaViewer"] == "True"
    assert (told["FullPanoWidthPixels"], told["FullPanoHeightPixels"]) == ("1024", "512")
    assert (told["CroppedAreaImageWidthPixels"], told["CroppedAreaImageHeightPixels"]) == ("1024", "512")
    assert (told["CroppedAreaLeftPixels"], told["CroppedAreaTopPixels"]) == ("0", "0")
    assert "PoseHeadingDegrees" not in told
    # What the camera said stays, and what was true of the photo only goes.
    exif = read_exif(open_photo(path).metadata["exif"])
    assert (exif.make, exif.model, exif.orientation) == ("Maker", "Model", 1)
    assert exif.taken is not None


def test_a_part_of_a_sphere_lies_where_it_is_said_to(generator, tmp_path):
    """Wherever it begins, also across the back; the row of the horizon is that of the whole."""
    scale = 500.0
    for left in (-1800.0, -300.0, 1500.0):
        canvas = Canvas("spherical", scale, left, -200.0, (600, 300))
        told = {name: int(value) for name, value in properties_of(panorama_xmp(canvas)).items() if value.isdecimal()}
        assert told["FullPanoWidthPixels"] == 2 * told["FullPanoHeightPixels"]
        assert told["FullPanoWidthPixels"] == pytest.approx(2 * np.pi * scale, abs=1)
        assert 0 <= told["CroppedAreaLeftPixels"] <= told["FullPanoWidthPixels"] - 600
        # Canvas row 200 is the horizon: the boundary between the halves lies half a pixel above its middle.
        assert told["CroppedAreaTopPixels"] + 200.5 == pytest.approx(told["FullPanoHeightPixels"] / 2, abs=1)


def test_a_cylinder_counts_rows_from_the_horizon():
    told = properties_of(panorama_xmp(Canvas("cylindrical", 500.0, -300.0, -200.0, (600, 300))))
    assert told["ProjectionType"] == "cylindrical"
    assert told["CroppedAreaTopPixels"] in ("-200", "-201")
    assert told["FullPanoHeightPixels"] == "300"


def test_a_plane_tells_viewers_nothing(generator, tmp_path):
    for ending in ("jpg", "png", "tif"):
        path = tmp_path / f"a.{ending}"
        panorama_on(Canvas("plane", 500.0, -32.0, -24.0, (64, 48)), generator).save(path)
        assert b"GPano" not in xmp_in(path)


@pytest.mark.parametrize("ending", ["jpg", "png", "tif"])
def test_a_refined_panorama_tells_viewers_what_it_told_before(generator, tmp_path, ending):
    path, owner = tmp_path / f"a.{ending}", np.zeros((WHOLE.size[1], WHOLE.size[0]), np.uint8)
    owner[:, WHOLE.size[0] // 2 :] = 1
    panorama_on(WHOLE, generator).save(path)
    compositor.refine(path, owner=owner).save(tmp_path / f"b.{ending}")
    assert properties_of(xmp_in(tmp_path / f"b.{ending}")) == properties_of(xmp_in(path))
    write_image(tmp_path / "foreign.png", generator.integers(0, 256, (*owner.shape, 3), dtype=np.uint8))
    compositor.refine(tmp_path / "foreign.png", owner=owner).save(tmp_path / f"c.{ending}")
    assert is_stitched(tmp_path / f"c.{ending}")


@pytest.mark.parametrize("ending", ["jpg", "png", "tif"])
def test_a_panorama_is_known_again_and_a_photo_is_not(generator, tmp_path, ending):
    path, plane = tmp_path / f"a.{ending}", Canvas("plane", 500.0, -32.0, -24.0, (64, 48))
    for canvas in (plane, WHOLE):
        panorama_on(canvas, generator, exif=exif_of_a_phone()).save(path, overwrite=True)
        assert is_stitched(path)
    # A single photo whose lens was corrected, a mask, and what is no picture.
    panorama_on(plane, generator, count=1, exif=exif_of_a_phone()).save(path, overwrite=True)
    assert not is_stitched(path)
    panorama_on(plane, generator).save_photo_masks(tmp_path / "masks")
    assert not any(map(is_stitched, [*(tmp_path / "masks").iterdir(), tmp_path, tmp_path / "nothing.jpg"]))


@pytest.mark.parametrize(
    ("told", "yaw", "left", "expected"), [(90.0, 0.0, -512.0, 90.0), (350.0, -30.0, -512.0, 20.0), (359.98, 0.0, -512.0, 0.0)]
)
def test_heading_of_the_middle_follows_from_that_of_the_first_photo(generator, tmp_path, told, yaw, left, expected):
    """The photo looks ``yaw`` degrees to the right of the canvas' middle, which looks that much less far round."""
    canvas = dataclasses.replace(WHOLE, left=left)
    panorama = panorama_on(canvas, generator, exif=exif_of_a_phone(heading=told), yaw=yaw)
    panorama.save(tmp_path / "a.jpg")
    heading = float(properties_of(xmp_in(tmp_path / "a.jpg"))["PoseHeadingDegrees"])
    # Rounded to a tenth; the middle of an even number of columns lies half a column beside its middle line.
    assert (heading - expected + 180) % 360 - 180 == pytest.approx(0, abs=0.3)
    assert 0 <= heading < 360


def seen_by_a_viewer(told, position):
    """Compass direction and height, degrees, at which a viewer that keeps to the properties shows a pixel of the file."""
    width, height = (float(told[f"FullPano{side}Pixels"]) for side in ("Width", "Height"))
    x, y = (position[k] + 0.5 + float(told[f"CroppedArea{side}Pixels"]) for k, side in enumerate(("Left", "Top")))
    across = 2 * np.pi * (x / width - 0.5)
    up = np.arctan(-y * 2 * np.pi / width) if told["ProjectionType"] == "cylindrical" else np.pi * (0.5 - y / height)
    # The angles of aviation: north, east and down are the axes, and a craft turns, rises and then banks about its own.
    aim = [float(told.get(f"Pose{angle}Degrees", 0)) for angle in ("Heading", "Pitch", "Roll")]
    ray = [np.cos(across) * np.cos(up), np.sin(across) * np.cos(up), -np.sin(up)]
    north, east, down = Rotation.from_euler("ZYX", aim, degrees=True).apply(ray)
    return np.degrees(np.arctan2(east, north)), -np.degrees(np.arcsin(down))


@pytest.mark.parametrize(
    "view",
    [
        {},
        {"yaw": 75.0},
        {"pitch": 30.0},
        {"roll": -25.0},
        {"yaw": -130.0, "pitch": -40.0, "roll": 60.0},
        {"pitch": 90.0, "roll": 20.0},
        {"roll": 180.0},
        {"pitch": 20.0, "roll": 8.0, "projection": "cylindrical", "fov": 70.0, "size": "900x500"},
        {"yaw": 10.0, "pitch": 8.0, "fov": 80.0, "size": "1000x300"},
    ],
)
def test_viewers_show_a_turned_panorama_level_and_where_it_was(generator, tmp_path, view):
    """Wherever the view looks, each photo's middle is shown at the heading and height at which it was taken; so too from a saved file."""
    true = [(20.0, 5.0), (60.0, -30.0), (-70.0, 15.0), (170.0, 40.0)]
    eyes = tuple(Camera(f"{h}.jpg", (64, 48), 200.0, (31.5, 23.5), rotation_of(*np.radians([h - 15, p, 3]))) for h, p in true)
    options = ComposeOptions.of({"projection": "spherical", **view})
    if (turn := {name: 5.0 for name in ("yaw", "pitch", "roll") if name in view}) and len(view) == 3:
        # Part of the turn was made before, and lies in a file.
        first = registration_turned(Registration("rotation", eyes), ComposeOptions.of(turn))
        first.save(tmp_path / "photos.json")
        registration = registration_turned(Registration.load(tmp_path / "photos.json"), options)
    else:
        registration = registration_turned(Registration("rotation", eyes), options)
    whole = plan_canvas(registration, options)
    w, h = whole.size
    corner = dataclasses.replace(
        whole, left=whole.left + w // 3, top=whole.top + h * 3 // 5, size=(w - w // 3, h - h * 3 // 5), wraps=False
    )
    shown = 0
    for canvas in (whole, corner):
        drawn = panorama_on(canvas, generator, exif=exif_of_a_phone(heading=true[0][0]))
        panorama = dataclasses.replace(drawn, registration=registration)
        panorama.save(tmp_path / "a.jpg", overwrite=True)
        told = properties_of(xmp_in(tmp_path / "a.jpg"))
        assert 0 <= float(told["PoseHeadingDegrees"]) < 360
        assert -90 <= float(told["PosePitchDegrees"]) <= 90
        assert -180 < float(told["PoseRollDegrees"]) <= 180
        for k, (heading, height) in enumerate(true):
            position = panorama.map_points(k, np.array([[31.5, 23.5]]))[0]
            if not (np.isfinite(position).all() and (position >= 0).all() and (position < canvas.size).all()):
                continue
            found, up = seen_by_a_viewer(told, position)
            # The whole turn has a whole number of pixels, of 0.3 degrees each, and headings are told to a tenth of a degree.
            assert ((found - heading + 180) % 360 - 180) * np.cos(np.radians(height)) == pytest.approx(0, abs=0.5)
            assert up == pytest.approx(height, abs=0.5)
            shown += 1
    assert shown > len(true) or (shown > 0 and "fov" in view)


def test_a_level_panorama_has_no_pitch_and_no_roll():
    told = properties_of(panorama_xmp(WHOLE, Pose(None, -0.001, -180.0)))
    assert (told["PosePitchDegrees"], told["PoseRollDegrees"]) == ("0.0", "180.0")
    assert (properties_of(panorama_xmp(WHOLE))["PosePitchDegrees"], properties_of(panorama_xmp(WHOLE))["PoseRollDegrees"]) == ("0.0", "0.0")


def test_what_is_true_of_the_photo_only_is_not_kept():
    exif = Image.Exif()
    exif.load(exif_for_output(exif_of_a_phone(heading=90.0), (1024, 512)))
    assert exif[0x0112] == 1
    assert exif[0x0131] == "compositor"
    assert exif.get_ifd(0x8769)[0xA002] == 1024
    assert 0x9214 not in exif.get_ifd(0x8769)
    assert {16, 17}.isdisjoint(exif.get_ifd(0x8825))
    assert exif.get_ifd(0x8825)[1] == "N"


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("masked", [False, True])
def test_tiffs_are_tiled_and_large_ones_big(generator, tmp_path, monkeypatch, dtype, masked):
    """With limits lowered, since four gigabytes take their time."""
    monkeypatch.setattr(compositor.images.tiff, "LARGEST_CLASSIC", 1_000_000)
    panorama = panorama_on(Canvas("spherical", 500.0, 0.0, 0.0, (700, 600)), generator, exif=exif_of_a_phone(), dtype=dtype)
    mask = panorama.mask if masked else None
    for ending in ("tif", "tiff"):
        write_image(tmp_path / f"a.{ending}", panorama.pixels, mask=mask, metadata={**panorama.metadata, "xmp": b"<x/>"})
    path = tmp_path / "a.tiff"
    assert path.read_bytes() == (tmp_path / "a.tif").read_bytes()
    with tifffile.TiffFile(path) as tiff:
        assert tiff.is_bigtiff
        assert tiff.pages.first.is_tiled
        stored = tiff.pages.first.asarray()
    np.testing.assert_array_equal(stored[..., :3], panorama.pixels)
    photo = open_photo(path)
    np.testing.assert_array_equal(photo.full().pixels[panorama.mask], panorama.pixels[panorama.mask])
    assert (photo.full().mask is not None) == masked
    exif = read_exif(photo.metadata["exif"])
    assert (exif.make, exif.taken is not None, exif.seconds) == ("Maker", True, 0.01)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("shape", [(150, 70), (128, 70, 3)])
@pytest.mark.parametrize("masked", [False, True])
def test_large_pngs_are_written_in_strips(generator, tmp_path, monkeypatch, dtype, shape, masked):
    """With the limit lowered: pixel by pixel what is written at once, wherever the picture lies, and never all of it asked for."""
    white = 1 if dtype == np.float32 else np.iinfo(dtype).max
    pixels = np.asarray(generator.random(shape) * white, dtype)
    mask = generator.random(shape[:2]) < 0.5 if masked else None
    metadata = {"exif": exif_of_a_phone(), "xmp": b"<x/>"}
    write_image(tmp_path / "whole.png", pixels, mask=mask, metadata=metadata)
    monkeypatch.setattr(compositor.images.write, "LARGEST_WHOLE", 0)
    write_image(tmp_path / "strips.png", pixels, mask=mask, metadata=metadata)
    asked = []

    class Watched(Spool):
        def __getitem__(self, key):
            read = super().__getitem__(key)
            asked.append(len(read))
            return read

    spool = Watched(shape, dtype)
    spool[:, :] = pixels
    write_image(tmp_path / "disk.png", spool, mask=mask, metadata=metadata)
    assert max(asked) <= 64
    assert (tmp_path / "disk.png").read_bytes() == (tmp_path / "strips.png").read_bytes()
    whole, strips = (open_photo(tmp_path / name) for name in ("whole.png", "strips.png"))
    np.testing.assert_array_equal(strips.full().pixels, whole.full().pixels)
    assert strips.dtype == whole.dtype
    assert strips.metadata == whole.metadata
    assert xmp_in(tmp_path / "strips.png") == b"<x/>"
    hidden = [photo.full().mask for photo in (strips, whole)]
    assert (hidden[0] is None) == (hidden[1] is None)
    if hidden[0] is not None:
        np.testing.assert_array_equal(*hidden)
    if dtype == np.uint8:  # Pillow knows no colours of 16 bits
        with Image.open(tmp_path / "strips.png") as one, Image.open(tmp_path / "whole.png") as other:
            np.testing.assert_array_equal(np.asarray(one), np.asarray(other))


@pytest.mark.parametrize(("count", "depth"), [(3, np.uint8), (300, np.uint16)])
def test_owner_map_tells_the_photo_of_each_pixel(generator, tmp_path, count, depth):
    panorama = panorama_on(Canvas("plane", 500.0, 0.0, 0.0, (64, 48)), generator, count=count)
    for ending in ("png", "tif"):
        panorama.save_owner(tmp_path / f"owner.{ending}")
        stored = open_photo(tmp_path / f"owner.{ending}").full().pixels[..., 0]
        assert stored.dtype == depth
        np.testing.assert_array_equal(stored.astype(int) - 1, panorama.owner)
    with pytest.raises(OutputError, match=r"does not keep every value.*\.png"):
        panorama.save_owner(tmp_path / "owner.jpg")


def test_photo_masks_share_the_panorama_out(generator, tmp_path):
    panorama = panorama_on(Canvas("plane", 500.0, 0.0, 0.0, (64, 48)), generator)
    folder = tmp_path / "masks"
    panorama.save_photo_masks(folder)
    assert sorted(os.listdir(folder)) == ["001_right 0.png", "002_left 1.png", "003_right 2.png"]
    masks = np.stack([np.asarray(Image.open(path)) for path in sorted(folder.iterdir())])
    for k, mask in enumerate(masks):
        np.testing.assert_array_equal(mask, np.where(panorama.owner == k, 255, 0))
    assert (masks.any(axis=0) == panorama.mask).all()
    with pytest.raises(OutputError, match="holds something already"):
        panorama.save_photo_masks(folder)
    (folder / "notes.txt").write_text("mine")
    dataclasses.replace(panorama, owner=np.zeros_like(panorama.owner)).save_photo_masks(folder, overwrite=True)
    assert np.asarray(Image.open(folder / "001_right 0.png")).min() == 255
    assert (folder / "notes.txt").read_text() == "mine"
    # Of fewer photos: masks of the others would be taken for theirs. What merely has such a name, or is a mask by another, stays.
    shutil.copy(folder / "001_right 0.png", folder / "kept.png")
    write_image(folder / "007_own.png", np.zeros((48, 64), np.uint8))
    panorama_on(Canvas("plane", 500.0, 0.0, 0.0, (64, 48)), generator, count=2).save_photo_masks(folder, overwrite=True)
    assert sorted(os.listdir(folder)) == ["001_right 0.png", "002_left 1.png", "007_own.png", "kept.png", "notes.txt"]
    assert sorted(os.listdir(tmp_path)) == ["masks"]


def test_a_folder_is_written_whole_or_not_at_all(tmp_path):
    def fail(place):
        (place / "first").write_text("done")
        raise OSError(28, "No space left on device")

    with pytest.raises(WriteError, match="No space left"):
        write_folder(tmp_path / "masks", fail, overwrite=False)
    assert os.listdir(tmp_path) == []
    (tmp_path / "file").write_text("")
    for place, words in (("file", "not a folder"), ("nowhere/masks", "there is no folder")):
        with pytest.raises(OutputError, match=words):
            write_folder(tmp_path / place, fail, overwrite=True)


@pytest.mark.parametrize("ending", ["jpg", "png", "tif"])
def test_exif_has_the_types_of_the_standard(tmp_path, generator, ending):
    exif = Image.Exif()
    exif[0x8769] = {
        0x9000: b"0230",
        0x9101: b"\1\2\3\0",
        0x9201: IFDRational(17, 2),
        0x9204: IFDRational(0),
        0x829A: IFDRational(1, 100),
        0xA300: b"\3",
    }
    exif[0x8825] = {1: "N", 2: (48.0, 30.0, 0.0), 0x1B: b"ASCII\0\0\0GPS"}
    block = exif.tobytes().removeprefix(b"Exif\0\0")
    path = tmp_path / f"a.{ending}"
    panorama_on(WHOLE, generator, exif=block).save(path)
    if ending == "tif":
        block = path.read_bytes()
    else:
        with Image.open(path) as picture:
            block = picture.info["exif"].removeprefix(b"Exif\0\0")
    _, places = types_of_tags(block, struct.unpack_from("<I" if block[:2] == b"II" else ">I", block, 4)[0])
    photo, values = types_of_tags(block, places[0x8769])
    # CIPA DC-008: undefined bytes are 7, rational numbers 5, those with a sign 10.
    assert {tag: photo[tag] for tag in (0x9000, 0x9101, 0x9201, 0x9204, 0x829A, 0xA300)} == {
        0x9000: 7, 0x9101: 7, 0x9201: 10, 0x9204: 10, 0x829A: 5, 0xA300: 7
    }  # fmt: skip
    assert types_of_tags(block, places[0x8825])[0][0x1B] == 7
    assert struct.unpack_from("<ii" if block[:2] == b"II" else ">ii", block, values[0x9201]) == (17, 2)
