"""Materials as text: what there is, and what one of them is made of and does to X-rays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from xsim.catalogue import common_materials, element_names, symbol_of
from xsim.errors import MaterialError
from xsim.material import HIGHEST_KEV, Material, edges_kev, mass_attenuation, resolve
from xsim.units import MM_PER_CM

__all__ = ["DEFAULT_KEV", "describe_material", "list_materials", "parse_material"]

LOWEST_EDGE_KEV = 1.0  # edges below it are not listed
#: Energies of the table when none are asked for.
DEFAULT_KEV = (10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 80.0, 100.0, 150.0, 200.0, 300.0, 450.0)


def parse_material(text: str, density_g_cm3: float | None = None) -> Material:
    """Material of one line of text, as a command takes it.

    Parameters
    ----------
    text : str
        A name, a formula, or parts by weight: ``"Al=96,Cu=4"``.
    density_g_cm3 : float, optional
        Overrides the usual density; a formula and a mixture need it.

    Raises
    ------
    MaterialError
        As ``resolve``; a part that is no number.

    """
    density = {} if density_g_cm3 is None else {"density_g_cm3": density_g_cm3}
    if "=" in text:
        parts: dict[str, Any] = {}
        for part in text.split(","):
            name, _, share = part.partition("=")
            try:
                parts[name.strip()] = float(share)
            except ValueError as error:
                raise MaterialError(f"part {part.strip()!r} of a mixture (not NAME=WEIGHT) write Al=96,Cu=4") from error
        return resolve({"mixture": parts, **density})
    return resolve({"name": text, **density})


def list_materials() -> str:
    """Common names with density, other spellings and source; then the elements' names, a line each."""
    lines = [f"{'name':<18} {'g/cm3':>8}  also, and where from"]
    for entry in common_materials():
        also = "; ".join([", ".join(entry.get("aliases", ())), entry["source"]]).removeprefix("; ")
        lines.append(f"{entry['name']:<18} {resolve(entry['name']).density_g_cm3:>8.4g}  {also}")
    elements = ", ".join(f"{symbol} {names[0]}" for symbol, names in element_names().items())
    lines.append(f"elements by symbol or name: {elements}")
    lines.append("and NIST's catalogue, formulas with a density, mixtures by weight: xsim materials show NAME")
    return "\n".join(lines)


def describe_material(material: Material, energy_kev: Sequence[float] = DEFAULT_KEV) -> str:
    """Density, composition by weight, absorption edges above 1 keV and attenuation of a material, as a table.

    Raises
    ------
    MaterialError
        An energy outside 0.1-800 keV.

    """
    energy = np.asarray(energy_kev, np.float64)
    mass = mass_attenuation(material, energy)
    linear = mass * material.density_g_cm3 / MM_PER_CM
    edges = edges_kev(material, LOWEST_EDGE_KEV, HIGHEST_KEV)
    lines = [
        f"{material.name}",
        f"density      {material.density_g_cm3:.6g} g/cm3",
        "by weight    " + ", ".join(f"{symbol_of(z)} {share:.5f}" for z, share in material.weight_fractions),
        "edges, keV   " + (", ".join(f"{edge:.3f}" for edge in edges) or "none"),
        f"{'keV':>8} {'cm2/g':>11} {'1/mm':>11} {'half-value layer, mm':>21}",
    ]
    for row in zip(energy, mass, linear, np.log(2.0) / linear, strict=True):
        lines.append("{:>8g} {:>11.4e} {:>11.4e} {:>21.4g}".format(*row))
    return "\n".join(lines)
