"""Closed surfaces made in memory: from solids by Boolean operations, lumps, cracks, sheets and swept wires.

Corners are rounded to 1e-6 mm: sines and cosines differ in the last bit between processors, a corpus must not.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import trimesh
from manifold3d import Manifold, Mesh64, OpType

from datagen.stream import Stream

__all__ = ["Ring", "closed", "crack", "lump", "nested_rings", "sweep", "together", "turned", "union"]

DECIMALS = 6
Ring: TypeAlias = tuple[float, float, float, float]
WAVES = 7  # of the relief of a lump


def closed(vertices: np.ndarray, faces: np.ndarray) -> trimesh.Trimesh:
    """Triangles as they are, corners rounded.

    Parameters
    ----------
    vertices : float [vertex, 3] mm
    faces : int [triangle, 3]
        Counter-clockwise seen from outside.
    """
    return trimesh.Trimesh(np.round(vertices, DECIMALS) + 0.0, faces, process=False, validate=False)


def together(solids: Sequence[Manifold]) -> trimesh.Trimesh:
    """Shells of solids that do not overlap, in one mesh."""
    vertices, faces, before = [], [], 0
    for solid in solids:
        mesh = solid.to_mesh64()
        vertices.append(np.asarray(mesh.vert_properties)[:, :3])
        faces.append(np.asarray(mesh.tri_verts).astype(np.int64) + before)
        before += len(vertices[-1])
    return closed(np.concatenate(vertices), np.concatenate(faces))


def union(meshes: Sequence[trimesh.Trimesh]) -> trimesh.Trimesh:
    """One surface around bodies that overlap."""
    parts = [
        Manifold(Mesh64(np.asarray(each.vertices, np.float64), np.asarray(each.faces, np.uint64))) for each in meshes
    ]
    return together([Manifold.batch_boolean(parts, OpType.Add)])


def turned(stream: Stream) -> np.ndarray:
    """A rotation, every one equally likely, float64 [3, 3] (Shoemake 1992, uniform quaternions)."""
    share, first, second = stream.unit(), 2 * math.pi * stream.unit(), 2 * math.pi * stream.unit()
    low, high = math.sqrt(1 - share), math.sqrt(share)
    x, y, z, w = low * math.sin(first), low * math.cos(first), high * math.sin(second), high * math.cos(second)
    return np.array([
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ])  # fmt: skip


@functools.cache
def _icosphere(level: int) -> tuple[np.ndarray, np.ndarray]:
    ball = trimesh.creation.icosphere(subdivisions=level)
    return np.array(ball.vertices), np.array(ball.faces)


def lump(stream: Stream, radii_mm: Sequence[float], roughness: float = 0.25, level: int = 2) -> trimesh.Trimesh:
    """An irregular lump about the origin, turned at random.

    Parameters
    ----------
    stream : Stream
    radii_mm : three numbers
        Of the ellipsoid that it lies in: the relief only takes away.
    roughness : float
        Greatest depth of the relief as a share of the radius, below 1.
    level : int
        Subdivisions of an icosahedron: 42, 162, 642 corners for 1, 2, 3.
    """
    directions, faces = _icosphere(level)
    draws = stream.units(4 * WAVES).reshape(WAVES, 4)
    relief = np.zeros(len(directions))
    for wave, (x, y, z, phase) in enumerate(draws):
        aim = np.array([x, y, z]) * 2.0 - 1.0
        relief += np.cos((2.0 + 0.7 * wave) * (directions @ aim) + 2 * math.pi * phase) / (1 + 0.3 * wave)
    relief = (relief - relief.min()) / max(float(np.ptp(relief)), 1e-9)
    points = directions * (1.0 - roughness * relief)[:, None] * np.asarray(radii_mm, np.float64)
    return closed(points @ turned(stream).T, faces)


def _jagged(stream: Stream, at: np.ndarray, knots: int, height: float) -> np.ndarray:
    """A broken line through random heights in +-height, at places in [-1, 1]."""
    heights = (stream.units(knots) * 2.0 - 1.0) * height
    return np.asarray(np.interp(at, np.linspace(-1.0, 1.0, knots), heights))


@functools.cache
def _lens(rings: int, sectors: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Places in the unit disc [vertex, 2], side (1 top, -1 bottom, 0 rim) [vertex], and triangles of a lens."""
    places, sides = [(0.0, 0.0), (0.0, 0.0)], [1, -1]
    index: dict[tuple[int, int, int], int] = {}
    for ring in range(1, rings + 1):
        radius = math.sin(0.5 * math.pi * ring / rings)
        for sector in range(sectors):
            angle = 2 * math.pi * sector / sectors
            for side in (1, -1) if ring < rings else (0,):
                index[ring, sector, side] = len(places)
                places.append((radius * math.cos(angle), radius * math.sin(angle)))
                sides.append(side)

    def corner(ring: int, sector: int, side: int) -> int:
        return index[ring, sector % sectors, 0 if ring == rings else side]

    faces: list[tuple[int, int, int]] = []
    for side in (1, -1):
        found: list[tuple[int, int, int]] = []
        for sector in range(sectors):
            found.append((0 if side == 1 else 1, corner(1, sector, side), corner(1, sector + 1, side)))
            for ring in range(1, rings):
                a, b = corner(ring, sector, side), corner(ring + 1, sector, side)
                c, d = corner(ring + 1, sector + 1, side), corner(ring, sector + 1, side)
                found += [(a, b, c), (a, c, d)]
        faces += found if side == -1 else [(a, c, b) for a, b, c in found]
    return np.array(places), np.array(sides, np.float64), np.array(faces)


def crack(
    stream: Stream, length_mm: float, depth_mm: float, opening_mm: float, bends: int = 9, wander: float = 0.06
) -> trimesh.Trimesh:
    """A thin curved lens of a crack: its trace along x, its depth along z, open along y.

    The opening falls off as sqrt(1 - r^2) towards the rim (an elliptic crack); the trace is jagged with ``bends``
    corners and the sheet curved, by about ``wander`` of the length.
    """
    places, sides, faces = _lens(5, 40)
    along, down = places[:, 0], places[:, 1]
    aside = _jagged(stream, along, bends, wander * length_mm)
    bow = stream.between(-1.6, 1.6) * wander * length_mm
    aside = aside + bow * along**2 + stream.between(-3, 3) * wander * depth_mm * down
    gape = 0.5 * opening_mm * np.sqrt(np.maximum(0.0, 1.0 - along**2 - down**2)) * sides
    return closed(np.column_stack([0.5 * length_mm * along, aside + gape, 0.5 * depth_mm * down]), faces)


def sweep(points_mm: np.ndarray, radius_mm: float | np.ndarray, sides: int = 8) -> trimesh.Trimesh:
    """A round wire along a smooth line, closed at both ends.

    Parameters
    ----------
    points_mm : float [point, 3] mm
    radius_mm : float or [point] mm
        Well below the line's radius of curvature.
    sides : int
        Of the polygon that stands for the circle.
    """
    line = np.asarray(points_mm, np.float64)
    tangents = np.gradient(line, axis=0)
    tangents /= np.linalg.norm(tangents, axis=1, keepdims=True)
    normals = _carried_normals(tangents)
    angles = 2 * math.pi * np.arange(sides) / sides
    across = np.cross(tangents, normals)
    ring = np.cos(angles)[None, :, None] * normals[:, None] + np.sin(angles)[None, :, None] * across[:, None]
    radii = np.broadcast_to(np.asarray(radius_mm, np.float64), len(line))
    vertices = np.concatenate([(line[:, None] + radii[:, None, None] * ring).reshape(-1, 3), line[:1], line[-1:]])
    return closed(vertices, _tube_faces(len(line), sides))


def nested_rings(rings: Sequence[Ring], corners: int = 72) -> trimesh.Trimesh:
    """Rings about z that do not touch, in one mesh; each is (inner radius, outer radius, low, high) in mm."""
    angles = 2 * math.pi * np.arange(corners) / corners
    circle = np.column_stack([np.cos(angles), np.sin(angles), np.zeros(corners)])
    vertices = [
        radius * circle + np.array([0.0, 0.0, z])
        for inner, outer, low, high in rings
        for radius, z in ((inner, low), (outer, low), (inner, high), (outer, high))
    ]
    steps = 4 * corners * np.arange(len(rings))
    faces = (_ring_faces(corners)[None] + steps[:, None, None]).reshape(-1, 3)
    return closed(np.concatenate(vertices), faces)


@functools.cache
def _ring_faces(corners: int) -> np.ndarray:
    here = np.arange(corners)
    after = (here + 1) % corners
    faces = []
    for first, second in ((0, 1), (1, 3), (3, 2), (2, 0)):
        a, b, c, d = (
            k * corners + each for k, each in ((first, here), (first, after), (second, after), (second, here))
        )
        faces += [np.column_stack([a, b, c]), np.column_stack([a, c, d])]
    return np.concatenate(faces)


def _carried_normals(tangents: np.ndarray) -> np.ndarray:
    """A normal at each tangent, carried along without twist."""
    aside = np.eye(3)[int(np.argmin(np.abs(tangents[0])))]
    normals = np.empty_like(tangents)
    for place, tangent in enumerate(tangents):
        aside = aside - tangent * float(aside @ tangent)
        aside = aside / math.sqrt(float(aside @ aside))
        normals[place] = aside
    return normals


@functools.cache
def _tube_faces(points: int, sides: int) -> np.ndarray:
    faces: list[tuple[Any, Any, Any]] = []
    first, last = points * sides, points * sides + 1
    for k in range(sides):
        after = (k + 1) % sides
        for p in range(points - 1):
            a, b = p * sides + k, p * sides + after
            faces += [(a, b, b + sides), (a, b + sides, a + sides)]
        end = (points - 1) * sides
        faces += [(first, after, k), (last, end + k, end + after)]
    return np.array(faces)
