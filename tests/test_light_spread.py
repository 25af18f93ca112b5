"""Point responses of the light: their transforms against the MTF forms, what they keep, and bad input."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from xsim.detector import Detector
from xsim.errors import SceneError
from xsim.light_spread import light_spread, transfer

FORMS: dict[str, dict[str, Any]] = {
    "lorentzian": {"light_spread_h_mm2": 0.15},
    "two": {"light_spread_h_mm2": 0.1, "light_spread_second_h_mm2": 0.8, "light_spread_second_share": 0.3},
    "gaussian": {"light_spread_sigma_mm": 0.12},
    "measured": {"light_mtf": ((0.5, 0.93), (1.0, 0.78), (2.0, 0.47), (3.0, 0.27), (4.0, 0.16))},
    "glare": {"light_spread_h_mm2": 0.15, "glare_share": 0.03, "glare_mm": 1.5},
}


def camera(kind: str = "flat_panel", **screen: Any) -> Detector:
    """Without a spread but what is given."""
    preset = {"flat_panel": "generic-gos-200um", "line_scan": "generic-line-400um"}[kind]
    return Detector(preset=preset, pitch_mm=0.1, scintillator={"light_spread_h_mm2": 0.0, **screen})


@pytest.mark.parametrize("kind", ["flat_panel", "line_scan"])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("model", ["single", "cascade"])
def test_kernels_have_the_mtf_asked_for(form: str, kind: str, model: str) -> None:
    """Transform along the rows against T(f), to Nyquist; 0.008, each class apart."""
    detector = camera(kind, model=model, **FORMS[form])
    screen, frequency = detector.scintillator, np.linspace(0, 5, 21)
    widths = screen.spread_width_at(screen.sensor_distance((np.arange(screen.classes) + 0.5) / screen.classes))
    for kernel, width in zip(light_spread(detector).whole, widths, strict=True):
        at = (np.arange(kernel.shape[1]) - kernel.shape[1] // 2) * 0.1
        measured = np.cos(2 * np.pi * np.outer(frequency, at)) @ kernel.sum(axis=0)
        assert np.abs(measured - transfer(screen, frequency, float(width))).max() < 0.008
        assert kernel.sum() == pytest.approx(1, abs=1e-6)
        assert kernel.min() > -0.02


def test_measured_mtfs_are_met_at_their_points() -> None:
    table = FORMS["measured"]["light_mtf"]
    found = transfer(camera(light_mtf=table).scintillator, np.array([f for f, _ in table]))
    assert np.abs(found - [mtf for _, mtf in table]).max() < 0.005


def test_an_mtf_with_a_bump_is_refused() -> None:
    with pytest.raises(SceneError, match=r"light_mtf cannot be the MTF of spread light \(off by 0\.\d+\)"):
        light_spread(camera(light_mtf=((1.0, 0.4), (2.0, 0.8), (3.0, 0.2))))


@pytest.mark.parametrize("kind", ["flat_panel", "line_scan"])
@pytest.mark.parametrize("glare_mm", [1e6, 1e308])
def test_glare_that_no_image_holds_is_refused_in_one_line(kind: str, glare_mm: float) -> None:
    with pytest.raises(SceneError, match=r"the glare reaches .* pixels far") as told:
        light_spread(camera(kind, glare_share=0.02, glare_mm=glare_mm))
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("screen", "message"),
    [
        ({"light_spread_h_mm2": 0.1, "light_spread_sigma_mm": 0.1}, "spreads in two ways"),
        ({"light_spread_second_share": 0.1}, "without a first term"),
        ({"glare_share": 0.1}, "glare_mm is 0"),
        ({"light_mtf": ((2.0, 0.5), (1.0, 0.8))}, "ascending"),
        ({"depth_classes": 9}, "less than or equal to 8"),
        ({"irradiated": "side"}, "front"),
    ],
)
def test_screens_that_cannot_be_are_refused(screen: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        camera(**screen)
