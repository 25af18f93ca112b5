"""Lithium-ion cells: cylindrical ones side by side, and corners of pouch cells."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import field_validator

from datagen.families.assembly import Assembly
from datagen.families.cell_material import MATERIALS, PITCH_MM
from datagen.families.cell_pouch import PouchCell, add_pouch_cell
from datagen.families.cell_round import SIZES, add_round_cell
from datagen.families.family import Angle, Count, DrawnBody, Family, Length, Share, ViewField, Word, leaves, most
from datagen.laws import Choice, LogUniform, Uniform
from datagen.stream import Stream

__all__ = ["Battery"]

CELLS = (*SIZES, "pouch face", "pouch edge")
MOST_CELLS = 3
PER_ROUND_CELL = 40  # bodies
MOST_LAYERS = 24


class Battery(Family):
    """Cells from the side, at one end or whole; corners of pouch cells from the face or along the layers."""

    family: ClassVar[str] = "battery"
    about: ClassVar[str] = """
        Lithium-ion cells. 18650 and 21700 cells stand side by side, seen from the side at the cap, at the bottom or
        whole: steel can with its bead, jelly roll of about twenty windings of anode, cathode and separator, pin, tabs,
        cap and gasket. Pouch cells show the corner with the tabs, through the face or along the stacked sheets. Faults:
        cathodes that reach beyond the anodes, folded electrodes, crumbs of metal, a tab whose weld is open (labelled by
        the gap).
        """
    kinds: ClassVar[tuple[str, ...]] = (
        "can", "separator", "anode", "cathode", "pin", "tab", "insulator", "cap", "film", "cathode beyond anode",
        "folded electrode", "particle", "open tab weld",
    )  # fmt: skip
    materials: ClassVar[tuple[Any, ...]] = MATERIALS

    cell: Word = Choice(choice=CELLS, weights=(3, 3, 2, 2))
    faulty_share: Share = 0.75
    overhang_mm: Length = Uniform(uniform=(0.7, 1.3))
    particles: Count = Choice(choice=(0, 1, 2, 3), weights=(3, 2, 1, 1))
    particle_mm: Length = LogUniform(log_uniform=(0.25, 1.0))
    sheets: Count = Choice(choice=(6, 8, 10, 12))
    tilt_deg: Angle = Uniform(uniform=(-2, 2))

    @field_validator("cell")
    @classmethod
    def _known(cls, value: Any) -> Any:
        for each in leaves(value):
            if each not in CELLS:
                raise ValueError(f"{each!r} is no cell (known: {', '.join(CELLS)})")
        return value

    def most_bodies(self) -> int:
        """Greatest number of bodies in a scene."""
        particles = int(most(self.particles))
        pouch = 20 + 3 * (int(most(self.sheets)) + 1) + particles
        return max(MOST_CELLS * (PER_ROUND_CELL + particles), pouch)

    def bodies(self, values: dict[str, Any], stream: Stream, view: ViewField) -> list[DrawnBody]:
        """The cells, each with its faults."""
        if values["cell"] in SIZES:
            return _round_cells(values, stream, view)
        return _pouch_cell(values, stream, view)


def _faults(values: dict[str, Any], stream: Stream) -> dict[str, Any]:
    """What is the matter with one cell."""
    words = [stream.unit() for _ in range(4)]
    faulty = words[0] < values["faulty_share"]
    return {
        "overhang": faulty and words[1] < 0.5,
        "fold": faulty and words[2] < 0.4,
        "tab": faulty and words[3] < 0.4,
        "particles": values["particles"] if faulty else 0,
        "particle_mm": values["particle_mm"],
        "overhang_mm": values["overhang_mm"],
    }


def _round_cells(values: dict[str, Any], stream: Stream, view: ViewField) -> list[DrawnBody]:
    cell = SIZES[values["cell"]]
    pitch = 2 * cell.radius_mm + stream.between(0.5, 2.5)
    count = min(MOST_CELLS, max(1, round(view.width_mm / pitch)))
    whole = view.height_mm > 0.95 * cell.height_mm
    end = 0 if whole else 1 if stream.unit() < 0.5 else -1
    # where along the cell the view's middle is: its end stands a tenth inside the frame
    middle = end * (0.5 * cell.height_mm - 0.4 * view.height_mm)
    found: list[DrawnBody] = []
    for k in range(count):
        # the cell's axis z along the image's rows, its cap up
        x = (k - 0.5 * (count - 1)) * pitch
        frame = Assembly((round(x, 6), round(middle, 6), 0), (90.0, 0.0, round(values["tilt_deg"], 6)))
        add_round_cell(frame, stream, cell, _faults(values, stream), middle if end else stream.between(-20, 20))
        found += frame.bodies
    return found


def _pouch_cell(values: dict[str, Any], stream: Stream, view: ViewField) -> list[DrawnBody]:
    """A corner of a pouch cell, its sheets across the beam or along it."""
    edge = values["cell"] == "pouch edge"
    sheets = min(int(values["sheets"]), MOST_LAYERS)
    tilt = values["tilt_deg"] * (0.3 if edge else 1.0)
    if edge:
        # layers along the rows; the beam runs along the tabs' edge, 30 mm of it
        sheets = min(MOST_LAYERS, max(sheets, int(0.5 * view.height_mm / PITCH_MM)))
        cell = PouchCell(max(0.8 * view.width_mm, 20.0), 30.0, sheets)
        place = (round(0.3 * view.width_mm, 6), 0.0, -15.0)
        frame = Assembly(place, (round(90.0 + tilt, 6), 0.0, round(values["tilt_deg"], 6)))
    else:
        cell = PouchCell(1.3 * view.width_mm, 1.3 * view.height_mm, sheets)
        place = (round(0.38 * view.width_mm, 6), round(-0.05 * view.height_mm, 6), 0.0)
        frame = Assembly(place, (180.0, 0.0, round(values["tilt_deg"], 6)))
    add_pouch_cell(frame, stream, cell, _faults(values, stream))
    return frame.bodies
