"""Die and sand castings with the flaws that radiography looks for in them."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np
from pydantic import field_validator

from datagen.families.casting_shape import SHAPES, casting_shape
from datagen.families.family import Angle, Count, DrawnBody, Family, Length, Share, ViewField, Word, leaves, most
from datagen.families.flaw import Host, crack_in, inclusion_in, pores_in, porosity_in, shrinkage_in, spread
from datagen.laws import Choice, Integers, LogUniform, Uniform
from datagen.placement import rotation
from datagen.stream import Stream

__all__ = ["Casting"]

#: Alloys: what each is made of, and its walls as a share of those asked for (heavy metals are cast thinner).
METALS: dict[str, tuple[Any, float]] = {
    # EN AC-46000, EN AC-43000, EN AC-42100 (EN 1706), AZ91D (ASTM B94), ZP5 (EN 12844): middle of the ranges
    "AlSi9Cu3": ({"name": "AlSi9Cu3", "mixture": {"Al": 87, "Si": 9, "Cu": 3, "Fe": 1}, "density_g_cm3": 2.75}, 1.0),
    "AlSi10Mg": ("AlSi10Mg", 1.0),
    "AlSi7Mg": ({"name": "AlSi7Mg", "mixture": {"Al": 92.6, "Si": 7, "Mg": 0.4}, "density_g_cm3": 2.68}, 1.0),
    "AZ91D": ({"name": "AZ91D", "mixture": {"Mg": 90.3, "Al": 9, "Zn": 0.7}, "density_g_cm3": 1.81}, 1.0),
    "ZP5": ({"name": "ZP5", "mixture": {"Zn": 95, "Al": 4, "Cu": 1}, "density_g_cm3": 6.7}, 0.35),
    "cast iron": ("cast iron", 0.4),
}
SAND = {"name": "sand", "formula": "SiO2", "density_g_cm3": 2.0}
OXIDE = "alumina"
INCLUSIONS: dict[str, Any] = {"oxide": OXIDE, "sand": SAND, "tungsten": "W"}
POOL = 900  # points drawn for flaws
CLUSTER = 24
LEAST_WALL_MM = 1.2


class Casting(Family):
    """A lever, housing, hub or flange of a casting alloy, at an angle, with flaws inside its metal."""

    family: ClassVar[str] = "casting"
    about: ClassVar[str] = """
        Castings of aluminium, magnesium, zinc and iron alloys: levers, housings, hubs and flanges with ribs, bosses,
        bores and fillets, turned at random, some larger than the view. In the metal, wholly inside it: round gas pores,
        clusters of fine porosity, shrinkage cavities with branches, inclusions of oxide, sand and tungsten, jagged
        cracks, and cold shuts. Walls of zinc and iron are 0.35 and 0.4 of those asked for, as they are cast thinner. A
        flaw that fits nowhere at its drawn size is made smaller.
        """
    kinds: ClassVar[tuple[str, ...]] = (
        "casting", "gas pore", "porosity", "shrinkage", "oxide", "sand", "tungsten", "crack", "cold shut",
    )  # fmt: skip
    materials: ClassVar[tuple[Any, ...]] = ("air", OXIDE, SAND, "W", *(spec for spec, _ in METALS.values()))

    shape: Word = Choice(choice=tuple(SHAPES))
    metal: Word = Choice(choice=tuple(METALS), weights=(3, 2, 2, 1, 1, 1))
    wall_mm: Length = LogUniform(log_uniform=(3, 14))
    fill: Length = Uniform(uniform=(0.8, 1.25))
    tilt_deg: Angle = Uniform(uniform=(0, 30))
    gas_pores: Count = Integers(integers=(0, 10))
    gas_pore_mm: Length = LogUniform(log_uniform=(0.8, 3.0))
    porosity_clusters: Count = Choice(choice=(0, 1, 2), weights=(2, 1, 1))
    porosity_mm: Length = LogUniform(log_uniform=(0.5, 0.9))
    shrinkages: Count = Choice(choice=(0, 1, 2), weights=(2, 1, 1))
    shrinkage_mm: Length = LogUniform(log_uniform=(3, 14))
    inclusions: Count = Choice(choice=(0, 1, 2), weights=(2, 1, 1))
    inclusion_mm: Length = LogUniform(log_uniform=(0.7, 4))
    tungsten_share: Share = 0.2
    cracks: Count = Choice(choice=(0, 1, 2), weights=(2, 1, 1))
    crack_mm: Length = LogUniform(log_uniform=(8, 35))
    crack_opening_mm: Length = LogUniform(log_uniform=(0.1, 0.5))
    cold_shuts: Count = Choice(choice=(0, 1), weights=(4, 1))

    @field_validator("shape", "metal")
    @classmethod
    def _known(cls, value: Any, info: Any) -> Any:
        known = SHAPES if info.field_name == "shape" else METALS
        for each in leaves(value):
            if each not in known:
                raise ValueError(f"{each!r} is not known (known: {', '.join(known)})")
        return value

    def most_bodies(self) -> int:
        """Greatest number of bodies in a scene."""
        single = sum(most(n) for n in (self.gas_pores, self.shrinkages, self.inclusions, self.cracks, self.cold_shuts))
        return 1 + int(single) + CLUSTER * int(most(self.porosity_clusters))

    def bodies(self, values: dict[str, Any], stream: Stream, view: ViewField) -> list[DrawnBody]:
        """One casting, then its flaws."""
        metal, thinner = METALS[values["metal"]]
        wall = max(values["wall_mm"] * thinner, LEAST_WALL_MM)
        part = casting_shape(values["shape"], stream, values["fill"] * view.smaller_mm, wall)
        pose = _pose(stream, values["tilt_deg"])
        mesh = part.surface()
        middle = 0.5 * (np.asarray(mesh.bounds[0]) + np.asarray(mesh.bounds[1]))
        position = np.round(-(np.array(rotation(pose)) @ middle), 6).tolist()
        body = {"mesh": mesh, "material": metal, "position_mm": position, "rotation_deg": pose}
        points = _points_in_view(stream, mesh.bounds, np.array(rotation(pose)), np.array(position), view)
        host = Host(part.depth_mm, points, position, pose)
        return [DrawnBody("casting", body), *_flaws(values, stream, host)]


def _pose(stream: Stream, tilt_deg: float) -> list[float]:
    """Tilted about any axis in the plane of the view, then turned in it; seen from either side."""
    aim, spin = stream.between(0, 2 * math.pi), stream.between(0, 360)
    over = 180.0 if stream.unit() < 0.5 else 0.0
    return [round(tilt_deg * math.cos(aim) + over, 6), round(tilt_deg * math.sin(aim), 6), round(spin, 6)]


def _points_in_view(
    stream: Stream, bounds: np.ndarray, turn: np.ndarray, position: np.ndarray, view: ViewField
) -> np.ndarray:
    """Points of the box around a part that the detector sees, in the part's frame, float64 [point, 3] mm."""
    low, high = np.asarray(bounds, np.float64)
    points = np.round(low + stream.units(3 * POOL).reshape(-1, 3) * (high - low), 6)
    world = points @ turn.T + position
    nearer = view.sod_mm / (view.sod_mm + world[:, 2])
    seen = (np.abs(world[:, 0]) * nearer < 0.46 * view.width_mm) & (
        np.abs(world[:, 1]) * nearer < 0.46 * view.height_mm
    )
    return np.asarray(points[seen])


def _flaws(values: dict[str, Any], stream: Stream, host: Host) -> list[DrawnBody]:
    found: list[DrawnBody] = []
    opening = values["crack_opening_mm"]
    for _ in range(values["cold_shuts"]):
        found.append(crack_in(host, stream, 1.5 * values["crack_mm"], 1.5 * opening, "cold shut", bends=4))
    for _ in range(values["cracks"]):
        found.append(crack_in(host, stream, values["crack_mm"], opening))
    for _ in range(values["shrinkages"]):
        found.append(shrinkage_in(host, stream, values["shrinkage_mm"]))
    for _ in range(values["inclusions"]):
        other = "oxide" if stream.unit() < 0.5 else "sand"
        kind = "tungsten" if stream.unit() < values["tungsten_share"] else other
        found.append(inclusion_in(host, stream, spread(stream, values["inclusion_mm"]), kind, INCLUSIONS[kind]))
    for _ in range(values["porosity_clusters"]):
        across = stream.between(6, 14) * values["porosity_mm"] + 2.0
        found += porosity_in(host, stream, 6 + stream.below(CLUSTER - 5), values["porosity_mm"], across)
    return found + pores_in(host, stream, values["gas_pores"], values["gas_pore_mm"])
