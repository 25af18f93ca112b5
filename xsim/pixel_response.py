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

__all__ = ["ASSUMPTION", "PixelResponse", "pixel_response"]

ASSUMPTION = "even along both axes, real and non-negative transform (zero phase), non-negative values of sum 1"
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
