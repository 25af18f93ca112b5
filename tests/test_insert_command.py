"""``xsim insert``: files and folders in, images with labels and tables out, inputs left alone."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import shlex
from pathlib import Path

import numpy as np
import pytest
import tifffile
import trimesh

from xsim import expose, load_scene
from xsim.cli import build_parser, main
from xsim.image_io import read_tiff

STATION = """
[source]
voltage_kv = 80
current_ma = 1.0
filters = [{ material = "Al", thickness_mm = 2.0 }]
[geometry]
sod_mm = 500
sdd_mm = 800
[acquisition]
quanta_per_pixel = 800
subpixels = 4
[detector]
preset = "generic-gos-200um"
rows = 64
columns = 80
"""
BLOCK = '[[body]]\nshape = "box"\nsize_mm = [90, 90, 30]\nmaterial = "PMMA"\n'
STEEL = "--body sphere --material 316L --diameter_mm 0.8"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A station, an image of its empty block as xsim writes it, and two bare files of other programs."""
    home = tmp_path_factory.mktemp("images")
    (home / "station.toml").write_text(STATION)
    (home / "empty.toml").write_text(STATION + BLOCK)
    assert main(shlex.split(f"simulate {home}/empty.toml -o {home}/own --seed 4 --frames 2")) == 0
    (home / "bare").mkdir()
    for k, frame in enumerate(read_tiff(home / "own" / "noisy.tif")[0]):
        tifffile.imwrite(home / "bare" / f"part-{k}.tif", frame, photometric="minisblack")
    return home


def digests(folder: Path) -> dict[str, str]:
    return {str(p): hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.rglob("*")) if p.is_file()}


def table(file: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(file.read_text())))


def insert(words: str) -> int:
    return main(["insert", *shlex.split(words)])


def test_an_image_of_xsim_tells_its_own_station(folder: Path, tmp_path: Path) -> None:
    before = digests(folder)
    assert insert(f"{folder}/own/noisy.tif {STEEL} --at 20,50 --background PMMA --seed 3 -o {tmp_path}") == 0
    assert digests(folder) == before
    image, story = read_tiff(tmp_path / "noisy.tif")
    source = read_tiff(folder / "own" / "noisy.tif")[0]
    assert image.dtype == np.uint16
    assert image.shape == source.shape == (2, 64, 80)
    labels, _ = read_tiff(tmp_path / "noisy.labels.tif")
    assert labels.dtype == np.uint16
    rows, columns = np.nonzero(labels)
    assert rows.mean() == pytest.approx(20, abs=0.5)
    assert columns.mean() == pytest.approx(50, abs=0.5)
    assert image[:, labels > 0].mean() < 0.75 * source[:, labels > 0].mean()
    assert story["seed"] == 3
    assert story["input_sha256"] == hashlib.sha256((folder / "own" / "noisy.tif").read_bytes()).hexdigest()
    assert story["bodies"][0]["material"] == "316L"
    (row,) = table(tmp_path / "noisy.instances.csv")
    assert row["class"] == "sphere"
    assert float(row["size_x_mm"]) == pytest.approx(0.8)
    box = [int(row[name]) for name in ("first_row", "stop_row", "first_column", "stop_column")]
    assert box == [rows.min(), rows.max() + 1, columns.min(), columns.max() + 1]
    assert int(row["pixels"]) == len(rows)
    assert float(row["contrast_adu"]) < 0 < float(row["contrast_to_noise"])
    assert json.loads((tmp_path / "noisy.instances.json").read_text())["bodies"][0]["label"] == 1


def test_a_folder_has_the_bytes_of_its_files(folder: Path, tmp_path: Path) -> None:
    """Drawn places too: a file draws by the seed and its content, not by its neighbours."""
    words = f"--scene {folder}/station.toml {STEEL} --count 2 --background PMMA --seed 5"
    assert insert(f"{folder}/bare {words} -o {tmp_path}/both") == 0
    assert insert(f"{folder}/bare/part-1.tif {words} -o {tmp_path}/one") == 0
    both, one = (digests(tmp_path / name) for name in ("both", "one"))
    assert len(both) == 2 * len(one) == 12
    ours = {Path(p).name: v for p, v in both.items() if "part-1" in p}
    assert ours == {Path(p).name: v for p, v in one.items()}
    labels = [read_tiff(tmp_path / "both" / f"part-{k}.labels.tif")[0] for k in range(2)]
    assert set(np.unique(labels[0])) == {0, 1, 2}
    assert (labels[0] != labels[1]).any()


def test_a_camera_and_its_tube_make_a_station(folder: Path, tmp_path: Path) -> None:
    """Told the right open beam, it inserts what the station's scene file does."""
    station = "--detector generic-gos-200um --voltage_kv 80 --filter Al:2 --sod_mm 500 --sdd_mm 800"
    file, body = folder / "bare" / "part-0.tif", f"{STEEL} --at 30,30 --background PMMA"
    assert insert(f"{file} --scene {folder}/station.toml {body} -o {tmp_path}/scene") == 0
    exposure = expose(load_scene(folder / "station.toml"), "cpu")
    level = exposure.readout.offset_adu + exposure.readout.gain_adu_per_kev * float(exposure.mean_light[32, 40])
    assert insert(f"{file} {station} {body} --open_beam_adu {level} -o {tmp_path}/camera") == 0
    found = [read_tiff(tmp_path / name / "part-0.transmission.tif")[0] for name in ("scene", "camera")]
    assert found[0].min() < 0.6
    assert np.abs(found[0] - found[1]).max() < 0.001


def test_shapes(folder: Path, tmp_path: Path) -> None:
    trimesh.creation.icosphere(radius=1.0).export(tmp_path / "stone.stl")
    (tmp_path / "bodies.toml").write_text(
        '[[body]]\nshape = "cone"\nradius_mm = 1.0\nheight_mm = 2.0\nmaterial = "glass"\nat = [12, 60]\n'
        '[[body]]\nmesh = "stone.stl"\nmesh_unit = "mm"\nmaterial = "Al"\nat = [45, 20]\nrotation_deg = "random"\n'
    )
    ways = {
        "wire": "--body wire --diameter-mm 0.3 --length-mm 6 --material Cu --at 32,40",
        "shard": "--body shard --size_mm 2 1 0.5 --material glass --count 2",
        "stone": f"--body {tmp_path}/stone.stl --mesh_unit mm --material glass --at 32,40",
        "file": f"--bodies {tmp_path}/bodies.toml",
    }
    rows = {}
    for name, words in ways.items():
        words = f"{folder}/bare/part-0.tif --scene {folder}/station.toml {words}"
        assert insert(f"{words} --background PMMA -o {tmp_path}/{name}") == 0
        rows[name] = table(tmp_path / name / "part-0.instances.csv")
    (wire,) = rows["wire"]
    wide, tall = (int(wire[f"stop_{k}"]) - int(wire[f"first_{k}"]) for k in ("column", "row"))
    assert (wide > 40, tall < 6) == (True, True)
    assert [row["class"] for row in rows["shard"]] == ["shard", "shard"]
    assert [float(v) for k, v in rows["stone"][0].items() if k.startswith("size")] == pytest.approx([2.0] * 3, rel=0.01)
    assert [row["class"] for row in rows["file"]] == ["cone", "mesh"]


FAULTS = {
    "missing.tif --scene {s} {b}": "not read",
    "{i} {b}": "station of",
    "{i} --scene {s}": "no body told",
    "{i} --scene {s} --body sphere --material 316L": "--diameter-mm is missing",
    "{i} --scene {s} --body blob --material 316L": "is no shape",
    "{i} --scene {s} --body sphere --diameter_mm 1 --material unobtainium": "unobtainium",
    "{i} --scene {s} {b} --at 3": "not understood",
    "{i} --scene {s} {b} --at 300,3": "outside the image",
    "{i} --scene {s} {b} --at 3,3 --count 2": "keep one",
    "{i} --scene {s} {b} --count 0": "1 or more",
    "{i} --scene {s} --detector c14300-like {b}": "keep one",
    "{i} --detector generic-gos-200um {b}": "--voltage-kv is missing",
    "{i} --detector generic-gos-200um --voltage_kv 80 --sod_mm 5 --sdd_mm 9 {b} --background PMMA": "not known",
    "{i} --scene {s} {b} --open_beam_percent 300": "percentile",
    "{i} {i} --scene {s} {b}": "two files are called",
    "{e} --scene {s} {b}": "holds no images",
    "{i} --scene {s} --bodies {s}": "has [acquisition]",
    "{i} --scene {s} --bodies {n}": "has no [[body]]",
    "{i} --scene {s} {b} --filter Al --detector generic-gos-200um": "keep one",
    "{i} --scene {s} {b} --voltage_kv 120": "--voltage-kv goes with --detector",
    "{i} --scene {s} {b} --filter Al:2": "--filter goes with --detector",
    "{i} --scene {s} {b} --length_mm 5": "--length-mm given for a sphere",
    "{i} --scene {s} --body box --material Al --size_mm 1 1 1 --mesh_unit mm": "--mesh-unit given for a box",
    "{i} --scene {s} --bodies {s} --material Al": "keep one",
    "{i} --scene {s} {b} --region 3:1,0:4": "is empty",
    "{i} --scene {s} {b} --region 3:90,0:40": "rows 3:90 are not in the image",
    "{i} --scene {s} {b} --dark {i}": "no brighter than black",
}


@pytest.mark.parametrize("words", FAULTS)
def test_faults_are_one_line_and_write_nothing(
    words: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    names = {"i": folder / "bare/part-0.tif", "s": folder / "station.toml", "b": STEEL, "e": tmp_path / "empty"}
    (tmp_path / "none.toml").write_text("")
    names["n"] = tmp_path / "none.toml"
    assert insert(f"{words.format(**names)} -o {tmp_path}/out") == 2
    told = capsys.readouterr().err.strip()
    assert FAULTS[words] in told
    assert len(told.splitlines()) == 1
    assert not list((tmp_path / "out").glob("*"))


def test_nothing_is_written_over(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = digests(folder)
    assert insert(f"{folder}/bare/part-0.tif --scene {folder}/station.toml {STEEL} -o {folder}/bare") == 2
    assert "already there" in capsys.readouterr().err
    assert digests(folder) == before


def test_examples_of_the_help_parse() -> None:
    text = build_parser().format_help()
    assert "insert" in text
    document = (Path(__file__).parents[1] / "docs" / "insert.md").read_text(encoding="utf-8")
    lines = [line for line in document.replace("\\\n", " ").splitlines() if line.strip().startswith("xsim insert")]
    assert len(lines) >= 3
    for line in lines:
        build_parser().parse_args(shlex.split(line)[1:])
