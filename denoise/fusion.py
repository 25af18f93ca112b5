"""Dual-energy fusion: one image of two, with what either beam shows, by wavelets on attenuations.

Grey values of two energies have different scales, so images are fused as attenuations, in which a detail has the
contrast of its own thickness, whatever lies above it,

    L = l(I0) - l(s),    l(s) = arsinh(s / 2c),    s = x - offset,    c^2 = a offset + b,

-ln of the transmission where the signal s is far above the noise c of a dark pixel, and still a number, and invertible,
at and below 0. The high energy is brought to the contrast of the low one by the ratio of the images' mean attenuations.
Four levels of the db4 transform: the approximation is the mean of both, each detail that of the energy that shows
it better, the greater |d| / variance, the variance of L being (a x + b) / (s^2 + 4 c^2). Where neither stands out of
its noise the greater of two is only the greater noise: there it is their mean, weighted by inverse variance. An image
fused with itself is that image.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import pywt
from scipy import ndimage

from xsim import ModelError

__all__ = ["APPROXIMATIONS", "RULES", "Beam", "Fused", "fuse"]

RULES = ("max", "sum", "energy")
APPROXIMATIONS = ("mean", "weighted")
WAVELET = "db4"
LEVELS = 4
ENERGY_PX = 3  # window of the local energy, in coefficients
SIGNIFICANT = 3.0  # standard deviations of its noise, from which on a detail stands out
LEAST_SIGNIFICANCE = 5.0  # of the mean attenuations, for their ratio to be taken


@dataclass(frozen=True)
class Beam:
    """What is known of an image of one energy.

    Attributes
    ----------
    a, b : ADU, ADU^2
        Noise of the camera's frame, Var x = a x + b; numbers, or arrays that broadcast against the image. Of a restored
        image that of the frame it was made of: only the ratio of both energies' counts.
    offset_adu : float
        Grey value without radiation.
    open_beam_adu : float
        Grey value of the open beam.
    """

    a: Any
    b: Any
    offset_adu: float
    open_beam_adu: float

    def __post_init__(self) -> None:
        if not (np.all(np.asarray(self.a) > 0) and np.all(np.isfinite(self.a)) and np.all(np.isfinite(self.b))):
            raise ModelError("a must be above 0 and b a number (Var x = a x + b) give those of the camera")
        if not self.offset_adu < self.open_beam_adu < float("inf"):
            raise ModelError(
                f"an open beam of {self.open_beam_adu:g} ADU is not above the offset ({self.offset_adu:g}) give both"
            )

    def attenuation(self, image: np.ndarray) -> np.ndarray:
        """L of grey values, float64."""
        dark = 2.0 * self.dark_sd()
        return np.arcsinh((self.open_beam_adu - self.offset_adu) / dark) - np.arcsinh(self._signal(image) / dark)

    def grey_values(self, attenuation: np.ndarray) -> np.ndarray:
        """Inverse of ``attenuation``, float64 ADU."""
        dark = 2.0 * self.dark_sd()
        open_beam = np.arcsinh((self.open_beam_adu - self.offset_adu) / dark)
        return self.offset_adu + dark * np.sinh(open_beam - attenuation)

    def variance(self, image: np.ndarray) -> np.ndarray:
        """Variance of L, of the pixels' mean grey values, float64."""
        dark_squared = self.dark_sd() ** 2
        noise = np.maximum(self.a * image + self.b, dark_squared)
        return noise / (self._signal(image) ** 2 + 4.0 * dark_squared)

    def dark_sd(self) -> np.ndarray:
        """c: noise of a pixel without radiation, that of one quantum at the least [ADU]."""
        return np.sqrt(np.maximum(self.a * self.offset_adu + self.b, np.square(self.a)))

    def _signal(self, image: np.ndarray) -> np.ndarray:
        return np.asarray(image, np.float64) - self.offset_adu


@dataclass(frozen=True)
class Fused:
    """A fused image.

    Attributes
    ----------
    image : float32 [row, column] ADU
        On the grey scale of the low energy.
    contrast_ratio : float
        What the attenuations of the high energy were multiplied by.
    """

    image: np.ndarray
    contrast_ratio: float


def fuse(
    low: np.ndarray,
    high: np.ndarray,
    low_beam: Beam,
    high_beam: Beam,
    *,
    rule: str = "max",
    approximation: str = "mean",
) -> Fused:
    """Fuse two images of a part, taken at two energies.

    Parameters
    ----------
    low, high : [row, column] ADU
        Of any size; restored or noisy, both the same.
    low_beam, high_beam : Beam
    rule : {"max", "sum", "energy"}
        Of details: the one of the greater |d| / variance where either is three standard deviations of its noise, else
        the mean weighted by inverse variance; that mean everywhere; as the first, by the energy of 3 x 3 coefficients.
    approximation : {"mean", "weighted"}
        Of what is coarser than 16 pixels: the plain mean, or that weighted by inverse variance.

    Raises
    ------
    ModelError
        The images differ in shape, are none, or a rule is unknown.

    Source: Li, Manjunath, Mitra, Multisensor image fusion using the wavelet transform, Graph. Models Image Process. 57
    (1995) 235; weights of inverse variance added.
    """
    for name, value, known in (("rule", rule, RULES), ("approximation", approximation, APPROXIMATIONS)):
        if value not in known:
            raise ModelError(f"unknown {name} {value!r} (known: {', '.join(known)})")
    if low.shape != high.shape or low.ndim != 2 or low.size == 0:
        raise ModelError(f"images of {low.shape} and {high.shape} are not fused (two of one [row, column] are asked)")
    attenuations = [low_beam.attenuation(low), high_beam.attenuation(high)]
    # weights must not follow the noise of single pixels
    variances = [
        beam.variance(ndimage.uniform_filter(np.asarray(image, np.float64), 5, mode="nearest"))
        for beam, image in ((low_beam, low), (high_beam, high))
    ]
    ratio = contrast_ratio(*attenuations, *variances)
    attenuations[1] = attenuations[1] * ratio
    variances[1] = variances[1] * ratio**2
    fused = fused_attenuation(attenuations, variances, rule, approximation)
    return Fused(low_beam.grey_values(fused).astype(np.float32), ratio)


def contrast_ratio(low: np.ndarray, high: np.ndarray, low_variance: np.ndarray, high_variance: np.ndarray) -> float:
    """Mean attenuation at the low energy over that at the high one; 1 where either is not above its noise."""
    means = [float(low.mean()), float(high.mean())]
    errors = [float(np.sqrt(each.sum())) / each.size for each in (low_variance, high_variance)]
    if any(mean < LEAST_SIGNIFICANCE * error for mean, error in zip(means, errors, strict=True)):
        return 1.0
    return means[0] / means[1]


def fused_attenuation(
    attenuations: list[np.ndarray], variances: list[np.ndarray], rule: str, approximation: str
) -> np.ndarray:
    """Fused L of two, float64 [row, column]."""
    shape = attenuations[0].shape
    # pywt counts no level for images that are shorter than its filter
    levels = min(LEVELS, pywt.dwt_max_level(min(shape), WAVELET))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        coefficients = [pywt.wavedec2(each, WAVELET, mode="symmetric", level=levels) for each in attenuations]
    coarse = [each[0] for each in coefficients]
    spread = [sampled(each, coarse[0].shape, levels) for each in variances]
    fused: list[Any] = [0.5 * (coarse[0] + coarse[1]) if approximation == "mean" else weighted(coarse, spread)]
    for number, bands in enumerate(zip(*(each[1:] for each in coefficients), strict=True)):
        spread = [sampled(each, bands[0][0].shape, levels - number) for each in variances]
        fused.append(tuple(fused_detail(list(pair), spread, rule) for pair in zip(*bands, strict=True)))
    return pywt.waverec2(fused, WAVELET, mode="symmetric")[: shape[0], : shape[1]]


def fused_detail(details: list[np.ndarray], variances: list[np.ndarray], rule: str) -> np.ndarray:
    """One band of details of two."""
    mean = weighted(details, variances)
    if rule == "sum":
        return mean
    sizes = [np.abs(detail) for detail in details]
    if rule == "energy":
        sizes = [np.sqrt(ndimage.uniform_filter(detail**2, ENERGY_PX, mode="nearest")) for detail in details]
    one, other = (size / variance for size, variance in zip(sizes, variances, strict=True))
    significance = [size / np.sqrt(variance) for size, variance in zip(sizes, variances, strict=True)]
    chosen = np.where(one >= other, details[0], details[1])
    return np.where(np.maximum(*significance) > SIGNIFICANT, chosen, mean)


def weighted(values: list[np.ndarray], variances: list[np.ndarray]) -> np.ndarray:
    """Mean of two, weighted by inverse variance."""
    share = variances[1] / (variances[0] + variances[1])
    return values[1] + share * (values[0] - values[1])


def sampled(variance: np.ndarray, shape: tuple[int, int], level: int) -> np.ndarray:
    """Variance of the coefficients of a level: that of the pixels around each one's middle.

    The transform is orthonormal, so white noise has the variance of a pixel in every band.
    """
    step = 1 << level
    smooth = ndimage.uniform_filter(variance, step, mode="nearest")
    middle = (pywt.Wavelet(WAVELET).dec_len - 3) / 2.0 * (step - 1)  # of the first coefficient, before the image
    places = [
        np.clip(np.rint(np.arange(count) * step - middle), 0, length - 1).astype(int)
        for count, length in zip(shape, variance.shape, strict=True)
    ]
    return smooth[np.ix_(*places)]
