"""Meshes in memory: simulated as a file of the same triangles is, checked as files are, named by their content."""

from __future__ import annotations

import gc
import json
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh
from station import lengths_of, only, save, station

import xsim
from xsim.backend import Backend
from xsim.mesh import Mesh

VIEW: dict[str, Any] = {"shape": (64, 64), "pitch_mm": 0.8}


def ball(subdivisions: int = 3, radius_mm: float = 8.0) -> trimesh.Trimesh:
    return trimesh.creation.icosphere(subdivisions, radius_mm)


def test_a_mesh_in_memory_is_that_of_its_file(backend: Backend, tmp_path: Path) -> None:
    whole = ball()
    written = station(save(tmp_path, "ball", whole.vertices, whole.faces), directory=tmp_path, **VIEW)
    wanted = only(lengths_of(written, backend))
    for given in (whole, (whole.vertices, whole.faces), [whole.vertices.tolist(), whole.faces.tolist()]):
        found = only(lengths_of(station({"mesh": given, "material": "Al"}, **VIEW), backend))
        assert np.abs(found - wanted).max() < 1e-5


def test_it_is_hashed_by_content_and_named_in_the_metadata() -> None:
    def told(mesh: trimesh.Trimesh) -> str:
        image = xsim.simulate(station({"mesh": mesh, "material": "Al"}, **VIEW))
        return str(json.loads(json.dumps(image.metadata))["scene"]["body"][0]["mesh"])

    assert told(ball()) == told(ball()) != told(ball(radius_mm=7.0))
    assert "1280 triangles" in told(ball())


def test_a_later_change_of_the_arrays_does_not_reach_the_scene(backend: Backend) -> None:
    vertices, faces = np.array(ball().vertices), np.array(ball().faces)
    scene = station({"mesh": (vertices, faces), "material": "Al"}, **VIEW)
    vertices[:], faces[:] = 0, 0
    assert only(lengths_of(scene, backend)).max() > 15


def test_it_is_forgotten_with_its_scene(backend: Backend) -> None:
    """A corpus makes millions."""
    scene = station({"mesh": ball(), "material": "Al"}, **VIEW)
    lengths_of(scene, backend)
    mesh = scene.shape_of(0)
    assert isinstance(mesh, Mesh)
    kept = weakref.ref(mesh)
    del scene, mesh
    gc.collect()
    assert kept() is None


def test_parts_units_and_repair_go_for_it_too() -> None:
    pair = trimesh.util.concatenate([ball(radius_mm=2.0), ball(radius_mm=3.0).apply_translation((9, 0, 0))])
    split = station({"mesh": pair, "material": "Al", "split": True, "name": "ball"}, **VIEW)
    assert [np.ptp(split.corners(body)[:, 0]) for body in split.body] == pytest.approx([4, 6])
    inches = station({"mesh": ball(radius_mm=0.1), "mesh_unit": "in", "material": "Al"}, **VIEW)
    assert np.ptp(inches.corners(inches.body[0])[:, 0]) == pytest.approx(2 * 2.54)
    open_ball = (ball().vertices, ball().faces[:-3])
    with pytest.warns(UserWarning, match="mesh of 1277 triangles repaired"):
        station({"mesh": open_ball, "material": "Al", "repair": True}, **VIEW)
    with pytest.raises(xsim.MeshError, match="'mesh of 1277 triangles' is open"):
        xsim.simulate(station({"mesh": open_ball, "material": "Al"}, shape=(256, 256), pitch_mm=0.2))


@pytest.mark.parametrize(
    ("mesh", "told"),
    [
        (5, "neither a file nor triangles"),
        ((np.zeros((3, 2)), [[0, 1, 2]]), "three columns"),
        ((np.zeros((3, 3)), np.zeros((0, 3), int)), "no triangle"),
        ((np.full((3, 3), np.nan), [[0, 1, 2]]), "NaN"),
        ((np.zeros((3, 3)), [[0, 1, 3]]), "do not count its 3 vertices"),
        ((np.zeros((3, 3)), [[0.0, 1.0, 2.0]]), "do not count"),
        ((["a"], "b"), "no arrays of numbers"),
    ],
)
def test_what_is_no_mesh_is_refused_in_one_line(mesh: Any, told: str) -> None:
    with pytest.raises(xsim.SceneError, match=told) as error:
        station({"mesh": mesh, "material": "Al"}, **VIEW)
    assert "\n" not in str(error.value)
