"""A second look at the seams of a panorama."""

from __future__ import annotations

import importlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import compositor
from compositor.cli.entry import run
from compositor.compose.mend import _edges, mend_seams
from compositor.images import open_photo, open_photos
from compositor.spool import Spool

HARD = {"blend": "none", "exposure": "none", "seams": "voronoi"}
"""Leaves every seam as visible as the photos' exposures make it."""


@pytest.fixture(scope="module")
def registration(photos):
    return compositor.register(photos)


def cut_hard(layers):
    """The composite as it was."""
    return np.where(layers.owner[..., None], layers.new, layers.reference * layers.reference_valid[..., None])


def step(panorama):
    """By how much a photo is brighter than the one before it along their seam, in levels; what the scene does there evens out."""
    owner, gray = panorama.owner, panorama.pixels.mean(axis=2)
    rows, columns = np.nonzero((owner[:, 1:] != owner[:, :-1]) & (owner[:, 1:] >= 0) & (owner[:, :-1] >= 0))
    higher = np.sign(owner[rows, columns + 1] - owner[rows, columns])
    return abs(np.mean([higher * (gray[rows, columns + n] - gray[rows, columns + 1 - n]) for n in (1, 2, 3)]))


def test_a_refiner_that_changes_nothing_leaves_every_bit(photos, registration):
    before = compositor.compose(registration, photos, **HARD)
    after = compositor.compose(registration, photos, **HARD, refine=cut_hard)
    assert (before.owner == after.owner).all()
    assert (before.pixels == after.pixels).all()


def test_closing_the_seams_takes_their_steps_away(photos, registration):
    before = compositor.compose(registration, photos, **HARD)
    after = compositor.compose(registration, photos, **HARD, refine=compositor.close_seam)
    assert step(after) < 0.6 * step(before)  # what the scene does there stays: a well matched panorama has a tenth
    assert (after.pixels[after.owner < 0] == 0).all()


def test_what_makes_a_seam_show_more_is_not_taken(photos, registration):
    def worse(layers):
        return np.clip(cut_hard(layers) + 0.2 * layers.owner[..., None], 0, 1).astype(np.float32)

    before = compositor.compose(registration, photos)
    assert (compositor.compose(registration, photos, refine=worse).pixels == before.pixels).all()


def test_a_panorama_on_disk_is_mended_the_same(photos, registration):
    names = "plan", "render", "canvas", "grade"
    plan, render, canvas, _ = (importlib.import_module(f"compositor.compose.{name}") for name in names)
    options = importlib.import_module("compositor.options").ComposeOptions()
    memory = importlib.import_module("compositor.compose.memory")
    surface, (opened, _) = canvas.plan_canvas(registration, options), open_photos(photos)

    def silent(stage, done, total):
        pass

    with ThreadPoolExecutor(1) as pool:
        planned = plan.make_plan(registration, opened, surface, options, pool, silent)
        both = []
        for holding in (memory.Holding(), memory.Holding(on_disk=True)):
            pixels, owner = render.render(planned, registration.cameras, opened, pool, silent, holding=holding)
            assert isinstance(pixels, Spool) == holding.on_disk
            mend_seams(pixels, owner, registration.cameras, opened, surface, planned.photometry, compositor.close_seam, silent)
            both.append(np.asarray(pixels[:, :]))
    assert (both[0] == both[1]).all()


@pytest.mark.parametrize("wraps", [False, True])
@pytest.mark.parametrize("length", [1, 300, 1500, 1537, 5000])
def test_windows_share_every_pixel(length, wraps):
    sums = np.zeros(length)
    for begin, end, hat in _edges(length, wraps):
        assert len(hat) == end - begin
        np.add.at(sums, np.arange(begin, end) % length, hat)
    np.testing.assert_allclose(sums, 1, atol=1e-6)


def test_the_command_line_refines(photos, registration, tmp_path, capfd):
    registration.save(tmp_path / "photos.json")
    options = ["--blend", "none", "--exposure", "none", "--seams", "voronoi", "--refine", "classical"]
    assert run(["compose", str(tmp_path / "photos.json"), *photos, "-o", str(tmp_path / "closed.png"), *options]) == 0
    expected = compositor.compose(registration, photos, **HARD, refine=compositor.close_seam)
    assert (open_photo(tmp_path / "closed.png").full().pixels == expected.pixels).all()
    assert run(["stitch", *photos, "-o", str(tmp_path / "other.png"), "--weights", "w.safetensors"]) == 2
    assert "--refine learned" in capfd.readouterr().err
