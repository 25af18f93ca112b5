"""Noise of raw and corrected frames from a camera's file: formulas against frames, simulated and of the tests' own."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from denoise.cli import main
from denoise.frame_noise import Told
from denoise.noise_facts import (
    NoiseLaw,
    camera_noise,
    column_noise,
    flat_factors,
    noise_of_corrected,
    read_law,
    smoothed,
)
from xsim import MeasurementError, ModelError, Scene, expose, scene_from_dict
from xsim.characterize import characterize, write_characteristics

COLUMNS = 128
BELT = {"belt_speed_m_s": 0.5, "line_rate_hz": 1875.0, "lines": 128}


def line_camera(**acquisition: Any) -> Scene:
    """One whose beam is shaded by a half (short distance), with columns of different sensitivity."""
    sensor = {"prnu_share": 0.03, "offset_adu": 300.0, "read_noise_adu": 20.0}
    camera = {"preset": "generic-line-400um", "columns": COLUMNS, "sensor": sensor, "correction": {"gain_frames": 64}}
    return scene_from_dict({
        "source": {"voltage_kv": 100, "filters": [{"material": "Al", "thickness_mm": 2.0}]},
        "geometry": {"sod_mm": 20.0, "sdd_mm": 30.0},
        "detector": {**camera, "pitch_mm": 0.4},
        "acquisition": {**BELT, **acquisition},
    })  # fmt: skip


def recorded(scene: Scene, seed: int, count: int) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*frame is black.*")
        exposure = expose(scene, "cpu")
    return np.stack([exposure.record(seed, frame).noisy for frame in range(count)])


@pytest.fixture(scope="module")
def belt() -> dict[str, Any]:
    """Darks, levels, and flat-field-corrected frames of an even beam."""
    return {
        "darks": recorded(line_camera(exposure_s=1e-12), 9, 8),
        "levels": [recorded(line_camera(target_gv=grey), k, 8) for k, grey in enumerate((0.1, 0.3, 0.6))],
        "corrected": recorded(line_camera(target_gv=0.2, state="flat_field_corrected"), 5, 24),
    }


def column_ratio(frames: np.ndarray, a: Any, b: Any, pieces: int = 16) -> np.ndarray:
    """Variance of the frames over the law's, in groups of neighbouring columns, [piece]."""
    mean = frames.mean(axis=(0, 1))
    ratio = frames.var(axis=0, ddof=1).mean(axis=0) / (a * mean + b)
    return ratio.reshape(pieces, -1).mean(axis=1)


def test_corrected_frames_have_the_noise_that_raw_ones_and_the_factors_tell(belt: dict[str, Any]) -> None:
    """Per column, of a belt camera shaded by more than a third: the law within 4 %, where one a and b for all columns
    is off by more than 12 %."""
    darks, levels, corrected = belt["darks"], belt["levels"], belt["corrected"]
    factors = flat_factors(levels[-1], darks.mean(axis=(0, 1)), per_column=True)
    assert factors.shape == (COLUMNS,) and factors.max() / factors.min() > 1.35
    raw = column_noise(darks, levels)
    law = smoothed(noise_of_corrected(*raw, factors=factors, dark_adu=darks.mean(axis=(0, 1))))
    assert np.abs(column_ratio(corrected, *law) - 1).max() < 0.04
    assert np.abs(np.diff(law.a_pixel_adu, 2)).max() < 0.002 * law.a_pixel_adu.mean()
    flat = noise_of_corrected(float(raw.a_pixel_adu.mean()), float(raw.b_adu2.mean()), dark_adu=darks.mean())
    assert np.abs(column_ratio(corrected, *flat) - 1).max() > 0.12


def test_a_camera_file_gives_the_law_of_every_state(belt: dict[str, Any], tmp_path: Path) -> None:
    """One a and b of raw frames, and the frames of the correction, suffice for 4 %: sensitivities cancel."""
    darks, levels, corrected = belt["darks"], belt["levels"], belt["corrected"]
    found = characterize(darks, levels)
    write_characteristics(tmp_path / "camera.toml", found)
    assert camera_noise(tmp_path / "camera.toml") == (found.a_pixel_adu, found.b_adu2)
    law = camera_noise(tmp_path / "camera.toml", "flat_field_corrected", dark=darks, flat=levels[-1], per_column=True)
    assert np.abs(column_ratio(corrected, *law) - 1).max() < 0.04
    dark, lit = darks[:, :8, :8], levels[-1][:, :8, :8]
    by_pixel = camera_noise(tmp_path / "camera.toml", "flat_field_corrected", dark=dark, flat=lit)
    assert by_pixel.a_pixel_adu.shape == (8, 8)
    a, b = camera_noise(tmp_path / "camera.toml", "offset_corrected", pedestal_adu=100.0)
    assert a == pytest.approx(found.a_pixel_adu)
    assert a * 600 + b == pytest.approx(found.a_pixel_adu * (500 + found.offset_adu) + found.b_adu2 + 1 / 12)


def test_the_law_of_a_mean_of_frames_of_the_tests_own() -> None:
    """White noise of a known law, corrected and averaged by hand: 2 % in 0.9 million values."""
    generator = np.random.default_rng(0)
    a, b, dark, factors, pedestal = 0.7, -50.0, 200.0, np.array([[0.6], [1.0], [1.9]]), 30.0
    x = np.array([900.0, 2000.0, 4000.0])[:, None]
    raw = x + np.sqrt(a * x + b) * generator.standard_normal((4, 3, 300_000))
    y = (factors * (raw - dark) + pedestal).mean(axis=0)
    law = noise_of_corrected(a, b, factors=factors, dark_adu=dark, pedestal_adu=pedestal, frames=4, is_rounded=False)
    wanted = law.a_pixel_adu * y.mean(axis=1, keepdims=True) + law.b_adu2
    np.testing.assert_allclose(y.var(axis=1), wanted[:, 0], rtol=0.02)


def test_columns_of_the_tests_own_are_found_one_by_one() -> None:
    generator = np.random.default_rng(1)
    a, b = np.linspace(0.3, 0.9, 16), np.linspace(20.0, 60.0, 16)
    flicker = 1 + 0.02 * generator.standard_normal((3, 12, 1, 1))
    light = np.linspace(1.0, 1.5, 16)

    def frames(level: float, drift: Any) -> np.ndarray:
        mean = 100 + level * light * drift
        shape = (12, 512, 16)
        return mean + np.sqrt(a * (mean - 100) + b) * generator.standard_normal(shape)

    law = column_noise(
        frames(0.0, 1.0), [frames(level, drift) for level, drift in zip((500, 2e3, 6e3), flicker, strict=True)]
    )
    np.testing.assert_allclose(law.a_pixel_adu, a, rtol=0.06)
    np.testing.assert_allclose(law.b_adu2 + 100 * law.a_pixel_adu, b, rtol=0.08)


def test_a_smoothed_law_follows_shading_and_no_single_pixel() -> None:
    generator = np.random.default_rng(2)
    row, column = np.mgrid[:96, :128] / 128
    shading = 1 + 0.4 * (column - 0.4) ** 2 + 0.3 * (row - 0.3) ** 2
    law = smoothed(NoiseLaw(shading * (1 + 0.03 * generator.standard_normal(shading.shape)), 5.0 * shading))
    np.testing.assert_allclose(law.a_pixel_adu, shading, rtol=0.005)
    np.testing.assert_allclose(law.b_adu2, 5.0 * shading, rtol=1e-9)
    line = smoothed(NoiseLaw(shading[0], shading[0]))
    np.testing.assert_allclose(line.a_pixel_adu, shading[0], rtol=1e-9)


def test_a_dead_pixel_keeps_its_value() -> None:
    flat = np.full((4, 4), 500.0)
    flat[1, 2] = 101.0
    factors = flat_factors(flat, 100.0)
    assert factors[1, 2] == 1.0
    np.testing.assert_allclose(np.delete(factors.ravel(), 6), 1.0)


def test_the_command_writes_what_others_read(
    belt: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    camera, out = tmp_path / "camera.toml", tmp_path / "noise.npz"
    write_characteristics(camera, characterize(belt["darks"], belt["levels"]))
    np.save(tmp_path / "flat.npy", belt["levels"][-1])
    np.save(tmp_path / "dark.npy", belt["darks"])
    told = ["noise", str(camera), "--raw-dark", str(tmp_path / "dark.npy"), "--per-column", "-o", str(out)]
    assert main(told) == 2 and "give the raw flat" in capsys.readouterr().err and not out.exists()
    told += ["--raw-flat", str(tmp_path / "flat.npy")]
    assert main(told) == 0 and f"shape ({COLUMNS},)" in capsys.readouterr().out
    dark, flat = belt["darks"], belt["levels"][-1]
    law = camera_noise(camera, "flat_field_corrected", dark=dark, flat=flat, per_column=True)
    for found, wanted in zip(read_law(out), law, strict=True):
        np.testing.assert_array_equal(found, wanted)
    with pytest.raises(ModelError, match="that of flat_field_corrected frames"):
        Told.of(file=out, state="raw")
    assert Told.of(file=out, state="flat_field_corrected").noise is not None
    assert main(told) == 2 and "--force" in capsys.readouterr().err
    assert main([*told[:-5], "-o", str(tmp_path / "noise.toml")]) == 2 and ".npz" in capsys.readouterr().err
    (tmp_path / "broken.npz").write_text("no arrays")
    with pytest.raises(MeasurementError, match="holds no a and b"):
        read_law(tmp_path / "broken.npz")
    with pytest.raises(MeasurementError, match="not read"):
        read_law(tmp_path / "none.npz")


def test_what_is_missing_is_said_in_one_line(tmp_path: Path, belt: dict[str, Any]) -> None:
    path = tmp_path / "camera.toml"
    write_characteristics(path, characterize(belt["darks"], belt["levels"]))
    with pytest.raises(MeasurementError, match="give the raw flat"):
        camera_noise(path, "flat_field_corrected")
    with pytest.raises(MeasurementError, match="unknown state 'log'"):
        camera_noise(path, "log")
    with pytest.raises(MeasurementError, match="not read"):
        camera_noise(tmp_path / "none.toml")
    with pytest.raises(MeasurementError, match="no brighter than the dark"):
        flat_factors(belt["darks"], 400.0)
    with pytest.raises(MeasurementError, match="above 0"):
        noise_of_corrected(1.0, 0.0, factors=[1.0, 0.0])
    with pytest.raises(MeasurementError, match="too few lines"):
        column_noise(belt["darks"][:2, :4], [belt["levels"][0][:2, :4]])
    with pytest.raises(MeasurementError, match="two frames"):
        column_noise(belt["darks"][:1], belt["levels"])
    with pytest.raises(MeasurementError, match="no brighter than the darks"):
        column_noise(belt["darks"], [belt["darks"] - 1])
