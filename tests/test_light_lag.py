"""Lag: late light keeps the mean, joins frames and lines, and averages the quanta."""

from __future__ import annotations

import numpy as np
import pytest
from station import station

import xsim
from xsim.backend import Backend
from xsim.light_lag import Lag, lag_of
from xsim.radiograph import Exposure, expose
from xsim.screen import Scintillator

LAG = [[0.2, 30.0], [0.1, 4.0]]
FAR = {"sod_mm": 2e4, "sdd_mm": 4e4}


def screen(lag: list[list[float]]) -> Scintillator:
    return Scintillator.model_validate({"material": "GOS", "areal_density_mg_cm2": 100.0, "lag": lag})


def panel(backend: Backend, lag: list[list[float]], **run: object) -> Exposure:
    beam = {"voltage_kv": 80.0, "current_ma": 5e4}
    sensor = {"read_noise_adu": 0.0, "adc_bits": 16}
    options = {"light_spread_h_mm2": 0.0, "lag": lag}
    return expose(station(shape=(256, 256), source=beam, acquisition={"exposure_s": 0.01, **run}, sensor=sensor,
                          scintillator=options, **FAR), backend)  # fmt: skip


def lag(period_s: float) -> Lag:
    found = lag_of(screen(LAG), period_s)
    assert found is not None
    return found


@pytest.mark.parametrize("period_ms", [0.5, 3.0, 20.0, 500.0])
def test_weights_are_those_of_decays_of_quanta_spread_over_a_period(period_ms: float) -> None:
    """Against drawn times of quanta and of their light."""
    generator, n = np.random.default_rng(1), 10**6
    weights = lag(period_ms / 1000.0).weights(40)
    kind = generator.choice(3, n, p=[0.7, 0.2, 0.1])
    late = generator.exponential(1.0, n) * np.array([0.0, 30.0, 4.0])[kind]
    ago = np.floor((generator.random(n) * period_ms + late) / period_ms).astype(int)
    counted = np.bincount(ago, minlength=len(weights))[: len(weights)] / n
    assert np.abs(counted - weights).max() < 2.5e-3
    assert lag(period_ms / 1000.0).weights(20000).sum() == pytest.approx(1.0, abs=1e-9)


def test_no_lag_is_none() -> None:
    assert lag_of(screen([]), 0.1) is None
    assert lag_of(screen([[1e-6, 1.0]]), 0.1) is None


def test_frames_of_a_panel_remember_and_keep_their_mean(backend: Backend) -> None:
    """Mean equal, variance down by sum w^2, correlation with the frame before by sum w w'."""
    with_lag, without = panel(backend, LAG), panel(backend, [])
    weights = lag(0.01).frames
    frames = np.stack([np.asarray(with_lag.record(3, k).noisy, np.float64) for k in range(12)])
    plain = np.stack([np.asarray(without.record(3, k).noisy, np.float64) for k in range(12)])
    assert frames.mean() == pytest.approx(plain.mean(), rel=2e-4)
    square = float((weights**2).sum())
    assert frames.var(axis=(1, 2)).mean() / plain.var(axis=(1, 2)).mean() == pytest.approx(square, rel=0.01)
    noise = frames - frames.mean(axis=(1, 2), keepdims=True)
    next_frame = (noise[1:] * noise[:-1]).mean() / (noise**2).mean()
    assert next_frame == pytest.approx(float((weights[1:] * weights[:-1]).sum()) / square, abs=0.01)


@pytest.mark.parametrize("frames", [1, 5])
def test_the_law_of_noise_knows_of_lag(backend: Backend, frames: int) -> None:
    exposure = panel(backend, LAG, frames=frames)
    images = [exposure.record(5, k) for k in range(6)]
    facts = images[0].metadata
    wanted = facts["a_pixel_adu"] * images[0].expected.mean(dtype=np.float64) + facts["b_adu2"]
    measured = np.mean([np.asarray(image.noise, np.float64).var() for image in images])
    assert measured == pytest.approx(wanted, rel=0.02)
    assert lag(0.01).noise(frames) < 1


def scan(lag: list[list[float]], **body: object) -> xsim.Scene:
    return xsim.scene_from_dict({
        "source": {"energy_kev": 60.0},
        "geometry": {"sod_mm": 500.0, "sdd_mm": 1000.0},
        "acquisition": {"belt_speed_m_s": 0.2, "line_rate_hz": 1000.0, "lines": 120, "exposure_s": 0.001},
        "detector": {"preset": "generic-line-400um", "columns": 32,
                     "scintillator": {"lag": lag, "light_spread_h_mm2": 0.0}},
        "body": [{"shape": "box", "size_mm": [40.0, 6.0, 5.0], "material": "Pb", **body}],
    })  # fmt: skip


def test_lines_of_a_scan_shine_into_the_next(backend: Backend) -> None:
    """The mean light with lag is that without it, delayed by the weights of all lines before."""
    late, plain = (np.asarray(expose(scan(each), backend).mean_light, np.float64) for each in (LAG, []))
    weights = lag(0.001).weights(3000)
    before = np.concatenate([np.repeat(plain[:1], 3000, axis=0), plain])
    wanted = [weights @ before[row + 3000 - np.arange(3001)] for row in range(len(plain))]
    assert np.abs(late / wanted - 1).max() < 2e-5


def test_slow_light_leaves_no_ghost(backend: Backend) -> None:
    """Of a decay of 500 lines, far longer than what is projected before the first: smooth behind an edge."""
    light = np.asarray(expose(scan([[0.05, 500.0]]), backend).mean_light, np.float64)[:, 16]
    lit = light[int(np.argmin(light)) + 10 :]
    fall = np.diff(lit[lit > 0.9 * light.max()])
    assert len(fall) > 20
    assert np.abs(np.diff(fall)).max() < 2e-4 * light.max()


@pytest.mark.parametrize("frames", [1, 4])
def test_the_law_of_noise_knows_of_lag_along_a_scan(backend: Backend, frames: int) -> None:
    """Frames are scans of their own: lag joins lines, not frames."""
    scene = scan([[0.3, 2.0]])
    run = scene.acquisition.model_copy(update={"frames": frames, "lines": 800})
    bare = scene.model_copy(update={"body": (), "acquisition": run, "source": scene.source.model_copy(
        update={"current_ma": 3.0})})  # fmt: skip
    bare._memo = {}
    image = expose(bare, backend).record(5, 0)
    facts = image.metadata
    wanted = facts["a_pixel_adu"] * image.expected.mean(dtype=np.float64) + facts["b_adu2"]
    assert np.asarray(image.noise, np.float64).var() == pytest.approx(wanted, rel=0.04)


def test_a_dark_frame_stays_dark_and_late_light_is_less_than_all() -> None:
    with pytest.raises(ValueError, match="all light is late"):
        screen([[0.6, 1.0], [0.5, 2.0]])
