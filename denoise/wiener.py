"""Wiener filter with the oracle's noise-to-signal spectrum: the best radial filter for the images it is judged by.

    x = F^-1 [H / (H^2 + NSR(f))] F y,     NSR = |Y - H X|^2 / |X|^2 averaged over rings of frequency

X is the true image and Y - H X all that the measurement has beside the blur, noise and what the model of the blur
lacks. No real restorer knows either.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from denoise.mtf_blur import filtered, power_table, response

__all__ = ["noise_to_signal", "wiener"]


def noise_to_signal(
    measured: Sequence[np.ndarray], truth: Sequence[np.ndarray], mtf_ratio: Sequence[float]
) -> np.ndarray:
    """Mean power of y - B x over that of x, by frequency.

    Parameters
    ----------
    measured, truth : sequence of [row, column]
        Images of one size, above their offset. One image each gives the oracle of that image.
    mtf_ratio : float [257]
        H at ``mtf_blur.FREQUENCIES_PER_PX``.

    Returns
    -------
    float64 [257]
    """
    rest = []
    for y, x in zip(measured, truth, strict=True):
        sharp = _tensor(x)
        rest.append((_tensor(y) - filtered(sharp, response(mtf_ratio, sharp))).numpy())
    return power_table(rest) / power_table(truth)


def wiener(measured: np.ndarray, mtf_ratio: Sequence[float], nsr: Sequence[float]) -> np.ndarray:
    """Image [row, column] through the Wiener filter, float32; its mean level is kept where NSR(0) is 0.

    Parameters
    ----------
    measured : [row, column]
        Above its offset.
    mtf_ratio, nsr : float [257]
        At ``mtf_blur.FREQUENCIES_PER_PX``.
    """
    image = _tensor(measured)
    ratio, noise = response(mtf_ratio, image), response(nsr, image)
    through = ratio / (ratio**2 + noise)
    through[0, 0] = 1.0  # the mean of a radiograph is measured far better than any of its details
    return filtered(image, through).numpy()


def _tensor(image: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(image, np.float32))
