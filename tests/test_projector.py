"""Path lengths of solids and meshes against the oracle, and the laws of a projection."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import reference
import trimesh
from reference import worst
from scipy.spatial.transform import Rotation
from station import closed_meshes, lengths_of, only, random_pose, save, solid, station

from xsim.backend import Backend

TOLERANCE_MM = 1e-4
SHAPES = ("box", "sphere", "ellipsoid", "cylinder", "cone", "tube", "step_wedge")
SUBPIXEL = 1 / 4096


def moved(vertices: np.ndarray, body: dict[str, Any]) -> np.ndarray:
    turn = Rotation.from_euler("xyz", body.get("rotation_deg", [0, 0, 0]), degrees=True)
    return turn.apply(np.array(vertices)) + np.asarray(body.get("position_mm", [0, 0, 0]))


@pytest.mark.parametrize("sod_mm", [50.0, 120.0, 500.0, 1e4, 1e5])
@pytest.mark.parametrize("shape", SHAPES)
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


@pytest.mark.parametrize("sod_mm", [120.0, 500.0, 1e5])
@pytest.mark.parametrize("name", ["icosphere", "torus", "hull", "plate"])
def test_meshes_equal_the_oracle_on_the_same_triangles(
    backend: Backend, tmp_path: Path, name: str, sod_mm: float
) -> None:
    """To 1e-4 mm where |cos incidence| > 0.05 on all triangles met.

    Not compared: rays within 1.5 / 4096 pixel of an edge, fewer than 1 %, where corners rounded to the screen may
    put a ray on the other face.
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


def test_no_bodies_no_path(backend: Backend) -> None:
    assert lengths_of(station(), backend) == {}
