"""Exposures that follow from what is asked for: grey values with dark charge and offset, the time of a line."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from station import station

from xsim import Scene, scene_from_dict
from xsim.absorption import beam_weights, expected_signal
from xsim.backend import Backend
from xsim.errors import SceneError
from xsim.radiograph import expose

TUBE = {"voltage_kv": 120.0, "filters": [{"material": "Al", "thickness_mm": 2.0}]}
ELECTRONS = {"electrons_per_kev": 1.0, "fill_factor": 0.8, "quantum_efficiency": 0.625}  # 0.08 ADU an electron


@pytest.mark.parametrize("target_gv", [0.001, 300 / 65535])
def test_a_grey_value_below_the_offset_is_refused_in_one_line(backend: Backend, target_gv: float) -> None:
    with pytest.raises(SceneError, match=r"target_gv = .* lies below the offset \(300 of 65535 ADU\)") as told:
        expose(station(shape=(9, 9), acquisition={"target_gv": target_gv}), backend)
    assert "\n" not in str(told.value)


def test_a_beam_that_gives_nothing_leaves_an_image_of_nothing(backend: Backend) -> None:
    scene = station(shape=(9, 9), acquisition={"exposure_s": 0.1})
    weights = beam_weights(scene, scene.view, 0.0)
    found = expected_signal(scene, scene.view, weights, backend)
    assert not weights.signal_kev.any() and not found.signal.any() and not found.variance.any()


def line_with_dark(tdi_stages: int = 4, **run: Any) -> Scene:
    """A line of 2500 Hz that collects 1e6 e/s in each stage, at the level of the open beam."""
    sensor = {**ELECTRONS, "dark_current_e_s": 1e6, "tdi_stages": tdi_stages, "read_noise_e": 0.0,
              "read_noise_adu": None}  # fmt: skip
    detector = {"preset": "generic-line-400um", "columns": 33, "sensor": sensor}
    belt = {"belt_speed_m_s": 0.5, "line_rate_hz": 2500.0, "lines": 3, **run}
    return scene_from_dict({"source": {**TUBE, "current_ma": 7.0}, "acquisition": belt, "detector": detector})


@pytest.mark.parametrize(
    ("run", "time_s"),
    [({"target_gv": 0.5}, 4e-4), ({"quanta_per_pixel": 900.0}, 4e-4), ({}, 4e-4), ({"exposure_s": 1e-4}, 1e-4)],
)
@pytest.mark.parametrize("stages", [1, 4])
def test_a_line_collects_dark_current_for_its_own_time(
    backend: Backend, run: dict[str, float], time_s: float, stages: int
) -> None:
    """Whatever the dose asked for: that scales the tube."""
    exposure = expose(line_with_dark(stages, **run), backend)
    assert exposure.record().metadata["dark_e"] == pytest.approx(1e6 * time_s * stages, rel=1e-6)


def test_a_grey_value_asked_for_holds_dark_charge_and_offset(backend: Backend) -> None:
    """Of a panel on the axis and far off it, and of a line: 1 ADU."""
    sensor = {**ELECTRONS, "dark_current_e_s": 2e4}
    for aside_mm in (0.0, 600.0):
        place = {"source_position_mm": [0.0, 0.0, -500.0], "detector_position_mm": [aside_mm, 0.0, 500.0]}
        camera = {"preset": "generic-gos-200um", "rows": 9, "columns": 9, "sensor": sensor}
        tube, run = {**TUBE, "current_ma": 0.1}, {"target_gv": 0.6}
        scene = {"source": tube, "geometry": place, "acquisition": run, "detector": camera}
        image = expose(scene_from_dict(scene), backend).record()
        assert image.metadata["dark_e"] > 1000
        assert image.expected[4, 4] == pytest.approx(0.6 * 65535, abs=1.0)
    line = expose(line_with_dark(target_gv=0.6), backend).record()
    assert line.expected[1, 16] == pytest.approx(0.6 * 65535, abs=1.0)
    with pytest.raises(SceneError, match="below the offset and dark signal"):
        expose(line_with_dark(target_gv=0.001), backend)


PANEL = {"preset": "generic-gos-200um", "rows": 48, "columns": 48}
LINE = {"preset": "generic-linescan-gos-400um", "columns": 96}
BELT = {"belt_speed_m_s": 0.2, "line_rate_hz": 1000.0, "lines": 48}
COUNTING = {"sensor": {**ELECTRONS, "dark_current_e_s": 2e3, "row_noise_e": 20.0, "prnu_share": 0.01}}
LAGGING = {"scintillator": {"lag": [[0.3, 200.0]]}}


@pytest.mark.parametrize(
    ("camera", "run", "snr"),
    [
        (PANEL, {}, 5.0),
        (PANEL, {}, 80.0),
        ({**PANEL, **COUNTING}, {"frames": 4, "state": "flat_field_corrected"}, 40.0),
        ({**PANEL, **COUNTING, "correction": {"pedestal_adu": 400.0}}, {"state": "offset_corrected"}, 4.0),
        ({**PANEL, **LAGGING}, {}, 30.0),
        ({"preset": "dexela-2923-like", "rows": 48, "columns": 48}, {}, 60.0),
        (LINE, BELT, 20.0),
        ({**PANEL, "response": "ideal"}, {}, 25.0),
    ],
)
def test_an_open_beam_has_the_signal_to_noise_ratio_asked_for(
    camera: dict[str, Any], run: dict[str, Any], snr: float
) -> None:
    """Mean over the standard deviation of each pixel from image to image, measured on 64 images: 2 %."""
    scene = {"source": {**TUBE, "current_ma": 1.0}, "acquisition": {**run, "snr": snr}, "detector": camera}
    exposure = expose(scene_from_dict(scene), "cpu")
    stack = np.stack([exposure.record(seed=k).noisy for k in range(64)]).astype(np.float64)
    black = exposure.record().metadata["offset_adu"]
    found = (stack.mean() - black) / np.sqrt(stack.var(axis=0, ddof=1).mean())
    assert found == pytest.approx(snr, rel=0.02)


def test_more_noise_is_asked_for_with_less_charge() -> None:
    """The charge grows with the ratio: by its square where quanta are all of the noise, linearly where reading is."""
    charges = {}
    for snr, read_noise in ((0.02, 300.0), (0.04, 300.0), (200.0, 1.0), (400.0, 1.0)):
        camera = {**PANEL, "sensor": {"read_noise_adu": read_noise}}
        scene = {"source": {**TUBE, "current_ma": 1.0}, "acquisition": {"snr": snr}, "detector": camera}
        charges[snr] = expose(scene_from_dict(scene), "cpu").mas
    assert charges[0.04] / charges[0.02] == pytest.approx(2.0, rel=0.02)
    assert charges[400.0] / charges[200.0] == pytest.approx(4.0, rel=0.02)


@pytest.mark.parametrize("run", [{"snr": 0.0}, {"snr": -3.0}, {"snr": 1e9}, {"snr": 5.0, "quanta_per_pixel": 9.0}])
def test_a_ratio_that_means_nothing_is_refused(run: dict[str, float]) -> None:
    with pytest.raises(SceneError, match="snr"):
        scene_from_dict({"source": TUBE, "acquisition": run, "detector": PANEL})
