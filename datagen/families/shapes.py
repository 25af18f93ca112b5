"""Shapes and turns that several families use: shards, wires, turns in any direction."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import trimesh
from scipy.spatial import ConvexHull, QhullError

from datagen.families.family import DrawnBody, ViewField
from datagen.placement import PlacementError, rotation
from datagen.stream import Stream

__all__ = ["any_turn_deg", "check_view", "revolved", "rounded", "shard", "turned", "turned_about_beam", "wire"]

DECIMALS = 6
CORNERS = 14  # points that a shard is the hull of


def rounded(values: Any) -> list[float]:
    """Plain numbers of six decimals: what libm gives differs in the last bit between processors."""
    return [round(float(value), DECIMALS) for value in values]


def any_turn_deg(stream: Stream) -> list[float]:
    """A turn about x, then y, then z, every orientation equally likely."""
    x, z = stream.between(0, 360), stream.between(0, 360)
    return rounded((x, math.degrees(math.asin(stream.between(-1, 1))), z))


def shard(length_mm: float, breadth: float, thickness: float, stream: Stream) -> trimesh.Trimesh:
    """A splinter: the convex hull of points in a box about the origin.

    Parameters
    ----------
    length_mm : float
        Its greatest extent along x.
    breadth, thickness : float
        Extents along y and z, as shares of it.
    stream : Stream

    Raises
    ------
    PlacementError
        The points lie in one plane.
    """
    units = 2 * stream.units(3 * CORNERS).reshape(-1, 3) - 1
    units /= np.abs(units).max(axis=1, keepdims=True)  # on the faces of the box: sharp edges
    units[:, 1:] *= (1 - 0.7 * np.abs(units[:, :1])) * np.array([breadth, thickness])  # pointed at both ends
    points = units - 0.5 * (units.max(axis=0) + units.min(axis=0))
    points = np.round(points * (length_mm / np.ptp(points[:, 0])), DECIMALS)
    try:
        hull = ConvexHull(points)
    except QhullError:
        raise PlacementError("a shard came out flat") from None
    return oriented(points, hull.simplices)


def oriented(points: np.ndarray, triangles: np.ndarray) -> trimesh.Trimesh:
    """A convex surface with its triangles turned outwards."""
    corners, inside = points[triangles], points.mean(axis=0)
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    inwards = ((corners[:, 0] - inside) * normals).sum(axis=1) < 0
    faces = np.where(inwards[:, None], triangles[:, ::-1], triangles)
    mesh = trimesh.Trimesh(points, faces, process=False)
    mesh.remove_unreferenced_vertices()
    return mesh


def revolved(profile: list[tuple[float, float]], sections: int = 96) -> trimesh.Trimesh:
    """A solid of revolution that stands upright in the image.

    Parameters
    ----------
    profile : list of (radius, y) mm
        Of its surface, from its top on the axis to its bottom on the axis; y runs down. The ends have no radius.
    sections : int
        Facets around it; their middles are 5e-4 of the radius inside the circle by 96.
    """
    angles = 2 * np.pi * np.arange(sections) / sections
    rings = np.array([(radius * np.cos(angles), np.full(sections, y), radius * np.sin(angles))
                      for radius, y in profile[1:-1]]).transpose(0, 2, 1)  # fmt: skip
    ends = [[0.0, profile[0][1], 0.0], [0.0, profile[-1][1], 0.0]]
    points = np.round(np.concatenate([rings.reshape(-1, 3), ends]), DECIMALS)
    this, after = np.arange(sections), (np.arange(sections) + 1) % sections
    top, bottom, last = len(points) - 2, len(points) - 1, (len(rings) - 1) * sections
    faces = [np.stack([np.full(sections, top), this, after], axis=1)]
    for first in range(0, last, sections):
        below = first + sections
        faces.append(np.stack([this + first, this + below, after + below], axis=1))
        faces.append(np.stack([this + first, after + below, after + first], axis=1))
    faces.append(np.stack([this + last, np.full(sections, bottom), after + last], axis=1))
    mesh = trimesh.Trimesh(points, np.concatenate(faces), process=False)
    return mesh if mesh.volume > 0 else trimesh.Trimesh(points, np.concatenate(faces)[:, ::-1], process=False)


def wire(diameter_mm: float, length_mm: float) -> dict[str, Any]:
    """A straight piece of wire, along z, as a body."""
    return {"shape": "cylinder", "radius_mm": round(0.5 * diameter_mm, DECIMALS), "height_mm": round(length_mm, 6)}


def turned_about_beam(bodies: list[DrawnBody], angle_deg: float) -> list[DrawnBody]:
    """All bodies turned about the beam; each keeps its turns and adds this one."""
    cosine, sine = (round(f(math.radians(angle_deg)), 9) for f in (math.cos, math.sin))
    for each in bodies:
        x, y, z = each.body.get("position_mm", (0.0, 0.0, 0.0))
        a, b, c = each.body.get("rotation_deg", (0.0, 0.0, 0.0))
        each.body["position_mm"] = rounded((cosine * x - sine * y, sine * x + cosine * y, z))
        each.body["rotation_deg"] = rounded((a, b, c + angle_deg))
    return bodies


def turned(points: np.ndarray, angles_deg: list[float]) -> list[list[float]]:
    """Points [point, 3] of a body's frame in the world."""
    turn = rotation(angles_deg)
    return [rounded(sum(row[k] * point[k] for k in range(3)) for row in turn) for point in points.tolist()]


def check_view(points_mm: np.ndarray, view: ViewField, name: str) -> None:
    """Refuse a body whose corners [point, 3] are seen outside the view; what is nearer to the source is seen larger.

    Raises
    ------
    PlacementError
        It does not fit.
    """
    nearest = view.sod_mm + float(points_mm[:, 2].min())
    seen = 2 * np.abs(points_mm[:, :2]) * view.sod_mm / np.maximum(view.sod_mm + points_mm[:, 2:], 1e-6)
    wide, high = seen.max(axis=0)
    if nearest <= 0 or wide > view.width_mm or high > view.height_mm:
        raise PlacementError(
            f"{name} does not fit into the view ({wide:.3g} x {high:.3g} mm of {view.width_mm:.3g} x "
            f"{view.height_mm:.3g} mm), raise sod_mm or lower sdd_mm"
        )
