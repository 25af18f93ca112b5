"""One very camera: its pattern, its defects, its states of correction, and the laws of its noise in each of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats
from station import solid, station

from xsim import scene_from_dict
from xsim.backend import Backend
from xsim.detector import Detector
from xsim.electronics import Sensor
from xsim.fixed_pattern import DEFECT_CLASSES, FixedPattern, fixed_pattern
from xsim.light_box import light_frame
from xsim.radiograph import Exposure, expose

TUBE = {"voltage_kv": 120.0, "filters": [{"material": "Al", "thickness_mm": 2.0}]}
FAR = {"sod_mm": 2e4, "sdd_mm": 4e4}
STATES = ("raw", "offset_corrected", "flat_field_corrected")
ELECTRONS = {"electrons_per_kev": 1.0, "fill_factor": 0.8, "quantum_efficiency": 0.625}  # 0.08 ADU an electron
NOISE = {**ELECTRONS, "row_noise_e": 60.0, "column_noise_e": 40.0, "dark_current_e_s": 5000.0}
ROUGH = {
    **NOISE, "serial": 11, "prnu_share": 0.02, "prnu_column_share": 0.01, "prnu_tap_share": 0.02, "tap_columns": 12,
    "prnu_tile_share": 0.01, "tile_rows": 24, "dsnu_e": 500.0, "dsnu_column_e": 200.0, "dsnu_tap_e": 300.0,
    "defects": {"dead_share": 0.01, "hot_share": 0.01, "hot_level": 0.3, "over_responding_share": 0.005,
                "under_responding_share": 0.01, "noisy_share": 0.01, "clusters_per_mpx": 800.0,
                "dead_columns_share": 0.02},
}  # fmt: skip
CORRECTION = {"dark_frames": 16, "gain_frames": 16, "pedestal_adu": 800.0, "interpolate_defects": True}


def exposure_in(
    state: str, backend: Backend, *bodies: dict[str, Any], size: int = 48, grey: float = 0.5, frames: int = 1,
    correction: dict[str, Any] = CORRECTION, far: dict[str, float] = FAR, **sensor: Any,
) -> Exposure:  # fmt: skip
    run = {"target_gv": grey, "state": state, "frames": frames}
    source = {**TUBE, "current_ma": 1000.0 if far is FAR else 1.0}  # some 0.5 s of dark current either way
    camera = {"shape": (size, size), "sensor": sensor, "correction": correction}
    return expose(station(*bodies, source=source, acquisition=run, **camera, **far), backend)


@pytest.mark.parametrize("state", STATES)
def test_the_mean_of_a_thousand_frames_is_expected_in_each_state(backend: Backend, state: str) -> None:
    """z of each pixel, Sidak at 1 %, bad pixels included, 6 sigma from the rails; |z| of the frame mean below 4.

    Row and column noise make pixels of a row vary together, so the frame's mean is compared over the frames.
    """
    ball, near = solid("sphere", 2.0), {"sod_mm": 500.0, "sdd_mm": 1000.0}
    exposure, count = exposure_in(state, backend, ball, far=near, **ROUGH), 1000
    expected = exposure.record().expected
    raw = exposure if state == "raw" else exposure_in("raw", backend, ball, far=near, **ROUGH)
    total, squares, means = np.zeros(expected.shape), np.zeros(expected.shape), []
    raw_level = raw.record().expected
    reach = 6 * np.sqrt(raw.record().expected.max())
    far = (raw_level > reach) & (raw_level < 65535 - reach) & (expected > reach) & (expected < 65535 - reach)
    assert far.mean() > 0.98
    for frame in range(count):
        noise = backend.to_numpy(exposure.images(4, frame)["noisy"]).astype(np.float64) - expected
        total += noise
        squares += noise**2
        means.append(noise[far].mean())
    spread = np.sqrt((squares - total**2 / count) / (count - 1))
    z = (total / count / (spread / np.sqrt(count)))[far]
    limit = stats.t(count - 1).isf((1 - 0.99 ** (1 / z.size)) / 2)
    assert np.abs(z).max() < limit, f"z up to {np.abs(z).max():.2f}, limit {limit:.2f}"
    assert abs(np.mean(means)) < 4 * np.std(means) / np.sqrt(count)


@pytest.mark.parametrize("state", STATES)
def test_clean_is_of_the_ideal_camera_and_noise_is_the_exact_difference(backend: Backend, state: str) -> None:
    """No pattern, no defects, no clipping in clean: the bits are those of a camera whose pixels are all alike."""
    rough = exposure_in(state, backend, solid("sphere", 2.0), **ROUGH).record(1)
    smooth = exposure_in(state, backend, solid("sphere", 2.0), **NOISE).record(2)
    assert np.array_equal(rough.clean, smooth.clean)
    assert np.ptp(rough.clean) > 1000 and np.abs(rough.clean - smooth.expected).max() < (1 if state == "raw" else 200)
    for image in (rough, smooth):
        assert np.array_equal(image.noisy, image.clean + image.noise)
        assert np.array_equal(image.noisy, np.round(image.noisy))
    assert np.abs(rough.expected - rough.clean).max() > 50
    assert rough.metadata["bad_pixel_share"] == pytest.approx(1 - rough.valid.mean(), abs=0.01)


def test_each_state_takes_away_what_it_should(backend: Backend) -> None:
    """Fixed pattern of a flat: offsets and gains in a raw frame, gains only, then neither but their frames' noise."""
    pattern = {**NOISE, "prnu_share": 0.02, "dsnu_e": 8000.0, "offset_adu": 4000.0, "serial": 3}
    ways = {**CORRECTION, "gain_frames": 256}
    images = {state: exposure_in(state, backend, correction=ways, **pattern).record() for state in STATES}
    spread = {state: float(image.expected.std()) for state, image in images.items()}
    signal, offsets = 0.5 * 65535 - 4000, 0.08 * 8000
    assert spread["raw"] == pytest.approx(np.hypot(0.02 * signal, offsets), rel=0.05)
    assert spread["offset_corrected"] == pytest.approx(0.02 * signal, rel=0.05)
    assert spread["flat_field_corrected"] < 0.1 * spread["offset_corrected"]


@pytest.mark.parametrize("count", [4, 25])
def test_what_a_flat_field_leaves_is_the_noise_of_the_gain_frames(backend: Backend, count: int) -> None:
    """At the level of the gain frames the variance of expected over a flat is that of one frame / count; 5 %.

    There the dark frames' noise drops out, and frames are compared without row and column noise.
    """
    ways = {"dark_frames": 1, "gain_frames": count, "gain_level": 0.5}
    exposure = exposure_in(
        "flat_field_corrected",
        backend,
        size=256,
        correction=ways,
        **ELECTRONS,
        prnu_share=0.02,
        read_noise_e=200.0,
        read_noise_adu=None,
    )
    expected, noise = exposure.record().expected, exposure.record(3)
    temporal = float(((noise.noisy - expected).astype(np.float64)).var()) - 1 / 12
    assert expected.astype(np.float64).var() == pytest.approx(temporal / count, rel=0.05)


@pytest.mark.parametrize("frames", [1, 8])
@pytest.mark.parametrize("state", STATES)
def test_the_variance_of_an_image_follows_the_law_that_it_carries(backend: Backend, state: str, frames: int) -> None:
    """a_pixel x + b of flats at 5, 30 and 60 % of full scale, frames averaged: 2 %. Row noise adds to b."""
    for k, grey in enumerate((0.05, 0.3, 0.6)):
        exposure = exposure_in(state, backend, size=128, grey=grey, frames=frames, **NOISE)
        images = [exposure.record(k, frame) for frame in range(4)]
        data = images[0].metadata
        variance = np.mean([((i.noisy - i.expected).astype(np.float64) ** 2).mean() for i in images])
        level = float(images[0].expected.mean(dtype=np.float64))
        assert variance == pytest.approx(data["a_pixel_adu"] * level + data["b_adu2"], rel=0.02)


def test_gain_is_low_pixel_by_pixel_by_what_the_screen_says_and_right_at_zero_frequency(backend: Backend) -> None:
    """Photon transfer of frame differences. g w (NPS at 0) against g w sum h^2 (pixelwise), K of the electrons beside
    both: each within 2 %, and the bias, their ratio, within 2 % of the predicted one."""
    points = []
    for k, grey in enumerate((0.1, 0.4, 0.8)):
        exposure = exposure_in("raw", backend, size=256, grey=grey, **ELECTRONS)
        images = [backend.to_numpy(exposure.images(k, f)["noisy"]).astype(np.float64) for f in range(24)]
        gaps = np.array([(a - b) / np.sqrt(2) for a, b in zip(images[::2], images[1::2], strict=True)])
        power = (np.abs(np.fft.fft2(gaps)) ** 2).mean(axis=0) / gaps[0].size
        f = np.hypot(*np.meshgrid(np.fft.fftfreq(256), np.fft.fftfreq(256)))
        low = (f > 0) & (f < 0.08)
        screen = np.abs(np.fft.fft2(exposure.kernel, (256, 256)))[low] ** 2  # of the light, 0.74 at 0.08
        points.append((np.mean(images), gaps.var(), (power[low] / screen).mean()))
    mean, pixelwise, at_zero = np.array(points).T
    found = [float(np.polyfit(mean, variance, 1, w=1 / variance)[0]) for variance in (pixelwise, at_zero)]
    squares = float((exposure.kernel.astype(np.float64) ** 2).sum())
    whole, electrons = exposure.derived["gain_adu_per_quantum"], 0.08
    assert found[0] == pytest.approx(whole * squares + electrons, rel=0.02)
    assert found[1] == pytest.approx(whole + electrons, rel=0.02)
    assert found[0] / found[1] == pytest.approx((whole * squares + electrons) / (whole + electrons), rel=0.02)
    assert found[0] / found[1] < 0.5


def pattern_of(backend: Backend, rows: int = 512, columns: int = 512, **sensor: Any) -> FixedPattern:
    found = fixed_pattern(Sensor(gain_adu_per_kev=0.04, read_noise_adu=4.0, **sensor), rows, columns, backend)
    images = (found.gain, found.dark, found.offset, found.flicker, found.defects)
    return FixedPattern(*(backend.to_numpy(image).reshape(rows, columns) for image in images))


def test_bad_pixels_are_as_frequent_and_as_bad_as_told(backend: Backend) -> None:
    """Counts of each class within 4 sigma of a binomial draw; responses in the ranges of E2597."""
    shares = {"dead": 0.004, "hot": 0.006, "over_responding": 0.003, "under_responding": 0.005, "noisy": 0.008}
    found = pattern_of(backend, defects={f"{name}_share": share for name, share in shares.items()})
    pixels = found.defects.size
    for kind, share in enumerate(shares.values(), 1):
        count = int((found.defects == kind).sum())
        assert abs(count - share * pixels) < 4 * np.sqrt(pixels * share), DEFECT_CLASSES[kind]
    gain = {kind: found.gain[found.defects == k] for k, kind in enumerate(DEFECT_CLASSES)}
    assert (gain["dead"] == 0).all() and (gain["sound"] == 1).all()
    assert gain["over-responding"].min() > 1.3 and gain["under-responding"].max() < 0.6
    assert (found.dark[found.defects == 2] > 0.1 * 65535 / 0.04 * 0.99).all()
    assert np.abs(found.flicker[found.defects == 5] / (10 * 4.0 / 0.04) - 1).max() < 1e-6


def test_clusters_and_lines_are_as_frequent_as_told(backend: Backend) -> None:
    kinds = {"clusters_per_mpx": 600.0, "cluster_px": 12.0, "dead_rows_share": 0.01, "dead_columns_share": 0.02}
    found = pattern_of(backend, 1024, 1024, defects=kinds)
    lines = found.defects == DEFECT_CLASSES.index("line")
    rows, columns = lines.all(axis=1).sum(), lines.all(axis=0).sum()
    assert abs(rows - 10.2) < 4 * np.sqrt(10.2) and abs(columns - 20.5) < 4 * np.sqrt(20.5)
    area = (found.defects == DEFECT_CLASSES.index("cluster")).mean() / (1 - lines.mean())
    assert area == pytest.approx(600e-6 * 12.0, rel=0.2)


def test_a_serial_number_is_a_camera_and_a_smaller_image_its_middle(backend: Backend) -> None:
    rough = {k: v for k, v in ROUGH.items() if k not in NOISE} | ELECTRONS
    one, same, crop = (pattern_of(backend, n, n, **rough) for n in (96, 96, 48))
    other = pattern_of(backend, 96, 96, **{**rough, "serial": 12})
    for name in ("gain", "dark", "offset", "flicker", "defects"):
        whole = getattr(one, name)
        assert np.array_equal(whole, getattr(same, name)) and not np.array_equal(whole, getattr(other, name))
        assert np.array_equal(whole[24:72, 24:72], getattr(crop, name))


def test_taps_and_tiles_have_seams_where_they_are_told(backend: Backend) -> None:
    tap = pattern_of(backend, 64, 512, prnu_tap_share=0.05, tap_columns=16).gain
    assert len(np.unique(tap)) == 32 and (np.ptp(tap.reshape(64, 32, 16), axis=(0, 2)) == 0).all()
    tile = pattern_of(backend, 512, 512, prnu_tile_share=0.05, tile_rows=32, tile_columns=64).gain
    assert len(np.unique(tile)) == 128 and tile.std() == pytest.approx(0.05, rel=0.3)
    column = pattern_of(backend, 8, 4096, prnu_column_share=0.03).gain
    assert (column == column[0]).all() and column[0].std() == pytest.approx(0.03, rel=0.05)


def test_bad_pixels_are_filled_from_their_neighbours(backend: Backend) -> None:
    """Beside a flat field, dead pixels, clusters and lines come to the level of the flat; they stay invalid."""
    kinds = {"dead_share": 0.01, "clusters_per_mpx": 800.0, "dead_columns_share": 0.02}
    image = exposure_in("flat_field_corrected", backend, size=128, **ELECTRONS, defects=kinds).record(1)
    assert 0.01 < 1 - image.valid.mean() < 0.2
    assert image.expected[~image.valid] == pytest.approx(float(image.expected[image.valid].mean()), rel=0.01)
    ways = {**CORRECTION, "interpolate_defects": False}
    left = exposure_in("flat_field_corrected", backend, size=128, correction=ways, **ELECTRONS, defects=kinds).record(1)
    assert np.abs(left.expected[~left.valid] - 800).max() < 30


def test_row_and_column_noise_are_common_to_rows_and_columns(backend: Backend) -> None:
    """Dark frames: the variance of row means is row^2 + (column^2 + read^2) / columns; 10 % from 40 x 256 rows."""
    common = {"electrons_per_kev": 1.0, "gain_adu_per_e": 1.0, "gain_adu_per_kev": None, "read_noise_adu": None,
              "offset_adu": 1000.0, "read_noise_e": 20.0, "row_noise_e": 5.0, "column_noise_e": 8.0}  # fmt: skip
    camera = Detector.model_validate({"preset": "generic-gos-200um", "rows": 256, "columns": 256, "sensor": common})
    noise = np.array([backend.to_numpy(light_frame(camera, 0.0, 1.0, backend, 1, k)["noisy"]) for k in range(40)])
    noise = noise.astype(np.float64) - noise.mean(axis=(1, 2), keepdims=True)
    assert noise.mean(axis=2).var() == pytest.approx(25 + 400 / 256, rel=0.1)
    assert noise.mean(axis=1).var() == pytest.approx(64 + 400 / 256, rel=0.1)
    assert noise.var() == pytest.approx(400 + 25 + 64 + 1 / 12, rel=0.02)


def test_noisy_pixels_take_two_levels(backend: Backend) -> None:
    """Every pixel noisy: half of the frames up, half down, 20 read noises apart; averaged the steps stay in between."""
    kinds = {"noisy_share": 1.0}
    common = {**ELECTRONS, "offset_adu": 2000.0, "read_noise_adu": 4.0, "defects": kinds}
    camera = Detector.model_validate({"preset": "generic-gos-200um", "rows": 64, "columns": 64, "sensor": common})
    dark = backend.to_numpy(light_frame(camera, 0.0, 1.0, backend, 1)["noisy"]).astype(np.float64) - 2000
    up = dark > 0
    assert abs(up.mean() - 0.5) < 4 * 0.5 / 64
    assert dark[up].mean() == pytest.approx(40, abs=0.5) and dark[~up].mean() == pytest.approx(-40, abs=0.5)
    many = backend.to_numpy(light_frame(camera, 0.0, 1.0, backend, 1, frames=16)["noisy"]).astype(np.float64) - 2000
    assert many.std() == pytest.approx(np.hypot(40, 4) / 4, rel=0.05)


def test_every_pixel_of_a_corrected_line_has_its_expected_mean(backend: Backend) -> None:
    """4000 lines of a shaded open beam in one flat field: z of each column, bad ones filled; Sidak at 1 %."""
    kinds = {"dead_share": 0.03, "hot_share": 0.03, "hot_level": 0.3}
    sensor = {**ELECTRONS, "prnu_share": 0.03, "dsnu_e": 300.0, "row_noise_e": 20.0, "tdi_stages": 4, "serial": 5,
              "defects": kinds}  # fmt: skip
    run = {"belt_speed_m_s": 0.5, "line_rate_hz": 2500.0, "lines": 4000, "target_gv": 0.5}
    scene = {
        "source": TUBE, "geometry": {"sod_mm": 50.0, "sdd_mm": 100.0},
        "acquisition": {**run, "state": "flat_field_corrected"},
        "detector": {"preset": "generic-line-400um", "columns": 160, "sensor": sensor, "correction": CORRECTION},
    }  # fmt: skip
    exposure = expose(scene_from_dict(scene), backend)
    image = exposure.record(9)
    noise = (image.noisy - image.expected).astype(np.float64)
    z = noise.mean(axis=0) / (noise.std(axis=0) / np.sqrt(len(noise)))
    assert np.abs(z).max() < stats.norm.isf((1 - 0.99 ** (1 / z.size)) / 2) and 0 < (~image.valid[0]).sum() < 40
    assert (image.valid == image.valid[0]).all() and np.ptp(image.clean) < 0.1
    assert image.expected[0].std() > 10 and (image.expected == image.expected[0]).all()
    assert image.metadata["flat_factors"][1] > 1.05
