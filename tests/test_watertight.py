"""Closed meshes leave no ray odd, wherever it is aimed; open, flipped and overlapping ones are told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import ray_stress
import trimesh
from random_meshes import Surface
from random_scenes import random_body, scene_of
from ray_aims import any_side
from reference import worst
from scipy.spatial.transform import Rotation
from station import closed_meshes, faults, lengths_of, only, save, station

from xsim import MeshError, path_lengths
from xsim.backend import Backend
from xsim.clipping import clip_faces, screen_positions
from xsim.geometry import View
from xsim.projector import FLIPPED, OPEN, project

TOLERANCE_MM = 1e-4
#: A mesh alone: depths are summed. In a crowd: lists of crossings are sorted.
ALONE = pytest.mark.parametrize("alone", [True, False], ids=["alone", "crowd"])


def crowd(alone: bool) -> list[dict[str, Any]]:
    """A speck of air at the origin, in the box around a mesh."""
    return [] if alone else [{"shape": "box", "size_mm": [1e-3] * 3, "material": "air", "priority": -1}]


def snapped(mesh: trimesh.Trimesh, view: View) -> np.ndarray:
    """Corners moved along the screen until each projects onto the centre of a pixel."""
    fraction, column, row = view.project(mesh.vertices).T
    i, j = np.round(column / fraction), np.round(row / fraction)
    rays = view.origin + i[:, None] * view.column + j[:, None] * view.row
    return np.asarray(view.source + fraction[:, None] * rays)


@ALONE
@pytest.mark.parametrize("name", ["icosphere", "torus", "hull"])
@pytest.mark.parametrize("side", [41, 400])
def test_no_ray_through_vertices_and_edges_is_odd(
    backend: Backend, tmp_path: Path, name: str, side: int, alone: bool
) -> None:
    """Every corner on a pixel centre: coarse, where edges collapse, and fine."""
    generator = np.random.default_rng(side)
    mesh = closed_meshes(generator)[name]
    mesh = mesh.subdivide()
    mesh.apply_transform(trimesh.transformations.random_rotation_matrix(generator.uniform(size=3)))
    pitch_mm = 2 * 110.0 / side
    view = station(shape=(side, side), pitch_mm=pitch_mm).view
    body = save(tmp_path, name, snapped(mesh, view), mesh.faces)
    scene = station(body, *crowd(alone), shape=(side, side), pitch_mm=pitch_mm, directory=tmp_path)
    corners = scene.view.project(scene.mesh_of(scene.body[0]).vertices)
    pixels = corners[:, 1:] / corners[:, :1]
    assert np.abs(pixels - np.round(pixels)).max() < 1e-6
    assert faults(project(scene, scene.view, backend), backend, OPEN) == 0


def edge_view(source: np.ndarray, corners: np.ndarray, generator: np.random.Generator) -> View:
    """A row of pixels from corner to corner of an edge, others beside it."""
    way = (corners[1] - corners[0]) / 64
    across = np.cross(corners[0] - source, way)
    across *= np.linalg.norm(way) / np.linalg.norm(across)
    return View(source, corners[0] - source - 3 * across, way, across + generator.normal() * way, 7, 65)


@ALONE
@pytest.mark.parametrize("name", ["icosphere", "torus", "hull", "plate"])
def test_no_ray_along_an_edge_is_odd(backend: Backend, tmp_path: Path, name: str, alone: bool) -> None:
    generator = np.random.default_rng(11)
    mesh = closed_meshes(generator)[name]
    body = save(tmp_path, name, mesh.vertices, mesh.faces)
    scene = station(body, *crowd(alone), sod_mm=2e3, sdd_mm=4e3, directory=tmp_path)
    held = scene.mesh_of(scene.body[0])
    for _ in range(120):
        corners = held.vertices[generator.permutation(held.faces[generator.integers(len(held.faces))])[:2]]
        away = generator.normal(size=3)
        source = away / np.linalg.norm(away) * generator.uniform(70, 1500)
        found = project(scene, edge_view(source, corners, generator), backend)
        assert faults(found, backend, OPEN) == 0


@ALONE
@pytest.mark.parametrize("name", ["icosphere", "torus", "hull", "plate", "tube"])
def test_a_source_in_the_plane_of_a_face_leaves_no_ray_odd_or_reversed(
    backend: Backend, tmp_path: Path, name: str, alone: bool
) -> None:
    """In the plane, and off it by 1e-6 to 1 mm: faces seen edge-on are met in order too."""
    generator = np.random.default_rng(5)
    meshes = {**closed_meshes(generator), "tube": trimesh.creation.annulus(20, 40, 150, sections=64)}
    mesh = meshes[name]
    body = save(tmp_path, name, mesh.vertices, mesh.faces)
    scene = station(body, *crowd(alone), sod_mm=2e3, sdd_mm=4e3, directory=tmp_path)
    held = scene.mesh_of(scene.body[0])
    for trial in range(120):
        face = held.vertices[held.faces[generator.integers(len(held.faces))]]
        normal = np.cross(face[1] - face[0], face[2] - face[0])
        normal /= np.linalg.norm(normal)
        along = generator.normal(size=3)
        along -= normal * (along @ normal)
        along /= np.linalg.norm(along)
        off = 0.0 if trial % 3 == 0 else 10 ** generator.uniform(-6, 0)
        source = face[0] + generator.uniform(250, 2000) * along + off * normal
        axis = face.mean(axis=0) - source
        across = np.cross(axis, generator.normal(size=3))
        across *= 10 ** generator.uniform(-2.5, 0) / np.linalg.norm(across)
        down = np.cross(axis, across) / np.linalg.norm(axis)
        view = View(source, 2 * axis - 31.5 * (across + down), across, down, 64, 64)
        assert faults(project(scene, view, backend), backend, OPEN | FLIPPED) == 0, trial


def test_a_plate_that_reaches_behind_the_source_is_cut_closed(backend: Backend, tmp_path: Path) -> None:
    """No ray odd, and the exact box's lengths: to 1e-4 mm in the median and 0.02 mm everywhere.

    A plate beside the source is seen edge-on: there a mesh is as good as 1/8192 pixel over the cosine.
    """
    generator = np.random.default_rng(9)
    for trial in range(8):
        size = np.array([generator.uniform(5, 40), generator.uniform(500, 2000), generator.uniform(1200, 1700)])
        box = trimesh.creation.box(size)
        box = box.subdivide().subdivide() if trial % 2 else box
        tilt = [0.0, 0.0, 0.0] if trial % 4 == 0 else [0.0, generator.uniform(-2, 2), generator.uniform(-180, 180)]
        turn = Rotation.from_euler("xyz", tilt, degrees=True)
        place = turn.apply([size[0] / 2 + generator.uniform(10, 30), 0, 0]) + np.array([0, 0, -480.0])
        pose = {"position_mm": place.tolist(), "rotation_deg": tilt}
        body = {**save(tmp_path, f"plate{trial}", box.vertices, box.faces), **pose}
        scene = station(body, shape=(160, 161), pitch_mm=1.5, directory=tmp_path)
        found = project(scene, scene.view, backend)
        assert faults(found, backend, OPEN) == 0
        exact = station({"shape": "box", "size_mm": size.tolist(), **pose}, shape=(160, 161), pitch_mm=1.5)
        gap = np.abs(only(lengths_of(scene, backend)) - only(lengths_of(exact, backend)))
        met = only(lengths_of(exact, backend)) > 0
        assert only(lengths_of(exact, backend)).max() > 50
        assert np.median(gap[met]) < TOLERANCE_MM and gap.max() < 0.02


def test_a_corner_of_a_cut_face_lies_where_its_other_faces_have_it(backend: Backend, tmp_path: Path) -> None:
    """Corners half way between two places of the screen's grid, on a plate of which half the faces are cut."""
    view = station(shape=(101, 101), pitch_mm=0.7).view
    plate = trimesh.creation.box((4.0, 60.0, 1400.0)).subdivide().subdivide().subdivide()
    plate.apply_translation([10.0, 0.0, -390.0])
    points = plate.vertices.copy()
    fraction, column, row = view.project(points).T
    ahead = fraction > 0.05
    place = np.round(np.stack([column, row], axis=1)[ahead] / fraction[ahead, None] * 4096) / 4096 + 0.5 / 4096
    rays = view.origin + place[:, :1] * view.column + place[:, 1:] * view.row
    points[ahead] = view.source + fraction[ahead, None] * rays
    scene = station(save(tmp_path, "plate", points, plate.faces), shape=(101, 101), pitch_mm=0.7, directory=tmp_path)
    held = scene.mesh_of(scene.body[0])
    kept, outside = screen_positions(view, held.vertices)
    cut, faces, parents = clip_faces(view, held.vertices, held.faces, kept, outside)
    inside = ~outside
    assert inside[held.faces].any(axis=1)[~inside[held.faces].all(axis=1)].any()
    for triangle, parent in zip(faces, parents, strict=True):
        for corner in held.faces[parent]:
            if inside[corner]:
                near = np.abs(cut[triangle].astype(np.int64) - kept[corner]).max(axis=1)
                assert not ((near > 0) & (near < 2)).any()


@pytest.mark.parametrize(
    ("rays", "side"), [(1e6, 200), pytest.param(1e7, 400, marks=pytest.mark.slow)], ids=["1e6", "1e7"]
)
def test_no_ray_at_a_random_closed_mesh_is_odd_or_stray(
    backend: Backend, tmp_path: Path, rays: float, side: int
) -> None:
    """Corners, edges and planes of faces aimed at, triangles behind the source, from 50 mm to 1e5 mm.

    ``benchmarks/watertight.py --random --rays 1e8`` shoots more of them.
    """
    total = ray_stress.Tally()
    for name, tally in ray_stress.shoot(np.random.default_rng(2024), rays, side, 60, tmp_path, backend):
        assert tally.wrong == 0, f"{name}: {tally}"
        total += tally
    assert total.rays >= rays and total.met > 0.25 * rays
    assert min(total.near_edge, total.edge_checked, total.oracle_checked) > 500
    assert total.worst_mm < ray_stress.TOLERANCE_MM


@pytest.mark.parametrize("fault", ["one ray", "shifted", "negative", "hole"])
def test_wrong_rays_do_not_pass(backend: Backend, tmp_path: Path, fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One ray in 40 000 off by 0.3 um, an image a pixel aside, a length below zero, a face left out."""
    whole = ray_stress.project_surface

    def spoilt(surface: Surface, *others: Any) -> tuple[np.ndarray, np.ndarray]:
        if fault == "hole":
            return whole(Surface(surface.vertices, surface.faces[1:]), *others)
        lengths, found = whole(surface, *others)
        if fault == "shifted":
            return np.roll(lengths, 1, axis=1), found
        lengths[tuple(np.argwhere(lengths > 1)[7])] += 3e-4 if fault == "one ray" else -100.0
        return lengths, found

    monkeypatch.setattr(ray_stress, "project_surface", spoilt)
    generator = np.random.default_rng(8)
    surface, view = any_side(generator, 200)
    tally = ray_stress.examine(surface, view, generator, 0, tmp_path, backend)
    assert tally.wrong == 1 if fault == "one ray" else tally.wrong >= 1


def sphere_mesh(folder: Path, name: str, flip: bool = False, missing: int = 0, twice: bool = False) -> dict[str, str]:
    ball = trimesh.creation.icosphere(3, 8.0)
    if twice:
        ball = trimesh.util.concatenate([ball, ball.copy().apply_translation([3.0, 0, 0])])
    faces = ball.faces[: len(ball.faces) - missing]
    return save(folder, name, ball.vertices, faces[:, ::-1] if flip else faces)


def test_shells_that_overlap_count_once_and_warn(backend: Backend, tmp_path: Path) -> None:
    ball = {"shape": "sphere", "radius_mm": 8.0}
    pair = station(ball, {**ball, "position_mm": [3.0, 0, 0]}, pitch_mm=0.6)
    mesh = station({**sphere_mesh(tmp_path, "pair", twice=True), "name": "pair"}, pitch_mm=0.6, directory=tmp_path)
    with pytest.warns(UserWarning, match=r"shells of mesh 'pair' overlap on \d+ rays"):
        got = only(lengths_of(mesh, backend))
    exact = only(lengths_of(pair, backend))
    assert np.abs(got - exact)[exact > 4].max() < 0.3  # the facets of the mesh
    assert got.max() < 16.5  # twice counted it would reach 30


def test_a_cavity_of_reversed_triangles_is_hollow(backend: Backend, tmp_path: Path) -> None:
    outer, inner = trimesh.creation.icosphere(3, 8.0), trimesh.creation.icosphere(3, 4.0)
    hollow = trimesh.util.concatenate([outer, inner.copy()])
    faces = np.concatenate([outer.faces, inner.faces[:, ::-1] + len(outer.vertices)])
    one, two, shell = (
        only(lengths_of(station(save(tmp_path, name, v, f), pitch_mm=0.5, directory=tmp_path), backend))
        for name, v, f in (
            ("outer", outer.vertices, outer.faces),
            ("inner", inner.vertices, inner.faces),
            ("shell", hollow.vertices, faces),
        )
    )
    assert worst(shell, one - two) < TOLERANCE_MM and two.max() > 7


@pytest.mark.parametrize(("kind", "fault"), [("open", {"missing": 20}), ("flipped", {"flip": True})])
def test_open_and_flipped_meshes_are_refused_with_the_number_of_rays(
    backend: Backend, tmp_path: Path, kind: str, fault: dict[str, Any]
) -> None:
    body = {**sphere_mesh(tmp_path, "part", **fault), "name": "part"}
    scene = station(body, pitch_mm=0.5, directory=tmp_path)
    with pytest.raises(MeshError, match=rf"mesh 'part' is {kind} \(on \d+ of 4096 rays .*allow_open") as caught:
        lengths_of(scene, backend)
    rays = int(str(caught.value).split("(on ")[1].split()[0])
    found = project(scene, scene.view, backend)
    assert rays == faults(found, backend, OPEN if kind == "open" else FLIPPED) > 0
    assert only(path_lengths(station({**body, "allow_open": True}, pitch_mm=0.5, directory=tmp_path), "cpu")).max() > 10


def test_a_fault_is_laid_to_the_body_that_has_it(backend: Backend, tmp_path: Path) -> None:
    """An open mesh that is allowed, under a closed one whose shells overlap: a warning about the second, no refusal."""
    holed = {**sphere_mesh(tmp_path, "holed", missing=20), "name": "holed"}
    pair = {**sphere_mesh(tmp_path, "pair", twice=True), "name": "pair"}
    allowed = station({**holed, "allow_open": True}, pair, pitch_mm=0.5, directory=tmp_path)
    with pytest.warns(UserWarning, match="shells of mesh 'pair'"):
        lengths_of(allowed, backend)
    with pytest.raises(MeshError, match="mesh 'holed' is open"):
        lengths_of(station(holed, pair, pitch_mm=0.5, directory=tmp_path), backend)


def test_a_flipped_shell_before_a_greater_sound_one_is_told(backend: Backend, tmp_path: Path) -> None:
    """Every ray that meets it also meets the block: their sum alone would only be too short."""
    block = trimesh.creation.box((30.0, 30.0, 5.0))
    ball = trimesh.creation.icosphere(2, 2.0).apply_translation([0, 0, -10.0])
    vertices = np.concatenate([block.vertices, ball.vertices])
    faces = np.concatenate([block.faces, ball.faces[:, ::-1] + len(block.vertices)])
    scene = station({**save(tmp_path, "part", vertices, faces), "name": "part"}, pitch_mm=1.0, directory=tmp_path)
    with pytest.raises(MeshError, match="mesh 'part' is flipped"):
        lengths_of(scene, backend)


def test_a_grazed_face_on_coarse_pixels_is_no_fault(backend: Backend, tmp_path: Path) -> None:
    """Pixels of 17 mm at a body of 200 mm: corners rounded to the screen put one ray on the wrong side of a face."""
    body = random_body(np.random.default_rng(575), True, 8.0)
    assert isinstance(body.form, Surface)
    large = replace(body, form=body.form._replace(vertices=10 * body.form.vertices), place=10 * body.place)
    speck = replace(large, form=body.form._replace(vertices=0.01 * body.form.vertices))  # so that crossings are sorted
    scene = scene_of([large, speck], tmp_path, 10.0)
    assert faults(project(scene, scene.view, backend), backend, OPEN | FLIPPED) == 0
