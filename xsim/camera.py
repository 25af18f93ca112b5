"""One very camera at work: electrons, fixed pattern, means of frames, and the corrections of its station."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from xsim.backend import Backend
from xsim.calibration import Calibration
from xsim.electronics import Sensor
from xsim.fixed_pattern import FixedPattern, draw_words, normals
from xsim.sensor import CLEAN_STEP_ADU

__all__ = ["Camera", "NoiseLaw"]

ROW_NOISE, COLUMN_NOISE = 18, 19  # streams
UNBOUNDED = 3.0e38  # full well of a sensor that has none
OUTPUT_END_ADU = 65535.0  # a station's files hold 16 bits, whatever the ADC
TakeLight = Callable[[int, int], Any]


@dataclass(frozen=True)
class NoiseLaw:
    """Variance of noisy = slope x + constant, x with its pedestal.

    A flat field raises the slope of a pixel by its factor, the constant by its square: where the open beam is shaded
    the law is that of the mean pixel, and ``shading`` the range of the factors.
    """

    slope_adu: float
    constant_adu2: float
    shading: tuple[float, float]


@dataclass(frozen=True)
class Camera:
    """A sensor with its own pattern, in a state of correction.

    Attributes
    ----------
    sensor : Sensor
    state : {"raw", "offset_corrected", "flat_field_corrected"}
    frames : int
        Exposures that one image is the mean of.
    dark_charge : float
        Mean dark signal of an exposure [electrons].
    pattern : FixedPattern
    columns : int
    pedestal_adu : float
        Grey value of no light in a corrected state.
    calibration : Calibration
    backend : Backend

    """

    sensor: Sensor
    state: str
    frames: int
    dark_charge: float
    pattern: FixedPattern
    columns: int
    pedestal_adu: float
    calibration: Calibration
    backend: Backend

    @property
    def black_adu(self) -> float:
        """Grey value of no light, in the camera's state."""
        return self.dark_adu if self.state == "raw" else self.pedestal_adu

    @property
    def dark_adu(self) -> float:
        """Grey value of no light in a raw frame of an ideal camera."""
        return self.sensor.offset_adu + self.sensor.adu_per_charge * self.dark_charge

    @property
    def saturation_adu(self) -> float:
        """Raw grey value at which a frame saturates: full well, or the end of the ADC."""
        full = self.sensor.full_well_e
        reach = UNBOUNDED if full is None else self.sensor.offset_adu + self.sensor.adu_per_charge * full
        return min(self.sensor.end_adu, reach)

    def read(
        self, light: Any, valid: Any, total: Any, seed: int, frame: int, exposures: int = 1, digitised: bool = True
    ) -> None:
        """Add one frame to ``total``, float32 [row, column] ADU, or the mean of several exposures whose light this is.

        The mean of several is not rounded: that of every frame adds its 1/12 ADU^2 to the read noise instead.
        """
        sensor, pattern, xp = self.sensor, self.pattern, self.backend.xp
        charge = sensor.adu_per_charge
        rounding = 0.0 if digitised else 1.0 / 12.0 / charge**2
        share = exposures**-0.5
        rows = light.shape[0]
        self.backend.launch(
            "read_electrons", -(-light.size // self.backend.lanes), light=xp.ascontiguousarray(light),
            gain_map=pattern.gain, dark_map=pattern.dark, offset_map=pattern.offset, flicker_map=pattern.flicker,
            row_noise=self.line_noise(sensor.row_noise_e * share, rows, ROW_NOISE, seed, frame),
            column_noise=self.line_noise(sensor.column_noise_e * share, self.columns, COLUMN_NOISE, seed, frame),
            total=total, valid=valid, seed=seed, pixels=light.size, pattern=pattern.gain.size, columns=self.columns,
            exposures=exposures, frame=frame, is_counted=sensor.has_electrons, is_digitised=digitised,
            electrons_per_kev=sensor.charge_per_kev, dark=self.dark_charge,
            full_well=UNBOUNDED if sensor.full_well_e is None else sensor.full_well_e,
            read_noise=share * (sensor.read_noise_charge**2 + rounding) ** 0.5, adu_per_electron=charge,
            offset=sensor.offset_adu, saturation=sensor.end_adu,
        )  # fmt: skip

    def line_noise(self, electrons: float, count: int, stream: int, seed: int, frame: int) -> Any:
        """Noise that the pixels of a row, or of a column, have in common in a frame, float32 [count]."""
        if electrons == 0.0:
            return self.backend.xp.zeros(count, np.float32)
        words = draw_words(np.array([frame]), np.arange(count), stream, seed, self.backend)
        return np.float32(electrons) * normals(words[0, :, 0], self.backend)

    def mean_raw(self, light: Any) -> Any:
        """Expected raw frame of mean light [repeat, pattern], exact away from the rails."""
        sensor, pattern, xp = self.sensor, self.pattern, self.backend.xp
        charge = np.float32(sensor.charge_per_kev) * light * pattern.gain + (
            np.float32(self.dark_charge) + pattern.dark
        )
        if sensor.full_well_e is not None:
            charge = xp.minimum(charge, np.float32(sensor.full_well_e))
        grey = np.float32(sensor.offset_adu) + np.float32(sensor.adu_per_charge) * (charge + pattern.offset)
        return xp.clip(grey, np.float32(0), np.float32(sensor.end_adu))

    def corrected(self, raw: Any) -> Any:
        """A raw image [repeat, pattern] as the station corrects it, not rounded."""
        if self.state == "raw":
            return raw
        ways = self.calibration
        image = raw - ways.dark
        if ways.flat is not None:
            image = image * ways.flat
        if ways.repair is not None:
            ways.repair.fill(image)
        return image + np.float32(self.pedestal_adu)

    def record(self, take_light: TakeLight, mean_light: Any, valid: Any, seed: int, frame: int) -> dict[str, Any]:
        """One image.

        Parameters
        ----------
        take_light : callable (seed, frame) -> float32 [row, column] keV
            Light of an exposure after its spread.
        mean_light : float32 [row, column] keV
        valid : uint8 [row, column]
            Set to 0 where an exposure saturated and where a pixel is bad.

        Returns
        -------
        dict with noisy, clean, noise, expected: float32 [row, column] ADU

        """
        xp = self.backend.xp
        total = xp.zeros(mean_light.shape, np.float32)
        for k in range(self.frames):
            each = frame * self.frames + k
            self.read(take_light(seed, each), valid, total, seed, each)
        shape = (-1, self.pattern.gain.size)
        valid.reshape(shape)[:, self.pattern.defects != 0] = 0
        light = mean_light.reshape(shape)
        end = np.float32(self.sensor.end_adu if self.state == "raw" else OUTPUT_END_ADU)
        image = self.corrected(total.reshape(shape) / np.float32(self.frames))
        noisy = xp.clip(xp.floor(image + np.float32(0.5)), np.float32(0), end)
        expected = xp.clip(self.corrected(self.mean_raw(light)), np.float32(0), end)
        clean = self.clean(light)
        found = {"noisy": noisy, "clean": clean, "noise": noisy - clean, "expected": expected}
        return {name: xp.ascontiguousarray(each.reshape(mean_light.shape)) for name, each in found.items()}

    def clean(self, light: Any) -> Any:
        """The ideal camera of this kind in this state, on the grid of 1/16 ADU; [repeat, pattern]."""
        xp, gain = self.backend.xp, np.float32(self.sensor.gain_adu_per_kev)
        signal = gain * light
        if self.calibration.ideal_flat is not None:
            signal = signal * self.calibration.ideal_flat
        limit = CLEAN_STEP_ADU * (2**23 - 1)
        grey = xp.clip(np.float32(self.black_adu) + signal, np.float32(0), np.float32(limit))
        scaled = grey * np.float32(1.0 / CLEAN_STEP_ADU)
        return xp.floor(scaled + np.float32(0.5)) * np.float32(CLEAN_STEP_ADU)

    def noise_law(self, quanta_slope_adu: float) -> NoiseLaw:
        """Law of one image; ``quanta_slope_adu`` is the share of X-ray quanta in the slope of a single raw frame."""
        sensor, n = self.sensor, self.frames
        gain = sensor.adu_per_charge
        slope = (quanta_slope_adu + (gain if sensor.has_electrons else 0.0)) / n
        electrons = sensor.read_noise_charge**2 + sensor.row_noise_e**2 + sensor.column_noise_e**2
        electrons += self.dark_charge if sensor.has_electrons else 0.0
        constant, rounding = (gain**2 * electrons + 1.0 / 12.0) / n, 1.0 / 12.0
        if self.state == "raw":
            return NoiseLaw(slope, constant + (rounding if n > 1 else 0.0) - slope * self.black_adu, (1.0, 1.0))
        factors = np.ones(1)
        if self.calibration.ideal_flat is not None:
            factors = self.backend.to_numpy(self.calibration.ideal_flat).astype(np.float64)
        slope *= float(factors.mean())
        constant *= float((factors**2).mean())
        shading = float(factors.min()), float(factors.max())
        return NoiseLaw(slope, constant + rounding - slope * self.black_adu, shading)

    def describe(self, quanta_slope_adu: float) -> dict[str, Any]:
        """Metadata of a frame that differ from those of a camera whose pixels are all alike; JSON-able."""
        law, ways = self.noise_law(quanta_slope_adu), self.calibration
        return {
            "frames": self.frames,
            "offset_adu": self.black_adu,
            "saturation_adu": self.saturation_adu,
            "dark_e": self.dark_charge if self.sensor.has_electrons else None,
            "gain_adu_per_e": self.sensor.adu_per_charge if self.sensor.has_electrons else None,
            "bad_pixel_share": float((self.pattern.defects != 0).mean()),
            "interpolated_defects": ways.repair is not None,
            "a_pixel_adu": law.slope_adu,
            "b_adu2": law.constant_adu2,
            "flat_factors": list(law.shading),
        }
