"""Recognition: a classifier learns classes of a folder, is as sure as it may be, and names what it cannot read."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="the extra «learned» is not installed")
pytest.importorskip("safetensors", reason="the extra «learned» is not installed")

import torch
from click.testing import CliRunner

from compositor.cli.entry import run
from compositor.errors import OptionError
from compositor.images import open_photo, write_image
from compositor.learned import Classifier, train_classifier
from compositor.learned.judgement import calibration_error, confusion, draw_confusion, fit_temperature, probabilities, report_by_class
from compositor.learned.labelled import Labelled
from compositor.learned.outlines import outlines
from compositor.learned.recognition import ClassifierNetwork, Recognition, make_batch, squares
from compositor.learned.ridge import fit_scores, measure_ease
from compositor.options import ClassifierOptions

SMALL = {"iterations": 60, "report_every": 20, "batch": 12, "size": 32, "begin": "scratch", "threads": 2, "rate": 0.01}


@pytest.fixture(autouse=True)
def one_thread():
    from compositor.learned.device import torch_threads

    with torch_threads(1):
        yield


def striped(seed: int, *, upright: bool) -> np.ndarray:
    """Stripes of some width and colours, lying or upright."""
    noise = np.random.default_rng(seed)
    y, x = np.indices((40, 48))
    stripes = np.sin((x if upright else y) * noise.uniform(0.7, 1.2) + noise.uniform(0, 6))[..., None]
    colours = noise.uniform(60, 200, 3) + stripes * noise.uniform(20, 50, 3) + noise.normal(0, 8, (40, 48, 3))
    return np.clip(colours, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Upright stripes and fewer lying ones, and what is no picture."""
    place = tmp_path_factory.mktemp("stripes")
    for name, upright, count in (("lying", False, 12), ("upright", True, 24)):
        (place / name).mkdir()
        for seed in range(count):
            write_image(place / name / f"{seed}.png", striped(seed + 100 * upright, upright=upright))
    (place / "lying" / "broken.jpg").write_bytes(b"no picture")
    return place


@pytest.fixture(scope="module")
def trained(folder, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "stripes.safetensors"
    return path, train_classifier(folder, path, **SMALL)


def test_classifier_learns_and_tells_how_good_it_is(trained):
    path, record = trained
    assert record["classes"] == ["lying", "upright"]
    assert record["figures"]["right_by_class"] >= 0.75  # of stripes that nobody could confuse
    assert [one[0] for one in record["left_out"]] == ["lying/broken.jpg"]
    assert {name: one["pictures"] for name, one in record["by_class"].items()} == {"lying": 2, "upright": 4}
    assert open_photo(path.with_suffix(".confusion.png")).size[0] > 100
    assert "| upright |" in path.with_suffix(".md").read_text()
    told = Classifier.load(path, device="cpu")([striped(seed, upright=upright) for seed in range(500, 510) for upright in (False, True)])
    np.testing.assert_allclose(told.sum(1), 1, atol=1e-9)
    assert (told.argmax(1) == np.tile([0, 1], 10)).mean() >= 0.75


def test_stopped_training_goes_on_to_the_same_bytes(trained, folder, tmp_path):
    path = tmp_path / "stopped.safetensors"

    def stop(_stage, done, _total):
        if done == 30:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_classifier(folder, path, progress=stop, **SMALL)
    train_classifier(folder, path, **SMALL)
    assert path.read_bytes() == trained[0].read_bytes()


def test_classify_tells_probabilities_and_names_what_it_cannot_read(trained, folder, capsys):
    weights = ["--weights", str(trained[0]), "--device", "cpu"]
    assert run(["classify", str(folder / "lying"), *weights, "--json"]) == 3
    told = json.loads(capsys.readouterr().out)
    assert [one["name"] for one in told["left_out"]] == ["broken.jpg"]
    assert len(told["pictures"]) == 12
    for one in told["pictures"]:
        assert one["probability"] == max(one["probabilities"].values()) == one["probabilities"][one["class"]]
    assert run(["classify", str(folder / "lying" / "broken.jpg"), *weights]) == 1


def test_batches_show_every_picture_before_any_comes_twice(folder):
    learned, held_out = Labelled.read(folder, size=32).parted()
    assert not set(learned.digests) & set(held_out.digests)
    options = ClassifierOptions(batch=10, size=32)
    batches = [make_batch(learned, number, options) for number in range(3)]
    assert len(learned.labels) == 30
    assert sum(int((labels == 0).sum()) for _, labels in batches) == 10
    again = make_batch(learned, 1, options)
    assert (again[0] == batches[1][0]).all()
    assert (again[0] != batches[2][0]).any()


@pytest.mark.parametrize("missing", ["nothing", "one class", "one picture"])
def test_folders_without_classes_are_refused(tmp_path, missing):
    if missing != "nothing":
        (tmp_path / "one").mkdir()
        write_image(tmp_path / "one" / "0.png", striped(0, upright=True))
    if missing == "one picture":
        (tmp_path / "two").mkdir()
        write_image(tmp_path / "two" / "0.png", striped(1, upright=True))
    with pytest.raises(OptionError, match="folder for each class"):
        train_classifier(tmp_path, tmp_path / "weights.safetensors", **SMALL)


def test_folders_of_parts_are_refused_as_classes(tmp_path):
    for name in ("train/a", "train/b", "test/a", "test/b"):
        (tmp_path / name).mkdir(parents=True)
        for k in range(2):
            write_image(tmp_path / name / f"{k}.png", striped(k, upright=name.endswith("a")))
    with pytest.raises(OptionError, match=r"train and test, which are no classes; give .*train, and classify test with it"):
        Labelled.read(tmp_path, size=32)
    assert Labelled.read(tmp_path / "train", size=32).classes == ("a", "b")


def test_a_picture_of_two_classes_is_of_the_first_and_named(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for k in range(3):
            write_image(tmp_path / name / f"{k}.png", striped(k if k else 9, upright=name == "a" or not k))
    labelled = Labelled.read(tmp_path, size=32)
    assert len(labelled.names) == 5
    assert [name for name, _ in labelled.left_out] == ["b/0.png"]
    assert "same picture as a/0.png" in labelled.left_out[0][1]


def test_a_picture_is_asked_about_as_it_would_be_learned_from(trained, folder):
    """As large and as sharp, also where it is much larger than the squares that are looked at."""
    large = np.random.default_rng(2).integers(0, 256, (300, 400, 3), np.uint8)
    classifier = Classifier.load(trained[0], device="cpu")
    write_image(folder.parent / "large.png", large, overwrite=True)
    for name in ("a", "b"):
        place = folder.parent / "pair" / name
        place.mkdir(parents=True)
        for k in range(2):
            write_image(place / f"{k}.png", large if (name, k) == ("a", 0) else striped(k, upright=name == "a"))
    labelled = Labelled.read(folder.parent / "pair", size=classifier.size)
    with torch.inference_mode():
        scores = classifier.network(squares(labelled, classifier.size)[labelled.names.index("a/0.png")][None])
    np.testing.assert_allclose(classifier([folder.parent / "large.png"]), probabilities(scores.numpy(), classifier.temperature), atol=1e-5)


def test_what_a_training_drew_is_of_no_class(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for k in range(2):
            write_image(tmp_path / name / f"{k}.png", striped(k, upright=name == "a"))
    write_image(tmp_path / "a" / "weights.confusion.png", striped(9, upright=True))
    assert len(Labelled.read(tmp_path, size=32).names) == 5  # nothing tells that a training drew it
    (tmp_path / "a" / "weights.safetensors").write_bytes(b"weights")
    assert len(Labelled.read(tmp_path, size=32).names) == 4


def test_hidden_folders_are_no_classes(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for k in range(2):
            write_image(tmp_path / name / f"{k}.png", striped(k, upright=name == "a"))
    (tmp_path / ".ipynb_checkpoints").mkdir()
    assert Labelled.read(tmp_path, size=32).classes == ("a", "b")


@pytest.mark.parametrize(
    ("name", "options", "told"),
    [
        ("recognition", ["--only", "ours, from scratch", "--only", "ours, on the encoder", "--iterations", "1"], "ours, on the encoder"),
        ("transfer", ["--labels", "6", "--steps", "1", "--size", "32"], "encoder, fine-tuned beside outlines"),
    ],
)
def test_the_benches_of_labels_run_and_ask_about_nothing_that_was_learned_from(tmp_path, monkeypatch, name, options, told):
    monkeypatch.syspath_prepend(Path(__file__).with_name("bench"))
    bench = getattr(importlib.import_module(name), name)
    for part in ("train", "test"):
        for label in ("a", "b"):
            (tmp_path / part / label).mkdir(parents=True)
            for k in range(6):
                write_image(tmp_path / part / label / f"{k}.png", striped(k + 50 * (part == "test"), upright=label == "a"))
    train, test = str(tmp_path / "train"), str(tmp_path / "test")
    made = CliRunner().invoke(bench, [*options, "--seeds", "1", train, test], catch_exceptions=False)
    assert made.exit_code == 0
    assert told in made.output
    assert "12 of the pictures that are asked about were learned from" in CliRunner().invoke(bench, [*options, train, train]).output


def test_a_folder_of_classes_is_classified(trained, folder, capsys):
    """As it was learned from: pictures in folders of a folder, each told by a name of its own."""
    assert run(["classify", str(folder), "--weights", str(trained[0]), "--device", "cpu", "--json"]) == 3
    result = json.loads(capsys.readouterr().out)
    assert len({one["name"] for one in result["pictures"]}) == 36
    assert all(Path(one["path"]).parent.parent == folder for one in result["pictures"])
    assert len(result["left_out"]) == 1


@pytest.mark.parametrize(
    "command",
    [
        ["classify", "{folder}"],
        ["similar", "{folder}/a.png", "{folder}"],
        ["generate", "-o", "{folder}/sheet.png"],
        ["paste", "{folder}/a.png", "{folder}/b.png", "-o", "{folder}/pasted.png", "--harmonize"],
        ["stitch", "{folder}/a.png", "{folder}/b.png", "-o", "{folder}/stitched.png", "--refine", "learned"],
    ],
)
def test_weights_that_are_not_there_are_a_mistyped_name(command, tmp_path, capsys):
    for name in ("a.png", "b.png"):
        write_image(tmp_path / name, striped(1, upright=True))
    words = [word.format(folder=tmp_path) for word in command]
    assert run([*words, "--weights", str(tmp_path / "none.safetensors")]) == 2
    assert "none.safetensors" in capsys.readouterr().err


def test_a_device_that_is_not_there_is_no_fault_of_the_weights(trained):
    with pytest.raises(OptionError, match="is not there"):
        Classifier.load(trained[0], device="abacus")


def shown(pixels: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(pixels[:32, :32].copy()).permute(2, 0, 1)[None].float() / 255


def test_outlines_tell_directions_and_not_light():
    """Of stripes: by the cosine of what is told of both."""
    lying, upright = (outlines(shown(striped(3, upright=upright))) for upright in (False, True))
    darker = outlines(shown(striped(3, upright=True)) * 0.6)
    alike = torch.nn.functional.cosine_similarity
    assert float(alike(upright, darker)) > 0.98 > 0.6 > float(alike(upright, lying))


def test_outlines_of_a_mirrored_picture_are_mirrored(generator):
    """Directions run from 0 to half a turn, so the k-th becomes the (9 - k)-th; the parts of a cell's surroundings change sides."""
    picture = torch.from_numpy(generator.random((1, 3, 64, 64), np.float32))
    one, other = (outlines(part).view(4, 9, 7, 7) for part in (picture, picture.flip(3)))
    turned = [0, *range(8, 0, -1)]
    torch.testing.assert_close(other.flip(3)[[1, 0, 3, 2]][:, turned], one, rtol=0, atol=1e-5)


def test_pictures_of_any_size_have_outlines():
    picture = shown(striped(3, upright=True))
    large = torch.nn.functional.interpolate(picture, scale_factor=5.0, mode="bilinear")
    assert float(torch.nn.functional.cosine_similarity(outlines(picture), outlines(large))) > 0.98


@pytest.mark.parametrize("columns", [6, 300])  # fewer and more than there are rows
def test_regression_tells_what_depends_on_rows_linearly(generator, columns):
    truth = generator.normal(size=(columns, 3))
    rows = generator.normal(size=(260, columns))
    labels = (rows @ truth + (2, 0, -1)).argmax(1)
    matrix, constants = fit_scores(rows[:200], labels[:200], np.ones(200), rows[200:], labels[200:], 3)
    right = ((rows[200:] @ matrix.T + constants).argmax(1) == labels[200:]).mean()
    assert right > (0.85 if columns == 6 else 0.45)  # 300 numbers are not found of 200 rows; a third would be chance


@pytest.mark.parametrize(("noise", "least", "most"), [(1.8, 0.65, 0.9), (1.5, 0.9, 1.1), (1.25, 1.1, 1.51)])
def test_pictures_that_happen_to_be_hard_are_found_to_be(generator, noise, least, most):
    """Three classes as far apart as they are wide; part 0 has more, as much, or less noise. Of so many chance makes 0.04."""
    labels, parts = np.tile([0, 1, 2], 2000), np.repeat([0, 1, 2, 3], 1500)
    rows = 1.5 * np.eye(8)[labels] + generator.normal(size=(6000, 8)) * np.where(parts == 0, noise, 1.5)[:, None]
    assert least < measure_ease(rows, labels, np.ones(6000), parts, 3) < most


def test_a_picture_and_its_mirror_image_are_told_alike(generator):
    network = ClassifierNetwork((16, 32, 64, 128, 192), 3).eval()
    picture = torch.from_numpy(generator.random((1, 3, 32, 32), np.float32))
    torch.testing.assert_close(network(picture), network(picture.flip(3)))


def test_classes_are_told_before_the_first_step(folder):
    options = ClassifierOptions(**{**SMALL, "threads": 1})
    told = Recognition(options, "cpu", *Labelled.read(folder, size=32).parted()).measure()
    assert told["right_by_class"] >= 0.75  # by outlines: lying stripes and upright ones


def test_an_encoder_learns_at_the_rate_that_is_asked_for(folder):
    """AdamW's first step moves every number by the learning rate, whatever its gradient; the first of 20 warming steps has a twentieth."""
    options = ClassifierOptions(**{**SMALL, "begin": "encoder", "threads": 1})
    learned, held_out = Labelled.read(folder, size=32).parted()
    training = Recognition(options, "cpu", learned, held_out)
    before = [part.detach().clone() for part in training.network.backbone.parameters()]
    training.step(0, make_batch(learned, 0, options))
    for old, new in zip(before, training.network.backbone.parameters(), strict=True):
        moved = float((new.detach() - old).abs().max())
        assert moved == pytest.approx(options.rate / 20, rel=0.1)  # beside it weights decay, by 0.02 of the rate


def test_a_class_of_few_among_many_pictures_is_learned_too(folder, monkeypatch):
    """Only some of many pictures begin the head; those of the last class are among them, if there are any."""
    monkeypatch.setattr(importlib.import_module("compositor.learned.recognition"), "FITTED", 8)
    learned, held_out = Labelled.read(folder, size=32).parted()
    last = len(learned.classes) - 1
    few = learned.some(np.sort(np.concatenate([np.flatnonzero(learned.labels != last), np.flatnonzero(learned.labels == last)[:1]])))
    network = Recognition(ClassifierOptions(**{**SMALL, "threads": 1}), "cpu", few, held_out).network
    assert network.head.weight[last].abs().max() > 0


def test_temperature_makes_certainty_true(generator):
    """Labels are drawn by probabilities; scores that are three times too bold are found to be."""
    scores = generator.normal(0, 1.5, (4000, 4))
    labels = np.array([generator.choice(4, p=row) for row in probabilities(scores)])
    temperature = fit_temperature(3 * scores, labels)
    assert temperature == pytest.approx(3, rel=0.1)  # of 4000 pictures
    bold, calm = probabilities(3 * scores), probabilities(3 * scores, temperature)
    assert calibration_error(calm, labels) < 0.03 < 0.1 < calibration_error(bold, labels)


def test_the_order_of_equally_sure_pictures_does_not_decide_the_error():
    told, labels = np.full((1000, 2), 0.5), np.arange(1000) // 500
    told[:, 0] += 1e-9
    assert calibration_error(told, labels) < 0.1  # in the order of classes each bin would be all right or all wrong


@pytest.mark.parametrize("count", [4, 40, 4000])
def test_few_pictures_that_are_all_told_right_make_nobody_certain(generator, count):
    """Two classes far apart: what is told may be as sure as so many pictures allow, and no surer."""
    labels = np.arange(count) % 2
    scores = np.where(labels[:, None] == np.arange(2), 5.0, -5.0) + generator.normal(0, 0.1, (count, 2))
    told = probabilities(scores, fit_temperature(scores, labels))
    assert told.max(1).mean() == pytest.approx((count + 1) / (count + 2), abs=0.2 / count)


def test_confusion_of_many_classes_is_a_picture_like_any_other():
    drawing = draw_confusion(np.eye(1000, dtype=np.int64), [str(k) for k in range(1000)])
    assert max(drawing.shape) <= 3000
    assert drawing[0, 0].tolist() == drawing[-1, -1].tolist() != drawing[0, -1].tolist() == [255, 255, 255]


def test_confusion_counts_and_reports():
    told = np.eye(3)[[0, 0, 1, 2, 2, 2]]
    counts = confusion(told, np.array([0, 0, 0, 1, 2, 2]))
    np.testing.assert_array_equal(counts, [[2, 1, 0], [0, 0, 1], [0, 0, 2]])
    report = report_by_class(counts, ["a", "b", "c"])
    assert report["a"] == {"recall": pytest.approx(2 / 3), "precision": 1, "f1": pytest.approx(0.8), "pictures": 3}
    assert report["b"]["f1"] == 0
    drawing = draw_confusion(counts, ["a", "b", "c"])
    other = draw_confusion(counts.T.copy(), ["a", "b", "c"])
    assert drawing.shape == other.shape
    assert (drawing != other).any()
