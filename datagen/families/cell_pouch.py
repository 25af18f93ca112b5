"""Pouch cells: stacked electrodes in a film, tabs, and what goes wrong with them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from manifold3d import CrossSection

from datagen.families.assembly import Assembly
from datagen.families.cell_material import ANODE, ANODE_MM, CATHODE, CATHODE_MM, FILM, PARTICLES, PITCH_MM, SEPARATOR
from datagen.families.layered import Layer, Layered
from datagen.families.surface import lump
from datagen.stream import Stream

__all__ = ["PouchCell", "add_pouch_cell"]

FAULT_PRIORITY = 100  # a fault displaces what is there, and has its label


@dataclass(frozen=True)
class PouchCell:
    """Sizes of a pouch cell [mm]: x along its tabs' edge, y along its tabs, z through its layers."""

    width_mm: float
    length_mm: float
    layers: int

    @property
    def stack_mm(self) -> float:
        """Thickness of the stack."""
        return self.layers * PITCH_MM + ANODE_MM


def add_pouch_cell(frame: Assembly, stream: Stream, cell: PouchCell, faults: dict[str, Any]) -> None:
    """A cell whose corner, the end of its tabs at +x, is the frame's origin: it reaches to -x and -y, tabs to +y.

    ``faults``: as of a round cell.
    """
    wide, long, thick = cell.width_mm, cell.length_mm, cell.stack_mm
    middle = (-0.5 * wide, -0.5 * long, 0.0)
    frame.add("film", "box", FILM, middle, size_mm=[wide + 3.0, long + 3.0, thick + 0.5])
    frame.add("film", "box", FILM, (-0.5 * wide, 4.0, 0.0), size_mm=[wide + 3.0, 8.0, 0.3])
    frame.add("separator", "box", SEPARATOR, middle, size_mm=[wide + 2.0, long + 2.0, thick + 0.2])
    _add_sheets(frame, stream, cell, faults)
    _add_pouch_tabs(frame, stream, cell, bool(faults["tab"]))
    if faults["fold"]:
        _add_folded_corner(frame, stream, cell)
    for _ in range(int(faults["particles"])):
        radius = 0.5 * faults["particle_mm"] * stream.between(0.7, 1.4)
        kind = tuple(PARTICLES)[stream.below(len(PARTICLES))]
        z = stream.between(-0.5, 0.5) * max(thick - 2 * radius, 0.1)
        at = (-stream.between(2.0, 0.5 * wide), -stream.between(2.0, 0.5 * long), z)
        mesh = lump(stream, [radius, radius * 0.8, radius * 0.6], 0.4)
        frame.add_surface("particle", mesh, PARTICLES[kind], at, priority=FAULT_PRIORITY, target=True)


def _add_sheets(frame: Assembly, stream: Stream, cell: PouchCell, faults: dict[str, Any]) -> None:
    """Anodes and the smaller cathodes between them; a cathode that slipped reaches beyond the anodes at the corner."""
    wide, long = cell.width_mm, cell.length_mm
    overhang = float(faults["overhang_mm"])
    slipped = range(0)
    if faults["overhang"]:
        first = stream.below(max(1, cell.layers - 3))
        slipped = range(first, first + 1 + stream.below(3))
    for k in range(cell.layers + 1):
        z = -0.5 * cell.stack_mm + 0.5 * ANODE_MM + k * PITCH_MM
        dx, dy = (stream.between(-0.15, 0.15) for _ in range(2))
        frame.add("anode", "box", ANODE, (dx - 0.5 * wide, dy - 0.5 * long, z), size_mm=[wide, long, ANODE_MM])
        if k == cell.layers:
            return
        z += 0.5 * PITCH_MM
        size = [wide - 2 * overhang, long - 2 * overhang, CATHODE_MM]
        dx, dy = (stream.between(-0.15, 0.15) for _ in range(2))
        if k in slipped:
            beyond = overhang + stream.between(0.4, 1.2)
            dx, dy = dx + beyond, dy + beyond
        frame.add("cathode", "box", CATHODE, (dx - 0.5 * wide, dy - 0.5 * long, z), size_mm=size)
        if k in slipped:
            # what reaches beyond the anodes, along the edge
            edge = dx - overhang
            strip = [edge - 0.15, long - 2 * overhang, CATHODE_MM]
            at = (0.15 + 0.5 * strip[0], dy - 0.5 * long, z)
            frame.add("cathode beyond anode", "box", CATHODE, at, size_mm=strip, priority=FAULT_PRIORITY, target=True)


def _add_pouch_tabs(frame: Assembly, stream: Stream, cell: PouchCell, loose: bool) -> None:
    """Foils of each sort gathered and welded to a tab; ``loose``: a gap between foils and tab."""
    for x, foil, tab in ((-0.27 * cell.width_mm, "Cu", "Ni"), (-0.73 * cell.width_mm, "Al", "Al")):
        gathered = 0.012 * cell.layers
        frame.add("tab", "box", foil, (x, 2.5, 0.0), size_mm=[0.16 * cell.width_mm, 5.0, gathered])
        open_mm = stream.between(0.6, 1.2) if loose and tab == "Ni" else -1.5
        frame.add("tab", "box", tab, (x, 5.0 + open_mm + 10.0, 0.0), size_mm=[0.16 * cell.width_mm, 20.0, 0.25])
        frame.add("insulator", "box", "polypropylene", (x, 9.0, 0.2), size_mm=[0.2 * cell.width_mm, 4.0, 0.1])
        if open_mm > 0:
            size = [0.16 * cell.width_mm, open_mm, 0.25]
            frame.add(
                "open tab weld",
                "box",
                "air",
                (x, 5.0 + 0.5 * open_mm, 0.0),
                size_mm=size,
                priority=FAULT_PRIORITY,
                target=True,
            )


def _add_folded_corner(frame: Assembly, stream: Stream, cell: PouchCell) -> None:
    """The corner of an anode folded back: a triangle of double thickness, and none outside its crease."""
    size = stream.between(2.5, 7.0)
    k = stream.below(cell.layers)
    z = -0.5 * cell.stack_mm + ANODE_MM + k * PITCH_MM
    flap = CrossSection([[(-0.2, -size), (-size, -0.2), (-size, -size)][::-1]])
    if flap.area() <= 0:
        flap = CrossSection([[(-0.2, -size), (-size, -0.2), (-size, -size)]])
    solid = Layered([Layer(flap, float(np.round(z, 6)), float(np.round(z + ANODE_MM, 6)))]).surface()
    frame.add_surface("folded electrode", solid, ANODE, priority=FAULT_PRIORITY, target=True)
