"""Laws of a projection, a hundred random cases each: fifty over analytic solids and fifty over closed meshes.

Compared in two tiers. Inside, 1e-4 mm. Where vertices move they are rounded anew, by up to 1 / 8192 pixel, so that a
ray that passes an edge as closely may meet the other face: those are few, and as often longer as shorter.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pytest
import reference
from random_meshes import Surface, surface_of_cells
from random_scenes import Body, cut_hull, cut_solid, random_bodies, random_body, scene_of
from ray_stress import signed_depths
from scipy.spatial.transform import Rotation
from station import lengths_of

from xsim import Scene, material, simulate
from xsim.backend import Backend
from xsim.geometry import View
from xsim.projector import project

TOLERANCE_MM = 1e-4
Cases: TypeAlias = Iterator[np.random.Generator]
MESHES = pytest.mark.parametrize("meshes", [False, True], ids=["solids", "meshes"])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where all laws write their meshes: one that two of them use is read once."""
    return tmp_path_factory.mktemp("meshes")


@pytest.fixture(params=[range(50), pytest.param(range(50, 500), marks=pytest.mark.slow)], ids=["50 cases", "450 more"])
def cases(request: pytest.FixtureRequest) -> Cases:
    """A generator for each case."""
    return (np.random.default_rng((len(request.node.originalname), case)) for case in request.param)


@dataclass
class TwoTiers:
    """Images of all cases of a law against what they should equal."""

    rays: int = 0
    longer: int = 0
    shorter: int = 0
    worst: float = 0.0

    def add(self, got: np.ndarray, wanted: np.ndarray, tolerance: float = TOLERANCE_MM) -> None:
        gap = got.astype(np.float64) - wanted
        self.rays += int((np.abs(wanted) > 0).sum())
        self.longer += int((gap > tolerance).sum())
        self.shorter += int((gap < -tolerance).sum())
        self.worst = max(self.worst, float(np.abs(gap).max()))

    def settle(self, share: float) -> None:
        """At most a share of the rays that meet a body beyond the tolerance, as many longer as shorter (4 sigma)."""
        beyond = self.longer + self.shorter
        assert self.rays >= 40, "the cases hardly met a body"
        assert beyond <= share * self.rays, self
        assert abs(self.longer - self.shorter) <= 4 * np.sqrt(beyond) + 2, self


def stacked(scene: Scene, backend: Backend) -> np.ndarray:
    """Path lengths [material, row, column] mm, in the order of the materials' names."""
    return np.stack([length for _, length in sorted(lengths_of(scene, backend).items())])


def total(scene: Scene, backend: Backend) -> np.ndarray:
    """Length in any body, float64 [row, column] mm."""
    return np.asarray(stacked(scene, backend).astype(np.float64).sum(axis=0))


@MESHES
def test_scale_all_lengths_by_s_and_attenuation_by_one_over_s(
    backend: Backend, folder: Path, cases: Cases, meshes: bool
) -> None:
    """Paths are s times as long, and the image is the same."""
    lengths, signals = TwoTiers(), TwoTiers()
    for generator in cases:
        scale = float(10 ** generator.uniform(-1, 1))
        bodies = random_bodies(generator, meshes, 2, overlap=True)
        thinned = []
        for body in bodies:
            spec = {"name": body.material, "density_g_cm3": material.resolve(body.material).density_g_cm3 / scale}
            thinned.append(replace(body.scaled(scale), material=spec))
        small = scene_of(bodies, folder, response="ideal")
        large = scene_of(thinned, folder, scale, response="ideal")
        lengths.add(total(large, backend) / scale, total(small, backend))
        one, other = (simulate(s, backend=backend.name.split("-")[0]).expected for s in (small, large))
        signals.add(other / one.max(), one / one.max(), 1e-5)
    lengths.settle(1e-3 if meshes else 0.0)
    signals.settle(1e-3 if meshes else 0.0)


@MESHES
def test_a_body_split_in_two_that_touch_is_as_long(backend: Backend, folder: Path, cases: Cases, meshes: bool) -> None:
    tiers = TwoTiers()
    for generator in cases:
        whole, halves = (cut_hull if meshes else cut_solid)(generator)
        tiers.add(total(scene_of(halves, folder), backend), total(scene_of([whole], folder), backend))
    tiers.settle(3e-3 if meshes else 0.0)  # a cut has corners of its own, rounded anew


@MESHES
def test_source_and_pixel_change_places(backend: Backend, folder: Path, cases: Cases, meshes: bool) -> None:
    """Half a turn about an axis across the ray, through its middle, takes the source to the pixel and back."""
    tiers = TwoTiers()
    for generator in cases:
        bodies = random_bodies(generator, meshes, 2, overlap=True)
        scene = scene_of(bodies, folder)
        view, here = scene.view, total(scene, backend)
        rows, columns = np.nonzero(here > 0)
        if not len(rows):
            continue
        chosen = generator.integers(len(rows))
        row, column = int(rows[chosen]), int(columns[chosen])
        ray = view.origin + column * view.column + row * view.row
        axis = np.cross(ray, generator.normal(size=3))
        half_turn = Rotation.from_rotvec(np.pi * axis / np.linalg.norm(axis))
        middle = view.source + 0.5 * ray
        back = scene_of([b.moved(half_turn, middle - half_turn.apply(middle)) for b in bodies], folder)
        tiers.add(total(back, backend)[row, column], here[row, column])
    tiers.settle(0.03 if meshes else 0.0)


@MESHES
def test_a_rigid_motion_of_source_bodies_and_panel_changes_nothing(
    backend: Backend, folder: Path, cases: Cases, meshes: bool
) -> None:
    """Lengths, and labels too."""
    tiers, other_labels = TwoTiers(), 0
    for generator in cases:
        bodies = random_bodies(generator, meshes, 3, overlap=True)
        turn, shift = Rotation.random(random_state=generator), generator.uniform(-500, 500, 3)
        scene = scene_of(bodies, folder)
        view = scene.view
        panel = (turn.apply(v) for v in (view.origin, view.column, view.row))
        moved = View(turn.apply(view.source) + shift, *panel, view.rows, view.columns)
        there = scene_of([b.moved(turn, shift) for b in bodies], folder, sod_mm=5000.0, sdd_mm=10000.0)
        one, other = project(scene, view, backend), project(there, moved, backend)
        tiers.add(backend.to_numpy(other.lengths_mm), backend.to_numpy(one.lengths_mm))
        other_labels += int((backend.to_numpy(one.labels) != backend.to_numpy(other.labels)).sum())
    tiers.settle(1e-3 if meshes else 0.0)
    assert other_labels <= 1e-3 * tiers.rays


@MESHES
def test_a_quarter_turn_of_the_bodies_about_the_axis_turns_the_image(
    backend: Backend, folder: Path, cases: Cases, meshes: bool
) -> None:
    tiers = TwoTiers()
    for generator in cases:
        bodies, quarters = random_bodies(generator, meshes, 2, overlap=True), int(generator.integers(1, 4))
        turn = Rotation.from_euler("z", 90 * quarters, degrees=True)
        turned = stacked(scene_of([b.moved(turn, np.zeros(3)) for b in bodies], folder), backend)
        # x towards y is columns towards rows: clockwise on the screen
        tiers.add(np.rot90(turned, quarters, axes=(1, 2)), stacked(scene_of(bodies, folder), backend))
    tiers.settle(1e-3 if meshes else 0.0)


@pytest.mark.parametrize("alone", [True, False], ids=["alone", "crowd"])
def test_the_order_of_faces_vertices_and_corners_changes_nothing(
    backend: Backend, folder: Path, cases: Cases, alone: bool
) -> None:
    """No vertex is rounded otherwise: every ray to 1e-4 mm, its depths summed or sorted."""
    speck = Body({"shape": "sphere", "radius_mm": 1e-6}, Rotation.identity(), np.zeros(3), "Al", priority=-1)
    tiers = TwoTiers()
    for generator in cases:
        body = random_body(generator, True, 8.0)
        assert isinstance(body.form, Surface)
        points, faces = body.form
        order = generator.permutation(len(points))
        place = np.empty(len(points), int)
        place[order] = np.arange(len(points))
        mixed = place[faces][generator.permutation(len(faces))]
        mixed = np.stack(
            [np.roll(face, k) for face, k in zip(mixed, generator.integers(3, size=len(mixed)), strict=True)]
        )
        shuffled = replace(body, form=Surface(points[order], mixed))
        one, other = (scene_of([b] if alone else [b, replace(speck, place=b.place)], folder) for b in (body, shuffled))
        tiers.add(total(other, backend), total(one, backend))
    tiers.settle(0.0)


@MESHES
@pytest.mark.parametrize("overlap", [False, True], ids=["apart", "by priority"])
def test_the_order_of_bodies_in_the_file_changes_nothing(
    backend: Backend, folder: Path, cases: Cases, meshes: bool, overlap: bool
) -> None:
    """Bodies apart, or with a priority each: lengths to 1e-4 mm on every ray, labels exactly."""
    tiers = TwoTiers()
    for generator in cases:
        bodies = random_bodies(generator, meshes, 4, overlap)
        if overlap:
            ranks = generator.permutation(len(bodies)) - 1
            bodies = [replace(b, priority=int(rank)) for b, rank in zip(bodies, ranks, strict=True)]
        order = generator.permutation(len(bodies))
        scene, mixed = scene_of(bodies, folder), scene_of([bodies[k] for k in order], folder)
        tiers.add(stacked(mixed, backend), stacked(scene, backend))
        labels, others = (backend.to_numpy(project(s, s.view, backend).labels) for s in (scene, mixed))
        if overlap:  # apart, the later of two on one ray is the label
            assert (np.array([0, *(order + 1)])[others] == labels).all()
        else:
            assert ((others > 0) == (labels > 0)).all()
    tiers.settle(0.0)


@MESHES
def test_a_thicker_body_is_nowhere_shorter(backend: Backend, folder: Path, cases: Cases, meshes: bool) -> None:
    """A body grown about a point it is star-shaped from holds the smaller one."""
    met = 0
    for generator in cases:
        growth = float(10 ** generator.uniform(-3, 0))
        thin = random_body(generator, meshes, 8.0, STAR_SHAPED if meshes else CENTRED)
        less, more = (total(scene_of([b], folder), backend) for b in (thin, thin.grown(1 + growth)))
        assert (more > less - TOLERANCE_MM).all()
        assert more.sum() > less.sum() or not less.any()
        met += int((less > 0).sum())
    assert met > 500


#: About their own origin.
CENTRED, STAR_SHAPED = ("box", "sphere", "ellipsoid", "cylinder"), ("box", "needle", "plate", "hull")


SQUARE = ("box", "cylinder", "cone", "tube", "step_wedge")


@functools.cache
def square_surface(number: int) -> Surface:
    """Filled cells of a grid along the axes."""
    generator = np.random.default_rng(number)
    form = surface_of_cells(generator.random((3, 4, 2)) < 0.6)
    return Surface(form.vertices * generator.uniform(2, 5, 3) - 7.3, form.faces)


def tilted_by(body: Body, angles: np.ndarray) -> Body:
    """Turned about its own place, so that what shifts is the tilt alone."""
    return replace(body, turn=Rotation.from_rotvec(angles) * body.turn)


@MESHES
def test_rays_along_an_axis_are_as_rays_tilted_by_1e_5(
    backend: Backend, folder: Path, cases: Cases, meshes: bool
) -> None:
    """Bodies square to the axes; the middle row and column of an odd panel hold rays with a component that is 0."""
    tiers = TwoTiers()
    quarter = Rotation.create_group("O")
    for generator in cases:
        turn = quarter[int(generator.integers(24))]
        body = replace(random_body(generator, False, 3.0, SQUARE), turn=turn)
        if meshes:
            body = replace(body, form=square_surface(int(generator.integers(6))))
        far = float(10 ** generator.uniform(2, 5))
        station = {"shape": (27, 27), "sod_mm": far, "sdd_mm": 2 * far, "pitch_mm": 2.3}
        straight, tilted = (
            scene_of([b], folder, **station)
            for b in (body, tilted_by(body, 1e-5 * generator.choice([-1, 1], 3) * [1, 1, 0]))
        )
        truth = [oracle(scene) for scene in (straight, tilted)]
        away = ~(truth[0][1] | truth[1][1])
        change = total(tilted, backend) - total(straight, backend)
        tiers.add(change[away], (truth[1][0] - truth[0][0])[away], 2 * TOLERANCE_MM)
    tiers.settle(0.0)


def oracle(scene: Scene) -> tuple[np.ndarray, np.ndarray]:
    """Length of a scene of one body in float64, and the rays that pass an edge of its mesh, both [row, column]."""
    (body,) = scene.body
    if hasattr(body, "shape"):
        (length,) = reference.path_lengths(scene)[0].values()
        return length, np.zeros(length.shape, bool)
    mesh = scene.mesh_of(body)
    exact = signed_depths(Surface(body.to_world(mesh.vertices), mesh.faces), scene.view)
    return exact.lengths_mm, exact.near_edge | exact.steep
