"""What leaves the target of an X-ray tube: bremsstrahlung and characteristic lines.

Photons per mm2 and mAs at 1 m on the central ray, in vacuum, with the target's self-absorption and
nothing else in the way: no window, no oil, no air, no filter. From one of two models:

- "grid": reflection targets at 6-30 degrees, W at 10-500 kV and Cr, Cu, Mo, Rh, Ag, Au at 10-50 kV, in
  ``data/*_reflection.npz``; ``tools/make_spectra.py`` made them with spekpy (``casim``, 0.1 keV, gathered into 1 keV
  bins). Tungsten's take-off angles reach down to 2 degrees, for rays beside the central one (``xsim.heel``);
- "spekpy": spekpy itself (extra ``spectra``), also for transmission targets; kept in a cache on disk.

Omar, Andreo, Poludniowski, "A model for the energy and angular distribution of x rays emitted from
an x-ray tube", I and II, Med. Phys. 47 (2020). The absolute output per mAs is good to 5-10 %.

Between the nodes of the grid. Lines keep their energies, their photons are linear in voltage. The
continuum is linear in voltage: at fixed energy below the target's last absorption edge, so that the
edges of self-absorption stay put, and above it at a fixed fraction of the way from that edge to the
voltage, so that the end point moves. Between angles the logarithm is linear in 1/sin(angle), the
length of the way out of the target.

Greatest error against spekpy at random points between the nodes, all angles, per cent; filter 2 mm Al for tungsten (91
points), 0.5 mm Al for the others (54 points, of which gold between its L edges, 12-14.4 kV, is apart):

==============  ============  ===========  ====================================
                bare fluence  mean energy  filtered: fluence, mean energy, HVL
==============  ============  ===========  ====================================
W 10-17 kV      2.7           1.6          3.2, 0.08, 0.26
W 17-25 kV      1.5           1.2          0.33, 0.01, 0.03
W 25-500 kV     0.27          0.38         0.11, 0.07, 0.12
others 10-17    1.0           1.4          0.5, 0.17, 0.9
others 17-25    0.6           1.4          0.4, 0.09, 0.7
others 25-50    0.5           0.9          0.4, 0.11, 0.6
Au near 14 kV   2.3           1.5          7.8, 0.5, 1.4
W at 2-6 deg    1.0           0.5          0.6, 0.3, 0.4
==============  ============  ===========  ====================================
"""

from __future__ import annotations

import functools
import importlib.resources
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from xsim.errors import SpectrumError

__all__ = ["GRIDS", "Emission", "bin_edges_kev", "emission_at_take_off", "emission_from_grid"]

Floats = NDArray[np.float64]

LOWEST_KEV: Final = 1
#: Files of the shipped grids, by target.
GRIDS: Final = {
    "W": "tungsten_reflection.npz",
    "Cr": "chromium_reflection.npz",
    "Cu": "copper_reflection.npz",
    "Mo": "molybdenum_reflection.npz",
    "Rh": "rhodium_reflection.npz",
    "Ag": "silver_reflection.npz",
    "Au": "gold_reflection.npz",
}
#: Anode angles that a grid answers for.
ANODE_ANGLES_DEG: Final = (6.0, 30.0)
#: A border nearer than this to one that is there already is left out.
NARROWEST_KEV: Final = 0.005
#: Just above the target's K and L edges, and the bottom: below the anchor energies stay put.
ANCHORS_KEV: Final = {
    "W": (70, 13, LOWEST_KEV), "Cr": (6, LOWEST_KEV), "Cu": (9, LOWEST_KEV), "Mo": (21, LOWEST_KEV),
    "Rh": (24, LOWEST_KEV), "Ag": (26, LOWEST_KEV), "Au": (15, LOWEST_KEV),
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Emission:
    """Photons from the bare target, per mm2 and mAs at 1 m.

    Attributes
    ----------
    voltage_kv : float
    continuum : float64 [bin]
        Photons per keV in the bins of `bin_edges_kev`.
    line_energy_kev, line_photons : float64 [line]

    """

    voltage_kv: float
    continuum: Floats
    line_energy_kev: Floats
    line_photons: Floats

    def spectrum(self, borders_kev: Sequence[float] = ()) -> tuple[Floats, Floats, Floats]:
        """Bin centres keV, bin widths keV, photons per keV with the lines in their bins: [bin].

        A line is shared by the two nearest bins so that its photons and its energy are both kept. Bins are cut at
        ``borders_kev`` (absorption edges), and no line is shared across one.
        """
        whole = bin_edges_kev(self.voltage_kv)
        borders = [
            b for b in sorted(borders_kev) if whole[0] < b < whole[-1] and np.abs(whole - b).min() > NARROWEST_KEV
        ]
        edges = np.union1d(whole, borders)
        centre, width = 0.5 * (edges[1:] + edges[:-1]), np.diff(edges)
        photons = self.continuum[np.searchsorted(whole, centre) - 1] * width
        line_side, bin_side = np.searchsorted(borders, self.line_energy_kev), np.searchsorted(borders, centre)
        for side in range(len(borders) + 1):
            held, bins = line_side == side, np.flatnonzero(bin_side == side)
            place = np.interp(self.line_energy_kev[held], centre[bins], np.arange(bins.size))
            low = np.clip(place.astype(np.int64), 0, max(bins.size - 2, 0))
            high = np.minimum(low + 1, bins.size - 1)
            np.add.at(photons, bins[low], self.line_photons[held] * (low + 1 - place))
            np.add.at(photons, bins[high], self.line_photons[held] * (place - low))
        return centre, width, photons / width


def bin_edges_kev(voltage_kv: float) -> Floats:
    """Borders of the energy bins: whole keV from 1, the last bin ends at the voltage."""
    return np.append(np.arange(LOWEST_KEV, math.ceil(voltage_kv)), voltage_kv).astype(np.float64)


def emission_from_grid(voltage_kv: float, anode_angle_deg: float, target: str = "W") -> Emission:
    """Interpolate the shipped grid of a target; continuous in voltage and angle.

    Raises
    ------
    SpectrumError
        No grid of this target; voltage or angle outside it.

    """
    if target not in GRIDS:
        raise SpectrumError(f"target {target!r} (the grids hold {', '.join(GRIDS)}) or give a spectrum table")
    low_deg, high_deg = ANODE_ANGLES_DEG
    if not low_deg <= anode_angle_deg <= high_deg:
        raise SpectrumError(
            f"anode_angle_deg {anode_angle_deg:g} (the {target} grid holds {low_deg:g} to {high_deg:g}) "
            "choose one inside, or give a spectrum table"
        )
    return emission_at_take_off(voltage_kv, anode_angle_deg, target)


def emission_at_take_off(voltage_kv: float, take_off_deg: float, target: str = "W") -> Emission:
    """Emission at an angle above the target's surface, at 1 m, from its shipped grid.

    Beyond the greatest angle of the grid the logarithm goes on linearly in 1/sin(angle).

    Raises
    ------
    SpectrumError
        Voltage outside the grid, angle below it.

    """
    grid = _grid(target)
    lowest_deg = float(grid.anode_angle_deg[0])
    if take_off_deg < lowest_deg * (1 - 1e-9):
        raise SpectrumError(f"take-off angle {take_off_deg:g} (the {target} grid begins at {lowest_deg:g} degrees)")
    lowest_kv, highest_kv = grid.voltage_kv[[0, -1]].tolist()
    if not lowest_kv <= voltage_kv <= highest_kv:
        raise SpectrumError(
            f"voltage_kv {voltage_kv:g} (the {target} grid holds {lowest_kv} to {highest_kv}) "
            "choose one inside, or give a spectrum table"
        )
    node = int(np.searchsorted(grid.voltage_kv, voltage_kv, side="right")) - 1
    node = min(node, grid.voltage_kv.size - 2)
    low_kv, high_kv = grid.voltage_kv[node : node + 2].tolist()
    share = (voltage_kv - low_kv) / (high_kv - low_kv)
    # Four bins at least between anchor and voltage: fewer do not tell where the end point is.
    anchor = next(a for a in ANCHORS_KEV[target] if a <= low_kv - 4)
    (low, low_lines), (high, high_lines) = (grid.at_angle(take_off_deg, n) for n in (node, node + 1))
    low, high = _moved(low, low_kv, voltage_kv, anchor), _moved(high, high_kv, voltage_kv, anchor)
    return Emission(
        voltage_kv=voltage_kv,
        continuum=(1 - share) * low + share * high,
        line_energy_kev=grid.line_energy_kev,
        line_photons=(1 - share) * low_lines + share * high_lines,
    )


def _moved(continuum: Floats, node_kv: int, voltage_kv: float, anchor_kev: int) -> Floats:
    """Continuum of a node, its end point moved to ``voltage_kv``, in the bins of that voltage."""
    edges = bin_edges_kev(voltage_kv)
    centre = 0.5 * (edges[1:] + edges[:-1])
    fixed = anchor_kev - LOWEST_KEV
    moving = continuum[fixed:]
    ends = 1.5 * moving[[0, -1]] - 0.5 * moving[[1, -2]]
    where = np.concatenate(([anchor_kev], np.arange(anchor_kev, node_kv) + 0.5, [node_kv]))
    what = np.concatenate((ends[:1], moving, ends[1:])).clip(min=0.0)
    stretch = (node_kv - anchor_kev) / (voltage_kv - anchor_kev)
    moved = np.interp(anchor_kev + (centre[fixed:] - anchor_kev) * stretch, where, what)
    return np.concatenate((continuum[:fixed], moved))


@dataclass(frozen=True, eq=False)
class _Grid:
    voltage_kv: NDArray[np.int64]  # [node]
    anode_angle_deg: Floats  # [angle], the take-off angles of the nodes
    continuum: Floats  # [angle, bins of all nodes] photons per keV
    line_energy_kev: Floats  # [line]
    line_photons: Floats  # [angle, node, line]

    def bins(self, node: int) -> slice:
        """Where the bins of a node are; each node has one less than its voltage."""
        start = int((self.voltage_kv[:node] - 1).sum())
        return slice(start, start + int(self.voltage_kv[node]) - 1)

    def at_angle(self, take_off_deg: float, node: int) -> tuple[Floats, Floats]:
        """Continuum [bin] and line photons [line] of a node at one angle."""
        path = 1.0 / np.sin(np.radians(self.anode_angle_deg))
        wanted = 1.0 / math.sin(math.radians(take_off_deg))
        below = int(np.searchsorted(self.anode_angle_deg, take_off_deg, side="right")) - 1
        below = min(max(below, 0), path.size - 2)
        share = float((wanted - path[below]) / (path[below + 1] - path[below]))
        # Weighted geometric mean, which unlike the logarithm takes lines that are not excited.
        continuum, lines = (
            _geometric_mean(table[below], table[below + 1], share)
            for table in (self.continuum[:, self.bins(node)], self.line_photons[:, node])
        )
        return continuum, lines


def _geometric_mean(low: Floats, high: Floats, share: float) -> Floats:
    """low^(1 - share) high^share; nothing where either is nothing, whatever the share."""
    lit = (low > 0) & (high > 0)
    safe_low, safe_high = np.where(lit, low, 1.0), np.where(lit, high, 1.0)
    return np.where(lit, safe_low ** (1 - share) * safe_high**share, 0.0)


@functools.cache
def _grid(target: str) -> _Grid:
    file = importlib.resources.files("xsim") / "data" / GRIDS[target]
    with file.open("rb") as stream, np.load(stream, allow_pickle=False) as stored:
        return _Grid(
            voltage_kv=stored["voltage_kv"],
            anode_angle_deg=stored["anode_angle_deg"],
            continuum=stored["continuum"].astype(np.float64),
            line_energy_kev=stored["line_energy_kev"],
            line_photons=stored["line_photons"].astype(np.float64),
        )
