"""What theory says of a screen: spectral response, MTF, NPS and DQE, without drawing an image.

Photons arrive with the fluence q. Of the light of one, m1_c and m2_c are the first two moments by the depth class that
it interacts in, T_c is its spread, and a pixel of the pitch a adds up what falls on it. Then (Rabbani, Shaw and Van
Metter, J. Opt. Soc. Am. A 4 (1987) 895; Nishikawa and Yaffe, Med. Phys. 17 (1990) 894)

    MTF(f) = sinc(f a) sum_c m1_c T_c(f) / sum_c m1_c
    NPS(f) = q a^4 sum_c m2_c H_c(f)^2 + a^2 (light counted + electronics)
    DQE(f) = MTF(f)^2 mean^2 / (q NPS(f)), which at f = 0 is A_Q A_S of the screen where nothing else adds noise.

H_c is the transform of the class's kernel on the pixels, so that NPS is that of simulated images, aliases and the cut
of the kernels included; MTF is that before the pixels sample it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xsim.detector import Detector
from xsim.light_spread import class_distances, light_spread, transfer
from xsim.scintillator import photon_light
from xsim.spectrum import Spectrum

__all__ = ["ScreenTheory", "screen_theory"]

FREQUENCIES = 65


@dataclass(frozen=True, eq=False)
class ScreenTheory:
    """Spectral response and transfer of a detector's screen and pixels at one exposure.

    Attributes
    ----------
    energy_kev : float64 [energy]
    absorption : float64 [energy]
        A_Q: share of the photons that arrive that leave energy in the screen.
    swank : float64 [energy]
        A_S = m1^2 / (A_Q m2) of their light, m1 and m2 its moments a photon that arrives; 0 where A_Q is.
    light_kev : float64 [energy] keV
        m1: light of a photon that arrives, by the energy at the sensor's side of the screen that would give it.
    quantum_absorption, swank_factor : float
        A_Q and A_S over the spectrum.
    quanta_per_mm2 : float
        Photons that arrive.
    mean_kev : float
        Light of a pixel.
    frequency_per_mm : float64 [frequency]
        Along the rows.
    mtf : float64 [frequency]
        Before the pixels sample it.
    nps_kev2_mm2, nnps_mm2 : float64 [frequency]
        Noise power of the light of pixels [keV^2 mm^2], and over the square of its mean.
    dqe : float64 [frequency]

    """

    energy_kev: np.ndarray
    absorption: np.ndarray
    swank: np.ndarray
    light_kev: np.ndarray
    quantum_absorption: float
    swank_factor: float
    quanta_per_mm2: float
    mean_kev: float
    frequency_per_mm: np.ndarray
    mtf: np.ndarray
    nps_kev2_mm2: np.ndarray
    nnps_mm2: np.ndarray
    dqe: np.ndarray


def screen_theory(
    detector: Detector,
    spectrum: Spectrum,
    quanta_per_mm2: float = 1e5,
    frequency_per_mm: np.ndarray | None = None,
    dark_e: float = 0.0,
) -> ScreenTheory:
    """Theory of a detector in an open beam.

    Parameters
    ----------
    detector : Detector
    spectrum : Spectrum
        Its shape counts, its fluence does not; ``scene.source.photons()``.
    quanta_per_mm2 : float
        Photons that arrive. Without light counted (``light_photons_per_kev``) and read noise the DQE does not know it.
    frequency_per_mm : float64 [frequency], optional
        By default 65 from 0 to the Nyquist frequency, 1 / (2 pitch).
    dark_e : float
        Electrons of dark current that a pixel collects. Noise that rows or columns share, and lag, are left out.

    Raises
    ------
    XsimError
        An unknown material, an MTF table that is none of spread light.

    """
    pitch = detector.pitch_mm
    frequency = np.linspace(0.0, 0.5 / pitch, FREQUENCIES) if frequency_per_mm is None else frequency_per_mm
    frequency = np.asarray(frequency, np.float64)
    light = photon_light(detector, spectrum.energy_kev)
    first, second = light.share * light.first, light.share * light.second  # [class, energy] a photon that arrives
    absorption = light.depositing.sum(axis=0)
    part = spectrum.photons_per_bin / spectrum.fluence  # [energy]
    m0, m1, m2 = float(absorption @ part), first @ part, second @ part
    pixel_quanta = quanta_per_mm2 * pitch**2
    mean = pixel_quanta * float(m1.sum())
    variance = pixel_quanta * (m2 @ class_transfer(detector, frequency) ** 2) + white_noise(detector, mean, dark_e)
    nps = variance * pitch**2
    mtf = presampled_mtf(detector, frequency, m1)
    return ScreenTheory(
        spectrum.energy_kev, absorption, swank_of(absorption, first.sum(axis=0), second.sum(axis=0)), first.sum(axis=0),
        m0, float(swank_of(np.array(m0), m1.sum(), m2.sum())), quanta_per_mm2, mean, frequency, mtf, nps, nps / mean**2,
        mtf**2 * mean**2 / (quanta_per_mm2 * nps),
    )  # fmt: skip


def swank_of(zeroth: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """m1^2 / (m0 m2); 0 where nothing is left."""
    below = zeroth * second
    return np.asarray(np.divide(first**2, below, out=np.zeros_like(np.asarray(below, float)), where=below > 0))


def presampled_mtf(detector: Detector, frequency_per_mm: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """MTF of the light of classes of these weights, times the pixel's aperture; [frequency]."""
    aperture = np.sinc(frequency_per_mm * detector.pitch_mm)
    if detector.response == "ideal":
        return aperture
    screen = detector.scintillator
    widths = screen.spread_width_at(class_distances(screen))
    classes = np.array([transfer(screen, frequency_per_mm, float(width)) for width in widths])
    return np.asarray(weights @ classes / weights.sum() * aperture)


def class_transfer(detector: Detector, frequency_per_mm: np.ndarray) -> np.ndarray:
    """Transform of each depth class's kernel on the pixels, along the rows, [class, frequency]."""
    lines = light_spread(detector).whole.sum(axis=1)  # [class, column]
    at = (np.arange(lines.shape[1]) - lines.shape[1] // 2) * detector.pitch_mm
    return np.asarray(lines @ np.cos(2 * np.pi * np.outer(at, frequency_per_mm)))


def white_noise(detector: Detector, mean_kev: float, dark_e: float = 0.0) -> float:
    """Variance that a pixel has of its own: counted light, or electrons and dark ones, read noise, rounding [keV^2]."""
    if detector.response == "ideal":
        return 0.0
    sensor, counted = detector.sensor, detector.scintillator.light_photons_per_kev
    counted = sensor.charge_per_kev if sensor.has_electrons else counted
    electronics = (sensor.read_noise_adu**2 + 1 / 12) / sensor.gain_adu_per_kev**2
    dark = dark_e / sensor.charge_per_kev**2 if sensor.has_electrons else 0.0
    return electronics + dark + (mean_kev / counted if counted else 0.0)
