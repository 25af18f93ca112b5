"""Light to grey values: gain, offset, read noise, saturation and ADC; and the images kept apart."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from xsim.backend import Backend
from xsim.detector import Detector

__all__ = ["Readout", "readout_of", "record"]

CLEAN_STEP_ADU = 1.0 / 16.0
# The ideal response's grid reaches at least four times this [keV]: lone quanta over a dark mean still lie on it.
LEAST_REACH_KEV = 8192.0


@dataclass(frozen=True)
class Readout:
    """Numbers of one camera's electronics, as the kernel reads them.

    ``step`` and ``clean_step`` are powers of two and every value stays below 2^24 of them, so that
    noisy - clean and clean + noise are exact in float32.
    """

    gain_adu_per_kev: float
    offset_adu: float
    read_noise_adu: float
    saturation_adu: float
    step: float
    clean_step: float

    @property
    def clean_limit(self) -> float:
        """Greatest clean value that the grid holds exactly next to any noisy one."""
        return self.clean_step * (2**23 - 1)


def readout_of(detector: Detector, greatest_kev: float) -> Readout:
    """Electronics of a detector.

    Parameters
    ----------
    detector : Detector
    greatest_kev : float
        Greatest mean signal of the image. The ideal response has no ADC: its grid is a power of two in keV, 1/256
        or coarser, at least 2^20 steps below this, and ends at least four times above it.

    """
    if detector.response == "ideal":
        step = 2.0 ** (math.ceil(math.log2(max(greatest_kev, LEAST_REACH_KEV))) - 21)
        return Readout(1.0, 0.0, 0.0, step * (2**23 - 1), step, step)
    sensor = detector.sensor
    top = float(2**sensor.adc_bits - 1)
    saturation = top if sensor.saturation_adu is None else min(float(int(sensor.saturation_adu)), top)
    return Readout(
        sensor.gain_adu_per_kev,
        sensor.offset_adu,
        sensor.read_noise_adu,
        saturation,
        1.0,
        CLEAN_STEP_ADU,
    )


def record(
    light: Any,
    mean_light: Any,
    valid: Any,
    readout: Readout,
    seed: int,
    frame: int,
    backend: Backend,
) -> dict[str, Any]:
    """Read out one exposure.

    Parameters
    ----------
    light, mean_light : float32 [row, column] keV
        After the spread: of this exposure, and expected.
    valid : uint8 [row, column]
        Set to 0 where saturated.

    Returns
    -------
    dict with noisy, clean, noise, expected: float32 [row, column] ADU

    """
    xp = backend.xp
    images = {name: xp.empty(light.shape, np.float32) for name in ("noisy", "clean", "noise", "expected")}
    backend.launch(
        "read_out", -(-light.size // backend.lanes), light=light, mean_light=mean_light, valid=valid, seed=seed,
        pixels=light.size, frame=frame, gain=readout.gain_adu_per_kev, offset=readout.offset_adu,
        read_noise=readout.read_noise_adu, saturation=readout.saturation_adu, step=readout.step,
        inverse_step=1.0 / readout.step, clean_step=readout.clean_step,
        inverse_clean_step=1.0 / readout.clean_step, clean_limit=readout.clean_limit, **images,
    )  # fmt: skip
    return images
