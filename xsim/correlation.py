"""Correlation of the noise of neighbouring pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import fft

from xsim.errors import MeasurementError
from xsim.noise_power import detrended, frames_of, temporal_noise

__all__ = ["NeighbourCorrelation", "autocovariance", "neighbour_correlation"]


@dataclass(frozen=True)
class NeighbourCorrelation:
    """How the noise of a pixel goes with that of its neighbours.

    Attributes
    ----------
    coefficient : float64 [2 reach + 1, 2 reach + 1]
        Autocovariance over the variance; 1 in the middle.
    variance_adu2 : float
        Of a pixel.
    along_columns, along_rows, diagonal : float
        Coefficient with the next pixel in the row, in the column, and across the corner (mean of both diagonals).
    sum_percent : float
        Sum of all coefficients but the middle one, in percent; for white quanta spread by a kernel h of sum 1 it is
        100 (1 / sum h^2 - 1).

    """

    coefficient: np.ndarray
    variance_adu2: float
    along_columns: float
    along_rows: float
    diagonal: float
    sum_percent: float


def neighbour_correlation(frames: np.ndarray, reach_px: int = 8) -> NeighbourCorrelation:
    """Correlation of the noise of flat frames.

    Two frames or more of one scene: the noise is what differs between them, without fixed pattern. A single one is
    freed of its trend (polynomial of second order) instead.

    Parameters
    ----------
    frames : [row, column] or [frame, row, column] ADU
    reach_px : int
        Greatest lag.

    Raises
    ------
    MeasurementError
        No noise, or frames smaller than four times the reach.

    """
    stack = frames_of(frames)
    if min(stack.shape[1:]) < 4 * reach_px + 1:
        raise MeasurementError(
            f"frames of {stack.shape[1]} x {stack.shape[2]} pixels are too small for lags of {reach_px} pixels "
            "(four times as much at least) lower the reach"
        )
    noise = temporal_noise(stack) if len(stack) > 1 else iter([detrended(stack[0])])
    covariance = np.mean([autocovariance(frame, reach_px) for frame in noise], axis=0)
    variance = float(covariance[reach_px, reach_px])
    if variance <= 0:
        raise MeasurementError("the frames differ in nothing (no noise to correlate) give independent frames")
    rho = covariance / variance
    r = reach_px
    return NeighbourCorrelation(
        rho, variance, float(rho[r, r + 1]), float(rho[r + 1, r]),
        float(0.5 * (rho[r + 1, r + 1] + rho[r + 1, r - 1])), float(100 * (rho.sum() - 1)),
    )  # fmt: skip


def autocovariance(noise: np.ndarray, reach_px: int) -> np.ndarray:
    """Mean of n(x) n(x + d) over the pairs inside a frame, for every lag d up to the reach.

    The frame's mean has been taken away, and with it the sum of the autocovariance over the number of pixels from every
    lag; that is put back.

    Parameters
    ----------
    noise : float64 [row, column]
        Of mean 0.
    reach_px : int

    Returns
    -------
    float64 [2 reach + 1, 2 reach + 1]

    """
    rows, columns = noise.shape
    padded = [fft.next_fast_len(n + reach_px, real=True) for n in (rows, columns)]
    sums = fft.irfft2(np.abs(fft.rfft2(noise, padded)) ** 2, padded)
    at = np.arange(-reach_px, reach_px + 1)
    found = sums[np.ix_(at, at)] / np.outer(rows - np.abs(at), columns - np.abs(at))
    total = found.sum() / (1.0 - found.size / (rows * columns))
    return np.asarray(found + total / (rows * columns))
