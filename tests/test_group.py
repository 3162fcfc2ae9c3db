"""Parting many photos into sets that overlap: what overlaps comes together, what does not stays alone, and every file has its place."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("torch", reason="the extra «learned» is not installed")
pytest.importorskip("safetensors", reason="the extra «learned» is not installed")

from test_learned import texture

from compositor.cli.entry import run
from compositor.errors import OptionError
from compositor.images import write_image
from compositor.learned import Encoder, cluster, group
from compositor.learned.clustering import k_means
from compositor.learned.grouping import mutual_neighbours

SEEDS, LEFTS = (20, 21, 22), (0, 80, 150)


def windows(seed: int) -> list[np.ndarray]:
    """Three photos in a row of one scene, each brighter than the last."""
    whole = texture(seed, 400)
    return [np.clip(whole[60:320, left : left + 250] * (1 + left / 600), 0, 255).astype(np.uint8) for left in LEFTS]


@pytest.fixture(scope="module")
def encoder():
    return Encoder(device="cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three scenes of three photos, one photo of its own and one file that is none."""
    place = tmp_path_factory.mktemp("holiday")
    for turn in range(len(LEFTS)):  # scenes come by turns
        for seed in SEEDS:
            write_image(place / f"{turn}_{seed}.png", windows(seed)[turn])
    write_image(place / "alone.png", texture(40, 250))
    (place / "broken.jpg").write_bytes(b"no picture")
    return place


def test_scenes_come_apart(folder, tmp_path, capsys):
    """As sets by name, with lists that «stitch» reads; what overlaps nothing and what cannot be read is named."""
    lists = tmp_path / "sets"
    assert run(["group", str(folder), "-o", str(lists), "--device", "cpu", "--json"]) == 3
    told = json.loads(capsys.readouterr().out)
    assert {frozenset(one["photos"]) for one in told["sets"]} == {frozenset(f"{turn}_{seed}.png" for turn in range(3)) for seed in SEEDS}
    assert told["singles"] == ["alone.png"]
    assert [one["name"] for one in told["left_out"]] == ["broken.jpg"]
    for one in told["sets"]:
        assert len(one["joined_by"]) == len(one["photos"]) - 1
        assert all(pair["matches"] >= 8 and pair["likeness"] > 0 for pair in one["joined_by"])
    assert sorted(path.name for path in lists.iterdir()) == ["set_001.txt", "set_002.txt", "set_003.txt"]
    for number, one in enumerate(told["sets"], 1):
        assert (lists / f"set_{number:03d}.txt").read_text().splitlines() == one["files"]
        assert all(Path(path).is_file() for path in one["files"])


def test_lists_of_an_earlier_run_go_away(folder, tmp_path, capsys):
    lists = tmp_path / "sets"
    lists.mkdir()
    (lists / "set_009.txt").write_text("old\n")
    (lists / "notes.txt").write_text("mine\n")
    asked = ["group", str(folder), "-o", str(lists), "--device", "cpu", "--no-verify"]
    assert run(asked) == 2  # something is there
    assert run([*asked, "--overwrite"]) == 3
    capsys.readouterr()
    assert "set_009.txt" not in {path.name for path in lists.iterdir()}
    assert (lists / "notes.txt").read_text() == "mine\n"


def test_looks_alone_join_nothing_that_features_part(encoder):
    """Two photos that differ by nothing but chance of their texture look alike enough, but no feature agrees."""
    generator = np.random.default_rng(0)
    noise = [np.repeat(generator.integers(0, 255, (200, 200, 1)).astype(np.uint8), 3, 2) for _ in range(2)]
    assert group(noise, encoder=encoder, verify=False).sets == ((0, 1),)
    apart = group(noise, encoder=encoder)
    assert apart.sets == ()
    assert apart.singles == (0, 1)
    assert apart.compared == 1


def test_sets_do_not_depend_on_the_order(encoder):
    photos = [window for seed in SEEDS[:2] for window in windows(seed)]
    order = np.random.default_rng(3).permutation(len(photos))
    sets = group([photos[k] for k in order], encoder=encoder).sets
    assert {frozenset(int(order[place]) for place in one) for one in sets} == {frozenset({0, 1, 2}), frozenset({3, 4, 5})}
    assert [one[0] for one in sets] == sorted(one[0] for one in sets)


@pytest.mark.parametrize("verify", [True, False])
def test_equal_photos_are_one_set(encoder, verify):
    """More than have places among the nearest of one."""
    assert group([windows(SEEDS[0])[0]] * 12, encoder=encoder, verify=verify).sets == (tuple(range(12)),)


def test_bursts_of_views_that_overlap_are_one_set(encoder):
    """Frames that differ by noise, more than have places among the nearest of one, of three views in a row; another scene stays apart."""
    generator = np.random.default_rng(0)
    noisy = [
        np.clip(view[:200, :200] + generator.normal(size=(200, 200, 3)) * 2, 0, 255).astype(np.uint8)
        for view in [*windows(SEEDS[0]), texture(40, 200)]
        for _ in range(5)
    ]
    found = group(noisy, encoder=encoder, neighbours=3)
    assert found.sets == (tuple(range(15)), tuple(range(15, 20)))
    assert len(found.joints) == 18


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 40), st.integers(1, 12), st.floats(-1, 1), st.integers(0, 2**32 - 1))
def test_neighbours_are_mutual(photos, count, least, seed):
    """Against the plain definition, on random directions."""
    rows = np.random.default_rng(seed).normal(size=(photos, 6)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    alike = rows @ rows.T
    np.fill_diagonal(alike, -np.inf)
    near = [set(np.argsort(-row)[: min(count, photos - 1)].tolist()) for row in alike]
    expected = {(i, j) for i in range(photos) for j in near[i] if i < j and i in near[j] and alike[i, j] >= least}
    assert {(one.first, one.second) for one in mutual_neighbours(rows, count, least)} == expected


def test_no_pictures_have_no_rows(encoder):
    assert encoder([]).shape == (0, encoder([texture(1, 64)]).shape[1])


def test_nothing_and_one_photo(encoder):
    assert group([], encoder=encoder).sets == ()
    assert group([texture(1, 100)], encoder=encoder).singles == (0,)
    with pytest.raises(OptionError, match="neighbours"):
        group([], encoder=encoder, neighbours=0)


def test_means_are_found_where_rows_crowd():
    """Three crowds far apart come apart whatever the seed, and every row lies nearest to its own mean."""
    generator = np.random.default_rng(1)
    truth = generator.permutation(np.repeat(np.arange(3), 20))
    rows = (np.eye(3, 8)[truth] * 10 + generator.normal(size=(60, 8))).astype(np.float32)
    for seed in range(3):
        labels, means = k_means(rows, 3, seed=seed)
        assert len({*zip(truth.tolist(), labels.tolist(), strict=True)}) == 3
        np.testing.assert_array_equal(np.linalg.norm(rows[:, None] - means[None], axis=2).argmin(1), labels)
        np.testing.assert_allclose(means, [rows[labels == label].mean(0) for label in range(3)], atol=1e-4)


def test_as_many_clusters_as_rows_and_rows_that_are_equal():
    assert sorted(k_means(np.eye(4, dtype=np.float32), 4)[0]) == [0, 1, 2, 3]
    assert k_means(np.ones((5, 3), np.float32), 2)[0].shape == (5,)
    for rows, count in ((np.eye(2, dtype=np.float32), 3), (np.zeros((0, 2), np.float32), 1), (np.full((3, 2), np.nan, np.float32), 2)):
        with pytest.raises(OptionError, match=r"clusters=|finite"):
            k_means(rows, count)


def test_clusters_part_photos_by_look(encoder, tmp_path, capsys):
    """Plain ones, stripes and noise, five of each; the same for the same seed."""
    generator = np.random.default_rng(5)
    for k in range(5):
        plain = np.full((80, 100, 3), 40 * k + 20)
        stripes = np.where((np.arange(100) // (4 + k)) % 2, 220, 30)[None, :, None].repeat(80, 0).repeat(3, 2)
        for kind, pixels in (("plain", plain), ("stripes", stripes), ("noise", generator.integers(0, 255, (80, 100, 3)))):
            write_image(tmp_path / f"{kind}{k}.png", pixels.astype(np.uint8))
    assert run(["group", str(tmp_path), "--clusters", "3", "--device", "cpu", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["clusters"]
    assert {frozenset(name[:-5] for name in one["photos"]) for one in told} == {frozenset({kind}) for kind in ("plain", "stripes", "noise")}
    files = [path for one in told for path in one["files"]]
    again = cluster(files, 3, encoder=encoder).sets
    assert {frozenset(files[k] for k in one) for one in again} == {frozenset(one["files"]) for one in told}


def test_options_that_would_be_ignored_are_refused(encoder):
    with pytest.raises(OptionError, match="neighbours"):
        cluster([texture(1, 64)], 1, encoder=encoder, neighbours=3)
    with pytest.raises(OptionError, match="cluster"):
        group([texture(1, 64)], encoder=encoder, clusters=2)


@pytest.mark.parametrize(
    ("asked", "code", "said"),
    [
        (["group", "{bad}", "-o", "{bad}/sets"], 1, "none of the photos can be read; the warnings say why"),
        (["similar", "{good}", "{bad}"], 1, "none of the other photos can be read; the warnings say why"),
        (["similar", "{good}", "{good}"], 2, "one.png is the only photo that was given"),
        (
            ["group", "{bad}/1.jpg", "{bad}/2.jpg"],
            2,
            "there is no file {bad}/1.jpg, {bad}/2.jpg; 2 of 2 files are missing, at least 1 is needed",
        ),
        (["similar", "{good}", "{bad}/1.jpg"], 2, "there is no file {bad}/1.jpg; correct the name"),
        (["compare", "{bad}", "{bad}"], 1, "0 of 2 pictures in folder {bad} can be read, at least 4 are needed"),
    ],
)
def test_where_nothing_can_be_looked_at_that_is_said(asked, code, said, tmp_path, capsys):
    """As by the other commands: in one line behind the warnings, with their exit codes."""
    places = {"bad": str(tmp_path / "bad"), "good": str(tmp_path / "one.png")}
    (tmp_path / "bad").mkdir()
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / "bad" / name).write_bytes(b"no picture")
    write_image(tmp_path / "one.png", texture(1, 64))
    assert run([word.format(**places) for word in asked] + ["--device", "cpu"]) == code
    *warnings, error = capsys.readouterr().err.splitlines()
    assert said.format(**places) in error
    assert error.startswith("compositor: error: ")
    assert len(warnings) == (2 if code == 1 else 0)
    assert not (tmp_path / "bad" / "sets").exists()


def test_clusters_name_what_cannot_be_read(tmp_path, capsys):
    """All of the photos, as sets that overlap do, and some where too few are left."""
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    asked = ["group", str(tmp_path), "--device", "cpu", "--json", "--clusters"]
    assert run([*asked, "1"]) == 1
    out, err = capsys.readouterr()
    assert [one["name"] for one in json.loads(out)["left_out"]] == ["broken.jpg"]
    assert "none of the photos can be read" in err
    write_image(tmp_path / "one.png", texture(1, 64))
    assert run([*asked, "2"]) == 2
    out, err = capsys.readouterr()
    assert [one["name"] for one in json.loads(out)["left_out"]] == ["broken.jpg"]
    assert "broken.jpg" in err
    assert "ask for 1 to 1" in err


def test_names_that_no_list_holds_are_refused_before_work(tmp_path, capsys, monkeypatch):
    write_image(tmp_path / "a\nb.png", texture(1, 64))
    monkeypatch.setattr("compositor.learned.group", None)
    assert run(["group", str(tmp_path), "-o", str(tmp_path / "sets")]) == 2
    assert "line break" in capsys.readouterr().err
