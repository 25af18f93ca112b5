"""Analytic solids: what a scene file can say of them, and the records that the kernels intersect."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

import numpy as np
from pydantic import Field

from xsim.geometry import rotation_matrix
from xsim.schema import Number, Positive, StrictModel

__all__ = ["BodyBase", "Box", "Cylinder", "Solid", "Sphere", "StepWedge"]

Vector: TypeAlias = tuple[Number, Number, Number]
BOX, SPHERE, CYLINDER = 0, 1, 2
# A part of a body: kind, centre in the body's frame [3] mm, size [3] mm as the kernel reads it, half extent [3] mm
Part: TypeAlias = tuple[int, np.ndarray, np.ndarray, np.ndarray]


class BodyBase(StrictModel):
    """What every body has: a name, a material, a pose in the world and a priority where bodies overlap."""

    name: str | None = None
    material: str | dict[str, object]
    position_mm: Vector = (0.0, 0.0, 0.0)
    rotation_deg: Vector = (0.0, 0.0, 0.0)
    priority: Annotated[int, Field(strict=True, ge=-(2**31), lt=2**31)] = 0

    def to_world(self, points_mm: np.ndarray) -> np.ndarray:
        """Points in the body's frame to the world, float64 [..., 3] mm."""
        return np.asarray(points_mm @ rotation_matrix(self.rotation_deg).T + np.asarray(self.position_mm))

    def to_body(self, points_mm: np.ndarray) -> np.ndarray:
        """World points to the body's frame, float64 [..., 3] mm."""
        return np.asarray((points_mm - np.asarray(self.position_mm)) @ rotation_matrix(self.rotation_deg))


class Solid(BodyBase):
    """A body made of exact parts."""

    def parts(self) -> list[Part]:
        raise NotImplementedError

    def bounds(self) -> np.ndarray:
        """Corners of boxes around the parts, in the world, float64 [8 parts, 3] mm."""
        signs = np.stack(np.meshgrid([-1, 1], [-1, 1], [-1, 1]), axis=-1).reshape(-1, 3)
        return np.concatenate([self.to_world(c + signs * half) for _, c, _, half in self.parts()])

    def farthest(self, direction: np.ndarray) -> float:
        """Greatest component of the body along a world unit vector [mm]."""
        local = direction @ rotation_matrix(self.rotation_deg)
        reach = [local @ centre + support(kind, size, local) for kind, centre, size, _ in self.parts()]
        return float(max(reach) + direction @ np.asarray(self.position_mm))

    def contains(self, point_mm: np.ndarray) -> bool:
        """Whether a world point lies strictly inside."""
        return any(inside(part, self.to_body(point_mm)) for part in self.parts())


class Box(Solid):
    """A cuboid centred on its position."""

    shape: Literal["box"]
    size_mm: tuple[Positive, Positive, Positive]

    def parts(self) -> list[Part]:
        half = 0.5 * np.asarray(self.size_mm)
        return [(BOX, np.zeros(3), half, half)]


class Sphere(Solid):
    """A sphere centred on its position."""

    shape: Literal["sphere"]
    radius_mm: Positive

    def parts(self) -> list[Part]:
        size = np.full(3, self.radius_mm)
        return [(SPHERE, np.zeros(3), size, size)]


class Cylinder(Solid):
    """A cylinder along z, centred on its position."""

    shape: Literal["cylinder"]
    radius_mm: Positive
    height_mm: Positive

    def parts(self) -> list[Part]:
        size = np.array([self.radius_mm, self.radius_mm, 0.5 * self.height_mm])
        return [(CYLINDER, np.zeros(3), size, size)]


class StepWedge(Solid):
    """A step chart: steps along x in the order given, thickness along z from z = 0 upwards, centred in x and y."""

    shape: Literal["step_wedge"]
    steps_mm: Annotated[tuple[Positive, ...], Field(min_length=1)]
    step_length_mm: Positive
    width_mm: Positive

    def parts(self) -> list[Part]:
        parts: list[Part] = []
        for k, thickness in enumerate(self.steps_mm):
            x = (k - 0.5 * (len(self.steps_mm) - 1)) * self.step_length_mm
            half = 0.5 * np.array([self.step_length_mm, self.width_mm, thickness])
            parts.append((BOX, np.array([x, 0.0, half[2]]), half, half))
        return parts


def support(kind: int, size: np.ndarray, direction: np.ndarray) -> float:
    """Half extent of a centred part along a unit vector [mm]."""
    if kind == BOX:
        return float(np.abs(direction) @ size)
    if kind == SPHERE:
        return float(size[0])
    return float(np.hypot(direction[0], direction[1]) * size[0] + abs(direction[2]) * size[2])


def inside(part: Part, point: np.ndarray) -> bool:
    kind, centre, size, _ = part
    p = point - centre
    if kind == BOX:
        return bool((np.abs(p) < size).all())
    if kind == SPHERE:
        return bool(p @ p < size[0] ** 2)
    return bool(p[:2] @ p[:2] < size[0] ** 2 and abs(p[2]) < size[2])
