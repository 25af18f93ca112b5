"""X-ray spectra: photons per keV, mm2 and mAs at 1 m from the focal spot.

A tube spectrum is the bare target's emission (`xsim.tube`) behind the filters that are named, and
nothing else: the tube's own window (often 0.8-1 mm Be, or 1-4 mm Al equivalent for 150-450 kV
tubes) and the air on the way are filters like any other, ``("Be", 0.8)`` or ``("air", 1000.0)``.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from xsim import tube, tube_cache
from xsim.errors import SpectrumError, nearest_names
from xsim.kerma import air_kerma_ugy
from xsim.material import HIGHEST_KEV, LOWEST_KEV, Spec, attenuation

__all__ = ["Spectrum", "emission_of", "emitted", "monoenergetic", "read_spectrum", "tube_spectrum"]

Floats = NDArray[np.float64]

MODELS: Final = ("grid", "spekpy")
#: Second column of a table: a density per keV, or the photons of a row (emission lines).
COLUMNS: Final = ("photons", "photons_per_kev", "photons_per_line")


@dataclass(frozen=True, eq=False)
class Spectrum:
    """Photons by energy, at 1 m; beyond, they go with the inverse square of the distance.

    Attributes
    ----------
    energy_kev : float64 [bin]
        Centre of each bin, ascending, 0.1-800 keV.
    photons : float64 [bin]
        Photons per keV, mm2 and mAs.
    bin_width_kev : float64 [bin]
        One width for all is spread over the bins.

    Raises
    ------
    SpectrumError
        Arrays of different lengths, energies that do not ascend, values negative or not finite,
        no photon at all.

    """

    energy_kev: Floats
    photons: Floats
    bin_width_kev: Floats

    def __post_init__(self) -> None:
        energy = np.array(self.energy_kev, dtype=np.float64, ndmin=1)
        photons = np.array(self.photons, dtype=np.float64, ndmin=1)
        width = np.array(np.broadcast_to(self.bin_width_kev, energy.shape), dtype=np.float64)
        _check_table(energy, photons, width)
        for name, values in (
            ("energy_kev", energy),
            ("photons", photons),
            ("bin_width_kev", width),
        ):
            values.flags.writeable = False
            object.__setattr__(self, name, values)

    @property
    def photons_per_bin(self) -> Floats:
        """Photons in each bin, per mm2 and mAs at 1 m, [bin]."""
        return self.photons * self.bin_width_kev

    @property
    def fluence(self) -> float:
        """All photons, per mm2 and mAs at 1 m."""
        return float(self.photons_per_bin.sum())

    @property
    def mean_energy_kev(self) -> float:
        """Mean over the photons."""
        return float(self.photons_per_bin @ self.energy_kev) / self.fluence

    @property
    def air_kerma_ugy(self) -> float:
        """Air kerma at 1 m, microgray per mAs, in vacuum (mu_en/rho of NIST for dry air)."""
        return float(air_kerma_ugy(self.energy_kev) @ self.photons_per_bin)

    def scaled(self, factor: float) -> Spectrum:
        """The spectrum with ``factor`` times the photons."""
        return self if factor == 1.0 else Spectrum(self.energy_kev, factor * self.photons, self.bin_width_kev)

    def energy_share_at(self, energy_kev: float) -> float:
        """Share of the beam's energy in the bin that holds ``energy_kev``; 0 where none does."""
        flow = self.photons_per_bin * self.energy_kev
        return float(flow[np.abs(self.energy_kev - energy_kev) < 0.5 * self.bin_width_kev].sum() / flow.sum())

    def filtered(self, filters: Iterable[tuple[Spec, float]]) -> Spectrum:
        """The spectrum behind sheets of (material, thickness in mm), in any order.

        Raises
        ------
        SpectrumError
            A thickness that is negative or not a number; nothing comes through.
        MaterialError
            An unknown material.

        """
        depth = np.zeros(self.energy_kev.size)  # sum of mu t, [bin]
        for sheet in filters:
            spec, thickness_mm = _sheet(sheet)
            depth += attenuation(spec, self.energy_kev) * thickness_mm
        photons = self.photons * np.exp(-depth)
        if not photons.any():
            raise SpectrumError("filters let nothing through (no photon is left) take thinner ones")
        return Spectrum(self.energy_kev, photons, self.bin_width_kev)

    def half_value_layer_mm(self, spec: Spec, share: float = 0.5) -> float:
        """Thickness of a material that leaves ``share`` of the air kerma, narrow beam, mm.

        The second half-value layer is ``half_value_layer_mm(m, 0.25) - half_value_layer_mm(m)``.
        """
        if not 0.0 < share < 1.0:
            raise SpectrumError(f"share {share:g} of a half-value layer (must lie between 0 and 1)")
        mu = attenuation(spec, self.energy_kev)
        kerma = air_kerma_ugy(self.energy_kev) * self.photons_per_bin
        wanted = share * float(kerma.sum())
        thickness = 0.0
        # ln K(t) is convex and falls, so Newton's steps from 0 come to the root from one side.
        for _ in range(200):
            left = kerma * np.exp(-mu * thickness)
            step = math.log(left.sum() / wanted) * float(left.sum() / (left @ mu))
            thickness += step
            if abs(step) <= 1e-12 * thickness:
                break
        return thickness


def tube_spectrum(
    voltage_kv: float,
    target: str = "W",
    anode_angle_deg: float = 12.0,
    filters: Iterable[tuple[Spec, float]] = (),
    model: str = "grid",
) -> Spectrum:
    """Spectrum of a tube with a reflection target, on the central ray, behind ``filters``.

    Bins of 1 keV from 1 keV, the last one ending at the voltage. ``xsim.source.Source`` has what else a tube may have.

    Parameters
    ----------
    voltage_kv : float
        Constant potential: W 10-500 kV; Cr, Cu, Mo, Rh, Ag, Au 10-50 kV.
    target : str
    anode_angle_deg : float
        Between target surface and central ray; 6-30 in the grid.
    filters : iterable of (material, thickness in mm)
        Everything between target and part, the tube's window included.
    model : str
        "grid" (shipped) or "spekpy" (extra ``spectra``).

    Raises
    ------
    SpectrumError
        A setting outside the model, spekpy missing, a filter of impossible thickness.

    Examples
    --------
    >>> beam = tube_spectrum(120, filters=[("Al", 2.0)])
    >>> round(beam.half_value_layer_mm("Al"), 2)
    3.75

    """
    voltage_kv = _number(voltage_kv, "voltage_kv")
    anode_angle_deg = _number(anode_angle_deg, "anode_angle_deg")
    return emitted(emission_of(voltage_kv, target, anode_angle_deg, model)).filtered(filters)


def emission_of(voltage_kv: float, target: str, anode_angle_deg: float, model: str) -> tube.Emission:
    """Bare reflection target by one of the models."""
    if model not in MODELS:
        raise SpectrumError(f"unknown spectrum model {model!r} (known: {', '.join(MODELS)})")
    if model == "grid":
        return tube.emission_from_grid(voltage_kv, anode_angle_deg, target)
    return tube_cache.emission_from_spekpy(voltage_kv, target, anode_angle_deg)


def emitted(emission: tube.Emission, borders_kev: Sequence[float] = ()) -> Spectrum:
    """Spectrum of an emission, bins cut at ``borders_kev``."""
    energy, width, photons = emission.spectrum(borders_kev)
    return Spectrum(energy, photons, width)


def monoenergetic(energy_kev: float, photons_per_mm2_mas: float = 1.0e6) -> Spectrum:
    """One energy: a bin 1 keV wide that holds ``photons_per_mm2_mas`` photons at 1 m."""
    energy = np.array([_number(energy_kev, "energy_kev")])
    photons = np.array([_number(photons_per_mm2_mas, "photons_per_mm2_mas")])
    return Spectrum(energy, photons, np.ones(1))


def read_spectrum(csv_path: str | os.PathLike[str]) -> Spectrum:
    """Read a table of energy in keV and photons, per mm2 and mAs at 1 m.

    A first row of names is optional where the energies are evenly spaced: ``photons`` then means
    photons per keV. Otherwise it says ``photons_per_kev`` (bins reach half-way to the neighbours)
    or ``photons_per_line`` (emission lines of an isotope). Lines starting with # are comments.

    Raises
    ------
    SpectrumError
        A file that cannot be read, a row that is not two numbers, and as `Spectrum`.

    """
    path = Path(csv_path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not text"
        raise SpectrumError(f"spectrum file {path} cannot be read ({reason})") from error
    column, rows = _parse_rows(text, path)
    energy, photons = np.array(rows).T
    _check_table(energy, photons, np.ones_like(energy))
    if column == "photons_per_line" or energy.size == 1:
        return Spectrum(energy, photons, np.ones_like(energy))
    spacing = np.diff(energy)
    if column == "photons" and np.ptp(spacing) > 1e-3 * spacing.mean():
        raise SpectrumError(
            f"spectrum file {path} is unevenly spaced (bins or lines?) name the second column "
            "photons_per_kev or photons_per_line"
        )
    return Spectrum(energy, photons, np.gradient(energy))


def _parse_rows(text: str, path: Path) -> tuple[str, list[tuple[float, float]]]:
    """Name of the second column and the rows as numbers."""
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    delimiter = next((d for d in ",;\t" if lines and d in lines[0]), None)
    cells = [[cell.strip() for cell in (line.split(delimiter) if delimiter else line.split())] for line in lines]
    column = "photons"
    if cells and not _is_number(cells[0][0]):
        column = cells.pop(0)[-1].lower()
        if column not in COLUMNS:
            near = nearest_names(column, COLUMNS) or COLUMNS
            raise SpectrumError(f"column {column!r} in {path} (known: {', '.join(near)})")
    if not cells:
        raise SpectrumError(f"spectrum file {path} is empty (rows of keV, photons are wanted)")
    for row in cells:
        if len(row) != 2 or not all(_is_number(cell) for cell in row):
            raise SpectrumError(f"row {','.join(row)!r} in {path} (not two numbers: keV, photons)")
    return column, [(float(energy), float(photons)) for energy, photons in cells]


def _check_table(energy: Floats, photons: Floats, width: Floats) -> None:
    if energy.ndim != 1 or energy.size == 0 or photons.shape != energy.shape:
        raise SpectrumError(f"spectrum of {energy.size} energies and {photons.size} photon numbers (one of each)")
    if not (np.isfinite(energy).all() and np.isfinite(photons).all() and np.isfinite(width).all()):
        raise SpectrumError("spectrum holds a value that is not finite (NaN or infinity)")
    if energy[0] < LOWEST_KEV or energy[-1] > HIGHEST_KEV:
        raise SpectrumError(
            f"spectrum from {energy[0]:g} to {energy[-1]:g} keV (attenuation is tabulated from "
            f"{LOWEST_KEV:g} to {HIGHEST_KEV:g} keV)"
        )
    if (np.diff(energy) <= 0).any() or (width <= 0).any():
        raise SpectrumError("spectrum energies do not ascend (bins are in disorder) sort them")
    if (photons < 0).any() or not photons.any():
        raise SpectrumError("spectrum with negative or no photons (numbers must be 0 or more)")


def _sheet(sheet: object) -> tuple[Spec, float]:
    """A filter as (material, mm), checked."""
    if not isinstance(sheet, tuple | list) or len(sheet) != 2:
        raise SpectrumError(f"filter {sheet!r} (not a pair) write [(material, thickness in mm), ...]")
    thickness_mm = _number(sheet[1], f"thickness of filter {sheet[0]!r}")
    if thickness_mm < 0:
        raise SpectrumError(f"filter {sheet[0]!r} of {thickness_mm:g} mm (must not be negative)")
    return sheet[0], thickness_mm


def _number(value: object, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | np.number):
        raise SpectrumError(f"{what} is {value!r} (not a number)")
    if not math.isfinite(value):
        raise SpectrumError(f"{what} is {value} (must be finite)")
    return float(value)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
