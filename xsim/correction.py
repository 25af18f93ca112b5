"""Dark and gain frames: a camera made ready to record in a state of correction."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from xsim.backend import Backend
from xsim.calibration import Calibration, flat_factors, plan_repair
from xsim.camera import Camera
from xsim.detector import Detector
from xsim.fixed_pattern import camera_key, fixed_pattern

__all__ = ["OpenBeam", "camera_of"]

GREATEST_DRAW = 2.0**28  # electrons of one Poisson draw
OF_READING, OF_GAIN_QUANTA = 1, 2  # purposes of a camera's keys; 0 is its pattern


@dataclass(frozen=True)
class OpenBeam:
    """The beam without bodies, that gain frames are taken in.

    Attributes
    ----------
    light : float32 [row, column] keV
        Mean of one exposure; of a line camera one row.
    draw : callable (factor, seed, frame) -> float32 [row, column] keV
        Light drawn at ``factor`` times that exposure.

    """

    light: Any
    draw: Callable[[float, int, int], Any]


def camera_of(
    detector: Detector,
    rows: int,
    exposure_s: float,
    backend: Backend,
    state: str = "raw",
    frames: int = 1,
    open_beam: OpenBeam | None = None,
) -> Camera:
    """A camera ready to record.

    Parameters
    ----------
    detector : Detector
    rows : int
        Rows of pixels that differ: 1 of a line camera.
    exposure_s : float
        Time over which a pixel collects dark current, of one frame or of a line over all its stages.
    backend : Backend
    state, frames
        As in ``Acquisition``.
    open_beam : OpenBeam
        What gain frames show; needed for ``"flat_field_corrected"``.

    """
    sensor = detector.sensor
    pattern = fixed_pattern(sensor, rows, detector.columns, backend)
    dark, pedestal = sensor.dark_current_e_s * exposure_s, detector.correction.pedestal_adu
    raw = Camera(sensor, "raw", frames, dark, pattern, detector.columns, pedestal, Calibration(), backend)
    return raw if state == "raw" else calibrated(raw, detector, rows, state, open_beam)


def calibrated(raw: Camera, detector: Detector, rows: int, state: str, open_beam: OpenBeam | None) -> Camera:
    """The camera after its dark and gain frames have been taken."""
    ways, xp = detector.correction, raw.backend.xp
    key = camera_key(raw.sensor.serial, OF_READING)
    black = xp.zeros((rows, raw.columns), np.float32)
    dark = mean_of_frames(raw, ways.dark_frames, lambda n, frame: black, key, 2 * ways.session)
    flat = ideal = repair = None
    if state == "flat_field_corrected":
        assert open_beam is not None
        middle = float(open_beam.light[rows // 2, raw.columns // 2])
        level = ways.gain_level * raw.sensor.full_scale_adu - raw.dark_adu
        factor = max(level, 1.0) / (raw.sensor.gain_adu_per_kev * middle)
        gain_key = camera_key(raw.sensor.serial, OF_GAIN_QUANTA)
        gain = mean_of_frames(
            raw, ways.gain_frames, lambda n, frame: open_beam.draw(factor * n, gain_key, frame), key,
            2 * ways.session + 1,
        )  # fmt: skip
        good = raw.pattern.defects == 0
        flat = flat_factors(gain - dark, good, xp)
        ideal = flat_factors(open_beam.light.reshape(-1), xp.ones_like(good), xp)
    if ways.interpolate_defects:
        repair = plan_repair(raw.backend.to_numpy(raw.pattern.defects).reshape(rows, raw.columns), xp)
    return replace(raw, state=state, calibration=Calibration(dark, flat, ideal, repair))


def mean_of_frames(camera: Camera, frames: int, light_of: Callable[[int, int], Any], seed: int, series: int) -> Any:
    """Mean of frames for a correction, float32 [pattern] ADU, drawn as one exposure or as few as the draws allow."""
    xp, total, done = camera.backend.xp, None, 0
    greatest = camera.sensor.full_scale_adu / camera.sensor.adu_per_charge
    most = max(1, int(GREATEST_DRAW / (2.0 * greatest)))
    part = 0
    while done < frames:
        n = min(most, frames - done)
        light = light_of(n, (1024 * series + part) % 2**32)
        mean, valid = xp.zeros(light.shape, np.float32), xp.ones(light.shape, np.uint8)
        camera.read(light, valid, mean, seed, (1024 * series + part) % 2**32, n, digitised=False)
        share = np.float32(n / frames) * mean
        total = share if total is None else total + share
        done, part = done + n, part + 1
    assert total is not None
    return total.reshape(-1)
