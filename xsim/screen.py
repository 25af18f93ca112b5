"""What a scintillating screen is, as data."""

from __future__ import annotations

from xsim.schema import NonNegative, Positive, StrictModel

__all__ = ["Scintillator"]


class Scintillator(StrictModel):
    """An absorbing screen and the spread of its light.

    The MTF of the light is 1 / (1 + H f^2), f in 1/mm: H = ``light_spread_h_mm2``; 0 for no spread.
    """

    material: str | dict[str, object]
    areal_density_mg_cm2: Positive
    light_spread_h_mm2: NonNegative = 0.0
