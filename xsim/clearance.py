"""How far inside a body another lies: the clearance between a convex outline and the surface around it.

A body D lies in a convex host H, c or more from its surface, where every point of its outline has that depth below
each face of H. Around a host with hollows (a tube's bore, a step wedge, a mesh) each triangle of the surface must be
parted from D by c: by a face of D, or by its own plane; what neither parts is cut into four, down to a thousandth of
D's size.
"""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod

import numpy as np
from scipy.spatial import ConvexHull, cKDTree

from xsim.errors import SceneError
from xsim.mesh import Mesh
from xsim.outline import Outline
from xsim.primitive import BOX, CONE, ELLIPSOID, Part, Solid, Spheres, StepWedge

__all__ = ["Host", "host_of"]

ROUNDING = 1e-9
FINEST = 1e-3  # of the outline's size
MOST_TRIANGLES = 20_000
BLOCK_TRIANGLES = 1024


class Host(ABC):
    """A body that another lies in, in its own frame.

    Attributes
    ----------
    low, high : float64 [3] mm
        Of the box around it.

    """

    low: np.ndarray
    high: np.ndarray

    @abstractmethod
    def clearance(self, outline: Outline, centre_mm: np.ndarray, enough_mm: float = -np.inf) -> float:
        """Least distance of the outline at a place from the surface [mm]; negative: how far it reaches outside.

        Where it is below ``enough_mm``, another number below that may be returned in its place.
        """


class ConvexHost(Host):
    """One convex part, maybe with a bore along z through all of it."""

    def __init__(self, part: Part, bore_radius_mm: float = 0.0) -> None:
        self.part, self.bore_mm = part, bore_radius_mm
        self.low, self.high = part.centre_mm + np.outer([-1, 1], part.half_mm)

    def clearance(self, outline: Outline, centre_mm: np.ndarray, enough_mm: float = -np.inf) -> float:
        points = outline.points + (centre_mm - self.part.centre_mm)
        depth = float(depths(self.part, points).min())
        if self.bore_mm:
            depth = min(depth, distance_from_axis(points[:, :2]) - self.bore_mm)
        return depth - outline.radius_mm


def depths(part: Part, points: np.ndarray) -> np.ndarray:
    """Depth of points below each face of a convex part at the origin, the least of them, float64 [point] mm."""
    half = part.half_mm
    if part.kind == BOX:
        return np.asarray((half - np.abs(points)).min(axis=1))
    if part.kind == ELLIPSOID:
        return ellipsoid_depths(half, points)
    radius, z = np.hypot(points[:, 0], points[:, 1]), points[:, 2]
    if part.kind == CONE:
        slope = 0.5 * half[0] / half[2]
        wall = ((half[2] - z) * slope - radius) / np.hypot(1.0, slope)
        return np.asarray(np.minimum(wall, half[2] + z))
    return np.asarray(np.minimum(half[0] - radius, half[2] - np.abs(z)))


def ellipsoid_depths(radii: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Distance to the surface of an ellipsoid, negative outside.

    The nearest point is y_i = r_i^2 x_i / (t + r_i^2) with t the greatest root of sum (r_i x_i / (t + r_i^2))^2 = 1
    (Eberly, Distance from a point to an ellipse, an ellipsoid, or a hyperellipsoid).
    """
    if np.ptp(radii) == 0:
        return np.asarray(radii[0] - np.linalg.norm(points, axis=1))
    square, least = radii**2, float(radii.min())
    low = np.full(len(points), -(least**2) * (1 - 1e-12))
    high = np.linalg.norm(radii * points, axis=1) + 0.0
    for _ in range(100):
        t = 0.5 * (low + high)
        outside = ((radii * points / (t[:, None] + square)) ** 2).sum(axis=1) > 1
        low, high = np.where(outside, t, low), np.where(outside, high, t)
    nearest = square * points / (high[:, None] + square)
    # in the middle of the least axis no root is left: the nearest point lies off along that axis
    lacking = np.maximum(0.0, 1 - ((nearest / radii) ** 2).sum(axis=1))
    away2 = ((nearest - points) ** 2).sum(axis=1) + lacking * least**2
    return np.asarray(np.copysign(np.sqrt(away2), 1 - ((points / radii) ** 2).sum(axis=1)))


def distance_from_axis(points: np.ndarray) -> float:
    """Distance of the origin from the convex hull of points [point, 2]; negative depth where it lies in it."""
    if len(points) < 3:
        return float(np.hypot(*points.T).min())
    hull = ConvexHull(points)
    depth = -float(hull.equations[:, 2].max())
    if depth > 0:
        return -depth
    begin, end = points[hull.simplices[:, 0]], points[hull.simplices[:, 1]]
    along = end - begin
    share = np.clip(-(begin * along).sum(axis=1) / (along**2).sum(axis=1), 0, 1)
    return float(np.linalg.norm(begin + share[:, None] * along, axis=1).min())


class SurfaceHost(Host):
    """A body known by the triangles of its surface."""

    def __init__(self, shape: Mesh | StepWedge) -> None:
        self.shape = shape
        self.triangles = wedge_surface(shape) if isinstance(shape, StepWedge) else shape.vertices[shape.faces]
        self.low, self.high = (np.asarray(edge(self.triangles, axis=(0, 1))) for edge in (np.min, np.max))
        self.middle = self.triangles.mean(axis=1)
        self.tree = cKDTree(self.middle)
        self.reach = np.linalg.norm(self.triangles - self.middle[:, None], axis=2).max(axis=1)

    def clearance(self, outline: Outline, centre_mm: np.ndarray, enough_mm: float = -np.inf) -> float:
        points, middle = outline.points + centre_mm, outline.middle + centre_mm
        nearest = self.nearest(middle)
        if nearest - outline.inner_radius_mm < enough_mm:
            return nearest - outline.inner_radius_mm
        if not self.contains(middle):
            return -nearest - outline.radius_mm
        if outline.radius_mm:
            return nearest - outline.radius_mm
        ball = float(np.linalg.norm(points - middle, axis=1).max())
        if nearest >= 2 * ball:
            return nearest - ball
        return min(ball, least_gap(self.within(middle, 2 * ball) - centre_mm, outline))

    def nearest(self, point: np.ndarray) -> float:
        """Distance of a point from the surface [mm]."""
        away, first = self.tree.query(point)
        return float(triangle_distances(self.within(point, away + self.reach[first]), point).min())

    def within(self, point: np.ndarray, distance_mm: float) -> np.ndarray:
        """Triangles that may come within a distance of a point, float64 [triangle, corner, 3]."""
        found = np.asarray(self.tree.query_ball_point(point, distance_mm + self.reach.max()), np.int64)
        away = np.linalg.norm(self.middle[found] - point, axis=1)
        return np.asarray(self.triangles[found[away - self.reach[found] <= distance_mm]])

    def contains(self, point: np.ndarray) -> bool:
        if isinstance(self.shape, Mesh):
            return self.shape.contains(point)
        hair = np.array([ROUNDING * self.shape.step_length_mm, 0.0, 0.0])  # the face between two steps is inside
        return any(part.contains(p) for part in self.shape.parts() for p in (point - hair, point + hair))


def least_gap(triangles: np.ndarray, outline: Outline) -> float:
    """Least distance of triangles from a polytope, by the planes that part them: never above the true one [mm].

    Where they cross, minus the way that would part them.
    """
    least = bound = np.inf
    finest = FINEST * outline.size_mm
    triangles, own = parted_by_own_plane(triangles, outline.points)
    while len(triangles):
        gap, corner = parted_by_faces(triangles, outline.planes)
        gap, corner = np.maximum(own, gap), np.maximum(own, corner)
        bound = min(bound, float(corner.min()))
        size = np.ptp(triangles, axis=1).max(axis=1)
        # settled: its nearest corner is its nearest point, or it is small; beyond the bound it does not matter
        settled = (gap >= corner - finest) | (size < finest) | (len(triangles) > MOST_TRIANGLES)
        least = min(least, float(gap[settled].min(initial=np.inf)))
        cut = ~settled & (gap < bound)
        triangles, own = quarters(triangles[cut]), np.repeat(own[cut], 4)
    return least


def parted_by_own_plane(triangles: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Triangles that have an area, and how far below the plane of each all points lie [mm]."""
    normals = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
    length = np.linalg.norm(normals, axis=1)
    triangles, normals = triangles[length > 0], normals[length > 0] / length[length > 0, None]
    height = np.einsum("ij,ij->i", triangles[:, 0], normals)
    return triangles, np.concatenate(
        [np.empty(0), *((height[k, None] - normals[k] @ points.T).min(axis=1) for k in blocks(len(triangles)))]
    )


def parted_by_faces(triangles: np.ndarray, planes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How far the face of a polytope that parts it best keeps each triangle off, and each one's nearest corner [mm]."""
    gap, corner = np.empty(len(triangles)), np.empty(len(triangles))
    for k in blocks(len(triangles)):
        sides = triangles[k] @ planes[:, :3].T + planes[:, 3]  # [triangle, corner, face]
        gap[k], corner[k] = sides.min(axis=1).max(axis=1), sides.max(axis=2).min(axis=1)
    return gap, corner


def blocks(count: int) -> list[slice]:
    return [slice(k, k + BLOCK_TRIANGLES) for k in range(0, count, BLOCK_TRIANGLES)]


def quarters(triangles: np.ndarray) -> np.ndarray:
    a, b, c = triangles.transpose(1, 0, 2)
    ab, bc, ca = (a + b) / 2, (b + c) / 2, (c + a) / 2
    parts = [np.stack(t, axis=1) for t in ((a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca))]
    return np.asarray(np.stack(parts, axis=1).reshape(-1, 3, 3))


def triangle_distances(triangles: np.ndarray, point: np.ndarray) -> np.ndarray:
    """Distance of a point from triangles [triangle, corner, 3], float64 [triangle]."""
    a, b, c = triangles.transpose(1, 0, 2)
    normal = np.cross(b - a, c - a)
    square = np.einsum("ij,ij->i", normal, normal)
    within = np.ones(len(a), bool)
    distance = np.full(len(a), np.inf)
    for begin, end in ((a, b), (b, c), (c, a)):
        along, to = end - begin, point - begin
        share = np.clip((to * along).sum(axis=1) / np.maximum((along**2).sum(axis=1), 1e-300), 0, 1)
        distance = np.minimum(distance, np.linalg.norm(to - share[:, None] * along, axis=1))
        within &= np.einsum("ij,ij->i", np.cross(along, to), normal) >= 0
    plane = np.abs(np.einsum("ij,ij->i", point - a, normal)) / np.sqrt(np.maximum(square, 1e-300))
    return np.where(within & (square > 0), plane, distance)


def wedge_surface(wedge: StepWedge) -> np.ndarray:
    """Surface of a step wedge without the faces between steps, float64 [triangle, corner, 3] mm."""
    depth, quads = 0.5 * wedge.width_mm, []
    left = -0.5 * wedge.step_length_mm * len(wedge.steps_mm)
    tops = [0.0, *wedge.steps_mm, 0.0]
    for k, top in enumerate(wedge.steps_mm):
        x, to = left + k * wedge.step_length_mm, left + (k + 1) * wedge.step_length_mm
        quads += [[(i, s * depth, j) for i, j in ((x, 0), (to, 0), (to, top), (x, top))] for s in (-1, 1)]
        quads += [[(x, -depth, z), (to, -depth, z), (to, depth, z), (x, depth, z)] for z in (0, top)]
    for k, (one, other) in enumerate(itertools.pairwise(tops)):
        x = left + k * wedge.step_length_mm
        quads.append([(x, s * depth, z) for s, z in ((-1, one), (1, one), (1, other), (-1, other))])
    corners = np.array(quads, np.float64)
    return np.concatenate([corners[:, [0, 1, 2]], corners[:, [0, 2, 3]]])


def host_of(shape: Solid | Mesh) -> Host:
    """What finds clearances inside a body."""
    if isinstance(shape, (Mesh, StepWedge)):
        return SurfaceHost(shape)
    if isinstance(shape, Spheres):
        raise SceneError("a defect cannot be inside spheres (they are many) place a body of its own")
    bore = [part for part in shape.parts() if part.hole]
    (solid,) = (part for part in shape.parts() if not part.hole)
    return ConvexHost(solid, float(bore[0].half_mm[0]) if bore else 0.0)
