"""Rulers on images whose answers are known: SNR and CNR 1 %, MTF 0.01 to the Nyquist frequency; DQE; refusals."""

from __future__ import annotations

import numpy as np
import pytest
from known_images import (
    aperture,
    exponential_edge,
    gaussian_edge,
    quanta,
    slanted,
)

from xsim import MeasurementError
from xsim.quality import (
    EdgeMtf,
    contrast_to_noise,
    detective_quantum_efficiency,
    neighbour_correlation,
    noise_power,
    photon_transfer,
    signal_to_noise,
    slanted_edge_mtf,
)

PITCH_MM = 0.2


# Signal, noise, contrast


def test_snr_of_known_noise_is_within_a_percent() -> None:
    flat = 1300.0 + 20.0 * np.random.default_rng(1).standard_normal((8, 128, 128))
    found = signal_to_noise(flat, offset_adu=300.0, isrb_mm=0.1772)
    assert found.mean_adu == pytest.approx(1000.0, rel=1e-3)
    assert found.sd_adu == pytest.approx(20.0, rel=0.01)
    assert found.snr == pytest.approx(50.0, rel=0.01)
    assert found.snr_n == pytest.approx(0.5 * found.snr)  # twice the resolution of 88.6 um, half the normalised SNR
    assert found.pixels == flat.size
    assert signal_to_noise(flat[0]).snr_n is None


def test_snr_of_quanta_is_the_root_of_their_number() -> None:
    for mean in (100.0, 10000.0):
        flat = 7.0 * quanta(np.random.default_rng(2), mean, (4, 128, 128)) + 50.0
        assert signal_to_noise(flat, 50.0).snr == pytest.approx(np.sqrt(mean), rel=0.01)


def test_snr_counts_the_fixed_pattern_and_no_change_between_frames() -> None:
    generator = np.random.default_rng(3)
    pattern = 30.0 * generator.standard_normal((128, 128))
    flat = 1000.0 + pattern + 40.0 * generator.standard_normal((6, 128, 128)) + np.arange(6.0)[:, None, None] * 100
    assert signal_to_noise(flat).sd_adu == pytest.approx(50.0, rel=0.01)


def test_cnr_and_contrast_of_known_regions_are_within_a_percent() -> None:
    generator = np.random.default_rng(4)
    beside = 2100.0 + 25.0 * generator.standard_normal((4, 128, 128))
    inside = 1900.0 + 20.0 * generator.standard_normal((4, 64, 64))
    found = contrast_to_noise(inside, beside, offset_adu=100.0)
    assert found.contrast == pytest.approx(0.1, rel=0.01)
    assert found.cnr == pytest.approx(8.0, rel=0.01)
    assert found.sd_adu == pytest.approx(25.0, rel=0.01)
    swapped = contrast_to_noise(beside, inside, offset_adu=100.0)
    assert swapped.contrast < 0 < swapped.cnr


# Resolution


@pytest.mark.parametrize("angle_deg", [2.0, -3.0, 5.0, 9.0])
@pytest.mark.parametrize("sigma_px", [0.3, 0.5, 1.0])
def test_mtf_of_a_gaussian_edge_is_within_a_hundredth(angle_deg: float, sigma_px: float) -> None:
    """Gaussian times the pixel's aperture, up to the Nyquist frequency; the angle to 0.01 degree."""
    found = slanted_edge_mtf(100 + 900 * slanted(lambda x: gaussian_edge(x, sigma_px), angle_deg), PITCH_MM)
    f = found.frequency_per_mm * PITCH_MM
    wanted = np.exp(-2 * (np.pi * sigma_px * f) ** 2) * aperture(f, angle_deg)
    assert found.angle_deg == pytest.approx(angle_deg, abs=0.01)
    assert np.abs(found.mtf - wanted)[f <= 0.5].max() < 0.005
    assert found.nyquist_per_mm == 2.5 and found.across == "columns"


@pytest.mark.parametrize("scale_px", [0.8, 2.0])
def test_mtf_of_an_edge_with_long_tails_is_within_a_hundredth(scale_px: float) -> None:
    """Lorentzian MTF, as of a screen's light; at 2 pixels its tails reach beyond ten."""
    found = slanted_edge_mtf(slanted(lambda x: exponential_edge(x, scale_px), 3.0, parts=16), PITCH_MM)
    f = found.frequency_per_mm * PITCH_MM
    wanted = aperture(f, 3.0) / (1 + (2 * np.pi * scale_px * f) ** 2)
    assert np.abs(found.mtf - wanted)[f <= 0.5].max() < 0.01
    level = float(np.interp(0.7, found.frequency_per_mm, wanted))
    assert found.frequency_of(level) == pytest.approx(0.7, rel=0.02)
    assert found.frequency_of(-1.0) is None


def test_mtf_of_a_noisy_edge_is_within_a_hundredth() -> None:
    """Noise of 1 % of the step on every pixel of 512 x 512; the line spread kept to 10 pixels about the edge."""
    clean = slanted(lambda x: exponential_edge(x, 0.8), 3.0, 512)
    for seed in range(3):
        noisy = clean + 0.01 * np.random.default_rng(seed).standard_normal(clean.shape)
        found = slanted_edge_mtf(noisy, PITCH_MM, reach_px=10)
        f = found.frequency_per_mm * PITCH_MM
        wanted = aperture(f, 3.0) / (1 + (2 * np.pi * 0.8 * f) ** 2)
        assert np.abs(found.mtf - wanted)[f <= 0.5].max() < 0.01


def test_mtf_knows_no_side_sign_scale_or_axis() -> None:
    image = slanted(lambda x: gaussian_edge(x, 0.6), 4.0, 128, shift_px=2.3)
    first = slanted_edge_mtf(image, PITCH_MM)
    for other in (5000 - 3 * image, image[:, ::-1], image[::-1], image.T, np.stack([image, image])):
        found = slanted_edge_mtf(other, PITCH_MM)
        np.testing.assert_allclose(found.mtf, first.mtf, atol=2e-3)
        assert abs(found.angle_deg) == pytest.approx(4.0, abs=0.01)
    assert slanted_edge_mtf(image.T, PITCH_MM).across == "rows"
    halved = slanted_edge_mtf(image, PITCH_MM / 2)
    np.testing.assert_allclose(halved.frequency_per_mm, 2 * first.frequency_per_mm)
    assert float(first.line_spread.sum() * np.diff(first.position_mm)[0]) == pytest.approx(1.0)


# Efficiency


def test_dqe_of_known_transfer_and_noise() -> None:
    """MTF^2 over fluence and normalised noise power: white quanta, each worth the same, lost with a share of 0.4."""
    lost, fluence = 0.4, 2.5e5
    mean = (1 - lost) * fluence * PITCH_MM**2
    flats = 3.0 * quanta(np.random.default_rng(9), mean, (8, 512, 512))
    power = noise_power(flats, PITCH_MM).along_u
    f = np.linspace(0, 5, 101)
    edge = EdgeMtf(f, np.exp(-f), 2.5, 3.0, "columns", f, f, f)
    found = detective_quantum_efficiency(edge, power, fluence)
    wanted = 0.6 * np.exp(-2 * found.frequency_per_mm)
    np.testing.assert_allclose(found.dqe, wanted, rtol=0.08)  # a band is known to 1.7 %
    assert (found.dqe / wanted).mean() == pytest.approx(1.0, abs=0.01)


# Refusals


def test_what_cannot_be_measured_is_refused_in_one_line() -> None:
    flat, image = np.full((64, 64), 7.0), slanted(lambda x: gaussian_edge(x, 0.5), 3.0, 64)
    noise = np.random.default_rng(16).standard_normal((3, 64, 64))
    power = noise_power(noise, PITCH_MM, 32).along_u
    edge = slanted_edge_mtf(image, PITCH_MM)
    for words, measure in {
        "no noise": lambda: signal_to_noise(flat),
        "one pixel": lambda: signal_to_noise(flat[:1, :1]),
        "resolution": lambda: signal_to_noise(noise, isrb_mm=0.0),
        "nothing to compare": lambda: contrast_to_noise(noise, flat),
        "no image": lambda: signal_to_noise(np.zeros((2, 2, 2, 2))),
        "too small for an edge": lambda: slanted_edge_mtf(image[:10], PITCH_MM),
        "no edge": lambda: slanted_edge_mtf(flat, PITCH_MM),
        "turn it": lambda: slanted_edge_mtf(slanted(lambda x: gaussian_edge(x, 0.5), 38.0, 64), PITCH_MM),
        "all phases": lambda: slanted_edge_mtf(slanted(lambda x: gaussian_edge(x, 0.5), 0.1, 64), PITCH_MM),
        "border": lambda: slanted_edge_mtf(image[:, 26:], PITCH_MM),
        "no region of 256": lambda: noise_power(noise, PITCH_MM),
        "must be above 0": lambda: detective_quantum_efficiency(edge, power, 0.0),
        "a slope needs two": lambda: photon_transfer([noise]),
        "one frame of a level": lambda: photon_transfer([noise, noise[:1]]),
        "all alike": lambda: photon_transfer([np.stack([flat, flat]), 2 * np.stack([flat, flat])]),
        "sizes": lambda: photon_transfer([noise, noise[:, 1:]]),
        "no slope": lambda: photon_transfer([noise, noise]),
        "too small for lags": lambda: neighbour_correlation(noise, 16),
        "nothing": lambda: neighbour_correlation(np.stack([flat, flat])),
    }.items():
        with pytest.raises(MeasurementError) as caught:
            measure()
        assert words in str(caught.value) and "\n" not in str(caught.value), (words, str(caught.value))
