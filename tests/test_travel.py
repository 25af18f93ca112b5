"""What travel does to a line scan: the blur along it, its part in noise, and ripple of the tube."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from test_line_scan import BELT, scan

from xsim.radiograph import Exposure, expose
from xsim.travel import travel_of

TILT_DEG = 4.0
PER_LINE = 8  # bins of the edge's profile
FAR_MM = 4e5  # a cone beam as good as parallel


def edge(columns: int = 257, stages: int = 1, **acquisition: Any) -> Exposure:
    """A plate whose edge lies across travel, turned a little; a line is as long as a pixel is wide."""
    turn = np.deg2rad(TILT_DEG)
    place = [50.0 * np.sin(turn), -50.0 * np.cos(turn), 0.0]
    plate = {"shape": "box", "size_mm": [300.0, 100.0, 5.0], "material": "Pb", "rotation_deg": [0.0, 0.0, TILT_DEG]}
    is_far = "tdi_focus_mm" in acquisition
    return expose(
        scan(
            {**plate, "position_mm": place}, belt=acquisition, columns=columns, pitch_mm=0.4 if is_far else 0.2,
            geometry={"sod_mm": FAR_MM, "sdd_mm": 2 * FAR_MM} if is_far else {"beam": "parallel"}, response="ideal",
            sensor={"tdi_stages": stages},
        ),
        "cpu",
    )  # fmt: skip


def modulation_along(exposure: Exposure, frequency: np.ndarray) -> np.ndarray:
    """Transfer along travel [f in cycles per line] by the slanted edge: derivative of the profile over all columns."""
    image = np.asarray(exposure.mean_light, np.float64)
    image = image / image.max()
    rows, columns = image.shape
    slope = np.tan(np.deg2rad(TILT_DEG))  # lines a column: as long along the line as along travel
    place = np.arange(rows)[:, None] + slope * (np.arange(columns) - columns // 2)[None, :]
    middle = 0.5 * (rows - 1)
    bins = np.floor((place - middle) * PER_LINE + 0.5).astype(int)
    reach = 24 * PER_LINE
    near = np.abs(bins) <= reach
    count = np.bincount(bins[near] + reach, minlength=2 * reach + 1)
    profile = np.bincount(bins[near] + reach, image[near], minlength=2 * reach + 1) / count
    spread = np.diff(profile)
    at = (np.arange(2 * reach) - reach + 0.5) / PER_LINE
    transfer = np.abs(np.exp(-2j * np.pi * np.outer(frequency, at)) @ spread) / abs(spread.sum())
    step = np.sinc(frequency / PER_LINE)  # of a bin, and of the difference of two
    return transfer / step**2


TERMS: dict[str, dict[str, Any]] = {
    "motion": {"travel_samples": 5},
    "half a line": {"travel_samples": 9, "exposure_s": 2e-4},
    "mismatch": {"stages": 32, "tdi_speed_mismatch": 0.04},
    "focus": {"stages": 48, "tdi_focus_mm": 0.02 * FAR_MM},
    "jitter": {"line_jitter_share": 0.35},
    "all": {"stages": 16, "tdi_speed_mismatch": 0.05, "line_jitter_share": 0.2, "exposure_s": 3e-4},
}


@pytest.mark.parametrize("term", TERMS)
def test_the_modulation_along_travel_is_the_product_of_its_terms(term: str) -> None:
    """Slanted edge, to half a cycle per line, within 0.01."""
    given = {**TERMS[term]}
    exposure = edge(**given)
    rate = BELT["line_rate_hz"]
    f = np.linspace(0.02, 0.5, 25)
    stages, exposed = given.get("stages", 1), given.get("exposure_s", 1 / rate) * rate
    e = given.get("tdi_speed_mismatch", 0.0) + given.get("tdi_focus_mm", 0.0) / FAR_MM
    jitter = given.get("line_jitter_share", 0.0)
    wanted = np.abs(np.sinc(exposed * f)) * np.exp(-2 * (np.pi * f * jitter) ** 2)
    if stages > 1:
        wanted = wanted * np.abs(np.sin(np.pi * stages * e * f) / (stages * np.sin(np.pi * e * f)))
    measured = modulation_along(exposure, f)
    assert np.abs(measured - wanted).max() < 0.01, f"{np.abs(measured - wanted).max():.4f}"
    travel = travel_of(exposure.scene.geometry, exposure.scene.acquisition, exposure.scene.detector)
    assert travel is not None and travel.modulation(f) == pytest.approx(wanted, abs=1e-9)
