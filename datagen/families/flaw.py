"""Flaws inside metal: pores, porosity, shrinkage cavities, inclusions, cracks; each wholly within its host."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import trimesh

from datagen.families.family import DrawnBody
from datagen.families.surface import DECIMALS, closed, crack, lump, turned, union
from datagen.placement import PlacementError, rotation
from datagen.stream import Stream

__all__ = ["FLAW_PRIORITY", "Host", "crack_in", "inclusion_in", "pores_in", "porosity_in", "shrinkage_in"]

FLAW_PRIORITY = 100
SKIN_MM = 0.05  # metal that stays between a flaw and the surface
TRIES = 24
Depth = Callable[[np.ndarray], np.ndarray]


class Host:
    """A body of metal, and places inside it.

    Parameters
    ----------
    depth_mm : callable
        float64 [point, 3] mm in the host's frame -> how far inside each point lies at the least, [point].
    points_mm : float64 [point, 3]
        Places of its frame, in or out, where flaws may lie.
    position_mm, rotation_deg : three numbers
        Pose of the host.
    """

    def __init__(
        self, depth_mm: Depth, points_mm: np.ndarray, position_mm: Sequence[float], rotation_deg: Sequence[float]
    ) -> None:
        depth = depth_mm(points_mm)
        inside = depth > 2 * SKIN_MM
        if not inside.any():
            raise PlacementError("no point drawn lies inside the metal (its walls are too thin) use thicker walls")
        self.depth_mm = depth_mm
        self._points, self._depth = points_mm[inside], depth[inside]
        self._free = np.ones(len(self._points), bool)
        self.position_mm, self.rotation_deg = [float(x) for x in position_mm], [float(x) for x in rotation_deg]
        self._turn = np.array(rotation(self.rotation_deg))

    def place(self, stream: Stream, radius_mm: float) -> tuple[np.ndarray, float]:
        """A free point with ``radius_mm`` of metal around it, or the deepest one and the radius that fits there."""
        roomy = np.flatnonzero(self._free & (self._depth > radius_mm + SKIN_MM))
        word = stream.unit()
        if roomy.size:
            chosen = int(roomy[int(word * roomy.size)])
        else:
            chosen = int(np.argmax(np.where(self._free, self._depth, -1.0)))
            radius_mm = min(radius_mm, float(self._depth[chosen]) - SKIN_MM)
            if not self._free[chosen] or radius_mm <= 0:
                raise PlacementError("no room for another flaw inside the metal, lower the number of flaws")
        point = self._points[chosen]
        self._free &= ((self._points - point) ** 2).sum(axis=1) > (2 * radius_mm) ** 2
        return point, radius_mm

    def near(self, stream: Stream, radius_mm: float) -> tuple[np.ndarray, float]:
        """As `place`, without taking the place from others."""
        free = self._free.copy()
        found = self.place(stream, radius_mm)
        self._free = free
        return found

    def sphere(self, kind: str, centre_mm: np.ndarray, radius_mm: float) -> DrawnBody:
        """A round pore at a point of the host's frame."""
        world = np.round(self._turn @ centre_mm + np.asarray(self.position_mm), DECIMALS) + 0.0
        body = {"shape": "sphere", "radius_mm": round(radius_mm, DECIMALS), "material": "air"}
        return DrawnBody(kind, {**body, "position_mm": world.tolist(), "priority": FLAW_PRIORITY}, True)

    def surface(self, kind: str, mesh: trimesh.Trimesh, at_mm: np.ndarray, material: Any = "air") -> DrawnBody:
        """A flaw with a surface of its own, moved to a point of the host's frame."""
        moved = closed(np.asarray(mesh.vertices) + at_mm, np.asarray(mesh.faces))
        pose = {"position_mm": self.position_mm, "rotation_deg": self.rotation_deg, "priority": FLAW_PRIORITY}
        return DrawnBody(kind, {"mesh": moved, "material": material, **pose}, True)


def spread(stream: Stream, size_mm: float, low: float = 0.5, high: float = 2.0) -> float:
    """Size of one of many: log-uniform between two multiples of ``size_mm``."""
    return round(size_mm * math.exp(stream.between(math.log(low), math.log(high))), DECIMALS)


def pores_in(host: Host, stream: Stream, count: int, diameter_mm: float, kind: str = "gas pore") -> list[DrawnBody]:
    """Single round pores."""
    found = []
    for _ in range(count):
        at, radius = host.place(stream, 0.5 * spread(stream, diameter_mm))
        found.append(host.sphere(kind, at, radius))
    return found


def porosity_in(host: Host, stream: Stream, count: int, diameter_mm: float, across_mm: float) -> list[DrawnBody]:
    """A cluster of ``count`` fine pores, densest in its middle; those that would meet another are moved."""
    centre, _ = host.near(stream, 0.5 * diameter_mm)
    balls = np.empty((0, 4))
    found = []
    for _ in range(count):
        for _ in range(TRIES):
            radius = 0.5 * spread(stream, diameter_mm, 0.7, 1.5)
            shift = np.array([stream.normal(-3, 3) for _ in range(3)]) * across_mm / 4
            at = np.round(centre + shift, DECIMALS)
            clear = ((balls[:, :3] - at) ** 2).sum(axis=1) > (balls[:, 3] + radius + 0.02) ** 2
            if clear.all() and float(host.depth_mm(at[None])[0]) > radius + SKIN_MM:
                balls = np.vstack([balls, [*at, radius]])
                found.append(host.sphere("porosity", at, radius))
                break
    return found


def shrinkage_in(host: Host, stream: Stream, size_mm: float) -> DrawnBody:
    """A connected cavity with branches: lumps along a wandering line, as metal leaves that had no feed."""
    at, room = host.place(stream, 0.5 * size_mm)
    grain, place = 0.3 * room, np.zeros(3)
    parts = []
    for _ in range(7):
        # every lump within the ball of radius ``room``, and meeting the one before
        radius = grain * stream.between(0.6, 1.3)
        mesh = lump(stream, [radius] * 3, 0.45, level=1)
        parts.append(closed(np.asarray(mesh.vertices) + place, np.asarray(mesh.faces)))
        step = turned(stream)[0] * 0.6 * radius
        place = place + step
        reach = math.sqrt(float(place @ place))
        place = place * min(1.0, (room - 1.3 * grain) / max(reach, 1e-9))
    return host.surface("shrinkage", union(parts), at)


def inclusion_in(host: Host, stream: Stream, size_mm: float, kind: str, material: Any, rough: float = 0.4) -> DrawnBody:
    """A lump of something else."""
    at, radius = host.place(stream, 0.5 * size_mm)
    radii = [radius * stream.between(0.5, 1.0) for _ in range(3)]
    return host.surface(kind, lump(stream, radii, rough), at, material)


def crack_in(
    host: Host, stream: Stream, length_mm: float, opening_mm: float, kind: str = "crack", bends: int = 9
) -> DrawnBody:
    """A thin jagged sheet of air: its trace across the host's z, its depth along z; shortened where it fits nowhere."""
    for attempt in range(TRIES):
        length = length_mm * 0.88**attempt
        at, room = host.near(stream, min(0.08 * length, 0.25 * length_mm))
        depth = min(length * stream.between(0.25, 0.6), 1.8 * room + 0.1 * length)
        mesh = crack(stream, length, depth, opening_mm, bends)
        turn = np.array(rotation([stream.between(-35, 35), 0.0, stream.between(0, 360)]))
        points = np.asarray(mesh.vertices) @ turn.T
        # a few of the corners tell most sheets that do not fit
        if all(float(host.depth_mm(points[::step] + at).min()) > SKIN_MM for step in (37, 1)):
            return host.surface(kind, closed(points, np.asarray(mesh.faces)), at)
    raise PlacementError(f"no room for a {kind} of {length_mm:.3g} mm inside the metal, use a shorter one")
