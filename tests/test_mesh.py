"""Files that hold many bodies, surfaces that are mended when asked, units that are hardly meant."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import trimesh
from reference import worst
from station import lengths_of, only, save, station

import xsim
from xsim.backend import Backend
from xsim.cluster import halves
from xsim.mesh import mesh_parts, read_mesh
from xsim.mesh_repair import least_area, repair_surface
from xsim.projector import project
from xsim.shell import Edges, signed_volume


def cube(side: float, at: tuple[float, float, float] = (0, 0, 0), inside_out: bool = False) -> trimesh.Trimesh:
    box = trimesh.creation.box((side, side, side))
    box.apply_translation(at)
    return trimesh.Trimesh(box.vertices, box.faces[:, ::-1] if inside_out else box.faces, process=False)


def joined(*meshes: trimesh.Trimesh) -> trimesh.Trimesh:
    """One mesh whose corners at one place are one corner."""
    whole = trimesh.util.concatenate(meshes)
    whole.merge_vertices()
    return whole


def parts_of(folder: Path, whole: trimesh.Trimesh) -> list[float]:
    body = save(folder, "whole", whole.vertices, whole.faces)
    return [signed_volume(m.vertices, m.faces) for m in mesh_parts(read_mesh(folder / body["mesh"], "mm"))]


def test_bodies_that_touch_are_still_several(tmp_path: Path) -> None:
    """On a face, along an edge and at a corner: the corners that they share are one in the file."""
    whole = joined(cube(2), cube(2, (2, 0, 0)), cube(2, (4, 2, 0)), cube(2, (6, 4, 2)))
    assert len(whole.vertices) < 4 * 8
    assert parts_of(tmp_path, whole) == pytest.approx([8] * 4)


def test_a_void_belongs_to_the_body_around_it_and_what_floats_in_the_void_does_not(tmp_path: Path) -> None:
    whole = joined(cube(1), cube(4, inside_out=True), cube(6), cube(2, (9, 0, 0)), cube(1, (9, 0, 0), inside_out=True))
    assert parts_of(tmp_path, whole) == pytest.approx([1, 6**3 - 4**3, 2**3 - 1])


def test_split_makes_a_body_of_every_part_and_the_sum_stays(backend: Backend, tmp_path: Path) -> None:
    places = [(-12, 0, 0), (0, 0, 0), (12, 5, 0)]
    balls = [trimesh.creation.icosphere(2, 4.0).apply_translation(at) for at in places]
    body = save(tmp_path, "balls", *_arrays(trimesh.util.concatenate(balls)))
    view = {"shape": (96, 96), "pitch_mm": 0.8, "directory": tmp_path}
    split = station({**body, "split": True, "name": "ball"}, **view)
    assert [split.body_name(k) for k in range(3)] == ["ball/1", "ball/2", "ball/3"]
    assert worst(only(lengths_of(split, backend)), only(lengths_of(station(body, **view), backend))) < 1e-4
    labels = backend.to_numpy(project(split, split.view, backend).labels)
    for k, (x, y, _) in enumerate(places):
        assert labels[round(47.5 + 2 * y / 0.8), round(47.5 + 2 * x / 0.8)] == k + 1
    assert set(np.unique(labels)) == {0, 1, 2, 3}
    again = xsim.Scene.model_validate(split.model_dump(exclude_none=True))
    assert again.model_dump() == split.model_dump()


def test_a_part_takes_its_own_material(backend: Backend, tmp_path: Path) -> None:
    whole = trimesh.util.concatenate([cube(4, (-5, 0, 0)), cube(4, (5, 0, 0))])
    body = save(tmp_path, "pair", *_arrays(whole))
    scene = station({**body, "part": 2, "material": "Fe"}, {**body, "part": 1}, pitch_mm=0.7, directory=tmp_path)
    lengths = lengths_of(scene, backend)
    middle = lengths["Fe"].shape[1] // 2
    assert lengths["Fe"][:, :middle].max() == 0 and lengths["Fe"].max() == pytest.approx(4, rel=1e-3)
    assert lengths["Al"][:, middle:].max() == 0 and lengths["Al"].max() == pytest.approx(4, rel=1e-3)
    assert scene.body_name(0) == "pair.ply/2"
    with pytest.raises(xsim.MeshError, match=r"no part 3 \(it holds 2\)"):
        station({**body, "part": 3}, directory=tmp_path)


@pytest.mark.parametrize(
    ("extra", "words"),
    [({"split": 1}, "split must be true or false"), ({"split": True, "part": 1}, "split = true"),
     ({"split": True, "mesh_unit": "furlong"}, "mesh_unit"), ({"part": 0}, "part")],
)  # fmt: skip
def test_a_split_that_cannot_be_is_told(tmp_path: Path, extra: dict[str, object], words: str) -> None:
    body = save(tmp_path, "cube", *_arrays(cube(4)))
    with pytest.raises(xsim.SceneError, match=words):
        station({**body, **extra}, directory=tmp_path)


def _arrays(mesh: trimesh.Trimesh) -> tuple[np.ndarray, np.ndarray]:
    return np.asarray(mesh.vertices), np.asarray(mesh.faces)


def _balanced(faces: np.ndarray) -> bool:
    return not Edges.of(faces).imbalance().any()


def test_repair_turns_the_wrong_triangles_only() -> None:
    generator = np.random.default_rng(4)
    ball = trimesh.creation.icosphere(3, 10.0)
    faces = ball.faces.copy()
    wrong = generator.permutation(len(faces))[:60]
    faces[wrong] = faces[wrong, ::-1]
    _, mended, done = repair_surface(ball.vertices, faces, "ball")
    assert (np.sort(mended, axis=1) == np.sort(ball.faces, axis=1)).all() and _balanced(mended)
    assert done.turned == 60 and done.filled == done.dropped == done.welded == 0
    assert done.volume_after_mm3 == pytest.approx(ball.volume)


@pytest.mark.parametrize("inside_out", [False, True])
def test_repair_keeps_voids(inside_out: bool) -> None:
    """A hollow cube beside another, as it is or all of it turned."""
    hollow = joined(cube(6), cube(4, inside_out=True), cube(1, (8, 0, 0)))
    faces = hollow.faces[:, ::-1] if inside_out else hollow.faces
    _, mended, done = repair_surface(hollow.vertices, faces, "hollow")
    assert signed_volume(hollow.vertices, mended) == pytest.approx(6**3 - 4**3 + 1)
    assert done.turned == (36 if inside_out else 0)


def test_repair_fills_flat_holes_exactly_and_welds_gaps() -> None:
    """An L-shaped prism without its ends, the seam of its wall a hundred nanometres open."""
    outline = np.array([[0, 0], [4, 0], [4, 1], [1, 1], [1, 3], [0, 3]], float)
    ring = np.concatenate([outline, outline[:1]])  # the last corners lie on the first but for a hair
    ring[-1, 1] += 1e-7
    n = len(ring)
    vertices = np.concatenate([np.column_stack([ring, np.full(n, z)]) for z in (0.0, 2.0)])
    walls = [((k, k + 1, k + 1 + n), (k, k + 1 + n, k + n)) for k in range(n - 1)]
    mended, faces, done = repair_surface(vertices, np.array(walls).reshape(-1, 3), "prism")
    assert _balanced(faces)
    assert (done.welded, done.filled) == (2, 2)
    assert done.filled_mm2 == pytest.approx(2 * 6.0, rel=1e-6)
    assert signed_volume(mended, faces) == pytest.approx(12.0, rel=1e-6)


def test_least_area_is_the_area_of_a_flat_loop_of_any_shape() -> None:
    generator = np.random.default_rng(0)
    angle = np.sort(generator.uniform(0, 2 * np.pi, 40))
    star = np.stack([np.cos(angle), np.sin(angle)], axis=1) * generator.uniform(0.2, 1, (40, 1))
    x, y = star.T
    shoelace = 0.5 * abs((x * np.roll(y, -1) - y * np.roll(x, -1)).sum())
    flat = np.column_stack([star, np.zeros(40)])
    a, b, c = flat[least_area(flat)].transpose(1, 0, 2)
    assert 0.5 * np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() == pytest.approx(shoelace, rel=1e-9)


def test_a_repaired_mesh_is_projected_as_the_sound_one_and_says_so(backend: Backend, tmp_path: Path) -> None:
    torus = trimesh.creation.torus(6.0, 2.0, major_sections=48, minor_sections=24)
    sound = save(tmp_path, "sound", *_arrays(torus))
    kept = np.delete(torus.faces, [100, 101, 700], axis=0)
    kept[30:90] = kept[30:90, ::-1]
    broken = save(tmp_path, "broken", torus.vertices, kept)
    view = {"shape": (96, 96), "pitch_mm": 0.4, "directory": tmp_path}
    with pytest.raises(xsim.MeshError, match="repair = true"):
        lengths_of(station(broken, **view), backend)
    with pytest.warns(UserWarning, match=r"broken.ply repaired: 60 triangles turned, 2 holes filled.* volume"):
        mended = station({**broken, "repair": True}, **view)
    assert worst(only(lengths_of(mended, backend)), only(lengths_of(station(sound, **view), backend))) < 1e-4
    described = xsim.simulate(mended, backend=backend.name).metadata["bodies"][0]
    assert described["repaired"].startswith("60 triangles turned")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        station({**sound, "repair": True}, **view)  # nothing to do, nothing said


@pytest.mark.parametrize(
    ("case", "why"), [("soup", "30 holes are as large"), ("sheet", "as large as itself"), ("Moebius", "but one side")]
)
def test_what_cannot_be_closed_is_refused(case: str, why: str) -> None:
    corners = np.random.default_rng(3).uniform(-1, 1, (90, 3))
    band = (np.arange(7)[:, None] + np.arange(3)) % 7
    vertices, faces = {
        "soup": (corners, np.arange(90).reshape(30, 3)),
        "sheet": (np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], float), np.array([[0, 1, 2], [0, 2, 3]])),
        "Moebius": (corners[:7], band),
    }[case]
    with pytest.raises(xsim.MeshError, match=f"cannot be repaired .*{why}"):
        repair_surface(vertices, faces, case)


@pytest.mark.parametrize(("unit", "words"), [("um", "pixels wide"), ("m", "mesh_unit right"), ("mm", "")])
def test_a_unit_hardly_meant_is_told(tmp_path: Path, unit: str, words: str) -> None:
    trimesh.creation.box((4, 4, 0.002)).export(tmp_path / "plate.stl")
    scene = {
        "source": {"energy_kev": 60.0},
        "geometry": {"sod_mm": 500.0, "sdd_mm": 1000.0},
        "detector": {"preset": "generic-gos-200um", "rows": 64, "columns": 64},
        "body": [{"mesh": "plate.stl", "mesh_unit": unit, "material": "Al"}],
    }
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        xsim.scene_from_dict(scene, tmp_path)
    assert [words in str(w.message) for w in told] == ([True] if words else [])


def test_halves_part_values_as_they_stand() -> None:
    """None of the first is above any of the rest, each part keeps its order: no processor puts equals elsewhere."""
    values = np.random.default_rng(5).integers(0, 40, 1000).astype(np.float32)
    for half in (1, 300, 999):
        order = halves(values, half)
        assert np.array_equal(np.sort(order), np.arange(1000))
        assert values[order[:half]].max() <= values[order[half:]].min()
        same = order[values[order] == values[order[half]]]
        assert (np.diff(same) > 0).all()
