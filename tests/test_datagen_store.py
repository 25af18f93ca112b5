"""The store: what is in it, and that what is read is what was simulated."""

import hashlib
import json

import numpy as np
import pytest
import zarr
from test_datagen_corpus_file import written

import datagen
import xsim
from datagen.commit import read_commits
from datagen.corpus_file import load_corpus
from datagen.instances import contrast, label_boxes
from datagen.layout import Layout
from datagen.scenes import draw_scene, noise_seed

FORMAT = "generic-gos-200um-48x40"
SMALL = (("rows = 128", "rows = 48"), ("columns = 128", "columns = 40"), ("shard_samples = 32", "shard_samples = 4"))
ELEVEN = (*SMALL, ("scenes = 4", "scenes = 11"))


def small_corpus(folder, *changes, name="corpus.toml"):
    return written(folder, *ELEVEN, *changes, name=name)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A corpus of 11 samples in 3 shards; tests that harm it copy it first."""
    folder = tmp_path_factory.mktemp("corpus")
    corpus, out = small_corpus(folder), folder / "out.zarr"
    summary = datagen.generate(corpus, out, progress=False)
    assert (summary.samples, summary.shards, summary.written) == (11, 3, 3)
    return corpus, out


def hashes(out):
    """sha256 of every file below a folder."""
    files = sorted(path for path in out.rglob("*") if path.is_file())
    return {str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_plain_zarr_reads_it(made):
    """Arrays, chunks of one sample, whole shards, codecs with checksum, fill values; of listing it cards are told."""
    _, out = made
    group = zarr.open_group(out, mode="r")
    with pytest.warns(zarr.errors.ZarrUserWarning) as told:
        members = list(group.members(max_depth=None))
    assert {str(each.message).split()[2] for each in told} == {"README.md", "croissant.json"}
    assert {name for name, _ in members if name.count("/") == 0} == {FORMAT, "commits"}
    kinds = {"noisy": np.uint16, "clean": np.float32, "noise": np.float32, "labels": np.uint16, "valid": np.uint8}
    for name, kind in kinds.items():
        array = group[f"{FORMAT}/{name}"]
        assert array.shape == (11, 48, 40) and array.dtype == kind
        assert array.chunks == (1, 48, 40) and array.shards == (4, 48, 40)
        described = json.loads((out / FORMAT / name / "zarr.json").read_text())
        codecs = described["codecs"][0]["configuration"]["codecs"]
        blosc = next(each["configuration"] for each in codecs if each["name"] == "blosc")
        expected = ("zstd", 1, "bitshuffle" if name == "noise" else "shuffle", np.dtype(kind).itemsize)
        assert (blosc["cname"], blosc["clevel"], blosc["shuffle"], blosc["typesize"]) == expected
        assert codecs[-1]["name"] == "crc32c"
        assert np.isnan(array.fill_value) if kind == np.float32 else array.fill_value == 0
    noisy, clean, noise = (group[f"{FORMAT}/{name}"][:] for name in ("noisy", "clean", "noise"))
    assert np.array_equal(noisy.astype(np.float32), clean + noise)
    assert np.isfinite(clean).all() and np.isfinite(noise).all() and noise.any()
    assert np.array_equal(clean * 16, np.rint(clean * 16))


def test_stored_samples_are_the_simulated_ones(made):
    corpus, out = load_corpus(made[0]), datagen.open_corpus(made[1])
    for sample in list(out.subset())[::5]:
        scene, _ = draw_scene(corpus, sample["params"]["scene"])
        image = xsim.simulate(scene.scene, seed=noise_seed(corpus, scene.index), backend="cpu", threads=1)
        for name in ("noisy", "clean", "noise", "labels", "valid"):
            assert np.array_equal(sample[name], getattr(image, name))
        params = sample["params"]
        for name in ("seed", "a_pixel_adu", "b_adu2", "offset_adu", "quanta_per_pixel", "exposure_mas"):
            assert params[name] == image.metadata[name]
        assert params["voltage_kv"] == scene.scene.source.voltage_kv
        assert params["redraws"] == scene.attempt and params["bodies"] == len(scene.scene.body)
        assert set(scene.drawn) <= set(params)


def test_reader(made):
    out = datagen.open_corpus(made[1])
    assert out.complete and out.samples == 11 and out.formats == [FORMAT]
    assert out.sha256 == load_corpus(made[0]).sha256
    whole = out.subset()
    assert len(whole) == 11 and [each["index"] for each in whole] == list(range(11))
    parts = {name: out.subset(split=name) for name in ("train", "val", "test")}
    indices = [each["index"] for part in parts.values() for each in part]
    assert sorted(indices) == list(range(11)) and len(parts["train"]) > len(parts["test"])
    for name, part in parts.items():
        assert all(each["params"]["split"] == name for each in part)
    sample = whole[3]
    assert sample["noisy"].dtype == sample["clean"].dtype == sample["noise"].dtype == np.float32
    assert np.array_equal(sample["noisy"], sample["clean"] + sample["noise"])
    assert whole.params("quanta_per_pixel")[3] == sample["params"]["quanta_per_pixel"]
    # without memory for the images they are read one by one, the same
    frugal = datagen.open_corpus(made[1], cache_bytes=0).subset()[3]
    assert all(np.array_equal(frugal[name], sample[name]) for name in ("noisy", "clean", "noise", "labels", "valid"))
    # nobody's copy is another's
    sample["clean"][:] = 0
    assert whole[3]["clean"].any()
    with pytest.raises(xsim.CorpusError, match="unknown split"):
        out.subset(split="training")
    with pytest.raises(xsim.CorpusError, match="no format"):
        out.subset("other")


def test_instance_table(made):
    """Boxes and pixels are those of the label image; sizes and places those of the drawn bodies."""
    corpus, out = load_corpus(made[0]), datagen.open_corpus(made[1])
    for sample in out.subset():
        scene, _ = draw_scene(corpus, sample["params"]["scene"])
        rows = out.instances(sample["index"])
        assert [row["label"] for row in rows] == list(range(1, len(scene.scene.body) + 1))
        for row, body in zip(rows, scene.scene.body, strict=True):
            assert row["class"] == body.shape and row["material"] == body.material
            assert (row["x_mm"], row["y_mm"], row["z_mm"]) == body.position_mm
            mask = sample["labels"] == row["label"]
            assert row["pixels"] == mask.sum()
            if body.shape == "sphere":
                assert row["group"] == "sphere" and row["size_x_mm"] == 2 * body.radius_mm
            if mask.any():
                where = np.nonzero(mask)
                assert (row["row_first"], row["row_stop"]) == (where[0].min(), where[0].max() + 1)
                assert (row["column_first"], row["column_stop"]) == (where[1].min(), where[1].max() + 1)
            else:
                assert row["row_first"] is None and row["contrast_adu"] is None


def test_contrast_to_noise_of_a_known_disc():
    """A dark disc of depth 50 on a flat field of 900 ADU: contrast -50, noise sqrt(2 * 900 + 25)."""
    row, column = np.mgrid[:40, :40]
    disc = (row - 20) ** 2 + (column - 18) ** 2 <= 25
    labels = np.where(disc, 2, 1).astype(np.uint16)
    labels[18:22, 30:34] = 3
    clean = np.where(disc, 850.0, 900.0).astype(np.float32)
    clean[labels == 3] = 100.0
    image = xsim.Radiograph(
        clean, clean, 0 * clean, clean, labels > 0, labels, {"a_pixel_adu": 2.0, "b_adu2": 25.0}
    )  # fmt: skip
    boxes = label_boxes(labels, 4)
    assert boxes[1].tolist() == [15, 26, 13, 24, int(disc.sum())] and boxes[3].tolist() == [0] * 5
    placed = np.array([False, False, True, True])
    difference, ratio = contrast(image, 2, boxes[1, :4], placed)
    assert difference == -50.0 and ratio == pytest.approx(50 / (2 * 900 + 25) ** 0.5)


def test_commit_records_hold_the_hashes(made):
    _, out = made
    records = list(read_commits(out))
    assert [record["shard"] for record in records] == [0, 1, 2]
    listed = {name: facts["sha256"] for record in records for name, facts in record["files"].items()}
    found = hashes(out)
    assert {name for name in found if "/c/" in name} == set(listed)
    assert all(found[name] == digest for name, digest in listed.items())
    for record in records:
        assert record["backend"] == "cpu" and record["versions"]["xsim"] and record["versions"]["zarr"]


def test_formats_and_static_series(tmp_path):
    """Two detectors take turns; frames of a scene share everything but the noise, and the split."""
    two = '[[detector]]\nname = "wide"\npreset = "generic-gos-200um"\nrows = 24\ncolumns = 600\n\n[[detector]]'
    corpus = small_corpus(
        tmp_path, ("[detector]", two), ("scenes = 11", "scenes = 5"), ("frames_per_scene = 1", "frames_per_scene = 3")
    )
    out = tmp_path / "out.zarr"
    datagen.generate(corpus, out, progress=False)
    reader = datagen.open_corpus(out)
    assert reader.formats == ["wide", FORMAT]
    with pytest.raises(xsim.CorpusError, match="several formats"):
        reader.subset()
    wide, small = reader.subset("wide"), reader.subset(FORMAT)
    assert (len(wide), len(small)) == (9, 6)
    assert [each["index"] for each in small] == [3, 4, 5, 9, 10, 11]
    array = zarr.open_array(out / "wide" / "noisy", mode="r")
    assert array.chunks == (1, 24, 512) and array.shards == (3, 24, 1024)
    first, second, third = (wide[k] for k in range(3))
    assert np.array_equal(first["clean"], second["clean"]) and not np.array_equal(first["noise"], second["noise"])
    assert first["params"]["split"] == third["params"]["split"] and third["params"]["frame"] == 2
    assert abs(np.corrcoef(first["noise"].ravel(), second["noise"].ravel())[0, 1]) < 0.05
    assert [row["label"] for row in reader.instances(small[4]["index"])] == list(
        range(1, small[4]["params"]["bodies"] + 1)
    )


def test_no_two_samples_share_noise(made):
    noise = np.stack([each["noise"].ravel() for each in datagen.open_corpus(made[1]).subset()])
    correlation = np.corrcoef(noise) - np.eye(len(noise))
    assert np.abs(correlation).max() < 6 / noise.shape[1] ** 0.5 * 2  # neighbours correlate: fewer free pixels


def test_layout_is_arithmetic(tmp_path):
    """Every sample in one shard, at most 256 MB of each image array per shard; planned sizes cost nothing."""
    million = load_corpus(
        small_corpus(
            tmp_path,
            ("scenes = 11", "scenes = 10000000"),
            ("rows = 48", "rows = 512"),
            ("columns = 40", "columns = 512"),
            ("shard_samples = 4", "shard_samples = 4000"),
        )
    )
    layout = Layout(million)
    shards = [layout.shard(number) for number in (0, 1, layout.shards - 1)]
    assert layout.shard_samples(0) * 512 * 512 * 4 <= 256e6
    assert shards[1].first == shards[0].count
    assert shards[2].first + shards[2].count == 10_000_000
    with pytest.raises(IndexError):
        layout.shard(layout.shards)


def test_meshes_compounds_and_grey_value_targets(tmp_path):
    """A mesh named relative to the corpus file, a material by formula, exposure by grey value, one energy."""
    (tmp_path / "part.stl").write_bytes(
        (xsim.phantom_path("bearing-bracket").parent / "bearing-bracket.stl").read_bytes()
    )
    corpus = tmp_path / "corpus.toml"
    corpus.write_text(
        """
        [corpus]
        name = "brackets"
        scenes = 3
        [source]
        energy_kev = { choice = [60, 90] }
        [acquisition]
        target_gv = { uniform = [0.2, 0.8] }
        [detector]
        preset = "generic-gos-200um"
        rows = 64
        columns = 64
        pitch_mm = 1.6
        sensor = { read_noise_adu = { uniform = [2, 20] } }
        [[body]]
        name = "bracket"
        mesh = { choice = ["part.stl"] }
        mesh_unit = "mm"
        material = { choice = [{ formula = "Al2O3", density_g_cm3 = 3.9 }, "Ti"] }
        rotation_deg = [{ uniform = [0, 360] }, { uniform = [0, 360] }, { uniform = [0, 360] }]
        """
    )
    datagen.generate(corpus, tmp_path / "out.zarr", progress=False)
    reader = datagen.open_corpus(tmp_path / "out.zarr")
    for sample in reader.subset():
        params, (row,) = sample["params"], reader.instances(sample["index"])
        assert params["voltage_kv"] is None and params["source.energy_kev"] in (60, 90)
        assert params["mean_energy_kev"] == pytest.approx(params["source.energy_kev"])
        assert params["read_noise_adu"] == params["detector.sensor.read_noise_adu"]
        assert params["exposure_mas"] > 0 and sample["noisy"].max() > 0.15 * 65535
        assert row["class"] == "mesh" and row["material"] in ("Al2O3", "Ti")
        assert row["pixels"] > 50 and min(row["size_x_mm"], row["size_y_mm"], row["size_z_mm"]) > 1
        assert row["contrast_adu"] < 0 and row["contrast_to_noise"] > 1
