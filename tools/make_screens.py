"""Make ``xsim/data/screens.npz``: what photons leave in the screens of the presets and in standard ones.

    python tools/make_screens.py [OUTPUT]

Takes about five seconds a screen. The tables are float32: [node, depth bin], see ``xsim.deposition``.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from tqdm import tqdm

from xsim import material
from xsim.deposition import FIELDS, SHIPPED, screen_key, tabulate
from xsim.detector import Detector, preset_names

# mg/cm2: the screens of tests/data/scintillator_aed.csv, and others that cameras are sold with
STANDARD = {
    "GOS": (33.91, 67.0, 100.0, 134.55, 367.0),
    "CsI": (54.0, 90.2, 202.8, 216.0, 225.5, 253.0, 270.6),
    "CdWO4": (1580.0,),
}


def main(output: Path) -> None:
    """Tabulate each screen once, in the order of its first mention."""
    cameras = [Detector(preset=name, rows=1) for name in preset_names()]
    screens = [layer.scintillator for camera in cameras for layer in (camera, camera.behind) if layer]
    wanted = [(name, areal) for name, densities in STANDARD.items() for areal in densities]
    wanted += [(screen.material, screen.areal_density_mg_cm2) for screen in screens]
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
