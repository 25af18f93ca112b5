"""Photon transfer: the variance of a pixel against its mean, from what frames differ by (EMVA 1288, Janesick)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from xsim.errors import MeasurementError
from xsim.noise_power import frames_of, noise_power_at_zero, periodogram, temporal_noise

__all__ = ["LevelNoise", "PhotonTransfer", "level_noise", "photon_transfer"]

LINEAR_SHARE = 0.7  # of the full well, as EMVA 1288 fits
FALLEN = 0.9  # a variance below this share of the greatest, at a higher mean, is that of a full well


@dataclass(frozen=True)
class PhotonTransfer:
    """Photon transfer curve and the line through it.

    Attributes
    ----------
    mean_adu, variance_adu2 : float64 [level]
        By ascending mean; the mean with its offset.
    used : bool [level]
        Levels of the fit.
    slope_adu, slope_error_adu : float
        Pixelwise slope and its standard error. With light that spreads by h it is gain times sum h^2, not the gain.
    intercept_adu2 : float
        Variance of the line at a mean of 0 ADU.
    gain_adu : float or None
        The same slope of the noise power at zero frequency over the area of a pixel: ADU per quantum-equivalent,
        however the light spreads. None where the frames are too small or too quiet for it.
    full_well_adu : float or None
        Mean at the greatest variance; None where the variance grows to the last level.

    """

    mean_adu: np.ndarray
    variance_adu2: np.ndarray
    used: np.ndarray
    slope_adu: float
    slope_error_adu: float
    intercept_adu2: float
    gain_adu: float | None
    full_well_adu: float | None


@dataclass(frozen=True)
class LevelNoise:
    """Temporal noise of a level.

    Attributes
    ----------
    mean_adu, variance_adu2 : float
        Of a pixel.
    power_adu2 : float64 [row, column]
        Noise power over the area of a pixel, zero frequency first.
    degrees : float
        Independent values that the variance is as well known as: pixels times frames but one, less what neighbours
        share.

    """

    mean_adu: float
    variance_adu2: float
    power_adu2: np.ndarray
    degrees: float


def photon_transfer(levels: Sequence[np.ndarray]) -> PhotonTransfer:
    """Photon transfer curve of flat frames.

    Parameters
    ----------
    levels : sequence of [frame, row, column] ADU
        Two frames or more of each level; a dark level may be among them.

    Raises
    ------
    MeasurementError
        Fewer than two levels, a level of one frame, levels of different size, or no noise at all.

    Source: EMVA Standard 1288, release 4.0 linear, 6.5 to 6.7: what the frames of a level differ by counts, no fixed
    pattern (the standard's difference of two frames, where there are two), and the line is fitted to 70 % of the full
    well. The gain at zero frequency is not the standard's.

    """
    if len(levels) < 2:
        raise MeasurementError(f"{len(levels)} level given (a slope needs two) add frames at another exposure")
    points = sorted((level_noise(level) for level in levels), key=lambda point: point.mean_adu)
    sizes = {point.power_adu2.shape for point in points}
    if len(sizes) > 1:
        raise MeasurementError(f"levels of {len(sizes)} sizes given (one camera, one size) cut them alike")
    mean = np.array([point.mean_adu for point in points])
    variance = np.array([point.variance_adu2 for point in points])
    if not variance.any():
        raise MeasurementError("the frames of every level are all alike (no noise) give independent frames")
    top = int(np.argmax(variance))
    full = bool((variance[top + 1 :] < FALLEN * variance[top]).any())
    used = mean <= LINEAR_SHARE * mean[top] if full else np.ones(len(mean), bool)
    if used.sum() < 2 or mean[used][0] == mean[used][-1]:
        raise MeasurementError("fewer than two levels below 70 % of the full well (no slope) add darker ones")
    slope, error, intercept, gain = fitted([point for point, kept in zip(points, used, strict=True) if kept])
    return PhotonTransfer(mean, variance, used, slope, error, intercept, gain, float(mean[top]) if full else None)


def fitted(points: Sequence[LevelNoise]) -> tuple[float, float, float, float | None]:
    """Slope of the variance over the mean, its error, its intercept, and the slope of the power at zero frequency."""
    variance = np.array([point.variance_adu2 for point in points])
    error = variance * np.sqrt(2.0 / np.array([point.degrees for point in points]))
    weight = 1.0 / np.maximum(error, 1e-9 * float(variance.max()))
    design = np.column_stack([[point.mean_adu for point in points], np.ones(len(points))]) * weight[:, None]
    line = np.linalg.pinv(design) * weight  # [slope and intercept, level]
    slope, intercept = line @ variance
    gain = gain_of(np.tensordot(line[0], [point.power_adu2 for point in points], 1))
    return float(slope), float(np.linalg.norm(line[0] / weight)), float(intercept), gain


def level_noise(frames: np.ndarray) -> LevelNoise:
    """Noise of the frames of one level, by what each differs by from the mean of all.

    Raises
    ------
    MeasurementError
        There is one frame only.

    """
    stack = frames_of(frames)
    count, pixels = len(stack), stack[0].size
    if count < 2:
        raise MeasurementError("one frame of a level (its noise is told from its pattern by two) give two or more")
    variance, power = 0.0, np.zeros(stack.shape[1:])
    for noise in temporal_noise(stack):
        variance += float((noise**2).sum()) / (pixels - 1) / count
        power += periodogram(noise) / count
    squared = float((power**2).mean()) / (1.0 + 1.0 / (count - 1))  # a periodogram scatters by its own size
    degrees = (count - 1) * pixels * (min(variance**2 / squared, 1.0) if squared > 0 else 1.0)
    return LevelNoise(float(stack.mean(dtype=np.float64)), variance, power, degrees)


def gain_of(power: np.ndarray) -> float | None:
    try:
        return noise_power_at_zero(power)
    except MeasurementError:
        return None
