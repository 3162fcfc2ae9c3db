"""The floors of the house: imports point down, and some libraries have one home."""

from __future__ import annotations

import ast
import functools
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import compositor

PACKAGE = Path(compositor.__file__).parent
FLOORS = [
    {"errors", "options", "kernels"},
    {"types", "encoding", "threads", "memory", "heap", "spool"},
    {"images", "geometry", "clock"},
    {"registration", "photometry", "panorama"},
    {"register", "compose", "paste", "mosaic", "style", "assess"},
    {"ahead"},
    {"stitch", "datasets"},
    {"learned"},
    {"cli"},
    {"__main__"},
]
FLOOR_OF = {name: floor for floor, names in enumerate(FLOORS) for name in names}
# Whether a search follows the links to kernels and cli depends on the version of Python.
FILES = sorted({*PACKAGE.rglob("*.py"), *(PACKAGE / "kernels").glob("*.py"), *(PACKAGE / "cli").glob("*.py")})
SOURCES = {path.relative_to(PACKAGE).as_posix(): ast.parse(path.read_bytes()) for path in FILES}


def imports(tree: ast.AST) -> Iterator[str]:
    """Dotted names of everything imported anywhere in a file, inside functions too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide which floor they reach"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def unit(file: str) -> str:
    """The module or folder of the house that a file belongs to."""
    return file.split("/")[0].removesuffix(".py")


def calls(tree: ast.AST) -> Iterator[str]:
    """Dotted names of everything that is called or referred to by attribute."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            yield ast.unparse(node)


@pytest.mark.parametrize("file", SOURCES)
def test_imports_point_down(file):
    """A unit imports itself and lower floors only: never upwards, never a neighbour (lowest floors may be neighbours)."""
    if file == "__init__.py":  # gives out names of every floor, on first use
        return
    home = unit(file)
    for name in imports(SOURCES[file]):
        parts = name.split(".")
        if parts[0] != "compositor" or len(parts) < 2 or parts[1] not in FLOOR_OF:
            continue
        lower = FLOOR_OF[parts[1]] < FLOOR_OF[home] or (FLOOR_OF[home] in (0, 3) and FLOOR_OF[parts[1]] == FLOOR_OF[home])
        assert parts[1] == home or lower, f"{file} imports {name}"


def test_every_file_has_a_floor():
    assert {unit(file) for file in SOURCES} - {"__init__"} <= set(FLOOR_OF)


@pytest.mark.parametrize("file", [file for file in SOURCES if file.startswith("kernels/") and file != "kernels/__init__.py"])
def test_kernels_stand_alone(file):
    """Numba's cache does not see a change in another file, so no kernel file imports one."""
    assert {name.split(".")[0] for name in imports(SOURCES[file])} <= {"__future__", "math", "typing", "numpy", "numba", "llvmlite"}


def test_a_kernel_that_was_compiled_is_loaded_without_what_compiling_takes(tmp_path):
    """Numba's implementations of NumPy take half a second to import, which every command would wait for."""
    script = """
import sys, numpy as np
from compositor.kernels.pyramid import shrink
half = np.empty((4, 4, 1), np.float32)
shrink(np.ones((8, 8, 1), np.float32), half)
assert (half == 1).all()
loaded = [name in sys.modules for name in ("numba.np.arraymath", "numba.np.arrayobj", "numba.cpython.randomimpl")]
print(len(shrink.stats.cache_hits), *loaded)
"""
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    run = functools.partial(subprocess.run, [sys.executable, "-c", script], env=environment, check=True, capture_output=True, text=True)
    told = [run().stdout for _ in range(2)]
    assert told == ["0 True True True\n", "1 False False False\n"]
    # What is kept has nothing of the code that loads it.
    kept = list(tmp_path.rglob("*.nbc"))
    assert kept
    assert not any(b"_load_quickly" in file.read_bytes() for file in kept)


OPENERS = {
    "cv2": {"imread", "imwrite", "imdecode", "imencode", "imreadmulti", "VideoCapture"},
    "PIL": {"Image.open"},
    "Image": {"open"},
    "skimage": {"io.imread", "io.imsave"},
}


@pytest.mark.parametrize("file", [file for file in SOURCES if unit(file) != "images"])
def test_only_images_opens_images(file):
    tree = SOURCES[file]
    assert not {name.split(".")[0] for name in imports(tree)} & {"tifffile", "simplejpeg", "imagecodecs", "imageio", "PIL"}
    opened = [name for name in calls(tree) if name.partition(".")[2] in OPENERS.get(name.partition(".")[0], ())]
    assert not opened


@pytest.mark.parametrize("file", [file for file in SOURCES if unit(file) != "learned"])
def test_torch_lives_in_learned(file):
    assert not {name.split(".")[0] for name in imports(SOURCES[file])} & {"torch", "safetensors", "kornia"}


@pytest.mark.parametrize("file", [file for file in SOURCES if unit(file) == "learned"])
def test_learned_does_without_scipy(file):
    """Commands start without SciPy's linear algebra (``cli.entry.start_lean``), which most of SciPy cannot be imported without."""
    assert "scipy" not in {name.split(".")[0] for name in imports(SOURCES[file])}


HEAVY = {"cv2", "numba", "torch", "scipy", "numpy", "skimage", "rich", "PIL"}


@pytest.mark.parametrize("module", ["compositor", "compositor.cli"])
def test_importing_loads_nothing_heavy(module):
    code = f"import sys, {module}; print(*({HEAVY} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == ""


@pytest.mark.parametrize("first", ["compositor.stitch", "compositor.register", "compositor.compose", "compositor"])
def test_functions_are_not_hidden_by_modules_of_their_name(first):
    """``compositor.register`` is a function and a folder; whichever is imported first, the attribute is the function."""
    code = f"import {first}, compositor; assert all(callable(getattr(compositor, n)) for n in ('stitch', 'register', 'compose', 'stitch'))"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_public_names_exist():
    assert all(hasattr(compositor, name) for name in compositor.__all__)
    assert set(compositor.__all__) == set(dir(compositor))
    with pytest.raises(AttributeError, match="no attribute 'stich'"):
        compositor.stich  # noqa: B018


FIRST_USE = """
import logging, numpy as np
logging.basicConfig(level=logging.INFO, format="%(message)s")
from compositor.kernels.blend import add_means
from compositor.kernels.rectangle import largest_rectangle
largest_rectangle(np.zeros((3, 4), np.int8), 0, np.zeros(5, np.int32), np.zeros(4, np.int64))
add_means(np.ones((3, 4, 3), np.float32), np.ones((3, 4), np.float32), np.ones((3, 4, 3), np.float32))
"""


def test_compiling_is_told_once_and_only_when_something_is_compiled(tmp_path):
    told = []
    for _ in range(2):
        environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
        done = subprocess.run([sys.executable, "-c", FIRST_USE], env=environment, check=True, capture_output=True, text=True)
        told.append(done.stderr.count("are being compiled"))
    assert told == [1, 0]
