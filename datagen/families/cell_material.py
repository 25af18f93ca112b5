"""Materials and thicknesses of lithium-ion cells.

A foil and the coatings on both its faces stand as one sheet of the mean composition: graphite of 1.5 g/cm3 (75 um a
face) on 10 um of copper, NMC811 of 3.3 g/cm3 (65 um a face) on 15 um of aluminium. Thicknesses and densities are
typical of energy cells; separators are polyolefin soaked with a carbonate electrolyte.
"""

from __future__ import annotations

from typing import Any

__all__ = [
    "ANODE",
    "ANODE_AND_SEPARATOR",
    "ANODE_MM",
    "CATHODE",
    "CATHODE_MM",
    "FILM",
    "MATERIALS",
    "PARTICLES",
    "PITCH_MM",
    "SEPARATOR",
]

ANODE_MM, CATHODE_MM, SEPARATOR_MM = 0.16, 0.145, 0.02
PITCH_MM = ANODE_MM + CATHODE_MM + 2 * SEPARATOR_MM

# areal densities, mg/cm2: 22.5 of graphite to 8.96 of copper; 42.9 of NMC811 to 4.05 of aluminium
ANODE: dict[str, Any] = {"name": "anode sheet", "mixture": {"C": 22.5, "Cu": 8.96}, "density_g_cm3": 1.97}
CATHODE: dict[str, Any] = {
    "name": "cathode sheet",
    "mixture": {"LiNi0.8Mn0.1Co0.1O2": 42.9, "Al": 4.05},
    "density_g_cm3": 3.24,
}
# between the cathodes: 160 um of anode and 40 um of separator
ANODE_AND_SEPARATOR: dict[str, Any] = {
    "name": "anode and separator",
    "mixture": {"C": 25.2, "Cu": 8.96, "O": 1.2, "H": 0.4, "F": 0.2},
    "density_g_cm3": 1.81,
}
SEPARATOR: dict[str, Any] = {
    "name": "soaked separator",
    "mixture": {"C": 58, "H": 9, "O": 27, "F": 4, "P": 1, "Li": 1},
    "density_g_cm3": 1.15,
}
# nylon, aluminium, polypropylene
FILM: dict[str, Any] = {"name": "pouch film", "mixture": {"C": 45, "H": 7, "O": 6, "Al": 42}, "density_g_cm3": 1.55}
PARTICLES: dict[str, Any] = {"copper": "Cu", "steel": "316L", "aluminium": "Al", "solder": "solder"}
MATERIALS: tuple[Any, ...] = (
    "air", "steel", "Cu", "Al", "Ni", "316L", "solder", "polypropylene", "PET", ANODE, ANODE_AND_SEPARATOR,
    CATHODE, SEPARATOR, FILM,
)  # fmt: skip
