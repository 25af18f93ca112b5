"""The X-ray source: tube settings, one energy, or a user's table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field, PrivateAttr, model_validator

from xsim import material
from xsim.schema import NonNegative, Positive, StrictModel
from xsim.spectrum import Spectrum, monoenergetic, read_spectrum, tube_spectrum

__all__ = ["Filter", "Source"]

Size: TypeAlias = Positive | tuple[Positive, Positive]  # one number, or width and height


class Filter(StrictModel):
    """A sheet between tube and part."""

    material: str | dict[str, Any]
    thickness_mm: NonNegative


class Source(StrictModel):
    """A tube (``voltage_kv``), one energy (``energy_kev``) or a table (``spectrum``: a csv of keV, photons).

    ``photons_per_mm2_mas`` is the output of a single-energy source at 1 m per mAs. The focal spot is a point unless
    ``focal_spot_mm``, ``focal_spot_sigma_mm`` or ``focal_spot_image`` says otherwise; see ``focal_spot``.
    """

    voltage_kv: Positive | None = None
    target: str = "W"
    anode_angle_deg: Positive = 12.0
    model: Literal["grid", "spekpy"] = "grid"
    energy_kev: Positive | None = None
    photons_per_mm2_mas: Positive = 4.0e6  # near that of 120 kV and 2 mm Al
    spectrum: str | None = None
    current_ma: Positive = 1.0
    focal_spot_mm: Size | None = None
    focal_spot_sigma_mm: Size | None = None
    focal_spot_shape: Literal["gaussian", "uniform", "image"] | None = None
    focal_spot_image: str | None = None
    focal_spot_pixel_mm: Positive | None = None
    focal_spot_samples: Annotated[int, Field(strict=True, ge=1, le=1023)] | None = None
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

    @model_validator(mode="after")
    def _one_focal_spot(self) -> Source:
        sizes = ("focal_spot_mm", "focal_spot_sigma_mm", "focal_spot_image")
        given = [k for k in sizes if getattr(self, k) is not None]
        if len(given) > 1:
            raise ValueError(f"both {given[0]} and {given[1]} given (one spot has one size) keep one")
        wanted = {"image": "focal_spot_image", "uniform": "focal_spot_mm"}.get(self.focal_spot_shape or "")
        if self.focal_spot_shape and (not given or (wanted or given[0]) != given[0]):
            raise ValueError(f"a focal spot of shape {self.focal_spot_shape!r} needs {wanted or sizes[0]} (give it)")
        if self.focal_spot_image is not None and (self.focal_spot_pixel_mm is None or self.focal_spot_shape != "image"):
            raise ValueError('focal_spot_image needs focal_spot_shape = "image" and focal_spot_pixel_mm (give both)')
        if self.focal_spot_pixel_mm is not None and self.focal_spot_image is None:
            raise ValueError("focal_spot_pixel_mm needs a focal_spot_image (it is the size of its pixels) give it")
        if self.focal_spot_samples == 3:
            raise ValueError("focal_spot_samples = 3 is too few (three points lie on a line) use 5 or more, or 1")
        if self.focal_spot_samples is not None and self.focal_spot_samples % 2 == 0:
            raise ValueError(
                f"focal_spot_samples = {self.focal_spot_samples} is even (none lies in the middle, whose labels are "
                f"kept) use {self.focal_spot_samples + 1}"
            )
        return self

    @property
    def has_focal_spot(self) -> bool:
        """Whether the source is more than a point."""
        given = (self.focal_spot_mm, self.focal_spot_sigma_mm, self.focal_spot_image)
        return any(size is not None for size in given) and self.focal_spot_samples != 1

    @property
    def focal_spot_file(self) -> Path | None:
        """Image of the measured spot."""
        return None if self.focal_spot_image is None else self._directory / self.focal_spot_image

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
