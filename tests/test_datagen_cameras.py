"""Corpora of other cameras than a panel's preset: line scans, camera files, and those that give two images."""

from importlib import resources

import numpy as np
import pytest
from test_datagen_corpus_file import written

import datagen
import xsim
from datagen.corpus_file import load_corpus
from datagen.layout import Layout
from datagen.sample import simulate_scene
from datagen.scenes import draw_scene, noise_seed

BELT = """
[corpus]
name = "belt"
scenes = 3
shard_samples = 2
[source]
voltage_kv = { uniform = [60, 90] }
filters = [{ material = "Al", thickness_mm = 1.0 }]
[geometry]
sod_mm = 400
sdd_mm = 500
[acquisition]
quanta_per_pixel = { log_uniform = [300, 3000] }
belt_speed_m_s = 0.32
line_rate_hz = 1000
lines = 24
[detector]
preset = "generic-linescan-gos-400um"
columns = 32
[[body]]
name = "ball"
shape = "sphere"
radius_mm = 2
material = "Al"
position_mm = [{ uniform = [-2, 2] }, 1.5, 0]
"""
PANEL = """
[corpus]
name = "mine"
scenes = 2
[source]
voltage_kv = 80
[acquisition]
quanta_per_pixel = { uniform = [300, 900] }
[geometry]
sod_mm = 400
sdd_mm = 500
[detector]
preset = "mine.toml"
rows = 16
columns = 20
"""


def saved(folder, text, *changes, name="corpus.toml"):
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    (folder / name).write_text(text)
    return folder / name


def camera_file(folder, *changes):
    text = (resources.files("xsim") / "detectors" / "generic-gos-200um.toml").read_text()
    return saved(folder, text, *changes, name="mine.toml")


def test_a_line_scan_is_stored_with_all_its_lines(tmp_path):
    corpus, out = saved(tmp_path, BELT), tmp_path / "out.zarr"
    datagen.generate(corpus, out, progress=False)
    reader, known = datagen.open_corpus(out), load_corpus(corpus)
    assert reader.formats == ["generic-linescan-gos-400um-24x32"] and reader.complete
    view = reader.subset()
    assert view.shape == (24, 32) and len(view) == 3
    for sample in view:
        scene = draw_scene(known, sample["index"])[0].scene
        image = xsim.simulate(scene, noise_seed(known, sample["index"]), "cpu", threads=1)
        assert image.noisy.shape == (24, 32)
        for name in ("noisy", "clean", "noise", "labels", "valid"):
            assert np.array_equal(sample[name], getattr(image, name))
        (ball,) = reader.instances(sample["index"])
        assert ball["row_stop"] - ball["row_first"] == pytest.approx(4 / 0.32, abs=2)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("lines = 24", "lines = { integers = [20, 24] }"), ["acquisition.lines cannot be drawn"]),
        (("lines = 24\n", ""), ["needs acquisition.lines", "None"]),
        (("lines = 24", "lines = 0"), ["needs acquisition.lines", "0"]),
        (("columns = 32", "columns = 32\nrows = 32"), ["one row", "rows = 32"]),
        (("columns = 32\n", ""), ["columns must be a whole number", "None"]),
        (("[acquisition]\n", "[acquisition.choice]\n"), ["acquisition"]),
        (("generic-linescan-gos-400um", "generic-linescan"), ["unknown detector preset", "generic-linescan-gos"]),
        (("generic-linescan-gos-400um", "none.toml"), ["none.toml", "not read"]),
    ],
)
def test_what_cannot_be_stored_is_refused_in_one_line(tmp_path, change, words):
    with pytest.raises(xsim.CorpusError) as caught:
        load_corpus(saved(tmp_path, BELT, change))
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message


def test_a_line_camera_by_its_fields(tmp_path):
    kind = ('preset = "generic-gos-200um"\nrows = 128', 'preset = "generic-gos-200um"\nkind = "line_scan"')
    belt = ("[acquisition]\n", "[acquisition]\nbelt_speed_m_s = 0.1\nline_rate_hz = 800\nlines = 12\n")
    corpus = load_corpus(written(tmp_path, kind, belt))
    assert (corpus.formats[0].rows, corpus.formats[0].columns) == (12, 128)


def test_an_image_of_another_shape_is_never_stretched(tmp_path, monkeypatch):
    """What zarr would repeat over its rows, or cut, is an error before anything is written."""
    corpus, out = saved(tmp_path, BELT), tmp_path / "out.zarr"
    datagen.generate(corpus, out, progress=False)

    def one_line(*arguments):
        made = simulate_scene(*arguments)
        for sample in made.samples:
            sample.images["labels"] = sample.images["labels"][:1]
        return made

    monkeypatch.setattr("datagen.shard.simulate_scene", one_line)
    before = datagen.open_corpus(out).commits
    with pytest.raises(xsim.CorpusError, match=r"labels images .* are \(1, 32\), .* \(24, 32\)"):
        datagen.write_shard(corpus, out, 0)
    assert datagen.open_corpus(out).commits == before


def test_a_store_of_single_lines_is_not_taken_for_complete(tmp_path):
    """Earlier versions kept one line of each scan."""
    corpus, out = saved(tmp_path, BELT), tmp_path / "out.zarr"
    datagen.generate(corpus, out, progress=False)
    described = out / "generic-linescan-gos-400um-24x32" / "zarr.json"
    described.write_text(described.read_text().replace('"rows": 24', '"rows": 1'))
    with pytest.raises(xsim.CorpusError, match=r"zarr.json is not as it was written"):
        datagen.generate(corpus, out, progress=False)


def test_a_camera_file_of_ones_own(tmp_path):
    """It makes the images, and another content of it is another corpus."""
    corpus, out = saved(tmp_path, PANEL), tmp_path / "out.zarr"
    camera_file(tmp_path, ("read_noise_adu = 4.0 ", "read_noise_adu = 31.0 "))
    before = load_corpus(corpus)
    assert Layout(before).samples == 2 and before.formats[0].name == "mine-16x20"
    datagen.generate(corpus, out, progress=False)
    assert (datagen.open_corpus(out).subset().params("read_noise_adu") == 31.0).all()
    camera_file(tmp_path, ("read_noise_adu = 4.0 ", "read_noise_adu = 30.0 "))
    assert load_corpus(corpus).sha256 != before.sha256
    with pytest.raises(xsim.CorpusError, match="before its file was changed"):
        datagen.generate(corpus, out, progress=False)


def test_a_line_camera_of_a_file_of_ones_own(tmp_path):
    (tmp_path / "mine.toml").write_text('kind = "line_scan"\npitch_mm = 0.4\n[second_layer]\n')
    corpus = saved(tmp_path, BELT, ("generic-linescan-gos-400um", "mine.toml"))
    assert load_corpus(corpus).formats[0].rows == 24 and load_corpus(corpus).formats[0].others == ("second",)


def changed_hash(corpus, file, content):
    before = load_corpus(corpus).sha256
    file.write_bytes(content)
    return load_corpus(corpus).sha256 != before


def test_the_hash_notices_another_focal_spot(tmp_path):
    spot = 'voltage_kv = 80\nfocal_spot_shape = "image"\nfocal_spot_image = { choice = ["spot.npy"] }'
    corpus = saved(tmp_path, BELT, ("voltage_kv = { uniform = [60, 90] }", spot))
    assert changed_hash(corpus, tmp_path / "spot.npy", b"one")
    assert changed_hash(corpus, tmp_path / "spot.npy", b"two")


@pytest.mark.parametrize(
    ("volume", "file"),
    [
        ("part.npy", "part.npy"),
        ("part.zarr", "part.zarr/c/0/0"),
        ("slices", "slices/001.TIF"),
        ("part.mhd", "part.raw"),
        ("listed.mhd", "b.raw"),
    ],
)
def test_the_hash_notices_other_voxels(tmp_path, volume, file):
    (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / "part.mhd").write_text("NDims = 3\nElementDataFile = part.raw\n")
    (tmp_path / "listed.mhd").write_text("NDims = 3\nElementDataFile = LIST\na.raw\nb.raw\n")
    corpus = saved(tmp_path, BELT, ('shape = "sphere"', f'volume = "{volume}"'))
    assert changed_hash(corpus, tmp_path / file, b"one")
    assert changed_hash(corpus, tmp_path / file, b"two")
    (tmp_path / "other.raw").write_bytes(b"beside")
    before = load_corpus(corpus).sha256
    (tmp_path / "other.raw").unlink()
    assert load_corpus(corpus).sha256 == before
