"""Monte Carlo of photons in a screen: how much of a photon's energy stays in it, by the depth that it is met at.

A slab of one material, wide without end, of an areal density; photons at normal incidence. Photoelectric absorption
with K fluorescence (the K share of absorptions, the yield and the lines of each element), Compton scattering by free
electrons at rest (Klein-Nishina; the recoil electron's energy stays where it is), Rayleigh scattering by F(x, Z)^2
(1 + cos^2) / 2; fluorescence and scattered photons are followed until absorbed or out. Electrons do not travel, L and
softer X-rays are absorbed where they arise. Coefficients of xraylib, as in ``material``.

Every photon is made to interact and its depth drawn from exp(-mu z) inside one depth bin, so that the mean over
histories is conditional on the bin: what meets the bin, exp(-mu z1) - exp(-mu z2), is known without drawing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xsim import interaction
from xsim.interaction import KShell
from xsim.material import Material

__all__ = ["CUTOFF_KEV", "EDGE_SIDES", "Slab", "deposit"]

CUTOFF_KEV = 1.0  # a photon below it is absorbed where it is
EDGE_SIDES = (1 - 1e-4, 1 + 1e-4)  # xraylib's coefficients jump within 3e-5 of where it says the edge is
GRID = 1500  # energies of the coefficient tables, beside those at the edges
TRANSFERS = np.linspace(0.0, 65.0, 3001) ** 2 / 65.0  # 1/Angstrom
HC_KEV_ANGSTROM = 12.39841984
ELECTRON_KEV = 510.99895
PHOTOELECTRIC, COMPTON, RAYLEIGH = range(3)

Photons = np.ndarray


@dataclass(frozen=True, eq=False)
class Slab:
    """A material ready for photons up to an energy.

    Attributes
    ----------
    areal_g_cm2 : float
    energy_kev : float64 [grid]
    total : float64 [grid] cm2/g
    shares : float64 [grid, 3 element]
        Running sum of the shares of the processes, element by element: photoelectric, Compton, Rayleigh of each.
    shells : tuple of KShell or None, per element
    squares : float64 [element, transfer]
        Integral of F^2 over x^2, from 0 to x = ``TRANSFERS``.
    """

    areal_g_cm2: float
    energy_kev: np.ndarray
    total: np.ndarray
    shares: np.ndarray
    shells: tuple[KShell | None, ...]
    squares: np.ndarray

    @classmethod
    def of(cls, substance: Material, areal_mg_cm2: float, highest_kev: float) -> Slab:
        """Tables from the cutoff to an energy, with a node on both sides of each K edge."""
        numbers = [number for number, _ in substance.weight_fractions]
        shells = tuple(interaction.k_shell(number) for number in numbers)
        energy = np.geomspace(0.9 * CUTOFF_KEV, highest_kev, GRID)
        edges = [s.edge_kev * side for s in shells if s for side in EDGE_SIDES]
        energy = np.union1d(energy, [edge for edge in edges if energy[0] < edge < energy[-1]])
        parts = [w * interaction.interactions(number, energy) for number, w in substance.weight_fractions]
        running = np.cumsum(np.concatenate(parts), axis=0)
        factors = np.array([interaction.form_factor(number, TRANSFERS) for number in numbers]) ** 2
        steps = 0.5 * (factors[:, 1:] + factors[:, :-1]) * np.diff(TRANSFERS**2)
        squares = np.pad(np.cumsum(steps, axis=1), ((0, 0), (1, 0)))
        return cls(areal_mg_cm2 / 1000.0, energy, running[-1], (running / running[-1]).T, shells, squares)

    def attenuation(self, energy_kev: np.ndarray) -> np.ndarray:
        """Mass attenuation coefficient, cm2/g."""
        return np.asarray(np.interp(energy_kev, self.energy_kev, self.total))


def deposit(slab: Slab, energy_kev: float, depth_bins: int, per_bin: int, seed: int) -> np.ndarray:
    """Energy that photons of one energy leave in the slab.

    Parameters
    ----------
    slab : Slab
    energy_kev : float
    depth_bins : int
        Equal parts of the depth, from the side that the photons enter by.
    per_bin : int
        Histories of each.
    seed : int

    Returns
    -------
    float64 [depth_bin, history] keV; of photons whose first interaction lies in the bin.

    """
    rng = np.random.Generator(np.random.Philox(seed))
    mu, step = slab.attenuation(np.array(energy_kev)), slab.areal_g_cm2 / depth_bins
    along = (np.arange(per_bin) + rng.random((depth_bins, per_bin))) / per_bin  # stratified
    inside = -np.log1p(along * np.expm1(-mu * step)) / mu
    depth = (step * np.arange(depth_bins)[:, None] + inside).ravel()
    left = np.zeros(depth.size)
    who, energy = np.arange(depth.size), np.full(depth.size, float(energy_kev))
    cosine = np.ones(depth.size)
    while who.size:
        energy, cosine = _interact(slab, energy, cosine, who, left, rng)
        alive = energy > 0.0
        who, energy, cosine, depth = who[alive], energy[alive], cosine[alive], depth[alive]
        depth = depth - cosine * np.log(1.0 - rng.random(who.size)) / slab.attenuation(energy)
        inside_slab = (depth > 0.0) & (depth < slab.areal_g_cm2)
        who, energy, cosine, depth = (a[inside_slab] for a in (who, energy, cosine, depth))
    return left.reshape(depth_bins, per_bin)


def _interact(
    slab: Slab, energy: Photons, cosine: Photons, who: Photons, left: Photons, rng: np.random.Generator
) -> tuple[Photons, Photons]:
    """One interaction of each photon: what it leaves is added to ``left``; energy (0: absorbed) and cosine after."""
    column = _choose(slab, energy, rng.random(energy.size))
    element, process = column // 3, column % 3
    after, turn = np.zeros_like(energy), np.zeros_like(energy)
    isotropic = np.zeros(energy.size, bool)
    scattered = process == COMPTON
    after[scattered], turn[scattered] = _compton(energy[scattered], rng)
    for number, shell in enumerate(slab.shells):
        coherent = (process == RAYLEIGH) & (element == number)
        after[coherent] = energy[coherent]
        turn[coherent] = _rayleigh(slab.squares[number], energy[coherent], rng)
        if shell is not None:
            absorbed = np.nonzero((process == PHOTOELECTRIC) & (element == number) & (energy > shell.edge_kev))[0]
            shining = absorbed[rng.random(absorbed.size) < shell.share * shell.fluorescence_yield]
            after[shining] = rng.choice(shell.line_kev, shining.size, p=shell.line_share)
            isotropic[shining] = True
    after[after < CUTOFF_KEV] = 0.0
    left[who] += energy - after
    azimuth = np.cos(2 * np.pi * rng.random(energy.size))
    sines = np.sqrt(np.maximum((1 - cosine**2) * (1 - turn**2), 0.0))
    turned = np.where(isotropic, 2 * rng.random(energy.size) - 1, cosine * turn + sines * azimuth)
    return after, np.clip(turned, -1.0, 1.0)


def _choose(slab: Slab, energy: Photons, draw: Photons) -> Photons:
    """Column of ``Slab.shares`` in which the draw falls, between the two nearest energies."""
    high = np.clip(np.searchsorted(slab.energy_kev, energy), 1, len(slab.energy_kev) - 1)
    low = high - 1
    part = (energy - slab.energy_kev[low]) / (slab.energy_kev[high] - slab.energy_kev[low])
    column = np.zeros(energy.size, np.intp)
    for k in range(slab.shares.shape[1] - 1):
        share = slab.shares[low, k] + part * (slab.shares[high, k] - slab.shares[low, k])
        column += draw >= share
    return column


def _compton(energy: Photons, rng: np.random.Generator) -> tuple[Photons, Photons]:
    """Energy and cosine after scattering by a free electron, by rejection from the Klein-Nishina cross section.

    With e = E' / E the cross section goes as (1/e + e)(1 - e sin^2 / (1 + e^2)), e from 1 / (1 + 2k) to 1: a mixture of
    1/e and e, and a rejection (Butcher and Messel, Nucl. Phys. 20 (1960) 15).
    """
    k = energy / ELECTRON_KEV
    least = 1.0 / (1.0 + 2.0 * k)
    by_inverse, by_rise = -np.log(least), 0.5 * (1.0 - least**2)
    ratio, cosine = np.ones_like(energy), np.ones_like(energy)
    waiting = np.arange(energy.size)
    while waiting.size:
        u, v, w = rng.random((3, waiting.size))
        floor, share = least[waiting], (by_inverse / (by_inverse + by_rise))[waiting]
        e = np.where(u < share, floor ** (1.0 - v), np.sqrt(floor**2 + (1.0 - floor**2) * v))
        t = (1.0 - e) / (k[waiting] * e)
        accepted = w < 1.0 - e * t * (2.0 - t) / (1.0 + e**2)
        done = waiting[accepted]
        ratio[done], cosine[done] = e[accepted], 1.0 - t[accepted]
        waiting = waiting[~accepted]
    return energy * ratio, cosine


def _rayleigh(squares: np.ndarray, energy: Photons, rng: np.random.Generator) -> Photons:
    """Cosine after coherent scattering: x^2 from the integral of F^2, then a rejection by (1 + cos^2) / 2."""
    highest = energy / HC_KEV_ANGSTROM  # x at 180 degrees
    reach = np.interp(highest**2, TRANSFERS**2, squares)
    cosine = np.ones_like(energy)
    waiting = np.arange(energy.size)
    while waiting.size:
        u, v = rng.random((2, waiting.size))
        x2 = np.interp(u * reach[waiting], squares, TRANSFERS**2)
        c = 1.0 - 2.0 * x2 / highest[waiting] ** 2
        accepted = v < 0.5 * (1.0 + c * c)
        cosine[waiting[accepted]] = c[accepted]
        waiting = waiting[~accepted]
    return cosine
