"""The X-ray source: tube settings, one energy, or a user's table."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, TypeAlias

import numpy as np
from pydantic import Field, PrivateAttr, model_validator

from xsim import material, tube, tube_cache
from xsim.errors import SpectrumError
from xsim.generator import mean_over_time, voltages_over_time
from xsim.schema import NonNegative, Number, Positive, StrictModel
from xsim.spectrum import Spectrum, emission_of, emitted, monoenergetic, read_spectrum

__all__ = ["Filter", "Source"]

#: A bin is cut at an absorption edge where it holds at least this share of the beam's energy.
LEAST_SHARE_OF_EDGE_BIN = 1e-4
Share: TypeAlias = Annotated[float, Field(strict=True, ge=0, le=1, allow_inf_nan=False)]
Size: TypeAlias = Positive | tuple[Positive, Positive]  # one number, or width and height


class Tube(NamedTuple):
    """What decides a bare tube's emission beside its voltage."""

    target: str
    thickness_um: float | None  # of a transmission target
    anode_angle_deg: float
    model: str
    take_off_deg: float | None  # of a ray beside the central one

    def emission(self, voltage_kv: float) -> tube.Emission:
        if self.thickness_um is not None:
            return tube_cache.emission_from_spekpy(voltage_kv, self.target, thickness_um=self.thickness_um)
        if self.take_off_deg is not None:
            return tube.emission_at_take_off(voltage_kv, self.take_off_deg, self.target)
        return emission_of(voltage_kv, self.target, self.anode_angle_deg, self.model)


@functools.lru_cache(maxsize=512)
def bare_tube(
    emitter: Tube, peak_kv: float, ripple_share: float, ripple_shape: str, borders_kev: tuple[float, ...]
) -> Spectrum:
    """The target's emission, mean over the ripple; at voltages below the model's there is none."""
    every = voltages_over_time(peak_kv, ripple_share, ripple_shape)
    emitting = [float(kv) for kv in every if kv >= tube_cache.LOWEST_KV or kv == every.max()]
    spectra = [emitted(emitter.emission(kv), borders_kev) for kv in emitting]
    if len(every) == 1:
        return spectra[0]
    return mean_over_time(spectra).scaled(len(spectra) / len(every))


class Filter(StrictModel):
    """A sheet between tube and part."""

    material: str | dict[str, Any]
    thickness_mm: NonNegative


class Source(StrictModel):
    """A tube (``voltage_kv``), one energy (``energy_kev``) or a table (``spectrum``: a csv of keV, photons).

    ``photons_per_mm2_mas`` is the output of a single-energy source at 1 m per mAs; ``output_factor`` multiplies what
    the model or the table says. ``docs/source.md`` has the models. The focal spot is a point unless
    ``focal_spot_mm``, ``focal_spot_sigma_mm`` or ``focal_spot_image`` says otherwise; see ``focal_spot``.
    """

    voltage_kv: Positive | None = None
    target: str = "W"
    target_type: Literal["reflection", "transmission"] = "reflection"
    target_thickness_um: Positive | None = None
    anode_angle_deg: Positive = 12.0
    heel: bool = False
    anode_direction: tuple[Number, Number, Number] | None = None
    ripple_share: Share = 0.0
    ripple_shape: Literal["rectified", "sine"] = "rectified"
    drift_share_per_s: Number = 0.0
    output_factor: Positive = 1.0
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
    focal_spot_growth_mm_per_w: NonNegative = 0.0
    focal_spot_full_power_w: NonNegative = 0.0
    inherent_filters: Annotated[tuple[Filter, ...], Field(max_length=32)] = ()
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

    @model_validator(mode="after")
    def _tube_alone(self) -> Source:
        for field in ("heel", "ripple_share", "target_type", "focal_spot_growth_mm_per_w"):
            if self.voltage_kv is None and getattr(self, field) != type(self).model_fields[field].default:
                raise ValueError(f"{field} is a tube's (there is no voltage_kv) leave it out")
        if self.target_type == "transmission":
            if self.target_thickness_um is None:
                raise ValueError(
                    'target_type = "transmission" needs target_thickness_um (its yield depends on it) give it'
                )
            if self.heel or self.anode_angle_deg != type(self).model_fields["anode_angle_deg"].default:
                raise ValueError("a transmission target has no anode_angle_deg and no heel (it is seen from behind)")
        elif self.target_thickness_um is not None:
            raise ValueError(
                'target_thickness_um is that of target_type = "transmission" (a reflection target is thick)'
            )
        if self.heel and (self.anode_direction is None or not any(self.anode_direction)):
            raise ValueError("heel needs anode_direction (where the anode is) give it, as [1, 0, 0]")
        if self.heel and (self.target, self.model) != ("W", "grid"):
            raise ValueError('heel is known for target = "W", model = "grid" (they hold grazing angles) use them')
        if self.anode_direction is not None and not self.heel:
            raise ValueError("anode_direction without heel = true (it would change nothing) set both")
        if self.focal_spot_growth_mm_per_w and self.focal_spot_mm is None:
            raise ValueError("focal_spot_growth_mm_per_w needs focal_spot_mm (the size that grows) give it")
        if self.focal_spot_full_power_w and not self.focal_spot_growth_mm_per_w:
            raise ValueError("focal_spot_full_power_w without focal_spot_growth_mm_per_w (nothing grows) give both")
        return self

    @property
    def power_w(self) -> float:
        """Tube power, W; 0 of what is no tube."""
        return (self.voltage_kv or 0.0) * self.current_ma

    @property
    def effective_focal_spot_mm(self) -> Size | None:
        """``focal_spot_mm`` at this power: beyond ``focal_spot_full_power_w`` it grows with every watt."""
        size = self.focal_spot_mm
        grown = self.focal_spot_growth_mm_per_w * max(self.power_w - self.focal_spot_full_power_w, 0.0)
        if size is None or grown == 0.0:
            return size
        return (size[0] + grown, size[1] + grown) if isinstance(size, tuple) else size + grown

    def photons(self, edges_kev: Sequence[float] = (), take_off_deg: float | None = None) -> Spectrum:
        """Spectrum behind the filters: photons per keV, mm2 and mAs at 1 m.

        Parameters
        ----------
        edges_kev : sequence of float
            Absorption edges: a tube's bin that holds 1e-4 of the beam's energy is cut there. Tables stay as they are.
        take_off_deg : float, optional
            Angle above the surface of a reflection target, for rays beside the central one.

        """
        every = (*self.inherent_filters, *self.filters)
        sheets = [(material.resolve(f.material), f.thickness_mm) for f in every]
        if self.energy_kev is not None:
            bare = monoenergetic(self.energy_kev, self.photons_per_mm2_mas)
            return bare.filtered(sheets).scaled(self.output_factor)
        if self.spectrum is not None:
            return read_spectrum(self._directory / self.spectrum).filtered(sheets).scaled(self.output_factor)
        central = self._bare().filtered(sheets).scaled(self.output_factor)
        cut = [edge for edge in edges_kev if central.energy_share_at(edge) >= LEAST_SHARE_OF_EDGE_BIN]
        if not cut and take_off_deg is None:
            return central
        return self._bare(cut, take_off_deg).filtered(sheets).scaled(self.output_factor)

    def _bare(self, borders_kev: Sequence[float] = (), take_off_deg: float | None = None) -> Spectrum:
        assert self.voltage_kv is not None
        return bare_tube(
            self._emitter(take_off_deg), self.voltage_kv, self.ripple_share, self.ripple_shape, tuple(borders_kev)
        )

    def _emitter(self, take_off_deg: float | None = None) -> Tube:
        return Tube(self.target, self.target_thickness_um, self.anode_angle_deg, self.model, take_off_deg)

    def output_factor_for(self, air_kerma_ugy: float) -> float:
        """The ``output_factor`` with which this source gives a measured air kerma.

        Parameters
        ----------
        air_kerma_ugy : float
            Microgray per mAs at 1 m, behind this source's filters; air on the way is a filter (``"air"``, 1000 mm).

        Raises
        ------
        SpectrumError
            A kerma that is not positive, an energy outside the table of kerma.

        """
        if not (np.isfinite(air_kerma_ugy) and air_kerma_ugy > 0):
            raise SpectrumError(
                f"air kerma {air_kerma_ugy} uGy per mAs (must be positive) give what was measured at 1 m"
            )
        return float(self.output_factor * air_kerma_ugy / self.photons().air_kerma_ugy)
