"""What is installed is what the repository says."""

from __future__ import annotations

import importlib.metadata
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import click
import pytest

import compositor
from compositor.cli.entry import commands

ROOT = Path(__file__).parents[1]
PACKAGE = Path(compositor.__file__).parent
in_checkout = pytest.mark.skipif(not (ROOT / "README.md").exists(), reason="tests of the repository, not of the installed package")


def readme_commands() -> list[str]:
    """The fenced one-line commands before the first section."""
    opening = (ROOT / "README.md").read_text().split("\n## ")[0]
    return re.findall(r"^```\n(.+)\n```$", opening, re.M)


@in_checkout
def test_every_folder_is_listed_as_a_package():
    setuptools = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    folders = {path.parent for top in ("compositor", "kernels", "cli") for path in (ROOT / top).rglob("*.py")}
    places = {setuptools["package-dir"].get(package, package.replace(".", "/")) for package in setuptools["packages"]}
    assert {str(folder.relative_to(ROOT)) for folder in folders} - {"compositor/kernels", "compositor/cli"} == places


@in_checkout
@pytest.mark.parametrize("name", ["kernels", "cli"])
def test_links_show_the_folders_beside_the_package(name):
    link = ROOT / "compositor" / name
    assert link.is_symlink()
    assert link.readlink() == Path("..") / name


def test_version_has_one_source():
    assert importlib.metadata.version("compositor") == compositor.__version__


def test_types_are_shipped():
    assert (PACKAGE / "py.typed").exists()


@in_checkout
def test_ci_runs_the_test_command_of_the_readme():
    _, test_command = readme_commands()
    assert test_command in [line.strip() for line in (ROOT / ".ci" / "run").read_text().splitlines()]


@in_checkout
@pytest.mark.parametrize("name", sorted(commands.commands))
def test_readme_shows_every_command(name):
    assert f"compositor {name}" in (ROOT / "README.md").read_text()


@pytest.mark.parametrize("name", sorted(commands.commands))
def test_every_option_says_what_it_does(name):
    command = commands.commands[name]
    assert command.help
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, f"{name} {parameter.name}"


def test_readme_and_help_give_the_same_exit_codes():
    from compositor.cli.entry import EXIT_CODES

    told = dict(re.findall(r"^  (\d+) +(.+)$", EXIT_CODES, re.M))
    assert set(told) == {"0", "1", "2", "3", "4", "5", "130", "143"}
    if (ROOT / "README.md").exists():
        table = dict(re.findall(r"^\| (\d) \| ([^|]+) \|$", (ROOT / "README.md").read_text(), re.M))
        assert table == {code: text for code, text in told.items() if len(code) == 1}


def test_console_script_is_installed():
    (script,) = importlib.metadata.entry_points(group="console_scripts", name="compositor")
    assert script.value == "compositor.cli:main"


def test_module_runs():
    shown = subprocess.run([sys.executable, "-m", "compositor", "--version"], capture_output=True, text=True, check=True).stdout
    assert shown.startswith(f"compositor {compositor.__version__}\n")
    assert "numpy " in shown
