"""The oracle Wiener filter, and the spectra that it is made of."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch")

from test_denoise_deblur import RATIO, SETTINGS, F, scenery, tensor

from denoise import deblur, mtf_blur, wiener


def test_oracle_wiener_inverts_without_noise_and_is_the_best_of_its_kind_with_it() -> None:
    truths = [scenery(seed=seed)[0, 0].numpy() for seed in range(3)]
    blurred = [deblur.blurred(tensor(x), SETTINGS)[0, 0].numpy() for x in truths]
    clean = wiener.wiener(blurred[0], RATIO, np.zeros(len(F)))
    # the mirrored margin is blurred as the image beside it would be, not quite so at its outer end
    assert np.abs(clean - truths[0]).max() < 2e-3
    random = np.random.default_rng(0)
    noisy = [y + 0.01 * random.standard_normal(y.shape).astype(np.float32) for y in blurred]
    oracle = wiener.noise_to_signal(noisy, truths, RATIO)

    def error(factor: float) -> float:
        return float(
            np.mean([(wiener.wiener(y, RATIO, factor * oracle) - x) ** 2 for y, x in zip(noisy, truths, strict=True)])
        )

    found = error(1.0)
    assert found < 0.5 * np.mean([(y - x) ** 2 for y, x in zip(noisy, truths, strict=True)])
    assert all(error(factor) > found for factor in (0.3, 3.0))
    kept = wiener.wiener(noisy[0], RATIO, oracle)
    assert float(kept.mean()) == pytest.approx(float(noisy[0].mean()), rel=1e-4)


def test_power_of_white_noise_is_its_variance() -> None:
    random = np.random.default_rng(1)
    table = mtf_blur.power_table([3.0 * random.standard_normal((64, 80)) + 50 for _ in range(20)])
    assert np.abs(table[8:250] / 9.0 - 1).mean() < 0.1
