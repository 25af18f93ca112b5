"""The parts of an assembly as a list: which material each is of, how much it weighs."""

from __future__ import annotations

import csv
import fnmatch
import io
import warnings
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xsim import material
from xsim.cad import Assembly
from xsim.errors import SceneError, nearest_names

__all__ = ["WeighedPart", "csv_text", "materials_of", "parts_table", "read_material_map", "weigh"]


@dataclass(frozen=True)
class WeighedPart:
    """A part with its material: what an inspector compares with a balance.

    ``volume_error_mm3`` is area times chord: no facet lies further from the true surface.
    """

    part: str
    material: str
    density_g_cm3: float
    count: int
    volume_mm3: float
    volume_error_mm3: float
    mass_g: float
    total_mass_g: float
    mesh: str


def read_material_map(path: Path) -> list[tuple[str, Any]]:
    """Rows of a csv file: part name (or a pattern with * and ?), material, and maybe its density [g/cm3].

    A first row "part, material" is a heading. The first row that fits a part counts.

    Raises
    ------
    SceneError, MaterialError
        The file cannot be read, a row has no material, or nobody knows it.

    """
    try:
        lines = list(csv.reader(path.read_text(encoding="utf-8-sig").splitlines(), skipinitialspace=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or error
        raise SceneError(f"materials {path} not read ({reason}) give a csv file: part, material") from error
    rows: list[tuple[str, Any]] = []
    for number, line in enumerate(lines, 1):
        cells = [cell.strip() for cell in line]
        if not any(cells) or (number == 1 and [c.casefold() for c in cells[:2]] == ["part", "material"]):
            continue
        if len(cells) < 2 or not cells[0] or not cells[1]:
            given = ",".join(cells)
            raise SceneError(f"materials {path}, line {number} has no material ({given}) write: part, material")
        spec: Any = cells[1]
        if len(cells) > 2 and cells[2]:
            try:
                spec = {"name": cells[1], "density_g_cm3": float(cells[2])}
            except ValueError:
                raise SceneError(f"materials {path}, line {number}: density {cells[2]!r} is no number") from None
        material.resolve(spec)
        rows.append((cells[0], spec))
    return rows


def materials_of(assembly: Assembly, rows: list[tuple[str, Any]], path: Path) -> list[Any]:
    """Material of each part.

    Raises
    ------
    SceneError
        Parts that no row fits; the message names them.

    """
    names = [part.name for part in assembly.parts]
    found = [next((spec for pattern, spec in rows if fits(name, pattern)), None) for name in names]
    missing = list(dict.fromkeys(name for name, spec in zip(names, found, strict=True) if spec is None))
    if missing:
        near = [f"{m!r} is near {n[0]!r}" for m in missing if (n := nearest_names(m, [p for p, _ in rows], 1))]
        hint = f"; {', '.join(near)}" if near else ""
        listed = ", ".join(map(repr, missing))
        raise SceneError(f"no material for {listed} ({path.name} has no row that fits{hint}) add rows: part, material")
    for pattern, _ in rows:
        if not any(fits(name, pattern) for name in names):
            warnings.warn(f"{path.name}: no part is called {pattern!r}", stacklevel=3)
    return found


def fits(name: str, pattern: str) -> bool:
    return name == pattern or fnmatch.fnmatchcase(name, pattern)


def weigh(assembly: Assembly, materials: list[Any], meshes: list[str], chord_mm: float) -> list[WeighedPart]:
    """Mass of each part; ``materials`` and ``meshes`` are theirs, in their order."""
    count = Counter(i.part for i in assembly.instances)
    weighed = []
    for k, (part, spec, mesh) in enumerate(zip(assembly.parts, materials, meshes, strict=True)):
        found, volume = material.resolve(spec), part.volume_mm3
        mass_g = volume * found.density_g_cm3 / 1000.0
        weighed.append(WeighedPart(part.name, found.name, found.density_g_cm3, count[k], volume,
                                   part.area_mm2 * chord_mm, mass_g, count[k] * mass_g, mesh))  # fmt: skip
    return weighed


def csv_text(parts: list[WeighedPart]) -> str:
    """The list as a csv file: a column per field of ``WeighedPart``."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(WeighedPart.__dataclass_fields__)
    for part in parts:
        row = vars(part).values()
        writer.writerow(f"{value:.9g}" if isinstance(value, float) else value for value in row)
    return stream.getvalue()


def parts_table(parts: list[WeighedPart]) -> str:
    """Parts as lines to print: material, count, volume, mass."""
    heading = ("part", "material", "count", "volume [mm3]", "mass [g]", "total [g]")
    rows = [(p.part, p.material, str(p.count), f"{p.volume_mm3:.6g}", f"{p.mass_g:.5g}", f"{p.total_mass_g:.5g}")
            for p in parts]  # fmt: skip
    rows.append(("", "", str(sum(p.count for p in parts)), "", "", f"{sum(p.total_mass_g for p in parts):.5g}"))
    wide = [max(len(row[k]) for row in (heading, *rows)) for k in range(len(heading))]
    return "\n".join(
        "  ".join(cell.ljust(w) if k < 2 else cell.rjust(w) for k, (cell, w) in enumerate(zip(row, wide, strict=True)))
        for row in (heading, *rows)
    )
