"""Focal spots: the penumbra that their size, shape and the magnification give, and the points that stand for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.optimize import curve_fit
from scipy.special import erf, ndtr
from station import save, station

import xsim
from xsim.backend import Backend
from xsim.focal_spot import SIGMAS_PER_SIZE, lattice, spot_points
from xsim.radiograph import expose
from xsim.sampling import source_views
from xsim.source import Source

PITCH_MM = 0.008


def edge(tmp_path: Path, source: dict[str, Any], side: int = 201, **tables: Any) -> xsim.Scene:
    """CTSimU 2D-WE-1 (BAM), cut to the middle: 8 um pixels at 1 m, a tungsten edge at half way, turned by 3 degrees."""
    half_space = {"shape": "box", "size_mm": [20.0, 20.0, 2.0], "material": "W", "rotation_deg": [0.0, 0.0, 3.0],
                  "position_mm": [-10.0 * np.cos(np.deg2rad(3.0)), -10.0 * np.sin(np.deg2rad(3.0)), 0.0]}  # fmt: skip
    return station(half_space, shape=(side, side), pitch_mm=PITCH_MM, source={"energy_kev": 50.0, **source},
                   response="ideal", directory=tmp_path, **tables)  # fmt: skip


def edge_spread(image: np.ndarray, step_px: float = 0.1, reach_px: float = 20.0) -> tuple[np.ndarray, np.ndarray]:
    """Grey value against the distance from the 3 degree edge: bin middles [px] and means, open beam 1, dark 0."""
    side = image.shape[0]
    row, column = np.mgrid[:side, :side] - (side - 1) / 2
    distance = column * np.cos(np.deg2rad(3.0)) + row * np.sin(np.deg2rad(3.0))
    bins = np.round(distance / step_px).astype(int)
    inside = np.abs(distance) < reach_px
    offset = int(reach_px / step_px) + 1
    count = np.bincount(bins[inside] + offset, minlength=2 * offset + 1)
    mean = np.bincount(bins[inside] + offset, image[inside], minlength=2 * offset + 1) / np.maximum(count, 1)
    at = (np.arange(2 * offset + 1) - offset) * step_px
    kept = slice(2, -2)
    assert count[kept].min() > 0
    return at[kept], (mean / image.max())[kept]


def gaussian_sigma(at: np.ndarray, spread: np.ndarray) -> float:
    """Standard deviation of the Gaussian that fits the line spread, the slope of an edge spread."""
    (_, sigma, _), _ = curve_fit(
        lambda x, mean, sigma, top: top * np.exp(-((x - mean) ** 2) / (2 * sigma**2)),
        at, np.gradient(spread, at), (0.1, 2.0, 0.2),
    )  # fmt: skip
    return abs(float(sigma))


@pytest.mark.parametrize("sigma_um", [8.0, 24.0])
def test_the_line_spread_of_a_gaussian_spot_has_its_width(backend: Backend, tmp_path: Path, sigma_um: float) -> None:
    """CTSimU 2D-WE-1, M = 2: spot and pixel, fitted by a Gaussian as there; sigma within 1 % of the exact one.

    The exact one: the spot's, magnified by M - 1 = 1, over the pixel's aperture, which at 3 degrees is as good as a
    box of one pixel. The 3 degree edge crosses 19 columns a row, so that the bins see every phase of the pixel.
    """
    spot = {"focal_spot_sigma_mm": sigma_um / 1000, "focal_spot_samples": 63}
    scene = edge(tmp_path, spot, acquisition={"exposure_s": 1.0, "subpixels": 4})
    at, spread = edge_spread(expose(scene, backend).record().expected.astype(np.float64))
    sigma_px = sigma_um / 1000 / PITCH_MM
    fine = np.linspace(-0.5, 0.5, 201)
    exact = ndtr((at[:, None] + fine) / sigma_px).mean(axis=1)
    assert np.abs(spread - exact).max() < 0.02
    assert gaussian_sigma(at, spread) == pytest.approx(gaussian_sigma(at, exact), rel=0.01)
    assert gaussian_sigma(at, exact) == pytest.approx(np.hypot(sigma_px, 1 / np.sqrt(12)), rel=0.01)


def test_the_penumbra_of_a_uniform_spot_is_its_width_times_the_magnification_less_one(
    backend: Backend, tmp_path: Path
) -> None:
    """0.08 mm at M = 2: a ramp of ten pixels. The height of the spot does not widen an upright edge's penumbra."""
    for size, width in (([0.08, 0.02], 10.0), ([0.02, 0.08], 2.5)):
        scene = edge(tmp_path, {"focal_spot_mm": size, "focal_spot_shape": "uniform", "focal_spot_samples": 63})
        at, spread = edge_spread(expose(scene, backend).record().expected.astype(np.float64))
        across = np.hypot(width * np.cos(np.deg2rad(3)), 12.5 / width * 2 * np.sin(np.deg2rad(3)))
        ramp = np.clip(at / across + 0.5, 0, 1)
        assert np.abs(spread - ramp).max() < 0.06
        assert np.sum((spread - ramp)[np.abs(at) < 10]) * 0.1 == pytest.approx(0.0, abs=0.1)


def test_effective_size_is_that_of_the_integrated_line_profile() -> None:
    """16 % to 84 % of the emission over 0.68: the width of a uniform spot, 2.925 sigma of a Gaussian one."""
    assert erf(0.34 * SIGMAS_PER_SIZE / np.sqrt(2)) == pytest.approx(0.68, abs=1e-12)
    by_size = Source(energy_kev=60.0, focal_spot_mm=(0.5, 0.3))
    by_sigma = Source(energy_kev=60.0, focal_spot_sigma_mm=(0.5 / SIGMAS_PER_SIZE, 0.3 / SIGMAS_PER_SIZE))
    assert np.allclose(spot_points(by_size, 33), spot_points(by_sigma, 33), atol=1e-12)


@pytest.mark.parametrize("count", [5, 13, 33, 127])
def test_points_have_the_moments_of_the_spot_and_one_in_the_middle(count: int) -> None:
    gaussian = spot_points(Source(energy_kev=60.0, focal_spot_sigma_mm=(0.2, 0.1)), count)
    assert (gaussian[0] == 0).all() and np.abs(gaussian.mean(axis=0)).max() < 1e-12
    assert np.allclose(np.cov(gaussian.T, bias=True), np.diag([0.04, 0.01]), atol=1e-12)
    uniform = spot_points(Source(energy_kev=60.0, focal_spot_mm=(0.6, 0.3), focal_spot_shape="uniform"), count)
    assert (uniform[0] == 0).all() and np.abs(uniform.mean(axis=0)).max() < 1e-12
    assert np.allclose(uniform.std(axis=0), np.array([0.6, 0.3]) / np.sqrt(12) * np.sqrt(1 - 1 / count**2))
    for points in (lattice(count), uniform):
        assert len(np.unique(np.round(points[:, 0], 9))) == len(np.unique(np.round(points[:, 1], 9))) == count


@pytest.mark.parametrize("suffix", [".npy", ".tif", ".png"])
def test_a_measured_spot_is_sampled_by_its_emission(tmp_path: Path, suffix: str) -> None:
    """Two unequal strips: three quarters of the points lie on the one that emits three quarters."""
    emission = np.zeros((20, 40), np.uint8)
    emission[5:15, 4:8], emission[5:15, 30:34] = 150, 50
    file = tmp_path / f"spot{suffix}"
    if suffix == ".npy":
        np.save(file, emission)
    elif suffix == ".tif":
        xsim.write_tiff(file, emission)
    else:
        from xsim.image_io import write_png

        write_png(file, emission)
    scene = station(source={"energy_kev": 60.0, "focal_spot_shape": "image", "focal_spot_image": file.name,
                            "focal_spot_pixel_mm": 0.01}, directory=tmp_path)  # fmt: skip
    points = spot_points(scene.source, 101)
    strips = points[:, 0] > 0
    assert (~strips).mean() == pytest.approx(0.75, abs=0.01)
    assert points[strips, 0].mean() - points[~strips, 0].mean() == pytest.approx(0.26, abs=1e-3)
    for strip in (points[strips], points[~strips]):
        assert np.ptp(strip[:, 0]) == pytest.approx(0.04, abs=0.003) and np.ptp(strip[:, 1]) > 0.085
    assert np.abs(points.mean(axis=0)).max() < 1e-12


def test_pixels_stay_where_they_are_and_the_middle_ray_names_the_bodies(backend: Backend, tmp_path: Path) -> None:
    ball = {"shape": "sphere", "radius_mm": 3.0}
    scene = station(ball, source={"energy_kev": 60.0, "focal_spot_mm": 1.0})
    views = source_views(scene, scene.view)
    assert len(views) > 9 and views[0].source.tolist() == scene.view.source.tolist()
    for view in views:
        for j, i in ((0, 0), (63, 5), (17, 60)):
            here, there = (v.source + v.origin + i * v.column + j * v.row for v in (view, scene.view))
            assert np.abs(here - there).max() < 1e-9
    assert np.ptp([v.source[2] for v in views]) < 1e-9
    sharp, blurred = (expose(s, backend).record() for s in (station(ball), scene))
    assert (sharp.labels == blurred.labels).all()
    assert blurred.metadata["focal_spot_samples"] == len(views)
    assert blurred.metadata["penumbra_px"] == pytest.approx(503 / 497 * 5, rel=1e-3)


def test_the_open_beam_does_not_see_the_spot(backend: Backend) -> None:
    """On an oblique panel too: points nearer the panel give as much more as those farther away give less, to 1e-5."""
    pose = {"source_position_mm": [0.0, 0.0, -500.0], "detector_position_mm": [0.0, 0.0, 500.0],
            "detector_rotation_deg": [0.0, 50.0, 10.0]}  # fmt: skip
    scene = {"detector": {"preset": "generic-gos-200um", "rows": 9, "columns": 9, "response": "ideal"},
             "geometry": pose, "acquisition": {"exposure_s": 0.1}}  # fmt: skip
    spot = {"focal_spot_mm": 2.0, "focal_spot_samples": 63}
    point, wide = (
        expose(xsim.scene_from_dict({**scene, "source": {"energy_kev": 60.0, **extra}}), backend).record().expected
        for extra in ({}, spot)
    )
    assert np.abs(wide / point - 1).max() < 1e-5


def test_an_overlap_of_shells_is_told_once_whatever_the_spot(backend: Backend, tmp_path: Path) -> None:
    import trimesh

    one = trimesh.creation.icosphere(2, 4.0)
    two = trimesh.util.concatenate([one, one.copy().apply_translation([3.0, 0, 0])])
    body = save(tmp_path, "two", two.vertices, two.faces)
    spot = {"energy_kev": 60.0, "focal_spot_mm": 0.5, "focal_spot_samples": 5}
    scene = station(body, source=spot, directory=tmp_path, acquisition={"exposure_s": 0.1})
    with pytest.warns(UserWarning, match="overlap on") as told:
        expose(scene, backend)
    assert len(told) <= 5 and len({str(w.message) for w in told}) == len(told)


MISUSED: dict[str, tuple[dict[str, Any], list[str]]] = {
    "two sizes": ({"focal_spot_mm": 0.4, "focal_spot_sigma_mm": 0.1}, ["focal_spot_mm", "focal_spot_sigma_mm"]),
    "shape alone": ({"focal_spot_shape": "uniform"}, ["focal_spot_mm"]),
    "uniform sigma": ({"focal_spot_shape": "uniform", "focal_spot_sigma_mm": 0.1}, ["uniform", "focal_spot_mm"]),
    "image without pixels": ({"focal_spot_shape": "image", "focal_spot_image": "spot.png"}, ["focal_spot_pixel_mm"]),
    "pixels alone": ({"focal_spot_pixel_mm": 0.1}, ["focal_spot_image"]),
    "three": ({"focal_spot_mm": 0.4, "focal_spot_samples": 3}, ["too few", "on a line"]),
    "even": ({"focal_spot_mm": 0.4, "focal_spot_samples": 16}, ["even", "use 17"]),
    "negative": ({"focal_spot_mm": -0.4}, ["focal_spot_mm", "greater than 0"]),
}


@pytest.mark.parametrize("case", MISUSED)
def test_a_spot_that_is_none_is_refused_in_one_line(case: str) -> None:
    fields, words = MISUSED[case]
    with pytest.raises(xsim.SceneError) as refused:
        station(source={"energy_kev": 60.0, **fields})
    assert "\n" not in str(refused.value)
    for word in words:
        assert word in str(refused.value)


@pytest.mark.parametrize("content", ["missing", "text", "dark", "negative", "colour", "pickle"])
def test_an_image_that_is_no_spot_is_refused_in_one_line(tmp_path: Path, content: str) -> None:
    file = tmp_path / "spot.npy"
    arrays = {"dark": np.zeros((4, 4)), "negative": -np.ones((4, 4)), "colour": np.ones((4, 4, 3)),
              "pickle": np.array([{}], dtype=object)}  # fmt: skip
    if content in arrays:
        np.save(file, arrays[content], allow_pickle=True)
    elif content == "text":
        file.write_text("no array")
    source = {"energy_kev": 60.0, "focal_spot_shape": "image", "focal_spot_image": "spot.npy",
              "focal_spot_pixel_mm": 0.01}  # fmt: skip
    with pytest.raises(xsim.SceneError, match=r"focal_spot_image .*spot\.npy") as refused:
        xsim.simulate(station({"shape": "sphere", "radius_mm": 1.0}, source=source, directory=tmp_path), backend="cpu")
    assert "\n" not in str(refused.value)


def test_a_parallel_beam_has_no_spot() -> None:
    with pytest.raises(xsim.SceneError, match="parallel beam has no focal spot"):
        xsim.scene_from_dict({
            "source": {"energy_kev": 60.0, "focal_spot_mm": 0.4}, "geometry": {"beam": "parallel"},
            "detector": {"preset": "generic-gos-200um"},
        })  # fmt: skip
