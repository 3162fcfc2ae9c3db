"""The learned refiner: what it may never do, whatever its weights are, and that its training learns, resumes and keeps its files safe."""

from __future__ import annotations

import dataclasses
import io
import subprocess
import sys
import zipfile

import numpy as np
import pytest

pytest.importorskip("torch", reason="the extra «learned» is not installed")
pytest.importorskip("safetensors", reason="the extra «learned» is not installed")

import torch

from compositor.compose.floor import finish
from compositor.compose.layers import Layers
from compositor.errors import CompositorError, OptionError
from compositor.images import write_image
from compositor.learned import Refiner, train_refiner
from compositor.learned.critic import separation
from compositor.learned.network import RefinerNetwork
from compositor.learned.photographs import Photographs
from compositor.learned.scenes import make_scenes
from compositor.learned.weights import WeightsError, read_weights, write_weights

SMALL = {"iterations": 3, "scenes": 1, "tiles": 2, "report_every": 1, "measured": 2, "threads": 2}
LEVEL = 1 / 255


def texture(seed: int, size: int = 288) -> np.ndarray:
    """A picture with smooth areas, edges and detail, (size, size, 3) uint8."""
    import cv2

    noise = np.random.default_rng(seed)
    smooth = cv2.GaussianBlur(noise.random((size, size, 3), np.float32), (0, 0), 12)
    edges = cv2.GaussianBlur(noise.random((size, size), np.float32), (0, 0), 5) > 0.5
    fine = cv2.GaussianBlur(noise.random((size, size, 3), np.float32), (0, 0), 1.2) - 0.5
    picture = 0.5 + 4 * (smooth - 0.5) + 0.15 * (edges[..., None] - 0.5) + 0.3 * fine
    return np.clip(picture * 255, 0, 255).astype(np.uint8)


@pytest.fixture(autouse=True)
def one_thread():
    """Several threads of several libraries on a busy machine wait for each other."""
    from compositor.learned.device import torch_threads

    with torch_threads(1):
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Photos of several scenes."""
    place = tmp_path_factory.mktemp("photos")
    for seed in range(5):
        write_image(place / f"{seed}.png", texture(seed))
    return place


def two_layers(gain: float = 1.15, shift: int = 1) -> Layers:
    """A picture and another exposure of it, shifted, with a slanted seam between them."""
    photo = texture(9).astype(np.float32)[:224] / 255
    new = np.clip(np.roll(photo, shift, 1) * gain, 0, 1).astype(np.float32)
    y, x = np.indices(photo.shape[:2])
    across = x - 144 + 0.2 * (y - 112)
    return Layers(photo, new, across < 50, across > -50, across > 0)


def random_network(seed: int = 0, *, strength: float = 0.3) -> RefinerNetwork:
    """A network whose last layers answer something, whatever it is."""
    torch.manual_seed(seed)
    network = RefinerNetwork()
    for layer in (network.local.fine[-1], network.tone.out[-1]):
        torch.nn.init.normal_(layer.weight, std=strength)
        torch.nn.init.normal_(layer.bias, std=strength)
    return network


@pytest.fixture
def credulous(monkeypatch):
    """A guard that lets everything pass, so that what the network is built to keep is seen without it."""
    import compositor.learned.guard as guard
    import compositor.learned.refiner as refiner

    def judge(strip, refined):
        return guard.Verdict(torch.ones(len(refined), dtype=torch.bool), torch.zeros(len(refined)), torch.zeros(len(refined)))

    monkeypatch.setattr(refiner, "judge", judge)


def test_importing_loads_no_torch():
    code = "import sys, compositor, compositor.learned; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "False"


def test_untrained_network_gives_the_classical_result(credulous):
    layers = two_layers()
    refined = Refiner(RefinerNetwork(), device="cpu")(layers)
    np.testing.assert_array_equal(refined.pixels, finish(layers).pixels)
    assert not refined.changed.any()
    assert refined.report["tiles"] > 0


@pytest.mark.parametrize("seed", range(3))
def test_pixels_outside_the_supports_never_change(credulous, seed):
    """To the bit, also with weights that nobody trained."""
    layers = two_layers()
    before, refined = finish(layers), Refiner(random_network(seed), device="cpu")(layers)
    assert refined.changed.any()
    outside = ~(refined.ring | refined.toned)
    np.testing.assert_array_equal(refined.pixels[outside], before.pixels[outside])
    np.testing.assert_array_equal(refined.pixels[~layers.owner], before.pixels[~layers.owner])
    assert not (refined.ring & (layers.inside >= 8)).any()  # 1 % of 224 px is less than the 8 px that are always allowed
    np.testing.assert_array_equal(refined.changed, (refined.pixels != before.pixels).any(2))


@pytest.mark.parametrize("seed", range(3))
def test_equal_layers_change_by_a_level_at_most(credulous, seed):
    """Whatever the weights are: a pixel changes at most by how much the layers differ around it, and a level."""
    layers = two_layers(gain=1.0, shift=0)
    refined = Refiner(random_network(seed, strength=3.0), device="cpu")(layers)
    assert refined.changed.any()
    # Adding the change to the pixels in float32 may round by its last bit.
    assert np.abs(refined.pixels - layers.reference).max() <= LEVEL + 1e-6


@pytest.mark.parametrize("seed", range(3))
def test_changes_are_bounded_by_how_much_the_layers_differ(credulous, seed):
    import cv2

    layers = two_layers()
    finished = finish(layers)
    refined = Refiner(random_network(seed, strength=3.0), device="cpu")(layers, finished)
    apart = np.abs(finished.new - layers.reference).max(2) * layers.overlap
    # Both branches at full strength: the local one reaches the largest difference in 5 x 5 pixels, the tone's is bounded by twice the
    # mean difference over the overlap and moves the layer that the local one compares with.
    tone = 2 * np.abs(finished.new - layers.reference)[layers.overlap].mean()
    assert (np.abs(refined.pixels - finished.pixels).max(2) <= cv2.dilate(apart, np.ones((5, 5))) + LEVEL + 2 * tone + 1e-6)[
        layers.owner
    ].all()


def test_guard_leaves_what_does_not_help():
    """Random proposals are turned down and equal layers come back as they were, within a level of 8 bits."""
    layers = two_layers()
    refined = Refiner(random_network(strength=1.0), device="cpu")(layers)
    assert refined.report["taken"] <= 0.1 * refined.report["tiles"]
    clean = two_layers(gain=1.0, shift=0)
    assert np.abs(Refiner(random_network(), device="cpu")(clean).pixels - clean.reference).max() <= LEVEL


def test_guard_tells_a_seam_that_is_mended_from_one_that_is_moved():
    """A photo displaced by three pixels: as its displacement fades in it is right; a reference that goes on just breaks off later."""
    import cv2

    from compositor.learned.guard import judge
    from compositor.learned.strips import Strip, cut, tile_corners

    layers = two_layers(1.1, 3)
    finished = finish(layers, back=True)
    corners = tile_corners(layers.owner & (layers.inside < 1))
    strip = Strip.at(corners, 8, layers, finished)
    y, x = np.indices(layers.owner.shape, np.float32)
    left = 1 - np.clip(layers.inside / (8 + 3 * 3), 0, 1)
    truth = cv2.remap(layers.reference, x - 3 * (1 - left * left * (3 - 2 * left)) * layers.owner, y, cv2.INTER_CUBIC)
    mended, moved = (
        judge(strip, strip.pixels + strip.window * (pixels - strip.pixels)).taken.float().mean()
        for pixels in (cut(truth, corners), strip.reference)
    )
    # Nearly all and hardly any: tiles at the picture's border see too little of the seam, or of its flow, to tell.
    assert mended > 0.7
    assert moved < 0.3


def test_layers_that_are_too_small_are_refused():
    layers = two_layers()
    small = Layers(*(getattr(layers, name)[:40] for name in ("reference", "new", "reference_valid", "new_valid", "owner")))
    with pytest.raises(OptionError, match="at least 64"):
        Refiner(RefinerNetwork(), device="cpu")(small)


def test_stitching_takes_a_refiner_of_seams(views):
    """Untrained it is the classical one, in every window of a panorama."""
    import compositor

    photos = [view.pixels for view in views[:2]]
    registration = compositor.register(photos)
    refined = compositor.compose(registration, photos, refine=Refiner(RefinerNetwork(), device="cpu").close_seam)
    np.testing.assert_array_equal(refined.pixels, compositor.compose(registration, photos, refine=compositor.close_seam).pixels)


def test_a_finished_panorama_is_refined_like_one_in_the_making(views):
    import compositor

    photos = [view.pixels for view in views[:2]]
    registration = compositor.register(photos)
    options = {"exposure": "none", "blend": "none"}
    panorama, refiner = compositor.compose(registration, photos, **options), Refiner(device="cpu")
    before = panorama.pixels.copy()
    refined = refiner(panorama, photos=photos)
    np.testing.assert_array_equal(refined.pixels, compositor.compose(registration, photos, **options, refine=refiner.close_seam).pixels)
    assert (refined.pixels != before).any()
    np.testing.assert_array_equal(panorama.pixels, before)
    # Without the photos nobody knows what is behind a seam: only its step in tone is levelled.
    np.testing.assert_array_equal(refiner(panorama).pixels, compositor.refine(panorama.pixels, owner=panorama.owner).pixels)


def test_what_is_no_panorama_cannot_be_refined(views):
    import compositor

    photos = [view.pixels for view in views[:2]]
    panorama = compositor.stitch(photos)
    refiner = Refiner(RefinerNetwork(), device="cpu")
    with pytest.raises(OptionError, match="give a Panorama and its photos=, or Layers"):
        refiner(panorama.pixels)
    with pytest.raises(OptionError, match="give a list"):
        refiner(panorama, photos="a.jpg")
    with pytest.raises(compositor.CompositorError, match="2 photos are registered"):
        refiner(panorama, photos=photos[:1])
    with pytest.raises(OptionError, match="give refine="):
        refiner(dataclasses.replace(panorama, pixels=compositor.spool.Spool(panorama.pixels.shape, np.dtype(np.uint8))), photos=photos)


def test_scenes_depend_on_seed_and_number_only(folder):
    photographs, _ = Photographs.read([folder])
    several = make_scenes(photographs, [3, 4, 5], seed=1, size=64)
    single, other = (make_scenes(photographs, [5], seed=seed, size=64) for seed in (1, 2))
    for name in ("reference", "new", "truth"):
        torch.testing.assert_close(getattr(several, name)[2], getattr(single, name)[0], rtol=0, atol=0)
    assert not torch.equal(single.truth, other.truth)


def test_some_scenes_are_of_three_photos(folder):
    """They meet at a point of the seam, and beyond it the two of the reference differ in tone."""
    photographs, _ = Photographs.read([folder])
    scenes = make_scenes(photographs, list(range(24)), seed=0, size=96)
    several = [place for place in scenes.placements if place.second.any() and not place.second.all()]
    assert 0 < len(several) < len(scenes.placements) / 2
    for place in several:
        beside = place.owner & (place.distance < 2)
        assert place.second[beside].any()
        assert not place.second[beside].all()


def test_no_scene_is_learned_from_and_measured_on(folder, tmp_path):
    learned, held_out = Photographs.read([folder])
    assert learned.photographs
    assert held_out.photographs
    assert not {photo.digest for photo in learned.photographs} & {photo.digest for photo in held_out.photographs}
    listed = tmp_path / "photos.txt"
    listed.write_text(f"{folder}/0.png\t{folder}/1.png\n{folder}/2.png\t{folder}/3.png\n")
    parts = [{photo.name for photo in part.photographs} for part in Photographs.read([listed])]
    assert sorted(map(sorted, parts)) == [["0.png", "1.png"], ["2.png", "3.png"]]


def test_separation_is_the_area_under_the_curve():
    assert separation(torch.tensor([2.0, 3.0]), torch.tensor([0.0, 1.0])) == 1.0
    assert separation(torch.tensor([1.0, 1.0]), torch.tensor([1.0, 1.0])) == 0.5
    assert separation(torch.tensor([1.0, 3.0]), torch.tensor([2.0, 0.0])) == 0.75


def test_critic_learns_what_a_seam_is():
    """A step of eight levels in a texture whose contrast is larger, at places and in directions that it did not learn from."""
    from compositor.learned.critic import Critic, critic_loss

    generator = torch.Generator().manual_seed(0)

    def tiles(count: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        noise = torch.randn(count, 3, 36, 36, generator=generator)
        smooth = torch.nn.functional.avg_pool2d(noise, 5, stride=1)
        angles, places = torch.rand(count, 1, 1, 1, generator=generator) * 6.28, torch.arange(32) - 15.5
        distance = places[:, None] * angles.sin() + places * angles.cos()
        photos = 0.5 + 0.25 * smooth
        return photos, photos + 8 * LEVEL * (distance > 0), distance.float()

    torch.manual_seed(0)
    critic = Critic((8, 8, 8))
    optimizer = torch.optim.Adam(critic.parameters(), lr=5e-3)
    for _ in range(20):
        real, fake, distance = tiles(8)
        optimizer.zero_grad()
        critic_loss(critic(real, distance), critic(fake, distance)).backward()
        optimizer.step()
    real, fake, distance = tiles(64)
    # 0.5 is chance, which it begins at.
    assert separation(critic(real, distance), critic(fake, distance)) > 0.8


def test_loss_falls_in_twenty_steps(folder):
    from compositor.learned.examples import make_examples
    from compositor.learned.training import Training
    from compositor.options import TrainOptions

    photographs, _ = Photographs.read([folder])
    training = Training(TrainOptions(iterations=400, rate=0.01, adversarial=0.0), "cpu", photographs)
    examples = make_examples(photographs, list(range(2)), seed=0, tiles=2)
    losses = [training.step(iteration, examples)["local"] for iteration in range(20)]
    # The loss is a sum of two logarithms' worth of error: a fall by 0.1 is 5 % less error. It begins at exactly the classical result's.
    assert losses[-1] < losses[0] - 0.1


def test_training_writes_weights_that_load(folder, tmp_path):
    path = tmp_path / "seams.safetensors"
    record = train_refiner([folder], path, **SMALL)
    assert record["sha256"]
    assert not path.with_suffix(".checkpoint").exists()
    assert len(path.with_suffix(".jsonl").read_text().splitlines()) == 4
    assert record["sha256"] == read_weights(path, kind="a seam refiner")[1]["sha256"]
    assert "Learned from" in path.with_suffix(".md").read_text()
    refined = Refiner.load(path, device="cpu")(two_layers())
    assert np.isfinite(refined.pixels).all()


def test_checkpoint_of_another_training_is_refused(folder, tmp_path):
    from compositor.learned.checkpoint import write_checkpoint

    path = tmp_path / "seams.safetensors"
    write_checkpoint(path.with_suffix(".checkpoint"), {}, {}, {"options": {}, "device": "cpu"})
    with pytest.raises(WeightsError, match=r"training with other values: .*iterations was None, now is 3; "):
        train_refiner([folder], path, **SMALL)


@pytest.mark.parametrize("source", ["photos/", 5, [5], None])
def test_what_is_no_list_of_paths_is_refused(tmp_path, source):
    with pytest.raises(OptionError, match="refiner learns from a list of paths"):
        train_refiner(source, tmp_path / "seams.safetensors", **SMALL)


def test_a_checkpoint_says_what_is_other(tmp_path):
    from compositor.learned.checkpoint import read_checkpoint, write_checkpoint

    path, network = tmp_path / "line.checkpoint", torch.nn.Linear(2, 1)
    asked = {"options": {"rate": 0.5, "seed": 1}, "device": "cpu", "computing_threads": 1, "photographs": {"00ff" * 16: "a.jpg"}}
    write_checkpoint(path, {"network": network}, {}, asked)
    assert read_checkpoint(path, {"network": network}, {}, asked)["device"] == "cpu"
    other = {"options": {"rate": 0.25, "seed": 1}, "device": "cpu", "computing_threads": 2, "photographs": {}}
    with pytest.raises(WeightsError) as caught:
        read_checkpoint(path, {"network": network}, {}, other)
    assert "rate was 0.5, now is 0.25; computing_threads was 1, now is 2; 00ff00ff00ff was 'a.jpg', now is None." in str(caught.value)


@pytest.mark.parametrize("modules", [{"network": torch.nn.Linear(3, 1)}, {"other": torch.nn.Linear(2, 1)}])
def test_a_checkpoint_of_another_layout_is_told(tmp_path, modules):
    from compositor.learned.checkpoint import read_checkpoint, write_checkpoint

    path = tmp_path / "line.checkpoint"
    write_checkpoint(path, {"network": torch.nn.Linear(2, 1)}, {}, {})
    with pytest.raises(WeightsError, match="fits another network"):
        read_checkpoint(path, modules, {}, {})


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_a_seed_inside_leaves_the_numbers_of_gpus_alone():
    from compositor.learned.learner import seeded

    torch.cuda.init()
    before = torch.cuda.get_rng_state()
    with seeded(5):
        torch.rand(3, device="cuda")
    assert (torch.cuda.get_rng_state() == before).all()


def pickled() -> bytes:
    """What ``torch.save`` writes begins like this."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02}q\x00.")
    return content.getvalue()


@pytest.mark.parametrize(
    ("content", "told"), [(pickled(), "pickle"), (b"\x80\x02}q\x00.", "pickle"), (b"", "no file of weights"), (b"\xff" * 64, "no file")]
)
def test_other_files_are_refused(tmp_path, content, told):
    path = tmp_path / "weights.pt"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=told):
        Refiner.load(path)


def test_changed_numbers_are_refused(tmp_path):
    path = tmp_path / "weights.safetensors"
    write_weights(path, RefinerNetwork().state_dict(), {"kind": "a seam refiner", "shape": {}})
    Refiner.load(path, device="cpu")
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(WeightsError, match="SHA-256 differs"):
        Refiner.load(path)


def test_weights_of_another_network_are_refused(tmp_path):
    path = tmp_path / "weights.safetensors"
    write_weights(path, {"one": torch.zeros(3)}, {"kind": "a seam refiner", "shape": {}})
    with pytest.raises(WeightsError, match="another network"):
        Refiner.load(path)
    write_weights(path, {"one": torch.zeros(3)}, {"kind": "a seam critic"}, overwrite=True)
    with pytest.raises(WeightsError, match="needed is a seam refiner"):
        Refiner.load(path)


def test_weights_need_their_ending(folder, tmp_path):
    with pytest.raises(OptionError, match="safetensors"):
        train_refiner([folder], tmp_path / "seams.pt", **SMALL)
    with pytest.raises(CompositorError):
        Photographs.read([folder / "0.png"])


def test_the_weights_that_ship_mend_seams_and_leave_alone_what_is_fine():
    """A texture that nobody learned from, displaced by two pixels; and an exposure that the classical stages match to the bit."""
    refiner = Refiner.load(device="cpu")
    refined = refiner(two_layers(1.1, 2))
    assert refined.report["taken"] > 0
    assert refined.report["after"] < 0.97 * refined.report["before"]
    clean = refiner(two_layers(1.15, 0))
    assert not clean.changed.any()


def test_stitching_takes_the_weights_that_ship(tmp_path):
    from compositor.cli.entry import run

    photos = []
    for k, left in enumerate((0, 140)):
        write_image(tmp_path / f"{k}.png", texture(11, 420)[60:360, left : left + 280])
        photos.append(str(tmp_path / f"{k}.png"))
    assert run(["stitch", *photos, "-o", str(tmp_path / "out.png"), "--refine", "learned"]) == 0
    assert (tmp_path / "out.png").exists()


@pytest.mark.parametrize("height", [0, 600, 1300, 9000])
def test_the_ring_follows_the_height_of_the_picture(credulous, height):
    """Whatever the part of it that is looked at: 1 %, from 8 to 16 px."""
    layers = dataclasses.replace(two_layers(), picture_height=height)
    ring = Refiner(random_network(), device="cpu")(layers).ring
    reach = {0: 8, 600: 8, 1300: 13, 9000: 16}[height]
    np.testing.assert_array_equal(ring, layers.overlap & layers.owner & (layers.inside < reach))


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_sixteen_bits_change_little(credulous, precision):
    """A tenth of a level on average where seams are refined, and no pixel by more than the network may change it at all."""
    layers = two_layers(1.1, 2)
    exact, rough = (Refiner.load(device="cpu", precision=p)(layers) for p in ("float32", precision))
    apart = np.abs(exact.pixels - rough.pixels)
    assert apart[exact.ring].mean() < 0.1 * LEVEL
    assert apart.max() < 8 * LEVEL
    assert not apart[~(exact.ring | exact.toned)].any()


def test_no_such_precision_is_told():
    with pytest.raises(OptionError, match="bfloat16"):
        Refiner(RefinerNetwork(), device="cpu", precision="float8")


def test_fewer_tiles_at_a_time_where_memory_runs_out(credulous, monkeypatch):
    layers, network = two_layers(), random_network()
    expected, forward, seen = Refiner(network, device="cpu")(layers), network.local.forward, []

    def scarce(strip):
        seen.append(len(strip))
        if len(strip) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return forward(strip)

    monkeypatch.setattr(network.local, "forward", scarce)
    refined = Refiner(network, device="cpu")(layers)
    assert max(seen) > 2
    # Convolutions may add up in another order for another number of tiles.
    np.testing.assert_allclose(refined.pixels, expected.pixels, atol=1e-5)


@pytest.mark.parametrize("message", ["CUDA out of memory", "MPS backend out of memory"])
def test_the_cpu_goes_on_where_a_gpu_has_no_memory(credulous, monkeypatch, caplog, message):
    layers, move, network = two_layers(1.1, 2), torch.Tensor.to, random_network()
    expected = Refiner(network, device="cpu")(layers)

    def full(tensor, *args, **options):
        if "cuda" in args:
            raise torch.OutOfMemoryError(message) if message.startswith("CUDA") else RuntimeError(message)
        return move(tensor, *args, **options)

    refiner = Refiner(network, device="cpu")
    refiner.device = "cuda"
    monkeypatch.setattr(torch.Tensor, "to", full)
    np.testing.assert_array_equal(refiner(layers).pixels, expected.pixels)
    assert refiner.device == "cpu"
    assert "on the CPU" in caplog.text


def test_other_errors_of_a_device_are_not_hidden(monkeypatch):
    refiner = Refiner(random_network(), device="cpu")

    def broken(strip):
        raise RuntimeError("illegal memory access")

    monkeypatch.setattr(refiner.network.local, "forward", broken)
    with pytest.raises(RuntimeError, match="illegal"):
        refiner(two_layers())


@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_deep_panoramas_are_refined_in_their_depth(views, dtype):
    import compositor

    white = 65535 if dtype == np.uint16 else 1
    photos = [(view.pixels.astype(np.float64) / 255 * white).round(0 if white > 1 else 9).astype(dtype) for view in views[:2]]
    registration = compositor.register(photos)
    refined, before = (compositor.compose(registration, photos, refine=refine) for refine in (Refiner.load(device="cpu").close_seam, None))
    assert refined.pixels.dtype == dtype
    changed = (refined.pixels != before.pixels).any(axis=2)
    assert 0 < changed.mean() < 0.5
    if dtype == np.uint16:
        assert (refined.pixels[changed] % 257 != 0).any()  # finer than 8 bits


def test_a_missing_extra_is_told_in_one_line(tmp_path):
    """Where PyTorch is not installed, which a name in its place does for."""
    write_image(tmp_path / "a.png", texture(1))
    write_image(tmp_path / "b.png", texture(2))
    code = (
        "import sys; sys.modules['torch'] = None; from compositor.cli.entry import run; "
        f"sys.exit(run(['stitch', r'{tmp_path / 'a.png'}', r'{tmp_path / 'b.png'}', '-o', r'{tmp_path / 'c.png'}', '--refine', 'learned']))"
    )
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert process.returncode == 1
    assert process.stderr.count("\n") == 1
    assert 'pip install "compositor[learned]"' in process.stderr
