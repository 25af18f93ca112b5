"""Convex outlines: the points around a body that another must hold."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from scipy.spatial import ConvexHull

from xsim.geometry import rotation_matrix
from xsim.mesh import Mesh
from xsim.primitive import BOX, CYLINDER, ELLIPSOID, Part, Solid

__all__ = ["Outline", "outline_of"]

RIM_POINTS = 128  # of a circle: the polygon around it is 0.03 % wider


@dataclass(frozen=True)
class Outline:
    """A convex region that holds a body, in the frame of its host but at the origin: points, and all within a radius.

    Attributes
    ----------
    points : float64 [point, 3] mm
        Corners of a polytope.
    radius_mm : float
        Around each point; 0 but for a sphere, which is one point.

    """

    points: np.ndarray
    radius_mm: float

    @functools.cached_property
    def planes(self) -> np.ndarray:
        """Faces of the polytope, outward normal and offset: inside where n x + d <= 0; float64 [face, 4]."""
        return np.unique(ConvexHull(self.points).equations.round(12), axis=0)

    @functools.cached_property
    def size_mm(self) -> float:
        return float(np.ptp(self.points, axis=0).max()) + 2 * self.radius_mm

    @functools.cached_property
    def middle(self) -> np.ndarray:
        """Middle of the box around it, float64 [3] mm."""
        return np.asarray(0.5 * (self.points.min(axis=0) + self.points.max(axis=0)))

    @functools.cached_property
    def inner_radius_mm(self) -> float:
        """Radius of a ball around the middle that lies in it."""
        return self.radius_mm or max(0.0, -float((self.planes[:, :3] @ self.middle + self.planes[:, 3]).max()))

    @property
    def low(self) -> np.ndarray:
        return np.asarray(self.points.min(axis=0) - self.radius_mm)

    @property
    def high(self) -> np.ndarray:
        return np.asarray(self.points.max(axis=0) + self.radius_mm)


def outline_of(shape: Solid | Mesh, rotation_deg: tuple[float, float, float]) -> Outline:
    """Convex hull of a body turned in its host's frame; round ones by a polytope around them (+0.4 % at most)."""
    turn = rotation_matrix(rotation_deg).T
    if isinstance(shape, Mesh):
        return Outline(shape.vertices[ConvexHull(shape.vertices).vertices] @ turn, 0.0)
    parts = [part for part in shape.parts() if not part.hole]
    (first, *others) = parts
    if not others and first.kind == ELLIPSOID and np.ptp(first.half_mm) == 0:
        return Outline(first.centre_mm[None] @ turn, float(first.half_mm[0]))
    return Outline(np.concatenate([corners_around(part) for part in parts]) @ turn, 0.0)


def corners_around(part: Part) -> np.ndarray:
    """Corners of a polytope that holds a part, float64 [point, 3] mm."""
    if part.kind == BOX:
        unit = np.array(list(np.ndindex(2, 2, 2))) * 2.0 - 1.0
    elif part.kind == ELLIPSOID:
        unit = ball_around()
    else:
        angle = 2 * np.pi * np.arange(RIM_POINTS) / RIM_POINTS
        rim = np.stack([np.cos(angle), np.sin(angle)], axis=1) / np.cos(np.pi / RIM_POINTS)
        low, high = (np.column_stack([rim, np.full(RIM_POINTS, z)]) for z in (-1.0, 1.0))
        unit = np.concatenate([low, high if part.kind == CYLINDER else [[0.0, 0.0, 1.0]]])
    return np.asarray(part.centre_mm + unit * part.half_mm)


@functools.cache
def ball_around() -> np.ndarray:
    """Corners of a geodesic polyhedron around the unit ball."""
    from trimesh.creation import icosphere

    corners = np.asarray(icosphere(subdivisions=3).vertices)
    return np.asarray(corners / np.abs(ConvexHull(corners).equations[:, 3]).min())
