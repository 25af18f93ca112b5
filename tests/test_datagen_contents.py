"""What a corpus stores beside its five images: sharp, a repeat, a second energy, a second camera, thickness."""

import numpy as np
import pytest
from test_datagen_store import hashes

import datagen
import xsim
from datagen.corpus_file import load_corpus
from datagen.layout import Layout
from datagen.scenes import draw_scene, noise_seed

PAIR = """
[corpus]
name = "pairs"
scenes = 5
seed = 3
shard_samples = 2
store = ["sharp", "repeat", "thickness"]
[source]
voltage_kv = 70
filters = [{ material = "Al", thickness_mm = 1.0 }]
[geometry]
sod_mm = 500
sdd_mm = 600
[acquisition]
quanta_per_pixel = { uniform = [80, 120] }
[detector]
rows = 40
columns = 44
pitch_mm = 0.1
[detector.scintillator]
material = "GOS"
areal_density_mg_cm2 = 33.91
light_spread_h_mm2 = 0.01
[detector.sensor]
adc_bits = 16
gain_adu_per_kev = 0.2
offset_adu = 100.0
read_noise_adu = 3.0
[detector.pair]
same_quanta = true
scintillator = { areal_density_mg_cm2 = 134.55, light_spread_h_mm2 = { uniform = [0.05, 0.07] } }
sensor = { gain_adu_per_kev = 0.1 }
[[body]]
name = "block"
shape = "box"
size_mm = [3, 3, { uniform = [1, 3] }]
material = "PMMA"
rotation_deg = [0, 0, { uniform = [0, 90] }]
[[body]]
name = "hole"
shape = "sphere"
radius_mm = 0.4
material = "air"
priority = 1
inside = "block"
"""
TWICE = """
[corpus]
name = "twice"
scenes = 2
noise = "derived"
store = ["repeat"]
[source]
voltage_kv = 60
[second_exposure]
voltage_kv = { uniform = [110, 130] }
filters = [{ material = "Cu", thickness_mm = 0.3 }]
[acquisition]
quanta_per_pixel = 200
[geometry]
sod_mm = 400
sdd_mm = 500
[detector]
preset = "generic-gos-200um"
rows = 24
columns = 20
[[body]]
name = "ball"
shape = "sphere"
radius_mm = 1
material = "Al"
"""
BELT = """
[corpus]
name = "belt"
scenes = 2
frames_per_scene = 2
store = ["thickness", "sharp"]
[source]
voltage_kv = 120
[geometry]
sod_mm = 600
sdd_mm = 900
[acquisition]
quanta_per_pixel = 3000
belt_speed_m_s = 0.3
line_rate_hz = 562.5
lines = 24
[detector]
preset = "sandwich-like-dual-energy-800um"
columns = 64
[[body]]
name = "ball"
shape = "sphere"
radius_mm = 4
material = "Al"
"""


def saved(folder, text, *changes, name="corpus.toml"):
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    (folder / name).write_text(text)
    return folder / name


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pairs")
    corpus = saved(folder, PAIR)
    datagen.generate(corpus, folder / "out.zarr", progress=False)
    return corpus, folder / "out.zarr"


def exposed(corpus, index):
    known = load_corpus(corpus)
    drawn, _ = draw_scene(known, index)
    return drawn, xsim.expose(drawn.scene, "cpu", threads=1), noise_seed(known, index)


def test_names_and_types(pairs):
    corpus, out = load_corpus(pairs[0]), datagen.open_corpus(pairs[1])
    arrays = Layout(corpus).arrays(corpus.formats[0])
    view = out.subset()
    assert set(view.images) == set(arrays) == {
        "noisy", "clean", "noise", "labels", "valid", "sharp", "thickness", "noisy_repeat", "noise_repeat",
        "valid_repeat", "noisy_pair", "clean_pair", "noise_pair", "valid_pair",
    }  # fmt: skip
    sample = view[3]
    assert set(sample) == {*arrays, "params", "index"}
    for name in arrays:
        kind = sample[name].dtype
        assert kind == (bool if name.startswith("valid") else np.uint16 if name == "labels" else np.float32)
        assert sample[name].shape == (40, 44)
    for record in out.commits:
        stored = {file.split("/")[1] for file in record["files"]}
        assert stored == {*arrays, "params", "instances"}
        assert {file.split("/")[1] for file in record["metadata"] if file.count("/") == 2} == stored


def test_every_triple_is_exact(pairs):
    for sample in datagen.open_corpus(pairs[1]).subset():
        assert np.array_equal(sample["noisy"], sample["clean"] + sample["noise"])
        assert np.array_equal(sample["noisy_repeat"], sample["clean"] + sample["noise_repeat"])
        assert np.array_equal(sample["noisy_pair"], sample["clean_pair"] + sample["noise_pair"])


def test_stored_images_are_those_of_the_simulator(pairs):
    for sample in list(datagen.open_corpus(pairs[1]).subset())[::2]:
        drawn, first, seed = exposed(pairs[0], sample["params"]["scene"])
        assert np.array_equal(sample["noisy"], first.record(seed).noisy)
        assert np.array_equal(sample["sharp"], xsim.sharp_image(first))
        other = xsim.expose_paired(first, drawn.pair.scene, same_quanta=True)
        image = other.record(seed)
        for name in ("noisy", "clean", "noise", "valid"):
            assert np.array_equal(sample[f"{name}_pair"], getattr(image, name))
        screen = drawn.pair.scene.detector.scintillator
        assert screen.areal_density_mg_cm2 == 134.55 and screen.material == "GOS"
        told = sample["params"]
        assert told["detector.pair.scintillator.light_spread_h_mm2"] == screen.light_spread_h_mm2
        for name in ("a_pixel_adu", "b_adu2", "quanta_per_pixel", "exposure_mas", "gain_adu_per_kev", "adc_bits"):
            assert told[f"{name}_pair"] == image.metadata[name]
        assert told["exposure_mas_pair"] == told["exposure_mas"]
        # absorbed in 134.55 against 33.91 mg/cm2: more, by at most the ratio of the depths
        assert 1.5 < told["quanta_per_pixel_pair"] / told["quanta_per_pixel"] < 134.55 / 33.91


def test_the_repeat_is_independent_and_its_noise_as_large(pairs):
    """Correlation nought within 4 standard errors, variances alike within 5; that of the same quanta is far from it."""
    samples = list(datagen.open_corpus(pairs[1]).subset())
    one, two, pair = (np.stack([each[name] for each in samples]) for name in ("noise", "noise_repeat", "noise_pair"))
    count = one.size
    # quanta of neighbours share light: fewer independent ones than pixels
    least = 4 * 3 / count**0.5
    assert abs(np.corrcoef(one.ravel(), two.ravel())[0, 1]) < least
    assert np.corrcoef(one.ravel(), pair.ravel())[0, 1] > 4 * least
    assert one.var() / two.var() == pytest.approx(1.0, abs=5 * 3 * (4 / count) ** 0.5)


def test_thickness_is_the_path_through_all_but_air(pairs):
    """Against the chord of the middle pixel's ray, and the sum of the simulator's path lengths elsewhere."""
    for sample in datagen.open_corpus(pairs[1]).subset():
        drawn, _, _ = exposed(pairs[0], sample["params"]["scene"])
        lengths = xsim.path_lengths(drawn.scene, "cpu")
        assert set(lengths) == {"air", "PMMA"}
        assert np.array_equal(sample["thickness"], lengths["PMMA"])
        clear = sample["labels"] == 0
        assert (sample["thickness"][clear] == 0).all() and (sample["thickness"][~clear] > 0).any()
        # rays beside the void, far from the block's faces: thickness over the cosine
        depth = drawn.mapping["body"][0]["size_mm"][2]
        inside = lengths["air"][18:22, 20:24] == 0
        assert sample["thickness"][18:22, 20:24][inside] == pytest.approx(depth, rel=1e-4)


def test_two_exposures(tmp_path):
    """Both images of dual energy, without stored noise: readers have it all the same."""
    corpus, out = saved(tmp_path, TWICE), tmp_path / "out.zarr"
    datagen.generate(corpus, out, progress=False)
    view = datagen.open_corpus(out).subset()
    name = view.format
    assert not (out / name / "noise").exists() and not (out / name / "noise_second").exists()
    assert {"noise", "noise_repeat", "noise_second"} <= set(view.images)
    for sample in view:
        _, first, seed = exposed(corpus, sample["index"])
        image = first.record(seed)
        for each in ("noisy", "clean", "noise", "valid"):
            assert np.array_equal(sample[each], getattr(image, each))
            assert np.array_equal(sample[f"{each}_second"], getattr(image.second, each))
        again = first.record(seed, 1 << 20)
        assert np.array_equal(sample["noisy_repeat"], again.noisy)
        assert np.array_equal(sample["noise_repeat"], again.noise)
        told = sample["params"]
        assert told["voltage_kv"] == 60 and 110 <= told["voltage_kv_second"] <= 130
        assert told["voltage_kv_second"] == told["second_exposure.voltage_kv"]
        assert told["mean_energy_kev_second"] > told["mean_energy_kev"] + 10
        assert told["a_pixel_adu_second"] == image.second.metadata["a_pixel_adu"]
    frugal = datagen.open_corpus(out, cache_bytes=0).subset()
    assert all(np.array_equal(frugal[0][each], view[0][each]) for each in view.images)


def test_two_layers_of_a_line_camera(tmp_path):
    corpus, out = saved(tmp_path, BELT), tmp_path / "out.zarr"
    datagen.generate(corpus, out, progress=False)
    one, two = datagen.open_corpus(out).subset()[0], datagen.open_corpus(out).subset()[1]
    _, first, seed = exposed(corpus, 0)
    image = first.record(seed, 1)
    assert np.array_equal(two["noisy"], image.noisy) and np.array_equal(two["noisy_second"], image.second.noisy)
    assert np.array_equal(two["clean_second"], one["clean_second"])
    assert not np.array_equal(two["noisy_second"], one["noisy_second"])
    assert np.array_equal(one["thickness"], xsim.path_lengths(first.scene, "cpu")["Al"])
    assert one["thickness"].max() == pytest.approx(8, rel=0.02)


def test_the_pattern_of_a_camera_is_in_both_realisations(tmp_path):
    """noisy and its repeat share what the camera adds in every frame, and nothing else."""
    sensor = ("read_noise_adu = 3.0", "read_noise_adu = 3.0\nprnu_share = 0.2\nserial = 7")
    corpus = saved(tmp_path, PAIR, sensor, ("same_quanta = true", "same_quanta = false"))
    datagen.generate(corpus, tmp_path / "out.zarr", progress=False)
    for sample in datagen.open_corpus(tmp_path / "out.zarr").subset():
        _, first, seed = exposed(corpus, sample["index"])
        expected = first.record(seed).expected
        pattern = (expected - sample["clean"]).ravel()
        rests = [(sample[name] - expected).ravel() for name in ("noisy", "noisy_repeat")]
        assert abs(np.corrcoef(*rests)[0, 1]) < 0.15
        for name in ("noise", "noise_repeat"):
            assert np.corrcoef(pattern, sample[name].ravel())[0, 1] > 0.5
        # independent quanta in the pair, whose pattern is its own
        assert abs(np.corrcoef(rests[0], (sample["noise_pair"]).ravel())[0, 1]) < 0.15
        assert abs(np.corrcoef(pattern, sample["noise_pair"].ravel())[0, 1]) < 0.15


def test_same_bytes_from_two_workers(pairs, tmp_path):
    datagen.generate(pairs[0], tmp_path / "two.zarr", workers=2, progress=False)
    assert hashes(tmp_path / "two.zarr") == hashes(pairs[1])


def test_options_change_nothing_of_the_rest(tmp_path):
    """The images that every corpus has are the same without the optional ones, where these draw nothing."""
    few, steady = ("scenes = 5", "scenes = 2"), ("{ uniform = [0.05, 0.07] }", "0.06")
    full = saved(tmp_path, PAIR, few, steady)
    plain = full.read_text().replace('store = ["sharp", "repeat", "thickness"]\n', "")
    start, stop = plain.index("[detector.pair]"), plain.index("[[body]]")
    (tmp_path / "plain.toml").write_text(plain[:start] + plain[stop:])
    datagen.generate(full, tmp_path / "full.zarr", progress=False)
    datagen.generate(tmp_path / "plain.toml", tmp_path / "plain.zarr", progress=False)
    one, other = (datagen.open_corpus(tmp_path / name).subset() for name in ("plain.zarr", "full.zarr"))
    assert len(one) == len(other) == 2
    for plainer, fuller in zip(one, other, strict=True):
        for name in one.images:
            assert np.array_equal(plainer[name], fuller[name])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (('"repeat"', '"repaet"'), ["store", "'sharp', 'repeat' or 'thickness'"]),
        (("scenes = 5", 'scenes = 5\nnoise = "none"'), ["noise", "'stored' or 'derived'"]),
        (("same_quanta = true", "rows = 30"), ["pair.rows", "leave it out"]),
        (("same_quanta = true", 'same_quanta = "yes"'), ["pair.same_quanta", "true or false"]),
        (("134.55", "20.0"), ["thinner one", "same_quanta = false"]),
        (("areal_density_mg_cm2 = 134.55", "areal_densty_mg_cm2 = 134.55"), ["pair", "areal_density_mg_cm2"]),
    ],
)
def test_what_cannot_be_stored_is_refused_in_one_line(tmp_path, change, words):
    corpus = saved(tmp_path, PAIR, change)
    with pytest.raises(xsim.CorpusError) as caught:
        datagen.generate(corpus, tmp_path / "out.zarr", progress=False)
    assert "\n" not in str(caught.value) and not (tmp_path / "out.zarr").exists()
    for word in words:
        assert word in str(caught.value)


def test_few_energies_of_both_images(tmp_path):
    """Fits of the second beam and of the pair's screen are in the store too, and within the bound."""
    pair = "[detector.pair]\nscintillator = { areal_density_mg_cm2 = 33.91 }\n[[body]]"
    few = ("quanta_per_pixel = 200", 'quanta_per_pixel = 200\nenergies = "few"')
    changes = (few, ("{ uniform = [110, 130] }", "120"), ("[[body]]", pair))
    corpus = saved(tmp_path, TWICE, *changes)
    datagen.generate(corpus, tmp_path / "out.zarr", progress=False)
    out = datagen.open_corpus(tmp_path / "out.zarr")
    assert len(out.description["quadratures"]) == 3
    for sample in out.subset():
        told = sample["params"]
        for suffix in ("", "_second"):
            assert 2 <= told[f"energies{suffix}"] <= 9 and 0 < told[f"energies_bound{suffix}"] < 1e-3
        # the thin screen's edge at 60 kV asks for more than nine: all bins, without an error
        assert (told["energies_pair"], told["energies_bound_pair"]) == (65, 0.0)
        assert all(type(told[f"energies{suffix}"]) is int for suffix in ("", "_second", "_pair"))


def test_torch_gives_them(pairs):
    """Random access and streamed whole shards, the same crops of every image."""
    torch = pytest.importorskip("torch")
    from datagen.torch_data import CorpusDataset, CorpusStream

    names = ("noisy", "noisy_repeat", "sharp", "noise_pair", "valid_pair", "thickness")
    view = datagen.open_corpus(pairs[1]).subset()
    item = CorpusDataset(view, images=names)[2]
    for name in names:
        assert np.array_equal(item[name][0].numpy(), view[2][name])
    stream = CorpusStream(view, images=names, batch=5, augment=False, crops_per_sample=1)
    batch = next(iter(stream))
    for name in names:
        assert batch[name].shape == (5, 1, 40, 44)
        wanted = np.stack([view[int(index)][name] for index in batch["index"]])[:, None]
        assert torch.equal(batch[name], torch.from_numpy(wanted))
