"""Trays, cartons, jars and bottles around food, of the materials and walls that they have."""

from __future__ import annotations

from typing import Any

from datagen.families.family import DrawnBody

__all__ = ["CARDBOARD", "carton", "standing", "tray"]

CARDBOARD = {"formula": "C6H10O5", "density_g_cm3": 0.75}
UPRIGHT = [90.0, 0.0, 0.0]  # the z axis of a solid along -y: up in the image


def _wall(size_mm: tuple[float, float, float], at_mm: tuple[float, float, float], material: Any) -> DrawnBody:
    place = {"size_mm": [round(each, 6) for each in size_mm], "position_mm": [round(each, 6) for each in at_mm]}
    return DrawnBody("container", {"shape": "box", **place, "material": material})


def tray(size_mm: tuple[float, float, float], wall_mm: float, material: Any, floor_z_mm: float) -> list[DrawnBody]:
    """A floor and four walls around a room of x, y and depth; the upper side of the floor is at ``floor_z_mm``."""
    x, y, depth = size_mm
    middle = floor_z_mm - 0.5 * depth
    return [
        _wall((x + 2 * wall_mm, y + 2 * wall_mm, wall_mm), (0, 0, floor_z_mm + 0.5 * wall_mm), material),
        *(_wall((wall_mm, y + 2 * wall_mm, depth), (s * 0.5 * (x + wall_mm), 0, middle), material) for s in (-1, 1)),
        *(_wall((x, wall_mm, depth), (0, s * 0.5 * (y + wall_mm), middle), material) for s in (-1, 1)),
    ]


def carton(size_mm: tuple[float, float, float], wall_mm: float, material: Any, floor_z_mm: float) -> list[DrawnBody]:
    """A tray with a lid."""
    x, y, depth = size_mm
    lid = _wall((x + 2 * wall_mm, y + 2 * wall_mm, wall_mm), (0, 0, floor_z_mm - depth - 0.5 * wall_mm), material)
    return [*tray(size_mm, wall_mm, material, floor_z_mm), lid]


def standing(kind: str, shape: dict[str, Any], y_mm: float, material: Any, priority: int = 0) -> DrawnBody:
    """A solid of revolution that stands upright in the image, its middle ``y_mm`` below the origin."""
    body = {**shape, "position_mm": [0.0, round(y_mm, 6), 0.0], "rotation_deg": UPRIGHT, "material": material}
    return DrawnBody(kind, body | ({"priority": priority} if priority else {}))
