"""Rays spent where an edge crosses the pixel: none is missed, and the image is that of all rays to a stated error."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh
from station import random_pose, save, solid, station

import xsim
from xsim import sampling
from xsim.absorption import beam_weights
from xsim.backend import Backend, CpuBackend
from xsim.radiograph import expose
from xsim.sampling import expected_signal, mean_of_parts
from xsim.scene import Scene
from xsim.silhouette import active_tiles, crossed_pixels

N = 4
SHAPES = ("box", "sphere", "ellipsoid", "cylinder", "cone", "tube", "step_wedge")
TUBE = {"voltage_kv": 120.0, "current_ma": 2.0, "filters": [{"material": "Al", "thickness_mm": 2.0}]}


def crossed_and_exact(scene: Scene, backend: Backend) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pixels found to be crossed, those whose N x N parts see different bodies, |adaptive - full| over open beam."""
    view = scene.view
    weights = beam_weights(scene, view, 1.0)
    open_kev = float(weights.signal_kev.sum())
    coarse = expected_signal(scene, view, weights, backend)
    fine = expected_signal(scene, view.refined(N), weights, backend)
    crossed = backend.to_numpy(crossed_pixels(scene, view, coarse[0], coarse[2], open_kev, backend))
    parts = backend.to_numpy(fine[2]).reshape(view.rows, N, view.columns, N).swapaxes(1, 2).reshape(*crossed.shape, -1)
    single, full = (backend.to_numpy(image) for image in (coarse[0], mean_of_parts(fine, N, backend)[0]))
    return crossed, (parts != parts[..., :1]).any(axis=-1), np.where(crossed, 0.0, np.abs(single - full) / open_kev)


def random_scene(generator: np.random.Generator, k: int, directory: Path) -> Scene:
    """A body 0.1 to 1.5 times as wide as the view, from needles to whole; every third with another across it."""
    hull = trimesh.convex.convex_hull(generator.normal(size=(30, 3)) * generator.uniform(0.5, 4))
    one = save(directory, "hull", hull.vertices, hull.faces) if k % 8 == 7 else solid(SHAPES[k % 8], 0.0)
    if "shape" in one:
        one = solid(SHAPES[k % 8], float(generator.choice([1.0, 3.0, 8.0, 14.0])))
    bodies = [{**one, **random_pose(generator, 3.0), "material": str(generator.choice(["Al", "Fe", "PMMA"]))}]
    if k % 3 == 0:
        bodies.append({**solid(SHAPES[(k + 3) % 7], 10.0), **random_pose(generator, 3.0), "material": "PMMA"})
    return station(*bodies, shape=(96, 96), pitch_mm=0.4, source=TUBE, response="ideal", directory=directory)


def test_no_pixel_that_an_edge_crosses_is_missed(backend: Backend, tmp_path: Path) -> None:
    """48 random scenes: every pixel whose parts see different bodies; the image is that of all rays to 1e-3 of open
    beam, where one ray a pixel errs by tenths of it; under a quarter of the pixels is spent on."""
    generator = np.random.default_rng(1)
    found, edges, share = 0, 0, []
    for k in range(48):
        crossed, edge, error = crossed_and_exact(random_scene(generator, k, tmp_path), backend)
        found, edges = found + int((edge & crossed).sum()), edges + int(edge.sum())
        assert error.max() < 1e-3, k
        share.append(crossed.mean())
    assert edges > 5000 and found == edges
    assert np.mean(share) < 0.25


@pytest.mark.parametrize(
    ("phantom", "share", "error"),
    [
        pytest.param("step-chart", 0.07, 1e-4, marks=pytest.mark.slow),
        ("spheres-in-acrylic", 0.2, 1e-4),
        ("bearing-bracket", 0.16, 2e-4),
    ],
)
def test_shipped_phantoms_need_few_pixels_refined(backend: Backend, phantom: str, share: float, error: float) -> None:
    crossed, edge, errors = crossed_and_exact(xsim.load_scene(f"phantom:{phantom}"), backend)
    assert 0.01 < crossed.mean() < share and errors.max() < error
    assert not (edge & ~crossed).any()


@pytest.mark.parametrize("body", [
    {"shape": "cylinder", "radius_mm": 0.02, "height_mm": 20.0, "rotation_deg": [70.0, 35.0, 0.0]},
    {"shape": "sphere", "radius_mm": 0.08, "position_mm": [0.31, -1.27, 0.0]},
    {"shape": "box", "size_mm": [0.05, 9.0, 4.0], "rotation_deg": [0.0, 0.0, 31.0]},
])  # fmt: skip
def test_a_body_narrower_than_a_pixel_is_always_refined(backend: Backend, body: dict[str, Any]) -> None:
    """A wire, a speck and a foil of a tenth to two fifths of a pixel, which most rays through the middles miss."""
    crossed, edge, error = crossed_and_exact(station(body, pitch_mm=0.8, response="ideal"), backend)
    assert edge.any() and not (edge & ~crossed).any() and error.max() < 1e-5
    assert crossed.mean() < 0.15


def adaptive(body: dict[str, Any], **acquisition: Any) -> Scene:
    return station(body, response="ideal", source=TUBE, acquisition={"exposure_s": 0.1, "subpixels": N, **acquisition})


def test_only_active_tiles_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the other tiles hold does not reach the image, whatever the tiles' shape and the parts of a pixel."""
    body = {**solid("tube", 1.5), "rotation_deg": [20.0, 30.0, 40.0]}

    def spoiled(scene: Scene, view: Any, weights: Any, backend: Backend, active: Any = None) -> tuple[Any, ...]:
        found = expected_signal(scene, view, weights, backend)
        if active is None:
            return found
        height, width = backend.tile_shape[0], backend.tile_shape[1]
        across = -(-view.columns // width)
        row, column = np.ogrid[: view.rows, : view.columns]
        idle = ~np.isin(row // height * across + column // width, active)
        assert idle.any() and (np.diff(active) > 0).all() and active.dtype == np.int32
        return tuple(np.where(idle, image.dtype.type(0) if k == 3 else image.dtype.type(999), image)
                     for k, image in enumerate(found))  # fmt: skip

    for shape in ((16, 64), (32, 64), (16, 128)):
        for parts in (2, 3, 5):
            machine = CpuBackend(1)
            machine.tile_shape = shape
            scene = adaptive(body, subpixels=parts, subpixel_mode="adaptive")
            wanted = expose(scene, machine)
            with monkeypatch.context() as patched:
                patched.setattr(sampling, "expected_signal", spoiled)
                got = expose(scene, machine)
            assert np.array_equal(got.signal, wanted.signal) and np.array_equal(got.variance, wanted.variance)
            assert np.array_equal(got.valid, wanted.valid) and np.array_equal(got.labels, wanted.labels)
    assert active_tiles(np.zeros((8, 8), bool), 4, machine).size == 0


def test_adaptive_is_full_where_it_spends_and_one_ray_elsewhere(backend: Backend) -> None:
    body = {**solid("sphere", 4.0), "material": "Fe"}
    one, full, mixed = (
        expose(adaptive(body, **mode), backend) for mode in ({"subpixels": 1}, {}, {"subpixel_mode": "adaptive"})
    )
    images = [backend.to_numpy(e.signal) for e in (one, full, mixed)]
    spent = images[2] != images[0]
    assert 0.02 < spent.mean() < 0.4
    assert np.array_equal(images[2][spent], images[1][spent])
    assert (full.derived["rays_per_pixel"], one.derived["rays_per_pixel"]) == (16.0, 1.0)
    assert 1.5 < mixed.derived["rays_per_pixel"] < 8
    assert np.abs(images[2] - images[1]).max() < 1e-3 * images[1].max() < 0.1 * np.abs(images[0] - images[1]).max()


def test_faulty_rays_of_any_part_are_not_valid(backend: Backend, tmp_path: Path) -> None:
    ball = trimesh.creation.icosphere(2, 5.0)
    body = {**save(tmp_path, "holed", ball.vertices, ball.faces[:-7]), "allow_open": True}
    valid = {}
    for mode in ("full", "adaptive"):
        run = {"exposure_s": 0.1, "subpixels": 2, "subpixel_mode": mode}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            scene = station(body, pitch_mm=0.4, response="ideal", directory=tmp_path, acquisition=run)
        valid[mode] = expose(scene, backend).record().valid
        assert 0 < (~valid[mode]).sum() < valid[mode].size / 4
    assert (valid["full"] != valid["adaptive"]).mean() < 0.02
