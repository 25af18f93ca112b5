"""What leaves the target of an X-ray tube: bremsstrahlung and characteristic lines.

Photons per mm2 and mAs at 1 m on the central ray, in vacuum, with the target's self-absorption and
nothing else in the way: no window, no oil, no air, no filter. From one of two models:

- "grid": tungsten reflection targets, 10-500 kV, 6-30 degrees, in ``data/tungsten_reflection.npz``;
  ``tools/make_spectra.py`` made it with spekpy (``casim``, 0.1 keV, gathered into 1 keV bins);
- "spekpy": spekpy itself (extra ``spectra``), also for other targets; kept in a cache on disk.

Omar, Andreo, Poludniowski, "A model for the energy and angular distribution of x rays emitted from
an x-ray tube", I and II, Med. Phys. 47 (2020). The absolute output per mAs is good to 5-10 %.

Between the nodes of the grid. Lines keep their energies, their photons are linear in voltage. The
continuum is linear in voltage: at fixed energy below the target's last absorption edge, so that the
edges of self-absorption stay put, and above it at a fixed fraction of the way from that edge to the
voltage, so that the end point moves. Between angles the logarithm is linear in 1/sin(angle), the
length of the way out of the target.

Greatest error against spekpy at 91 random points between the nodes, all angles, per cent:

=========  ============  ===========  ========================================
voltage    bare fluence  mean energy  behind 2 mm Al: fluence, mean energy, HVL
=========  ============  ===========  ========================================
10-17 kV   2.7           1.6          3.2, 0.08, 0.26
17-25 kV   1.5           1.2          0.33, 0.01, 0.03
25-500 kV  0.27          0.38         0.11, 0.07, 0.12
=========  ============  ===========  ========================================
"""

from __future__ import annotations

import functools
import importlib.resources
import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from xsim.errors import SpectrumError

__all__ = ["Emission", "bin_edges_kev", "emission_from_grid"]

Floats = NDArray[np.float64]

LOWEST_KEV: Final = 1
#: Just above the K and the L edges of tungsten, and the bottom: below the anchor energies stay put.
ANCHORS_KEV: Final = (70, 13, LOWEST_KEV)


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

    def spectrum(self) -> tuple[Floats, Floats, Floats]:
        """Bin centres keV, bin widths keV, photons per keV with the lines in their bins: [bin].

        A line is shared by the two nearest bins so that its photons and its energy are both kept.
        """
        edges = bin_edges_kev(self.voltage_kv)
        centre, width = 0.5 * (edges[1:] + edges[:-1]), np.diff(edges)
        place = np.interp(self.line_energy_kev, centre, np.arange(centre.size))
        low = np.minimum(place.astype(np.int64), centre.size - 2)
        photons = self.continuum * width
        np.add.at(photons, low, self.line_photons * (low + 1 - place))
        np.add.at(photons, low + 1, self.line_photons * (place - low))
        return centre, width, photons / width


def bin_edges_kev(voltage_kv: float) -> Floats:
    """Borders of the energy bins: whole keV from 1, the last bin ends at the voltage."""
    return np.append(np.arange(LOWEST_KEV, math.ceil(voltage_kv)), voltage_kv).astype(np.float64)


def emission_from_grid(voltage_kv: float, anode_angle_deg: float) -> Emission:
    """Interpolate the shipped tungsten grid; continuous in voltage and angle.

    Raises
    ------
    SpectrumError
        Voltage or angle outside the grid.

    """
    grid = _grid()
    grid.check(voltage_kv, anode_angle_deg)
    continuum, lines = grid.at_angle(anode_angle_deg)
    node = int(np.searchsorted(grid.voltage_kv, voltage_kv, side="right")) - 1
    node = min(node, grid.voltage_kv.size - 2)
    low_kv, high_kv = grid.voltage_kv[node : node + 2].tolist()
    share = (voltage_kv - low_kv) / (high_kv - low_kv)
    # Four bins at least between anchor and voltage: fewer do not tell where the end point is.
    anchor = next(a for a in ANCHORS_KEV if a <= low_kv - 4)
    low = _moved(continuum[grid.bins(node)], low_kv, voltage_kv, anchor)
    high = _moved(continuum[grid.bins(node + 1)], high_kv, voltage_kv, anchor)
    return Emission(
        voltage_kv=voltage_kv,
        continuum=(1 - share) * low + share * high,
        line_energy_kev=grid.line_energy_kev,
        line_photons=(1 - share) * lines[node] + share * lines[node + 1],
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
    anode_angle_deg: Floats  # [angle]
    continuum: Floats  # [angle, bins of all nodes] photons per keV
    line_energy_kev: Floats  # [line]
    line_photons: Floats  # [angle, node, line]

    def check(self, voltage_kv: float, anode_angle_deg: float) -> None:
        """Refuse what would be extrapolation."""
        for what, value, nodes in (
            ("voltage_kv", voltage_kv, self.voltage_kv),
            ("anode_angle_deg", anode_angle_deg, self.anode_angle_deg),
        ):
            if not nodes[0] <= value <= nodes[-1]:
                raise SpectrumError(
                    f"{what} {value:g} (the tungsten grid holds {nodes[0]:g} to {nodes[-1]:g}) "
                    "choose one inside, or give a spectrum table"
                )

    def bins(self, node: int) -> slice:
        """Where the bins of a node are; each node has one less than its voltage."""
        start = int((self.voltage_kv[:node] - 1).sum())
        return slice(start, start + int(self.voltage_kv[node]) - 1)

    def at_angle(self, anode_angle_deg: float) -> tuple[Floats, Floats]:
        """Continuum [bins of all nodes] and line photons [node, line] at one angle."""
        path = 1.0 / np.sin(np.radians(self.anode_angle_deg))
        wanted = 1.0 / math.sin(math.radians(anode_angle_deg))
        below = int(np.searchsorted(self.anode_angle_deg, anode_angle_deg, side="right")) - 1
        below = min(below, path.size - 2)
        share = float((wanted - path[below]) / (path[below + 1] - path[below]))
        # Weighted geometric mean, which unlike the logarithm takes lines that are not excited.
        continuum, lines = (
            table[below] ** (1 - share) * table[below + 1] ** share for table in (self.continuum, self.line_photons)
        )
        return continuum, lines


@functools.cache
def _grid() -> _Grid:
    file = importlib.resources.files("xsim") / "data" / "tungsten_reflection.npz"
    with file.open("rb") as stream, np.load(stream, allow_pickle=False) as stored:
        return _Grid(
            voltage_kv=stored["voltage_kv"],
            anode_angle_deg=stored["anode_angle_deg"],
            continuum=stored["continuum"].astype(np.float64),
            line_energy_kev=stored["line_energy_kev"],
            line_photons=stored["line_photons"].astype(np.float64),
        )
