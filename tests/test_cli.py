"""The command line: what it prints where, what it exits with, and what it leaves on the disk."""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import rich.console

from compositor.cli.console import LogLines
from compositor.cli.entry import run
from compositor.errors import WriteError
from compositor.images import open_photo, write_image
from compositor.images.write import LONGEST_SIDE
from compositor.photometry import Photometry
from compositor.registration import Registration
from compositor.types import Camera


@pytest.fixture
def command(capfd):
    """Runs a command; gives its exit code, stdout and the lines on stderr."""

    def call(*arguments):
        capfd.readouterr()
        code = run([str(argument) for argument in arguments])
        out, err = capfd.readouterr()
        return code, out, err.splitlines()

    return call


def process(*arguments, **settings):
    """A command in a process of its own."""
    line = [sys.executable, "-m", "compositor", *map(str, arguments)]
    return subprocess.run(line, capture_output=True, text=True, check=False, **settings)


def texture(seed, size=(240, 320)):
    """A picture with much to recognise, and nothing in common with that of another seed."""
    generator = np.random.default_rng(seed)
    coarse = generator.integers(0, 256, (size[0] // 8, size[1] // 8, 3), np.uint8)
    return np.kron(coarse, np.ones((8, 8, 1), np.uint8))


def test_stitch_tells_what_it_made(command, photos, tmp_path):
    output, registration = tmp_path / "panorama.tif", tmp_path / "photos.json"
    code, out, err = command("stitch", *photos, "-o", output, "--registration", registration, "--json")
    result = json.loads(out)
    assert code == 0
    assert result["schema"] == 1
    assert result["used"] == [os.path.basename(path) for path in photos]
    assert result["left_out"] == []
    assert tuple(result["size"]) == open_photo(output).size
    assert result["projection"] == "plane"
    assert result["model"] == "rotation"
    assert {"read", "features", "match", "adjust", "render", "write"} <= set(result["seconds"])
    assert all(seconds >= 0 for seconds in result["seconds"].values())
    assert result["peak_memory_mb"] > 0
    assert result["output"] == str(output)
    assert len(json.loads(registration.read_text())["photos"]) == 3
    assert err == [f"{output}: {result['size'][0]}x{result['size'][1]}, plane, 3 of 3 photos"]


def test_quiet_says_nothing_when_all_is_well(command, photos, tmp_path):
    assert command("stitch", *photos, "-o", tmp_path / "panorama.png", "-q") == (0, "", [])


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
@pytest.mark.parametrize(
    ("environment", "shown"), [({"TERM": "xterm"}, True), ({"TERM": "dumb"}, False), ({"TERM": "xterm", "NO_COLOR": "1"}, False)]
)
def test_progress_is_shown_on_a_terminal_only(photos, tmp_path, environment, shown):
    import pty

    reader, terminal = pty.openpty()
    line = [sys.executable, "-m", "compositor", "register", *photos, "-o", str(tmp_path / "photos.json")]
    settings = {name: value for name, value in os.environ.items() if name not in ("TERM", "NO_COLOR")} | environment
    with subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=terminal, env=settings) as running:
        os.close(terminal)
        said = ""
        # Reading fails once nobody has the other end open any more.
        with contextlib.suppress(OSError):
            while part := os.read(reader, 4096):
                said += part.decode(errors="replace")
    os.close(reader)
    assert running.returncode == 0
    assert ("features" in said) == shown
    assert "3 of 3 photos" in said


def test_bad_files_among_good_ones_are_named_and_left_out(command, photos, views, tmp_path):
    write_image(tmp_path / "whole.jpg", views[0].pixels)
    content = (tmp_path / "whole.jpg").read_bytes()
    (tmp_path / "truncated.jpg").write_bytes(content[: len(content) // 2])
    (tmp_path / "text.jpg").write_text("not a picture\n")
    write_image(tmp_path / "dot.png", np.zeros((1, 1, 3), np.uint8))
    write_image(tmp_path / "stranger.png", texture(1))
    bad = [tmp_path / name for name in ("truncated.jpg", "text.jpg", "dot.png", "stranger.png", "missing.jpg")]
    code, out, err = command("stitch", *photos, *bad, photos[0], "-o", tmp_path / "panorama.png", "--json")
    result = json.loads(out)
    assert code == 3
    assert len(result["used"]) == 3
    assert len(result["left_out"]) == 6
    assert (tmp_path / "panorama.png").exists()
    for path in bad:
        (reason,) = [entry["reason"] for entry in result["left_out"] if entry["name"] == path.name]
        assert len([line for line in err if line.startswith("compositor: warning: ") and path.name in line and reason in line]) == 1
    assert len([line for line in err if line.startswith("compositor: warning: ")]) == 6


def one_error(code, out, err):
    """The one line that says why a command gave nothing."""
    assert code != 0
    assert out == ""
    (line,) = [line for line in err if not line.startswith("compositor: warning: ")]
    assert line.startswith("compositor: error: ")
    return line


BAD_SETS = {
    "one photo": (["view-1.png"], 4),
    "unrelated photos": (["view-1.png", "stranger.png"], 4),
    "one photo twice": (["view-1.png", "view-1.png"], 4),
    "a copy": (["view-1.png", "copy.png"], 4),
    "a dot and a photo": (["dot.png", "view-1.png"], 4),
    "texts named .jpg": (["text.jpg", "text2.jpg"], 4),
    "files that are not there": (["missing-1.jpg", "missing-2.jpg"], 2),
    "one photo and a mistyped one": (["view-1.png", "missing.jpg"], 2),
    "a folder that is not there": (["missing/"], 2),
    "no photos": ([], 2),
    "an empty folder": (["empty"], 2),
    "a pattern without files": (["*.gif"], 2),
    "an unknown option": (["view-1.png", "view-2.png", "--colour"], 2),
    "an unknown choice": (["view-1.png", "view-2.png", "--blend", "magic"], 2),
    "a value out of range": (["view-1.png", "view-2.png", "--scale", "9"], 2),
    "quiet and verbose": (["view-1.png", "view-2.png", "-q", "-v"], 2),
    "too little memory allowed": (["view-1.png", "view-2.png", "--max-memory", "1"], 5),
}


@pytest.fixture(scope="module")
def bad_folder(photos, views, tmp_path_factory):
    """Good and bad photos side by side."""
    folder = tmp_path_factory.mktemp("bad")
    for path in photos:
        shutil.copy(path, folder)
    shutil.copy(photos[0], folder / "copy.png")
    write_image(folder / "stranger.png", texture(1))
    write_image(folder / "dot.png", np.zeros((1, 1, 3), np.uint8))
    for name in ("text.jpg", "text2.jpg"):
        (folder / name).write_text("not a picture\n")
    (folder / "empty").mkdir()
    return folder


@pytest.mark.parametrize("case", BAD_SETS)
def test_bad_input_gets_one_line_and_its_code(command, bad_folder, case, monkeypatch):
    monkeypatch.chdir(bad_folder)
    before = sorted(os.listdir())
    arguments, expected = BAD_SETS[case]
    code, out, err = command("stitch", *arguments, "-o", "panorama.png", "--registration", "photos.json")
    one_error(code, out, err)
    assert code == expected
    assert sorted(os.listdir()) == before


BAD_OUTPUTS = {
    "exists": "view-2.png",
    "folder missing": "nowhere/panorama.png",
    "unknown ending": "panorama.xyz",
    "no ending": "panorama",
    "an input": "view-1.png",
    "a folder": "empty",
    "none": None,
}


@pytest.mark.parametrize("case", BAD_OUTPUTS)
def test_outputs_are_checked_before_any_work(command, bad_folder, case, monkeypatch):
    """The photos are not there, and it is the output that is complained about."""
    monkeypatch.chdir(bad_folder)
    before = {name: os.path.getmtime(name) for name in os.listdir()}
    output = [] if BAD_OUTPUTS[case] is None else ["-o", BAD_OUTPUTS[case]]
    code, out, err = command("stitch", "view-1.png", "missing-1.jpg", "missing-2.jpg", *output)
    assert "output" in one_error(code, out, err) or BAD_OUTPUTS[case] is None or BAD_OUTPUTS[case] in one_error(code, out, err)
    assert code == 2
    assert {name: os.path.getmtime(name) for name in os.listdir()} == before


def test_missing_files_are_counted(command, bad_folder, monkeypatch):
    """Of all that were named, with what is needed where that is fewer."""
    monkeypatch.chdir(bad_folder)
    missing = [f"missing-{k}.jpg" for k in range(4)]
    (line,) = command("stitch", "view-1.png", *missing, "-o", "panorama.png")[2]
    said = "there is no file missing-0.jpg, missing-1.jpg, missing-2.jpg and 1 more; 4 of 5 files are missing, at least 2 are needed"
    assert f"{said}; correct the names (" in line


@pytest.mark.parametrize(
    "words",
    [
        "mosaic missing.jpg --tiles . -o out.png",
        "paste view-1.png missing.jpg -o out.png",
        "paste view-1.png view-1.png --mask missing.jpg -o out.png",
        "similar missing.jpg .",
        "train gan missing.jpg -o out.safetensors",
        "train refiner view-1.png missing.jpg -o out.safetensors",
    ],
)
def test_a_missing_file_is_named_in_the_same_way_by_every_command(command, bad_folder, monkeypatch, words):
    monkeypatch.chdir(bad_folder)
    code, out, err = command(*words.split())
    line = one_error(code, out, err)
    assert code == 2
    assert "there is no file missing.jpg; " in line
    assert "; correct the name (compositor " in line


def test_one_photo_is_no_photos():
    assert [repr(Photometry.neutral("ab"[:count])).split(",")[0] for count in (1, 2)] == ["Photometry(1 photo", "Photometry(2 photos"]


def test_an_object_that_cannot_be_pasted_is_told_once(command, bad_folder, monkeypatch):
    """As what went wrong, not as something that is left out."""
    monkeypatch.chdir(bad_folder)
    write_image("point.png", np.zeros((1, 1, 3), np.uint8))
    code, out, err = command("paste", "view-1.png", "point.png", "-o", "out.png")
    assert "point.png: too small" in one_error(code, out, err)
    assert len(err) == 1
    assert code == 1


def test_input_is_not_overwritten_even_when_overwriting_is_allowed(command, bad_folder, monkeypatch):
    monkeypatch.chdir(bad_folder)
    content = (bad_folder / "view-1.png").read_bytes()
    code, out, err = command("stitch", "view-1.png", "view-2.png", "-o", "./view-1.png", "--overwrite")
    assert code == 2
    assert "an input" in one_error(code, out, err)
    assert (bad_folder / "view-1.png").read_bytes() == content


def test_overwrite_replaces(command, photos, tmp_path):
    output = tmp_path / "panorama.png"
    output.write_text("old")
    assert command("stitch", *photos, "-o", output)[0] == 2
    assert output.read_text() == "old"
    assert command("stitch", *photos, "-o", output, "--overwrite")[0] == 0
    assert open_photo(output).size[0] > 480


def test_dry_run_tells_what_stitch_would_make_and_writes_nothing(command, photos, tmp_path):
    code, out, _ = command("stitch", *photos, "-o", tmp_path / "panorama.png", "--dry-run", "--json")
    plan = json.loads(out)
    assert code == 0
    assert os.listdir(tmp_path) == []
    assert plan["memory_mb"] > 0
    assert plan["output"] is None
    made = json.loads(command("stitch", *photos, "-o", tmp_path / "panorama.png", "--json")[1])
    assert (plan["size"], plan["projection"], plan["used"]) == (made["size"], made["projection"], made["used"])
    code, out, _ = command("stitch", *photos, "--dry-run")
    assert code == 0
    assert "plane" in out


def test_compose_of_a_saved_registration_gives_the_bytes_of_stitch(command, photos, tmp_path):
    saved = tmp_path / "photos.json"
    assert command("stitch", *photos, "-o", tmp_path / "stitched.tif")[0] == 0
    code, out, _ = command("register", *photos, "-o", saved, "--json")
    assert code == 0
    assert json.loads(out)["output"] == str(saved)
    assert command("compose", saved, *reversed(photos), "-o", tmp_path / "composed.tif")[0] == 0
    assert (tmp_path / "composed.tif").read_bytes() == (tmp_path / "stitched.tif").read_bytes()


def test_photometry_is_told_saved_and_used_again(command, photos, tmp_path):
    registration, light = tmp_path / "photos.json", tmp_path / "light.json"
    told = json.loads(
        command("stitch", *photos, "-o", tmp_path / "a.png", "--registration", registration, "--photometry", light, "--json")[1]
    )
    assert [photo["name"] for photo in told["light"]["photos"]] == told["used"]
    assert told["photometry"] == str(light)
    # The views were rendered with three quarters of the light in the corners.
    assert all(photo["corner_stops"] == pytest.approx(np.log2(0.75), abs=0.03) for photo in told["light"]["photos"])
    # A frame of which the overlaps would say something else.
    pixels = open_photo(photos[1]).full().pixels
    dark = tmp_path / os.path.basename(photos[1])
    write_image(dark, pixels // 2)
    frames = [photos[0], dark, photos[2]]
    line = ("compose", registration, *frames, "-o", tmp_path / "b.png", "--use-photometry", light, "--photometry", tmp_path / "again.json")
    code, _, err = command(*line, "-v")
    assert code == 0
    assert (tmp_path / "again.json").read_bytes() == light.read_bytes()
    assert sum("exposure" in line and "stops" in line for line in err) == 3
    estimated = json.loads(command("compose", registration, *frames, "-o", tmp_path / "c.png", "--json")[1])
    stops = [[photo["exposure_stops"] for photo in made["light"]["photos"]] for made in (told, estimated)]
    assert stops[1][1] - stops[1][0] > stops[0][1] - stops[0][0] + 1


@pytest.mark.parametrize("content", ["", "{}", '{"format": "compositor photometry", "version": 99}'])
def test_broken_photometry_is_refused(command, photos, tmp_path, content):
    command("register", *photos, "-o", tmp_path / "photos.json")
    (tmp_path / "light.json").write_text(content)
    line = ("compose", tmp_path / "photos.json", *photos, "-o", tmp_path / "a.png", "--use-photometry", tmp_path / "light.json")
    assert "light.json" in one_error(*command(*line))


def test_compose_takes_renamed_photos_in_order_and_refuses_too_few(command, photos, tmp_path):
    saved = tmp_path / "photos.json"
    command("register", *photos, "-o", saved)
    renamed = [shutil.copy(path, tmp_path / f"frame{number}.png") for number, path in enumerate(photos)]
    assert command("compose", saved, *photos, "-o", tmp_path / "a.png")[0] == 0
    assert command("compose", saved, *renamed, "-o", tmp_path / "b.png")[0] == 0
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    code, out, err = command("compose", saved, *renamed[:2], "-o", tmp_path / "c.png")
    assert code == 1
    assert "view-1.png, view-2.png, view-3.png" in one_error(code, out, err)
    # One that is not there is no photo that is missing on purpose.
    code, out, err = command("compose", saved, *photos[:2], tmp_path / "mistyped.png", "-o", tmp_path / "c.png")
    assert code == 2
    assert "mistyped.png" in one_error(code, out, err)


def test_of_many_names_a_message_tells_three(command, photos, tmp_path):
    eyes = tuple(Camera(f"photo-{k:02}.png", (480, 360), 400.0, (239.5, 179.5), np.eye(3)) for k in range(20))
    Registration("rotation", eyes).save(tmp_path / "photos.json")
    line = one_error(*command("compose", tmp_path / "photos.json", *photos, "-o", tmp_path / "a.png"))
    assert "photo-00.png, photo-01.png, photo-02.png and 17 more" in line
    assert "photo-03" not in line


def test_a_file_of_another_kind_is_told_what_it_is(command, photos, tmp_path):
    registration, light = tmp_path / "photos.json", tmp_path / "light.json"
    Registration("rotation", ()).save(registration)
    Photometry.neutral(["view-1.png"]).save(light)
    line = one_error(*command("compose", light, *photos, "-o", tmp_path / "a.png"))
    assert "light.json: is a photometry file, needed is a registration" in line
    assert "--use-photometry" in line
    line = one_error(*command("correct", *photos, "-o", tmp_path / "new", "--use-photometry", registration))
    assert "photos.json: is a registration, needed is a photometry file" in line
    assert not (tmp_path / "new").exists()


def test_options_in_messages_are_those_of_the_command_line(command, photos, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    line = ("stitch", *photos, "-o", "a.png")
    assert "--size 100 and --scale 0.5 both" in one_error(*command(*line, "--size", "100", "--scale", "0.5"))
    assert "--features aliked is a network and needs --feature-model, an" in one_error(*command(*line, "--features", "aliked"))
    assert "--matcher-model does not go with --features sift" in one_error(*command(*line, "--matcher-model", "my net.onnx"))
    learned = ("--features", "aliked", "--feature-model", "my net.onnx")
    assert "--feature-model 'my net.onnx' is no file" in one_error(*command(*line, *learned))
    # A file that is called like an option stays what it is.
    (tmp_path / "scale=2").write_text("a file")
    line = one_error(*command("stitch", *photos, "-o", "a.png", "--photometry", "scale=2"))
    assert "error: scale=2: exists already" in line
    assert "(--overwrite)" in line


def test_failures_are_told_in_json_too(command, bad_folder, tmp_path, monkeypatch):
    monkeypatch.chdir(bad_folder)
    for arguments, expected, left_out in (
        (["stitch", "view-1.png", "view-2.png", "--colour"], 2, []),
        (["stitch", "view-1.png", "text.jpg", "-o", tmp_path / "a.png"], 4, ["text.jpg", "view-1.png"]),
        (["info", "text.jpg", "text2.jpg"], 1, ["text.jpg", "text2.jpg"]),
        (["correct", "text.jpg", "-o", tmp_path / "new", "--exposure", "1"], 1, ["text.jpg"]),
        (["stitch", "view-1.png", "view-2.png", "text.jpg", "-o", tmp_path / "a.png", "--max-memory", "1"], 5, ["text.jpg"]),
    ):
        plain, out, err = command(*arguments)
        assert plain == expected
        line = one_error(plain, out, err)
        code, out, err = command(*arguments, "--json")
        told = json.loads(out)
        assert code == expected
        assert (told["schema"], told["command"]) == (1, arguments[0])
        assert line in err
        assert line == f"compositor: error: {told['error']}"
        assert [entry["name"] for entry in told["left_out"]] == left_out
        assert all(entry["reason"] for entry in told["left_out"])
    assert not list(tmp_path.iterdir())


def test_a_folder_does_not_give_what_was_made_of_it(command, photos, tmp_path, monkeypatch):
    """Run again in the photos' own folder, a command neither takes its output for a photo nor an earlier panorama."""
    for path in photos:
        shutil.copy(path, tmp_path)
    monkeypatch.chdir(tmp_path)
    used = [os.path.basename(path) for path in photos]
    again = ("stitch", ".", "-o", "first.png", "--owner", "owner.png")
    assert command(*again)[0] == 0
    code, out, err = command(*again, "--overwrite", "--dry-run", "--json")
    assert code == 0
    assert (json.loads(out)["used"], json.loads(out)["left_out"]) == (used, [])
    assert len(err) == 2
    assert all("is an output of this command" in line for line in err)
    os.remove("owner.png")
    for arguments in (["stitch", ".", "-o", "second.png", "--dry-run"], ["info", "."]):
        code, out, err = command(*arguments, "--json")
        told = json.loads(out)
        assert code == 3
        assert (told["used"] if "used" in told else [photo["name"] for photo in told["photos"]]) == used
        assert [entry["name"] for entry in told["left_out"]] == ["first.png"]
        assert sum("first.png: is a picture that compositor composed" in line for line in err) == 1
    # Whoever names it has it.
    assert [photo["name"] for photo in json.loads(command("info", "first.png", "--json")[1])["photos"]] == ["first.png"]
    for name in used:
        os.remove(name)
    code, out, err = command("info", ".")
    assert code == 2
    assert "has no photos" in one_error(code, out, err)


def test_compose_leaves_out_photos_that_are_not_registered(command, photos, bad_folder, tmp_path):
    command("register", *photos, "-o", tmp_path / "photos.json")
    code, out, _ = command("compose", tmp_path / "photos.json", *photos, bad_folder / "stranger.png", "-o", tmp_path / "a.png", "--json")
    assert code == 3
    assert [entry["name"] for entry in json.loads(out)["left_out"]] == ["stranger.png"]


def test_a_dry_run_leaves_out_what_the_real_run_does(command, photos, bad_folder, tmp_path):
    saved = tmp_path / "photos.json"
    assert command("register", *photos, bad_folder / "stranger.png", "-o", saved)[0] == 3
    for extra, expected in (([], 0), ([bad_folder / "stranger.png", bad_folder / "text.jpg"], 3)):
        code, out, err = command("compose", saved, *photos, *extra, "--dry-run", "--json")
        real, made, warned = command("compose", saved, *photos, *extra, "-o", tmp_path / f"{expected}.png", "--json", "-q")
        assert code == real == expected
        assert json.loads(out)["left_out"] == json.loads(made)["left_out"]
        assert err == warned


def test_a_dry_run_says_that_memory_is_short(command, photos):
    code, out, err = command("stitch", *photos, "--dry-run", "--max-memory", "1")
    assert code == 5
    assert "1 MB are allowed" in one_error(code, out, err)


def test_a_dry_run_says_that_a_picture_is_too_large_for_its_format(command, photos, tmp_path, monkeypatch):
    monkeypatch.setitem(LONGEST_SIDE, "JPEG", 500)
    code, out, err = command("stitch", *photos, "-o", tmp_path / "a.jpg", "--dry-run")
    assert code == 2
    assert "too large for JPEG" in one_error(code, out, err)
    assert command("stitch", *photos, "-o", tmp_path / "a.tif", "--dry-run")[0] == 0


def test_a_picture_too_large_for_its_format_is_refused_before_it_is_drawn(command, photos, tmp_path, monkeypatch):
    def draw(*_, **__):
        raise AssertionError("it was drawn")

    monkeypatch.setitem(LONGEST_SIDE, "JPEG", 500)
    monkeypatch.setattr(importlib.import_module("compositor.compose.composition"), "make_plan", draw)
    registration = tmp_path / "photos.json"
    assert command("register", *photos, "-o", registration)[0] == 0
    for words in (["stitch"], ["compose", registration]):
        code, out, err = command(*words, *photos, "-o", tmp_path / "a.jpg")
        assert code == 2
        assert "too large for JPEG" in one_error(code, out, err)
        assert "write a .tif" in one_error(code, out, err)
    monkeypatch.setitem(LONGEST_SIDE, "PNG", 500)
    code, out, err = command("compose", registration, *photos, "-o", tmp_path / "a.tif", "--owner", tmp_path / "owner.png")
    assert "owner.png" in one_error(code, out, err)
    assert os.listdir(tmp_path) == ["photos.json"]


def test_provenance_is_written_beside_the_picture(command, photos, tmp_path):
    owner, masks = tmp_path / "owner.png", tmp_path / "masks"
    line = ("stitch", *photos, "-o", tmp_path / "a.tif", "--owner", owner, "--photo-masks", masks)
    code, out, _ = command(*line, "--json")
    told = json.loads(out)
    assert code == 0
    assert (told["owner"], told["photo_masks"]) == (str(owner), str(masks))
    numbers = open_photo(owner).full().pixels[..., 0]
    assert numbers.shape == tuple(reversed(told["size"]))
    assert set(np.unique(numbers)) - {0} == {1, 2, 3}
    assert sorted(os.listdir(masks)) == [f"{k + 1:03}_{os.path.splitext(name)[0]}.png" for k, name in enumerate(told["used"])]
    for again in (("--overwrite",), ()):
        code, out, err = command(*line, *again)
        assert code == (0 if again else 2)
    assert "exists already" in one_error(code, out, err)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--owner", "owner.jpg"], "does not keep every value"),
        (["--owner", "view-1.png"], "an input"),
        (["--owner", "view-2.png"], "exists already"),
        (["--owner", "panorama.png"], "another output"),
        (["--photo-masks", "."], "folder of an input"),
        (["--photo-masks", "view-1.png"], "an input"),
        (["--photo-masks", "text.jpg"], "not a folder"),
        (["--photo-masks", "nowhere/masks"], "there is no folder"),
    ],
)
def test_provenance_is_checked_before_any_work(command, bad_folder, arguments, words, monkeypatch):
    monkeypatch.chdir(bad_folder)
    before = sorted(os.listdir())
    for more in ([], ["--dry-run"]):
        code, out, err = command("stitch", "view-1.png", "missing-1.jpg", "-o", "panorama.png", *arguments, *more)
        assert code == 2
        assert words in one_error(code, out, err)
    assert sorted(os.listdir()) == before


def test_a_registration_that_cannot_be_saved_leaves_no_picture(command, photos, tmp_path, monkeypatch):
    def fail(*_, **__):
        raise WriteError("the disk is full")

    monkeypatch.setattr("compositor.registration.Registration.save", fail)
    code, out, err = command("stitch", *photos, "-o", tmp_path / "a.png", "--registration", tmp_path / "a.json")
    assert one_error(code, out, err).endswith("the disk is full")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("content", ["", "{}", "[" * 200_000, '{"format": "compositor registration", "version": 99}'])
def test_broken_registrations_are_refused(command, photos, tmp_path, content):
    (tmp_path / "photos.json").write_text(content)
    code, out, err = command("compose", tmp_path / "photos.json", *photos, "-o", tmp_path / "a.png")
    assert code == 1
    assert "photos.json" in one_error(code, out, err)


def test_threads_do_not_change_the_bytes(photos, tmp_path):
    """In processes of their own, because libraries settle their number of threads when they are loaded."""
    for threads in (1, 2):
        made = process(
            "stitch", *photos, "-o", tmp_path / f"{threads}.png", "--registration", tmp_path / f"{threads}.json", "--threads", threads
        )
        assert made.returncode == 0, made.stderr
    assert (tmp_path / "1.json").read_bytes() == (tmp_path / "2.json").read_bytes()
    assert (tmp_path / "1.png").read_bytes() == (tmp_path / "2.png").read_bytes()


def test_folders_patterns_and_lists_name_photos_in_natural_order(command, photos, tmp_path, monkeypatch):
    for number, path in zip((10, 9, 8), photos, strict=True):
        shutil.copy(path, tmp_path / f"{number}.png")
    (tmp_path / "notes.txt").write_text("not a photo")
    (tmp_path / "list").write_text(f"{tmp_path / '8.png'}\n\n{tmp_path / '10.png'}\n")
    for arguments, expected in (([tmp_path], "8 9 10"), ([tmp_path / "*.png"], "8 9 10"), (["--from-file", tmp_path / "list"], "8 10")):
        code, out, _ = command("info", *arguments, "--json")
        assert code == 0
        assert [photo["name"] for photo in json.loads(out)["photos"]] == [f"{number}.png" for number in expected.split()]


def test_lines_above_progress_bars_are_as_they_are_elsewhere():
    shown, lines = io.StringIO(), LogLines()
    record = logging.LogRecord("compositor", logging.WARNING, "", 0, "%s: out", (":camera: [red] " + "long " * 30,), None)
    with LogLines.above(rich.console.Console(file=shown, width=40)):
        lines.emit(record)
    assert LogLines.bars is None
    assert shown.getvalue() == f"compositor: warning: :camera: [red] {'long ' * 30}".rstrip() + " : out\n"


def test_a_folder_that_has_only_folders_tells_where_its_pictures_are(command, photos, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "trip" / "sea").mkdir(parents=True)
    (tmp_path / "trip" / ".thrown").mkdir()
    shutil.copy(photos[0], tmp_path / "trip" / ".thrown" / "a.png")
    _, _, err = command("info", "trip")
    assert "there are pictures" not in err[-1]
    for number, (name, told) in enumerate((("sea", "sea, give such"), ("land", "land and other folders, give such"))):
        (tmp_path / "trip" / name).mkdir(exist_ok=True)
        shutil.copy(photos[number], tmp_path / "trip" / name / "a.png")
        code, _, (line,) = command("info", "trip")
        assert code == 2
        assert f"there are pictures in {os.path.join('trip', told)} folders" in line
        assert command("info", os.path.join("trip", name))[0] == 0


def test_a_single_photo_is_told_once_that_it_is_alone(command, photos, tmp_path):
    for name in ("stitch", "register"):
        code, _, err = command(name, photos[0], "-o", tmp_path / ("alone.png" if name == "stitch" else "alone.json"))
        assert code == 4
        assert len(err) == 1
        assert f"{os.path.basename(photos[0])} is the only photo that could be used" in err[0]


def test_info_tells_what_files_say(command, photos, bad_folder):
    code, out, err = command("info", photos[0], bad_folder / "text.jpg")
    assert code == 3
    assert "view-1.png" in out
    assert "480 x 360 px" in out
    assert any("text.jpg" in line for line in err)


def test_names_with_line_breaks_stay_on_one_line(command, photos, tmp_path):
    strange = tmp_path / "two\nlines.jpg"
    strange.write_text("not a picture")
    _, _, err = command("info", photos[0], strange)
    assert len([line for line in err if line.startswith("compositor: warning: ")]) == len(err) == 1


def test_traceback_only_with_debug(command, bad_folder):
    quiet = command("info", bad_folder / "text.jpg")[2]
    assert not any("Traceback" in line for line in quiet)
    assert any("Traceback" in line for line in command("info", bad_folder / "text.jpg", "--debug")[2])


def opencv_out_of_memory():
    """What OpenCV raises when an array is too large to be had."""
    import cv2

    error = cv2.error("OpenCV: out of memory")
    error.code = -4
    return error


@pytest.mark.parametrize(
    ("raised", "code", "said"), [(MemoryError(), 5, "memory"), (opencv_out_of_memory(), 5, "memory"), (RuntimeError("odd"), 1, "odd")]
)
def test_whatever_happens_ends_in_one_line(command, photos, tmp_path, monkeypatch, raised, code, said):
    def fail(*_, **__):
        raise raised

    monkeypatch.setattr("compositor.panorama.Panorama.save", fail)
    found, out, err = command("stitch", *photos, "-o", tmp_path / "panorama.png")
    assert found == code
    assert said in one_error(found, out, err)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_while_writing_leave_nothing_behind(photos, tmp_path, number):
    """The signal comes when the picture is written but has not got its name yet."""
    code = f"""
        import os, sys
        os.fsync = lambda descriptor: os.kill(os.getpid(), {int(number)})
        from compositor.cli import main
        main()
    """
    line = [sys.executable, "-c", textwrap.dedent(code), "stitch", *photos, "-o", str(tmp_path / "panorama.png")]
    ended = subprocess.run(line, capture_output=True, text=True, check=False)
    assert ended.returncode == 128 + number
    assert one_error(ended.returncode, ended.stdout, ended.stderr.splitlines())
    assert os.listdir(tmp_path) == []


def test_a_full_disk_keeps_what_was_there(photos, tmp_path):
    resource = pytest.importorskip("resource")
    output = tmp_path / "panorama.tif"
    output.write_text("old")

    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))

    ended = process("stitch", *photos, "-o", output, "--overwrite", preexec_fn=limit)
    assert ended.returncode == 1
    one_error(ended.returncode, ended.stdout, ended.stderr.splitlines())
    assert output.read_text() == "old"
    assert os.listdir(tmp_path) == ["panorama.tif"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
def test_a_full_standard_output_is_told_in_one_line(photos):
    line = [sys.executable, "-m", "compositor", "info", *photos]
    with open("/dev/full", "w") as full:
        ended = subprocess.run(line, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert ended.returncode == 1
    assert "standard output could not be written (No space left on device)" in one_error(ended.returncode, "", ended.stderr.splitlines())


def test_a_closed_pipe_ends_without_a_word(photos):
    reader, writer = os.pipe()
    os.close(reader)
    ended = subprocess.run(
        [sys.executable, "-m", "compositor", "info", *photos], stdout=writer, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(writer)
    assert (ended.returncode, ended.stderr) == (1, "")


def test_a_system_that_does_not_tell_its_memory_is_no_obstacle(command, photos, tmp_path, monkeypatch):
    """As Windows, which has no module ``resource``."""
    monkeypatch.setitem(sys.modules, "resource", None)
    code, out, _ = command("register", *photos, "-o", tmp_path / "photos.json", "--json")
    assert code == 0
    assert json.loads(out)["peak_memory_mb"] is None


def test_demo_measures_its_own_error(command, tmp_path):
    code, out, _ = command("demo", "-o", tmp_path / "demo.jpg", "--json")
    result = json.loads(out)
    assert code == 0
    assert len(result["used"]) == 6
    # Views of 480 px have 0.07 degrees per pixel; a tenth of a pixel is far more than the estimate is off.
    assert result["rotation_error_degrees"] < 0.02
    assert result["focal_error_percent"] < 0.2
    assert open_photo(tmp_path / "demo.jpg").size == tuple(result["size"])
