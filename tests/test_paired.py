"""A second camera behind another screen, and the clean image without any blur."""

import numpy as np
import pytest

import xsim
from xsim.scintillator import absorbed_fraction

GOS = {"material": "GOS", "areal_density_mg_cm2": 33.91, "light_spread_h_mm2": 0.01}
THICK = {"areal_density_mg_cm2": 134.55, "light_spread_h_mm2": 0.06}
SENSOR = {"adc_bits": 16, "gain_adu_per_kev": 0.05, "offset_adu": 100.0, "read_noise_adu": 3.0}


def mapping(scintillator=None, sensor=None, **detector):
    screen = {**GOS, **(scintillator or {})}
    return {
        "source": {"voltage_kv": 70, "filters": [{"material": "Al", "thickness_mm": 1.0}]},
        "geometry": {"sod_mm": 500, "sdd_mm": 600},
        "acquisition": {"quanta_per_pixel": 200},
        "detector": {
            "rows": 48, "columns": 56, "pitch_mm": 0.1, "scintillator": screen, "sensor": {**SENSOR, **(sensor or {})},
            **detector,
        },
        "body": [
            {"shape": "box", "size_mm": [3, 40, 8], "material": "Al", "position_mm": [-1, 0, 0]},
            {"shape": "sphere", "radius_mm": 1.0, "material": "Fe", "position_mm": [1, 0.3, 0]},
        ],
    }  # fmt: skip


def scene(*args, **others):
    return xsim.scene_from_dict(mapping(*args, **others))


PLAIN = {"light_spread_h_mm2": 0.0}
QUIET = {"read_noise_adu": 0.0}


def kev(exposure, seed, frame):
    """Light of a frame in keV, before the electronics."""
    noisy, readout = exposure.backend.to_numpy(exposure.images(seed, frame)["noisy"]), exposure.readout
    return (noisy - readout.offset_adu) / readout.gain_adu_per_kev


def moments(exposure):
    """Mean and variance of the light before it spreads, keV and keV^2."""
    return [exposure.backend.to_numpy(image).astype(float) for image in (exposure.signal, exposure.variance)]


def test_sharp_is_clean_where_no_light_spreads(backend):
    for camera in (
        scene(PLAIN),
        scene({**PLAIN, "model": "cascade", "depth_classes": 3}),
        scene(PLAIN, {"offset_adu": 70.0, "prnu_share": 0.05}),
    ):
        exposure = xsim.expose(camera, backend)
        assert np.array_equal(xsim.sharp_image(exposure), exposure.record(1).clean)


@pytest.mark.parametrize(
    "camera",
    [
        scene(THICK),
        scene({**THICK, "glare_share": 0.2, "glare_mm": 0.4}),
        scene(THICK, {"prnu_share": 0.05}),
    ],
    ids=["screen", "glare", "camera"],
)
def test_sharp_blurred_by_the_screen_is_clean(camera, backend):
    """Sharp convolved with the kernel of the screen, away from the edges that it does not see beyond."""
    from scipy.signal import fftconvolve

    exposure = xsim.expose(camera, backend)
    sharp, clean, kernel = xsim.sharp_image(exposure), exposure.record(1).clean, exposure.kernel
    assert sharp.dtype == np.float32 and np.array_equal(sharp * 16, np.rint(sharp * 16))
    n = kernel.shape[0] // 2
    assert 2 * n < 40
    blurred = fftconvolve(sharp.astype(float), kernel.astype(float), "valid")
    inside = clean[n : clean.shape[0] - n, n : clean.shape[1] - n]
    # both are rounded to 1/16 ADU, the sharp one's rounding averaged
    assert np.abs(blurred - inside).max() < 0.07
    assert np.abs(sharp - clean).max() > 50


def test_sharp_in_a_corrected_state(backend):
    flat = mapping(PLAIN, {"prnu_share": 0.02})
    flat["acquisition"]["state"] = "flat_field_corrected"
    exposure = xsim.expose(xsim.scene_from_dict(flat), backend)
    assert np.array_equal(xsim.sharp_image(exposure), exposure.record(1).clean)


def test_thick_and_thin_share_quanta_as_theory_says(backend):
    """Mean and variance of each are those of its own exposure, their covariance is the variance of the thinner."""
    thin, thick = scene(PLAIN, QUIET), scene({**PLAIN, **THICK, "light_spread_h_mm2": 0.0}, QUIET)
    first = xsim.expose(thin, backend)
    second = xsim.expose_paired(first, thick, same_quanta=True)
    alone = xsim.expose(thick, backend)
    assert second.mas == first.mas and second.mas != alone.mas
    frames = 400
    a = np.stack([kev(first, 5, k) for k in range(frames)]).astype(float)
    b = np.stack([kev(second, 5, k) for k in range(frames)]).astype(float)
    (m1, m2), (n1, n2) = moments(first), moments(second)
    assert (n1 > m1).all() and (n2 > m2).all()
    rounding = 1 / 12 / SENSOR["gain_adu_per_kev"] ** 2
    pixels = m1.size
    # means: each to 4 standard errors of the mean over pixels and frames
    for found, mean, variance in ((a, m1, m2), (b, n1, n2)):
        error = np.sqrt(variance.sum() / frames) / pixels
        assert abs((found.mean(axis=0) - mean).mean()) < 4 * error
        ratio = found.var(axis=0, ddof=1).sum() / (variance + rounding).sum()
        assert ratio == pytest.approx(1.0, abs=4 * (2 / frames / pixels) ** 0.5 * 1.5)
    covariance = ((a - a.mean(axis=0)) * (b - b.mean(axis=0))).sum(axis=0) / (frames - 1)
    assert covariance.sum() / m2.sum() == pytest.approx(1.0, abs=0.01)
    # and with independent quanta there is none
    other = xsim.expose_paired(first, thick)
    c = np.stack([kev(other, 5, k) for k in range(frames)]).astype(float)
    covariance = ((a - a.mean(axis=0)) * (c - c.mean(axis=0))).sum(axis=0) / (frames - 1)
    assert abs(covariance.sum() / m2.sum()) < 0.01
    assert c.var(axis=0, ddof=1).sum() == pytest.approx((n2 + rounding).sum(), rel=0.01)


def test_blurred_pairs_see_the_same_quanta(backend):
    """Kernels of other radii give other margins: a pixel's quanta are those of the same pixel all the same."""
    thin, thick = scene(PLAIN, QUIET), scene(THICK, QUIET)
    first = xsim.expose(thin, backend)
    second = xsim.expose_paired(first, thick, same_quanta=True)
    assert second.spread.margin[0] > first.spread.margin[0]
    one = np.stack([kev(first, 3, k) for k in range(200)]).astype(float)
    two = np.stack([kev(second, 3, k) for k in range(200)]).astype(float)
    one, two = one - one.mean(axis=0), two - two.mean(axis=0)
    shifts = {(0, 0): 0.0, (5, 0): 0.0, (0, 5): 0.0, (-5, 0): 0.0, (0, -5): 0.0}
    for down, beside in shifts:
        moved = np.roll(two, (down, beside), axis=(1, 2))[:, 8:-8, 8:-8]
        shifts[down, beside] = float((one[:, 8:-8, 8:-8] * moved).mean())
    middle, *others = shifts.values()
    # cov of thin quanta and the thick light at the pixel: M2 h(0)
    expected = moments(first)[1][8:-8, 8:-8].mean() * second.kernel[tuple(n // 2 for n in second.kernel.shape)]
    assert middle == pytest.approx(float(expected), rel=0.03)
    assert all(each < 0.3 * middle for each in others)


def test_a_pair_in_parts_and_lag(backend):
    """The first image is that of its camera alone; sensors, patterns and frames are each one's own."""
    lag = {"lag": [[0.2, 200.0]]}
    sensor = {**SENSOR, "serial": 4, "prnu_share": 0.05}
    first = xsim.expose(scene(lag, sensor), backend)
    second = xsim.expose_paired(first, scene({**THICK, **lag}, {**sensor, "serial": 5}), True)
    assert np.array_equal(first.record(2, 1).noisy, xsim.simulate(scene(lag, sensor), 2, backend.name, 1).noisy)
    image = second.record(2, 1)
    assert np.array_equal(image.noisy, image.clean + image.noise)
    assert not np.array_equal(second.record(2, 0).noisy, image.noisy)
    assert image.metadata["exposure_mas"] == first.record(2).metadata["exposure_mas"]


@pytest.mark.parametrize(
    ("other", "same", "words"),
    [
        (scene(THICK, rows=50), False, "differ in rows"),
        (scene({"areal_density_mg_cm2": 20.0}), True, "thinner one"),
        (scene({**THICK, "model": "cascade"}), True, "depth classes"),
        (scene({**THICK, "material": "CsI"}), True, "one material"),
    ],
)
def test_what_no_pair_can_be_is_refused(other, same, words):
    with pytest.raises(xsim.SceneError, match=words):
        xsim.expose_paired(xsim.expose(scene(), "cpu"), other, same)


def test_the_moments_of_a_pair_are_those_of_photons():
    """Photons counted one energy after the other, each absorbed at a depth of its own, against M1, M2 and M2 thin."""
    random, repeats = np.random.default_rng(7), 40000
    thin, thick = scene(PLAIN), scene({**PLAIN, **THICK, "light_spread_h_mm2": 0.0})
    first = xsim.expose(thin, "cpu")
    second = xsim.expose_paired(first, thick, same_quanta=True)
    energy = first.weights.energy_kev
    shares = [absorbed_fraction(each.detector, energy) for each in (thin, thick)]
    arriving = first.weights.signal_kev[0] / energy / shares[0]
    photons = random.poisson(arriving, (repeats, energy.size))
    upper = random.binomial(photons, shares[0])
    beyond = random.binomial(photons - upper, (shares[1] - shares[0]) / np.maximum(1 - shares[0], 1e-12))
    one, two = upper @ energy, (upper + beyond) @ energy
    (m1, m2), (n1, n2) = ([w.signal_kev.sum(), w.variance_kev2.sum()] for w in (first.weights, second.weights))
    assert (one.mean(), two.mean()) == (pytest.approx(m1, rel=2e-3), pytest.approx(n1, rel=2e-3))
    assert (one.var(), two.var()) == (pytest.approx(m2, rel=0.03), pytest.approx(n2, rel=0.03))
    assert np.cov(one, two)[0, 1] == pytest.approx(m2, rel=0.03)
