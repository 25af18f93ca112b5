"""An assembly of solids and surfaces in a frame of its own, with a pose in the world."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import trimesh

from datagen.families.family import DrawnBody
from datagen.families.surface import DECIMALS, closed
from datagen.placement import rotation

__all__ = ["ALONG_X", "ALONG_Y", "Assembly", "angles_deg"]

ALONG_X, ALONG_Y = (0.0, 90.0, 0.0), (90.0, 0.0, 0.0)  # turns the axis of a cylinder from z


def angles_deg(turn: np.ndarray) -> list[float]:
    """Angles about x, then y, then z, fixed axes, of a rotation [3, 3]."""
    sine = min(1.0, max(-1.0, -float(turn[2, 0])))
    if abs(sine) > 1 - 1e-12:  # x and z turn about one axis: all of it is given to z
        x, z = 0.0, math.atan2(-float(turn[0, 1]), float(turn[1, 1]))
    else:
        x, z = math.atan2(float(turn[2, 1]), float(turn[2, 2])), math.atan2(float(turn[1, 0]), float(turn[0, 0]))
    return [round(math.degrees(angle), DECIMALS) + 0.0 for angle in (x, math.asin(sine), z)]


class Assembly:
    """Bodies whose places are given in the assembly's frame.

    Parameters
    ----------
    position_mm, rotation_deg : three numbers
        Pose in the world, as of a body.

    Attributes
    ----------
    bodies : list of DrawnBody
        In the world.
    """

    def __init__(self, position_mm: Sequence[float] = (0, 0, 0), rotation_deg: Sequence[float] = (0, 0, 0)) -> None:
        self.bodies: list[DrawnBody] = []
        self.position_mm, self.rotation_deg = [float(x) for x in position_mm], [float(x) for x in rotation_deg]
        self._turn = np.array(rotation(self.rotation_deg))

    def world(self, at_mm: Sequence[float]) -> list[float]:
        """A point of the frame in the world."""
        found = self._turn @ np.asarray(at_mm, np.float64) + np.asarray(self.position_mm)
        return [round(float(x), DECIMALS) + 0.0 for x in found]

    def add(
        self,
        kind: str,
        shape: str,
        material: Any,
        at_mm: Sequence[float],
        *,
        turn_deg: Sequence[float] = (0, 0, 0),
        priority: int = 0,
        target: bool = False,
        **size: Any,
    ) -> None:
        """Add a solid: ``size`` holds its size_mm, radius_mm and so on, ``turn_deg`` its turn in the frame."""
        turned = any(turn_deg)
        pose = angles_deg(self._turn @ np.array(rotation(turn_deg))) if turned else self.rotation_deg
        sizes = {key: _settled(value) for key, value in size.items()}
        body = {"shape": shape, **sizes, "material": material, "position_mm": self.world(at_mm), "rotation_deg": pose}
        self.bodies.append(DrawnBody(kind, {**body, **({"priority": priority} if priority else {})}, target))

    def add_surface(
        self,
        kind: str,
        mesh: trimesh.Trimesh,
        material: Any,
        at_mm: Sequence[float] = (0, 0, 0),
        *,
        priority: int = 0,
        target: bool = False,
    ) -> None:
        """Add a closed surface of the frame, moved by ``at_mm``."""
        moved = closed(np.asarray(mesh.vertices) + np.asarray(at_mm, np.float64), np.asarray(mesh.faces))
        body = {"mesh": moved, "material": material, "position_mm": self.position_mm, "rotation_deg": self.rotation_deg}
        self.bodies.append(DrawnBody(kind, {**body, **({"priority": priority} if priority else {})}, target))


def _settled(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [_settled(item) for item in value]
    return round(float(value), DECIMALS)
