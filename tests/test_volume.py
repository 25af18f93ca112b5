"""Voxel volumes: exact lengths of labels, interpolated densities, alone and among other bodies."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import reference
from reference import Grid, Rays, worst
from station import lengths_of, only, random_pose, station

from xsim import bricks, material
from xsim.backend import Backend, get_backend
from xsim.projector import project

TOLERANCE_MM = 1e-4
LABELS = {"0": "nothing", "1": "Al", "2": "PMMA", "3": "water"}
DISTANCES = [(50.0, 200.0), (500.0, 1000.0), (1e5, 1.001e5)]


def textured(generator: np.random.Generator, shape: tuple[int, int, int], labels: int = 4) -> np.ndarray:
    """Blocks of one label among voxels of any."""
    voxels = generator.integers(0, labels, shape, np.uint8)
    for _ in range(6):
        low = [int(generator.integers(0, n)) for n in shape]
        voxels[tuple(slice(a, a + int(generator.integers(1, 25))) for a in low)] = generator.integers(0, labels)
    return voxels


def volume_body(voxels: np.ndarray, voxel_mm: Any = 0.5, **fields: Any) -> dict[str, Any]:
    meaning = {"labels": LABELS} if "mixtures" not in fields and "material" not in fields else {}
    return {"volume": voxels, "voxel_mm": voxel_mm, "material": None, **meaning, **fields}


def grid_of(body: dict[str, Any]) -> Grid:
    edges = body["voxel_mm"]
    edges = edges if isinstance(edges, tuple) else (edges,) * 3
    return Grid(
        body["volume"], edges, body.get("position_mm", (0.0, 0.0, 0.0)), body.get("rotation_deg", (0.0, 0.0, 0.0))
    )


@pytest.mark.parametrize(("sod", "sdd"), DISTANCES)
@pytest.mark.parametrize("shape", [(33, 29, 40), (1, 1, 37), (41, 1, 1), (1, 33, 26)])
def test_lengths_of_labels_at_random_poses(
    backend: Backend, sod: float, sdd: float, shape: tuple[int, int, int]
) -> None:
    """Against every crossing of every plane, sorted, in float64."""
    generator = np.random.default_rng(sum(shape))
    pitch = 40.0 / 20 * sdd / sod
    for _ in range(3):
        body = volume_body(textured(generator, shape), (0.5, 0.7, 0.4), **random_pose(generator, 3.0))
        scene = station(body, shape=(20, 19), pitch_mm=pitch / 2, sod_mm=sod, sdd_mm=sdd)
        got = lengths_of(scene, backend)
        for label, name in ((1, "Al"), (2, "PMMA"), (3, "water")):
            wanted = reference.label_lengths(grid_of(body), Rays.of(scene), label)
            assert worst(got[material.resolve(name).name], wanted) < TOLERANCE_MM


@pytest.mark.parametrize("rotation", [(0.0, 0.0, 0.0), (0.0, 90.0, 0.0), (90.0, 0.0, 0.0), (180.0, 0.0, 90.0)])
@pytest.mark.parametrize("offset", [0.0, 0.25])
def test_rays_along_axes_and_in_voxel_planes_are_ordinary_rays(
    backend: Backend, rotation: tuple[float, float, float], offset: float
) -> None:
    """The middle row and column of an odd panel run in planes of the grid, its centre along a line of voxel edges."""
    voxels = textured(np.random.default_rng(3), (24, 24, 24))
    body = volume_body(voxels, 1.0, rotation_deg=rotation, position_mm=(offset, 2 * offset, 0.0))
    tilted = {**body, "rotation_deg": tuple(a + 1e-5 for a in rotation)}
    views = {"shape": (41, 41), "pitch_mm": 1.0}
    for case in (body, tilted):
        scene = station(case, **views)
        got = lengths_of(scene, backend)[material.resolve("Al").name]
        wanted = reference.label_lengths(grid_of(case), Rays.of(scene), 1)
        # a ray within rounding of a voxel plane may belong to the voxels on either side of it
        wrong = np.abs(got - wanted) > TOLERANCE_MM
        assert wrong.sum() <= (0 if offset else 81)
    scene = station(body, **views)
    lengths = lengths_of(scene, backend)
    solid = lengths_of(station({**body, "labels": dict.fromkeys("0123", "Al")}, **views), backend)
    nothing = reference.label_lengths(grid_of(body), Rays.of(scene), 0)
    total = only(solid)
    settled = np.ones((41, 41), bool) if offset else np.ix_(np.arange(41) != 20, np.arange(41) != 20)
    assert worst((sum(lengths.values()) + nothing)[settled], total[settled]) < TOLERANCE_MM


@pytest.mark.parametrize("kind", ["labels", "density"])
def test_a_volume_of_one_value_is_a_box(backend: Backend, kind: str) -> None:
    generator = np.random.default_rng(4)
    for _ in range(4):
        pose = random_pose(generator, 4.0)
        shape = tuple(int(n) for n in generator.integers(1, 40, 3))
        edges = tuple(generator.uniform(0.2, 1.0, 3).tolist())
        meaning = {"labels": {"1": "Al"}} if kind == "labels" else {"material": "Al"}
        voxels = np.ones(shape, np.uint8 if kind == "labels" else np.float32)
        body = {"volume": voxels, "voxel_mm": edges, "material": None, **meaning, **pose}
        size = [n * e for n, e in zip(shape[::-1], edges, strict=True)]
        box = {"shape": "box", "size_mm": size, **pose}
        view = {"shape": (64, 63), "pitch_mm": 1.0}
        wanted = only(lengths_of(station(box, **view), backend))
        assert worst(only(lengths_of(station(body, **view), backend)), wanted.astype(float)) < TOLERANCE_MM
        assert wanted.max() > 0


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float16", "float32"])
def test_densities_are_those_of_josephs_method_in_every_type(backend: Backend, dtype: str) -> None:
    """Against the same rule in float64; values stay in the type they came in."""
    generator = np.random.default_rng(5)
    for shape in ((30, 25, 35), (1, 20, 30), (40, 1, 1)):
        values = generator.uniform(-900 if dtype == "int16" else 0, 250 if dtype == "uint8" else 2500, shape)
        values[: shape[0] // 2] = 40
        body = volume_body(
            values.astype(dtype), (0.5, 0.6, 0.7), material="water", density_scale_g_cm3=1e-3,
            density_offset_g_cm3=0.4, **random_pose(generator, 2.0),
        )  # fmt: skip
        scene = station(body, shape=(24, 23), pitch_mm=2.4)
        assert scene.volume_of(scene.body[0]).voxels.dtype == dtype
        wanted = reference.joseph(grid_of(body), Rays.of(scene), lambda v: np.maximum(0.4 + 1e-3 * v, 0))
        got = only(lengths_of(scene, backend))
        assert worst(got, wanted / material.resolve("water").density_g_cm3) < TOLERANCE_MM
        assert wanted.max() > 0.2


def test_mixtures_are_linear_between_their_rows(backend: Backend) -> None:
    """Hounsfield units to air, water and bone: partial densities over the materials' own."""
    generator = np.random.default_rng(6)
    values = generator.uniform(-1200, 2000, (28, 30, 26)).astype(np.int16)
    rows = [(-1000.0, 0.0, 0.0), (0.0, 1.0, 0.0), (200.0, 1.0, 0.1), (1500.0, 0.6, 1.2)]
    mixtures = [{"value": v, "densities_g_cm3": {"water": w, "Ca": c}} for v, w, c in rows]
    body = volume_body(values, 0.6, mixtures=mixtures, **random_pose(generator, 2.0))
    scene = station(body, shape=(24, 23), pitch_mm=2.0)
    got = lengths_of(scene, backend)
    nodes = np.array(rows)
    for column, name in ((1, "water"), (2, "Ca")):
        found = material.resolve(name)
        wanted = reference.joseph(
            grid_of(body), Rays.of(scene), lambda v, c=column: np.interp(v, nodes[:, 0], nodes[:, c])
        )
        assert worst(got[found.name], wanted / found.density_g_cm3) < TOLERANCE_MM


def test_a_linear_field_integrates_to_its_value_in_the_middle(backend: Backend) -> None:
    """Rays through both end faces: the mean of a linear field on a chord is its value at the chord's middle."""
    z, y, x = np.meshgrid(*(np.arange(n) + 0.5 for n in (50, 60, 70)), indexing="ij")
    coefficients = np.array([0.02, -0.015, 0.03])
    field = 3 + coefficients[0] * (x - 35) + coefficients[1] * (y - 30) + coefficients[2] * (z - 25)
    body = volume_body(field.astype(np.float32), 0.5, material="Al", density_scale_g_cm3=2.6989)
    scene = station(body, shape=(31, 33), pitch_mm=1.2)
    origin, direction = grid_of(body).rays(Rays.of(scene))
    ends = [(plane - origin[:, 2]) / direction[:, 2] for plane in (0.0, 50.0)]
    middle = origin + (0.5 * (ends[0] + ends[1]))[:, None] * direction - [35, 30, 25]
    wanted = (ends[1] - ends[0]) * (3 + middle @ coefficients)
    got = only(lengths_of(scene, backend)) * 2.6989 / material.resolve("Al").density_g_cm3
    assert worst(got, wanted.reshape(31, 33)) < TOLERANCE_MM * 3


@pytest.mark.parametrize("kind", ["labels", "density"])
def test_steps_over_bricks_change_nothing(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Against a map that calls every brick mixed: bit for bit."""
    generator = np.random.default_rng(8)
    voxels = np.zeros((90, 80, 70), np.uint8)
    voxels[20:60, 10:70, 15:50] = 1
    voxels[40:47, 30:64, 30:33] = generator.integers(0, 3, (7, 34, 3))
    meaning = {} if kind == "labels" else {"material": "Al"}
    body = volume_body(voxels, 0.4, **meaning, **random_pose(generator, 2.0))
    backend = get_backend("cpu")
    view = {"shape": (70, 75), "pitch_mm": 1.2}
    scene = station(body, **view)
    reaches = bricks.brick_reaches(scene.volume_of(scene.body[0]), kind == "density", backend)
    assert reaches.max() >= 2 and reaches.min() == 0
    stepped = lengths_of(scene, backend)
    monkeypatch.setattr(bricks, "reaches_of", lambda uniform, values: np.zeros(uniform.shape, np.uint8))
    walked = lengths_of(station(body, **view), backend)
    assert stepped["Al"].max() > 5
    for name, length in stepped.items():
        assert np.array_equal(length, walked[name])


def test_reach_is_the_chessboard_distance_to_another_value() -> None:
    generator = np.random.default_rng(9)
    values = generator.integers(0, 2, (5, 6, 7)).repeat(3, 0).repeat(3, 1).repeat(3, 2).astype(np.uint32)
    uniform = generator.random(values.shape) > 0.02
    reaches = bricks.reaches_of(uniform, values)
    for at in np.ndindex(values.shape):
        r = 0
        while r < 30:
            box = tuple(slice(max(a - r, 0), a + r + 1) for a in at)
            if not (uniform[box].all() and (values[box] == values[at]).all()):
                break
            r += 1
        assert reaches[at] == r
    assert (bricks.reaches_of(np.ones((2, 2, 2), bool), np.zeros((2, 2, 2), np.uint32)) == 255).all()


BALL = {"shape": "sphere", "radius_mm": 5.0, "material": "Fe", "position_mm": [2.0, -1.0, 1.0], "priority": 1}


@pytest.mark.parametrize("kind", ["labels", "density"])
def test_a_sphere_displaces_voxels(backend: Backend, kind: str) -> None:
    """What is left of each label, against spans in float64: all voxels but those within the ball's chord."""
    generator = np.random.default_rng(10)
    voxels = textured(generator, (40, 44, 48))
    meaning = {} if kind == "labels" else {"material": "Al"}
    body = volume_body(voxels, 0.6, **meaning, **random_pose(generator, 2.0))
    scene = station(body, BALL, shape=(32, 31), pitch_mm=2.0)
    got, rays = lengths_of(scene, backend), Rays.of(scene)
    spans = reference.spans_of(reference.body_pieces(scene.body[1], rays))
    if kind == "labels":
        for label, name in ((1, "Al"), (2, "PMMA"), (3, "water")):
            wanted = [
                sum(b - a - covered(a, b, span) for k, a, b in runs if k == label)
                for runs, span in zip(reference.label_runs(grid_of(body), rays), spans, strict=True)
            ]
            found = got[material.resolve(name).name]
            assert worst(found, np.array(wanted).reshape(found.shape)) < TOLERANCE_MM
    else:
        alone = lengths_of(station(body, shape=(32, 31), pitch_mm=2.0), backend)
        missed = np.array([not span for span in spans]).reshape(32, 31)
        assert worst(got["Al"], only(alone).astype(float), missed) < TOLERANCE_MM
        assert (got["Al"] < only(alone) + TOLERANCE_MM).all() and (got["Al"] < only(alone) - 1).any()
    ball = only(lengths_of(station({**BALL, "material": "Al"}, shape=(32, 31), pitch_mm=2.0), backend))
    assert worst(got[material.resolve("Fe").name], ball.astype(float)) < TOLERANCE_MM and ball.max() > 9
    labels = backend.to_numpy(project(scene, scene.view, backend).labels)
    assert set(np.unique(labels)) == {0, 1, 2} and (labels == 2).sum() == (ball > 0).sum()


def covered(a: float, b: float, spans: list[tuple[float, float]]) -> float:
    return sum(max(0.0, min(b, e) - max(a, s)) for s, e in spans)


def test_a_sphere_of_the_same_voxels_leaves_a_density_volume_as_it_was(backend: Backend) -> None:
    """Two parts of a walk add up to the whole: a ball of the volume's own material in a volume of one value."""
    voxels = np.random.default_rng(11).random((40, 44, 48), np.float32)
    body = volume_body(voxels, 0.6, material="Al")
    split = {**BALL, "material": "air"}
    view = {"shape": (32, 31), "pitch_mm": 2.0}
    below = lengths_of(station(body, {**split, "priority": -1}, **view), backend)
    alone = only(lengths_of(station(body, **view), backend))
    assert worst(below["Al"], alone.astype(float)) < TOLERANCE_MM
    assert below[material.resolve("air").name].max() < TOLERANCE_MM


def test_a_lower_body_shows_through_nothing(backend: Backend) -> None:
    """A box below a volume keeps what the volume's empty voxels leave to it."""
    generator = np.random.default_rng(12)
    body = volume_body(textured(generator, (30, 34, 38)), 0.6, priority=2, **random_pose(generator, 1.0))
    box = {"shape": "box", "size_mm": [12.0, 11.0, 13.0], "material": "Fe", **random_pose(generator, 1.0)}
    scene = station(body, box, shape=(30, 31), pitch_mm=2.0)
    got, rays = lengths_of(scene, backend), Rays.of(scene)
    spans = reference.spans_of(reference.body_pieces(scene.body[1], rays))
    runs = reference.label_runs(grid_of(body), rays)
    wanted = [
        sum(b - a for a, b in span) - sum(covered(a, b, span) for k, a, b in run if k > 0)
        for span, run in zip(spans, runs, strict=True)
    ]
    iron = got[material.resolve("Fe").name]
    assert worst(iron, np.array(wanted).reshape(iron.shape)) < 2 * TOLERANCE_MM and iron.max() > 2
    solid = lengths_of(
        station(box, {**body, "labels": dict.fromkeys("0123", "Al")}, shape=(30, 31), pitch_mm=2.0), backend
    )
    assert solid[material.resolve("Fe").name].max() < iron.max()


def test_two_volumes_overlap_by_priority(backend: Backend) -> None:
    """The union is as long whichever of them wins, and what wins is as long as alone."""
    generator = np.random.default_rng(13)
    first = volume_body(textured(generator, (30, 30, 30), 2), 0.6, **random_pose(generator, 2.0))
    second = volume_body(textured(generator, (25, 35, 30), 2), 0.5, **random_pose(generator, 2.0))
    second["labels"] = {"0": "nothing", "1": "Fe"}
    view = {"shape": (30, 31), "pitch_mm": 1.6}
    one = lengths_of(station({**first, "priority": 1}, second, **view), backend)
    other = lengths_of(station(first, {**second, "priority": 1}, **view), backend)
    alone = only(lengths_of(station({**first, "labels": {"0": "nothing", "1": "Al"}}, **view), backend))
    iron = material.resolve("Fe").name
    assert worst(one["Al"], alone.astype(float)) < TOLERANCE_MM
    assert worst(one["Al"] + one[iron], (other["Al"] + other[iron]).astype(float)) < 5 * TOLERANCE_MM
    assert (one["Al"] - other["Al"]).max() > 2


def ball_voxels(count: int) -> np.ndarray:
    """Share of each voxel of a cube of 50 mm that lies in a sphere of 20, as if its surface were flat there."""
    at = ((np.arange(count) + 0.5) * 50 / count - 25) ** 2
    distance = np.sqrt(at[:, None, None] + at[None, :, None] + at[None, None, :])
    return np.clip((20 - distance) * count / 50 + 0.5, 0, 1).astype(np.float32)


@pytest.mark.parametrize("kind", ["labels", "density"])
def test_voxels_converge_to_the_sphere(backend: Backend, kind: str) -> None:
    """Mean error over 16^3 to 128^3 falls at least with the power 0.9 of the voxel's edge."""
    view = {"shape": (128, 127), "pitch_mm": 0.7}
    pose = {"rotation_deg": [20.0, 31.0, 47.0], "position_mm": [0.3, 0.2, 0.1]}
    exact = only(lengths_of(station({"shape": "sphere", "radius_mm": 20.0, **pose}, **view), backend))
    counts, errors = [16, 32, 64, 128], []
    for count in counts:
        share = ball_voxels(count)
        body = {"volume": share, "voxel_mm": 50 / count, "material": "Al", **pose}
        if kind == "labels":
            body |= {"volume": (share > 0.5).astype(np.uint8), "material": None, "labels": {"0": "nothing", "1": "Al"}}
        errors.append(np.abs(only(lengths_of(station(body, **view), backend)) - exact).mean())
    slope = np.polyfit(np.log(1 / np.array(counts)), np.log(errors), 1)[0]
    assert slope >= 0.9, (slope, errors)


def test_the_same_bytes_from_every_library_and_thread_count(level: str) -> None:
    generator = np.random.default_rng(14)
    bodies = [
        volume_body(
            textured(generator, (30, 34, 38)), 0.3, position_mm=(-9.0, 0.0, 0.0), rotation_deg=(3.0, 40.0, 9.0)
        ),
        volume_body(generator.random((33, 31, 29)).astype(np.float16), 0.3, material="Fe", position_mm=(9.0, 0.0, 0.0)),
        {"shape": "sphere", "radius_mm": 2.0, "position_mm": [-9.0, 0.0, 0.0], "material": "PMMA", "priority": 1},
    ]
    scene = station(*bodies, shape=(50, 130), pitch_mm=0.5)
    wanted = lengths_of(scene, get_backend("cpu", 1, "v2" if level != "generic" else level))
    for threads in (1, 2, 5):
        got = lengths_of(scene, get_backend("cpu", threads, level))
        assert all(np.array_equal(got[name], length) for name, length in wanted.items())


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_volume_of_2049_voxels_a_side_is_indexed_in_64_bits(backend: Backend) -> None:
    """8.6 GB: its last voxel, its first and one in the middle cast their shadows where they are."""
    count = 2049
    voxels = np.zeros((count, count, count), np.uint8)
    marked = [(0, 0, 0), (count - 1,) * 3, (1024, 1500, 700)]
    for place in marked:
        voxels[place] = 1
    body = volume_body(voxels, 0.02, labels={"0": "nothing", "1": "Al"})
    for z, y, x in marked:
        centre = (np.array([x, y, z]) + 0.5 - count / 2) * 0.02
        scene = station({**body, "position_mm": (-centre).tolist()}, shape=(15, 15), pitch_mm=0.004)
        got = only(lengths_of(scene, backend))
        box = station({"shape": "box", "size_mm": [0.02] * 3}, shape=(15, 15), pitch_mm=0.004)
        wanted = only(lengths_of(box, backend))
        assert worst(got, wanted.astype(float)) < TOLERANCE_MM and wanted.max() > 0.019
