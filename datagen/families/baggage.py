"""Suitcases packed with everyday objects, as a scanner at an airport sees them."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np

from datagen.families.assembly import ALONG_X, ALONG_Y, Assembly
from datagen.families.board_layout import Floor
from datagen.families.family import Count, DrawnBody, Family, Length, ViewField, most
from datagen.families.luggage_item import COTTON, ITEMS, MATERIALS, Item
from datagen.families.luggage_threat import THREATS
from datagen.laws import Choice, Integers, Uniform
from datagen.placement import PlacementError
from datagen.stream import Stream

__all__ = ["Baggage"]

CASE = {"ABS": 2.5, "polycarbonate": 2.0, "nylon": 1.2}  # shell and its thickness, mm
CLOTHES_PRIORITY, CASE_PRIORITY = -2, -1
VOXEL_MM = 8.0
GAP_MM = 4.0
MOST_GARMENTS = 12
FEW_TRIES = 6
THREAT_PRIORITY = 1  # only for the label: what is in the case does not overlap


class Baggage(Family):
    """A suitcase with clothes in which things lie in layers, some of them on the list."""

    family: ClassVar[str] = "baggage"
    about: ClassVar[str] = """
        Suitcases from above, as a line scanner at 160 kV sees them: a shell with a frame, a telescopic handle and
        wheels, full of clothes of uneven density, with overlapping everyday objects in layers: bottles with liquids,
        cans, laptops and phones with boards and cells, books, shoes, keys, coins, umbrellas, cables, chargers,
        toiletries, headphones. A knife, scissors, a multi-tool or a pistol's silhouette lies among them: these are the
        targets. Objects of a layer lie flat side by side, each turned at random; clothes give way to them.
        """
    kinds: ClassVar[tuple[str, ...]] = ("case", "clothes", *ITEMS, *THREATS)
    materials: ClassVar[tuple[Any, ...]] = MATERIALS

    fill: Length = Uniform(uniform=(0.8, 0.95))
    depth_mm: Length = Uniform(uniform=(200, 260))
    clothes_g_cm3: Length = Uniform(uniform=(0.08, 0.22))
    garments: Count = Integers(integers=(4, 12))
    objects: Count = Integers(integers=(12, 26))
    threats: Count = Choice(choice=(0, 1, 2), weights=(1, 2, 1))

    def most_bodies(self) -> int:
        """Greatest number of bodies in a scene."""
        each = max(item.bodies for item in ITEMS.values())
        threat = max(item.bodies for item in THREATS.values())
        return 24 + int(most(self.garments)) + each * int(most(self.objects)) + threat * int(most(self.threats))

    def bodies(self, values: dict[str, Any], stream: Stream, view: ViewField) -> list[DrawnBody]:
        """Case and clothes, then what lies in them."""
        wide = values["fill"] * view.width_mm
        high = min(values["fill"] * view.height_mm, wide * stream.between(0.68, 0.85))
        size = (round(wide, 3), round(high, 3), float(values["depth_mm"]))
        case = Assembly((0, 0, 0), (0, 0, round(stream.between(-6, 6), 6)))
        _add_case(case, stream, size)
        _add_clothes(case, stream, size, values)
        found = list(case.bodies)
        layers = _Layers(size)
        names = [tuple(THREATS)[stream.below(len(THREATS))] for _ in range(int(values["threats"]))]
        names += [tuple(ITEMS)[stream.below(len(ITEMS))] for _ in range(int(values["objects"]))]
        for name in names:
            item = THREATS.get(name) or ITEMS[name]
            if (frame := layers.place(item, stream, case)) is not None:
                item.make(frame, stream)
                found += frame.bodies
                for each in frame.bodies:
                    if name in THREATS:
                        each.body["priority"] = THREAT_PRIORITY
            elif name in THREATS:
                raise PlacementError(f"no room for a {name} in the case, use a larger one")
        return found


class _Layers:
    """Layers of a case from its bottom up, each filled side by side.

    Parameters
    ----------
    size_mm : (x, y, z)
        Of the case.
    """

    def __init__(self, size_mm: tuple[float, float, float]) -> None:
        self._half = 0.5 * size_mm[0] - 14.0, 0.5 * size_mm[1] - 14.0
        depth = size_mm[2] - 12.0
        shares = (0.13, 0.45, 0.24, 0.18)
        bounds = np.cumsum([0.0, *shares]) * depth - 0.5 * depth
        self._bounds = [(float(low), float(high)) for low, high in pairwise(bounds)]
        self._floors = [Floor(*self._half) for _ in shares]

    def place(self, item: Item, stream: Stream, case: Assembly) -> Assembly | None:
        """A frame for an item in the first layer where it fits, or None."""
        start = stream.below(len(self._floors))
        for k in range(len(self._floors)):
            layer = (start + k) % len(self._floors)
            low, high = self._bounds[layer]
            if item.size_mm[2] + GAP_MM > high - low:
                continue
            for _ in range(FEW_TRIES):
                spin = round(stream.between(0, 360), 3)
                cosine, sine = abs(math.cos(math.radians(spin))), abs(math.sin(math.radians(spin)))
                x, y, thick = item.size_mm
                box = (x * cosine + y * sine + GAP_MM, x * sine + y * cosine + GAP_MM)
                if at := self._floors[layer].find(stream, *box, rim_mm=1):
                    spare = 0.5 * (high - low - thick - GAP_MM)
                    z = 0.5 * (low + high) + stream.between(-spare, spare)
                    over = 180.0 if stream.unit() < 0.5 else 0.0
                    return Assembly(case.world((*at, z)), (over, 0.0, round(spin + case.rotation_deg[2], 3)))
        return None


def _add_case(case: Assembly, stream: Stream, size: tuple[float, float, float]) -> None:
    """Shell, frame, handle, wheels and feet."""
    wide, high, deep = size
    shell = tuple(CASE)[stream.below(len(CASE))]
    wall = CASE[shell]
    rank: dict[str, Any] = {"priority": CASE_PRIORITY}
    for axis, away in ((0, wide), (1, high), (2, deep)):
        for side in (-1, 1):
            middle, sheet = [0.0, 0.0, 0.0], [wide, high, deep]
            middle[axis], sheet[axis] = side * 0.5 * (away - wall), wall
            case.add("case", "box", shell, middle, size_mm=sheet, **rank)
    # a frame of aluminium around the middle, rods of the handle on the bottom, wheels at one end
    for side in (-1, 1):
        at: tuple[float, float, float] = (0, side * (0.5 * high - 6), 0)
        case.add("case", "box", "Al", at, size_mm=[wide - 8, 1.5, 18], **rank)
        at = (side * (0.5 * wide - 6), 0, 0)
        case.add("case", "box", "Al", at, size_mm=[1.5, high - 16, 18], **rank)
    z = 0.5 * deep - 6.0
    for side in (-1, 1):
        rod: dict[str, Any] = {"radius_mm": 5.0, "inner_radius_mm": 4.0, "height_mm": 0.9 * wide}
        case.add("case", "tube", "Al", (0, side * 0.22 * high, z), turn_deg=ALONG_X, **rank, **rod)
        wheel = (0.5 * wide + 2, side * 0.36 * high, 0.32 * deep)
        case.add("case", "cylinder", "rubber", wheel, turn_deg=ALONG_Y, radius_mm=16, height_mm=14, **rank)
        case.add("case", "cylinder", "steel", wheel, turn_deg=ALONG_Y, radius_mm=3, height_mm=22, **rank)
    grip = (-0.5 * wide - 8, 0, 0)
    case.add("case", "cylinder", "polypropylene", grip, turn_deg=ALONG_Y, radius_mm=8, height_mm=0.3 * high, **rank)


def _add_clothes(case: Assembly, stream: Stream, size: tuple[float, float, float], values: dict[str, Any]) -> None:
    """A filling of uneven density, and folded garments in it."""
    inner = [edge - 10.0 for edge in size]
    columns, rows, slices = (max(3, int(edge / VOXEL_MM)) for edge in inner)
    voxels = _texture(stream, (slices, rows, columns))
    voxel_mm = [round(edge / count, 6) for edge, count in zip(inner, (columns, rows, slices), strict=True)]
    body = {
        "volume": voxels, "voxel_mm": voxel_mm, "material": {**COTTON, "density_g_cm3": 1.5},
        "density_scale_g_cm3": round(float(values["clothes_g_cm3"]) / 128.0, 9),
        "position_mm": [0.0, 0.0, 0.0], "rotation_deg": case.rotation_deg, "priority": CLOTHES_PRIORITY,
    }  # fmt: skip
    case.bodies.append(DrawnBody("clothes", body))
    for _ in range(min(int(values["garments"]), MOST_GARMENTS)):
        radii = [stream.between(50, 110), stream.between(40, 80), stream.between(12, 24)]
        at = [stream.between(-1, 1) * max(0.5 * edge - 1.1 * max(radii[:2]), 1.0) for edge in inner[:2]]
        z = stream.between(-1, 1) * (0.5 * inner[2] - radii[2])
        density = round(values["clothes_g_cm3"] * stream.between(1.3, 2.6), 3)
        garment = {**COTTON, "density_g_cm3": density}
        turn = (0, 0, round(stream.between(0, 180), 3))
        case.add("clothes", "ellipsoid", garment, (*at, z), turn_deg=turn, priority=CLOTHES_PRIORITY, radii_mm=radii)


def _texture(stream: Stream, shape: tuple[int, int, int]) -> np.ndarray:
    """Uneven density, uint8 about 128: folds of three sizes, by whole numbers only."""
    total = np.zeros(shape, np.int64)
    for step, height in ((8, 60), (3, 40), (1, 24)):
        grid = tuple(-(-count // step) for count in shape)
        coarse = (stream.units(int(np.prod(grid))).reshape(grid) * (2 * height)).astype(np.int64) - height
        for axis in range(3):
            coarse = np.repeat(coarse, step, axis=axis)
        total += _smooth(coarse[tuple(slice(0, count) for count in shape)], step - 1)
    return np.clip(128 + total, 0, 255).astype(np.uint8)


def _smooth(values: np.ndarray, times: int) -> np.ndarray:
    """Mean of three neighbours along each axis, so many times over, in whole numbers."""
    for _ in range(times):
        for axis in range(values.ndim):
            ends = [(1, 1) if k == axis else (0, 0) for k in range(values.ndim)]
            wider = np.pad(values, ends, mode="edge")
            parts = [np.take(wider, range(k, k + values.shape[axis]), axis=axis) for k in range(3)]
            values = (parts[0] + parts[1] + parts[2]) // 3
    return values
