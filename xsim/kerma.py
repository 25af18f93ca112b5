"""Air kerma of photons, from NIST's mass energy-absorption coefficients of dry air.

K = Phi E (mu_en/rho)(E). The rows of ``data/nist_air.csv`` are joined in log-log: by a cubic spline
above the argon edge (straight lines would be 2 % high at 70 keV), straight below it. xraylib's own
``CS_Energy`` is no substitute: it is off by 17-56 % for light materials.
"""

from __future__ import annotations

import functools
import importlib.resources
from collections.abc import Callable
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from xsim.errors import SpectrumError
from xsim.units import JOULE_PER_KEV, MM2_PER_CM2

__all__ = ["air_kerma_ugy"]

Curve: TypeAlias = Callable[[NDArray[np.float64]], NDArray[np.float64]]

LOWEST_KEV: Final = 1.0
HIGHEST_KEV: Final = 1000.0
ARGON_EDGE_KEV: Final = 3.203

#: 1 keV cm2/g per mm2, in microgray: 1000 g per kg, 1e6 microgray per gray.
MICROGRAY: Final = JOULE_PER_KEV * MM2_PER_CM2 * 1e3 * 1e6


def air_kerma_ugy(energy_kev: NDArray[np.float64]) -> NDArray[np.float64]:
    """Air kerma of one photon per mm2, microgray, [energy].

    Raises
    ------
    SpectrumError
        An energy outside the table, 1-1000 keV.

    """
    if energy_kev.min() < LOWEST_KEV or energy_kev.max() > HIGHEST_KEV:
        raise SpectrumError(
            f"air kerma from {energy_kev.min():g} to {energy_kev.max():g} keV "
            f"(the table holds {LOWEST_KEV:g} to {HIGHEST_KEV:g} keV)"
        )
    log_energy = np.log(energy_kev)
    below, above = _log_mu_en()
    above_edge = energy_kev > ARGON_EDGE_KEV
    mu_en = np.exp(np.where(above_edge, above(log_energy), below(log_energy)))
    return np.asarray(energy_kev * mu_en * MICROGRAY, dtype=np.float64)


@functools.cache
def _log_mu_en() -> tuple[Curve, Curve]:
    """ln(mu_en/rho) against ln(E), below and above the argon edge."""
    # Takes longer to import than all the rest of this chain, and few runs ask for kerma.
    from scipy.interpolate import CubicSpline

    text = (importlib.resources.files("xsim") / "data" / "nist_air.csv").read_text("utf-8")
    rows = [line.split(",") for line in text.splitlines() if line[:1].isdigit()]
    log_energy, log_mu = np.log(np.array(rows, dtype=np.float64)).T
    edge = int(np.flatnonzero(np.diff(log_energy) == 0.0)[0]) + 1
    spline: Curve = CubicSpline(log_energy[edge:], log_mu[edge:])
    below_kev, below_mu = log_energy[:edge], log_mu[:edge]
    return lambda x: np.interp(x, below_kev, below_mu), spline
