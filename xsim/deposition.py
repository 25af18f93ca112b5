"""Energy that a photon leaves in a screen, tabulated by the slab Monte Carlo, shipped or kept on disk.

A table holds, for photons whose first interaction lies in one of equal depth bins, the share that leaves any energy
and the first two moments of what is left, over the energies of a grid with a node on both sides of each K edge.
The depth of the first interaction itself follows from mu and is not in the table, so that one table serves any energy,
any number of depth classes and irradiation from either side.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import json
import logging
import zipfile
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Final

import numpy as np

from xsim import material
from xsim.disk_cache import cache_directory, keep
from xsim.material import Material
from xsim.slab import EDGE_SIDES, Slab, deposit

__all__ = ["DEPTH_BINS", "SHIPPED", "Deposition", "deposition_of", "screen_key", "tabulate"]

logger = logging.getLogger(__name__)

LAYOUT: Final = 2
DEPTH_BINS: Final = 16
HISTORIES: Final = 8000  # a depth bin and energy; the error of a screen's Swank factor is below 0.003 up to 160 keV
LOWEST_KEV: Final = 5.0  # below it what is left is taken as at it: all, but for what scatters back
NODES: Final = 64
SHIPPED: Final = "screens.npz"
FIELDS: Final = ("energy_kev", "depositing", "first", "second")


@dataclass(frozen=True, eq=False)
class Deposition:
    """Moments of the energy left by a photon that interacts, over its energy E and the depth bin it does so in.

    Attributes
    ----------
    energy_kev : float64 [node]
    depositing : float64 [node, bin]
        Share that leaves any energy.
    first, second : float64 [node, bin]
        Mean of the energy left over E, and of its square over E^2, of all that interact.
    """

    energy_kev: np.ndarray
    depositing: np.ndarray
    first: np.ndarray
    second: np.ndarray

    def at(self, energy_kev: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """``depositing``, ``first`` and ``second`` at energies, each float64 [bin, energy], linear in ln E."""
        place = np.log(np.maximum(energy_kev, self.energy_kev[0]))
        nodes = np.log(self.energy_kev)
        tables = (self.depositing, self.first, self.second)
        found = (np.array([np.interp(place, nodes, column) for column in table.T]) for table in tables)
        depositing, first, second = found
        return depositing, first, second


def deposition_of(substance: Material, areal_mg_cm2: float) -> Deposition:
    """Table of a screen: shipped, from the disk, or made now (some ten seconds) and kept there."""
    key = screen_key(substance, areal_mg_cm2)
    found = _shipped(key)
    if found is None:
        version = importlib.metadata.version("xraylib")
        path = cache_directory("screens") / f"{key}-xraylib-{version}.npz"
        found = _read(path)
        if found is None:
            found = tabulate(substance, areal_mg_cm2)
            _write(path, found)
    return found


def screen_key(substance: Material, areal_mg_cm2: float) -> str:
    """What a table belongs to: composition, areal density and how it was made. Density does not count."""
    setting = {
        "layout": LAYOUT, "depth_bins": DEPTH_BINS, "histories": HISTORIES, "nodes": NODES, "lowest": LOWEST_KEV,
        "weight_fractions": [[number, round(share, 4)] for number, share in substance.weight_fractions],
        "areal_mg_cm2": float(f"{areal_mg_cm2:.6g}"),
    }  # fmt: skip
    return hashlib.sha256(json.dumps(setting, sort_keys=True).encode()).hexdigest()[:16]


def tabulate(substance: Material, areal_mg_cm2: float) -> Deposition:
    """Run the slab Monte Carlo at every node."""
    slab = Slab.of(substance, areal_mg_cm2, material.HIGHEST_KEV)
    energy = node_energies(slab)
    shape = (len(energy), DEPTH_BINS)
    tables = np.empty((3, *shape))
    for node, value in enumerate(energy.tolist()):
        left = deposit(slab, value, DEPTH_BINS, HISTORIES, seed=LAYOUT) / value
        tables[:, node] = (left > 0.0).mean(axis=1), left.mean(axis=1), (left**2).mean(axis=1)
    return Deposition(energy, *tables)


def node_energies(slab: Slab) -> np.ndarray:
    """Energies of a table, even in ln E, and both sides of the K edges between the first and the last."""
    energy = np.geomspace(LOWEST_KEV, material.HIGHEST_KEV, NODES)
    edges = [shell.edge_kev * side for shell in slab.shells if shell for side in EDGE_SIDES]
    return np.union1d(energy, [edge for edge in edges if energy[0] < edge < energy[-1]])


@functools.cache
def _shipped(key: str) -> Deposition | None:
    stored = resources.files("xsim") / "data" / SHIPPED
    if not stored.is_file():
        return None
    with stored.open("rb") as stream, np.load(stream, allow_pickle=False) as tables:
        if f"{key}/first" not in tables:
            return None
        return Deposition(*(tables[f"{key}/{name}"].astype(np.float64) for name in FIELDS))


def _read(path: Path) -> Deposition | None:
    try:
        with np.load(path, allow_pickle=False) as stored:
            return Deposition(*(stored[name].astype(np.float64) for name in FIELDS))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        logger.info("screen table %s is computed again (%s)", path, error)
        return None


def _write(path: Path, table: Deposition) -> None:
    keep(path, lambda stream: np.savez(stream, **{name: getattr(table, name) for name in FIELDS}))
