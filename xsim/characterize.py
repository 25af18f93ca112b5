"""A camera's characteristics from static frames: darks and flats at three levels or more.

Offset and read noise come from the darks; the slope of the noise over the signal, for every lag between pixels, from
all levels together. Its value at lag 0 is the pixelwise slope a_pixel; its power at zero frequency the gain in ADU per
quantum-equivalent; its shape the pixel response. A quantum-equivalent is what a quantum of this beam weighs in the
noise: M2 / M1 for energies of moments M1 and M2, fluctuations of the light included.
"""

from __future__ import annotations

import tomllib
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field, ValidationError

from xsim.correlation import autocovariance
from xsim.errors import MeasurementError, one_line
from xsim.image_io import write_whole
from xsim.noise_power import frames_of, noise_power_at_zero, periodogram, temporal_noise
from xsim.pixel_response import ASSUMPTION, pixel_response
from xsim.schema import NonNegative, Number, Positive, StrictModel, first_problem

__all__ = ["Characteristics", "characterize", "read_characteristics", "write_characteristics"]

LEAST_LEVELS = 3
REACH_PX = 24
CLIPPED_SHARE = 1e-3
ROUNDING_ADU2 = 1.0 / 12.0
SENSOR_FIELDS = ("offset_adu", "read_noise_adu", "gain_adu_per_kev")  # as a detector names them


class Characteristics(StrictModel):
    """What static frames tell of a camera. Variance of a pixel = a_pixel_adu * x + b_adu2, x with its offset.

    ``gain_adu_per_kev`` follows from the gain where the energy that a quantum weighs was told. ``pixelwise_over_gain``
    is a_pixel over the gain: sum h^2 for light that spreads by h; ``response_sum_squares`` is the same sum of the
    response found. ``linearity_percent`` is the greatest distance of a level's variance from the line. The first level
    of the lists are the darks.
    """

    pitch_mm: Positive | None = None
    offset_adu: Number
    read_noise_adu: NonNegative
    gain_adu_per_kev: Positive | None = None
    gain_adu_per_quantum: Positive
    a_pixel_adu: Positive
    b_adu2: Number
    pixelwise_over_gain: Positive
    response_sum_squares: Positive
    linearity_percent: NonNegative
    level_mean_adu: tuple[Number, ...]
    level_variance_adu2: tuple[NonNegative, ...]
    level_frames: tuple[Annotated[int, Field(strict=True, ge=2)], ...]
    rows: Annotated[int, Field(strict=True, gt=0)]
    columns: Annotated[int, Field(strict=True, gt=0)]
    pixel_response: tuple[tuple[NonNegative, ...], ...]

    @property
    def kernel(self) -> np.ndarray:
        """Pixel response, float64 [2 n + 1, 2 n + 1], not negative, sum 1."""
        return np.array(self.pixel_response)


@dataclass(frozen=True)
class Level:
    """Temporal noise of one level: its mean, autocovariance and power [row, column], zero frequency first."""

    mean_adu: float
    covariance: np.ndarray
    power: np.ndarray
    frames: int

    @property
    def variance_adu2(self) -> float:
        """Of a pixel."""
        middle = self.covariance.shape[0] // 2
        return float(self.covariance[middle, middle])


def characterize(
    darks: np.ndarray,
    levels: Sequence[np.ndarray],
    pitch_mm: float | None = None,
    quantum_kev: float | None = None,
    reach_px: int = REACH_PX,
) -> Characteristics:
    """Gain, offset, noise and pixel response of a camera.

    Parameters
    ----------
    darks : [frame, row, column] ADU
        Two or more without radiation.
    levels : sequence of [frame, row, column] ADU
        Three or more light levels of the open beam, two frames or more of each, raw or offset-corrected like the darks.
    pitch_mm : float, optional
        Noted in the result.
    quantum_kev : float, optional
        Energy that a quantum of this beam weighs, M2 / M1 of what the screen absorbs; of one energy, that energy.
    reach_px : int
        Greatest lag that is looked at.

    Raises
    ------
    MeasurementError
        Too few levels or frames, frames of different size, or noise that does not grow with the signal.

    """
    shape = frames_of(darks).shape[1:]
    if min(shape) < 4 * reach_px:
        raise MeasurementError(
            f"frames of {shape[0]} x {shape[1]} pixels are too small (lags up to {reach_px}) take more"
        )
    dark = level_of(darks, shape, reach_px)
    lit = [level_of(stack, shape, reach_px) for stack in levels if not clipped(stack)]
    lit.sort(key=lambda level: level.mean_adu)
    check_levels(dark, lit)
    whole = all(np.issubdtype(frames_of(s).dtype, np.integer) or not (s[0] % 1).any() for s in (darks, *levels))
    found = summed_up(dark, lit, shape, ROUNDING_ADU2 if whole else 0.0)
    gain = None if quantum_kev is None else found.gain_adu_per_quantum / quantum_kev
    return found.model_copy(update={"pitch_mm": pitch_mm, "gain_adu_per_kev": gain})


def check_levels(dark: Level, lit: Sequence[Level]) -> None:
    if len(lit) < LEAST_LEVELS:
        raise MeasurementError(f"{len(lit)} usable light levels (three at least give a line and its error) add levels")
    if any(level.variance_adu2 <= 0 for level in lit):
        raise MeasurementError("the frames of a level are all alike (noise is what differs) give independent frames")
    if lit[0].mean_adu <= dark.mean_adu:
        raise MeasurementError(
            f"a level of mean {lit[0].mean_adu:.6g} ADU is no brighter than the darks, {dark.mean_adu:.6g} (levels "
            "need radiation) check which frames are the darks"
        )


def level_of(frames: np.ndarray, shape: tuple[int, ...], reach_px: int) -> Level:
    stack = frames_of(frames)
    if len(stack) < 2:
        raise MeasurementError("a level of one frame (noise is what differs between frames) give two or more of each")
    if stack.shape[1:] != shape:
        raise MeasurementError(
            f"frames of {stack.shape[1:]} beside {shape} pixels (one camera, one size) cut them alike"
        )
    power = np.zeros(shape)
    covariance = np.zeros((2 * reach_px + 1,) * 2)
    for noise in temporal_noise(stack):
        power += periodogram(noise)
        covariance += autocovariance(noise, reach_px)
    count = len(stack)
    return Level(float(stack.mean(dtype=np.float64)), covariance / count, power / count, count)


def clipped(frames: np.ndarray) -> bool:
    """Whether the frames reach full scale: their greatest value is met far too often, but for little noise rounded."""
    stack = frames_of(frames)
    share = float((stack == stack.max()).mean())
    if share <= CLIPPED_SHARE or (share < 0.5 and float(stack[0].std()) <= 1.0):
        return False
    warnings.warn(
        f"the level of mean {stack.mean(dtype=np.float64):.6g} ADU is left out ({100 * share:.3g} % of its pixels are "
        "at the greatest value: saturated) lower its exposure",
        stacklevel=3,
    )
    return True


def summed_up(dark: Level, lit: Sequence[Level], shape: tuple[int, ...], rounding_adu2: float) -> Characteristics:
    """Slopes of covariance and power over the signal, levels weighted by what each knows of them."""
    signal = np.array([level.mean_adu - dark.mean_adu for level in lit])
    variance = np.array([level.variance_adu2 for level in lit])
    degrees = np.array([level.frames - 1.0 for level in lit])
    weight = degrees * (signal / variance) ** 2
    weight /= weight.sum()
    slope = sum(w * (level.covariance - dark.covariance) / x for w, level, x in zip(weight, lit, signal, strict=True))
    power = sum(w * (level.power - dark.power) / x for w, level, x in zip(weight, lit, signal, strict=True))
    gain = noise_power_at_zero(np.asarray(power))
    response = pixel_response(np.asarray(slope), gain, int(degrees.sum()) * shape[0] * shape[1])
    a_pixel = float(np.asarray(slope)[tuple(n // 2 for n in np.asarray(slope).shape)])
    line = dark.variance_adu2 + a_pixel * signal
    return Characteristics(
        offset_adu=dark.mean_adu,
        read_noise_adu=float(np.sqrt(max(dark.variance_adu2 - rounding_adu2, 0.0))),
        gain_adu_per_quantum=gain,
        a_pixel_adu=a_pixel,
        b_adu2=dark.variance_adu2 - a_pixel * dark.mean_adu,
        pixelwise_over_gain=a_pixel / gain,
        response_sum_squares=response.sum_squares,
        linearity_percent=100 * float(np.abs(variance / line - 1).max()),
        level_mean_adu=tuple(level.mean_adu for level in (dark, *lit)),
        level_variance_adu2=tuple(level.variance_adu2 for level in (dark, *lit)),
        level_frames=tuple(level.frames for level in (dark, *lit)),
        rows=shape[0],
        columns=shape[1],
        pixel_response=tuple(tuple(float(v) for v in row) for row in response.kernel),
    )


def write_characteristics(path: Path, found: Characteristics) -> None:
    """Write a TOML file that ``read_characteristics`` reads: pitch and [sensor] as in a detector, the rest as [noise].

    Raises
    ------
    OutputError
        It cannot be written.

    """
    values = found.model_dump(exclude={"pixel_response"}, exclude_none=True)
    lines = ["# What static frames tell of a camera; docs/measuring.md says how each number is found."]
    lines += entries({k: v for k, v in values.items() if k == "pitch_mm"})
    lines += ["", "[sensor]  # fields of a detector"]
    lines += entries({k: v for k, v in values.items() if k in SENSOR_FIELDS})
    lines += ["", "[noise]"]
    lines += entries({k: v for k, v in values.items() if k not in (*SENSOR_FIELDS, "pitch_mm")})
    lines.append(f"# Point response per pixel; assumed: {ASSUMPTION}.")
    lines.append("pixel_response = [")
    lines += [f"  [{', '.join(f'{v:.6e}' for v in row)}]," for row in found.pixel_response]
    text = "\n".join([*lines, "]", ""])
    write_whole(path, lambda target: target.write_text(text, encoding="utf-8"))


def entries(values: Mapping[str, Any]) -> list[str]:
    """Lines of TOML for numbers and lists of numbers."""
    return [f"{name} = {list(value) if isinstance(value, tuple) else value!r}" for name, value in values.items()]


def read_characteristics(path: Path) -> Characteristics:
    """Read a file of ``write_characteristics``.

    Raises
    ------
    MeasurementError
        It is missing, no TOML, or holds something else.

    """
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
        tables = [found.pop(name, {}) for name in ("sensor", "noise")]
        if not all(isinstance(table, dict) for table in tables):
            raise ValueError("sensor and noise are tables")
        return Characteristics(**found, **tables[0], **tables[1])
    except OSError as error:
        raise MeasurementError(f"{path} not read ({error.strerror or error}) check the path") from error
    except ValidationError as error:
        raise MeasurementError(f"{path}: {first_problem(error)}") from error
    except (TypeError, ValueError) as error:  # TypeError: a field that two tables give
        raise MeasurementError(f"{path} not read ({one_line(error)}) give a file of xsim characterize") from error
