"""Repair of a triangle mesh: weld, drop, turn, fill; each step counted, and refused where the surface stays open."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from xsim.errors import MeshError
from xsim.shell import Edges, join_faces, shell_parents, shell_volumes, shells, signed_volume

__all__ = ["Repair", "repair_surface"]

#: Open edges this near each other, as a share of the mesh's size, are taken for one.
WELD_SHARE = 1e-5
#: Loops with more corners than this are closed by a fan around their middle: the best triangles take n^3 steps.
LONGEST_LOOP = 400
#: A shell whose volume is below this share of its box's is a sheet, no body.
FLAT_SHARE = 1e-6


@dataclass
class Repair:
    """What was done to a mesh.

    Attributes
    ----------
    welded : int
        Corners moved onto another.
    dropped : int
        Triangles without area, doubled, or of shells that enclose nothing.
    turned : int
        Triangles whose winding was reversed.
    filled : int
        Holes closed, with triangles of ``filled_mm2`` in all.
    volume_before_mm3, volume_after_mm3 : float
        The first has no meaning where the surface was open.

    """

    welded: int = 0
    dropped: int = 0
    turned: int = 0
    filled: int = 0
    filled_mm2: float = 0.0
    volume_before_mm3: float = 0.0
    volume_after_mm3: float = 0.0

    def __str__(self) -> str:
        """What was done, in words; empty where nothing was."""
        steps = [
            f"{number} {what}"
            for number, what in (
                (self.welded, "corners welded"),
                (self.dropped, "triangles dropped"),
                (self.turned, "triangles turned"),
                (self.filled, f"holes filled with {self.filled_mm2:.4g} mm2"),
            )
            if number
        ]
        volumes = f"volume {self.volume_before_mm3:.6g} mm3 before, {self.volume_after_mm3:.6g} mm3 after"
        return f"{', '.join(steps)}; {volumes}" if steps else ""


def repair_surface(vertices: np.ndarray, faces: np.ndarray, name: str) -> tuple[np.ndarray, np.ndarray, Repair]:
    """Close a surface and turn its triangles outwards.

    Parameters
    ----------
    vertices : float64 [vertex, 3] mm
    faces : int32 [triangle, 3]
    name : str
        Of the mesh, for messages.

    Returns
    -------
    vertices, faces, Repair

    Raises
    ------
    MeshError
        The surface has but one side, holes larger than itself, or is still open.

    """
    done = Repair(volume_before_mm3=signed_volume(vertices, faces))
    count = len(faces)
    faces = without_doubles(faces)
    if Edges.of(faces).imbalance().any():
        faces, done.welded = weld(vertices, faces)
    done.dropped = count - len(faces)
    faces, turned = turn_alike(vertices, faces, name)
    vertices, faces, is_new = fill_holes(vertices, faces, done, name)
    faces, outward = turn_outwards(vertices, faces)
    done.turned = int((outward[~is_new] ^ turned).sum())
    flat = flat_shells(vertices, faces)
    done.dropped += int((flat & ~is_new).sum())
    faces = faces[~flat]
    if not len(faces) or Edges.of(faces).imbalance().any():
        raise MeshError(f"mesh {name} cannot be repaired (nothing closed is left of it) export the part again")
    done.volume_after_mm3 = signed_volume(vertices, faces)
    return vertices, faces.astype(np.int32), done


def without_doubles(faces: np.ndarray) -> np.ndarray:
    """Triangles with three corners, each once: turned the same way it is a copy, the other way it is another's."""
    real = (faces != np.roll(faces, 1, axis=1)).all(axis=1)
    faces = faces[real]
    lead = np.argmin(faces, axis=1)[:, None]
    turned = np.take_along_axis(faces, (lead + np.arange(3)) % 3, axis=1)
    _, first = np.unique(turned, axis=0, return_index=True)
    return np.asarray(faces[np.sort(first)])


def weld(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, int]:
    """Triangles after corners along open edges are joined to their nearest, and how many corners were."""
    import manifold3d

    size = float(np.ptp(vertices, axis=0).max())
    near = manifold3d.Mesh(
        vert_properties=np.ascontiguousarray(vertices - vertices.mean(axis=0), np.float32),
        tri_verts=np.ascontiguousarray(faces, np.uint32), tolerance=WELD_SHARE * size,
    )  # fmt: skip
    near.merge()
    target = np.arange(len(vertices))
    target[np.asarray(near.merge_from_vert, np.int64)] = np.asarray(near.merge_to_vert, np.int64)
    while (target != target[target]).any():
        target = target[target]
    moved = np.unique(faces[target[faces] != faces])
    return without_doubles(target[faces].astype(faces.dtype)), len(moved)


def turn_alike(vertices: np.ndarray, faces: np.ndarray, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Triangles that wind as their neighbours do, and which were turned: the fewer of each shell.

    Each triangle stands twice in a graph, as it is and turned. Two that hang together are linked as they agree, so
    that a shell with two sides makes two components, one the other turned.
    """
    edges = Edges.of(faces)
    pairs = join_faces(vertices, edges)
    pairs = pairs[np.repeat(np.diff(edges.start) == 2, np.diff(edges.start))[pairs[:, 0]]]
    one, other = edges.face[pairs].T
    clash = edges.forward[pairs[:, 0]] == edges.forward[pairs[:, 1]]
    n = len(faces)
    begin = np.concatenate([one, one + n])
    end = np.concatenate([other + n * clash, other + n * ~clash])
    links = coo_array((np.ones(len(begin), bool), (begin, end)), shape=(2 * n, 2 * n))
    kept, reversed_ = connected_components(links, directed=False)[1].reshape(2, n)
    if (kept == reversed_).any():
        raise MeshError(f"mesh {name} cannot be repaired (its surface has but one side) export the part again")
    votes = np.bincount(kept, minlength=2 * n)
    turned = (votes[reversed_] > votes[kept]) | ((votes[reversed_] == votes[kept]) & (reversed_ < kept))
    return np.where(turned[:, None], faces[:, ::-1], faces), turned


def turn_outwards(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Triangles of shells that face outwards, or inwards where they are voids, and which were turned.

    A shell in no other must enclose a positive volume. One that lies in another is turned with it.
    """
    shell = shells(vertices, faces)
    volume, parent = shell_volumes(vertices, faces, shell), shell_parents(vertices, faces, shell)
    root = np.where(parent >= 0, parent, np.arange(len(parent)))
    while (root != root[root]).any():
        root = root[root]
    turned = np.asarray((volume < 0)[root][shell])
    return np.where(turned[:, None], faces[:, ::-1], faces), turned


def flat_shells(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Whether a triangle belongs to a shell that encloses nothing."""
    shell = shells(vertices, faces)
    count = int(shell.max()) + 1
    low, high = np.full((count, 3), np.inf), np.full((count, 3), -np.inf)
    np.minimum.at(low, shell, vertices[faces].min(axis=1))
    np.maximum.at(high, shell, vertices[faces].max(axis=1))
    room = np.prod(high - low, axis=1)
    return np.asarray((np.abs(shell_volumes(vertices, faces, shell)) <= FLAT_SHARE * room)[shell])


def fill_holes(
    vertices: np.ndarray, faces: np.ndarray, done: Repair, name: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Vertices and triangles with every hole closed, and which triangles are new."""
    added: list[np.ndarray] = []
    for loop in open_loops(faces):
        if len(loop) <= LONGEST_LOOP:
            added.append(loop[least_area(vertices[loop])])
            continue
        hub = len(vertices)
        vertices = np.concatenate([vertices, vertices[loop].mean(axis=0, keepdims=True)])
        added.append(np.stack([loop, np.roll(loop, -1), np.full(len(loop), hub)], axis=1))
    if not added:
        return vertices, faces, np.zeros(len(faces), bool)
    own, patch = area_mm2(vertices, faces), np.concatenate(added)
    done.filled, done.filled_mm2 = len(added), area_mm2(vertices, patch)
    if done.filled_mm2 >= own:
        raise MeshError(
            f"mesh {name} cannot be repaired (its {len(added)} holes are as large as itself: {done.filled_mm2:.4g} mm2 "
            f"beside {own:.4g} mm2) export the part as a closed body"
        )
    is_new = np.arange(len(faces) + len(patch)) >= len(faces)
    return vertices, np.concatenate([faces, patch.astype(faces.dtype)]), is_new


def area_mm2(vertices: np.ndarray, faces: np.ndarray) -> float:
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    return float(0.5 * np.linalg.norm(np.cross(b - a, c - a), axis=1).sum())


def open_loops(faces: np.ndarray) -> list[np.ndarray]:
    """Rims of the holes, each a cycle of vertices in the direction that closes it; no vertex twice in one."""
    edges = Edges.of(faces)
    count = edges.imbalance()
    leaving: dict[int, list[int]] = {}
    for k in np.flatnonzero(count):
        side = slice(edges.start[k], edges.start[k + 1])
        excess = np.flatnonzero(edges.forward[side] == (count[k] > 0))[: abs(int(count[k]))]
        for s in excess + edges.start[k]:
            leaving.setdefault(int(edges.end[s]), []).append(int(edges.begin[s]))
    loops: list[np.ndarray] = []
    while leaving:
        path = [next(iter(leaving))]
        place = {path[0]: 0}
        while path[-1] in leaving:
            follow = leaving[path[-1]]
            vertex = follow.pop()
            if not follow:
                del leaving[path[-1]]
            if vertex in place:
                at = place[vertex]
                loops.append(np.array(path[at:]))
                for passed in path[at + 1 :]:
                    del place[passed]
                del path[at + 1 :]
            else:
                place[vertex] = len(path)
                path.append(vertex)
    return loops


def least_area(rim: np.ndarray) -> np.ndarray:
    """Triangles of least area that span a loop of points [point, 3]: int64 [point - 2, 3] of their places in it.

    Dynamic programming over the chords of the loop (Barequet and Sharir, Filling gaps in the boundary of a
    polyhedron, Computer Aided Geometric Design 12, 1995).
    """
    n = len(rim)
    if n < 3:
        return np.empty((0, 3), np.int64)
    cost, apex = np.zeros((n, n)), np.zeros((n, n), np.int64)
    for gap in range(2, n):
        for i in range(n - gap):
            k, middle = i + gap, np.arange(i + 1, i + gap)
            triangle = 0.5 * np.linalg.norm(np.cross(rim[middle] - rim[i], rim[k] - rim[i]), axis=1)
            total = cost[i, middle] + cost[middle, k] + triangle
            best = int(np.argmin(total))
            cost[i, k], apex[i, k] = total[best], middle[best]
    found, todo = [], [(0, n - 1)]
    while todo:
        i, k = todo.pop()
        if k - i > 1:
            m = int(apex[i, k])
            found.append((i, m, k))
            todo += [(i, m), (m, k)]
    return np.array(found)
