"""Rulers on frames of the shipped panel, whose blur, noise and efficiency follow from its fields."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from known_images import aperture
from station import station

from xsim.backend import Backend
from xsim.quality import (
    contrast_to_noise,
    detective_quantum_efficiency,
    neighbour_correlation,
    noise_power,
    photon_transfer,
    signal_to_noise,
    slanted_edge_mtf,
)
from xsim.radiograph import Exposure, expose
from xsim.scintillator import absorbed_fraction

PITCH_MM = 0.2
TUBE = {"voltage_kv": 120.0, "filters": [{"material": "Al", "thickness_mm": 2.0}]}
FAR = {"sod_mm": 1e5, "sdd_mm": 1e5 + 1.0}  # a beam as good as parallel, and no magnification
EDGE_DEG = 3.0


def edge(backend: Backend, thickness_mm: float = 1.0, **options: Any) -> Exposure:
    """Half of the panel behind 1 mm of tungsten, its edge turned by 3 degrees; 8 x 8 rays a pixel."""
    plate = {"shape": "box", "size_mm": [80.0, 160.0, thickness_mm], "material": "W", "position_mm": [40.0, 0.0, 0.0],
             "rotation_deg": [0.0, 0.0, EDGE_DEG]}  # fmt: skip
    turned = [40 * np.cos(np.deg2rad(EDGE_DEG)), 40 * np.sin(np.deg2rad(EDGE_DEG)), 0.0]
    plate["position_mm"] = turned
    acquisition = {"target_gv": 0.6, "subpixels": 8}
    return expose(station(plate, shape=(256, 256), acquisition=acquisition, **FAR, **options), backend)


def kernel_transfer(exposure: Exposure, frequency_per_px: np.ndarray, angle_deg: float) -> np.ndarray:
    """Transfer function of the light kernel along the normal of an edge, float64 sums."""
    kernel = exposure.kernel.astype(np.float64)
    at = np.arange(len(kernel)) - len(kernel) // 2
    turn = np.deg2rad(angle_deg)
    place = at[None, :] * np.cos(turn) - at[:, None] * np.sin(turn)
    return np.array([abs((kernel * np.exp(-2j * np.pi * f * place)).sum()) for f in frequency_per_px])


@pytest.mark.parametrize("h_mm2", [0.15, 1.0, 3.0])
def test_mtf_of_a_simulated_edge_is_aperture_times_kernel(backend: Backend, h_mm2: float) -> None:
    """Within 0.01 to the Nyquist frequency, as the panel's pixels were given the light: by its integral over a pixel,
    from a pixel's centre."""
    exposure = edge(backend, scintillator={"light_spread_h_mm2": h_mm2})
    found = slanted_edge_mtf(exposure.record().clean, PITCH_MM)
    f = found.frequency_per_mm * PITCH_MM
    wanted = aperture(f, found.angle_deg) * kernel_transfer(exposure, f, found.angle_deg)
    assert abs(found.angle_deg) == pytest.approx(EDGE_DEG, abs=0.01)
    assert np.abs(found.mtf - wanted)[f <= 0.5].max() < 0.01


@pytest.mark.parametrize(("thickness_mm", "error"), [(0.5, 0.01), (1.0, 0.016)])
@pytest.mark.parametrize("h_mm2", [0.05, 0.15, 0.4, 1.0, 4.0])
def test_mtf_is_the_screens_times_the_aperture(
    backend: Backend, h_mm2: float, thickness_mm: float, error: float
) -> None:
    """1 / (1 + H f^2) sinc(f a) within 0.01 to the Nyquist frequency, sharp screens and soft, behind half a mm that
    lets 3 % through; behind one that lets 0.1 % through no lobe of the kernel goes below nought."""
    screen = {"light_spread_h_mm2": h_mm2}
    found = slanted_edge_mtf(edge(backend, thickness_mm, scintillator=screen).record().clean, PITCH_MM)
    f = found.frequency_per_mm
    wanted = aperture(f * PITCH_MM, found.angle_deg) / (1 + h_mm2 * f**2)
    assert np.abs(found.mtf - wanted)[f <= 2.5].max() < error


def test_mtf_without_light_spread_is_the_aperture(backend: Backend) -> None:
    """Of the noise-free image within 0.01; so a noisy one, 16 frames, tails of 8 pixels kept."""
    exposure = edge(backend, scintillator={"light_spread_h_mm2": 0.0}, source=TUBE)
    for image, reach in ((exposure.record().clean, None), (stack(exposure, 16), 8.0)):
        found = slanted_edge_mtf(image, PITCH_MM, reach_px=reach)
        f = found.frequency_per_mm * PITCH_MM
        assert np.abs(found.mtf - aperture(f, found.angle_deg))[f <= 0.5].max() < 0.01


def stack(exposure: Exposure, count: int, seed: int = 1) -> np.ndarray:
    return np.stack([exposure.record(seed, frame).noisy for frame in range(count)])


def flat(backend: Backend, grey: float, shape: tuple[int, int] = (512, 512), **options: Any) -> Exposure:
    return expose(station(shape=shape, acquisition={"target_gv": grey}, **FAR, **options), backend)


def test_snr_and_cnr_are_those_of_the_noise_model(backend: Backend) -> None:
    """SNR from a_pixel and b; CNR between two flats, 0.5 and 0.45 of full scale: 1 %."""
    beams = [flat(backend, grey, (256, 256), source=TUBE) for grey in (0.5, 0.45)]
    expected = [float(beam.record().expected.mean()) - 300 for beam in beams]
    data = beams[0].derived
    sd = np.sqrt(data["a_pixel_adu"] * (expected[0] + 300) + data["b_adu2"])
    frames = [stack(beam, 8, seed) for seed, beam in enumerate(beams)]
    found = signal_to_noise(frames[0], 300.0, 0.2)
    assert found.snr == pytest.approx(expected[0] / sd, rel=0.01)
    assert found.snr_n == pytest.approx(expected[0] / sd * 0.0886 / 0.2, rel=0.01)
    compared = contrast_to_noise(frames[1], frames[0], 300.0)
    assert compared.cnr == pytest.approx((expected[0] - expected[1]) / sd, rel=0.01)
    assert compared.contrast == pytest.approx(0.1, rel=0.01)


def power_of(exposure: Exposure) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """Noise power of a flat by theory [ADU2], at frequencies along columns and rows [1 / px]."""
    data, kernel = exposure.derived, exposure.kernel.astype(np.float64)
    quantum = data["gain_adu_per_quantum"] * (float(exposure.record().expected.mean()) - 300)
    at = np.arange(len(kernel)) - len(kernel) // 2

    def power(u: np.ndarray, v: np.ndarray) -> np.ndarray:
        waves = [np.exp(-2j * np.pi * np.outer(f, at)) for f in (v, u)]
        return np.asarray(quantum * np.abs(waves[0] @ kernel @ waves[1].T) ** 2 + data["read_noise_adu"] ** 2 + 1 / 12)

    return power


def test_noise_power_of_the_panel_is_its_kernels(backend: Backend) -> None:
    """Mean of both cuts within 2 % in every band, known to 0.6 %, and 0.5 % in the mean of all: the quanta's noise
    times the kernel's transform squared. The last band holds fewer points: 4 %."""
    exposure = flat(backend, 0.5, source=TUBE)
    found = noise_power(stack(exposure, 80), PITCH_MM, offset_adu=300.0, window="hann")
    power = power_of(exposure)
    lines = np.concatenate([np.arange(-7, 0), np.arange(1, 8)]) / 256
    u = np.fft.rfftfreq(256)
    wanted = power(u, lines)
    band = np.rint(np.hypot(u[None, :], lines[:, None]) / 0.02).astype(int)
    means = np.array([wanted[band == k].mean() for k in range(1, 26)])
    both = 0.5 * (found.along_u.nps_adu2_mm2 + found.along_v.nps_adu2_mm2)
    ratio = both / PITCH_MM**2 / means
    assert np.abs(ratio - 1)[:-1].max() < 0.02
    assert abs(ratio[-1] - 1) < 0.04
    assert ratio.mean() == pytest.approx(1.0, abs=0.005)
    signal = float(exposure.record().expected.mean()) - 300
    np.testing.assert_allclose(found.along_u.nnps_mm2, found.along_u.nps_adu2_mm2 / signal**2, rtol=1e-3)


def test_dqe_of_one_energy_is_the_screens_absorption_times_the_aperture(backend: Backend) -> None:
    """Each quantum of 60 keV weighs the same, and the light's blur is in signal and noise: A_Q sinc^2."""
    scene = station(shape=(512, 512), acquisition={"target_gv": 0.5}, **FAR)
    beam = expose(scene, backend)
    absorbed = float(absorbed_fraction(scene.detector, np.array([60.0]))[0])
    fluence = beam.derived["quanta_per_pixel"] / absorbed / PITCH_MM**2
    power = noise_power(stack(beam, 30), PITCH_MM, offset_adu=300.0, window="hann")
    mtf = slanted_edge_mtf(edge(backend).record().clean, PITCH_MM)
    found = detective_quantum_efficiency(mtf, power.along_u, fluence)
    f = found.frequency_per_mm
    wanted = absorbed * aperture(f * PITCH_MM, EDGE_DEG) ** 2
    kept = f < 1.5
    assert np.abs(found.dqe / wanted - 1)[kept].max() < 0.05
    assert (found.dqe / wanted)[kept].mean() == pytest.approx(1.0, abs=0.01)


def test_photon_transfer_and_correlation_are_those_of_the_kernel(backend: Backend) -> None:
    """Pixelwise slope = gain sum h^2, the gain at zero frequency, and the neighbours' correlation."""
    beams = [flat(backend, grey, (256, 256), source=TUBE) for grey in (0.1, 0.3, 0.6)]
    frames = [stack(beam, 16, seed) for seed, beam in enumerate(beams)]
    data, kernel = beams[0].derived, beams[0].kernel.astype(np.float64)
    curve = photon_transfer(frames)
    assert curve.slope_adu == pytest.approx(data["a_pixel_adu"], rel=0.01)
    assert curve.gain_adu == pytest.approx(data["gain_adu_per_quantum"], rel=0.04)
    assert curve.slope_adu / curve.gain_adu == pytest.approx(data["kernel_sum_squares"], rel=0.04)
    found = neighbour_correlation(frames[2], 4)
    wanted = (kernel[:, 1:] * kernel[:, :-1]).sum() / (kernel**2).sum()
    assert found.along_columns == pytest.approx(wanted, abs=0.01)
    assert found.along_rows == pytest.approx(wanted, abs=0.01)
