"""Where bodies overlap, each stretch of a ray belongs to one: the highest priority, then the later in the file."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import reference
import trimesh
from reference import worst
from station import lengths_of, only, random_pose, save, solid, station

from xsim.backend import Backend
from xsim.projector import project

TOLERANCE_MM = 1e-4


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


def test_bodies_apart_are_as_long_as_in_a_crowd(backend: Backend, tmp_path: Path) -> None:
    """Depths summed body by body, against lists of crossings sorted: a large thin body of air makes all overlap."""
    generator = np.random.default_rng(6)
    torus = trimesh.creation.torus(8.0, 3.0, major_sections=32, minor_sections=16)
    hull = trimesh.convex.convex_hull(generator.normal(size=(40, 3)) * 4)
    shapes = [
        save(tmp_path, "torus", torus.vertices, torus.faces),
        save(tmp_path, "hull", hull.vertices, hull.faces),
        *(solid(shape, 8.0) for shape in ("box", "tube", "cone", "step_wedge")),
    ]
    bodies = []
    for k, shape in enumerate(shapes):
        pose = {**random_pose(generator), "position_mm": [45.0 * (k % 3 - 1), 45.0 * (k // 3 - 0.5), 0.0]}
        bodies.append({**shape, **pose, "material": ("Al", "Fe", "Ti")[k % 3]})
    air = {"shape": "box", "size_mm": [300.0, 300.0, 80.0], "material": "air", "priority": -1}
    view = {"shape": (150, 220), "pitch_mm": 1.4, "directory": tmp_path}
    apart = lengths_of(station(*bodies, **view), backend)
    crowd = lengths_of(station(air, *bodies, **view), backend)
    assert len(apart) == 3
    for name, length in apart.items():
        assert worst(crowd[name], length.astype(np.float64)) < TOLERANCE_MM
        assert length.max() > 5
    labels = backend.to_numpy(project(station(*bodies, **view), station(**view).view, backend).labels)
    assert set(np.unique(labels)) == set(range(7))
