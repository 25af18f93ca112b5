"""A fluidized bed in its column, with bubbles that rise: one frozen moment, for static series."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import numpy as np

from datagen.families.containers import UPRIGHT
from datagen.families.family import (
    Count,
    DrawnBody,
    Family,
    Length,
    MaterialName,
    Share,
    ViewField,
    Word,
    choice,
    integers,
    most,
    one_of,
    uniform,
)
from datagen.families.shapes import rounded
from datagen.families.sphere_packing import Room, scatter_spheres, spread_radii
from datagen.placement import PlacementError
from datagen.stream import Stream

__all__ = ["FluidizedBed"]

# bulk density [g/cm3] of a bed that is just fluidized, about 0.55 of the volume solid or porous grains
POWDERS = {
    "quartz": 1.35,
    "glass": 1.3,
    "alumina": 0.95,
    "polyethylene": 0.48,
}
PLATE_MM = 6.0
WAKE = 1.4  # radii of a bubble from its middle to the foot of its wake
TRIES = 400


class FluidizedBed(Family):
    """A fluidized bed."""

    family: ClassVar[str] = "fluidized_bed"
    about: ClassVar[str] = """
        A plastic column with a fluidized bed over its distributor plate: a powder (one even density, as its grains are
        far below a pixel) or coarse beads, every one an exact sphere; bubbles that grow with their height, flattened
        and dented by their wake, with a little powder raining through them. A scene is one moment: frames_per_scene
        frames of it differ in their noise alone.
        """
    kinds: ClassVar[tuple[str, ...]] = ("column", "plate", "bed", "bubble")
    materials: ClassVar[tuple[Any, ...]] = (
        "air",
        *({"name": name, "density_g_cm3": bulk} for name, bulk in POWDERS.items()),
        *({"name": name, "density_g_cm3": round(0.02 * bulk, 6)} for name, bulk in POWDERS.items()),
    )

    particles: Annotated[Word, one_of("powder", "beads")] = choice("powder", "powder", "beads")
    powder_material: Annotated[Word, one_of(*POWDERS)] = choice(*POWDERS)
    bead_material: MaterialName = choice("glass", "alumina", "polystyrene")
    beads: Count = integers(1500, 3500)
    bead_share: Share = uniform(0.2, 0.3)  # of the volume; a bed far expanded
    column_material: MaterialName = choice("PMMA", "polycarbonate")
    column_share: Share = uniform(0.35, 0.55)  # outer diameter over the view's width
    wall_mm: Length = uniform(2.5, 5.0)
    fill: Share = uniform(0.55, 0.8)  # of the column's height
    bubbles: Count = integers(3, 14)
    bubble_share: Length = uniform(0.1, 0.2)  # radius over that of the column, at the plate; 2.5 times that on top

    def most_bodies(self) -> int:
        """Column, plate, bed, and of each bubble its wake too."""
        return 3 + 2 * int(most(self.bubbles))

    def bodies(self, values: dict[str, Any], stream: Stream, view: ViewField) -> list[DrawnBody]:
        """Column, plate, bed, bubbles.

        Raises
        ------
        PlacementError
            Bubbles or beads find no room.
        """
        radius = 0.5 * values["column_share"] * view.width_mm
        inner, height = radius - values["wall_mm"], 0.9 * view.height_mm
        bottom = 0.5 * height - PLATE_MM
        level = bottom - values["fill"] * (height - PLATE_MM)
        tube = {"shape": "tube", "radius_mm": radius, "inner_radius_mm": inner, "height_mm": height}
        plate = {"shape": "cylinder", "radius_mm": inner, "height_mm": PLATE_MM}
        found = [
            _upright("column", tube, (0, 0, 0), values["column_material"]),
            _upright("plate", plate, (0, bottom + 0.5 * PLATE_MM, 0), values["column_material"]),
        ]
        bubbles = _bubbles(values, inner, level, bottom, stream)
        if values["particles"] == "beads":
            return found + _beads(values, inner, level, bottom, bubbles, stream)
        return found + _powder(values, inner, level, bottom, bubbles)


def _upright(kind: str, shape: dict[str, Any], at: tuple[float, ...], material: Any, priority: int = 0) -> DrawnBody:
    lengths = {key: round(value, 6) if isinstance(value, float) else value for key, value in shape.items()}
    body = {**lengths, "position_mm": rounded(at), "rotation_deg": UPRIGHT, "material": material}
    return DrawnBody(kind, body | ({"priority": priority} if priority else {}), target=kind == "bubble")


def _bubbles(
    values: dict[str, Any], inner: float, level: float, bottom: float, stream: Stream
) -> list[tuple[float, float, float, float]]:
    """Places (x, y, z) and radii of bubbles in the bed that stand apart; they grow on their way up."""
    found: list[tuple[float, float, float, float]] = []
    for _ in range(TRIES):
        if len(found) == values["bubbles"]:
            return found
        share = stream.unit()  # of the way up
        size = values["bubble_share"] * inner * (1 + 1.5 * share) * stream.between(0.8, 1.2)
        y = bottom - share * (bottom - level)
        if not level + size < y < bottom - WAKE * size:
            continue
        # in the middle of the column more often: x and z are means of two draws
        x, z = (0.5 * (stream.between(-1, 1) + stream.between(-1, 1)) * (inner - size) for _ in range(2))
        if x * x + z * z > (inner - 1.05 * size) ** 2:
            continue
        if all((x - a) ** 2 + (y - b) ** 2 + (z - c) ** 2 > (1.1 * (size + r)) ** 2 for a, b, c, r in found):
            found.append((x, y, z, size))
    raise PlacementError(f"{values['bubbles']} bubbles find no room in the bed, lower bubbles or bubble_share")


def _powder(
    values: dict[str, Any], inner: float, level: float, bottom: float, bubbles: list[tuple[float, float, float, float]]
) -> list[DrawnBody]:
    name = values["powder_material"]
    bulk = POWDERS[name]
    dense, thin = ({"name": name, "density_g_cm3": round(share * bulk, 6)} for share in (1.0, 0.02))
    bed = {"shape": "cylinder", "radius_mm": inner, "height_mm": bottom - level}
    found = [_upright("bed", bed, (0, 0.5 * (bottom + level), 0), dense)]
    for x, y, z, size in bubbles:
        # a cap: wider than high, dented below by the wake; along the turned z axis lies the height
        cap = {"shape": "ellipsoid", "radii_mm": rounded((size, size, 0.8 * size))}
        wake = {"shape": "sphere", "radius_mm": 0.55 * size}
        found.append(_upright("bubble", cap, (x, y, z), thin, 1))
        found.append(_upright("bed", wake, (x, y + 0.85 * size, z), dense, 2))
    return found


def _beads(
    values: dict[str, Any],
    inner: float,
    level: float,
    bottom: float,
    bubbles: list[tuple[float, float, float, float]],
    stream: Stream,
) -> list[DrawnBody]:
    """Beads everywhere but in the bubbles, as one body, and the bubbles: air among the air between the beads."""
    room = Room((2 * inner, 2 * inner, bottom - level), is_round=True)
    free = room.volume_mm3 - sum(4 / 3 * np.pi * r * r * r for *_, r in bubbles)
    radii = spread_radii(values["beads"], 0.08, values["bead_share"] * free, stream)
    middle = 0.5 * (bottom + level)
    # the room's z axis is the column's: up, -y
    taken = np.array([(x, z, middle - y) for x, y, z, _ in bubbles]).reshape(-1, 3)
    sizes = np.array([r for *_, r in bubbles])
    centres = scatter_spheres(radii, room, stream, taken=(taken, sizes))
    places = [rounded((x, middle - up, z)) for x, z, up in centres.tolist()]
    body = {"shape": "spheres", "centres_mm": places, "radii_mm": radii.tolist(), "material": values["bead_material"]}
    holes = [_upright("bubble", {"shape": "sphere", "radius_mm": r}, (x, y, z), "air", 1) for x, y, z, r in bubbles]
    return [DrawnBody("bed", body), *holes]
