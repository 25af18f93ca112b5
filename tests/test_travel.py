"""What travel does to a line scan: the blur along it, its part in noise, and ripple of the tube."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from station import solid
from test_line_scan import BELT, scan

from xsim.acquisition import Acquisition
from xsim.backend import Backend
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


def test_a_scan_without_terms_of_travel_is_the_one_with_a_sharp_line(backend: Backend) -> None:
    """No term named: no sub-lines. With them the open beam is the same and a ball's middle too, its edge is not."""
    sharp = expose(scan(solid("sphere", 6.0)), backend)
    blurred = expose(scan(solid("sphere", 6.0), belt={"line_jitter_share": 0.5}), backend)
    one, other = (backend.to_numpy(e.mean_light).astype(np.float64) for e in (sharp, blurred))
    assert other[0] == pytest.approx(one[0], rel=1e-6) and other[60, 48] == pytest.approx(one[60, 48], rel=1e-3)
    assert np.abs(other / one - 1).max() > 0.01
    assert travel_of(sharp.scene.geometry, sharp.scene.acquisition, sharp.scene.detector) is None
    assert blurred.derived["rays_per_pixel"] == 5 * sharp.derived["rays_per_pixel"]


def test_stages_collect_light_and_dark_current_line_after_line(backend: Backend) -> None:
    electrons = {"electrons_per_kev": 1.0, "dark_current_e_s": 1e5}
    one, four = (
        expose(scan(belt={"exposure_s": 4e-4}, sensor={**electrons, "tdi_stages": n}), backend) for n in (1, 4)
    )
    assert four.mas == pytest.approx(4 * one.mas) and one.derived["dark_e"] == pytest.approx(40)
    assert four.derived["dark_e"] == pytest.approx(160)


def test_quanta_of_neighbouring_lines_stay_independent(backend: Backend) -> None:
    """Travel blurs the part, not the noise: each quantum is counted in one line. |r| < 4 / sqrt(pixels)."""
    exposure = expose(scan(belt={"line_jitter_share": 1.0, "target_gv": 0.5, "lines": 400}), backend)
    image = exposure.record(1)
    noise = (image.noisy - image.expected).astype(np.float64)
    found = np.corrcoef(noise[1:].ravel(), noise[:-1].ravel())[0, 1]
    assert abs(found) < 4 / np.sqrt(noise.size)


@pytest.mark.parametrize("stages", [1, 3, 10, 20])
def test_stages_average_the_ripple_of_the_tube(backend: Backend, stages: int) -> None:
    """By |sin(pi N t) / (N sin(pi t))|, t ripples a line: nothing is left of whole periods."""
    ripple = {"tube_ripple_share": 0.05, "tube_ripple_hz": 100.0, "line_rate_hz": 1000.0, "lines": 400}
    exposure = expose(scan(belt=ripple, columns=16, sensor={"tdi_stages": stages}, response="ideal"), backend)
    light = np.asarray(exposure.take_light(1, 0, 1), np.float64).mean(axis=1)
    t = 0.1
    wanted = 0.05 * abs(np.sin(np.pi * stages * t) / (stages * np.sin(np.pi * t))) * np.sinc(t)
    quanta = light.std() if wanted < 1e-9 else 0.0
    assert light.std() / light.mean() == pytest.approx(wanted, abs=2e-3 + quanta / light.mean())
    assert quanta / light.mean() < 5e-3


def test_both_layers_see_one_ripple(backend: Backend) -> None:
    """Whatever their lags: lines are counted from the image's first."""
    layer = {"scintillator": {"material": "CsI", "areal_density_mg_cm2": 400.0, "lag": [[0.001, 3.0]]}}
    ripple = {"tube_ripple_share": 0.1, "tube_ripple_hz": 130.0, "line_rate_hz": 1000.0, "lines": 300}
    exposure = expose(scan(belt=ripple, columns=64, second_layer=layer), backend)
    assert exposure.second is not None
    rows = [np.asarray(each.images(1, 0)["noisy"], np.float64).mean(axis=1) for each in (exposure, exposure.second)]
    assert np.corrcoef(rows)[0, 1] > 0.99


def test_ripple_of_the_tube_is_noise_that_the_pixels_of_a_line_share(backend: Backend) -> None:
    """2 % at 300 Hz and 2500 lines a second, seen over a line: 2 % sinc(0.12) of the mean, r = cos(2 pi 0.12 k) over k
    lines, the phase another in each frame, whose mean is expected; 5 %, 60 frames."""
    ripple = {"tube_ripple_share": 0.02, "tube_ripple_hz": 300.0, "exposure_s": 4e-4, "lines": 300}
    exposure = expose(scan(belt=ripple, columns=64), backend)
    waves = []
    for frame in range(60):
        image = exposure.record(2, frame)
        waves.append((image.noisy - image.expected).mean(axis=1) / (image.expected - 300).mean())
    rows = np.array(waves, np.float64)
    quanta = rows.var() - (0.02 * np.sinc(0.12)) ** 2
    assert abs(rows.mean()) < 0.002 and 0 < quanta < 0.5 * rows.var()
    for k in (1, 2, 4, 8):
        shared = (rows[:, k:] * rows[:, :-k]).mean()
        assert shared == pytest.approx((0.02 * np.sinc(0.12)) ** 2 * np.cos(2 * np.pi * 0.12 * k), abs=2e-5)


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "ripple": ({"tube_ripple_share": 0.1}, "of a line scan"),
    "jitter": ({"line_jitter_share": 0.1}, "of a line scan"),
    "samples": ({"travel_samples": 5}, "of a line scan"),
    "even": ({**BELT, "travel_samples": 4}, "is even"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_travel_without_a_belt_is_refused(case: str) -> None:
    run, words = REFUSED[case]
    with pytest.raises(ValueError, match=words):
        Acquisition.model_validate(run)
