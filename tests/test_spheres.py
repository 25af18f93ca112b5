"""Many spheres as one body: the sum of its spheres, wherever it is turned, which touch at most."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from station import lengths_of, only, station

import xsim
from xsim.backend import Backend

CENTRES = [[-6.0, 1.0, 2.0], [0.0, 0.0, -3.0], [3.0, -4.0, 0.0], [3.0, -4.0, 3.0], [7.0, 6.0, 1.0]]
RADII = [2.0, 3.5, 1.5, 1.5, 0.7]  # the third and the fourth touch
MANY = {"shape": "spheres", "centres_mm": CENTRES, "radii_mm": RADII, "material": "Al"}
POSE = {"position_mm": [1.0, -2.0, 3.0], "rotation_deg": [20.0, 30.0, 40.0]}
VIEW = {"shape": (96, 96), "pitch_mm": 0.5}


def scene_of(*bodies: dict[str, Any], **tables: Any) -> xsim.Scene:
    camera = {"preset": "generic-gos-200um", "rows": 300, "columns": 300, "pitch_mm": 0.1}
    run = {"source": {"energy_kev": 60.0}, "acquisition": {"exposure_s": 0.1}, "detector": camera}
    return xsim.scene_from_dict({**run, "body": list(bodies), **tables})


def test_they_are_the_sum_of_their_spheres(backend: Backend) -> None:
    """A pixel at a silhouette apart: depths are counted from another place."""
    turn = station({**MANY, **POSE}, **VIEW)
    centres = turn.body[0].to_world(np.array(CENTRES))
    alone = [
        {"shape": "sphere", "radius_mm": r, "position_mm": c.tolist(), "material": "Al"}
        for c, r in zip(centres, RADII, strict=True)
    ]
    found, wanted = only(lengths_of(turn, backend)), only(lengths_of(station(*alone, **VIEW), backend))
    assert wanted.max() > 3
    assert np.abs(found - wanted).max() < 1e-4


def test_as_pores_they_take_their_volume_from_the_body_around_them(backend: Backend) -> None:
    """In a parallel beam the lengths of an image add up to a volume; a pixel's is that of its middle."""
    block = {"shape": "box", "size_mm": [24, 24, 14], "material": "PMMA"}
    pores = {**MANY, "material": "air", "priority": 1}
    scene = scene_of(block, pores, geometry={"beam": "parallel", "sod_mm": 500.0, "sdd_mm": 600.0})
    lengths = lengths_of(scene, backend)
    volumes = {name: float(length.sum(dtype=np.float64)) * 0.01 for name, length in lengths.items()}
    pore = sum(4 / 3 * np.pi * r**3 for r in RADII)
    assert volumes["air"] == pytest.approx(pore, rel=2e-3)
    assert volumes["air"] + volumes["PMMA"] == pytest.approx(24 * 24 * 14, rel=1e-5)


def test_its_reach_is_that_of_its_spheres() -> None:
    body = station({**MANY, **POSE}, **VIEW).body[0]
    centres = body.to_world(np.array(CENTRES))
    for way in np.eye(3):
        assert body.farthest(way) == pytest.approx((centres @ way + RADII).max())
    corners = body.bounds()
    assert all((corners @ way).max() >= body.farthest(way) - 1e-9 for way in (*np.eye(3), *-np.eye(3)))
    assert body.contains(centres[0]) and not body.contains(centres[0] + [0, 0, 2.01])


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"radii_mm": [2.0, 3.5, 1.5, 1.6, 0.7]}, "spheres 3 and 4 overlap by 0.1 mm"),
        ({"radii_mm": [2.0]}, "5 centres_mm and 1 radii_mm"),
        ({"radii_mm": [0.0] * 5}, "greater than 0"),
        ({"centres_mm": [], "radii_mm": []}, "at least 1"),
    ],
)
def test_what_is_none_is_refused_in_one_line(change: dict[str, object], told: str) -> None:
    with pytest.raises(xsim.SceneError, match=told) as error:
        station({**MANY, **change}, **VIEW)
    assert "\n" not in str(error.value)


def test_no_defect_goes_inside_them() -> None:
    pore = {"shape": "sphere", "radius_mm": 0.1, "material": "air", "inside": "beads", "placement": "random"}
    with pytest.raises(xsim.SceneError, match="cannot be inside spheres"):
        scene_of({**MANY, "name": "beads"}, defect=[pore])


def test_five_thousand_are_one_body_with_one_label(backend: Backend) -> None:
    grid = np.array(list(itertools.product(range(18), repeat=3)))[:5000] - 8.5
    body = {"shape": "spheres", "centres_mm": grid.tolist(), "radii_mm": [0.45] * 5000, "material": "PMMA"}
    lengths = only(lengths_of(station(body, shape=(64, 64), pitch_mm=0.4), backend))
    assert 0 < lengths.max() < 18
