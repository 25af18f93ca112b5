"""Structure in what a restorer took away: predicted noise, noisy - restored, against the clean image.

Noise knows nothing of the part beyond its variance. The residual in units of the noise, r = (noisy - restored) / s
with s^2 = a x + b of the clean image, is correlated with the clean level, with the size of its gradient, and the
excess energy r^2 - 1 with that gradient again: blurred edges leave energy there, noise that was left at edges lacks
it. The null spread of each correlation is that over all shifts of the residual against the image, which keep the
spectra of both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import fft, ndimage

from denoise.cases import Case
from denoise.uncertainty import Figure, mean_figure

__all__ = ["KINDS", "Structure", "structure_of"]

KINDS = ("level", "gradient", "energy_at_edges")
EDGE_PX = 1.0  # scale of the gradient
NEAR_PX = 8  # shifts up to here are no independent ones


@dataclass(frozen=True)
class Structure:
    """Correlation of a residual with the clean image, over images.

    Attributes
    ----------
    correlation : Figure
        Mean over images.
    spread : float
        Standard deviation that the mean would have by chance.
    significance : float
        Mean over that spread: beyond 3 or so there is structure.
    """

    correlation: Figure
    spread: float
    significance: float


def structure_of(images: Sequence[np.ndarray], cases: Sequence[Case]) -> dict[str, Structure]:
    """Structure in noisy - restored of images, by `KINDS`; kinds that no image tells are left out."""
    found = np.array([correlations(image, case) for image, case in zip(images, cases, strict=True)])  # [image, kind, 2]
    table = {}
    for k, kind in enumerate(KINDS):
        values, spreads = found[:, k, 0], found[:, k, 1]
        known = np.isfinite(values) & (spreads > 0)
        figure = mean_figure(values[known])
        if figure is not None:
            spread = float(np.sqrt((spreads[known] ** 2).sum()) / known.sum())
            table[kind] = Structure(figure, spread, figure.value / spread)
    return table


def correlations(image: np.ndarray, case: Case) -> np.ndarray:
    """Correlation and null spread of an image, float64 [kind, (value, spread)]; NaN where something is constant."""
    p = case.params
    variance = np.maximum(p["a_pixel_adu"] * case.clean + p["b_adu2"], 1e-9)
    residual = (case.noisy.astype(np.float64) - image) / np.sqrt(variance)
    gradient = ndimage.gaussian_gradient_magnitude(case.clean.astype(np.float64), EDGE_PX)
    pairs = ((residual, case.clean), (residual, gradient), (residual**2, gradient))
    return np.array([shifted_correlation(first, second, case.valid) for first, second in pairs])


def shifted_correlation(first: np.ndarray, second: np.ndarray, valid: np.ndarray) -> tuple[float, float]:
    """Correlation of two images, and its standard deviation over shifts of one against the other."""
    parts = [np.where(valid, each - each[valid].mean(dtype=np.float64), 0.0) for each in (first, second)]
    scale = float(np.sqrt(np.prod([np.vdot(part, part) for part in parts])))
    if not scale > 0.0:
        return float("nan"), float("nan")
    shape = first.shape
    spectra = [fft.rfft2(part) for part in parts]
    shifts = fft.irfft2(spectra[0] * np.conj(spectra[1]), shape) / scale
    rows, columns = (np.minimum(np.arange(n), n - np.arange(n)) for n in shape)
    far = np.maximum(rows[:, None], columns[None]) > min(NEAR_PX, min(shape) // 4)
    return float(shifts[0, 0]), float(np.sqrt(np.mean(shifts[far] ** 2)))
