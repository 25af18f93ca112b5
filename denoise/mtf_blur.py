"""Blur by a ratio of two MTFs, B = F^-1 [M_LR / M_HR] F, and the way from a sharp image to its blurred one.

    D_t(x) = (1 - t / T) x + (t / T) B x

Images continue as their mirror images, by a margin that the blur does not reach across; so B keeps the sum of an image
and has no seam between opposite edges.

Source of the operator and of D_t: cold diffusion, Bansal et al., NeurIPS 36 (2023) 41259, its degradation by MTFs.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from scipy import fft
from torch import Tensor

from denoise.anchor import mirrored

__all__ = ["FREQUENCIES_PER_PX", "MARGIN_PX", "degraded", "filtered", "power_table", "response"]

FREQUENCIES_PER_PX = np.linspace(0.0, 0.5**0.5, 257)  # to the corner of what pixels sample
MARGIN_PX = 24


@lru_cache(maxsize=64)
def _response(table: tuple[float, ...], rows: int, columns: int, device: torch.device) -> Tensor:
    size = [length + 2 * MARGIN_PX for length in (rows, columns)]
    radius = np.hypot(np.fft.fftfreq(size[0])[:, None], np.fft.rfftfreq(size[1])[None, :])
    found = np.interp(radius, FREQUENCIES_PER_PX, np.asarray(table))
    with torch.inference_mode(False):  # kept for whoever asks next, who may differentiate
        return torch.from_numpy(found.astype(np.float32)).to(device)


def response(table: Sequence[float], image: Tensor) -> Tensor:
    """A radial function of frequency where `filtered` takes it for images of this size.

    Parameters
    ----------
    table : float [257]
        At ``FREQUENCIES_PER_PX``.
    image : Tensor [..., row, column]

    Returns
    -------
    float32 Tensor [row + 2 margin, half the columns]
    """
    rows, columns = image.shape[-2:]
    return _response(tuple(table), rows, columns, image.device)


def filtered(image: Tensor, by: Tensor) -> Tensor:
    """F^-1 [by F] of the mirrored images [..., row, column], ``by`` from `response` or one for each image."""
    spectrum = torch.fft.rfft2(continued(image)) * by
    rows, columns = image.shape[-2:]
    size = (rows + 2 * MARGIN_PX, columns + 2 * MARGIN_PX)
    whole = torch.fft.irfft2(spectrum, s=size)
    return whole[..., MARGIN_PX : MARGIN_PX + rows, MARGIN_PX : MARGIN_PX + columns]


def continued(image: Tensor) -> Tensor:
    """Images with a margin of their mirror image, edge pixels repeated."""
    for axis in (-2, -1):
        index = mirrored(image.shape[axis], MARGIN_PX).to(image.device)
        image = image.index_select(image.ndim + axis, index)
    return image


def degraded(image: Tensor, blurred: Tensor, share: Tensor | float) -> Tensor:
    """D_t(x) from x, ``blurred`` = B x and ``share`` = t / T."""
    return image + share * (blurred - image)


def power_table(images: Sequence[np.ndarray]) -> np.ndarray:
    """Mean power of images a pixel, by frequency, at ``FREQUENCIES_PER_PX``; of white noise its variance.

    Parameters
    ----------
    images : sequence of [row, column]
        Of one size.

    Returns
    -------
    float64 [257]
        Of the images continued as mirror images, so that their edges are no steps. The power at frequency 0, of the
        mean level, counts as that of the ring next to it.
    """
    power = np.mean([fft.dctn(image.astype(np.float64), norm="ortho") ** 2 for image in images], axis=0)
    rows, columns = power.shape
    radius = np.hypot(np.arange(rows)[:, None] / (2 * rows), np.arange(columns)[None, :] / (2 * columns))
    ring = np.rint(radius * 2 * min(rows, columns)).astype(int)
    count = np.bincount(ring.ravel())
    mean = np.bincount(ring.ravel(), power.ravel())[1:] / np.maximum(count[1:], 1)
    at = np.bincount(ring.ravel(), radius.ravel())[1:] / np.maximum(count[1:], 1)
    full = count[1:] > 0
    return np.exp(np.interp(FREQUENCIES_PER_PX, at[full], np.log(np.maximum(mean[full], 1e-30))))
