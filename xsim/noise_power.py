"""Noise power spectrum of flat images by the method of IEC 62220-1-1."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import fft

from xsim.errors import MeasurementError

__all__ = [
    "NoisePower",
    "NoisePowerCut",
    "detrended",
    "frames_of",
    "noise_power",
    "noise_power_at_zero",
    "periodogram",
    "temporal_noise",
]

STRIP_LINES, STRIP_ROI_PX = 7, 256  # seven lines on either side of the axis in a transform of 256 pixels
BAND_CYCLES_PER_PX = 0.02  # f +- 0.01 / pitch
LEAST_POWER = 0.3  # of the noise power at zero: how far the extrapolation to zero looks
MOST_CYCLES_PER_PX = 0.2
MOST_LAG_PX = 24

Window = Literal["none", "hann"]


@dataclass(frozen=True)
class NoisePowerCut:
    """A one-dimensional spectrum: the lines beside an axis, averaged in bands of 0.02 / pitch.

    Attributes
    ----------
    frequency_per_mm : float64 [band]
        Mean radial frequency of a band's points.
    nps_adu2_mm2, nnps_mm2 : float64 [band]
        Noise power, and the same over the mean signal squared.
    points : int64 [band]
        Points of the two-dimensional spectrum that a band holds.

    """

    frequency_per_mm: np.ndarray
    nps_adu2_mm2: np.ndarray
    nnps_mm2: np.ndarray
    points: np.ndarray


@dataclass(frozen=True)
class NoisePower:
    """Noise power spectrum, two-dimensional and along both axes.

    Attributes
    ----------
    frequency_u_per_mm, frequency_v_per_mm : float64 [column], [row]
        Along the columns' index (u) and the rows' (v), ascending, 0 in the middle.
    nps_adu2_mm2 : float64 [row, column]
    mean_adu : float
        Mean signal above the offset.
    along_u, along_v : NoisePowerCut
    rois : int
        Regions averaged.
    roi_px : int

    """

    frequency_u_per_mm: np.ndarray
    frequency_v_per_mm: np.ndarray
    nps_adu2_mm2: np.ndarray
    mean_adu: float
    along_u: NoisePowerCut
    along_v: NoisePowerCut
    rois: int
    roi_px: int


def noise_power(
    frames: np.ndarray,
    pitch_mm: float,
    roi_px: int = 256,
    offset_adu: float = 0.0,
    detrend: bool = True,
    window: Window = "none",
) -> NoisePower:
    """Noise power of flat frames.

    Regions of roi_px x roi_px that overlap by half; from each frame a two-dimensional polynomial of second order fitted
    to all of it is taken away first. One-dimensional spectra come from the seven lines on either side of each axis
    (as many more or fewer as roi_px is from 256), the axis left out, each point at its radial frequency.

    Parameters
    ----------
    frames : [row, column] or [frame, row, column] ADU
        Linear in exposure; raw or corrected.
    pitch_mm : float
    roi_px : int
    offset_adu : float
        Pixel value without radiation; the normalised spectrum is relative to what is above it.
    detrend : bool
        False where the frames are differences already.
    window : {"none", "hann"}
        What a region is weighted with. The standard's is none, whose sidelobes carry noise from strong to weak
        frequencies: where the power falls to 1/34 at the Nyquist frequency, 2 % too much there. Hann's carry none, at
        1.9 times the variance of regions that do not overlap.

    Raises
    ------
    MeasurementError
        The frames are smaller than a region.

    Source: IEC 62220-1-1:2015, 5.2 and 6.3.

    """
    stack = frames_of(frames)
    rows, columns = stack.shape[1:]
    if roi_px < 16 or min(rows, columns) < roi_px:
        raise MeasurementError(
            f"frames of {rows} x {columns} pixels hold no region of {roi_px} (16 at least) use a smaller one"
        )
    power, rois = np.zeros((roi_px, roi_px)), 0
    for frame in stack:
        for part in regions(detrended(frame) if detrend else np.asarray(frame, np.float64), roi_px):
            power += periodogram(part, window)
            rois += 1
    power = np.fft.fftshift(power) * (pitch_mm**2 / rois)
    frequency = np.fft.fftshift(np.fft.fftfreq(roi_px, pitch_mm))
    mean = float(stack.mean(dtype=np.float64)) - offset_adu
    cuts = [cut(p, frequency, pitch_mm, mean) for p in (power, power.T)]
    return NoisePower(frequency, frequency, power, mean, cuts[0], cuts[1], rois, roi_px)


def frames_of(frames: np.ndarray) -> np.ndarray:
    """Frames as [frame, row, column].

    Raises
    ------
    MeasurementError
        They are of another shape.

    """
    stack = np.asarray(frames)
    stack = stack[None] if stack.ndim == 2 else stack
    if stack.ndim != 3 or stack.size == 0:
        raise MeasurementError(f"an array of shape {stack.shape} is no image (rows, columns) give one or a stack")
    return stack


def temporal_noise(frames: np.ndarray) -> Iterator[np.ndarray]:
    """What each frame differs by from the mean of all, scaled to the full variance.

    Without what an exposure that differs from the others' brings: a mean, and the fixed pattern and shading again.

    Parameters
    ----------
    frames : [frame, row, column], two or more

    Yields
    ------
    float64 [row, column]

    """
    count = len(frames)
    mean = frames.mean(axis=0, dtype=np.float64)
    pattern = mean - mean.mean()
    weight = max(float(np.vdot(pattern, pattern)), 1e-300)
    for frame in frames:
        noise = (frame - mean) * np.sqrt(count / (count - 1))
        noise -= noise.mean()
        yield noise - pattern * (np.vdot(noise, pattern) / weight)


def detrended(frame: np.ndarray) -> np.ndarray:
    """Frame less the polynomial of second order in row and column that fits it best, float64 [row, column]."""
    pixels = np.asarray(frame, np.float64)
    rows, columns = (np.linalg.qr(np.vander(np.linspace(-1, 1, n), 3, increasing=True))[0] for n in pixels.shape)
    share = rows.T @ pixels @ columns
    share[np.add.outer(np.arange(3), np.arange(3)) > 2] = 0
    return np.asarray(pixels - rows @ share @ columns.T)


def regions(noise: np.ndarray, roi_px: int) -> Iterator[np.ndarray]:
    """Parts of a frame that overlap by half."""
    down, along = (range(0, n - roi_px + 1, roi_px // 2) for n in noise.shape)
    yield from (noise[i : i + roi_px, j : j + roi_px] for i in down for j in along)


def periodogram(noise: np.ndarray, window: Window = "none") -> np.ndarray:
    """Power of a region per pixel, zero frequency first; of white noise its variance at every frequency.

    Parameters
    ----------
    noise : float64 [row, column]
    window : {"none", "hann"}

    Returns
    -------
    float64 [row, column]

    """
    rows, columns = noise.shape
    weight = np.ones(noise.shape)
    if window == "hann":
        weight = np.outer(*(np.sin(np.pi * (np.arange(n) + 0.5) / n) ** 2 for n in noise.shape))
    half = np.abs(fft.rfft2(noise * weight)) ** 2 / (weight**2).sum()
    mirrored = half[-np.arange(rows), 1 : (columns + 1) // 2][:, ::-1]
    return np.hstack([half, mirrored])


def cut(power: np.ndarray, frequency: np.ndarray, pitch_mm: float, mean_adu: float) -> NoisePowerCut:
    """One-dimensional spectrum along the last axis, up to the Nyquist frequency."""
    size = len(frequency)
    lines = max(1, round(STRIP_LINES * size / STRIP_ROI_PX))
    beside = size // 2 + np.concatenate([np.arange(-lines, 0), np.arange(1, lines + 1)])
    radial = np.hypot(frequency[beside][:, None], frequency[None, :])
    band = np.rint(radial * pitch_mm / BAND_CYCLES_PER_PX).astype(int)
    inside = (band > 0) & (radial * pitch_mm <= 0.5)
    count = np.bincount(band[inside])
    full = count > 0
    at = np.bincount(band[inside], radial[inside])[full] / count[full]
    nps = np.bincount(band[inside], power[beside][inside])[full] / count[full]
    nnps = nps / mean_adu**2 if mean_adu != 0 else np.full_like(nps, np.nan)
    return NoisePowerCut(at, nps, nnps, count[full])


def noise_power_at_zero(power: np.ndarray) -> float:
    """Limit of a noise power spectrum at zero frequency.

    Rings of the spectrum are averaged, and 1 / sqrt(ring) is fitted by a polynomial of second order in f^2 (which a
    Lorentzian transfer function is exactly) over the frequencies at which 0.3 of the power is left, at most
    0.2 / pixel. The ring around zero, emptied by the means taken away, is left out, and what the border keeps from
    correlating with pixels beyond it is put back first.

    Parameters
    ----------
    power : [row, column]
        Of a whole transform, zero frequency first (as by ``numpy.fft.fft2``); any unit.

    Raises
    ------
    MeasurementError
        Too few frequencies: the frames are too small.

    """
    rows, columns = power.shape
    power = power + lost_power(power)
    radial = np.hypot(np.fft.fftfreq(rows)[:, None], np.fft.fftfreq(columns)[None, :])
    ring = (radial * 0.5 * min(rows, columns)).astype(int)
    inside = (ring > 0) & (radial <= MOST_CYCLES_PER_PX)
    count = np.bincount(ring[inside])[1:]
    if len(count) < 4 or count.min() == 0:
        raise MeasurementError(
            f"noise power at zero not found in {rows} x {columns} pixels (too few) use larger frames"
        )
    mean = np.bincount(ring[inside], power[inside])[1:] / count
    squared = np.bincount(ring[inside], radial[inside] ** 2)[1:] / count
    end = len(mean)
    while True:
        zero, last = extrapolated(mean[:end], squared[:end], count[:end])
        if last >= LEAST_POWER * zero or end <= 4:
            return zero
        end = max(int(0.9 * end), 4)


def lost_power(power: np.ndarray) -> np.ndarray:
    """What a power lacks because a lag has fewer pairs than there are pixels; for lags up to MOST_LAG_PX."""
    lags = [np.abs(np.fft.fftfreq(n, 1.0 / n)) for n in power.shape]
    near = [(lag <= min(MOST_LAG_PX, len(lag) // 4)).astype(float) for lag in lags]
    more = [kept / (1.0 - lag / len(lag)) for kept, lag in zip(near, lags, strict=True)]
    return np.asarray(fft.fft2(fft.ifft2(power).real * (np.outer(*more) - np.outer(*near))).real)


def extrapolated(mean: np.ndarray, squared: np.ndarray, count: np.ndarray) -> tuple[float, float]:
    """Power at zero and at the last ring, by the fit; twice, so that the errors are relative to the fit itself."""
    if (mean * count).sum() <= 0:
        raise MeasurementError(
            "the noise does not grow with the signal (no quanta to measure with) use brighter levels"
        )
    scale = squared / squared[-1]
    order = min(2, len(mean) - 2)
    fitted = np.full(len(mean), float((mean * count).sum() / count.sum()))
    for _ in range(3):
        # 1 / sqrt of the power about the fit, in the first order of what a ring is off by: no bias from its noise
        root = fitted**-0.5 * (1.5 - 0.5 * mean / fitted)
        weight = np.sqrt(count * fitted)
        polynomial = np.polyfit(scale, root, order, w=weight)
        fitted = np.maximum(np.polyval(polynomial, scale), 1e-3 * float(root.max())) ** -2
    return float(max(polynomial[-1], 1e-3 * float(root.max())) ** -2), float(fitted[-1])
