"""From static frames to a camera's numbers: simulated cameras are found again, gain, noise, offset and response."""

from __future__ import annotations

import tomllib
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from known_images import quanta, spread_kernel
from station import station

from xsim import MeasurementError, scene_from_dict
from xsim.backend import Backend
from xsim.characterize import Characteristics, characterize, read_characteristics, write_characteristics
from xsim.radiograph import Exposure, expose

TUBE = {"voltage_kv": 120.0, "filters": [{"material": "Al", "thickness_mm": 2.0}]}
FAR = {"sod_mm": 2e4, "sdd_mm": 4e4}  # a beam as good as parallel: no shading across the panel
GREYS = (0.1, 0.3, 0.6)
COUNT = 16


def recorded(exposure: Exposure, seed: int, count: int = COUNT) -> np.ndarray:
    return np.stack([exposure.record(seed, frame).noisy for frame in range(count)]).astype(np.uint16)


def black(scene: dict[str, Any], backend: Backend) -> Exposure:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*frame is black.*")
        return expose(station(acquisition={"exposure_s": 1e-12}, **scene), backend)


def panel_frames(backend: Backend, side: int = 256, **detector: Any) -> tuple[np.ndarray, list[np.ndarray], Exposure]:
    """Darks, three levels of the open beam, and the exposure of one of them."""
    scene = {"shape": (side, side), "source": TUBE, **FAR, **detector}
    beams = [expose(station(acquisition={"target_gv": grey}, **scene), backend) for grey in GREYS]
    levels = [recorded(beam, seed) for seed, beam in enumerate(beams)]
    return recorded(black(scene, backend), 99), levels, beams[0]


def response_error(found: Characteristics, kernel: np.ndarray) -> float:
    """Sum of absolute differences of two kernels about their middles."""
    half = [max(a, b) // 2 for a, b in zip(found.kernel.shape, kernel.shape, strict=True)]
    wide = [np.pad(k, [(h - n // 2,) * 2 for h, n in zip(half, k.shape, strict=True)]) for k in (found.kernel, kernel)]
    return float(np.abs(wide[0] - wide[1].astype(np.float64)).sum())


def assert_found(found: Characteristics, derived: dict[str, Any], kernel: np.ndarray) -> None:
    """As asked: gain 3 %, read noise 10 %, offset 0.5 ADU, response 0.05; the pixelwise slope, better known, 1 %."""
    assert found.gain_adu_per_quantum == pytest.approx(derived["gain_adu_per_quantum"], rel=0.03)
    assert found.offset_adu == pytest.approx(derived["offset_adu"], abs=0.5)
    assert found.read_noise_adu == pytest.approx(derived["read_noise_adu"], rel=0.10)
    assert response_error(found, kernel) < 0.05
    assert found.a_pixel_adu == pytest.approx(derived["a_pixel_adu"], rel=0.01)
    assert found.b_adu2 == pytest.approx(derived["b_adu2"], abs=0.01 * derived["a_pixel_adu"] * 300 + 1)
    assert found.response_sum_squares == pytest.approx(derived["kernel_sum_squares"], rel=0.05)
    assert found.pixelwise_over_gain == pytest.approx(derived["kernel_sum_squares"], rel=0.03)
    assert found.kernel.sum() == pytest.approx(1.0) and found.kernel.min() >= 0


@pytest.mark.parametrize(
    "detector",
    [
        {},
        {"scintillator": {"light_spread_h_mm2": 0.5}},
        {"scintillator": {"light_spread_h_mm2": 0.0}},
        {"sensor": {"read_noise_adu": 20.0}},
    ],
    ids=["shipped panel", "sharp screen", "no spread", "noisy electronics"],
)
def test_a_simulated_panel_is_found_again(backend: Backend, detector: dict[str, Any]) -> None:
    darks, levels, beam = panel_frames(backend, **detector)
    found = characterize(darks, levels, pitch_mm=0.2)
    assert_found(found, beam.derived, beam.kernel)
    assert found.linearity_percent < 1.0
    assert (found.rows, found.columns, found.level_frames) == (256, 256, (COUNT,) * 4)


def test_the_shipped_panel_is_found_again_from_any_frames(backend: Backend) -> None:
    """Three sets of frames: gain within 3 % in each and within 1.5 % in the mean, response within 0.05 in each."""
    gains = []
    scene = {"shape": (256, 256), "source": TUBE, **FAR}
    beams = [expose(station(acquisition={"target_gv": grey}, **scene), backend) for grey in GREYS]
    dark = black(scene, backend)
    for seed in range(3):
        found = characterize(recorded(dark, seed), [recorded(beam, 10 * seed + k) for k, beam in enumerate(beams)])
        assert_found(found, beams[0].derived, beams[0].kernel)
        gains.append(found.gain_adu_per_quantum / beams[0].derived["gain_adu_per_quantum"])
    assert np.mean(gains) == pytest.approx(1.0, abs=0.015)


def test_the_law_found_makes_noise_of_one(backend: Backend) -> None:
    """Generalised Anscombe transform with the a and b found: sd 1 within 1 % at every level, as a restorer needs it."""
    darks, levels, _ = panel_frames(backend)
    found = characterize(darks, levels)
    a, b = found.a_pixel_adu, found.b_adu2
    for level in levels:
        stable = 2 / a * np.sqrt(a * level.astype(np.float64) + 0.375 * a**2 + b)
        assert np.sqrt(stable.var(axis=0, ddof=1).mean()) == pytest.approx(1.0, abs=0.01)


def test_a_simulated_line_camera_is_found_again(backend: Backend) -> None:
    """Its light spreads along the line alone; lines stand for rows."""
    belt = {"belt_speed_m_s": 0.5, "line_rate_hz": 2500.0, "lines": 256}
    rest = {"source": TUBE, "geometry": FAR, "detector": {"preset": "generic-line-400um", "columns": 256}}
    beams = [expose(scene_from_dict({**rest, "acquisition": {**belt, "target_gv": g}}), backend) for g in GREYS]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*frame is black.*")
        dark = expose(scene_from_dict({**rest, "acquisition": {**belt, "exposure_s": 1e-12}}), backend)
    found = characterize(recorded(dark, 99), [recorded(beam, seed) for seed, beam in enumerate(beams)])
    assert_found(found, beams[0].derived, beams[0].kernel)


def test_shading_fixed_pattern_and_a_tube_that_flickers_change_nothing(backend: Backend) -> None:
    """A cone beam at 500 mm, pixels whose gains and offsets scatter by 3 % and 20 ADU, exposures that do by 3 %."""
    scene = {"shape": (256, 256), "source": TUBE, "sod_mm": 250.0, "sdd_mm": 500.0}
    beams = [expose(station(acquisition={"target_gv": grey}, **scene), backend) for grey in GREYS]
    generator = np.random.default_rng(1)
    gains = 1 + 0.03 * generator.standard_normal((256, 256))
    offsets = 20 * generator.standard_normal((256, 256))
    darks = recorded(black(scene, backend), 99) + offsets
    flicker = 1 + 0.03 * generator.standard_normal((len(GREYS), COUNT, 1, 1))
    light = [recorded(beam, seed) - 300.0 for seed, beam in enumerate(beams)]
    levels = [signal * drift * gains + 300 + offsets for signal, drift in zip(light, flicker, strict=True)]
    found = characterize(darks, levels)
    assert found.a_pixel_adu == pytest.approx(beams[0].derived["a_pixel_adu"], rel=0.015)
    assert found.gain_adu_per_quantum == pytest.approx(beams[0].derived["gain_adu_per_quantum"], rel=0.03)
    assert found.read_noise_adu == pytest.approx(4.0, rel=0.1)
    assert response_error(found, beams[0].kernel) < 0.05


def test_the_file_is_part_of_a_detector_and_simulates_the_same_noise(backend: Backend, tmp_path: Path) -> None:
    """One energy of 60 keV weighs 60 keV: pitch and [sensor] of the file, put over a preset of another gain, give back
    the frames' signal and noise."""
    scene = {"shape": (256, 256), **FAR, "sensor": {"gain_adu_per_kev": 0.06, "offset_adu": 120.0}}
    beams = [expose(station(acquisition={"target_gv": grey}, **scene), backend) for grey in GREYS]
    levels = [recorded(beam, seed) for seed, beam in enumerate(beams)]
    found = characterize(recorded(black(scene, backend), 99), levels, pitch_mm=0.2, quantum_kev=60.0)
    file = tmp_path / "camera.toml"
    write_characteristics(file, found)
    told = tomllib.loads(file.read_text())
    assert told["sensor"]["gain_adu_per_kev"] == pytest.approx(0.06, rel=0.03)
    again = station(
        shape=(256, 256), acquisition={"quanta_per_pixel": beams[1].derived["quanta_per_pixel"]}, **FAR,
        sensor=told["sensor"],
    )  # fmt: skip
    image = expose(again, backend).record(7)
    assert image.noisy.mean() - 120 == pytest.approx(levels[1].mean() - 120, rel=0.03)
    assert (image.noisy - image.expected).var() == pytest.approx(found.level_variance_adu2[2], rel=0.08)


def test_a_file_is_read_as_it_was_written(tmp_path: Path) -> None:
    found = characterize(*synthetic())
    write_characteristics(tmp_path / "camera.toml", found)
    again = read_characteristics(tmp_path / "camera.toml")
    np.testing.assert_allclose(again.kernel, found.kernel, rtol=1e-6, atol=1e-12)
    assert again.model_dump(exclude={"pixel_response"}) == found.model_dump(exclude={"pixel_response"})
    assert again.pitch_mm is None and again.gain_adu_per_kev is None


def synthetic(gain: float = 3.0, means: tuple[float, ...] = (300.0, 1000.0, 3000.0)) -> tuple[Any, list[np.ndarray]]:
    """Darks and levels of an oracle camera, no simulator: quanta, a kernel, gain, offset 200, read noise 6 [ADU]."""
    generator = np.random.default_rng(2)
    shape, kernel = (8, 128, 128), spread_kernel()
    lit = [gain * quanta(generator, mean, shape, kernel) for mean in means]
    noise = [200 + 6 * generator.standard_normal(shape) for _ in range(len(means) + 1)]
    return noise[0], [light + more for light, more in zip(lit, noise[1:], strict=True)]


def test_a_camera_of_the_tests_own_is_found_too() -> None:
    """Independent of the simulator: 128 x 128 pixels, eight frames a level, so gain to 6 % only."""
    found = characterize(*synthetic())
    kernel = spread_kernel()
    assert found.gain_adu_per_quantum == pytest.approx(3.0, rel=0.06)
    assert found.a_pixel_adu == pytest.approx(3.0 * (kernel**2).sum(), rel=0.02)
    assert found.offset_adu == pytest.approx(200.0, abs=0.1)
    assert found.read_noise_adu == pytest.approx(6.0, rel=0.01)


def test_a_saturated_level_is_left_out_and_told() -> None:
    darks, levels = synthetic(means=(300.0, 1000.0, 3000.0, 9000.0))
    cut = [np.minimum(np.rint(level), 25000.0) for level in levels]
    with pytest.warns(UserWarning, match="is left out .* saturated"):
        found = characterize(np.rint(darks), cut)
    assert len(found.level_mean_adu) == 4
    assert found.a_pixel_adu == pytest.approx(3.0 * (spread_kernel() ** 2).sum(), rel=0.02)
    assert found.read_noise_adu == pytest.approx(6.0, rel=0.01)  # less what rounding adds


def test_frames_that_tell_too_little_are_refused_in_one_line(tmp_path: Path) -> None:
    darks, levels = synthetic()
    copies = [np.repeat(levels[0][:1], 4, axis=0), *levels[1:]]
    quiet = [200 + 100 * k + 6 * np.random.default_rng(k).standard_normal((8, 128, 128)) for k in range(4)]
    for words, frames in {
        "2 usable light levels": (darks, levels[:2]),
        "one frame": (darks[:1], levels),
        "one camera, one size": (darks, [levels[0][:, :100, :100], *levels[1:]]),
        "too small": (darks[:, :64, :64], [level[:, :64, :64] for level in levels]),
        "no brighter than the darks": (levels[1], [levels[0], levels[2], levels[2]]),
        "all alike": (darks, copies),
        "does not grow": (quiet[0], quiet[1:]),
    }.items():
        with pytest.raises(MeasurementError) as caught:
            characterize(*frames)
        assert words in str(caught.value) and "\n" not in str(caught.value), (words, str(caught.value))
    for words, text in {
        "not read": "x = [",
        "unknown key": "offset = 3.0",
        "is missing": "[sensor]\noffset_adu = 3.0",
        "are tables": "sensor = 1",
    }.items():
        (tmp_path / "broken.toml").write_text(text)
        with pytest.raises(MeasurementError) as caught:
            read_characteristics(tmp_path / "broken.toml")
        assert words in str(caught.value) and "\n" not in str(caught.value), (words, str(caught.value))
    with pytest.raises(MeasurementError, match="not read"):
        read_characteristics(tmp_path / "nowhere.toml")
