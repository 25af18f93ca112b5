"""Triangles as the kernels take them: in groups of neighbours, with what never changes of each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["Clusters", "by_neighbourhood", "cluster_faces", "group_faces"]

CLUSTER = 16  # as in kernels/triangle.h
BLOCK = 512


@dataclass(frozen=True, eq=False)
class Clusters:
    """Triangles in groups of ``CLUSTER`` neighbours, the last one filled up with triangles of one corner.

    Attributes
    ----------
    faces : int32 [cluster, corner, CLUSTER]
    normals : float32 [cluster, axis, CLUSTER]
        Unit; 0 where a triangle has no area.
    offsets : float64 [cluster, CLUSTER]
        Normal . corner [mm].
    spheres : float32 [cluster, 4]
        Centre and radius of a ball that holds the group [mm].
    """

    faces: np.ndarray
    normals: np.ndarray
    offsets: np.ndarray
    spheres: np.ndarray


def group_faces(faces: np.ndarray) -> np.ndarray:
    """Triangles [triangle, 3], in their order, in groups: int32 [cluster, corner, CLUSTER]."""
    filler = np.full((-len(faces) % CLUSTER, 3), faces[-1, 0] if len(faces) else 0)
    groups = np.concatenate([faces, filler]).astype(np.int32).reshape(-1, CLUSTER, 3)
    return np.ascontiguousarray(groups.transpose(0, 2, 1))


def cluster_faces(vertices: np.ndarray, faces: np.ndarray) -> Clusters:
    """Triangles [triangle, 3], in their order, as the kernels take them."""
    groups = group_faces(faces)
    spheres, normals = np.empty((len(groups), 4), np.float32), np.empty(groups.shape, np.float32)
    offsets = np.empty((len(groups), CLUSTER))
    for begin in range(0, len(groups), 4096):  # small enough for the cache
        some = slice(begin, begin + 4096)
        corners = vertices[groups[some]]  # [cluster, corner, CLUSTER, axis]
        centre = (0.5 * (corners.min(axis=(1, 2)) + corners.max(axis=(1, 2)))).astype(np.float32)
        radius = np.sqrt(((corners - centre[:, None, None]) ** 2).sum(axis=3).max(axis=(1, 2)))
        spheres[some] = np.column_stack([centre, radius * (1 + 1e-6)])
        normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        length = np.linalg.norm(normal, axis=2, keepdims=True)
        normals[some] = (normal / np.where(length > 0, length, 1.0)).transpose(0, 2, 1)
        offsets[some] = (normals[some].transpose(0, 2, 1) * corners[:, 0]).sum(axis=2)
    return Clusters(groups, normals, offsets, spheres)


def by_neighbourhood(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """An order of faces, int64, in which every ``CLUSTER`` are neighbours: leaves of a k-d tree of their middles."""
    middles = vertices[faces].sum(axis=1).astype(np.float32)
    order = np.arange(len(faces))
    pending = [(0, len(faces))]
    while pending:  # down to blocks, one at a time
        begin, end = pending.pop()
        if end - begin <= BLOCK:
            continue
        some = order[begin:end]
        points = middles[some]
        half = (end - begin + BLOCK) // (2 * BLOCK) * BLOCK
        order[begin:end] = some[halves(points[:, widest(points)], half)]
        pending += [(begin, begin + half), (begin + half, end)]
    full = len(faces) // BLOCK * BLOCK  # from there on, all blocks at once; what is left over is one block
    for some in (order[:full].reshape(-1, BLOCK), order[full:].reshape(1, -1)):
        split_blocks(middles, some)
    return order


def halves(values: np.ndarray, half: int) -> np.ndarray:
    """An order of values in which none of the first ``half`` is above any of the rest, int64.

    Each part keeps its order: where NumPy's own partition puts equals depends on the processor.
    """
    middle = np.partition(values, half)[half]
    return np.concatenate([np.flatnonzero(part) for part in (values < middle, values == middle, values > middle)])


def split_blocks(middles: np.ndarray, order: np.ndarray) -> None:
    """Sort blocks of faces, int64 [block, face], by halves: each along the way it is widest, down to ``CLUSTER``."""
    size = order.shape[1]
    while size > CLUSTER:
        whole = order.shape[1] // size * size
        groups = order[:, :whole].reshape(-1, size)
        for begin in range(0, len(groups), 4096):
            some = groups[begin : begin + 4096]
            points = middles[some]
            along = np.take_along_axis(points, widest(points)[:, None, None], axis=2)[..., 0]
            groups[begin : begin + 4096] = np.take_along_axis(some, np.argsort(along, axis=1, kind="stable"), axis=1)
        order[:, :whole] = groups.reshape(len(order), whole)
        size //= 2


def widest(points: np.ndarray) -> np.ndarray:
    """Axis along which points [..., point, 3] reach furthest."""
    return np.asarray((points.max(axis=-2) - points.min(axis=-2)).argmax(axis=-1))
