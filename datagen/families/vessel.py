"""Glass jars and plastic bottles that stand, filled."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Any

from datagen.families.containers import standing
from datagen.families.family import DrawnBody, ViewField
from datagen.families.shapes import revolved, rounded
from datagen.placement import PlacementError
from datagen.stream import Stream

__all__ = ["VESSELS", "Contents", "vessel"]

SAUCE = {"mixture": {"water": 0.8, "C6H10O5": 0.2}, "density_g_cm3": 1.08}
JUICE = {"name": "water", "density_g_cm3": 1.04}
VESSELS: tuple[Any, ...] = (SAUCE, JUICE, "glass", "steel", "PET", "polypropylene")
LID_MM = 0.22  # tinplate
STEPS = 8  # of a shoulder
REST_SHARE = 0.5  # of the foreign bodies that lie on the bottom


@dataclass(frozen=True)
class Contents:
    """The room of what stands in a vessel: a cylinder along y.

    Attributes
    ----------
    radius_mm : float
    top_mm, bottom_mm : float
        y of its ends; y runs down.
    """

    radius_mm: float
    top_mm: float
    bottom_mm: float

    def place(self, body: DrawnBody, reach_mm: float, stream: Stream) -> DrawnBody:
        """Put a foreign body somewhere in it, or on its bottom.

        Raises
        ------
        PlacementError
            It is too large.
        """
        free, height = self.radius_mm - reach_mm, self.bottom_mm - self.top_mm - 2 * reach_mm
        if min(free, height) < 0.1:
            raise PlacementError("a foreign body is larger than its vessel")
        rests = stream.unit() < REST_SHARE
        away, angle = free * math.sqrt(stream.unit()), 2 * math.pi * stream.unit()
        share = stream.unit()
        x, z = away * math.cos(angle), away * math.sin(angle)
        if rests and body.body.get("shape") == "sphere":
            y = self.bottom_mm - reach_mm - 0.02
        else:
            y = self.bottom_mm - reach_mm - (0.0 if rests else share * height)
        if rests and body.body.get("shape") != "sphere":
            y = self._lying(body, reach_mm)
        body.body["position_mm"] = rounded((x, y, z))
        return body

    def _lying(self, body: DrawnBody, reach_mm: float) -> float:
        """Lay a wire or a shard flat on the bottom; its middle's y."""
        if body.body.get("shape") == "cylinder":
            body.body["rotation_deg"] = [0.0, body.body["rotation_deg"][2], 0.0]  # its z axis stays across y
            return self.bottom_mm - float(body.body["radius_mm"]) - 0.02
        body.body["rotation_deg"] = [90.0, body.body["rotation_deg"][2], 0.0]  # its thin side along y
        return self.bottom_mm - float(abs(body.body["mesh"].vertices[:, 2]).max()) - 0.02


def vessel(product: str, values: dict[str, Any], stream: Stream, view: ViewField) -> tuple[list[DrawnBody], Contents]:
    """Bodies of a jar or bottle and its food, and the room that it leaves for foreign bodies."""
    height = 0.92 * min(1.0, values["length_share"] + 0.1) * view.height_mm
    return _jar(height, values, stream) if product == "jar" else _bottle(height, values, stream)


def _jar(height: float, values: dict[str, Any], stream: Stream) -> tuple[list[DrawnBody], Contents]:
    radius, wall = stream.between(0.3, 0.36) * height, stream.between(1.8, 2.8)
    floor, level = stream.between(2.5, 4.0), stream.between(0.02, 0.12) * height
    top, bottom, mouth = -0.5 * height, 0.5 * height, stream.between(0.78, 0.9) * radius
    glass = _hollow(_jar_profile(top, bottom, radius, mouth), "glass")
    inside = _jar_profile(top, bottom - floor, radius - wall, mouth - wall)
    surface = top + 10.0 + level
    lid = {"shape": "cylinder", **_mm(radius_mm=mouth + LID_MM, height_mm=LID_MM)}
    rim = {"shape": "tube", **_mm(radius_mm=mouth + LID_MM, inner_radius_mm=mouth, height_mm=9.0)}
    bodies = [
        glass,
        DrawnBody("food", {"mesh": revolved(_below(inside, surface)), "material": SAUCE, "priority": 1}),
        DrawnBody("container", {"mesh": revolved(_above(inside, surface)), "material": "air", "priority": 1}),
        standing("container", lid, top - 0.5 * LID_MM, "steel"),
        standing("container", rim, top + 4.5, "steel"),
    ]
    return bodies, Contents(mouth - wall, surface, bottom - floor)


def _jar_profile(top: float, bottom: float, radius: float, mouth: float) -> list[tuple[float, float]]:
    """A neck under the lid, round shoulders, a straight body, a round heel."""
    heel, shoulder = 0.1 * radius, 0.35 * radius
    curve = _arc(mouth, radius, top + 11, shoulder)
    return [(0.0, top), (mouth, top), *curve, (radius, bottom - heel), (radius - heel, bottom), (0.0, bottom)]


def _bottle(height: float, values: dict[str, Any], stream: Stream) -> tuple[list[DrawnBody], Contents]:
    radius, wall = stream.between(0.19, 0.23) * height, stream.between(0.3, 0.6)
    top, bottom, neck = -0.5 * height, 0.5 * height, 13.0
    shoulder = stream.between(0.22, 0.32) * height
    outside = _bottle_profile(top, bottom, radius, neck, shoulder)
    inside = _bottle_profile(top, bottom - wall, radius - wall, neck - wall, shoulder)
    surface = top + 20 + stream.between(0.0, 0.6) * shoulder
    closure = {"shape": "cylinder", **_mm(radius_mm=neck + 1.2, height_mm=2.0)}
    skirt = {"shape": "tube", **_mm(radius_mm=neck + 1.2, inner_radius_mm=neck, height_mm=12.0)}
    bodies = [
        _hollow(outside, "PET"),
        DrawnBody("food", {"mesh": revolved(_below(inside, surface)), "material": JUICE, "priority": 1}),
        DrawnBody("container", {"mesh": revolved(_above(inside, surface)), "material": "air", "priority": 1}),
        standing("container", closure, top - 1.0, "polypropylene"),
        standing("container", skirt, top + 6.0, "polypropylene"),
    ]
    return bodies, Contents(radius - wall, top + 18 + shoulder, bottom - wall)


def _bottle_profile(
    top: float, bottom: float, radius: float, neck: float, shoulder: float
) -> list[tuple[float, float]]:
    heel = 0.2 * radius
    curve = _arc(neck, radius, top + 18, shoulder)
    return [(0.0, top), (neck, top), *curve, (radius, bottom - heel), (radius - heel, bottom), (0.0, bottom)]


def _arc(narrow: float, wide: float, y_mm: float, length_mm: float) -> list[tuple[float, float]]:
    """Smooth step from one radius to a wider one."""
    shares = [k / STEPS for k in range(STEPS + 1)]
    return [(narrow + (wide - narrow) * s * s * (3 - 2 * s), y_mm + length_mm * s) for s in shares]


def _below(profile: list[tuple[float, float]], level: float) -> list[tuple[float, float]]:
    """What of a profile lies below a level surface."""
    return [(0.0, level), (_radius_at(profile, level), level), *(each for each in profile[1:] if each[1] > level)]


def _above(profile: list[tuple[float, float]], level: float) -> list[tuple[float, float]]:
    return [*(each for each in profile[:-1] if each[1] < level), (_radius_at(profile, level), level), (0.0, level)]


def _radius_at(profile: list[tuple[float, float]], level: float) -> float:
    for (r, y), (next_r, next_y) in itertools.pairwise(profile):
        if y <= level < next_y:
            return r + (next_r - r) * (level - y) / (next_y - y)
    raise PlacementError("a vessel is filled above its mouth")


def _hollow(profile: list[tuple[float, float]], material: str) -> DrawnBody:
    """A vessel as a full solid: what is inside displaces it."""
    return DrawnBody("container", {"mesh": revolved(profile), "material": material})


def _mm(**lengths: float) -> dict[str, float]:
    return {key: round(value, 6) for key, value in lengths.items()}
