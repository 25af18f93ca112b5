"""Classical denoisers, each with the setting that is best on the very images it is judged by: as good as they can be.

Gaussian and median work on the pixel values. Total variation, non-local means and wavelet shrinkage (scikit-image)
work on T(x), where noise has one variance, and come back by the unbiased inverse; being slow they are tuned on the
first few of the images. Sources: Chambolle, J. Math. Imaging Vis. 20 (2004) 89; Buades, Coll, Morel, IPOL 1 (2011)
208; Chang, Yu, Vetterli, IEEE TIP 9 (2000) 1532 (BayesShrink).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from scipy import ndimage

from denoise import vst

__all__ = ["STABILISED", "Tuned", "tuned_gaussian", "tuned_median", "tuned_stabilised"]

Images: TypeAlias = Sequence[np.ndarray]
Denoise: TypeAlias = Callable[[np.ndarray, float], np.ndarray]
SIGMAS_PX = (0.4, 0.5, 0.65, 0.8, 1.0, 1.25, 1.6, 2.0, 2.5, 3.2, 4.0, 5.0)
SIZES_PX = (3, 5, 7, 9, 11, 13, 15, 19)
TUNED_ON = 4  # images of a slow denoiser
PATCH_PX, SEARCH_PX = 5, 6


@dataclass(frozen=True)
class Tuned:
    """A denoiser with its best setting.

    Attributes
    ----------
    name : str
    setting : float
        Standard deviation of the Gaussian, side of the median's window, in pixels; of the others weight of total
        variation, cut-off of non-local means, noise taken for by wavelets, all in standard deviations of the noise.
    images : list of float32 [row, column]
        What it makes of the noisy images.
    restore : (noisy, a, b) -> image
        The same of any other image, Var x = a x + b.
    """

    name: str
    setting: float
    images: list[np.ndarray]
    restore: Callable[[np.ndarray, float, float], np.ndarray] = field(repr=False)


def gaussian(image: np.ndarray, sigma_px: float) -> np.ndarray:
    """Gaussian filter."""
    return np.asarray(ndimage.gaussian_filter(image, sigma_px))


def median(image: np.ndarray, size_px: float) -> np.ndarray:
    """Median filter."""
    return np.asarray(ndimage.median_filter(image, int(size_px)))


def total_variation(z: np.ndarray, weight: float) -> np.ndarray:
    """Total variation of Rudin, Osher and Fatemi."""
    from skimage.restoration import denoise_tv_chambolle

    return np.asarray(denoise_tv_chambolle(z, weight, max_num_iter=100))


def non_local_means(z: np.ndarray, cut_off: float) -> np.ndarray:
    """Means over pixels with like surroundings."""
    from skimage.restoration import denoise_nl_means

    return np.asarray(denoise_nl_means(z, PATCH_PX, SEARCH_PX, cut_off, fast_mode=True))


def wavelet(z: np.ndarray, sigma: float) -> np.ndarray:
    """BayesShrink, the mean over four shifts of the image."""
    from skimage.restoration import denoise_wavelet

    total = np.zeros_like(z)
    for shift in ((0, 0), (0, 1), (1, 0), (1, 1)):
        moved = np.roll(z, shift, (0, 1))
        found = denoise_wavelet(moved, sigma, wavelet="sym4", mode="soft", method="BayesShrink", rescale_sigma=False)
        total += np.roll(found, (-shift[0], -shift[1]), (0, 1))
    return total / 4.0


STABILISED: Mapping[str, tuple[Denoise, tuple[float, ...]]] = {
    "VST + total variation": (total_variation, (0.35, 0.6, 1.0, 1.6, 2.6, 4.2, 7.0)),
    "VST + non-local means": (non_local_means, (0.35, 0.55, 0.85, 1.3, 2.0, 3.0)),
    "VST + wavelet": (wavelet, (0.6, 1.0, 1.6, 2.6, 4.2)),
}


def tuned_gaussian(noisy: Images, clean: Images, valid: Images | None = None) -> Tuned:
    """Gaussian with the standard deviation of the greatest mean PSNR over the images, of their valid pixels."""
    best = _best(gaussian, SIGMAS_PX, noisy, clean, valid)
    return Tuned("Gaussian", *best, lambda image, a, b: gaussian(image, best[0]))


def tuned_median(noisy: Images, clean: Images, valid: Images | None = None) -> Tuned:
    """Median with the window of the greatest mean PSNR over the images, of their valid pixels."""
    best = _best(median, SIZES_PX, noisy, clean, valid)
    return Tuned("median", *best, lambda image, a, b: median(image, best[0]))


def tuned_stabilised(name: str, noisy: Images, clean: Images, valid: Images, noise: Sequence[tuple[Any, Any]]) -> Tuned:
    """One of `STABILISED` with the setting of the greatest mean PSNR over the first few images.

    Parameters
    ----------
    name : str
    noisy, clean, valid : sequences of [row, column]
    noise : sequence of (a, b)
        Var x = a x + b of each image.
    """
    denoise, settings = STABILISED[name]

    def restored(image: np.ndarray, a: Any, b: Any, setting: float) -> np.ndarray:
        found = denoise(vst.forward(image.astype(np.float64), a, b), setting)
        return np.asarray(vst.inverse_of_mean(found, a, b), np.float32)

    told = dict(zip(map(id, noisy), noise, strict=True))
    few = slice(0, TUNED_ON)
    setting, images = _best(
        lambda image, each: restored(image, *told[id(image)], each), settings, noisy[few], clean[few], valid[few], 1
    )
    images += [restored(image, *each, setting) for image, each in zip(noisy[TUNED_ON:], noise[TUNED_ON:], strict=True)]
    return Tuned(name, setting, images, lambda image, a, b: restored(image, a, b, setting))


def _best(
    smooth: Denoise,
    settings: Sequence[float],
    noisy: Images,
    clean: Images,
    valid: Images | None,
    patience: int = 2,
) -> tuple[float, list[np.ndarray]]:
    """Walks up the settings until the mean of log errors, the mean PSNR turned round, has grown ``patience`` times."""
    best, least, worse = None, np.inf, 0
    for setting in settings:
        images = [smooth(image, setting) for image in noisy]
        squares = [(x - c) ** 2 for x, c in zip(images, clean, strict=True)]
        if valid is not None:
            squares = [each[mask] for each, mask in zip(squares, valid, strict=True)]
        error = np.mean([np.log(np.mean(each, dtype=np.float64)) for each in squares])
        if error < least:
            best, least, worse = (float(setting), images), error, 0
        elif (worse := worse + 1) == patience:
            break
    assert best is not None
    return best
