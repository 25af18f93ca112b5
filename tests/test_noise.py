"""Noise laws on flats: mean, variance, correlation, borders and the variance-stabilising transform."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from reference import absorbed_kev
from scipy import fft, stats
from scipy.signal import fftconvolve
from station import solid, station

from xsim.backend import Backend
from xsim.radiograph import Exposure, expose
from xsim.scintillator import draw_light
from xsim.sensor import Readout, record

TUBE = {"voltage_kv": 120.0, "filters": [{"material": "Al", "thickness_mm": 2.0}]}
FAR = {"sod_mm": 2e4, "sdd_mm": 4e4}  # a beam as good as parallel: no shading across the panel


def flat(backend: Backend, grey: float, shape: tuple[int, int] = (96, 96), **detector: object) -> Exposure:
    """Open beam at a share of full scale."""
    return expose(station(shape=shape, source=TUBE, acquisition={"target_gv": grey}, **FAR, **detector), backend)


def frames(exposure: Exposure, count: int, seed: int = 1) -> Iterator[np.ndarray]:
    """Noise of each frame about its expectation, float64 [row, column] ADU."""
    for frame in range(count):
        image = exposure.record(seed, frame)
        yield image.noisy.astype(np.float64) - image.expected


def autocovariance(noise: np.ndarray, reach: int) -> np.ndarray:
    """Mean of n(x) n(x + d) over the pairs inside the image, [2 reach + 1, 2 reach + 1]."""
    padded = [fft.next_fast_len(n + reach, real=True) for n in noise.shape]  # what wraps around lies beyond the reach
    sums = fft.irfft2(np.abs(fft.rfft2(noise, padded)) ** 2, padded)
    at = np.arange(-reach, reach + 1)
    pairs = [n - np.abs(at) for n in noise.shape]
    return np.asarray(sums[np.ix_(at, at)] / np.outer(*pairs))


def test_the_mean_of_a_thousand_frames_is_expected_at_every_pixel(backend: Backend) -> None:
    """z of each pixel, Sidak at 1 %, and |z| of the mean of all below 4; a ball in the beam, far from the rails.

    The error of a pixel is its own spread over the frames. Pixels share light, which Sidak does not need to know.
    """
    scene = station(solid("sphere", 2.5), shape=(64, 64), source=TUBE, acquisition={"target_gv": 0.5})
    exposure, count = expose(scene, backend), 1000
    total, squares, means = np.zeros((64, 64)), np.zeros((64, 64)), []
    for noise in frames(exposure, count):
        total += noise
        squares += noise**2
        means.append(noise.mean())
    expected = exposure.record().expected
    spread = np.sqrt((squares - total**2 / count) / (count - 1))
    assert (expected - 6 * spread).min() > 0 and (expected + 6 * spread).max() < 65535
    assert expected.min() < 0.8 * expected.max()
    z = total / count / (spread / np.sqrt(count))
    limit = stats.t(count - 1).isf((1 - 0.99 ** (1 / z.size)) / 2)
    assert np.abs(z).max() < limit, f"z up to {np.abs(z).max():.2f}, limit {limit:.2f}"
    assert abs(np.mean(means)) < 4 * np.std(means) / np.sqrt(count)
    assert 0.95 < z.std() < 1.05


@pytest.mark.parametrize("source", [TUBE, {"energy_kev": 60.0}], ids=["tube", "one energy"])
def test_variance_grows_with_the_mean_at_the_slope_of_gain_weights_and_kernel(
    backend: Backend, source: dict[str, object]
) -> None:
    """gain (M2 / M1) sum h^2, M1 and M2 from direct sums over the energies; within 1 %, known to 0.2 %."""
    points = []
    for seed, grey in enumerate((0.05, 0.2, 0.4, 0.6, 0.8)):
        scene = station(shape=(96, 96), source=source, acquisition={"target_gv": grey}, **FAR)
        exposure = expose(scene, backend)
        expected = float(exposure.record().expected.mean(dtype=np.float64))
        variance = np.mean([(noise**2).mean() for noise in frames(exposure, 400, seed)])
        points.append((expected, variance))
    mean, variance = np.array(points).T
    mas = exposure.mas
    weight = absorbed_kev(scene, {}, mas, power=2).mean() / absorbed_kev(scene, {}, mas, power=1).mean()
    slope = 0.04 * weight * float((exposure.kernel.astype(np.float64) ** 2).sum())
    intercept = 4.0**2 + 1 / 12 - slope * 300
    fitted = np.polyfit(mean, variance, 1, w=1 / variance)
    assert fitted[0] == pytest.approx(slope, rel=0.01)
    assert fitted[1] == pytest.approx(intercept, abs=0.01 * slope * mean[0])
    assert exposure.derived["a_pixel_adu"] == pytest.approx(slope, rel=1e-4)
    assert exposure.derived["b_adu2"] == pytest.approx(intercept, rel=1e-4)


def test_neighbours_correlate_by_the_inverse_of_the_kernels_squares(backend: Backend) -> None:
    """Off-centre autocorrelation sums to 100 (1 / sum h^2 - 1) %, on a screen of H = 0.15 mm2.

    Over lags up to three pixels, which hold all of it but 3 points; 4e7 pixels know that sum to 0.4 points.
    """
    sensor = {"read_noise_adu": 0.0}
    exposure = flat(backend, 0.6, (256, 256), scintillator={"light_spread_h_mm2": 0.15}, sensor=sensor)
    kernel, reach = exposure.kernel.astype(np.float64), 3
    covariance = np.mean([autocovariance(noise, reach) for noise in frames(exposure, 600)], axis=0)
    measured = 100 * (covariance.sum() / covariance[reach, reach] - 1)
    everywhere = fftconvolve(kernel, kernel)
    middle = len(everywhere) // 2
    near = everywhere[middle - reach : middle + reach + 1, middle - reach : middle + reach + 1]
    wanted = 100 * (near.sum() / (kernel**2).sum() - 1)
    assert abs(wanted - 100 * (1 / (kernel**2).sum() - 1)) < 3
    assert abs(measured - wanted) < 1.5


def test_light_keeps_its_noise_power_while_it_spreads(backend: Backend) -> None:
    """The shipped panel: variance before the blur over variance after it is 1 / sum h^2, within 2 points of 798 %.

    The draws are white (each lag below five standard errors), and light is conserved: then this ratio less one is the
    sum of the off-centre autocorrelation, known far better than by summing 1089 lags.
    """
    exposure = flat(backend, 0.6, (128, 128), sensor={"read_noise_adu": 0.0})
    gain, reach = exposure.derived["gain_adu_per_kev"], 3
    before, after, white = 0.0, 0.0, np.zeros((2 * reach + 1,) * 2)
    count = 300
    for frame in range(count):
        drawn = backend.to_numpy(draw_light(exposure.signal, exposure.variance, 1, frame, backend))
        quanta = gain * (drawn.astype(np.float64) - backend.to_numpy(exposure.signal))
        image = exposure.record(1, frame)
        before += (quanta**2).mean() / count
        after += ((image.noisy.astype(np.float64) - image.expected) ** 2).mean() / count
        white += autocovariance(quanta, reach) / count
    ratio = 100 * (before / (after - 1 / 12) - 1)
    wanted = 100 * (1 / exposure.derived["kernel_sum_squares"] - 1)
    assert abs(ratio - wanted) < 2, (ratio, wanted)
    white[reach, reach] = 0
    assert np.abs(white).max() / before < 5 / np.sqrt(count * exposure.signal.size)


@pytest.mark.slow
def test_neighbours_correlate_on_the_shipped_panel(backend: Backend) -> None:
    """The same sum of 1089 lags on the shipped panel, to four standard errors of 1e8 pixels: 16 points."""
    exposure = flat(backend, 0.6, (512, 512), sensor={"read_noise_adu": 0.0})
    reach, count = exposure.kernel.shape[0] - 1, 440
    covariance = np.mean([autocovariance(noise, reach) for noise in frames(exposure, count)], axis=0)
    measured = 100 * (covariance.sum() / covariance[reach, reach] - 1)
    wanted = 100 * (1 / exposure.derived["kernel_sum_squares"] - 1)
    error = (100 + wanted) * np.sqrt(2 * (2 * reach + 1) ** 2 / (count * 512**2))
    assert error < 4
    assert abs(measured - wanted) < 4 * error


def test_pixels_at_the_border_have_the_statistics_of_the_middle(backend: Backend) -> None:
    """Mean, variance and correlation with the next pixel along it: within four standard errors, over frames."""
    exposure = flat(backend, 0.5, (64, 64))
    border = np.ones((64, 64), bool)
    border[1:-1, 1:-1] = False
    middle = np.zeros((64, 64), bool)
    middle[16:-16, 16:-16] = True
    sets = {"border": border, "middle": middle}
    found: dict[str, list[list[float]]] = {name: [] for name in sets}
    for noise in frames(exposure, 600):
        for name, chosen in sets.items():
            line = noise[0, :] if name == "border" else noise[32, :]
            beside = float((line[1:] * line[:-1]).mean())
            found[name].append([noise[chosen].mean(), (noise[chosen] ** 2).mean(), beside])
    one, other = (np.array(found[name]) for name in sets)
    gap = one.mean(axis=0) - other.mean(axis=0)
    error = np.sqrt((one.var(axis=0) + other.var(axis=0)) / len(one))
    assert (np.abs(gap) < 4 * error).all(), gap / error
    assert error[1] < 0.02 * other[:, 1].mean()


@pytest.mark.parametrize("grey", [0.006, 0.01, 0.05, 0.3, 0.9])
def test_the_anscombe_transform_leaves_unit_noise(backend: Backend, grey: float) -> None:
    """(2 / a) sqrt(a x + 3/8 a^2 + b) of flats from 40 quanta a pixel to near full scale: 1 within 2 %."""
    exposure = flat(backend, grey)
    a, b = exposure.derived["a_pixel_adu"], exposure.derived["b_adu2"]
    expected = exposure.record().expected.astype(np.float64)
    squares = []
    for noise in frames(exposure, 60):
        stable = 2 / a * np.sqrt(np.maximum(a * (expected + noise) + 0.375 * a**2 + b, 0))
        squares.append(stable.var())
    assert np.sqrt(np.mean(squares)) == pytest.approx(1, abs=0.02)


def test_dose_and_noise_follow_the_square_root(backend: Backend) -> None:
    """Four times the exposure, twice the signal-to-noise ratio: quantum-limited, within 2 %."""
    ratio = []
    for grey in (0.2, 0.8):
        exposure = flat(backend, grey, sensor={"offset_adu": 0.0, "read_noise_adu": 0.0})
        noise = np.sqrt(np.mean([(n**2).mean() for n in frames(exposure, 60)]))
        ratio.append(float(exposure.record().expected.mean()) / noise)
    assert ratio[1] / ratio[0] == pytest.approx(2, rel=0.02)


def test_read_noise_is_normal_and_white(backend: Backend) -> None:
    """A dark frame: the standard deviation told, the skewness and kurtosis of a normal law, no correlation."""
    scene = station(
        {"shape": "box", "size_mm": [60.0, 60.0, 60.0], "material": "Pb"},
        shape=(256, 256),
        sensor={"read_noise_adu": 8.0},
    )
    with pytest.warns(UserWarning, match="frame is black"):
        exposure = expose(scene, backend)
    image = np.stack([exposure.record(9, frame).noisy for frame in range(4)]).astype(np.float64) - 300
    count = image.size
    assert abs(image.mean()) < 4 * 8 / np.sqrt(count)
    assert image.std() == pytest.approx(np.sqrt(64 + 1 / 12), rel=4 / np.sqrt(2 * count))
    assert abs(stats.skew(image, axis=None)) < 4 * np.sqrt(6 / count)
    assert abs(stats.kurtosis(image, axis=None)) < 4 * np.sqrt(24 / count)
    assert np.abs(image).max() < 8 * 5.5 + 1
    lags = autocovariance(image[0], 2) / 64
    lags[2, 2] = 0
    assert np.abs(lags).max() < 5 / 256


def test_quanta_and_read_noise_do_not_know_each_other(backend: Backend) -> None:
    """Without blur, read noise as great as that of the quanta: the variances add within 2 %."""
    sharp = {"scintillator": {"light_spread_h_mm2": 0.0}}
    quanta = flat(backend, 0.3, **sharp, sensor={"read_noise_adu": 0.0})
    alone = np.mean([(noise**2).mean() for noise in frames(quanta, 20)])
    both = flat(backend, 0.3, **sharp, sensor={"read_noise_adu": float(np.sqrt(alone))})
    assert both.kernel.shape == (1, 1)
    assert np.mean([(noise**2).mean() for noise in frames(both, 20)]) == pytest.approx(2 * alone, rel=0.02)


def test_no_read_noise_is_beyond_the_resolution_of_its_draw(backend: Backend) -> None:
    """1e8 draws from 2^23 equally likely values: none beyond 5.4 sigma, and the ends are met on both sides alike."""
    count = 1 << 24
    xp = backend.xp
    dark, valid = xp.zeros((1, count), np.float32), xp.ones((1, count), np.uint8)
    readout = Readout(1.0, 2.0**22, 2.0**18, 2.0**23 - 1, 1.0, 1.0)
    least, greatest = np.inf, -np.inf
    for frame in range(6):
        z = (record(dark, dark, valid, readout, 5, frame, backend)["noisy"] - 2.0**22) / 2.0**18
        least, greatest = min(least, float(z.min())), max(greatest, float(z.max()))
    assert least == pytest.approx(-5.295, abs=0.002)
    assert greatest == pytest.approx(5.295, abs=0.002)
