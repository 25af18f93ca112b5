"""The kernel of a sensor beside the same chain in NumPy, float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import special
from station import station
from test_kernels import random_words

from xsim.backend import Backend
from xsim.electronics import Sensor
from xsim.radiograph import expose

READ_NOISE, FLICKER = 1, 17  # streams of kernels/philox.h
ROWS, COLUMNS, SEED, FRAME = 37, 53, 12345678901, 7


def given(exposures: int, **changed: Any) -> dict[str, Any]:
    """Arguments of one frame: maps of one row of pixels for all rows, all effects at once."""
    generator = np.random.default_rng(1)
    maps = {
        "light": generator.uniform(0, 9e4, (ROWS, COLUMNS)), "gain_map": generator.normal(1, 0.05, COLUMNS),
        "dark_map": generator.uniform(0, 40, COLUMNS), "offset_map": generator.normal(0, 30, COLUMNS),
        "flicker_map": np.where(np.arange(COLUMNS) % 5 == 0, 90.0, 0.0), "row_noise": generator.normal(0, 9, ROWS),
        "column_noise": generator.normal(0, 9, COLUMNS), "total": generator.uniform(0, 9, (ROWS, COLUMNS)),
    }  # fmt: skip
    numbers = {"electrons_per_kev": 0.7, "dark": 25.0, "full_well": 6e4, "read_noise": 12.0, "adu_per_electron": 0.25,
               "offset": 200.0, "saturation": 14000.0, "is_counted": False, "is_digitised": False}  # fmt: skip
    maps["light"] *= exposures
    return {**{k: v.astype(np.float32) for k, v in maps.items()}, **numbers, "exposures": exposures, **changed}


def launch(backend: Backend, args: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """What the kernel adds to the total, and the pixels that it leaves valid."""
    held = {k: backend.xp.asarray(v.copy()) if isinstance(v, np.ndarray) else v for k, v in args.items()}
    valid = backend.xp.ones((ROWS, COLUMNS), np.uint8)
    backend.launch(
        "read_electrons", -(-ROWS * COLUMNS // backend.lanes), **held, valid=valid, seed=SEED, frame=FRAME,
        pixels=ROWS * COLUMNS, pattern=COLUMNS, columns=COLUMNS,
    )  # fmt: skip
    return backend.to_numpy(held["total"]).astype(np.float64), backend.to_numpy(valid).astype(bool)


def words_of(backend: Backend, stream: int, draws: int = 1) -> np.ndarray:
    """First word of each draw of each pixel, uint32 [row, column, draw]."""
    counters = [[pixel, FRAME, stream, k] for pixel in range(ROWS * COLUMNS) for k in range(draws)]
    words = random_words(backend, counters, (SEED % 2**32, SEED >> 32))[:, 0]
    return words.reshape(ROWS, COLUMNS, draws)


def oracle(backend: Backend, args: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    n = args["exposures"]
    real = {k: v.astype(np.float64) if isinstance(v, np.ndarray) else v for k, v in args.items()}
    charge = real["electrons_per_kev"] * real["light"] / n * real["gain_map"] + real["dark"] + real["dark_map"]
    beside = real["offset_map"] + real["row_noise"][:, None] + real["column_noise"]
    words, left, ups = words_of(backend, FLICKER, -(-n // 32)), n, 0
    for k in range(words.shape[2]):
        ups = ups + np.bitwise_count(words[..., k] >> (32 - min(left, 32))).astype(int)
        left -= 32
    beside = beside + real["flicker_map"] * (2.0 * ups - n) / n
    u = ((words_of(backend, READ_NOISE)[..., 0] >> 9) + 0.5) / 2.0**23
    electrons = np.minimum(charge, real["full_well"]) + beside + real["read_noise"] * special.ndtri(u)
    grey = np.clip(real["offset"] + real["adu_per_electron"] * electrons, 0, real["saturation"])
    grey = np.floor(grey + 0.5) if real["is_digitised"] else grey
    return real["total"] + grey, (charge < real["full_well"]) & (grey < real["saturation"])


@pytest.mark.parametrize("exposures", [1, 3, 40])
def test_the_sensor_is_its_chain_in_numpy(backend: Backend, exposures: int) -> None:
    """Without the draw of electrons: 2e-6 of full scale; valid alike but where a pixel is that near its rail."""
    args = given(exposures)
    found, valid = launch(backend, args)
    wanted, sound = oracle(backend, args)
    assert np.abs(found - wanted).max() < 2e-6 * args["saturation"]
    assert 0.1 < sound.mean() < 0.95 and (valid != sound).sum() <= 1


def test_the_adc_rounds_to_the_nearest(backend: Backend) -> None:
    """Whole numbers; another than in NumPy only next to a half."""
    args = given(1, is_digitised=True, total=np.zeros((ROWS, COLUMNS), np.float32))
    found, (wanted, _) = launch(backend, args)[0], oracle(backend, args)
    assert np.array_equal(found, np.round(found)) and (found != wanted).mean() < 0.02
    assert np.abs(found - wanted).max() <= 1


def test_electrons_are_drawn_before_the_well_is_full(backend: Backend) -> None:
    """Beside the same frame without the draw: the charge's own Poisson noise, of mean and variance to 5 sigma."""
    quiet = {"read_noise": 0.0, "full_well": 1e9, "saturation": 1e9, "total": np.zeros((ROWS, COLUMNS), np.float32)}
    still, drawn = (launch(backend, given(4, is_counted=c, **quiet))[0] for c in (False, True))
    args = given(4, **quiet)
    charge = args["electrons_per_kev"] * args["light"] / 4 * args["gain_map"] + args["dark"] + args["dark_map"]
    z = (drawn - still) / (0.25 * np.sqrt(charge / 4))
    assert abs(z.mean()) < 5 / np.sqrt(z.size) and abs(z.var() - 1) < 5 * np.sqrt(2 / z.size)


@pytest.mark.parametrize("times", [1.1, 1e3, 1e6, 1e12])
def test_a_pixel_far_beyond_its_full_well_is_white_and_not_valid(backend: Backend, times: float) -> None:
    """Means of 1e5 to 1e17 electrons: none wraps to a dark pixel."""
    light = np.full((ROWS, COLUMNS), times * 6e4 / 0.7 / 0.7, np.float32)
    found, valid = launch(backend, given(1, light=light, is_counted=True, total=np.zeros_like(light)))
    assert not valid.any()
    assert (found == 14000).all()


@pytest.mark.parametrize("counted", [None, 50.0])
def test_an_overexposed_camera_records_white(backend: Backend, counted: float | None) -> None:
    """1e3 full wells of an electron camera, and as much of light that is counted; 1e11 quanta a pixel."""
    charge = {"electrons_per_kev": 1e4, "gain_adu_per_kev": None, "gain_adu_per_e": 0.01, "full_well_e": 6e6,
              "read_noise_e": 1e3, "read_noise_adu": None}  # fmt: skip
    sensor, screen = ({}, {"light_photons_per_kev": counted}) if counted else (charge, {})
    scene = station(acquisition={"quanta_per_pixel": 1e11}, sensor=sensor, scintillator=screen, shape=(24, 40))
    image = expose(scene, backend).record(1)
    white = 65535 if counted else 300 + 0.01 * 6e6 - 100
    assert image.noisy.min() >= white and not image.valid.any()
    assert image.metadata["saturated_share"] == 1.0


@pytest.mark.parametrize(
    "charge",
    [
        {"electrons_per_kev": 1e308},
        {"electrons_per_kev": 1e-200, "fill_factor": 1e-200},
        {"electrons_per_kev": 1e-300},
        {"electrons_per_kev": 1e-13},
    ],
)
@pytest.mark.parametrize("gain", [{"gain_adu_per_kev": 0.04}, {"gain_adu_per_e": 0.04}])
def test_a_charge_that_no_float_holds_is_refused(charge: dict[str, float], gain: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="no sensor collects"):
        Sensor.model_validate({**charge, **gain})
