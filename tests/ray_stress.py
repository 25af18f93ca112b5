"""Rays shot at random closed meshes, and an independent float64 sum of depths that every one of them is held against.

A path length is stray when it is off the float64 value by more than the tolerance. That is 1e-4 mm on bodies of up to
100 mm, 1e-5 of their extent on larger ones (those that reach behind the source), and where a face is met at
|cos| < 0.05 also what a shift of the ray by 1.5 / 4096 pixel does to its depth there. A ray within 1.5 / 4096 pixel
of an edge may be on the other face: a sample of those is held against the least and greatest value that rays within
2 / 4096 pixel have. Every ray must be even, not negative, and no longer than the chord of the box around the mesh.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from random_meshes import Surface
from ray_aims import AIMS
from reference import Rays, mesh_crossings
from station import save, station

from xsim.backend import Backend
from xsim.geometry import View
from xsim.projector import FLIPPED, NESTED, OPEN, project

TOLERANCE_MM = 1e-4
SHIFT_PX = 1.5 / 4096
AROUND = np.concatenate(  # [ray, 2] px: rays around one that is near an edge
    [[[0.0, 0.0]]]
    + [r / 4096 * np.stack([np.cos(a), np.sin(a)], axis=1) for r in (0.75, 2.0) for a in [np.arange(8) * np.pi / 4]]
)


@dataclass
class Tally:
    """What was shot and what was found wrong."""

    rays: int = 0
    met: int = 0
    odd: int = 0  # entered and left unequally often
    flipped: int = 0
    nested: int = 0
    outside: int = 0  # negative, or longer than the box around the mesh allows
    near_edge: int = 0  # rays within SHIFT_PX of an edge
    stray: int = 0  # of the other rays, those off the float64 sum
    worst_mm: float = 0.0  # of those others, bodies of up to 100 mm, every face met at |cos| > 0.05
    edge_checked: int = 0  # rays near an edge held against their neighbourhood
    edge_stray: int = 0
    oracle_checked: int = 0  # rays held against tests/reference.py
    oracle_stray: int = 0

    def __iadd__(self, other: Tally) -> Tally:
        for field in fields(self):
            ours, theirs = getattr(self, field.name), getattr(other, field.name)
            setattr(self, field.name, max(ours, theirs) if field.name == "worst_mm" else ours + theirs)
        return self

    @property
    def wrong(self) -> int:
        parity = self.odd + self.flipped + self.nested
        return parity + self.outside + self.stray + self.edge_stray + self.oracle_stray


def shoot(
    generator: np.random.Generator, rays: float, side: int, sample: int, folder: Path, backend: Backend
) -> Iterator[tuple[str, Tally]]:
    """Images of ``side`` x ``side`` pixels, each way of aiming in turn, until there are enough rays.

    Every other round with lists of crossings, as where bodies overlap. In each image up to ``sample`` rays near edges
    and ``sample`` others are also held against the slow oracles.
    """
    for image in range(-(-int(rays) // side**2)):
        name = list(AIMS)[image % len(AIMS)]
        surface, view = AIMS[name](generator, side)
        crowd = image // len(AIMS) % 2 == 1
        yield name, examine(surface, view, generator, sample, folder, backend, crowd)


def examine(
    surface: Surface, view: View, generator: np.random.Generator, sample: int, folder: Path, backend: Backend,
    crowd: bool = False,
) -> Tally:  # fmt: skip
    """One image of a mesh, every ray of it checked."""
    lengths, faults = project_surface(surface, view, folder, backend, crowd)
    exact = signed_depths(surface, view)
    extent = float(np.ptp(surface.vertices, axis=0).max())
    tolerance = TOLERANCE_MM if extent <= 100 else 1e-5 * extent
    gap = np.abs(lengths - exact.lengths_mm)
    inner = ~exact.near_edge
    over = (lengths < -tolerance) | (lengths > longest(surface, view) + tolerance + exact.slack_mm)
    edge = stray_near_edges(surface, view, lengths, exact.near_edge, generator, sample, tolerance)
    oracle = stray_by_oracle(surface, view, lengths, exact, generator, sample, tolerance)
    plain = inner & ~exact.steep
    return Tally(
        lengths.size, int((lengths > 0).sum()), *(int((faults & bit > 0).sum()) for bit in (OPEN, FLIPPED, NESTED)),
        int(over.sum()), int(exact.near_edge.sum()), int((inner & (gap > tolerance + exact.slack_mm)).sum()),
        float(gap[plain].max(initial=0.0)) if extent <= 100 else 0.0, *edge, *oracle,
    )  # fmt: skip


def project_surface(
    surface: Surface, view: View, folder: Path, backend: Backend, crowd: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Path lengths float64 [row, column] mm and faults uint8 [row, column] of a mesh.

    Alone its depths are summed; ``crowd``, round a speck of air, they are sorted.
    """
    body = {**save(folder, "surface", *surface), "allow_open": True}
    middle = (0.5 * (surface.vertices.min(axis=0) + surface.vertices.max(axis=0))).tolist()
    speck = {"shape": "box", "size_mm": [1e-6] * 3, "position_mm": middle, "material": "air", "priority": -1}
    scene = station(body, *([speck] if crowd else []), sod_mm=1e6, sdd_mm=2e6, directory=folder)
    found = project(scene, view, backend)
    return backend.to_numpy(found.lengths_mm)[0].astype(np.float64), backend.to_numpy(found.faults)


@dataclass(frozen=True)
class SignedDepths:
    """Sum of signed depths of the faces each ray meets, images [row, column]."""

    lengths_mm: np.ndarray  # float64
    slack_mm: np.ndarray  # float64, what a shift by SHIFT_PX does to the depths of faces met at |cos| < 0.05
    steep: np.ndarray  # bool: such a face is met
    near_edge: np.ndarray  # bool: an edge is nearer than SHIFT_PX


def signed_depths(surface: Surface, view: View) -> SignedDepths:
    """Every pixel of every face's window, by the three volumes that a ray spans with the face's edges."""
    shape = (view.rows, view.columns)
    found = SignedDepths(np.zeros(shape), np.zeros(shape), np.zeros(shape, bool), np.zeros(shape, bool))
    for face, (row0, row1, column0, column1) in zip(*faces_seen(surface, view), strict=True):
        window = slice(row0, row1 + 1), slice(column0, column1 + 1)
        row, column = np.arange(row0, row1 + 1.0)[:, None], np.arange(column0, column1 + 1.0)
        edges = [face.edges[k, 0] + face.edges[k, 1] * column + face.edges[k, 2] * row for k in range(3)]
        depth, slack, steep, near = meet(face, edges, column, row)
        found.lengths_mm[window] += depth
        found.slack_mm[window] += slack
        found.steep[window] |= steep
        found.near_edge[window] |= near
    row, column = np.mgrid[: view.rows, : view.columns]
    full = np.linalg.norm(view.origin + column[..., None] * view.column + row[..., None] * view.row, axis=-1)
    return SignedDepths(found.lengths_mm * full, found.slack_mm, found.steep, found.near_edge)


@dataclass(frozen=True)
class Face:
    """A triangle seen in a view: with the ray d = origin + i column + j row, edge k spans edges[k] @ (1, i, j)."""

    edges: np.ndarray  # float64 [edge, 3], positive inside
    gradients: np.ndarray  # float64 [edge]: length of edges[k, 1:]; the value over it is the distance in px
    across: np.ndarray  # float64 [3]: the normal times d is across @ (1, i, j), positive
    volume: float  # of the three corners and the source; positive where the ray leaves
    normal: float  # length of the normal
    extent_mm: float  # greatest distance of two corners
    view: View


def faces_seen(surface: Surface, view: View) -> tuple[list[Face], list[tuple[int, int, int, int]]]:
    """Faces that some ray may meet, and the rows and columns they may cover."""
    corners = (surface.vertices - view.source)[surface.faces]
    a, b, c = corners.transpose(1, 0, 2)
    # with differences: far from the source the products of corners would cancel
    spans = np.stack([np.cross(b, c - b), np.cross(c, a - c), np.cross(a, b - a)], axis=1)
    normals = np.cross(b - a, c - a)
    volume = np.einsum("fk,fk->f", a, normals)
    basis = np.stack([view.origin, view.column, view.row], axis=1)
    side = np.where(volume < 0, -1.0, 1.0)
    edges, across = side[:, None, None] * (spans @ basis), side[:, None] * (normals @ basis)
    normal = np.linalg.norm(normals, axis=1)
    extent = np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2).max(axis=1)
    fraction, column, row = np.moveaxis(view.project(surface.vertices), -1, 0)
    windows = pixel_windows(fraction[surface.faces], column[surface.faces], row[surface.faces], view)
    kept = (windows[:, 0] <= windows[:, 1]) & (windows[:, 2] <= windows[:, 3])
    gradients = np.linalg.norm(edges[:, :, 1:], axis=2)
    return [
        Face(edges[k], gradients[k], across[k], float(volume[k]), float(normal[k]), float(extent[k]), view)
        for k in np.nonzero(kept)[0]
    ], [tuple(w) for w in windows[kept].tolist()]


def pixel_windows(fraction: np.ndarray, column: np.ndarray, row: np.ndarray, view: View) -> np.ndarray:
    """First and last row and column of each face, int [face, 4]; the whole image where it reaches behind the source."""
    behind = fraction.min(axis=1) < 1e-3
    with np.errstate(divide="ignore", invalid="ignore"):
        column, row = column / fraction, row / fraction
    ends = [
        np.where(behind, low, np.clip(edge, -1.0, size))
        for places, size in ((row, view.rows), (column, view.columns))
        for edge, low in ((np.floor(places.min(axis=1)), 0), (np.ceil(places.max(axis=1)), size - 1))
    ]
    windows = np.stack(ends, axis=1).astype(np.int64)
    windows[:, [0, 2]] = np.maximum(windows[:, [0, 2]], 0)
    windows[:, 1] = np.minimum(windows[:, 1], view.rows - 1)
    windows[:, 3] = np.minimum(windows[:, 3], view.columns - 1)
    return windows


def meet(
    face: Face, edges: list[np.ndarray], column: np.ndarray, row: np.ndarray, shift_px: float = SHIFT_PX
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Signed depth as a fraction of the ray, slack, whether it is met steeply, and whether an edge is near."""
    band = shift_px * face.gradients
    least = np.minimum(np.minimum(edges[0] + band[0], edges[1] + band[1]), edges[2] + band[2])
    near_any = (edges[0] < band[0]) | (edges[1] < band[1]) | (edges[2] < band[2])
    about = least >= 0
    near = about & near_any
    met = about & (edges[0] > 0) & (edges[1] > 0) & (edges[2] > 0)
    total = np.abs(face.across[0] + face.across[1] * column + face.across[2] * row)
    with np.errstate(divide="ignore", invalid="ignore"):
        depth = np.where(met, abs(face.volume) / total, 0.0)
    if not met.any():
        return depth, np.zeros_like(depth), met, near
    view = face.view
    d = view.origin + column[..., None] * view.column + row[..., None] * view.row
    cosine = np.where(met, total / (face.normal * np.linalg.norm(d, axis=-1)), 1.0)
    pixel_mm = depth * max(np.linalg.norm(view.column), np.linalg.norm(view.row))
    slack = np.where(met, np.minimum(shift_px * pixel_mm / np.maximum(cosine, 1e-300), face.extent_mm), 0.0)
    steep = cosine < 0.05
    return (depth if face.volume > 0 else -depth), np.where(steep, slack, 0.0), steep, near


def longest(surface: Surface, view: View) -> np.ndarray:
    """Length of each ray inside the box around a mesh, grown by SHIFT_PX, float64 [row, column] mm."""
    row, column = np.mgrid[: view.rows, : view.columns]
    d = view.origin + column[..., None] * view.column + row[..., None] * view.row
    farthest = max(float(view.project(surface.vertices)[:, 0].max()), 0.0)
    grown = SHIFT_PX * farthest * float(np.linalg.norm(view.column) + np.linalg.norm(view.row))
    low, high = surface.vertices.min(axis=0) - grown, surface.vertices.max(axis=0) + grown
    with np.errstate(divide="ignore", invalid="ignore"):
        one, other = (low - view.source) / d, (high - view.source) / d
    enter = np.fmax.reduce(np.minimum(one, other), axis=-1)
    leave = np.fmin.reduce(np.maximum(one, other), axis=-1)
    return np.asarray(np.maximum(leave - np.maximum(enter, 0.0), 0.0) * np.linalg.norm(d, axis=-1))


def stray_near_edges(
    surface: Surface, view: View, lengths: np.ndarray, near: np.ndarray, generator: np.random.Generator,
    count: int, tolerance: float,
) -> tuple[int, int]:  # fmt: skip
    """How many of a sample of the rays near an edge were looked at, and how many lie beyond all rays around them."""
    rows, columns = np.nonzero(near)
    if not len(rows) or not count:
        return 0, 0
    chosen = generator.permutation(len(rows))[:count]
    place = np.stack([columns[chosen], rows[chosen]], axis=1)[:, None] + AROUND  # [ray, around, 2] px
    column, row = place.reshape(-1, 2).T
    total, slack = np.zeros(len(row)), np.zeros(len(row))
    whole = View(view.source, view.origin, view.column, view.row, 1 << 20, 1 << 20)
    for face in faces_seen(surface, whole)[0]:
        edges = [face.edges[k, 0] + face.edges[k, 1] * column + face.edges[k, 2] * row for k in range(3)]
        depth, _, _, _ = meet(face, edges, column, row)
        total += depth
        slack += slope_slack(face, edges, column, row)
    full = np.linalg.norm(view.origin + column[:, None] * view.column + row[:, None] * view.row, axis=1)
    around = (total * full).reshape(-1, len(AROUND))
    room = slack.reshape(-1, len(AROUND)).max(axis=1) + tolerance
    found = lengths[rows[chosen], columns[chosen]]
    beyond = (found < around.min(axis=1) - room) | (found > around.max(axis=1) + room)
    return len(chosen), int(beyond.sum())


def stray_by_oracle(
    surface: Surface, view: View, lengths: np.ndarray, exact: SignedDepths, generator: np.random.Generator,
    count: int, tolerance: float,
) -> tuple[int, int]:  # fmt: skip
    """How many of a sample of the rays away from edges were met by ``reference``, and how many it has otherwise.

    None where the body reaches behind the source: the oracle's rays are lines.
    """
    rows, columns = np.nonzero(~exact.near_edge)
    if not count or view.project(surface.vertices)[:, 0].min() <= 0:
        return 0, 0
    chosen = generator.integers(len(rows), size=count)
    row, column = rows[chosen], columns[chosen]
    way = view.origin + column[:, None] * view.column + row[:, None] * view.row
    far = np.linalg.norm(way, axis=1)
    direction = way / far[:, None]
    foot = view.source - (direction @ view.source)[:, None] * direction
    wanted = mesh_crossings(
        surface.vertices, surface.faces, Rays(foot, direction, far, np.ones_like(far), (1, count))
    ).lengths_mm
    gap = np.abs(lengths[row, column] - wanted)
    return count, int((gap > tolerance + exact.slack_mm[row, column]).sum())


def slope_slack(face: Face, edges: list[np.ndarray], column: np.ndarray, row: np.ndarray) -> np.ndarray:
    """What a shift by 2 / 4096 pixel does to the depth of a face, however it is met; at most its extent."""
    view, shift = face.view, 2 / 4096
    band = shift * face.gradients
    about = (edges[0] > -band[0]) & (edges[1] > -band[1]) & (edges[2] > -band[2])
    slack = np.zeros(len(row))
    if not about.any():
        return slack
    total = (face.across[0] + face.across[1] * column + face.across[2] * row)[about]
    d = view.origin + column[about, None] * view.column + row[about, None] * view.row
    length = np.linalg.norm(d, axis=1)
    pitch = max(np.linalg.norm(view.column), np.linalg.norm(view.row))
    with np.errstate(divide="ignore", invalid="ignore"):
        moved = shift * pitch * np.abs(face.volume / total) / (np.abs(total) / (face.normal * length))
    slack[about] = np.minimum(np.where(np.isfinite(moved), moved, np.inf), face.extent_mm)
    return slack
