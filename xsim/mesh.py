"""Closed triangle meshes from files: read, put into mm, checked."""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from xsim.errors import MeshError
from xsim.primitive import BodyBase
from xsim.units import MM_PER_LENGTH_UNIT

__all__ = ["Mesh", "MeshBody", "read_mesh"]

CLUSTER = 16  # as in kernels/triangle.h
BLOCK = 512
FORMATS = (".stl", ".obj", ".ply", ".3mf")


class MeshBody(BodyBase):
    """A body whose surface comes from a file.

    ``mesh_unit`` is required where the file carries no unit (STL, OBJ, PLY). ``allow_open`` simulates a surface that is
    open or flipped on some rays; those rays are marked invalid.
    """

    mesh: str
    mesh_unit: Literal["um", "mm", "cm", "m", "in", "inch"] | None = None
    allow_open: bool = False


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


@dataclass(frozen=True, eq=False)
class Mesh:
    """Triangles of one body.

    Attributes
    ----------
    vertices : float64 [vertex, 3] mm
    faces : int32 [triangle, 3]
        Corners, counter-clockwise seen from outside.
    sha256 : str
        Of the file.

    """

    vertices: np.ndarray
    faces: np.ndarray
    sha256: str

    @functools.cached_property
    def clusters(self) -> Clusters:
        """Its triangles as the kernels take them."""
        return cluster_faces(self.vertices, self.faces)

    @functools.cached_property
    def corners(self) -> np.ndarray:
        """Corners of the box around it, float64 [8, 3] mm."""
        low, high = self.vertices.min(axis=0), self.vertices.max(axis=0)
        return np.asarray(np.where(np.array(list(np.ndindex(2, 2, 2))), high, low))

    def contains(self, point_mm: np.ndarray) -> bool:
        """Whether a point lies inside: the solid angle of a closed surface around it is 4 pi."""
        a, b, c = (self.vertices[self.faces[:, k]] - point_mm for k in range(3))
        la, lb, lc = (np.linalg.norm(v, axis=1) for v in (a, b, c))
        volume = np.einsum("ij,ij->i", a, np.cross(b, c))
        dots = (np.einsum("ij,ij->i", u, v) for u, v in ((a, b), (b, c), (c, a)))
        ab, bc, ca = dots
        angle = 2.0 * np.arctan2(volume, la * lb * lc + ab * lc + bc * la + ca * lb)
        return bool(abs(angle.sum()) > 2.0 * np.pi)


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
    """Faces in an order in which every ``CLUSTER`` of them are neighbours: leaves of a k-d tree of their middles."""
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
        order[begin:end] = some[np.argpartition(points[:, widest(points)], half)]
        pending += [(begin, begin + half), (begin + half, end)]
    full = len(faces) // BLOCK * BLOCK  # from there on, all blocks at once; what is left over is one block
    for some in (order[:full].reshape(-1, BLOCK), order[full:].reshape(1, -1)):
        split_blocks(middles, some)
    return np.asarray(faces[order])


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


def read_mesh(path: Path, unit: str | None) -> Mesh:
    """Mesh of a file, in mm; kept while the file does not change.

    Parameters
    ----------
    path : Path
        STL, OBJ, PLY or 3MF.
    unit : str or None
        Length unit of the file; None to take the one it carries.

    Raises
    ------
    MeshError
        The file is missing, unreadable, without triangles, or without a unit.

    """
    if not path.is_file():
        raise MeshError(f"mesh {path} not found (no such file) check the path; it is relative to the scene file")
    if path.suffix.lower() not in FORMATS:
        raise MeshError(f"mesh {path.name} not read (format {path.suffix!r}) use one of {', '.join(FORMATS)}")
    stat = path.stat()
    return _read_cached(path, unit, stat.st_mtime_ns, stat.st_size)


@functools.lru_cache(maxsize=32)
def _read_cached(path: Path, unit: str | None, mtime_ns: int, size: int) -> Mesh:
    surface = _load_surface(path)
    unit = unit or _known_unit(surface.units)
    if unit is None:
        raise MeshError(
            f"mesh {path.name} has no unit ({path.suffix[1:].upper()} files carry none) "
            'add mesh_unit = "mm" (or um, cm, m, in) to the body'
        )
    vertices = np.asarray(surface.vertices, np.float64) * MM_PER_LENGTH_UNIT[unit]
    if not np.isfinite(vertices).all():
        raise MeshError(f"mesh {path.name} has corners that are no numbers (NaN or infinite) export it again")
    vertices, faces = by_first_use(vertices, by_neighbourhood(vertices, np.asarray(surface.faces, np.int32)))
    vertices.setflags(write=False)
    faces.setflags(write=False)
    mesh = Mesh(vertices, faces, hashlib.sha256(path.read_bytes()).hexdigest())
    _ = mesh.clusters
    return mesh


def by_first_use(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Corners in the order in which the triangles first use them: neighbours in space are neighbours in memory."""
    corners = faces.ravel()
    first = np.full(len(vertices), corners.size, np.int64)
    first[corners[::-1]] = np.arange(corners.size - 1, -1, -1)  # the earliest use is written last
    order = np.argsort(first, kind="stable")[: int((first < corners.size).sum())]
    place = np.empty(len(vertices), np.int32)
    place[order] = np.arange(len(order), dtype=np.int32)
    return np.ascontiguousarray(vertices[order]), place[faces]


def _load_surface(path: Path) -> Any:
    import trimesh

    try:
        surface: Any = trimesh.load_mesh(path, process=True, skip_materials=True)
    except Exception as error:  # trimesh raises whatever its parsers raise
        reason = " ".join(str(error).split()) or type(error).__name__
        raise MeshError(f"mesh {path.name} not read ({reason}) check the file") from error
    if len(getattr(surface, "faces", ())) == 0:
        raise MeshError(f"mesh {path.name} is empty (no triangle in it) export the part as triangles")
    return surface


def _known_unit(name: str | None) -> str | None:
    """Our name of the unit a 3MF file states in words."""
    words = {"micron": "um", "millimeter": "mm", "centimeter": "cm", "meter": "m", "inch": "in", "foot": "ft"}
    singular = {"inches": "inch", "feet": "foot"}.get(name or "", (name or "").removesuffix("s"))
    return words.get(singular, name if name in MM_PER_LENGTH_UNIT else None)
