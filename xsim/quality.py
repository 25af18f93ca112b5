"""Rulers for images: signal, noise, contrast, resolution and detective quantum efficiency.

Arrays in, frozen dataclasses out. Pixel values are ADU with their offset unless a function takes ``offset_adu``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xsim.correlation import NeighbourCorrelation, neighbour_correlation
from xsim.errors import MeasurementError
from xsim.mtf import EdgeMtf, slanted_edge_mtf
from xsim.noise_power import NoisePower, NoisePowerCut, frames_of, noise_power
from xsim.photon_transfer import PhotonTransfer, photon_transfer

__all__ = [
    "ContrastToNoise",
    "DetectiveQuantumEfficiency",
    "EdgeMtf",
    "NeighbourCorrelation",
    "NoisePower",
    "NoisePowerCut",
    "PhotonTransfer",
    "SignalToNoise",
    "contrast_to_noise",
    "detective_quantum_efficiency",
    "neighbour_correlation",
    "noise_power",
    "photon_transfer",
    "signal_to_noise",
    "slanted_edge_mtf",
]

NORMAL_ISRB_MM = 0.0886  # EN ISO 17636-2: the normalised SNR is that of a basic spatial resolution of 88.6 um


@dataclass(frozen=True)
class SignalToNoise:
    """Signal and noise of a flat region.

    Attributes
    ----------
    mean_adu : float
        Signal above the offset.
    sd_adu : float
        Standard deviation over the region, of a frame (root mean square over frames).
    snr : float
    snr_n : float or None
        Normalised, SNR x 88.6 um / iSRb; None where the basic spatial resolution is not given.
    pixels : int
        Of all frames.

    """

    mean_adu: float
    sd_adu: float
    snr: float
    snr_n: float | None
    pixels: int


@dataclass(frozen=True)
class ContrastToNoise:
    """Contrast of an object region against its background.

    Attributes
    ----------
    object_adu, background_adu : float
        Mean signals above the offset.
    contrast : float
        (background - object) / background.
    sd_adu : float
        Standard deviation over the background.
    cnr : float
        |background - object| / sd.

    """

    object_adu: float
    background_adu: float
    contrast: float
    sd_adu: float
    cnr: float


@dataclass(frozen=True)
class DetectiveQuantumEfficiency:
    """DQE along one axis, float64 [band] at frequency_per_mm [band]."""

    frequency_per_mm: np.ndarray
    dqe: np.ndarray


def signal_to_noise(frames: np.ndarray, offset_adu: float = 0.0, isrb_mm: float | None = None) -> SignalToNoise:
    """SNR of a flat region: its mean over its standard deviation, fixed pattern and all.

    Parameters
    ----------
    frames : [row, column] or [frame, row, column] ADU
    offset_adu : float
    isrb_mm : float, optional
        Basic spatial resolution of the image, for the normalised SNR.

    Raises
    ------
    MeasurementError
        No noise at all.

    Source: EN ISO 17636-2:2022; the mean and standard deviation of all pixels, not the median over lines.

    """
    stack = frames_of(frames)
    mean = float(stack.mean(dtype=np.float64)) - offset_adu
    sd = spread_of(stack)
    if sd == 0:
        raise MeasurementError("all pixels of the region are equal (no noise) choose another region")
    if isrb_mm is not None and isrb_mm <= 0:
        raise MeasurementError(f"a basic spatial resolution of {isrb_mm:g} mm (must be above 0) give it in mm")
    snr = mean / sd
    return SignalToNoise(mean, sd, snr, None if isrb_mm is None else snr * NORMAL_ISRB_MM / isrb_mm, stack.size)


def contrast_to_noise(inside: np.ndarray, background: np.ndarray, offset_adu: float = 0.0) -> ContrastToNoise:
    """CNR of an object region against a background region of the same image.

    Parameters
    ----------
    inside, background : [row, column] or [frame, row, column] ADU
    offset_adu : float

    Raises
    ------
    MeasurementError
        The background has no noise or no signal.

    """
    means = [float(frames_of(part).mean(dtype=np.float64)) - offset_adu for part in (inside, background)]
    sd = spread_of(frames_of(background))
    if sd == 0 or means[1] == 0:
        raise MeasurementError("the background has no noise or no signal (nothing to compare with) choose another")
    difference = means[1] - means[0]
    return ContrastToNoise(means[0], means[1], difference / means[1], sd, abs(difference) / sd)


def detective_quantum_efficiency(
    mtf: EdgeMtf, nnps: NoisePowerCut, fluence_per_mm2: float
) -> DetectiveQuantumEfficiency:
    """DQE(f) = MTF(f)^2 / (q NNPS(f)).

    Parameters
    ----------
    mtf : EdgeMtf
        Across an edge; its frequencies run along the same axis as the spectrum's.
    nnps : NoisePowerCut
        Of a flat exposure.
    fluence_per_mm2 : float
        q, quanta that fall on a mm^2 of the detector in that exposure.

    Raises
    ------
    MeasurementError
        The fluence is not positive.

    Source: IEC 62220-1-1:2015, 3.4.

    """
    if fluence_per_mm2 <= 0:
        raise MeasurementError(f"a fluence of {fluence_per_mm2:g} quanta per mm2 (must be above 0) give the exposure's")
    f = nnps.frequency_per_mm
    return DetectiveQuantumEfficiency(f, mtf.at(f) ** 2 / (fluence_per_mm2 * nnps.nnps_mm2))


def spread_of(stack: np.ndarray) -> float:
    """Standard deviation over the pixels of a frame, root mean square over frames."""
    if stack[0].size < 2:
        raise MeasurementError("a region of one pixel (it has no spread) choose a larger one")
    return float(np.sqrt(np.mean([frame.var(dtype=np.float64, ddof=1) for frame in stack])))
