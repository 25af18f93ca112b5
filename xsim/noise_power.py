"""Noise power spectrum of flat images by the method of IEC 62220-1-1."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xsim.errors import MeasurementError

__all__ = ["NoisePower", "NoisePowerCut", "detrended", "frames_of", "noise_power"]

STRIP_LINES, STRIP_ROI_PX = 7, 256  # seven lines on either side of the axis in a transform of 256 pixels
BAND_CYCLES_PER_PX = 0.02  # f +- 0.01 / pitch


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
    frames: np.ndarray, pitch_mm: float, roi_px: int = 256, offset_adu: float = 0.0, detrend: bool = True
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
    step = roi_px // 2
    places = [(i, j) for i in range(0, rows - roi_px + 1, step) for j in range(0, columns - roi_px + 1, step)]
    power = np.zeros((roi_px, roi_px))
    for frame in stack:
        noise = detrended(frame) if detrend else np.asarray(frame, np.float64)
        for i, j in places:
            power += np.abs(np.fft.fft2(noise[i : i + roi_px, j : j + roi_px])) ** 2
    rois = len(places) * len(stack)
    power = np.fft.fftshift(power) * (pitch_mm**2 / (roi_px**2 * rois))
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


def detrended(frame: np.ndarray) -> np.ndarray:
    """Frame less the polynomial of second order in row and column that fits it best, float64 [row, column]."""
    pixels = np.asarray(frame, np.float64)
    rows, columns = (np.linalg.qr(np.vander(np.linspace(-1, 1, n), 3, increasing=True))[0] for n in pixels.shape)
    share = rows.T @ pixels @ columns
    share[np.add.outer(np.arange(3), np.arange(3)) > 2] = 0
    return np.asarray(pixels - rows @ share @ columns.T)


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
