"""Triangles that reach behind the source or far beyond the screen, cut to the part a ray can meet."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np

from xsim.geometry import NEAR_FRACTION, View

__all__ = ["GUARD_BAND_PX", "SUBPIXELS", "clip_faces", "screen_positions"]

#: Half width of the screen that fixed-point positions can hold; the kernels use the same number.
GUARD_BAND_PX = 131072.0
SUBPIXELS = 4096

# A homogeneous point (w, w column, w row) is kept where plane @ point + offset >= 0.
PLANES = np.array(
    [
        [1, 0, 0],
        [GUARD_BAND_PX, -1, 0],
        [GUARD_BAND_PX, 1, 0],
        [GUARD_BAND_PX, 0, -1],
        [GUARD_BAND_PX, 0, 1],
    ]
)
OFFSETS = np.array([-NEAR_FRACTION, 0.0, 0.0, 0.0, 0.0])
# Of a polygon: homogeneous point [3], and its place among the screen positions where it already has one.
Corner: TypeAlias = tuple[np.ndarray, int | None]


def screen_positions(view: View, vertices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Fixed-point positions int32 [vertex, 2], 0 where the vertex is outside, and where it is, bool [vertex]."""
    inside = view.project(vertices)[:, 0] > view.near_fraction
    points = view.homogeneous(vertices)
    position = points[:, 1:] / np.where(inside, points[:, 0], 1.0)[:, None]
    inside &= (np.abs(position) < GUARD_BAND_PX).all(axis=1)
    rounded = np.floor(np.where(inside[:, None], position, 0.0) * SUBPIXELS + 0.5)
    return rounded.astype(np.int32), ~inside


def clip_faces(
    view: View, vertices: np.ndarray, faces: np.ndarray, screen: np.ndarray, outside: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cut the faces that have a corner outside; leave the others as they are.

    A shared edge is cut from its lexicographically smaller end, so both its faces get the same point: the cut mesh
    is as closed as it was, within the screen.

    Parameters
    ----------
    view : View
    vertices : float64 [vertex, 3] mm
    faces : int32 [face, 3]
    screen : int32 [vertex, 2]
        Fixed-point positions of the corners that are inside.
    outside : uint8 [vertex]

    Returns
    -------
    screen, faces, parents
        Positions with the new points behind the old ones, int32 triangles into them, and each one's face.

    """
    touched = outside[faces].any(axis=1)
    points = view.homogeneous(vertices)
    kept = np.nonzero(~touched)[0]
    positions: list[np.ndarray] = []
    triangles, parents = [], []
    for face in np.nonzero(touched & ~wholly_outside(points, faces))[0]:
        # a corner that is inside keeps the place its other faces use; projected again it may round the other way
        places = [None if outside[k] else k for k in faces[face]]
        polygon = clip_polygon([(points[k], place) for k, place in zip(faces[face], places, strict=True)])
        ring = []
        for p, place in polygon:
            ring.append(len(screen) + len(positions) if place is None else place)
            if place is None:
                positions.append(p[1:] / p[0])
        for k in range(1, len(ring) - 1):
            triangles.append((ring[0], ring[k], ring[k + 1]))
            parents.append(face)
    new = np.floor(np.array(positions).reshape(-1, 2) * SUBPIXELS + 0.5).astype(np.int32)
    return (
        np.concatenate([screen, new]),
        np.concatenate([faces[kept], np.array(triangles, np.int32).reshape(-1, 3)]),
        np.concatenate([kept, np.array(parents, np.int64)]),
    )


def wholly_outside(points: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Whether all three corners of a face lie beyond one and the same plane, bool [face]."""
    beyond = points @ PLANES.T + OFFSETS < 0  # [vertex, plane]
    return np.asarray(beyond[faces].all(axis=1).any(axis=1))


def clip_polygon(polygon: list[Corner]) -> list[Corner]:
    """Sutherland-Hodgman: the part of a convex polygon inside every plane; corners it cuts have no place."""
    for plane, offset in zip(PLANES, OFFSETS, strict=True):
        result: list[Corner] = []
        for k, (current, place) in enumerate(polygon):
            following, _ = polygon[(k + 1) % len(polygon)]
            here, there = plane @ current + offset, plane @ following + offset
            if here >= 0:
                result.append((current, place))
            if (here >= 0) != (there >= 0):
                result.append((cut_edge(current, following, plane, offset), None))
        polygon = result
    return polygon


def cut_edge(a: np.ndarray, b: np.ndarray, plane: np.ndarray, offset: float) -> np.ndarray:
    """Where an edge meets a plane, the same numbers whichever end comes first."""
    if tuple(b) < tuple(a):
        a, b = b, a
    da, db = plane @ a + offset, plane @ b + offset
    return np.asarray(a + (da / (da - db)) * (b - a))
