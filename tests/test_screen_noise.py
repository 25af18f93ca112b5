"""Noise of screens: the single model to its autocovariance, depth classes to their mean and stored (a_pixel, b)."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from station import solid, station
from test_noise import FAR, TUBE, autocovariance, flat, frames

from xsim.backend import Backend
from xsim.radiograph import expose
from xsim.scintillator import convolved, draw_light, spread_light

GLARE = {"glare_share": 0.02, "glare_mm": 1.0}
CASCADE = {"model": "cascade", "light_spread_h_mm2": 0.5, "light_loss": 0.4, **GLARE, "light_photons_per_kev": 2.0}
SILENT = {"read_noise_adu": 0.0, "offset_adu": 0.0}


def test_the_mean_of_frames_of_depth_classes_is_expected_at_every_pixel(backend: Backend) -> None:
    """z of each pixel over 400 frames of a ball, Sidak at 1 %, and |z| of the mean of all below 4."""
    scene = station(
        solid("sphere", 2.5), shape=(48, 48), source=TUBE, acquisition={"target_gv": 0.5}, scintillator=CASCADE
    )
    exposure, count = expose(scene, backend), 400
    noise = np.stack(list(frames(exposure, count)))
    z = noise.mean(axis=0) / (noise.std(axis=0, ddof=1) / np.sqrt(count))
    assert np.abs(z).max() < stats.t(count - 1).isf((1 - 0.99 ** (1 / z.size)) / 2)
    means = noise.mean(axis=(1, 2))
    assert abs(means.mean()) < 4 * means.std() / np.sqrt(count)


def test_single_model_is_blurred_poisson_noise(backend: Backend) -> None:
    """I = h * (g Poisson): mean g lambda, autocovariance g^2 lambda (h*h) at 28 lags; 1e6 pixels, Sidak at 1 %."""
    quanta, reach = 900.0, 3
    exposure = expose(
        station(shape=(1024, 1024), acquisition={"quanta_per_pixel": quanta}, sensor=SILENT,
                scintillator={"light_spread_h_mm2": 0.3}, **FAR), backend)  # fmt: skip
    gain = 60.0 * exposure.derived["gain_adu_per_kev"]
    image = exposure.record(6, 0).noisy.astype(np.float64)
    flat_field = backend.to_numpy(exposure.mean_light).astype(np.float64)
    expected = gain * quanta * flat_field / flat_field.max()
    kernel = exposure.kernel.astype(np.float64)
    size, far = 64, 40
    power = np.abs(np.fft.fft2(kernel, (2 * size, 2 * size))) ** 2
    whole = np.roll(gain**2 * quanta * np.fft.ifft2(power).real, (size, size), (0, 1))
    whole[size, size] += 1 / 12
    near = slice(size - reach, size + reach + 1)
    measured = autocovariance(image - expected, reach)
    errors = np.empty((2 * reach + 1, 2 * reach + 1))
    middle = whole[size - far : size + far + 1, size - far : size + far + 1]
    for dy in range(-reach, reach + 1):
        for dx in range(-reach, reach + 1):  # Bartlett's formula
            ends = [np.roll(whole, (sign * dy, sign * dx), (0, 1)) for sign in (1, -1)]
            plus, minus = (end[size - far : size + far + 1, size - far : size + far + 1] for end in ends)
            errors[dy + reach, dx + reach] = np.sqrt(((middle**2).sum() + (plus * minus).sum()) / image.size)
    z = ((measured - whole[near, near]) / errors)[:, reach:].ravel()
    mean_z = (image - expected).mean() / np.sqrt(whole.sum() / image.size)
    limit = stats.norm.isf((1 - 0.99 ** (1 / (z.size + 1))) / 2)
    assert np.abs(np.append(z, mean_z)).max() < limit, (z, mean_z)
    beside = measured[reach, reach + 1] / measured[reach, reach]
    assert beside == pytest.approx(whole[size, size + 1] / whole[size, size], abs=0.01)


@pytest.mark.parametrize("grey", [0.01, 0.1, 0.8])
def test_the_anscombe_transform_leaves_unit_noise_of_depth_classes(backend: Backend, grey: float) -> None:
    """With the stored (a_pixel, b): 1 within 2 %, tube, glare and counted light included."""
    exposure = flat(backend, grey, scintillator=CASCADE)
    a, b = exposure.derived["a_pixel_adu"], exposure.derived["b_adu2"]
    expected = exposure.record().expected.astype(np.float64)
    squares = [
        (2 / a * np.sqrt(np.maximum(a * (expected + noise) + 0.375 * a**2 + b, 0))).var()
        for noise in frames(exposure, 60)
    ]
    assert np.sqrt(np.mean(squares)) == pytest.approx(1, abs=0.02)


def test_counted_light_adds_its_own_variance(backend: Backend) -> None:
    """1 / n a keV beside the quanta's, 2 %: half a photon a keV more than doubles it here."""
    screen = {**CASCADE, "light_spread_h_mm2": 0.0}
    found = []
    for counted in (None, 0.02):
        exposure = flat(backend, 0.5, sensor=SILENT, scintillator={**screen, "light_photons_per_kev": counted})
        found.append(np.mean([(noise**2).mean() for noise in frames(exposure, 30)]))
    gain = exposure.derived["gain_adu_per_kev"]
    added = gain * float(exposure.record().expected.mean()) / 0.02
    assert found[1] - found[0] == pytest.approx(added, rel=0.02)
    assert added > found[0]


SHARP = {"light_spread_h_mm2": 0.15}  # on 0.2 mm pixels its kernel goes down to -0.009
EDGE = {"shape": "box", "size_mm": [30.0, 60.0, 10.0], "position_mm": [16.0, 0.0, 0.0], "material": "Pb",
        "rotation_deg": [0.0, 0.0, 3.0]}  # fmt: skip


@pytest.mark.parametrize("quanta", [30.0, 3000.0])
@pytest.mark.parametrize("kind", ["short", "electrons", "counted"])
def test_beside_lead_the_mean_of_frames_is_expected_and_expected_is_clean(
    backend: Backend, kind: str, quanta: float
) -> None:
    """Where lobes of the kernel would make the light negative: z of each pixel of 1000 frames, Sidak at 1 %."""
    sensor = {"electrons_per_kev": 1.0} if kind == "electrons" else {}
    screen = {**SHARP, "light_photons_per_kev": 20.0} if kind == "counted" else SHARP
    run = {"quanta_per_pixel": quanta}
    exposure = expose(station(EDGE, shape=(40, 40), acquisition=run, sensor=sensor, scintillator=screen), backend)
    dark, image, count = backend.to_numpy(exposure.mean_light) == 0, exposure.record(), 1000
    assert dark.sum() > 100 and exposure.spread.kernels.min() < -0.005
    assert np.abs(image.expected - image.clean).max() <= 1 / 32 + 1e-3
    noise = np.stack(list(frames(exposure, count)))
    z = noise.mean(axis=0) / (noise.std(axis=0, ddof=1) / np.sqrt(count))
    assert np.abs(z).max() < stats.t(count - 1).isf((1 - 0.99 ** (1 / z.size)) / 2)


@pytest.mark.filterwarnings("ignore:the frame is black")
@pytest.mark.parametrize(("quanta", "bias"), [(0.1, 0.02), (1.0, 2e-4), (100.0, 0.0)])
def test_no_light_below_nought_leaves_the_noise_of_a_flat_alone(backend: Backend, quanta: float, bias: float) -> None:
    """From a quantum a pixel on its mean grows by less than 2e-4; at 100 not a bit changes."""
    run = {"quanta_per_pixel": quanta}
    exposure = expose(station(shape=(256, 256), acquisition=run, scintillator=SHARP, **FAR), backend)
    drawn = draw_light(exposure.signal, exposure.variance, 1, 0, backend)
    whole, kept = (backend.to_numpy(f(drawn, exposure.spread, backend)) for f in (convolved, spread_light))
    assert kept.min() >= 0
    assert 0 <= kept.mean(dtype=np.float64) / whole.mean(dtype=np.float64) - 1 <= bias
