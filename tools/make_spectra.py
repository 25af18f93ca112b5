"""Make ``xsim/data/*_reflection.npz``, the shipped tube spectra, from spekpy.

    python tools/make_spectra.py [TARGET ...]

Tungsten takes about a quarter of an hour, the others two minutes each. Voltages are spaced by 1 kV at the bottom, by
4-5 % above; angles so that the way out of the target, 1/sin(angle), changes by 10-50 %. Tungsten's take-off angles
reach down to 2 degrees, for the heel effect. What error that leaves is in the docstring of ``xsim.tube``, checked
by ``tests/test_tube.py`` where spekpy is installed.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import spekpy
from tqdm import tqdm

from xsim.tube import GRIDS, Emission
from xsim.tube_cache import run_spekpy

TUNGSTEN_KV = [
    *range(10, 40),
    *range(40, 68, 2),
    *(68, 69, 70, 71, 72, 73, 74, 76, 78),
    *range(80, 100, 4),
    *range(100, 150, 5),
    *range(150, 250, 10),
    *(250, 265, 280, 300, 320, 340, 360, 380, 400, 420, 440, 460, 480, 500),
]
TUNGSTEN_DEG = [2, 3, 4.2, 6, 7, 8, 10, 12, 14, 16, 18, 20, 22, 25, 30]
OTHERS_KV = [*range(10, 30), *range(30, 51, 2)]
OTHERS_DEG = [6, 8, 10, 12, 15, 20, 25, 30]


def main(targets: list[str]) -> None:
    """Run every node of the targets and write the arrays that ``xsim.tube`` reads."""
    for target in targets:
        voltages_kv, angles_deg = (TUNGSTEN_KV, TUNGSTEN_DEG) if target == "W" else (OTHERS_KV, OTHERS_DEG)
        folder = Path(__file__).parents[1] / "xsim" / "data"
        make(folder / GRIDS[target], target, voltages_kv, [float(a) for a in angles_deg])


def make(output: Path, target: str, voltages_kv: list[int], angles_deg: list[float]) -> None:
    """Run the nodes of one target."""
    nodes = [(angle, voltage) for angle in angles_deg for voltage in voltages_kv]
    emissions = [run_spekpy(float(v), target, a) for a, v in tqdm(nodes, desc=target, unit="spectrum")]
    per_angle = [emissions[start : start + len(voltages_kv)] for start in range(0, len(emissions), len(voltages_kv))]
    line_energy = np.unique(np.concatenate([line_centres(e) for e in emissions]))
    np.savez_compressed(
        output,
        source=np.array(f"spekpy {spekpy.__version__}, casim, {target} reflection, dk 0.1 keV"),
        unit=np.array("photons per keV (lines: photons), mm2 and mAs at 1 m, no filter, vacuum"),
        voltage_kv=np.array(voltages_kv, dtype=np.int64),
        anode_angle_deg=np.array(angles_deg),
        # [angle, node after node, each with its voltage - 1 bins]
        continuum=np.array([np.concatenate([e.continuum for e in row]) for row in per_angle], np.float32),
        line_energy_kev=line_energy,
        line_photons=np.array([[lines_on(line_energy, e) for e in row] for row in per_angle], np.float32),
    )


def line_centres(emission: Emission) -> np.ndarray:
    """Line energies to the hundredth of a keV: equal bins of different runs compare equal."""
    return np.round(emission.line_energy_kev, 2)


def lines_on(line_energy_kev: np.ndarray, emission: Emission) -> np.ndarray:
    """Photons of each line of the common list, zero where this voltage does not excite it."""
    photons = np.zeros(line_energy_kev.size)
    photons[np.searchsorted(line_energy_kev, line_centres(emission))] = emission.line_photons
    return photons


if __name__ == "__main__":
    main(sys.argv[1:] or list(GRIDS))
