"""Shapes and turns that several families use: shards, wires, turns in any direction."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import trimesh
from scipy.spatial import ConvexHull, QhullError

from datagen.placement import PlacementError
from datagen.stream import Stream

__all__ = ["any_turn_deg", "revolved", "rounded", "shard", "wire"]

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
