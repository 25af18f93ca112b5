"""Test cards: step wedges of several materials beside gauges of wires, wire pairs, holes and lines."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from datagen.families.family import (
    Angle,
    Count,
    DrawnBody,
    Family,
    Length,
    MaterialName,
    NonNegative,
    Share,
    ViewField,
    Word,
    choice,
    integers,
    one_of,
    uniform,
)
from datagen.families.shapes import rounded, turned_about_beam
from datagen.stream import Stream

__all__ = ["StepChart"]

# thickest step [mm] that a chart of the material has
THICKEST_MM = {"PMMA": 40.0, "Al": 18.0, "Ti": 7.0, "steel": 4.0, "Cu": 3.0, "glass": 15.0}
# diameters [mm] of ISO 19232-1, wires W1 to W19, and of ISO 19232-5, pairs D1 to D13
WIRES_MM = (3.2, 2.5, 2.0, 1.6, 1.25, 1.0, 0.8, 0.63, 0.5, 0.4, 0.32, 0.25, 0.2, 0.16, 0.125, 0.1, 0.08, 0.063, 0.05)
PAIRS_MM = (0.8, 0.63, 0.5, 0.4, 0.32, 0.25, 0.2, 0.16, 0.13, 0.1, 0.08, 0.063, 0.05)
TUNGSTEN_PAIRS = 3  # the rest are of platinum
LINE_PAIRS_MM = (0.5, 0.6, 0.7, 0.85, 1.0, 1.2, 1.4, 1.7, 2.0, 2.5, 3.1, 3.7, 4.3, 5.0)
LEAD_MM = 0.05
UP = [90.0, 0.0, 0.0]  # the z axis of a cylinder along y


class StepChart(Family):
    """A test card."""

    family: ClassVar[str] = "step_chart"
    about: ClassVar[str] = """
        A test card on a plastic carrier: step wedges of one to three materials, steps in equal lengths or equal ratios,
        above gauges: seven wires in a row (ISO 19232-1), pairs of wires down to 0.05 mm (ISO 19232-5), plates with
        holes of one, two and four times their thickness (narrower where there is no room), and bars of lead foil
        from 0.5 to 5 line pairs a millimetre. Signals are known at every step, and resolution down to where nothing
        is resolved.
        """
    kinds: ClassVar[tuple[str, ...]] = ("carrier", "wedge", "wire", "wire pair", "plate", "hole", "line pairs")
    materials: ClassVar[tuple[Any, ...]] = ("W", "Pt", "Pb", "air")

    wedges: Count = integers(1, 3)
    gauges: Count = integers(1, 3)
    first_material: MaterialName = choice(*THICKEST_MM)
    second_material: MaterialName = choice(*THICKEST_MM)
    third_material: MaterialName = choice(*THICKEST_MM)
    steps: Count = integers(6, 14)
    progression: Annotated[Word, one_of("linear", "geometric")] = choice("linear", "geometric")
    thickest: Share = uniform(0.4, 1.0)  # over what is usual for the material
    chart_share: Share = uniform(0.75, 0.9)  # of the view
    carrier_material: MaterialName = choice("PMMA", "polycarbonate", "PVC")
    carrier_mm: Length = uniform(1.0, 5.0)
    wire_material: MaterialName = choice("steel", "Al", "Cu", "Ti")
    first_wire: Count = integers(0, 10)
    plate_material: MaterialName = choice("steel", "Al", "Ti")
    plate_mm: Length = uniform(0.25, 1.5)
    gap_mm: NonNegative = uniform(0.5, 1.5)
    turn_deg: Angle = uniform(-6.0, 6.0)

    def most_bodies(self) -> int:
        """Carrier, three wedges, gauges of all kinds at their longest."""
        return 1 + 3 + len(WIRES_MM) + 2 * len(PAIRS_MM) + 3 * 4 + 4 * len(LINE_PAIRS_MM)

    def bodies(self, values: dict[str, Any], stream: Stream, view: ViewField) -> list[DrawnBody]:
        """Carrier, wedges from the top, gauges below."""
        side = values["chart_share"] * view.smaller_mm * 0.9
        kinds = [_wires, _pairs, _holes, _lines]
        chosen = [kinds.pop(stream.below(len(kinds))) for _ in range(min(values["gauges"], 3))]
        wedges = min(max(values["wedges"], 1), 3)
        names = ("first_material", "second_material", "third_material")[:wedges]
        row = (side - values["gap_mm"] * (wedges + len(chosen))) / (wedges + len(chosen))
        carrier = {"size_mm": rounded((side + 2, side + 2, values["carrier_mm"]))}
        place = {"position_mm": rounded((0, 0, -0.5 * values["carrier_mm"])), "material": values["carrier_material"]}
        found = [DrawnBody("carrier", {"shape": "box", **carrier, **place})]
        for k, gauge in enumerate([*names, *chosen]):
            y = -0.5 * side + (k + 0.5) * (row + values["gap_mm"])
            found += (
                _wedge(values[gauge], side, row, y, values) if isinstance(gauge, str) else gauge(side, row, y, values)
            )
        return turned_about_beam(found, values["turn_deg"])


def _wedge(material: Any, side: float, row: float, y: float, values: dict[str, Any]) -> list[DrawnBody]:
    count = max(values["steps"], 2)
    highest = values["thickest"] * THICKEST_MM.get(str(material), 5.0)
    if values["progression"] == "linear":
        steps = [highest * (k + 1) / count for k in range(count)]
    else:
        steps = [highest * 2.0 ** (-0.5 * (count - 1 - k)) for k in range(count)]
    body = {"shape": "step_wedge", "steps_mm": rounded(max(step, 0.02) for step in steps), "material": material}
    size = {"step_length_mm": round(side / count, 6), "width_mm": round(row, 6)}
    return [DrawnBody("wedge", {**body, **size, "position_mm": rounded((0, y, 0))})]


def _wire(kind: str, diameter: float, length: float, x: float, y: float, material: Any) -> DrawnBody:
    size = {"radius_mm": round(0.5 * diameter, 6), "height_mm": round(length, 6)}
    place = {"position_mm": rounded((x, y, 0.5 * diameter)), "rotation_deg": UP}
    return DrawnBody(kind, {"shape": "cylinder", **size, **place, "material": material}, target=True)


def _wires(side: float, row: float, y: float, values: dict[str, Any]) -> list[DrawnBody]:
    """Seven wires, the thickest at the left."""
    first = min(values["first_wire"], len(WIRES_MM) - 7)
    places = [side * ((k + 0.5) / 7 - 0.5) for k in range(7)]
    return [
        _wire("wire", diameter, row, x, y, values["wire_material"])
        for diameter, x in zip(WIRES_MM[first : first + 7], places, strict=True)
    ]


def _pairs(side: float, row: float, y: float, values: dict[str, Any]) -> list[DrawnBody]:
    """Pairs of wires a diameter apart."""
    found = []
    for k, diameter in enumerate(PAIRS_MM):
        x = side * ((k + 0.5) / len(PAIRS_MM) - 0.5)
        material = "W" if k < TUNGSTEN_PAIRS else "Pt"
        found += [_wire("wire pair", diameter, 0.8 * row, x + way * diameter, y, material) for way in (-1, 1)]
    return found


def _holes(side: float, row: float, y: float, values: dict[str, Any]) -> list[DrawnBody]:
    """Three plates of which each is twice as thick as the one before, with holes of 1, 2 and 4 thicknesses."""
    found = []
    width = side / 3 - 2
    for k in range(3):
        thick = values["plate_mm"] * 2.0 ** (k - 1)
        x = (k - 1) * side / 3
        size = {"size_mm": rounded((width, 0.8 * row, thick)), "material": values["plate_material"]}
        found.append(DrawnBody("plate", {"shape": "box", **size, "position_mm": rounded((x, y, 0.5 * thick))}))
        for way, times in ((-1, 1), (0, 2), (1, 4)):
            radius = min(0.5 * times * thick, 0.14 * width, 0.35 * row)
            hole = {"radius_mm": round(radius, 6), "height_mm": round(thick, 6), "material": "air", "priority": 1}
            place = {"position_mm": rounded((x + way * width / 3, y, 0.5 * thick))}
            found.append(DrawnBody("hole", {"shape": "cylinder", **hole, **place}, target=True))
    return found


def _lines(side: float, row: float, y: float, values: dict[str, Any]) -> list[DrawnBody]:
    """Groups of four bars of lead foil as wide as the spaces between them."""
    widths = [7.0 / (2 * frequency) + 1.0 for frequency in LINE_PAIRS_MM]
    count = len(widths)
    while sum(widths[:count]) > side:
        count -= 1
    x, found = -0.5 * sum(widths[:count]), []
    for frequency, width in zip(LINE_PAIRS_MM[:count], widths[:count], strict=True):
        bar = 0.5 / frequency
        for k in range(4):
            size = {"size_mm": rounded((bar, 0.8 * row, LEAD_MM)), "material": "Pb"}
            place = {"position_mm": rounded((x + 0.5 + (2 * k + 0.5) * bar, y, 0.5 * LEAD_MM))}
            found.append(DrawnBody("line pairs", {"shape": "box", **size, **place}, target=True))
        x += width
    return found
