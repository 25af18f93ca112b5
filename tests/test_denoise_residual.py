"""Structure in the residual, and classical denoisers in the variance-stabilised domain."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

pytest.importorskip("torch")

from denoise.baselines import STABILISED, tuned_stabilised
from denoise.cases import Case
from denoise.residual import structure_of

A, B, OFFSET = 2.0, -195.0, 100.0  # of quanta of 2 ADU each beside an offset


def exposure(seed, level=60.0, shape=(96, 96)):
    """Poisson noise over a step, a disc and a ramp."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    quanta = level * (1.0 + 0.3 * (x > 40) - 0.4 * ((y - 50) ** 2 + (x - 60) ** 2 < 150) + 0.002 * y)
    quanta = ndimage.gaussian_filter(quanta, 0.7)
    noisy = (
        OFFSET + A * np.random.default_rng(seed).poisson(quanta) + np.random.default_rng(seed + 1).normal(0, 2.2, shape)
    )
    params = {"a_pixel_adu": A, "b_adu2": B, "offset_adu": OFFSET, "gain_adu_per_kev": 1.0, "mean_energy_kev": 1.0,
              "quanta_per_pixel": level, "gain_adu_per_quantum": A}  # fmt: skip
    clean = OFFSET + A * quanta
    return Case(noisy.astype(np.float32), clean.astype(np.float32), np.zeros(shape, np.uint16), params, [])


def test_noise_has_no_structure_and_its_spread_is_right():
    """The correlations of the noise itself lie as far from 0 as the shifts say that chance does."""
    found = [structure_of([case.clean], [case]) for case in (exposure(seed) for seed in range(0, 80, 2))]
    for kind in ("level", "gradient", "energy_at_edges"):
        significance = np.array([each[kind].significance for each in found])
        assert abs(significance.mean()) < 3 / 40**0.5 * significance.std()
        assert significance.std() == pytest.approx(1.0, abs=0.35)


def test_blurred_edges_leave_energy_and_spared_edges_lack_it():
    cases = [exposure(seed) for seed in range(0, 12, 2)]
    blurred = structure_of([ndimage.gaussian_filter(case.noisy, 2.0) for case in cases], cases)
    assert blurred["energy_at_edges"].significance > 10
    spared = []
    for case in cases:
        edges = ndimage.gaussian_gradient_magnitude(case.clean, 1.0) > 5.0
        spared.append(np.where(edges, case.noisy, case.clean))
    assert structure_of(spared, cases)["energy_at_edges"].significance < -10


def test_a_share_of_the_gradient_in_the_residual_is_found():
    cases = [exposure(seed) for seed in range(0, 12, 2)]
    images = [case.clean - 0.3 * ndimage.gaussian_gradient_magnitude(case.clean, 1.0) for case in cases]
    found = structure_of(images, cases)["gradient"]
    assert found.correlation.value > 0 and found.significance > 5


def test_pixels_that_are_not_valid_tell_nothing():
    case = exposure(0)
    valid = np.ones(case.clean.shape, bool)
    valid[20:30, 20:30] = False
    wild = np.where(valid, case.noisy, 6e4).astype(np.float32)
    masked = Case(wild, case.clean, case.labels, case.params, [], valid)
    again = Case(case.noisy, case.clean, case.labels, case.params, [], valid)
    images = [case.clean]
    assert structure_of(images, [masked]) == structure_of(images, [again])


@pytest.mark.parametrize("name", STABILISED)
def test_stabilised_denoisers_gain_and_keep_the_mean(name):
    """Their inverse is the unbiased one: the algebraic one would be a quarter of a quantum low, 0.8 % here."""
    cases = [exposure(seed, 30.0) for seed in (0, 2)]
    noisy, clean, valid = ([getattr(case, k) for case in cases] for k in ("noisy", "clean", "valid"))
    found = tuned_stabilised(name, noisy, clean, valid, [(A, B)] * 2)
    errors = [np.mean((images - np.array(clean)) ** 2) for images in (np.array(found.images), np.array(noisy))]
    assert 10 * np.log10(errors[1] / errors[0]) > 5
    assert np.mean(found.images) - np.mean(clean) == pytest.approx(0.0, abs=0.1 * A)
    assert found.restore(noisy[0], A, B) == pytest.approx(found.images[0])
