"""The X-ray source: tube settings, one energy, or a user's table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, PrivateAttr, model_validator

from xsim import material
from xsim.schema import NonNegative, Positive, StrictModel
from xsim.spectrum import Spectrum, monoenergetic, read_spectrum, tube_spectrum

__all__ = ["Filter", "Source"]


class Filter(StrictModel):
    """A sheet between tube and part."""

    material: str | dict[str, Any]
    thickness_mm: NonNegative


class Source(StrictModel):
    """A tube (``voltage_kv``), one energy (``energy_kev``) or a table (``spectrum``: a csv of keV, photons).

    ``photons_per_mm2_mas`` is the output of a single-energy source at 1 m per mAs.
    """

    voltage_kv: Positive | None = None
    target: str = "W"
    anode_angle_deg: Positive = 12.0
    model: Literal["grid", "spekpy"] = "grid"
    energy_kev: Positive | None = None
    photons_per_mm2_mas: Positive = 4.0e6  # near that of 120 kV and 2 mm Al
    spectrum: str | None = None
    current_ma: Positive = 1.0
    filters: Annotated[tuple[Filter, ...], Field(max_length=32)] = ()
    _directory: Path = PrivateAttr(default=Path())

    @model_validator(mode="after")
    def _one_kind(self) -> Source:
        given = [k for k in ("voltage_kv", "energy_kev", "spectrum") if getattr(self, k) is not None]
        if len(given) != 1:
            raise ValueError(
                f"source needs one of voltage_kv, energy_kev, spectrum (given: {', '.join(given) or 'none'})"
            )
        return self

    def photons(self) -> Spectrum:
        """Spectrum behind the filters: photons per keV, mm2 and mAs at 1 m."""
        sheets = [(material.resolve(f.material), f.thickness_mm) for f in self.filters]
        if self.energy_kev is not None:
            bare = monoenergetic(self.energy_kev, self.photons_per_mm2_mas)
            return bare.filtered(sheets)
        if self.spectrum is not None:
            return read_spectrum(self._directory / self.spectrum).filtered(sheets)
        assert self.voltage_kv is not None
        return tube_spectrum(self.voltage_kv, self.target, self.anode_angle_deg, sheets, model=self.model)
