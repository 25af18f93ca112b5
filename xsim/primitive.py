"""Analytic solids: what a scene file can say of them, and the records that the kernels intersect."""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Annotated, Literal, TypeAlias

import numpy as np
from pydantic import Field, model_validator
from scipy.spatial import cKDTree

from xsim.geometry import rotation_matrix
from xsim.schema import Number, Positive, StrictModel

__all__ = [
    "BodyBase",
    "Box",
    "Cone",
    "Cylinder",
    "Ellipsoid",
    "Part",
    "PosedBody",
    "Solid",
    "Sphere",
    "Spheres",
    "StepWedge",
    "Tube",
]

Vector: TypeAlias = tuple[Number, Number, Number]
BOX, ELLIPSOID, CYLINDER, CONE = 0, 1, 2, 3
TOUCH_MM = 1e-5  # that spheres of one body may reach into each other


@dataclass(frozen=True)
class Part:
    """One convex part of a body, in the body's frame.

    Attributes
    ----------
    kind : int
        As ``SolidKind`` of the kernels.
    half_mm : float64 [3]
        Half extents; for a round part its radii.
    centre_mm : float64 [3]
    hole : bool
        Taken away from the other parts.
    """

    kind: int
    half_mm: np.ndarray
    centre_mm: np.ndarray = field(default_factory=lambda: np.zeros(3))
    hole: bool = False

    def support(self, direction: np.ndarray) -> float:
        """Greatest component of the part along a unit vector [mm]."""
        return float(direction @ self.centre_mm) + self._half_support(direction)

    def _half_support(self, direction: np.ndarray) -> float:
        if self.kind == BOX:
            return float(np.abs(direction) @ self.half_mm)
        if self.kind == ELLIPSOID:
            return float(np.linalg.norm(direction * self.half_mm))
        rim = float(np.hypot(direction[0], direction[1]) * self.half_mm[0])
        if self.kind == CONE:
            return max(rim - float(direction[2] * self.half_mm[2]), float(direction[2] * self.half_mm[2]))
        return rim + float(abs(direction[2]) * self.half_mm[2])

    def contains(self, point_mm: np.ndarray) -> bool:
        """Whether a point of the body's frame lies strictly inside."""
        x, y, z = (point_mm - self.centre_mm) / self.half_mm
        if self.kind == BOX:
            return bool(max(abs(x), abs(y), abs(z)) < 1)
        if self.kind == ELLIPSOID:
            return bool(x * x + y * y + z * z < 1)
        radius = 0.5 * (1 - z) if self.kind == CONE else 1.0
        return bool(abs(z) < 1 and x * x + y * y < radius * radius)


class PosedBody(StrictModel):
    """What every body has: a name, a pose in the world and a priority where bodies overlap."""

    name: str | None = None
    position_mm: Vector = (0.0, 0.0, 0.0)
    rotation_deg: Vector = (0.0, 0.0, 0.0)
    priority: Annotated[int, Field(strict=True, ge=-(2**31), lt=2**31)] = 0

    def to_world(self, points_mm: np.ndarray) -> np.ndarray:
        """Points in the body's frame to the world, float64 [..., 3] mm."""
        return np.asarray(points_mm @ rotation_matrix(self.rotation_deg).T + np.asarray(self.position_mm))

    def to_body(self, points_mm: np.ndarray) -> np.ndarray:
        """World points to the body's frame, float64 [..., 3] mm."""
        return np.asarray((points_mm - np.asarray(self.position_mm)) @ rotation_matrix(self.rotation_deg))


class BodyBase(PosedBody):
    """A body of one material."""

    material: str | dict[str, object]

    def materials(self) -> tuple[str | dict[str, object], ...]:
        """Materials it may hold: its own."""
        return (self.material,)


class Solid(BodyBase, ABC):
    """A body made of exact parts."""

    @abstractmethod
    def parts(self) -> list[Part]:
        """Parts in the body's frame; they touch at most, but for holes."""

    def bounds(self) -> np.ndarray:
        """Corners of boxes around the parts, in the world, float64 [8 parts, 3] mm."""
        signs = np.stack(np.meshgrid([-1, 1], [-1, 1], [-1, 1]), axis=-1).reshape(-1, 3)
        return np.concatenate([self.to_world(p.centre_mm + signs * p.half_mm) for p in self.parts()])

    def farthest(self, direction: np.ndarray) -> float:
        """Greatest component of the body along a world unit vector [mm]."""
        local = direction @ rotation_matrix(self.rotation_deg)
        return max(p.support(local) for p in self.parts()) + float(direction @ np.asarray(self.position_mm))

    def contains(self, point_mm: np.ndarray) -> bool:
        """Whether a world point lies strictly inside."""
        within = [p for p in self.parts() if p.contains(self.to_body(point_mm))]
        return bool(within) and not any(p.hole for p in within)


class Box(Solid):
    """A cuboid centred on its position."""

    shape: Literal["box"]
    size_mm: tuple[Positive, Positive, Positive]

    def parts(self) -> list[Part]:
        return [Part(BOX, 0.5 * np.asarray(self.size_mm))]


class Sphere(Solid):
    """A sphere centred on its position."""

    shape: Literal["sphere"]
    radius_mm: Positive

    def parts(self) -> list[Part]:
        return [Part(ELLIPSOID, np.full(3, self.radius_mm))]


class Ellipsoid(Solid):
    """An ellipsoid centred on its position, its axes along x, y and z."""

    shape: Literal["ellipsoid"]
    radii_mm: tuple[Positive, Positive, Positive]

    def parts(self) -> list[Part]:
        return [Part(ELLIPSOID, np.asarray(self.radii_mm))]


class Cylinder(Solid):
    """A cylinder along z, centred on its position."""

    shape: Literal["cylinder"]
    radius_mm: Positive
    height_mm: Positive

    def parts(self) -> list[Part]:
        return [Part(CYLINDER, upright(self.radius_mm, self.height_mm))]


class Cone(Solid):
    """A cone along z: base at -height / 2, apex at +height / 2."""

    shape: Literal["cone"]
    radius_mm: Positive
    height_mm: Positive

    def parts(self) -> list[Part]:
        return [Part(CONE, upright(self.radius_mm, self.height_mm))]


class Tube(Solid):
    """A cylinder along z with a coaxial bore, centred on its position."""

    shape: Literal["tube"]
    radius_mm: Positive
    inner_radius_mm: Positive
    height_mm: Positive

    @model_validator(mode="after")
    def _has_a_wall(self) -> Tube:
        if self.inner_radius_mm >= self.radius_mm:
            raise ValueError(
                f"tube has no wall (inner_radius_mm = {self.inner_radius_mm:g}, radius_mm = {self.radius_mm:g}) "
                "use a smaller inner_radius_mm"
            )
        return self

    def parts(self) -> list[Part]:
        bore = Part(CYLINDER, upright(self.inner_radius_mm, self.height_mm), hole=True)
        return [Part(CYLINDER, upright(self.radius_mm, self.height_mm)), bore]


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
            parts.append(Part(BOX, half, np.array([x, 0.0, half[2]])))
        return parts


class Spheres(Solid):
    """Spheres that touch at most, of one material, as one body: pores of a foam, beads."""

    shape: Literal["spheres"]
    centres_mm: Annotated[tuple[Vector, ...], Field(min_length=1)]
    radii_mm: Annotated[tuple[Positive, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _stand_apart(self) -> Spheres:
        if len(self.centres_mm) != len(self.radii_mm):
            raise ValueError(
                f"{len(self.centres_mm)} centres_mm and {len(self.radii_mm)} radii_mm (one each) mend them"
            )
        centres, radii = self.balls
        tree = cKDTree(centres)
        near = tree.query_pairs(2 * float(np.sort(radii)[-1]), output_type="ndarray")
        gaps = np.linalg.norm(centres[near[:, 0]] - centres[near[:, 1]], axis=1) - radii[near].sum(axis=1)
        if (gaps < -TOUCH_MM).any():
            one, other = near[int(gaps.argmin())] + 1
            raise ValueError(f"spheres {one} and {other} overlap by {-gaps.min():.3g} mm (they may touch) move them")
        return self

    @functools.cached_property
    def balls(self) -> tuple[np.ndarray, np.ndarray]:
        """Centres [sphere, 3] and radii [sphere] in the body's frame, float64 mm."""
        return np.array(self.centres_mm), np.array(self.radii_mm)

    def parts(self) -> list[Part]:
        centres, radii = self.balls
        return [Part(ELLIPSOID, half, at) for half, at in zip(np.repeat(radii[:, None], 3, 1), centres, strict=True)]

    def bounds(self) -> np.ndarray:
        centres, radii = self.balls
        low, high = (centres - radii[:, None]).min(axis=0), (centres + radii[:, None]).max(axis=0)
        return self.to_world(np.where(np.array(list(np.ndindex(2, 2, 2))), high, low))

    def farthest(self, direction: np.ndarray) -> float:
        centres, radii = self.balls
        return float((self.to_world(centres) @ direction + radii).max())

    def contains(self, point_mm: np.ndarray) -> bool:
        centres, radii = self.balls
        return bool((np.linalg.norm(centres - self.to_body(point_mm), axis=1) < radii).any())


def upright(radius_mm: float, height_mm: float) -> np.ndarray:
    """Half extents of a round part along z, float64 [3] mm."""
    return np.array([radius_mm, radius_mm, 0.5 * height_mm])
