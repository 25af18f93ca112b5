"""Taking the correlation out of a camera's noise, and putting it back.

The light of a quantum reaches the neighbours of the pixel it fell on, after the draw. So noise n is correlated, with
the power S(f), and its shape does not depend on the level where quanta make nearly all of it. A kernel h~ of sum 1
whose transfer function is the root of that power,

    H~(f) = sqrt(S(f) / S(0)),

takes white noise to noise like this, and division by it takes this noise to white noise:

    decorrelated = F^-1[ conj(H~) F[image] / max(|H~|^2, floor^2) ]

It is the root of the *total* noise power, read noise and all; the optical point response, which read noise has not
passed, is not it. Levels stay as they are (H~(0) = 1) and the variance grows by 1 / sum h~^2. Where quanta are all the
noise there is, the decorrelated image is the one before the light spread. `reblurred` leads back.

Images are ADU with or without their offset, float64 inside. Coefficients of correlation are [2 reach + 1, 2 reach + 1]
with 1 in the middle, kernels of the same shape.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import fft, ndimage

from xsim import MeasurementError
from xsim.quality import NeighbourCorrelation, neighbour_correlation

__all__ = [
    "FLOOR",
    "MOST_PERCENT",
    "REACH_PX",
    "Residual",
    "check_residual",
    "decorrelated",
    "noise_correlation",
    "noise_kernel",
    "reach_of",
    "reblurred",
    "residual_correlation",
    "variance_factor",
    "whitening_taps",
]

REACH_PX = 6  # a window of 13 x 13
REACHES_PX = (REACH_PX, 9, 12)
BEYOND = 0.02  # sum of the coefficients beyond a reach that is enough
FLOOR = 1e-2  # of the transfer function that is divided by
MOST_PERCENT = 20.0  # left over, beyond chance
PADDED_KERNELS = 4
BLINK, BLINK_PX = 30.0, 7  # times the variance around it: a pixel that blinks, whose noise is not the light's
VALUES, WIDEST_PX = 1000, 13  # that a variance is taken over: its own error goes with the noise and hides correlation
TAPS_LOST = 1e-3  # of the taps' sum of sizes

Root = Literal["fft", "toeplitz"]


@dataclass(frozen=True)
class Residual:
    """What correlation frames have left.

    Attributes
    ----------
    percent : float
        Sizes of the coefficients of all lags of the window but 0, added up.
    chance_percent : float
        What that sum is on average for white noise of as many pixels, made so by a kernel found on as many as it was.
    nearest : float
        Coefficient of next neighbours along a row or a column, the one of greater size.
    """

    percent: float
    chance_percent: float
    nearest: float


def noise_correlation(
    frames: np.ndarray, reach_px: int = REACH_PX, sd: np.ndarray | None = None
) -> NeighbourCorrelation:
    """Correlation of the noise of static frames, each pixel's noise in units of its standard deviation.

    Noise is what a frame differs by from the mean of all K, times sqrt(K / (K - 1)).

    Parameters
    ----------
    frames : [frame, row, column] ADU, two or more of one scene
    sd : float64 [row, column], optional
        Standard deviation of a pixel's noise in any unit, 0 where it does not count. Without it, that over the frames,
        smoothed over a window that is the smaller, the more frames there are; pixels that blink do not count then.

    Raises
    ------
    MeasurementError
        A single frame, no noise, or frames smaller than four times the reach.
    """
    stack = np.asarray(frames)
    if stack.ndim != 3 or len(stack) < 2:
        raise MeasurementError(f"frames of shape {stack.shape} tell no noise (two of one scene at least) give a stack")
    spread = _spread(stack) if sd is None else sd
    return neighbour_correlation(stack * np.where(spread > 0, 1.0 / np.where(spread > 0, spread, 1.0), 0.0), reach_px)


def _spread(stack: np.ndarray) -> np.ndarray:
    """Standard deviation of each pixel over the frames, float64 [row, column]; 0 where a pixel blinks."""
    variance = stack.var(axis=0, ddof=1, dtype=np.float64)
    around = ndimage.median_filter(variance, BLINK_PX)
    blinks = variance > BLINK * np.maximum(around, 1e-12)
    width = 2 * int(np.ceil((np.sqrt(VALUES / (len(stack) - 1)) - 1) / 2)) + 1
    smooth = ndimage.uniform_filter(np.where(blinks, around, variance), min(max(width, 1), WIDEST_PX))
    return np.where(blinks, 0.0, np.sqrt(np.maximum(smooth, 0.0)))


def reach_of(frames: np.ndarray) -> int:
    """Smallest reach of 6, 9 and 12 pixels beyond which the noise of static frames is not correlated, told from chance.

    What lies beyond the window of a kernel stays in the decorrelated image.

    Parameters
    ----------
    frames : [frame, row, column] ADU, two or more of one scene

    Raises
    ------
    MeasurementError
        As for `noise_correlation`.
    """
    most = max((reach for reach in REACHES_PX if 4 * reach < min(frames.shape[1:])), default=REACH_PX)
    coefficient = noise_correlation(frames, most).coefficient
    error = 1.0 / np.sqrt((len(frames) - 1) * frames[0].size)
    for reach in REACHES_PX:
        inner = slice(most - reach, most + reach + 1)
        lags = coefficient.size - (2 * reach + 1) ** 2
        if reach >= most or coefficient.sum() - coefficient[inner, inner].sum() < BEYOND + 3.0 * error * lags**0.5:
            break
    return min(reach, most)


def noise_kernel(coefficient: np.ndarray, root: Root = "fft") -> np.ndarray:
    """Kernel h~ of sum 1 with (h~ correlated with itself) ~ coefficient.

    Parameters
    ----------
    coefficient : float64 [2 n + 1, 2 n + 1]
        Autocorrelation of the noise, taken for even along both axes as light spreads.
    root : {"fft", "toeplitz"}
        Root of the power spectrum; or the middle row of the root of the window's covariance matrix, which takes what is
        outside the window for nothing and so is not exact.

    Returns
    -------
    float64 [2 n + 1, 2 n + 1]

    Raises
    ------
    MeasurementError
        The coefficients add up to nothing: noise without power at zero frequency has no such kernel.
    """
    side = coefficient.shape[0]
    even = 0.25 * sum(coefficient[::down, ::along] for down in (1, -1) for along in (1, -1))
    if not even.sum() > FLOOR**2 * np.abs(even).sum():
        raise MeasurementError("noise without power at zero frequency (frames high-pass filtered?) give raw frames")
    at = np.arange(side) - side // 2
    if root == "toeplitz":
        place = np.stack(np.meshgrid(at, at, indexing="ij"), axis=-1).reshape(-1, 2)
        lag = place[:, None] - place[None] + side // 2
        inside = ((lag >= 0) & (lag < side)).all(-1)
        held = np.clip(lag, 0, side - 1)
        matrix = np.where(inside, even[held[..., 0], held[..., 1]], 0.0)
        value, vector = np.linalg.eigh(matrix)
        middle = vector * np.sqrt(np.maximum(value, FLOOR**2 * value.max()))
        kernel = (middle @ vector.T)[len(place) // 2].reshape(side, side)
    else:
        grid = fft.next_fast_len(4 * side)
        padded = np.zeros((grid, grid))
        padded[np.ix_(at, at)] = even
        power = fft.fft2(padded).real
        kernel = fft.ifft2(np.sqrt(np.maximum(power, FLOOR**2 * power.max()))).real[np.ix_(at, at)]
    return np.asarray(kernel / kernel.sum())


def decorrelated(image: np.ndarray, kernel: np.ndarray, floor: float = FLOOR) -> np.ndarray:
    """Image with its noise made white.

    Parameters
    ----------
    image : [..., row, column] ADU
    kernel : float64 [2 n + 1, 2 m + 1]
        h~, of sum 1.
    floor : float
        Least size of H~ that is divided by: more amplification than 1 / floor no frequency gets.

    Returns
    -------
    float64 [..., row, column] ADU
    """
    return _filtered(image, kernel, lambda H: _inverse(H, floor))


def reblurred(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Image [..., row, column] convolved with h~, float64: from the decorrelated form back to the detector's."""
    return _filtered(image, kernel, lambda H: H)


def variance_factor(kernel: np.ndarray, floor: float = FLOOR) -> float:
    """What decorrelation multiplies the variance of noise of this kernel by: 1 / sum h~^2 unless the floor is met.

    So noise of Var x = a x + b has, decorrelated, a and b times this.
    """
    H = _transfer(kernel, [fft.next_fast_len(8 * length) for length in kernel.shape])
    power = np.abs(H) ** 2
    return float((power * np.abs(_inverse(H, floor)) ** 2).mean() / power.mean())


def whitening_taps(kernel: np.ndarray, floor: float = FLOOR) -> np.ndarray:
    """Decorrelation as a convolution of finite reach: its kernel, cut where a thousandth is left of the sizes.

    Returns
    -------
    float64 [2 n + 1, 2 n + 1], of sum 1
    """
    grid = fft.next_fast_len(8 * max(kernel.shape))
    point = fft.fftshift(fft.ifft2(_inverse(_transfer(kernel, [grid, grid]), floor)).real)
    middle, size = grid // 2, np.abs(point).sum()
    for reach in range(1, middle):
        taps = point[middle - reach : middle + reach + 1, middle - reach : middle + reach + 1]
        if np.abs(taps).sum() > (1 - TAPS_LOST) * size:
            break
    return np.asarray(taps / taps.sum())


def residual_correlation(frames: np.ndarray, reach_px: int = REACH_PX, kernel_pixels: float = float("inf")) -> Residual:
    """Correlation left in static frames after decorrelation; their border, where mirrored pixels mix in, aside.

    Parameters
    ----------
    frames : [frame, row, column] ADU, two or more
    reach_px : int
    kernel_pixels : float
        That the kernel was found on, where these are others.
    """
    inner = np.asarray(frames)[:, reach_px:-reach_px, reach_px:-reach_px]
    found = noise_correlation(inner, reach_px)
    return residual_of(found.coefficient, (len(inner) - 1) * inner[0].size, kernel_pixels)


def residual_of(coefficient: np.ndarray, pixels: int, kernel_pixels: float = float("inf")) -> Residual:
    """Sum of sizes of coefficients, measured on so many independent pixels."""
    middle = coefficient.shape[0] // 2
    nearest = max(coefficient[middle, middle + 1], coefficient[middle + 1, middle], key=abs)
    error = np.sqrt(1.0 / pixels + 1.0 / kernel_pixels)
    chance = 100.0 * (coefficient.size - 1) * np.sqrt(2.0 / np.pi) * error
    return Residual(float(100.0 * (np.abs(coefficient).sum() - 1.0)), float(chance), float(nearest))


def check_residual(residual: Residual, what: str = "the frames") -> None:
    """Refuse a decorrelation that has not worked.

    Raises
    ------
    MeasurementError
        More than 20 % of correlation beyond chance is left.
    """
    if residual.percent > MOST_PERCENT + residual.chance_percent:
        raise MeasurementError(
            f"{residual.percent:.3g} % of correlation is left in {what} (at most {MOST_PERCENT:g}, and "
            f"{residual.chance_percent:.2g} by chance; another camera, dose or state?) estimate the kernel anew"
        )


def _transfer(kernel: np.ndarray, shape: list[int]) -> np.ndarray:
    """H~ on the frequencies of a transform, complex128 [row, column], H~(0) = 1."""
    padded = np.zeros(shape)
    rows, columns = (np.arange(length) - length // 2 for length in kernel.shape)
    padded[np.ix_(rows, columns)] = kernel / kernel.sum()
    return np.asarray(fft.fft2(padded))


def _inverse(H: np.ndarray, floor: float) -> np.ndarray:
    return np.asarray(np.conj(H) / np.maximum(np.abs(H) ** 2, floor**2))


def _filtered(image: np.ndarray, kernel: np.ndarray, response: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Image times a response to H~, continued as its mirror image by four kernels."""
    pixels = np.asarray(image, np.float64)
    shape = pixels.shape[-2:]
    margin = [PADDED_KERNELS * length for length in kernel.shape]
    grid = [fft.next_fast_len(n + 2 * m) for n, m in zip(shape, margin, strict=True)]
    around = [(m, g - n - m) for n, m, g in zip(shape, margin, grid, strict=True)]
    wanted = response(_transfer(kernel, grid))[:, : grid[1] // 2 + 1]
    out = np.empty(pixels.shape)
    for place in np.ndindex(pixels.shape[:-2]):
        padded = np.pad(pixels[place], around, mode="symmetric")
        whole = fft.irfft2(fft.rfft2(padded) * wanted, s=grid)
        out[place] = whole[tuple(slice(m, m + n) for n, m in zip(shape, margin, strict=True))]
    return out
