"""Shells of a triangle mesh: which triangles hang together, which way they face, which shell lies in which.

Two triangles hang together where they share an edge. Where more than two meet (parts that touch along an edge or on a
whole face), each hangs with the one across the solid between them, so that parts that touch stay two shells.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

__all__ = ["Edges", "bodies", "contains", "join_faces", "shell_parents", "shell_volumes", "shells", "signed_volume"]

SAME_ANGLE = 1e-6  # rad; faces this close around an edge lie on each other


@dataclass(frozen=True)
class Edges:
    """The three sides of every triangle, sides of one edge next to each other.

    Attributes
    ----------
    face : int64 [side]
    begin, end : int64 [side]
        Vertices, in the direction in which the triangle goes round.
    tip : int64 [side]
        The triangle's third vertex.
    start : int64 [edge + 1]
        Sides [start[k], start[k + 1]) are those of edge k.

    """

    face: np.ndarray
    begin: np.ndarray
    end: np.ndarray
    tip: np.ndarray
    start: np.ndarray

    @classmethod
    def of(cls, faces: np.ndarray) -> Edges:
        """Edges of triangles [triangle, 3]."""
        corners = faces.astype(np.int64)
        begin = corners.ravel()
        end, tip = np.roll(corners, -1, axis=1).ravel(), np.roll(corners, -2, axis=1).ravel()
        key = np.minimum(begin, end) * (int(corners.max(initial=0)) + 1) + np.maximum(begin, end)
        order = np.argsort(key, kind="stable")
        start = np.flatnonzero(np.diff(key[order], prepend=-1, append=-1))
        return cls(np.repeat(np.arange(len(faces)), 3)[order], begin[order], end[order], tip[order], start)

    @property
    def forward(self) -> np.ndarray:
        """Whether the side goes from the lower vertex number to the higher, bool [side]."""
        return np.asarray(self.begin < self.end)

    def imbalance(self) -> np.ndarray:
        """Sides forward less sides backward of each edge, int64 [edge]; all zero on a closed surface."""
        return np.asarray(np.add.reduceat(np.where(self.forward, 1, -1), self.start[:-1]))


def join_faces(vertices: np.ndarray, edges: Edges) -> np.ndarray:
    """Sides that hang together, int64 [pair, 2]: indices into ``edges``."""
    count = np.diff(edges.start)
    first = edges.start[:-1][count == 2]
    pairs = [np.stack([first, first + 1], axis=1)]
    pairs += [across_solid(vertices, edges, int(edges.start[k]), int(edges.start[k + 1]))
              for k in np.flatnonzero(count > 2)]  # fmt: skip
    return np.concatenate(pairs)


def across_solid(vertices: np.ndarray, edges: Edges, begin: int, end: int) -> np.ndarray:
    """Pairs of an edge's sides [begin, end) that have solid between them; all of them where that is contradictory."""
    side = np.arange(begin, end)
    low = vertices[np.minimum(edges.begin[begin], edges.end[begin])]
    along = vertices[np.maximum(edges.begin[begin], edges.end[begin])] - low
    along = along / (np.linalg.norm(along) or 1.0)
    tips = vertices[edges.tip[side]] - low
    across = tips - np.outer(tips @ along, along)
    right = across[0] / (np.linalg.norm(across[0]) or 1.0)
    angle = (np.arctan2(across @ np.cross(along, right), across @ right) + SAME_ANGLE) % (2 * np.pi)
    order = np.argsort(angle, kind="stable")
    place = np.cumsum(np.diff(angle[order], prepend=angle[order[0]]) > 2 * SAME_ANGLE)
    # a forward side has its solid at smaller angles: it ends a wedge before the next one begins
    order = order[np.lexsort((~edges.forward[side[order]], place))]
    opens = ~edges.forward[side[order]]
    if (opens == np.roll(opens, 1)).any():
        return np.stack([side[:-1], side[1:]], axis=1)
    if not opens[0]:
        order = np.roll(order, -1)
    return np.asarray(side[order].reshape(-1, 2))


def shells(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Shell of each triangle, numbered from 0 in the order of their first triangles.

    Parameters
    ----------
    vertices : float64 [vertex, 3]
    faces : int [triangle, 3]

    Returns
    -------
    int64 [triangle]

    """
    edges = Edges.of(faces)
    one, other = edges.face[join_faces(vertices, edges)].T
    links = coo_array((np.ones(len(one), bool), (one, other)), shape=(len(faces), len(faces)))
    return by_first(connected_components(links, directed=False)[1])


def by_first(labels: np.ndarray) -> np.ndarray:
    """The same groups, numbered in the order of their first members."""
    _, first, group = np.unique(labels, return_index=True, return_inverse=True)
    return np.asarray(np.argsort(np.argsort(first))[group])


def bodies(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Body of each triangle, numbered from 0 in the order of their first triangles: a shell and the voids in it.

    A void is a closed shell that faces inwards and lies in a shell that faces outwards.
    """
    shell = shells(vertices, faces)
    volume = shell_volumes(vertices, faces, shell)
    parent = shell_parents(vertices, faces, shell)
    void = (volume < 0) & (parent >= 0) & (volume[parent] > 0)
    return by_first(np.where(void, parent, np.arange(len(parent)))[shell])


def shell_parents(vertices: np.ndarray, faces: np.ndarray, shell: np.ndarray) -> np.ndarray:
    """Smallest closed shell around each closed shell, int64 [shell]; -1 where there is none."""
    edges = Edges.of(faces)
    odd = np.unique(shell[edges.face[np.repeat(edges.imbalance() != 0, np.diff(edges.start))]])
    every = np.arange(int(shell.max()) + 1)
    closed, parent = np.setdiff1d(every, odd), np.full(len(every), -1)
    if len(closed) < 2:
        return parent
    order = np.argsort(shell, kind="stable")
    by_shell = np.split(faces[order], np.searchsorted(shell[order], every[1:]))
    members = {int(k): by_shell[k] for k in closed}
    low = np.array([vertices[members[int(k)]].min(axis=(0, 1)) for k in closed])
    high = np.array([vertices[members[int(k)]].max(axis=(0, 1)) for k in closed])
    room = np.prod(high - low, axis=1)
    for k, own in enumerate(closed):
        around = np.flatnonzero(((low <= low[k]) & (high[k] <= high)).all(axis=1) & (room > room[k]))
        point = vertices[members[int(own)][0]].mean(axis=0)
        for other in around[np.argsort(room[around], kind="stable")]:
            if contains(vertices, members[int(closed[other])], point):
                parent[own] = closed[other]
                break
    return parent


def shell_volumes(vertices: np.ndarray, faces: np.ndarray, shell: np.ndarray) -> np.ndarray:
    """Signed volume of each shell, float64 [shell]; each about its own first corner."""
    _, first = np.unique(shell, return_index=True)
    pivot = vertices[faces[first, 0]][shell]
    a, b, c = (vertices[faces[:, k]] - pivot for k in range(3))
    return np.bincount(shell, np.einsum("ij,ij->i", a, np.cross(b, c)) / 6.0)


def signed_volume(vertices: np.ndarray, faces: np.ndarray) -> float:
    """Volume that triangles enclose; negative where they face inwards, without meaning where they are open."""
    a, b, c = (vertices[faces[:, k]] - vertices[faces[0, 0]] for k in range(3))
    return float(np.einsum("ij,ij->", a, np.cross(b, c)) / 6.0)


def contains(vertices: np.ndarray, faces: np.ndarray, point: np.ndarray) -> bool:
    """Whether a point lies inside: the solid angle of a closed surface around it is 4 pi."""
    a, b, c = (vertices[faces[:, k]] - point for k in range(3))
    la, lb, lc = (np.linalg.norm(v, axis=1) for v in (a, b, c))
    volume = np.einsum("ij,ij->i", a, np.cross(b, c))
    ab, bc, ca = (np.einsum("ij,ij->i", u, v) for u, v in ((a, b), (b, c), (c, a)))
    angle = 2.0 * np.arctan2(volume, la * lb * lc + ab * lc + bc * la + ca * lb)
    return bool(abs(angle.sum()) > 2.0 * np.pi)
