"""Draw ``docs/images/screens.png``: a thin and a thick GOS screen at 70 kV, as theory has them.

python tools/make_screen_plots.py [OUTPUT]
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np

from xsim.detector import Detector
from xsim.screen_theory import ScreenTheory, screen_theory
from xsim.spectrum import monoenergetic, tube_spectrum

SCREENS = {33.91: "C0", 134.55: "C1"}  # mg/cm2
PITCH_MM, H_MM2 = 0.1, 1.0  # H of the thick screen; light spreads in proportion to the thickness
WIDTH_IN, DPI = 9.0, 110


def screen(areal: float) -> Detector:
    spread = H_MM2 * (areal / 134.55) ** 2
    fields = {
        "model": "cascade", "material": "Gd2O2S:Tb", "areal_density_mg_cm2": areal, "light_spread_h_mm2": spread,
        "light_loss": 0.4,
    }  # fmt: skip
    quiet = {"read_noise_adu": 0.0}
    return Detector(preset="generic-gos-200um", pitch_mm=PITCH_MM, scintillator=fields, sensor=quiet)


def main(output: Path) -> None:
    spectrum = tube_spectrum(70.0, filters=[("Al", 2.5)])
    figure, panels = plt.subplots(1, 3, figsize=(WIDTH_IN, 3.4), layout="constrained")
    for areal, color in SCREENS.items():
        found = screen_theory(screen(areal), spectrum)
        label = f"{areal:g} mg/cm²"
        panels[0].plot(found.frequency_per_mm, found.mtf, color=color, label=label)
        panels[1].plot(found.frequency_per_mm, found.dqe, color=color, label=label)
        energy = np.arange(15.0, 121.0, 0.5)
        each = [of_energy(areal, value) for value in energy]
        panels[2].plot(energy, [e.absorption[0] for e in each], color=color, label=f"{areal:g}: A_Q")
        panels[2].plot(energy, [e.absorption[0] * e.swank[0] for e in each], "--", color=color, label="A_Q A_S")
        print(f"{areal:g} mg/cm2: A_Q {found.quantum_absorption:.3f} A_S {found.swank_factor:.3f} "
              f"DQE(0) {found.dqe[0]:.3f} MTF(2/mm) {np.interp(2, found.frequency_per_mm, found.mtf):.3f}")  # fmt: skip
    for axes, title in zip(panels, ("MTF", "DQE, W 70 kV + 2.5 mm Al", "absorption"), strict=True):
        axes.set(title=title, xlabel="1/mm", ylim=(0, 1))
        axes.grid(alpha=0.25)
        axes.legend(fontsize=8)
    panels[2].set_xlabel("keV")
    figure.savefig(output, dpi=DPI, metadata={"Software": None})
    print(f"written: {output}")


def of_energy(areal: float, energy_kev: float) -> ScreenTheory:
    return screen_theory(screen(areal), monoenergetic(energy_kev), frequency_per_mm=np.zeros(1))


if __name__ == "__main__":
    default = Path(__file__).parents[1] / "docs" / "images" / "screens.png"
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else default)
