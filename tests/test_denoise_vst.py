from __future__ import annotations

import numpy as np
import pytest

import xsim

torch = pytest.importorskip("torch")

from denoise import vst  # noqa: E402

A, OFFSET, READ = 0.7, 300.0, 4.0
B = READ**2 - A * OFFSET


def test_algebraic_inverse_undoes_it() -> None:
    x = OFFSET + np.array([0.0, 1.0, 10.0, 1e3, 6e4])
    np.testing.assert_allclose(vst.inverse(vst.forward(x, A, B), A, B), x, rtol=1e-12)


def test_inverses_differ_by_a_quarter_of_a() -> None:
    z = vst.forward(OFFSET + np.array([50.0, 500.0, 5e4]), A, B)
    np.testing.assert_allclose((vst.inverse_of_mean(z, A, B) - vst.inverse(z, A, B)) / A, 0.25, atol=0.02)


@pytest.mark.parametrize("quanta", [3.0, 10.0, 40.0, 1000.0])
def test_unbiased_inverse_takes_means_to_means(quanta: float) -> None:
    """White Poisson-Gaussian noise, for which the closed form holds; the algebraic inverse misses by a/4."""
    random = np.random.default_rng(1)
    x = OFFSET + A * random.poisson(quanta, 2_000_000) + random.normal(0.0, READ / 8, 2_000_000)
    b = (READ / 8) ** 2 - A * OFFSET
    z = vst.forward(x, A, b)
    mean = OFFSET + A * quanta
    error = float(vst.inverse_of_mean(z.mean(), A, b)) - mean
    assert abs(error) < A * max(0.02, 5.0 * (quanta / x.size) ** 0.5)
    assert float(vst.inverse(z.mean(), A, b)) - mean == pytest.approx(-A / 4, abs=0.12 * A)


def test_darkness_below_any_quanta_stays_finite() -> None:
    z = vst.forward(np.array([-1e4, 0.0, OFFSET]), A, B)
    assert z[0] == 0.0 and np.isfinite(z).all()
    assert np.isfinite(vst.inverse(np.array([-3.0, 0.0]), A, B)).all()
    assert np.isfinite(vst.inverse_of_mean(np.array([-3.0, 0.0]), A, B)).all()


def test_torch_and_numpy_agree_and_columns_broadcast() -> None:
    x = np.random.default_rng(2).uniform(300, 5000, (4, 6)).astype(np.float32)
    a = np.linspace(0.5, 1.5, 6, dtype=np.float32)
    b = (16 - a * 300).astype(np.float32)
    found = vst.forward(torch.from_numpy(x), torch.from_numpy(a), torch.from_numpy(b))
    np.testing.assert_allclose(found.numpy(), vst.forward(x, a, b), rtol=1e-6)
    assert found.dtype == torch.float32 and vst.forward(x, A, B).dtype == np.float32
    np.testing.assert_allclose(vst.inverse(found, torch.from_numpy(a), torch.from_numpy(b)).numpy(), x, rtol=1e-5)


@pytest.mark.parametrize("quanta", [30.0, 300.0, 3000.0])
def test_camera_noise_has_unit_variance(quanta: float) -> None:
    """The slope of the frame's metadata is the pixelwise one: with the gain of a quantum the sd would be far from 1."""
    scene = xsim.scene_from_dict(
        {
            "source": {"voltage_kv": 120, "filters": [{"material": "Al", "thickness_mm": 2.0}]},
            "geometry": {"sod_mm": 500, "sdd_mm": 1000},
            "acquisition": {"quanta_per_pixel": quanta},
            "detector": {"preset": "generic-gos-200um", "rows": 256, "columns": 256},
        }
    )
    image = xsim.simulate(scene, seed=3)
    a, b = image.metadata["a_pixel_adu"], image.metadata["b_adu2"]
    noise = vst.forward(image.noisy, a, b) - vst.forward(image.clean, a, b)
    assert float(noise.std()) == pytest.approx(1.0, abs=0.02)
    gain = image.metadata["gain_adu_per_quantum"]
    wrong = vst.forward(image.noisy, gain, image.metadata["read_noise_adu"] ** 2 - gain * image.metadata["offset_adu"])
    assert float(wrong.std()) < 0.7
