"""Compositions by name: elements, formulas, the NIST catalogue in xraylib, the names people use.

The common names, their densities and where those come from are in ``data/materials.toml``. A
composition is fractions by weight; a formula has no density, everything else has one.
"""

from __future__ import annotations

import functools
import importlib.resources
import math
import tomllib
import warnings
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import xraylib

from xsim.errors import MaterialError, nearest_names, one_line

__all__ = [
    "HEAVIEST_ELEMENT",
    "Composition",
    "common_materials",
    "element_names",
    "elements",
    "find",
    "misspelt_element",
    "parse_formula",
    "symbol_of",
]

#: Californium, the last element with attenuation tables.
HEAVIEST_ELEMENT: Final = 98


class Composition(NamedTuple):
    """Fractions by weight, by atomic number; the density where the name implies one."""

    name: str
    fractions: dict[int, float]
    density_g_cm3: float | None


def find(text: str) -> Composition:
    """Look up a symbol, then common and NIST names in any letter case, then a formula.

    So "Co" is cobalt and "CO" carbon monoxide.
    """
    entry = elements().get(text) or _names().get(_fold(text))
    if entry is not None:
        return entry
    try:
        return parse_formula(text)
    except MaterialError as error:
        near = ", ".join(nearest_names(text, [*elements(), *_display_names()]))
        advice = f"nearest: {near}" if near else "give {formula, density_g_cm3} or {mixture, ...}"
        raise MaterialError(f"unknown material {text!r} (no such element, name or formula) {advice}") from error


def parse_formula(formula: str) -> Composition:
    """Composition of a chemical formula, whose subscripts count atoms and may be fractions."""
    if formula in elements():
        return elements()[formula]
    try:
        parsed = xraylib.CompoundParser(formula)
    except ValueError as error:
        raise MaterialError(f"formula {formula!r} cannot be read ({one_line(error)})") from error
    atoms = parsed["nAtoms"]
    fractions = dict(zip(parsed["Elements"], parsed["massFractions"], strict=True))
    if len(atoms) > 1 and abs(math.fsum(atoms) - 1.0) < 1e-3:
        shares = ", ".join(f"{xraylib.AtomicNumberToSymbol(z)} {w:.3g}" for z, w in fractions.items())
        warnings.warn(
            f"formula {formula!r} is read as atom ratios (by weight {shares}) write "
            "mixture = {...} for parts by weight, or whole subscripts for atoms",
            stacklevel=4,
        )
    return Composition(formula, fractions, None)


def misspelt_element(formula: str) -> str | None:
    """The element whose symbol ``formula`` is in the wrong letter case: Co for "CO"."""
    symbol = folded_symbols().get(formula.casefold())
    return None if symbol == formula else symbol


@functools.cache
def folded_symbols() -> dict[str, str]:
    return {symbol.casefold(): symbol for symbol in elements()}


def _fold(name: str) -> str:
    """Spelling apart from letter case, spaces and punctuation."""
    return "".join(letter for letter in name.casefold() if letter not in " -_,()/")


@functools.cache
def elements() -> dict[str, Composition]:
    """Hydrogen to californium by symbol, with xraylib's densities.

    Carbon's is 2.0: "graphite" and "diamond" are names of their own.
    """
    numbers = range(1, HEAVIEST_ELEMENT + 1)
    symbols = {z: str(xraylib.AtomicNumberToSymbol(z)) for z in numbers}
    return {s: Composition(s, {z: 1.0}, float(xraylib.ElementDensity(z))) for z, s in symbols.items()}


def symbol_of(number: int) -> str:
    """Symbol of an element by its atomic number."""
    return str(xraylib.AtomicNumberToSymbol(number))


def common_materials() -> list[dict[str, Any]]:
    """Entries of ``data/materials.toml``: name, aliases, source, and what it is made of."""
    return list(_common()["material"])


def element_names() -> dict[str, list[str]]:
    """Names of the elements by symbol."""
    return dict(_common()["element_names"])


@functools.cache
def _common() -> dict[str, Any]:
    table = importlib.resources.files("xsim") / "data" / "materials.toml"
    return tomllib.loads(table.read_text(encoding="utf-8"))


@functools.cache
def _display_names() -> list[str]:
    """Every name but the symbols, as it is written."""
    names = [name for entry in _common()["material"] for name in (entry["name"], *entry.get("aliases", ()))]
    names += [name for spellings in _common()["element_names"].values() for name in spellings]
    return [*names, *xraylib.GetCompoundDataNISTList()]


@functools.cache
def _names() -> dict[str, Composition]:
    """Every name but the symbols, folded; common names before the catalogue's."""
    names: dict[str, Composition] = {}
    for catalogued in xraylib.GetCompoundDataNISTList():
        names[_fold(catalogued)] = _from_catalogue(catalogued)
    for symbol, spellings in _common()["element_names"].items():
        names.update({_fold(spelling): elements()[symbol] for spelling in spellings})
    for entry in _common()["material"]:
        common = _from_common(entry)
        if "nist" in entry and "density_g_cm3" not in entry:
            names[_fold(entry["nist"])] = common  # one material under both of its names
        names.update({_fold(name): common for name in (entry["name"], *entry.get("aliases", ()))})
    return names


def _from_catalogue(name: str) -> Composition:
    data = xraylib.GetCompoundDataNISTByName(name)
    fractions = dict(zip(data["Elements"], data["massFractions"], strict=True))
    return Composition(name, fractions, float(data["density"]))


def _from_common(entry: Mapping[str, Any]) -> Composition:
    density: float | None = entry.get("density_g_cm3")
    if "nist" in entry:
        catalogued = _from_catalogue(entry["nist"])
        return Composition(entry["name"], catalogued.fractions, density or catalogued.density_g_cm3)
    if "weights" in entry:
        weights = {next(iter(elements()[s].fractions)): w for s, w in entry["weights"].items()}
        return Composition(entry["name"], weights, density)
    return Composition(entry["name"], parse_formula(entry["formula"]).fractions, density)
