"""Photon transfer of quanta that are known: gain, read noise, spread light, full well."""

from __future__ import annotations

import numpy as np
import pytest
from known_images import quanta, spread_kernel

from xsim.quality import photon_transfer


def transfer_levels(gain: float, kernel: np.ndarray | None, read: float = 5.0) -> list[np.ndarray]:
    """Sixteen frames a level of quanta, read noise, and a fixed pattern larger than either."""
    generator = np.random.default_rng(10)
    side = 256
    pattern = 1 + 0.05 * generator.standard_normal((side, side))
    levels = []
    for mean in (0.0, 200.0, 800.0, 2000.0):
        light = quanta(generator, mean, (16, side, side), kernel) * pattern
        levels.append(300 + gain * light + read * generator.standard_normal(light.shape))
    return levels


def test_photon_transfer_finds_gain_and_read_noise_under_a_fixed_pattern() -> None:
    found = photon_transfer(transfer_levels(2.5, None)[::-1])
    assert (np.diff(found.mean_adu) > 0).all() and found.used.all()
    assert found.slope_adu == pytest.approx(2.5, rel=0.01)
    assert abs(found.slope_adu - 2.5 * (1 + 0.05**2)) < 4 * found.slope_error_adu  # variance goes with the pattern
    assert found.gain_adu == pytest.approx(2.5, rel=0.03)
    assert found.intercept_adu2 + 300 * found.slope_adu == pytest.approx(25.0, rel=0.02)
    assert found.full_well_adu is None


def test_the_pixelwise_slope_is_the_gain_times_the_kernels_squares() -> None:
    """Light that spreads hides most of the noise from single pixels, none from zero frequency."""
    kernel = spread_kernel()
    squares = float((kernel**2).sum())
    found = photon_transfer(transfer_levels(2.5, kernel))
    assert squares < 0.15
    assert found.slope_adu == pytest.approx(2.5 * squares, rel=0.02)
    assert abs(found.slope_adu - 2.5 * squares) < 4 * found.slope_error_adu
    assert found.gain_adu == pytest.approx(2.5, rel=0.03)


def test_the_error_of_the_slope_is_its_scatter() -> None:
    """Over 60 measurements of spread light, within a quarter; independent pixels would have half of it."""
    generator = np.random.default_rng(11)
    kernel = spread_kernel(0.8, 3)
    found = []
    for _ in range(60):
        levels = [2.0 * quanta(generator, mean, (2, 64, 64), kernel) for mean in (100.0, 1000.0)]
        found.append(photon_transfer(levels))
    scatter = np.std([curve.slope_adu for curve in found], ddof=1)
    assert np.mean([curve.slope_error_adu for curve in found]) == pytest.approx(scatter, rel=0.25)


def test_levels_near_the_full_well_are_not_fitted() -> None:
    generator = np.random.default_rng(12)
    levels = [np.minimum(2.0 * quanta(generator, m, (2, 64, 64)), 10000.0) for m in (500, 1500, 2500, 4900, 5100)]
    found = photon_transfer(levels)
    assert found.full_well_adu == pytest.approx(9800, rel=0.01)  # half of the next level is clipped
    assert found.used.tolist() == [True, True, True, False, False]
    assert found.slope_adu == pytest.approx(2.0, rel=0.06)


def test_small_frames_have_no_gain_at_zero_frequency() -> None:
    generator = np.random.default_rng(13)
    found = photon_transfer([quanta(generator, mean, (4, 4, 4)) for mean in (10.0, 1000.0)])
    assert found.gain_adu is None and found.slope_adu > 0
