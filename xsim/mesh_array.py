"""Closed triangle meshes that are in memory: what is given as one, checked and counted in mm."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["MeshArray", "mesh_array"]


@dataclass(frozen=True, eq=False)
class MeshArray:
    """Triangles of one body, as a program gives them.

    Attributes
    ----------
    vertices : float64 [vertex, 3]
        In mm, but for a body's ``mesh_unit``.
    faces : int32 [triangle, 3]
        Corners, counter-clockwise seen from outside.
    """

    vertices: np.ndarray
    faces: np.ndarray

    @property
    def sha256(self) -> str:
        """Of its corners and triangles."""
        digest = hashlib.sha256(np.ascontiguousarray(self.vertices).tobytes())
        digest.update(np.ascontiguousarray(self.faces).tobytes())
        return digest.hexdigest()

    @property
    def title(self) -> str:
        """What messages call it."""
        return f"mesh of {len(self.faces)} triangles"


def mesh_array(given: Any) -> MeshArray:
    """A mesh of what has ``vertices`` and ``faces`` (``trimesh.Trimesh``), or of a pair of arrays.

    Raises
    ------
    ValueError
        It is neither, has no triangle, a corner that is no number, or a triangle without its corners.

    """
    if isinstance(given, MeshArray):
        return given
    if isinstance(given, (tuple, list)) and len(given) == 2:
        vertices, faces = given
    elif hasattr(given, "vertices") and hasattr(given, "faces"):
        vertices, faces = given.vertices, given.faces
    else:
        raise ValueError(
            f"mesh is neither a file nor triangles (a {type(given).__name__}) give a name, a trimesh.Trimesh "
            "or (vertices, faces)"
        )
    return _checked(vertices, faces)


def _checked(vertices: Any, faces: Any) -> MeshArray:
    try:
        corners, triangles = np.array(vertices, np.float64), np.asarray(faces)
    except (TypeError, ValueError):
        raise ValueError("mesh vertices or faces are no arrays of numbers (given in memory) mend them") from None
    if corners.ndim != 2 or corners.shape[1] != 3 or triangles.ndim != 2 or triangles.shape[1] != 3:
        raise ValueError(
            f"mesh arrays have the shapes {list(corners.shape)} and {list(triangles.shape)} "
            "(vertices and faces have three columns) give [vertex, 3] and [triangle, 3]"
        )
    if not len(triangles):
        raise ValueError("mesh is empty (no triangle in it) give one body at least")
    if not np.isfinite(corners).all():
        raise ValueError("mesh has corners that are no numbers (NaN or infinite) mend them")
    if triangles.dtype.kind not in "iu" or triangles.min() < 0 or triangles.max() >= len(corners):
        raise ValueError(f"mesh faces do not count its {len(corners)} vertices (whole numbers from 0) mend them")
    return MeshArray(corners, triangles.astype(np.int32))
