"""CAD assemblies: the parts of a STEP file as closed triangle meshes, and where each of them stands.

STEP is read by OpenCASCADE through cascadio (extra ``cad``), which turns the file's unit into the metres of glTF 2.0
(ISO/IEC 12113) and hands over a GLB: a tree of nodes with poses, one mesh per part.
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from xsim.errors import MeshError
from xsim.shell import Edges, signed_volume
from xsim.units import MM_PER_LENGTH_UNIT

__all__ = ["Assembly", "CadPart", "Instance", "assembly_of_glb", "read_step"]

STEP_HEADER = b"ISO-10303-21"
GLB_MAGIC, JSON_CHUNK = b"glTF", 0x4E4F534A
COMPONENTS = {5121: "<u1", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
TRIANGLES = 4
#: How far from a rotation a pose may be: glTF's single precision gives 1e-7.
RIGID = 1e-5


@dataclass(frozen=True)
class CadPart:
    """A part of an assembly.

    Attributes
    ----------
    name : str
    vertices : float64 [vertex, 3] mm
    faces : int32 [triangle, 3]

    """

    name: str
    vertices: np.ndarray
    faces: np.ndarray

    @property
    def volume_mm3(self) -> float:
        """Volume of the facets."""
        return signed_volume(self.vertices, self.faces)

    @property
    def area_mm2(self) -> float:
        """Area of the facets."""
        a, b, c = (self.vertices[self.faces[:, k]] for k in range(3))
        return float(0.5 * np.linalg.norm(np.cross(b - a, c - a), axis=1).sum())


@dataclass(frozen=True)
class Instance:
    """One place where a part stands.

    Attributes
    ----------
    path : tuple of str
        Names down the tree, from the assembly to this.
    part : int
    rotation : float64 [3, 3]
    position_mm : float64 [3]

    """

    path: tuple[str, ...]
    part: int
    rotation: np.ndarray
    position_mm: np.ndarray


@dataclass(frozen=True)
class Assembly:
    """Parts and where they stand."""

    parts: tuple[CadPart, ...]
    instances: tuple[Instance, ...]

    def bounds(self, turn: np.ndarray) -> np.ndarray:
        """Box around all instances after a rotation, float64 [2, 3] mm."""
        places = [(self.parts[i.part].vertices @ i.rotation.T + i.position_mm) @ turn.T for i in self.instances]
        boxes = np.array([(p.min(axis=0), p.max(axis=0)) for p in places])
        return np.array([boxes[:, 0].min(axis=0), boxes[:, 1].max(axis=0)])


def read_step(path: Path, chord_mm: float) -> Assembly:
    """Assembly of a STEP file.

    Parameters
    ----------
    path : Path
    chord_mm : float
        Greatest distance of a facet from the true surface.

    Raises
    ------
    MeshError
        The file is missing, no STEP, or a part in it is no closed body.
    ModuleNotFoundError
        The extra ``cad`` is not installed.

    """
    import cascadio

    try:
        data = path.read_bytes()
    except OSError as error:
        raise MeshError(f"{path} not read ({error.strerror or error}) check the path") from error
    if not data.lstrip().startswith(STEP_HEADER):
        raise MeshError(f"{path} is no STEP file (no {STEP_HEADER.decode()} at its beginning) export the part as STEP")
    with quiet():
        glb = cascadio.to_glb_bytes(data, tol_linear=chord_mm)
    if not glb:
        raise MeshError(f"{path} not read (OpenCASCADE finds no part in it) export it again as AP214 or AP242")
    return assembly_of_glb(glb, path.name)


@contextmanager
def quiet() -> Iterator[None]:
    """OpenCASCADE writes to the process's own output: nowhere."""
    kept = [os.dup(1), os.dup(2)]
    with Path(os.devnull).open("w") as nowhere:
        try:
            for stream in (1, 2):
                os.dup2(nowhere.fileno(), stream)
            yield
        finally:
            for stream, own in zip((1, 2), kept, strict=True):
                os.dup2(own, stream)
                os.close(own)


def assembly_of_glb(data: bytes, name: str) -> Assembly:
    """Assembly of a binary glTF file; parts that several nodes show are one.

    A pose that mirrors or scales makes a part of its own, its vertices so changed.

    Raises
    ------
    MeshError
        It is no such file, or a part is not closed.

    """
    if len(data) < 20 or data[:4] != GLB_MAGIC or struct.unpack("<I", data[16:20])[0] != JSON_CHUNK:
        raise MeshError(f"{name} not read (no binary glTF) export it again")
    length = struct.unpack("<I", data[12:16])[0]
    tree, blob = json.loads(data[20 : 20 + length]), data[28 + length :]
    parts: dict[tuple[object, ...], CadPart] = {}
    instances: list[Instance] = []
    for path, matrix, mesh in walk(tree, tree["scenes"][tree.get("scene", 0)]["nodes"], (), np.eye(4)):
        turn, change = rigid_part(matrix[:3, :3])
        key = (*mesh_key(mesh), *np.round(change, 9).ravel())
        if key not in parts:
            vertices, faces = surface(tree, blob, mesh)
            if np.linalg.det(change) < 0:
                faces = np.ascontiguousarray(faces[:, ::-1])
            parts[key] = closed_part(mesh.get("name") or path[-1], vertices @ change.T, faces, name)
        place = matrix[:3, 3] * MM_PER_LENGTH_UNIT["m"]
        instances.append(Instance(path, list(parts).index(key), turn, place))
    if not instances:
        raise MeshError(f"{name} holds no part (nothing in it has a surface) export the solids")
    return Assembly(tuple(parts.values()), tuple(instances))


def walk(
    tree: dict[str, Any], nodes: list[int], above: tuple[str, ...], pose: np.ndarray
) -> Iterator[tuple[tuple[str, ...], np.ndarray, dict[str, Any]]]:
    """Every node that shows a mesh: its path of names, its pose float64 [4, 4] in metres, the mesh."""
    for number in nodes:
        node = tree["nodes"][number]
        path, own = (*above, node.get("name") or f"node {number}"), pose @ local_pose(node)
        if "mesh" in node:
            yield path, own, tree["meshes"][node["mesh"]]
        yield from walk(tree, node.get("children", []), path, own)


def local_pose(node: dict[str, Any]) -> np.ndarray:
    """Pose of a node in its parent, float64 [4, 4]: a matrix by columns, or scale, then rotation, then translation."""
    if "matrix" in node:
        return np.array(node["matrix"], np.float64).reshape(4, 4).T
    x, y, z, w = node.get("rotation", (0.0, 0.0, 0.0, 1.0))
    pose = np.eye(4)
    turn = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    pose[:3, :3] = np.array(turn) * np.asarray(node.get("scale", (1.0, 1.0, 1.0)))
    pose[:3, 3] = node.get("translation", (0.0, 0.0, 0.0))
    return pose


def rigid_part(linear: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A pose as rotation times change of shape, both float64 [3, 3]; the change is the unit matrix for a rigid one."""
    left, scale, right = np.linalg.svd(linear)
    turn = left @ right
    if np.abs(scale - 1).max() < RIGID and np.linalg.det(turn) > 0:
        return turn, np.eye(3)
    return np.eye(3), linear


def mesh_key(mesh: dict[str, Any]) -> tuple[object, ...]:
    """What a mesh is made of: instances of one part share their numbers."""
    return tuple(
        part for p in mesh["primitives"] for part in (p["attributes"]["POSITION"], p.get("indices"), mesh.get("name"))
    )


def surface(tree: dict[str, Any], blob: bytes, mesh: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Vertices [mm] and triangles of a mesh, corners at one place made one."""
    points, corners, count = [], [], 0
    for primitive in mesh["primitives"]:
        if primitive.get("mode", TRIANGLES) != TRIANGLES:
            continue
        own = accessor(tree, blob, primitive["attributes"]["POSITION"])
        used = accessor(tree, blob, primitive["indices"]) if "indices" in primitive else np.arange(len(own))
        points.append(own)
        corners.append(used.reshape(-1, 3).astype(np.int64) + count)
        count += len(own)
    vertices, place = np.unique(np.concatenate(points), axis=0, return_inverse=True)
    faces = place.reshape(-1)[np.concatenate(corners)]
    faces = faces[(faces != np.roll(faces, 1, axis=1)).all(axis=1)]
    return vertices.astype(np.float64) * MM_PER_LENGTH_UNIT["m"], faces.astype(np.int32)


def accessor(tree: dict[str, Any], blob: bytes, number: int) -> np.ndarray:
    """Numbers of a glTF accessor, packed: [item, 3] for vectors, [item] for scalars."""
    entry = tree["accessors"][number]
    view = tree["bufferViews"][entry["bufferView"]]
    width = {"VEC3": 3, "SCALAR": 1}[entry["type"]]
    start = view.get("byteOffset", 0) + entry.get("byteOffset", 0)
    values = np.frombuffer(blob, COMPONENTS[entry["componentType"]], entry["count"] * width, start)
    return values.reshape(-1, 3) if width == 3 else values


def closed_part(part: str, vertices: np.ndarray, faces: np.ndarray, file: str) -> CadPart:
    """The part, if its facets close."""
    open_edges = int((Edges.of(faces).imbalance() != 0).sum())
    found = CadPart(part, vertices, faces)
    if open_edges or not len(faces) or found.volume_mm3 <= 0:
        why = f"{open_edges} open edges" if open_edges else "it encloses no volume"
        raise MeshError(f"part {part!r} of {file} is no closed body ({why}) sew it to a solid in the CAD system")
    return found
