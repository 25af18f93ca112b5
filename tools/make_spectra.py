"""Make ``xsim/data/tungsten_reflection.npz``, the shipped tube spectra, from spekpy.

    python tools/make_spectra.py [OUTPUT]

Takes about ten minutes. Voltages are spaced by 1 kV at the bottom, by 4-5 % above; angles so that
the way out of the target, 1/sin(angle), changes by 10-25 %. What error that leaves is in the
docstring of ``xsim.tube``, checked by ``tests/test_tube.py`` where spekpy is installed.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import spekpy
from tqdm import tqdm

from xsim.tube import Emission
from xsim.tube_cache import run_spekpy

VOLTAGES_KV = [
    *range(10, 40),
    *range(40, 68, 2),
    *(68, 69, 70, 71, 72, 73, 74, 76, 78),
    *range(80, 100, 4),
    *range(100, 150, 5),
    *range(150, 250, 10),
    *(250, 265, 280, 300, 320, 340, 360, 380, 400, 420, 440, 460, 480, 500),
]
ANGLES_DEG = [6.0, 7.0, 8.0, 10.0, 12.0, 14.0, 16.0, 18.0, 20.0, 22.0, 25.0, 30.0]


def main(output: Path) -> None:
    """Run every node and write the arrays that ``xsim.tube`` reads."""
    nodes = [(angle, voltage) for angle in ANGLES_DEG for voltage in VOLTAGES_KV]
    emissions = [run_spekpy(float(v), "W", a) for a, v in tqdm(nodes, unit="spectrum")]
    per_angle = [emissions[start : start + len(VOLTAGES_KV)] for start in range(0, len(emissions), len(VOLTAGES_KV))]
    line_energy = np.unique(np.concatenate([line_centres(e) for e in emissions]))
    np.savez_compressed(
        output,
        source=np.array(f"spekpy {spekpy.__version__}, casim, W reflection, dk 0.1 keV"),
        unit=np.array("photons per keV (lines: photons), mm2 and mAs at 1 m, no filter, vacuum"),
        voltage_kv=np.array(VOLTAGES_KV, dtype=np.int64),
        anode_angle_deg=np.array(ANGLES_DEG),
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
    default = Path(__file__).parents[1] / "xsim" / "data" / "tungsten_reflection.npz"
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else default)
