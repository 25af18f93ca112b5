"""Welded plates with ripples, flaws, and a wire indicator of image quality."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from pydantic import field_validator

from datagen.families.assembly import ALONG_Y, Assembly
from datagen.families.family import Angle, Count, DrawnBody, Family, Length, Share, ViewField, Word, leaves, most
from datagen.families.flaw import Host, inclusion_in, pores_in, porosity_in, spread
from datagen.families.lead_marker import marker
from datagen.families.weld_flaw import (
    SLAG,
    lack_of_fusion,
    lack_of_penetration,
    seam_crack,
    slag_line,
    undercut,
    wormhole,
)
from datagen.families.weld_seam import Bead, Seam, bead_surface
from datagen.laws import Choice, Integers, LogUniform, Uniform
from datagen.placement import rotation
from datagen.stream import Stream

__all__ = ["WIRES_MM", "Weldment"]

JOINTS = ("butt", "lap", "fillet")
#: Metals: the material, and the wires' material of ISO 19232-1 for it (FE, AL, TI).
METALS: dict[str, tuple[Any, Any]] = {
    "steel": ("steel", "steel"),
    "316L": ("316L", "steel"),
    "AlMg4.5": ({"name": "AlMg4.5", "mixture": {"Al": 95, "Mg": 4.5, "Mn": 0.5}, "density_g_cm3": 2.66}, "Al"),
    "Ti-6Al-4V": ("Ti-6Al-4V", "Ti"),
}
#: What lies in lines in metals that are welded under gas, without slag: their oxide (ISO 6520-1, 303).
OXIDES: dict[str, tuple[str, Any]] = {
    "AlMg4.5": ("oxide", "alumina"),
    "Ti-6Al-4V": ("oxide", {"name": "titania", "formula": "TiO2", "density_g_cm3": 4.23}),
}
#: Diameters of the wires W1 to W19 of ISO 19232-1 (as EN 462-1): the R10 series from 3.2 mm down.
WIRES_MM = (
    3.2, 2.5, 2.0, 1.6, 1.25, 1.0, 0.8, 0.63, 0.5, 0.4, 0.32, 0.25, 0.2, 0.16, 0.125, 0.1, 0.08, 0.063, 0.05,
)  # fmt: skip
WIRE_SETS = (1, 6, 10, 13)  # the first of seven wires
POOL = 700
CLUSTER = 20


@dataclass
class Joint:
    """Plates and beads of a joint, in its frame, and where its weld is."""

    bodies: Assembly
    seam: Seam
    toes: list[tuple[float, float]] = field(default_factory=list)  # (y, z) of the edges of the cap
    top_mm: float = 0.0


class Weldment(Family):
    """A butt, lap or fillet weld across the view, with flaws, markers and wires."""

    family: ClassVar[str] = "weldment"
    about: ClassVar[str] = """
        Welds of steel, stainless steel, aluminium and titanium plates: butt welds with cap and root, lap and fillet
        welds, beads with ripples and uneven edges, across the whole view. Flaws as ISO 6520-1 names them, inside the
        metal: pores and clusters of them, wormholes, lines of slag (of oxide in aluminium and titanium), lack of fusion
        in the plane of the bevel, lack of penetration, cracks along and across, tungsten; undercut lies open at the
        edge of the bead. Spatter beside it, lead markers, and the seven wires of ISO 19232-1 that suit the thickness,
        across the weld.
        """
    kinds: ClassVar[tuple[str, ...]] = (
        "plate", "weld", "spatter", "IQI envelope", "IQI wire", "lead marker", "pore", "porosity", "wormhole", "slag",
        "oxide", "lack of fusion", "lack of penetration", "crack", "tungsten", "undercut",
    )  # fmt: skip
    materials: ClassVar[tuple[Any, ...]] = (
        "air", "Pb", "W", "polyethylene", SLAG, *(each for _, each in OXIDES.values()),
        *(each for pair in METALS.values() for each in pair),
    )  # fmt: skip

    joint: Word = Choice(choice=JOINTS, weights=(4, 1, 1))
    metal: Word = Choice(choice=tuple(METALS), weights=(3, 1, 2, 1))
    plate_mm: Length = LogUniform(log_uniform=(4, 12))
    cap_mm: Length = Uniform(uniform=(0.8, 2.2))
    ripple_mm: Length = Uniform(uniform=(0.08, 0.3))
    ripple_pitch_mm: Length = Uniform(uniform=(1.0, 2.5))
    turn_deg: Angle = Uniform(uniform=(-8, 8))
    pores: Count = Choice(choice=(0, Integers(integers=(1, 12))), weights=(1, 2))
    pore_mm: Length = LogUniform(log_uniform=(0.4, 1.5))
    porosity_clusters: Count = Choice(choice=(0, 1), weights=(3, 1))
    wormholes: Count = Choice(choice=(0, Integers(integers=(2, 6))), weights=(3, 1))
    slag_lines: Count = Choice(choice=(0, 1, 2), weights=(3, 1, 1))
    fusion_flaws: Count = Choice(choice=(0, 1), weights=(3, 1))
    penetration_flaws: Count = Choice(choice=(0, 1), weights=(4, 1))
    cracks: Count = Choice(choice=(0, 1, 2), weights=(3, 1, 1))
    tungsten: Count = Choice(choice=(0, 1, 2), weights=(3, 1, 1))
    undercuts: Count = Choice(choice=(0, 1, 2), weights=(3, 1, 1))
    spatter: Count = Choice(choice=(0, Integers(integers=(3, 14))))
    wires_share: Share = 0.5

    @field_validator("joint", "metal")
    @classmethod
    def _known(cls, value: Any, info: Any) -> Any:
        known = JOINTS if info.field_name == "joint" else METALS
        for each in leaves(value):
            if each not in known:
                raise ValueError(f"{each!r} is not known (known: {', '.join(known)})")
        return value

    def most_bodies(self) -> int:
        """Greatest number of bodies in a scene."""
        flaws = (
            self.pores, self.wormholes, self.slag_lines, self.fusion_flaws, self.penetration_flaws, self.cracks,
            self.tungsten, self.undercuts, self.spatter,
        )  # fmt: skip
        return 4 + 1 + 7 + 1 + CLUSTER * int(most(self.porosity_clusters)) + int(sum(most(each) for each in flaws))

    def bodies(self, values: dict[str, Any], stream: Stream, view: ViewField) -> list[DrawnBody]:
        """Plates and beads, spatter, markers and wires, then the flaws."""
        metal, wire = METALS[values["metal"]]
        over = 180.0 if stream.unit() < 0.3 else 0.0
        lean = 45.0 if values["joint"] == "fillet" else 0.0
        upright = 90.0 if stream.unit() < 0.3 else 0.0
        pose = [over + lean, 0.0, round(values["turn_deg"] + upright, 6)]
        frame = Assembly((0, 0, 0), pose)
        length = 1.5 * math.hypot(view.width_mm, view.height_mm)
        joint = _JOINTS[values["joint"]](frame, stream, values, metal, length)
        _add_extras(joint, stream, values, (metal, wire), 0.5 * view.smaller_mm)
        host = Host(joint.seam.depth_mm, _points(stream, joint.seam, pose, view), (0, 0, 0), pose)
        return [*joint.bodies.bodies, *_flaws(values, stream, joint, host, view)]


def _bead(values: dict[str, Any], stream: Stream, edges: tuple[float, float], profile: Any, share: float = 1.0) -> Bead:
    ripple, pitch = share * values["ripple_mm"], values["ripple_pitch_mm"]
    return Bead(*edges, profile, ripple, pitch * stream.between(0.9, 1.1), stream.between(0.1, 0.3))


def _butt(frame: Assembly, stream: Stream, values: dict[str, Any], metal: Any, length: float) -> Joint:
    """Two plates edge to edge: the cap above, the root below."""
    thick = values["plate_mm"]
    half = 0.5 * thick
    cap, root = values["cap_mm"], 0.6 * values["cap_mm"]
    wide, narrow = 0.55 * thick + stream.between(2.0, 3.5), stream.between(1.3, 2.2)
    upper = _bead(values, stream, (-wide, wide), lambda u: cap * 4 * u * (1 - u))
    lower = _bead(values, stream, (-narrow, narrow), lambda u: root * 4 * u * (1 - u), 0.6)
    frame.add("plate", "box", metal, (0, 0, 0), size_mm=[length, length, thick])
    frame.add_surface("weld", bead_surface(upper, length, stream, 0.3), metal, (0, 0, half))
    below = bead_surface(lower, length, stream, 0.3)
    below.apply_transform(np.diag([1.0, -1.0, -1.0, 1.0]))
    frame.add_surface("weld", below, metal, (0, 0, -half))
    seam = Seam(
        lambda y: half + upper.least_mm(y),
        lambda y: -half - lower.least_mm(y),
        (-0.75 * wide, 0.75 * wide),
        (-half, half),
    )
    return Joint(frame, seam, [(-wide, half), (wide, half)], half + cap)


def _lap(frame: Assembly, stream: Stream, values: dict[str, Any], metal: Any, length: float) -> Joint:
    """A plate on another, with a fillet along its edge: its leg is as long as the plate is thick."""
    thick = values["plate_mm"]
    leg = thick
    fillet = _bead(values, stream, (-1.0, leg), lambda u: thick * np.minimum(1.04 - u, 1.0) * (1 + 0.1 * u) * (u < 1))
    overlap = 2.5 * thick
    frame.add(
        "plate", "box", metal, (0, 0.25 * length, -0.5 * thick), size_mm=[length, 0.5 * length + 2 * overlap, thick]
    )
    frame.add("plate", "box", metal, (0, -0.25 * length, 0.5 * thick), size_mm=[length, 0.5 * length, thick])
    frame.add_surface("weld", bead_surface(fillet, length, stream, 0.3), metal, (0, 0, 0))
    seam = Seam(
        lambda y: np.where(y < 0, thick, fillet.least_mm(y)), lambda y: np.full(len(y), -thick),
        (-0.5, 0.6 * leg), (-0.6 * thick, 0.5 * thick), -overlap,
    )  # fmt: skip
    return Joint(frame, seam, [(leg, 0.0)], thick)


def _fillet(frame: Assembly, stream: Stream, values: dict[str, Any], metal: Any, length: float) -> Joint:
    """A plate that stands on another, with a fillet in one corner, seen along the bisector."""
    thick = values["plate_mm"]
    leg = max(0.8 * thick, 4.0)
    # its edge wanders within the upright plate: no air between the two
    fillet = _bead(values, stream, (-0.06 * leg, leg), lambda u: leg * (1.02 - u) * (u < 1))
    frame.add("plate", "box", metal, (0, 30.0, -0.5 * thick), size_mm=[length, 140.0, thick])
    frame.add("plate", "box", metal, (0, -0.5 * thick, 45.0), size_mm=[length, thick, 90.0])
    frame.add_surface("weld", bead_surface(fillet, length, stream, 0.3), metal, (0, 0, 0))
    seam = Seam(
        lambda y: np.where(y < 0, leg, fillet.least_mm(y)), lambda y: np.full(len(y), -0.6 * thick),
        (-0.5 * thick, 0.6 * leg), (-0.4 * thick, 0.5 * leg), -thick,
    )  # fmt: skip
    return Joint(frame, seam, [(leg, 0.0)], 0.0)


_JOINTS = {"butt": _butt, "lap": _lap, "fillet": _fillet}


def _points(stream: Stream, seam: Seam, pose: list[float], view: ViewField) -> np.ndarray:
    """Points of the weld that the detector sees, in the joint's frame, float64 [point, 3] mm."""
    reach = 0.5 * math.hypot(view.width_mm, view.height_mm)
    low = np.array([-reach, seam.weld_mm[0], seam.inside_mm[0]])
    high = np.array([reach, seam.weld_mm[1], seam.inside_mm[1]])
    points = np.round(low + stream.units(3 * POOL).reshape(-1, 3) * (high - low), 6)
    world = points @ np.array(rotation(pose)).T
    seen = np.abs(world[:, :2]) * (view.sod_mm / (view.sod_mm + world[:, 2:]))
    return np.asarray(points[(seen < 0.42 * np.array([view.width_mm, view.height_mm])).all(axis=1)])


def _add_extras(joint: Joint, stream: Stream, values: dict[str, Any], materials: tuple[Any, Any], half: float) -> None:
    """Spatter on the plate, lead figures and wires on a butt weld."""
    edge = max(abs(y) for y, _ in joint.toes)
    base = joint.toes[-1][1]
    for _ in range(values["spatter"]):
        radius = spread(stream, 0.3, 0.5, 2.0)
        side = 1.0 if values["joint"] != "butt" or stream.unit() < 0.5 else -1.0
        place = (stream.between(-1.2, 1.2) * half, side * (edge + 0.5 + 8.0 * stream.unit() ** 2), base + 0.3 * radius)
        joint.bodies.add("spatter", "sphere", materials[0], place, radius_mm=radius)
    if values["joint"] != "butt":
        return
    digits = marker(stream, 3, 6.0)
    place = (stream.between(-0.6, -0.3) * half, 0.5 * (edge + half), base)
    joint.bodies.add_surface("lead marker", digits, "Pb", place)
    if stream.unit() < values["wires_share"]:
        _add_wires(joint, materials[1], values["plate_mm"], stream.between(0.0, 0.3) * half)


def _add_wires(joint: Joint, material: Any, thick: float, x: float) -> None:
    """Seven wires across the weld, 5 mm apart: the set whose middle is nearest to 2 % of the thickness."""
    first = min(WIRE_SETS, key=lambda k: abs(math.log(WIRES_MM[k + 2] / (0.02 * thick))))
    above = joint.top_mm + 0.7
    joint.bodies.add("IQI envelope", "box", "polyethylene", (x, 0, above), size_mm=[37.0, 30.0, 1.2])
    for k in range(7):
        at = (x + 5.0 * (k - 3), 0.0, above)
        diameter = WIRES_MM[first - 1 + k]
        joint.bodies.add(
            "IQI wire", "cylinder", material, at, turn_deg=ALONG_Y, radius_mm=0.5 * diameter, height_mm=25.0
        )


def _flaws(values: dict[str, Any], stream: Stream, joint: Joint, host: Host, view: ViewField) -> list[DrawnBody]:
    seam, thick, found = joint.seam, float(values["plate_mm"]), []
    size = view.smaller_mm
    for _ in range(values["penetration_flaws"] if values["joint"] == "butt" else 0):
        found.append(lack_of_penetration(host, stream, seam, stream.between(0.1, 0.4) * size, stream.between(0.3, 1.0)))
    for _ in range(values["fusion_flaws"]):
        bevel = stream.between(25, 40)
        found.append(lack_of_fusion(host, stream, stream.between(0.08, 0.3) * size, 0.35 * thick, bevel))
    for _ in range(values["cracks"]):
        long, across = stream.between(0.06, 0.25) * size, stream.unit() < 0.4
        found.append(seam_crack(host, stream, long, stream.between(0.08, 0.3), across))
    for _ in range(values["slag_lines"]):
        kind, material = OXIDES.get(values["metal"], ("slag", SLAG))
        long, wide = stream.between(0.06, 0.25) * size, stream.between(0.4, 1.2)
        found.append(slag_line(host, stream, long, wide, kind, material))
    for _ in range(values["wormholes"]):
        found.append(wormhole(host, stream, stream.between(2, 5), stream.between(0.6, 1.4)))
    for _ in range(values["tungsten"]):
        found.append(inclusion_in(host, stream, spread(stream, 0.8), "tungsten", "W"))
    for _ in range(values["undercuts"]):
        y, z = joint.toes[stream.below(len(joint.toes))]
        found.append(undercut(host, stream, y, z, stream.between(0.08, 0.3) * size, stream.between(0.3, 0.9)))
    for _ in range(values["porosity_clusters"]):
        found += porosity_in(host, stream, 6 + stream.below(CLUSTER - 5), 0.5 * values["pore_mm"], 8.0)
    return found + pores_in(host, stream, values["pores"], values["pore_mm"], "pore")
