"""A defect lies wholly inside its host, goes where it goes, and displaces it and nothing above it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh
from reference import worst
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation
from station import lengths_of, random_pose, save, solid, station

import xsim
from xsim.backend import Backend
from xsim.clearance import SurfaceHost, host_of
from xsim.outline import outline_of
from xsim.primitive import Solid

HOSTS = ("box", "sphere", "ellipsoid", "cylinder", "cone", "tube", "step_wedge")


def with_defect(host: dict[str, Any], defect: dict[str, Any], *others: dict[str, Any], **view: Any) -> xsim.Scene:
    scene = station({"name": "host", "material": "PMMA", **host}, *others, **view).model_dump(exclude_none=True)
    defect = {"material": "air", "inside": "host", **defect}
    return xsim.scene_from_dict({**scene, "defect": [defect]}, view.get("directory", "."))


def within(body: Solid, points: np.ndarray) -> np.ndarray:
    """Whether world points lie in a body, by the formulas of its shape; bool [point]."""
    x, y, z = body.to_body(points).T
    r = np.hypot(x, y)
    if body.shape == "box":
        return np.asarray((np.abs(np.stack([x, y, z], axis=1)) < np.asarray(body.size_mm) / 2).all(axis=1))
    if body.shape in ("sphere", "ellipsoid"):
        radii = np.asarray(getattr(body, "radii_mm", None) or [body.radius_mm] * 3)
        return np.asarray(((np.stack([x, y, z], axis=1) / radii) ** 2).sum(axis=1) < 1)
    if body.shape == "step_wedge":
        step = np.floor(x / body.step_length_mm + len(body.steps_mm) / 2).astype(int)
        top = np.array([0.0, *body.steps_mm, 0.0])[np.clip(step + 1, 0, len(body.steps_mm) + 1)]
        return np.asarray((np.abs(y) < body.width_mm / 2) & (z > 0) & (z < top))
    level = np.abs(z) < body.height_mm / 2
    if body.shape == "cone":
        return np.asarray(level & (r < body.radius_mm * (0.5 - z / body.height_mm)))
    return np.asarray(level & (r < body.radius_mm) & (r > getattr(body, "inner_radius_mm", -1.0)))


def points_in(body: Solid, generator: np.random.Generator, count: int) -> np.ndarray:
    """Random points of a body, float64 [count, 3] mm in the world."""
    low, high = body.bounds().min(axis=0), body.bounds().max(axis=0)
    points = generator.uniform(low, high, (40 * count, 3))
    points = points[within(body, points)][:count]
    assert len(points) == count
    return points


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("shape", HOSTS)
def test_random_defects_lie_inside_at_any_pose(host: str, shape: str) -> None:
    """Every point of the defect is a point of its host, and so is every point within the clearance of it."""
    generator = np.random.default_rng([HOSTS.index(host), HOSTS.index(shape)])
    outer = {**solid(host, 20.0), **random_pose(generator, 10.0)}
    inner = {**solid(shape, 1.3), "rotation_deg": generator.uniform(-180, 180, 3).tolist()}
    clearance = 0.3
    defect = {**inner, "placement": "random", "clearance_mm": clearance, "seed": 5}
    scene = with_defect(outer, defect, pitch_mm=2.0)
    body, placed = scene.bodies
    points = points_in(placed, generator, 400)
    away = generator.normal(size=points.shape)
    away *= clearance / np.linalg.norm(away, axis=1)[:, None]
    assert within(body, np.concatenate([points, points + away])).all()
    assert with_defect(outer, defect, pitch_mm=2.0).bodies == scene.bodies
    assert with_defect(outer, {**defect, "seed": 6}, pitch_mm=2.0).bodies[1].position_mm != placed.position_mm
    at = placed.position_mm
    again = with_defect(outer, {**inner, "at_mm": body.to_body(np.asarray(at)).tolist()}, pitch_mm=2.0)
    assert again.bodies[1].position_mm == pytest.approx(at)


@pytest.mark.parametrize("host", HOSTS)
def test_clearance_is_the_least_distance_of_points_strewn_on_both_surfaces(host: str) -> None:
    """Never above the least distance found, and never far below; negative where a point lies outside."""
    generator = np.random.default_rng([3, HOSTS.index(host)])
    scene = station(solid(host, 20.0), pitch_mm=2.0)
    (outer,) = scene.body
    walls, found, inside_places = cKDTree(strewn(outer, generator)), host_of(outer), 0
    for shape in ("box", "cylinder", "cone"):
        size = 1.2 if host == "tube" else 3.0
        (inner,) = station({**solid(shape, size), "rotation_deg": [30.0, 50.0, 10.0]}, pitch_mm=2.0).body
        outline = outline_of(inner, inner.rotation_deg)
        samples = strewn(inner, generator)
        for centre in generator.uniform(found.low, found.high, (40, 3)):
            clearance = found.clearance(outline, centre)
            gap = float(walls.query(samples + centre)[0].min())
            if not within(outer, samples + centre).all():
                assert clearance < 0.01
            elif clearance > 0.0:
                inside_places += 1
                assert 0.55 * gap - 0.8 < clearance <= gap + 1e-9
    assert inside_places > 3


def strewn(body: Solid, generator: np.random.Generator) -> np.ndarray:
    """Points on a body's surface: where the segments between random points cross it; float64 [point, 3] mm."""
    low, high = body.bounds().min(axis=0), body.bounds().max(axis=0)
    one, other = generator.uniform(low - 1, high + 1, (2, 8000, 3))
    inside = within(body, one)
    cut = inside != within(body, other)
    one, other, inside = one[cut], other[cut], inside[cut]
    for _ in range(30):
        middle = 0.5 * (one + other)
        same = within(body, middle) == inside
        one, other = np.where(same[:, None], middle, one), np.where(same[:, None], other, middle)
    return np.where(inside[:, None], one, other)


@pytest.mark.parametrize(
    ("host", "clearance"),
    [({"shape": "sphere", "radius_mm": 10.0}, 5.0), ({"shape": "box", "size_mm": [20.0, 18.0, 16.0]}, 2.0),
     ({"shape": "cylinder", "radius_mm": 7.0, "height_mm": 30.0}, 3.0),
     ({"shape": "tube", "radius_mm": 20.0, "inner_radius_mm": 1.5, "height_mm": 30.0}, 0.5),
     ({"shape": "ellipsoid", "radii_mm": [12.0, 9.0, 7.0]}, 4.0)],
)  # fmt: skip
def test_clearance_of_a_sphere_is_exact(host: dict[str, Any], clearance: float) -> None:
    scene = station(host, {"shape": "sphere", "radius_mm": 3.0}, pitch_mm=2.0)
    centre = np.array([2.0, 0.0, 0.0]) if host["shape"] == "sphere" else np.zeros(3)
    if host["shape"] == "tube":
        centre = np.array([3.0, 4.0, 0.0])
    if host["shape"] == "box":
        centre = np.array([0.0, 0.0, 3.0])
    if host["shape"] == "cylinder":
        centre = np.array([0.6, 0.8, 0.0])
    found = host_of(scene.body[0]).clearance(outline_of(scene.body[1], (0, 0, 0)), centre)
    assert found == pytest.approx(clearance, abs=1e-9)


def test_ellipsoid_depth_is_that_of_its_nearest_point() -> None:
    from xsim.clearance import ellipsoid_depths

    generator = np.random.default_rng(8)
    radii = np.array([5.0, 2.0, 2.0])
    points = np.concatenate([generator.uniform(-1, 1, (12, 3)) * radii * 0.9, [[0, 0, 0], [1.0, 0, 0], [0, 1.0, 0]]])
    direction = generator.normal(size=(60_000, 3))
    surface = direction / np.linalg.norm(direction, axis=1)[:, None] * radii
    for point, depth in zip(points, ellipsoid_depths(radii, points), strict=True):
        nearest = np.linalg.norm(surface - point, axis=1).min()
        assert abs(depth) == pytest.approx(nearest, abs=0.05)
        assert (depth > 0) == (((point / radii) ** 2).sum() < 1)


def test_a_defect_in_a_mesh_keeps_off_its_wall_and_its_void(tmp_path: Path) -> None:
    """A hollow cube, turned: the walls are 6 mm thick, so a ball of 2 mm radius has 2 mm of room."""
    outer = trimesh.creation.box((32, 32, 32))
    void = trimesh.creation.box((20, 20, 20))
    whole = trimesh.util.concatenate([outer, trimesh.Trimesh(void.vertices, void.faces[:, ::-1], process=False)])
    host = {**save(tmp_path, "hollow", whole.vertices, whole.faces), "rotation_deg": [20.0, 30.0, 40.0],
            "position_mm": [1.0, 2.0, 3.0]}  # fmt: skip
    for shape, seed in ((shape, seed) for shape in ("sphere", "box", "cylinder", "cone") for seed in range(3)):
        defect = {**solid(shape, 2.0), "rotation_deg": [10.0, 70.0, 5.0], "placement": "random", "seed": seed}
        scene = with_defect(host, defect, pitch_mm=2.0, directory=tmp_path)
        body, placed = scene.bodies
        points = np.abs(body.to_body(points_in(placed, np.random.default_rng(seed), 300))).max(axis=1)
        assert points.min() > 10 and points.max() < 16
    for at, words in (([0.0, 0.0, 0.0], "reaches outside"), ([0.0, 0.0, 11.0], "reaches outside 'host' .by 1 mm")):
        with pytest.raises(xsim.SceneError, match=words):
            with_defect(host, {**solid("sphere", 2.0), "at_mm": at}, pitch_mm=2.0, directory=tmp_path)
    flush = {"shape": "box", "size_mm": [4.0, 4.0, 6.0], "at_mm": [0.0, 0.0, 13.0]}
    assert len(with_defect(host, flush, pitch_mm=2.0, directory=tmp_path).bodies) == 2
    around_the_void = {"shape": "box", "size_mm": [26.0, 26.0, 26.0], "at_mm": [0.0, 0.0, 0.0]}
    with pytest.raises(xsim.SceneError, match="reaches outside"):
        with_defect(host, around_the_void, pitch_mm=2.0, directory=tmp_path)


def test_a_mesh_defect_in_a_mesh(tmp_path: Path) -> None:
    ball, crack = trimesh.creation.icosphere(4, 15.0), trimesh.creation.box((8, 0.1, 3))
    host = save(tmp_path, "ball", ball.vertices, ball.faces)
    defect = save(tmp_path, "crack", crack.vertices, crack.faces)
    scene = with_defect(host, {**defect, "placement": "random", "clearance_mm": 1.0}, directory=tmp_path, pitch_mm=1.0)
    _, placed = scene.bodies
    assert np.linalg.norm(placed.to_world(crack.vertices), axis=1).max() <= 14.0


def test_a_defect_displaces_its_host_and_nothing_above_it(backend: Backend) -> None:
    """Block, an aluminium ball of higher priority in it, a box later in the file; a void that touches all three."""
    block = {"shape": "box", "size_mm": [40.0, 40.0, 20.0], "name": "host", "material": "PMMA"}
    ball = {"shape": "sphere", "radius_mm": 5.0, "position_mm": [5.0, 0, 0], "material": "Al", "priority": 1}
    later = {"shape": "box", "size_mm": [4.0, 4.0, 4.0], "position_mm": [-5.0, 0, 0], "material": "Ti"}
    view = {"shape": (80, 80), "pitch_mm": 1.2}
    void = {"shape": "sphere", "radius_mm": 5.0, "at_mm": [0.0, 0.0, 0.0], "material": "air", "name": "void"}
    scene = with_defect(block, void, ball, later, **view)
    got, without = lengths_of(scene, backend), lengths_of(station(block, ball, later, **view), backend)
    for name in ("Al", "Ti"):
        assert worst(got[name], without[name].astype(np.float64)) < 1e-4
    plastic, air = (next(v for k, v in got.items() if word in k.lower()) for word in ("pmma", "air"))
    whole = next(v for k, v in without.items() if "pmma" in k.lower())
    assert worst(plastic + air, whole.astype(np.float64)) < 1e-4 and air.max() > 5
    assert [scene.body_name(k) for k in scene.by_rank()] == ["host", "void", "body 3", "body 2"]
    as_body = {**void, "position_mm": void["at_mm"]}
    del as_body["at_mm"]
    assert worst(plastic, next(iter(lengths_of(station(block, as_body, later, ball, **view), backend).values()))
                 .astype(np.float64)) < 1e-4  # fmt: skip


def test_a_defect_follows_its_host_and_is_labelled_after_the_bodies(backend: Backend) -> None:
    """The same in the block's frame wherever the block is; in the world its pose is the product of both."""
    generator = np.random.default_rng(2)
    pose = random_pose(generator, 5.0)
    inner = {"shape": "box", "size_mm": [6.0, 4.0, 2.0], "material": "Fe", "rotation_deg": [0.0, 90.0, 40.0],
             "at_mm": [3.0, -2.0, 1.0], "name": "inclusion"}  # fmt: skip
    scene = with_defect({"shape": "box", "size_mm": [24.0, 24.0, 24.0], **pose}, inner,
                        {"shape": "sphere", "radius_mm": 1.0, "position_mm": [0, 15.0, 0]}, pitch_mm=1.2)  # fmt: skip
    placed = scene.bodies[2]
    corner = np.array([3.0, 2.0, 1.0])
    turn = Rotation.from_euler("xyz", pose["rotation_deg"], degrees=True)
    own = Rotation.from_euler("xyz", [0.0, 90.0, 40.0], degrees=True)
    wanted = turn.apply(own.apply(corner) + np.array([3.0, -2.0, 1.0])) + pose["position_mm"]
    assert placed.to_world(corner) == pytest.approx(wanted, abs=1e-9)
    image = xsim.simulate(scene, backend=backend.name)
    assert [(b["label"], b["name"], b["class"]) for b in image.metadata["bodies"]] == [
        (1, "host", "box"), (2, "body 2", "sphere"), (3, "inclusion", "defect")]  # fmt: skip
    assert image.metadata["bodies"][2]["inside"] == "host"
    assert (image.labels == 3).sum() > 10
    again = xsim.scene_from_dict(image.metadata["scene"])
    assert again.model_dump() == scene.model_dump() and again.bodies == scene.bodies


def test_a_defect_in_a_defect_ranks_above_it() -> None:
    scene = station({"shape": "box", "size_mm": [20.0, 20.0, 20.0], "name": "block"}, pitch_mm=1.0)
    pore = {"shape": "sphere", "radius_mm": 5.0, "material": "air", "inside": "block", "at_mm": [0, 0, 0]}
    pore["name"] = "pore"
    grain = {"shape": "sphere", "radius_mm": 1.0, "material": "Fe", "inside": "pore", "placement": "random"}
    other = {**pore, "name": "other"}
    both = xsim.scene_from_dict({**scene.model_dump(exclude_none=True), "defect": [pore, grain, other]})
    assert [both.body_name(k) for k in both.by_rank()] == ["block", "pore", "defect 2", "other"]


def test_a_copy_of_a_scene_with_other_bodies_places_anew() -> None:
    scene = with_defect({"shape": "sphere", "radius_mm": 5.0}, PORE, pitch_mm=1.0)
    moved = scene.body[0].model_copy(update={"position_mm": (1.0, 2.0, 3.0)})
    assert len(scene.bodies) == 2
    assert scene.model_copy(update={"body": (moved,)}).bodies[1].position_mm == (1.0, 2.0, 3.0)
    assert scene.model_copy(update={"body": (), "defect": ()}).bodies == ()


PORE = {"shape": "sphere", "radius_mm": 1.0, "at_mm": [0.0, 0.0, 0.0]}
BAD = {
    "unknown host": ({**PORE, "inside": "hots"}, ["'hots'", "did you mean 'host'"]),
    "too large": ({**PORE, "radius_mm": 6.0}, ["reaches outside 'host'", "by 1 mm"]),
    "off": ({**PORE, "at_mm": [4.5, 0.0, 0.0]}, ["reaches outside", "by 0.5 mm"]),
    "no room": ({"shape": "sphere", "radius_mm": 6.0, "placement": "random"}, ["not fit", "2 mm too long along x"]),
    "no place": ({"shape": "box", "size_mm": [9.0, 9.0, 9.0], "rotation_deg": [45.0, 0.0, 0.0], "placement": "random"},
                 ["does not fit inside"]),
    "both ways": ({**PORE, "placement": "random"}, ["at_mm", "both given"]),
    "no way": ({"shape": "sphere", "radius_mm": 1.0}, ["at_mm", "neither given"]),
    "a clearance at a place": ({**PORE, "clearance_mm": 1.0}, ["clearance_mm"]),
    "a position": ({**PORE, "position_mm": [0.0, 0.0, 0.0]}, ["no position_mm", "use at_mm"]),
    "a priority": ({**PORE, "priority": 2}, ["no priority"]),
    "unknown key": ({**PORE, "radios_mm": 2.0}, ["radios_mm", "did you mean 'radius_mm'"]),
    "unknown shape": ({**PORE, "shape": "spher"}, ["did you mean 'sphere'"]),
    "negative clearance": ({"shape": "sphere", "radius_mm": 1.0, "placement": "random", "clearance_mm": -1.0}, [""]),
    "unknown material": ({**PORE, "material": "unobtainium"}, ["unobtainium"]),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_a_defect_that_cannot_be_is_one_line(case: str) -> None:
    defect, words = BAD[case]
    with pytest.raises(xsim.XsimError) as told:
        with_defect({"shape": "box", "size_mm": [10.0, 10.0, 10.0]}, defect, pitch_mm=1.0)
    assert "\n" not in str(told.value)
    for word in words:
        assert word in str(told.value)


def test_no_place_is_told(tmp_path: Path) -> None:
    """A shell 1 mm thick has no room for a ball 1.2 mm wide, but its box has."""
    outer, inner = trimesh.creation.icosphere(1, 10.0), trimesh.creation.icosphere(1, 9.0)
    whole = trimesh.util.concatenate([outer, trimesh.Trimesh(inner.vertices, inner.faces[:, ::-1], process=False)])
    host = save(tmp_path, "shell", whole.vertices, whole.faces)
    ball = {"shape": "sphere", "radius_mm": 0.6, "placement": "random"}
    with pytest.raises(xsim.SceneError, match="no place found for 'defect 1' inside 'host'"):
        with_defect(host, ball, pitch_mm=1.0, directory=tmp_path)


def test_two_hosts_of_one_name_are_told() -> None:
    with pytest.raises(xsim.SceneError, match="2 bodies are called that"):
        with_defect({"shape": "sphere", "radius_mm": 5.0}, PORE, {"shape": "sphere", "radius_mm": 5.0, "name": "host"})


def test_a_flat_corner_of_a_mesh_is_no_wall() -> None:
    """Step wedge: nothing lies between two steps, and the riser does."""
    wedge = station({"shape": "step_wedge", "steps_mm": [10.0, 10.0, 2.0], "step_length_mm": 10.0, "width_mm": 20.0},
                    {"shape": "sphere", "radius_mm": 1.0}, pitch_mm=2.0)  # fmt: skip
    host = host_of(wedge.body[0])
    assert isinstance(host, SurfaceHost)
    outline = outline_of(wedge.body[1], (0, 0, 0))
    assert host.clearance(outline, np.array([-5.0, 0.0, 5.0])) == pytest.approx(4.0)
    assert host.clearance(outline, np.array([3.0, 0.0, 5.0])) == pytest.approx(1.0)
    assert host.clearance(outline, np.array([6.0, 0.0, 5.0])) < -1
