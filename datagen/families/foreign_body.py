"""Foreign bodies: spheres, pieces of wire and shards of what is found in food, of sizes from unseen to obvious."""

from __future__ import annotations

from typing import Any

from datagen.distribution import draw
from datagen.families.family import DrawnBody
from datagen.families.shapes import rounded, shard, wire
from datagen.stream import Stream

__all__ = ["FOREIGN_MATERIALS", "FOREIGN_SHAPES", "PRIORITY", "foreign_body"]

PRIORITY = 100  # above all that a family makes: a foreign body displaces what it lies in
#: Materials by what they are called on a line: aluminium foil, steel, glass, stone, bone, rubber and plastics.
FOREIGN_MATERIALS = ("Al", "steel", "316L", "glass", "quartz", "bone", "rubber", "PVC", "nylon", "PTFE")
FOREIGN_SHAPES = ("sphere", "wire", "shard")
WIRE_SHARE = 8.0  # length of a wire over its diameter, at the least; twice that at the most


def foreign_body(values: dict[str, Any], stream: Stream) -> tuple[DrawnBody, float]:
    """One foreign body at the origin, lying down, of the ``foreign_...`` fields of a family.

    Parameters
    ----------
    values : dict
        With foreign_material, foreign_shape and foreign_size_mm: the diameter of a sphere, the length of the rest.
    stream : Stream

    Returns
    -------
    body : DrawnBody
    reach_mm : float
        Half its greatest extent.
    """
    material, shape, size = (draw(values[f"foreign_{key}"], stream, "", {}) for key in ("material", "shape", "size_mm"))
    lean, yaw = rounded((stream.between(-20, 20), stream.between(0, 360)))
    breadth, thick = stream.between(0.25, 0.7), stream.between(0.15, 0.4)
    body: dict[str, Any] = {"material": material, "priority": PRIORITY}
    if shape == "sphere":
        body |= {"shape": "sphere", "radius_mm": round(0.5 * size, 6)}
    elif shape == "wire":
        share = WIRE_SHARE * (1 + 2 * (breadth - 0.25))
        body |= {**wire(size / share, size), "rotation_deg": [0.0, round(90 + lean, 6), yaw]}
    else:
        body |= {"mesh": shard(size, breadth, thick, stream), "rotation_deg": [0.0, lean, yaw]}
    return DrawnBody("contaminant", body, target=True), 0.5 * size
