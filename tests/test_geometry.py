"""Poses of source and panel, parallel beams: rays where the scene says, signal by cos(a) / r^2, rigid motion."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import reference
import trimesh
from reference import Rays, absorbed_kev, worst
from scipy.spatial.transform import Rotation
from station import lengths_of, only, random_pose, save, solid

import xsim
from xsim.backend import Backend
from xsim.radiograph import expose
from xsim.scene import Scene

TOLERANCE_MM = 1e-4
SHAPES = ("box", "sphere", "ellipsoid", "cylinder", "cone", "tube", "step_wedge")


def scene_at(geometry: dict[str, Any], *bodies: dict[str, Any], shape: tuple[int, int] = (40, 36),
             pitch_mm: float = 1.2, directory: Path | str = ".", **tables: Any) -> Scene:  # fmt: skip
    detector = {"preset": "generic-gos-200um", "rows": shape[0], "columns": shape[1], "pitch_mm": pitch_mm,
                "response": "ideal"}  # fmt: skip
    scene = {"source": {"energy_kev": 60.0}, "geometry": geometry, "acquisition": {"exposure_s": 0.1},
             "detector": detector, "body": [{"material": "Al", **body} for body in bodies], **tables}  # fmt: skip
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*out of view.*")
        return xsim.scene_from_dict(scene, directory)


def random_station(generator: np.random.Generator) -> dict[str, Any]:
    """Source anywhere 200 to 500 mm away, panel on the other side, turned by up to 60 degrees from facing it."""
    turn = Rotation.random(random_state=int(generator.integers(1 << 31)))
    tilt = Rotation.from_rotvec(np.deg2rad(60) * generator.uniform(-0.57, 0.57, 3))
    source = turn.apply([0.0, 0.0, -generator.uniform(200, 500)])
    detector = turn.apply([*generator.uniform(-20, 20, 2), generator.uniform(60, 200)])
    return {
        "source_position_mm": source.tolist(),
        "detector_position_mm": detector.tolist(),
        "detector_rotation_deg": (turn * tilt).as_euler("xyz", degrees=True).tolist(),
    }


def moved(geometry: dict[str, Any], turn: Rotation, by: np.ndarray) -> dict[str, Any]:
    panel = turn * Rotation.from_euler("xyz", geometry["detector_rotation_deg"], degrees=True)
    places = {key: (turn.apply(geometry[key]) + by).tolist() for key in ("source_position_mm", "detector_position_mm")}
    return {**places, "detector_rotation_deg": panel.as_euler("xyz", degrees=True).tolist()}


def moved_body(body: dict[str, Any], turn: Rotation, by: np.ndarray) -> dict[str, Any]:
    own = turn * Rotation.from_euler("xyz", body["rotation_deg"], degrees=True)
    place = turn.apply(body["position_mm"]) + by
    return {**body, "rotation_deg": own.as_euler("xyz", degrees=True).tolist(), "position_mm": place.tolist()}


@pytest.mark.parametrize("shape", SHAPES)
def test_solids_equal_their_closed_form_from_any_source_on_any_panel(backend: Backend, shape: str) -> None:
    generator = np.random.default_rng(SHAPES.index(shape))
    for _ in range(4):
        scene = scene_at(random_station(generator), {**solid(shape, 20.0), **random_pose(generator, 4.0)})
        wanted, labels = reference.path_lengths(scene)
        assert (only(wanted) > 1.0).mean() > 0.01
        assert worst(only(lengths_of(scene, backend)), only(wanted)) < TOLERANCE_MM
        assert labels.max() == 1


def test_meshes_equal_the_oracle_from_any_source_on_any_panel(backend: Backend, tmp_path: Path) -> None:
    """As from the axis: 1e-4 mm where |cos incidence| > 0.05, rays within 1.5/4096 pixel of an edge left out."""
    generator = np.random.default_rng(8)
    hull = trimesh.convex.convex_hull(generator.normal(size=(50, 3)) * 9)
    mesh = save(tmp_path, "hull", hull.vertices, hull.faces)
    for _ in range(4):
        scene = scene_at(random_station(generator), mesh, directory=tmp_path)
        wanted = reference.mesh_crossings(hull.vertices, hull.faces, Rays.of(scene))
        compared = (wanted.least_cosine > 0.05) & (wanted.edge_gap_mm > 1.5 / 4096 * 1.2)
        assert compared.mean() > 0.98 and (wanted.crossings > 0).sum() > 50
        assert worst(only(lengths_of(scene, backend)).ravel(), wanted.lengths_mm, compared) < TOLERANCE_MM


def test_a_rigid_motion_of_everything_changes_no_path_length(backend: Backend, tmp_path: Path) -> None:
    """100 random turns and shifts of source, panel and bodies; a mesh among them. 1e-4 mm but for 2 in 1000 rays."""
    generator = np.random.default_rng(9)
    hull = trimesh.convex.convex_hull(generator.normal(size=(40, 3)) * 6)
    mesh = save(tmp_path, "hull", hull.vertices, hull.faces)
    flips, rays = 0, 0
    for k in range(100):
        geometry = random_station(generator)
        bodies = [{**body, **random_pose(generator, 8.0)} for body in (mesh, solid(SHAPES[k % 7], 14.0))]
        turn, by = Rotation.random(random_state=k), generator.uniform(-300, 300, 3)
        still = scene_at(geometry, *bodies, shape=(24, 26), pitch_mm=2.0, directory=tmp_path)
        turned = scene_at(moved(geometry, turn, by), *(moved_body(body, turn, by) for body in bodies),
                          shape=(24, 26), pitch_mm=2.0, directory=tmp_path)  # fmt: skip
        gap = np.abs(only(lengths_of(still, backend)) - only(lengths_of(turned, backend)))
        assert only(lengths_of(still, backend)).max() > 1
        flips, rays = flips + int((gap > TOLERANCE_MM).sum()), rays + gap.size
    assert flips < 2e-3 * rays


def test_fluence_falls_with_the_cosine_and_the_distance_squared_as_ctsimu_fb_2(backend: Backend) -> None:
    """CTSimU 2D-FB-2 (BAM): 30 mm from a panel of 501 x 501 pixels of 0.4 mm, of the middle's, to 1e-4 absolute."""
    scene = scene_at({"sod_mm": 15.0, "sdd_mm": 30.0}, shape=(501, 501), pitch_mm=0.4)
    image = expose(scene, backend).record().expected.astype(np.float64)
    share = image / image[250, 250]
    published = {0: 0.02373, 50: 0.04329, 100: 0.08945, 150: 0.21601, 200: 0.57606}
    for column, wanted in published.items():
        assert share[250, column] == pytest.approx(wanted, abs=1e-4)
    assert share[0, 0] == pytest.approx(0.008936, abs=1e-4)


def test_an_oblique_panel_is_lit_by_cos_a_over_r2(backend: Backend) -> None:
    """Every pixel of ten random poses against the direct sum: 3e-6; the middle gets the dose that is asked for."""
    generator = np.random.default_rng(10)
    for _ in range(10):
        scene = scene_at(random_station(generator), shape=(31, 33), pitch_mm=8.0,
                         acquisition={"quanta_per_pixel": 1e4})  # fmt: skip
        image = expose(scene, backend).record()
        wanted = absorbed_kev(scene, {}, image.metadata["exposure_mas"])
        assert np.abs(image.expected / wanted - 1).max() < 3e-6
        assert image.expected[15, 16] == pytest.approx(60.0 * 1e4, rel=1e-5)
        assert image.metadata["quanta_per_pixel"] == pytest.approx(1e4, rel=1e-6)
        assert image.expected.max() / image.expected.min() > 1.2


PARALLEL = {"beam": "parallel", "sod_mm": 400.0, "sdd_mm": 500.0}


def test_a_parallel_beam_does_not_magnify(backend: Backend) -> None:
    """A sphere is as wide as it is wherever it stands, and the chord at offset x is 2 sqrt(R^2 - x^2)."""
    at = (np.arange(64) - 31.5) * 0.25
    chord = 2 * np.sqrt(np.maximum(0.0, 25.0 - at[:, None] ** 2 - at[None, :] ** 2))
    for z in (-300.0, 0.0, 80.0):
        body = {"shape": "sphere", "radius_mm": 5.0, "position_mm": [0.0, 0.0, z]}
        got = only(lengths_of(scene_at(PARALLEL, body, shape=(64, 64), pitch_mm=0.25), backend))
        assert worst(got, chord) < TOLERANCE_MM


def test_a_parallel_beam_is_a_cone_from_far_away(backend: Backend, tmp_path: Path) -> None:
    """Source at 1e6 mm: the expected difference is a shift of 50 mm / 1e6 mm of the distance from the axis, 1.2 um."""
    generator = np.random.default_rng(12)
    hull = trimesh.convex.convex_hull(generator.normal(size=(50, 3)) * 8)
    mesh = save(tmp_path, "hull", hull.vertices, hull.faces)
    for body in (mesh, solid("cylinder", 18.0), solid("box", 20.0)):
        posed = {**body, **random_pose(generator, 2.0)}
        turned = {"detector_position_mm": [0.0, 0.0, 50.0], "detector_rotation_deg": [4.0, -25.0, 9.0]}
        beam = {**PARALLEL, **turned, "beam_direction": [0.0, 0.0, 1.0], "sdd_mm": 1e6}
        cone = {**turned, "source_position_mm": [0.0, 0.0, 50.0 - 1e6]}
        images = [only(lengths_of(scene_at(g, posed, directory=tmp_path), backend)) for g in (beam, cone)]
        gap = np.abs(images[0] - images[1])
        assert np.quantile(gap, 0.97) < 20 * 1.2e-3 and images[0].max() > 10
        signal = [expose(scene_at(g, shape=(20, 20)), backend).record().expected for g in (beam, cone)]
        assert np.abs(signal[0] / signal[1] - 1).max() < 1e-4


@pytest.mark.parametrize("shape", SHAPES)
def test_solids_in_a_tilted_parallel_beam_equal_their_closed_form(backend: Backend, shape: str) -> None:
    generator = np.random.default_rng(30 + SHAPES.index(shape))
    for _ in range(3):
        geometry = {**PARALLEL, "detector_rotation_deg": generator.uniform(-30, 30, 3).tolist(),
                    "beam_direction": [*generator.uniform(-0.3, 0.3, 2), 1.0]}  # fmt: skip
        scene = scene_at(geometry, {**solid(shape, 20.0), **random_pose(generator, 4.0)})
        wanted, _ = reference.path_lengths(scene)
        assert worst(only(lengths_of(scene, backend)), only(wanted)) < TOLERANCE_MM
        image = expose(scene, backend).record()
        signal = absorbed_kev(scene, wanted, image.metadata["exposure_mas"])
        assert np.quantile(np.abs(image.expected / signal - 1), 0.99) < 3e-6


def test_positions_say_the_distances() -> None:
    scene = scene_at({"source_position_mm": [0.0, 30.0, -400.0], "detector_position_mm": [0.0, -30.0, 400.0]})
    assert scene.geometry.sod_mm == pytest.approx(np.hypot(30, 400))
    assert scene.geometry.sdd_mm == pytest.approx(np.hypot(60, 800))
    again = xsim.scene_from_dict(scene.model_dump(exclude_none=True))
    assert again.model_dump() == scene.model_dump()


BOX = {"shape": "box", "size_mm": [1.0, 1.0, 1.0]}
POSES = {"source_position_mm": [0.0, 0.0, -400.0], "detector_position_mm": [0.0, 0.0, 400.0]}
REFUSED: dict[str, tuple[dict[str, Any], dict[str, Any], list[str]]] = {
    "edge-on": ({**POSES, "detector_rotation_deg": [90.0, 0.0, 0.0]}, BOX, ["edge-on", "90 degree"]),
    "turned away": ({**POSES, "detector_rotation_deg": [0.0, 120.0, 0.0]}, BOX, ["turns its back", "120 degree"]),
    "one position": ({"source_position_mm": [0.0, 0.0, -400.0]}, BOX, ["detector_position_mm", "go together"]),
    "one place": ({**POSES, "detector_position_mm": POSES["source_position_mm"]}, BOX, ["in one place"]),
    "other distance": ({**POSES, "sdd_mm": 700.0}, BOX, ["sdd_mm = 700", "800 mm"]),
    "source inside": (POSES, {**BOX, "position_mm": [0.0, 0.0, -400.2]}, ["source is inside 'body 1'"]),
    "through an oblique panel": ({**POSES, "detector_rotation_deg": [0.0, 60.0, 0.0]},
                                 {**BOX, "position_mm": [300.0, 0.0, 0.0]}, ["behind the detector"]),
    "through a parallel beam's panel": (PARALLEL, {**BOX, "position_mm": [0.0, 0.0, 99.8]}, ["behind the detector"]),
    "direction of a cone": ({"beam_direction": [0.0, 0.0, 1.0]}, BOX, ["beam_direction", 'beam = "parallel"']),
    "no direction": ({**PARALLEL, "beam_direction": [0.0, 0.0, 0.0]}, BOX, ["no length"]),
    "source of a parallel beam": ({**PARALLEL, **POSES}, BOX, ["source_position_mm", "far away"]),
    "not three numbers": ({**POSES, "source_position_mm": [0.0, 0.0]}, BOX, ["source_position_mm"]),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_stand_so_is_refused_in_one_line(case: str) -> None:
    geometry, body, words = REFUSED[case]
    with pytest.raises(xsim.SceneError) as refused:
        scene_at(geometry, body)
    assert "\n" not in str(refused.value)
    for word in words:
        assert word in str(refused.value)


def test_a_body_beside_an_oblique_panels_plane_is_no_fault(backend: Backend) -> None:
    """It is the distance across the panel's plane that counts, not z."""
    geometry = {**POSES, "detector_rotation_deg": [0.0, 60.0, 0.0]}
    scene = scene_at(geometry, {**BOX, "position_mm": [-300.0, 0.0, 500.0]})
    assert xsim.path_lengths(scene, backend=backend.name)["Al"].max() == 0
