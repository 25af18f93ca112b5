"""Make ``xsim/data/screens.npz``: what photons leave in the screens of the presets and in standard ones.

    python tools/make_screens.py [OUTPUT]

Takes about ten seconds a screen. The tables are float32: [node, depth bin], see ``xsim.deposition``.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from tqdm import tqdm

from xsim import material
from xsim.deposition import FIELDS, SHIPPED, screen_key, tabulate
from xsim.detector import Detector, preset_names

GOS = {"formula": "Gd2O2S", "density_g_cm3": 7.34}
CSI = {"formula": "CsI", "density_g_cm3": 4.51}
CDWO4 = {"formula": "CdWO4", "density_g_cm3": 7.9}
# material, mg/cm2: the screens of tests/data/scintillator_aed.csv, and CsI of 600 um without pores
STANDARD = [
    (GOS, 33.91), (GOS, 134.55), (GOS, 367.0), (CSI, 90.2), (CSI, 202.8), (CSI, 225.5), (CSI, 270.6), (CDWO4, 1580.0),
]  # fmt: skip


def main(output: Path) -> None:
    """Tabulate each screen once, in the order of its first mention."""
    screens = [(Detector(preset=name, rows=1).scintillator) for name in preset_names()]
    wanted = [*STANDARD, *((screen.material, screen.areal_density_mg_cm2) for screen in screens)]
    found = {}
    for spec, areal in wanted:
        substance = material.resolve(spec)
        found[screen_key(substance, areal)] = (substance, areal)
    arrays = {}
    for key, (substance, areal) in tqdm(found.items(), unit="screen"):
        table = tabulate(substance, areal)
        kinds = dict.fromkeys(FIELDS, np.float32) | {"energy_kev": np.float64}
        arrays |= {f"{key}/{name}": getattr(table, name).astype(kinds[name]) for name in FIELDS}
        arrays[f"{key}/screen"] = np.array(f"{substance.name}, {areal:g} mg/cm2")
    np.savez_compressed(output, **arrays)


if __name__ == "__main__":
    default = Path(__file__).parents[1] / "xsim" / "data" / SHIPPED
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else default)
