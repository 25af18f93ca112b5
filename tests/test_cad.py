"""STEP assemblies: parts once, instances many, volumes and masses as computed by hand, nothing overwritten.

tests/data holds one assembly in millimetres and in inches: a plate 30 x 20 x 8 mm with a bore of radius 5 mm, and a
sub-assembly of two pins, radius 2 mm and 12 mm long.
"""

from __future__ import annotations

import csv
import importlib.util
import tomllib
import warnings
from pathlib import Path

import numpy as np
import pytest
import trimesh
from scipy.spatial.transform import Rotation
from station import lengths_of, station

import xsim
from xsim.backend import Backend
from xsim.cad import assembly_of_glb, read_step
from xsim.cli import main
from xsim.geometry import rotation_angles, rotation_matrix

DATA = Path(__file__).parent / "data"
PLATE_MM3, PIN_MM3 = 30 * 20 * 8 - np.pi * 25 * 8, np.pi * 4 * 12
MAP = "part, material\nPlate, Al\nPi?, steel, 7.9\n"
needs_cascadio = pytest.mark.skipif(
    importlib.util.find_spec("cascadio") is None, reason="cascadio is not installed (extra cad)"
)


def glb_of(nodes: list[tuple[str, str, np.ndarray]], meshes: dict[str, trimesh.Trimesh]) -> bytes:
    """Binary glTF of meshes [m] at poses."""
    scene = trimesh.Scene()
    scene.geometry.update(meshes)
    for name, mesh, pose in nodes:
        scene.graph.update(name, "world", matrix=pose, geometry=mesh)
    return bytes(scene.export(file_type="glb"))


def make(tmp_path: Path, *options: str, step: str = "plate-and-pins-mm.step", text: str = MAP) -> tuple[int, Path]:
    (tmp_path / "map.csv").write_text(text)
    output = tmp_path / "scene.toml"
    given = ["scene", "from-cad", str(DATA / step), "--materials", str(tmp_path / "map.csv"), "-o", str(output)]
    return main([*given, *options]), output


@pytest.mark.parametrize("seed", range(20))
def test_angles_give_the_rotation_again(seed: int) -> None:
    generator = np.random.default_rng(seed)
    angles = generator.uniform(-180, 180, 3)
    if seed < 6:
        angles[1] = 90.0 if seed % 2 else -90.0  # x and z turn about one line
    matrix = rotation_matrix(tuple(angles))
    again = rotation_matrix(rotation_angles(matrix))
    assert again == pytest.approx(matrix, abs=1e-12)
    assert matrix == pytest.approx(Rotation.from_euler("xyz", angles, degrees=True).as_matrix(), abs=1e-12)


def test_instances_share_a_part_and_a_mirrored_one_is_another() -> None:
    pose = np.eye(4)
    pose[:3, :3] = Rotation.from_euler("xyz", [20.0, 30.0, 40.0], degrees=True).as_matrix()
    pose[:3, 3] = [0.01, 0.02, 0.03]
    mirror, double = np.diag([1.0, 1.0, -1.0, 1.0]), np.diag([2.0, 2.0, 2.0, 1.0])
    wedge = trimesh.convex.convex_hull([[0, 0, 0], [0.01, 0, 0], [0, 0.02, 0], [0, 0, 0.03]])
    poses = {"a": np.eye(4), "b": pose, "c": mirror, "d": pose @ double}
    glb = glb_of([(name, "wedge", matrix) for name, matrix in poses.items()], {"wedge": wedge})
    found = assembly_of_glb(glb, "made.glb")
    by_node = {i.path[-1]: i for i in found.instances}
    assert len(found.parts) == 3 and by_node["a"].part == by_node["b"].part
    assert [p.volume_mm3 for p in found.parts] == pytest.approx([1000.0, 1000.0, 8000.0], rel=1e-5)
    assert by_node["b"].rotation == pytest.approx(pose[:3, :3], abs=1e-6)
    assert by_node["b"].position_mm == pytest.approx([10, 20, 30], abs=1e-5)
    assert found.parts[by_node["c"].part].vertices[:, 2].min() == pytest.approx(-30, abs=1e-5)


def test_a_part_that_is_open_is_told() -> None:
    box = trimesh.creation.box((0.01, 0.01, 0.01))
    lid_off = trimesh.Trimesh(box.vertices, box.faces[2:], process=False)
    with pytest.raises(xsim.MeshError, match=r"part 'lid-off' of made\.glb is no closed body"):
        assembly_of_glb(glb_of([("a", "lid-off", np.eye(4))], {"lid-off": lid_off}), "made.glb")


@needs_cascadio
@pytest.mark.parametrize("unit", ["mm", "inch"])
@pytest.mark.parametrize("chord_mm", [0.1, 0.01, 0.001])
def test_volumes_are_those_of_the_solids(unit: str, chord_mm: float) -> None:
    """Facets lie within the chord of the surface, so volumes within area x chord; the unit is the file's own."""
    found = read_step(DATA / f"plate-and-pins-{unit}.step", chord_mm)
    assert [p.name for p in found.parts] == ["Plate", "Pin"]
    for part, volume in zip(found.parts, (PLATE_MM3, PIN_MM3), strict=True):
        assert abs(part.volume_mm3 - volume) < part.area_mm2 * chord_mm
    plate, pin = found.parts
    assert plate.volume_mm3 > PLATE_MM3 and pin.volume_mm3 < PIN_MM3  # a bore with chords is narrower, so is a pin
    assert [" / ".join(i.path) for i in found.instances] == [
        "Assembly / Plate 1", "Assembly / Pin pair 1 / Pin left", "Assembly / Pin pair 1 / Pin right"]  # fmt: skip


@needs_cascadio
@pytest.mark.parametrize("unit", ["mm", "inch"])
def test_an_assembly_is_projected_as_its_solids(backend: Backend, tmp_path: Path, unit: str) -> None:
    """Poses, unit and chord together: against tube and cylinders placed by hand, the facets' error aside."""
    code, output = make(tmp_path, "--keep-origin", "--sod-mm", "200", "--sdd-mm", "400", "--pitch-mm", "0.3",
                        "--chord-mm", "0.0005", "--rotation-deg", "70", "10", "0",
                        step=f"plate-and-pins-{unit}.step")  # fmt: skip
    assert code == 0
    scene = xsim.load_scene(output)
    assert [scene.body_name(k) for k in range(3)] == ["Plate", "Pin/1", "Pin/2"]
    turn = Rotation.from_euler("xyz", [70, 10, 0], degrees=True)
    pair = Rotation.from_euler("z", 20, degrees=True)
    bodies = [{"shape": "box", "size_mm": [30.0, 20.0, 8.0]},
              {"shape": "cylinder", "radius_mm": 5.0, "height_mm": 8.0, "material": "air"}]  # fmt: skip
    for body in bodies:
        body["rotation_deg"] = [70.0, 10.0, 0.0]
    for x, tilt in ((-8.0, 0.0), (8.0, 30.0)):
        own = Rotation.from_euler("x", tilt, degrees=True)
        place = turn.apply(pair.apply(own.apply([0, 0, 6.0]) + np.array([x, 0, 4.0])) + np.array([0, 2.0, 0]))
        angles = rotation_angles((turn * pair * own).as_matrix())
        bodies.append({"shape": "cylinder", "radius_mm": 2.0, "height_mm": 12.0, "position_mm": place.tolist(),
                       "rotation_deg": list(angles), "material": {"name": "steel", "density_g_cm3": 7.9}})  # fmt: skip
    shape = (scene.detector.rows, scene.detector.columns)
    solids = station(*bodies, shape=shape, pitch_mm=0.3, sod_mm=200.0, sdd_mm=400.0)
    wanted, got = lengths_of(solids, backend), lengths_of(scene, backend)
    for name in got:
        difference = np.abs(got[name] - wanted[name])
        assert got[name].max() > 4 and np.quantile(difference, 0.999) < 0.05 and difference.max() < 0.5
        assert got[name].sum() == pytest.approx(wanted[name].sum(), rel=1e-3)


@needs_cascadio
def test_one_mesh_a_part_one_body_an_instance_and_a_list_to_weigh_by(
    backend: Backend, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, output = make(tmp_path)
    assert code == 0
    assert sorted(p.name for p in (tmp_path / "scene-parts").iterdir()) == ["Pin.ply", "Plate.ply"]
    bodies = tomllib.loads(output.read_text())["body"]
    assert [b["mesh"] for b in bodies] == ["scene-parts/Plate.ply", "scene-parts/Pin.ply", "scene-parts/Pin.ply"]
    with (tmp_path / "scene-parts.csv").open() as file:
        plate, pin = csv.DictReader(file)
    assert (plate["part"], plate["material"], plate["count"], pin["count"]) == ("Plate", "Al", "1", "2")
    for row, volume, density in ((plate, PLATE_MM3, 2.6989), (pin, PIN_MM3, 7.9)):
        assert abs(float(row["volume_mm3"]) - volume) < float(row["volume_error_mm3"]) < 0.015 * volume
        assert float(row["mass_g"]) == pytest.approx(volume * density / 1000, rel=0.005)
    assert float(pin["total_mass_g"]) == pytest.approx(2 * float(pin["mass_g"]), rel=1e-8)
    said = capsys.readouterr().out
    assert pin["mass_g"][:5] in said and "0.01 mm" in said  # a tenth of 200 um at magnification 2
    scene = xsim.load_scene(output)
    assert scene.shape_of(1) is scene.shape_of(2)
    middle = np.concatenate([scene.corners(body) for body in scene.body])
    assert 0.5 * (middle.min(axis=0) + middle.max(axis=0)) == pytest.approx([0, 0, 0], abs=1.0)
    assert main(["simulate", str(output), "-o", str(tmp_path / "out")]) == 0


@needs_cascadio
@pytest.mark.parametrize(("pitch", "sod", "chord"), [("0.05", "100", 0.1 * 0.05 * 92 / 1000), ("0.4", "800", 0.032)])
def test_chord_follows_the_pixel_at_the_side_towards_the_source(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], pitch: str, sod: str, chord: float
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert make(tmp_path, "--pitch-mm", pitch, "--sod-mm", sod, "--sdd-mm", "1000")[0] == 0
    said = capsys.readouterr().out
    found = float(said.split("facets within ")[1].split()[0])
    assert found == pytest.approx(chord, rel=0.06)


@needs_cascadio
def test_a_template_gives_the_station(tmp_path: Path) -> None:
    folder = tmp_path / "station"
    folder.mkdir()
    (folder / "beam.csv").write_text("30,1e5\n60,2e5\n90,1e5\n")
    template = folder / "template.toml"
    template.write_text(
        '[source]\nspectrum = "beam.csv"\n[geometry]\nsod_mm = 300\nsdd_mm = 900\n[acquisition]\ntarget_gv = 0.5\n'
        '[detector]\npreset = "generic-gos-200um"\nrows = 96\ncolumns = 128\n[detector.sensor]\nread_noise_adu = 9.0\n'
        '[[body]]\nshape = "sphere"\nradius_mm = 1\nmaterial = "Al"\n'
    )
    (tmp_path / "map.csv").write_text(MAP)
    output = tmp_path / "made" / "scene.toml"
    assert main(["scene", "from-cad", str(DATA / "plate-and-pins-mm.step"), "--materials", str(tmp_path / "map.csv"),
                 "-o", str(output), "--template", str(template), "--sod-mm", "450"]) == 0  # fmt: skip
    scene = xsim.load_scene(output)
    assert (scene.geometry.sod_mm, scene.geometry.sdd_mm, scene.detector.columns) == (450.0, 900.0, 128)
    assert scene.detector.sensor.read_noise_adu == 9.0 and len(scene.body) == 3
    assert scene.source.photons() is not None


BAD = {
    "unmapped": ("Plate, Al\nPins, steel\n", (), ["no material for 'Pin'", "'Pin' is near 'Pins'"]),
    "all unmapped": ("Nut, Al\n", (), ["no material for 'Plate', 'Pin'"]),
    "unknown material": ("*, unobtainium\n", (), ["unobtainium"]),
    "no material": ("Plate\n", (), ["line 1 has no material"]),
    "no density": ("*, Al, heavy\n", (), ["'heavy' is no number"]),
    "behind the detector": ("*, Al\n", ("--sod-mm", "999", "--sdd-mm", "1000"), ["behind the detector"]),
    "detector first": ("*, Al\n", ("--sod-mm", "900", "--sdd-mm", "800"), ["not behind the object"]),
    "chord": ("*, Al\n", ("--chord-mm", "-1"), ["chord_mm = -1"]),
    "no template": ("*, Al\n", ("--template", "none.toml"), ["none.toml", "not found"]),
}


@needs_cascadio
@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_and_leaves_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], case: str
) -> None:
    text, options, words = BAD[case]
    code, _ = make(tmp_path, *options, text=text)
    said = capsys.readouterr()
    assert code == 2 and said.err.count("\n") == 1 and said.out == ""
    for word in words:
        assert word in said.err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["map.csv"]


@needs_cascadio
@pytest.mark.parametrize("what", ["no step", "cut short", "missing"])
def test_a_file_that_is_no_step_is_one_line(tmp_path: Path, capfd: pytest.CaptureFixture[str], what: str) -> None:
    source = (DATA / "plate-and-pins-mm.step").read_text()
    bad = tmp_path / "bad.step"
    if what != "missing":
        bad.write_text("solid x" if what == "no step" else source[: source.index("#5 =")])
    (tmp_path / "map.csv").write_text(MAP)
    assert main(["scene", "from-cad", str(bad), "--materials", str(tmp_path / "map.csv"),
                 "-o", str(tmp_path / "scene.toml")]) == 2  # fmt: skip
    said = capfd.readouterr()
    assert said.err.count("\n") == 1 and "bad.step" in said.err and said.out == ""
    assert not list(tmp_path.glob("scene*"))


@needs_cascadio
@pytest.mark.parametrize("there", ["scene.toml", "scene-parts", "scene-parts.csv"])
def test_what_is_there_stays(tmp_path: Path, capsys: pytest.CaptureFixture[str], there: str) -> None:
    (tmp_path / there).write_text("mine")
    code, _ = make(tmp_path)
    assert code == 2 and "already there" in capsys.readouterr().err
    assert (tmp_path / there).read_text() == "mine"
    assert len(list(tmp_path.iterdir())) == 2


@needs_cascadio
def test_a_row_for_no_part_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert make(tmp_path, text=MAP + "Bolt*, steel\n")[0] == 0
    assert "no part is called 'Bolt*'" in capsys.readouterr().err


def test_without_the_extra_it_says_which_to_install(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "cascadio", None)
    assert make(tmp_path)[0] == 2
    assert "pip install 'xsim[cad]'" in capsys.readouterr().err
