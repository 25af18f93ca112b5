"""EMVA 1288 Release 4, linear model: the sensor before a lamp gives back the numbers it was told.

Light of n keV frees n electrons times fill factor times quantum efficiency, so that n counts photons.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest

from xsim.backend import Backend
from xsim.detector import Detector
from xsim.light_box import light_frame

K, READ_E, DARK_E_S, FULL_E, OFFSET, ETA = 0.25, 20.0, 900.0, 2e5, 200.0, 0.48
SIDE, TIME_S = 512, 0.5
DARK_E = DARK_E_S * TIME_S


def lamp_camera(**sensor: Any) -> Detector:
    given = {
        "electrons_per_kev": 1.0, "fill_factor": 0.8, "quantum_efficiency": 0.6, "gain_adu_per_e": K,
        "offset_adu": OFFSET, "read_noise_e": READ_E, "dark_current_e_s": DARK_E_S, "full_well_e": FULL_E,
    }  # fmt: skip
    return Detector.model_validate(
        {
            "preset": "generic-gos-200um",
            "rows": SIDE,
            "columns": SIDE,
            "sensor": {"gain_adu_per_kev": None, "read_noise_adu": None, **given, **sensor},
        }
    )


@functools.cache
def pair(backend: Backend, share: float, start: int = 0) -> tuple[float, float]:
    """Mean and temporal variance [ADU, ADU^2] of two frames at a share of full well."""
    photons, seed = share * (FULL_E - DARK_E) / ETA, int(share * 1e6)
    frames = (light_frame(lamp_camera(), photons, TIME_S, backend, seed, start + k)["noisy"] for k in (0, 1))
    one, other = (backend.to_numpy(frame).astype(np.float64) for frame in frames)
    return float(0.5 * (one + other).mean()), float(0.5 * (one - other).var())


LEVELS = tuple(np.linspace(0.05, 0.7, 14).round(4).tolist())


def test_the_gain_of_the_photon_transfer_is_the_one_told(backend: Backend) -> None:
    """Slope of temporal variance over mean, dark subtracted, to 70 % of saturation: K within 0.5 %."""
    dark = pair(backend, 0.0)
    mean, variance = (np.array([pair(backend, s)[k] for s in LEVELS]) - dark[k] for k in (0, 1))
    slope = (mean * variance / mean).sum() / (mean * mean / mean).sum()  # weights 1 / variance
    assert slope == pytest.approx(K, rel=0.005)


def test_the_dark_noise_is_read_noise_and_dark_current(backend: Backend) -> None:
    """sqrt(var / K^2 - 1 / (12 K^2)) within 2 % of sqrt(read^2 + dark), and the dark signal within 0.1 %."""
    mean, variance = pair(backend, 0.0)
    electrons = np.sqrt((variance - 1 / 12) / K**2)
    assert electrons == pytest.approx(np.sqrt(READ_E**2 + DARK_E), rel=0.02)
    assert mean == pytest.approx(OFFSET + K * DARK_E, rel=1e-3)


def test_saturation_is_where_the_variance_falls(backend: Backend) -> None:
    """Exposure of the greatest temporal variance, in steps of 0.25 %, four pairs each: full well within 1 %."""
    shares = np.arange(0.98, 1.01, 0.0025).round(5)
    variance = [np.mean([pair(backend, float(s), start=k)[1] for k in (0, 2, 4, 6)]) for s in shares]
    assert shares[int(np.argmax(variance))] == pytest.approx(1, abs=0.01)
    assert variance[-1] < 0.1 * max(variance)
    frame = light_frame(lamp_camera(), 1.02 * FULL_E / ETA, TIME_S, backend)
    assert float(frame["valid"].mean()) < 0.01
    assert float(frame["noisy"].mean()) == pytest.approx(OFFSET + K * FULL_E, abs=1)


@pytest.mark.parametrize("share", [0.0005, 0.002, 0.01, 0.1, 0.5, 0.9])
def test_the_signal_to_noise_ratio_follows_the_linear_model(backend: Backend, share: float) -> None:
    """eta n / sqrt(read^2 + dark + 1 / (12 K^2) + eta n) within 1 %."""
    (mean, variance), dark = pair(backend, share), OFFSET + K * DARK_E
    electrons = share * (FULL_E - DARK_E)
    wanted = electrons / np.sqrt(READ_E**2 + DARK_E + 1 / (12 * K**2) + electrons)
    assert (mean - dark) / np.sqrt(variance) == pytest.approx(wanted, rel=0.01)


def test_non_uniformity_of_dark_signal_and_response_is_the_one_told(backend: Backend) -> None:
    """DSNU and PRNU of means of 64 frames, their temporal noise taken off: 3 % of 30 e and 1 %."""
    camera, count = lamp_camera(dsnu_e=30.0, prnu_share=0.01, serial=7), 64
    spread, level = {}, {}
    for share in (0.0, 0.5):
        photons = share * (FULL_E - DARK_E) / ETA
        image = backend.to_numpy(light_frame(camera, photons, TIME_S, backend, 3, 0, frames=count)["noisy"])
        temporal = K**2 * (READ_E**2 + DARK_E + share * (FULL_E - DARK_E)) / count + (1 + 1 / count) / 12
        spread[share], level[share] = image.var(dtype=np.float64) - temporal, image.mean(dtype=np.float64)
    assert np.sqrt(spread[0.0]) / K == pytest.approx(30.0, rel=0.03)
    assert np.sqrt(spread[0.5] - spread[0.0]) / (level[0.5] - level[0.0]) == pytest.approx(0.01, rel=0.03)


def test_the_response_is_linear(backend: Backend) -> None:
    """Mean over exposure from 5 to 95 % of saturation, line of least relative squares: 0.1 % everywhere."""
    shares = np.linspace(0.05, 0.95, 10).round(4)
    mean = np.array([pair(backend, float(s))[0] for s in shares])
    slope, start = np.polyfit(shares, mean, 1, w=1 / mean)
    assert np.abs((mean - start) / (slope * shares) - 1).max() < 1e-3
    assert slope == pytest.approx(K * (FULL_E - DARK_E), rel=1e-3)
