"""Bad input: one line that says the problem, the reason and a way out; exit code 2; nothing half-written."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import trimesh
from station import station

from xsim import OutOfMemoryError, path_lengths
from xsim.cli import main

GOOD = """
[source]
voltage_kv = 80
filters = [{ material = "Al", thickness_mm = 1.0 }]
[geometry]
sod_mm = 100
sdd_mm = 200
[acquisition]
exposure_s = 0.001
[detector]
preset = "generic-gos-200um"
rows = 24
columns = 24
[[body]]
shape = "box"
size_mm = [1, 1, 1]
material = "Al"
"""


def mesh_scene(name: str, extra: str = 'mesh_unit = "mm"') -> str:
    head = GOOD.split("[[body]]")[0]
    return f'{head}[[body]]\nname = "part"\nmesh = "{name}"\n{extra}\nmaterial = "Al"\n'


def open_sphere(path: Path) -> None:
    """A sphere with a hole: a third of its triangles gone."""
    sphere = trimesh.creation.icosphere(2, radius=0.5)
    trimesh.Trimesh(sphere.vertices, sphere.faces[len(sphere.faces) // 3 :], process=False).export(path)


def flipped_box(path: Path) -> None:
    box = trimesh.creation.box((1, 1, 1))
    trimesh.Trimesh(box.vertices, box.faces[:, ::-1], process=False).export(path)


def triangle_soup(path: Path) -> None:
    corners = np.random.default_rng(3).uniform(-1, 1, (90, 3))
    trimesh.Trimesh(corners, np.arange(90).reshape(30, 3), process=False).export(path)


def run(tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    scene = tmp_path / "scene.toml"
    scene.write_text(text)
    code = main(["simulate", str(scene), "-o", str(tmp_path / "out")])
    return code, capsys.readouterr().err


CASES = {
    "no TOML": ("[source\nvoltage_kv = 1", ["no TOML"]),
    "unknown key": (GOOD.replace("voltage_kv", "voltage_kw"), ["voltage_kw", "did you mean 'voltage_kv'"]),
    "unknown table": (GOOD.replace("[geometry]", "[geometri]"), ["geometri", "did you mean 'geometry'"]),
    "unknown shape": (GOOD.replace('"box"', '"bix"'), ["bix", "box"]),
    "unknown material": (GOOD.replace('material = "Al"\n', 'material = "unobtainium"\n'), ["unobtainium"]),
    "unknown preset": (GOOD.replace("generic-gos-200um", "generic-gos-2um"), ["generic-gos-2um", "known"]),
    "900 keV": (GOOD.replace("voltage_kv = 80", "energy_kev = 900"), ["900", "800"]),
    "900 kV": (GOOD.replace("voltage_kv = 80", "voltage_kv = 900"), ["900", "500"]),
    "negative thickness": (GOOD.replace("thickness_mm = 1.0", "thickness_mm = -1.0"), ["thickness_mm", "-1.0"]),
    "negative size": (GOOD.replace("[1, 1, 1]", "[1, -1, 1]"), ["size_mm", "-1"]),
    "NaN": (GOOD.replace("sod_mm = 100", "sod_mm = nan"), ["sod_mm", "finite"]),
    "NaN size": (GOOD.replace("[1, 1, 1]", "[1, nan, 1]"), ["size_mm", "finite"]),
    "text for a number": (GOOD.replace("sod_mm = 100", 'sod_mm = "100"'), ["sod_mm", "number"]),
    "source inside": (GOOD.replace("[1, 1, 1]", "[1, 1, 198]").replace("sdd_mm = 200", "sdd_mm = 300")
                      .replace("sod_mm = 100", "sod_mm = 90"), ["source is inside 'body 1'"]),
    "behind the detector": (GOOD.replace("[1, 1, 1]", "[1, 1, 199]").replace("sod_mm = 100", "sod_mm = 110"),
                            ["behind the detector"]),
    "detector first": (GOOD.replace("sdd_mm = 200", "sdd_mm = 90"), ["sdd_mm", "not behind the object"]),
    "no pixels": (GOOD.replace("rows = 24", "rows = 0"), ["rows", "greater than 0"]),
    "no shape": (GOOD.replace('shape = "box"\n', ""), ["no shape and no mesh"]),
    "two sources": (GOOD.replace("voltage_kv = 80", "voltage_kv = 80\nenergy_kev = 80"), ["one of"]),
    "no detector": (GOOD.replace("[detector]\npreset", "[detector]\nkind = \"flat_panel\"\n#"), ["missing"]),
    "missing mesh": (mesh_scene("none.stl"), ["none.stl", "not found"]),
    "unknown format": (mesh_scene("scene.toml"), ["format '.toml'"]),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_bad_scene_is_one_line_and_exit_2(case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text, words = CASES[case]
    code, message = run(tmp_path, text, capsys)
    assert code == 2
    assert message.count("\n") == 1 and message.startswith("xsim: ")
    for word in words:
        assert word in message
    assert not (tmp_path / "out").exists()


def test_the_good_scene_is_good(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, GOOD, capsys)[0] == 0
    assert (tmp_path / "out" / "noisy.tif").exists()


MESHES = {
    "open": (open_sphere, ["'part' is open", "rays", "allow_open"]),
    "soup": (triangle_soup, ["'part' is open", "rays", "allow_open"]),
    "flipped": (flipped_box, ["'part' is flipped", "rays", "allow_open"]),
    "empty": (lambda path: path.write_text("solid x\nendsolid x\n"), ["empty"]),
    "no mesh": (lambda path: path.write_bytes(b"\x00\xff" * 7), ["part.stl"]),
}


@pytest.mark.parametrize("case", MESHES)
def test_bad_mesh_is_one_line_and_exit_2(case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write, words = MESHES[case]
    write(tmp_path / "part.stl")
    code, message = run(tmp_path, mesh_scene("part.stl"), capsys)
    assert code == 2 and message.count("\n") == 1
    for word in words:
        assert word in message
    assert not (tmp_path / "out" / "noisy.tif").exists()


def test_open_mesh_allowed_marks_its_rays(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    open_sphere(tmp_path / "part.stl")
    code, _ = run(tmp_path, mesh_scene("part.stl", 'mesh_unit = "mm"\nallow_open = true'), capsys)
    assert code == 0
    from xsim import read_tiff

    valid, metadata = read_tiff(tmp_path / "out" / "valid.tif")
    assert 0 < (valid == 0).sum() < valid.size
    assert metadata["invalid_share"] > 0


def test_mesh_without_unit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trimesh.creation.box((1, 1, 1)).export(tmp_path / "part.stl")
    code, message = run(tmp_path, mesh_scene("part.stl", ""), capsys)
    assert code == 2 and "mesh_unit" in message and message.count("\n") == 1


def test_missing_scene_and_phantom(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for scene, word in ((str(tmp_path / "none.toml"), "not found"), ("phantom:step-cart", "step-chart")):
        assert main(["simulate", scene, "-o", str(tmp_path / "out")]) == 2
        message = capsys.readouterr().err
        assert word in message and message.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_output_that_cannot_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("mine")
    assert main(["simulate", "phantom:step-chart", "-o", str(blocked / "out")]) == 2
    message = capsys.readouterr().err
    assert "not writable" in message and message.count("\n") == 1
    assert blocked.read_text() == "mine"


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_read_only_output(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tmp_path.chmod(0o500)
    try:
        assert main(["simulate", "phantom:step-chart", "-o", str(tmp_path / "out")]) == 2
    finally:
        tmp_path.chmod(0o700)
    assert "not writable" in capsys.readouterr().err


def test_init_leaves_a_file_that_is_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "scene.toml"
    assert main(["init", str(target)]) == 0
    target.write_text("mine")
    assert main(["init", str(target)]) == 2
    assert target.read_text() == "mine"
    assert capsys.readouterr().err.count("\n") == 1


def test_out_of_view_and_black_frame_warn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    beside = GOOD + "position_mm = [60, 0, 0]\n"
    code, message = run(tmp_path, beside, capsys)
    assert code == 0 and "out of view" in message
    code, message = run(tmp_path, GOOD.replace("exposure_s = 0.001", "exposure_s = 1e-9"), capsys)
    assert code == 0 and "black" in message


def test_an_image_too_large_for_the_memory_says_how_much_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xsim.memory.free_memory", lambda: 3 << 30)
    scene = station({"shape": "sphere", "radius_mm": 4.0}, shape=(30000, 30000))
    with pytest.raises(
        OutOfMemoryError, match=r"30000 x 30000 rays needs 9.2 GiB \(3.0 GiB are free\) use fewer pixels"
    ) as told:
        path_lengths(scene, backend="cpu")
    assert "\n" not in str(told.value)
