"""How near a restored image is to the clean one: PSNR, SSIM, bias.

Pixels that are not valid count in none of them: what a saturated or dead pixel reads tells nothing of a restorer.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from skimage.metrics import structural_similarity

from denoise.cases import Case

__all__ = ["bias", "bias_sums", "bias_uncertainty", "gain_db", "psnr_db", "ssim"]

SSIM_RADIUS = 5  # px, of its window: 3.5 standard deviations


def psnr_db(image: np.ndarray, case: Case) -> float:
    """Peak signal to noise ratio, the peak being the open beam."""
    squares = (image - case.clean)[case.valid] ** 2
    return float(10.0 * np.log10(case.flat_adu**2 / np.mean(squares, dtype=np.float64)))


def gain_db(image: np.ndarray, case: Case) -> float:
    """PSNR above that of the noisy image."""
    return psnr_db(image, case) - psnr_db(case.noisy, case)


def ssim(image: np.ndarray, case: Case) -> float:
    """Structural similarity as Wang et al. 2004 define it, its range the open beam; a bad pixel is shown as clean."""
    shown, chosen = np.where(case.valid, image, case.clean), {"gaussian_weights": True, "sigma": 1.5}
    mean, places = structural_similarity(
        case.clean, shown, data_range=case.flat_adu, use_sample_covariance=False, full=True, **chosen
    )
    if case.valid.all():
        return float(mean)
    inner = np.s_[SSIM_RADIUS:-SSIM_RADIUS, SSIM_RADIUS:-SSIM_RADIUS]
    return float(places[inner][case.valid[inner]].mean(dtype=np.float64)) if case.valid[inner].any() else float("nan")


def bias_sums(image: np.ndarray, case: Case, mask: np.ndarray | None = None) -> tuple[float, float]:
    """Sum of restored - clean and of clean - offset over the valid pixels, of a mask where one is given [ADU]."""
    counted = case.valid if mask is None else mask & case.valid
    clean = case.clean[counted].astype(np.float64)
    return float(np.sum(image[counted] - clean)), float(np.sum(clean - case.params["offset_adu"]))


def bias(
    images: Sequence[np.ndarray], cases: Sequence[Case], masks: Sequence[np.ndarray] | None = None
) -> float | None:
    """Mean of restored - clean over all valid pixels of all images, relative to the mean of clean - offset.

    With masks over theirs only; None where those are empty.
    """
    sums = [bias_sums(*each) for each in zip(images, cases, masks or [None] * len(cases), strict=True)]
    error, signal = np.sum(sums, axis=0)
    return float(error / signal) if signal > 0.0 else None


def bias_uncertainty(cases: Sequence[Case]) -> float:
    """Standard deviation that quanta and read noise alone give the bias of an estimate without any of its own."""
    variance = signal = 0.0
    for case in cases:
        p, pixels = case.params, int(case.valid.sum())
        total = float(np.sum(case.clean[case.valid], dtype=np.float64) - p["offset_adu"] * pixels)
        variance += p["gain_adu_per_quantum"] * total + p["read_noise_adu"] ** 2 * pixels
        signal += total
    return variance**0.5 / signal
