"""Another camera: a model of one set of cameras restores its frames once `xsim characterize` has told a and b."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import datagen

pytest.importorskip("torch")

import denoise

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

from restoration.other_camera import CAMERAS, Characterized, Station, settings_of

CORPUS = """
[corpus]
name = "drawn-cameras"
scenes = {scenes}
seed = 4
shard_samples = 16
[source]
voltage_kv = {{ uniform = [60, 140] }}
filters = [{{ material = "Al", thickness_mm = 2.0 }}]
[acquisition]
quanta_per_pixel = {{ log_uniform = [30, 3000] }}
{camera_raw}
{camera_corrected}
[[body]]
name = "block"
shape = "box"
size_mm = [{{ uniform = [4, 12] }}, {{ uniform = [4, 12] }}, {{ uniform = [4, 20] }}]
material = {{ choice = ["PMMA", "Al"] }}
rotation_deg = [0, 0, {{ uniform = [0, 180] }}]
[[body]]
name = "sphere"
shape = "sphere"
count = {{ integers = [2, 8] }}
radius_mm = {{ log_uniform = [0.2, 1.5] }}
material = "Al"
inside = "block"
"""
CAMERA = """
[[detector]]
name = "{state}"
preset = "generic-gos-200um"
rows = {side}
columns = {side}
acquisition = {{ state = "{state}" }}
scintillator = {{ light_spread_h_mm2 = {{ log_uniform = [0.02, 2.0] }} }}
[detector.sensor]
read_noise_adu = {{ log_uniform = [1, 10] }}
"""
STATES = ("raw", "flat_field_corrected")


def trained(folder: Path, scenes: int, side: int, **settings: Any) -> denoise.Restorer:
    """A model of panels of one kind, whose light spreads little or far, raw and corrected."""
    cameras = {
        f"camera_{name}": CAMERA.format(state=state, side=side)
        for name, state in zip(("raw", "corrected"), STATES, strict=True)
    }
    (folder / "drawn.toml").write_text(CORPUS.format(scenes=scenes, **cameras))
    datagen.generate(folder / "drawn.toml", folder / "drawn.zarr", progress=False)
    out = denoise.train(folder / "drawn.zarr", out=folder / "m.safetensors", progress=False, **settings)
    return denoise.load(out)


def figures(restorer: denoise.Restorer, camera: str, folder: Path, side: int, frames: int, quanta: float) -> Any:
    told = Characterized.of(Station(camera, side), folder)
    return {state: settings_of(restorer, told, state, quanta, 0, frames) for state in STATES}


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> denoise.Restorer:
    settings = {"steps": 60, "batch": 8, "crop": 32, "learning_rate": 6e-3, "warm_up": 10}
    return trained(tmp_path_factory.mktemp("hasty"), 24, 48, **settings)


@pytest.mark.parametrize("camera", ["dexela-2923-like", "generic-linescan-gos-400um"])
def test_a_camera_of_another_make_is_restored(hasty: denoise.Restorer, camera: str, tmp_path: Path) -> None:
    """After seconds of training: 3 dB over noisy, raw and corrected, the line camera by columns, and no bias of the
    whole image above 0.1 %, which ten frames of 96 x 96 tell to 0.04 %."""
    for found in figures(hasty, camera, tmp_path, 96, 10, 100.0).values():
        assert found["gain_over_noisy_db"] > 3.0
        assert found["bias_percent"] < 0.1


@pytest.mark.slow
def test_cameras_that_ship_are_restored(tmp_path: Path) -> None:
    """Less than a minute of training on one core; every camera of the benchmark, both states, both doses."""
    settings = {"steps": 350, "batch": 16, "crop": 48, "learning_rate": 5e-3}
    restorer = trained(tmp_path, 160, 64, **settings)
    for camera in CAMERAS:
        for quanta in (100.0, 1000.0):
            for state, found in figures(restorer, camera, tmp_path, 192, 4, quanta).items():
                assert found["gain_over_noisy_db"] > 3.0, (camera, state, quanta, found)
                assert found["bias_percent"] < 0.1, (camera, state, quanta, found)


def test_noise_of_corrected_frames_told_pixel_by_pixel_would_draw_a_pattern(tmp_path: Path) -> None:
    """Why laws are smoothed: T of an even image, at a slope that scatters as sensitivities do, steps from pixel to
    pixel by more than the noise; at the smoothed slope it does not."""
    from denoise import vst
    from denoise.noise_facts import flat_factors, noise_of_corrected

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        told = Characterized.of(Station("dexela-2923-like", 96), tmp_path)
    dark = told.darks.mean(axis=0)
    raw = told.noise("raw", 0.0)
    rough = noise_of_corrected(*raw, factors=flat_factors(told.flats[-1], dark), dark_adu=float(dark.mean()))
    law = told.noise("flat_field_corrected", 0.0)
    steps = [np.diff(vst.forward(np.full((96, 96), 3000.0), *each), axis=1).std() for each in (rough, law)]
    assert steps[0] > 1.0 and steps[1] < 0.05
