"""Classical filters, each with the setting that is best on the very images it is judged by: as good as they can be."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from scipy import ndimage

__all__ = ["Tuned", "tuned_gaussian", "tuned_median"]

Images: TypeAlias = Sequence[np.ndarray]
SIGMAS_PX = (0.4, 0.5, 0.65, 0.8, 1.0, 1.25, 1.6, 2.0, 2.5, 3.2, 4.0, 5.0)
SIZES_PX = (3, 5, 7, 9, 11, 13, 15, 19)


@dataclass(frozen=True)
class Tuned:
    """A filter with its best setting.

    Attributes
    ----------
    name : str
    setting : float
        Standard deviation of the Gaussian, side of the median's window, in pixels.
    images : list of float32 [row, column]
        What it makes of the noisy images.
    """

    name: str
    setting: float
    images: list[np.ndarray]


def tuned_gaussian(noisy: Images, clean: Images, valid: Images | None = None) -> Tuned:
    """Gaussian with the standard deviation of the greatest mean PSNR over the images, of their valid pixels."""
    return _best("Gaussian", lambda image, sigma: ndimage.gaussian_filter(image, sigma), SIGMAS_PX, noisy, clean, valid)


def tuned_median(noisy: Images, clean: Images, valid: Images | None = None) -> Tuned:
    """Median with the window of the greatest mean PSNR over the images, of their valid pixels."""
    return _best("median", lambda image, size: ndimage.median_filter(image, int(size)), SIZES_PX, noisy, clean, valid)


def _best(
    name: str,
    smooth: Callable[[np.ndarray, float], np.ndarray],
    settings: Sequence[float],
    noisy: Images,
    clean: Images,
    valid: Images | None,
) -> Tuned:
    """Walks up the settings until the mean of log errors, the mean PSNR turned round, has grown twice in a row."""
    best, least, worse = None, np.inf, 0
    for setting in settings:
        images = [smooth(image, setting) for image in noisy]
        squares = [(x - c) ** 2 for x, c in zip(images, clean, strict=True)]
        if valid is not None:
            squares = [each[mask] for each, mask in zip(squares, valid, strict=True)]
        error = np.mean([np.log(np.mean(each, dtype=np.float64)) for each in squares])
        if error < least:
            best, least, worse = Tuned(name, float(setting), images), error, 0
        elif (worse := worse + 1) == 2:
            break
    assert best is not None
    return best
