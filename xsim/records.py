"""What the kernels draw: records of analytic parts and of mesh surfaces, and the tiles each may touch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from xsim.backend import Backend, address, fill_record
from xsim.bricks import volume_record
from xsim.clipping import clip_faces
from xsim.geometry import View
from xsim.kernel_arguments import SOLID, SURFACE, VOLUME
from xsim.material import Material
from xsim.mesh import Mesh
from xsim.primitive import Solid
from xsim.volume import Densities, Labels, Volume

__all__ = ["Drawing", "Placed", "Tiles", "draw"]

LEAST_CHUNK = 4096  # primitives a work item sorts into tiles


@dataclass(frozen=True)
class Tiles:
    """Tiles of an image, numbered row by row."""

    rows: int
    columns: int
    tile_rows: int
    tile_columns: int

    @classmethod
    def of(cls, view: View, backend: Backend) -> Tiles:
        """Tiles of a view, of the shape that suits the backend."""
        return cls(view.rows, view.columns, backend.tile_shape[0], backend.tile_shape[1] or view.columns)

    @property
    def grid(self) -> tuple[int, int]:
        """Tiles down and across."""
        return -(-self.rows // self.tile_rows), -(-self.columns // self.tile_columns)

    def tiling(self, begin: int, end: int) -> tuple[int, ...]:
        """The kernels' record for the rows [begin, end)."""
        return (self.columns, begin, end, self.tile_rows, self.tile_columns, self.grid[1])

    def items(self, backend: Backend, begin: int, end: int) -> tuple[int, int]:
        """Work items of those rows: pixels of the block on a GPU, tiles on a CPU."""
        if backend.pixel_major:
            return 0, (end - begin) * self.columns
        across = self.grid[1]
        return begin // self.tile_rows * across, -(-end // self.tile_rows) * across


@dataclass(frozen=True)
class Placed:
    """A body to draw.

    Attributes
    ----------
    shape : Solid, Mesh or Volume
    rotation : float64 [3, 3]
        Body to world.
    position_mm : float64 [3]
    corners_mm : float64 [point, 3]
        World points whose hull holds it.
    rank : int
        Place in the order of priority.
    reference_fraction : float
        Depths are counted from this fraction of the way to the detector.
    contents : Labels, Densities or None
        What the values of a volume mean.
    """

    shape: Solid | Mesh | Volume
    rotation: np.ndarray
    position_mm: np.ndarray
    corners_mm: np.ndarray
    rank: int
    reference_fraction: float
    contents: Labels | Densities | None = None


@dataclass(frozen=True)
class Drawing:
    """Bodies as the kernels draw them. Holds every array that a record points to.

    ``arguments`` are the fields of ``kernel_arguments.DRAWING``.
    """

    arguments: dict[str, Any]
    held: tuple[Any, ...]


def draw(
    view: View, bodies: Sequence[Placed], tiles: Tiles, backend: Backend, places: Mapping[Material, int]
) -> Drawing:
    """Records and tile lists of some bodies, in ascending rank; ``places`` of materials in the images of lengths."""
    xp = backend.xp
    solids, surfaces, held, first = [], [], [], 0
    volumes, kept = volume_table(view, [b for b in bodies if isinstance(b.shape, Volume)], places, backend)
    for body in bodies:
        if isinstance(body.shape, Volume):
            continue
        seen = view.seen_from(body.rotation, body.position_mm)
        if isinstance(body.shape, Solid):
            solids += solid_records(view, seen, body)
            continue
        record, count, arrays = surface_record(seen, body, backend)
        surfaces.append({**record, "window": view.pixel_window(body.corners_mm), "first": first})
        held.append(arrays)
        first += count
    table = np.zeros(max(1, len(surfaces)), SURFACE)
    for k, record in enumerate(surfaces):
        fill_record(table[k], record, "surface")
    records = {
        "solids": to_device(xp, np.array(solids, SOLID) if solids else np.zeros(1, SOLID)),
        "surfaces": to_device(xp, table),
        "surface_count": len(surfaces),
    }
    arguments = {**records, "volumes": to_device(xp, volumes), "volume_count": len(kept)}
    for name, count, kinds in (("triangle", first, len(surfaces)), ("solid", len(solids), 0)):
        starts, entries = bin_by_tile({**records, "surface_count": kinds}, count, tiles, backend)
        arguments |= {f"{name}_starts": starts, f"{name}_list": entries}
    return Drawing(arguments, (*held, *kept))


def volume_table(
    view: View, bodies: Sequence[Placed], places: Mapping[Material, int], backend: Backend
) -> tuple[np.ndarray, list[Any]]:
    """Records of volumes in their order, and what they point to; one empty record where there is none."""
    table, held = np.zeros(max(1, len(bodies)), VOLUME), []
    for k, body in enumerate(bodies):
        assert isinstance(body.shape, Volume) and body.contents is not None
        seen = view.seen_from(body.rotation, body.position_mm)
        record = volume_record(body.shape, body.contents, seen, places, backend)
        pose = {"window": view.pixel_window(body.corners_mm), "reference_fraction": body.reference_fraction}
        fill_record(table[k], {**record.fields, **pose, "body": body.rank}, "volume")
        held.append(record)
    return table, held


def to_device(xp: Any, records: np.ndarray) -> Any:
    return xp.asarray(np.ascontiguousarray(records).view(np.uint8).reshape(-1))


def solid_records(view: View, seen: View, body: Placed) -> list[tuple[Any, ...]]:
    """One record a part: the rays in the body's frame, with the part's own centre as the origin."""
    assert isinstance(body.shape, Solid)
    corners = body.corners_mm.reshape(-1, 8, 3)
    return [
        (np.concatenate([seen.source - part.centre_mm, seen.rays[3:]]), part.half_mm, body.reference_fraction,
         view.pixel_window(around), part.kind, body.rank, part.hole)
        for part, around in zip(body.shape.parts(), corners, strict=True)
    ]  # fmt: skip


def surface_record(seen: View, body: Placed, backend: Backend) -> tuple[dict[str, Any], int, tuple[Any, ...]]:
    """Record of a mesh, its number of triangles, and the arrays it points to.

    The mesh stays in its own frame: bodies of one mesh share its vertices and faces.
    """
    xp, mesh = backend.xp, body.shape
    assert isinstance(mesh, Mesh)
    vertices, planes = backend.constant(mesh.vertices), backend.constant(mesh.faces)
    screen = xp.empty((len(mesh.vertices), 2), np.int32)
    outside = xp.empty(len(mesh.vertices), np.uint8)
    homography = homography_record(seen)
    backend.launch(
        "project_vertices", len(mesh.vertices), grain=4096, vertices=vertices, screen=screen, outside=outside,
        homography=homography, near_fraction=seen.near_fraction,
    )  # fmt: skip
    faces = planes
    if bool(outside.any()):
        flags, on_screen = backend.to_numpy(outside), backend.to_numpy(screen)
        cut, drawn, parents = clip_faces(seen, mesh.vertices, mesh.faces, on_screen, flags)
        screen, faces, planes = xp.asarray(cut), xp.asarray(drawn), xp.asarray(mesh.faces[parents])
    record = {
        "vertices": address(vertices), "screen": address(screen), "faces": address(faces),
        "planes": address(planes), "homography": homography, "rays": seen.rays,
        "reference_fraction": body.reference_fraction, "near_fraction": seen.near_fraction,
        "handedness": seen.handedness, "body": body.rank,
    }  # fmt: skip
    return record, len(faces), (vertices, screen, faces, planes)


def homography_record(view: View) -> dict[str, Any]:
    """Fields of the kernels' ``Homography``."""
    return {
        "m": view.homography.reshape(12),
        "divides_column": not view.is_parallel,
        "divides_row": not view.row_is_affine,
    }


def bin_by_tile(records: dict[str, Any], count: int, tiles: Tiles, backend: Backend) -> tuple[Any, Any]:
    """Lists of the primitives that may touch each tile, in order.

    Returns
    -------
    starts : int64 [tile + 1]
    primitives : int32; those of tile t are ``primitives[starts[t]:starts[t + 1]]``
    """
    xp, total = backend.xp, tiles.grid[0] * tiles.grid[1]
    chunk = max(LEAST_CHUNK, -(-count // 256))
    chunks = max(1, -(-count // chunk))
    cursors = xp.zeros((chunks, total), np.int64)
    arguments = {
        **records, "cursors": cursors, "spans": xp.empty((max(1, count), 4), np.uint16),
        "list": xp.zeros(1, np.int32), "primitives": count, "chunk": chunk, "tiles": total,
        "rows": tiles.rows, "tiling": tiles.tiling(0, tiles.rows),
    }  # fmt: skip
    backend.launch("count_bins", chunks if count else 0, **arguments)
    ends = xp.cumsum(cursors.T.reshape(-1))  # tile by tile, chunk by chunk within it
    begins = (ends - cursors.T.reshape(-1)).reshape(total, chunks)
    starts = xp.concatenate([begins[:, 0], ends[-1:]])
    entries = xp.empty(max(1, int(ends[-1])), np.int32)
    arguments |= {"cursors": xp.ascontiguousarray(begins.T), "list": entries}
    backend.launch("fill_bins", chunks if count else 0, **arguments)
    return starts, entries
