"""Ellipsoids, cones and tubes against chords found by bisection in float64, at random poses and distances."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import xsim
from xsim.geometry import rotation_matrix

PIXELS = 40
Inside = Callable[[np.ndarray], np.ndarray]  # points [..., 3] in the body's frame -> bool [...]


def inside_ellipsoid(radii: list[float]) -> Inside:
    return lambda p: ((p / np.asarray(radii)) ** 2).sum(axis=-1) < 1


def inside_cone(radius: float, height: float) -> Inside:
    def inside(p: np.ndarray) -> np.ndarray:
        room = radius * (0.5 - p[..., 2] / height)
        return (np.abs(p[..., 2]) < height / 2) & (np.hypot(p[..., 0], p[..., 1]) < room)

    return inside


def inside_cylinder(radius: float, height: float) -> Inside:
    return lambda p: (np.abs(p[..., 2]) < height / 2) & (np.hypot(p[..., 0], p[..., 1]) < radius)


def chords(inside: Inside, source: np.ndarray, toward: np.ndarray, span: tuple[float, float]) -> np.ndarray:
    """Length inside a convex body along rays [ray, 3] from a point, by a scan and bisection."""
    unit = toward / np.linalg.norm(toward, axis=-1, keepdims=True)
    t = np.linspace(*span, 4001)
    hit = inside(source + t[None, :, None] * unit[:, None, :])
    some = hit.any(axis=1)
    first, last = hit.argmax(axis=1), hit.shape[1] - 1 - hit[:, ::-1].argmax(axis=1)
    step = t[1] - t[0]
    ends = []
    for at, outward in ((first, -1.0), (last, 1.0)):
        within = t[at]
        beyond = within + outward * step
        for _ in range(45):
            middle = 0.5 * (within + beyond)
            is_in = inside(source + middle[:, None] * unit)
            within, beyond = np.where(is_in, middle, within), np.where(is_in, beyond, middle)
        ends.append(0.5 * (within + beyond))
    return np.where(some, ends[1] - ends[0], 0.0)


CASES: dict[str, tuple[dict[str, object], list[tuple[float, Inside]]]] = {
    "ellipsoid": ({"radii_mm": [8.0, 3.0, 15.0]}, [(1.0, inside_ellipsoid([8.0, 3.0, 15.0]))]),
    "cone": ({"radius_mm": 9.0, "height_mm": 20.0}, [(1.0, inside_cone(9.0, 20.0))]),
    "flat cone": ({"radius_mm": 14.0, "height_mm": 4.0}, [(1.0, inside_cone(14.0, 4.0))]),
    "tube": (
        {"radius_mm": 9.0, "inner_radius_mm": 7.5, "height_mm": 18.0},
        [(1.0, inside_cylinder(9.0, 18.0)), (-1.0, inside_cylinder(7.5, 18.0))],
    ),
}


def lengths_and_oracle(
    name: str, pose: np.ndarray, sod: float, companions: list[dict[str, object]]
) -> tuple[np.ndarray, np.ndarray]:
    fields, parts = CASES[name]
    rotation, position = pose[:3], pose[3:]
    body = {"shape": name.split()[-1], "material": "Al", "rotation_deg": rotation.tolist(),
            "position_mm": position.tolist(), **fields}  # fmt: skip
    scene = xsim.scene_from_dict({
        "source": {"energy_kev": 80.0},
        "geometry": {"sod_mm": sod, "sdd_mm": sod + 40.0},
        "detector": {"preset": "generic-gos-200um", "rows": PIXELS, "columns": PIXELS,
                     "pitch_mm": 40.0 / PIXELS * (sod + 40.0) / sod},
        "body": [body, *companions],
    })  # fmt: skip
    view, turn = scene.view, rotation_matrix(tuple(rotation))
    j, i = np.mgrid[:PIXELS, :PIXELS].reshape(2, -1)
    toward = (view.origin + i[:, None] * view.column + j[:, None] * view.row) @ turn
    source = (view.source - position) @ turn
    span = (max(0.0, np.linalg.norm(source) - 30.0), np.linalg.norm(source) + 30.0)
    oracle = sum(sign * chords(inside, source, toward, span) for sign, inside in parts)
    return xsim.path_lengths(scene, backend="cpu")["Al"].ravel(), np.asarray(oracle)


@pytest.mark.parametrize("sod", [50.0, 500.0, 1e5])
@pytest.mark.parametrize("name", CASES)
def test_solid_is_exact(name: str, sod: float) -> None:
    """1e-4 mm away from grazing rays, where a chord changes by more than the ray is known."""
    pose = np.concatenate([np.random.default_rng(5).uniform(0, 360, 3), [1.3, -2.1, 0.7]])
    found, oracle = lengths_and_oracle(name, pose, sod, [])
    clear = np.abs(oracle) > 0.3
    assert clear.sum() > 60
    assert np.abs(found - oracle)[clear].max() < 1e-4
    assert np.abs(found - oracle).max() < 0.2


@pytest.mark.parametrize("name", CASES)
def test_solid_is_the_same_when_sorted_with_others(name: str) -> None:
    """Alone a body is summed, beside an overlapping one of air and lower priority it is resolved: equal to 1e-5 mm."""
    pose = np.array([20.0, 130.0, 250.0, 0.5, 0.2, -0.4])
    alone, _ = lengths_and_oracle(name, pose, 400.0, [])
    air = {"shape": "box", "size_mm": [30.0, 30.0, 30.0], "material": "air", "priority": -1}
    among, _ = lengths_and_oracle(name, pose, 400.0, [air])
    assert np.abs(alone - among).max() < 1e-5


def test_tube_needs_a_wall() -> None:
    with pytest.raises(xsim.SceneError, match="no wall"):
        xsim.scene_from_dict({
            "source": {"energy_kev": 80.0}, "detector": {"preset": "generic-gos-200um"},
            "body": [{"shape": "tube", "material": "Al", "radius_mm": 5, "inner_radius_mm": 5, "height_mm": 3}],
        })  # fmt: skip


def test_subpixels_average_the_energy_absorbed() -> None:
    """An edge of a wide box that cuts a pixel at 3/8 of its width lets through that share, to 1 part in the 16 rays."""

    def across(subpixels: int) -> np.ndarray:
        scene = xsim.scene_from_dict({
            "source": {"energy_kev": 60.0}, "geometry": {"sod_mm": 999.0, "sdd_mm": 1000.0},
            "acquisition": {"exposure_s": 0.01, "subpixels": subpixels},
            "detector": {"preset": "generic-gos-200um", "rows": 8, "columns": 8, "response": "ideal"},
            "body": [{"shape": "box", "material": "Pb", "size_mm": [4.0, 40.0, 1.0], "position_mm": [-1.925, 0, 0]}],
        })  # fmt: skip
        return xsim.simulate(scene, backend="cpu").clean[4].astype(np.float64)

    row = across(8)  # the box ends at x = 0.075 mm, magnified by 1.001; column 4 reaches from 0 to 0.2 mm
    share = (row[4] - row[2]) / (row[6] - row[2])
    assert abs(share - (1 - 0.375)) < 1 / 16
    assert abs(across(1)[4] / across(1)[6] - 1) < 1e-3
