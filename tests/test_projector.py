"""Path lengths: solids and meshes against the oracle, watertight rays, overlap by priority, refused meshes."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh
from scipy.spatial.transform import Rotation

import reference
from reference import worst
from station import random_pose, save, station
from xsim import MeshError, Scene, path_lengths
from xsim.backend import Backend
from xsim.geometry import View
from xsim.projector import FLIPPED, OPEN, Projection, project, report_faults

TOLERANCE_MM = 1e-4
SUBPIXEL = 1 / 4096


def lengths_of(scene: Scene, backend: Backend) -> dict[str, np.ndarray]:
    """As ``path_lengths``, on a given machine."""
    found = project(scene, scene.view, backend)
    report_faults(scene, backend.to_numpy(found.faults), backend.to_numpy(found.faulty_bodies))
    lengths = backend.to_numpy(found.lengths_mm)
    return {m.name: lengths[k] for k, m in enumerate(found.materials)}


def only(lengths: dict[str, np.ndarray]) -> np.ndarray:
    (length,) = lengths.values()
    return length


def faults(projection: Projection, backend: Backend, kind: int) -> int:
    return int((backend.to_numpy(projection.faults) & kind > 0).sum())


def moved(vertices: np.ndarray, body: dict[str, Any]) -> np.ndarray:
    turn = Rotation.from_euler("xyz", body.get("rotation_deg", [0, 0, 0]), degrees=True)
    return turn.apply(np.array(vertices)) + np.asarray(body.get("position_mm", [0, 0, 0]))


def solid(shape: str, radius: float) -> dict[str, Any]:
    sizes = {
        "sphere": {"radius_mm": radius},
        "cylinder": {"radius_mm": 0.6 * radius, "height_mm": 1.6 * radius},
        "box": {"size_mm": [1.2 * radius, 0.9 * radius, 1.1 * radius]},
        "step_wedge": {
            "steps_mm": [0.1 * radius, 0.9 * radius, 0.4 * radius],
            "step_length_mm": 0.4 * radius,
            "width_mm": radius,
        },
    }
    return {"shape": shape, **sizes[shape]}


@pytest.mark.parametrize("sod_mm", [50.0, 120.0, 500.0, 1e4, 1e5])
@pytest.mark.parametrize("shape", ["sphere", "cylinder", "box", "step_wedge"])
def test_solids_equal_their_closed_form_at_any_pose(backend: Backend, shape: str, sod_mm: float) -> None:
    """To 1e-4 mm on bodies of up to 100 mm, on every ray; rays where the half-chord exceeds R / 100 are among them."""
    generator = np.random.default_rng(int(sod_mm))
    radius = min(50.0, 0.6 * sod_mm)
    sdd_mm = sod_mm + 2 * radius + 100
    for _ in range(4):
        body = {**solid(shape, radius), **random_pose(generator, 0.1 * radius)}
        scene = station(body, shape=(80, 72), sod_mm=sod_mm, sdd_mm=sdd_mm, pitch_mm=3 * radius * sdd_mm / sod_mm / 76)
        wanted, _ = reference.path_lengths(scene)
        thick = only(wanted) > radius / 50
        assert thick.mean() > 0.05
        assert worst(only(lengths_of(scene, backend)), only(wanted)) < TOLERANCE_MM


def closed_meshes(generator: np.random.Generator) -> dict[str, trimesh.Trimesh]:
    return {
        "icosphere": trimesh.creation.icosphere(3, 40.0),
        "torus": trimesh.creation.torus(30.0, 12.0, major_sections=32, minor_sections=16),
        "hull": trimesh.convex.convex_hull(generator.normal(size=(60, 3)) * 15),
        "plate": trimesh.creation.box((90, 60, 0.5)),
    }


@pytest.mark.parametrize("sod_mm", [120.0, 500.0, 1e5])
@pytest.mark.parametrize("name", ["icosphere", "torus", "hull", "plate"])
def test_meshes_equal_the_oracle_on_the_same_triangles(
    backend: Backend, tmp_path: Path, name: str, sod_mm: float
) -> None:
    """To 1e-4 mm where |cos incidence| > 0.05 on all triangles met.

    Not compared: rays within 1.5 / 4096 pixel of an edge, where corners rounded to the screen's grid may put a ray on the
    other face. They are fewer than 1 %, and there the path is off by no more than a few um unless it is a silhouette.
    """
    generator = np.random.default_rng(int(sod_mm))
    mesh = closed_meshes(generator)[name]
    body = {**save(tmp_path, name, mesh.vertices, mesh.faces), **random_pose(generator, 5.0)}
    sdd_mm = min(2 * sod_mm, sod_mm + 200)
    pitch_mm = 110 * sdd_mm / sod_mm / 48
    scene = station(body, shape=(48, 44), sod_mm=sod_mm, sdd_mm=sdd_mm, pitch_mm=pitch_mm, directory=tmp_path)
    wanted = reference.mesh_crossings(moved(mesh.vertices, body), mesh.faces, reference.Rays.of(scene))
    near_edge = wanted.edge_gap_mm < 1.5 * SUBPIXEL * pitch_mm * sod_mm / sdd_mm
    compared = (wanted.least_cosine > 0.05) & ~near_edge
    assert near_edge.mean() < 0.01
    assert (compared & (wanted.crossings > 0)).sum() > 100 or name == "plate"
    assert worst(only(lengths_of(scene, backend)).ravel(), wanted.lengths_mm, compared) < TOLERANCE_MM


def test_a_box_of_triangles_equals_the_exact_box(backend: Backend, tmp_path: Path) -> None:
    """To 1e-4 mm but for 1 % of rays: those at edges, and those along a face, where a mesh is as good as its screen."""
    generator = np.random.default_rng(3)
    box = trimesh.creation.box((30.0, 40.0, 50.0))
    mesh = save(tmp_path, "box", box.vertices, box.faces)
    for _ in range(6):
        pose = random_pose(generator, 5.0)
        one = station({**mesh, **pose}, shape=(128, 128), pitch_mm=1.0, directory=tmp_path)
        other = station({"shape": "box", "size_mm": [30.0, 40.0, 50.0], **pose}, shape=(128, 128), pitch_mm=1.0)
        gap = np.abs(only(lengths_of(one, backend)) - only(lengths_of(other, backend)))
        assert (gap > TOLERANCE_MM).mean() < 0.01
        assert gap.max() < 0.02


def snapped(mesh: trimesh.Trimesh, view: View) -> np.ndarray:
    """Corners moved along the screen until each projects onto the centre of a pixel."""
    fraction, column, row = view.project(mesh.vertices).T
    i, j = np.round(column / fraction), np.round(row / fraction)
    rays = view.origin + i[:, None] * view.column + j[:, None] * view.row
    return np.asarray(view.source + fraction[:, None] * rays)


@pytest.mark.parametrize("name", ["icosphere", "torus", "hull"])
@pytest.mark.parametrize("side", [41, 400])
def test_no_ray_through_vertices_and_edges_is_odd(backend: Backend, tmp_path: Path, name: str, side: int) -> None:
    """Every corner on a pixel centre: coarse, where edges collapse, and fine."""
    generator = np.random.default_rng(side)
    mesh = closed_meshes(generator)[name]
    mesh = mesh.subdivide()
    mesh.apply_transform(trimesh.transformations.random_rotation_matrix(generator.uniform(size=3)))
    pitch_mm = 2 * 110.0 / side
    view = station(shape=(side, side), pitch_mm=pitch_mm).view
    body = save(tmp_path, name, snapped(mesh, view), mesh.faces)
    scene = station(body, shape=(side, side), pitch_mm=pitch_mm, directory=tmp_path)
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


@pytest.mark.parametrize("name", ["icosphere", "torus", "hull", "plate"])
def test_no_ray_along_an_edge_is_odd(backend: Backend, tmp_path: Path, name: str) -> None:
    generator = np.random.default_rng(11)
    mesh = closed_meshes(generator)[name]
    scene = station(save(tmp_path, name, mesh.vertices, mesh.faces), sod_mm=2e3, sdd_mm=4e3, directory=tmp_path)
    held = scene.mesh_of(scene.body[0])
    for _ in range(150):
        corners = held.vertices[generator.permutation(held.faces[generator.integers(len(held.faces))])[:2]]
        away = generator.normal(size=3)
        source = away / np.linalg.norm(away) * generator.uniform(70, 1500)
        found = project(scene, edge_view(source, corners, generator), backend)
        assert faults(found, backend, OPEN) == 0


@pytest.mark.parametrize("name", ["icosphere", "torus", "hull", "plate", "tube"])
def test_a_source_in_the_plane_of_a_face_leaves_no_ray_odd_or_reversed(
    backend: Backend, tmp_path: Path, name: str
) -> None:
    """In the plane, and off it by 1e-6 to 1 mm: faces seen edge-on are met in order too."""
    generator = np.random.default_rng(5)
    meshes = {**closed_meshes(generator), "tube": trimesh.creation.annulus(20, 40, 150, sections=64)}
    mesh = meshes[name]
    scene = station(save(tmp_path, name, mesh.vertices, mesh.faces), sod_mm=2e3, sdd_mm=4e3, directory=tmp_path)
    held = scene.mesh_of(scene.body[0])
    for trial in range(150):
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
        place = turn.apply([size[0] / 2 + generator.uniform(10, 30), 0, 0]) + [0, 0, -480.0]
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
    generator = np.random.default_rng(13)
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
    from xsim.clipping import NEAR_FRACTION, clip_faces

    held = scene.mesh_of(scene.body[0])
    xp, count = backend.xp, len(held.vertices)
    screen, outside = xp.empty((count, 2), np.int32), xp.empty(count, np.uint8)
    backend.launch(
        "project_vertices", count, vertices=xp.asarray(held.vertices), screen=screen, outside=outside,
        homography=view.homography.reshape(12), near_fraction=NEAR_FRACTION,
    )  # fmt: skip
    kept = backend.to_numpy(screen)
    cut, faces, parents = clip_faces(view, held.vertices, held.faces, kept, backend.to_numpy(outside))
    inside = ~backend.to_numpy(outside).astype(bool)
    assert inside[held.faces].any(axis=1)[~inside[held.faces].all(axis=1)].any()
    for triangle, parent in zip(faces, parents, strict=True):
        for corner in held.faces[parent]:
            if inside[corner]:
                near = np.abs(cut[triangle].astype(np.int64) - kept[corner]).max(axis=1)
                assert not ((near > 0) & (near < 2)).any()


NESTED_BODIES = (
    {"shape": "box", "size_mm": [50.0, 44.0, 38.0], "material": "PMMA", "priority": 0},
    {"shape": "sphere", "radius_mm": 15.0, "material": "Al", "priority": 1},
    {"shape": "box", "size_mm": [8.0, 9.0, 10.0], "material": "Fe", "priority": 2},
)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_box_in_sphere_in_box_by_priority_in_any_order_of_the_file(backend: Backend, order: tuple[int, ...]) -> None:
    """Path length of each material and label of the body that wins, against interval arithmetic in float64."""
    generator = np.random.default_rng(21)
    bodies = [{**body, **random_pose(generator, 2.0)} for body in NESTED_BODIES]
    scene = station(*(bodies[k] for k in order), shape=(64, 60), pitch_mm=1.6)
    wanted, labels = reference.path_lengths(scene)
    got = lengths_of(scene, backend)
    assert set(got) == set(wanted) and all(length.max() > 5 for length in wanted.values())
    for name, length in wanted.items():
        assert worst(got[name], length) < TOLERANCE_MM
    found = backend.to_numpy(project(scene, scene.view, backend).labels)
    assert (found != labels).mean() < 1e-3


@pytest.mark.parametrize("later_wins", [False, True])
def test_two_boxes_that_overlap_count_once_and_ties_go_to_the_later(backend: Backend, later_wins: bool) -> None:
    first = {"shape": "box", "size_mm": [20.0, 20.0, 20.0], "material": "Al", "priority": 0 if later_wins else 1}
    second = {**first, "material": "PMMA", "position_mm": [5.0, 3.0, 8.0], "priority": 0}
    scene = station(first, second, shape=(64, 64), pitch_mm=1.0)
    wanted, _ = reference.path_lengths(scene)
    got = lengths_of(scene, backend)
    for name, length in wanted.items():
        assert worst(got[name], length) < TOLERANCE_MM
    alone = only(lengths_of(station(first, shape=(64, 64), pitch_mm=1.0), backend))
    aluminium = got[next(iter(wanted))]
    kept_whole = np.abs(aluminium - alone).max() < TOLERANCE_MM
    assert kept_whole != later_wins


def test_a_sphere_displaces_the_block_around_it(backend: Backend) -> None:
    """Block and sphere together are as long as the block alone, and the sphere as long as by itself."""
    block = {"shape": "box", "size_mm": [40.0, 40.0, 30.0], "material": "PMMA", "rotation_deg": [3.0, 9.0, 20.0]}
    ball = {"shape": "sphere", "radius_mm": 6.0, "position_mm": [2.0, -3.0, 4.0], "material": "Al"}
    together = lengths_of(station(block, ball, shape=(96, 96), pitch_mm=0.8), backend)
    alone = only(lengths_of(station(block, shape=(96, 96), pitch_mm=0.8), backend))
    inside = only(lengths_of(station(ball, shape=(96, 96), pitch_mm=0.8), backend))
    plastic, aluminium = together.values()
    assert worst(plastic + aluminium, alone) < TOLERANCE_MM
    assert worst(aluminium, inside) < TOLERANCE_MM and inside.max() > 11


def test_materials_of_a_union_add_up_to_the_union(backend: Backend, tmp_path: Path) -> None:
    """Solids and a mesh across each other, with five materials and with one."""
    generator = np.random.default_rng(2)
    torus = trimesh.creation.torus(12.0, 5.0, major_sections=32, minor_sections=16)
    bodies = [
        {**save(tmp_path, "torus", torus.vertices, torus.faces), "priority": 1},
        *(solid(shape, 20.0) for shape in ("box", "sphere", "cylinder", "step_wedge")),
    ]
    posed = [{**body, **random_pose(generator, 8.0)} for body in bodies]
    names = ("Al", "Fe", "PMMA", "water", "Ti")
    mixed = [{**body, "material": name} for body, name in zip(posed, names, strict=True)]
    several = lengths_of(station(*mixed, pitch_mm=1.5, directory=tmp_path), backend)
    union = only(lengths_of(station(*posed, pitch_mm=1.5, directory=tmp_path), backend))
    assert len(several) == 5 and union.max() > 30
    assert worst(sum(several.values()), union) < TOLERANCE_MM


def test_a_turn_of_the_world_about_the_axis_turns_the_image(backend: Backend, tmp_path: Path) -> None:
    """Rigid motion: bodies turned a quarter about the beam give the quarter-turned image, half a turn the reversed."""
    generator = np.random.default_rng(4)
    hull = trimesh.convex.convex_hull(generator.normal(size=(40, 3)) * 8)
    mesh = save(tmp_path, "hull", hull.vertices, hull.faces)
    bodies = [{**body, **random_pose(generator, 6.0)} for body in (mesh, solid("cylinder", 18.0))]
    names = ("Al", "Fe")

    def image(quarters: int) -> np.ndarray:
        about_axis = Rotation.from_euler("z", 90 * quarters, degrees=True)
        turned = []
        for body, name in zip(bodies, names, strict=True):
            turn = about_axis * Rotation.from_euler("xyz", body["rotation_deg"], degrees=True)
            place = about_axis.apply(body["position_mm"])
            pose = {"rotation_deg": turn.as_euler("xyz", degrees=True).tolist(), "position_mm": place.tolist()}
            turned.append({**body, **pose, "material": name})
        lengths = lengths_of(station(*turned, shape=(90, 90), pitch_mm=1.2, directory=tmp_path), backend)
        return np.stack(list(lengths.values()))

    still = image(0)
    for quarters in (1, 2, 3):  # x towards y is columns towards rows: clockwise on the screen
        gap = np.abs(np.rot90(still, -quarters, axes=(1, 2)) - image(quarters))
        assert (gap > TOLERANCE_MM).mean() < 1e-3
        assert np.median(gap[still > 1]) < 1e-4


def test_lengths_scale_with_the_station(backend: Backend) -> None:
    """Everything twice as large is twice as long."""
    body = solid("cylinder", 20.0)
    twice = {"radius_mm": 2 * body["radius_mm"], "height_mm": 2 * body["height_mm"]}
    pose = {"rotation_deg": [20.0, 30.0, 40.0]}
    small = station({**body, **pose}, pitch_mm=1.0, sod_mm=300, sdd_mm=700)
    large = station({**body, **twice, **pose}, pitch_mm=2.0, sod_mm=600, sdd_mm=1400)
    assert worst(only(lengths_of(large, backend)), 2 * only(lengths_of(small, backend))) < TOLERANCE_MM


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


def test_no_bodies_no_path(backend: Backend) -> None:
    assert lengths_of(station(), backend) == {}
