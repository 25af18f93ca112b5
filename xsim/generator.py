"""The high voltage over time: ripple, and the slow drift of a tube's output.

Ripple is stated as a share of the peak, (highest - lowest) / highest (IEC 60601-2-7). Two shapes:

- "rectified": V = V_peak cos(phi), the tops of rectified sines. A share of 1 is one phase, two pulses; 0.134 is six
  pulses, 0.034 twelve.
- "sine": V = V_peak (1 - share / 2 (1 - cos(phi))), of inverters and of what a filter leaves.

The current is taken as constant; what is emitted below the lowest voltage of the tube model is left out. Twelve
moments of half a period give the fluence within 3e-4. What ripple does to the lines of a scan whose exposure is not
many periods long is not modelled.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from xsim.spectrum import Spectrum

__all__ = ["RIPPLE_SHAPES", "drifted_output", "mean_over_time", "voltages_over_time"]

RIPPLE_SHAPES: Final = ("rectified", "sine")


def voltages_over_time(
    peak_kv: float, ripple_share: float, shape: str = "rectified", count: int = 12
) -> NDArray[np.float64]:
    """Voltages at moments that stand for equal times, float64 [moment] kV; one without ripple.

    >>> voltages_over_time(100.0, 0.0).tolist()
    [100.0]
    """
    if ripple_share == 0.0:
        return np.array([float(peak_kv)])
    middle = (np.arange(count) + 0.5) / count  # of half a period; the other half is its mirror image
    if shape == "rectified":
        return np.asarray(peak_kv * np.cos(middle * np.arccos(1.0 - ripple_share)))
    return np.asarray(peak_kv * (1.0 - 0.5 * ripple_share * (1.0 - np.cos(np.pi * middle))))


def drifted_output(drift_share_per_s: float, time_s: Any) -> Any:
    """Output at a time since the start, as a share of that at the start; never below 0.

    >>> float(drifted_output(-0.01, 5.0))
    0.95
    """
    return np.maximum(1.0 + drift_share_per_s * np.asarray(time_s, np.float64), 0.0)


def mean_over_time(spectra: Sequence[Spectrum]) -> Spectrum:
    """Mean of spectra of a tube at several voltages, in the bins of that of the highest."""
    highest = max(spectra, key=lambda s: float(s.energy_kev[-1] + 0.5 * s.bin_width_kev[-1]))
    lower_kev = highest.energy_kev - 0.5 * highest.bin_width_kev
    photons = np.zeros(highest.energy_kev.size)
    for spectrum in spectra:
        place = np.searchsorted(lower_kev, spectrum.energy_kev, side="right") - 1
        np.add.at(photons, place, spectrum.photons_per_bin)
    return Spectrum(highest.energy_kev, photons / len(spectra) / highest.bin_width_kev, highest.bin_width_kev)
