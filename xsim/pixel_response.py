"""The response of a camera's pixels to one quantum's light, from the correlation of the noise it leaves.

White quanta of power G per ADU of signal, spread by a kernel h of sum 1, have the noise power G |H(f)|^2: what the
noise keeps of h is its autocorrelation. Which h it was takes an assumption. Here h is even along both axes and its
transform H is real and not negative (zero phase), as for light that spreads the same to all sides from where it is
made; so H is the root of the noise power. A response with a negative lobe in H, or one that leans to a side, is not
found.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xsim.errors import MeasurementError

__all__ = ["ASSUMPTION", "PixelResponse", "noise_power_at_zero", "pixel_response"]

ASSUMPTION = "even along both axes, real and non-negative transform (zero phase), non-negative values of sum 1"
LEAST_POWER = 0.3  # of the noise power at zero: how far the extrapolation to zero looks
MOST_CYCLES_PER_PX = 0.2
SIGNIFICANT = 2.0  # standard errors of a ring's mean


@dataclass(frozen=True)
class PixelResponse:
    """Point response per pixel, and the white power it was found with.

    Attributes
    ----------
    kernel : float64 [2 n + 1, 2 n + 1]
        Not negative, of sum 1.
    sum_squares : float
        Of the kernel.
    reach_px : int
        Greatest lag at which the autocovariance still stood out of its error.

    """

    kernel: np.ndarray
    sum_squares: float
    reach_px: int


def noise_power_at_zero(power: np.ndarray) -> float:
    """Limit of a noise power spectrum at zero frequency.

    Rings of the spectrum are averaged, and 1 / sqrt(ring) is fitted by a polynomial of second order in f^2 (which a
    Lorentzian transfer function is exactly) over the frequencies at which 0.3 of the power is left, at most
    0.2 / pixel. The ring around zero, emptied by the means taken away, is left out.

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


def pixel_response(covariance: np.ndarray, white: float, pixels: int) -> PixelResponse:
    """Point response from the autocovariance of the noise.

    Lags beyond the last ring that stands out of its error count as 0; within it, what the sum of the lags misses of the
    noise power at zero, which is known better, is shared out among them evenly.

    Parameters
    ----------
    covariance : float64 [2 reach + 1, 2 reach + 1]
        Of the light's noise alone.
    white : float
        Noise power at zero frequency over the area of a pixel, that is the variance the quanta had before they
        spread; in the unit of the covariance.
    pixels : int
        That the covariance was averaged over, of all frames.

    Raises
    ------
    MeasurementError
        The variance does not stand out of its error.

    """
    reach = covariance.shape[0] // 2
    even = 0.25 * (covariance + covariance[::-1] + covariance[:, ::-1] + covariance[::-1, ::-1])
    if white <= 0 or even[reach, reach] < 5 * white / np.sqrt(pixels):
        raise MeasurementError(
            "the noise does not grow with the signal (no quanta to measure with) use brighter levels"
        )
    at = np.arange(-reach, reach + 1)
    radial = np.hypot(at[:, None], at[None, :])
    end = significant_reach(even, radial, white / np.sqrt(pixels))
    inside = radial <= end + 0.5
    if end > 0:
        even = even + (white - even[inside].sum()) / inside.sum()
    size = 4 * reach + 4
    padded = np.zeros((size, size))
    padded[np.ix_(at, at)] = np.where(inside, even, 0.0)
    point = np.fft.ifft2(np.sqrt(np.maximum(np.fft.fft2(padded).real, 0.0))).real[np.ix_(at, at)]
    kernel = np.maximum(np.where(inside, point, 0.0), 0.0)
    kernel = kernel[reach - end : reach + end + 1, reach - end : reach + end + 1]
    kernel = kernel / kernel.sum()
    return PixelResponse(kernel, float((kernel**2).sum()), end)


def significant_reach(even: np.ndarray, radial: np.ndarray, error: float) -> int:
    """Radius before the first ring whose mean does not stand out of its error.

    ``error`` is that of a lag whose neighbours' errors are independent; those of a spread light are not, for which
    the white power over the root of the number of pixels stands.
    """
    ring = np.rint(radial).astype(int)
    count = np.bincount(ring.ravel())
    mean = np.bincount(ring.ravel(), even.ravel()) / count
    reach = even.shape[0] // 2
    weak = np.nonzero(mean[1 : reach + 1] < SIGNIFICANT * error / np.sqrt(0.5 * count[1 : reach + 1]))[0]
    return int(weak[0]) if len(weak) else reach
