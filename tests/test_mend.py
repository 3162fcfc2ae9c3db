"""A second look at the seams of a panorama."""

from __future__ import annotations

import dataclasses
import importlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from test_compose import full_turn, photo_of, row, shoot

import compositor
from compositor.cli.entry import run
from compositor.compose.mend import mend_seams
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


def test_a_stain_beside_a_closed_seam_is_not_taken(photos, registration):
    def staining(layers):
        stain = layers.owner & (layers.inside > 12) & (layers.inside < 30)
        stain[: len(stain) // 2] = False
        return np.clip(compositor.close_seam(layers) + 0.08 * stain[..., None], 0, 1).astype(np.float32)

    before, closed, stained = (
        compositor.compose(registration, photos, **HARD, refine=refine) for refine in (None, compositor.close_seam, staining)
    )
    # Twenty levels were added; where they would show all is as it was, and seams are closed where nothing was added.
    assert np.mean(stained.pixels > np.maximum(before.pixels, closed.pixels).astype(int) + 12) < 1e-4
    assert step(stained) < 0.85 * step(before)


def test_a_blurred_rim_is_made_sharp_again(photos, registration):
    import cv2

    def blurring(layers):
        made = compositor.close_seam(layers)
        rim = (layers.owner & (layers.inside > 3) & (layers.inside < 10))[..., None]
        return np.where(rim, cv2.GaussianBlur(made, (0, 0), 0.8), made)

    def detail(pixels):
        return np.abs(pixels - cv2.blur(pixels, (3, 3)).astype(float)).mean(axis=2)

    before, closed, blurred = (
        compositor.compose(registration, photos, **HARD, refine=refine) for refine in (None, compositor.close_seam, blurring)
    )
    changed = (closed.pixels != blurred.pixels).any(axis=2) & (before.pixels != blurred.pixels).any(axis=2)
    assert changed.any()
    # Without anything made stronger less is left.
    assert detail(blurred.pixels)[changed].mean() > 0.85 * detail(closed.pixels)[changed].mean()
    assert step(blurred) < 0.6 * step(before)


def test_only_what_shows_of_a_seam_is_looked_at():
    """Two gray photos; one has a brighter part, which a hard cut shows."""
    registration = row(2, size=(300, 400), focal=375.0)

    def seen(brighter):
        photos = [np.full((*eye.size[::-1], 3), 120, np.uint8) for eye in registration.cameras]
        photos[1][: round(brighter * len(photos[1]))] += 6
        photos = [photo_of(pixels, eye.name) for pixels, eye in zip(photos, registration.cameras, strict=True)]
        looked_at = []

        def watch(layers):
            looked_at.append(layers.owner.shape[0])
            return compositor.close_seam(layers)

        refined = compositor.compose(registration, photos, **HARD, refine=watch)
        before = compositor.compose(registration, photos, **HARD)
        return looked_at, np.flatnonzero((refined.pixels != before.pixels).any(axis=(1, 2))), len(refined.pixels)

    assert seen(0.0)[0] == []
    (height,), changed, whole = seen(0.2)
    assert len(changed) > 0
    assert changed[-1] < 0.5 * whole  # a fifth of the photo, and 64 px around it
    (high,), changed, whole = seen(1.0)
    assert height < 0.8 * high
    assert len(changed) > 0.8 * whole


def test_refining_decodes_no_photo_twice(photos, registration):
    read = []

    def counted(path):
        photo = open_photo(path)

        def decode(shrink):
            read.append(path)
            return photo.decode(shrink)

        return dataclasses.replace(photo, decode=decode)

    counts = []
    for refine in (None, compositor.close_seam):
        compositor.compose(registration, [counted(path) for path in photos], **HARD, refine=refine)
        counts.append(len(read))
        read.clear()
    assert counts[0] == counts[1] > 0


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


def test_refining_does_not_open_the_wrap():
    """On a narrow full turn too, where the last column and the first are one photo's."""
    registration = full_turn(6)
    shot = [shoot(eye, gain=gain) for eye, gain in zip(registration.cameras, (1.0, 0.8, 1.1, 0.9, 1.05, 0.85), strict=True)]
    options = {"projection": "cylindrical", "blend": "none", "exposure": "none"}
    before, after = (compositor.compose(registration, shot, refine=refine, **options) for refine in (None, compositor.close_seam))
    assert before.canvas.wraps
    assert before.canvas.size[0] < 1500
    same = (before.owner[:, 0] == before.owner[:, -1]) & (before.owner[:, 0] >= 0)
    steps = [np.abs(p.pixels[same, 0].astype(int) - p.pixels[same, -1]).mean() for p in (before, after)]
    assert (after.pixels != before.pixels).any()
    assert steps[1] < steps[0] + 0.5


def test_floats_beyond_white_stay(photos, registration):
    bright = [np.asarray(open_photo(path).full().pixels, np.float32) / 255 * 1.5 for path in photos]
    before, after = (compositor.compose(registration, bright, **HARD, refine=refine) for refine in (None, compositor.close_seam))
    beyond = (before.pixels > 1).any(axis=2)
    assert beyond.mean() > 0.01
    assert (before.pixels > 1).sum() == (after.pixels > 1).sum()


@pytest.mark.parametrize(
    ("refine", "said"),
    [("classical", "give a callable"), (lambda layers: None, "returned NoneType"), (lambda layers: layers.new[:5], "of shape")],
)
def test_what_cannot_refine_is_told(photos, registration, refine, said):
    with pytest.raises(compositor.OptionError, match=said):
        compositor.compose(registration, photos, **HARD, refine=refine)


def test_a_refiner_that_fails_to_give_numbers_changes_nothing(photos, registration):
    def fails(layers):
        return np.full_like(layers.new, np.nan)

    before, after = (compositor.compose(registration, photos, **HARD, refine=refine) for refine in (None, fails))
    assert (before.pixels == after.pixels).all()


def test_blends_that_it_would_undo_are_refused(photos, registration):
    with pytest.raises(compositor.OptionError, match="poisson"):
        compositor.compose(registration, photos, blend="poisson", refine=compositor.close_seam)


def test_memory_that_does_not_suffice_for_refining_is_told_before(photos, registration):
    memory = importlib.import_module("compositor.compose.memory")
    canvas = importlib.import_module("compositor.compose").plan_canvas(registration, compositor.options.ComposeOptions())
    least = memory.Holding(on_disk=True, photos=memory.FEWEST)
    plain, refined = (
        memory.estimate_memory(
            registration,
            canvas,
            compositor.options.ComposeOptions(),
            np.dtype(np.uint8),
            demands=memory.Demands(refined=more),
            holding=least,
        )
        for more in (False, True)
    )
    allowed = (plain + refined) / 2 / 1e6
    compositor.compose(registration, photos, max_memory=allowed)
    with pytest.raises(compositor.LimitError, match="no refine="):
        compositor.compose(registration, photos, max_memory=allowed, refine=compositor.close_seam)


def test_the_command_line_refines(photos, registration, tmp_path, capfd):
    registration.save(tmp_path / "photos.json")
    options = ["--blend", "none", "--exposure", "none", "--seams", "voronoi", "--refine", "classical"]
    assert run(["compose", str(tmp_path / "photos.json"), *photos, "-o", str(tmp_path / "closed.png"), *options]) == 0
    expected = compositor.compose(registration, photos, **HARD, refine=compositor.close_seam)
    assert (open_photo(tmp_path / "closed.png").full().pixels == expected.pixels).all()
    assert run(["stitch", *photos, "-o", str(tmp_path / "other.png"), "--weights", "w.safetensors"]) == 2
    assert "--refine learned" in capfd.readouterr().err


def test_the_numbers_of_a_network_need_one(photos, capsys):
    assert run(["stitch", *photos, "--precision", "bfloat16", "--dry-run"]) == 2
    assert "--precision bfloat16 is that of a network; give --refine learned too" in capsys.readouterr().err
