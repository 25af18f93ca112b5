"""The bodies of a scene by rank, whatever the view: where they are, and what the kernels know of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from xsim.backend import Backend
from xsim.geometry import View, turned
from xsim.kernel_arguments import SOLID, SURFACE, address
from xsim.mesh import Mesh
from xsim.primitive import Solid
from xsim.volume import Densities, Labels, Volume

__all__ = ["Placement", "place_bodies", "stand_alone"]

SIGNS = np.stack(np.meshgrid([-1, 1], [-1, 1], [-1, 1]), axis=-1).reshape(8, 3)
POINTERS = (("vertices", 0), ("faces", 1), ("planes", 1), ("normals", 2), ("offsets", 3), ("spheres", 4))


@dataclass(frozen=True, eq=False)
class Placement:
    """Bodies in ascending rank, and their parts and surfaces as far as no view is needed.

    Attributes
    ----------
    rotations : float64 [rank, 3, 3]
        Body to world.
    positions_mm : float64 [rank, 3]
    corners_mm : float64 [box, 8, 3]
        World corners of boxes around the parts of solids and around meshes, by rank.
    corner_ranks : int64 [box]
    solids : SOLID [part]
        Size, kind, hole and body.
    centres_mm : float64 [part, 3]
        Of the parts, in their bodies' frames.
    surfaces : SURFACE [surface]
        Pointers, counts and body.
    meshes : list of Mesh
        Of the surfaces.
    volumes : list of (rank, Volume, Labels or Densities)
    held : list
        Arrays the records point to.
    """

    rotations: np.ndarray
    positions_mm: np.ndarray
    corners_mm: np.ndarray
    corner_ranks: np.ndarray
    solids: np.ndarray
    centres_mm: np.ndarray
    surfaces: np.ndarray
    meshes: list[Mesh]
    volumes: list[tuple[int, Volume, Labels | Densities]]
    held: list[Any]

    @property
    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """Lowest and highest corner of each body, float64 [rank, 3] mm."""
        first = np.searchsorted(self.corner_ranks, np.arange(len(self.positions_mm)))
        return (
            np.minimum.reduceat(self.corners_mm.min(axis=1), first),
            np.maximum.reduceat(self.corners_mm.max(axis=1), first),
        )

    def middles(self, view: View) -> tuple[np.ndarray, np.ndarray]:
        """Fractions of the way to the detector between which each body lies, float64 [rank] twice."""
        fractions = np.clip(view.project(self.corners_mm)[..., 0], view.near_fraction, 1.0)
        first = np.searchsorted(self.corner_ranks, np.arange(len(self.positions_mm)))
        return np.minimum.reduceat(fractions.min(axis=1), first), np.maximum.reduceat(fractions.max(axis=1), first)


def place_bodies(
    shapes: Sequence[Solid | Mesh | tuple[Volume, Labels | Densities]],
    rotations: np.ndarray,
    positions_mm: np.ndarray,
    backend: Backend,
) -> Placement:
    """Bodies in ascending rank at their poses, rotations [rank, 3, 3] and positions [rank, 3].

    A volume comes with what its values mean.
    """
    parts = [(rank, part) for rank, shape in enumerate(shapes) if isinstance(shape, Solid) for part in shape.parts()]
    solids = np.zeros(len(parts), SOLID)
    centres = np.array([part.centre_mm for _, part in parts]).reshape(-1, 3)
    solids["size"] = np.array([part.half_mm for _, part in parts]).reshape(-1, 3)
    solids["kind"], solids["hole"] = [part.kind for _, part in parts], [part.hole for _, part in parts]
    solids["body"] = [rank for rank, _ in parts]
    ranks = [rank for rank, shape in enumerate(shapes) if isinstance(shape, Mesh)]
    meshes = [shape for shape in shapes if isinstance(shape, Mesh)]
    surfaces, held = surface_table(meshes, backend)
    surfaces["body"] = ranks
    volumes = [(rank, *shape) for rank, shape in enumerate(shapes) if isinstance(shape, tuple)]
    corners = [mesh.corners for mesh in meshes] + [volume.corners for _, volume, _ in volumes]
    hulls = np.array(corners).reshape(-1, 8, 3)
    boxes = [centres[:, None] + SIGNS * solids["size"][:, None], hulls]
    of_rank = np.concatenate([solids["body"], [*ranks, *(rank for rank, *_ in volumes)]]).astype(np.int64)
    order = np.argsort(of_rank, kind="stable")
    of_rank, local = of_rank[order], np.concatenate(boxes)[order]
    world = turned(local, rotations.swapaxes(1, 2)[of_rank][:, None]) + positions_mm[of_rank][:, None]
    return Placement(rotations, positions_mm, world, of_rank, solids, centres, surfaces, meshes, volumes, held)


def surface_table(meshes: Sequence[Mesh], backend: Backend) -> tuple[np.ndarray, list[Any]]:
    """Records that point to vertices and clusters; a mesh is in the backend's memory once."""
    table = np.zeros(len(meshes), SURFACE)
    held: dict[Mesh, tuple[Any, ...]] = {}
    for mesh in meshes:
        if mesh not in held:
            own = mesh.clusters
            arrays = (mesh.vertices, own.faces, own.normals, own.offsets, own.spheres)
            held[mesh] = tuple(backend.constant(array) for array in arrays)
    addresses = {mesh: [address(array) for array in arrays] for mesh, arrays in held.items()}
    for field, place in POINTERS:
        table[field] = [addresses[mesh][place] for mesh in meshes]
    table["vertex_count"] = [len(mesh.vertices) for mesh in meshes]
    return table, list(held.values())


def stand_alone(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Whether each of some boxes, corners [box, 3], meets no other; bool [box].

    Sorted along x, a box can only meet those that begin before it ends.
    """
    order = np.argsort(low[:, 0], kind="stable")
    low, high = low[order], high[order]
    ends = np.searchsorted(low[:, 0], high[:, 0], side="right")
    alone = np.ones(len(low), bool)
    for k, end in enumerate(ends):
        others = slice(k + 1, end)
        meets = ((low[others, 1:] <= high[k, 1:]) & (high[others, 1:] >= low[k, 1:])).all(axis=1)
        if meets.any():
            alone[k] = False
            alone[others] &= ~meets
    result = np.empty_like(alone)
    result[order] = alone
    return result
