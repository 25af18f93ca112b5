"""Where to look at a random closed mesh from, so that a projector has it hard."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from random_meshes import Surface, convex_hull, cubes, cuboid, random_surface

from xsim.geometry import View


def framed(generator: np.random.Generator, source: np.ndarray, centre: np.ndarray, width_mm: float, side: int) -> View:
    """A square view from a source towards a point, ``width_mm`` wide there, its panel somewhere behind."""
    axis = centre - source
    distance = float(np.linalg.norm(axis))
    across = np.cross(axis, generator.normal(size=3))
    across /= np.linalg.norm(across)
    down = np.cross(axis / distance, across)
    further = 1 + 10 ** generator.uniform(-1, 1)
    step = width_mm * further / side
    tilt = generator.uniform(-0.3, 0.3, 2)[:, None] * axis / distance  # a panel that is not square to the axis
    column, row = step * (across + tilt[0]), step * (down + tilt[1])
    return View(source, further * axis - 0.5 * (side - 1) * (column + row), column, row, side, side)


def direction(generator: np.random.Generator) -> np.ndarray:
    way = generator.normal(size=3)
    return np.asarray(way / np.linalg.norm(way))


def far(generator: np.random.Generator, least_mm: float) -> float:
    """A distance from ``least_mm`` to 1e5 mm, evenly in its logarithm."""
    return float(10 ** generator.uniform(np.log10(least_mm), 5.0))


def any_side(generator: np.random.Generator, side: int) -> tuple[Surface, View]:
    """A body of up to 40 mm from any side, 50 to 1e5 mm away."""
    radius = float(generator.uniform(5, 40))
    surface = random_surface(generator, radius)
    source = far(generator, max(50.0, 1.2 * radius)) * direction(generator)
    return surface, framed(generator, source, radius * generator.normal(size=3) / 5, 2.1 * radius, side)


def corners_on_pixels(generator: np.random.Generator, side: int) -> tuple[Surface, View]:
    """Every corner on a pixel centre, edges along rows, columns and the beam: the image of a lattice body.

    The map (i, j, q) -> source + (origin + i column + j row) / q keeps planes, so the body stays closed and crosses
    itself nowhere; faces of constant i or j hold the source.
    """
    lattice = LATTICES[generator.integers(len(LATTICES))](generator)
    points = lattice.vertices - lattice.vertices.min(axis=0)
    span = points.max(axis=0)
    distance, depth = far(generator, 80.0), float(generator.uniform(10, 60))
    source = distance * direction(generator)
    view = framed(generator, source, np.zeros(3), 60.0, side)
    step = max(1, int(side // (span[:2].max() + 1)))
    place = step * points[:, :2] + generator.integers(0, step, 2)
    panel = np.linalg.norm(view.origin + 0.5 * (side - 1) * (view.column + view.row))
    q = panel / distance * (1 + depth / distance * (points[:, 2] / span[2] - 0.5))
    rays = view.origin + place[:, :1] * view.column + place[:, 1:] * view.row
    vertices = source + rays / q[:, None]
    faces = lattice.faces if outwards(vertices, lattice.faces) else lattice.faces[:, ::-1]
    return Surface(vertices, faces), view


LATTICES: tuple[Callable[[np.random.Generator], Surface], ...] = (
    cubes,
    lambda generator: convex_hull(generator.integers(0, generator.integers(3, 12), (40, 3)).astype(np.float64)),
    lambda generator: cuboid(generator, np.full(3, 8.0)),
)


def outwards(vertices: np.ndarray, faces: np.ndarray) -> bool:
    """Whether a closed surface encloses a positive volume."""
    a, b, c = (vertices[faces[:, k]] - vertices.mean(axis=0) for k in range(3))
    return bool(np.einsum("ij,ij->", a, np.cross(b, c)) > 0)


def in_the_plane(generator: np.random.Generator, side: int) -> tuple[Surface, View]:
    """A source in the plane of a face, or 1e-6 to 1 mm off it."""
    surface = random_surface(generator, 40.0)
    face = surface.vertices[surface.faces[generator.integers(len(surface.faces))]]
    normal = np.cross(face[1] - face[0], face[2] - face[0])
    normal /= np.linalg.norm(normal)
    along = np.cross(normal, direction(generator))
    along /= np.linalg.norm(along)
    off = 0.0 if generator.random() < 0.5 else 10 ** generator.uniform(-6, 0)
    source = face[0] + far(generator, 90.0) * along + off * normal
    return surface, framed(generator, source, face.mean(axis=0), 80 * 10 ** generator.uniform(-2.5, 0), side)


def along_an_edge(generator: np.random.Generator, side: int) -> tuple[Surface, View]:
    """The middle row from corner to corner of an edge, every ray of it through that edge; the other rows beside it."""
    surface = random_surface(generator, 40.0)
    source = far(generator, 50.0) * direction(generator)
    while True:
        start, end = surface.vertices[generator.choice(surface.faces[generator.integers(len(surface.faces))], 2, False)]
        across = np.cross(start - source, end - start)
        reach = np.linalg.norm(end - start) * np.linalg.norm(start - source)
        if np.linalg.norm(across) > 0.3 * reach:  # the panel holds the edge: no ray grazes the panel
            break
    column = (end - start) / (side - 1)
    row = across * np.linalg.norm(column) / np.linalg.norm(across) + generator.normal() * column
    return surface, View(source, start - source - (side // 2) * row, column, row, side, side)


def beside(generator: np.random.Generator, side: int) -> tuple[Surface, View]:
    """A body that reaches behind the source: a long one beside it, or a ring around it."""
    kind = str(generator.choice(["star", "box", "hull", "plate", "pieces", "torus"]))
    surface = random_surface(generator, 60.0, kind)
    if kind == "torus":
        return surface, framed(generator, generator.normal(size=3), 200 * direction(generator), 400.0, side)
    stretched = surface.vertices * np.array([1.0, 1.0, generator.uniform(5, 20)])
    out = direction(generator) * [1, 1, 0]
    out /= np.linalg.norm(out)
    reach = float((stretched @ out).max()) + generator.uniform(1.0, 20.0)
    source = reach * out + [0, 0, generator.uniform(-0.5, 0.5) * np.abs(stretched[:, 2]).max()]
    towards = source + np.array([0, 0, 500.0]) - 0.1 * reach * out
    return Surface(stretched, surface.faces), framed(generator, source, towards, 700.0, side)


AIMS: dict[str, Callable[[np.random.Generator, int], tuple[Surface, View]]] = {
    "any side": any_side,
    "corners on pixels": corners_on_pixels,
    "along an edge": along_an_edge,
    "in the plane of a face": in_the_plane,
    "beside the source": beside,
}
