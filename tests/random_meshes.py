"""Random closed surfaces that cross nowhere: what laws and watertightness are tried on."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import trimesh
from scipy.spatial.transform import Rotation

#: Kinds of surface; each is closed, wound outwards, and encloses nothing twice.
KINDS = ("star", "torus", "box", "hull", "needle", "plate", "pieces", "hollow", "cubes")


class Surface(NamedTuple):
    """Triangles of a closed body."""

    vertices: np.ndarray  # float64 [vertex, 3] mm
    faces: np.ndarray  # int [triangle, 3], counter-clockwise seen from outside


def random_surface(generator: np.random.Generator, radius_mm: float, kind: str | None = None) -> Surface:
    """A body within ``radius_mm`` of the origin, turned at random."""
    vertices, faces = _SHAPES[kind or KINDS[generator.integers(len(KINDS))]](generator)
    turn = Rotation.random(random_state=generator)
    vertices = turn.apply(vertices - 0.5 * (vertices.min(axis=0) + vertices.max(axis=0)))
    return Surface(radius_mm * vertices / np.linalg.norm(vertices, axis=1).max(), np.asarray(faces))


def star(generator: np.random.Generator) -> Surface:
    """A sphere of dents: each ray from the centre meets it once, so that it cannot cross itself."""
    ball = trimesh.creation.icosphere(int(generator.integers(1, 4)))
    return Surface(ball.vertices * generator.uniform(0.55, 1.0, (len(ball.vertices), 1)), ball.faces)


def torus(generator: np.random.Generator) -> Surface:
    sections = generator.integers(5, 24, 2)
    ring = trimesh.creation.torus(
        1.0, generator.uniform(0.1, 0.6), major_sections=int(sections[0]), minor_sections=int(sections[1])
    )
    return Surface(ring.vertices, ring.faces)


def box(generator: np.random.Generator) -> Surface:
    return cuboid(generator, generator.uniform(0.2, 1.0, 3))


def needle(generator: np.random.Generator) -> Surface:
    return cuboid(generator, np.array([1.0, *generator.uniform(0.002, 0.02, 2)]))


def plate(generator: np.random.Generator) -> Surface:
    return cuboid(generator, np.array([*generator.uniform(0.3, 1.0, 2), generator.uniform(0.002, 0.02)]))


def cuboid(generator: np.random.Generator, size: np.ndarray) -> Surface:
    made = trimesh.creation.box(size)
    for _ in range(generator.integers(3)):
        made = made.subdivide()
    return Surface(made.vertices, made.faces)


def hull(generator: np.random.Generator) -> Surface:
    return convex_hull(generator.normal(size=(int(generator.integers(5, 60)), 3)))


def convex_hull(points: np.ndarray) -> Surface:
    made = trimesh.convex.convex_hull(points)
    return Surface(made.vertices, made.faces)


def pieces(generator: np.random.Generator) -> Surface:
    """Two to four bodies in one surface, each in a cell of its own."""
    cells = generator.permutation(np.array(list(np.ndindex(2, 2, 2))))[: generator.integers(2, 5)]
    kinds = ("star", "torus", "box", "hull", "needle", "plate")
    return joined(
        [
            Surface(part.vertices + 2.2 * cell, part.faces)
            for cell in cells
            for part in [random_surface(generator, 1.0, str(generator.choice(kinds)))]
        ]
    )


def hollow(generator: np.random.Generator) -> Surface:
    """A ball with a cavity: the inner surface is wound the other way."""
    ball = trimesh.creation.icosphere(2)
    cavity = star(generator)
    return joined([Surface(ball.vertices, ball.faces), Surface(0.5 * cavity.vertices, cavity.faces[:, ::-1])])


def joined(parts: list[Surface]) -> Surface:
    starts = np.cumsum([0, *(len(p.vertices) for p in parts)])
    return Surface(
        np.concatenate([p.vertices for p in parts]),
        np.concatenate([p.faces + k for p, k in zip(parts, starts, strict=False)]),
    )


def cubes(generator: np.random.Generator) -> Surface:
    """Filled cells of a grid: edges shared by four faces, where two cells touch."""
    return surface_of_cells(generator.random((5, 4, 3)) < 0.5)


def surface_of_cells(filled: np.ndarray) -> Surface:
    """Boundary of the filled cells [x, y, z] of a unit grid, two triangles a face."""
    padded = np.pad(filled, 1)
    squares = []
    for axis in range(3):
        for side in (0, 1):
            open_side = padded & ~np.roll(padded, 1 - 2 * side, axis)
            first, second = (axis + 1) % 3, (axis + 2) % 3
            corner = np.argwhere(open_side).astype(np.int64) - 1
            corner[:, axis] += side
            square = np.repeat(corner[:, None], 4, axis=1)
            square[:, 1:3, first] += 1
            square[:, 2:4, second] += 1
            squares.append(square if side else square[:, ::-1])
    corners = np.concatenate(squares)
    vertices, index = np.unique(corners.reshape(-1, 3), axis=0, return_inverse=True)
    quads = index.reshape(-1, 4)
    return Surface(vertices.astype(np.float64), np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]]))


_SHAPES = {
    "star": star, "torus": torus, "box": box, "hull": hull, "needle": needle, "plate": plate,
    "pieces": pieces, "hollow": hollow, "cubes": cubes,
}  # fmt: skip
