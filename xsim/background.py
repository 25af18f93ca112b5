"""What a real image says of the beam behind each pixel: its light, and the thickness that hardened it."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np

from xsim import material
from xsim.absorption import BeamWeights
from xsim.errors import MeasurementError

__all__ = ["Hardening", "local_level"]

FAINTEST = 1e-5  # transmission beyond which no thickness is told apart
NODES = 1024
WINDOWS_PX = (1.5, 3.0, 6.0)
EXCESS = 1.5  # times the noise, the variance of a window beyond which it counts as structure


@dataclass(frozen=True)
class Hardening:
    """Light of the screen behind a thickness of one material, by depth class.

    Attributes
    ----------
    weights : BeamWeights
        Of the open beam.
    attenuation : float64 [energy]
        Of the background material, 1/mm; 0 where there is none.

    """

    weights: BeamWeights
    attenuation: np.ndarray

    @classmethod
    def behind(cls, weights: BeamWeights, background: Any) -> Hardening:
        """Of a material as a scene names it; None: nothing stands in the beam."""
        if background is None:
            return cls(weights, np.zeros_like(weights.energy_kev))
        return cls(weights, material.attenuation_table((material.resolve(background),), weights.energy_kev)[0])

    @functools.cached_property
    def table(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Thickness [node] mm from 0 to where hardly any light is left, light and variance there [class, node]."""
        signal, variance = self.weights.signal_kev, self.weights.variance_kev2
        lit = self.attenuation[(signal.sum(axis=0) > 0)]
        if not lit.any():
            return np.zeros(1), signal.sum(axis=1)[:, None], variance.sum(axis=1)[:, None]
        # the mean coefficient only falls as the beam hardens: at twice the hardest beam's reach all is gone
        greatest = -np.log(FAINTEST) / float(lit.min())
        for _ in range(2):  # once to find the end, once to share the nodes out before it
            thickness = greatest * np.linspace(0.0, 1.0, NODES) ** 2
            passed = np.exp(-np.outer(self.attenuation, thickness))
            light = signal @ passed
            share = light.sum(axis=0) / light.sum(axis=0)[0]
            greatest = float(thickness[np.argmax(share <= FAINTEST)]) if (share <= FAINTEST).any() else greatest
        return thickness, light, variance @ passed

    def thickness_mm(self, transmission: np.ndarray) -> np.ndarray:
        """Thickness behind which this share of the open beam's light is left, nought where all of it is.

        Light falls strictly with thickness, so that there is one; 1e-5 counts as the least transmission.
        """
        thickness, light, _ = self.table
        if len(thickness) == 1:
            return np.zeros_like(transmission)
        share = light.sum(axis=0) / light.sum(axis=0)[0]
        wanted = np.clip(transmission, FAINTEST, 1.0)
        return np.asarray(np.interp(-np.log(wanted), -np.log(share), thickness))

    def of_classes(self, thickness_mm: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Share of the light of each depth class, and the energy that a quantum weighs there [keV]; [class, ...]."""
        thickness, light, variance = self.table
        share, weight = light / light.sum(axis=0), variance / np.where(light > 0, light, 1.0)
        if len(thickness) == 1:
            ones = np.ones((1, *thickness_mm.shape))
            shape = (-1, *(1,) * thickness_mm.ndim)
            return share.reshape(shape) * ones, weight.reshape(shape) * ones
        found = [np.stack([np.interp(thickness_mm, thickness, row) for row in rows]) for rows in (share, weight)]
        return found[0], found[1]


def local_level(image: np.ndarray, slope: float, constant: float, known: np.ndarray) -> np.ndarray:
    """Mean signal of each pixel's neighbourhood, that of its own where the image has structure.

    The linear filter of least error under local statistics (Lee, IEEE Trans. PAMI 2 (1980) 165), in Gaussian windows of
    growing width, the wider one where the image has no structure in it: no variance beyond half as much as the noise's.

    Parameters
    ----------
    image : float64 [row, column]
        Signal above the black level.
    slope, constant : float
        Its noise: variance = slope * signal + constant.
    known : bool [row, column]
        Pixels to look at.

    Raises
    ------
    MeasurementError
        No pixel is known.

    """
    from scipy.ndimage import gaussian_filter

    if not known.any():
        raise MeasurementError("no pixel of the image can be used (all are saturated or dead) expose it less")
    level = np.where(known, image, float(image[known].mean()))
    for window in WINDOWS_PX:
        blurred = functools.partial(gaussian_filter, sigma=window, mode="nearest", truncate=3.0)
        near = blurred(known.astype(np.float64))
        held = np.maximum(near, 1e-12)
        mean = np.where(near > 1e-6, blurred(np.where(known, image, 0.0)) / held, level)
        square = blurred(np.where(known, (image - mean) ** 2, 0.0)) / held
        noise = np.maximum(slope * mean, 0.0) + constant
        share = np.clip(1.0 - EXCESS * noise / np.maximum(square, 1e-30), 0.0, 1.0)
        level = mean + np.where(known, share, 0.0) * (level - mean)
    return np.asarray(np.round(level, 6))
