"""What 2000 samples hold, read back from their store: distributions, joint tables, grey levels, noise, splits."""

import hashlib

import numpy as np
import pytest
from scipy import stats

import datagen

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
SAMPLES, SIZE = 2000, 64
VOLTAGES, CURRENTS, FILTERS = (60, 90, 120), (5.0, 3.0, 1.5), ("Al 1", "Al 3", "Cu 0.3")
WEIGHTS = (0.2, 0.5, 0.3)
CORPUS = f"""
[corpus]
name = "statistics"
scenes = {SAMPLES}
seed = 11
saturated_share = 0.01
split = {{ train = 0.7, val = 0.1, test = 0.2 }}

[conditions]
columns = ["source.voltage_kv", "source.current_ma", "source.filters"]
rows = [
    [60, 5.0, [{{ material = "Al", thickness_mm = 1 }}]],
    [90, 3.0, [{{ material = "Al", thickness_mm = 3 }}]],
    [120, 1.5, [{{ material = "Cu", thickness_mm = 0.3 }}]],
]
weights = {list(WEIGHTS)}

[source]
heel = false

[geometry]
sod_mm = {{ uniform = [400, 500] }}
sdd_mm = {{ normal = [900, 30], limits = [820, 960], with = "geometry.sod_mm", correlation = 0.6 }}

[acquisition]
target_gv = {{ uniform = [0.3, 0.97] }}

[detector]
preset = "generic-gos-200um"
rows = {SIZE}
columns = {SIZE}
sensor = {{ read_noise_adu = {{ log_uniform = [2, 20] }}, offset_adu = {{ integers = [100, 400] }} }}

[[body]]
name = "plate"
shape = "box"
size_mm = [{{ uniform = [2, 20] }}, {{ uniform = [2, 20] }}, {{ log_uniform = [1, 60] }}]
material = {{ choice = ["PMMA", "Al", "Fe"], weights = [2, 1, 1] }}
position_mm = [{{ normal = [0, 1] }}, {{ normal = [0, 1], limits = [-1, 1] }}, 0]
rotation_deg = [0, 0, {{ uniform = [0, 180] }}]

[[body]]
name = "ball"
shape = "sphere"
count = {{ integers = [0, 3] }}
radius_mm = {{ log_normal = [0.4, 0.3], limits = [0.1, 1.5] }}
material = "air"
priority = 1
position_mm = [{{ uniform = [-1, 1] }}, 0, 0]
"""
LAWS = {
    "geometry.sod_mm": stats.uniform(400, 100),
    "geometry.sdd_mm": stats.truncnorm((820 - 900) / 30, (960 - 900) / 30, 900, 30),
    "acquisition.target_gv": stats.uniform(0.3, 0.67),
    "detector.sensor.read_noise_adu": stats.loguniform(2, 20),
    "body.plate.size_mm.0": stats.uniform(2, 18),
    "body.plate.size_mm.1": stats.uniform(2, 18),
    "body.plate.size_mm.2": stats.loguniform(1, 60),
    "body.plate.position_mm.0": stats.norm(0, 1),
    "body.plate.position_mm.1": stats.truncnorm(-1, 1),
    "body.plate.rotation_deg.2": stats.uniform(0, 180),
}
SHARES = {
    "detector.sensor.offset_adu": np.full(301, 1 / 301),
    "body.plate.material": np.array([0.5, 0.25, 0.25]),
    "body.ball.count": np.full(4, 0.25),
    "conditions": np.array(WEIGHTS),
}


@pytest.fixture(scope="module")
def view(tmp_path_factory):
    folder = tmp_path_factory.mktemp("statistics")
    (folder / "corpus.toml").write_text(CORPUS, encoding="utf-8")
    datagen.generate(folder / "corpus.toml", folder / "out.zarr", workers=2, progress=False)
    return datagen.open_corpus(folder / "out.zarr").subset()


@pytest.fixture(scope="module")
def images(view):
    """Clean, and noise over its standard deviation sqrt(a x + b), float32 [sample, pixel]."""
    clean, noise = (np.empty((SAMPLES, SIZE * SIZE), np.float32) for _ in range(2))
    for k, sample in enumerate(view):
        clean[k], params = sample["clean"].ravel(), sample["params"]
        noise[k] = sample["noise"].ravel() / np.sqrt(params["a_pixel_adu"] * clean[k] + params["b_adu2"])
    return clean, noise


def test_continuous_parameters_follow_their_laws(view):
    """Kolmogorov-Smirnov against scipy's own distributions, p > 0.01 each."""
    found = {name: stats.kstest(view.params(name), law.cdf).pvalue for name, law in LAWS.items()}
    assert len(view) == SAMPLES and min(found.values()) > 0.01


def test_choices_and_whole_numbers_have_their_shares(view):
    """Chi-square, p > 0.01 each; no value outside."""
    found = {}
    for name, shares in SHARES.items():
        first = 100 if name.endswith("offset_adu") else 0
        counts = np.bincount(view.params(name).astype(int) - first, minlength=len(shares))
        assert len(counts) == len(shares), name
        found[name] = stats.chisquare(counts, shares * SAMPLES).pvalue
    assert min(found.values()) > 0.01


def test_radii_of_repeated_bodies_follow_their_law(view):
    """Of every instance of every scene, from the instance table."""
    rows = [row for k in range(SAMPLES) for row in view.corpus.instances(k) if row["group"] == "ball"]
    law = stats.lognorm(0.3, scale=0.4)
    low, high = law.cdf([0.1, 1.5])
    radii = [row["size_x_mm"] / 2 for row in rows]
    assert len(radii) == view.params("body.ball.count").sum()
    assert stats.kstest(radii, lambda x: (law.cdf(x) - low) / (high - low)).pvalue > 0.01


def test_joint_tables_keep_their_joint_frequencies(view):
    """Only rows of the table, each with all of its values, by their weights."""
    voltage, current = view.params("source.voltage_kv"), view.params("source.current_ma")
    words = view.reader.words["source.filters"]
    filters = view.params("source.filters").astype(int)
    found = list(zip(voltage, current, filters, strict=True))
    rows = [(v, c, k) for k, (v, c) in enumerate(zip(VOLTAGES, CURRENTS, strict=True))]
    assert ["Cu" in word for word in words] == [False, False, True]
    assert set(found) == set(rows)
    counts = [found.count(row) for row in rows]
    assert stats.chisquare(counts, np.array(WEIGHTS) * SAMPLES).pvalue > 0.01


def test_values_that_follow_are_correlated_as_asked(view):
    """Spearman's rank correlation within 4 standard deviations of 6 / pi asin(rho / 2)."""
    found = stats.spearmanr(view.params("geometry.sod_mm"), view.params("geometry.sdd_mm")).statistic
    assert abs(found - 6 / np.pi * np.arcsin(0.3)) < 4 / np.sqrt(SAMPLES)


def test_clean_levels_fill_the_range_and_clip_no_more_than_asked(view, images):
    """Each of 16 equal parts from black to 0.97 of full scale has 0.5 % of the pixels; at most 1 % saturate."""
    level = images[0] / 65535
    shares = np.histogram(level, np.linspace(0, 0.97, 17))[0] / level.size
    saturated = view.params("saturated_share")
    assert shares.min() > 0.005 and (level > 0.98).mean() < 1e-4
    assert saturated.max() <= 0.01
    assert 0.95 < np.percentile(level, 99.99) < 0.98 and np.percentile(level, 0.1) < 0.01


def test_no_two_samples_share_noise(images):
    """No field occurs twice; correlations of pairs are those of independent fields of this spectrum.

    Their variance is the mean of the squared noise power spectrum (of mean 1) over the number of pixels. Of 2e6 pairs
    the greatest is 5.1 standard deviations of a normal law.
    """
    _, noise = images
    assert len({hashlib.sha256(field.tobytes()).digest() for field in noise}) == SAMPLES
    fields = noise - noise.mean(axis=1, keepdims=True)
    fields /= fields.std(axis=1, keepdims=True)
    power = np.mean([np.abs(np.fft.fft2(field.reshape(SIZE, SIZE))) ** 2 for field in fields], axis=0)
    expected = np.sqrt(np.mean((power / power.mean()) ** 2) / SIZE**2)
    pairs = (fields @ fields.T / SIZE**2)[np.triu_indices(SAMPLES, 1)]
    assert pairs.std() == pytest.approx(expected, rel=0.03)
    assert np.abs(pairs).max() < 7 * expected and abs(pairs.mean()) < 0.01 * expected


def test_noise_has_the_variance_that_the_parameters_say(images):
    """Of all samples, noise over sqrt(a x + b) has a variance of 1, within 2 %: the beam hardens within a frame."""
    variance = float((images[1].astype(np.float64) ** 2).mean())
    assert variance == pytest.approx(1.0, abs=0.02)


def test_train_and_test_share_nothing(view):
    """No scene, no seed, no drawn value of a continuous parameter."""
    parts = {name: view.corpus.subset(split=name) for name in ("train", "val", "test")}
    assert [len(part) for part in parts.values()] == pytest.approx([1400, 200, 400], abs=2)
    for name in ("scene", "seed", "geometry.sod_mm", "body.plate.size_mm.2"):
        sets = [set(part.params(name)) for part in parts.values()]
        assert sum(map(len, sets)) == len(set.union(*sets)) == SAMPLES, name


def test_a_limit_of_saturation_is_kept_and_told(tmp_path):
    """Dose up to 1.3 of full scale: scenes of more than 5 % saturated pixels were drawn again, as the store says."""
    text = CORPUS.replace("scenes = 2000", "scenes = 200\nframes_per_scene = 2").replace("share = 0.01", "share = 0.05")
    text = text.replace("sensor = {", "sensor = { saturation_adu = 45000,")
    (tmp_path / "corpus.toml").write_text(text, encoding="utf-8")
    done = datagen.generate(tmp_path / "corpus.toml", tmp_path / "out.zarr", workers=2, progress=False)
    corpus = datagen.open_corpus(tmp_path / "out.zarr")
    reasons = [each["reason"] for record in corpus.commits for each in record["redrawn"]]
    share = corpus.subset().params("saturated_share")
    assert len(reasons) == done.redrawn > 20 and all("saturate" in reason for reason in reasons)
    assert share[::2].max() <= 0.05 and (share > 0).any()
    view = corpus.subset()
    assert (view.params("split")[::2] == view.params("split")[1::2]).all(), "a series is in one part"
    frames = [hashlib.sha256(sample["noise"].tobytes()).digest() for sample in view]
    assert len(set(frames)) == 400
