"""Materials and how strongly they attenuate X-rays.

mu(E) = density * sum_i w_i (mu/rho)_i(E), with the weight fractions w_i of elements; (mu/rho)_i is
xraylib's ``CS_Total`` (photoelectric, Compton, Rayleigh), 0.1-800 keV. Off the edges it is within
0.07 % of NIST SRD 126, 10-800 keV. Its Kissel variant differs by up to 0.7 % and is not mixed in.

A material is written as an element ("Al"), a common name ("PMMA", "steel": ``data/materials.toml``
has them, with sources), a NIST catalogue name in any letter case, or a mapping::

    {"name": "PMMA", "density_g_cm3": 1.17}                      a known one at another density
    {"formula": "Gd2O2S", "density_g_cm3": 4.5}                  subscripts count atoms
    {"mixture": {"Al": 0.96, "Cu": 0.04}, "density_g_cm3": 2.8}  parts by weight

xraylib is imported here and in ``catalogue`` only.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
import xraylib
from numpy.typing import ArrayLike, NDArray

from xsim.catalogue import (
    HEAVIEST_ELEMENT,
    Composition,
    elements,
    find,
    misspelt_element,
    parse_formula,
)
from xsim.errors import MaterialError, nearest_names
from xsim.units import MM_PER_CM

__all__ = [
    "HIGHEST_KEV",
    "LOWEST_KEV",
    "Material",
    "attenuation",
    "attenuation_table",
    "edges_kev",
    "mass_attenuation",
    "resolve",
]

LOWEST_KEV: Final = 0.1
HIGHEST_KEV: Final = 800.0
MAPPING_KEYS: Final = ("name", "formula", "mixture", "density_g_cm3")

#: What a material may be written as.
Spec: TypeAlias = "str | Mapping[str, Any] | Material"


@dataclass(frozen=True, slots=True)
class Material:
    """A homogeneous material.

    Attributes
    ----------
    name : str
        What results call it. `resolve` adds the density where it is not the usual one.
    weight_fractions : tuple of (atomic number, fraction by weight)
        Sum 1.
    density_g_cm3 : float

    Raises
    ------
    MaterialError
        A density or fraction that is not positive and finite, an element outside 1-98, a sum
        other than 1.

    """

    name: str
    weight_fractions: tuple[tuple[int, float], ...]
    density_g_cm3: float

    def __post_init__(self) -> None:
        _positive(self.density_g_cm3, f"density_g_cm3 of material {self.name!r}")
        for number, fraction in self.weight_fractions:
            _positive(fraction, f"weight fraction of element {number} in material {self.name!r}")
            if not 1 <= number <= HEAVIEST_ELEMENT:
                raise MaterialError(f"element {number} in {self.name!r} (tables hold 1 to {HEAVIEST_ELEMENT})")
        total = math.fsum(fraction for _, fraction in self.weight_fractions)
        if abs(total - 1.0) > 1e-6:
            raise MaterialError(f"weight fractions of material {self.name!r} sum to {total:g} (must be 1)")


def resolve(spec: Spec) -> Material:
    """Find the material that ``spec`` names; the forms are in the module's docstring.

    Raises
    ------
    MaterialError
        Unknown name or formula (names the nearest known ones), missing or impossible density.

    """
    if isinstance(spec, Material):
        return spec
    if isinstance(spec, str):
        name, fractions, density = find(spec)
        if density is None:
            raise MaterialError(_no_density(spec))
        return _material(name, fractions, density)
    if isinstance(spec, Mapping):
        return _resolve_mapping(spec)
    raise MaterialError(f"material {spec!r} (a {type(spec).__name__}) write a name or {{formula, density_g_cm3}}")


def mass_attenuation(material: Material, energy_kev: ArrayLike) -> NDArray[np.float64]:
    """Mass attenuation coefficient mu/rho, cm2/g, of the shape of ``energy_kev``.

    Raises
    ------
    MaterialError
        An energy outside 0.1-800 keV, or not a number.

    """
    energy = np.asarray(energy_kev, dtype=np.float64)
    inside = (energy >= LOWEST_KEV) & (energy <= HIGHEST_KEV)
    if not inside.all():
        bad = float(energy[~inside].flat[0])
        raise MaterialError(
            f"attenuation of {material.name} at {bad:g} keV (the tables hold {LOWEST_KEV:g} to {HIGHEST_KEV:g} keV)"
        )
    key = np.ascontiguousarray(energy).tobytes()
    total = np.zeros(energy.size)
    for number, fraction in material.weight_fractions:
        total += fraction * _element_table(number, key)
    return total.reshape(energy.shape)


def attenuation(spec: Spec, energy_kev: ArrayLike) -> NDArray[np.float64]:
    """Linear attenuation coefficient mu, 1/mm, of the shape of ``energy_kev``.

    Raises as `resolve` and `mass_attenuation` do.

    >>> round(float(attenuation("Al", 80.0)), 5)
    0.05446
    """
    material = resolve(spec)
    return mass_attenuation(material, energy_kev) * (material.density_g_cm3 / MM_PER_CM)


def attenuation_table(specs: Sequence[Spec], energy_kev: ArrayLike) -> NDArray[np.float64]:
    """Linear attenuation coefficients of several materials, [material, energy] 1/mm."""
    energy = np.atleast_1d(np.asarray(energy_kev, dtype=np.float64))
    return np.array([attenuation(spec, energy) for spec in specs]).reshape(len(specs), energy.size)


def edges_kev(spec: Spec, low_kev: float, high_kev: float) -> list[float]:
    """K and L absorption edges between two energies, ascending: where mu jumps."""
    edges = {edge for number, _ in resolve(spec).weight_fractions for edge in _element_edges(number)}
    return sorted(edge for edge in edges if low_kev < edge < high_kev)


@functools.cache
def _element_edges(number: int) -> tuple[float, ...]:
    """K and L edges of one element, keV."""
    edges = []
    for shell in (xraylib.K_SHELL, xraylib.L1_SHELL, xraylib.L2_SHELL, xraylib.L3_SHELL):
        try:
            edges.append(float(xraylib.EdgeEnergy(number, shell)))
        except ValueError:  # light elements have no L shells in the table
            continue
    return tuple(edges)


@functools.lru_cache(maxsize=1024)
def _element_table(number: int, energy_bytes: bytes) -> NDArray[np.float64]:
    """Mass attenuation of one element, [energy] cm2/g; read only, since it is shared."""
    energy = np.frombuffer(energy_bytes)
    table = np.array([xraylib.CS_Total(number, value) for value in energy.tolist()])
    table.flags.writeable = False
    return table


def _resolve_mapping(spec: Mapping[str, Any]) -> Material:
    for key in spec:
        if key not in MAPPING_KEYS:
            near = nearest_names(str(key), MAPPING_KEYS) or list(MAPPING_KEYS)
            raise MaterialError(f"unknown key {key!r} in a material (known: {', '.join(near)})")
    name, fractions, density = _composition(spec)
    if "density_g_cm3" in spec:
        given = _positive(spec["density_g_cm3"], f"density_g_cm3 of material {name!r}")
        _refuse_misspelt_element(name, given)
        if given != density:
            name, density = f"{name} {given:g} g/cm3", given
    if density is None:
        raise MaterialError(_no_density(name))
    is_label = "name" in spec and ("formula" in spec or "mixture" in spec)
    return _material(str(spec["name"]) if is_label else name, fractions, density)


def _composition(spec: Mapping[str, Any]) -> Composition:
    if "formula" in spec and "mixture" in spec:
        raise MaterialError("material with formula and mixture (they may disagree) keep one")
    if "formula" in spec:
        return parse_formula(str(spec["formula"]))
    if "mixture" in spec:
        return _mix(spec["mixture"])
    if "name" in spec:
        return find(str(spec["name"]))
    raise MaterialError(f"material {dict(spec)!r} names nothing (give name, formula or mixture)")


def _mix(parts: object) -> Composition:
    """Mixture by weight of anything that has a composition; parts need not sum to 1."""
    if not isinstance(parts, Mapping) or not parts:
        raise MaterialError(f"mixture {parts!r} (not a table) write mixture = {{Al = 0.96, Cu = 0.04}}")
    fractions: dict[int, float] = {}
    for name, part in parts.items():
        share = _positive(part, f"part of {name!r} in the mixture")
        component = find(str(name)).fractions
        total = math.fsum(component.values())
        for number, fraction in component.items():
            fractions[number] = fractions.get(number, 0.0) + share * fraction / total
    return Composition("+".join(f"{w:g} {name}" for name, w in parts.items()), fractions, None)


def _material(name: str, fractions: Mapping[int, float], density: float) -> Material:
    total = math.fsum(fractions.values())
    by_number = tuple(sorted((z, float(w / total)) for z, w in fractions.items()))
    return Material(name, by_number, float(density))


def _positive(value: object, what: str) -> float:
    """``value`` as a float, refused when it is not a positive finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.number):
        raise MaterialError(f"{what} is {value!r} (not a number)")
    if not (math.isfinite(value) and value > 0):
        raise MaterialError(f"{what} is {float(value):g} (must be positive and finite)")
    return float(value)


def _no_density(name: str) -> str:
    element = misspelt_element(name)
    other = f", or {element!r} for the element" if element else ""
    return f"material {name!r} has no density (a composition only) give density_g_cm3{other}"


def _refuse_misspelt_element(formula: str, density: float) -> None:
    element = misspelt_element(formula)
    if element and abs(density / (elements()[element].density_g_cm3 or math.inf) - 1.0) < 0.2:
        raise MaterialError(
            f"formula {formula!r} at {density:g} g/cm3 (a compound at the density of an element) "
            f"write {element!r} for the element"
        )
