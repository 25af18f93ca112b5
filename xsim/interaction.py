"""What X-rays do in an element: K fluorescence, the coefficients of each process, form factors; through xraylib."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xraylib
from numpy.typing import ArrayLike, NDArray

__all__ = ["KShell", "form_factor", "interactions", "k_shell"]


@dataclass(frozen=True, slots=True)
class KShell:
    """K shell of an element: its share of photoelectric absorptions above the edge, 1 - 1 / jump, and its fluorescence.

    Lines K-L2, K-L3, K-M2, K-M3, K-N2, K-N3 with their shares of the K X-rays, float64 [line], sum 1 (xraylib).
    """

    edge_kev: float
    share: float
    fluorescence_yield: float
    line_kev: NDArray[np.float64]
    line_share: NDArray[np.float64]


def k_shell(number: int) -> KShell | None:
    """K shell of the element of an atomic number; None where the tables hold no jump, yield or line (light ones)."""
    lines = (xraylib.KL2_LINE, xraylib.KL3_LINE, xraylib.KM2_LINE, xraylib.KM3_LINE, xraylib.KN2_LINE, xraylib.KN3_LINE)
    kev, share = [], []
    try:
        edge, jump = xraylib.EdgeEnergy(number, xraylib.K_SHELL), xraylib.JumpFactor(number, xraylib.K_SHELL)
        fluorescence = xraylib.FluorYield(number, xraylib.K_SHELL)
    except ValueError:
        return None
    for line in lines:
        try:
            rate, energy = xraylib.RadRate(number, line), xraylib.LineEnergy(number, line)
        except ValueError:
            continue
        kev.append(energy)
        share.append(rate)
    if not kev:
        return None
    return KShell(edge, 1.0 - 1.0 / jump, fluorescence, np.array(kev), np.array(share) / sum(share))


def interactions(number: int, energy_kev: ArrayLike) -> NDArray[np.float64]:
    """Mass coefficients of an element's photoelectric effect, Compton and Rayleigh scattering, [3, energy] cm2/g.

    Their sum is the ``mass_attenuation`` of the element.
    """
    kinds = (xraylib.CS_Photo, xraylib.CS_Compt, xraylib.CS_Rayl)
    return np.array([[kind(number, value) for value in np.asarray(energy_kev).tolist()] for kind in kinds])


def form_factor(number: int, transfer_per_angstrom: ArrayLike) -> NDArray[np.float64]:
    """Atomic form factor F(x, Z) of Rayleigh scattering, x = sin(angle / 2) / wavelength."""
    return np.array([xraylib.FF_Rayl(number, x) for x in np.asarray(transfer_per_angstrom).tolist()])
