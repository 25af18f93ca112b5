"""Placing a body at random wholly inside another.

A convex body with half extents e along the container's axes lies inside a box when its centre is nearer to the middle
than half size - e on each axis; inside a cylinder the extents across the axis add in square, inside a sphere the radius
of the sphere around the body counts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from datagen.problem import shortened
from datagen.stream import Stream

__all__ = ["PlacementError", "Placer"]

TRIES = 500
# positions are written with six decimals of a millimetre; the margin keeps a rounded one inside
MARGIN_MM = 1e-5
DECIMALS = 6
CONTAINERS = ("box", "cylinder", "sphere")

Vector = Sequence[float]
Matrix = tuple[tuple[float, float, float], ...]


class PlacementError(Exception):
    """A body that found no room; the scene is drawn again."""


def rotation(angles_deg: Vector) -> Matrix:
    """Rotation about x, then y, then z, fixed axes, right-handed: Rz Ry Rx."""
    sines = [math.sin(math.radians(angle)) for angle in angles_deg]
    cosines = [math.cos(math.radians(angle)) for angle in angles_deg]
    (sx, sy, sz), (cx, cy, cz) = sines, cosines
    return (
        (cz * cy, cz * sy * sx - sz * cx, cz * sy * cx + sz * sx),
        (sz * cy, sz * sy * sx + cz * cx, sz * sy * cx - cz * sx),
        (-sy, cy * sx, cy * cx),
    )


def reach_mm(body: Mapping[str, Any], axes: Sequence[Vector]) -> tuple[float, float, float]:
    """Half extents [mm] of a sphere, box or cylinder along unit vectors given in its own frame."""
    shape = body.get("shape")
    if shape == "sphere":
        return (body["radius_mm"],) * 3
    if shape == "box":
        halves = [size / 2 for size in body["size_mm"]]
        extents = [sum(abs(part) * half for part, half in zip(axis, halves, strict=True)) for axis in axes]
    elif shape == "cylinder":
        radius, half = body["radius_mm"], body["height_mm"] / 2
        extents = [radius * math.sqrt(max(0.0, 1.0 - axis[2] ** 2)) + half * abs(axis[2]) for axis in axes]
    else:
        raise PlacementError(
            f"a {shortened(shape) if shape else 'mesh'} cannot be placed with inside (use a sphere, box or cylinder)"
        )
    return extents[0], extents[1], extents[2]


def bounding_radius_mm(body: Mapping[str, Any]) -> float:
    """Radius [mm] of the smallest sphere about the centre that holds the body."""
    if body["shape"] == "sphere":
        return float(body["radius_mm"])
    if body["shape"] == "cylinder":
        return math.hypot(body["radius_mm"], body["height_mm"] / 2)
    return math.hypot(*(size / 2 for size in body["size_mm"]))


def _centre(container: Mapping[str, Any], child: Mapping[str, Any], clearance_mm: float, stream: Stream) -> list[float]:
    """Centre of the child in the container's frame [mm], uniform over every place where it fits."""
    turn = rotation(container.get("rotation_deg", (0, 0, 0)))
    own = rotation(child.get("rotation_deg", (0, 0, 0)))
    # axis a of the container seen from the child's frame: column a of the container's turn, turned back
    axes = [[sum(turn[k][a] * own[k][b] for k in range(3)) for b in range(3)] for a in range(3)]
    reach = reach_mm(child, axes)
    room = clearance_mm + MARGIN_MM
    if container["shape"] == "box":
        free = [size / 2 - extent - room for size, extent in zip(container["size_mm"], reach, strict=True)]
        _check_room(min(free), child, container)
        return [stream.between(-half, half) for half in free]
    round_child = child.get("shape") == "sphere"
    if container["shape"] == "sphere":
        free_radius = container["radius_mm"] - bounding_radius_mm(child) - room
        _check_room(free_radius, child, container)
        return _in_ball(free_radius, stream)
    across = child["radius_mm"] if round_child else math.hypot(reach[0], reach[1])
    free_radius, half = container["radius_mm"] - across - room, container["height_mm"] / 2 - reach[2] - room
    _check_room(min(free_radius, half), child, container)
    radius, angle = free_radius * math.sqrt(stream.unit()), 2 * math.pi * stream.unit()
    return [radius * math.cos(angle), radius * math.sin(angle), stream.between(-half, half)]


def _in_ball(radius: float, stream: Stream) -> list[float]:
    distance = radius * stream.unit() ** (1 / 3)
    height, angle = stream.between(-1.0, 1.0), 2 * math.pi * stream.unit()
    across = math.sqrt(1.0 - height * height)
    return [distance * across * math.cos(angle), distance * across * math.sin(angle), distance * height]


def _check_room(free_mm: float, child: Mapping[str, Any], container: Mapping[str, Any]) -> None:
    if free_mm < 0:
        raise PlacementError(
            f"{child.get('name')} does not fit inside {container.get('name')} ({-free_mm:.3g} mm short)"
        )


class Placer:
    """Places bodies one after another and remembers where those before them are.

    Parameters
    ----------
    capacity : int
        Greatest number of bodies that will be placed.
    """

    def __init__(self, capacity: int) -> None:
        self._balls = np.empty((capacity, 4))  # [placed body, (x, y, z, bounding radius)] mm
        self._owners = np.empty(capacity, dtype=np.int64)
        self._count = 0

    def place(
        self,
        child: Mapping[str, Any],
        container: Mapping[str, Any],
        owner: int,
        clearance_mm: float,
        apart_mm: float | None,
        stream: Stream,
    ) -> list[float]:
        """Find a centre for ``child`` inside ``container``.

        Parameters
        ----------
        child, container : mapping
            Drawn bodies; the container has its position.
        owner : int
            Which container this is: bodies keep apart from those with the same owner only.
        clearance_mm : float
            Least distance between the child and the container's surface.
        apart_mm : float or None
            Least distance between the bounding spheres of the child and of each body placed before; None: may overlap.
        stream : Stream

        Returns
        -------
        list of float
            Centre in the world frame, mm.

        Raises
        ------
        PlacementError
            When the child is too large, or every try came too near another body.
        """
        if container.get("shape") not in CONTAINERS:
            raise PlacementError(
                f"nothing can be placed inside a {container.get('shape') or 'mesh'} (use a box, cylinder or sphere)"
            )
        radius = bounding_radius_mm(child) if child.get("shape") in CONTAINERS else 0.0
        turn = rotation(container.get("rotation_deg", (0, 0, 0)))
        origin = container.get("position_mm", (0, 0, 0))
        for _ in range(TRIES):
            local = _centre(container, child, clearance_mm, stream)
            world = [round(origin[a] + sum(turn[a][b] * local[b] for b in range(3)), DECIMALS) for a in range(3)]
            if apart_mm is None or self._clear(world, radius + apart_mm + MARGIN_MM, owner):
                self._remember(world, radius, owner)
                return world
        raise PlacementError(f"no room for {child.get('name')} inside {container.get('name')} after {TRIES} tries")

    def _clear(self, centre: Vector, reach: float, owner: int) -> bool:
        others = self._balls[: self._count][self._owners[: self._count] == owner]
        gaps = ((others[:, :3] - np.asarray(centre)) ** 2).sum(axis=1) - (others[:, 3] + reach) ** 2
        return not bool((gaps < 0).any())

    def _remember(self, centre: Vector, radius: float, owner: int) -> None:
        self._balls[self._count] = (*centre, radius)
        self._owners[self._count] = owner
        self._count += 1
