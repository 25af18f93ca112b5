"""Cylindrical cells: steel can, jelly roll of concentric windings, pin, tabs, cap, and what goes wrong with them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from manifold3d import CrossSection

from datagen.families.assembly import Assembly
from datagen.families.cell_material import (
    ANODE,
    ANODE_AND_SEPARATOR,
    ANODE_MM,
    CATHODE,
    CATHODE_MM,
    PARTICLES,
    PITCH_MM,
    SEPARATOR,
)
from datagen.families.layered import Layer, Layered, disc
from datagen.families.surface import Ring, lump, nested_rings
from datagen.stream import Stream

__all__ = ["SIZES", "RoundCell", "add_round_cell"]

FAULT_PRIORITY = 100  # a fault displaces what is there, and has its label
SKIN_MM = 0.1
RIM_MM = 2.5  # of the anodes at each end, drawn one by one


@dataclass(frozen=True)
class RoundCell:
    """Sizes of a cylindrical cell [mm]."""

    radius_mm: float
    height_mm: float
    wall_mm: float
    core_mm: float = 1.8
    bottom_mm: float = 1.0  # free below the roll
    head_mm: float = 6.0  # free above it

    @property
    def windings(self) -> int:
        """Of the roll."""
        return int((self.radius_mm - self.wall_mm - 0.1 - self.core_mm) / PITCH_MM)

    @property
    def roll_mm(self) -> tuple[float, float]:
        """Heights of the separator's ends, from the middle of the cell."""
        return self.bottom_mm - 0.5 * self.height_mm, 0.5 * self.height_mm - self.head_mm

    @property
    def outer_mm(self) -> float:
        """Radius of the roll."""
        return self.core_mm + self.windings * PITCH_MM


SIZES = {"18650": RoundCell(9.2, 65.0, 0.25), "21700": RoundCell(10.6, 70.0, 0.3)}


def add_round_cell(frame: Assembly, stream: Stream, cell: RoundCell, faults: dict[str, Any], middle_mm: float) -> None:
    """A cell about the frame's origin, its cap towards +z.

    ``faults``: overhang, fold, tab (whether), particles (how many), particle_mm, overhang_mm; they lie nearer than
    the end of the cell whose height is ``middle_mm``'s sign, where the view is.
    """
    end = 1 if middle_mm > 0 else -1
    _add_can(frame, cell)
    low, high = cell.roll_mm
    tube: dict[str, Any] = {"radius_mm": cell.outer_mm, "inner_radius_mm": cell.core_mm, "height_mm": high - low}
    frame.add("separator", "tube", SEPARATOR, (0, 0, 0.5 * (low + high)), **tube)
    _add_windings(frame, stream, cell, faults, end)
    if stream.unit() < 0.7:
        pin: dict[str, Any] = {
            "radius_mm": 0.8 * cell.core_mm,
            "inner_radius_mm": 0.8 * cell.core_mm - 0.3,
            "height_mm": high - low - 3,
        }
        frame.add("pin", "tube", "steel", (0, 0, 0.5 * (low + high)), **pin)
    _add_tabs(frame, stream, cell, bool(faults["tab"]) and end < 0)
    _add_cap(frame, cell)
    if faults["fold"]:
        _add_fold(frame, stream, cell, end)
    for _ in range(int(faults["particles"])):
        _add_particle(frame, stream, cell, faults["particle_mm"], middle_mm)


def _add_can(frame: Assembly, cell: RoundCell) -> None:
    half, radius, wall = 0.5 * cell.height_mm, cell.radius_mm, cell.wall_mm
    side: dict[str, Any] = {"radius_mm": radius, "inner_radius_mm": radius - wall, "height_mm": cell.height_mm - wall}
    frame.add("can", "tube", "steel", (0, 0, 0.5 * wall), **side)
    frame.add("can", "cylinder", "steel", (0, 0, 0.5 * wall - half), radius_mm=radius, height_mm=wall)
    # the bead under the cap: two folds of the wall, and its rim rolled over the gasket
    for z, depth in ((half - 4.6, 1.3), (half - 3.9, 1.3), (half - 0.5 * wall, 1.8)):
        ring: dict[str, Any] = {"radius_mm": radius, "inner_radius_mm": radius - depth, "height_mm": wall}
        frame.add("can", "tube", "steel", (0, 0, z), **ring)


def _add_windings(frame: Assembly, stream: Stream, cell: RoundCell, faults: dict[str, Any], end: int) -> None:
    """Cathodes from end to end in the mean of anode and separator, and each anode's rims at both ends.

    Where they fail, cathodes reach beyond the anodes at one end.
    """
    low, high = (cell.roll_mm[0] + 1.0, cell.roll_mm[1] - 1.0)
    overhang = float(faults["overhang_mm"])
    first = 2 + stream.below(max(1, cell.windings - 8))
    slipped = range(first, min(first + 3 + stream.below(5), cell.windings)) if faults["overhang"] else range(0)
    beyond = stream.between(0.3, 0.9)
    rims: list[Ring] = []
    cathodes: list[Ring] = []
    strays: list[Ring] = []
    for k in range(cell.windings):
        inner = cell.core_mm + k * PITCH_MM + 0.01
        drift = [stream.between(-0.12, 0.12) for _ in range(4)]
        anode = (low + drift[0], high + drift[1])
        cathode = (anode[0] + overhang + 0.5 * drift[2], anode[1] - overhang + 0.5 * drift[3])
        wall, other = (inner, inner + ANODE_MM), (inner + ANODE_MM + 0.02, inner + ANODE_MM + 0.02 + CATHODE_MM)
        rims += [(*wall, anode[0], low + RIM_MM), (*wall, high - RIM_MM, anode[1])]
        cathodes.append((*other, *cathode))
        if k in slipped:
            strays.append((*other, cathode[1], high + beyond) if end > 0 else (*other, low - beyond, cathode[0]))
    middle: dict[str, Any] = {
        "radius_mm": cell.outer_mm,
        "inner_radius_mm": cell.core_mm,
        "height_mm": high - low - 2 * RIM_MM,
    }
    frame.add("anode", "tube", ANODE_AND_SEPARATOR, (0, 0, 0.5 * (low + high)), **middle)
    frame.add_surface("anode", nested_rings(rims), ANODE)
    frame.add_surface("cathode", nested_rings(cathodes), CATHODE)
    if strays:
        frame.add_surface("cathode beyond anode", nested_rings(strays), CATHODE, priority=FAULT_PRIORITY, target=True)


def _add_tabs(frame: Assembly, stream: Stream, cell: RoundCell, loose: bool) -> None:
    """The anode's tab of nickel to the bottom, the cathode's of aluminium to the cap; ``loose``: no weld below."""
    low, high = cell.roll_mm
    bottom = 0.5 * cell.wall_mm + 0.05 - 0.5 * cell.height_mm + 0.5 * cell.wall_mm
    away = cell.outer_mm - 1.5 * PITCH_MM
    turn = stream.between(-60, 60)
    cosine, sine = math.cos(math.radians(turn)), math.sin(math.radians(turn))

    def strip(kind: str, material: Any, along: float, z: float, size: list[float]) -> None:
        frame.add(kind, "box", material, (along * cosine, along * sine, z), turn_deg=(0, 0, turn), size_mm=size)

    strip("tab", "Ni", away, low + 6.0, [0.1, 4.0, 14.0])
    lift = stream.between(0.3, 0.5) if loose else 0.0
    reach = away + 1.5
    strip("tab", "Ni", 0.5 * away - 0.75, bottom + lift, [reach, 4.0, 0.1])
    if loose:
        gap = (0, 0, bottom + 0.5 * lift)
        frame.add(
            "open tab weld",
            "cylinder",
            "air",
            gap,
            radius_mm=1.5,
            height_mm=lift - 0.12,
            priority=FAULT_PRIORITY,
            target=True,
        )
    middle = 0.45 * cell.outer_mm
    strip("tab", "Al", -middle, high - 4.0, [0.1, 3.5, 12.0])
    strip("tab", "Al", -0.5 * middle, high + 2.0, [middle, 3.5, 0.12])


def _add_cap(frame: Assembly, cell: RoundCell) -> None:
    top, radius = 0.5 * cell.height_mm, cell.radius_mm - cell.wall_mm
    gasket: dict[str, Any] = {"radius_mm": radius, "inner_radius_mm": radius - 0.9, "height_mm": 3.2}
    frame.add("insulator", "tube", "polypropylene", (0, 0, top - 2.1), **gasket)
    for z in (cell.roll_mm[0] - 0.2, cell.roll_mm[1] + 0.2):
        size: dict[str, Any] = {"radius_mm": radius - 0.3, "inner_radius_mm": 2.5, "height_mm": 0.3}
        frame.add("insulator", "tube", "polypropylene", (0, 0, z), **size)
    frame.add("cap", "cylinder", "Al", (0, 0, top - 3.1), radius_mm=radius - 1.0, height_mm=0.35)
    frame.add("cap", "cylinder", "PET", (0, 0, top - 2.6), radius_mm=radius - 1.0, height_mm=0.3)
    frame.add("cap", "tube", "steel", (0, 0, top - 1.9), radius_mm=radius - 1.0, inner_radius_mm=4.2, height_mm=0.4)
    button: dict[str, Any] = {"radius_mm": 4.5, "inner_radius_mm": 4.15, "height_mm": 1.9}
    frame.add("cap", "tube", "steel", (0, 0, top - 0.95), **button)
    frame.add("cap", "cylinder", "steel", (0, 0, top - 0.2), radius_mm=4.5, height_mm=0.4)


def _add_fold(frame: Assembly, stream: Stream, cell: RoundCell, end: int) -> None:
    """A piece of cathode folded over: twice as thick over a few millimetres of one winding, at the rim of the image."""
    k = cell.windings - 2 - stream.below(max(1, cell.windings // 2))
    inner = cell.core_mm + k * PITCH_MM + 0.01
    half = math.radians(stream.between(15, 35))
    aim = math.pi * (stream.unit() < 0.5) + stream.between(-0.15, 0.15)
    far = 1.5 * cell.outer_mm
    wedge = [(0.0, 0.0)] + [(far * math.cos(a), far * math.sin(a)) for a in (aim - half, aim, aim + half)]
    sector = CrossSection([np.round(np.array(wedge), 6).tolist()])
    outline = (disc(inner + PITCH_MM) - disc(inner)) ^ sector
    high, low = cell.roll_mm[1] - 1.2, cell.roll_mm[0] + 1.2
    length = stream.between(2.0, 6.0)
    ends = (high - length, high) if end > 0 else (low, low + length)
    frame.add_surface(
        "folded electrode", Layered([Layer(outline, *ends)]).surface(), CATHODE, priority=FAULT_PRIORITY, target=True
    )


def _add_particle(frame: Assembly, stream: Stream, cell: RoundCell, size_mm: float, middle_mm: float) -> None:
    """A crumb of metal between windings, near the height of the view's middle."""
    kind = tuple(PARTICLES)[stream.below(len(PARTICLES))]
    radius = 0.5 * size_mm * stream.between(0.7, 1.4)
    away = stream.between(cell.core_mm + radius + SKIN_MM, cell.outer_mm - radius - SKIN_MM)
    angle = 2 * math.pi * stream.unit()
    low, high = cell.roll_mm[0] + radius + SKIN_MM, cell.roll_mm[1] - radius - SKIN_MM
    z = min(max(middle_mm + stream.between(-9, 9), low), high)
    at = (away * math.cos(angle), away * math.sin(angle), z)
    mesh = lump(stream, [radius, radius * 0.8, radius * 0.6], 0.4)
    frame.add_surface("particle", mesh, PARTICLES[kind], at, priority=FAULT_PRIORITY, target=True)
