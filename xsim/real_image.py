"""A real image at its station: black level, open beam, the background's thickness, and what made its noise."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from xsim.absorption import beam_weights, dark_time_s
from xsim.backend import Backend
from xsim.background import Hardening, local_level
from xsim.errors import MeasurementError
from xsim.foreign_body import Window
from xsim.light_spread import LightSpread, light_spread
from xsim.open_beam import open_beam
from xsim.radiograph import period_of
from xsim.sampling import exposure_of
from xsim.scene import Scene
from xsim.thinning import Pixels, spread_over

__all__ = ["Background", "RealImage"]

OUTPUT_END_ADU = 65535.0
TURNS = 5
BRIGHT_PERCENT = 99.0  # of the pixels, that are not brighter than those that must show signal
BRIGHTER = 1.1  # than the open beam: more of it is told


@dataclass(frozen=True)
class Background:
    """What an image shows already, and how the open beam's level is known.

    Attributes
    ----------
    material : str or dict, optional
        Stands for all that is in the beam; None: nothing is, or it hardens nothing.
    is_replaced : bool
        Whether bodies displace it (an inclusion) or come on top of it.
    open_beam_adu : float, optional
        Grey value of the open beam in the middle of the image.
    open_beam_percent : float, optional
        Or the percentile of the image that shows it. Without either, and without ``flat``, it follows from the
        station's exposure.
    flat, dark : array [row, column] or [frame, row, column], optional
        Frames of the open beam, and without radiation, in the state of the image.
    black_adu : float, optional
        Grey value of no light, where it is not the camera's own and there are no dark frames.

    """

    material: str | dict[str, Any] | None = None
    is_replaced: bool = True
    open_beam_adu: float | None = None
    open_beam_percent: float | None = None
    flat: np.ndarray | None = None
    dark: np.ndarray | None = None
    black_adu: float | None = None

    def __post_init__(self) -> None:
        ways = [n for n in ("open_beam_adu", "open_beam_percent", "flat") if getattr(self, n) is not None]
        if len(ways) > 1:
            raise MeasurementError(f"both {ways[0]} and {ways[1]} given (the open beam has one level) keep one")
        if self.open_beam_percent is not None and not 0 < self.open_beam_percent <= 100:
            raise MeasurementError(f"open_beam_percent = {self.open_beam_percent:g} (0 to 100) give a percentile")


@dataclass(frozen=True)
class RealImage:
    """What is known of an image before a body comes in; arrays are float64 [row, column].

    Attributes
    ----------
    black_adu, signal_adu, open_adu, thickness_mm
        Grey value of no light; mean signal above it, and that of the open beam; thickness of the background's material.
    hardening : Hardening
    spread : LightSpread
        Without lag.
    pixels : Pixels
    saturation_adu : float64 [row, column]
    end_adu : float
        Greatest grey value of the file.
    mean : float64 [row, column]
        Mean of the frames.
    noise_law : tuple of float
        Variance of a pixel = slope x signal + constant, of the middle of the image.

    """

    black_adu: np.ndarray
    signal_adu: np.ndarray
    open_adu: np.ndarray
    thickness_mm: np.ndarray
    hardening: Hardening
    spread: LightSpread
    pixels: Pixels
    saturation_adu: np.ndarray
    end_adu: float
    mean: np.ndarray
    noise_law: tuple[float, float]

    @classmethod
    def of(cls, stack: np.ndarray, scene: Scene, background: Background, backend: Backend) -> RealImage:
        """Of frames [frame, row, column] of a static scene at this station."""
        detector, sensor, run = scene.detector, scene.detector.sensor, scene.acquisition
        mas, spread = exposure_of(scene, scene.view), light_spread(detector)
        weights = beam_weights(scene, scene.view, mas)
        open_kev = np.asarray(backend.to_numpy(open_beam(scene, spread, weights, backend).light), np.float64)
        shape = stack.shape[1:]
        open_kev = np.broadcast_to(open_kev, shape)
        is_flat = run.state == "flat_field_corrected"
        factor = open_kev.mean() / open_kev if is_flat else np.ones(shape)
        black = black_of(scene, background, mas, shape)
        ceiling = (sensor.end_adu - sensor.offset_adu) * factor + black if run.state != "raw" else np.full(
            shape, min(sensor.end_adu, full_well_adu(scene)))  # fmt: skip
        gain = sensor.gain_adu_per_kev * factor
        whole = np.issubdtype(stack.dtype, np.integer)
        pixels, law = pixels_of(scene, spread, weights, gain, factor, mas, whole)
        mean = stack.mean(axis=0, dtype=np.float64)
        if not float(np.percentile(mean - black, BRIGHT_PERCENT)) > 0:
            raise MeasurementError(
                f"the image is no brighter than black ({float(black.mean()):.6g} ADU; it has no signal) check "
                "black_adu, the dark frames or the state"
            )
        end = sensor.end_adu if run.state == "raw" else OUTPUT_END_ADU
        end = min(end, float(np.iinfo(stack.dtype).max)) if whole else end
        ceiling = np.minimum(ceiling, end)
        known = np.asarray((stack < ceiling).all(axis=0))
        level = local_level(mean - black, law[0] / len(stack), law[1] / len(stack), known)
        hardening = Hardening.behind(weights, background.material)
        opened = open_level(mean - black, black, open_kev * gain, background, known)
        share = level / opened
        if background.material is not None and float((share > BRIGHTER).mean()) > 0.01:
            warnings.warn(
                f"{100 * float((share > BRIGHTER).mean()):.3g} % of the image is brighter than the open beam (by more "
                "than a tenth) check the exposure, or how the open beam's level is told", stacklevel=5,
            )  # fmt: skip
        thickness = np.round(hardening.thickness_mm(share), 4)
        return cls(black, level, opened, thickness, hardening, spread, pixels, ceiling, end, mean, law)

    def saturated(self, frame: np.ndarray, part: tuple[slice, slice]) -> np.ndarray:
        """Pixels of a part of a frame that hold no more than that they are full, bool."""
        return np.asarray(frame >= self.saturation_adu[part])

    def quanta_in(self, window: Window, backend: Backend) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Light of each depth class [keV] and the weight of a quantum [keV], [class, row, column], and thickness.

        Before the light spreads: at an edge of the part the image's level is that of both sides. The window may reach
        over the image's edges: there all is as at the edge.
        """
        above, beside = self.spread.margin
        wide = window[0] - above, window[1] + above, window[2] - beside, window[3] + beside
        rows = np.clip(np.arange(wide[0], wide[1]), 0, self.mean.shape[0] - 1)
        columns = np.clip(np.arange(wide[2], wide[3]), 0, self.mean.shape[1] - 1)
        at = np.ix_(rows, columns)
        seen = np.maximum(self.signal_adu[at], 0.0) / self.pixels.gain[at]
        inner = np.s_[above : len(rows) - above, beside : len(columns) - beside]
        shares = self.hardening.table[1][:, 0] / self.hardening.table[1][:, 0].sum()
        light = before_spread(seen, inner, shares, self.spread, backend)
        thickness = np.round(self.hardening.thickness_mm(light * (self.pixels.gain / self.open_adu)[at][inner]), 4)
        share, weight = self.hardening.of_classes(thickness)
        return np.round(light * share, 6), np.round(weight, 6), thickness

    def describe(self) -> dict[str, Any]:
        """Numbers for the metadata."""
        shape = self.mean.shape
        return {
            "black_adu": float(self.black_adu.mean()),
            "signal_adu": float(self.signal_adu[shape[0] // 2, shape[1] // 2]),
            "background_thickness_mm": [float(self.thickness_mm.min()), float(self.thickness_mm.max())],
            "a_pixel_adu": self.noise_law[0],
            "b_adu2": self.noise_law[1] - self.noise_law[0] * float(self.black_adu.mean()),
        }


def before_spread(
    seen: np.ndarray, inner: tuple[slice, slice], shares: np.ndarray, spread: LightSpread, backend: Backend
) -> np.ndarray:
    """Light that spreads to what is seen, within a frame of the spread's margin, float64 [row, column].

    A few turns of Richardson (J. Opt. Soc. Am. 62 (1972) 55) and Lucy's ratio alone: where nothing changes within a
    kernel it leaves all as it is.
    """
    light, wanted = seen.copy(), seen[inner]
    for _ in range(TURNS):
        found = spread_over(light * shares[:, None, None], spread, backend)
        light[inner] *= np.clip(wanted / np.maximum(found, 1e-9), 0.5, 2.0)
    return np.asarray(light[inner])


def full_well_adu(scene: Scene) -> float:
    """Grey value of a full pixel; infinite where none fills up."""
    sensor = scene.detector.sensor
    full = sensor.full_well_e
    return float("inf") if full is None else sensor.offset_adu + sensor.adu_per_charge * full


def black_of(scene: Scene, background: Background, mas: float, shape: tuple[int, ...]) -> np.ndarray:
    """Grey value of no light, float64 [row, column]."""
    if background.dark is not None:
        return frame_mean(background.dark, shape, "dark")
    if background.black_adu is not None:
        return np.full(shape, float(background.black_adu))
    sensor = scene.detector.sensor
    if scene.acquisition.state != "raw":
        return np.full(shape, scene.detector.correction.pedestal_adu)
    dark = sensor.dark_current_e_s * dark_time_s(scene, mas)
    return np.full(shape, sensor.offset_adu + sensor.adu_per_charge * dark)


def frame_mean(frames: np.ndarray, shape: tuple[int, ...], name: str) -> np.ndarray:
    """Mean of frames of the image's size."""
    stack = np.asarray(frames)
    stack = stack[None] if stack.ndim == 2 else stack
    if stack.shape[1:] != shape:
        raise MeasurementError(f"{name} frames of {stack.shape[1:]} pixels (the image has {shape}) take those of it")
    return np.asarray(stack.mean(axis=0, dtype=np.float64))


def open_level(
    signal: np.ndarray, black: np.ndarray, expected_adu: np.ndarray, background: Background, known: np.ndarray
) -> np.ndarray:
    """Signal of the open beam above black in each pixel [ADU]."""
    if background.flat is not None:
        flat = frame_mean(background.flat, signal.shape, "flat") - black
        found = local_level(flat, 0.0, float(flat.var()), known)
    elif background.open_beam_percent is not None:
        shading = expected_adu / expected_adu.max()
        found = shading * float(np.percentile((signal / shading)[known], background.open_beam_percent))
    elif background.open_beam_adu is not None:
        middle = signal.shape[0] // 2, signal.shape[1] // 2
        found = expected_adu * ((background.open_beam_adu - black[middle]) / expected_adu[middle])
    else:
        found = expected_adu
    if not (found > 0).all():
        raise MeasurementError("the open beam is no brighter than black (nothing can be told of it) check both levels")
    return found


def pixels_of(
    scene: Scene, spread: LightSpread, weights: Any, gain: np.ndarray, factor: np.ndarray, mas: float, whole: bool
) -> tuple[Pixels, tuple[float, float]]:
    """Noise of the station's images: what no light spreads, and the law of a whole pixel in the open beam."""
    detector, sensor, run = scene.detector, scene.detector.sensor, scene.acquisition
    n, charge = run.frames, sensor.adu_per_charge
    lag = light_spread(detector, period_of(scene, mas)).lag
    late = 1.0 if lag is None else lag.noise(None if spread.is_line else n)
    counted = detector.scintillator.light_photons_per_kev
    slope = (charge if sensor.has_electrons else 0.0) + (sensor.gain_adu_per_kev / counted if counted else 0.0)
    dark = sensor.dark_current_e_s * dark_time_s(scene, mas) if sensor.has_electrons else 0.0
    reading = charge**2 * (sensor.read_noise_charge**2 + sensor.row_noise_e**2 + sensor.column_noise_e**2 + dark)
    converted = 1.0 / 12.0 if n > 1 or run.state != "raw" or not whole else 0.0
    rounding = 1.0 / 12.0 if whole else 0.0
    constant = factor**2 * (reading + converted) / n
    seconds = weights.variance_kev2.sum(axis=1)
    quanta = sensor.gain_adu_per_kev * seconds.sum() / weights.signal_kev.sum() * spread.sum_squares(seconds)
    law = (late * quanta + slope) / n * float(factor.mean()), float(constant.mean()) + rounding
    return Pixels(gain, slope * factor / n, constant, rounding, late / n), law
