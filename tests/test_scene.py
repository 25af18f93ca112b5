"""Scenes built in code are checked as those of a file are."""

from __future__ import annotations

import pytest

import xsim


def scene_with(**body: object) -> xsim.Scene:
    return xsim.Scene.model_validate(
        {
            "source": {"energy_kev": 80.0},
            "geometry": {"sod_mm": 100.0, "sdd_mm": 200.0},
            "detector": {"preset": "generic-gos-200um", "rows": 8, "columns": 8},
            "body": [{"shape": "box", "material": "Al", **body}],
        }
    )


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"size_mm": [1, 1, 1], "position_mm": [0, 0, -100.0]}, "source is inside"),
        ({"size_mm": [1, 1, 150], "position_mm": [0, 0, 40.0]}, "behind the detector"),
        ({"size_mm": [1, 1, 1], "material": "unobtainium"}, "unobtainium"),
    ],
)
def test_what_no_station_can_do_is_refused_at_the_latest_when_simulated(body: dict[str, object], words: str) -> None:
    scene = scene_with(**body)
    for act in (xsim.simulate, xsim.path_lengths):
        with pytest.raises(xsim.XsimError, match=words):
            act(scene, backend="cpu")


def test_a_scene_is_the_same_through_its_own_words() -> None:
    scene = scene_with(size_mm=[1, 2, 3])
    again = xsim.scene_from_dict(scene.model_dump(exclude_none=True))
    assert again.model_dump() == scene.model_dump()
    assert (xsim.simulate(again, 3).noisy == xsim.simulate(scene, 3).noisy).all()
