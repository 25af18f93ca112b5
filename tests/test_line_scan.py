"""Line scans: a part on a belt, drawn line by line; widths by belt speed, line rate and magnification."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import reference
import trimesh
from reference import absorbed_kev, worst
from station import lengths_of, only, random_pose, save, solid

import xsim
from xsim.backend import Backend
from xsim.light_spread import light_spread
from xsim.radiograph import expose
from xsim.scene import Scene

BELT = {"belt_speed_m_s": 0.5, "line_rate_hz": 2500.0, "lines": 120}  # 0.2 mm from line to line
SHAPES = ("box", "sphere", "ellipsoid", "cylinder", "cone", "tube", "step_wedge")


def scan(*bodies: dict[str, Any], belt: dict[str, Any] | None = None, columns: int = 96, pitch_mm: float = 0.4,
         geometry: dict[str, Any] | None = None, directory: Path | str = ".", **detector: Any) -> Scene:  # fmt: skip
    scene = {
        "source": {"energy_kev": 60.0},
        "geometry": {"sod_mm": 400.0, "sdd_mm": 800.0, **(geometry or {})},
        "acquisition": {**BELT, **(belt or {})},
        "detector": {"preset": "generic-line-400um", "columns": columns, "pitch_mm": pitch_mm, **detector},
        "body": [{"material": "Al", **body} for body in bodies],
    }
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*(out of view|times as long).*")
        return xsim.scene_from_dict(scene, directory)


def ball(kind: str, radius_mm: float, directory: Path) -> dict[str, Any]:
    """A sphere, exact or of 20 480 triangles."""
    if kind == "sphere":
        return {"shape": "sphere", "radius_mm": radius_mm}
    mesh = trimesh.creation.icosphere(5, radius_mm)
    return save(directory, "ball", mesh.vertices, mesh.faces)


@pytest.mark.parametrize("kind", ["sphere", "mesh"])
@pytest.mark.parametrize(
    ("speed_m_s", "rate_hz", "height_mm"), [(0.4, 2500.0, 0.0), (0.8, 2400.0, 60.0), (0.3, 900.0, -120.0)]
)
def test_a_sphere_on_a_belt_is_as_wide_as_speed_rate_and_magnification_say(
    backend: Backend, tmp_path: Path, kind: str, speed_m_s: float, rate_hz: float, height_mm: float
) -> None:
    """Within 0.1 pixel, along and across.

    Along travel rays from the line's plane are parallel to it: 2 R / step. Across it is the angle under which the
    source sees the sphere: 2 sdd tan(asin(R / z)) / pitch. Edges are found between the pixels: chord^2 is a parabola.
    """
    radius, z = 7.3, 400.0 + height_mm
    body = {**ball(kind, radius, tmp_path), "position_mm": [0.0, 0.0, height_mm]}
    belt = {"belt_speed_m_s": speed_m_s, "line_rate_hz": rate_hz}
    scene = scan(body, belt=belt, columns=129, directory=tmp_path)
    chord = only(lengths_of(scene, backend)).astype(np.float64)
    along = width_of(chord[:, 64])
    across = width_of(chord[np.argmax(chord[:, 64])])
    assert along == pytest.approx(2 * radius / (1000 * speed_m_s / rate_hz), abs=0.1)
    assert across == pytest.approx(2 * 800.0 * np.tan(np.arcsin(radius / z)) / 0.4, abs=0.1)
    assert abs(along - across) > 5


def width_of(profile: np.ndarray) -> float:
    """Pixels between the two zeros of the parabola through the squares of the chords; all but the outermost."""
    inside = np.flatnonzero(profile > 0)[1:-1]
    a, b, c = np.polyfit(inside, profile[inside] ** 2, 2)
    return float(np.sqrt(b * b - 4 * a * c) / -a)


@pytest.mark.parametrize("shape", SHAPES)
def test_solids_on_a_belt_equal_their_closed_form(backend: Backend, shape: str) -> None:
    """Random poses, an inclined fan and a panel turned about y; each line from its own source. 1e-4 mm."""
    generator = np.random.default_rng(SHAPES.index(shape))
    for geometry in (
        {},
        {"source_position_mm": [30.0, -80.0, -400.0], "detector_position_mm": [-20.0, 60.0, 400.0], "sod_mm": None,
         "sdd_mm": None, "detector_rotation_deg": [0.0, 25.0, 0.0]},
        {"beam": "parallel", "beam_direction": [0.1, 0.2, 1.0], "detector_position_mm": [40.0, 80.0, 400.0]},
    ):  # fmt: skip
        scene = scan({**solid(shape, 14.0), **random_pose(generator, 3.0)}, geometry=geometry)
        wanted, _ = reference.path_lengths(scene)
        assert (only(wanted) > 1).mean() > 0.02
        assert worst(only(lengths_of(scene, backend)), only(wanted)) < 1e-4


def test_the_signal_of_a_line_equals_the_direct_sum(backend: Backend) -> None:
    """Inverse square and cosine along the line, the same from line to line."""
    scene = scan({"shape": "box", "size_mm": [9.0, 12.0, 20.0]}, pitch_mm=3.0, response="ideal",
                 geometry={"detector_rotation_deg": [0.0, 20.0, 0.0]})  # fmt: skip
    lengths, _ = reference.path_lengths(scene)
    image = expose(scene, backend).record()
    wanted = absorbed_kev(scene, lengths, image.metadata["exposure_mas"])
    assert np.quantile(np.abs(image.expected / wanted - 1), 0.99) < 3e-6
    assert image.metadata["exposure_mas"] == pytest.approx(1 / 2500)


def test_the_leading_edge_is_in_the_first_line(backend: Backend) -> None:
    """The part travels along +y: what lies farthest along it is met first, 0.2 mm a line about the middle one."""
    marker = {"shape": "box", "size_mm": [2.0, 0.9, 2.0], "position_mm": [0.0, 8.0, 0.0]}
    rows = np.flatnonzero(only(lengths_of(scan(marker), backend)).any(axis=1))
    assert rows.mean() == pytest.approx(59.5 - 8.0 / 0.2, abs=0.5) and len(rows) == 4


def test_a_scan_is_the_same_wherever_the_belt_has_carried_the_part(backend: Backend) -> None:
    """A shift by ten steps of the belt shifts the image by ten lines."""
    body = {**solid("tube", 9.0), "rotation_deg": [30.0, 50.0, 70.0]}
    one = only(lengths_of(scan(body), backend))
    other = only(lengths_of(scan({**body, "position_mm": [0.0, 2.0, 0.0]}), backend))
    assert np.abs(one[10:] - other[:-10]).max() < 1e-4 and one[10:].max() > 3


def test_light_spreads_along_the_line_alone(backend: Backend) -> None:
    """A bar that ends along travel has a sharp last line; across it is blurred by the screen's line spread."""
    kernel = light_spread(scan().detector).kernels[0]
    assert kernel.shape[0] == 1 and kernel.sum(dtype=np.float64) == pytest.approx(1, abs=1e-6)
    panel = xsim.scene_from_dict(
        {"source": {"energy_kev": 60.0}, "detector": {"preset": "generic-gos-200um", "pitch_mm": 0.4}}
    )
    assert np.abs(kernel[0] - light_spread(panel.detector).kernels[0].sum(axis=0)).max() < 1e-6
    bar = {"shape": "box", "size_mm": [10.0, 6.0, 4.0], "material": "Pb"}
    exposure = expose(scan(bar, belt={"exposure_s": 4e-4}), backend)
    image = backend.to_numpy(exposure.mean_light).astype(np.float64)
    assert len(np.unique(np.round(image[:, 48] / image[0, 48], 3))) == 2
    middle = image[60] / image[0]
    assert ((middle > 0.05) & (middle < 0.95)).sum() >= 4
    radius = kernel.shape[1] // 2
    wanted = np.stack([np.convolve(row, kernel[0][::-1], "valid") for row in backend.to_numpy(exposure.signal)])
    assert backend.to_numpy(exposure.signal).shape == (120, 96 + 2 * radius)
    assert np.abs(image - np.maximum(wanted, 0)).max() < 2e-6 * wanted.max()


def test_the_aspect_is_told_and_warned_of() -> None:
    body = {"shape": "sphere", "radius_mm": 2.0, "position_mm": [0.0, 0.0, 100.0]}
    good = expose(scan(body), xsim.backend.get_backend("cpu")).record().metadata
    assert good["line_step_mm"] == pytest.approx(0.2) and good["aspect"] == pytest.approx(1.0)
    assert good["aspect_of_bodies"] == [pytest.approx(0.2 / (0.4 * 500 / 800))]
    fast = {"source": {"energy_kev": 60.0}, "geometry": {"sod_mm": 400, "sdd_mm": 800},
            "acquisition": {**BELT, "belt_speed_m_s": 0.8},
            "detector": {"preset": "generic-line-400um", "columns": 8}}  # fmt: skip
    with pytest.warns(UserWarning, match=r"1\.6 times as long along travel.*line_rate_hz = 4000"):
        xsim.scene_from_dict(fast)


SPHERE = {"shape": "sphere", "radius_mm": 2.0}
REFUSED: dict[str, tuple[dict[str, Any], list[str]]] = {
    "no belt": ({"acquisition": {"exposure_s": 1e-4}}, ["a line camera needs a belt", "belt_speed_m_s"]),
    "half a belt": ({"acquisition": {"belt_speed_m_s": 0.5, "lines": 9}}, ["line_rate_hz is missing"]),
    "a belt before a panel": ({"detector": {"preset": "generic-gos-200um", "rows": 8}}, ["a belt needs a line camera"]),
    "two rows": ({"detector": {"preset": "generic-line-400um", "rows": 2}}, ["one row", "acquisition.lines"]),
    "too long an exposure": ({"acquisition": {**BELT, "exposure_s": 1e-3}}, ["longer than a line", "0.0004 s"]),
    "behind the source": ({"body": [{**SPHERE, "material": "Al", "position_mm": [0.0, 0.0, -399.0]}]},
                          ["does not pass between", "'body 1'"]),
    "behind the detector": ({"body": [{**SPHERE, "material": "Al", "position_mm": [0.0, 0.0, 399.0]}]},
                            ["behind the detector"]),
    "turned about x": ({"geometry": {"sod_mm": 400.0, "sdd_mm": 800.0, "detector_rotation_deg": [20.0, 0.0, 0.0]}},
                       ["the belt does not pass", "about y"]),
    "along the belt": ({"geometry": {"sod_mm": 400.0, "sdd_mm": 800.0, "detector_rotation_deg": [0.0, 0.0, 90.0]}},
                       ["the belt does not pass"]),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_no_line_scan_can_do_is_refused_in_one_line(case: str) -> None:
    tables, words = REFUSED[case]
    scene = {"source": {"energy_kev": 60.0}, "geometry": {"sod_mm": 400.0, "sdd_mm": 800.0}, "acquisition": BELT,
             "detector": {"preset": "generic-line-400um", "columns": 8}}  # fmt: skip
    with pytest.raises(xsim.SceneError) as refused:
        xsim.scene_from_dict({**scene, **tables})
    assert "\n" not in str(refused.value)
    for word in words:
        assert word in str(refused.value)
