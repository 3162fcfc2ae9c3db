"""A result is there whole or not at all, whatever happens while it is written."""

from __future__ import annotations

import contextlib
import os
import stat
import subprocess
import sys
import textwrap

import numpy as np
import pytest

from compositor.errors import OutputError, ReadError, WriteError
from compositor.images import read_bytes_checked, write_atomically, write_image

OLD = b"what was there before"


def write_half_then(error):
    def write(file):
        file.write(b"half")
        file.flush()
        raise error

    return write


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ValueError("bad"), MemoryError(), SystemExit(1)])
@pytest.mark.parametrize("existed", [False, True])
def test_a_failure_while_writing_leaves_what_was_there(tmp_path, error, existed):
    path = tmp_path / "result.png"
    if existed:
        path.write_bytes(OLD)
    with pytest.raises(type(error)):
        write_atomically(path, write_half_then(error), overwrite=True)
    assert os.listdir(tmp_path) == (["result.png"] if existed else [])
    if existed:
        assert path.read_bytes() == OLD


def test_an_error_of_the_system_becomes_one_line(tmp_path):
    with pytest.raises(WriteError) as caught:
        write_atomically(tmp_path / "a.png", write_half_then(OSError(28, "No space left on device")), overwrite=False)
    assert str(caught.value).endswith("a.png: could not be written (No space left on device); free space or choose another folder")
    assert caught.value.path == tmp_path / "a.png"
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("ending", ["jpg", "png", "tif"])
@pytest.mark.parametrize("existed", [False, True])
def test_a_full_disk(tmp_path, ending, existed):
    # A limit on the size of files is what a full disk looks like from inside.
    path = tmp_path / f"result.{ending}"
    if existed:
        path.write_bytes(OLD)
    code = """
        import resource, sys, numpy as np
        from compositor.errors import WriteError
        from compositor.images import write_image
        pixels = np.random.default_rng(0).integers(0, 256, (300, 300, 3), dtype=np.uint8)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
        try:
            write_image(sys.argv[1], pixels, overwrite=True)
        except WriteError as error:
            print(error)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code), path], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"{path}: could not be written (File too large); free space or choose another folder"
    assert os.listdir(tmp_path) == ([path.name] if existed else [])
    if existed:
        assert path.read_bytes() == OLD


@contextlib.contextmanager
def writing(path):
    """A process in the middle of writing a file, which it ends when it reads a line; killed at last, if it has not."""
    code = """
        import sys
        from compositor.images import write_atomically
        def write(file):
            file.write(b"half")
            file.flush()
            print("half", flush=True)
            sys.stdin.readline()
        write_atomically(sys.argv[1], write, overwrite=True)
    """
    line = [sys.executable, "-c", textwrap.dedent(code), path]
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"half\n"
        yield process
        process.kill()


@pytest.mark.skipif(sys.platform == "win32", reason="nobody can tell there whose a part is")
def test_a_killed_process_leaves_the_old_file_and_a_part_that_is_swept_with_the_next_one(tmp_path):
    """Not while its process lives, nor what belongs to another file or to nobody known."""
    path, other, strange = tmp_path / "result.bin", tmp_path / "other.bin", tmp_path / ".0123abcd.part"
    strange.write_bytes(b"whose?")
    other.write_bytes(OLD)

    def parts():
        return {file for file in tmp_path.iterdir() if file.suffix == ".part"} - {strange}

    with writing(other):
        pass
    assert other.read_bytes() == OLD
    (others,) = parts()
    with writing(path):
        (left,) = parts() - {others}
    with writing(path) as process:  # sweeps, too
        assert left not in parts()
        (living,) = parts() - {others}
        write_atomically(path, lambda file: file.write(b"new"), overwrite=True)
        assert parts() == {others, living}
        process.communicate(b"\n")
    assert path.read_bytes() == b"half"
    assert parts() == {others}
    assert strange.exists()


def test_what_is_there_is_replaced_only_when_asked(tmp_path):
    path = tmp_path / "a.bin"
    write_atomically(path, lambda file: file.write(OLD), overwrite=False)
    called = []
    with pytest.raises(OutputError, match="exists already"):
        write_atomically(path, called.append, overwrite=False)
    assert not called
    assert path.read_bytes() == OLD
    write_atomically(path, lambda file: file.write(b"new"), overwrite=True)
    assert path.read_bytes() == b"new"


def test_what_appeared_meanwhile_is_not_replaced(tmp_path):
    path = tmp_path / "a.bin"
    with pytest.raises(OutputError, match="exists already"):
        write_atomically(path, lambda file: path.write_bytes(OLD), overwrite=False)
    assert path.read_bytes() == OLD
    assert os.listdir(tmp_path) == ["a.bin"]


def test_a_link_stays_a_link_and_rights_stay_rights(tmp_path):
    real, link = tmp_path / "real.bin", tmp_path / "link.bin"
    real.write_bytes(OLD)
    real.chmod(0o640)
    link.symlink_to(real)
    write_atomically(link, lambda file: file.write(b"new"), overwrite=True)
    assert link.is_symlink()
    assert real.read_bytes() == b"new"
    assert stat.S_IMODE(real.stat().st_mode) == 0o640


def test_places_where_no_file_can_be(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for name, words in (
        ("none/a.bin", "there is no folder"),
        ("pipe", "is not a regular file"),
        (".", "is a folder"),
        ("nul\0", "cannot be written"),
    ):
        with pytest.raises(OutputError, match=words):
            write_atomically(os.path.join(tmp_path, name), lambda file: None, overwrite=True)
    for name in ("x" * 256, "loop"):
        with pytest.raises((OutputError, WriteError)) as caught:
            write_atomically(tmp_path / name, lambda file: file.write(b"new"), overwrite=True)
        assert "\n" not in str(caught.value)
    assert sorted(os.listdir(tmp_path)) == ["loop", "pipe"]


@pytest.mark.parametrize("name", [b"x" * 251 + b".png", "söndag 日本.png".encode(), b"s\xf6ndag.png", b"two\nlines.png", b"-o.png"])
def test_outputs_of_every_name(tmp_path, name):
    write_image(os.fsdecode(os.path.join(os.fsencode(tmp_path), name)), np.zeros((20, 20, 3), np.uint8))
    assert os.listdir(os.fsencode(tmp_path)) == [name]


def test_a_relative_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_atomically("a.bin", lambda file: file.write(b"new"), overwrite=False)
    assert read_bytes_checked("a.bin") == b"new"


def test_reading_bytes_refuses_what_is_no_file(tmp_path):
    (tmp_path / "empty").write_bytes(b"")
    for name, words in (("empty", "is empty"), (".", "is a folder"), ("none", "no such file")):
        with pytest.raises(ReadError, match=words):
            read_bytes_checked(tmp_path / name)
