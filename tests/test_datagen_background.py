"""Corpora with real images as background: bodies in them, splits by image, what is stored, faults."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

import datagen
import xsim
from datagen.cli import main
from datagen.corpus_file import load_corpus
from datagen.layout import Layout
from datagen.sample import simulate_scene
from datagen.scenes import split_of

IMAGES, PAGES = 7, 2
STATION = """
[source]
voltage_kv = 90
current_ma = 1.0
filters = [{ material = "Al", thickness_mm = 2.0 }]
[geometry]
sod_mm = 500
sdd_mm = 800
[acquisition]
quanta_per_pixel = 900
[detector]
preset = "generic-gos-200um"
rows = 64
columns = 72
"""
CORPUS = """
[corpus]
name = "real"
scenes = 21
seed = 3
shard_samples = 8
split = { train = 0.5, val = 0.25, test = 0.25 }
[background]
images = "images"
material = "PMMA"
"""
BODIES = """
[[body]]
name = "steel"
shape = "sphere"
count = { integers = [0, 2] }
radius_mm = { uniform = [0.3, 0.6] }
material = { choice = ["316L", "Cu"] }
[[body]]
name = "shard"
shape = "box"
size_mm = [2.0, 1.5, { uniform = [0.5, 1.0] }]
rotation_deg = "random"
material = "glass"
target = false
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images of blocks of PMMA, two pages each, and their expected images beside."""
    folder = tmp_path_factory.mktemp("real")
    for name in ("images", "clean"):
        (folder / name).mkdir()
    (folder / "station.toml").write_text(STATION)
    station = xsim.load_scene(folder / "station.toml").model_dump(exclude_none=True)
    for k in range(IMAGES):
        block = {"shape": "box", "size_mm": [90.0, 90.0, 20.0 + 3.0 * k], "material": "PMMA"}
        exposure = xsim.expose(xsim.scene_from_dict({**station, "body": [block]}), "cpu")
        pages = np.stack([exposure.record(k, page).noisy for page in range(PAGES)]).astype(np.uint16)
        tifffile.imwrite(folder / "images" / f"{k}.tif", pages, photometric="minisblack")
        tifffile.imwrite(folder / "clean" / f"{k}.tif", exposure.record(k).expected, photometric="minisblack")
    return folder


def written(home: Path, name: str, changes: dict[str, str] | None = None, bodies: str = BODIES) -> Path:
    text = CORPUS + STATION + bodies
    for old, new in (changes or {}).items():
        assert old in text
        text = text.replace(old, new)
    (home / f"{name}.toml").write_text(text)
    return home / f"{name}.toml"


@pytest.fixture(scope="module")
def store(home: Path) -> datagen.Corpus:
    changes = {'images = "images"\n': 'images = "images"\nclean_images = "clean"\n'}
    datagen.generate(written(home, "clean", changes), home / "clean.zarr", progress=False)
    return datagen.open_corpus(home / "clean.zarr")


def test_samples_hold_what_a_simulated_one_does(store: datagen.Corpus) -> None:
    """With clean images; the noise under the bodies is that of the camera's law at the clean level."""
    view, standardised = store.subset(), []
    for sample in view:
        assert (sample["noisy"] == sample["clean"] + sample["noise"]).all()
        assert (sample["noisy"] % 1 == 0).all()
        law = sample["params"]["a_pixel_adu"] * sample["clean"] + sample["params"]["b_adu2"]
        standardised.append((sample["noise"] / np.sqrt(law))[sample["labels"] > 0])
    z = np.concatenate(standardised)
    assert len(z) > 1500
    pixels = len(z) / 3.5  # as many as are independent
    assert abs(z.mean()) < 4.5 / np.sqrt(pixels)
    # the law is that of the open beam; behind PMMA a quantum weighs up to 7 % more
    assert -0.05 - 4.5 * np.sqrt(2 / pixels) < z.var() - 1 < 0.10 + 4.5 * np.sqrt(2 / pixels)


def test_no_real_image_is_in_two_parts(store: datagen.Corpus) -> None:
    parts: dict[str, set[str]] = {}
    for sample in store.subset():
        parts.setdefault(sample["params"]["image"], set()).add(sample["params"]["split"])
    assert len(parts) == IMAGES
    assert all(len(each) == 1 for each in parts.values())
    assert len(set.union(*parts.values())) > 1


def test_instances_are_where_the_labels_show_them(store: datagen.Corpus) -> None:
    seen = {"steel": 0, "shard": 0}
    for sample in store.subset():
        for row in store.instances(sample["index"]):
            pixels = np.argwhere(sample["labels"] == row["label"])
            assert len(pixels) == row["pixels"] > 0
            low, high = pixels.min(axis=0), pixels.max(axis=0) + 1
            assert [row["row_first"], row["row_stop"]] == [low[0], high[0]]
            assert [row["column_first"], row["column_stop"]] == [low[1], high[1]]
            assert row["contrast_adu"] < 0 < row["contrast_to_noise"]
            assert row["target"] == (row["group"] == "steel")
            assert row["material"] in (("316L", "Cu") if row["group"] == "steel" else ("glass",))
            seen[row["group"]] += 1
    assert min(seen.values()) > 5


def test_without_clean_images_there_is_none(home: Path) -> None:
    path = written(home, "noisy", {"scenes = 21": "scenes = 3"})
    datagen.generate(path, home / "noisy.zarr", progress=False)
    corpus = datagen.open_corpus(home / "noisy.zarr")
    assert list(Layout(load_corpus(path)).arrays(load_corpus(path).formats[0])) == ["noisy", "labels", "valid"]
    sample = corpus.subset()[0]
    assert {"noisy", "labels", "valid"} <= set(sample)
    assert not {"clean", "noise"} & set(sample)
    assert corpus.instances(0)[0]["contrast_adu"] < 0


def test_a_scene_is_its_own_whatever_was_made_before(home: Path) -> None:
    corpus = load_corpus(written(home, "alone"))
    for index in (0, 5, 19):
        one, two = (simulate_scene(corpus, index, range(1)).samples[0] for _ in range(2))
        assert all((one.images[name] == two.images[name]).all() for name in one.images)
        np.testing.assert_array_equal(one.instances, two.instances)
    first, again = (simulate_scene(corpus, index, range(1)).samples[0].images for index in (2, 2 + IMAGES))
    assert (first["labels"] != again["labels"]).any(), "an image's next turn has other bodies"


def test_a_scene_without_bodies_is_the_image(home: Path) -> None:
    corpus = load_corpus(written(home, "none", bodies='[[body]]\nname = "x"\nshape = "sphere"\nradius_mm = 0.5\n'
                                 'material = "Al"\ncount = 0\n'))  # fmt: skip
    sample = simulate_scene(corpus, 9, range(1)).samples[0]
    pages = tifffile.imread(home / "images" / "2.tif")
    assert (sample.images["noisy"] == pages[1]).all(), "the second turn of an image takes its second page"
    assert not sample.images["labels"].any()


def test_pages_are_frames_of_a_series(home: Path) -> None:
    corpus = load_corpus(written(home, "series", {"seed = 3": "seed = 3\nframes_per_scene = 2"}))
    made = simulate_scene(corpus, 4, range(2)).samples
    assert (made[0].images["labels"] == made[1].images["labels"]).all()
    assert (made[0].images["noisy"] != made[1].images["noisy"]).mean() > 0.9
    assert split_of(corpus, 4) == split_of(corpus, 4 + IMAGES)


def test_the_hash_covers_the_images(home: Path, tmp_path: Path) -> None:
    text = written(home, "hash").read_text()
    for name in ("images", "clean"):
        (tmp_path / name).mkdir()
        for file in (home / name).iterdir():
            (tmp_path / name / file.name).write_bytes(file.read_bytes())
    (tmp_path / "corpus.toml").write_text(text)
    before = load_corpus(tmp_path / "corpus.toml").sha256
    pages = tifffile.imread(tmp_path / "images" / "3.tif")
    pages[0, 0, 0] += 1
    tifffile.imwrite(tmp_path / "images" / "3.tif", pages, photometric="minisblack")
    assert load_corpus(tmp_path / "corpus.toml").sha256 != before


def test_state_of_the_background_is_that_of_the_images(home: Path) -> None:
    corpus = load_corpus(written(home, "state", {'material = "PMMA"': 'material = "PMMA"\nstate = "offset_corrected"'}))
    assert corpus.formats[0].state == "offset_corrected"
    assert corpus.tables["acquisition"]["state"] == "offset_corrected"


def test_real_images_are_not_simulated_on_line(home: Path) -> None:
    torch_data = pytest.importorskip("datagen.torch_data")
    with pytest.raises(xsim.CorpusError, match="read its store"):
        torch_data.SimulatedDataset(written(home, "online"))


FAULTS: dict[str, tuple[dict[str, str], str]] = {
    "no folder": ({'images = "images"': 'images = "nowhere"'}, "cannot read"),
    "no images": ({'images = "images"': 'images = "."'}, "holds no TIFF"),
    "cut": ({'images = "images"': 'images = "cut"'}, "is no TIFF"),
    "no clean": ({'images = "images"': 'images = "images"\nclean_images = "some"'}, "each image has one"),
    "typo": ({'material = "PMMA"': 'materiel = "PMMA"'}, "did you mean 'material'"),
    "size": ({"columns = 72": "columns = 80"}, "64 x 72 pixels"),
    "pages": ({"seed = 3": "frames_per_scene = 5"}, "has 2 pages"),
    "two levels": ({'material = "PMMA"': "open_beam_adu = 9\nopen_beam_percent = 9"}, "keep one"),
    "states": ({"quanta_per": 'state = "raw"\nquanta_per', 'material = "PMMA"': 'state = "offset_corrected"'}, "keep"),
    "sharp": ({"seed = 3": 'store = ["sharp"]'}, "one image a sample"),
    "inside": ({'name = "shard"': 'name = "shard"\ninside = "steel"'}, "leave it out"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_faults_are_one_line_and_write_nothing(name: str, home: Path, capsys: Any) -> None:
    for folder in ("some", "cut"):
        (home / folder).mkdir(exist_ok=True)
    (home / "cut" / "0.tif").write_bytes(b"II*\0\10\0")
    (home / "some" / "0.tif").write_bytes((home / "clean" / "0.tif").read_bytes())
    changes, told = FAULTS[name]
    path = written(home, "fault", changes)
    assert main(["generate", str(path), str(home / "fault.zarr")]) == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert len(said) == 1
    assert re.search(re.escape(told), said[0])
    assert not (home / "fault.zarr").exists()
