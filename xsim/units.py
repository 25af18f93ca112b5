"""Units: mm, keV, s, mA, kV, g/cm3, degree, ADU.

Values are converted once, where they enter or leave; in between no number changes its unit. A
quantity in another unit says so in its name.
"""

from __future__ import annotations

from typing import Final

__all__ = [
    "JOULE_PER_KEV",
    "MM2_PER_CM2",
    "MM_PER_CM",
    "MM_PER_LENGTH_UNIT",
    "REFERENCE_DISTANCE_MM",
]

MM_PER_CM: Final = 10.0
MM2_PER_CM2: Final = 100.0

#: Exact since the 2019 SI: the elementary charge, times 1000 V.
JOULE_PER_KEV: Final = 1.602176634e-16

#: Spectra are stated at this distance from the focal spot; elsewhere the inverse square holds.
REFERENCE_DISTANCE_MM: Final = 1000.0

#: Unit names a mesh or volume file may be declared in.
MM_PER_LENGTH_UNIT: Final[dict[str, float]] = {
    "um": 1e-3,
    "mm": 1.0,
    "cm": 10.0,
    "m": 1000.0,
    "inch": 25.4,
    "in": 25.4,
    "ft": 304.8,
}
