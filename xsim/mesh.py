"""Closed triangle meshes from files or memory: read, put into mm, checked."""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal
from weakref import WeakKeyDictionary

import numpy as np
from pydantic import ConfigDict, Field, ValidationError, field_serializer, field_validator

from xsim import shell
from xsim.cluster import Clusters, by_neighbourhood, cluster_faces
from xsim.errors import MeshError
from xsim.mesh_array import MeshArray, mesh_array
from xsim.mesh_repair import repair_surface
from xsim.primitive import BodyBase
from xsim.units import MM_PER_LENGTH_UNIT

__all__ = ["Mesh", "MeshBody", "mesh_parts", "read_mesh", "split_bodies", "surface_of"]

FORMATS = (".stl", ".obj", ".ply", ".3mf")


class MeshBody(BodyBase):
    """A body whose surface comes from a file, or in Python from memory.

    ``mesh`` names the file, or is a ``trimesh.Trimesh`` or (vertices, faces) in mm. ``mesh_unit`` is required where
    the file carries no unit (STL, OBJ, PLY). ``allow_open`` simulates a surface that is open or flipped on some rays;
    those rays are marked invalid. ``repair`` closes and turns it instead, and warns of what that took. ``part`` takes
    one body of a file that holds several, counted from 1 in the order of their first
    triangles.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)

    mesh: str | MeshArray
    mesh_unit: Literal["um", "mm", "cm", "m", "in", "inch"] | None = None
    allow_open: bool = False
    repair: bool = False
    part: Annotated[int, Field(strict=True, ge=1)] | None = None

    @field_validator("mesh", mode="before")
    @classmethod
    def _of_memory(cls, mesh: Any) -> str | MeshArray:
        return mesh if isinstance(mesh, str) else mesh_array(mesh)

    @field_serializer("mesh", when_used="json")
    def _name_of_mesh(self, mesh: str | MeshArray) -> str:
        return mesh if isinstance(mesh, str) else f"{mesh.title}, sha256 {mesh.sha256}"

    @property
    def title(self) -> str:
        """Its file's name, or what there is in memory."""
        return self.mesh if isinstance(self.mesh, str) else self.mesh.title

    @property
    def file_name(self) -> str:
        """Its mesh file, and which part of it: "assembly.stl/3"."""
        return self.title if self.part is None else f"{self.title}/{self.part}"


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
    repaired : str
        What was done to it, where that was asked for and needed.
    file_order : int32 [triangle] or None
        Place of each triangle in the file; None where they are in its order.

    """

    vertices: np.ndarray
    faces: np.ndarray
    sha256: str
    repaired: str = ""
    file_order: np.ndarray | None = None

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
        """Whether a point of its frame lies inside."""
        return shell.contains(self.vertices, self.faces, point_mm)


def surface_of(body: MeshBody, directory: Path) -> Mesh:
    """Surface of a mesh body in its own frame.

    Raises
    ------
    MeshError
        As ``read_mesh``, or the file has no such part.

    """
    mesh = whole_surface(body, directory)
    if body.part is None:
        return mesh
    parts = mesh_parts(mesh)
    if body.part > len(parts):
        raise MeshError(f"mesh {body.title} has no part {body.part} (it holds {len(parts)}) use 1 to {len(parts)}")
    return parts[body.part - 1]


def whole_surface(body: MeshBody, directory: Path) -> Mesh:
    """Surface of all that a body's file or arrays hold; arrays are not kept beyond their scene."""
    if isinstance(body.mesh, str):
        return read_mesh(directory / body.mesh, body.mesh_unit, body.repair)
    given, unit = body.mesh, MM_PER_LENGTH_UNIT[body.mesh_unit or "mm"]
    return mesh_of_triangles(given.vertices * unit, given.faces, given.title, given.sha256, body.repair)


#: Bodies that a mesh holds; forgotten with the mesh.
_PARTS: WeakKeyDictionary[Mesh, tuple[Mesh, ...]] = WeakKeyDictionary()


def mesh_parts(mesh: Mesh) -> tuple[Mesh, ...]:
    """The bodies that a mesh holds, in the order of their first triangles; voids belong to the body around them."""
    if mesh not in _PARTS:
        place = shell.bodies(mesh.vertices, mesh.faces)
        order = np.argsort(place, kind="stable")
        groups = np.split(order, np.searchsorted(place[order], np.arange(1, int(place.max()) + 1)))
        if mesh.file_order is not None:
            in_file = mesh.file_order
            groups.sort(key=lambda group: int(in_file[group].min()))
        _PARTS[mesh] = tuple(part_of(mesh, mesh.faces[group]) for group in groups)
    return _PARTS[mesh]


def part_of(mesh: Mesh, faces: np.ndarray) -> Mesh:
    """Some triangles of a mesh, with the corners that they use."""
    used, corner = np.unique(faces, return_inverse=True)
    surface = by_first_use(mesh.vertices[used], corner.reshape(faces.shape).astype(np.int32))
    return Mesh(*frozen(*surface), mesh.sha256, mesh.repaired)


def split_bodies(data: dict[str, Any], directory: Path) -> dict[str, Any]:
    """The [[body]] tables of a scene, each with ``split = true`` replaced by one of every part of its file."""
    tables = data.get("body")
    if not isinstance(tables, (list, tuple)) or not any(isinstance(t, dict) and "split" in t for t in tables):
        return {}
    return {"body": [part for table in tables for part in expand_split(table, directory)]}


def expand_split(table: Any, directory: Path) -> list[Any]:
    """Tables of the bodies that a [[body]] with ``split = true`` stands for; any other table alone.

    Raises
    ------
    MeshError
        The file cannot be read.
    ValueError
        ``split`` is no switch, or stands where there is nothing to split.

    """
    if not isinstance(table, dict) or "split" not in table:
        return [table]
    rest = {key: value for key, value in table.items() if key != "split"}
    if not isinstance(table["split"], bool):
        raise ValueError(f"split must be true or false (given: {table['split']!r})")
    if not table["split"]:
        return [rest]
    if "mesh" not in rest or "part" in rest:
        raise ValueError("split = true needs a mesh, and no part (it makes a body of every part) keep one of them")
    try:
        whole = MeshBody.model_validate(rest)
    except ValidationError:
        return [rest]  # told with its place when the scene is read
    count = len(mesh_parts(whole_surface(whole, directory)))
    name = whole.name or whole.title
    return [{**rest, "name": f"{name}/{k}", "part": k} for k in range(1, count + 1)]


def read_mesh(path: Path, unit: str | None, repair: bool = False) -> Mesh:
    """Mesh of a file, in mm; kept while the file does not change.

    Parameters
    ----------
    path : Path
        STL, OBJ, PLY or 3MF.
    unit : str or None
        Length unit of the file; None to take the one it carries.
    repair : bool
        Close and turn the surface; ``Mesh.repaired`` says what that took.

    Raises
    ------
    MeshError
        The file is missing, unreadable, without triangles, without a unit, or beyond repair.

    """
    if not path.is_file():
        raise MeshError(f"mesh {path} not found (no such file) check the path; it is relative to the scene file")
    if path.suffix.lower() not in FORMATS:
        raise MeshError(f"mesh {path.name} not read (format {path.suffix!r}) use one of {', '.join(FORMATS)}")
    stat = path.stat()
    return _read_cached(path, unit, repair, stat.st_mtime_ns, stat.st_size)


@functools.lru_cache(maxsize=32)
def _read_cached(path: Path, unit: str | None, repair: bool, mtime_ns: int, size: int) -> Mesh:
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
    faces, sha256 = np.asarray(surface.faces, np.int32), hashlib.sha256(path.read_bytes()).hexdigest()
    mesh = mesh_of_triangles(vertices, faces, path.name, sha256, repair)
    _ = mesh.clusters
    return mesh


def mesh_of_triangles(vertices: np.ndarray, faces: np.ndarray, name: str, sha256: str, repair: bool) -> Mesh:
    """Mesh of corners [mm] and triangles, in the order in which the kernels take them; mended where asked for."""
    repaired = ""
    if repair:
        vertices, faces, done = repair_surface(vertices, faces, name)
        repaired = str(done)
    order = by_neighbourhood(vertices, faces)
    return Mesh(*frozen(*by_first_use(vertices, faces[order])), sha256, repaired, order.astype(np.int32))


def frozen(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The arrays, which nobody can write to any more."""
    vertices.setflags(write=False)
    faces.setflags(write=False)
    return vertices, faces


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
